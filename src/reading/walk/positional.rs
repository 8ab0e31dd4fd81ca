//! `$1`, `$2`, ... (Bash manual, 3.4.1).

use std::rc::Rc;

use crate::reading::word::{Piece, Word};

/// The positional parameters; a copy costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Positional {
    words: Rc<Vec<Word>>,
    /// How many of them `shift` took away.
    shifted: usize,
    /// The first one that may be any number of words: which number those behind it have is not known.
    vague: Option<usize>,
}

/// One of them.
pub(super) enum At<'a> {
    Word(&'a Word),
    /// There are fewer.
    Unset,
    /// Nobody knows.
    Any,
}

impl Positional {
    pub(super) fn of(words: Vec<Word>) -> Self {
        let vague = words
            .iter()
            .position(|word| word.pieces.contains(&Piece::Fields));
        Self {
            words: Rc::new(words),
            shifted: 0,
            vague,
        }
    }

    pub(super) fn words(&self) -> &[Word] {
        self.words.get(self.shifted..).unwrap_or_default()
    }

    /// `$number`, which is 1 at least.
    pub(super) fn at(&self, number: usize) -> At<'_> {
        let position = self.shifted.saturating_add(number.saturating_sub(1));
        match self.words.get(position) {
            _ if self.vague.is_some_and(|vague| vague <= position) => At::Any,
            Some(word) => At::Word(word),
            None => At::Unset,
        }
    }

    /// `shift`; `None` where what is taken away may be another number of words.
    pub(super) fn shift(&self, count: usize) -> Option<Self> {
        let taken = self.words().get(..count).unwrap_or(self.words());
        if taken.iter().any(Word::splits) {
            return None;
        }
        Some(Self {
            shifted: self.shifted + taken.len(),
            ..self.clone()
        })
    }
}
