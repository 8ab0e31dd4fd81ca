//! What a session's agent can change, and with that where its harness may come from.

use std::path::{Path, PathBuf};

use crate::confine::Spawner;
use crate::confine::changeable::Changeable;
use crate::intendants::question::Search;

use super::asked::Asked;
use super::choices::Confine;
use super::config;

/// What an agent can change in a session for this repository.
pub(super) fn changeable(repository: &Path, write: &[PathBuf], read: &[PathBuf]) -> Changeable {
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
pub(super) fn changeable_here() -> Changeable {
    let named = config::first(None, "AGP_REPO", None).unwrap_or_else(|| ".".into());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let holds_home = |path: &PathBuf| home.as_ref().is_some_and(|home| home.starts_with(path));
    match PathBuf::from(named).canonicalize() {
        Ok(repository) if !holds_home(&repository) => changeable(&repository, &[], &[]),
        _ => Changeable::default().in_sandbox([]),
    }
}

impl Asked {
    /// What the session's agent can change.
    pub(super) fn changeable(&self) -> Changeable {
        changeable(&self.repository, &self.allow_write, &self.allow_read)
    }

    /// How its harness is found.
    pub(super) fn search(&self, spawner: &Spawner) -> Search {
        Search {
            changeable: self.changeable(),
            spawner: Some(spawner.clone()),
            unconfined: self.confine == Confine::BestEffort,
        }
    }
}
