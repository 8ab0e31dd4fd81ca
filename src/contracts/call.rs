//! A tool call as the gate sees it, the same whichever harness made it.

use crate::contracts::plural::count;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{MessageId, SessionId, Sha256};
use super::limits;

/// Who an event is attributed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person who runs the session.
    SessionOwner,
    /// The agent's process, whichever harness it is.
    ClaudeProcess,
}

impl Actor {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionOwner => "session_owner",
            Self::ClaudeProcess => "claude_process",
        }
    }
}

/// Arguments that are text to every tool that a harness or agp has, and a path to none, whatever they say.
pub const TEXTS: [&str; 6] = [
    "content",
    "description",
    "new_source",
    "new_string",
    "old_string",
    "prompt",
];
/// The argument of a command that says where it runs, when that is not where the session's commands do.
pub const WORKDIR: &str = "workdir";

/// The argument that names the agent which makes the call, where the harness's own account would not show it, or
/// what comes of it: an agent within an agent.
pub const WITHIN_AGENT: &str = "withinAgent";

/// The argument that says where another of the arguments leads, seen from where the harness stands: to what agp
/// keeps apart from the agent.
pub const LEADS_TO: &str = "leadsTo";

/// The arguments that are agp's to give.
pub const ADDED: [&str; 3] = [WORKDIR, WITHIN_AGENT, LEADS_TO];

/// The arguments as the harness itself knows them, without those that agp adds; `None` where it added none.
#[must_use]
pub fn without_added(args: &Map<String, Value>) -> Option<Map<String, Value>> {
    if !ADDED.iter().any(|name| args.contains_key(*name)) {
        return None;
    }
    let mut args = args.clone();
    args.retain(|name, _| !ADDED.contains(&name.as_str()));
    Some(args)
}

/// One attempted tool call. Everything in it was said by the agent's side: it is what is
/// decided about, never a ground for the decision beyond tool and arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The harness's tool-use id, unique in the session.
    pub id: MessageId,
    /// The session the call belongs to.
    pub session: SessionId,
    /// The tool's name in the harness's words, such as `Bash` or `mcp__server__tool`.
    pub tool: String,
    /// The arguments, unredacted.
    pub args: Map<String, Value>,
    /// Who is said to call.
    pub actor: Actor,
}

/// Why nobody can decide about a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// The call does not fit a frame.
    TooLong,
    /// They have too many parts.
    TooMany,
    /// They are nested too deep.
    TooDeep,
    /// Half of a surrogate pair stands in them: no Unicode text.
    NotUnicode,
    /// Two readers could understand them differently: a name is there twice, or a number is none.
    Ambiguous,
}

impl Unreadable {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::TooDeep => "too_deep",
            Self::NotUnicode => "not_unicode",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Why such a call is denied, for people and for the model.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::TooLong => format!(
                "the call is larger than {} MiB of JSON: split it",
                limits::FRAME_BYTES >> 20
            ),
            Self::TooMany => format!(
                "the call has more than {}: split it",
                count(limits::FRAME_VALUES, "value")
            ),
            Self::TooDeep => too_deep(),
            Self::NotUnicode => "the arguments are not valid Unicode (lone surrogate)".into(),
            Self::Ambiguous => {
                "the arguments are not strict JSON (duplicate name or number out of range)".into()
            }
        }
    }
}

/// Why arguments are denied that are nested deeper than is recorded.
#[must_use]
pub fn too_deep() -> String {
    format!(
        "the arguments are nested deeper than {}",
        count(limits::ARGS_DEPTH, "level")
    )
}

/// A call that nobody can decide about. It is recorded, and denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableCall {
    /// Its id.
    pub id: MessageId,
    /// The session it belongs to.
    pub session: SessionId,
    /// The tool's name.
    pub tool: String,
    /// Digest of the arguments: of their canonical form where they can be read, else as they came.
    pub args_sha256: Sha256,
    /// Bytes of the arguments as JSON.
    pub args_bytes: u64,
    /// Why.
    pub why: Unreadable,
}
