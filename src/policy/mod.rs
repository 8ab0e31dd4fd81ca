//! A policy: loaded once and strictly, then asked about each tool call without side effects.

mod arguments;
mod call;
mod conditions;
mod covering;
mod danger;
mod document;
mod engine;
mod explain;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod glob;
pub mod import;
mod index;
mod layer;
mod layer_error;
mod layers;
mod matching;
mod memory;
mod named_sets;
mod narrow;
mod path_index;
mod patterns;
mod questions;
mod rules;
mod ruling;
mod sandboxed;
mod spared;
#[cfg(test)]
mod tests;
mod tool_names;
mod typed;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::contracts::channel::ApprovalTerms;
use crate::contracts::ids::Sha256;
use crate::contracts::verdict::Decision;
use crate::contracts::{bounded_file, limits};
use crate::reading::atoms::Reading;
use crate::reading::known_tools;
use crate::reading::tools::Declared;

pub use arguments::Pointer;
pub use call::Conditions;
pub use danger::{CATEGORIES, category_name};
pub use explain::{AtomExplained, Explanation, RuleOutcome};
pub use glob::Glob;
pub use layer::Owner;
pub use layer_error::LayerError;
pub use layers::{SHIPPED, shipped};
pub use memory::Memory;
pub use named_sets::{SET_NAMES, set_members};
pub use questions::{Grantable, Narrow, Question};
pub use rules::{Rule, SessionGrant};
pub use ruling::Ruling;
pub use sandboxed::Withheld;

/// Characters of a problem's description: it can quote the text, which may be anything.
const PROBLEM_CHARS: usize = 300;

/// The rules of a policy, ready to decide.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The machine's, the session's own, the repository's; the own one always.
    layers: Vec<layer::Layer>,
    sources: Vec<layers::Source>,
}

impl Policy {
    /// Reads a policy file of at most [`limits::POLICY_BYTES`].
    ///
    /// # Errors
    /// [`PolicyError::Io`] when the file cannot be read, otherwise as [`Policy::parse`].
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let io = |error| PolicyError::Io {
            path: path.to_owned(),
            error,
        };
        match bounded_file::read(path, limits::POLICY_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(PolicyError::TooLarge),
            read => Self::parse(&read.map_err(io)?),
        }
    }

    /// Reads a policy's text: strict JSON, only the known fields, at most
    /// [`limits::POLICY_RULES`] rules with distinct ids.
    ///
    /// # Errors
    /// [`PolicyError::Text`] with the place of the first fault, [`PolicyError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        Self::layered(None, bytes, None).map_err(|(_, error)| error)
    }

    /// Decides a call.
    pub fn judge(&self, reading: &Reading, at: &Conditions<'_>) -> Ruling {
        ruling::rule(&self.layers, reading, at)
    }

    /// Why a call is decided as it is: each atom with each rule's outcome.
    #[must_use]
    pub fn explain(&self, reading: &Reading, at: &Conditions<'_>) -> Explanation {
        explain::explain(&self.layers, reading, at)
    }

    /// What this rule asks of an approval; of a rule that is not there, nothing more.
    #[must_use]
    pub fn approval_terms(&self, rule_id: Option<&str>) -> ApprovalTerms {
        let mut rules = self.layers.iter().flat_map(|layer| &layer.rules);
        let rule = rule_id.and_then(|id| rules.find(|rule| rule.id == id));
        rule.map(|rule| rule.approval).unwrap_or_default()
    }

    /// SHA-256 of the exact bytes of the session's own file.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest_of(Owner::Main)
            .unwrap_or_else(|| Sha256::of(b""))
    }

    /// The session's own rules in the file's order, behind those of its base.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        let main = self.layers.iter().find(|layer| layer.owner == Owner::Main);
        main.map_or(&[], |layer| layer.rules.as_slice())
    }

    /// How many rules there are in all layers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.rules.len()).sum()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the policy declares of tools that agp does not know.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let declared = self
            .layers
            .iter()
            .rev()
            .flat_map(|layer| layer.tools.clone());
        declared.collect()
    }

    /// Whether a rule asks which branch is checked out.
    #[must_use]
    pub fn asks_for_branches(&self) -> bool {
        let mut rules = self.layers.iter().flat_map(|layer| &layer.rules);
        rules.any(|rule| rule.when.as_ref().is_some_and(|when| when.branch.is_some()))
    }

    /// What holds where a part of a call is not read, of the strictest layer.
    #[must_use]
    pub fn unread(&self) -> Decision {
        let layers = self.layers.iter().map(|layer| layer.unread);
        layers.fold(Decision::Allow, engine::stricter)
    }

    /// The category's setting of the strictest layer; `None`: off.
    #[must_use]
    pub fn danger(&self, category: crate::reading::atoms::Category) -> Option<Decision> {
        let layers = self
            .layers
            .iter()
            .filter_map(|layer| layer.danger.says(category));
        layers.reduce(engine::stricter)
    }

    /// The groups that rules name as approvers, without `@`, each with the rule.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        let rules = self.layers.iter().flat_map(|layer| &layer.rules);
        rules.flat_map(|rule| {
            let groups = rule
                .approvers
                .iter()
                .filter_map(|name| name.strip_prefix('@'));
            groups.map(move |group| (rule.id.as_str(), group))
        })
    }

    /// Tools that rules name, that no harness has and that are no server's: each with the rule.
    #[must_use]
    pub fn unknown_tools(&self) -> Vec<(&str, &str)> {
        let rules = self.layers.iter().flat_map(|layer| &layer.rules);
        let named = rules.flat_map(|rule| rule.tools().map(move |tool| (rule.id.as_str(), tool)));
        let unknown = |tool: &str| {
            let plain = !tool.contains('*') && !tool.starts_with('@') && !tool.starts_with("mcp__");
            plain && crate::reading::known_tools::named(tool).is_none()
        };
        named.filter(|(_, tool)| unknown(tool)).collect()
    }
}

/// Why there is no policy.
#[derive(Debug)]
pub enum PolicyError {
    /// The file could not be read.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is longer than [`limits::POLICY_BYTES`].
    TooLarge,
    /// There is nothing in the file.
    Empty,
    /// It does not fit its place: the policy below it, or the layer that it is.
    Layer(LayerError),
    /// The text is not a policy.
    Text {
        /// Counted from 1.
        line: usize,
        /// In bytes, where reading stopped: at the end of the faulty name or value.
        column: usize,
        /// What is wrong there, on one line.
        problem: String,
    },
}

impl From<serde_json::Error> for PolicyError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let problem = text
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&text);
        let problem = &meant(problem).unwrap_or_else(|| problem.to_owned());
        Self::Text {
            line,
            column,
            problem: problem
                .chars()
                .take(PROBLEM_CHARS)
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect(),
        }
    }
}

/// What to write for an unknown field that is one letter away from a known one.
fn meant(problem: &str) -> Option<String> {
    let (name, known) = problem.strip_prefix("unknown field `")?.split_once('`')?;
    let mut known = known.split('`').skip(1).step_by(2);
    let meant = known.find(|known| known_tools::one_away(known, name))?;
    Some(format!("unknown field `{name}`: write `{meant}`"))
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Layer(error) => error.fmt(f),
            Self::Empty => f.write_str("the file is empty: write { \"base\": \"standard\" }"),
            Self::TooLarge => write!(f, "longer than {} bytes", limits::POLICY_BYTES),
            Self::Text {
                line,
                column,
                problem,
            } => write!(f, "line {line} column {column}: {problem}"),
        }
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Layer(error) => Some(error),
            Self::TooLarge | Self::Empty | Self::Text { .. } => None,
        }
    }
}
