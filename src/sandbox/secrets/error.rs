//! Why a secret cannot be used as the operator gave it.

use std::fmt;
use std::io;

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::secret::SHELL;

use super::references::variable;

/// A secret, or a place of secrets, that cannot be used. It is the operator's to correct.
#[derive(Debug)]
pub struct SecretError {
    /// The file, the directory or the variable.
    pub place: String,
    /// What is wrong with it.
    pub fault: SecretFault,
}

/// What is wrong with a secret.
#[derive(Debug)]
pub enum SecretFault {
    /// The file or directory cannot be read.
    Io(io::Error),
    /// It has a name that no placeholder can have.
    Name,
    /// A variable's value is not UTF-8.
    NotUnicode,
    /// It holds a zero byte, which no variable can.
    ZeroByte,
    /// It has fewer than [`limits::SECRET_BYTES_MIN`] bytes.
    TooShort,
    /// It has more than [`limits::SECRET_BYTES_MAX`] bytes.
    TooLong,
    /// The directory holds more than [`limits::SECRETS`].
    TooMany,
    /// It is a directory, a socket or the like.
    NotAFile,
    /// Others may read the file; its mode.
    OthersCanRead(u32),
    /// The file is another user's.
    OtherOwner,
}

impl SecretFault {
    /// The fault of the secret in this place.
    pub(super) fn of(self, place: impl fmt::Display) -> SecretError {
        SecretError {
            place: place.to_string(),
            fault: self,
        }
    }
}

impl From<io::Error> for SecretFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        match &self.fault {
            SecretFault::Io(error) => write!(f, ": {error}"),
            SecretFault::Name => {
                f.write_str(": a secret's name is capitals, digits and _, as DEPLOY_TOKEN")
            }
            SecretFault::NotUnicode => f.write_str(" is not UTF-8"),
            SecretFault::ZeroByte => f.write_str(": no variable can hold a zero byte"),
            SecretFault::TooShort => {
                let least = limits::SECRET_BYTES_MIN;
                write!(
                    f,
                    " is shorter than {}: agp could not tell it from ordinary output",
                    count(least, "byte")
                )
            }
            SecretFault::TooLong => {
                write!(
                    f,
                    ": is longer than {}",
                    count(limits::SECRET_BYTES_MAX, "byte")
                )
            }
            SecretFault::TooMany => write!(f, ": more than {}", count(limits::SECRETS, "secret")),
            SecretFault::NotAFile => f.write_str(": is no regular file"),
            SecretFault::OthersCanRead(mode) => {
                write!(f, ": other users can read it (mode {mode:o}): chmod 600")
            }
            SecretFault::OtherOwner => f.write_str(": belongs to another user"),
        }
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            SecretFault::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Characters of a name that a model is told.
pub(in crate::sandbox) const NAME_CHARS: usize = 80;

/// Why a call may not have the secrets that it asks for; its model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretMisuse {
    /// It is a call of this tool, which gets none.
    Tool(String),
    /// There is no such secret.
    Unknown(String),
    /// It is a call of the shell without a command.
    NoCommand,
    /// This secret stands where agp cannot put its variable.
    Place(String, SecretPlace),
}

/// Where in a command agp puts no variable for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace {
    /// Behind a backslash.
    Escaped,
    /// In or after a here-document.
    HereDocument,
    /// In a substitution or quotes of a command with `case`.
    Case,
    /// In backticks, `${}` or arithmetic.
    Substitution,
}

impl fmt::Display for SecretMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(tool) => write!(
                f,
                "secrets go only to commands of {}, not to {tool}",
                SHELL.0
            ),
            Self::Unknown(name) => {
                let name = name.escape_debug().take(NAME_CHARS).collect::<String>();
                write!(f, "unknown secret {name}")
            }
            Self::NoCommand => write!(f, "{} needs a command", SHELL.0),
            Self::Place(name, place) => {
                let place = match place {
                    SecretPlace::Escaped => "follow a backslash",
                    SecretPlace::HereDocument => "be in or after a here-document",
                    SecretPlace::Case => "be in a substitution or quotes in a command with `case`",
                    SecretPlace::Substitution => "be in backticks, ${...} or arithmetic",
                };
                write!(
                    f,
                    "a secret cannot {place}. Start the command with the line \
                    `# {{{{secret:{name}}}}}`, and use \"${}\" for the value",
                    variable(name)
                )
            }
        }
    }
}
