//! A program as a person would have typed it.

use crate::reading::atoms::Program;
use crate::reading::word::{Piece, Word};

/// The program's words as they would be typed, as far as they are known.
pub(super) fn typed(program: &Program) -> String {
    let words = program.words.iter().map(|word| match word.known() {
        Some(text) if !text.is_empty() && !text.contains([' ', '\t', '\n', '\'', '"']) => {
            text.to_owned()
        }
        Some(text) => format!("'{text}'"),
        None => shown(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn shown(word: &Word) -> String {
    let pieces = word.pieces.iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Glob(text) => text.as_str(),
        Piece::Unknown | Piece::Below | Piece::Fields => "…",
    });
    pieces.collect()
}
