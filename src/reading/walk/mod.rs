//! Reads the text of a shell command into atoms: follows variables, directories, functions and the shells within it,
//! and runs nothing.
//!
//! The tree of a script is walked by a stack of tasks. What is known is always too much rather than too little: a
//! branch that may not run is read, and what it changes is not known behind it.

mod arithmetic;
mod assign;
mod builtins;
mod classes;
mod compound;
mod conditions;
mod declare;
mod environment;
mod expand;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hand_on;
mod history;
mod keys;
mod listing;
mod loops;
mod made;
mod output;
mod places;
mod positional;
mod program;
mod redirect;
mod scripts;
mod searching;
mod simple;
mod spelling;
mod start;
mod state;
mod stream;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod uses;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use self::made::{Contents, Ran};
use self::state::{Dirs, Mark, State};
use self::stream::Stream;
use self::task::{Scope, SearchPath, Task};
use super::atoms::{Atom, AtomKind, Danger, PathText, Reading, Source};
use super::disk::Disk;
use super::surroundings::Surroundings;
use crate::contracts::limits;
use crate::contracts::secret;
use crate::shell::{self, ast::Script};

/// Reads the text of a command of the shell. Never fails: what is not understood is unread.
#[must_use]
pub fn command(text: &str, at: &Surroundings, disk: &dyn Disk) -> Reading {
    let mut walker = Walker::new(at, disk);
    walker.spelled = spelling::spelled(text);
    if text.len() > limits::COMMAND_BYTES {
        walker.unread("the command is longer than what is read".to_owned());
    } else if walker.enter(text, if at.other_shell { "sh" } else { BASH }) {
        walker.run();
        walker.written_later();
        walker.traps();
    }
    walker.finish()
}

/// The shell that everything is read as.
const BASH: &str = "bash";
/// Bytes of an inner text that count as one step.
const BYTES_A_STEP: usize = 16;

/// A file that this command writes.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// Normalized.
    place: PathText,
    tree: bool,
    /// The command that fetched it.
    network: Option<String>,
    contents: Contents,
    /// What is in it comes from where nobody has looked.
    foreign: bool,
}

/// A reading in the making.
struct Walker<'a> {
    at: &'a Surroundings,
    disk: &'a dyn Disk,
    reading: Reading,
    /// Where its atoms are, by their hashes.
    pushed_atoms: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
    scripts: Vec<Rc<Script>>,
    /// The shells that read them.
    shells: Vec<&'static str>,
    /// The one that is walked now.
    script: usize,
    tasks: Vec<Task>,
    /// What reading has cost so far.
    steps: Cell<usize>,
    inner_shells: usize,
    /// Functions that have been called and have not returned.
    calls: usize,
    state: State,
    /// Where the next command runs.
    dirs: Dirs,
    /// Where the shell is after the last command, if that succeeded.
    ok: Dirs,
    /// The same, if it failed.
    failed: Dirs,
    /// `cd -`.
    previous: Dirs,
    /// Directories that `pushd` has left.
    pushed: Dirs,
    /// Directories were changed at all.
    moved: bool,
    /// IFS is another than usual: what is not quoted splits anywhere.
    ifs: bool,
    /// PATH as this command sets it, each directory with whether the session can write it.
    path: SearchPath,
    /// Functions go to inner shells.
    functions_exported: bool,
    /// Variables that were declared to be integers, wherever: what is assigned to them is evaluated.
    integers: BTreeSet<String>,
    /// `set -a`.
    all_exported: bool,
    /// A virtual environment's script has been read: it defines `deactivate`.
    activated: bool,
    /// A function has been left, or may have been, before its end.
    returned: bool,
    /// Standard input of the commands.
    feed: Rc<Stream>,
    /// Standard output of the last command.
    product: Stream,
    /// Commands that have written to it.
    leaves: usize,
    /// What substitutions give, by script and node.
    results: HashMap<(usize, u32), Stream>,
    /// Process substitutions of the command that is expanded.
    processes: Vec<Stream>,
    /// Where the values come from that the command at hand expands.
    taint: Stream,
    /// Variables whose values come from the network, or from a decoder.
    tainted: HashMap<String, Stream>,
    /// Texts that the command spells in numbers of their letters.
    spelled: BTreeSet<String>,
    made: Vec<Made>,
    /// Other names that `ln` has made.
    links: Vec<String>,
    /// Files that shells have run.
    ran: Vec<Ran>,
    /// The first program that the simple command at hand has started.
    first_program: Option<usize>,
    /// Variables that are local to the functions that are called, with what they were before.
    locals: Vec<BTreeMap<String, Option<state::Variable>>>,
    traps: Vec<String>,
    /// Names that `alias` has given another meaning.
    aliases: BTreeSet<String>,
    /// Files that `mktemp` has made.
    fresh: Cell<usize>,
}

impl<'a> Walker<'a> {
    fn new(at: &'a Surroundings, disk: &'a dyn Disk) -> Self {
        let dirs = match at.directory.as_str() {
            "" => Dirs::unknown(),
            directory => Dirs::at(directory),
        };
        Self {
            at,
            disk,
            reading: Reading::default(),
            pushed_atoms: HashMap::new(),
            hasher: RandomState::new(),
            scripts: Vec::new(),
            shells: Vec::new(),
            script: 0,
            tasks: Vec::new(),
            steps: Cell::new(0),
            inner_shells: 0,
            calls: 0,
            state: State::new(),
            ok: dirs.clone(),
            failed: dirs.clone(),
            dirs,
            previous: Dirs::unknown(),
            pushed: Dirs::unreached(),
            moved: false,
            ifs: false,
            path: None,
            functions_exported: false,
            integers: BTreeSet::new(),
            all_exported: false,
            activated: false,
            returned: false,
            feed: Rc::default(),
            product: Stream::default(),
            leaves: 0,
            results: HashMap::new(),
            processes: Vec::new(),
            taint: Stream::default(),
            tainted: HashMap::new(),
            spelled: BTreeSet::new(),
            made: Vec::new(),
            links: Vec::new(),
            ran: Vec::new(),
            first_program: None,
            locals: Vec::new(),
            traps: Vec::new(),
            aliases: BTreeSet::new(),
            fresh: Cell::new(0),
        }
    }

    /// Parses a text of a shell that is to be walked next, with what is known now. Says whether there is something to
    /// walk.
    fn enter(&mut self, text: &str, shell: &str) -> bool {
        let script = match shell::parse(text) {
            Ok(script) => script,
            Err(why) => {
                self.unread(format!(
                    "the shell's syntax is not understood: {}",
                    why.what()
                ));
                return false;
            }
        };
        if shell != BASH {
            let why = match shell {
                "sh" | "dash" | "ash" => shell::differs_in_sh(&script),
                _ => Some("its syntax is another"),
            };
            if let Some(why) = why {
                self.unread(format!("{shell} reads this differently from bash: {why}"));
            }
        }
        let Some(root) = script.root else {
            return false;
        };
        self.tasks.push(Task::BackTo(self.script));
        self.script = self.scripts.len();
        self.scripts.push(Rc::new(script));
        self.shells.push(match shell {
            BASH => BASH,
            _ => "sh",
        });
        self.tasks.push(Task::Visit(root));
        true
    }

    /// The shell that reads the script at hand.
    fn shell(&self) -> &'static str {
        self.shells.get(self.script).copied().unwrap_or(BASH)
    }

    /// Whether another shell within the shell is read.
    fn may_enter(&mut self) -> bool {
        let may = self.inner_shells < limits::INNER_SHELLS;
        if !may {
            self.unread("there are more shells within each other than are read".to_owned());
        }
        may
    }

    /// The text of a shell within the shell.
    fn enter_inner(&mut self, text: &str, shell: &str) -> bool {
        if !self.may_enter() {
            return false;
        }
        self.inner_shells += 1;
        self.spend(text.len() / BYTES_A_STEP);
        if text.len() > limits::COMMAND_BYTES {
            self.unread("the command is longer than what is read".to_owned());
            return false;
        }
        self.enter(text, shell)
    }

    fn run(&mut self) {
        while let Some(task) = self.tasks.pop() {
            self.spend(1);
            if self.is_spent() {
                self.unread("the command is longer than what is read".to_owned());
                self.tasks.clear();
                return;
            }
            self.step(task);
        }
        // The last one may have been the longest.
        if self.is_spent() {
            self.unread("the command is longer than what is read".to_owned());
        }
    }

    /// `trap`s run at the end, or whenever a signal comes: only what never changes is known there.
    fn traps(&mut self) {
        // One may set others.
        while let Some(text) = self.traps.pop() {
            if !self.may_enter() || self.is_spent() {
                return;
            }
            let names = self.state.names();
            self.spend(names.len());
            for name in names {
                if self.state.changes_often(&name) {
                    self.state.assign(&name, state::Value::Any);
                }
            }
            if self.moved {
                self.dirs = Dirs::unknown();
            }
            self.feed = Rc::default();
            if self.enter_inner(&text, BASH) {
                self.run();
            }
        }
    }

    fn finish(mut self) -> Reading {
        if self.reading.atoms.is_empty() {
            self.push(AtomKind::Use, None, Source::Tool, Vec::new());
        }
        self.reading.misplaced_secrets.sort_unstable();
        self.reading.misplaced_secrets.dedup();
        self.reading
    }

    /// Which program runs is not known.
    fn unread(&mut self, why: String) {
        let unread = &mut self.reading.unread;
        if unread.len() < limits::UNREAD_SENTENCES && !unread.contains(&why) {
            unread.push(why);
        }
    }

    /// Adds an atom, once. Its position; `None` where there are too many.
    fn push(
        &mut self,
        kind: AtomKind,
        program: Option<usize>,
        source: Source,
        dangers: Vec<Danger>,
    ) -> Option<usize> {
        let atom = Atom {
            kind,
            program,
            source,
            dangers,
        };
        let digest = self.hasher.hash_one(&atom);
        let same = self.pushed_atoms.get(&digest).into_iter().flatten();
        let mut same = same.filter(|at| self.reading.atoms.get(**at) == Some(&atom));
        if let Some(position) = same.next() {
            return Some(*position);
        }
        if self.reading.atoms.len() >= limits::CALL_ATOMS {
            self.unread("the command does more things than are read".to_owned());
            self.tasks.clear();
            return None;
        }
        let position = self.reading.atoms.len();
        self.reading.atoms.push(atom);
        self.pushed_atoms.entry(digest).or_default().push(position);
        Some(position)
    }

    /// A program that needs no allow, and can be denied.
    fn mention(&mut self, kind: AtomKind, dangers: Vec<Danger>) {
        let atom = Atom {
            kind,
            program: None,
            source: Source::Itself,
            dangers,
        };
        if self.reading.mentioned.last() == Some(&atom) {
            return;
        }
        if self.reading.mentioned.len() >= limits::CALL_MENTIONED {
            self.unread("the command does more things than are read".to_owned());
            self.tasks.clear();
            return;
        }
        self.reading.mentioned.push(atom);
    }

    /// A secret stands where no rule may allow one.
    fn no_secret_in(&mut self, word: &super::word::Word) {
        for piece in &word.pieces {
            if let super::word::Piece::Text(text) = piece {
                let names = secret::placeholders(text);
                let names = names.iter().map(|of| of.name.to_owned());
                self.reading.misplaced_secrets.extend(names);
            }
        }
    }

    /// Pays for work of the budget that the whole call has.
    fn spend(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// Nothing is left of the budget: the rest is unread.
    fn is_spent(&self) -> bool {
        self.steps.get() > limits::WALK_STEPS
    }

    /// What was changed since the mark may not have been. The mark from which the next such join begins: what was
    /// changed before is joined already.
    fn join(&mut self, mark: Mark) -> Mark {
        self.join_wider(mark);
        self.state.mark()
    }

    /// The same. Says whether anything is less known than it was at the mark.
    fn join_wider(&mut self, mark: Mark) -> bool {
        self.spend(self.state.changes_since(mark));
        self.state.join(mark)
    }

    /// What a subshell gives back at its end.
    fn scope(&self) -> Box<Scope> {
        Box::new(Scope {
            mark: self.state.mark(),
            dirs: self.dirs.clone(),
            previous: self.previous.clone(),
            feed: self.feed.clone(),
            script: self.script,
            ifs: self.ifs,
            path: self.path.clone(),
            functions_exported: self.functions_exported,
            all_exported: self.all_exported,
            activated: self.activated,
            returned: self.returned,
            leaves: self.leaves,
        })
    }

    fn leave(&mut self, scope: Scope) {
        self.state.undo(scope.mark);
        self.ok = scope.dirs.clone();
        self.failed = scope.dirs.clone();
        self.dirs = scope.dirs;
        self.previous = scope.previous;
        self.feed = scope.feed;
        self.script = scope.script;
        self.ifs = scope.ifs;
        self.path = scope.path;
        self.functions_exported = scope.functions_exported;
        self.all_exported = scope.all_exported;
        self.activated = scope.activated;
        self.returned = scope.returned;
    }
}
