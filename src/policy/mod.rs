//! A policy: loaded once and strictly, then asked about each tool call without side effects.

mod conditions;
mod engine;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod glob;
mod rules;
mod shell_words;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::contracts::ids::Sha256;
use crate::contracts::{bounded_file, limits, strict_json};

pub use glob::Glob;
pub use rules::Rule;

/// Characters of a problem's description: it can quote the text, which may be anything.
const PROBLEM_CHARS: usize = 300;

/// The rules of one policy file, ready to decide.
#[derive(Debug, Clone)]
pub struct Policy {
    /// In the file's order.
    rules: Vec<Rule>,
    /// Positions in `rules`, the rule that wins over all others first.
    ranked: Vec<usize>,
    digest: Sha256,
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
        if u64::try_from(bytes.len()).is_ok_and(|len| len > limits::POLICY_BYTES) {
            return Err(PolicyError::TooLarge);
        }
        let rules::Document(rules) = strict_json::parse(bytes)?;
        Ok(Self {
            ranked: engine::rank(&rules),
            rules,
            digest: Sha256::of(bytes),
        })
    }

    /// SHA-256 of the file's exact bytes.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The rules in the file's order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules, so that every call is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
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

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "cannot read {}: {error}", path.display()),
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
            Self::TooLarge | Self::Text { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_the_exact_bytes() {
        let policy = Policy::parse(b"{\"rules\":[]}\n").unwrap();
        // printf '{"rules":[]}\n' | sha256sum
        assert_eq!(
            policy.digest().to_hex(),
            "5a5b52a3c1c7d9103184fb694520ce53371457515c948e10af19635d03c86f9e"
        );
        assert!(policy.is_empty());
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let path = Path::new("/nonexistent/policy.json");
        let error = Policy::load(path).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read /nonexistent/policy.json: "),
            "{error}"
        );
    }

    #[test]
    fn a_file_over_the_limit_is_refused_unread() {
        let bytes = vec![b' '; usize::try_from(limits::POLICY_BYTES).unwrap() + 1];
        assert!(matches!(Policy::parse(&bytes), Err(PolicyError::TooLarge)));
    }

    #[test]
    fn a_problem_stays_on_one_short_line() {
        let text = format!("{{\"{}\\n\\u001b[2J\":1}}", "x".repeat(5000));
        let shown = Policy::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(shown.chars().count() < PROBLEM_CHARS + 40);
        let shown = Policy::parse(br#"{"\n\u001b[2J":1}"#)
            .unwrap_err()
            .to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}
