//! Lines that people read at a terminal: broken by agp and not by the terminal, whose second line
//! would begin where a message of its own does.

use std::sync::OnceLock;

/// Columns where the terminal does not say how many it has.
const COLUMNS: usize = 80;
/// Columns below which nothing is broken more narrowly: most of a line would be its indent.
const COLUMNS_MIN: usize = 40;

/// No line that goes on begins where a message does.
const INDENT_MIN: usize = 2;

/// The columns of standard output and of standard error, where they are terminals.
static TERMINALS: OnceLock<[Option<usize>; 2]> = OnceLock::new();

/// Says which of the two are terminals, and how wide as far as they know. Until then nothing is folded.
pub fn known(stdout: Option<Option<u16>>, stderr: Option<Option<u16>>) {
    let columns = |asked: Option<u16>| match asked {
        None | Some(0) => COLUMNS,
        Some(columns) => usize::from(columns).max(COLUMNS_MIN),
    };
    let _ = TERMINALS.set([stdout.map(columns), stderr.map(columns)]);
}

/// How a line goes on.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    /// Columns before what follows the first line.
    pub indent: usize,
    /// Stands in them, at the beginning.
    pub bar: &'static str,
    /// Whether a word that does not fit is broken, too: the agent chose it. One of agp's own, such
    /// as a path, stays whole and can be copied.
    pub breaks: bool,
}

impl Next {
    /// Of a message of agp's.
    pub const MESSAGE: Self = Self {
        indent: 4,
        bar: "",
        breaks: false,
    };

    /// Of one that has something of the agent's in it.
    pub const FOREIGN: Self = Self {
        breaks: true,
        ..Self::MESSAGE
    };
}

/// A text for standard output.
#[must_use]
pub fn stdout(text: &str, next: Next) -> String {
    at(TERMINALS.get().and_then(|[stdout, _]| *stdout), text, next)
}

/// A text for standard error.
#[must_use]
pub fn stderr(text: &str, next: Next) -> String {
    at(TERMINALS.get().and_then(|[_, stderr]| *stderr), text, next)
}

fn at(columns: Option<usize>, text: &str, next: Next) -> String {
    let Some(columns) = columns else {
        return text.to_owned();
    };
    let mut folded = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            folded.push('\n');
        }
        fold(line, columns, next, &mut folded);
    }
    folded
}

/// Breaks one line between words. Spaces are kept, but where it is broken.
fn fold(line: &str, columns: usize, next: Next, folded: &mut String) {
    let indent = format!("{:<1$}", next.bar, next.indent);
    let mut column = 0;
    let quoted = !next.breaks && line.matches('`').count().is_multiple_of(2);
    let mut inside = false;
    // A command to type stays whole.
    let between = |c: char| {
        inside ^= quoted && c == '`';
        c == ' ' && !inside
    };
    for (at, word) in line.split(between).enumerate() {
        let fits = column + usize::from(at > 0) + width(word) <= columns;
        if at > 0 && column > next.indent && !word.is_empty() && !fits {
            folded.push('\n');
            // A long word begins further left, where that lets it fit.
            let left = columns.saturating_sub(width(word)).max(INDENT_MIN);
            column = if next.breaks {
                next.indent
            } else {
                next.indent.min(left)
            };
            folded.push_str(indent.get(..column).unwrap_or(&indent));
        } else if at > 0 {
            folded.push(' ');
            column += 1;
        }
        for c in word.chars() {
            let wide = wide(c);
            if next.breaks && column + wide > columns {
                folded.push('\n');
                folded.push_str(&indent);
                column = next.indent;
            }
            folded.push(c);
            column += wide;
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().map(wide).sum()
}

/// What is not ASCII may take two columns.
fn wide(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str, next: Next) -> String {
        at(Some(COLUMNS), text, next)
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_long_message_is_folded_between_words() {
        let short = "agp: short\n  help: run `agp doctor`\n";
        assert_eq!(folded(short, Next::MESSAGE), short);
        let long = format!("agp: {}{}", "some words ".repeat(20), "x".repeat(100));
        assert_eq!(at(None, &long, Next::MESSAGE), long, "it is no terminal");
        let folded = folded(&long, Next::MESSAGE);
        let lines: Vec<&str> = folded.lines().collect();
        assert!(lines.len() > 3 && lines.iter().skip(1).all(|line| line.starts_with("  ")));
        let (last, others) = lines.split_last().unwrap();
        assert!(others.iter().all(|line| line.len() <= COLUMNS));
        assert_eq!(last.trim(), "x".repeat(100), "a path can be copied");
        assert_eq!(words(&folded), words(&long));
        let finding = Next {
            indent: 25,
            ..Next::MESSAGE
        };
        let digest = format!("policy ok {} and more", "d".repeat(64));
        for line in at(Some(COLUMNS), &format!("{digest} {digest}"), finding).lines() {
            assert!(line.len() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn no_line_of_the_agents_is_left_for_the_terminal_to_break() {
        let bar = Next {
            indent: 10,
            bar: "      |",
            breaks: true,
        };
        for text in ["x".repeat(300), "\u{65e5}".repeat(200), "a b".repeat(90)] {
            let folded = folded(&format!("      | {text}"), bar);
            assert!(folded.lines().count() > 3);
            for line in folded.lines() {
                assert!(line.starts_with("      | ") && width(line) <= COLUMNS);
            }
            let joined: String = folded.lines().map(|line| line[8..].trim()).collect();
            assert_eq!(joined.replace(' ', ""), text.replace(' ', ""));
        }
    }
}
