//! Foreign text made harmless for Slack: no mention, link, fence break, bidirectional or invisible
//! character in it survives.
//!
//! On top of `view::escape`, which writes out what a reader cannot see, the three characters that Slack's markup begins
//! with become entities; a backtick, which could end a code fence, is written `\u{60}`, and so are the marks that agp's
//! own lines begin with: whatever the width at which a phone wraps a line, no part of it passes for another one.

use std::borrow::Cow;

use crate::view::DrawnLine;
use crate::view::escape::{escaped, units};

use crate::contracts::view::LineKind;

/// What stands around a fence's text.
const FENCE: usize = "```\n\n```".len();
/// Stands at the end of what was cut.
const CUT: char = '…';

/// What a line of a fence begins with. Each takes two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// agp's own words: what the lines below are.
    Label,
    /// Foreign text.
    Foreign,
    /// agp's own words about the lines around.
    Note,
}

/// What had to be broken goes on behind this.
const GOES_ON: &str = "┊ ";
/// Characters of it, and of any bar.
const BAR: usize = 2;
/// Characters of the longest atom, `\u{10ffff}`.
const ATOM: usize = 10;

impl Bar {
    fn text(self) -> &'static str {
        match self {
            Self::Label => "╭ ",
            Self::Foreign => "│ ",
            Self::Note => "┄ ",
        }
    }
}

/// A line of a fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    bar: Bar,
    /// agp's own, before the text.
    mark: String,
    /// Escaped.
    text: String,
}

impl Line {
    /// What the lines below are.
    pub(super) fn label(text: &str) -> Self {
        Self::with(Bar::Label, text)
    }

    /// Foreign text, on one line.
    pub(super) fn foreign(text: &str) -> Self {
        Self::with(Bar::Foreign, text)
    }

    /// agp's own words among foreign ones.
    pub(super) fn note(text: &str) -> Self {
        Self::with(Bar::Note, text)
    }

    /// Foreign text, as much of it as this many characters show; and whether that is all of it.
    pub(super) fn within(text: &str, max_chars: usize) -> (Self, bool) {
        let piece = cut(text, max_chars);
        let whole = !piece.ends_with(CUT) || piece == escaped(text);
        let line = Self {
            bar: Bar::Foreign,
            mark: String::new(),
            text: piece,
        };
        (line, whole)
    }

    /// Characters of its text.
    pub(super) fn chars(&self) -> usize {
        self.text.chars().count()
    }

    /// Bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    fn with(bar: Bar, text: &str) -> Self {
        Self {
            bar,
            mark: String::new(),
            text: escaped(text),
        }
    }
}

impl From<DrawnLine> for Line {
    fn from(line: DrawnLine) -> Self {
        Self {
            bar: match line.kind {
                LineKind::Note => Bar::Note,
                _ => Bar::Foreign,
            },
            mark: line.mark,
            text: line.text,
        }
    }
}

/// An escaped text in pieces as they may stand in a fence: a character, an escape or an entity, never to be cut in two.
fn atoms(escaped: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = escaped;
    std::iter::from_fn(move || {
        let c = rest.chars().next()?;
        let end = match rest.starts_with("\\u{") {
            true => rest.find('}').map_or(rest.len(), |at| at + 1),
            false => c.len_utf8(),
        };
        let (unit, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(match unit {
            "&" => Cow::Borrowed("&amp;"),
            "<" => Cow::Borrowed("&lt;"),
            ">" => Cow::Borrowed("&gt;"),
            "`" => Cow::Borrowed("\\u{60}"),
            "╭" | "│" | "┊" | "┄" => Cow::Owned(format!("\\u{{{:x}}}", u32::from(c))),
            unit => Cow::Borrowed(unit),
        })
    })
}

/// Code fences of at most `max_chars` characters each, entities counted as they are written, that together show all of
/// these lines; of more than `most` the first `most + 1`. Every line begins with a bar, and so does what had to be
/// broken.
pub(super) fn fences(lines: &[Line], max_chars: usize, most: usize) -> Vec<String> {
    let room = max_chars.saturating_sub(FENCE).max(BAR + ATOM);
    let mut bodies = vec![(String::new(), 0)];
    'lines: for line in lines {
        let mut bar = line.bar.text();
        let mut started = false;
        let mark = (!line.mark.is_empty()).then_some(Cow::Borrowed(line.mark.as_str()));
        let pieces = mark.into_iter().chain(atoms(&line.text));
        for atom in pieces.chain([Cow::Borrowed("")]) {
            // As Slack may count them: a character beyond U+FFFF as two.
            let chars = atom.encode_utf16().count();
            let needs = if started { chars } else { chars + BAR + 1 };
            let full = bodies.last().is_none_or(|(_, has)| has + needs > room + 1);
            if full && (!atom.is_empty() || !started) {
                if bodies.len() > most {
                    break 'lines;
                }
                bodies.push((String::new(), 0));
                started = false;
            }
            let Some((body, has)) = bodies.last_mut() else {
                continue;
            };
            if !started {
                if *has > 0 {
                    body.push('\n');
                }
                body.push_str(bar);
                // The newline is counted for the first line, too: one character to spare.
                *has += BAR + 1;
                (started, bar) = (true, GOES_ON);
            }
            body.push_str(&atom);
            *has += chars;
        }
    }
    let filled = bodies.into_iter().filter(|(_, has)| *has > 0);
    filled
        .map(|(body, _)| format!("```\n{body}\n```"))
        .collect()
}

/// Foreign text of at most `max_chars` characters, escapes counted as they are shown. Where it was cut it ends in `…`.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let (mut length, mut room) = (0, 0);
    for unit in units(text) {
        if length < max_chars {
            room = out.len();
        }
        out.push_str(&unit);
        // As Slack may count them.
        length += unit.encode_utf16().count();
        if length > max_chars {
            out.truncate(room);
            out.push(CUT);
            break;
        }
    }
    out
}

/// Foreign text on one line of at most `max_chars` characters, for a `plain_text` object, in which
/// Slack reads no markup.
pub(super) fn plain(text: &str, max_chars: usize) -> String {
    let line = cut(text, max_chars);
    if line.is_empty() {
        "(empty)".to_owned()
    } else {
        line
    }
}

/// The same where Slack does read markup, outside of any block: for a notification.
pub(super) fn inline(text: &str, max_chars: usize) -> String {
    atoms(&cut(text, max_chars)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a```\n<!channel> <@U1> <https://x.example|y> &amp; \u{202e}rtl\u{200b} \u{1b}[2J `x` \\u{60}\r\n*b*\n╭ why\n┄ │";

    fn lines(text: &str) -> Vec<Line> {
        text.split('\n').map(Line::foreign).collect()
    }

    fn body(fence: &str) -> &str {
        let fence = fence.strip_prefix("```\n").unwrap();
        fence.strip_suffix("\n```").unwrap()
    }

    #[test]
    fn nothing_of_slacks_markup_survives_in_a_fence() {
        for max in [40, 64, 100, 2900] {
            for fence in fences(&lines(HOSTILE), max, usize::MAX) {
                assert!(fence.chars().count() <= max, "{max}: {fence}");
                let body = body(&fence);
                assert!(
                    !body.contains(['`', '<', '>', '\u{202e}', '\u{200b}', '\u{1b}', '\r']),
                    "{body}"
                );
                for (at, _) in body.match_indices('&') {
                    let entity = ["&amp;", "&lt;", "&gt;"];
                    assert!(
                        entity.iter().any(|entity| body[at..].starts_with(entity)),
                        "{body}"
                    );
                }
                for line in body.lines() {
                    assert!(line.starts_with("│ ") || line.starts_with("┊ "), "{line}");
                    let rest: String = line.chars().skip(1).collect();
                    assert!(!rest.contains(['╭', '│', '┊', '┄']), "{line}");
                }
            }
        }
    }

    #[test]
    fn fences_show_all_of_a_text_and_cut_nothing_in_two() {
        let texts = [
            HOSTILE.to_owned(),
            "<&>`\\\u{202e}x".repeat(50),
            "x".repeat(5000),
            String::new(),
            "\n\n".into(),
        ];
        for text in &texts {
            let whole: String = text
                .split('\n')
                .map(|line| atoms(&escaped(line)).collect::<String>())
                .collect();
            for max in [40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 500, 2900] {
                let mut joined = String::new();
                for fence in fences(&lines(text), max, usize::MAX) {
                    for line in body(&fence).split('\n') {
                        let piece = line.chars().skip(2).collect::<String>();
                        assert!(!piece.ends_with("\\u"), "{max}: {piece}");
                        assert!(!piece.ends_with("&l") && !piece.ends_with("&am"), "{piece}");
                        joined.push_str(&piece);
                    }
                }
                assert_eq!(joined, whole, "{max}");
            }
        }
    }

    #[test]
    fn agps_own_lines_are_told_from_foreign_ones() {
        let change = DrawnLine {
            kind: LineKind::Added,
            mark: "12 + ".into(),
            text: "a".into(),
        };
        let drawn = [
            Line::label("changes ╭"),
            change.into(),
            Line::note("8 unchanged lines"),
        ];
        let expected = "```\n╭ changes \\u{256d}\n│ 12 + a\n┄ 8 unchanged lines\n```";
        assert_eq!(fences(&drawn, 100, 1), [expected]);
    }

    #[test]
    fn what_is_cut_says_so_and_no_escape_is_cut() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("a\u{202e}b", 5), "a…");
        assert_eq!(
            inline("<!here> & `x`", 100),
            "&lt;!here&gt; &amp; \\u{60}x\\u{60}"
        );
        assert_eq!(inline("&&&&", 3), "&amp;&amp;…");
        assert_eq!(plain("", 10), "(empty)");
    }
}
