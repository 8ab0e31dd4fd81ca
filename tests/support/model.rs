//! A model server double: plays a script of tool calls over the Anthropic Messages API on loopback.
//!
//! It is stricter than the service it stands for. What the service would refuse is refused here with the
//! same shape of error and kept in [`ModelDouble::violations`], so that a test fails on a harness (or on a
//! governor in front of it) which sends a conversation no real model would have accepted.
//!
//! A request that offers tools of its own belongs to the conversation and takes the next turn of the
//! script, whether it comes from the session or from one of its sub-agents. Anything else (titles,
//! summaries, reachability checks) gets a plain answer and leaves the script alone.
#![allow(
    dead_code,
    reason = "each test crate uses the part of the double it needs"
)]

#[path = "model_http.rs"]
mod http;
#[path = "model_reply.rs"]
mod reply;
#[path = "model_rules.rs"]
mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// Connections served at once; a harness opens a handful, one per request under way.
const CONNECTIONS: usize = 32;
/// Conversation requests answered in a double's life, so that a harness in a loop comes to an end.
const REQUESTS: usize = 2_000;
/// Violations kept; the first ones are those that explain the rest.
const VIOLATIONS: usize = 100;

/// One tool call the model asks for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The `tool_use` id to give it, or `None` for a fresh one of the usual form.
    pub(crate) id: Option<String>,
    /// The tool's name as the harness offers it.
    pub(crate) name: String,
    /// The tool's input, sent as it stands; a string is streamed as the JSON text it holds.
    pub(crate) input: Value,
}

impl Call {
    /// A call of `name` with `input` under a fresh id.
    pub(crate) fn new(name: &str, input: Value) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            input,
        }
    }
}

/// What the model answers to one request of the conversation.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// One assistant message with these calls, which the harness may run in parallel.
    Calls(Vec<Call>),
    /// A text that ends the turn.
    Text(String),
    /// These blocks as they stand, and why the message ends.
    Blocks(Vec<Value>, &'static str),
    /// What this makes of the request.
    Then(fn(&Value) -> Turn),
}

/// What the harness reported for one call, as the model would have read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolResult {
    /// The call's id.
    pub(crate) tool_use_id: String,
    /// The text blocks of the result, joined by newlines.
    pub(crate) text: String,
    /// Whether the harness marked it as an error.
    pub(crate) is_error: bool,
}

/// A running double. Dropping it closes every connection and joins every thread.
pub(crate) struct ModelDouble {
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
    script: VecDeque<Turn>,
    requests: usize,
    answered: usize,
    /// Every id handed out, with the tool it was handed out for.
    issued: BTreeMap<String, String>,
    results: Vec<ToolResult>,
    tools: Vec<String>,
    /// The last request of the conversation, as it came.
    read: String,
    /// Every request's body, refused ones too.
    bodies: Vec<String>,
    violations: Vec<String>,
    open: BTreeMap<u64, TcpStream>,
}

impl ModelDouble {
    /// Listens on a free loopback port and plays `script`; after it, every answer is the text "done".
    ///
    /// # Panics
    /// When no loopback port or thread can be had: the test cannot go on.
    pub(crate) fn start(script: Vec<Turn>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap_or_else(|e| panic!("model double: no loopback port: {e}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|e| panic!("model double: no local address: {e}"));
        let shared = Arc::new(Shared::default());
        shared.lock().script = script.into();
        let theirs = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("model-accept".to_owned())
            .spawn(move || accept(&listener, &theirs))
            .unwrap_or_else(|e| panic!("model double: no thread: {e}"));
        Self {
            shared,
            address,
            acceptor: Some(acceptor),
        }
    }

    /// What `ANTHROPIC_BASE_URL` is to be set to.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every tool result that came back in an accepted request, once, in order of arrival.
    pub(crate) fn results(&self) -> Vec<ToolResult> {
        self.shared.lock().results.clone()
    }

    /// The result of one call, if it has come back.
    pub(crate) fn result_of(&self, tool_use_id: &str) -> Option<ToolResult> {
        self.results()
            .into_iter()
            .find(|result| result.tool_use_id == tool_use_id)
    }

    /// What was refused and why, in order of arrival; empty for a well-behaved harness.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    /// Accepted requests of the conversation, those after the end of the script included.
    pub(crate) fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// Turns of the script not yet asked for.
    pub(crate) fn turns_left(&self) -> usize {
        self.shared.lock().script.len()
    }

    /// Whether the last request of the conversation holds `text` anywhere.
    pub(crate) fn was_told(&self, text: &str) -> bool {
        self.shared.lock().read.contains(text)
    }

    /// Every request's body as it came, in order of arrival, refused ones too.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.shared.lock().bodies.clone()
    }

    /// The names of all tools any conversation request offered, in order of first appearance.
    pub(crate) fn tools_offered(&self) -> Vec<String> {
        self.shared.lock().tools.clone()
    }
}

impl Drop for ModelDouble {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The acceptor waits in accept(2); one connection wakes it and it sees the flag.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.lock().open.values() {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// Serves each connection in a thread of its own until the double is dropped, then joins them.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for number in 0_u64.. {
        let accepted = listener.accept();
        if shared.stopping() {
            break;
        }
        serving.retain(|thread| !thread.is_finished());
        let Ok((stream, _)) = accepted else { continue };
        if serving.len() >= CONNECTIONS {
            shared.lock().violate("too many connections at once");
            continue;
        }
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        shared.lock().open.insert(number, handle);
        let theirs = Arc::clone(shared);
        let spawned = thread::Builder::new()
            .name("model-serve".to_owned())
            .spawn(move || {
                serve(&stream, &theirs);
                theirs.lock().open.remove(&number);
            });
        match spawned {
            Ok(thread) => serving.push(thread),
            Err(_) => drop(shared.lock().open.remove(&number)),
        }
    }
    for stream in shared.lock().open.values() {
        drop(stream.shutdown(Shutdown::Both));
    }
    for thread in serving {
        drop(thread.join());
    }
}

/// Reads one request, answers it and closes; the harness opens another connection for the next.
fn serve(stream: &TcpStream, shared: &Shared) {
    let response = match http::read(stream) {
        Ok(Some(request)) => shared.lock().answer(&request),
        // A connection opened ahead of need and never used breaks no rule.
        Ok(None) => return,
        Err(_) if shared.stopping() => return,
        Err(fault) => shared.lock().refuse(fault),
    };
    http::write(stream, &response);
}

/// Why a request is refused: the status and kind of error the service would use, and its words.
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
    fn answer(&mut self, request: &http::Request) -> http::Response {
        if self.bodies.len() < REQUESTS {
            let body = String::from_utf8_lossy(&request.body);
            self.bodies.push(body.into_owned());
        }
        self.route(request)
            .unwrap_or_else(|fault| self.refuse(fault))
    }

    fn route(&mut self, request: &http::Request) -> Result<http::Response, Fault> {
        let messages = match (request.method.as_str(), request.path()) {
            ("GET" | "HEAD", _) => return Ok(http::Response::json(200, &json!({}))),
            ("POST", "/v1/messages") => true,
            ("POST", "/v1/messages/count_tokens") => false,
            (method, path) => {
                return Err(Fault {
                    status: 404,
                    kind: "not_found_error",
                    message: format!("{method} {path}: no such endpoint"),
                });
            }
        };
        rules::headers(request)?;
        // The service reads what is nested deeper than this reader does.
        let read = agp::contracts::strict_json::pruned(&request.body, 100);
        let body: Value = serde_json::from_slice(&read)
            .map_err(|e| Fault::invalid(format!("the request body is not valid JSON: {e}")))?;
        rules::body(&body, messages, &self.issued).map_err(Fault::invalid)?;
        if !messages {
            return Ok(http::Response::json(200, &json!({"input_tokens": 1})));
        }
        self.turn(&body)
    }

    /// Takes what an accepted request reports and gives the next turn of the script.
    fn turn(&mut self, body: &Value) -> Result<http::Response, Fault> {
        self.answered += 1;
        let offered = rules::own_tools(body);
        let turn = if offered.is_empty() {
            Turn::Text("ok".to_owned())
        } else if self.requests >= REQUESTS {
            return Err(Fault::invalid(format!("more than {REQUESTS} requests")));
        } else {
            self.requests += 1;
            self.read = body.to_string();
            for tool in offered {
                if !self.tools.contains(&tool) {
                    self.tools.push(tool);
                }
            }
            for result in rules::results(body) {
                let known = |seen: &ToolResult| seen.tool_use_id == result.tool_use_id;
                if !self.results.iter().any(known) {
                    self.results.push(result);
                }
            }
            self.script
                .pop_front()
                .unwrap_or_else(|| Turn::Text("done".to_owned()))
        };
        let turn = match turn {
            Turn::Then(make) => make(body),
            turn => turn,
        };
        let message = reply::message(body, turn, self.answered);
        for block in message.blocks() {
            if let (Some(id), Some(name)) = (block["id"].as_str(), block["name"].as_str()) {
                self.issued.insert(id.to_owned(), name.to_owned());
            }
        }
        Ok(if body["stream"] == true {
            message.stream()
        } else {
            message.whole()
        })
    }

    fn refuse(&mut self, fault: Fault) -> http::Response {
        let error = json!({
            "type": "error",
            "error": {"type": fault.kind, "message": &fault.message},
            "request_id": format!("req_{:024}", self.answered),
        });
        self.violate(fault.message);
        http::Response::json(fault.status, &error)
    }

    fn violate(&mut self, what: impl Into<String>) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(what.into());
        }
    }
}
