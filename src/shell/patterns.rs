//! Braces, tildes and pathname patterns of words that were read.

use super::Unparsed;
use super::ast::{Part, Word};
use super::braces;
use super::frames::{OperandKind, WordOut};
use super::machine::Machine;
use super::source::is_name;

/// Bytes of `[:class:]` within a bracket, at most.
const CLASS_BYTES: usize = 16;

impl Machine<'_> {
    /// The words that one word of a command stands for: braces, then tildes, then patterns.
    pub(super) fn expanded(&mut self, word: WordOut) -> Result<Vec<Word>, Unparsed> {
        let at = word.from;
        let (grouped, unclear) = (word.grouped, word.braces_unclear);
        let mut steps = self.brace_steps;
        let expansion = braces::expand(word.parts, &mut steps);
        self.brace_steps = steps;
        let mut place = Tildes::Argument;
        let words = match expansion {
            Ok(braces::Braces::None(parts)) => vec![parts],
            Ok(braces::Braces::Some(_)) if unclear || grouped => {
                let what = "braces beside a pattern or an expansion with braces";
                return Err(Unparsed::Unsupported { at, what });
            }
            Ok(braces::Braces::Some(words)) => {
                self.bash_only("{a,b}");
                place = Tildes::First;
                words
            }
            Err(braces::Refused::TooLong) => return Err(Unparsed::TooLong { at }),
            Err(braces::Refused::Unclear) => {
                let what = "braces that make quotes, escapes or unclear sequences";
                return Err(Unparsed::Unsupported { at, what });
            }
        };
        let words = words.into_iter().map(|parts| {
            let (parts, later) = tildes(parts, place);
            if later {
                self.bash_only("a tilde behind `=`");
            }
            globs(parts, grouped)
        });
        let words: Vec<Word> = words.filter(|word| !word.parts.is_empty()).collect();
        self.note_patterns(&words);
        Ok(words)
    }

    fn note_patterns(&mut self, words: &[Word]) {
        let parts = words.iter().flat_map(|word| &word.parts);
        for part in parts {
            match part {
                Part::Glob(text) if text.starts_with("[^") => self.bash_only("[^"),
                Part::Tilde(name) if name.starts_with(|c: char| "+-0123456789".contains(c)) => {
                    self.bash_only("~+");
                }
                _ => {}
            }
        }
    }

    /// A pattern of `case` and `[[`, or an operand: no braces.
    pub(super) fn unexpanded(&mut self, word: WordOut) -> Word {
        let (parts, _) = tildes(word.parts, Tildes::First);
        let word = globs(parts, word.grouped);
        self.note_patterns(std::slice::from_ref(&word));
        word
    }

    /// What is assigned, or tested: neither braces nor patterns.
    pub(super) fn value(&mut self, word: WordOut) -> Word {
        let (parts, _) = tildes(word.parts, Tildes::Value);
        Word { parts }
    }

    /// The operand of `${...}`.
    pub(super) fn operand_word(&mut self, kind: OperandKind, quoted: bool, word: WordOut) -> Word {
        match kind {
            _ if quoted => Word { parts: word.parts },
            OperandKind::Substring => Word { parts: word.parts },
            _ => self.unexpanded(word),
        }
    }

    /// Whether `shopt -s extglob` may have run: without it bash refuses `@(` and the like, and reads `!(a)` as a command.
    pub(super) fn extended_patterns(&self) -> bool {
        self.mentions_extglob
    }
}

/// Where tildes are expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tildes {
    /// At the beginning.
    First,
    /// And behind each `:`.
    Value,
    /// At the beginning; in `NAME=value` as in a value.
    Argument,
}

/// Finds tildes in unquoted text; whether one stands elsewhere than at the beginning.
fn tildes(parts: Vec<Part>, place: Tildes) -> (Vec<Part>, bool) {
    let has = |part: &Part| matches!(part, Part::Literal(text) if text.contains('~'));
    if !parts.iter().any(has) {
        return (parts, false);
    }
    let mut out = WordOut::default();
    let mut later = false;
    let mut colons = place == Tildes::Value;
    let mut names = place == Tildes::Argument;
    let mut open = true;
    let count = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        let Part::Literal(text) = part else {
            open = false;
            names = false;
            out.push(part);
            continue;
        };
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if open && let Some(behind) = rest.strip_prefix('~') {
                let stop = |c: char| c == '/' || (c == ':' && colons);
                let length = behind.find(stop).unwrap_or(behind.len());
                // Quotes or an expansion in the user's name: no tilde.
                let whole = length < behind.len() || index + 1 == count;
                if let Some((name, after)) = behind.split_at_checked(length)
                    && whole
                {
                    later |= !out.parts.is_empty();
                    out.push(Part::Tilde(name.to_owned()));
                    rest = after;
                    open = false;
                    continue;
                }
            }
            let Some(c) = rest.chars().next() else {
                break;
            };
            if names && c == '=' {
                let before = match out.parts.as_slice() {
                    [Part::Literal(text)] => text.strip_suffix('+').unwrap_or(text),
                    _ => "",
                };
                let before = before.split_once('[').map_or(before, |(name, _)| name);
                colons = is_name(before);
                open = colons;
                names = false;
            } else {
                open = c == ':' && colons;
            }
            out.literal(c.encode_utf8(&mut [0; 4]));
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    (out.parts, later)
}

/// Finds patterns in unquoted text.
fn globs(parts: Vec<Part>, grouped: bool) -> Word {
    if grouped {
        let all = parts.into_iter().map(|part| match part {
            Part::Literal(text) => Part::Glob(text),
            other => other,
        });
        return Word {
            parts: all.collect(),
        };
    }
    let literal = |part: &Part| match part {
        Part::Literal(text) => text.contains(['*', '?', '[']),
        _ => false,
    };
    if !parts.iter().any(literal) {
        return Word { parts };
    }
    // The last part in which a bracket can close.
    let closes = |part: &Part| matches!(part, Part::Literal(text) if text.contains(']'));
    let last = parts.iter().rposition(closes);
    let mut out = Vec::new();
    let mut bracket = false;
    for (index, part) in parts.into_iter().enumerate() {
        let Part::Literal(text) = part else {
            out.push(part);
            continue;
        };
        let later = last.is_some_and(|last| last > index);
        split(&text, later, &mut bracket, &mut out);
    }
    Word { parts: out }
}

/// Cuts one text into patterns and what is none.
fn split(text: &str, closes_later: bool, bracket: &mut bool, out: &mut Vec<Part>) {
    let mut add = |glob: bool, text: &str| match (out.last_mut(), glob) {
        (_, _) if text.is_empty() => {}
        (Some(Part::Glob(before)), true) | (Some(Part::Literal(before)), false) => {
            before.push_str(text);
        }
        (_, true) => out.push(Part::Glob(text.to_owned())),
        (_, false) => out.push(Part::Literal(text.to_owned())),
    };
    let mut rest = text;
    let last_close = text.rfind(']');
    loop {
        if *bracket {
            // A bracket that began in a part before this one.
            let end = rest.find(']').map(|end| end + 1);
            let (inside, after) = rest
                .split_at_checked(end.unwrap_or(rest.len()))
                .unwrap_or((rest, ""));
            add(true, inside);
            rest = after;
            *bracket = end.is_none();
            if *bracket {
                return;
            }
        }
        let Some(at) = rest.find(['*', '?', '[']) else {
            add(false, rest);
            return;
        };
        let (before, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        add(false, before);
        let closed = match special.starts_with('[') {
            false => Some(1),
            true => match last_close.is_some_and(|last| last > text.len() - special.len()) {
                true => bracket_length(special),
                false => None,
            },
        };
        match closed {
            Some(length) => {
                let (glob, after) = special.split_at_checked(length).unwrap_or((special, ""));
                add(true, glob);
                rest = after;
            }
            None if closes_later => {
                add(true, special);
                *bracket = true;
                return;
            }
            None => {
                add(false, "[");
                rest = special.get(1..).unwrap_or_default();
            }
        }
    }
}

/// The length of the bracket expression that a text begins with.
fn bracket_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    if matches!(bytes.get(at), Some(b'!' | b'^')) {
        at += 1;
    }
    if bytes.get(at) == Some(&b']') {
        at += 1;
    }
    loop {
        match bytes.get(at)? {
            b']' => return Some(at + 1),
            b'[' => {
                let kind = bytes.get(at + 1).copied();
                at += 1;
                if let Some(kind @ (b':' | b'.' | b'=')) = kind {
                    let inside = bytes.get(at + 1..)?;
                    let class = inside.windows(2).take(CLASS_BYTES);
                    if let Some(end) = class.clone().position(|two| two == [kind, b']']) {
                        at += 1 + end + 2;
                    }
                }
            }
            _ => at += 1,
        }
    }
}
