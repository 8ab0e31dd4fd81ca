//! Expansions of words (Bash manual, 3.5), as far as their values are known.

use super::fields::Fields;
use super::positional::At;
use super::state::{Dir, Value};
use super::stream::Stream;
use super::{BYTES_A_STEP, Walker};
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{self, Operation, Parameter, Part};

/// `${a:-${b:-...}}` within each other whose values are followed; deeper ones are not known.
const NESTED: usize = 8;
/// Parameters whose value bash makes of digits.
const NUMBERS: &[&str] = &[
    "#",
    "?",
    "$",
    "!",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "LINENO",
    "UID",
    "EUID",
    "BASHPID",
    "EPOCHSECONDS",
    "COLUMNS",
    "LINES",
];

impl Walker<'_> {
    /// Words that a word becomes.
    pub(super) fn expand(&mut self, word: &ast::Word) -> Vec<Word> {
        let mut fields = Fields::new(false);
        self.expand_into(word, &mut fields, 0);
        fields.into_words()
    }

    /// The one word that it becomes in an assignment, a redirection or a here-document.
    pub(super) fn expand_single(&mut self, word: &ast::Word) -> Word {
        let mut fields = Fields::new(true);
        self.expand_into(word, &mut fields, 0);
        fields.into_word()
    }

    fn expand_into(&mut self, word: &ast::Word, fields: &mut Fields, depth: usize) {
        for part in &word.parts {
            // Values multiply: what they make is counted, and beyond the bound nothing more is made.
            let made = fields.bytes();
            if self.is_spent() {
                fields.unquoted();
                return;
            }
            match part {
                Part::Literal(text) | Part::Quoted(text) => fields.text(text),
                Part::Glob(pattern) => fields.glob(pattern),
                Part::Tilde(user) => self.tilde(user, fields),
                Part::Parameter { parameter, quoted } => {
                    self.parameter(parameter, *quoted, fields, depth);
                }
                Part::Command { body, quoted } => {
                    let stream = match body {
                        Some(body) => self.results.get(&(self.script, body.0)).cloned(),
                        None => Some(Stream::of(Word::default())),
                    };
                    if let Some(stream) = &stream {
                        self.taint.taint(stream);
                    }
                    substitute(&stream.unwrap_or_default(), *quoted, self.ifs, fields);
                }
                Part::Process { body } => {
                    let stream =
                        body.and_then(|body| self.results.get(&(self.script, body.0)).cloned());
                    self.processes.push(stream.unwrap_or_default());
                    // bash counts down from 63. What it is called is no file's name.
                    let number = 63_usize.saturating_sub(self.processes.len() - 1);
                    fields.text(&format!("/dev/fd/{number}"));
                }
                Part::Arithmetic { expression, .. } => {
                    self.arithmetic(expression);
                    fields.below();
                }
            }
            self.spend(1 + fields.bytes().saturating_sub(made) / BYTES_A_STEP);
        }
    }

    fn tilde(&mut self, user: &str, fields: &mut Fields) {
        let name = match user {
            "" => "HOME",
            "+" => "PWD",
            _ => {
                // Another user's home: no option begins with it, but where it lies nobody knows.
                fields.unknown();
                return;
            }
        };
        match self.lookup(name) {
            Value::Known { word, .. } => fields.whole(&word),
            _ => fields.unknown(),
        }
    }

    /// What a parameter holds.
    pub(super) fn lookup(&self, name: &str) -> Value {
        if NUMBERS.contains(&name) {
            return Value::Number;
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.positional(name);
        }
        if let Some(variable) = self.state.variable(name) {
            self.spend(variable.value.size());
            return variable.value.clone();
        }
        match name {
            "PWD" => match self.dirs.one() {
                Some(Dir::At(dir)) => Value::text(dir.clone()),
                Some(Dir::Below(dir)) => Value::Known {
                    word: Word {
                        pieces: vec![Piece::Text(format!("{dir}/")), Piece::Below],
                    },
                    whole: true,
                },
                None => Value::Any,
            },
            "HOME" if !self.at.home.is_empty() => Value::text(self.at.home.clone()),
            "TMPDIR" if !self.at.temporary.is_empty() => Value::text(self.at.temporary.clone()),
            "PATH" if !self.at.path.is_empty() => {
                let dirs: Vec<&str> = self.at.path.iter().map(|(dir, _)| dir.as_str()).collect();
                Value::text(dirs.join(":"))
            }
            _ => Value::Any,
        }
    }

    fn positional(&self, name: &str) -> Value {
        let Ok(number) = name.parse::<usize>() else {
            return Value::Any;
        };
        let (1.., Some(words)) = (number, self.state.positional()) else {
            return Value::Any;
        };
        match words.at(number) {
            At::Word(word) => Value::of(word.clone()),
            At::Unset => Value::Unset,
            At::Any => Value::Any,
        }
    }

    fn parameter(&mut self, of: &Parameter, quoted: bool, fields: &mut Fields, depth: usize) {
        if let Some(from) = self.tainted.get(&of.name) {
            self.taint.taint(from);
        }
        self.taint.key |= self.gives_key(of);
        self.taint.parent |= of.name == "PPID";
        let value = self.value(of).unwrap_or(Value::Any);
        let empty = value.known() == Some("");
        let unset = value == Value::Unset;
        let set = matches!(&value, Value::Known { .. } | Value::List(_) | Value::Number) && !empty;
        match &of.operation {
            Operation::Plain => self.put(of, value, quoted, fields),
            Operation::Length => fields.below(),
            Operation::Default(_) | Operation::Assign(_) | Operation::Error(_) if set => {
                self.put(of, value, quoted, fields);
            }
            Operation::Default(word) if unset && depth < NESTED => {
                self.other_word(word, quoted, fields, depth);
            }
            Operation::Alternative(word) if set && depth < NESTED => {
                self.other_word(word, quoted, fields, depth);
            }
            Operation::Alternative(_) if unset => {
                if quoted {
                    fields.text("");
                }
            }
            // `${f##*/}` of names that were matched.
            Operation::Edit(pattern)
                if quoted && literal(pattern).is_some_and(|text| text == "*/") && stays(&value) =>
            {
                fields.below();
            }
            Operation::Substring(word) => {
                self.arithmetic(word);
                unknown(quoted, fields);
            }
            Operation::Transform(letter) => {
                let runs = value
                    .known()
                    .is_none_or(|text| text.contains(['$', '`', '\\']));
                if *letter == 'P' && runs {
                    self.unread(format!("${{{}@P}} runs what its value names", of.name));
                }
                unknown(quoted, fields);
            }
            _ => unknown(quoted, fields),
        }
    }

    fn other_word(&mut self, word: &ast::Word, quoted: bool, fields: &mut Fields, depth: usize) {
        if quoted {
            let mut inner = Fields::new(true);
            self.expand_into(word, &mut inner, depth + 1);
            fields.whole(&inner.into_word());
        } else {
            self.expand_into(word, fields, depth + 1);
        }
    }

    /// The value of a parameter before its operation; `None` where nobody knows.
    fn value(&mut self, of: &Parameter) -> Option<Value> {
        let elements = of.subscript.as_ref().is_some_and(is_all);
        if of.indirect {
            // `${!name[@]}` and `${!prefix@}` give names.
            if elements || of.name.ends_with(['@', '*']) {
                return None;
            }
            let named = self.lookup(&of.name).known().map(str::to_owned);
            return match named {
                Some(name) if is_name(&name) => Some(self.lookup(&name)),
                _ => {
                    self.unread(format!("${{!{}}} reads what its value names", of.name));
                    None
                }
            };
        }
        if matches!(of.name.as_str(), "@" | "*") {
            return self
                .state
                .positional()
                .map(|words| Value::List(words.words().to_vec()));
        }
        let value = self.lookup(&of.name);
        if let Some(subscript) = &of.subscript {
            let map = self
                .state
                .variable(&of.name)
                .is_some_and(|variable| variable.map);
            if elements {
                return matches!(value, Value::List(_)).then_some(value);
            }
            if !map {
                self.arithmetic(subscript);
            }
            // The shell sets it anew behind each pipeline.
            let set = self.state.variable(&of.name).is_some();
            return (of.name == "PIPESTATUS" && !set).then_some(Value::Number);
        }
        match value {
            // `$array` is its first element.
            Value::List(words) => words.into_iter().next().map(Value::of),
            Value::Any => None,
            value => Some(value),
        }
    }

    fn put(&mut self, of: &Parameter, value: Value, quoted: bool, fields: &mut Fields) {
        match value {
            Value::Known { word, whole } if quoted || whole => fields.whole(&word),
            Value::Known { .. } if self.ifs => fields.unquoted(),
            Value::Known { word, .. } => fields.split(&word),
            Value::Number => fields.below(),
            Value::Unset if quoted => fields.text(""),
            Value::Unset => {}
            Value::Any => unknown(quoted, fields),
            Value::List(words) => {
                self.spend(2 * words.len());
                let joined = of.name == "*"
                    || of
                        .subscript
                        .as_ref()
                        .and_then(literal)
                        .is_some_and(|of| of == "*");
                if quoted && joined {
                    return fields.unknown();
                }
                for (position, word) in words.iter().enumerate() {
                    if position > 0 {
                        fields.end();
                    }
                    match quoted {
                        true => fields.whole(word),
                        false if self.ifs => fields.unquoted(),
                        false => fields.split(word),
                    }
                }
            }
        }
    }
}

fn unknown(quoted: bool, fields: &mut Fields) {
    if quoted {
        fields.unknown();
    } else {
        fields.unquoted();
    }
}

fn substitute(stream: &Stream, quoted: bool, ifs: bool, fields: &mut Fields) {
    if stream.number {
        return fields.below();
    }
    if let Some(text) = &stream.text {
        return match quoted || stream.whole {
            true => fields.whole(text),
            false if ifs => fields.unquoted(),
            false => fields.split(text),
        };
    }
    if let Some(listing) = &stream.listing
        && !quoted
        && (!fields.is_single() || listing.len() == 1)
    {
        for (position, word) in listing.iter().enumerate() {
            if position > 0 {
                fields.end();
            }
            fields.whole(word);
        }
        return;
    }
    unknown(quoted, fields);
}

/// Whether no part of a value can be `..`.
fn stays(value: &Value) -> bool {
    matches!(value, Value::Known { word, .. } if super::places::stays(word))
}

/// The text of a word that has nothing to expand.
pub(super) fn literal(word: &ast::Word) -> Option<String> {
    let mut text = String::new();
    for part in &word.parts {
        match part {
            Part::Literal(part) | Part::Quoted(part) | Part::Glob(part) => text.push_str(part),
            _ => return None,
        }
    }
    Some(text)
}

fn is_all(subscript: &ast::Word) -> bool {
    literal(subscript).is_some_and(|text| text == "@" || text == "*")
}

/// Whether a text is a shell name.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(plain)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}
