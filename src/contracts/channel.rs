//! How a human is asked.

use std::time::Duration;

use super::call::ToolCall;
use super::event::{ApprovalBinding, Draft, Kind};
use super::ids::Sha256;
use super::verdict::Verdict;

/// What a rule asks of an approval beyond one person's yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApprovalTerms {
    /// How many different people must approve; `None` leaves it to the channel.
    pub required: Option<u32>,
    /// Whether a yes may hold for the same call again in this session.
    pub for_session: bool,
}

/// What an approver is shown.
#[derive(Debug, Clone)]
pub struct ApprovalRequest<'a> {
    /// The call.
    pub call: &'a ToolCall,
    /// The verdict that requires an approval.
    pub verdict: &'a Verdict,
    /// What the rule asks for.
    pub terms: ApprovalTerms,
    /// Who may approve, by each rule that says so: an approval needs somebody of each. Empty: any approver.
    pub approvers: &'a [Vec<String>],
    /// Digest of the canonical arguments: what runs must have the same.
    pub args_sha256: Sha256,
    /// Digest of what the call would do: an answer for the session is about exactly that.
    pub reading_sha256: Sha256,
    /// No answer within this time is a deny.
    pub deadline: Duration,
}

/// What came of asking.
#[must_use = "an unread answer is a call that nobody approved"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A human approved exactly this call.
    Granted {
        /// Who.
        by: String,
        /// How the approval was bound to the call.
        binding: ApprovalBinding,
    },
    /// A human refused.
    Denied {
        /// Who.
        by: String,
        /// How the refusal was bound to the call.
        binding: ApprovalBinding,
    },
    /// Nobody answered before the deadline.
    TimedOut,
    /// No approver is available; says why and what helps.
    Unreachable(String),
    /// The session ended before anybody answered; says so.
    SessionOver(String),
}

/// Somewhere humans are asked. Called from many call workers at once.
pub trait Channel: Send + Sync {
    /// The channel's name in events: `console`, `slack`.
    fn name(&self) -> &'static str;

    /// Asks and waits, at most until the request's deadline.
    fn ask(&self, request: &ApprovalRequest<'_>) -> Answer;

    /// Whether people there are told of events of this kind, best effort.
    fn mirrors(&self, _kind: Kind) -> bool {
        false
    }

    /// Events of such kinds that are durable by now. Must not wait for anything.
    fn mirror(&self, _events: Vec<Draft>) {}

    /// The session is over: whoever still waits for an answer, or asks later, gets
    /// [`Answer::SessionOver`] at once.
    fn hang_up(&self);
}
