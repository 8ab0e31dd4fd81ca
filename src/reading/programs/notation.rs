//! The short notation of options and operands in the table. `README.md` teaches it.

use std::fmt;

use crate::reading::atoms::CodeClass;

/// Why a file of the table is not sound, for who writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsound(pub(super) String);

impl fmt::Display for Unsound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What an operand, or the value of an option, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing but text.
    Text,
    /// A path of which only the name counts: nothing in it is read.
    Name,
    /// A file that is read.
    Read,
    /// Read with all below it.
    Tree,
    /// A file that is made or changed.
    Write,
    /// Written with all below it.
    WriteTree,
    /// Where things are put: this path, or below it under their own names.
    Into,
    /// A file that is read and changed.
    Change,
    /// A file that is removed.
    Remove,
    /// Removed with all below it.
    RemoveTree,
    /// Taken from here: read and removed, with all below it.
    Move,
    /// A URL, `host`, or `user@host:path` that is reached.
    Host,
    /// A remote of git's.
    Remote,
    /// A directory to work in.
    Directory,
    /// A file whose directory is worked in (`--manifest-path`); it is read.
    Manifest,
    /// A file that is run.
    Script,
    /// The text of a shell program.
    Shell,
    /// Code of this class.
    Code(CodeClass),
    /// `NAME=value` for the inner command.
    Assignment,
    /// The inner command: this word and all that follow.
    Command,
}

/// What an option does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Paths are read, written and removed with all below them.
    Tree,
    /// What is read is changed too.
    InPlace,
    /// Only names count.
    Names,
    /// The first operand's role is left out.
    SkipFirst,
    /// The last operand's role is left out.
    SkipLast,
    /// What git ignores is not left out.
    NoIgnore,
    /// Standard input is a shell's program.
    Input,
    /// It runs code of this class.
    Code(CodeClass),
    /// It prints something about itself, and does nothing else.
    Print,
    /// Nothing is changed: writes and removals are only names (`--dry-run`).
    Dry,
    /// It reaches a host that nobody knows.
    AnyHost,
    /// No option follows it.
    End,
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// None.
    Nothing,
    /// Attached, or the next word.
    Value,
    /// Attached, or none.
    Attached,
    /// The next two words, of which the second has the role.
    Two,
    /// Attached digits, or none.
    Digits,
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opt {
    /// All of them; `-#` is a number behind one dash.
    pub(super) spellings: Vec<String>,
    /// What it does is none of what the program does without it.
    pub(super) turns: bool,
    /// All that it does is to write its value: it takes the program out of `@reads` alone, into `@files`.
    pub(super) writes: bool,
    /// Whether it takes a value.
    pub(super) takes: Takes,
    /// What its value is.
    pub(super) role: Role,
    /// What it does besides.
    pub(super) effects: Vec<Effect>,
}

impl Opt {
    /// The first spelling.
    pub(super) fn name(&self) -> &str {
        self.spellings.first().map_or("", String::as_str)
    }

    /// It takes the program out of all of its sets.
    pub(super) fn turns_program(&self) -> bool {
        self.turns && !self.writes
    }
}

/// Roles of operands: the first ones, those of which there may be any number, the last ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Operands {
    /// By position.
    pub(super) first: Vec<Role>,
    /// Any number, none too.
    pub(super) many: Option<Role>,
    /// By position, at the end.
    pub(super) last: Vec<Role>,
}

impl Operands {
    /// No operand is foreseen.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.many.is_none()
    }

    /// An inner command or a shell's text is among them.
    pub(super) fn hands_on(&self) -> bool {
        let hands = |role: &Role| matches!(role, Role::Command | Role::Assignment);
        let all = self.first.iter().chain(self.many.iter());
        all.chain(&self.last).any(hands)
    }
}

/// Reads the notation of operands: `pattern read*`, `read* into`.
///
/// # Errors
/// A role that there is not, or two with a `*`.
pub(super) fn operands(text: &str) -> Result<Operands, Unsound> {
    let mut operands = Operands::default();
    for word in text.split_whitespace() {
        match word.strip_suffix('*') {
            Some(many) if operands.many.is_none() => operands.many = Some(role(many)?),
            Some(_) => return Err(Unsound("two operands with a `*`".to_owned())),
            None if operands.many.is_none() => operands.first.push(role(word)?),
            None => operands.last.push(role(word)?),
        }
    }
    Ok(operands)
}

/// Reads a role.
///
/// # Errors
/// There is no such role.
pub(super) fn role(text: &str) -> Result<Role, Unsound> {
    Ok(match text {
        "" | "text" | "pattern" => Role::Text,
        "name" => Role::Name,
        "read" => Role::Read,
        "tree" => Role::Tree,
        "write" => Role::Write,
        "write-tree" => Role::WriteTree,
        "into" => Role::Into,
        "change" => Role::Change,
        "remove" => Role::Remove,
        "remove-tree" => Role::RemoveTree,
        "move" => Role::Move,
        "host" => Role::Host,
        "remote" => Role::Remote,
        "directory" => Role::Directory,
        "manifest" => Role::Manifest,
        "script" => Role::Script,
        "shell" => Role::Shell,
        "assignment" => Role::Assignment,
        "command" => Role::Command,
        _ => match text.strip_prefix("code-") {
            Some(of) => Role::Code(class(of)?),
            None => return Err(Unsound(format!("there is no role `{text}`"))),
        },
    })
}

fn class(text: &str) -> Result<CodeClass, Unsound> {
    Ok(match text {
        "repo" => CodeClass::Repo,
        "inline" => CodeClass::Inline,
        "unknown" => CodeClass::Unknown,
        "fetched" => CodeClass::Fetched,
        _ => return Err(Unsound(format!("there is no class `{text}`"))),
    })
}

fn effect(text: &str) -> Result<Effect, Unsound> {
    Ok(match text {
        "tree" => Effect::Tree,
        "in-place" => Effect::InPlace,
        "names" => Effect::Names,
        "skip-first" => Effect::SkipFirst,
        "skip-last" => Effect::SkipLast,
        "no-ignore" => Effect::NoIgnore,
        "input" => Effect::Input,
        "print" => Effect::Print,
        "dry" => Effect::Dry,
        "end" => Effect::End,
        "any-host" => Effect::AnyHost,
        _ => match text.strip_prefix("code-") {
            Some(of) => Effect::Code(class(of)?),
            None => return Err(Unsound(format!("there is no effect `{text}`"))),
        },
    })
}

/// Reads the notation of one option: `-o|--output=write`, `!--pre=code-unknown`, `--[no-]color=?`, `-r:tree`.
/// Two of a `[no-]`.
///
/// # Errors
/// What is not a part of the notation.
pub(super) fn option(text: &str) -> Result<Vec<Opt>, Unsound> {
    let (turns, writes, rest) = match (text.strip_prefix('!'), text.strip_prefix('>')) {
        (Some(rest), _) => (true, false, rest),
        (None, Some(rest)) => (true, true, rest),
        (None, None) => (false, false, text),
    };
    let mut parts = rest.split(':');
    let head = parts.next().unwrap_or_default();
    let effects = parts.map(effect).collect::<Result<Vec<_>, _>>()?;
    let (names, takes, value) = match head.split_once('=') {
        None => (head, Takes::Nothing, ""),
        Some((names, "#")) => (names, Takes::Digits, ""),
        Some((names, value)) => match value.strip_prefix('?') {
            Some(value) => (names, Takes::Attached, value),
            None if value.starts_with('=') => (names, Takes::Two, value.trim_start_matches('=')),
            None => (names, Takes::Value, value),
        },
    };
    let role = role(value)?;
    if writes && !matches!(role, Role::Write | Role::WriteTree) {
        return Err(Unsound(format!("`{text}` writes no path")));
    }
    let mut spellings = Vec::new();
    let mut negated = Vec::new();
    for name in names.split('|') {
        let (positive, negative) = match name.strip_prefix("--[no-]") {
            Some(rest) => (format!("--{rest}"), Some(format!("--no-{rest}"))),
            None => (name.to_owned(), None),
        };
        let begins = positive.starts_with('-') || positive.starts_with('+');
        if !begins || positive.len() < 2 || positive == "--" {
            return Err(Unsound(format!("`{text}` is no option")));
        }
        spellings.push(positive);
        negated.extend(negative);
    }
    let mut options = vec![Opt {
        spellings,
        turns,
        writes,
        takes,
        role,
        effects,
    }];
    if !negated.is_empty() {
        options.push(Opt {
            spellings: negated,
            turns: false,
            writes: false,
            takes: Takes::Nothing,
            role: Role::Text,
            effects: Vec::new(),
        });
    }
    Ok(options)
}
