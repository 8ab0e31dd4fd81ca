//! Rules of a harness's own permissions in this language: rules to paste, and what could not be said.

mod claude_settings;
mod codex_rules;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod import_error;

use serde_json::{Map, Value, json};

use super::{Policy, PolicyError};
use crate::contracts::limits;
pub use import_error::ImportError;

/// What became of a file of permissions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Rules as a policy writes them, in the order of the file. Each loads.
    pub rules: Vec<Value>,
    /// What could not be said, one line each: the entry, and why.
    pub left_out: Vec<String>,
}

/// Reads a Claude Code `settings.json` or Codex `.rules`; which of both, its first character says.
///
/// # Errors
/// [`ImportError`]: what is wrong with the file as a whole.
pub fn import(text: &str) -> Result<Imported, ImportError> {
    if text.len() > IMPORT_BYTES {
        return Err(ImportError::TooLarge);
    }
    if text.trim_start().starts_with('{') {
        claude_settings::import(text)
    } else {
        codex_rules::import(text)
    }
}

/// Bytes of a file of permissions that is read.
const IMPORT_BYTES: usize = 1024 * 1024;

impl Imported {
    /// Adds a rule for an entry, or says why it cannot be one: the loader's own words. Its name is made of what
    /// it is about, and a number where that is taken.
    fn rule(&mut self, entry: &str, name: &str, effect: &str, rest: Map<String, Value>) {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let mut id = format!("{effect}-{}", words.join("-"));
        id.truncate(NAME_CHARS);
        let taken = |rule: &Value| rule.get("id").and_then(Value::as_str) == Some(&id);
        if self.rules.iter().any(taken) {
            id = format!("{id}-{}", self.rules.len() + 1);
        }
        let mut rule = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("effect".to_owned(), json!(effect)),
        ]);
        rule.extend(rest);
        let alone = json!({ "rules": [rule] }).to_string();
        match Policy::parse(alone.as_bytes()) {
            Ok(_) if self.rules.len() < limits::POLICY_RULES => {
                self.rules.push(Value::Object(rule));
            }
            Ok(_) => self.left_out(entry, "more rules than a policy can hold"),
            Err(PolicyError::Text { problem, .. }) => self.left_out(entry, &problem),
            Err(other) => self.left_out(entry, &other.to_string()),
        }
    }

    fn left_out(&mut self, entry: &str, why: &str) {
        let entry: String = entry
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(ENTRY_CHARS)
            .collect();
        self.left_out.push(format!("{entry}: {why}"));
    }
}

/// Characters of a rule's name that come from what it is about.
const NAME_CHARS: usize = 60;
/// Characters of an entry that are shown.
const ENTRY_CHARS: usize = 120;

/// `{"when": {KEY: [PATTERN]}}`, with a tool where one is given.
fn when(tool: Option<&str>, key: &str, patterns: &[String]) -> Map<String, Value> {
    let mut rest = Map::new();
    if let Some(tool) = tool {
        rest.insert("tool".into(), json!(tool));
    }
    rest.insert("when".into(), json!({ key: patterns }));
    rest
}

/// `{"tool": TOOL}`.
fn of_tool(tool: &str) -> Map<String, Value> {
    Map::from_iter([("tool".to_owned(), json!(tool))])
}

#[cfg(test)]
mod tests;
