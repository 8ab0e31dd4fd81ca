//! Looking at files: where paths lead, names in directories, scripts.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::git;
use crate::contracts::{bounded_file, limits};
use crate::jail::path_resolution::{self, End};
use crate::reading::disk::{Disk, FileKind, Git, Inodes, Resolved};
use crate::tools::ignore::Ignored;

/// Links on the way of one path (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// Directories of git's own.
const GIT: &str = ".git";

/// Where may be looked. Paths are absolute, and without links.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grounds {
    /// Its scripts and git's configuration are opened.
    pub repository: PathBuf,
    /// Only listed, but for git's configuration.
    pub home: PathBuf,
    /// Only listed.
    pub temporary: PathBuf,
    /// Where directories of the calls' stand for others of this machine, theirs first; the longest that a path lies in
    /// counts. A sandbox has a home and a temporary directory of its own.
    pub placed: Vec<(PathBuf, PathBuf)>,
    /// All else is another machine's, as in a container: it is taken by its names.
    pub elsewhere: bool,
}

impl Grounds {
    /// These, with links followed where they are there.
    #[must_use]
    pub fn new(repository: &Path, home: &Path, temporary: &Path) -> Self {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self {
            repository: real(repository),
            home: real(home),
            temporary: real(temporary),
            ..Self::default()
        }
    }

    /// Where a path of the calls' lies on this machine, if it does.
    pub(super) fn outside(&self, path: &Path) -> Option<PathBuf> {
        let placed = self.placed.iter().filter_map(|(inside, outside)| {
            let rest = path.strip_prefix(inside).ok()?;
            Some((inside.as_os_str().len(), outside, rest))
        });
        match placed.max_by_key(|(length, ..)| *length) {
            // Joined with nothing, a file's path would end in a slash.
            Some((_, outside, rest)) if rest.as_os_str().is_empty() => Some(outside.clone()),
            Some((_, outside, rest)) => Some(outside.join(rest)),
            None => (!self.elsewhere).then(|| path.to_owned()),
        }
    }

    /// Whether something of this machine's stands below a path.
    fn is_above(&self, path: &Path) -> bool {
        self.placed
            .iter()
            .any(|(inside, _)| inside.starts_with(path))
    }

    fn lists(&self, path: &Path) -> bool {
        let all = [&self.repository, &self.home, &self.temporary];
        all.iter()
            .any(|ground| !ground.as_os_str().is_empty() && path.starts_with(ground))
    }

    /// Files of git's configuration outside of the repository that are there: the machine's, the user's, and those of a
    /// repository that this one is a worktree of.
    #[must_use]
    pub fn git_files(&self) -> Vec<PathBuf> {
        git::files_outside(self)
    }
}

/// Looks until its time is over; from then on nothing is known.
pub struct Looking<'a> {
    grounds: &'a Grounds,
    deadline: Instant,
    looks: Looks,
    /// Names that were seen to be no links: paths of one call begin with the same directories.
    plain: RefCell<HashSet<PathBuf>>,
}

/// How often one call may still look at the file system.
#[derive(Debug, Clone)]
pub struct Looks(Arc<AtomicUsize>);

impl Looks {
    /// As many as a call has ([`limits::DISK_LOOKS`]).
    #[must_use]
    pub fn of_a_call() -> Self {
        Self(Arc::new(AtomicUsize::new(limits::DISK_LOOKS)))
    }

    /// Whether none is left.
    pub(super) fn spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes one; `None` when there is none left.
    fn take(&self) -> Option<()> {
        let one_less = |left: usize| left.checked_sub(1);
        let taken = (self.0).fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok().then_some(())
    }
}

impl<'a> Looking<'a> {
    /// One for a call, whose time ends then.
    #[must_use]
    pub fn until(grounds: &'a Grounds, deadline: Instant) -> Self {
        Self::within(grounds, deadline, Looks::of_a_call())
    }

    /// One of several for a call, which share what it may look at.
    #[must_use]
    pub fn within(grounds: &'a Grounds, deadline: Instant, looks: Looks) -> Self {
        Self {
            grounds,
            deadline,
            looks,
            plain: RefCell::default(),
        }
    }

    fn in_time(&self) -> Option<()> {
        self.looks.take()?;
        (Instant::now() < self.deadline).then_some(())
    }

    /// The text of a file below the repository, or of git's configuration.
    pub(super) fn text(&self, path: &Path, bound: u64) -> Option<Vec<u8>> {
        self.in_time()?;
        let file = regular(&self.grounds.outside(path)?).ok()?;
        bounded_file::read_from(file, bound).ok()
    }

    /// Where a path leads, and what lies there.
    pub(super) fn end(&self, path: &Path) -> Option<(PathBuf, Option<fs::Metadata>)> {
        self.in_time()?;
        let links = Cell::new(0);
        let end = path_resolution::end_by(path, |path| {
            let Some(outside) = self.grounds.outside(path) else {
                // Taken by its name, as a directory that is there: what is left of the way counts.
                return Err(Errno::INVAL.into());
            };
            if self.plain.borrow().contains(path) {
                return Err(Errno::INVAL.into());
            }
            let target = match fs::read_link(outside) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.plain.borrow_mut().insert(path.to_owned());
                    return Err(error);
                }
                // Something stands below it.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && self.grounds.is_above(path) =>
                {
                    return Err(Errno::INVAL.into());
                }
                target => target?,
            };
            links.set(links.get() + 1);
            Ok(target)
        });
        if links.get() > LINKS {
            return None;
        }
        match end {
            End::At(at) => {
                let Some(outside) = self.grounds.outside(&at) else {
                    return Some((at, None));
                };
                let above = || {
                    fs::symlink_metadata("/")
                        .ok()
                        .filter(|_| self.grounds.is_above(&at))
                };
                let meta = fs::symlink_metadata(outside).ok().or_else(above)?;
                // It was none when it was looked at.
                (!meta.is_symlink()).then_some((at, Some(meta)))
            }
            End::Nothing { way, .. } => Some((way, None)),
            End::OfProcess => None,
            // Nobody of this user's follows it, unless it lies where a sandbox has its own users.
            End::Hidden => {
                let known = path.to_str().map(crate::reading::paths::normal)?;
                let known = PathBuf::from(known);
                (!self.grounds.lists(&known)).then_some((known, None))
            }
        }
    }

    /// Regular files below a directory, relative to it, as far as they are taken.
    fn files_below(
        &self,
        directory: &str,
        leave_out_ignored: bool,
        takes: impl Fn(&fs::DirEntry) -> Option<bool>,
    ) -> Option<Vec<String>> {
        let (root, meta) = self.end(Path::new(directory))?;
        if !self.grounds.lists(&root) {
            return None;
        }
        if !meta.is_some_and(|meta| meta.is_dir()) {
            return Some(Vec::new());
        }
        let ignored = match leave_out_ignored {
            true => git::ignored_above(self, &root),
            false => Ignored::default(),
        };
        let mut below = Vec::new();
        let mut walked = 0;
        let mut rest = vec![(root.clone(), ignored)];
        while let Some((directory, ignored)) = rest.pop() {
            let ignored = match leave_out_ignored {
                true => git::ignored_in(self, &ignored, &directory),
                false => ignored,
            };
            for entry in self.entries(&directory)? {
                walked += 1;
                if walked > limits::DISK_NAMES {
                    return None;
                }
                let kind = entry.file_type().ok()?;
                let path = directory.join(entry.file_name());
                let out = entry.file_name() == GIT || ignored.covers(&path, kind.is_dir());
                if leave_out_ignored && out {
                    continue;
                }
                if kind.is_dir() {
                    rest.push((path, ignored.clone()));
                } else if kind.is_file() && takes(&entry)? {
                    below.push(text(path.strip_prefix(&root).ok()?)?);
                }
            }
        }
        Some(below)
    }

    /// The names in a directory.
    fn entries(&self, directory: &Path) -> Option<Vec<fs::DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.grounds.outside(directory)?).ok()? {
            if entries.len() == limits::DISK_NAMES {
                return None;
            }
            self.in_time()?;
            entries.push(entry.ok()?);
        }
        Some(entries)
    }
}

impl Disk for Looking<'_> {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let path = Path::new(path);
        let (real, meta) = path.is_absolute().then(|| self.end(path)).flatten()?;
        Some(Resolved {
            real: text(&real)?,
            kind: meta.as_ref().map(kind),
            other_names: meta
                .as_ref()
                .is_some_and(|meta| meta.is_file() && meta.nlink() > 1),
            identity: meta.map(|meta| (meta.dev(), meta.ino())),
        })
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        let (real, meta) = self.end(Path::new(directory))?;
        if !self.grounds.lists(&real) {
            return None;
        }
        match meta {
            Some(meta) if meta.is_dir() => {
                let entries = self.entries(&real)?.into_iter();
                entries
                    .map(|entry| entry.file_name().into_string().ok())
                    .collect()
            }
            // What is no directory has no names.
            _ => Some(Vec::new()),
        }
    }

    fn below(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        self.files_below(directory, leave_out_ignored, |_| Some(true))
    }

    fn linked(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        self.files_below(directory, leave_out_ignored, |entry| {
            self.in_time()?;
            Some(entry.metadata().ok()?.nlink() > 1)
        })
    }

    fn inodes(&self, directory: &str) -> Option<Inodes> {
        let (root, meta) = self.end(Path::new(directory))?;
        if !self.grounds.lists(&root) || !meta.is_some_and(|meta| meta.is_dir()) {
            return None;
        }
        let mut names = Vec::new();
        let mut walked = 0;
        let mut rest = VecDeque::from([root.clone()]);
        while let Some(directory) = rest.pop_front() {
            let Ok(entries) = fs::read_dir(self.grounds.outside(&directory)?) else {
                continue;
            };
            for entry in entries {
                walked += 1;
                if walked > limits::DISK_INODES {
                    return Some(Inodes {
                        names,
                        whole: false,
                    });
                }
                self.in_time()?;
                let entry = entry.ok()?;
                let kind = entry.file_type().ok()?;
                let path = directory.join(entry.file_name());
                if kind.is_dir() {
                    rest.push_back(path);
                } else if kind.is_file() {
                    // One that is no text stands in no rule.
                    let name = path.strip_prefix(&root).ok().and_then(text);
                    names.extend(name.map(|name| (name, entry.ino())));
                }
            }
        }
        Some(Inodes { names, whole: true })
    }

    fn script(&self, path: &str) -> Option<String> {
        let (real, meta) = self.end(Path::new(path))?;
        if !real.starts_with(&self.grounds.repository) || !meta?.is_file() {
            return None;
        }
        self.in_time()?;
        let file = regular(&self.grounds.outside(&real)?).ok()?;
        let mut bytes = Vec::new();
        let mut beginning = file.take(limits::READ_SCRIPT_BYTES + 1);
        beginning.read_to_end(&mut bytes).ok()?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let bytes = error.as_bytes();
                // A shell runs it byte by byte, but for what is a program of the machine's.
                let script = bytes.starts_with(b"#!") || !bytes.contains(&0);
                script.then(|| String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    fn git(&self, directory: &str) -> Option<Git> {
        let (real, _) = self.end(Path::new(directory))?;
        git::of(self, &real, &self.grounds.home)
    }

    fn ignored(&self, path: &str) -> Option<bool> {
        let (real, meta) = self.end(Path::new(path))?;
        if !real.starts_with(&self.grounds.repository) {
            return None;
        }
        git::ignores(self, &real, meta.is_some_and(|meta| meta.is_dir()))
    }

    fn spent(&self) -> bool {
        self.looks.spent() || Instant::now() >= self.deadline
    }
}

/// Opens a regular file, and nothing else: opening a FIFO would wait, a device might do something.
fn regular(path: &Path) -> io::Result<File> {
    let not_regular = || io::Error::other("not a regular file");
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(not_regular());
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY)
        .bits()
        .cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_regular()),
    }
}

fn kind(meta: &fs::Metadata) -> FileKind {
    let kind = meta.file_type();
    debug_assert!(!kind.is_symlink());
    if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_file() && !kind.is_fifo() {
        FileKind::File
    } else {
        FileKind::Special
    }
}

/// A path that is text; no other can stand in a call.
pub(super) fn text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}
