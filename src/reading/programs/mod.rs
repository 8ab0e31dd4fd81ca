//! The table of programs: what the words of the usual ones are, and what they make them do.
//!
//! Data: `*.toml` beside this file, embedded. A program that has a language of its own (git, find, sed, awk, tar,
//! curl, ssh, docker, rsync, test, ...) has a reader of its own besides.

use super::atoms::{CodeClass, Danger, Role, Set};
use super::disk::Git;
use super::word::Word;

#[cfg(test)]
mod build_tests;
mod classify;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod git_tests;
mod invocation;
#[cfg(test)]
mod network_tests;
mod notation;
mod parse;
mod parsed;
mod program;
mod readers;
mod schema;
mod table;
#[cfg(test)]
mod tests;

pub use program::read;
pub use table::members;
pub(crate) use table::warm;

/// What a program's reader asks about the place where it would run. A directory is what the program's own options change
/// to (`git -C`), relative to where it would run; `None`: there. Every answer may be "not known".
pub trait Context {
    /// What git's configuration says there.
    fn git(&self, directory: Option<&Word>) -> Option<Git>;

    /// Whether anybody looks: what is not known may then be there.
    fn looks(&self) -> bool {
        false
    }

    /// Whether a directory is the repository's, or below it.
    fn repository(&self, _directory: Option<&Word>) -> Option<bool> {
        None
    }

    /// Whether a directory lies at a path, links followed; `Some(false)`: something else, or nothing.
    fn directory(&self, directory: Option<&Word>, path: &str) -> Option<bool>;

    /// Whether a regular file lies at a path, links followed; `Some(false)`: something else, or nothing.
    fn file(&self, directory: Option<&Word>, path: &str) -> Option<bool>;
}

/// Nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContext;

impl Context for NoContext {
    fn git(&self, _: Option<&Word>) -> Option<Git> {
        None
    }
    fn directory(&self, _: Option<&Word>, _: &str) -> Option<bool> {
        None
    }
    fn file(&self, _: Option<&Word>, _: &str) -> Option<bool> {
        None
    }
}

/// What a program would do with its words, before paths are joined to a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invocation {
    /// The entry of the table, such as `git push`; `None`: not in the table.
    pub entry: Option<String>,
    /// One for each word.
    pub roles: Vec<Role>,
    /// The named sets that this call belongs to.
    pub sets: Vec<Set>,
    /// The directory that a global option changes to first (`git -C`, `make -C`, `npm --prefix`).
    pub directory: Option<Word>,
    /// Paths, hosts, code.
    pub uses: Vec<Use>,
    /// Inner commands.
    pub hands_on: Vec<HandOn>,
    /// What is dangerous about the whole.
    pub dangers: Vec<Danger>,
}

/// One thing that a program would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What.
    pub kind: UseKind,
    /// The word that makes it, `None` for the program itself; and whether it is an option or its value.
    pub word: Option<usize>,
    /// Of a word: it is an option or its value, which turns the program.
    pub turns: bool,
    /// What is dangerous about it.
    pub dangers: Vec<Danger>,
}

/// The kinds of uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseKind {
    /// Reads a path; with `tree` all below it, with `leaves_out_ignored` without what git ignores.
    Read {
        /// Relative to the directory.
        path: Word,
        /// All below it.
        tree: bool,
        /// Without what git ignores.
        leaves_out_ignored: bool,
    },
    /// Makes, changes or removes a path.
    Write {
        /// Relative to the directory.
        path: Word,
        /// All below it.
        tree: bool,
        /// It is removed.
        removes: bool,
    },
    /// Reaches a host: a URL, `host`, `user@host:path`; `None` where nobody knows.
    Host(Option<Word>),
    /// Reaches the host of a remote of the repository's; its name, `None` for the branch's own.
    Remote(Option<Word>),
    /// Runs code that nobody read.
    Code {
        /// Where it comes from.
        class: CodeClass,
        /// For people.
        what: String,
    },
    /// Runs a file: the walker says which class it is, or reads it where it is a shell script.
    Script(Word),
}

/// An inner command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOn {
    /// A program with its words (`env`, `sudo`, `xargs`, `find -exec`).
    Program {
        /// As it would be started.
        words: Vec<Word>,
        /// Unknown words follow (`xargs`); where these are paths that were listed, the directory below which.
        more: More,
        /// Runs as another user, or elsewhere: the outer program is an atom of its own too.
        changed: bool,
        /// NAME=value for it.
        assignments: Vec<(String, Word)>,
        /// The directory it runs in, where another.
        directory: Option<Word>,
    },
    /// The text of a shell program (`sh -c`, `eval`), with what becomes `$0`, `$1`, ...
    Shell {
        /// The text.
        text: Word,
        /// `$0` and so on.
        arguments: Vec<Word>,
        /// Another shell than bash reads it (`sh`, `dash`, `zsh`): what the two read differently is unread.
        other_shell: bool,
    },
    /// Standard input is a program: of a shell (`bash -s`, `bash`), or code of another interpreter (`python -`).
    Input {
        /// A shell reads it.
        shell: bool,
        /// For people.
        what: String,
    },
    /// A file is read by this very shell: `. FILE`, `source FILE`.
    Source(Word),
    /// Runs elsewhere and is not looked at: `ssh HOST cmd`, `docker exec`.
    Elsewhere,
}

/// Words that follow those that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum More {
    /// None.
    No,
    /// Any.
    Any,
    /// Paths below this directory; they may begin with `-` only where `true`.
    Below(Word),
}
