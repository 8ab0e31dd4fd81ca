//! A session's live lines: agp's own, and behind a bar those of the agent's commands and of its model.

use super::row::{Row, Style, barred, in_charset, pieces, width};
use super::{Bars, Look};

/// Stands before each line of a command's output.
pub const OUTPUT_BAR: &str = "      │ ";
/// Stands before each line of what the model says.
pub const AGENT_BAR: &str = "agent │ ";
/// Columns that a line of agp's with something of the agent's in it goes on with, before the bar.
const INDENT: &str = "    ";

/// A live line as it is written, with its end. One that begins with [`OUTPUT_BAR`] or [`AGENT_BAR`] is foreign behind
/// it, and escaped; any other is agp's, and what is foreign in it is escaped. `look` is that of the terminal it goes
/// to; `None` where it goes to none, and nothing is broken.
#[must_use]
pub fn live_line(look: Option<Look>, bars: Bars, line: &str) -> String {
    let behind = [OUTPUT_BAR, AGENT_BAR].iter().find_map(|bar| {
        let text = line.strip_prefix(bar)?;
        Some((bar.strip_suffix(Bars::of(true).first)?, text))
    });
    let Some(look) = look else {
        return match behind {
            Some((before, text)) => format!("{before}{}{text}\n", bars.first),
            None => format!("{line}\n"),
        };
    };
    let rows = match behind {
        Some((before, text)) => {
            let text = in_charset(look, text.to_owned());
            barred(look, before, "", &text, Style::Plain)
        }
        None => own(look, &in_charset(look, line.to_owned())),
    };
    rows.iter().map(|row| row.written(look)).collect()
}

/// A line of agp's own: what is broken off goes on behind a bar, for the agent may have chosen it.
fn own(look: Look, line: &str) -> Vec<Row> {
    let style = match line.split(' ').next() {
        Some("deny" | "denied") => Style::Red,
        Some("ask") => Style::Yellow,
        _ => Style::Plain,
    };
    let whole = |text: &str| Row {
        text: text.to_owned(),
        style,
    };
    if width(line) <= look.columns {
        return vec![whole(line)];
    }
    let first = pieces(line, look.columns)
        .first()
        .map_or(0, |first| first.len());
    let (first, rest) = line.split_at_checked(first).unwrap_or((line, ""));
    let next = look.bars().next;
    let room = look.columns.saturating_sub(INDENT.len() + width(next));
    let rest = pieces(rest, room).into_iter();
    let rest = rest.map(|piece| whole(&format!("{INDENT}{next}{piece}")));
    std::iter::once(whole(first)).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(columns: usize, line: &str) -> String {
        let look = Look {
            columns,
            ..Look::PLAIN
        };
        live_line(Some(look), look.bars(), line)
    }

    #[test]
    fn what_the_agent_wrote_is_behind_a_bar_at_any_width() {
        assert_eq!(
            at(24, &format!("{OUTPUT_BAR}{}", "x".repeat(40))),
            "      │ xxxxxxxxxxxxxxxx\n      ┆ xxxxxxxxxxxxxxxx\n      ┆ xxxxxxxx\n"
        );
        assert_eq!(at(80, "agent │ Done."), "agent │ Done.\n");
        let line = format!("allow Bash {} (any)", "y".repeat(60));
        for columns in [24, 40, 60] {
            let text = at(columns, &line);
            let mut rows = text.lines();
            assert!(rows.next().unwrap().starts_with("allow Bash "));
            for row in rows {
                assert!(row.starts_with("    ┆ ") && width(row) <= columns, "{row}");
            }
            let text = text.replace("\n    ┆ ", "");
            assert_eq!(text.trim_end(), line);
        }
        // A bar in the midst of agp's own line is the agent's.
        assert_eq!(at(80, "allow Bash │ x (any)"), "allow Bash │ x (any)\n");
    }

    #[test]
    fn a_file_gets_lines_whole() {
        let line = format!("{OUTPUT_BAR}{}", "x".repeat(400));
        assert_eq!(live_line(None, Bars::of(true), &line), format!("{line}\n"));
        let plain = live_line(None, Bars::of(false), &line);
        assert!(plain.starts_with("      | xxx"));
    }

    #[test]
    fn colours_say_what_the_first_word_says() {
        let look = Look {
            colour: true,
            ..Look::PLAIN
        };
        let red = live_line(Some(look), look.bars(), "deny  Bash x (no rule): no");
        assert_eq!(red, "\u{1b}[31mdeny  Bash x (no rule): no\u{1b}[0m\n");
        let output = live_line(Some(look), look.bars(), "      │ deny x");
        assert_eq!(output, "      │ deny x\n");
    }
}
