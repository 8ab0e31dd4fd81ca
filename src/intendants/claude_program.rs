//! Claude Code's program: found, asked its version; the operator's arguments for it, and login.

use std::path::{Path, PathBuf};

use crate::contracts::intendant::HarnessError;

use super::{environment, program};

/// The first version that honours `onFailure: "block"`. Below it a hook that crashes, is slow or
/// is missing lets tools run, so there is no hook mode.
pub(super) const HOOK_FLOOR: program::Version = [2, 1, 295];
/// The first version that was tried in mediated mode, with every test of that.
const VERSION_FLOOR: program::Version = [2, 1, 197];

/// Options of the operator's that may reach Claude Code, and whether each takes a value. A list of
/// what is harmless, because the list of what is not grows with every version.
const PASSED_OPTIONS: &[(&str, bool)] = &[
    ("--model", true),
    ("--fallback-model", true),
    ("--effort", true),
    ("--max-turns", true),
    ("--max-budget-usd", true),
    ("--append-system-prompt", true),
    ("--system-prompt", true),
    ("--disallowedTools", true),
    ("--session-id", true),
    ("--no-session-persistence", false),
];

/// Checks the operator's own arguments for Claude Code.
///
/// # Errors
/// Which argument is refused, and which are taken.
pub fn check_arguments(arguments: &[String]) -> Result<(), String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, has_value) = match argument.split_once('=') {
            Some((name, _)) => (name, true),
            None => (argument.as_str(), false),
        };
        let option = PASSED_OPTIONS.iter().find(|(known, _)| *known == name);
        let complete = match option {
            Some((_, true)) => {
                has_value || rest.next().is_some_and(|value| !value.starts_with('-'))
            }
            Some((_, false)) => !has_value,
            None => false,
        };
        if !complete {
            let known: Vec<&str> = PASSED_OPTIONS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "--harness-arg {argument} could weaken the gate or lacks its value; these are \
                 passed: {}",
                known.join(" ")
            ));
        }
    }
    Ok(())
}

/// Where Claude Code is and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its program.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
    /// Whether it blocks a call when the hook fails.
    pub fails_closed: bool,
}

const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

/// Finds Claude Code's program.
///
/// # Errors
/// [`HarnessError`] when it is missing.
pub fn program() -> Result<PathBuf, HarnessError> {
    program::find("AGP_CLAUDE_BIN", "claude", INSTALL)
}

/// Finds Claude Code and asks its version.
///
/// # Errors
/// [`HarnessError`] when it is missing, does not answer, or is too old to be gated.
pub fn find() -> Result<Found, HarnessError> {
    let program = program()?;
    let (version, numbers) = program::version(&program, |text| text.split_whitespace().next())?;
    program::check_floor("Claude Code", (&version, numbers), VERSION_FLOOR, INSTALL)?;
    Ok(Found {
        program,
        version,
        fails_closed: numbers >= HOOK_FLOOR,
    })
}

/// What a Claude Code elsewhere says of itself: its answer to `--version`.
///
/// # Errors
/// [`HarnessError`] when it says no version, or one that is too old to be gated.
pub fn found_elsewhere(program: PathBuf, answer: &str) -> Result<Found, HarnessError> {
    let word = answer.split_whitespace().next().unwrap_or_default();
    let numbers = program::numbers(word).ok_or_else(|| HarnessError {
        problem: format!("{} does not say its version", program.display()),
        mend: "build the image anew: docs/images.md".into(),
    })?;
    let version = word.to_owned();
    program::check_floor("Claude Code", (&version, numbers), VERSION_FLOOR, INSTALL)?;
    Ok(Found {
        program,
        version,
        fails_closed: numbers >= HOOK_FLOOR,
    })
}

/// Whether a login can be passed by name: a variable that holds one.
#[must_use]
pub fn login_by_name() -> bool {
    let names = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
    ];
    names
        .iter()
        .any(|name| environment::variable(name).is_some())
}

/// Whether a login is there to be used, without reading it: a variable, or a file that exists.
#[must_use]
pub fn login_present() -> bool {
    if login_by_name() {
        return true;
    }
    let directory = environment::variable("CLAUDE_CONFIG_DIR")
        .map(PathBuf::from)
        .or_else(|| environment::variable("HOME").map(|home| Path::new(&home).join(".claude")));
    directory.is_some_and(|dir| dir.join(".credentials.json").exists())
}
