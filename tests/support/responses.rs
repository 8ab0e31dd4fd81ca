//! A model server double for Codex: plays a script of tool calls over the Responses API on loopback.
//!
//! It is stricter than the service it stands for: what does not add up is refused and kept in
//! [`ResponsesDouble::violations`].
#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "each test crate uses the part of the double it needs; whatever fails here fails the test"
)]

#[allow(
    clippy::duplicate_mod,
    reason = "a test of both harnesses has both doubles, each with its own faults"
)]
#[path = "model_http.rs"]
mod http;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// Requests answered in a double's life, so that a harness in a loop comes to an end.
const REQUESTS: usize = 500;
/// One tool call the model asks for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    item: Value,
    /// Tokens that the conversation is said to have come to with it.
    tokens: u64,
}

impl Call {
    /// A function call; a string is sent as the JSON text it holds.
    pub(crate) fn function(id: &str, name: &str, arguments: Value) -> Self {
        let arguments = match arguments {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let item = json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
            "arguments": arguments,
        });
        Self::item(id, item)
    }

    /// A call of one of agp's tools.
    pub(crate) fn mediated(id: &str, tool: &str, arguments: &Value) -> Self {
        let mut call = Self::function(id, tool, arguments.clone());
        call.item["namespace"] = json!("mcp__agp");
        call
    }

    /// Has it be one of another server's tools.
    pub(crate) fn of_server(&mut self, name: &str) {
        self.item["namespace"] = json!(format!("mcp__{name}"));
    }

    /// A shell command.
    pub(crate) fn shell(id: &str, command: &str) -> Self {
        Self::function(id, "exec_command", json!({"cmd": command}))
    }

    /// A patch.
    pub(crate) fn patch(id: &str, body: &str) -> Self {
        Self::custom(
            id,
            "apply_patch",
            &format!("*** Begin Patch\n{body}\n*** End Patch\n"),
        )
    }

    /// A call whose input is free text.
    pub(crate) fn custom(id: &str, name: &str, input: &str) -> Self {
        let item = json!({
            "type": "custom_tool_call", "id": format!("ct_{id}"), "call_id": id, "name": name,
            "input": input,
        });
        Self::item(id, item)
    }

    /// An item of any kind.
    pub(crate) fn item(id: &str, item: Value) -> Self {
        Self {
            id: id.to_owned(),
            item,
            tokens: 1,
        }
    }

    /// Has the conversation be said to have come to this many tokens.
    pub(crate) fn after(mut self, tokens: u64) -> Self {
        self.tokens = tokens;
        self
    }
}

/// A running double. Dropping it closes every connection and joins every thread.
pub(crate) struct ResponsesDouble {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Vec<Call>>,
    requests: usize,
    /// How often an id was handed out.
    issued: BTreeMap<String, usize>,
    results: Vec<(String, String)>,
    tools: BTreeSet<String>,
    model: String,
    /// The last request, as it came.
    read: String,
    violations: Vec<String>,
}

impl ResponsesDouble {
    /// Listens on a free loopback port and plays `script`; after it, every answer is "done".
    pub(crate) fn start(script: Vec<Vec<Call>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.lock().script = script.into();
        let theirs = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &theirs));
        Self {
            shared,
            address,
            acceptor: Some(acceptor),
        }
    }

    /// What a provider's `base_url` is to be set to.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The output of a call, as the model would have read it.
    pub(crate) fn result_of(&self, id: &str) -> Option<String> {
        let state = self.shared.lock();
        let found = state.results.iter().find(|(call, _)| call == id);
        found.map(|(_, text)| text.clone())
    }

    /// What was refused and why.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    /// Accepted requests.
    pub(crate) fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// Whether the last request holds `text` anywhere.
    pub(crate) fn was_told(&self, text: &str) -> bool {
        self.shared.lock().read.contains(text)
    }

    /// The names of all tools that were offered.
    pub(crate) fn tools(&self) -> BTreeSet<String> {
        self.shared.lock().tools.clone()
    }

    /// The model that was asked for.
    pub(crate) fn model(&self) -> String {
        self.shared.lock().model.clone()
    }
}

impl Drop for ResponsesDouble {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving: Vec<(TcpStream, JoinHandle<()>)> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let (Ok(handle), theirs) = (stream.try_clone(), Arc::clone(shared)) else {
            continue;
        };
        serving.push((handle, thread::spawn(move || serve(&stream, &theirs))));
    }
    for (stream, thread) in serving {
        drop(stream.shutdown(Shutdown::Both));
        drop(thread.join());
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let response = match http::read(stream) {
        Ok(Some(request)) => {
            let mut state = shared.lock();
            state
                .route(&request)
                .unwrap_or_else(|fault| state.refuse(fault))
        }
        Ok(None) => return,
        Err(_) if shared.stopping.load(Ordering::SeqCst) => return,
        Err(fault) => shared.lock().refuse(fault),
    };
    http::write(stream, &response);
}

/// Why a request is refused.
struct Fault {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Fault {
    fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            message: message.into(),
        }
    }
}

impl State {
    fn refuse(&mut self, fault: Fault) -> http::Response {
        let error = json!({"error": {"type": fault.kind, "message": &fault.message}});
        self.violations.push(fault.message);
        http::Response::json(fault.status, &error)
    }

    fn route(&mut self, request: &http::Request) -> Result<http::Response, Fault> {
        match (request.method.as_str(), request.path()) {
            ("GET", _) => return Ok(http::Response::json(200, &json!({"models": []}))),
            ("POST", "/v1/responses") => {}
            (method, path) => {
                return Err(Fault {
                    status: 404,
                    kind: "not_found_error",
                    message: format!("{method} {path}: no such endpoint"),
                });
            }
        }
        let key = request.header("authorization").unwrap_or_default();
        if key.strip_prefix("Bearer ").is_none_or(str::is_empty) {
            return Err(Fault {
                status: 401,
                kind: "authentication_error",
                message: "no bearer token".into(),
            });
        }
        if request.header("content-type") != Some("application/json") {
            return Err(Fault::invalid("the content-type is not JSON"));
        }
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|error| Fault::invalid(format!("the body is not JSON: {error}")))?;
        if body["stream"] != true || !body["model"].is_string() {
            return Err(Fault::invalid("a model and a stream must be asked for"));
        }
        let input = body["input"].as_array();
        let input = input.ok_or_else(|| Fault::invalid("input is no list"))?;
        self.check(input)?;
        self.requests += 1;
        if self.requests > REQUESTS {
            return Err(Fault::invalid("too many requests"));
        }
        self.model = body["model"].as_str().unwrap().to_owned();
        self.note_tools(&body["tools"]);
        for item in input
            .iter()
            .filter(|item| item["type"] == "additional_tools")
        {
            self.note_tools(&item["tools"]);
        }
        self.read = body.to_string();
        Ok(http::Response::events(self.turn()))
    }

    /// Each output answers one call of this double's, of its kind, and no call is left open.
    fn check(&mut self, input: &[Value]) -> Result<(), Fault> {
        let mut open: Vec<(String, String)> = Vec::new();
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        let mut results = Vec::new();
        for item in input {
            let kind = item["type"].as_str().unwrap_or_default();
            let id = item["call_id"].as_str().unwrap_or_default().to_owned();
            if let Some(of) = kind.strip_suffix("_output") {
                let of = if of == "tool_search" {
                    "tool_search_call"
                } else {
                    of
                };
                let at = open
                    .iter()
                    .position(|(call, of_kind)| *call == id && of_kind == of);
                let at = at.ok_or_else(|| {
                    Fault::invalid(format!(
                        "No tool call found for {kind} with call_id {id:?}."
                    ))
                })?;
                open.remove(at);
                let text = match &item["output"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                results.push((id, text));
            } else if kind.ends_with("_call") && item["call_id"].is_string() {
                *made.entry(id.clone()).or_default() += 1;
                if made[&id] > self.issued.get(&id).copied().unwrap_or(0) {
                    return Err(Fault::invalid(format!("{id:?}: never made this call")));
                }
                open.push((id, kind.to_owned()));
            }
        }
        if let Some((id, _)) = open.first() {
            let message = format!("No tool output found for function call {id}.");
            return Err(Fault::invalid(message));
        }
        self.results = results;
        Ok(())
    }

    fn note_tools(&mut self, tools: &Value) {
        for tool in tools.as_array().into_iter().flatten() {
            if tool["type"] == "namespace" {
                let space = tool["name"].as_str().unwrap();
                for inner in tool["tools"].as_array().unwrap() {
                    let name = inner["name"].as_str().unwrap();
                    // The harness's own tools are a group of this name.
                    let name = match space {
                        "functions" => name.to_owned(),
                        other => format!("{other}__{name}"),
                    };
                    self.tools.insert(name);
                }
            } else {
                let name = tool["name"].as_str().or(tool["type"].as_str());
                self.tools.insert(name.unwrap().to_owned());
            }
        }
    }

    /// The next turn of the script as the service's event stream.
    fn turn(&mut self) -> String {
        let text = json!({
            "type": "message", "role": "assistant", "id": "msg_1",
            "content": [{"type": "output_text", "text": "done", "annotations": []}],
        });
        let mut tokens = 1;
        let items: Vec<Value> = match self.script.pop_front() {
            None => vec![text],
            Some(calls) => calls
                .into_iter()
                .map(|call| {
                    *self.issued.entry(call.id).or_default() += 1;
                    tokens = tokens.max(call.tokens);
                    call.item
                })
                .collect(),
        };
        let id = format!("resp_{:06}", self.requests);
        let mut events = String::new();
        let mut event = |data: Value| {
            let name = data["type"].as_str().unwrap_or_default();
            let _ = write!(events, "event: {name}\ndata: {data}\n\n");
        };
        event(json!({"type": "response.created", "response": {"id": id}}));
        for (index, item) in items.into_iter().enumerate() {
            event(json!({
                "type": "response.output_item.done", "output_index": index, "item": item,
            }));
        }
        let usage = json!({
            "input_tokens": tokens, "input_tokens_details": null, "output_tokens": 1,
            "output_tokens_details": null, "total_tokens": tokens + 1,
        });
        event(json!({"type": "response.completed", "response": {"id": id, "usage": usage}}));
        events
    }
}
