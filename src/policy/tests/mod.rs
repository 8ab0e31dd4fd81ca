//! The language, sentence by sentence, over readings made by hand.

mod atoms;
mod before;
mod combining;
mod disk;
mod indexing;
mod loading;
mod plain;
mod properties;
mod reasons;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Conditions, Memory, Policy, Ruling};
use crate::contracts::call::Actor;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{
    Atom, AtomKind, Category, Code, CodeClass, Danger, Found, PathText, Place, Program, Reading,
    Role, Set, Source,
};
use crate::reading::disk::{Disk, NoDisk};
use crate::reading::hosts;
use crate::reading::surroundings::Surroundings;
use crate::reading::word::Word;

use Decision::{Allow, Deny, Require};

/// A policy of these rules.
fn policy(rules: &Value) -> Policy {
    whole(&json!({ "rules": rules }))
}

fn whole(text: &Value) -> Policy {
    Policy::parse(text.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What is wrong with a policy.
fn refusal(text: &Value) -> String {
    match Policy::parse(text.to_string().as_bytes()) {
        Ok(_) => panic!("it loads: {text}"),
        Err(error) => error.to_string(),
    }
}

/// A call as it is asked about.
struct Asked<'a> {
    reading: Reading,
    tool: &'a str,
    args: Value,
    actor: Actor,
    directory: Option<&'a str>,
    branch: Option<&'a str>,
    confined: bool,
    today: Option<&'a str>,
    secrets: &'a [&'a str],
    memory: Option<&'a Memory>,
    disk: &'a dyn Disk,
}

/// A call of the shell's.
fn bash<'a>(reading: Reading) -> Asked<'a> {
    Asked {
        reading,
        tool: "Bash",
        args: json!({"command": ""}),
        actor: Actor::ClaudeProcess,
        directory: Some("/r"),
        branch: Some("main"),
        confined: true,
        today: Some("2026-11-29"),
        secrets: &[],
        memory: None,
        disk: &NoDisk,
    }
}

fn around() -> Surroundings {
    Surroundings {
        directory: "/r".into(),
        repository: "/r".into(),
        home: "/h".into(),
        temporary: "/tmp".into(),
        ..Surroundings::default()
    }
}

impl Asked<'_> {
    fn of(&self, policy: &Policy) -> Ruling {
        let empty = Map::new();
        let around = around();
        let secrets: BTreeSet<String> =
            self.secrets.iter().map(|name| (*name).to_owned()).collect();
        let at = Conditions {
            tool: self.tool,
            args: self.args.as_object().unwrap_or(&empty),
            actor: self.actor,
            around: &around,
            directory: self.directory,
            branch: self.branch,
            confined: self.confined,
            today: self.today,
            secrets: &secrets,
            memory: self.memory,
            disk: self.disk,
        };
        let ruling = policy.judge(&self.reading, &at);
        // The index leaves no rule out.
        let explained = policy.explain(&self.reading, &at);
        assert_eq!(explained.ruling, ruling);
        let strictest = explained.atoms.iter().map(|atom| atom.decision);
        let strictest = strictest.fold(Allow, super::engine::stricter);
        let whole = super::engine::strictness(ruling.verdict.decision);
        assert!(
            self.memory.is_some() || whole >= super::engine::strictness(strictest),
            "{ruling:?}"
        );
        ruling
    }

    fn decision(&self, policy: &Policy) -> Decision {
        self.of(policy).verdict.decision
    }
}

/// A reading that is made atom by atom.
#[derive(Default)]
struct Made(Reading);

impl Made {
    fn push(mut self, kind: AtomKind, program: Option<usize>, source: Source) -> Self {
        self.0.atoms.push(Atom {
            kind,
            program,
            source,
            dangers: Vec::new(),
        });
        self
    }

    /// A program of the table's: words that begin with `-` are harmless options, others operands, unless a mark
    /// says more: `!` turning, `^` left out, `/` path, `&` URL, `?` unknown in quotes, `$` unknown and splitting.
    fn program(self, words: &str) -> Self {
        self.program_in(words, Some("known"), &[])
    }

    fn program_in(self, words: &str, entry: Option<&str>, sets: &[Set]) -> Self {
        self.push(
            AtomKind::Program(Box::new(program(words, entry, sets))),
            None,
            Source::Tool,
        )
    }

    /// Of the program last made, by the word at this position.
    fn last(&self) -> usize {
        let programs = self
            .0
            .atoms
            .iter()
            .rposition(|atom| matches!(atom.kind, AtomKind::Program(_)));
        programs.expect("a program")
    }

    fn read(self, path: &str, source: Source) -> Self {
        let (last, place) = (self.last(), known(path));
        self.push(AtomKind::Read(place), Some(last), source)
    }

    fn write(self, path: &str, source: Source) -> Self {
        let (last, place) = (self.last(), known(path));
        self.push(AtomKind::Write(place), Some(last), source)
    }

    fn host(self, url: &str, source: Source) -> Self {
        let last = self.last();
        self.push(AtomKind::Host(hosts::host(url)), Some(last), source)
    }

    fn code(self, class: CodeClass, source: Source) -> Self {
        let last = self.last();
        let what = "make test".to_owned();
        self.push(AtomKind::Code(Code { class, what }), Some(last), source)
    }

    fn dangerous(mut self, category: Category) -> Self {
        let why = format!("does {category:?}");
        let atom = self.0.atoms.last_mut().expect("an atom");
        atom.dangers.push(Danger { category, why });
        self
    }

    fn unread(mut self) -> Self {
        self.0.unread.push("$X is not known".into());
        self
    }

    fn asked<'a>(self) -> Asked<'a> {
        bash(self.0)
    }
}

fn known(path: &str) -> Place {
    Place::at(PathText::Known(path.to_owned()))
}

/// A use of a tool and nothing else.
fn used<'a>(tool: &'a str, args: Value) -> Asked<'a> {
    let made = Made::default().push(AtomKind::Use, None, Source::Tool);
    Asked {
        tool,
        args,
        ..made.asked()
    }
}

/// A tool's own read or write.
fn touched<'a>(tool: &'a str, kind: AtomKind) -> Asked<'a> {
    Asked {
        tool,
        args: json!({}),
        ..Made::default().push(kind, None, Source::Tool).asked()
    }
}

fn program(words: &str, entry: Option<&str>, sets: &[Set]) -> Program {
    use crate::reading::word::Piece;
    let mut made = Program {
        words: Vec::new(),
        roles: Vec::new(),
        entry: entry.map(str::to_owned),
        sets: sets.to_vec(),
        directories: vec!["/r".into()],
        open_ended: false,
        fed: false,
        found: Found::Path,
    };
    for (at, word) in words.split(' ').enumerate() {
        let marked = |mark: char| word.strip_prefix(mark).filter(|rest| !rest.is_empty());
        let (role, text) = match at {
            0 => (Role::Program, word),
            _ if word == "--" => (Role::End, word),
            _ => match (marked('!'), marked('^'), marked('/'), marked('&')) {
                (Some(text), ..) => (Role::Turning, text),
                (_, Some(text), ..) => (Role::Global, text),
                (_, _, Some(text), _) => (Role::Path, text),
                (.., Some(text)) => (Role::Url, text),
                _ if word.starts_with('-') => (Role::Harmless, word),
                _ => (Role::Operand, word),
            },
        };
        let text = text.replace('_', " ");
        let word = match text.as_str() {
            "?" => Word {
                pieces: vec![Piece::Unknown],
            },
            "$" => Word {
                pieces: vec![Piece::Fields],
            },
            text if text.ends_with('?') => Word {
                pieces: vec![
                    Piece::Text(text.trim_end_matches('?').to_owned()),
                    Piece::Unknown,
                ],
            },
            text => Word::text(text),
        };
        made.words.push(word);
        made.roles.push(role);
    }
    made
}
