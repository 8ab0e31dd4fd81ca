//! Texts taken apart into lines, no more than a view has room for.

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::view::{LineKind, ViewLine};

/// How many lines a view can still tell apart. What is beyond follows as one line: nothing is left out.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(limits::VIEW_LINES)
    }
}

impl Room {
    #[cfg(test)]
    pub(super) fn of(lines: usize) -> Self {
        Self(lines)
    }

    pub(super) fn take(&mut self) -> bool {
        let there = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        there
    }

    /// A text that is no file: its lines joined by newlines are the text. Nothing has no line.
    pub(super) fn text(&mut self, kind: LineKind, text: &str) -> Vec<ViewLine> {
        let mut lines = Vec::new();
        let mut rest = Some(text).filter(|text| !text.is_empty());
        while let Some(text) = rest {
            let (line, behind) = match text.split_once('\n') {
                Some((line, behind)) if self.take() => (line, Some(behind)),
                Some(_) => {
                    lines.push(rest_follows(text.matches('\n').count() + 1));
                    (text, None)
                }
                None => (text, None),
            };
            lines.push(of(kind, None, line));
            rest = behind;
        }
        lines
    }

    /// Lines of a file, of which the first has this number. Each has its newline but for the file's last, of which it
    /// is said where it has none.
    pub(super) fn file(&mut self, kind: LineKind, lines: &[&str], first: usize) -> Vec<ViewLine> {
        let mut all = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let folded;
            let whole = self.take();
            let mut text: &str = line;
            if !whole && at + 1 < lines.len() {
                let rest = lines.get(at..).unwrap_or_default();
                all.push(rest_follows(rest.len()));
                folded = rest.concat();
                text = &folded;
            }
            let ended = text.strip_suffix('\n');
            let number = first.saturating_add(at) as u64;
            all.push(of(kind, Some(number), ended.unwrap_or(text)));
            if ended.is_none() {
                all.push(note("No newline at the end of the file."));
            }
            if !whole {
                break;
            }
        }
        all
    }
}

fn rest_follows(lines: usize) -> ViewLine {
    let lines = count(lines, "line");
    note(&format!(
        "The rest, {lines}, follows in one: its newlines are escaped."
    ))
}

/// A line of agp's own.
pub(super) fn note(text: &str) -> ViewLine {
    of(LineKind::Note, None, text)
}

pub(super) fn of(kind: LineKind, number: Option<u64>, text: &str) -> ViewLine {
    ViewLine {
        kind,
        number,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[ViewLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_text_is_its_lines_joined_by_newlines() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("\n", &["", ""]),
            ("a\n\nb\n", &["a", "", "b", ""]),
        ] {
            assert_eq!(texts(&Room::default().text(LineKind::Text, text)), expected);
        }
    }

    #[test]
    fn what_is_beyond_the_room_follows_in_one() {
        let lines = Room::of(1).text(LineKind::Text, "a\nb\nc");
        let note = "The rest, 2 lines, follows in one: its newlines are escaped.";
        assert_eq!(texts(&lines), ["a", note, "b\nc"]);
        assert_eq!(lines[1].kind, LineKind::Note);
        let mut room = Room::of(1);
        let lines = room.file(LineKind::Added, &["a\n", "b\n", "c"], 7);
        let end = "No newline at the end of the file.";
        assert_eq!(texts(&lines), ["a", note, "b\nc", end]);
        assert_eq!(lines[2].number, Some(8));
        // Many parts of one line each are no more.
        let last = room.file(LineKind::Added, &["d\n"], 1);
        assert_eq!(texts(&last), ["d"]);
    }
}
