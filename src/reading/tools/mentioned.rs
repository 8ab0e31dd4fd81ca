//! What the string arguments of a tool that agp does not know could stand for: denies and requires about paths,
//! hosts and commands look at these as well.

use serde_json::Value;

use super::super::atoms::{Atom, AtomKind, Source};
use super::super::{hosts, paths};
use super::facts::Facts;
use crate::contracts::limits;

/// Names of arguments whose text could be a command: whole, or a part.
const COMMANDS: [&str; 8] = [
    "command", "cmd", "script", "shell", "exec", "run", "bash", "argv",
];

/// Adds the atoms of every string argument, at any depth. A path that is named is itself, never all below it:
/// every `.` in an argument would be the whole repository.
pub(super) fn add(facts: &mut Facts<'_>) {
    // Values that are still to be looked at, with whether their name is one of a command's.
    let mut rest: Vec<(&Value, bool)> = Vec::new();
    for (name, value) in facts.args.iter().rev() {
        rest.push((value, is_command(name)));
    }
    let mut atoms: Vec<Atom> = Vec::new();
    while let Some((value, command)) = rest.pop() {
        if atoms.len() >= limits::CALL_ATOMS {
            facts.unread("it has more arguments than are read");
            break;
        }
        match value {
            Value::String(text) => mentions(facts, text, command, &mut atoms),
            Value::Array(items) => {
                let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                if let Some(words) = words.filter(|words| command && !words.is_empty()) {
                    let words = words
                        .iter()
                        .map(|word| format!("'{}'", word.replace('\'', "'\\''")));
                    let text: Vec<String> = words.collect();
                    run(facts, &text.join(" "), &mut atoms);
                }
                rest.extend(items.iter().rev().map(|item| (item, command)));
            }
            Value::Object(map) => {
                let members = map.iter().rev();
                rest.extend(members.map(|(name, value)| (value, command || is_command(name))));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let by = facts.reading.mentioned.len();
    facts
        .reading
        .mentioned
        .extend(atoms.into_iter().map(|mut atom| {
            atom.program = atom.program.map(|program| program + by);
            atom
        }));
}

fn is_command(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    COMMANDS.iter().any(|command| name.contains(command))
}

fn mentions(facts: &Facts<'_>, text: &str, command: bool, atoms: &mut Vec<Atom>) {
    let mut atom = |kind: AtomKind| {
        atoms.push(Atom {
            kind,
            program: None,
            source: Source::Tool,
            dangers: Vec::new(),
        });
    };
    let bare = text.trim();
    let url = bare.contains("://");
    if url {
        atom(AtomKind::Host(hosts::host(bare)));
    }
    // `file:///etc/passwd` is a path, too.
    let local = bare
        .get(.."file://".len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://"));
    let path = match local {
        true => bare.get("file://".len()..).unwrap_or(""),
        false => text,
    };
    let lines = text.contains(['\n', '\r']);
    if !bare.is_empty() && !lines && (local || !url) && text.len() <= paths::PATH_BYTES {
        for place in facts.places_of(path) {
            atom(AtomKind::Read(place.clone()));
            atom(AtomKind::Write(place));
        }
        if !url && is_host(bare) {
            atom(AtomKind::Host(hosts::host(bare)));
        }
    }
    if command && !bare.is_empty() {
        run(facts, text, atoms);
    }
}

/// The atoms of a command, behind those that are there.
fn run(facts: &Facts<'_>, text: &str, atoms: &mut Vec<Atom>) {
    let by = atoms.len();
    atoms.extend(facts.could_run(text).into_iter().map(|mut atom| {
        atom.program = atom.program.map(|program| program + by);
        atom
    }));
}

/// Whether a text without a scheme looks like a host: `example.com`, `10.0.0.1:80`, `git@github.com:o/r`.
fn is_host(text: &str) -> bool {
    let Some(name) = hosts::host(text).name else {
        return false;
    };
    name == "localhost" || name.contains('.') && !name.ends_with('.') || name.contains(':')
}
