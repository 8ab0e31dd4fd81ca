//! The MCP server of mediated mode: a pipe from the harness's standard input to the gateway. It
//! offers agp's tools, sends each call to the governor, and hands the result back; it runs nothing
//! itself (Model Context Protocol 2025-06-18, stdio transport: JSON-RPC 2.0, one object a line).

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::contracts::call::Actor;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::contracts::message::Message;
use crate::contracts::{strict_json, surrogates};
use crate::gateway::client::{self, CallReply, Governor};

use super::{mcp_tool_schemas, unreadable_call};

/// Protocol version answered to a client that names none.
const PROTOCOL: &str = "2025-06-18";

/// Between two looks whether a call has ended, when as many are under way as may be.
const FULL: Duration = Duration::from_millis(5);

// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const NO_RESOURCE: i64 = -32002;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// Which governor to speak to, and how.
#[derive(Debug, Clone)]
pub struct McpConfig {
    /// Where the governor is, and how it is told from others.
    pub governor: Governor,
    /// The session the harness was started for.
    pub session: SessionId,
    /// How long to wait for a call's result.
    pub within: Duration,
}

/// Serves until the input ends; the calls under way are then answered to nobody.
///
/// # Errors
/// What reading the input gives.
pub fn serve(
    link: &McpConfig,
    input: impl Read,
    output: impl Write + Send + 'static,
) -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(Box::new(output)));
    let in_flight = Arc::new(AtomicUsize::new(0));
    let mut input = BufReader::new(input);
    let mut count = 0_u64;
    loop {
        let mut line = Vec::new();
        let bound = limits::HOOK_INPUT_BYTES as u64 + 1;
        let got = (&mut input).take(bound).read_until(b'\n', &mut line)?;
        if got == 0 {
            return Ok(());
        }
        if line.len() > limits::HOOK_INPUT_BYTES {
            // Where the line ends is not known any more.
            let problem = "a message is longer than 64 MiB";
            say(&output, &error(&Value::Null, PARSE_ERROR, problem));
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        count += 1;
        let request = match read(&line) {
            Some(request) => McpRequest::of(request, count),
            None => McpRequest::unreadable(&line, count),
        };
        match request {
            McpRequest::Nothing => {}
            McpRequest::Answer(answer) => say(&output, &answer),
            McpRequest::Call(call) => {
                // The harness is not heard further before a call has ended.
                while in_flight.load(Ordering::SeqCst) >= limits::CALLS_IN_FLIGHT {
                    thread::sleep(FULL);
                }
                in_flight.fetch_add(1, Ordering::SeqCst);
                let (out, ended) = (Arc::clone(&output), Arc::clone(&in_flight));
                let (link, request) = (link.clone(), call.request.clone());
                let worker = thread::Builder::new().name("call".into()).spawn(move || {
                    let answer = call.make(&link);
                    ended.fetch_sub(1, Ordering::SeqCst);
                    say(&out, &answer);
                });
                if let Err(why) = worker {
                    // The call did not happen.
                    in_flight.fetch_sub(1, Ordering::SeqCst);
                    let problem = format!("agp: cannot start a thread for the call: {why}");
                    say(&output, &error(&request, INTERNAL_ERROR, &problem));
                }
            }
        }
    }
}

/// Reads a request. Half a surrogate pair, which no strict reader takes, is read as U+FFFD: as
/// that a harness's own tools would write it, and what is decided is what agp then runs.
pub(crate) fn read(line: &[u8]) -> Option<Map<String, Value>> {
    let value = strict_json::from_slice(line)
        .or_else(|_| strict_json::from_slice(&surrogates::mended(line)));
    match value {
        Ok(Value::Object(request)) => Some(request),
        _ => None,
    }
}

/// The id of a request that cannot be taken, if it can be found: a harness waits for an answer
/// that it cannot place until its patience ends.
pub(crate) fn id_in(line: &[u8]) -> Value {
    #[derive(Deserialize)]
    struct OnlyId {
        id: Value,
    }
    // A list would be read as the struct's fields.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Value::Null;
    }
    serde_json::from_slice(line).map_or(Value::Null, |OnlyId { id }| id)
}

type Output = Arc<Mutex<Box<dyn Write + Send>>>;

fn say(output: &Output, answer: &Value) {
    let mut output = locked(output);
    // A harness that is gone takes no answer.
    let _ = writeln!(output, "{answer}").and_then(|()| output.flush());
}

/// What a message asks for.
pub(crate) enum McpRequest {
    /// A notification, or an answer to nothing we asked.
    Nothing,
    Answer(Value),
    Call(Call),
}

impl McpRequest {
    /// What a line asks for that no strict reader takes: a call that is on record all the same, if it
    /// is one.
    pub(crate) fn unreadable(line: &[u8], count: u64) -> Self {
        let id = id_in(line);
        match Call::unreadable(&id, line, count) {
            Some(call) => Self::Call(call),
            None => Self::Answer(error(&id, PARSE_ERROR, "not a strict JSON object")),
        }
    }

    pub(crate) fn of(mut request: Map<String, Value>, count: u64) -> Self {
        let Some(id) = request.remove("id") else {
            return Self::Nothing;
        };
        let Some(Value::String(method)) = request.remove("method") else {
            return match request.contains_key("result") || request.contains_key("error") {
                true => Self::Nothing,
                false => Self::Answer(error(&id, INVALID_REQUEST, "no method")),
            };
        };
        let params = match request.remove("params") {
            Some(Value::Object(params)) => params,
            _ => Map::new(),
        };
        match method.as_str() {
            "initialize" => {
                let version = params.get("protocolVersion").and_then(Value::as_str);
                Self::Answer(result(
                    &id,
                    &json!({
                        "protocolVersion": version.unwrap_or(PROTOCOL),
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "agp", "version": env!("CARGO_PKG_VERSION")},
                    }),
                ))
            }
            "ping" => Self::Answer(result(&id, &json!({}))),
            // Codex offers its model to look for these, whatever a server says it has.
            "resources/list" => Self::Answer(result(&id, &json!({"resources": []}))),
            "resources/templates/list" => {
                Self::Answer(result(&id, &json!({"resourceTemplates": []})))
            }
            "resources/read" => Self::Answer(error(&id, NO_RESOURCE, "agp has no resources")),
            "tools/list" => Self::Answer(result(&id, &json!({"tools": mcp_tool_schemas::tools()}))),
            "tools/call" => match Call::of(id.clone(), params, count) {
                Ok(call) => Self::Call(call),
                Err(problem) => Self::Answer(error(&id, INVALID_PARAMS, &problem.to_string())),
            },
            _ => Self::Answer(error(&id, METHOD_NOT_FOUND, "no such method")),
        }
    }
}

/// One call of a tool.
pub(crate) struct Call {
    /// The request's, for its answer.
    pub(crate) request: Value,
    pub(crate) id: MessageId,
    pub(crate) tool: String,
    pub(crate) args: Arguments,
}

/// What a call is made with.
pub(crate) enum Arguments {
    Read(Map<String, Value>),
    /// As they came.
    Unread(Vec<u8>),
}

/// Why a request is no call of a tool; its model is told.
enum InvalidCall {
    /// It names no tool.
    Unnamed,
    /// There is no such tool.
    NoTool(String),
    /// Its arguments are no object.
    Arguments,
    /// It has no ID.
    NoId,
}

impl fmt::Display for InvalidCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("the call names no tool"),
            Self::NoTool(tool) => write!(f, "No such tool available: {tool}"),
            Self::Arguments => f.write_str("the call's arguments are not an object"),
            Self::NoId => f.write_str("the call has no ID"),
        }
    }
}

impl Call {
    fn of(request: Value, mut params: Map<String, Value>, count: u64) -> Result<Self, InvalidCall> {
        let Some(Value::String(tool)) = params.remove("name") else {
            return Err(InvalidCall::Unnamed);
        };
        if !mcp_tool_schemas::is_offered(&tool) {
            return Err(InvalidCall::NoTool(tool));
        }
        let args = match params.remove("arguments") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(args)) => args,
            Some(_) => return Err(InvalidCall::Arguments),
        };
        Ok(Self {
            request,
            id: id_of(params.get("_meta"), count).ok_or(InvalidCall::NoId)?,
            tool,
            args: Arguments::Read(args),
        })
    }

    fn unreadable(request: &Value, line: &[u8], count: u64) -> Option<Self> {
        let message = unreadable_call::members(line)?;
        if request.is_null()
            || unreadable_call::text(unreadable_call::member(&message, "method")?)? != "tools/call"
        {
            return None;
        }
        let params = unreadable_call::members(unreadable_call::member(&message, "params")?)?;
        let tool = unreadable_call::text(unreadable_call::member(&params, "name")?)?;
        let meta = unreadable_call::member(&params, "_meta").map(surrogates::mended);
        let meta = meta.and_then(|meta| strict_json::from_slice(&meta).ok());
        let args = unreadable_call::member(&params, "arguments")?;
        mcp_tool_schemas::is_offered(&tool).then_some(())?;
        Some(Self {
            request: request.clone(),
            id: id_of(meta.as_ref(), count)?,
            tool,
            args: Arguments::Unread(args.to_vec()),
        })
    }

    fn make(self, link: &McpConfig) -> Value {
        let (id, session_id, tool) = (self.id, link.session.clone(), self.tool);
        let question = match self.args {
            Arguments::Unread(args) => unreadable_call::message(id, &session_id, tool, &args),
            Arguments::Read(args) => Message::ToolCallRequest {
                id,
                session_id,
                tool,
                args,
                actor: Actor::ClaudeProcess,
            },
        };
        let answer = |ok: bool, text: &str| told(&self.request, ok, text);
        match client::call(&link.governor, &question, link.within) {
            Ok(CallReply::Done { ok, output }) => answer(ok, &output),
            Ok(CallReply::Denied(reason)) => answer(false, &format!("Denied by agp: {reason}")),
            Err(error) => answer(false, &format!("agp: {error}")),
        }
    }
}

/// The id under which the harness's own account shows the call.
fn id_of(meta: Option<&Value>, count: u64) -> Option<MessageId> {
    let named = ["claudecode/toolUseId", "callId"].iter().find_map(|name| {
        let named = meta.and_then(|meta| meta.get(*name));
        named.and_then(Value::as_str)
    });
    match named {
        Some(named) => MessageId::known_as(named),
        None => MessageId::known_as(&format!("mcp-{count}")),
    }
}

/// What a tool's answer is to its model.
fn told(request: &Value, ok: bool, text: &str) -> Value {
    result(
        request,
        &json!({"content": [{"type": "text", "text": text}], "isError": !ok}),
    )
}

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
