//! What is said to the gateway: one JSON object a line, told apart by `kind`. What it answers is
//! `gateway::answer`'s, because an allow among it takes the journal's permit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::{Actor, Unreadable};
use super::ids::{MessageId, SessionId, Sha256};

/// Anything that a session's processes may say to the governor. Fields are camelCase; unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// A harness asks whether a call may run.
    #[serde(rename_all = "camelCase")]
    ToolCallRequest {
        /// The call's id, unique in the session.
        id: MessageId,
        /// The session that the asking process was started for.
        session_id: SessionId,
        /// The tool's name.
        tool: String,
        /// The arguments.
        args: Map<String, Value>,
        /// Who calls.
        actor: Actor,
    },
    /// A harness would make a call that cannot be asked about as it is. The answer is a deny.
    #[serde(rename_all = "camelCase")]
    ToolCallUnreadable {
        /// The call's id.
        id: MessageId,
        /// The session.
        session_id: SessionId,
        /// The tool's name, cut to [`super::limits::TOOL_NAME_BYTES`].
        tool: String,
        /// Digest of the arguments: of their canonical form where they can be read, else as they
        /// came.
        args_sha256: Sha256,
        /// Bytes of the arguments as JSON.
        args_bytes: u64,
        /// Why.
        why: Unreadable,
    },
    /// A post-tool hook tells how a call that the harness ran has ended.
    #[serde(rename_all = "camelCase")]
    ToolCallReport {
        /// The call's id.
        id: MessageId,
        /// The session.
        session_id: SessionId,
        /// The tool's name.
        tool: String,
        /// Digest of the arguments that the tool ran with, as the harness says afterwards.
        args_sha256: Sha256,
        /// Whether the tool succeeded.
        ok: bool,
        /// What the tool answered, cut to [`super::limits::REPORT_OUTPUT_BYTES`].
        output: String,
        /// Bytes of the whole output.
        output_bytes: u64,
    },
}
