//! A harness's program: found, asked its version, identified by its digest.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::contracts::intendant::HarnessError;
use crate::contracts::limits;

use super::environment;

/// Finds a program: by the variable that names it, or on `PATH`.
///
/// # Errors
/// [`HarnessError`] that names both ways.
pub fn find(variable: &str, program: &str, install: &str) -> Result<PathBuf, HarnessError> {
    let mend = format!("install it ({install}) or set {variable} to its path");
    let missing = |problem: String| HarnessError {
        problem,
        mend: mend.clone(),
    };
    let found = match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => env::var_os("PATH").and_then(|path| {
            env::split_paths(&path)
                .map(|dir| dir.join(program))
                .find(|path| is_program(path))
        }),
    };
    let found = found.ok_or_else(|| missing(format!("{program} is not on PATH")))?;
    if !is_program(&found) {
        return Err(missing(format!("{} is not a program", found.display())));
    }
    // The file that will run, not the name that led to it: a link could be turned meanwhile.
    found
        .canonicalize()
        .map_err(|error| missing(format!("{}: {error}", found.display())))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What a program that succeeds says on standard output, of which it must make an end in time.
///
/// # Errors
/// What starting or hearing it gives; it does not run on then.
pub fn answer(command: &mut Command, within: Duration) -> io::Result<String> {
    answer_of(command, within, limits::VERSION_BYTES)
}

/// [`answer`] of at most `bytes`; what comes behind is not read.
///
/// # Errors
/// As [`answer`].
pub fn answer_of(command: &mut Command, within: Duration, bytes: usize) -> io::Result<String> {
    let until = Instant::now() + within;
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = heard(&mut child, until, bytes);
    if said.is_err() {
        // Gone already, or ended now.
        let _ = child.kill();
        let _ = child.wait();
    }
    said
}

fn heard(child: &mut Child, until: Instant, bytes: usize) -> io::Result<String> {
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
    match child.wait()? {
        status if status.success() => Ok(String::from_utf8_lossy(&said).into_owned()),
        status => Err(io::Error::other(status.to_string())),
    }
}

/// A version as harnesses number theirs.
pub type Version = [u64; 3];

/// Asks a program its version: the word that `pick` finds in its answer, and what it compares by.
///
/// # Errors
/// [`HarnessError`] when it does not answer, or says no version.
pub fn version(
    program: &Path,
    pick: fn(&str) -> Option<&str>,
) -> Result<(String, Version), HarnessError> {
    let failed = |problem: String| HarnessError {
        problem,
        mend: format!("run `{} --version` yourself to see why", program.display()),
    };
    let mut asked = Command::new(program);
    asked
        .arg("--version")
        .env_clear()
        .envs(environment::environment(&[]));
    let text = answer(&mut asked, limits::VERSION_PATIENCE)
        .map_err(|error| failed(format!("{}: {error}", program.display())))?;
    let word = pick(&text).unwrap_or_default();
    let numbers = numbers(word)
        .ok_or_else(|| failed(format!("{} does not say its version", program.display())))?;
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
    install: &str,
) -> Result<(), HarnessError> {
    let [major, minor, patch] = floor;
    if numbers >= floor {
        return Ok(());
    }
    Err(HarnessError {
        problem: format!(
            "{harness} {version} was never tried under agp; {major}.{minor}.{patch} is the first \
             that was"
        ),
        mend: install.into(),
    })
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
            return Ok(data_encoding::HEXLOWER.encode(context.finish().as_ref()));
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
    let own = env::current_exe()?;
    let beside = own.with_file_name("agp-bridge");
    Ok(if is_program(&beside) { beside } else { own })
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
    pub fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        match stamp(&self.path) {
            Ok(now) if now == self.stamp => Ok(()),
            Ok(_) => Err(format!(
                "{path}, which answers the hooks, was changed or replaced"
            )),
            Err(error) => Err(format!("{path}, which answers the hooks: {error}")),
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = path.symlink_metadata()?;
    let changed = (found.ctime(), found.ctime_nsec());
    Ok((found.dev(), found.ino(), found.len(), changed))
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
