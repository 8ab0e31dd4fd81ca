//! A repository must be neither agp's home nor the operator's, nor around either.

use std::path::{Path, PathBuf};

use super::home::Home;
use super::options::SessionOptions;
use super::private_paths::private_paths;
use crate::report::failure::Failure;

/// Refuses a repository, or a path that is named besides, that holds agp's own home or lies in it, and a repository
/// that is the operator's home or holds what is private there: what is confined to it would have the key, or the
/// shell's start-up files. Told here, before anything is tried, because it is no fault of this machine's, and
/// no weaker confinement mends it.
///
/// # Errors
/// [`Failure`], naming both.
pub(crate) fn refuse_overlap(home: &Home, options: &SessionOptions) -> Result<(), Failure> {
    if !options.layout.runs_anything() {
        return Ok(());
    }
    let own_home = home.real_root();
    let overlaps = |path: &Path| own_home.starts_with(path) || path.starts_with(&own_home);
    let refused = |what: &str, path: &Path, mend: &str| {
        let (own_home, path) = (own_home.display(), path.display());
        Err(Failure::refused(
            format!(
                "{what} {path} overlaps agp's home {own_home}: the agent could read agp's keys"
            ),
            mend,
        ))
    };
    if overlaps(&options.repository) {
        let mend = "choose another --repo, or set AGP_HOME to a directory elsewhere";
        return refused("the repository", &options.repository, mend);
    }
    // A home can be reached by another name; what lies in it and leads elsewhere is meant as it is named.
    let named = std::env::var_os("HOME").map(PathBuf::from);
    let user = named.as_ref().and_then(|named| named.canonicalize().ok());
    let truly = |path: PathBuf| match (&named, &user) {
        (Some(named), Some(user)) => path
            .strip_prefix(named)
            .map_or(path.clone(), |rest| user.join(rest)),
        _ => path,
    };
    let held = private_paths().into_iter().map(truly);
    let held = held.filter(|path| path.exists()).chain(user.clone());
    let mut held = held.filter(|path| path.starts_with(&options.repository));
    if let Some(private) = held.next() {
        let itself = user.as_ref() == Some(&options.repository);
        let (repository, private) = (options.repository.display(), private.display());
        return Err(Failure::refused(
            match itself {
                true => format!(
                    "the repository {repository} is your home directory, which an agent must not see"
                ),
                false => format!("the repository {repository} contains private files ({private})"),
            },
            "pass --repo with a directory that contains only the project",
        ));
    }
    for path in options.allow_read.iter().chain(&options.allow_write) {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if overlaps(&real) {
            return refused("the allowed path", path, "allow a narrower path");
        }
    }
    Ok(())
}
