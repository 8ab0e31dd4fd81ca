//! Lines of a harness's output. Each is JSON, and some hold a whole file: a string beyond a bound is cut
//! while it is read, so that ids, names and flags around it are seen and memory stays bounded.

use std::io::{self, BufRead, BufReader, Read};

use crate::contracts::limits;
use crate::contracts::plural::count;

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;

/// How long a line may be, and a string in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of a line that are read.
    pub(super) read: usize,
    /// Bytes of a line that are kept, its long strings cut.
    pub(super) kept: usize,
    /// Bytes of a string, as written, that are kept whole.
    pub(super) string: usize,
    /// Bytes that are kept of a longer one.
    pub(super) beginning: usize,
}

/// A string that is cut is text that a harness prints: a file, a command's output. A call's arguments
/// are not cut, or they could not be held against what was decided: those that a frame holds are shorter.
const BOUNDS: Bounds = Bounds {
    read: limits::STREAM_LINE_READ_BYTES,
    kept: limits::STREAM_LINE_BYTES,
    string: limits::STREAM_STRING_BYTES,
    beginning: limits::STREAM_STRING_KEPT_BYTES,
};

/// Gives each line, its long strings cut; one beyond the bounds comes as `None`.
pub(super) fn each_line(output: impl Read, on_line: &mut dyn FnMut(Option<&[u8]>)) {
    each_line_within(BOUNDS, output, on_line);
}

fn each_line_within(bounds: Bounds, output: impl Read, on_line: &mut dyn FnMut(Option<&[u8]>)) {
    let mut reader = BufReader::with_capacity(BLOCK, output);
    let mut line = JsonLine::new(bounds);
    loop {
        let block = match reader.fill_buf() {
            Ok(block) => block,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if block.is_empty() {
            if let Some(kept) = line.whole().filter(|kept| !kept.is_empty()) {
                on_line(Some(kept));
            }
            return;
        }
        let end = block.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(block.len(), |end| end + 1);
        let was_whole = line.whole().is_some();
        line.push(block.get(..end.unwrap_or(taken)).unwrap_or_default());
        reader.consume(taken);
        match line.whole() {
            Some(kept) if end.is_some() => on_line(Some(kept)),
            // Told as soon as it is known: such a line may have no end.
            None if was_whole => on_line(None),
            _ => {}
        }
        if end.is_some() {
            line = JsonLine::new(bounds);
        }
    }
}

/// Where in a JSON text the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Outside of any string.
    Outside,
    /// In a string.
    Inside,
    /// Behind a backslash.
    Escape,
    /// In the digits of `\uXXXX`: how many are left, and their value so far.
    Digits(u8, u16),
}

/// One line that is read block by block.
pub(super) struct JsonLine {
    bounds: Bounds,
    kept: Vec<u8>,
    read: usize,
    at: At,
    /// Where in `kept` the present string begins, and the last place where it may be cut: between two
    /// characters.
    begun: usize,
    cut_at: usize,
    /// Bytes of the present string so far, as written.
    length: usize,
    /// Whether the last escape was the first half of a surrogate pair.
    halved: bool,
}

impl JsonLine {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            kept: Vec::new(),
            read: 0,
            at: At::Outside,
            begun: 0,
            cut_at: 0,
            length: 0,
            halved: false,
        }
    }

    /// The line so far, unless it is beyond the bounds.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        let fits = self.read <= self.bounds.read && self.kept.len() <= self.bounds.kept;
        fits.then_some(&self.kept)
    }

    pub(super) fn push(&mut self, block: &[u8]) {
        self.read = self.read.saturating_add(block.len());
        if self.whole().is_none() {
            // Nothing more of it is looked at.
            self.kept = Vec::new();
            self.read = usize::MAX;
            return;
        }
        let mut rest = block;
        while let Some((byte, behind)) = rest.split_first() {
            let special = |byte: &u8| match self.at {
                At::Outside => *byte == b'"',
                At::Inside => matches!(*byte, b'"' | b'\\'),
                At::Escape | At::Digits(..) => true,
            };
            let run = rest.iter().position(special).unwrap_or(rest.len());
            if run == 0 {
                self.step(*byte);
                rest = behind;
                continue;
            }
            let (run, others) = rest.split_at(run);
            match self.at {
                At::Inside => self.plain(run),
                _ => self.kept.extend_from_slice(run),
            }
            rest = others;
        }
    }

    /// Whether the present string is being cut.
    fn cutting(&self) -> bool {
        self.length > self.bounds.string
    }

    /// Characters of a string that stand for themselves.
    fn plain(&mut self, run: &[u8]) {
        let first = run.iter().position(|byte| !continues(*byte));
        if let Some(first) = first {
            // Between the halves of a pair is no place to cut, behind another character it is.
            self.may_cut(first, self.halved);
            self.halved = false;
            let room = (self.begun + self.bounds.beginning).saturating_sub(self.kept.len());
            let within = run.get(..=room.min(run.len().saturating_sub(1)));
            let last = within.and_then(|part| part.iter().rposition(|byte| !continues(*byte)));
            if let Some(last) = last.filter(|last| *last > first) {
                self.may_cut(last, false);
            }
        }
        self.keep(run);
    }

    /// One byte that does not stand for itself.
    fn step(&mut self, byte: u8) {
        match (self.at, byte) {
            (At::Outside, _) => {
                self.kept.push(byte);
                self.at = At::Inside;
                (self.begun, self.cut_at) = (self.kept.len(), self.kept.len());
                (self.length, self.halved) = (0, false);
                return;
            }
            (At::Inside, b'"') => {
                if self.cutting() {
                    let missing = self.length - (self.kept.len() - self.begun);
                    self.kept.extend_from_slice(marker(missing).as_bytes());
                }
                self.kept.push(byte);
                self.at = At::Outside;
                return;
            }
            (At::Inside, _) => {
                self.may_cut(0, self.halved);
                self.at = At::Escape;
            }
            (At::Escape, b'u') => self.at = At::Digits(4, 0),
            (At::Escape, _) => (self.at, self.halved) = (At::Inside, false),
            (At::Digits(left, value), _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let value = value << 4 | u16::try_from(digit).unwrap_or(0);
                self.at = if left > 1 {
                    At::Digits(left - 1, value)
                } else {
                    self.halved = (0xd800..0xdc00).contains(&value);
                    At::Inside
                };
            }
        }
        self.keep(&[byte]);
    }

    /// Notes that the present string can be cut so many bytes further on.
    fn may_cut(&mut self, further: usize, halved: bool) {
        let place = self.kept.len() + further;
        if !self.cutting() && !halved && place - self.begun <= self.bounds.beginning {
            self.cut_at = place;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let was_cutting = self.cutting();
        self.length = self.length.saturating_add(bytes.len());
        match (was_cutting, self.cutting()) {
            (false, false) => self.kept.extend_from_slice(bytes),
            (false, true) => {
                // A string that begins in these bytes is kept from them.
                let room = self.cut_at.saturating_sub(self.kept.len());
                let more = bytes.get(..room.min(bytes.len())).unwrap_or_default();
                self.kept.extend_from_slice(more);
                self.kept.truncate(self.cut_at);
            }
            (true, _) => {}
        }
    }
}

/// Whether a byte stands within a character of UTF-8.
fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// What stands for the bytes that a string has lost.
pub(super) fn marker(missing: usize) -> String {
    format!("[agp left out {} here]", count(missing, "byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Bounds = Bounds {
        read: 400,
        kept: 200,
        string: 16,
        beginning: 6,
    };

    fn lines(bounds: Bounds, text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line_within(bounds, text, &mut |line| {
            lines.push(String::from_utf8(line.unwrap_or(b"(giant)").to_vec()).unwrap());
        });
        lines
    }

    fn cut(text: &str, block: usize) -> String {
        let mut line = JsonLine::new(SMALL);
        for part in text.as_bytes().chunks(block) {
            line.push(part);
        }
        String::from_utf8(line.whole().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn lines_are_whole_and_giant_ones_are_told_of() {
        let giant = "x".repeat(SMALL.kept + 1);
        let text = format!("a\n{giant}\nb\n\nc");
        assert_eq!(
            lines(SMALL, text.as_bytes()),
            ["a", "(giant)", "b", "", "c"]
        );
        // Also one that is long by its strings alone.
        let long = format!("\"{}\"\nb\n", "x".repeat(SMALL.read));
        assert_eq!(lines(SMALL, long.as_bytes()), ["(giant)", "b"]);
    }

    #[test]
    fn a_long_string_is_cut_between_two_characters_wherever_the_blocks_end() {
        for (text, expected) in [
            (r#"{"a":"0123456789abcdef"}"#, r#"{"a":"0123456789abcdef"}"#),
            (
                r#"{"a":"0123456789abcdefg","b":1}"#,
                r#"{"a":"012345[agp left out 11 bytes here]","b":1}"#,
            ),
            // An escape, a pair and a character of more than one byte stay whole.
            (
                r#"["0123\"456789abcdefg"]"#,
                r#"["0123\"[agp left out 13 bytes here]"]"#,
            ),
            (
                r#"["01234\"56789abcdefg"]"#,
                r#"["01234[agp left out 14 bytes here]"]"#,
            ),
            (
                r#"["\ud83d\ude00\ud83d\ude00"]"#,
                r#"["[agp left out 24 bytes here]"]"#,
            ),
            (
                r#"["0\\\\\u00e9xxxxxxxxx"]"#,
                r#"["0\\\\[agp left out 15 bytes here]"]"#,
            ),
            ("[\"aéééééééé\"]", "[\"aéé[agp left out 12 bytes here]\"]"),
            (r#"["\\\\\\\\\\\\\\\\","x"]"#, r#"["\\\\\\\\\\\\\\\\","x"]"#),
        ] {
            for block in 1..=text.len() {
                assert_eq!(cut(text, block), expected, "{block}");
            }
        }
    }

    #[test]
    fn what_a_frame_holds_of_a_call_is_not_cut() {
        let input = "x".repeat(limits::FRAME_BYTES);
        let line = format!(r#"{{"input":{{"content":"{input}"}}}}"#);
        assert_eq!(lines(BOUNDS, line.as_bytes()), [line]);
    }

    #[test]
    fn cutting_and_reading_commute() {
        let escapes = [r#"\""#, r"\\", r"\n", r"\u00e9", r"\ud83d\ude00"];
        let pieces = [&escapes[..], &["x", "0123", "é", "€", "😀", "[", ":", " "]].concat();
        // A fixed sequence that looks random: the generator of Numerical Recipes.
        let mut state = 1_u32;
        let mut next = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        for _ in 0..3000 {
            let mut text = || {
                let count = next(12);
                (0..count)
                    .map(|_| pieces[next(pieces.len())])
                    .collect::<String>()
            };
            let [a, b, c] = [text(), text(), text()];
            let line = format!(r#"{{"a":["{a}","{b}"],"b":"{c}","c":17}}"#);
            crate::intendants::fuzz::stream_line(line.as_bytes());
        }
    }
}
