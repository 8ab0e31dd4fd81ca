//! Why a file of permissions is none that can be read.

use std::fmt;

use super::{IMPORT_BYTES, codex_rules::TOKENS};
use crate::contracts::strict_json::StrictError;

/// Why a file of permissions as a whole cannot be read.
#[derive(Debug)]
pub enum ImportError {
    /// It is longer than is read.
    TooLarge,
    /// A `settings.json` is no strict JSON.
    Json(StrictError),
    /// A `settings.json` has no `permissions`.
    NoPermissions,
    /// Another thing than a call stands where one should, of Codex's rules.
    NoCall(String),
    /// A name that no `(` follows.
    NoArguments(String),
    /// A call's `(` is not closed.
    Open(String),
    /// A string is not closed on its line.
    OpenString,
    /// An escape that is not read here.
    Escape,
    /// A character of Starlark that is not read here.
    Starlark(char),
    /// It has more words than are read.
    TooManyWords,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "longer than {} KiB", IMPORT_BYTES / 1024),
            Self::Json(error) => error.fmt(f),
            Self::NoPermissions => f.write_str("it has no \"permissions\" object"),
            Self::NoCall(token) => write!(f, "expected prefix_rule(...), found {token}"),
            Self::NoArguments(name) => write!(f, "expected ( after {name}"),
            Self::Open(name) => write!(f, "{name}( is not closed"),
            Self::OpenString => f.write_str("a string is not closed"),
            Self::Escape => f.write_str("an escape other than \\\\, \\\" and \\'"),
            Self::Starlark(c) => write!(f, "{c:?} is more of Starlark than is read here"),
            Self::TooManyWords => write!(f, "more than {TOKENS} words"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}
