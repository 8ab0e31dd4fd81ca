//! Builtins of bash: those that touch nothing outside of the shell make no atoms.

use super::Walker;
use super::expand::is_name;
use super::places;
use super::positional::Positional;
use super::simple::shown;
use super::state::{Dirs, Value};
use super::stream::Stream;
use super::task::Task;
use crate::contracts::limits;
use crate::reading::word::{Piece, Word};

/// Builtins whose arguments assign.
pub(super) const DECLARES: &[&str] = &["declare", "export", "local", "readonly", "typeset"];
/// Builtins that touch nothing outside of the shell, and run nothing, whatever their arguments.
const QUIET: &[&str] = &[
    ":", "true", "false", "pwd", "wait", "jobs", "fg", "bg", "disown", "times", "type", "umask",
    "ulimit", "shift", "break", "continue", "caller", "dirs", "help", "logout", "suspend",
    "unalias", "complete", "compopt",
];
/// Words of the shell's own syntax.
const RESERVED: &[&str] = &[
    "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do",
    "done", "in", "function", "time", "coproc",
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
    "failglob",
    "extglob",
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
            "wait" => self.wait(arguments),
            "let" => {
                arguments.iter().for_each(|word| self.arithmetic_word(word));
            }
            "test" | "[" => self.test_builtin(arguments),
            "trap" => self.trap(arguments),
            "alias" => self.alias(arguments),
            "hash" | "enable" | "bind" | "fc" | "compgen" => self.unless_plain(name, arguments),
            "history" => self.history(arguments),
            "deactivate" if self.activated && self.path.is_none() && arguments.is_empty() => {}
            _ if QUIET.contains(&name) => {}
            _ => return false,
        }
        if prints(name, arguments) {
            written = Stream::default();
        }
        self.leaf(written);
        true
    }

    /// These can load, name or run something; without options or operands that do, they say something.
    pub(super) fn unless_plain(&mut self, name: &str, arguments: &[Word]) {
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

    /// `alias NAME=TEXT` matters where a command of that name follows.
    fn alias(&mut self, arguments: &[Word]) {
        // A loop or a function may have the command in front of it.
        let again = |task: &Task| {
            matches!(
                task,
                Task::Loop(_) | Task::Again(_) | Task::Bind { .. } | Task::Return { .. }
            )
        };
        self.spend(self.tasks.len());
        let plain = self.tasks.len() <= limits::INNER_SHELLS && !self.tasks.iter().any(again);
        for word in arguments {
            let Some(text) = word.known() else {
                return self.unread("alias gives names another meaning".to_owned());
            };
            let Some((name, _)) = text.split_once('=') else {
                continue;
            };
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let simple = !name.is_empty() && name.bytes().all(letters);
            if !plain || !simple || RESERVED.contains(&name) {
                return self.unread("alias gives names another meaning".to_owned());
            }
            self.aliases.insert(name.to_owned());
        }
    }

    fn is_status(&self, word: &Word) -> bool {
        matches!(word.pieces.as_slice(), [Piece::Unknown | Piece::Below])
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

    fn set_options(&mut self, arguments: &[Word]) {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.known() else {
                break;
            };
            if text == "--" || text == "-" {
                let rest: Vec<Word> = words.cloned().collect();
                self.state.set_positional(Some(Positional::of(rest)));
                return;
            }
            let Some(letters) = text.strip_prefix(['-', '+']) else {
                let mut rest = vec![word.clone()];
                rest.extend(words.cloned());
                self.state.set_positional(Some(Positional::of(rest)));
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
        let rest = match (self.state.positional(), count) {
            (Some(words), Some(count)) => {
                self.spend(count.min(words.words().len()));
                words.shift(count)
            }
            _ => None,
        };
        self.state.set_positional(rest);
    }

    fn read_into(&mut self, name: &str, arguments: &[Word]) {
        if name != "getopts" {
            self.feed.used.set(true);
        }
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
        self.read_listing(name, arguments, &names);
    }

    /// `wait -p NAME` puts a number into a variable.
    fn wait(&mut self, arguments: &[Word]) {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.known() else {
                // A number, which is a process's, is no option.
                let number = word.pieces.iter().all(|piece| *piece == Piece::Below);
                if !number && maybe(word, "-p") {
                    self.unread("wait may set any variable".to_owned());
                }
                continue;
            };
            let Some((_, name)) = text.strip_prefix('-').and_then(|text| text.split_once('p'))
            else {
                continue;
            };
            match name {
                "" => self.names(words.next().map_or(&[], std::slice::from_ref)),
                name => self.names(&[Word::text(name)]),
            }
        }
    }

    /// `read f`, `mapfile -t files` from a listing: paths of it.
    fn read_listing(&mut self, builtin: &str, arguments: &[Word], names: &[Word]) {
        let plain = |word: &Word| {
            let known = ["-r", "-d", "", "-t", "-d ", "-rd", "\n", "\0"];
            word.known().is_some_and(|text| known.contains(&text)) || names.contains(word)
        };
        let name = names
            .first()
            .and_then(Word::known)
            .filter(|name| is_name(name));
        let listing = self.feed.listing.clone();
        let ([_], Some(name), Some([word])) = (names, name, listing.as_deref().map(Vec::as_slice))
        else {
            return;
        };
        if !arguments.iter().all(plain) || super::environment::effect(name).is_some() {
            return;
        }
        let value = match builtin {
            "read" => Value::Known {
                word: word.clone(),
                whole: true,
            },
            "mapfile" | "readarray" if arguments.iter().any(|word| word.known() == Some("-t")) => {
                Value::List(vec![word.clone()])
            }
            _ => return,
        };
        self.set_variable(name, value);
    }

    /// Variables of these names get what nobody knows.
    pub(super) fn names(&mut self, words: &[Word]) {
        for word in words {
            match word.known() {
                Some(name) if is_name(name) => {
                    self.set_with_effects(name, Value::Any);
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
            Some(text) => {
                let ends = |signal: &Word| matches!(signal.known(), Some("EXIT" | "0"));
                if text.contains('=') && !signals.iter().all(ends) {
                    self.unread("a trap can set a variable before any command".to_owned());
                }
                self.traps.push(text.to_owned());
            }
            None => self.unread("trap runs what is not known".to_owned()),
        }
    }
}

/// Whether a builtin, other than those whose output is known, may print something.
fn prints(name: &str, arguments: &[Word]) -> bool {
    let option = |word: &Word, text: &str| word.known().is_none_or(|word| word.starts_with(text));
    match name {
        "echo" | "printf" | "pwd" | ":" | "true" | "false" | "disown" | "break" | "continue"
        | "exit" | "return" | "shift" | "unset" | "read" | "mapfile" | "readarray" | "getopts"
        | "let" | "test" | "[" | "unalias" => false,
        "cd" => arguments.iter().any(|word| option(word, "-")),
        "set" => arguments.is_empty() || arguments.iter().any(|word| word.known().is_none()),
        "trap" | "export" | "declare" | "typeset" | "local" | "readonly" => {
            arguments.is_empty() || arguments.iter().any(|word| option(word, "-"))
        }
        _ => true,
    }
}

/// Whether a word could be this text.
pub(super) fn maybe(word: &Word, text: &str) -> bool {
    match word.known() {
        Some(known) => known == text,
        None => text.starts_with(word.beginning()),
    }
}
