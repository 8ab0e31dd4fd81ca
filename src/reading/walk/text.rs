//! A text in the making.

use super::stream::Stream;
use crate::reading::word::{Piece, Word};

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Text {
    pieces: Vec<Piece>,
    pub(super) bytes: usize,
}

impl Text {
    pub(super) fn push(&mut self, more: &str) {
        self.bytes += more.len();
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ => self.pieces.push(Piece::Text(more.to_owned())),
        }
    }

    pub(super) fn unknown(&mut self) {
        if self.pieces.last() != Some(&Piece::Unknown) {
            self.pieces.push(Piece::Unknown);
        }
    }

    pub(super) fn word(&mut self, word: &Word) {
        for piece in &word.pieces {
            match piece {
                Piece::Text(text) => self.push(text),
                Piece::Below => self.pieces.push(Piece::Below),
                Piece::Unknown | Piece::Fields | Piece::Glob(_) => self.unknown(),
            }
        }
    }

    pub(super) fn stream(self) -> Stream {
        Stream::of(Word {
            pieces: self.pieces,
        })
    }
}
