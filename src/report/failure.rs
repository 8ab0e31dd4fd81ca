//! What the command line says to people: failures with the step that mends them, and plain lines.

use std::fmt::Display;
use std::io::{self, Write};

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
            complain(format!("  to mend it: {}", self.mend));
        }
    }
}

/// A command's outcome: the exit code, or why there is none.
pub type Outcome = Result<u8, Failure>;

/// A line on standard output. A reader who went away is no failure.
pub fn say(line: impl Display) {
    try_say(line);
}

/// A line on standard output; false when nobody reads it any more.
pub fn try_say(line: impl Display) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// A line on standard error.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
