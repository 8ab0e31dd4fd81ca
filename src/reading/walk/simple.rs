//! Simple commands: assignments, words, redirections (Bash manual, 3.7.1).

use std::rc::Rc;

use super::Walker;
use super::compound::node_of;
use super::made::Contents;
use super::positional::Positional;
use super::start::Start;
use super::state::{Value, Variable};
use super::stream::Stream;
use super::task::{SearchPath, Task};
use crate::contracts::limits;
use crate::reading::atoms::{AtomKind, Danger, PathText, Source};
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{self, NodeId, Script, Simple};

/// A simple command whose words and redirections have been expanded.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) node: Option<NodeId>,
    pub(super) words: Vec<Word>,
    /// What its redirections do.
    pub(super) redirections: Vec<(AtomKind, Vec<Danger>)>,
    /// What its assignments do.
    pub(super) environment: Vec<(AtomKind, Vec<Danger>)>,
    /// Its standard input, where it is redirected.
    pub(super) input: Option<Stream>,
    /// It has one redirection, `< file`.
    pub(super) is_file: bool,
    /// Files that its standard output goes to.
    pub(super) output: Option<Vec<PathText>>,
    /// Adds to them.
    pub(super) appends: bool,
    /// Files that something of what it writes may go to.
    pub(super) others: Vec<PathText>,
    /// How many commands had written before it.
    pub(super) leaves: usize,
    /// The input of the commands behind it.
    pub(super) outer: Option<Rc<Stream>>,
    /// Variables that are set for it alone, with what they were.
    pub(super) temporary: Vec<(String, Option<Variable>)>,
    /// The first program of the command around it.
    pub(super) around: Option<usize>,
    /// Where the values come from that it expands.
    pub(super) taint: Stream,
    /// Its process substitutions.
    pub(super) processes: Vec<Stream>,
    /// PATH and IFS before it.
    pub(super) before: Option<(SearchPath, bool)>,
}

impl Walker<'_> {
    pub(super) fn simple(&mut self, node: NodeId, simple: &Simple) {
        self.processes.clear();
        self.taint = Stream::default();
        let mut prepared = self.redirected(node, &simple.redirections);
        let declares = simple
            .words
            .first()
            .and_then(super::expand::literal)
            .is_some_and(|name| super::builtins::DECLARES.contains(&name.as_str()));
        for word in &simple.words {
            if declares {
                // `export A=$b`: no word is split that assigns.
                let expanded = match assigns(word) {
                    true => vec![self.expand_single(word)],
                    false => self.expand(word),
                };
                prepared.words.extend(expanded);
            } else {
                let expanded = self.expand(word);
                prepared.words.extend(expanded);
            }
        }
        self.spend(prepared.words.len());
        if prepared.words.len() > limits::COMMAND_WORDS {
            self.unread("a program has more words than are read".to_owned());
            prepared.words.truncate(limits::COMMAND_WORDS);
        }
        // Commands in its assignments have their own.
        prepared.taint = std::mem::take(&mut self.taint);
        prepared.processes = std::mem::take(&mut self.processes);
        if simple.assignments.is_empty() {
            self.begin(prepared);
        } else {
            self.tasks.push(Task::Assign {
                prepared: Box::new(prepared),
                next: 0,
            });
        }
    }

    pub(super) fn assign_next(
        &mut self,
        script: &Rc<Script>,
        prepared: Box<Prepared>,
        next: usize,
    ) {
        let assignments = prepared.node.and_then(|node| assignments(script, node));
        let Some(assignment) = assignments.and_then(|of| of.get(next)) else {
            return self.begin(*prepared);
        };
        let words: Vec<&ast::Word> = match &assignment.value {
            ast::Value::Scalar(word) => vec![word],
            ast::Value::Array(words) => words.iter().collect(),
        };
        let words = words.into_iter().chain(&assignment.subscript);
        self.substitutions_first(words, Task::Assigned { prepared, next });
    }

    pub(super) fn assigned(
        &mut self,
        script: &Rc<Script>,
        mut prepared: Box<Prepared>,
        next: usize,
    ) {
        let assignments = prepared.node.and_then(|node| assignments(script, node));
        if let Some(assignment) = assignments.and_then(|of| of.get(next)) {
            self.assignment(assignment, &mut prepared);
        }
        self.tasks.push(Task::Assign {
            prepared,
            next: next + 1,
        });
    }

    /// Starts what the words say, and comes back to [`Self::done`].
    fn begin(&mut self, mut prepared: Prepared) {
        let words = std::mem::take(&mut prepared.words);
        self.taint = std::mem::take(&mut prepared.taint);
        self.processes = std::mem::take(&mut prepared.processes);
        prepared.around = self.first_program.take();
        let nothing = words.is_empty();
        if nothing {
            // `> f`, `A=b`: the values stay.
            prepared.temporary.clear();
            prepared.before = None;
        }
        let exec = matches!(words.as_slice(), [word] if word.known() == Some("exec"))
            && self.state.function("exec").is_none();
        let mut written = Stream::of(Word::default());
        if let Some(input) = prepared.input.take() {
            if nothing {
                // `$(< file)` is the file's text.
                written = match prepared.is_file {
                    true => input.clone(),
                    false => Stream::tainted_by(&input),
                };
            }
            let outer = std::mem::replace(&mut self.feed, Rc::new(input));
            if !exec {
                prepared.outer = Some(outer);
            }
        }
        if exec {
            // Whatever follows writes there.
            let output = prepared.output.take();
            prepared.others.extend(output.unwrap_or_default());
        }
        if nothing || exec {
            self.leaf(written);
            self.stay();
            return self.done(prepared, false);
        }
        self.tasks.push(Task::Done(Box::new(prepared)));
        self.dispatch(words);
    }

    /// Whatever the first word names: a function, a builtin, a program.
    fn dispatch(&mut self, words: Vec<Word>) {
        let Some(name) = words.first().and_then(Word::known).map(str::to_owned) else {
            self.leaf(Stream::tainted_by(&self.feed.clone()));
            self.unknown_program(&words);
            return self.stay();
        };
        self.not_aliased(&name);
        if let Some(bodies) = self.state.function(&name).cloned() {
            return self.call(&bodies, &words);
        }
        self.command_word(&name, words);
    }

    /// A command, or a function that is defined: its name has no other meaning.
    pub(super) fn not_aliased(&mut self, name: &str) {
        if self.aliases.contains(name) {
            self.unread(format!("alias gives {name} another meaning"));
        }
    }

    /// A builtin or a program: no function.
    pub(super) fn command_word(&mut self, name: &str, words: Vec<Word>) {
        self.stay();
        if self.builtin(name, &words) {
            self.builtin_taints(name, &words);
            let dangers = self.printed_keys(name, &words);
            self.mention_builtin(&words, dangers);
            words.iter().for_each(|word| self.no_secret_in(word));
            return;
        }
        self.tasks.push(Task::Start(Box::new(Start::of(words))));
    }

    /// Nobody knows what runs.
    pub(super) fn unknown_program(&mut self, words: &[Word]) {
        let text = words.first().map(shown).unwrap_or_default();
        self.unread(format!("`{text}` is known only when the command runs"));
        // Denies look at what is known of it.
        self.push_program(words, None);
    }

    /// A function is called.
    fn call(&mut self, bodies: &[super::state::Body], words: &[Word]) {
        if self.calls >= limits::INNER_SHELLS {
            self.unread("functions call each other deeper than is read".to_owned());
            return self.stay();
        }
        self.calls += 1;
        self.hand_taint_to(super::keys::POSITIONAL.iter().copied());
        self.locals.push(std::collections::BTreeMap::new());
        let arguments: Vec<Word> = words.iter().skip(1).cloned().collect();
        let mark = self.state.mark();
        let positional = self.state.set_positional(Some(Positional::of(arguments)));
        self.tasks.push(Task::Return {
            positional,
            script: self.script,
            mark,
            returned: self.returned,
        });
        self.returned = false;
        let one = bodies.len() == 1;
        for body in bodies.iter().rev() {
            if !one {
                self.tasks.push(Task::Join(mark));
            }
            match body {
                Some((script, node)) => {
                    self.tasks.push(Task::BackTo(self.script));
                    self.tasks.push(Task::Visit(*node));
                    self.tasks.push(Task::BackTo(*script));
                }
                // It may be no function at all.
                None => self
                    .tasks
                    .push(Task::Start(Box::new(Start::of(words.to_vec())))),
            }
        }
    }

    pub(super) fn end_call(
        &mut self,
        positional: Option<Positional>,
        script: usize,
        mark: super::state::Mark,
        returned: bool,
    ) {
        self.script = script;
        self.calls = self.calls.saturating_sub(1);
        self.state.set_positional(positional);
        for (name, old) in self.locals.pop().unwrap_or_default() {
            self.state.put_back(&name, old);
        }
        if self.returned {
            // What stands behind `return` may not have run.
            self.join(mark);
        }
        self.returned = returned;
    }

    /// The end of a simple command, or of one with redirections.
    pub(super) fn done(&mut self, prepared: Prepared, compound: bool) {
        let program = match compound {
            true => None,
            false => self.first_program,
        };
        if !compound {
            self.first_program = prepared.around;
        }
        for (kind, dangers) in prepared.environment {
            self.push(kind, program, Source::Environment, dangers);
        }
        let mut network = self.product.network.clone();
        if let Some(places) = prepared.output {
            let product = std::mem::take(&mut self.product);
            // Of several commands, only where it comes from is known.
            let alone = self.leaves == prepared.leaves.saturating_add(1) && !prepared.appends;
            let contents = self.redirected_contents(&product, alone);
            let file = product.file.as_ref().filter(|_| product.network.is_none());
            let foreign = file.is_some_and(|file| self.is_foreign_word(file, &self.dirs));
            for place in places {
                match foreign {
                    true => self.note_foreign(place, false),
                    false => {
                        self.note_made(place, false, product.network.clone(), contents.clone());
                    }
                }
            }
            network = product.network;
            self.product = Stream::of(Word::default());
        }
        for place in prepared.others {
            self.note_made(place, false, network.clone(), Contents::Unread(None));
        }
        for (kind, dangers) in prepared.redirections {
            self.push(kind, program, Source::Redirection, dangers);
        }
        if let Some(outer) = prepared.outer {
            self.feed = outer;
        }
        for (name, old) in prepared.temporary.into_iter().rev() {
            self.state.put_back(&name, old);
        }
        if let Some((path, ifs)) = prepared.before {
            self.path = path;
            self.ifs = ifs;
        }
    }

    /// A command has written this, and no more is known.
    pub(super) fn leaf(&mut self, mut stream: Stream) {
        stream.given = true;
        stream.taint(&self.product);
        self.product = stream;
        self.leaves = self.leaves.saturating_add(1);
    }

    /// What a `for` loop's variable holds.
    pub(super) fn loop_value(&self, word: Word) -> Value {
        if word.pieces.contains(&Piece::Fields) {
            return Value::Any;
        }
        let listed = word.pieces.iter().any(
            |piece| matches!(piece, Piece::Glob(glob) if super::places::Listed::of(glob).is_some()),
        );
        let globs = word
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Glob(_)));
        let whole =
            listed || word.pieces == [Piece::Below] || (globs && self.names_are_plain(&word));
        Value::Known { word, whole }
    }

    /// Whether all names that a pattern matches now are without blanks and patterns. Only before anything was written.
    pub(super) fn names_are_plain(&self, word: &Word) -> bool {
        let writes = |atom: &crate::reading::atoms::Atom| {
            matches!(atom.kind, AtomKind::Write(_) | AtomKind::Code(_))
        };
        if self.reading.atoms.iter().any(writes) {
            return false;
        }
        let places = super::places::places(word, &self.dirs);
        let plain = |name: &String| {
            !name.starts_with('-') && !name.contains([' ', '\t', '\n', '*', '?', '['])
        };
        !places.is_empty()
            && places.iter().all(|place| match place {
                PathText::Glob(directory, pattern) if !pattern.contains('/') => self
                    .disk
                    .names(directory)
                    .is_some_and(|names| names.iter().all(plain)),
                _ => false,
            })
    }
}

/// Whether a word assigns: a name and a `=` before anything that is quoted or expanded.
fn assigns(word: &ast::Word) -> bool {
    let Some(ast::Part::Literal(text)) = word.parts.first() else {
        return false;
    };
    let name = text.split(['=', '[']).next().unwrap_or_default();
    let name = name.strip_suffix('+').unwrap_or(name);
    text.contains('=') && super::expand::is_name(name)
}

fn assignments(script: &Script, node: NodeId) -> Option<&[ast::Assignment]> {
    match node_of(script, node) {
        Some(ast::Node::Simple(simple)) => Some(&simple.assignments),
        _ => None,
    }
}

/// A word for people.
pub(super) fn shown(word: &Word) -> String {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Glob(glob) if super::places::Listed::of(glob).is_some() => text.push_str("**"),
            Piece::Text(piece) | Piece::Glob(piece) => text.push_str(piece),
            Piece::Unknown | Piece::Below | Piece::Fields => text.push('…'),
        }
    }
    if text.chars().count() > limits::SHOWN_WORD {
        text = text.chars().take(limits::SHOWN_WORD).collect();
        text.push('…');
    }
    text
}
