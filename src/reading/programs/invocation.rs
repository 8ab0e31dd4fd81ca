//! What is put into an invocation while its words are read.

use crate::reading::atoms::{self, Category, CodeClass, Danger};
use crate::reading::word::{Piece, Word};

use super::classify::joined;
use super::notation::Role;
use super::{HandOn, Invocation, Use, UseKind};

/// Files that are the program's own streams, or nothing.
const STREAMS: [&str; 5] = [
    "/dev/null",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/tty",
];

/// Devices that give bytes which say nothing of the machine.
const SOURCES: [&str; 3] = ["/dev/zero", "/dev/urandom", "/dev/random"];

impl Invocation {
    /// Sets a word's role, unless it may be an option.
    pub(super) fn role(&mut self, at: usize, role: atoms::Role) {
        if let Some(place) = self.roles.get_mut(at)
            && *place == atoms::Role::Operand
        {
            *place = role;
        }
    }

    /// Calls a word one that turns the program, and takes the program out of its sets.
    pub(super) fn turn(&mut self, at: usize) {
        if let Some(place) = self.roles.get_mut(at) {
            *place = atoms::Role::Turning;
        }
        self.sets.clear();
    }

    /// A path is read.
    pub(super) fn read(
        &mut self,
        path: &Word,
        word: Option<usize>,
        turns: bool,
        tree: bool,
        leaves_out_ignored: bool,
    ) {
        let path = path.clone();
        self.push(
            UseKind::Read {
                path,
                tree,
                leaves_out_ignored,
            },
            word,
            turns,
        );
    }

    /// A path is written.
    pub(super) fn write(&mut self, path: &Word, word: Option<usize>, tree: bool, removes: bool) {
        self.writes(path, word, false, tree, removes);
    }

    /// A path is written because of an option.
    pub(super) fn write_turning(&mut self, path: &Word, word: Option<usize>, tree: bool) {
        self.writes(path, word, true, tree, false);
    }

    fn writes(&mut self, path: &Word, word: Option<usize>, turns: bool, tree: bool, removes: bool) {
        let path = path.clone();
        let kind = UseKind::Write {
            path,
            tree,
            removes,
        };
        self.push(kind, word, turns);
    }

    /// A host is reached.
    pub(super) fn host(&mut self, host: Option<&Word>, word: Option<usize>, turns: bool) {
        self.push(UseKind::Host(host.cloned()), word, turns);
    }

    /// Code is run.
    pub(super) fn code(
        &mut self,
        class: CodeClass,
        what: String,
        word: Option<usize>,
        turns: bool,
    ) {
        self.push(UseKind::Code { class, what }, word, turns);
    }

    /// A danger of the whole.
    pub(super) fn danger(&mut self, category: Category, why: impl Into<String>) {
        let why = why.into();
        self.dangers.push(Danger { category, why });
    }

    /// A use. The streams, and what swallows everything, are no paths.
    pub(super) fn push(&mut self, kind: UseKind, word: Option<usize>, turns: bool) {
        if let UseKind::Read { path, .. } | UseKind::Write { path, .. } = &kind
            && path.known().is_some_and(|path| STREAMS.contains(&path))
        {
            return;
        }
        if let UseKind::Read { path, .. } = &kind
            && path.known().is_some_and(|path| SOURCES.contains(&path))
        {
            return;
        }
        // A file that is run by another program is read by it.
        let read = match &kind {
            UseKind::Script(path) if word != Some(0) => Some(path.clone()),
            _ => None,
        };
        self.uses.push(Use {
            kind,
            word,
            turns,
            dangers: Vec::new(),
        });
        if let Some(path) = read {
            self.read(&path, word, turns, false, false);
        }
    }

    /// The value of an option.
    pub(super) fn value(
        &mut self,
        role: Role,
        value: &Word,
        at: usize,
        turns: bool,
        what: impl Fn() -> String,
    ) {
        match role {
            // Where things are put is asked when the operands are known.
            Role::Into => {}
            _ => self.value_of(role, value, at, turns, what),
        }
    }

    /// What a word does by its role.
    pub(super) fn value_of(
        &mut self,
        role: Role,
        value: &Word,
        at: usize,
        turns: bool,
        what: impl Fn() -> String,
    ) {
        let word = Some(at);
        // Standard input and output are no paths.
        let stream = value
            .known()
            .is_some_and(|path| path == "-" || path.is_empty());
        let removes = matches!(role, Role::Remove | Role::RemoveTree | Role::Move);
        match role {
            Role::Text | Role::Name | Role::Assignment | Role::Command => {}
            Role::Directory => {
                self.directory = Some(match &self.directory {
                    Some(before) => joined(before, value),
                    None => value.clone(),
                });
            }
            Role::Manifest => {
                self.read(value, word, turns, false, false);
                let directory = match value.known().map(|path| path.rsplit_once('/')) {
                    None => value.clone(),
                    Some(None) => Word::text("."),
                    Some(Some((directory, _))) => Word::text(directory),
                };
                self.directory = Some(directory);
            }
            Role::Host => self.host(Some(value), word, turns),
            Role::Remote => self.push(UseKind::Remote(Some(value.clone())), word, turns),
            Role::Shell => self.hands_on.push(HandOn::Shell {
                text: value.clone(),
                arguments: Vec::new(),
                other_shell: true,
            }),
            Role::Code(class) => {
                // Text of which nothing stands in the command is not the command's.
                let written =
                    |piece: &Piece| matches!(piece, Piece::Text(text) if !text.trim().is_empty());
                let class = match class {
                    CodeClass::Inline
                        if !value.pieces.is_empty() && !value.pieces.iter().any(written) =>
                    {
                        CodeClass::Unknown
                    }
                    class => class,
                };
                self.code(class, what(), word, turns);
            }
            // Settings that stand in the command.
            Role::Script if value.beginning().starts_with(['{', '[']) => {
                self.code(CodeClass::Inline, what(), word, true);
            }
            Role::Script => self.push(UseKind::Script(value.clone()), word, turns),
            Role::Read
            | Role::Tree
            | Role::Write
            | Role::WriteTree
            | Role::Into
            | Role::Change
            | Role::Remove
            | Role::RemoveTree
            | Role::Move
                if stream => {}
            Role::Read => self.read(value, word, turns, false, false),
            Role::Tree => self.read(value, word, turns, true, false),
            Role::Change => {
                self.read(value, word, turns, false, false);
                self.writes(value, word, turns, false, removes);
            }
            Role::Move => {
                self.read(value, word, turns, true, false);
                self.writes(value, word, turns, true, removes);
            }
            Role::Write | Role::Into | Role::Remove => {
                self.writes(value, word, turns, false, removes);
            }
            Role::WriteTree | Role::RemoveTree => self.writes(value, word, turns, true, removes),
        }
    }
}
