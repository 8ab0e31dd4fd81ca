//! What must hold of what a harness says to its hook and to the server of tools.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::contracts::call::{LEADS_TO, WITHIN_AGENT, WORKDIR};
use crate::contracts::ids::Sha256;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::message::Message;
use crate::contracts::strict_json;
use crate::gateway::client::Governor;
use crate::gateway::frame;

use super::mcp_server::{self, Arguments, McpRequest};
use super::mcp_tool_schemas;
use super::pre_post_tool::{self, BLOCKED, HookConfig, HookEvent};

/// No input makes a hook that reaches no governor say anything but no, and what it asks is what the
/// input says.
pub(crate) fn hook_claude(data: &[u8]) {
    let session = SessionId::new("s1").expect("an id");
    let governor = Governor::at(Path::new("/nonexistent/gate.sock"));
    let link = HookConfig {
        governor: &governor,
        session: &session,
        directory: Some(Path::new("/repo")),
        within: Duration::from_secs(1),
    };
    for event in [HookEvent::Pre, HookEvent::Post] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(
            pre_post_tool::run(event, &link, data, &mut out, &mut err),
            BLOCKED
        );
        assert!(out.is_empty() && err.starts_with(b"agp: "));
    }
    let Ok(question) = pre_post_tool::question(&link, data) else {
        return;
    };
    let line = serde_json::to_vec(&question).expect("a message can be written");
    assert_eq!(
        frame::parse(&line).ok().as_ref(),
        Some(&(question.clone(), None))
    );
    let (id, tool, mut args) = match question {
        Message::ToolCallRequest { id, tool, args, .. } => (id, tool, args),
        Message::ToolCallUnreadable {
            id,
            args_sha256,
            args_bytes,
            ..
        } => {
            // Only what no strict reader takes, and of what stands there.
            assert!(strict_json::from_slice(data).is_err() && !id.as_str().is_empty());
            let size = usize::try_from(args_bytes).expect("a size");
            let is_there = |args: &[u8]| Sha256::of(args) == args_sha256;
            assert!(size <= data.len() && (data.len() > 4096 || data.windows(size).any(is_there)));
            return;
        }
        Message::ToolCallReport { .. } => panic!("a hook asks"),
    };
    let input = strict_json::from_slice(data).expect("strict JSON");
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    assert_eq!(text("tool_use_id").and_then(MessageId::known_as), Some(id));
    assert_eq!(text("tool_name"), Some(tool.as_str()));
    let (there, agent) = (args.remove(WORKDIR), args.remove(WITHIN_AGENT));
    args.remove(LEADS_TO);
    let elsewhere = text("cwd").filter(|cwd| Path::new(cwd) != Path::new("/repo"));
    let placed = ["file_path", "notebook_path"].iter().any(|name| {
        args.get(*name)
            .and_then(Value::as_str)
            .is_some_and(|path| path.starts_with('/'))
    });
    assert_eq!(there, elsewhere.filter(|_| !placed).map(Value::from));
    assert!(agent.is_none() || agent.as_ref().and_then(Value::as_str) == text("agent_id"));
    assert_eq!(input.get("tool_input"), Some(&Value::Object(args)));
}

/// Every request is answered under its own id, and only a call of a tool that is offered is made.
pub(crate) fn mcp_message(data: &[u8]) {
    let Some(request) = mcp_server::read(data) else {
        let id = mcp_server::id_in(data);
        assert!(
            serde_json::from_slice::<Value>(data).is_err()
                || id.is_null()
                || data.trim_ascii_start().starts_with(b"{")
        );
        // An error, or a call that nobody can decide about.
        match McpRequest::unreadable(data, 1) {
            McpRequest::Nothing => panic!("it is answered"),
            McpRequest::Answer(answer) => assert!(answer.get("error").is_some()),
            McpRequest::Call(call) => {
                assert!(mcp_tool_schemas::is_offered(&call.tool) && call.request == id);
                assert!(matches!(call.args, Arguments::Unread(_)));
            }
        }
        return;
    };
    let id = request.get("id").cloned();
    match McpRequest::of(request.clone(), 1) {
        McpRequest::Nothing => {
            let answers = request.contains_key("result") || request.contains_key("error");
            assert!(id.is_none() || answers);
        }
        McpRequest::Answer(answer) => {
            assert_eq!(answer.get("id"), id.as_ref());
            assert_eq!(answer.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
            assert!(answer.get("result").is_some() != answer.get("error").is_some());
            // On one line, whatever it quotes.
            assert!(!answer.to_string().contains('\n'));
        }
        McpRequest::Call(call) => {
            assert_eq!(Some(&call.request), id.as_ref());
            assert!(mcp_tool_schemas::is_offered(&call.tool));
            let args = request
                .get("params")
                .and_then(|params| params.get("arguments"));
            let args = args.and_then(Value::as_object).cloned().unwrap_or_default();
            assert!(matches!(call.args, Arguments::Read(read) if read == args));
            assert!(!call.id.as_str().is_empty());
        }
    }
}
