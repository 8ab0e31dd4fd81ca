//! Foreign text made harmless for Slack: no mention, link, fence break, bidirectional or invisible
//! character in it survives.
//!
//! On top of `channels::escape`, which writes out what a reader cannot see, the three characters
//! that Slack's markup begins with become entities, and a backtick, which could end a code fence,
//! is written `\u{60}`.

use crate::channels::escape;

/// What stands around a fence's text.
const FENCE: usize = "```\n\n```".len();

/// A character as it may stand in a fence: itself, an escape or an entity, never to be cut in two.
fn atom(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '`' => "\\u{60}".to_owned(),
        c => escape::line(c.encode_utf8(&mut [0; 4])),
    }
}

/// A line begins with the first; what had to be broken goes on behind the second.
const BARS: [&str; 2] = ["│ ", "┊ "];
/// Characters of either.
const BAR: usize = 2;
/// Characters of the longest atom, `\u{10ffff}`.
const ATOM: usize = 10;

/// Code fences of at most `max_chars` characters each, entities counted as they are written, that
/// together show all of a text. Its own newlines are newlines; every line begins with a bar, and so
/// does what had to be broken.
pub(super) fn fences(text: &str, max_chars: usize) -> Vec<String> {
    let room = max_chars.saturating_sub(FENCE).max(BAR + ATOM);
    let [begins, goes_on] = BARS;
    let mut bodies = vec![(String::new(), 0)];
    for line in text.split('\n') {
        let mut bar = begins;
        let mut started = false;
        for atom in line.chars().map(atom).chain([String::new()]) {
            // As Slack may count them: a character beyond U+FFFF as two.
            let chars = atom.encode_utf16().count();
            let needs = if started { chars } else { chars + BAR + 1 };
            let full = bodies.last().is_none_or(|(_, has)| has + needs > room + 1);
            if full && (!atom.is_empty() || !started) {
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
                (started, bar) = (true, goes_on);
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

/// Foreign text on one line of at most `max_chars` characters, for a `plain_text` object, in which
/// Slack reads no markup.
pub(super) fn plain(text: &str, max_chars: usize) -> String {
    let line = escape::line_max(text, max_chars);
    if line.is_empty() {
        "(empty)".to_owned()
    } else {
        line
    }
}

/// A tool's name for the one text that Slack shows outside any block: of letters that form no
/// markup, or not at all.
pub(super) fn name(text: &str) -> &str {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits { text } else { "a tool" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a```\n<!channel> <@U1> <https://x.example|y> &amp; \u{202e}rtl\u{200b} \u{1b}[2J `x` \\u{60}\r\n*b*";

    #[test]
    fn nothing_of_slacks_markup_survives_in_a_fence() {
        for max in [40, 64, 100, 2900] {
            for fence in fences(HOSTILE, max) {
                assert!(fence.chars().count() <= max, "{max}: {fence}");
                let body = fence
                    .strip_prefix("```\n")
                    .and_then(|f| f.strip_suffix("\n```"))
                    .unwrap();
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
                assert!(
                    body.lines()
                        .all(|line| line.starts_with("│ ") || line.starts_with("┊ "))
                );
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
            let whole: String = text.chars().filter(|c| *c != '\n').map(atom).collect();
            for max in [40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 500, 2900] {
                let mut joined = String::new();
                for fence in fences(text, max) {
                    let body = fence
                        .strip_prefix("```\n")
                        .and_then(|f| f.strip_suffix("\n```"))
                        .unwrap();
                    for line in body.split('\n') {
                        let piece = line.chars().skip(2).collect::<String>();
                        assert!(
                            piece.ends_with("\\\\u") || !piece.ends_with("\\u"),
                            "{max}: {piece}"
                        );
                        assert!(!piece.ends_with("&l") && !piece.ends_with("&am"), "{piece}");
                        joined.push_str(&piece);
                    }
                }
                assert_eq!(joined, whole, "{max}");
            }
        }
    }

    #[test]
    fn a_name_is_shown_only_when_it_is_one() {
        assert_eq!(name("mcp__server__tool"), "mcp__server__tool");
        for bad in ["", "<!here>", "x.example", "a b", "日本"] {
            assert_eq!(name(bad), "a tool");
        }
    }
}
