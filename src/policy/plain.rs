//! A call of which only its tool and one plain command are known: for callers that do not read calls yet.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Conditions, Policy, shell_words};
use crate::contracts::call::Actor;
use crate::contracts::verdict::Verdict;
use crate::reading::atoms::{Atom, AtomKind, Found, Program, Reading, Role, Source};
use crate::reading::disk::NoDisk;
use crate::reading::surroundings::Surroundings;
use crate::reading::word::Word;

impl Policy {
    /// Decides a call of `tool` by `actor` of which nothing else is known.
    pub fn decide(&self, tool: &str, actor: Actor) -> Verdict {
        self.decide_using(tool, actor, &BTreeSet::new(), None)
    }

    /// The same for a call that asks for these secrets, and has this argument `command`.
    pub fn decide_using(
        &self,
        tool: &str,
        actor: Actor,
        secrets: &BTreeSet<String>,
        command: Option<&str>,
    ) -> Verdict {
        let mut args = Map::new();
        if let Some(command) = command {
            args.insert("command".to_owned(), json!(command));
        }
        let reading = read(tool, &args);
        let around = Surroundings::default();
        let at = Conditions {
            tool,
            args: &args,
            actor,
            around: &around,
            directory: None,
            branch: None,
            confined: false,
            today: None,
            secrets,
            memory: None,
            disk: &NoDisk,
        };
        self.judge(&reading, &at).verdict
    }
}

/// One program of plain words, or unread.
fn read(tool: &str, args: &Map<String, Value>) -> Reading {
    let shell = matches!(tool, "Bash" | "Monitor");
    let command = args.get("command").and_then(Value::as_str);
    let words = command.filter(|_| shell).and_then(shell_words::words);
    let mut reading = Reading::default();
    let kind = match words {
        Some(words) => {
            let role = |at| match at {
                0 => Role::Program,
                _ => Role::Operand,
            };
            AtomKind::Program(Box::new(Program {
                roles: (0..words.len()).map(role).collect(),
                words: words.into_iter().map(Word::text).collect(),
                entry: None,
                sets: Vec::new(),
                directories: Vec::new(),
                open_ended: false,
                found: Found::Path,
            }))
        }
        None => {
            if shell {
                reading
                    .unread
                    .push("the command is not one program and its plain words".to_owned());
            }
            AtomKind::Use
        }
    };
    reading.atoms.push(Atom {
        kind,
        program: None,
        source: Source::Tool,
        dangers: Vec::new(),
    });
    reading
}
