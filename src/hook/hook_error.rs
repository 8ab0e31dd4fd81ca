//! Why a hook says "blocked".

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::strict_json::StrictError;
use crate::gateway::client::AskError;

/// Why a hook has nothing better to say than "blocked".
#[derive(Debug)]
pub(crate) enum HookError {
    /// The harness's: what it gives its hook is not what it should be.
    Input(InputError),
    /// The governor's: it was not reached, or did not take what it was told.
    Ask(AskError),
    /// Whoever turned a link while the call was decided about: it leads to what agp keeps apart.
    Turned,
    /// The machine's: the mark cannot be left.
    Mark {
        /// The mark.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl From<InputError> for HookError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Ask(error) => error.fmt(f),
            Self::Turned => f.write_str(
                "a path of this call changed after the decision and now leads to a protected file",
            ),
            Self::Mark { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for HookError {}

/// What is wrong with a hook's input.
#[derive(Debug)]
pub(crate) enum InputError {
    /// It cannot be read.
    Io(io::Error),
    /// It is longer than [`limits::HOOK_INPUT_BYTES`].
    TooLong,
    /// It is not strict JSON.
    Json(StrictError),
    /// It is JSON, and no object.
    NotAnObject,
    /// It lacks this member, or has it in another shape.
    Lacks(&'static str),
    /// The call has an argument of this name, by which agp alone says what it saw.
    Reserved(&'static str),
    /// It does not say where the call runs.
    NoDirectory,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the hook input: {error}"),
            Self::TooLong => {
                let most = count(limits::HOOK_INPUT_BYTES, "byte");
                write!(f, "the hook input is longer than {most}")
            }
            Self::Json(error) => write!(f, "the hook input is not strict JSON: {error}"),
            Self::NotAnObject => f.write_str("the hook input is not a JSON object"),
            Self::Lacks(member) => write!(f, "the hook input has no {member}"),
            Self::Reserved(name) => {
                write!(
                    f,
                    "the call has an argument {name}, which is reserved for agp"
                )
            }
            Self::NoDirectory => f.write_str("the hook input has no working directory"),
        }
    }
}

impl std::error::Error for InputError {}
