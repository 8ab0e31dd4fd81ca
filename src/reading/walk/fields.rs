//! Fields of a word while it is expanded (Bash manual, 3.5.7).

use crate::reading::word::{Piece, Word};

/// Words that are made of one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    done: Vec<Word>,
    pieces: Vec<Piece>,
    /// A word has begun, be it empty.
    open: bool,
    /// An assignment's value, a redirection's target: one word whatever is in it.
    single: bool,
    /// Of all texts that it was made of.
    bytes: usize,
}

impl Fields {
    pub(super) fn new(single: bool) -> Self {
        Self {
            single,
            open: single,
            ..Self::default()
        }
    }

    /// Bytes of text so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All becomes one word.
    pub(super) fn is_single(&self) -> bool {
        self.single
    }

    /// Text that stays as it is.
    pub(super) fn text(&mut self, text: &str) {
        self.open = true;
        self.bytes += text.len();
        if text.is_empty() {
            return;
        }
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    /// A pathname pattern; where there is none, its text.
    pub(super) fn glob(&mut self, pattern: &str) {
        self.open = true;
        self.bytes += pattern.len();
        if let Some(Piece::Glob(last)) = self.pieces.last_mut() {
            last.push_str(pattern);
        } else {
            self.pieces.push(Piece::Glob(pattern.to_owned()));
        }
    }

    /// Any text within the word.
    pub(super) fn unknown(&mut self) {
        self.open = true;
        if self.pieces.last() != Some(&Piece::Unknown) {
            self.pieces.push(Piece::Unknown);
        }
    }

    /// Any text within the word that leads no higher.
    pub(super) fn below(&mut self) {
        self.open = true;
        self.pieces.push(Piece::Below);
    }

    /// Any text outside of quotes.
    pub(super) fn unquoted(&mut self) {
        if self.single {
            return self.unknown();
        }
        self.open = true;
        if self.pieces.last() != Some(&Piece::Fields) {
            self.pieces.push(Piece::Fields);
        }
    }

    /// A word that stays one.
    pub(super) fn whole(&mut self, word: &Word) {
        self.open = true;
        for piece in &word.pieces {
            match piece {
                Piece::Text(text) => self.text(text),
                Piece::Unknown => self.unknown(),
                Piece::Below => self.below(),
                Piece::Glob(pattern) => self.glob(pattern),
                Piece::Fields => self.unquoted(),
            }
        }
    }

    /// A value outside of quotes: it splits, and may be a pattern.
    pub(super) fn split(&mut self, word: &Word) {
        if self.single {
            return self.whole(word);
        }
        for piece in &word.pieces {
            match piece {
                Piece::Text(text) => self.split_text(text),
                Piece::Unknown | Piece::Below | Piece::Glob(_) | Piece::Fields => self.unquoted(),
            }
        }
    }

    fn split_text(&mut self, text: &str) {
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
        let special = |c: char| matches!(c, '*' | '?' | '[');
        let mut first = true;
        for part in text.split(blank) {
            if !first {
                self.end();
            }
            first = false;
            if part.is_empty() {
                continue;
            }
            let at = part.find(special).unwrap_or(part.len());
            let (plain, pattern) = part.split_at_checked(at).unwrap_or((part, ""));
            if !plain.is_empty() {
                self.text(plain);
            }
            if !pattern.is_empty() {
                self.glob(pattern);
            }
        }
    }

    /// Ends the word, where one has begun.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            let pieces = std::mem::take(&mut self.pieces);
            self.done.push(Word { pieces });
        }
    }

    pub(super) fn into_words(mut self) -> Vec<Word> {
        self.end();
        self.done
    }

    /// The one word, of those that stay one.
    pub(super) fn into_word(mut self) -> Word {
        self.end();
        self.done.into_iter().next().unwrap_or_default()
    }
}
