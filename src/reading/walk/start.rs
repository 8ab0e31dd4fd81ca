//! What is to be started: a program, a shell within the shell, its input.

use super::Walker;
use super::state::{Dirs, Value};
use super::stream::Stream;
use super::task::Task;
use crate::contracts::limits;
use crate::reading::atoms::Source;
use crate::reading::word::Word;

/// A program that is to be started, or what one hands on.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) kind: Kind,
    /// Wrappers around it.
    pub(super) depth: usize,
    /// Where it runs, where that is not where the shell is.
    pub(super) dirs: Option<Dirs>,
    /// The program that hands it on, where that is an atom.
    pub(super) program: Option<usize>,
    pub(super) assignments: Vec<(String, Word)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Program {
        words: Vec<Word>,
        open_ended: bool,
    },
    Shell {
        text: Word,
        arguments: Vec<Word>,
        shell: String,
    },
    Input {
        shell: Option<String>,
        what: String,
    },
    Source(Word),
}

impl Start {
    pub(super) fn of(words: Vec<Word>) -> Self {
        Self {
            kind: Kind::Program {
                words,
                open_ended: false,
            },
            depth: 0,
            dirs: None,
            program: None,
            assignments: Vec::new(),
        }
    }
}

impl Walker<'_> {
    pub(super) fn start(&mut self, start: Start) {
        if start.depth > limits::INNER_SHELLS {
            return self.unread("programs run programs deeper than is read".to_owned());
        }
        let mut environment = Vec::new();
        if !start.assignments.is_empty() {
            self.tasks.push(Task::Leave(self.scope()));
            for (name, word) in start.assignments {
                self.no_secret_in(&word);
                let value = Value::of(word);
                environment.extend(self.effects(&name, &value));
                self.state.assign(&name, value);
                self.export(&name);
            }
        }
        match start.kind {
            Kind::Program { words, open_ended } => {
                let dirs = start.dirs.unwrap_or_else(|| self.dirs.clone());
                self.program(&words, open_ended, &dirs, start.depth);
            }
            Kind::Shell {
                text,
                arguments,
                shell,
            } => self.shell_text(&text, arguments, &shell, start.dirs, start.program),
            Kind::Input { shell, what } => self.input(shell, what, start.dirs, start.program),
            Kind::Source(word) => self.source(&word, start.program),
        }
        // They are the inner program's.
        let program = start.program.or(self.first_program);
        for (kind, dangers) in environment {
            self.push(kind, program, Source::Environment, dangers);
        }
    }

    /// `command`, `builtin`, `exec`: the words behind are started by this very shell.
    pub(super) fn in_this_shell(&mut self, name: &str, words: &[Word], depth: usize) -> bool {
        if !matches!(name, "command" | "builtin" | "exec") {
            return false;
        }
        self.mention_builtin(words, Vec::new());
        let mut at = 1;
        while let Some(word) = words.get(at) {
            match word.known() {
                Some("--") => {
                    at += 1;
                    break;
                }
                Some("-v" | "-V" | "-pv" | "-pV" | "-vp") if name == "command" => {
                    self.leaf(Stream::default());
                    return true;
                }
                Some("-p") if name == "command" => at += 1,
                Some("-a") if name == "exec" => at += 2,
                Some("-c" | "-l" | "-cl" | "-lc") if name == "exec" => at += 1,
                Some(text) if text.starts_with('-') => {
                    self.unread(format!("{name} {text} is not read"));
                    return true;
                }
                _ => break,
            }
        }
        let rest = words.get(at..).unwrap_or_default().to_vec();
        let Some(first) = rest.first() else {
            self.leaf(Stream::of(Word::default()));
            return true;
        };
        match first.known().map(str::to_owned) {
            Some(inner) if name != "exec" => self.command_word(&inner, rest),
            Some(_) => self.tasks.push(Task::Start(Box::new(Start {
                depth: depth + 1,
                ..Start::of(rest)
            }))),
            None => self.unknown_program(&rest),
        }
        true
    }
}
