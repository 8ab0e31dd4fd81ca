//! A tool call as the gate sees it, the same whichever harness made it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{MessageId, SessionId};

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

/// The argument of a command that says where it runs, when that is not where the session's commands do.
pub const WORKDIR: &str = "workdir";

/// The argument that names the agent which makes the call, where the harness's own account would not show it, or
/// what comes of it: an agent within an agent.
pub const WITHIN_AGENT: &str = "withinAgent";

/// The arguments as the harness itself knows them, without those that agp adds; `None` where it added none.
#[must_use]
pub fn without_added(args: &Map<String, Value>) -> Option<Map<String, Value>> {
    let added = [WORKDIR, WITHIN_AGENT];
    if !added.iter().any(|name| args.contains_key(*name)) {
        return None;
    }
    let mut args = args.clone();
    args.retain(|name, _| !added.contains(&name.as_str()));
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
