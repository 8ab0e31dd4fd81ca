//! What the governor answers. Writing and reading have a type each: what is read says what its sender
//! says, and cannot be sent; what is sent was made here, and an allow of a permit.

use serde::{Deserialize, Serialize};

use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::verdict::{Decision, Denial, Verdict};
use crate::journal::Permit;

/// An answer as it crosses the socket. Fields are camelCase; unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Wire {
    /// `allow` or `deny`, never `require`: the effective verdict, already durable.
    #[serde(rename_all = "camelCase")]
    PolicyVerdict {
        id: MessageId,
        session_id: SessionId,
        verdict: Verdict,
    },
    /// The result of a call that agp executed.
    #[serde(rename_all = "camelCase")]
    ToolCallResult {
        id: MessageId,
        session_id: SessionId,
        ok: bool,
        output: String,
    },
    /// The report was journaled.
    #[serde(rename_all = "camelCase")]
    ReportRecorded {
        id: MessageId,
        session_id: SessionId,
    },
    /// The peer broke the protocol, or the governor cannot answer. Always a deny; the link drops.
    #[serde(rename_all = "camelCase")]
    Error {
        id: Option<MessageId>,
        session_id: Option<SessionId>,
        message: String,
    },
}

/// An answer to be sent. An allow takes the permit, which then permits nothing more:
///
/// ```compile_fail,E0308
/// use agp::contracts::verdict::{Decision, Verdict};
/// use agp::gateway::answer::Answer;
/// let verdict = Verdict { decision: Decision::Allow, ..Verdict::refused("because") };
/// let allow = Answer::allow((), verdict);
/// ```
///
/// ```compile_fail,E0382
/// use agp::{contracts::verdict::Verdict, gateway::answer::Answer, journal::Permit};
/// fn twice(permit: Permit, verdict: Verdict) -> [Answer; 2] {
///     [Answer::allow(permit, verdict.clone()), Answer::allow(permit, verdict)]
/// }
/// ```
///
/// ```compile_fail,E0382
/// use agp::{contracts::verdict::Verdict, gateway::answer::Answer, governor::Sandbox, journal::Permit};
/// fn told_and_run(sandbox: &dyn Sandbox, permit: Permit, verdict: Verdict) -> Answer {
///     let _ = sandbox.exec(permit);
///     Answer::allow(permit, verdict)
/// }
/// ```
///
/// Nor can one be had by reading what somebody else wrote:
///
/// ```compile_fail,E0277
/// let read: agp::gateway::answer::Answer = serde_json::from_str("{}").unwrap();
/// ```
///
/// ```compile_fail,E0308
/// use agp::gateway::{answer::{Answer, Heard}, frame};
/// fn passed_on(stream: &std::os::unix::net::UnixStream, heard: Heard) {
///     let _ = frame::answer(stream, &heard, None);
/// }
/// ```
#[must_use = "whoever asked waits for it"]
#[derive(Debug, PartialEq)]
pub struct Answer(Wire);

impl Answer {
    /// The harness may run the call of the permit, on these grounds.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a permit that is spent is gone"
    )]
    pub fn allow(permit: Permit, grounds: Verdict) -> Self {
        let call = permit.call();
        Self(Wire::PolicyVerdict {
            id: call.id.clone(),
            session_id: call.session.clone(),
            verdict: Verdict {
                decision: Decision::Allow,
                ..grounds
            },
        })
    }

    /// The call must not run.
    pub fn deny(id: MessageId, session_id: SessionId, denial: Denial) -> Self {
        Self(Wire::PolicyVerdict {
            id,
            session_id,
            verdict: denial.into_verdict(),
        })
    }

    /// What a call came to that agp executed.
    pub fn result(id: MessageId, session_id: SessionId, ok: bool, output: String) -> Self {
        Self(Wire::ToolCallResult {
            id,
            session_id,
            ok,
            output,
        })
    }

    /// A report is recorded.
    pub fn recorded(id: MessageId, session_id: SessionId) -> Self {
        Self(Wire::ReportRecorded { id, session_id })
    }

    /// There is no other answer; the link drops behind it. With the message's id and session where
    /// they could be read.
    pub fn error(id: Option<MessageId>, session_id: Option<SessionId>, message: String) -> Self {
        Self(Wire::Error {
            id,
            session_id,
            message,
        })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.0
    }
}

/// An answer as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard(Wire);

impl Heard {
    pub(super) fn new(wire: Wire) -> Self {
        Self(wire)
    }

    /// Whether it says that there is no answer.
    pub(super) fn is_error(&self) -> bool {
        matches!(self.0, Wire::Error { .. })
    }

    pub(super) fn into_wire(self) -> Wire {
        self.0
    }
}
