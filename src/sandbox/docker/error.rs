//! Calls of the Engine API that came to nothing: which, and why, in the daemon's own words.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::http::{HttpError, HttpReply};

/// `DOCKER_HOST` is this, which is no Unix socket of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLocal(pub String);

impl fmt::Display for NotLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.0;
        write!(
            f,
            "DOCKER_HOST={host}: agp needs a daemon on this machine (unix:///PATH)"
        )
    }
}

impl std::error::Error for NotLocal {}

/// Why a call came to nothing.
#[derive(Debug)]
pub enum EngineFault {
    /// There is no reply, or it is none.
    Http(HttpError),
    /// The daemon refused; its status and its words.
    Refused(u16, String),
    /// The reply lacks what it must have, or is not this daemon's to give.
    Unfit(String),
}

/// A call that failed.
#[derive(Debug)]
pub struct EngineError {
    /// Which: `start the container`.
    pub call: &'static str,
    /// Where the daemon is.
    pub socket: PathBuf,
    /// Why.
    pub fault: EngineFault,
}

impl EngineError {
    /// The daemon's status, where it gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            EngineFault::Refused(status, _) => Some(status),
            _ => None,
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            socket,
            fault,
        } = self;
        let socket = socket.display();
        match fault {
            EngineFault::Http(error) => {
                write!(f, "cannot {call}: the daemon at {socket} {error}")
            }
            EngineFault::Refused(status, why) => {
                write!(f, "cannot {call}: Docker error {status}: {why}")
            }
            EngineFault::Unfit(why) => write!(f, "cannot {call}: {why}"),
        }
    }
}

impl std::error::Error for EngineError {}

/// Characters of the daemon's own words that are shown.
const WORDS_CHARS: usize = 400;

/// What the daemon says of a refusal: JSON with a message, or, from old ones, plain text.
pub(super) fn refused(reply: &HttpReply) -> EngineFault {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let words = serde_json::from_slice(&reply.body)
        .map(|Message { message }| message)
        .unwrap_or_else(|_| String::from_utf8_lossy(&reply.body).into_owned());
    let words = words.trim().chars().take(WORDS_CHARS).collect();
    EngineFault::Refused(reply.head.status, words)
}
