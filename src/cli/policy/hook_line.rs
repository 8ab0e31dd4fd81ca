//! A hook's JSON as a harness writes it, and an answer in the harness's own form.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::contracts::strict_json::{self, StrictError};
use crate::contracts::verdict::{Decision, Verdict};
use crate::report::failure::Failure;
use crate::session::kinds::Harness;

/// What a hook's JSON says of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HookLine {
    pub(super) tool: String,
    pub(super) args: Map<String, Value>,
    /// Where the call would run, absolute.
    pub(super) directory: Option<String>,
    pub(super) session: Option<String>,
}

/// Why a text is no call of a hook's.
#[derive(Debug)]
pub(super) enum NoCall {
    /// It is no strict JSON.
    Json(StrictError),
    /// A field is not what it must be.
    Field(&'static str, &'static str),
}

impl fmt::Display for NoCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Field(name, wanted) => write!(f, "{name} is not {wanted}"),
        }
    }
}

/// Reads the JSON of a hook before a tool.
///
/// # Errors
/// What is wrong with it, on one line.
pub(super) fn read(bytes: &[u8]) -> Result<HookLine, NoCall> {
    let value = strict_json::from_slice(bytes).map_err(NoCall::Json)?;
    let Value::Object(mut fields) = value else {
        return Err(NoCall::Field("this", "a JSON object"));
    };
    let mut text = |name: &'static str| match fields.remove(name) {
        Some(Value::String(text)) => Ok(Some(text)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(NoCall::Field(name, "a string")),
    };
    let tool = text("tool_name")?;
    let (directory, session) = (text("cwd")?, text("session_id")?);
    let tool = tool
        .filter(|tool| !tool.is_empty())
        .ok_or(NoCall::Field("tool_name", "there"))?;
    if directory
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        return Err(NoCall::Field("cwd", "an absolute path"));
    }
    match fields.remove("tool_input") {
        Some(Value::Object(args)) => Ok(HookLine {
            tool,
            args,
            directory,
            session,
        }),
        Some(_) => Err(NoCall::Field("tool_input", "an object")),
        None => Err(NoCall::Field("tool_input", "there")),
    }
}

/// A harness by its name.
pub(super) fn harness(name: &str) -> Result<Harness, Failure> {
    match name {
        "claude-code" => Ok(Harness::ClaudeCode),
        "codex" => Ok(Harness::Codex),
        _ => Err(Failure::usage(
            format!("unknown harness {name:?}"),
            "--harness claude-code|codex",
        )),
    }
}

/// A verdict as the harness's hook says it on standard output. Nobody is asked here: a require is a deny that says so.
pub(super) fn answer(harness: Harness, verdict: &Verdict) -> Value {
    let (decision, reason) = match verdict.decision {
        // To Codex an allow is an answer that says nothing.
        Decision::Allow if harness == Harness::Codex => return json!({}),
        Decision::Allow => ("allow", verdict.reason.clone()),
        Decision::Require => (
            "deny",
            format!(
                "this call needs a person's approval, and nobody is asked here: {}",
                verdict.reason
            ),
        ),
        Decision::Deny => ("deny", verdict.reason.clone()),
    };
    json!({"hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }})
}
