//! Keys of the environment that a command prints.

use super::Walker;
use super::state::Value;
use super::stream::Stream;
use crate::reading::atoms::{Category, Danger, Set};
use crate::reading::word::Word;
use crate::shell::ast::{Operation, Parameter};

/// Ends of the names of variables that hold keys.
const ENDS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIALS",
];

/// Parameters that a function gets, or `set`.
pub(super) const POSITIONAL: &[&str] = &["@", "*", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

impl Walker<'_> {
    /// Whether an expansion gives a key of the environment, or a part of it.
    pub(super) fn gives_key(&self, of: &Parameter) -> bool {
        // How long it is, or whether it is set, is not it.
        if matches!(of.operation, Operation::Length | Operation::Alternative(_)) {
            return false;
        }
        let named = match of.indirect {
            true => match self.lookup(&of.name).known() {
                Some(name) => name.to_owned(),
                None => return false,
            },
            false => of.name.clone(),
        };
        match self.state.variable(&named).map(|of| &of.value) {
            None => is_key(&named.to_ascii_uppercase()),
            Some(Value::Any) => is_key(&named),
            Some(_) => false,
        }
    }

    /// Variables get their values from where those come from that the command at hand expands.
    pub(super) fn hand_taint_to<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        if self.taint == Stream::default() {
            return;
        }
        for name in names {
            let from = self.tainted.entry(name.to_owned()).or_default();
            from.taint(&self.taint);
        }
    }

    /// What a builtin of these words gives to variables.
    pub(super) fn builtin_taints(&mut self, name: &str, words: &[Word]) {
        let names = words.iter().skip(1).map(|word| {
            let text = word.beginning();
            text.split(['=', '+']).next().unwrap_or_default()
        });
        match name {
            "set" => self.hand_taint_to(POSITIONAL.iter().copied()),
            "read" | "mapfile" | "readarray" => {
                let before = self.taint.clone();
                let feed = self.feed.clone();
                self.taint.taint(&feed);
                self.hand_taint_to(names.chain(["REPLY", "MAPFILE"]));
                self.taint = before;
            }
            "printf" | "export" | "readonly" | "declare" | "typeset" | "local" => {
                self.hand_taint_to(names);
            }
            _ => {}
        }
    }

    /// What a builtin prints.
    pub(super) fn printed_keys(&self, name: &str, words: &[Word]) -> Vec<Danger> {
        let arguments = words.get(1..).unwrap_or_default();
        let prints = match name {
            "echo" | "printf" => self.taint.key,
            // All that there is.
            "set" => arguments.is_empty(),
            "export" | "readonly" | "declare" | "typeset" => lists_key(arguments),
            _ => false,
        };
        prints.then(prints_key).into_iter().collect()
    }

    /// What a program prints of its words or its input.
    pub(super) fn printed_by(&self, name: &str, words: &[Word], sets: &[Set]) -> Option<Danger> {
        let name = name.rsplit('/').next().unwrap_or_default();
        let quiet = || {
            let is = |word: &Word| matches!(word.known(), Some("-q" | "--quiet" | "--silent"));
            name == "wc" || words.iter().any(is)
        };
        let prints = match name {
            "echo" | "printf" => self.taint.key,
            "tee" => self.feed.key,
            _ => self.feed.key && sets.contains(&Set::Reads) && !quiet(),
        };
        prints.then(prints_key)
    }
}

/// Whether `declare` with these arguments prints variables, and a key may be one of them.
fn lists_key(arguments: &[Word]) -> bool {
    let option = |word: &&Word| {
        word.known()
            .is_some_and(|text| text.starts_with(['-', '+']))
    };
    let has = |letters: &[char]| {
        let mut options = arguments.iter().take_while(option).filter_map(Word::known);
        options.any(|text| !text.starts_with("--") && text.contains(letters))
    };
    if has(&['f', 'F']) {
        return false;
    }
    let mut names = arguments.iter().skip_while(option).peekable();
    if names.peek().is_none() {
        return true;
    }
    let key = |word: &Word| {
        word.known()
            .is_none_or(|name| is_key(&name.to_ascii_uppercase()))
    };
    has(&['p']) && names.any(key)
}

fn is_key(name: &str) -> bool {
    ENDS.iter().any(|end| name.ends_with(end))
}

fn prints_key() -> Danger {
    Danger {
        category: Category::Credentials,
        why: "prints a key of the environment".to_owned(),
    }
}
