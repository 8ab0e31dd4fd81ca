//! The agent's text made safe to look at: nothing in it moves the cursor, reorders, or hides.
//!
//! An approver decides by what is shown, so each character that a terminal obeys, or that a
//! reader cannot see, is written out as `\u{202e}`. A backslash is doubled: what looks like an
//! escape then is one, and the original can be told from the output.

use std::fmt::Write;

use crate::view::characters::obeyed_or_unseen;

/// Stands at the end of what was cut.
const CUT: char = '…';

/// Text on one line, escaped whole.
#[must_use]
pub fn line(text: &str) -> String {
    line_max(text, usize::MAX)
}

/// Text on one line of at most `max_chars` characters (at least one), escapes counted as they
/// are shown and never cut in two. A line that was cut ends in `…`.
#[must_use]
pub fn line_max(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars));
    let mut length = 0;
    // Where to cut if the rest does not fit: the last place with room for the mark.
    let mut room = 0;
    for c in text.chars() {
        if length < max_chars {
            room = out.len();
        }
        let before = out.len();
        push_escaped(&mut out, c);
        // All that is longer than one character is ASCII: bytes are characters.
        length += if obeyed_or_unseen(c) || c == '\\' {
            out.len() - before
        } else {
            1
        };
        if length > max_chars {
            out.truncate(room);
            out.push(CUT);
            break;
        }
    }
    out
}

/// Text on lines: its own newlines separate them, everything else is as [`line_max`] shows it,
/// and each begins with `prefix`, so that no line of the agent's can pass for one of ours. After
/// `max_lines` a last line says how many more there are. No newline at the end.
#[must_use]
pub fn block(text: &str, prefix: &str, max_lines: usize, max_chars: usize) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut lines = text.split('\n');
    let mut kept: Vec<String> = lines
        .by_ref()
        .take(max_lines)
        .map(|text| format!("{prefix}{}", line_max(text, max_chars)))
        .collect();
    let more = lines.count();
    if more > 0 {
        let lines = if more == 1 { "line" } else { "lines" };
        kept.push(format!("{prefix}{CUT} {more} more {lines}"));
    }
    kept.join("\n")
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        c if obeyed_or_unseen(c) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse, as a reader applies it.
    fn unescape(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '\\' {
                out.push(c);
                continue;
            }
            let kind = rest.chars().next().unwrap();
            rest = &rest[1..];
            match kind {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                '\\' => out.push('\\'),
                'u' => {
                    let (hex, after) = rest[1..].split_once('}').unwrap();
                    out.push(char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap());
                    rest = after;
                }
                other => panic!("{other:?}"),
            }
        }
        out
    }

    #[test]
    fn no_character_gets_through_that_hides_or_acts() {
        // By number, from the Unicode tables; apart from the ranges of the code under test.
        let forbidden: &[(u32, u32)] = &[
            (0, 0x1f),
            (0x7f, 0x9f),
            (0xa0, 0xa0),
            (0xad, 0xad),
            (0x334, 0x338),
            (0x34f, 0x34f),
            (0x488, 0x489),
            (0x61c, 0x61c),
            (0x115f, 0x1160),
            (0x1680, 0x1680),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x2000, 0x200f),
            (0x2028, 0x202f),
            (0x205f, 0x206f),
            (0x20d2, 0x20d3),
            (0x20d8, 0x20da),
            (0x20dd, 0x20e0),
            (0x20e2, 0x20e6),
            (0x20ea, 0x20eb),
            (0x2800, 0x2800),
            (0x3000, 0x3000),
            (0x3164, 0x3164),
            (0xe000, 0xf8ff),
            (0xfdd0, 0xfdef),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfffb),
            (0xfffe, 0xffff),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0000, 0xe0fff),
            (0xf0000, 0x0010_ffff),
        ];
        let hides = |c: char| {
            let n = u32::from(c);
            forbidden
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&n))
                || n & 0xfffe == 0xfffe
        };
        for c in '\0'..=char::MAX {
            let text = String::from(c);
            let escaped = line(&text);
            assert!(!escaped.contains(hides), "{:x}", u32::from(c));
            assert_eq!(unescape(&escaped), text);
            assert_eq!(
                escaped == text,
                !hides(c) && c != '\\',
                "{:x}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn escapes_are_told_from_text_that_looks_like_them() {
        for text in [
            "\u{202e}",
            "\\u{202e}",
            "\\\u{202e}",
            "\\\\n",
            "\n",
            "a\\",
            "\\n\n\u{1b}[2J",
        ] {
            assert_eq!(unescape(&line(text)), text);
        }
        assert_eq!(line("a\n\u{202e}\\"), "a\\n\\u{202e}\\\\");
    }

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in ["ls -la | wc", "naïve 日本語 עברית 👍🏽", ""] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_cut_counts_what_is_shown_and_spares_escapes() {
        assert_eq!(line_max("abcd", 4), "abcd");
        assert_eq!(line_max("abcde", 4), "abc…");
        assert_eq!(line_max("üüüüü", 4), "üüü…");
        assert_eq!(line_max("ab\u{202e}", 4), "ab…");
        assert_eq!(line_max("ab\n", 4), "ab\\n");
        assert_eq!(line_max("ab\nc", 4), "ab…");
        assert_eq!(line_max("abc\n", 4), "abc…");
        assert_eq!(line_max("ab", 1), "…");
        let pieces = "a\u{1b}ü\\\n".repeat(20);
        for max in 1..200 {
            assert!(line_max(&pieces, max).chars().count() <= max);
        }
    }

    #[test]
    fn each_line_of_a_block_carries_the_prefix() {
        assert_eq!(block("a\r\nb\u{85}c\n", "│ ", 9, 80), "│ a\\r\n│ b\\u{85}c");
        assert_eq!(
            block("a\nb\nc\nd", "│ ", 2, 80),
            "│ a\n│ b\n│ … 2 more lines"
        );
        assert_eq!(block("a\nb", "│ ", 1, 80), "│ a\n│ … 1 more line");
        assert_eq!(block("abcdef", "> ", 1, 3), "> ab…");
        assert_eq!(block("", "│ ", 3, 80), "│ ");
    }
}
