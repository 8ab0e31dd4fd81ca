//! Why what somebody said who attends is no answer: the codes of the journal, and the words for them.

use serde_json::{Map, Value, json};

use crate::contracts::attendant::Attendant;
use crate::contracts::event::{ApprovalBinding, Draft, Kind};
use crate::contracts::ids::{MessageId, SessionId, Sha256};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $words:literal;)*) => {
        /// Why it is no answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// The code in the journal.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What whoever attends is told.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

reasons! {
    /// The peer's user is another one.
    OtherUser = "other-user", "this session belongs to another user";
    /// agp started the peer, or what started it.
    OwnProcess = "own-process", "what runs in a session cannot attend one";
    /// The peer cannot be looked at, or has ended.
    UnknownProcess = "unknown-process", "agp cannot tell which process this is";
    /// It only watches.
    ReadOnly = "read-only", "this connection only watches";
    /// It is no message of the protocol.
    Malformed = "malformed", "agp does not understand this message";
    /// The session has no such question.
    UnknownQuestion = "unknown-question", "there is no such question, or it is over";
    /// The question has another nonce.
    WrongNonce = "wrong-nonce", "this answer does not belong to this question";
    /// Another view was shown than was sent.
    OtherView = "other-view", "this answer is about something else than what was sent";
    /// A yes for the session was not offered.
    NotOffered = "not-offered", "this question offers no yes for the session";
    /// The reason for a no is too long.
    LongReason = "long-reason", "the reason is too long";
    /// It was answered at the same moment.
    Decided = "already-decided", "this question is already decided";
    /// Its time was over.
    Expired = "expired", "the time to answer was over: the call was denied";
    /// So much was rejected that this is the last on record.
    TooMany = "too-many-rejections", "too many answers were rejected";
}

/// Something that was rejected, for the journal. Nothing in it is in the words of whoever said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// Whose it was, as far as that can be seen.
    pub attendant: Option<Attendant>,
    /// The number of the question.
    pub number: Option<u64>,
    /// The call of the question, where there is one.
    pub message_id: Option<MessageId>,
    /// The digest of that call's arguments.
    pub args_sha256: Option<Sha256>,
}

impl Rejection {
    /// What the journal has of it.
    #[must_use]
    pub fn draft(&self, session: &SessionId) -> Draft {
        let mut payload = Map::new();
        let mut put = |name: &str, value: Value| drop(payload.insert(name.to_owned(), value));
        put("sessionId", json!(session.as_str()));
        put("channel", json!("attend"));
        put("reason", json!(self.reason.code()));
        if let Some(attendant) = &self.attendant {
            put("peer", attendant.record());
        }
        if let Some(number) = self.number {
            put("number", json!(number));
        }
        if let Some(id) = &self.message_id {
            put("messageId", json!(id.as_str()));
        }
        if let Some(digest) = self.args_sha256 {
            put("argsSha256", json!(digest.to_hex()));
        }
        Draft {
            binding: self.attendant.map(ApprovalBinding::Attend),
            ..Draft::new(Kind::ApprovalRejected, payload)
        }
    }
}
