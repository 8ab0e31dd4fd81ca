//! Why a session does not start, by what is at fault, and the help for each.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::governor::Broken;
use crate::journal::AppendError;
use crate::report::failure::Failure;

/// Why a session does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The system provides no random numbers.
    NoRandom,
    /// A file of a session that died cannot be removed.
    Lease(PathBuf, io::Error),
    /// The journal did not record that a session died.
    Unreaped(AppendError),
    /// The journal did not record that the session starts.
    Unrecorded(Broken),
    /// The egress proxy cannot listen on this socket.
    Proxy(PathBuf, io::Error),
    /// The gateway cannot listen on this socket.
    Gateway(PathBuf, io::Error),
    /// The harness's thread cannot be started.
    Thread(io::Error),
    /// The main thread cannot be confined.
    Unconfined(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRandom => f.write_str("the system provides no random numbers"),
            Self::Lease(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Unreaped(error) => write!(f, "{error}"),
            Self::Unrecorded(error) => write!(f, "{error}"),
            Self::Proxy(socket, error) => {
                let socket = socket.display();
                write!(f, "cannot start the egress proxy: {socket}: {error}")
            }
            Self::Gateway(socket, error) => {
                write!(f, "cannot start the gateway: {}: {error}", socket.display())
            }
            Self::Thread(error) => write!(f, "cannot start the harness's thread: {error}"),
            Self::Unconfined(error) => write!(f, "{error}"),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoRandom => Self::refused(error, "allow agp the system call getrandom"),
            StartError::Lease(..) => Self::refused(
                error,
                "make that directory and its files yours (chmod 700), then retry",
            ),
            StartError::Unreaped(_) | StartError::Unrecorded(_) => {
                Self::broken(error, "run `agp doctor --check journal`")
            }
            StartError::Proxy(..) | StartError::Gateway(..) => Self::broken(
                error,
                "free space there, or set TMPDIR to another directory",
            ),
            StartError::Thread(_) => Self::broken(error, "try again"),
            StartError::Unconfined(_) => {
                Self::broken(error, "run `agp doctor --check confinement`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::failure::exit;

    #[test]
    fn only_the_journal_is_blamed_on_the_journal() {
        let io = || io::Error::other("why");
        let path = || PathBuf::from("/a/file");
        let errors = [
            (StartError::NoRandom, exit::REFUSED),
            (StartError::Lease(path(), io()), exit::REFUSED),
            (StartError::Unreaped(AppendError::Closed), exit::BROKEN),
            (StartError::Unrecorded(Broken("why".into())), exit::BROKEN),
            (StartError::Proxy(path(), io()), exit::BROKEN),
            (StartError::Gateway(path(), io()), exit::BROKEN),
            (StartError::Thread(io()), exit::BROKEN),
            (StartError::Unconfined(io()), exit::BROKEN),
        ];
        for (error, code) in errors {
            let of_journal = matches!(error, StartError::Unreaped(_) | StartError::Unrecorded(_));
            let of_file = matches!(
                error,
                StartError::Lease(..) | StartError::Proxy(..) | StartError::Gateway(..)
            );
            let failure = Failure::from(error);
            assert_eq!(failure.code, code, "{failure:?}");
            assert_eq!(
                failure.mend.contains("--check journal"),
                of_journal,
                "{failure:?}"
            );
            assert_eq!(failure.problem.contains("/a/file"), of_file, "{failure:?}");
        }
    }
}
