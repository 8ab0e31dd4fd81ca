//! `awk`: its programs can run others, and read and write files.

use crate::reading::atoms::{CodeClass, Role, Set};
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation};
use crate::reading::word::Word;

/// Words behind which a `/` begins a pattern.
const BEFORE_PATTERN: [&str; 9] = [
    "print", "printf", "return", "in", "case", "else", "do", "and", "or",
];

/// `awk`.
pub(super) fn awk(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("-e") {
        made.sets = vec![Set::Build];
        return;
    }
    if parsed.has("-f") || parsed.has("-E") {
        made.sets = vec![Set::Build];
    } else if let Some((at, program)) = parsed.operand(0) {
        match program.known().and_then(writes) {
            Some(files) => {
                for file in files {
                    made.write_turning(&Word::text(file), Some(at), false);
                    made.sets = vec![Set::Files];
                }
            }
            None => {
                made.code(
                    CodeClass::Inline,
                    "an awk program that runs others, or that nobody can read before it runs"
                        .to_owned(),
                    Some(at),
                    true,
                );
                made.sets = vec![Set::Build];
                for text in program.known().map(texts).unwrap_or_default() {
                    match text {
                        Literal::Command(text) => made.hands_on.push(HandOn::Shell {
                            text: Word::text(text),
                            arguments: Vec::new(),
                            other_shell: true,
                        }),
                        Literal::Read(path) => {
                            made.read(&Word::text(path), Some(at), true, false, false);
                        }
                        Literal::Write(path) => {
                            made.write_turning(&Word::text(path), Some(at), false);
                        }
                    }
                }
            }
        }
    }
    if made.roles.contains(&Role::Turning) {
        made.sets.clear();
    }
    // `name=value` among the files is an assignment.
    let assigned = |at: usize| {
        let word = parsed.words.get(at).map_or("", Word::beginning);
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|letter| letter == '_' || letter.is_ascii_alphanumeric())
        })
    };
    made.uses
        .retain(|one| one.turns || !one.word.is_some_and(assigned));
}

/// A text between quotation marks, and what a program does with it.
enum Literal {
    /// `system("x")`, `"x" | getline`, `print | "x"`.
    Command(String),
    /// `getline < "x"`.
    Read(String),
    /// `print > "x"`.
    Write(String),
}

/// The commands and files that a program which is not understood names by whole texts. It may do more.
fn texts(program: &str) -> Vec<Literal> {
    let mut texts = Vec::new();
    let mut rest = program;
    while let Some((before, opened)) = rest.split_once('"') {
        let mut text = String::new();
        let mut letters = opened.char_indices();
        let mut end = opened.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        rest = opened.get(end..).unwrap_or_default();
        let (mut ahead, mut behind) = (before.trim_end(), rest.trim_start());
        // Parentheses of nothing but the text.
        while let (Some(inner), Some(outer)) = (ahead.strip_suffix('('), behind.strip_prefix(')')) {
            let inner = inner.trim_end();
            if inner.ends_with(|letter: char| letter == '_' || letter.is_ascii_alphanumeric())
                && !inner.ends_with("print")
                && !inner.ends_with("while")
                && !inner.ends_with("if")
            {
                break;
            }
            (ahead, behind) = (inner, outer.trim_start());
        }
        let called = ahead.strip_suffix('(').map(str::trim_end);
        let piped = behind
            .strip_prefix('|')
            .map(|behind| behind.trim_start_matches('&').trim_start());
        // Another text behind it would be joined to it.
        let whole = behind.is_empty() || behind.starts_with([';', '}', ')', ',', '\n', '|']);
        let command = (called.is_some_and(|ahead| ahead.ends_with("system"))
            && behind.starts_with(')'))
            || (ahead.ends_with('|') && !ahead.ends_with("||"))
            || ahead.ends_with("|&")
            || piped.is_some_and(|behind| behind.starts_with("getline"));
        if !whole {
            continue;
        }
        if command {
            texts.push(Literal::Command(text));
        } else if ahead.ends_with('<') {
            texts.push(Literal::Read(text));
        } else if ahead.ends_with('>') {
            texts.push(Literal::Write(text));
        }
    }
    texts
}

/// What stood before a place in a program, as far as it says what a `/` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A value: a `/` divides.
    Value,
    /// An operator, a keyword or nothing: a `/` begins a pattern.
    Operator,
    /// `++` and `--`: either.
    Step,
}

/// The files that a program writes; `None` where it runs a program, reads a file by itself, or is not understood.
fn writes(program: &str) -> Option<Vec<String>> {
    let letters: Vec<char> = program.chars().collect();
    let mut files = Vec::new();
    let mut before = Before::Operator;
    let mut at = 0;
    // A `print` statement, and how many parentheses are open in it.
    let mut print: Option<usize> = None;
    let mut target = false;
    while let Some(letter) = letters.get(at).copied() {
        let next = letters.get(at + 1).copied();
        at += 1;
        if target && !matches!(letter, ' ' | '\t' | '"') {
            return None;
        }
        match letter {
            ' ' | '\t' | '\r' => {}
            '#' => {
                while letters.get(at).is_some_and(|letter| *letter != '\n') {
                    at += 1;
                }
            }
            '\\' if next == Some('\n') => at += 1,
            '"' => {
                let mut text = String::new();
                loop {
                    match letters.get(at)? {
                        '"' => break,
                        '\\' => {
                            if target {
                                return None;
                            }
                            at += 1;
                        }
                        other => text.push(*other),
                    }
                    at += 1;
                }
                at += 1;
                if target {
                    // Only a text alone is the whole name.
                    let end = letters
                        .iter()
                        .skip(at)
                        .find(|letter| !matches!(letter, ' ' | '\t'));
                    if !matches!(end, None | Some(';' | '}' | '\n')) {
                        return None;
                    }
                    files.push(text);
                    target = false;
                }
                before = Before::Value;
            }
            '/' if before == Before::Operator => {
                loop {
                    match letters.get(at)? {
                        '/' => break,
                        '\\' => at += 1,
                        '\n' => return None,
                        '[' => {
                            // A `/` in brackets ends the pattern for some, for others not.
                            let mut inside = at + 1;
                            inside += usize::from(letters.get(inside) == Some(&'^'));
                            inside += usize::from(letters.get(inside) == Some(&']'));
                            while letters.get(inside).is_some_and(|letter| *letter != ']') {
                                if matches!(letters.get(inside), Some('/' | '\\' | '[')) {
                                    return None;
                                }
                                inside += 1;
                            }
                            at = inside;
                        }
                        _ => {}
                    }
                    at += 1;
                }
                at += 1;
                before = Before::Value;
            }
            '/' if before == Before::Step => return None,
            '@' | '`' => return None,
            '|' if next == Some('|') => {
                at += 1;
                before = Before::Operator;
            }
            '|' => return None,
            '>' if print == Some(0) => {
                at += usize::from(next == Some('>'));
                target = true;
            }
            '+' | '-' if next == Some(letter) => {
                at += 1;
                before = Before::Step;
            }
            '(' | '[' => {
                print = print.map(|depth| depth + 1);
                before = Before::Operator;
            }
            ')' | ']' => {
                print = print.map(|depth| depth.saturating_sub(1));
                before = Before::Value;
            }
            ';' | '{' | '}' | '\n' => {
                print = None;
                before = Before::Operator;
            }
            letter if letter == '_' || letter.is_ascii_alphabetic() => {
                let start = at - 1;
                while letters
                    .get(at)
                    .is_some_and(|letter| *letter == '_' || letter.is_ascii_alphanumeric())
                {
                    at += 1;
                }
                let word: String = letters.get(start..at).unwrap_or_default().iter().collect();
                match word.as_str() {
                    "system" | "getline" | "ENVIRON" | "PROCINFO" | "ARGV" | "ARGC" => return None,
                    "print" | "printf" => print = Some(0),
                    _ => {}
                }
                before = if BEFORE_PATTERN.contains(&word.as_str()) {
                    Before::Operator
                } else {
                    Before::Value
                };
            }
            letter if letter == '.' || letter.is_ascii_digit() => before = Before::Value,
            letter if letter.is_ascii() => before = Before::Operator,
            _ => return None,
        }
    }
    (!target).then_some(files)
}
