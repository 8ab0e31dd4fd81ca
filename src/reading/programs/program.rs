//! A program's words are read: the table, then the program's own reader.

use crate::reading::atoms::{CodeClass, Role, Set};
use crate::reading::word::Word;

use super::classify::{self, display};
use super::parse;
use super::table::TABLE;
use super::{Context, Invocation, UseKind};

/// Directories of which the system's owner says what is in them. Confined, a session cannot write there; else that it
/// writes there is a question of its own.
const SYSTEM_DIRECTORIES: [&str; 8] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/snap/bin",
];

/// Reads what a program would do with its words, the program first. `words` should not be empty, and the first one known:
/// of another nothing is said but that its code is unknown.
#[must_use]
pub fn read(words: &[Word], context: &dyn Context) -> Invocation {
    let Some((first, rest)) = words.split_first() else {
        return Invocation::default();
    };
    let Some(path) = first.known() else {
        return unknown(first, rest);
    };
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (Some(directory), name),
        None => (None, path),
    };
    let elsewhere = directory.is_some_and(|directory| !SYSTEM_DIRECTORIES.contains(&directory));
    let mut made = match TABLE.program(name) {
        Some(entry) => {
            let parsed = parse::parse(&TABLE, entry, words);
            let mut made = classify::classify(&parsed, context);
            // The subcommand's reader first: the program's speaks about what is left.
            let subcommands = parsed.entry.reader;
            let programs = entry.reader.filter(|_| parsed.entry.name != entry.name);
            for reader in [subcommands, programs].into_iter().flatten() {
                reader(&parsed, context, &mut made);
            }
            made
        }
        None if elsewhere => Invocation {
            roles: roles(rest),
            ..Invocation::default()
        },
        None => unknown(first, rest),
    };
    // It prints that and ends, whatever else it can do.
    let version = matches!(rest, [only] if only.known() == Some("--version"));
    let harmless = made.uses.is_empty() && made.hands_on.is_empty() && !made.sets.is_empty();
    if version && !harmless && made.entry.is_some() && !MAKES_WORDS.contains(&name) {
        made = Invocation {
            entry: made.entry,
            roles: vec![Role::Program, Role::Harmless],
            sets: vec![Set::Reads],
            ..Invocation::default()
        };
    }
    if elsewhere {
        // A file of that name, whatever it is.
        made.push(UseKind::Script(first.clone()), Some(0), true);
        made.sets = vec![Set::Build];
    }
    made
}

/// Programs for which `--version` is a word as any other.
const MAKES_WORDS: &[&str] = &[
    "eval", "exec", "command", "test", "[", ".", "source", "trap", "alias",
];

/// A program that is not in the table.
fn unknown(first: &Word, rest: &[Word]) -> Invocation {
    let mut made = Invocation {
        roles: roles(rest),
        ..Invocation::default()
    };
    made.code(CodeClass::Unknown, display(first), None, false);
    made
}

/// Every option of an unknown program may turn it.
fn roles(rest: &[Word]) -> Vec<Role> {
    let role = |word: &Word| match parse::may_be_option(word) {
        true => Role::Turning,
        false => Role::Operand,
    };
    std::iter::once(Role::Program)
        .chain(rest.iter().map(role))
        .collect()
}
