//! Why a click is no answer: the codes of the journal, and what the clicker is told.

use serde_json::{Map, Value, json};

use crate::contracts::event::{ApprovalBinding, Draft, Kind};
use crate::contracts::ids::{MessageId, SessionId, Sha256};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $told:literal;)*) => {
        /// Why a click is no answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// The code in the journal.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What the clicker is told.
            #[must_use]
            pub fn told(self) -> &'static str {
                match self { $(Self::$name => $told,)* }
            }
        }
    };
}

reasons! {
    /// Slack's click came from another app.
    OtherApp = "other-app", "this button belongs to another app";
    /// The clicker is of another team.
    OtherTeam = "other-team", "only members of this workspace can decide";
    /// Bots decide nothing.
    Bot = "bot", "a bot cannot decide";
    /// The clicker may not approve.
    Stranger = "stranger", "you are not an approver of this session";
    /// No request has this nonce.
    UnknownNonce = "unknown-nonce", "this request is unknown or closed";
    /// Its request has no buttons yet: nobody can have clicked on one.
    NotArmed = "not-armed", "this request has no buttons yet";
    /// The request was decided.
    Decided = "already-decided", "this request is already decided";
    /// The request's time is over.
    Expired = "expired", "this request expired: the call was denied";
    /// The session ended.
    SessionOver = "session-over", "this session has ended";
    /// The nonce is of a request in another channel.
    OtherChannel = "other-channel", "this button is not in the channel of its request";
    /// The nonce is of another message.
    OtherMessage = "other-message", "this button does not belong to this message";
    /// The nonce is of another block.
    OtherBlock = "other-block", "this button does not belong to this message";
    /// No such button.
    UnknownAction = "unknown-action", "unknown button";
    /// The same person approved it before.
    Voted = "already-voted", "you already approved; another person must approve too";
    /// Slack delivered the same click again.
    Replayed = "replayed-envelope", "this click was already received";
    /// The card shows a part, and the clicker has not opened the rest.
    NotSeen = "details-not-opened", "this message is truncated: open Details first";
    /// Slack cannot show all of the call.
    TooLong = "too-long-for-slack", "Slack cannot show all of this call: approve it at a terminal";
    /// The clicker is in none of the rules' lists.
    /// So many clicks were rejected that this is the last one on the record.
    TooMany = "too-many-rejections", "too many clicks were rejected";
}

/// A click that was rejected, for the journal. Nothing in it is of the agent's, and nothing of the
/// clicker's but ids that have the shape of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The call it was about, as far as that is known.
    pub message_id: Option<MessageId>,
    /// The digest of that call's arguments.
    pub args_sha256: Option<Sha256>,
    /// Who clicked.
    pub user: String,
    /// Of which team.
    pub team: String,
    /// In which channel.
    pub channel: String,
    /// On which message.
    pub message: String,
}

impl Rejection {
    /// What the journal has of it.
    #[must_use]
    pub fn draft(&self, session: &SessionId) -> Draft {
        let mut payload = Map::new();
        let mut put = |name: &str, value: Value| drop(payload.insert(name.to_owned(), value));
        put("sessionId", json!(session.as_str()));
        put("channel", json!("slack"));
        put("reason", json!(self.reason.code()));
        put("user", json!(self.user));
        put("team", json!(self.team));
        put("slackChannel", json!(self.channel));
        put("slackMessage", json!(self.message));
        if let Some(id) = &self.message_id {
            put("messageId", json!(id.as_str()));
        }
        if let Some(digest) = self.args_sha256 {
            put("argsSha256", json!(digest.to_hex()));
        }
        Draft {
            binding: Some(ApprovalBinding::SlackNonce),
            ..Draft::new(Kind::ApprovalRejected, payload)
        }
    }
}
