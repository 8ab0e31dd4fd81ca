//! Which policy a command is about: a file, one that ships, or the home's, under the machine's and the repository's.

use std::io;
use std::path::{Path, PathBuf};

use crate::contracts::{bounded_file, limits};
use crate::policy::{Owner, Policy, PolicyError, shipped};
use crate::report::failure::Failure;
use crate::session::config::Config;
use crate::session::home::Home;
use crate::session::policy_file::{MANAGED, PolicySource, of_repository};

/// Loads the policy that `named` names (a file, or one that ships; the project's, else the home's, where absent) with the machine's and
/// that of the repository.
pub(super) fn load(named: Option<&str>, repository: &Path) -> Result<Policy, Failure> {
    let source = match named {
        Some(named) => PolicySource::given(named),
        None => {
            let home = Home::find()?;
            PolicySource::of(None, &Config::load(&home)?, &home, repository)?
        }
    };
    let (path, main) = match &source {
        PolicySource::Shipped(name) => (
            PathBuf::from(name),
            shipped(name).unwrap_or_default().into(),
        ),
        PolicySource::Project(path) => {
            let bytes = read_or(path, &source.help(&Home::find()?))?;
            (path.clone(), bytes)
        }
        PolicySource::File(path) => (path.clone(), read(path)?),
        PolicySource::Home => {
            let path = Home::find()?.policy();
            let bytes = read(&path)?;
            (path, bytes)
        }
    };
    let managed_path = PathBuf::from(MANAGED);
    let managed = optional(&managed_path)?;
    let repository_path = of_repository(repository, Home::find().ok().as_ref());
    let theirs = match &repository_path {
        Some(path) => optional(path)?,
        None => None,
    };
    Policy::layered(managed.as_deref(), &main, theirs.as_deref()).map_err(|(owner, error)| {
        let path = match owner {
            Owner::Managed => managed_path,
            Owner::Main => path,
            Owner::Repository => repository_path.unwrap_or_default(),
        };
        wrong(&path, &error)
    })
}

/// Why a file is no policy, and where.
pub(super) fn wrong(path: &Path, error: &PolicyError) -> Failure {
    let problem = format!("{}: {error}", path.display());
    Failure::refused(
        problem,
        format!("run `agp policy check {}`", path.display()),
    )
}

/// A policy's bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_or(
        path,
        "run `agp init`, or name a policy: a file, standard, strict or watch",
    )
}

/// The same, with what helps where there is no file.
fn read_or(path: &Path, missing: &str) -> Result<Vec<u8>, Failure> {
    bounded_file::read(path, limits::POLICY_BYTES).map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::NotFound => missing,
            io::ErrorKind::FileTooLarge => "a policy has at most 8 MiB",
            io::ErrorKind::IsADirectory => {
                "it is a directory: name a file, or move it away and run `agp init`"
            }
            _ => "make the file readable",
        };
        Failure::usage(format!("cannot read {}: {error}", path.display()), mend)
    })
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        _ => read(path).map(Some),
    }
}
