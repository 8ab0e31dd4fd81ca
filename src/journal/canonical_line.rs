//! Reads a line that is its own canonical form, as agp writes them, without building its value.
//!
//! A line is taken only if it is certain to be strict JSON, canonical, and of the envelope's
//! required names and no others. Whatever else it is, [`scan`] says nothing of it, and the strict
//! reader and the canonicalizer decide. So a line that this reader could take and does not costs
//! time; one that it takes must be read by the other just the same, which the tests check.

#[cfg(test)]
mod tests;

use crate::contracts::limits;

use super::canonical_json::{SAFE_INTEGER, is_bmp_ordered};

/// What a canonical line says. No text has an escape in it; what they mean is not checked yet.
pub(super) struct CanonicalLine<'a> {
    pub(super) actor: &'a str,
    pub(super) hash: &'a str,
    pub(super) kind: &'a str,
    pub(super) prev: Option<&'a str>,
    pub(super) seq: &'a str,
    pub(super) signature: &'a str,
    pub(super) signing_key_id: Option<&'a str>,
    pub(super) ts: &'a str,
    /// The line without its members `hash` and `signature`.
    pub(super) unsealed: [&'a str; 3],
}

/// Takes a line apart, or leaves it to the reader for any line.
pub(super) fn scan(line: &[u8]) -> Option<CanonicalLine<'_>> {
    let text = std::str::from_utf8(line).ok()?;
    let mut scan = Scan { text, at: 0 };
    scan.eat(r#"{"actor":"#)?;
    let actor = scan.plain_string()?;
    scan.eat(r#","approval_binding_type":"#)?;
    scan.string_or_null()?;
    scan.eat(",")?;
    let hash_at = scan.at;
    scan.eat(r#""hash":"#)?;
    let hash = scan.plain_string()?;
    scan.eat(",")?;
    let hash_end = scan.at;
    scan.eat(r#""intendant_identity_uri":"#)?;
    scan.string_or_null()?;
    scan.eat(r#","kind":"#)?;
    let kind = scan.plain_string()?;
    scan.eat(r#","on_behalf_of":"#)?;
    scan.string_or_null()?;
    scan.eat(r#","payload":{"#)?;
    // The envelope and the payload are two of the levels that may be nested.
    scan.object_rest(limits::JSON_DEPTH - 2)?;
    scan.eat(r#","prevHash":"#)?;
    let prev = scan.plain_string_or_null()?;
    scan.eat(r#","seq":"#)?;
    let seq = scan.integer()?;
    scan.eat(",")?;
    let signature_at = scan.at;
    scan.eat(r#""signature":"#)?;
    let signature = scan.plain_string()?;
    scan.eat(",")?;
    let signature_end = scan.at;
    scan.eat(r#""signing_key_id":"#)?;
    let signing_key_id = scan.plain_string_or_null()?;
    scan.eat(r#","tenant_id":null,"ts":"#)?;
    let ts = scan.plain_string()?;
    scan.eat(r#","v":2}"#)?;
    let unsealed = [
        text.get(..hash_at)?,
        text.get(hash_end..signature_at)?,
        text.get(signature_end..)?,
    ];
    (scan.at == text.len()).then_some(CanonicalLine {
        actor,
        hash,
        kind,
        prev,
        seq,
        signature,
        signing_key_id,
        ts,
        unsealed,
    })
}

/// A place in the line. Every reader of a part moves behind it, or returns `None` for good.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.rest().first().copied()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, part: &str) -> Option<()> {
        let begins = self.rest().starts_with(part.as_bytes());
        self.at += part.len();
        begins.then_some(())
    }

    /// A string; what stands between its quotes, still escaped, and whether it has escapes.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        self.eat("\"")?;
        let start = self.at;
        let mut escapes = false;
        loop {
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            self.at += self.rest().iter().position(ends)?;
            match self.next()? {
                b'"' => return Some((self.text.get(start..self.at - 1)?, escapes)),
                b'\\' => self.escape()?,
                _ => return None,
            }
            escapes = true;
        }
    }

    /// The rest of the only escape that the character has in canonical form.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r' => Some(()),
            b'u' => {
                self.eat("00")?;
                match (self.next()?, self.next()?) {
                    (b'0', b'0'..=b'7' | b'b' | b'e' | b'f') => Some(()),
                    (b'1', b'0'..=b'9' | b'a'..=b'f') => Some(()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn plain_string(&mut self) -> Option<&'a str> {
        self.string()
            .and_then(|(text, escapes)| (!escapes).then_some(text))
    }

    fn is_null(&mut self) -> bool {
        let null = self.rest().starts_with(b"null");
        self.at += if null { 4 } else { 0 };
        null
    }

    fn string_or_null(&mut self) -> Option<()> {
        (self.is_null() || self.string().is_some()).then_some(())
    }

    fn plain_string_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.is_null() {
            return Some(None);
        }
        self.plain_string().map(Some)
    }

    /// An integer that every reader keeps, written the only way there is.
    fn integer(&mut self) -> Option<&'a str> {
        let start = self.at;
        let negative = self.rest().first() == Some(&b'-');
        self.at += usize::from(negative);
        let digits = self.at;
        self.at += self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let digits = self.text.get(digits..self.at)?;
        let canonical = !digits.starts_with('0') || (digits == "0" && !negative);
        let safe = digits.parse::<u64>().is_ok_and(|n| n <= SAFE_INTEGER);
        (canonical && safe).then(|| self.text.get(start..self.at))?
    }

    /// A value that nests at most `levels`.
    fn value(&mut self, levels: usize) -> Option<()> {
        match self.rest().first()? {
            b'"' => self.string().map(drop),
            b'{' => {
                self.at += 1;
                self.object_rest(levels.checked_sub(1)?)
            }
            b'[' => {
                self.at += 1;
                self.array_rest(levels.checked_sub(1)?)
            }
            b'n' => self.eat("null"),
            b't' => self.eat("true"),
            b'f' => self.eat("false"),
            _ => self.integer().map(drop),
        }
    }

    fn array_rest(&mut self, levels: usize) -> Option<()> {
        if self.rest().first() == Some(&b']') {
            return self.eat("]");
        }
        loop {
            self.value(levels)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// An object behind its brace. Its names ascend, so that none stands twice; those whose order
    /// takes more than comparing bytes (escapes, U+E000 and beyond) are left to the other reader.
    fn object_rest(&mut self, levels: usize) -> Option<()> {
        if self.rest().first() == Some(&b'}') {
            return self.eat("}");
        }
        let mut before = None;
        loop {
            let name = self.plain_string()?;
            if !is_bmp_ordered(name) || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            self.eat(":")?;
            self.value(levels)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }
}
