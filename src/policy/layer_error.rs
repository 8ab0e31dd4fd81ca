//! Why a text, though well written, is no layer of a policy.

use std::fmt;

use super::layers::SHIPPED;

/// Why a policy does not fit its place: the shipped one below it, or the layer that it is.
#[derive(Debug)]
pub enum LayerError {
    /// No policy of this name ships.
    UnknownBase(String),
    /// The base has no rule that could be dropped.
    UnknownDrop {
        /// The policy below.
        base: String,
        /// The id that `drop` names.
        rule: String,
    },
    /// The base has a rule of the same id.
    Taken {
        /// The policy below.
        base: String,
        /// The id.
        rule: String,
    },
    /// What results from a policy and its base does not load.
    Over(String, serde_json::Error),
    /// A rule of a repository's policy, by its id, allows.
    Loosens(String),
    /// A repository's policy has what only a person's may have.
    MoreThanRules,
    /// The repository's policy is no regular file.
    NotAFile,
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownBase(base) => {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                let names = names.join(" ");
                write!(f, "unknown base {base:?}, expected one of {names}")
            }
            Self::UnknownDrop { base, rule } => {
                write!(f, "drop: base {base:?} has no rule {rule:?}")
            }
            Self::Taken { base, rule } => write!(
                f,
                "base {base:?} has a rule {rule:?}: drop it, or name your own another way"
            ),
            Self::Over(base, error) => write!(f, "over {base}: {error}"),
            Self::Loosens(rule) => write!(
                f,
                "rule {rule:?}: a repository's policy can only deny and require"
            ),
            Self::MoreThanRules => f.write_str("a repository's policy has only rules and danger"),
            Self::NotAFile => f.write_str("the repository's policy must be a regular file"),
        }
    }
}

impl std::error::Error for LayerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Over(_, error) => Some(error),
            _ => None,
        }
    }
}
