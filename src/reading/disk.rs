//! What is asked of the file system while a call is read. The answers come from a thread of its own.

/// Answers about the machine. Every answer may be "not known": no disk, out of budget, not permitted.
pub trait Disk {
    /// Where an absolute path leads, all links followed; of a path that is not there, its nearest parent's
    /// place with the rest behind it.
    fn resolve(&self, path: &str) -> Option<Resolved>;

    /// Names in a directory, at most [`crate::contracts::limits::DISK_NAMES`]; more are "not known".
    fn names(&self, directory: &str) -> Option<Vec<String>>;

    /// Regular files below a directory, relative to it, at most [`crate::contracts::limits::DISK_NAMES`]; more are "not known".
    /// Without what git ignores there, where asked.
    fn below(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>>;

    /// Those of [`Disk::below`] that have other names (hard links).
    fn linked(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        let _ = (directory, leave_out_ignored);
        Some(Vec::new())
    }

    /// Names of regular files below a directory, the nearest first, with the numbers of their inodes.
    fn inodes(&self, directory: &str) -> Option<Inodes> {
        let _ = directory;
        None
    }

    /// The text of a regular file; of one that is longer than [`crate::contracts::limits::READ_SCRIPT_BYTES`], its
    /// beginning, which is longer than that, too.
    fn script(&self, path: &str) -> Option<String>;

    /// What git's configuration says in a directory.
    fn git(&self, directory: &str) -> Option<Git>;

    /// Whether git ignores a path in its repository.
    fn ignored(&self, path: &str) -> Option<bool>;

    /// Whether anybody looks at all. Where nobody does, a path is taken by its names; where somebody does, one
    /// whose place is not known may lie anywhere.
    fn looks(&self) -> bool {
        true
    }

    /// Whether the budget is spent: what was not found may be there.
    fn spent(&self) -> bool {
        false
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Absolute, without links, `.` and `..`.
    pub real: String,
    /// What lies there; `None` where nothing does.
    pub kind: Option<FileKind>,
    /// It has other names (hard links).
    pub other_names: bool,
    /// Device and inode of what lies there: two paths with the same are the same file.
    pub identity: Option<(u64, u64)>,
}

/// Names below a directory, relative to it, with the numbers of their inodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inodes {
    /// [`crate::contracts::limits::DISK_INODES`] at most.
    pub names: Vec<(String, u64)>,
    /// There are no more.
    pub whole: bool,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, socket or FIFO.
    Special,
}

/// What git's configuration of a repository says, as far as it concerns a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Git {
    /// Remotes with the URLs that a fetch and a push reach.
    pub remotes: Vec<(String, String)>,
    /// Aliases with what they stand for.
    pub aliases: Vec<(String, String)>,
    /// Keys that name a program which git would run (`core.fsmonitor`, `core.hooksPath`, `diff.x.textconv`, filters).
    pub programs: Vec<String>,
    /// Hooks in the repository that are executable.
    pub hooks: Vec<String>,
    /// The branch that is checked out.
    pub branch: Option<String>,
    /// The remote that the branch pushes to.
    pub upstream: Option<String>,
    /// Entries by which a push sends other branches than its words say, or sends them elsewhere:
    /// `push.default=upstream`, `remote.origin.push=..`.
    pub diversions: Vec<String>,
}

/// No disk at all: nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDisk;

impl Disk for NoDisk {
    fn resolve(&self, _: &str) -> Option<Resolved> {
        None
    }
    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn below(&self, _: &str, _: bool) -> Option<Vec<String>> {
        None
    }
    fn script(&self, _: &str) -> Option<String> {
        None
    }
    fn git(&self, _: &str) -> Option<Git> {
        None
    }
    fn ignored(&self, _: &str) -> Option<bool> {
        None
    }
    fn looks(&self) -> bool {
        false
    }
}
