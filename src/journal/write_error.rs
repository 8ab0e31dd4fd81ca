//! Why events did not reach the disk: the machine, somebody else at the journal's files, or agp itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::line::Flaw;

/// Why events are not durable. Nothing is known about the disk any more, so none of them is ever tried again.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The machine: what was tried of the log, and what the system said.
    Log(&'static str, io::Error),
    /// The machine: another file of the journal could not be used.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else: the log's name means another file by now.
    Replaced(PathBuf),
    /// Somebody else: the log is shorter than it was.
    Cut(PathBuf),
    /// Somebody else: what was appended to the log is no continuation of it.
    Continued {
        /// The log.
        path: PathBuf,
        /// The last event that is in order.
        after: u64,
        /// What is wrong with the next one.
        flaw: Flaw,
    },
    /// agp itself: the thread that helps to sign has ended.
    NoSigner,
}

impl WriteError {
    /// For `map_err`: what the system said of the file at `path`.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::File {
            path: path.to_owned(),
            error,
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(tried, error) => write!(f, "{tried} failed: {error}"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Replaced(path) => write!(f, "{} was replaced by another file", path.display()),
            Self::Cut(path) => write!(f, "{} was truncated", path.display()),
            Self::Continued { path, after, flaw } => {
                let path = path.display();
                write!(f, "{path}: after event {after}: {}", flaw.detail)
            }
            Self::NoSigner => f.write_str("the signing thread is gone"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(_, error) | Self::File { error, .. } => Some(error),
            Self::Replaced(_) | Self::Cut(_) | Self::Continued { .. } | Self::NoSigner => None,
        }
    }
}
