//! The asking side: one question, one answer, and a deny whenever there is any doubt.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use crate::contracts::call::Unreadable;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::limits;
use crate::contracts::message::Message;
use crate::contracts::verdict::Decision;
use crate::journal;
use crate::journal::key::PublicKey;

use super::answer::{Heard, Wire};
use super::answer_signature::Nonce;
use super::client_file;
use super::frame::{self, FrameError};

/// Where the governor is, and what tells it from whoever else may listen there.
#[derive(Debug, Clone)]
pub struct Governor {
    /// The gateway's socket.
    pub socket: PathBuf,
    /// The key that its answers are signed with; without one, anybody is believed.
    pub key: Option<PublicKey>,
    /// Whether it is outside of this process's PID namespace: whoever listens within is not it.
    pub outside: bool,
}

impl Governor {
    /// Whoever listens at this socket.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            key: None,
            outside: false,
        }
    }
}

/// Why a question has no answer. Every one of them means: the call must not run.
#[derive(Debug)]
pub enum AskError {
    /// The governor's socket cannot be reached.
    Unreachable(std::io::Error),
    /// The exchange broke.
    Link(FrameError),
    /// The session's client file cannot be opened.
    NoClient(std::io::Error),
    /// It was somebody else who listened, or answered.
    Impostor,
    /// The governor refused the question.
    Refused(String),
    /// The answer is not one to this question.
    Mismatched,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot reach the governor: {error}"),
            Self::Link(error) => write!(f, "no answer from the governor: {error}"),
            Self::NoClient(error) => {
                write!(f, "cannot open the session's client file: {error}")
            }
            Self::Impostor => f.write_str("the answer is not from the governor"),
            Self::Refused(why) => write!(f, "the governor refused the call: {why}"),
            Self::Mismatched => f.write_str("the governor's answer is for another request"),
        }
    }
}

impl std::error::Error for AskError {}

/// Sends a question, or what is left of one that is too long, and gives what was sent with its answer.
fn exchange<'a>(
    governor: &Governor,
    question: &'a Message,
    within: Duration,
) -> Result<(Cow<'a, Message>, Heard), AskError> {
    let stream = UnixStream::connect(&governor.socket).map_err(AskError::Unreachable)?;
    if governor.outside && !listener_is_outside(&stream) {
        return Err(AskError::Impostor);
    }
    let proof = match &governor.key {
        None => None,
        Some(key) => Some((key, Nonce::fresh().ok_or(AskError::Impostor)?)),
    };
    let client = client_file::open_beside(&governor.socket).map_err(AskError::NoClient)?;
    let nonce = proof.map(|(_, nonce)| nonce);
    let sent = send(&stream, question, nonce, client.as_ref())?;
    let answer = frame::read_answer(&stream, within).map_err(AskError::Link)?;
    let heard = match proof {
        // That there is no answer is a deny, whoever says so.
        Some((key, nonce)) if !answer.said().is_error() => {
            answer.by(key, nonce).ok_or(AskError::Impostor)?
        }
        _ => answer.by_anybody(),
    };
    Ok((sent, heard))
}

fn send<'a>(
    stream: &UnixStream,
    question: &'a Message,
    nonce: Option<Nonce>,
    client: Option<&OwnedFd>,
) -> Result<Cow<'a, Message>, AskError> {
    let Err(error) = frame::write(stream, question, nonce, client) else {
        return Ok(Cow::Borrowed(question));
    };
    // Then not a byte of it was sent.
    let why = match error {
        FrameError::TooLong => Some(Unreadable::TooLong),
        FrameError::TooMany => Some(Unreadable::TooMany),
        _ => None,
    };
    let short = why.and_then(|why| unreadable(question, why));
    let short = short.ok_or(AskError::Link(error))?;
    frame::write(stream, &short, nonce, client).map_err(AskError::Link)?;
    Ok(Cow::Owned(short))
}

/// What a request becomes that does not fit a frame.
fn unreadable(request: &Message, why: Unreadable) -> Option<Message> {
    let Message::ToolCallRequest {
        id,
        session_id,
        tool,
        args,
        ..
    } = request
    else {
        return None;
    };
    let mut tool = tool.clone();
    tool.truncate(tool.floor_char_boundary(limits::TOOL_NAME_BYTES));
    Some(Message::ToolCallUnreadable {
        id: id.clone(),
        session_id: session_id.clone(),
        tool,
        args_sha256: journal::args_sha256(args),
        args_bytes: serde_json::to_vec(args).map_or(0, |bytes| bytes.len() as u64),
        why,
    })
}

/// Whether whoever listens at the other end is in none of the PID namespaces that can be seen from here:
/// then the kernel has no number for it. A process inside has one, also when it has exited.
fn listener_is_outside(stream: &impl AsFd) -> bool {
    let peer = getsockopt(stream, PeerCredentials);
    peer.is_ok_and(|peer| peer.pid() == 0)
}

/// The governor's answer to whether a call may run, as it was read: for the harness, and no permission
/// to run anything here.
#[must_use = "the harness waits for this"]
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It may run; why.
    Allow(String),
    /// It must not run; why.
    Deny(String),
}

/// Asks whether a call may run and waits for the effective verdict.
///
/// # Errors
/// [`AskError`]; the call must then not run.
pub fn ask(governor: &Governor, request: &Message, within: Duration) -> Result<Said, AskError> {
    asked(request)?;
    let (sent, heard) = exchange(governor, request, within)?;
    verdict_in(&sent, heard)
}

/// The call that a question is about, and whether it can be let run. What is no question is not sent.
fn asked(question: &Message) -> Result<(&MessageId, &SessionId, bool), AskError> {
    match question {
        Message::ToolCallRequest { id, session_id, .. } => Ok((id, session_id, true)),
        Message::ToolCallUnreadable { id, session_id, .. } => Ok((id, session_id, false)),
        Message::ToolCallReport { .. } => Err(AskError::Mismatched),
    }
}

/// The verdict that an answer gives to a question.
pub(super) fn verdict_in(request: &Message, answer: Heard) -> Result<Said, AskError> {
    let (id, session_id, readable) = asked(request)?;
    match answer.into_wire() {
        Wire::PolicyVerdict {
            id: answered,
            session_id: session,
            verdict,
        } if answered == *id && session == *session_id => match verdict.decision {
            Decision::Allow if readable => Ok(Said::Allow(verdict.reason)),
            Decision::Deny => Ok(Said::Deny(verdict.reason)),
            Decision::Allow | Decision::Require => Err(AskError::Mismatched),
        },
        other => Err(unanswered(other)),
    }
}

fn unanswered(answer: Wire) -> AskError {
    match answer {
        Wire::Error { message, .. } => AskError::Refused(message),
        _ => AskError::Mismatched,
    }
}

/// What became of a call that agp was asked to run.
#[derive(Debug)]
pub enum CallReply {
    /// agp ran it.
    Done {
        /// Whether the tool succeeded.
        ok: bool,
        /// For the model.
        output: String,
    },
    /// It did not run; why.
    Denied(String),
}

/// Asks for a call to be run by agp, and waits for its result.
///
/// # Errors
/// [`AskError`]; whether the call ran is then for the journal to say.
pub fn call(
    governor: &Governor,
    request: &Message,
    within: Duration,
) -> Result<CallReply, AskError> {
    asked(request)?;
    let (sent, heard) = exchange(governor, request, within)?;
    reply_in(&sent, heard)
}

/// What an answer says has become of a call.
pub(super) fn reply_in(request: &Message, answer: Heard) -> Result<CallReply, AskError> {
    let (id, session_id, readable) = asked(request)?;
    match answer.into_wire() {
        Wire::ToolCallResult {
            id: answered,
            session_id: session,
            ok,
            output,
        } if answered == *id && session == *session_id && readable => {
            Ok(CallReply::Done { ok, output })
        }
        Wire::PolicyVerdict {
            id: answered,
            session_id: session,
            verdict,
        } if answered == *id && session == *session_id && verdict.decision == Decision::Deny => {
            Ok(CallReply::Denied(verdict.reason))
        }
        other => Err(unanswered(other)),
    }
}

/// Reports how a call has ended, and waits until that is recorded.
///
/// # Errors
/// [`AskError`] when it is not known to be recorded.
pub fn report(governor: &Governor, report: &Message, within: Duration) -> Result<(), AskError> {
    let Message::ToolCallReport { id, session_id, .. } = report else {
        return Err(AskError::Mismatched);
    };
    match exchange(governor, report, within)?.1.into_wire() {
        Wire::ReportRecorded {
            id: answered,
            session_id: session,
        } if answered == *id && session == *session_id => Ok(()),
        other => Err(unanswered(other)),
    }
}
