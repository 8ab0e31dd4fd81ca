//! Why a text is no pattern, and what to write instead.

use std::fmt;

/// Why a text is no pattern; it is its author's to correct. Of each the text, and what is wrong with it or written
/// instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) enum PatternError {
    /// No pattern of commands.
    Command(String, &'static str),
    /// No pattern of paths.
    Path(String, &'static str),
    /// No pattern of hosts.
    Host(String, &'static str),
    /// No class of code.
    Class(String, &'static str),
    /// No JSON pointer.
    Pointer(String, &'static str),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(text, wrong) => write!(f, "{text:?} is an unsupported pattern: {wrong}"),
            Self::Path(text, wrong)
            | Self::Host(text, wrong)
            | Self::Class(text, wrong)
            | Self::Pointer(text, wrong) => write!(f, "{text:?}: {wrong}"),
        }
    }
}

impl std::error::Error for PatternError {}
