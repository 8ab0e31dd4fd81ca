//! How foreign text is shown to whoever decides about it: each character as it is, but for those that a terminal obeys
//! or a reader cannot tell.
//!
//! Such a character is written `\u{202e}`, a tab `⇥`, a space at the end, which nobody sees, `\u{20}`. A backslash stays itself, except directly before `u{`, where it is
//! `\u{5c}`; the character `⇥` itself is `\u{21e5}`. So `\u{` and `⇥` always stand for something else, and
//! [`unescaped`] gives the text back.

use std::borrow::Cow;
use std::fmt::Write;

use super::characters::obeyed_or_unseen;

/// Stands for a tab. One column wide everywhere; a tab's own width depends on where it stands.
const TAB: char = '⇥';

/// A text as it is shown.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for unit in units(text) {
        out.push_str(&unit);
    }
    out
}

/// A text as it is shown, in pieces that must not be torn: one for each character. Whoever wraps or cuts does it
/// between them.
pub fn units(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.char_indices().map(|(at, c)| {
        let end = at + c.len_utf8();
        let ambiguous = match c {
            '\\' => text.get(end..).is_some_and(|rest| rest.starts_with("u{")),
            c => c == TAB,
        };
        // Behind a backslash it decides whether the next line is another command.
        let ends = c == ' ' && end == text.len();
        if c == '\t' {
            Cow::Borrowed("⇥")
        } else if ambiguous || ends || obeyed_or_unseen(c) {
            let mut unit = String::with_capacity("\\u{10ffff}".len());
            // Writing to a string cannot fail.
            let _ = write!(unit, "\\u{{{:x}}}", u32::from(c));
            Cow::Owned(unit)
        } else {
            Cow::Borrowed(text.get(at..end).unwrap_or_default())
        }
    })
}

/// The text that is shown so; `None` where no text is.
#[must_use]
pub fn unescaped(shown: &str) -> Option<String> {
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown;
    while let Some((before, escape)) = rest.split_once("\\u{") {
        out.extend(before.chars().map(tab_of));
        let (code, after) = escape.split_once('}')?;
        out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = after;
    }
    out.extend(rest.chars().map(tab_of));
    (escaped(&out) == shown).then_some(out)
}

fn tab_of(c: char) -> char {
    match c {
        TAB => '\t',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_as_it_is_where_that_is_honest() {
        for (text, expected) in [
            ("", ""),
            ("ls -la | wc", "ls -la | wc"),
            ("naïve 日本語 עברית 👍🏽", "naïve 日本語 עברית 👍🏽"),
            (r"printf 'a\tb\n' C:\x \\ \", r"printf 'a\tb\n' C:\x \\ \"),
            ("\tif", "⇥if"),
            ("⇥", r"\u{21e5}"),
            ("a\rb\u{1b}[2J", r"a\u{d}b\u{1b}[2J"),
            ("a\u{202e}b\u{a0}c\0", r"a\u{202e}b\u{a0}c\u{0}"),
            ("a\nb", r"a\u{a}b"),
            (r"\u{202e}", r"\u{5c}u{202e}"),
            (r"\\u{202e}", r"\\u{5c}u{202e}"),
            ("\\\u{202e}", r"\\u{202e}"),
            (r"\u0041 \x{41}", r"\u0041 \x{41}"),
            ("echo a \\ ", r"echo a \\u{20}"),
            (" ", r"\u{20}"),
            (" a  ", r" a \u{20}"),
        ] {
            assert_eq!(escaped(text), expected);
            assert_eq!(unescaped(expected).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_nobody_would_be_shown_stands_for_nothing() {
        for shown in [
            r"\u{",
            r"\u{}",
            r"\u{41}",
            r"\u{110000}",
            r"\u{D}",
            r"\u{0d}",
            "a\u{202e}",
            "\t",
            r"\u{5c}",
            r"a\u{20}b",
            "a ",
        ] {
            assert_eq!(unescaped(shown), None, "{shown}");
        }
    }

    #[test]
    fn every_text_can_be_told_from_what_is_shown_of_it() {
        for c in '\0'..=char::MAX {
            let text = String::from(c);
            assert_eq!(unescaped(&escaped(&text)), Some(text));
        }
        // Every text of these pieces, five long.
        let pieces = ["\\", "u{", "}", "5c", "\t", "\u{202e}", "⇥", "\\u{5c}"];
        let mut seen = std::collections::HashMap::new();
        for n in 0..pieces.len().pow(5) {
            let places = (0..5).map(|place| n / pieces.len().pow(place) % pieces.len());
            let text: String = places.map(|at| pieces[at]).collect();
            let drawn = escaped(&text);
            assert_eq!(unescaped(&drawn).as_deref(), Some(text.as_str()));
            let other = seen.insert(drawn, text.clone());
            assert!(other.is_none_or(|other| other == text));
        }
    }

    #[test]
    fn the_pieces_are_whole() {
        let pieces: Vec<_> = units("a\\u{1}\t\u{85}é").collect();
        let expected = ["a", r"\u{5c}", "u", "{", "1", "}", "⇥", r"\u{85}", "é"];
        assert_eq!(pieces, expected);
    }
}
