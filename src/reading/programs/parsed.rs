//! A program's words, told apart.

use crate::reading::atoms;
use crate::reading::word::{Piece, Word};

use super::notation::Opt;
use super::table::Entry;

/// A program's words, told apart.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    /// All of them, the program first.
    pub(super) words: &'a [Word],
    /// The entry of the subcommand, or of the program.
    pub(super) entry: &'a Entry,
    /// One for each word.
    pub(super) roles: Vec<atoms::Role>,
    /// Options in order.
    pub(super) options: Vec<Given<'a>>,
    /// Positions of the operands; a word that may be an option is one too.
    pub(super) operands: Vec<usize>,
    /// How many of `operands` stand before `--`.
    pub(super) before_end: usize,
    /// The subcommand is none that the table knows: its position.
    pub(super) unknown_subcommand: Option<usize>,
    /// An option that may take a value which the table does not know of stood before the position.
    pub(super) unsure: Option<usize>,
}

/// An option as it was given.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// The position of its word.
    pub(super) at: usize,
    /// What the table says; `None`: nothing.
    pub(super) option: Option<&'a Opt>,
    /// Its value with the position of the word that it stands in.
    pub(super) value: Option<(usize, Word)>,
}

impl Parsed<'_> {
    /// Whether an option was given, by any of its spellings in the table.
    pub(super) fn has(&self, spelling: &str) -> bool {
        self.given(spelling).next().is_some()
    }

    /// An option each time that it was given.
    pub(super) fn given<'s>(&'s self, spelling: &'s str) -> impl Iterator<Item = &'s Given<'s>> {
        self.options.iter().filter(move |given| {
            given
                .option
                .is_some_and(|option| option.spellings.iter().any(|one| one == spelling))
        })
    }

    /// An option's values.
    pub(super) fn values<'s>(
        &'s self,
        spelling: &'s str,
    ) -> impl Iterator<Item = &'s (usize, Word)> {
        self.given(spelling)
            .filter_map(|given| given.value.as_ref())
    }

    /// The operands with their positions.
    pub(super) fn operand_words(&self) -> impl Iterator<Item = (usize, &Word)> {
        let word = |place: &usize| Some((*place, self.words.get(*place)?));
        self.operands.iter().filter_map(word)
    }

    /// An operand's word, by its number.
    pub(super) fn operand(&self, number: usize) -> Option<(usize, &Word)> {
        self.operand_words().nth(number)
    }
}

/// A word without the first bytes of its known beginning.
pub(super) fn behind(word: &Word, bytes: usize) -> Word {
    let mut pieces = word.pieces.clone();
    if let Some(Piece::Text(text)) = pieces.first_mut() {
        *text = text.get(bytes..).unwrap_or_default().to_owned();
        if text.is_empty() {
            pieces.remove(0);
        }
    }
    Word { pieces }
}

/// A word that may begin with `-`, or bring words that do.
pub(super) fn may_be_option(word: &Word) -> bool {
    let fields = word
        .pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Fields));
    let begins = match word.pieces.first() {
        None => false,
        Some(Piece::Text(text)) => text.starts_with('-') && text != "-",
        Some(Piece::Glob(glob)) => glob.starts_with(['*', '?', '[', '@', '+', '!', '-']),
        Some(Piece::Unknown | Piece::Below | Piece::Fields) => true,
    };
    fields || begins
}
