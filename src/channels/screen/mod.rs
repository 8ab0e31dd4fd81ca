//! The questions on one terminal: draws them, and takes the lines that are typed. Pure: whoever has the terminal writes
//! what comes out, and says what happened and how much time is left.

mod live;
mod look;
mod machine;
mod open;
mod question;
mod row;
mod typed;

#[cfg(test)]
mod tests;

pub use live::{AGENT_BAR, OUTPUT_BAR, live_line};
pub use look::{Bars, Look};
pub use machine::Screen;

use serde::{Deserialize, Serialize};

use crate::contracts::channel::{Answer, GrantOffer, Scope};
#[cfg(doc)]
use crate::contracts::limits;
use crate::contracts::view::CallView;

use super::escape;

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScreenQuestion {
    /// By which a person names it; no two on one screen have the same.
    pub number: u64,
    /// What is shown.
    pub view: CallView,
    /// What a yes may hold for in the session; `None`: for this call alone.
    pub offer: Option<GrantOffer>,
}

/// What a person has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Said {
    /// Yes, and how far.
    Approve(Scope),
    /// No.
    Deny {
        /// Why: the model is told. At most [`limits::REASON_BYTES`], without control characters.
        reason: Option<String>,
    },
}

/// What comes of something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// What was typed before, and not read yet, is thrown away before anything is written: it was typed at another question.
    pub flush: bool,
    /// To be written.
    pub text: String,
    /// Questions that a person could see for the first time.
    pub seen: Vec<u64>,
    /// A question's number and its answer. It stays until it is [`Screen::settled`].
    pub answer: Option<(u64, Said)>,
}

/// How a question was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// By what was typed here.
    Here,
    /// Otherwise: what is said of it, without foreign text that is not escaped.
    Elsewhere(String),
}

/// What is said at a terminal of an answer that came from elsewhere.
#[must_use]
pub fn told(answer: &Answer) -> String {
    let name = |by: &str| escape::line_max(by, NAME_CHARS);
    match answer {
        Answer::Granted { by, .. } => format!("approved by {}", name(by)),
        Answer::Denied { by, reason, .. } => match reason {
            Some(reason) => format!("denied by {}: {}", name(by), name(reason)),
            None => format!("denied by {}", name(by)),
        },
        Answer::TimedOut => "no answer in time: denied".to_owned(),
        Answer::Unreachable(why) => format!("denied: {}", name(why)),
        Answer::SessionOver(_) => "denied: the session has ended".to_owned(),
    }
}

/// Characters of a name or reason in a line of agp's own.
const NAME_CHARS: usize = 200;
