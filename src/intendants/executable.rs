//! A harness's program: found, asked its version, identified by its digest.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::contracts::ids::Sha256;
use crate::contracts::intendant::{HarnessError, HarnessFault};
use crate::contracts::limits;
use crate::jail::writable_paths::Changeable;

use super::confined_query::{Question, Search};
use super::environment;

/// Finds a program: by the variable that names it, or on `PATH`. It is taken only where an agent can have put
/// neither it nor a link to it.
///
/// # Errors
/// [`HarnessError`] that names both ways, and what of the way to it an agent can change.
pub fn find(
    variable: &'static str,
    program: &'static str,
    install: &'static str,
    changeable: &Changeable,
) -> Result<PathBuf, HarnessError> {
    let missing = |problem: String| HarnessFault::Missing { install, variable }.of(problem);
    let refused = |problem: String, by_path: bool| {
        let fault = HarnessFault::Changeable {
            program,
            variable,
            by_path,
        };
        fault.of(format_args!("cannot run {program}: {problem}"))
    };
    if let Some(named) = env::var_os(variable).filter(|path| !path.is_empty()) {
        let named = env::current_dir().unwrap_or_default().join(named);
        if !is_program(&named) {
            return Err(missing(format!(
                "{} is not an executable file",
                named.display()
            )));
        }
        // The file that will run, not the name that led to it: a link could be turned meanwhile.
        return changeable
            .follow(&named)
            .map_err(|error| refused(error.to_string(), false));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut entries = env::split_paths(&path);
    let holding = entries.find(|entry| is_program(&entry.join(program)));
    let entry = holding.ok_or_else(|| missing(format!("{program} is not on PATH")))?;
    if !entry.is_absolute() {
        let directory = entry.display();
        let problem = format!(
            "PATH contains the relative entry {directory:?}, which a repository could fill"
        );
        return Err(refused(problem, true));
    }
    let followed = changeable.follow(&entry.join(program));
    followed.map_err(|error| refused(error.to_string(), true))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What a program said, and how it ended.
pub(super) struct Heard {
    pub(super) said: String,
    /// On standard error.
    pub(super) told: String,
    pub(super) status: ExitStatus,
}

/// What a program says on standard output, of which it must make an end in time, and on standard error where
/// that is heard; `bytes` of it at most, what comes behind is not read. It does not run on.
///
/// # Errors
/// When it cannot be heard, or is too slow.
pub(super) fn heard(mut child: Child, within: Duration, bytes: usize) -> io::Result<Heard> {
    let said = hear(&mut child, Instant::now() + within, bytes);
    if said.is_err() {
        // Gone already, or ended now.
        let _ = child.kill();
        let _ = child.wait();
    }
    said
}

fn hear(child: &mut Child, until: Instant, bytes: usize) -> io::Result<Heard> {
    let left = || {
        let left = until.checked_duration_since(Instant::now());
        left.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
    };
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut block = [0; limits::VERSION_BYTES];
        while said.len() <= bytes {
            let within = Timespec::try_from(left()?).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
            match poll(&mut polled, Some(&within)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome?,
            };
            match pipe.read(&mut block)? {
                0 => break,
                got => said.extend_from_slice(block.get(..got).unwrap_or_default()),
            }
        }
    }
    while child.try_wait()?.is_none() {
        left()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut errors = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        // It has ended: all that it said is there.
        pipe.take(limits::VERSION_BYTES as u64)
            .read_to_end(&mut errors)?;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Heard {
        said: text(&said),
        told: text(&errors),
        status: child.wait()?,
    })
}

/// A version as harnesses number theirs.
pub type Version = [u64; 3];

/// Asks a program its version, confined.
///
/// # Errors
/// [`HarnessError`] when it does not answer.
pub fn version(search: &Search, program: &Path) -> Result<String, HarnessError> {
    search.ask(&Question {
        program,
        words: &["--version"],
        environment: &environment::environment(&[], &search.changeable),
        home: None,
        bytes: limits::VERSION_BYTES,
    })
}

/// The version in a program's answer, the word that `pick` finds there, and what it compares by.
///
/// # Errors
/// [`HarnessError`] when it says none.
pub fn version_in(
    program: &Path,
    answer: &str,
    pick: fn(&str) -> Option<&str>,
) -> Result<(String, Version), HarnessError> {
    let word = pick(answer).unwrap_or_default();
    let numbers = numbers(word).ok_or_else(|| {
        let program = program.display();
        let fault = HarnessFault::Unversioned(program.to_string());
        fault.of(format_args!("{program} does not report its version"))
    })?;
    Ok((word.to_owned(), numbers))
}

/// The numbers of a version's text.
pub(super) fn numbers(version: &str) -> Option<Version> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// What is said of a version below `floor`, the first that was tried.
///
/// # Errors
/// [`HarnessError`] for such a version.
pub fn check_floor(
    harness: &str,
    (version, numbers): (&str, Version),
    floor: Version,
    install: &'static str,
) -> Result<(), HarnessError> {
    let [major, minor, patch] = floor;
    if numbers >= floor {
        return Ok(());
    }
    Err(HarnessFault::TooOld(install).of(format_args!(
        "agp does not support {harness} {version}; it needs {major}.{minor}.{patch} or later"
    )))
}

/// What belongs to a program: its package, where it lies in one, else its file.
#[must_use]
pub fn package(program: &Path) -> PathBuf {
    let above = program.ancestors().find(|path| {
        let parent = path.parent();
        let scope = |path: &Path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('@'))
        };
        parent.is_some_and(|parent| {
            parent.ends_with("node_modules")
                || scope(parent)
                    && parent
                        .parent()
                        .is_some_and(|path| path.ends_with("node_modules"))
        })
    });
    let above = above.filter(|path| path.is_dir());
    above.unwrap_or(program).to_owned()
}

/// SHA-256 of a file, lowercase hexadecimal.
///
/// # Errors
/// What reading it gives.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        let got = file.read(&mut block)?;
        if got == 0 {
            return Ok(Sha256::finished(context).to_hex());
        }
        context.update(block.get(..got).unwrap_or_default());
    }
}

/// The program that holds leashes and answers hooks: `agp-bridge` beside this program, which
/// starts faster, or this program itself, which can do the same.
///
/// # Errors
/// What finding this program's own path gives.
pub fn bridge_program() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let beside = program.with_file_name("agp-bridge");
    Ok(if is_program(&beside) { beside } else { program })
}

/// Why the program that answers the hooks is not taken for the one that a session began with.
#[derive(Debug)]
pub enum PinError {
    /// Somebody changed or replaced it.
    Changed(PathBuf),
    /// It cannot be looked at: it was moved away, for one.
    Io {
        /// The program.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(path) => {
                let path = path.display();
                write!(f, "the hook program {path} changed")
            }
            Self::Io { path, error } => {
                write!(
                    f,
                    "cannot check the hook program {}: {error}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for PinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Changed(_) => None,
            Self::Io { error, .. } => Some(error),
        }
    }
}

/// A program's file as it was when the session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    path: PathBuf,
    stamp: Stamp,
}

/// Device, inode, size and time of the last change of a file, of its name or of its rights.
type Stamp = (u64, u64, u64, (i64, i64));

impl Pinned {
    /// Remembers the file at `path`.
    ///
    /// # Errors
    /// What looking at it gives.
    pub fn of(path: PathBuf) -> io::Result<Self> {
        let stamp = stamp(&path)?;
        Ok(Self { path, stamp })
    }

    /// Whether it is the same file still: not replaced, not written to, not moved away and back.
    ///
    /// # Errors
    /// What is thought to have happened to it.
    pub fn check(&self) -> Result<(), PinError> {
        let path = self.path.clone();
        match stamp(&self.path) {
            Ok(now) if now == self.stamp => Ok(()),
            Ok(_) => Err(PinError::Changed(path)),
            Err(error) => Err(PinError::Io { path, error }),
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = path.symlink_metadata()?;
    let changed = (meta.ctime(), meta.ctime_nsec());
    Ok((meta.dev(), meta.ino(), meta.len(), changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn versions_compare_by_number() {
        let of = |text| numbers(text).unwrap();
        assert!(of("2.1.94") < of("2.1.330") && of("2.1.330") < of("2.10.0"));
        assert!(numbers("nonsense").is_none() && numbers("2.1").is_none());
    }

    #[test]
    fn a_program_outside_of_a_package_is_its_file() {
        assert_eq!(
            package(Path::new("/opt/x/claude")),
            Path::new("/opt/x/claude")
        );
    }

    #[test]
    fn a_program_that_is_touched_in_any_way_is_another() {
        let directory = env::temp_dir().join(format!("agp-pinned-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, aside) = (directory.join("program"), directory.join("aside"));
        let pin = || {
            fs::write(&path, "one").unwrap();
            let pinned = Pinned::of(path.clone()).unwrap();
            pinned.check().unwrap();
            // A file's times move in steps of the kernel's clock.
            std::thread::sleep(Duration::from_millis(20));
            pinned
        };

        let pinned = pin();
        fs::write(&path, "two").unwrap();
        assert!(pinned.check().is_err(), "written to");

        let pinned = pin();
        fs::rename(&path, &aside).unwrap();
        assert!(pinned.check().is_err(), "moved away");
        fs::rename(&aside, &path).unwrap();
        assert!(pinned.check().is_err(), "moved away and back");

        let pinned = pin();
        fs::copy(&path, &aside).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(pinned.check().is_err(), "replaced by its copy");
        fs::remove_dir_all(&directory).unwrap();
    }
}
