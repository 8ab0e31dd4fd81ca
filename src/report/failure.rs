//! What the command line says to people: failures with the step that helps, and plain lines.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

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

/// A line on standard output, folded where people read it; what follows starts at column `hang`.
pub fn say_folded(line: &str, hang: usize) {
    match FOLD.get() {
        Some((true, _)) => say(fold(line, hang)),
        _ => say(line),
    }
}

/// A line on standard error.
pub fn complain(line: impl Display) {
    let line = line.to_string();
    let line = match FOLD.get() {
        Some((_, true)) => fold(&line, HANG),
        _ => line,
    };
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Where the second line of a message starts: no line of a message passes for the next one's first.
const HANG: usize = 4;

/// Whether standard output and standard error are terminals. Until it is known nothing is folded.
static FOLD: OnceLock<(bool, bool)> = OnceLock::new();

/// Folds messages from here on where they go to a terminal. Asks while the process may still ask.
pub fn fold_on_a_terminal() {
    let _ = FOLD.set((io::stdout().is_terminal(), io::stderr().is_terminal()));
}

/// Breaks lines between words, within [`COLUMNS`]; a longer word stays whole.
fn fold(text: &str, hang: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for line in text.lines() {
        if !folded.is_empty() {
            folded.push('\n');
        }
        let mut column = 0;
        for (at, word) in line.split(' ').enumerate() {
            let width = word.chars().count();
            if at > 0 && column > hang && !word.is_empty() && column + 1 + width > COLUMNS {
                folded.push('\n');
                folded.push_str(&" ".repeat(hang));
                column = hang;
            } else if at > 0 {
                folded.push(' ');
                column += 1;
            }
            folded.push_str(word);
            column += width;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_folded_between_words() {
        let short = "agp: short\n  help: run `agp doctor`";
        assert_eq!(fold(short, HANG), short);
        let long = format!("agp: {}{}", "some words ".repeat(20), "x".repeat(100));
        let folded = fold(&long, HANG);
        let lines: Vec<&str> = folded.lines().collect();
        assert!(lines.len() > 3 && lines.iter().skip(1).all(|line| line.starts_with("    ")));
        let (last, others) = lines.split_last().unwrap();
        assert!(others.iter().all(|line| line.len() <= COLUMNS));
        assert_eq!(last.trim(), "x".repeat(100));
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&folded), words(&long));
    }
}
