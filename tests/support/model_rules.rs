//! What the Messages API accepts: headers, fields, and the order of calls and results in a conversation.
//!
//! Each rule answers with the path of the field at fault, as the service does.
#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::http::Request;
use super::{Fault, ToolResult};

/// The only version of the API there has ever been.
const VERSION: &str = "2023-06-01";
/// Claude Code takes a call of the first name for one of the second and keeps it under that.
const RENAMED: (&str, &str) = ("Task", "Agent");
/// Characters of a tool's name.
const TOOL_NAME: usize = 128;

/// Refuses a request without credentials, version or a JSON body.
pub(super) fn headers(request: &Request) -> Result<(), Fault> {
    let key = request.header("x-api-key").is_some_and(|v| !v.is_empty());
    let bearer = request
        .header("authorization")
        .is_some_and(|v| v.len() > "Bearer ".len() && v.starts_with("Bearer "));
    if !key && !bearer {
        return Err(Fault {
            status: 401,
            kind: "authentication_error",
            message: "x-api-key header is required".to_owned(),
        });
    }
    match request.header("anthropic-version") {
        Some(VERSION) => {}
        Some(_) => return Err(Fault::invalid("anthropic-version: not a valid version")),
        None => return Err(Fault::invalid("anthropic-version: header is required")),
    }
    let media = request.header("content-type").unwrap_or_default();
    if !media.starts_with("application/json") {
        return Err(Fault::invalid("content-type: must be application/json"));
    }
    Ok(())
}

/// Refuses a body the service would refuse. `whole` is false for a count of tokens, which needs no
/// `max_tokens`; `issued` holds every id the double gave out, with its tool.
pub(super) fn body(
    body: &Value,
    whole: bool,
    issued: &BTreeMap<String, String>,
) -> Result<(), String> {
    if !body.is_object() {
        return Err("the request body is not an object".to_owned());
    }
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("model: field required".to_owned());
    }
    if whole && body["max_tokens"].as_u64().is_none_or(|n| n == 0) {
        return Err("max_tokens: a positive integer is required".to_owned());
    }
    if !matches!(body["stream"], Value::Null | Value::Bool(_)) {
        return Err("stream: not a boolean".to_owned());
    }
    tools(&body["tools"])?;
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or("messages: at least one message is required")?;
    conversation(messages, issued)
}

fn tools(tools: &Value) -> Result<(), String> {
    let tools = match tools {
        Value::Null => return Ok(()),
        Value::Array(tools) => tools,
        _ => return Err("tools: not a list".to_owned()),
    };
    let mut names = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let name = tool["name"].as_str().unwrap_or_default();
        if !plain(name) || name.len() > TOOL_NAME {
            return Err(format!("tools.{index}.name: not a tool's name"));
        }
        if !names.insert(name) {
            return Err(format!("tools.{index}.name: tool names must be unique"));
        }
        if own(tool) && tool["input_schema"]["type"] != "object" {
            return Err(format!("tools.{index}.input_schema.type: must be object"));
        }
    }
    Ok(())
}

/// The tools which the harness itself carries out, as opposed to those the service runs.
pub(super) fn own_tools(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().map(Vec::as_slice);
    let tools = tools.unwrap_or_default().iter().filter(|tool| own(tool));
    tools
        .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
        .collect()
}

fn own(tool: &Value) -> bool {
    matches!(tool["type"].as_str(), None | Some("custom"))
}

/// Names and ids alike: letters, digits, `_` and `-`.
fn plain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !text.is_empty() && text.bytes().all(fits)
}

fn conversation(messages: &[Value], issued: &BTreeMap<String, String>) -> Result<(), String> {
    let mut called = BTreeSet::new();
    let mut waiting = BTreeSet::new();
    // The role of the turn before; the first turn is the user's, as if the model had just spoken.
    let mut before = "assistant";
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = message["role"].as_str().unwrap_or_default();
        let blocks = blocks(message, &at)?;
        match (before, role) {
            ("assistant", "user") => answered(blocks, std::mem::take(&mut waiting), &at)?,
            ("user" | "system", "assistant") => {
                waiting = calls(blocks, &mut called, issued, &at)?;
            }
            // Instructions within a conversation stand after a user's turn and report nothing.
            ("user", "system") if blocks.iter().all(|block| block["type"] == "text") => {}
            _ => return Err(format!("{at}.role: {role:?} may not follow {before:?}")),
        }
        before = role;
    }
    if before == "assistant" {
        return Err("messages: the last message may not be the model's".to_owned());
    }
    Ok(())
}

/// The content blocks of a message; a plain string has none to check beyond being there.
fn blocks<'a>(message: &'a Value, at: &str) -> Result<&'a [Value], String> {
    let blocks = match &message["content"] {
        Value::String(text) if !text.is_empty() => return Ok(&[]),
        Value::Array(blocks) if !blocks.is_empty() => blocks,
        _ => return Err(format!("{at}.content: must not be empty")),
    };
    for (index, block) in blocks.iter().enumerate() {
        match block["type"].as_str() {
            None => return Err(format!("{at}.content.{index}.type: field required")),
            Some("text") if block["text"].as_str().is_none_or(str::is_empty) => {
                return Err(format!("{at}.content.{index}.text: must not be empty"));
            }
            Some(_) => {}
        }
    }
    Ok(blocks)
}

/// Checks the calls of an assistant message and gives their ids.
fn calls<'a>(
    blocks: &'a [Value],
    called: &mut BTreeSet<&'a str>,
    issued: &BTreeMap<String, String>,
    at: &str,
) -> Result<BTreeSet<&'a str>, String> {
    let mut waiting = BTreeSet::new();
    for (index, block) in blocks.iter().enumerate() {
        let at = format!("{at}.content.{index}");
        if block["type"] == "tool_result" {
            return Err(format!("{at}: tool_result in an assistant message"));
        }
        if block["type"] != "tool_use" {
            continue;
        }
        let id = block["id"].as_str().unwrap_or_default();
        // One that was given out: a gateway of models gives out others than the service itself does.
        if !plain(id) && !issued.contains_key(id) {
            return Err(format!("{at}.id: must match ^[a-zA-Z0-9_-]+$"));
        }
        if !block["input"].is_object() {
            return Err(format!("{at}.input: must be an object"));
        }
        match issued.get(id) {
            None => return Err(format!("{at}.id: the model never made the call {id}")),
            Some(name) if block["name"] != name.as_str() && !renamed(name, &block["name"]) => {
                return Err(format!("{at}.name: the call {id} was of {name}"));
            }
            Some(_) => {}
        }
        if !called.insert(id) {
            return Err(format!("{at}.id: tool_use ids must be unique: {id}"));
        }
        waiting.insert(id);
    }
    Ok(waiting)
}

fn renamed(from: &str, to: &Value) -> bool {
    from == RENAMED.0 && to == RENAMED.1
}

/// Checks that a user message answers exactly the calls of the message before it, results first.
fn answered(blocks: &[Value], mut waiting: BTreeSet<&str>, at: &str) -> Result<(), String> {
    let mut other = false;
    for (index, block) in blocks.iter().enumerate() {
        let at = format!("{at}.content.{index}");
        match block["type"].as_str() {
            Some("tool_use") => return Err(format!("{at}: tool_use in a user message")),
            Some("tool_result") => {}
            _ => {
                other = true;
                continue;
            }
        }
        if other {
            return Err(format!("{at}: tool_result after other content"));
        }
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        if !waiting.remove(id) {
            return Err(format!(
                "{at}: tool_result for an unknown tool_use id: {id:?}"
            ));
        }
        if !matches!(block["is_error"], Value::Null | Value::Bool(_)) {
            return Err(format!("{at}.is_error: not a boolean"));
        }
        if !matches!(
            block["content"],
            Value::Null | Value::String(_) | Value::Array(_)
        ) {
            return Err(format!("{at}.content: neither text nor blocks"));
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let missing = waiting.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!(
        "{at}: tool_use ids without a tool_result: {missing}"
    ))
}

/// Every tool result in an accepted body, in order.
pub(super) fn results(body: &Value) -> Vec<ToolResult> {
    let messages = body["messages"].as_array().map(Vec::as_slice);
    let contents = messages.unwrap_or_default().iter();
    let blocks = contents
        .filter_map(|message| message["content"].as_array())
        .flatten();
    blocks
        .filter(|block| block["type"] == "tool_result")
        .map(|block| ToolResult {
            tool_use_id: block["tool_use_id"].as_str().unwrap_or_default().to_owned(),
            text: text(&block["content"]),
            is_error: block["is_error"] == true,
        })
        .collect()
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
