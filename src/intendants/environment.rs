//! The environment that a harness gets: a list, never everything.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::jail::writable_paths::Changeable;

/// Names that reach a harness as they are.
const PASSED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TERM",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "LOGNAME",
];
/// Families of names that reach a harness as they are.
const PASSED_PREFIXES: [&str; 4] = ["LC_", "ANTHROPIC_", "OPENAI_", "DISABLE_"];
/// Of Codex's own names those that say who pays. Its home is agp's to set, and others move where
/// it runs its commands.
const PASSED_CODEX: [&str; 3] = [
    "CODEX_API_KEY",
    "CODEX_ACCESS_TOKEN",
    "CODEX_CA_CERTIFICATE",
];
/// Of Claude Code's own names those that say who pays and how it reaches its model. Where its files are is
/// agp's to say. A list of what is harmless, as with its options: others switch its hooks off, and those
/// grow with every version.
const PASSED_CLAUDE: [&str; 16] = [
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_SCOPES",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_TMPDIR",
];
/// agp's own: they never reach a harness, whoever asks.
const WITHHELD_PREFIXES: [&str; 2] = ["AGP_SECRET_", "AGP_SLACK_"];
/// What one Claude Code sets for another that it starts: a governed one must not take itself for
/// a part of an ungoverned one.
const NESTED: [&str; 2] = ["CLAUDE_CODE_CHILD_", "CLAUDE_CODE_MESSAGING_"];
/// With these a harness runs its tools without asking its hooks, or takes its settings from
/// elsewhere: measured, or named in its program. They never reach it, whoever asks.
const UNGATED: [&str; 17] = [
    "CODEX_HOME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
    "CODEX_EXEC_SERVER_URL",
    "CLAUDE_CODE_SIMPLE",
    "CLAUDE_CODE_SAFE_MODE",
    "CLAUDE_CODE_PERSONAL_HOOKS_OFF",
    "CLAUDE_CODE_EVEN_MORE_DANGEROUSLY_SKIP_PERMISSIONS",
    "CLAUDE_CODE_MANAGED_SETTINGS_PATH",
    "CLAUDE_CODE_REMOTE_SETTINGS_PATH",
    "CLAUDE_CODE_MOCK_REMOTE_SETTINGS",
    "CLAUDE_CODE_MCP_SERVE_SETTINGS",
    "CLAUDE_CODE_BRIDGE_CHILD_MACHINE_SETTINGS",
    "CLAUDE_CODE_RELAUNCH_BYPASS_SWITCH",
    // agp sets these itself.
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
    "CLAUDE_CODE_DISABLE_CRON",
    "CLAUDE_CODE_SHELL",
];

/// The environment that a harness gets: a list of names, plus what `--harness-env` names. Its `PATH` has no
/// entry in which its agent can put a program.
#[must_use]
pub fn environment(extra: &[String], changeable: &Changeable) -> Vec<(OsString, OsString)> {
    let mut environment = environment_from(env::vars_os(), extra);
    for (_, value) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
        *value = changeable.search_path(value);
    }
    environment
}

fn environment_from(
    all: impl Iterator<Item = (OsString, OsString)>,
    extra: &[String],
) -> Vec<(OsString, OsString)> {
    all.filter(|(name, _)| {
        let Some(name) = name.to_str() else {
            return false;
        };
        let listed = PASSED.contains(&name)
            || PASSED_CLAUDE.contains(&name)
            || PASSED_CODEX.contains(&name)
            || PASSED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || extra.iter().any(|other| other == name);
        let withheld = WITHHELD_PREFIXES
            .iter()
            .chain(&NESTED)
            .any(|prefix| name.starts_with(prefix));
        listed && !withheld && !UNGATED.contains(&name)
    })
    .collect()
}

/// What the operator wants passed to a harness, and agp does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPassed {
    /// An argument that could weaken the gate, or lacks its value.
    Argument {
        /// The argument.
        argument: String,
        /// Those that are passed.
        passed: String,
    },
    /// A variable that would weaken the gate.
    Variable(String),
}

impl fmt::Display for NotPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { argument, passed } => write!(
                f,
                "--harness-arg {argument} is not allowed or needs a value. Allowed: {passed}"
            ),
            Self::Variable(name) => write!(
                f,
                "--harness-env {name} is not allowed: it would weaken the gate"
            ),
        }
    }
}

impl std::error::Error for NotPassed {}

/// Checks the names of the operator's own variables for a harness.
///
/// # Errors
/// Which one is never passed.
pub fn check_names(names: &[String]) -> Result<(), NotPassed> {
    match names.iter().find(|name| UNGATED.contains(&name.as_str())) {
        Some(name) => Err(NotPassed::Variable(name.clone())),
        None => Ok(()),
    }
}

/// A variable of the environment as text, when it is set and not empty.
#[must_use]
pub fn variable(name: impl AsRef<OsStr>) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_a_list_and_agp_secrets_are_never_on_it() {
        let all = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("ANTHROPIC_API_KEY", "k"),
            ("AGP_SECRET_TOKEN", "s"),
            ("AGP_SLACK_BOT_TOKEN", "s"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("LD_PRELOAD", "x"),
            ("MINE", "1"),
            ("CLAUDE_CODE_MESSAGING_TOKEN", "t"),
            ("CLAUDE_CODE_SIMPLE", "1"),
            ("CLAUDE_CODE_NEXT_YEARS_SWITCH", "1"),
            ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "0"),
            ("CLAUDE_CONFIG_DIR", "/c"),
            ("CODEX_API_KEY", "k"),
            ("CODEX_HOME", "/elsewhere"),
            ("CODEX_EXEC_SERVER_URL", "ws://elsewhere"),
        ];
        let extra = [
            "MINE",
            "AGP_SECRET_TOKEN",
            "CLAUDE_CODE_SIMPLE",
            "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
        ]
        .map(str::to_owned);
        let all = all
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let names: Vec<_> = environment_from(all, &extra)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let expected = [
            "PATH",
            "LC_ALL",
            "ANTHROPIC_API_KEY",
            "MINE",
            "CODEX_API_KEY",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_variable_that_switches_the_gate_off_cannot_be_asked_for() {
        assert!(check_names(&["MINE".to_owned()]).is_ok());
        for refused in ["CLAUDE_CODE_SAFE_MODE", "CLAUDE_CODE_DISABLE_CRON"] {
            assert!(check_names(&["MINE".to_owned(), refused.to_owned()]).is_err());
        }
    }
}
