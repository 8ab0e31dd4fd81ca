//! A cursor over one text: the command itself, the inside of backquotes, or a here-document's body.

use std::borrow::Cow;

/// One text and how far it is read.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) at: usize,
    /// Where in the command it begins, nearly: escapes are gone from it.
    pub(super) origin: usize,
}

impl Source<'_> {
    /// The next byte as it stands.
    pub(super) fn raw(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte, with continued lines joined.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while self.text.as_bytes().get(self.at..self.at + 2) == Some(b"\\\n") {
            self.at += 2;
        }
        self.raw()
    }

    /// Passes the byte that was peeked at.
    pub(super) fn bump(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
    }

    /// Passes the next byte if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.bump();
        }
        is
    }

    /// The byte behind the next one.
    pub(super) fn second(&mut self) -> Option<u8> {
        self.peek()?;
        let at = self.at;
        self.at += 1;
        let next = self.peek();
        self.at = at;
        next
    }

    /// Passes the next character and hands it out.
    pub(super) fn char(&mut self) -> Option<char> {
        let c = self.text.get(self.at..)?.chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Passes the bytes up to the first for which `stop` holds.
    pub(super) fn run(&mut self, stop: impl Fn(u8) -> bool) -> &str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| stop(*byte));
        let from = self.at;
        self.at += length.unwrap_or(rest.len());
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// A shell name that stands here, with continued lines joined.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            let first = byte.is_ascii_alphabetic() || byte == b'_';
            if !first && (name.is_empty() || !byte.is_ascii_digit()) {
                break;
            }
            name.push(char::from(byte));
            self.bump();
        }
        name
    }

    /// Passes blanks and a comment; a comment's newline stays.
    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.bump();
        }
        if self.peek() == Some(b'#') {
            self.run(|byte| byte == b'\n');
        }
    }
}

/// Whether a byte ends a word outside of quotes.
pub(super) fn metacharacter(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>'
    )
}

/// Whether a text is a shell name.
pub(super) fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}
