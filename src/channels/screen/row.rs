//! Rows of a terminal: text is broken by agp and not by the terminal, and what agp did not write stands behind a bar
//! in every row.

use crate::view::escape::escaped;

use super::Look;

/// Columns of the labels before a bar.
pub(super) const LABEL: usize = 10;

/// How a row is set off, where the terminal has colours. The words say the same without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// What runs.
    Bold,
    /// That somebody is asked.
    Yellow,
    /// That something is denied.
    Red,
}

/// One row, at most as wide as the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Row {
    /// The row as it is written, with its end.
    pub(super) fn written(&self, look: Look) -> String {
        let on = match self.style {
            _ if !look.colour => "",
            Style::Plain => "",
            Style::Bold => "\u{1b}[1m",
            Style::Yellow => "\u{1b}[33m",
            Style::Red => "\u{1b}[31m",
        };
        let off = if on.is_empty() { "" } else { "\u{1b}[0m" };
        format!("{on}{}{off}\n", self.text)
    }
}

/// Foreign text as this terminal can show it: escaped, and without what its character set does not have.
pub(super) fn shown(look: Look, text: &str) -> String {
    in_charset(look, escaped(text))
}

/// Escaped text in the terminal's character set.
pub(super) fn in_charset(look: Look, text: String) -> String {
    if look.unicode || text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '⇥' => out.push_str("\\u{9}"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
}

/// Foreign text behind a bar, with a label or mark of agp's before it. The pieces of the rows, joined, are the text.
pub(super) fn barred(look: Look, before: &str, mark: &str, text: &str, style: Style) -> Vec<Row> {
    let bars = look.bars();
    let room = look
        .columns
        .saturating_sub(width(before) + width(bars.first) + width(mark));
    let pieces = pieces(text, room.max(ROOM_MIN));
    let rows = pieces.iter().enumerate().map(|(number, piece)| Row {
        text: match number {
            0 => format!("{before}{}{mark}{piece}", bars.first),
            _ => {
                let (before, mark) = (" ".repeat(width(before)), " ".repeat(width(mark)));
                format!("{before}{}{mark}{piece}", bars.next)
            }
        },
        style,
    });
    rows.collect()
}

/// The same with a label in the labels' column.
pub(super) fn labelled(look: Look, label: &str, text: &str) -> Vec<Row> {
    if look.is_wide() {
        return barred(look, &format!("{label:<LABEL$} "), "", text, Style::Plain);
    }
    let mut rows = if label.is_empty() {
        Vec::new()
    } else {
        words(look, label, Style::Plain)
    };
    rows.extend(barred(look, "  ", "", text, Style::Plain));
    rows
}

/// The same in one row, which ends in the mark of a cut where the text does not fit; and whether it was cut.
pub(super) fn labelled_short(look: Look, before: &str, text: &str) -> (Row, bool) {
    let mut rows = barred(look, before, "", text, Style::Plain).into_iter();
    let first = rows.next().unwrap_or_else(|| own_row(""));
    if rows.next().is_none() {
        return (first, false);
    }
    let room = look.columns.saturating_sub(width(look.cut()));
    let kept = pieces_hard(&first.text, room.max(ROOM_MIN));
    let kept = kept.first().copied().unwrap_or_default();
    (own_row(&format!("{kept}{}", look.cut())), true)
}

/// agp's own words, broken between them; a word that is wider than the terminal stays whole.
pub(super) fn words(look: Look, text: &str, style: Style) -> Vec<Row> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let line = rows
            .last_mut()
            .filter(|line| line.is_empty() || width(line) + 1 + width(word) <= look.columns);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => rows.push(format!("  {word}")),
        }
    }
    let rows = rows.into_iter();
    rows.map(|text| Row { text, style }).collect()
}

fn own_row(text: &str) -> Row {
    Row {
        text: text.to_owned(),
        style: Style::Plain,
    }
}

/// Columns for text, whatever stands before it: the longest escape.
const ROOM_MIN: usize = 10;

/// Escaped text in pieces of at most so many columns, which joined are the text again: broken behind a space, where
/// one stands in the second half of a row, and never within an escape.
pub(super) fn pieces(text: &str, columns: usize) -> Vec<&str> {
    broken(text, columns, true)
}

fn pieces_hard(text: &str, columns: usize) -> Vec<&str> {
    broken(text, columns, false)
}

fn broken(text: &str, columns: usize, at_spaces: bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let (mut columns_used, mut end, mut space) = (0, 0, None);
        while let Some(unit) = next_unit(rest.get(end..).unwrap_or_default()) {
            let wide = width(unit);
            if columns_used + wide > columns && end > 0 {
                break;
            }
            columns_used += wide;
            end += unit.len();
            if unit == " " && columns_used * 2 > columns {
                space = Some(end);
            }
        }
        if end < rest.len() && at_spaces {
            end = space.unwrap_or(end);
        }
        let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        pieces.push(piece);
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
}

/// The first character, or the escape that begins the text.
fn next_unit(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let end = match text.strip_prefix("\\u{") {
        Some(rest) => text.len() - rest.len() + rest.find('}').map_or(0, |at| at + 1),
        None => first.len_utf8(),
    };
    text.get(..end)
}

/// Columns of a text, at most: what is not ASCII may take two, but for agp's own signs.
pub(super) fn width(text: &str) -> usize {
    let wide = |c: char| {
        if c.is_ascii() || "│┆·…⇥→".contains(c) {
            1
        } else {
            2
        }
    };
    text.chars().map(wide).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(columns: usize) -> Look {
        Look {
            columns,
            ..Look::PLAIN
        }
    }

    #[test]
    fn pieces_are_the_text_and_fit() {
        let texts = [
            String::new(),
            "x".repeat(300),
            "some words of a command that is long ".repeat(20),
            "\u{65e5}\u{672c}".repeat(90),
            shown(look(80), &"\u{202e}a".repeat(40)),
            " ".repeat(200),
        ];
        for text in &texts {
            for columns in [8, 9, 27, 38, 78, 198] {
                let pieces = pieces(text, columns);
                assert_eq!(pieces.concat(), *text);
                for piece in pieces {
                    assert!(width(piece) <= columns.max(10), "{piece:?} in {columns}");
                    assert_eq!(piece.matches("\\u{").count(), piece.matches('}').count());
                }
            }
        }
        assert_eq!(
            pieces("git push origin main", 12),
            ["git push ", "origin main"]
        );
        assert_eq!(pieces("", 8), [""]);
    }

    #[test]
    fn every_row_of_foreign_text_is_behind_a_bar() {
        for columns in [20, 40, 80, 200] {
            let look = look(columns);
            for text in ["x".repeat(500), "\u{65e5}".repeat(300), "a b".repeat(99)] {
                let rows = barred(look, "why        ", "12 + ", &text, Style::Plain);
                assert!(rows.len() > 1);
                for (number, row) in rows.iter().enumerate() {
                    let bar = if number == 0 { "│ " } else { "┆ " };
                    assert_eq!(row.text.find(bar), Some(11), "{row:?}");
                    assert!(width(&row.text) <= columns.max(28), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn a_terminal_without_unicode_gets_none() {
        let look = Look {
            unicode: false,
            ..look(80)
        };
        let text = shown(look, "a\té\u{202e}\u{21e5}");
        assert_eq!(text, "a\\u{9}\\u{e9}\\u{202e}\\u{21e5}");
        let rows = barred(look, "", "", &text.repeat(9), Style::Plain);
        assert!(rows.iter().all(|row| row.text.is_ascii()));
        assert!(rows[0].text.starts_with("| ") && rows[1].text.starts_with(": "));
    }

    #[test]
    fn colours_are_where_the_terminal_has_them() {
        let row = Row {
            text: "x".into(),
            style: Style::Red,
        };
        let colour = Look {
            colour: true,
            ..look(80)
        };
        assert_eq!(row.written(colour), "\u{1b}[31mx\u{1b}[0m\n");
        assert_eq!(row.written(look(80)), "x\n");
    }
}
