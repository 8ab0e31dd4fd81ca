//! Why a path is not followed to its end.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A path that is not followed: somebody else could say what stands at its end.
#[derive(Debug)]
pub struct FollowError {
    /// The path.
    pub path: PathBuf,
    /// What is the matter with it.
    pub fault: FollowFault,
}

/// What is the matter with a path, or with one on the way.
#[derive(Debug)]
pub enum FollowFault {
    /// It lies in this place, which the agent can change.
    OfTheAgent(PathBuf),
    /// Anybody on this machine can change this file or directory.
    OfAnybody(PathBuf),
    /// It goes through too many links.
    TooManyLinks,
    /// Nothing stands at its end.
    NotThere,
    /// This file or directory cannot be looked at.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for FollowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfTheAgent(place) => {
                let place = place.display();
                write!(f, "it is in {place}, which the agent can change")
            }
            Self::OfAnybody(path) => write!(f, "anyone can change {}", path.display()),
            Self::TooManyLinks => f.write_str("too many links"),
            Self::NotThere => io::Error::from(io::ErrorKind::NotFound).fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

impl std::error::Error for FollowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            FollowFault::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
