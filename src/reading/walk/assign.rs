//! Assignments (Bash manual, 3.4), and what those to some variables run.

use std::rc::Rc;

use super::environment::{self, Effect};
use super::scripts::Reader;
use super::simple::{Prepared, shown};
use super::start::{Kind, Start};
use super::state::{Value, Variable};
use super::stream::Stream;
use super::task::Task;
use super::{BASH, Walker, places};
use crate::contracts::limits;
use crate::reading::atoms::{AtomKind, Category, Code, CodeClass, Danger, PathText, Place, Source};
use crate::reading::hosts;
use crate::reading::paths;
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{self, Assignment};
use crate::shell::quote;

impl Walker<'_> {
    /// An assignment before a command, or alone.
    pub(super) fn assignment(&mut self, of: &Assignment, prepared: &mut Prepared) {
        let before = std::mem::take(&mut self.taint);
        let value = match &of.value {
            ast::Value::Scalar(word) => {
                let listed = self.plain_result(word);
                let number = self.is_number_word(word);
                let word = self.expand_single(word);
                self.no_secret_in(&word);
                match (number, listed, Value::of(word)) {
                    (true, ..) => Value::Number,
                    (_, true, Value::Known { word, .. }) => Value::Known { word, whole: true },
                    (_, _, value) => value,
                }
            }
            ast::Value::Array(words) => {
                let words: Vec<Word> = words.iter().flat_map(|word| self.expand(word)).collect();
                words.iter().for_each(|word| self.no_secret_in(word));
                self.subscripts(&of.name, &words);
                match words.iter().any(Word::splits) {
                    true => Value::Any,
                    false => Value::List(words),
                }
            }
        };
        let from = std::mem::replace(&mut self.taint, before);
        if from != Stream::default() {
            self.tainted.insert(of.name.clone(), from);
        }
        if let Some(subscript) = &of.subscript {
            let map = self.state.variable(&of.name).is_some_and(|of| of.map);
            if !map {
                self.arithmetic(subscript);
            }
        }
        if prepared.before.is_none() {
            prepared.before = Some((self.path.clone(), self.ifs));
        }
        let old = self.state.variable(&of.name).cloned();
        let whole = of.subscript.is_none();
        let value = match (of.append, whole, value) {
            (false, true, value) => value,
            (true, true, value) => self.appended(&of.name, value),
            (_, false, _) => Value::Any,
        };
        let effects = self.effects(&of.name, &value);
        prepared.environment.extend(effects);
        self.set_variable(&of.name, value);
        prepared.temporary.push((of.name.clone(), old));
        if !prepared.words.is_empty() {
            // It is in the command's environment.
            self.export(&of.name);
        }
    }

    /// `a=([x]=1)`: unless the array is a map, a subscript is arithmetic.
    fn subscripts(&mut self, name: &str, words: &[Word]) {
        if self.state.variable(name).is_some_and(|of| of.map) {
            return;
        }
        for word in words {
            let (Some(Piece::Text(text)) | Some(Piece::Glob(text))) = word.pieces.first() else {
                continue;
            };
            let subscript = text.strip_prefix('[').and_then(|text| text.split_once(']'));
            if let Some((subscript, _)) = subscript {
                self.arithmetic_word(&Word::text(subscript));
            }
        }
    }

    /// Whether a word is a substitution whose words are known to be whole.
    fn plain_result(&self, word: &ast::Word) -> bool {
        let [
            ast::Part::Command {
                body: Some(body), ..
            },
        ] = word.parts.as_slice()
        else {
            return false;
        };
        let stream = self.results.get(&(self.script, body.0));
        stream.is_some_and(|stream| {
            stream.whole
                || stream
                    .listing
                    .as_ref()
                    .is_some_and(|words| words.len() == 1)
        })
    }

    fn is_number_word(&mut self, word: &ast::Word) -> bool {
        super::expand::literal(word).is_none() && self.is_number(word)
    }

    fn appended(&self, name: &str, value: Value) -> Value {
        let old = self.lookup(name);
        match (old, value) {
            (Value::Known { word, .. }, Value::Known { word: more, .. }) => {
                let mut pieces = word.pieces;
                for piece in more.pieces {
                    match (pieces.last_mut(), piece) {
                        (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
                        (_, piece) => pieces.push(piece),
                    }
                }
                Value::of(Word { pieces })
            }
            (Value::List(mut words), Value::List(more)) => {
                words.extend(more);
                Value::List(words)
            }
            _ => Value::Any,
        }
    }

    /// Gives a variable a value, whatever else that does.
    pub(super) fn set_variable(&mut self, name: &str, value: Value) {
        let value = match value {
            // Bash evaluates what is assigned to it, and that can assign, too.
            Value::Known { word, .. } if self.integers.contains(name) => {
                self.arithmetic_word(&word);
                Value::Number
            }
            Value::Any | Value::List(_) if self.integers.contains(name) => {
                self.unread_arithmetic("a value that is not known");
                Value::Number
            }
            value => value,
        };
        self.state.assign(name, value);
        if self.all_exported {
            self.export(name);
        }
    }

    pub(super) fn export(&mut self, name: &str) {
        let old = self.state.variable(name).cloned();
        let value = self.lookup(name);
        if old.as_ref().is_some_and(|old| old.exported) || (old.is_none() && value == Value::Any) {
            return;
        }
        let map = old.is_some_and(|old| old.map);
        let exported = Variable {
            value,
            exported: true,
            map,
        };
        self.state.set(name, exported);
    }

    /// Something else than an assignment sets a variable: what that does besides is done.
    pub(super) fn set_with_effects(&mut self, name: &str, value: Value) {
        // Which value decides nothing: no such variable is set so by anybody who means well.
        for (kind, dangers) in self.effects(name, &Value::Any) {
            self.push(kind, None, Source::Environment, dangers);
        }
        self.set_variable(name, value);
    }

    /// What setting a variable does besides.
    pub(super) fn effects(&mut self, name: &str, value: &Value) -> Vec<(AtomKind, Vec<Danger>)> {
        let Some(effect) = environment::effect(name) else {
            return Vec::new();
        };
        let known = value.known().map(str::to_owned);
        if known
            .as_deref()
            .is_some_and(|value| environment::is_tame(name, effect, value))
        {
            return Vec::new();
        }
        let code = |class: CodeClass| {
            let what = match value {
                Value::Known { word, .. } => format!("{name}={}", shown(word)),
                _ => format!("{name}=…"),
            };
            AtomKind::Code(Code { class, what })
        };
        let inline = match known {
            Some(_) => CodeClass::Inline,
            None => CodeClass::Unknown,
        };
        match effect {
            Effect::Command => {
                if let Some(command) = known
                    .as_deref()
                    .and_then(|value| environment::command(name, value))
                {
                    self.tasks.push(Task::Start(Box::new(Start {
                        kind: Kind::Shell {
                            text: Word::text(command),
                            arguments: Vec::new(),
                            shell: "sh".to_owned(),
                        },
                        depth: 1,
                        ..Start::of(Vec::new())
                    })));
                }
                vec![(code(inline), Vec::new())]
            }
            Effect::Configuration | Effect::Host => {
                if let Some(host) = registry(name, known.as_deref()) {
                    return vec![host];
                }
                if effect == Effect::Host {
                    let host = hosts::host(known.as_deref().unwrap_or(" "));
                    return vec![(AtomKind::Host(host), Vec::new())];
                }
                vec![(code(inline), Vec::new())]
            }
            Effect::File => {
                let Value::Known { word, .. } = value else {
                    return vec![(code(CodeClass::Unknown), Vec::new())];
                };
                let mut class = CodeClass::Repo;
                for word in entries(word) {
                    for place in places::places(&word, &self.dirs) {
                        class = class.max(self.class_of(&place));
                    }
                }
                vec![(code(class), Vec::new())]
            }
            Effect::Shell => {
                if let ("BASH_ENV" | "ENV", Some(file)) = (name, &known) {
                    let word = Word::text(file.clone());
                    let places = places::places(&word, &self.dirs);
                    self.reads_first(file, &places);
                    let classes = places.iter().map(|place| self.class_of(place));
                    let class = classes.max().unwrap_or(CodeClass::Unknown);
                    // What the shell says of its lines is in its errors.
                    let read = places.iter().cloned().map(Place::at).map(AtomKind::Read);
                    let atoms = read.chain([code(class)]);
                    return atoms.map(|atom| (atom, Vec::new())).collect();
                }
                self.unread(format!("{name} changes what the shell runs"));
                Vec::new()
            }
            Effect::Path => {
                self.set_path(known.as_deref());
                Vec::new()
            }
            Effect::Separators => {
                self.ifs = true;
                Vec::new()
            }
        }
    }

    /// Another shell begins with a file: what this session has put into it is read.
    fn reads_first(&mut self, file: &str, places: &[PathText]) {
        for place in places {
            if let PathText::Known(path) = place {
                self.note_ran(&paths::normal(path), Reader::Shell(BASH));
            }
        }
        let inline = |place: &PathText| self.class_of(place) == CodeClass::Inline;
        if places.iter().any(inline) {
            // A name without `/` would be looked up.
            let file = match file.contains('/') {
                true => quote(file),
                false => quote(&format!("./{file}")),
            };
            self.tasks.push(Task::Start(Box::new(Start {
                kind: Kind::Shell {
                    text: Word::text(format!(". {file}")),
                    arguments: Vec::new(),
                    shell: BASH.to_owned(),
                },
                depth: 1,
                ..Start::of(Vec::new())
            })));
        }
    }

    fn set_path(&mut self, value: Option<&str>) {
        let Some(value) = value else {
            self.unread(
                "PATH is set to what is not known: any program could be another".to_owned(),
            );
            return;
        };
        let mut path: Vec<(String, bool)> = Vec::new();
        for name in value.split(':') {
            if path.len() >= limits::PATH_DIRECTORIES {
                self.unread("PATH has more directories than are read".to_owned());
                break;
            }
            let known = self.at.path.iter().find(|(dir, _)| dir == name);
            let system = SYSTEM.contains(&name);
            match known {
                Some(known) => path.push(known.clone()),
                None if name.starts_with('/') => path.push((paths::normal(name), !system)),
                // Relative to wherever the shell is.
                None => path.push((self.relative(name), true)),
            }
        }
        self.path = Some(Rc::new(path));
    }

    fn relative(&self, name: &str) -> String {
        let places = places::places(&Word::text(name), &self.dirs);
        match places.as_slice() {
            [PathText::Known(path)] => paths::normal(path),
            _ => name.to_owned(),
        }
    }
}

/// Directories that only the system's owner writes.
const SYSTEM: &[&str] = &[
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
];

/// A registry of packages, or an index, that a variable sets.
fn registry(name: &str, value: Option<&str>) -> Option<(AtomKind, Vec<Danger>)> {
    let lower = name.to_ascii_lowercase();
    let names = ["registry", "index", "goproxy", "find_links", "mirror"];
    if !names.iter().any(|part| lower.contains(part)) {
        return None;
    }
    let danger = Danger {
        category: Category::SupplyChain,
        why: format!("takes packages from where {name} says"),
    };
    Some((
        AtomKind::Host(hosts::host(value.unwrap_or(" "))),
        vec![danger],
    ))
}

/// The entries of a list of paths.
fn entries(word: &Word) -> Vec<Word> {
    match word.known() {
        Some(text) => text
            .split(':')
            .filter(|entry| !entry.is_empty())
            .map(Word::text)
            .collect(),
        None => vec![word.clone()],
    }
}
