//! Codex's program: found, asked its version; the operator's arguments for it, home and login.

use std::path::{Path, PathBuf};

use super::config_toml;
use crate::contracts::intendant::HarnessError;
use crate::intendants::confined_query::Search;
use crate::intendants::environment::NotPassed;
use crate::intendants::{environment, executable};
use crate::jail::writable_paths::Changeable;

/// The version that was measured: an earlier one may let a command run that this one blocks.
const VERSION_FLOOR: executable::Version = [0, 169, 0];
const INSTALL: &str = "npm install -g @openai/codex";

/// Options of the operator's that may reach Codex; each takes a value.
const PASSED_OPTIONS: [&str; 3] = ["--model", "-m", "--output-schema"];
/// The one option that sets anything, and what it may set.
const SETTING_OPTIONS: [&str; 2] = ["-c", "--config"];
const PASSED_SETTINGS: [&str; 4] = [
    "model",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
];
/// Checks the operator's own arguments for Codex.
///
/// # Errors
/// Which argument is refused, and which are taken.
pub fn check_arguments(arguments: &[String]) -> Result<(), NotPassed> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (argument.as_str(), None),
        };
        let value = value.or_else(|| rest.next().map(String::as_str));
        let value = value.filter(|value| !value.is_empty() && !value.starts_with('-'));
        let setting = value.and_then(|value| value.split_once('='));
        let passed = match value {
            Some(_) if PASSED_OPTIONS.contains(&name) => true,
            Some(_) if SETTING_OPTIONS.contains(&name) => {
                setting.is_some_and(|(key, _)| PASSED_SETTINGS.contains(&key.trim()))
            }
            _ => false,
        };
        if !passed {
            let (options, settings) = (PASSED_OPTIONS.join(" "), PASSED_SETTINGS.join(" "));
            return Err(NotPassed::Argument {
                argument: argument.clone(),
                passed: format!("{options}, and -c with {settings}"),
            });
        }
    }
    Ok(())
}

/// Where Codex is and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodexInstall {
    /// Its program.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
}

/// Finds Codex's program, where no agent can have put it.
///
/// # Errors
/// [`HarnessError`] when it is missing, or lies where one can.
pub fn program(changeable: &Changeable) -> Result<PathBuf, HarnessError> {
    executable::find("AGP_CODEX_BIN", "codex", INSTALL, changeable).map(native)
}

/// The operator's login, if there is one: a file that agp links and never reads.
#[must_use]
pub fn login() -> Option<PathBuf> {
    let login = operators_home()?.join(AUTH);
    login.exists().then_some(login)
}

/// Finds Codex and asks its version.
///
/// # Errors
/// [`HarnessError`] when it is missing, does not answer, or is too old to be gated.
pub fn find(search: &Search) -> Result<CodexInstall, HarnessError> {
    let program = program(&search.changeable)?;
    let answer = executable::version(search, &program)?;
    found_elsewhere(program, &answer)
}

/// The Codex that gave this answer to `--version`.
///
/// # Errors
/// [`HarnessError`] when that is no version, or too old to be gated.
pub fn found_elsewhere(program: PathBuf, answer: &str) -> Result<CodexInstall, HarnessError> {
    let (version, numbers) =
        executable::version_in(&program, answer, |text| text.split_whitespace().last())?;
    executable::check_floor("Codex", (&version, numbers), VERSION_FLOOR, INSTALL)?;
    Ok(CodexInstall { program, version })
}

/// The program behind npm's start script, where it is one: what runs is what is identified.
fn native(program: PathBuf) -> PathBuf {
    if !program.ends_with("codex/bin/codex.js") {
        return program;
    }
    let (package, triple) = if cfg!(target_arch = "aarch64") {
        ("codex-linux-arm64", "aarch64-unknown-linux-musl")
    } else {
        ("codex-linux-x64", "x86_64-unknown-linux-musl")
    };
    let vendor = Path::new(package)
        .join("vendor")
        .join(triple)
        .join("bin/codex");
    let package_root = program.ancestors().nth(2).map(Path::to_owned);
    let places = package_root.into_iter().flat_map(|package_root| {
        let beside = package_root.with_file_name("");
        [beside, package_root.join("node_modules/@openai")]
    });
    let mut programs = places.map(|place| place.join(&vendor));
    programs.find(|path| path.is_file()).unwrap_or(program)
}

/// The directory of programs that the start script puts on `PATH`.
pub(crate) fn companions(program: &Path) -> Option<PathBuf> {
    let tools = program.parent()?.with_file_name("codex-path");
    tools.is_dir().then_some(tools)
}

/// The operator's own home of Codex.
pub(crate) fn operators_home() -> Option<PathBuf> {
    environment::variable("CODEX_HOME")
        .map(PathBuf::from)
        .or_else(|| environment::variable("HOME").map(|home| Path::new(&home).join(".codex")))
}

/// Whether a login can be passed by name: a variable that holds one, or that the operator's own
/// configuration names for its provider.
#[must_use]
pub fn login_by_name() -> bool {
    let names = ["CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_API_KEY"];
    let carried = operators_home().and_then(|home| config_toml::carried(&home).ok());
    let named = carried.into_iter().flat_map(|carried| carried.variables);
    let mut names = names.map(str::to_owned).into_iter().chain(named);
    names.any(|name| environment::variable(&name).is_some())
}

/// Whether a login is there to be used, without reading it: a variable, or a file that exists.
#[must_use]
pub fn login_present() -> bool {
    login_by_name() || operators_home().is_some_and(|home| home.join(AUTH).exists())
}

/// The login, which agp links and never reads.
pub(crate) const AUTH: &str = "auth.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_arguments_are_passed() {
        let check = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            check_arguments(&words)
        };
        let taken: [&[&str]; 3] = [
            &["--model", "x", "-m", "y", "--model=z"],
            &["-c", "model_reasoning_effort=high"],
            &["--config=model_verbosity=low"],
        ];
        for taken in taken {
            assert!(check(taken).is_ok(), "{taken:?}");
        }
        for refused in [
            &["--dangerously-bypass-approvals-and-sandbox"][..],
            &["-s", "danger-full-access"],
            &["--disable", "hooks"],
            &["--enable", "unified_exec_tty"],
            &["-c", "features.hooks=false"],
            &["-c", "model_provider=x"],
            &["-c", "model_verbosity"],
            &["--config=hooks={}"],
            &["--model"],
            &["--model", "--ephemeral"],
            &["--profile", "x"],
            &["--cd", "/"],
            &["--add-dir", "/"],
            &["-mx"],
            &["a prompt of its own"],
        ] {
            assert!(check(refused).is_err(), "{refused:?}");
        }
    }
}
