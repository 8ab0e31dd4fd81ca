//! What the command line says to people: failures with the step that helps, and plain lines.

use std::fmt::Display;
#[cfg(feature = "agp")]
use std::io::IsTerminal;
use std::io::{self, Write};
use std::path::Path;

use crate::contracts::fold::{self, Next};

use crate::contracts::intendant::{HarnessError, HarnessFault};

/// Exit codes, the same for every command.
pub mod exit {
    /// Refused, or not intact.
    pub const REFUSED: u8 = 1;
    /// Usage, or could not check.
    pub const USAGE: u8 = 2;
    /// Governance broke in the middle of a session.
    pub const BROKEN: u8 = 3;
    /// The harness itself failed.
    pub const HARNESS: u8 = 4;
    /// Interrupted with Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command did not do what it was asked: what is wrong, and the step that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What is wrong, and where.
    pub problem: String,
    /// The command or step that mends it.
    pub mend: String,
}

impl Failure {
    /// The command was refused.
    pub fn refused(problem: impl Display, mend: impl Into<String>) -> Self {
        Self {
            code: exit::REFUSED,
            problem: problem.to_string(),
            mend: mend.into(),
        }
    }

    /// The command was given wrongly.
    pub fn usage(problem: impl Display, mend: impl Into<String>) -> Self {
        Self {
            code: exit::USAGE,
            ..Self::refused(problem, mend)
        }
    }

    /// Governance broke.
    pub fn broken(problem: impl Display, mend: impl Into<String>) -> Self {
        Self {
            code: exit::BROKEN,
            ..Self::refused(problem, mend)
        }
    }

    /// The harness failed.
    pub fn harness(problem: impl Display, mend: impl Into<String>) -> Self {
        Self {
            code: exit::HARNESS,
            ..Self::refused(problem, mend)
        }
    }

    /// Says it on standard error.
    pub fn tell(&self) {
        complain(format!("agp: {}", self.problem));
        if !self.mend.is_empty() {
            complain(format!("  help: {}", self.mend));
        }
    }
}

impl From<HarnessError> for Failure {
    fn from(error: HarnessError) -> Self {
        Self::refused(error.problem, harness_help(&error.fault))
    }
}

/// The step that mends a harness.
#[must_use]
pub fn harness_help(fault: &HarnessFault) -> String {
    let step = match fault {
        HarnessFault::Missing { install, variable } => {
            return format!("install it ({install}), or set {variable} to its path");
        }
        HarnessFault::Changeable {
            program,
            variable,
            by_path,
        } => {
            let instead = match by_path {
                true => "remove that entry from PATH, or set",
                false => "set",
            };
            return format!("{instead} {variable}=/absolute/path/to/{program}");
        }
        HarnessFault::Silent(command) => {
            return format!("run `{command}` yourself to see why");
        }
        HarnessFault::Unversioned(program) => {
            return format!(
                "run `{program} --version` yourself, or rebuild the image (see docs/images.md)"
            );
        }
        HarnessFault::TooOld(install) => install,
        HarnessFault::TooOldForHooks(install) => {
            return format!("use --mode mediated, or update: {install}");
        }
        HarnessFault::CodexConfig => "fix your Codex config.toml, or move it aside",
        HarnessFault::CodexManaged => {
            "check the settings in /etc/codex, or install a version tested with agp"
        }
        HarnessFault::CodexVersion => "install the version of Codex that agp was tried with",
        HarnessFault::RepositoryPath => "start agp in a directory whose path is UTF-8",
        HarnessFault::NotInImage(harness) => {
            return format!("build an image with {harness} in its PATH (see docs/images.md)");
        }
        HarnessFault::Image => "rebuild the image (see docs/images.md)",
        HarnessFault::Unconfined => {
            "run `agp doctor --check sandbox`, or use --confine best-effort to query it unconfined"
        }
        HarnessFault::UnconfinedThread => "run `agp doctor --check confinement`",
        HarnessFault::NoThread => "try again",
        HarnessFault::Unprepared => "run `agp doctor --check harness`",
        HarnessFault::Agp => "please report this, with the output above",
    };
    step.to_owned()
}

/// The step that helps where a file could not be read or written, by what the system said; `otherwise`
/// where that says nothing of the file's owner or its disk.
#[must_use]
pub fn help_with(path: &Path, error: &io::Error, otherwise: &str) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("run agp as the owner, or make it yours; see `ls -ld {path}`")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("free space on its disk; see `df {path}`")
        }
        io::ErrorKind::IsADirectory => {
            format!("it is a directory: move {path} away, then {otherwise}")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "its file system is read-only: mount it writable".into()
        }
        _ => otherwise.to_owned(),
    }
}

/// A command's outcome: the exit code, or why there is none.
pub type Outcome = Result<u8, Failure>;

/// A message on standard output, folded where people read it. A reader who went away is no failure.
pub fn say(message: impl Display) {
    say_folded(&message.to_string(), Next::MESSAGE);
}

/// The same of a line that goes on otherwise; false when nobody reads it any more.
pub fn say_folded(line: &str, next: Next) -> bool {
    try_say(fold::stdout(line, next))
}

/// A line on standard output as it is, such as JSON; false when nobody reads it any more.
pub fn try_say(line: impl Display) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// A line on standard error.
pub fn complain(line: impl Display) {
    let line = fold::stderr(&line.to_string(), Next::MESSAGE);
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Folds messages from here on where they go to a terminal. Asks while the process may still ask.
#[cfg(feature = "agp")]
pub fn fold_on_a_terminal() {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    fold::known(
        stdout.is_terminal().then(|| columns(&stdout)),
        stderr.is_terminal().then(|| columns(&stderr)),
    );
}

#[cfg(feature = "agp")]
fn columns(terminal: impl std::os::fd::AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(size.ws_col)
}
