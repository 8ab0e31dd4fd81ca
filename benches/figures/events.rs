//! The event that is written and read in every figure: a decision about an ordinary shell command.

use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::event::{Draft, Kind};
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use serde_json::{Map, Value, json};

use crate::Fallible;

const SESSION: &str = "01981f7c-5d6e-7a3b-9c2d-4e5f60718293";

/// The arguments of the call.
pub(crate) fn args() -> Map<String, Value> {
    let command = "cargo test --workspace --locked 2>&1 | tail -n 40";
    Map::from_iter([
        ("command".to_owned(), json!(command)),
        ("description".to_owned(), json!("Run the tests")),
    ])
}

/// The call, by number.
pub(crate) fn call(number: u64) -> Fallible<ToolCall> {
    Ok(ToolCall {
        id: MessageId::new(format!("toolu_{number:024}"))?,
        session: SessionId::new(SESSION)?,
        tool: "Bash".to_owned(),
        args: args(),
        actor: Actor::ClaudeProcess,
    })
}

/// The payload of the decision to allow it, as the governor writes it.
pub(crate) fn payload(number: u64, args_sha256: Sha256) -> Map<String, Value> {
    let value = json!({
        "messageId": format!("toolu_{number:024}"),
        "sessionId": SESSION,
        "tool": "Bash",
        "argsSha256": args_sha256.to_hex(),
        "args": args(),
        "ruleId": "shell",
        "reason": "rule 'shell' allows Bash",
        "tier": null,
    });
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The draft of that decision.
pub(crate) fn draft(number: u64) -> Draft {
    let payload = payload(number, agp::journal::args_sha256(&args()));
    Draft {
        actor: Actor::ClaudeProcess,
        ..Draft::new(Kind::ToolCallAllow, payload)
    }
}
