//! Gateway messages: one JSON object a line, told apart by `kind`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::Actor;
use super::ids::{MessageId, SessionId, Sha256};
use super::verdict::Verdict;

/// Anything that crosses the gateway socket. Fields are camelCase; unknown ones are refused.
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
    /// The governor's answer: `allow` or `deny`, never `require`.
    #[serde(rename_all = "camelCase")]
    PolicyVerdict {
        /// The request's id.
        id: MessageId,
        /// The request's session.
        session_id: SessionId,
        /// The effective verdict, already durable.
        verdict: Verdict,
    },
    /// The result of a call that agp executed.
    #[serde(rename_all = "camelCase")]
    ToolCallResult {
        /// The request's id.
        id: MessageId,
        /// The request's session.
        session_id: SessionId,
        /// Whether the tool succeeded.
        ok: bool,
        /// What it printed, for the harness.
        output: String,
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
    /// The report was journaled.
    #[serde(rename_all = "camelCase")]
    ReportRecorded {
        /// The report's id.
        id: MessageId,
        /// The session.
        session_id: SessionId,
    },
    /// The peer broke the protocol, or the governor cannot answer. Always a deny; the link drops.
    #[serde(rename_all = "camelCase")]
    Error {
        /// The offending message's id where one could be read.
        id: Option<MessageId>,
        /// The offending message's session where one could be read.
        session_id: Option<SessionId>,
        /// What was wrong.
        message: String,
    },
}
