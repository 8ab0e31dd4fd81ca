//! Arguments that are shown as they are: commands, texts, and the rest as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::contracts::view::{LineKind, ViewBlock};

use super::room::{Room, note};

/// What says most of a call, in this order; all others stand behind.
const FIRST: [&str; 10] = [
    "url",
    "file_path",
    "notebook_path",
    "path",
    "pattern",
    "query",
    "prompt",
    "input",
    "script",
    "content",
];
/// What says little.
const LAST: [&str; 4] = ["timeout", "timeout_ms", "run_in_background", "limit"];

/// The arguments of a call that no block shows yet.
pub(super) struct Arguments<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Arguments<'a> {
    pub(super) fn of(args: &'a Map<String, Value>) -> Self {
        let args = args.iter();
        Self(args.map(|(name, value)| (name.as_str(), value)).collect())
    }

    /// A text; `None` where there is none of this name, or something else.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied().and_then(Value::as_str)
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).copied()
    }

    /// These are shown.
    pub(super) fn shown(&mut self, names: &[&str]) {
        self.0.retain(|name, _| !names.contains(name));
    }

    /// The commands of a tool that runs them.
    pub(super) fn commands(&mut self, room: &mut Room) -> Vec<ViewBlock> {
        let mut blocks = Vec::new();
        for name in ["command", "cmd"] {
            let text = match self.value(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(words)) => {
                    match words.iter().map(quoted).collect::<Option<Vec<_>>>() {
                        Some(words) => words.join(" "),
                        None => continue,
                    }
                }
                _ => continue,
            };
            self.shown(&[name]);
            blocks.push(ViewBlock {
                heading: "runs".to_owned(),
                subject: None,
                lines: room.text(LineKind::Command, &text),
            });
        }
        blocks
    }

    /// All that are left.
    pub(super) fn blocks(self, room: &mut Room) -> Vec<ViewBlock> {
        let rank = |name: &str| {
            let first = FIRST.iter().position(|known| *known == name);
            let last = LAST.contains(&name);
            first.unwrap_or(FIRST.len() + usize::from(last))
        };
        let mut rest: Vec<(&str, &Value)> = self.0.into_iter().collect();
        rest.sort_by_key(|(name, _)| rank(name));
        let blocks = rest.into_iter().map(|(name, value)| {
            let (heading, text) = match value {
                Value::String(text) => ("argument", text.clone()),
                // Writing it cannot fail.
                value => (
                    "argument as JSON",
                    serde_json::to_string_pretty(value).unwrap_or_default(),
                ),
            };
            let mut lines = room.text(LineKind::Text, &text);
            if lines.is_empty() {
                lines.push(note("Empty."));
            }
            ViewBlock {
                heading: heading.to_owned(),
                subject: Some(name.to_owned()),
                lines,
            }
        });
        blocks.collect()
    }
}

/// A word as a shell takes it.
fn quoted(word: &Value) -> Option<String> {
    let word = word.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    Some(match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    })
}
