//! Why a secret cannot be used as the operator gave it.

use std::fmt;
use std::io;

use crate::contracts::limits;

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
                    " is shorter than {least} bytes: it could not be told from ordinary output"
                )
            }
            SecretFault::TooLong => {
                write!(f, ": is longer than {} bytes", limits::SECRET_BYTES_MAX)
            }
            SecretFault::TooMany => write!(f, ": more than {} secrets", limits::SECRETS),
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
