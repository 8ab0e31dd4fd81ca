//! What stands in a pipe, as far as it is known before anything runs.

use std::cell::Cell;
use std::rc::Rc;

use crate::reading::word::{Piece, Word};

/// Text that a command writes, or reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stream {
    /// There is one: a pipe, a file, a here-document. Otherwise standard input is the harness's.
    pub(super) given: bool,
    /// All of it.
    pub(super) text: Option<Rc<Word>>,
    /// A file's whole text: its path.
    pub(super) file: Option<Word>,
    /// Paths, one a line: words that stand for them.
    pub(super) listing: Option<Rc<Vec<Word>>>,
    /// Decimal digits.
    pub(super) number: bool,
    /// One word without blanks or patterns in it.
    pub(super) whole: bool,
    /// From the network: the command that fetches it.
    pub(super) network: Option<String>,
    /// Made readable by a decoder: its name.
    pub(super) decoded: Option<String>,
    /// Holds a variable of the environment whose name says that it is a key.
    pub(super) key: bool,
    /// Holds the number of the process that started the shell.
    pub(super) parent: bool,
    /// A command has read from it: what is left of it is not known.
    pub(super) used: Cell<bool>,
}

impl Stream {
    /// Of a text.
    pub(super) fn of(text: Word) -> Self {
        Self {
            given: true,
            text: Some(Rc::new(text)),
            ..Self::default()
        }
    }

    /// Something, of which only where it comes from is known.
    pub(super) fn tainted_by(other: &Self) -> Self {
        Self {
            given: true,
            network: other.network.clone(),
            decoded: other.decoded.clone(),
            key: other.key,
            parent: other.parent,
            ..Self::default()
        }
    }

    /// What a command gives on that gives all on.
    pub(super) fn passed_on(&self) -> Self {
        match self.used.get() {
            true => Self {
                listing: self.listing.clone(),
                ..Self::tainted_by(self)
            },
            false => self.clone(),
        }
    }

    /// Also comes from where the other does.
    pub(super) fn taint(&mut self, other: &Self) {
        if self.network.is_none() {
            self.network.clone_from(&other.network);
        }
        if self.decoded.is_none() {
            self.decoded.clone_from(&other.decoded);
        }
        self.key |= other.key;
        self.parent |= other.parent;
    }

    /// As a substitution gives it: without newlines at its end.
    pub(super) fn trimmed(mut self) -> Self {
        if let Some(text) = &mut self.text {
            let text = Rc::make_mut(text);
            while let Some(Piece::Text(last)) = text.pieces.last_mut() {
                last.truncate(last.trim_end_matches('\n').len());
                if !last.is_empty() {
                    break;
                }
                text.pieces.pop();
            }
        }
        self
    }
}
