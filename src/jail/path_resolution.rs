//! Where a path leads, link by link, as the kernel takes it for whoever sees links so; and which paths a text
//! may be taken for.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::spec::{HARNESS_HOME, RUN, SCRATCH};

/// Bytes of a path at most (`PATH_MAX`).
const PATH_BYTES: usize = 4096;
/// Links on the way of one path (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// What Claude Code writes down of its sessions, in its own configuration: long outputs and its memory stand
/// there, too.
pub const WRITTEN_DOWN: &str = "projects";
/// Where links stand that mean another thing to each process.
const PROC: &str = "/proc";
/// What names each process to itself there.
const OWN: [&[u8]; 2] = [b"self", b"thread-self"];

/// Where a path ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At what is there, or as far as links are followed.
    At(PathBuf),
    /// Nothing is there.
    Nothing {
        /// The nearest directory above that is.
        above: PathBuf,
        /// The whole way, by the names that are left.
        way: PathBuf,
    },
    /// Elsewhere for each process: it goes through a link of one.
    OfProcess,
    /// Something may be there that is not shown here.
    Hidden,
}

/// Where a path from the root ends, with links as this process sees them.
#[must_use]
pub fn end(path: &Path) -> End {
    end_by(path, |path| std::fs::read_link(path))
}

/// The same for whoever sees links so.
pub fn end_by(path: &Path, read_link: impl Fn(&Path) -> io::Result<PathBuf>) -> End {
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut names = Vec::new();
    push(&mut names, path);
    while let Some(name) = names.pop() {
        match step(&mut at, &name, &read_link) {
            Step::Taken => {}
            Step::Link(target) => {
                links += 1;
                // Of a process, whichever it is; `/proc/self` is not yet.
                if at.starts_with(PROC) && at != Path::new(PROC) {
                    return End::OfProcess;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push(&mut names, &target);
            }
            Step::Hidden => return End::Hidden,
            Step::Nothing => {
                let rest = names.iter().rev();
                let rest = rest.fold(at.join(&name), |way, name| way.join(name));
                let way = plain(&rest);
                return End::Nothing { above: at, way };
            }
        }
        if links > LINKS {
            break;
        }
    }
    End::At(at)
}

/// The paths that a text may be taken for, from this directory.
pub fn readings(text: &str, directory: &Path, home: Option<&OsStr>) -> Vec<PathBuf> {
    // Harnesses take white space around a path away, a byte-order mark too.
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let texts = [Some(bare), (bare.len() < text.len()).then_some(text)];
    let paths = texts.into_iter().flatten().flat_map(|text| {
        let path = match (text.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => directory.join(text),
        };
        // Some tools take `..` for the name before it, others follow what stands there.
        [plain(&path), path]
    });
    // The kernel takes none that is longer; what is taken by its names can come to be shorter.
    let taken = |path: &PathBuf| path.as_os_str().len() <= PATH_BYTES;
    paths.filter(taken).collect()
}

/// Whether a path is one of those that agp has put into this directory for the gate and the harness's own use:
/// [`RUN`] inside. What the harness writes down of a session there it has its model read; and where it has no
/// root of its own its private `/tmp` lies there, too.
#[must_use]
pub fn kept_apart(path: &Path, run: &Path) -> bool {
    let written = run.join(HARNESS_HOME).join(WRITTEN_DOWN);
    let given = [written, run.join(SCRATCH)];
    path.starts_with(run) && !given.iter().any(|given| path.starts_with(given))
}

/// The same inside, for who is outside.
#[must_use]
pub fn kept_apart_inside(path: &Path) -> bool {
    kept_apart(path, Path::new(RUN))
}

/// Whether a path names a process, or what the kernel tells of one: its environment is read there, and its memory.
#[must_use]
pub fn of_process(path: &Path) -> bool {
    let names = path.strip_prefix(PROC).ok();
    let first = names.and_then(|names| names.components().next());
    first.is_some_and(|first| {
        let name = first.as_os_str().as_encoded_bytes();
        OWN.contains(&name) || name.iter().all(u8::is_ascii_digit)
    })
}

/// Whether a search that begins at this path comes to those.
#[must_use]
pub fn around_processes(path: &Path) -> bool {
    Path::new(PROC).starts_with(path) || of_process(path)
}

enum Step {
    Taken,
    /// It is a link to this.
    Link(PathBuf),
    /// Nothing is there, or can be.
    Nothing,
    /// Something may be there that is not shown here.
    Hidden,
}

/// Takes the next name of a path.
fn step(at: &mut PathBuf, name: &OsStr, read_link: impl Fn(&Path) -> io::Result<PathBuf>) -> Step {
    if name == ".." {
        at.pop();
        return Step::Taken;
    }
    let next = at.join(name);
    match read_link(&next) {
        Ok(target) => Step::Link(target),
        // It is there, and no link.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            *at = next;
            Step::Taken
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Step::Hidden,
        Err(_) => Step::Nothing,
    }
}

/// Puts a path's names where they are taken from, the first one last.
fn push(names: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev();
    names.extend(parts.filter_map(|part| match part {
        Component::ParentDir => Some("..".into()),
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    }));
}

/// A path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
