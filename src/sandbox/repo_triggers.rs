//! What a command could leave in the repository that later runs outside: as the operator, without
//! a question. It may be changed, and is found.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::confine::{self, Place, Places, Profile};
use crate::contracts::sandbox::SandboxError;
use crate::jail::spec::Withheld;

/// Files and directories of a repository that git, a shell, an editor or a harness takes commands
/// from. Of a directory the entries count.
const TRIGGERS: [&str; 16] = [
    ".git",
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/info",
    ".gitmodules",
    ".husky",
    ".envrc",
    ".vscode",
    ".claude",
    ".mcp.json",
    ".codex",
    ".cursor",
    ".gemini",
    ".devcontainer",
    ".pre-commit-config.yaml",
];
/// Entries of one directory that are looked at: more is no hook directory.
const ENTRIES: usize = 1000;

/// Inode, length and change time: the last cannot be set by a command, only made newer.
type Mark = (u64, u64, i64, i64);

/// The triggers of a repository as they are at one time.
#[derive(Debug, PartialEq, Eq)]
pub struct Triggers(BTreeMap<PathBuf, Mark>);

impl Triggers {
    /// Those of the repository now.
    #[must_use]
    pub fn of(repository: &Path) -> Self {
        let mut marks = BTreeMap::new();
        for name in TRIGGERS {
            let path = repository.join(name);
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if !meta.is_dir() {
                marks.insert(PathBuf::from(name), mark(&meta));
            } else if name == ".git" {
                // Its own entries come and go; that it is another directory does count.
                marks.insert(PathBuf::from(name), (meta.ino(), 0, 0, 0));
            } else {
                for entry in fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .take(ENTRIES)
                {
                    if let Ok(meta) = entry.metadata() {
                        let name = Path::new(name).join(entry.file_name());
                        marks.insert(name, mark(&meta));
                    }
                }
            }
        }
        Self(marks)
    }

    /// What was made, changed or removed since, as paths in the repository.
    #[must_use]
    pub fn changed_in(&self, later: &Self) -> Vec<PathBuf> {
        let Self(then) = self;
        let Self(now) = later;
        let mut changed: Vec<PathBuf> = now
            .iter()
            .filter(|(path, mark)| then.get(*path) != Some(mark))
            .map(|(path, _)| path.clone())
            .collect();
        changed.extend(then.keys().filter(|path| !now.contains_key(*path)).cloned());
        changed
    }
}

/// Finds what a policy withholds of a repository.
pub type Withholding = dyn Fn() -> Vec<Withheld> + Send + Sync;

/// What the thread is asked for, with where the answer goes.
enum Wanted {
    Triggers(SyncSender<Triggers>),
    Withheld(Arc<Withholding>, SyncSender<Vec<Withheld>>),
}

/// A way to the thread `look`, which may list the repository: a call worker may not.
pub struct Look(SyncSender<Wanted>);

impl Look {
    /// Starts the thread for a repository.
    ///
    /// # Errors
    /// When there is no thread, or it cannot be confined.
    pub fn start(repository: &Path) -> io::Result<Self> {
        // Nobody waits in line: each call that asks waits for its answer.
        let (ask, requests) = sync_channel::<Wanted>(0);
        let repository = repository.to_owned();
        let places = Places::none().with(Place::Repository, &repository);
        confine::start(Profile::Look, places, move || {
            while let Ok(wanted) = requests.recv() {
                // Whoever asked may be gone.
                match wanted {
                    Wanted::Triggers(reply) => drop(reply.send(Triggers::of(&repository))),
                    Wanted::Withheld(find, reply) => drop(reply.send(find())),
                }
            }
        })?;
        Ok(Self(ask))
    }

    /// The triggers as they are now.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn triggers(&self) -> Result<Triggers, SandboxError> {
        self.ask(Wanted::Triggers)
    }

    /// What is to be withheld as the repository is now.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn withheld(&self, find: &Arc<Withholding>) -> Result<Vec<Withheld>, SandboxError> {
        self.ask(|reply| Wanted::Withheld(Arc::clone(find), reply))
    }

    fn ask<T>(&self, wanted: impl FnOnce(SyncSender<T>) -> Wanted) -> Result<T, SandboxError> {
        let (reply, answer) = sync_channel(1);
        let sent = self.0.send(wanted(reply)).ok();
        let seen = sent.and_then(|()| answer.recv().ok());
        seen.ok_or_else(|| SandboxError("the repository watcher thread is gone".into()))
    }
}

fn mark(meta: &fs::Metadata) -> Mark {
    (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec())
}
