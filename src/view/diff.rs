//! A file before and after, line by line. Bounded by sizes alone: the same texts have the same diff on every machine.

use std::collections::HashMap;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::view::{LineKind, ViewLine};
use crate::tools::text::ends_in_two;

use super::room::{Room, note};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Lines of one text in place of lines of another.
struct Change {
    old: Range<usize>,
    new: Range<usize>,
}

/// What changes between two texts, with the lines around.
pub(super) fn diff(old: &str, new: &str, room: &mut Room) -> Vec<ViewLine> {
    let mut lines = Vec::new();
    if old == new {
        return vec![note("The file stays as it is.")];
    }
    if ends_in_two(old) && ends_in_two(new) {
        lines.push(crlf());
        let one = |text: &str| text.replace("\r\n", "\n");
        changed_lines(&one(old), &one(new), room, &mut lines);
    } else {
        changed_lines(old, new, room, &mut lines);
    }
    lines
}

/// All lines of a text that is one side of a change alone.
pub(super) fn whole(kind: LineKind, text: &str, room: &mut Room) -> Vec<ViewLine> {
    let mut lines = Vec::new();
    if text.is_empty() {
        lines.push(note("The file is empty."));
    }
    let one;
    let mut text = text;
    if ends_in_two(text) {
        lines.push(crlf());
        one = text.replace("\r\n", "\n");
        text = &one;
    }
    lines.extend(room.file(kind, &split(text), 1));
    lines
}

fn crlf() -> ViewLine {
    note("Every line ends in CR LF.")
}

/// The lines of a file, each with its newline.
pub(super) fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn changed_lines(old: &str, new: &str, room: &mut Room, lines: &mut Vec<ViewLine>) {
    let (old, new) = (split(old), split(new));
    let (changes, compared) = changes(&old, &new);
    if !compared {
        lines.push(note(
            "Too much differs to compare it: all old lines are shown removed, all new ones added.",
        ));
    }
    let mut show = |kind, of: &[&str], range: Range<usize>| {
        let first = range.start + 1;
        room.file(kind, of.get(range).unwrap_or_default(), first)
    };
    // Up to here the old text is shown, or need not be.
    let mut end = 0;
    for (at, change) in changes.iter().enumerate() {
        let start = change.old.start;
        let between = start.saturating_sub(end);
        if at > 0 && between > 2 * CONTEXT + 1 {
            lines.extend(show(LineKind::Context, &old, end..end + CONTEXT));
            let unchanged = count(between - 2 * CONTEXT, "unchanged line");
            lines.push(note(&format!("{unchanged}.")));
            end = start - CONTEXT;
        } else if at == 0 {
            end = start.saturating_sub(CONTEXT);
        }
        lines.extend(show(LineKind::Context, &old, end..start));
        lines.extend(show(LineKind::Removed, &old, change.old.clone()));
        lines.extend(show(LineKind::Added, &new, change.new.clone()));
        end = change.old.end;
    }
    let after = end..old.len().min(end + CONTEXT);
    lines.extend(show(LineKind::Context, &old, after));
}

/// What lies between the lines that are the same, in order; and whether these were looked for.
fn changes(old: &[&str], new: &[&str]) -> (Vec<Change>, bool) {
    let alike = |(a, b): &(&&str, &&str)| a == b;
    let begin = old.iter().zip(new).take_while(alike).count();
    let (a, b) = (
        old.get(begin..).unwrap_or_default(),
        new.get(begin..).unwrap_or_default(),
    );
    let end = a.iter().rev().zip(b.iter().rev()).take_while(alike).count();
    let (a, b) = (
        a.get(..a.len() - end).unwrap_or_default(),
        b.get(..b.len() - end).unwrap_or_default(),
    );
    let pairs = pairs(a, b);
    let mut changes = Vec::new();
    let (mut i, mut j) = (0, 0);
    let last = (a.len(), b.len());
    for (x, y) in pairs.iter().flatten().copied().chain([last]) {
        if i < x || j < y {
            changes.push(Change {
                old: begin + i..begin + x,
                new: begin + j..begin + y,
            });
        }
        (i, j) = (x + 1, y + 1);
    }
    (changes, pairs.is_some())
}

/// Positions of lines that stay, in both; `None` where too many could. A line that stands on one side alone is in no
/// pair, so only the others are compared.
fn pairs(old: &[&str], new: &[&str]) -> Option<Vec<(usize, usize)>> {
    if old.len() + new.len() > limits::DIFF_LINES {
        return None;
    }
    let mut ids: HashMap<&str, (usize, bool)> = HashMap::new();
    for line in old {
        let next = ids.len();
        ids.entry(line).or_insert((next, false));
    }
    let mut new_ids: Vec<(usize, usize)> = Vec::new();
    for (at, line) in new.iter().enumerate() {
        if let Some((id, on_both)) = ids.get_mut(line) {
            *on_both = true;
            new_ids.push((at, *id));
        }
    }
    let old_ids: Vec<(usize, usize)> = (0..)
        .zip(old)
        .filter_map(|(at, line)| match ids.get(line) {
            Some((id, true)) => Some((at, *id)),
            _ => None,
        })
        .collect();
    if old_ids.len() + new_ids.len() > limits::DIFF_COMMON_LINES {
        return None;
    }
    let ids = |lines: &[(usize, usize)]| lines.iter().map(|(_, id)| *id).collect::<Vec<_>>();
    let operations = capture_diff_slices(Algorithm::Myers, &ids(&old_ids), &ids(&new_ids));
    let mut pairs = Vec::new();
    for operation in operations {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = operation
        {
            let a = old_ids.get(old_index..).unwrap_or_default();
            let b = new_ids.get(new_index..).unwrap_or_default();
            let both = a.iter().zip(b).take(len);
            pairs.extend(both.map(|((x, _), (y, _))| (*x, *y)));
        }
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(old: &str, new: &str) -> Vec<String> {
        let block = crate::contracts::view::ViewBlock {
            heading: "changes".into(),
            subject: None,
            lines: diff(old, new, &mut Room::default()),
        };
        let lines = crate::view::drawn(&block).into_iter();
        lines.map(|line| line.mark + &line.text).collect()
    }

    fn numbered(lines: usize) -> String {
        (1..=lines).map(|line| format!("line {line}\n")).collect()
    }

    #[test]
    fn a_change_stands_among_the_lines_around_it() {
        let old = numbered(40);
        let new = old
            .replace("line 10\n", "ten\n10\n")
            .replace("line 30\n", "");
        let expected = [
            " 7   line 7",
            " 8   line 8",
            " 9   line 9",
            "10 - line 10",
            "10 + ten",
            "11 + 10",
            "11   line 11",
            "12   line 12",
            "13   line 13",
            "13 unchanged lines.",
            "27   line 27",
            "28   line 28",
            "29   line 29",
            "30 - line 30",
            "31   line 31",
            "32   line 32",
            "33   line 33",
        ];
        assert_eq!(drawn(&old, &new), expected);
    }

    #[test]
    fn both_ends_of_a_text_can_change() {
        assert_eq!(drawn("a\nb\n", "b\nc\n"), ["1 - a", "2   b", "2 + c"]);
        assert_eq!(drawn("", "a\n"), ["1 + a"]);
        assert_eq!(drawn("a\n", ""), ["1 - a"]);
        assert_eq!(drawn("a", "a"), ["The file stays as it is."]);
    }

    #[test]
    fn line_ends_are_no_secret() {
        let none = "No newline at the end of the file.";
        assert_eq!(drawn("a", "a\n"), ["1 - a", none, "1 + a"]);
        assert_eq!(
            drawn("a\r\nb\r\n", "a\nb\n"),
            ["1 - a\\u{d}", "2 - b\\u{d}", "1 + a", "2 + b"]
        );
        assert_eq!(
            drawn("a\r\nb\r\n", "a\r\nc\r\n"),
            ["Every line ends in CR LF.", "1   a", "2 - b", "2 + c"]
        );
        // A lone CR takes the cursor back, and hides what stands before it.
        assert_eq!(
            drawn("a\n", "rm -rf ~\recho hi\n"),
            ["1 - a", "1 + rm -rf ~\\u{d}echo hi"]
        );
    }

    #[test]
    fn lines_of_one_side_alone_are_compared_in_no_time_and_others_up_to_a_bound() {
        let most = limits::DIFF_LINES / 2;
        let context = |lines: usize| {
            let new = numbered(lines).replace("line", "row");
            let new = new.replace("row 5000\n", "line 5000\n");
            let lines = diff(&numbered(lines), &new, &mut Room::default());
            let context = lines.iter().filter(|line| line.kind == LineKind::Context);
            context.count()
        };
        assert_eq!((context(most), context(most + 1)), (1, 0));
        // In reverse every line could be the one that stays.
        let reversed = |lines: usize| {
            let text = numbered(lines);
            let lines: Vec<&str> = split(&text).into_iter().rev().collect();
            lines.concat()
        };
        let half = limits::DIFF_COMMON_LINES / 2;
        let compared = |lines: usize| {
            let lines = diff(&numbered(lines), &reversed(lines), &mut Room::default());
            lines.iter().any(|line| line.kind == LineKind::Context)
        };
        assert!(compared(half));
        assert!(!compared(half + 1));
        let lines = diff(
            &numbered(half + 1),
            &reversed(half + 1),
            &mut Room::default(),
        );
        assert!(lines[0].text.starts_with("Too much differs to compare it"));
        assert_eq!(lines.len(), 2 * (half + 1) + 1);
    }
}
