//! Why something is not mounted into a container.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::contracts::sandbox::SandboxError;

/// A mount that agp does not ask for. The operator, or where the session runs, named it.
#[derive(Debug)]
pub enum MountError {
    /// It cannot be looked at.
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is a name for something else.
    LeadsTo {
        /// The path.
        path: PathBuf,
        /// Where it leads.
        end: PathBuf,
    },
    /// It is one of the host's own directories.
    HostsOwn(PathBuf),
    /// It is, holds, or lies in what must not be reached.
    Shows {
        /// The path.
        path: PathBuf,
        /// What must not be reached.
        protected: PathBuf,
    },
    /// The daemon cannot be told of it: it is not UTF-8.
    NotUtf8(PathBuf),
    /// It would hide something of the container's own.
    Hides {
        /// The path.
        path: PathBuf,
        /// What it would hide.
        own: &'static str,
    },
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::LeadsTo { path, end } => {
                write!(
                    f,
                    "{} is a link to {}: use the target",
                    path.display(),
                    end.display()
                )
            }
            Self::HostsOwn(path) => {
                write!(f, "{} is a system directory of the host", path.display())
            }
            Self::Shows { path, protected } => {
                let (path, protected) = (path.display(), protected.display());
                write!(
                    f,
                    "{path} contains {protected}, which the agent must not see"
                )
            }
            Self::NotUtf8(path) => write!(f, "{} is not UTF-8", path.display()),
            Self::Hides { path, own } => {
                write!(f, "{} would hide the container's {own}", path.display())
            }
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<MountError> for SandboxError {
    fn from(error: MountError) -> Self {
        Self(error.to_string())
    }
}
