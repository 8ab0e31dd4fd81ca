//! `config.json`, read strictly, and how flag, environment and file come together.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contracts::approver::{Approver, Groups, is_group};
use crate::contracts::{bounded_file, limits, strict_json};

use super::home::Home;
use crate::report::failure::{Failure, help_with};

/// The configuration file. Every field may be absent; unknown ones are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Where editors find the schema; says nothing to agp.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Slack, when approvals are asked there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackConfig>,
    /// The sandbox for calls that agp executes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxConfig>,
    /// `scripted`, `claude-code` or `codex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intendant: Option<String>,
    /// `console` or `slack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How an intendant's identity is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityConfig>,
    /// What holds for sessions in one directory or below it, by its path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<PathBuf, ProjectConfig>,
    /// Groups that rules name as approvers: Slack user ids and `user:NAME`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Approvals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalConfig>,
}

/// `slack`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SlackConfig {
    /// `xoxb-` token.
    pub bot_token: Option<String>,
    /// `xapp-` token.
    pub app_token: Option<String>,
    /// Channel id.
    pub channel: Option<String>,
    /// Slack user ids that may approve.
    pub approvers: Vec<String>,
    /// How many different people must approve.
    pub approvals_required: Option<u32>,
    /// `approvers`, `channel` or `none`.
    pub mention: Option<String>,
}

impl fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are never shown.
        f.debug_struct("SlackConfig")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// `sandbox`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SandboxConfig {
    /// `recording`, `process` or `docker`.
    pub provider: Option<String>,
    /// Image reference, pinned.
    pub image: Option<String>,
    /// `none`, `full` or `allowlist`.
    pub egress: Option<String>,
    /// Hosts for `allowlist`.
    pub allowlist: Vec<String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Cores.
    pub cpus: Option<f64>,
    /// Processes.
    pub pids: Option<u32>,
}

/// `identity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct IdentityConfig {
    /// `off` or `strict`.
    pub mode: Option<String>,
}

/// `projects`, one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProjectConfig {
    /// A policy: a file (a relative one is below `AGP_HOME`), or `standard`, `strict` or `watch`.
    pub policy: Option<String>,
}

/// `approval`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ApprovalConfig {
    /// Seconds an approver has.
    pub timeout_seconds: Option<u64>,
    /// Seconds that a question may wait to be shown before they run all the same.
    pub queue_seconds: Option<u64>,
    /// Whether a question waits for `agp attend` where nobody can be asked at once.
    pub attend: Option<bool>,
    /// Whether a question rings the terminal's bell.
    pub bell: Option<bool>,
}

impl Config {
    /// Reads `config.json`; an absent file is an empty one.
    ///
    /// # Errors
    /// [`Failure`] with line and column of what is wrong.
    pub fn load(home: &Home) -> Result<Self, Failure> {
        let path = home.config();
        let wrong = |problem: String| {
            let problem = format!("{}: {problem}", path.display());
            Failure::refused(problem, "fix the file")
        };
        match bounded_file::read(&path, limits::SMALL_FILE_BYTES) {
            Ok(bytes) => {
                let config: Self =
                    strict_json::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
                config.keeps_its_tokens(&path)?;
                config.groups().map_err(|error| wrong(error.to_string()))?;
                Ok(config)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let failure = wrong(error.to_string());
                let mend = help_with(&path, &error, &failure.mend);
                Err(Failure { mend, ..failure })
            }
        }
    }
}

impl Config {
    /// A file that holds tokens is its owner's alone.
    fn keeps_its_tokens(&self, path: &Path) -> Result<(), Failure> {
        let holds = self.slack.as_ref();
        if holds.is_none_or(|slack| slack.bot_token.is_none() && slack.app_token.is_none()) {
            return Ok(());
        }
        let open = fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
        if open {
            let file = path.display();
            let problem = format!("{file} contains Slack tokens, and other users can read it");
            return Err(Failure::refused(problem, format!("chmod 600 {file}")));
        }
        Ok(())
    }
}

impl Config {
    /// The groups with the people in them.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn groups(&self) -> Result<Groups, GroupError> {
        let mut groups = Groups::default();
        for (name, members) in &self.groups {
            if !is_group(name) {
                return Err(GroupError::Name(name.clone()));
            }
            if !(1..=limits::SLACK_APPROVERS).contains(&members.len()) {
                return Err(GroupError::Count(name.clone()));
            }
            let person = |member: &String| {
                let wrong = || GroupError::Member(name.clone(), member.clone());
                Approver::parse(member).ok_or_else(wrong)
            };
            let people = members.iter().map(person).collect::<Result<_, _>>()?;
            groups.0.insert(name.clone(), people);
        }
        Ok(groups)
    }
}

/// What is wrong with a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupError {
    /// No group can have this name.
    Name(String),
    /// Nobody is in it, or too many are.
    Count(String),
    /// In it: this is nobody.
    Member(String, String),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "groups: {name:?} is no name of a group (letters, digits, - and _)"
            ),
            Self::Count(name) => write!(
                f,
                "groups.{name}: a group has 1 to {} people",
                limits::SLACK_APPROVERS
            ),
            Self::Member(name, member) => write!(
                f,
                "groups.{name}: {member:?} is nobody: write U0ALICE or user:alice"
            ),
        }
    }
}

/// Flag beats environment beats file.
#[must_use]
pub fn first(flag: Option<String>, variable: &str, file: Option<String>) -> Option<String> {
    flag.or_else(|| env::var(variable).ok().filter(|value| !value.is_empty()))
        .or(file)
}

/// Where [`first`] found a value, for people.
#[must_use]
pub fn source(given: bool, flag: &str, variable: &str, field: &str) -> String {
    match env::var(variable) {
        _ if given => flag.to_owned(),
        Ok(value) if !value.is_empty() => variable.to_owned(),
        _ => format!("{field} in config.json"),
    }
}

/// The approval deadline within its bounds.
///
/// # Errors
/// [`Failure`] that names the bounds.
pub fn approval_deadline(flag: Option<u64>, config: &Config) -> Result<Duration, Failure> {
    let file = config
        .approval
        .as_ref()
        .and_then(|approval| approval.timeout_seconds);
    let Some(seconds) = flag.or(file) else {
        return Ok(limits::APPROVAL_DEADLINE);
    };
    let (least, most) = (limits::APPROVAL_DEADLINE_MIN, limits::APPROVAL_DEADLINE_MAX);
    let options = Duration::from_secs(seconds);
    if (least..=most).contains(&options) {
        return Ok(options);
    }
    let range = format!("{} to {} s", least.as_secs(), most.as_secs());
    Err(Failure::usage(
        format!("the approval timeout ({seconds} s) must be {range}"),
        "set it in config.json, or with --approval-timeout 300",
    ))
}

/// How long a question may wait to be shown: at most as long as an approver may have.
#[must_use]
pub fn approval_queue(config: &Config) -> Duration {
    let approval = config.approval.as_ref();
    let seconds = approval.and_then(|approval| approval.queue_seconds);
    seconds.map_or(limits::APPROVAL_QUEUE, |seconds| {
        Duration::from_secs(seconds).min(limits::APPROVAL_DEADLINE_MAX)
    })
}

/// Whether a question waits for `agp attend` where nobody can be asked at once.
#[must_use]
pub fn attend(config: &Config) -> bool {
    let approval = config.approval.as_ref();
    approval.and_then(|approval| approval.attend) == Some(true)
}

/// Whether a question rings the terminal's bell, once.
#[must_use]
pub fn approval_bell(config: &Config) -> bool {
    let approval = config.approval.as_ref();
    approval.and_then(|approval| approval.bell) != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_strictly() {
        let parse = |text: &str| strict_json::parse::<Config>(text.as_bytes());
        assert!(parse(r#"{"approval":{"timeoutSeconds":60},"sandbox":{"pids":10}}"#).is_ok());
        for bad in [
            r#"{"aproval":{}}"#,
            r#"{"approval":{"timeout":1}}"#,
            r#"{"channel":"a","channel":"b"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_group_has_people_and_nobody_else() {
        let groups = |text: &str| {
            let config = format!(r#"{{"groups": {text}}}"#);
            strict_json::parse::<Config>(config.as_bytes())
                .unwrap()
                .groups()
        };
        let leads = groups(r#"{"leads": ["U0ALICE", "user:alice"]}"#).unwrap();
        assert_eq!(
            leads.0["leads"],
            [
                Approver::Slack("U0ALICE".into()),
                Approver::Account("alice".into())
            ]
        );
        for (wrong, problem) in [
            (r#"{"leads": []}"#, "1 to 100 people"),
            (r#"{"leads": ["alice"]}"#, "\"alice\" is nobody"),
            (r#"{"leads": ["@others"]}"#, "\"@others\" is nobody"),
            (r#"{"@leads": ["U1"]}"#, "is no name of a group"),
            (r#"{"": ["U1"]}"#, "is no name of a group"),
        ] {
            let error = groups(wrong).unwrap_err().to_string();
            assert!(error.contains(problem), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_deadline_has_bounds() {
        let config = Config::default();
        assert!(approval_deadline(Some(0), &config).is_err());
        assert!(approval_deadline(Some(86_401), &config).is_err());
        assert_eq!(
            approval_deadline(Some(1), &config),
            Ok(Duration::from_secs(1))
        );
        assert_eq!(
            approval_deadline(None, &config),
            Ok(limits::APPROVAL_DEADLINE)
        );
    }
}
