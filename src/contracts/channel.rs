//! How a human is asked.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{ApprovalBinding, Draft, Kind};
use super::question::Question;

/// What a rule asks of an approval beyond one person's yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApprovalTerms {
    /// How many different people must approve; `None` leaves it to the channel.
    pub required: Option<u32>,
}

/// What a yes may hold for beyond this call, as long as the session lasts: shown to whoever could give it before they
/// do. Holds text of the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GrantOffer {
    /// What exactly was asked about, in words: `running git push origin feature/login`.
    pub exact: String,
    /// The narrow pattern around it, where the rules offer one: `running git push origin feature/*`.
    pub pattern: Option<String>,
}

/// How far a yes reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Scope {
    /// This call, once.
    Once,
    /// What the question offers for the session, for the minutes from now on where a person says how many: 1 to
    /// [`super::limits::GRANT_MINUTES`].
    Session {
        /// The pattern rather than the exact part.
        pattern: bool,
        /// How long.
        minutes: Option<u32>,
    },
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
        /// How far it reaches.
        scope: Scope,
    },
    /// A human refused.
    Denied {
        /// Who.
        by: String,
        /// How the refusal was bound to the call.
        binding: ApprovalBinding,
        /// Why, in the person's words: the model is told.
        reason: Option<String>,
    },
    /// Nobody answered before the deadline.
    TimedOut,
    /// No approver is available; says why and what helps.
    Unreachable(String),
    /// The session ended before anybody answered; says so.
    SessionOver(String),
}

/// Why a channel can ask nobody, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Somewhere humans are asked. Called from many call workers at once; nothing here waits for a person.
pub trait Channel: Send + Sync {
    /// The channel's name in events: `console`, `slack`, `attend`.
    fn name(&self) -> &'static str;

    /// The workspace that its people are of, where it has one: on record with each answer.
    fn team(&self) -> Option<&str> {
        None
    }

    /// Shows a question, and returns at once. It is [`Question::seen`] when a person could first see it, and
    /// [`Question::settle`] takes the answer. A channel that finds later that it can ask nobody
    /// [gives up](Question::gives_up).
    ///
    /// # Errors
    /// [`Unreachable`] where this channel can ask nobody about it.
    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable>;

    /// A question that was shown is settled, here or elsewhere.
    fn over(&self, question: &Question, answer: &Answer);

    /// Whether people there are told of events of this kind, best effort.
    fn mirrors(&self, _kind: Kind) -> bool {
        false
    }

    /// Events of such kinds that are durable by now. Must not wait for anything.
    fn mirror(&self, _events: Vec<Draft>) {}

    /// The session is over: nobody is asked any more.
    fn hang_up(&self);

    /// The session's end is on record: says what is still to be said, for as long as the channel gives itself.
    /// Nothing is said afterwards.
    fn farewell(&self) {}
}
