//! The lines of a file of cases, read strictly. `tests/policy/README.md` says what each field means.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::contracts::call::Actor;
use crate::contracts::strict_json;
use crate::contracts::verdict::Decision;

/// Why a file holds no cases, with where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCases(String);

impl NotCases {
    pub(super) fn of(problem: impl fmt::Display) -> Self {
        Self(problem.to_string())
    }
}

impl fmt::Display for NotCases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotCases {}

/// What holds for the cases below it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    pub(super) policy: Value,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, Entry>,
    #[serde(default)]
    pub(super) git: Option<Git>,
    #[serde(default = "yes")]
    pub(super) confined: bool,
    #[serde(default)]
    pub(super) egress: Egress,
    #[serde(default, rename = "harness")]
    _harness: Option<Harness>,
    #[serde(default)]
    pub(super) asked_at_most: Option<usize>,
}

fn yes() -> bool {
    true
}

/// What lies at a path.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Entry {
    Text(String),
    Made(Made),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Made {
    pub(super) link: Option<String>,
    pub(super) hardlink: Option<String>,
    pub(super) text: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) directory: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Git {
    Plain(bool),
    Said(GitSaid),
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct GitSaid {
    pub(super) remotes: Option<BTreeMap<String, String>>,
    pub(super) branch: Option<String>,
    #[serde(default)]
    pub(super) config: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Egress {
    #[default]
    None,
    Allowlist,
    Full,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Harness {
    ClaudeCode,
    Codex,
}

/// One call with what is expected of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Case {
    pub(super) command: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) args: Option<Map<String, Value>>,
    pub(super) expect: OneOrMore<Decision>,
    pub(super) rule: Option<String>,
    pub(super) danger: Option<OneOrMore<String>>,
    pub(super) unread: Option<bool>,
    pub(super) directory: Option<String>,
    pub(super) actor: Option<Actor>,
    pub(super) session: Option<String>,
    pub(super) answered: Option<Answer>,
    #[serde(default)]
    pub(super) leaves: BTreeMap<String, Entry>,
    pub(super) why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Allow,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expect takes allow, require or deny, danger a category, either a list of them"
)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    pub(super) fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// A line.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Header(Header),
    Case(Case),
}

impl Line {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(super) fn parse(text: &str) -> Result<Self, NotCases> {
        let value = strict_json::from_slice(text.as_bytes()).map_err(NotCases::of)?;
        if value.get("policy").is_some() {
            let header = Header::deserialize(value).map_err(NotCases::of)?;
            return Ok(Self::Header(header));
        }
        let case = Case::deserialize(value).map_err(NotCases::of)?;
        match (&case.command, &case.tool, &case.args) {
            (Some(_), None, None) | (None, Some(_), _) if !case.expect.all().is_empty() => {
                Ok(Self::Case(case))
            }
            _ => Err(NotCases::of(
                "a case has expect, and either command, or tool and args",
            )),
        }
    }
}
