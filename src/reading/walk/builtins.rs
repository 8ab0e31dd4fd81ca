//! Builtins of bash: those that touch nothing outside of the shell make no atoms.

use super::Walker;
use super::expand::is_name;
use super::places;
use super::simple::shown;
use super::state::{Dirs, Value, Variable};
use super::stream::Stream;
use super::task::Task;
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{self, Part};

/// Builtins whose arguments assign.
pub(super) const DECLARES: &[&str] = &["declare", "export", "local", "readonly", "typeset"];
/// Builtins that touch nothing outside of the shell, and run nothing, whatever their arguments.
const QUIET: &[&str] = &[
    ":", "true", "false", "pwd", "wait", "jobs", "fg", "bg", "disown", "times", "type", "umask",
    "ulimit", "shift", "break", "continue", "caller", "dirs", "help", "history", "logout",
    "suspend", "unalias", "complete", "compopt",
];
/// `set -o` and `set -e`, which only change when the shell stops or what it says.
const SET_LETTERS: &str = "abefhmnrtuvxCEHT";
const SET_NAMES: &[&str] = &[
    "allexport",
    "errexit",
    "errtrace",
    "functrace",
    "noclobber",
    "noglob",
    "nounset",
    "pipefail",
    "verbose",
    "xtrace",
    "monitor",
    "notify",
    "ignoreeof",
    "emacs",
    "vi",
    "hashall",
    "nolog",
];
/// `shopt`s that only change what patterns match, or what the shell says.
const SHOPTS: &[&str] = &[
    "globstar",
    "nullglob",
    "dotglob",
    "failglob",
    "extglob",
    "nocaseglob",
    "nocasematch",
    "inherit_errexit",
    "checkwinsize",
    "cmdhist",
    "histappend",
    "huponexit",
    "globasciiranges",
    "checkhash",
    "checkjobs",
];
/// Operators of `[[` that read their operands as arithmetic.
const COMPARES: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

impl Walker<'_> {
    /// Runs a builtin, where the name is one that starts no program. Says whether it was.
    pub(super) fn builtin(&mut self, name: &str, words: &[Word]) -> bool {
        let arguments = words.get(1..).unwrap_or_default();
        let mut written = Stream::of(Word::default());
        match name {
            "echo" => written = self.echo(arguments),
            "printf" => {
                if arguments.first().and_then(Word::known) == Some("-v") {
                    self.names(arguments.get(1..2).unwrap_or_default());
                } else if arguments.first().is_some_and(|word| maybe(word, "-v")) {
                    self.unread("printf may set any variable".to_owned());
                }
                written = self.printf(arguments);
            }
            "pwd" => written = self.pwd(),
            "cd" | "pushd" | "popd" => self.change_directory(name, arguments),
            "exit" => {
                let plain = match arguments {
                    [] => true,
                    [status] => self.is_status(status),
                    _ => false,
                };
                if plain {
                    self.ok = Dirs::unreached();
                    self.failed = Dirs::unreached();
                }
            }
            "return" | "break" | "continue" => self.returned = true,
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                self.declare(name, arguments);
            }
            "unset" => self.unset(arguments),
            "set" => self.set_options(arguments),
            "shopt" => self.shopt(arguments),
            "shift" => self.shift(arguments),
            "read" | "mapfile" | "readarray" | "getopts" => self.read_into(name, arguments),
            "let" => {
                arguments.iter().for_each(|word| self.arithmetic_word(word));
            }
            "test" | "[" => self.test_builtin(arguments),
            "trap" => self.trap(arguments),
            "alias" => {
                if arguments
                    .iter()
                    .any(|word| word.known().is_none_or(|text| text.contains('=')))
                {
                    self.unread("alias gives names another meaning".to_owned());
                }
            }
            "hash" | "enable" | "bind" | "fc" | "compgen" => self.unless_plain(name, arguments),
            "history" if arguments.iter().any(|word| maybe(word, "-p")) => {
                self.unless_plain(name, arguments);
            }
            _ if QUIET.contains(&name) => {}
            _ => return false,
        }
        self.leaf(written);
        true
    }

    /// These can load, name or run something; without options or operands that do, they say something.
    fn unless_plain(&mut self, name: &str, arguments: &[Word]) {
        let plain = match name {
            "hash" => &["-r"][..],
            "compgen" => &["-A", "-a", "-b", "-c", "-k", "-v", "function"][..],
            _ => &[][..],
        };
        let known = |word: &Word| word.known().is_some_and(|text| plain.contains(&text));
        if !arguments.iter().all(known) {
            self.unread(format!("{name} can change which program a name runs"));
        }
    }

    fn is_status(&self, word: &Word) -> bool {
        word.pieces == [Piece::Unknown]
            || word
                .known()
                .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn change_directory(&mut self, name: &str, arguments: &[Word]) {
        let mut logical = true;
        let mut target = None;
        let mut options = true;
        for word in arguments {
            match word.known() {
                Some("-P") if options => logical = false,
                Some("-L" | "-e" | "-@") if options => {}
                Some("-n") if options && name != "cd" => return self.nowhere(),
                Some("--") if options => options = false,
                _ if word.splits() && target.is_none() => target = Some(word),
                _ if target.is_none() => target = Some(word),
                // `cd a b` fails.
                _ => return self.nowhere(),
            }
        }
        self.moved = true;
        let from = self.dirs.clone();
        let to = match target.map(|word| (word, word.known())) {
            // Whichever directory was left by `pushd`.
            _ if name == "popd" => self.pushed.clone(),
            None if name == "pushd" => self.pushed.clone(),
            None => match self.lookup("HOME") {
                Value::Known { word, .. } => places::directories(&word, &self.dirs, logical),
                _ => Dirs::unknown(),
            },
            Some((_, Some("-"))) => self.previous.clone(),
            // `pushd +1`, `pushd -1`.
            Some((_, Some(text))) if name == "pushd" && text.starts_with(['+', '-']) => {
                Dirs::unknown()
            }
            Some((word, _)) if self.state.variable("CDPATH").is_none() => {
                places::directories(word, &self.dirs, logical)
            }
            Some(_) => Dirs::unknown(),
        };
        let to = match to.is_reached() {
            true => to,
            false => Dirs::unknown(),
        };
        if name == "pushd" {
            self.pushed = self.pushed.clone().or(&from);
        }
        self.previous = from.clone();
        self.ok = to;
        self.failed = from;
        // `PWD=x` held until now.
        if self.state.variable("PWD").is_some() {
            self.state.put_back("PWD", None);
        }
    }

    fn nowhere(&mut self) {
        self.moved = true;
        self.ok = Dirs::unknown();
        self.failed = self.dirs.clone();
    }

    fn declare(&mut self, name: &str, arguments: &[Word]) {
        let mut exports = name == "export";
        let mut integer = false;
        let mut map = false;
        let mut global = false;
        let mut functions = false;
        let mut options = true;
        for word in arguments {
            if let (true, Some(text)) = (options, word.known()) {
                if text == "--" {
                    options = false;
                    continue;
                }
                if let Some(letters) = text.strip_prefix(['-', '+']) {
                    for letter in letters.chars() {
                        match letter {
                            'x' => exports = true,
                            'i' => integer = true,
                            'A' => map = true,
                            'g' => global = true,
                            'f' | 'F' => functions = true,
                            'n' if name == "export" => {}
                            'a' | 'r' | 'p' | 't' => {}
                            _ => {
                                self.unread(format!("{name} {text} changes what a name stands for"))
                            }
                        }
                    }
                    continue;
                }
            }
            options = false;
            if functions {
                self.functions_exported |= exports;
                continue;
            }
            self.declare_one(name, word, exports, integer, map, global);
        }
    }

    fn declare_one(
        &mut self,
        builtin: &str,
        word: &Word,
        exports: bool,
        integer: bool,
        map: bool,
        global: bool,
    ) {
        let beginning = word.beginning().to_owned();
        let (name, value) = match beginning.split_once('=') {
            Some((name, rest)) => {
                let mut pieces = vec![Piece::Text(rest.to_owned())];
                pieces.extend(word.pieces.iter().skip(1).cloned());
                pieces.retain(|piece| *piece != Piece::Text(String::new()));
                (name, Some(Word { pieces }))
            }
            None if word.known().is_some() => (beginning.as_str(), None),
            None => ("", None),
        };
        let (name, append) = match name.strip_suffix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_name(name) {
            return self.unread(format!("{builtin} sets what `{}` names", shown(word)));
        }
        let old = self.state.variable(name).cloned();
        let local = builtin == "local"
            || (!global && matches!(builtin, "declare" | "typeset") && !self.locals.is_empty());
        if local && let Some(locals) = self.locals.last_mut() {
            locals.entry(name.to_owned()).or_insert_with(|| old.clone());
        }
        if let Some(word) = value {
            self.no_secret_in(&word);
            let mut value = match append || word.pieces.contains(&Piece::Fields) {
                true => Value::Any,
                false => Value::of(word.clone()),
            };
            if integer {
                self.arithmetic_word(&word);
                value = Value::Number;
            }
            // `declare -a x=(a b)` as text.
            if word.beginning().starts_with('(') {
                value = Value::Any;
            }
            let effects = self.effects(name, &value);
            for (kind, dangers) in effects {
                self.push(
                    kind,
                    None,
                    crate::reading::atoms::Source::Environment,
                    dangers,
                );
            }
            self.set_variable(name, value);
        } else if integer || local {
            self.set_variable(name, if integer { Value::Number } else { Value::Any });
        }
        if map {
            let variable = Variable {
                value: Value::Any,
                exported: false,
                map: true,
            };
            self.state.set(name, variable);
        }
        if exports {
            let value = self.lookup(name);
            let effects = match old.is_some() {
                true => self.effects(name, &value),
                false => Vec::new(),
            };
            for (kind, dangers) in effects {
                self.push(
                    kind,
                    None,
                    crate::reading::atoms::Source::Environment,
                    dangers,
                );
            }
            self.export(name);
        }
    }

    fn unset(&mut self, arguments: &[Word]) {
        let mut functions = false;
        for word in arguments {
            match word.known().map(str::to_owned) {
                Some(text) if text == "-f" => functions = true,
                Some(text) if text == "-v" => {}
                Some(name) if is_name(&name) => {
                    if functions || self.state.function(&name).is_some() {
                        self.state.define(&name, None);
                    }
                    if !functions {
                        if super::environment::effect(&name).is_some() && name != "IFS" {
                            self.path = None;
                        }
                        self.set_variable(&name, Value::Any);
                        self.state.assign(&name, Value::Unset);
                    }
                }
                Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {}
                _ => self.unread(format!("unset takes `{}` apart", shown(word))),
            }
        }
    }

    fn set_options(&mut self, arguments: &[Word]) {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.known() else {
                break;
            };
            if text == "--" || text == "-" {
                let rest: Vec<Word> = words.cloned().collect();
                self.state.set_positional(Some(rest));
                return;
            }
            let Some(letters) = text.strip_prefix(['-', '+']) else {
                let mut rest = vec![word.clone()];
                rest.extend(words.cloned());
                self.state.set_positional(Some(rest));
                return;
            };
            for letter in letters.chars() {
                match letter {
                    'o' => match words.next().map(|word| word.known()) {
                        Some(Some(name)) if SET_NAMES.contains(&name) => {
                            self.all_exported |= name == "allexport";
                        }
                        None => {}
                        _ => self.unread("set changes how the shell reads".to_owned()),
                    },
                    'a' => self.all_exported = true,
                    letter if SET_LETTERS.contains(letter) => {}
                    _ => self.unread(format!("set {text} changes how the shell reads")),
                }
            }
        }
        if arguments.iter().any(|word| word.known().is_none()) {
            // Options, or what `$1` is.
            self.unread("set takes options that are not known".to_owned());
            self.state.set_positional(None);
        }
    }

    fn shopt(&mut self, arguments: &[Word]) {
        for word in arguments {
            match word.known() {
                Some("-s" | "-u" | "-q" | "-p" | "-o") => {}
                Some(name) if SHOPTS.contains(&name) || SET_NAMES.contains(&name) => {}
                _ => self.unread(format!("shopt {} changes how the shell reads", shown(word))),
            }
        }
    }

    fn shift(&mut self, arguments: &[Word]) {
        let count = match arguments {
            [] => Some(1),
            [count] => count.known().and_then(|text| text.parse::<usize>().ok()),
            _ => None,
        };
        let words = self.state.positional().map(<[Word]>::to_vec);
        let rest = match (words, count) {
            (Some(words), Some(count)) if !words.iter().take(count).any(Word::splits) => {
                Some(words.into_iter().skip(count).collect())
            }
            _ => None,
        };
        self.state.set_positional(rest);
    }

    fn read_into(&mut self, name: &str, arguments: &[Word]) {
        let mut names = Vec::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.known() else {
                return self.unread(format!("{name} sets what `{}` names", shown(word)));
            };
            if let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                let valued = match name {
                    "read" => "adinNptu",
                    "getopts" => "",
                    _ => "dnOsuCc",
                };
                if name != "read" && letters.contains('C') {
                    self.unread(format!("{name} -C runs a command"));
                }
                let position = letters.find(|letter| valued.contains(letter));
                if let Some(position) = position {
                    let rest = letters.get(position + 1..).unwrap_or_default();
                    let array = letters
                        .get(position..)
                        .is_some_and(|rest| rest.starts_with('a'));
                    let value = match rest.is_empty() {
                        true => words.next().cloned(),
                        false => Some(Word::text(rest)),
                    };
                    if array {
                        names.extend(value);
                    }
                }
                continue;
            }
            names.push(word.clone());
        }
        if name == "getopts" {
            names = names.into_iter().skip(1).take(1).collect();
        }
        if names.is_empty() {
            let name = if name == "read" { "REPLY" } else { "MAPFILE" };
            self.state.assign(name, Value::Any);
        }
        self.names(&names);
    }

    /// Variables of these names get what nobody knows.
    fn names(&mut self, words: &[Word]) {
        for word in words {
            match word.known() {
                Some(name) if is_name(name) => {
                    let name = name.to_owned();
                    let effects = self.effects(&name, &Value::Any);
                    for (kind, dangers) in effects {
                        self.push(
                            kind,
                            None,
                            crate::reading::atoms::Source::Environment,
                            dangers,
                        );
                    }
                    self.set_variable(&name, Value::Any);
                }
                _ => self.unread(format!("`{}` is no name of a variable", shown(word))),
            }
        }
    }

    fn trap(&mut self, arguments: &[Word]) {
        let arguments = match arguments.first().and_then(Word::known) {
            Some("--") => arguments.get(1..).unwrap_or_default(),
            Some(text) if text.starts_with("-p") || text.starts_with("-l") => return,
            _ => arguments,
        };
        let Some((action, signals)) = arguments.split_first() else {
            return;
        };
        match action.known() {
            Some("" | "-") => {}
            // `trap SIGNAL` resets one.
            Some(_) if signals.is_empty() => {}
            Some(text) => self.traps.push(text.to_owned()),
            None => self.unread("trap runs what is not known".to_owned()),
        }
    }

    /// `test` and `[`: `-v` reads a subscript as arithmetic.
    fn test_builtin(&mut self, arguments: &[Word]) {
        let mut words = arguments.iter().peekable();
        let mut first = true;
        while let Some(word) = words.next() {
            if word.pieces.contains(&Piece::Fields) {
                self.unread("a value that is not quoted can be an operator of `[`".to_owned());
                return;
            }
            if word.known() == Some("-v")
                && let Some(name) = words.peek()
                && !name
                    .known()
                    .is_some_and(|name| is_name(name) || name == "]")
            {
                self.unread("`test -v` runs what stands in a subscript".to_owned());
            }
            // `[ "$a" "$b" ]`.
            let operand = words.peek().and_then(|word| word.known());
            let alone =
                first && arguments.len() == 3 && operand.is_some_and(|text| !text.contains('['));
            if word.known().is_none()
                && maybe(word, "-v")
                && words.len() > 0
                && operand != Some("]")
                && !alone
            {
                let binary = operand.is_some_and(is_binary);
                if !binary {
                    self.unread(
                        "a value can be `-v`, which runs what stands in a subscript".to_owned(),
                    );
                }
            }
            first = false;
        }
    }

    /// `[[ ... ]]`.
    pub(super) fn test_command(&mut self, words: &[ast::Word]) {
        let operator = |word: Option<&ast::Word>| match word.map(|word| word.parts.as_slice()) {
            Some([Part::Literal(text)]) => Some(text.clone()),
            _ => None,
        };
        for (position, word) in words.iter().enumerate() {
            let before = position.checked_sub(1).and_then(|at| words.get(at));
            let Some(operator) = operator(Some(word)) else {
                continue;
            };
            if operator == "-v"
                && let Some(name) = words.get(position + 1)
            {
                let name = self.expand_single(name);
                if !name.known().is_some_and(is_name) {
                    self.unread("`[[ -v` runs what stands in a subscript".to_owned());
                }
            }
            if COMPARES.contains(&operator.as_str()) {
                for operand in before.into_iter().chain(words.get(position + 1)) {
                    self.arithmetic(operand);
                }
            }
        }
        for word in words {
            self.expand_single(word);
        }
    }
}

fn is_binary(text: &str) -> bool {
    COMPARES.contains(&text)
        || matches!(text, "=" | "==" | "!=" | "<" | ">" | "-nt" | "-ot" | "-ef")
}

/// Whether a word could be this text.
pub(super) fn maybe(word: &Word, text: &str) -> bool {
    match word.known() {
        Some(known) => known == text,
        None => text.starts_with(word.beginning()),
    }
}
