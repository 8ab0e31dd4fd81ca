//! Why the gate has no answer for a peer.

use std::fmt;

use crate::contracts::limits;
use crate::contracts::plural::count;

/// Why a question or a report is not answered: the peer hears it, and nothing runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateError {
    /// The peer: it asks under an id that was asked about before.
    Replayed,
    /// The peer: the session has had all its calls.
    TooManyCalls,
    /// The peer: it reports a call a second time.
    ReportedTwice,
    /// The peer: it reports a call a second time, with another result.
    ReportedOtherwise,
    /// The harness: this is no call as one was let through; says how.
    NotLetThrough(&'static str),
    /// agp: the journal did not take the decision or the result, and says why.
    Unrecorded(String),
    /// agp: a call that nobody could read came to something else than a denial.
    UnreadableDecided,
}

impl fmt::Display for GateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replayed => f.write_str("this call's ID was already used"),
            Self::TooManyCalls => {
                let most = count(limits::CALLS_PER_SESSION, "call");
                write!(f, "a session may make at most {most}")
            }
            Self::ReportedTwice => f.write_str("this call was already reported"),
            Self::ReportedOtherwise => {
                f.write_str("this call was already reported with another result")
            }
            Self::NotLetThrough(how) => write!(f, "this call {how}"),
            Self::Unrecorded(why) => f.write_str(why),
            Self::UnreadableDecided => f.write_str("an unreadable call was allowed"),
        }
    }
}

impl std::error::Error for GateError {}
