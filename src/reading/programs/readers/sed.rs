//! `sed`: its scripts can run programs, and read and write files.

use crate::reading::atoms::{CodeClass, Role, Set};
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation};
use crate::reading::word::{Piece, Word};

/// What a script does besides printing.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    /// `r`, `R`.
    Reads(String),
    /// `w`, `W`, `s///w`.
    Writes(String),
    /// `e COMMAND`.
    Runs(String),
    /// `e`, `s///e`: runs the text it works on.
    RunsText,
}

/// `sed`.
pub(super) fn sed(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let given: Vec<(usize, Word)> = parsed.values("-e").cloned().collect();
    let from_file = parsed.has("-f");
    let scripts = match (given.is_empty(), from_file, parsed.operand(0)) {
        (true, false, Some((at, word))) => vec![(at, word.clone())],
        _ => given,
    };
    let place = scripts.first().map(|(at, _)| *at);
    let mut whole = Some(String::new());
    for (_, script) in &scripts {
        whole = match (whole, script.known()) {
            (Some(whole), Some(text)) => Some(format!("{whole}{text}\n")),
            _ => None,
        };
    }
    match whole.as_deref().and_then(acts) {
        None => {
            made.code(
                CodeClass::Inline,
                "a sed script that nobody can read before it runs".to_owned(),
                place,
                true,
            );
            made.sets = vec![Set::Build];
        }
        Some(acts) => {
            for act in acts {
                match act {
                    Act::Reads(path) => made.read(&Word::text(path), place, true, false, false),
                    Act::Writes(path) => {
                        made.write_turning(&Word::text(path), place, false);
                        made.sets.clear();
                    }
                    Act::Runs(text) => {
                        let text = Word::text(text);
                        made.hands_on.push(HandOn::Shell {
                            text,
                            arguments: Vec::new(),
                            other_shell: true,
                        });
                    }
                    Act::RunsText => {
                        let what = "text that sed makes".to_owned();
                        made.code(CodeClass::Unknown, what, place, true);
                        made.sets.clear();
                    }
                }
            }
        }
    }
    let files: Vec<(usize, Word)> = parsed
        .operand_words()
        .skip(usize::from(
            parsed.values("-e").next().is_none() && !from_file,
        ))
        .map(|(at, word)| (at, word.clone()))
        .collect();
    backups(parsed, &files, made);
    if parsed.has("-i") && made.sets == [Set::Reads] {
        made.sets = vec![Set::Files];
    }
    if made.roles.contains(&Role::Turning) {
        made.sets.clear();
    }
}

/// What `-i` with a suffix leaves beside the files: also for `perl` and `ruby`.
pub(super) fn backups(parsed: &Parsed<'_>, files: &[(usize, Word)], made: &mut Invocation) {
    let Some((_, suffix)) = parsed.values("-i").last() else {
        return;
    };
    let plain = suffix
        .known()
        .is_some_and(|suffix| !suffix.contains(['/', '*']));
    for (at, file) in files {
        let pieces = if plain {
            let pieces = file.pieces.iter().chain(&suffix.pieces);
            pieces.cloned().collect()
        } else {
            vec![Piece::Unknown]
        };
        made.write(&Word { pieces }, Some(*at), false, false);
    }
}

/// A script's reader. It reads what GNU sed takes; what it does not know is `None`.
struct Script<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    acts: Vec<Act>,
}

fn acts(text: &str) -> Option<Vec<Act>> {
    let mut script = Script {
        rest: text.chars().peekable(),
        acts: Vec::new(),
    };
    while script.rest.peek().is_some() {
        script.command()?;
    }
    Some(script.acts)
}

impl Script<'_> {
    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        while self.rest.next_if(|letter| skipped(*letter)).is_some() {}
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        while let Some(letter) = self.rest.next_if(|letter| *letter != '\n') {
            line.push(letter);
        }
        line
    }

    /// Up to the delimiter, which may stand behind a backslash.
    fn until(&mut self, delimiter: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '\\' => {
                    text.push('\\');
                    text.push(self.rest.next()?);
                }
                letter if letter == delimiter => return Some(text),
                letter => text.push(letter),
            }
        }
    }

    fn address(&mut self) -> Option<bool> {
        match self.rest.peek()? {
            '0'..='9' => self.skip(|letter| letter.is_ascii_digit() || letter == '~'),
            '$' => {
                self.rest.next();
            }
            '+' | '~' => {
                self.rest.next();
                self.skip(|letter| letter.is_ascii_digit());
            }
            '/' => {
                self.rest.next();
                self.until('/')?;
                self.skip(|letter| matches!(letter, 'I' | 'M'));
            }
            '\\' => {
                self.rest.next();
                let delimiter = self
                    .rest
                    .next()
                    .filter(|letter| !matches!(letter, '\n' | '\\'))?;
                self.until(delimiter)?;
                self.skip(|letter| matches!(letter, 'I' | 'M'));
            }
            _ => return Some(false),
        }
        Some(true)
    }

    fn command(&mut self) -> Option<()> {
        let blank = |letter: char| letter.is_ascii_whitespace() || letter == ';';
        self.skip(blank);
        if self.rest.peek().is_none() {
            return Some(());
        }
        if self.address()? {
            self.skip(|letter| letter == ' ' || letter == '\t');
            if self.rest.next_if_eq(&',').is_some() {
                self.skip(|letter| letter == ' ' || letter == '\t');
                self.address()?.then_some(())?;
            }
        }
        self.skip(|letter| matches!(letter, ' ' | '\t' | '!'));
        match self.rest.next()? {
            '{' => Some(()),
            '}' | '=' | 'd' | 'D' | 'g' | 'G' | 'h' | 'H' | 'n' | 'N' | 'p' | 'P' | 'x' | 'z'
            | 'F' => self.end(),
            'q' | 'Q' | 'l' | 'L' => {
                self.skip(|letter| letter == ' ' || letter.is_ascii_digit());
                self.end()
            }
            '#' => {
                self.line();
                Some(())
            }
            ':' | 'b' | 't' | 'T' | 'v' => {
                self.skip(|letter| matches!(letter, ' ' | '\t'));
                self.skip(|letter| !letter.is_whitespace() && !matches!(letter, ';' | '}'));
                self.end()
            }
            'a' | 'i' | 'c' => {
                while self.line().ends_with('\\') && self.rest.next().is_some() {}
                Some(())
            }
            'r' | 'R' => {
                let path = self.line().trim_start().to_owned();
                self.acts.push(Act::Reads(path));
                Some(())
            }
            'w' | 'W' => {
                let path = self.line().trim_start().to_owned();
                self.acts.push(Act::Writes(path));
                Some(())
            }
            'e' => {
                let text = self.line().trim().to_owned();
                self.acts.push(if text.is_empty() {
                    Act::RunsText
                } else {
                    Act::Runs(text)
                });
                Some(())
            }
            'y' => {
                let delimiter = self
                    .rest
                    .next()
                    .filter(|letter| !matches!(letter, '\n' | '\\'))?;
                self.until(delimiter)?;
                self.until(delimiter)?;
                self.end()
            }
            's' => self.substitution(),
            _ => None,
        }
    }

    fn substitution(&mut self) -> Option<()> {
        let delimiter = self
            .rest
            .next()
            .filter(|letter| !matches!(letter, '\n' | '\\'))?;
        self.until(delimiter)?;
        self.until(delimiter)?;
        loop {
            match self.rest.peek().copied() {
                Some('g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9') => {
                    self.rest.next();
                }
                Some('e') => {
                    self.rest.next();
                    self.acts.push(Act::RunsText);
                }
                Some('w') => {
                    self.rest.next();
                    let path = self.line().trim_start().to_owned();
                    self.acts.push(Act::Writes(path));
                    return Some(());
                }
                _ => return self.end(),
            }
        }
    }

    /// Nothing but a separator, a brace or a comment follows.
    fn end(&mut self) -> Option<()> {
        self.skip(|letter| matches!(letter, ' ' | '\t' | '\r'));
        match self.rest.peek() {
            None | Some('\n' | ';' | '}' | '#') => Some(()),
            Some(_) => None,
        }
    }
}
