//! What a session's agent can change, and with that where its harness may come from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::confine::Spawner;
use crate::intendants::confined_query::Search;
use crate::jail::writable_paths::Changeable;

use super::config;
use super::kinds::Confine;
use super::layout::HarnessPlace;
use super::options::SessionOptions;

/// What an agent can change in a session for this repository.
pub(crate) fn changeable(repository: &Path, write: &[PathBuf], read: &[PathBuf]) -> Changeable {
    let mut shared = vec![repository.to_owned()];
    // Who works below the top of a work tree has the whole of it checked out from the same hands.
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let above_home = |path: &Path| home.as_ref().is_some_and(|home| home.starts_with(path));
    let top = repository
        .ancestors()
        .find(|path| path.join(".git").exists());
    shared.extend(top.filter(|top| !above_home(top)).map(Path::to_owned));
    shared.extend(write.iter().cloned());
    Changeable::shared(&shared).in_sandbox(read)
}

/// The same where no session is asked for: the repository is the one that a session would have here, if it
/// could have one here at all.
pub(crate) fn changeable_here() -> Changeable {
    let named = config::first(None, "AGP_REPO", None).unwrap_or_else(|| ".".into());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let holds_home = |path: &PathBuf| home.as_ref().is_some_and(|home| home.starts_with(path));
    match PathBuf::from(named).canonicalize() {
        Ok(repository) if !holds_home(&repository) => changeable(&repository, &[], &[]),
        _ => Changeable::default().in_sandbox([]),
    }
}

fn left_out(path: &OsStr, repository: &Path, write: &[PathBuf], read: &[PathBuf]) -> Vec<PathBuf> {
    let kept = changeable(repository, write, read).search_path(path);
    let all: Vec<PathBuf> = read
        .iter()
        .cloned()
        .chain(std::env::split_paths(path).filter(|entry| entry.is_absolute() && entry.is_dir()))
        .collect();
    let could_be = changeable(repository, write, &all).search_path(path);
    let kept: Vec<PathBuf> = std::env::split_paths(&kept).collect();
    let mut left_out: Vec<PathBuf> = Vec::new();
    for entry in std::env::split_paths(&could_be).filter(|entry| entry.is_dir()) {
        if !kept.contains(&entry) && !left_out.contains(&entry) {
            left_out.push(entry);
        }
    }
    left_out
}

impl SessionOptions {
    /// What the session's agent can change.
    pub(crate) fn changeable(&self) -> Changeable {
        changeable(&self.repository, &self.allow_write, &self.allow_read)
    }

    /// Directories of `PATH` that nothing inside is given, and would be if `--allow-read` named them.
    pub(crate) fn left_out_of_path(&self) -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        left_out(&path, &self.repository, &self.allow_write, &self.allow_read)
    }

    /// How its harness is found.
    pub(crate) fn search(&self, spawner: &Spawner) -> Search {
        Search {
            changeable: self.changeable(),
            spawner: Some(spawner.clone()),
            unconfined: self.layout.place() == HarnessPlace::Host(Confine::BestEffort),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_left_out_of_path_and_could_be_had_is_told_and_nothing_else() {
        let base = PathBuf::from(format!("/tmp/agp-left-out-{}", std::process::id()));
        let (tools, repository) = (base.join("tools/bin"), base.join("repository"));
        fs::create_dir_all(&tools).unwrap();
        fs::create_dir_all(repository.join("bin")).unwrap();
        fs::create_dir(repository.join(".git")).unwrap();
        let (t, r) = (tools.display(), repository.display());
        let path = format!("bin:{r}/bin:{t}:{t}/missing:{t}:/usr/bin");
        let path = OsStr::new(&path);
        let unnamed = left_out(path, &repository, &[], &[]);
        let named = left_out(path, &repository, &[], &[base.join("tools")]);
        let written = left_out(path, &repository, &[base.join("tools")], &[]);
        fs::remove_dir_all(&base).unwrap();
        assert_eq!(unnamed, [tools]);
        assert_eq!((named, written), (Vec::new(), Vec::new()));
    }
}
