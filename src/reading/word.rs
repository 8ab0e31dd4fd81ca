//! A word of a command, as far as it is known before the command runs.

/// What a program will get as one argument; with [`Piece::Fields`] or [`Piece::Glob`] as any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Word {
    /// In order; adjacent texts are joined. None at all is the empty word.
    pub pieces: Vec<Piece>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Exactly this.
    Text(String),
    /// Any text, none too, within the one word: an expansion in double quotes.
    Unknown,
    /// Any text within the one word that leads no higher: none of its names between `/` is `..`, and what stands next to
    /// it makes none. Digits, the name of a fresh file.
    Below,
    /// Any text, and any number of words, none too: an expansion outside of quotes.
    Fields,
    /// A pathname pattern (`*`, `?`, `[a-z]`) as written: the names that it matches, or itself where it matches none.
    Glob(String),
}

impl Word {
    /// A word whose text is known.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
        }
    }

    /// Its text where all of it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text that it begins with for certain; may be empty.
    #[must_use]
    pub fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether it can become more or fewer words than one.
    #[must_use]
    pub fn splits(&self) -> bool {
        let many = |piece: &Piece| matches!(piece, Piece::Fields | Piece::Glob(_));
        self.pieces.iter().any(many)
    }
}
