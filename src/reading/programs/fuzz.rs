//! What must hold of any words of a program.
#![allow(
    clippy::panic,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use super::{NoContext, read};
use crate::reading::atoms::Role;
use crate::reading::word::{Piece, Word};

/// A word a line; in one, the bytes 1, 2 and 3 stand for what is not known: within the word, words, a pattern.
pub(crate) fn words(data: &[u8]) -> Vec<Word> {
    let text = String::from_utf8_lossy(data);
    let word = |line: &str| {
        let mut pieces: Vec<Piece> = Vec::new();
        for letter in line.chars() {
            match (letter, pieces.last_mut()) {
                ('\u{1}', _) => pieces.push(Piece::Unknown),
                ('\u{2}', _) => pieces.push(Piece::Fields),
                ('\u{3}', _) => pieces.push(Piece::Glob("*".to_owned())),
                (letter, Some(Piece::Text(text))) => text.push(letter),
                (letter, _) => pieces.push(Piece::Text(letter.to_string())),
            }
        }
        Word { pieces }
    };
    text.split('\n').map(word).collect()
}

/// Each word has a role, what is done stands at a word that is there, and a program that is not known is in no set.
pub(crate) fn program_words(data: &[u8]) {
    let words = words(data);
    let made = read(&words, &NoContext);
    assert_eq!(made.roles.len(), words.len());
    assert_eq!(made.roles.first(), Some(&Role::Program));
    for one in &made.uses {
        assert!(one.word.is_none_or(|at| at < words.len()), "{one:?}");
    }
    if made.entry.is_none() && words.first().is_none_or(|word| word.known().is_none()) {
        assert!(made.sets.is_empty());
    }
    assert_eq!(read(&words, &NoContext), made);
}
