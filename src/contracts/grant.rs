//! An approval that holds for a session, as it is listed.

use serde::{Deserialize, Serialize};

/// An approval that holds for the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Grant {
    /// Its name in the session: `g1`.
    pub id: String,
    /// The rule that asked; `None` where none did.
    pub rule: Option<String>,
    /// What it answers, in words: `running git push origin feature/*`. Holds text of the agent's.
    pub covers: String,
    /// Who gave it.
    pub by: String,
    /// The channel that it was given by.
    pub channel: String,
    /// When, by RFC 3339.
    pub since: String,
    /// Until when, by RFC 3339; `None`: until the session ends.
    pub until: Option<String>,
    /// Whether it still holds.
    pub state: GrantState,
}

/// Whether a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// It answers questions.
    Live,
    /// Its time is over.
    Expired,
    /// A person took it back.
    Revoked,
    /// Its session is over.
    Ended,
}

impl GrantState {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
        }
    }
}
