//! Claude Code's program: found, asked its version; the operator's arguments for it, and login.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::contracts::intendant::HarnessError;
use crate::contracts::{bounded_file, limits};
use crate::hook::login_renewal;
use crate::intendants::confined_query::Search;
use crate::intendants::environment::NotPassed;
use crate::intendants::{environment, executable};
use crate::jail::writable_paths::Changeable;

/// The first version that honours `onFailure: "block"`. Below it a hook that crashes, is slow or
/// is missing lets tools run, so there is no hook mode.
pub(crate) const HOOK_FLOOR: executable::Version = [2, 1, 295];
/// The first version that was tried in mediated mode, with every test of that.
const VERSION_FLOOR: executable::Version = [2, 1, 197];

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
pub fn check_arguments(arguments: &[String]) -> Result<(), NotPassed> {
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
            return Err(NotPassed::Argument {
                argument: argument.clone(),
                passed: known.join(" "),
            });
        }
    }
    Ok(())
}

/// Where Claude Code is and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeInstall {
    /// Its program.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
    /// Whether it blocks a call when the hook fails.
    pub fails_closed: bool,
}

pub(super) const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

/// Finds Claude Code's program, where no agent can have put it.
///
/// # Errors
/// [`HarnessError`] when it is missing, or lies where one can.
pub fn program(changeable: &Changeable) -> Result<PathBuf, HarnessError> {
    executable::find("AGP_CLAUDE_BIN", "claude", INSTALL, changeable)
}

/// Finds Claude Code and asks its version.
///
/// # Errors
/// [`HarnessError`] when it is missing, does not answer, or is too old to be gated.
pub fn find(search: &Search) -> Result<ClaudeInstall, HarnessError> {
    let program = program(&search.changeable)?;
    let answer = executable::version(search, &program)?;
    found_elsewhere(program, &answer)
}

/// The Claude Code that gave this answer to `--version`.
///
/// # Errors
/// [`HarnessError`] when it says no version, or one that is too old to be gated.
pub fn found_elsewhere(program: PathBuf, answer: &str) -> Result<ClaudeInstall, HarnessError> {
    let (version, numbers) =
        executable::version_in(&program, answer, |text| text.split_whitespace().next())?;
    executable::check_floor("Claude Code", (&version, numbers), VERSION_FLOOR, INSTALL)?;
    Ok(ClaudeInstall {
        program,
        version,
        fails_closed: numbers >= HOOK_FLOOR,
    })
}

/// Variables that hold a login.
const LOGINS: [&str; 3] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
];

/// Whether a login can be passed by name: a variable that holds one.
#[must_use]
pub fn login_by_name() -> bool {
    let mut names = LOGINS.iter();
    names.any(|name| environment::variable(name).is_some())
}

/// Where the operator's Claude Code keeps its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The directory of the login's file, and of its locks.
    pub directory: PathBuf,
    /// Its file of state, which may hold a key of the Console's instead.
    pub state: PathBuf,
}

impl Store {
    /// Whether something is there, without reading it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directory.join(login_renewal::FILE).exists() || self.state.exists()
    }
}

/// Where the operator's Claude Code keeps its login: as its variables say, or in the home.
#[must_use]
pub fn store() -> Option<Store> {
    store_by(|name| environment::variable(name).map(PathBuf::from))
}

fn store_by(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Store> {
    let (moved, home) = (variable(login_renewal::CONFIGURATION), variable("HOME"));
    let directory = moved
        .clone()
        .or_else(|| Some(home.as_ref()?.join(".claude")))?;
    Some(Store {
        directory: variable(login_renewal::STORE).unwrap_or(directory),
        state: moved.or(home)?.join(".claude.json"),
    })
}

/// Why no login of Claude Code was found, as far as that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLogin {
    /// No variable says where the home is.
    NoHome,
    /// These settings have the key made by a program, which agp does not let the harness start.
    Helper(PathBuf),
    /// The login's file is not there.
    NoFile(PathBuf),
}

impl fmt::Display for NoLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => f.write_str("HOME is not set"),
            Self::Helper(settings) => {
                let settings = settings.display();
                write!(f, "agp does not use the apiKeyHelper of {settings}")
            }
            Self::NoFile(file) => write!(f, "no file {}", file.display()),
        }
    }
}

impl std::error::Error for NoLogin {}

/// Where a login is that can be used, without reading it: a variable, or a file that exists.
///
/// # Errors
/// Why none was found, as far as that was seen.
pub fn login() -> Result<String, NoLogin> {
    let mut names = LOGINS.iter();
    if let Some(name) = names.find(|name| environment::variable(name).is_some()) {
        return Ok((*name).to_owned());
    }
    let store = store().ok_or(NoLogin::NoHome)?;
    let file = store.directory.join(login_renewal::FILE);
    if file.exists() {
        return Ok(file.display().to_string());
    }
    let settings = store.directory.join("settings.json");
    let text = bounded_file::read(&settings, limits::SMALL_FILE_BYTES).unwrap_or_default();
    let read: Value = serde_json::from_slice(&text).unwrap_or_default();
    if read.get("apiKeyHelper").is_some_and(Value::is_string) {
        return Err(NoLogin::Helper(settings));
    }
    Err(NoLogin::NoFile(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_where_claude_code_has_it() {
        let store = |set: &[(&str, &str)]| {
            let stored = store_by(|name| {
                let is = |(known, _): &&(&str, &str)| *known == name;
                set.iter().find(is).map(|(_, value)| PathBuf::from(value))
            });
            stored
                .map(|store| [store.directory, store.state].map(|path| path.display().to_string()))
        };
        let home = ("HOME", "/h");
        let of = |directory: &str, state: &str| Some([directory.to_owned(), state.to_owned()]);
        assert_eq!(store(&[]), None);
        assert_eq!(store(&[home]), of("/h/.claude", "/h/.claude.json"));
        let moved = ("CLAUDE_CONFIG_DIR", "/c");
        assert_eq!(store(&[home, moved]), of("/c", "/c/.claude.json"));
        assert_eq!(store(&[moved]), of("/c", "/c/.claude.json"));
        let apart = ("CLAUDE_SECURESTORAGE_CONFIG_DIR", "/s");
        assert_eq!(store(&[home, apart]), of("/s", "/h/.claude.json"));
    }
}
