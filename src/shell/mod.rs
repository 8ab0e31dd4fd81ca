//! Reads the text of a shell command the way bash does, and runs nothing.
//!
//! What cannot be read with certainty is an error, never a guess.

mod ansi;
pub mod ast;
mod braces;
mod compound;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod here_document;
mod list;
mod machine;
mod parameter;
mod patterns;
mod simple;
mod source;
mod test_command;
#[cfg(test)]
mod tests;
mod word;

use ast::Script;

/// Why a text was not read, and the offset of the byte where that was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unparsed {
    /// bash refuses it, too, when it parses or when it runs it.
    Syntax {
        /// Bytes from the beginning.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// More within each other than [`SHELL_DEPTH`](crate::contracts::limits::SHELL_DEPTH).
    TooDeep {
        /// Bytes from the beginning.
        at: usize,
    },
    /// Braces that stand for more than [`BRACE_STEPS`](crate::contracts::limits::BRACE_STEPS) let be read.
    TooLong {
        /// Bytes from the beginning.
        at: usize,
    },
    /// bash may read it; this parser is not certain how.
    Unsupported {
        /// Bytes from the beginning.
        at: usize,
        /// What is not read.
        what: &'static str,
    },
}

impl Unparsed {
    /// The offset of the byte where it was noticed; at most the text's length.
    #[must_use]
    pub fn at(self) -> usize {
        match self {
            Self::Syntax { at, .. }
            | Self::TooDeep { at }
            | Self::TooLong { at }
            | Self::Unsupported { at, .. } => at,
        }
    }

    /// What is wrong, in a few words.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Syntax { what, .. } | Self::Unsupported { what, .. } => what,
            Self::TooDeep { .. } => "too many commands within each other",
            Self::TooLong { .. } => "braces stand for too many words",
        }
    }
}

/// Reads `text` as `bash -c` does.
///
/// # Errors
/// Where bash would refuse the text, where a bound is passed, and where this parser is not certain.
pub fn parse(text: &str) -> Result<Script, Unparsed> {
    machine::Machine::new(text).run()
}

/// The first construct of a script that dash, or another POSIX `sh`, reads or expands differently.
#[must_use]
pub fn differs_in_sh(script: &Script) -> Option<&'static str> {
    script.bash_only
}

/// `text` as one word that every shell reads as exactly that text.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
