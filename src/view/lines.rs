//! A block's lines as every channel shows them, not yet wrapped.

use crate::contracts::view::{CallView, LineKind, ViewBlock, ViewLine};

use super::escape::escaped;

/// A line ready to be shown behind whatever bar a channel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnLine {
    /// What it is. A [`LineKind::Note`] is agp's own and stands without the bar; all others behind it.
    pub kind: LineKind,
    /// What stands before the text, agp's own, as wide in each line of a block: the number, and `+`, `-` or a space.
    /// Empty in blocks that are no change of a file. A continuation of a wrapped line has as many spaces.
    pub mark: String,
    /// Escaped ([`super::escape`]).
    pub text: String,
}

/// The lines of a block, in order.
#[must_use]
pub fn drawn(block: &ViewBlock) -> Vec<DrawnLine> {
    let digits = block.lines.iter().filter_map(|line| line.number).max();
    let digits = digits.map_or(0, |number| number.to_string().len());
    let changes = block.lines.iter().any(|line| sign(line.kind).is_some());
    let draw = |line: &ViewLine| DrawnLine {
        kind: line.kind,
        mark: match line.kind {
            LineKind::Note => String::new(),
            _ if changes => mark(line, digits),
            _ => String::new(),
        },
        text: escaped(&line.text),
    };
    block.lines.iter().map(draw).collect()
}

fn mark(line: &ViewLine, digits: usize) -> String {
    let sign = sign(line.kind).unwrap_or(' ');
    match (line.number, digits) {
        (_, 0) => format!("{sign} "),
        (Some(number), _) => format!("{number:>digits$} {sign} "),
        (None, _) => format!("{:digits$} {sign} ", ""),
    }
}

fn sign(kind: LineKind) -> Option<char> {
    match kind {
        LineKind::Added => Some('+'),
        LineKind::Removed => Some('-'),
        LineKind::Context => Some(' '),
        LineKind::Command | LineKind::Text | LineKind::Note => None,
    }
}

impl CallView {
    /// All lines of all blocks.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.blocks.iter().map(|block| block.lines.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &[(LineKind, Option<u64>, &str)]) -> ViewBlock {
        let lines = lines.iter().map(|(kind, number, text)| ViewLine {
            kind: *kind,
            number: *number,
            text: (*text).to_owned(),
        });
        ViewBlock {
            heading: "changes".into(),
            subject: None,
            lines: lines.collect(),
        }
    }

    fn texts(block: &ViewBlock) -> Vec<String> {
        let lines = drawn(block).into_iter();
        lines.map(|line| line.mark + &line.text).collect()
    }

    #[test]
    fn a_change_has_signs_and_numbers_in_columns() {
        use LineKind::{Added, Context, Note, Removed};
        let change = block(&[
            (Note, None, "8 unchanged lines"),
            (Context, Some(9), "a"),
            (Removed, Some(10), "\tb\r"),
            (Added, Some(10), "c"),
            (Added, None, "d"),
        ]);
        let expected = [
            "8 unchanged lines",
            " 9   a",
            "10 - ⇥b\\u{d}",
            "10 + c",
            "   + d",
        ];
        assert_eq!(texts(&change), expected);
        let unnumbered = block(&[(Removed, None, "a"), (Added, None, "b")]);
        assert_eq!(texts(&unnumbered), ["- a", "+ b"]);
    }

    #[test]
    fn a_command_has_no_marks() {
        let command = block(&[
            (LineKind::Command, None, "cat <<E\u{202e}"),
            (LineKind::Command, None, "+ b"),
        ]);
        assert_eq!(texts(&command), ["cat <<E\\u{202e}", "+ b"]);
    }
}
