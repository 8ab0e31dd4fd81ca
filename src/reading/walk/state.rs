//! What a shell has in mind while its commands are read: variables, functions, directories. Every change is
//! noted, so that a subshell's are taken back and a branch's joined with what was before it.

use std::collections::HashMap;
use std::rc::Rc;

use super::BYTES_A_STEP;
use super::positional::Positional;
use crate::contracts::limits;
use crate::reading::word::{Piece, Word};
use crate::shell::ast::NodeId;

/// One directory that a command may be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dir {
    /// This one.
    At(String),
    /// One whose name is not known, below this one.
    Below(String),
}

/// The directories that a command may be in; `None` where nobody knows. None at all: the command is not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dirs(pub(super) Option<Rc<Vec<Dir>>>);

impl Dirs {
    pub(super) fn at(directory: &str) -> Self {
        Self::of(Dir::At(directory.to_owned()))
    }

    pub(super) fn of(dir: Dir) -> Self {
        Self(Some(Rc::new(vec![dir])))
    }

    pub(super) fn unknown() -> Self {
        Self(None)
    }

    pub(super) fn unreached() -> Self {
        Self(Some(Rc::default()))
    }

    pub(super) fn is_reached(&self) -> bool {
        self.0.as_ref().is_none_or(|dirs| !dirs.is_empty())
    }

    /// The directories of either.
    pub(super) fn or(mut self, other: &Self) -> Self {
        let (Some(dirs), Some(others)) = (&mut self.0, &other.0) else {
            return Self::unknown();
        };
        if Rc::ptr_eq(dirs, others) {
            return self;
        }
        for other in others.iter() {
            if !dirs.contains(other) {
                Rc::make_mut(dirs).push(other.clone());
            }
        }
        if dirs.len() > limits::DIRECTORIES {
            return Self::unknown();
        }
        self
    }

    /// The one directory where there is one.
    pub(super) fn one(&self) -> Option<&Dir> {
        match self.0.as_deref().map(Vec::as_slice) {
            Some([dir]) => Some(dir),
            _ => None,
        }
    }

    /// All of them by name; empty where one of them is not known.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dir in self.0.iter().flat_map(|dirs| dirs.iter()) {
            match dir {
                Dir::At(name) => names.push(name.clone()),
                Dir::Below(_) => return Vec::new(),
            }
        }
        names
    }
}

/// What a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// This word; with `whole` it is one word outside of quotes, too.
    Known {
        /// Without [`Piece::Fields`].
        word: Word,
        /// Does not split, and is no pattern.
        whole: bool,
    },
    /// The elements of an array.
    List(Vec<Word>),
    /// Decimal digits.
    Number,
    /// Anything.
    Any,
    /// Nothing for certain.
    Unset,
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Known {
            word: Word::text(text),
            whole: false,
        }
    }

    /// Of what one word says.
    pub(super) fn of(word: Word) -> Self {
        if word.pieces == [Piece::Unknown] || word.pieces.contains(&Piece::Fields) {
            return Self::Any;
        }
        Self::Known { word, whole: false }
    }

    /// What a copy costs, in steps.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Known { word, .. } => word.beginning().len() / BYTES_A_STEP,
            Self::List(words) => 2 * words.len(),
            Self::Number | Self::Any | Self::Unset => 0,
        }
    }

    /// Its text where it is one and all of it is known.
    pub(super) fn known(&self) -> Option<&str> {
        match self {
            Self::Known { word, .. } => word.known(),
            _ => None,
        }
    }

    /// Whether arithmetic runs nothing because of it.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::Number | Self::Unset => true,
            other => other
                .known()
                .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit())),
        }
    }

    fn or(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        if self.is_number() && other.is_number() && *self != Self::Unset && *other != Self::Unset {
            return Self::Number;
        }
        Self::Any
    }
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) value: Value,
    /// Programs get it.
    pub(super) exported: bool,
    /// An associative array: its subscripts are no arithmetic.
    pub(super) map: bool,
}

/// A function's body: a script and a node in it. `None`: there may be no such function.
pub(super) type Body = Option<(usize, NodeId)>;

#[derive(Debug)]
enum Change {
    Variable(String, Option<Variable>),
    Function(String, Option<Vec<Body>>),
    Positional(Option<Positional>),
}

/// A place in the notes of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(usize);

/// Variables and functions.
#[derive(Debug, Default)]
pub(super) struct State {
    variables: HashMap<String, Variable>,
    functions: HashMap<String, Vec<Body>>,
    /// `$1` and so on; `None` where nobody knows.
    positional: Option<Positional>,
    changes: Vec<Change>,
    /// How often each variable was assigned in all.
    assigned: HashMap<String, usize>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            positional: Some(Positional::default()),
            ..Self::default()
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    pub(super) fn set(&mut self, name: &str, variable: Variable) {
        *self.assigned.entry(name.to_owned()).or_default() += 1;
        let old = self.variables.insert(name.to_owned(), variable);
        self.changes.push(Change::Variable(name.to_owned(), old));
    }

    /// Gives a variable a value, and leaves the rest of it.
    pub(super) fn assign(&mut self, name: &str, value: Value) {
        let old = self.variables.get(name);
        let variable = Variable {
            value,
            exported: old.is_some_and(|old| old.exported),
            map: old.is_some_and(|old| old.map),
        };
        self.set(name, variable);
    }

    /// Back to what it was, or to nothing that was said of it.
    pub(super) fn put_back(&mut self, name: &str, old: Option<Variable>) {
        let now = match old {
            Some(old) => self.variables.insert(name.to_owned(), old),
            None => self.variables.remove(name),
        };
        self.changes.push(Change::Variable(name.to_owned(), now));
    }

    /// Whether the text assigned any variable so far, here or in a subshell.
    pub(super) fn has_assigned(&self) -> bool {
        !self.assigned.is_empty()
    }

    /// Whether a variable was assigned more than once in the whole text.
    pub(super) fn changes_often(&self, name: &str) -> bool {
        self.assigned.get(name).is_some_and(|times| *times > 1)
    }

    /// Names of all variables that were assigned.
    pub(super) fn names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    pub(super) fn function(&self, name: &str) -> Option<&Vec<Body>> {
        self.functions.get(name)
    }

    pub(super) fn define(&mut self, name: &str, bodies: Option<Vec<Body>>) {
        let old = match bodies {
            Some(bodies) => self.functions.insert(name.to_owned(), bodies),
            None => self.functions.remove(name),
        };
        self.changes.push(Change::Function(name.to_owned(), old));
    }

    pub(super) fn forget_functions(&mut self) {
        let names: Vec<String> = self.functions.keys().cloned().collect();
        for name in names {
            self.define(&name, None);
        }
    }

    pub(super) fn positional(&self) -> Option<&Positional> {
        self.positional.as_ref()
    }

    pub(super) fn set_positional(&mut self, now: Option<Positional>) -> Option<Positional> {
        let old = std::mem::replace(&mut self.positional, now);
        self.changes.push(Change::Positional(old.clone()));
        old
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.changes.len())
    }

    /// How many changes were noted since.
    pub(super) fn changes_since(&self, mark: Mark) -> usize {
        self.changes.len().saturating_sub(mark.0)
    }

    /// Takes all back that was changed since: the end of a subshell.
    pub(super) fn undo(&mut self, mark: Mark) {
        while self.changes.len() > mark.0 {
            match self.changes.pop() {
                Some(Change::Variable(name, Some(old))) => {
                    self.variables.insert(name, old);
                }
                Some(Change::Variable(name, None)) => {
                    self.variables.remove(&name);
                }
                Some(Change::Function(name, Some(old))) => {
                    self.functions.insert(name, old);
                }
                Some(Change::Function(name, None)) => {
                    self.functions.remove(&name);
                }
                Some(Change::Positional(old)) => self.positional = old,
                None => return,
            }
        }
    }

    /// What was changed since may not have been. Says whether anything is less known than it was at the mark.
    pub(super) fn join(&mut self, mark: Mark) -> bool {
        let mut variables: HashMap<String, Option<Variable>> = HashMap::new();
        let mut functions: HashMap<String, Option<Vec<Body>>> = HashMap::new();
        let mut positional = None;
        for change in self.changes.get(mark.0..).unwrap_or_default() {
            match change {
                Change::Variable(name, old) => {
                    variables.entry(name.clone()).or_insert_with(|| old.clone());
                }
                Change::Function(name, old) => {
                    functions.entry(name.clone()).or_insert_with(|| old.clone());
                }
                Change::Positional(old) => {
                    positional.get_or_insert_with(|| old.clone());
                }
            }
        }
        let mut wider = false;
        for (name, old) in variables {
            let now = self.variables.get(&name).cloned();
            if now == old {
                continue;
            }
            let any = |variable: &Option<Variable>| {
                variable
                    .as_ref()
                    .map_or(Value::Any, |variable| variable.value.clone())
            };
            let value = any(&old).or(&any(&now));
            let joined = Variable {
                value,
                exported: [&old, &now]
                    .iter()
                    .any(|of| of.as_ref().is_some_and(|of| of.exported)),
                map: [&old, &now]
                    .iter()
                    .all(|of| of.as_ref().is_some_and(|of| of.map)),
            };
            // Unknown before and unknown now is no change.
            let before = old.unwrap_or(Variable {
                value: Value::Any,
                exported: joined.exported,
                map: joined.map,
            });
            wider |= before != joined;
            if now.as_ref() != Some(&joined) {
                self.set(&name, joined);
            }
        }
        for (name, old) in functions {
            let now = self.functions.get(&name).cloned();
            if now == old {
                continue;
            }
            wider = true;
            let mut both = old.unwrap_or_else(|| vec![None]);
            for body in now.unwrap_or_else(|| vec![None]) {
                if !both.contains(&body) {
                    both.push(body);
                }
            }
            self.define(&name, Some(both));
        }
        if let Some(old) = positional
            && old != self.positional
        {
            wider |= old.is_some();
            self.set_positional(None);
        }
        wider
    }
}
