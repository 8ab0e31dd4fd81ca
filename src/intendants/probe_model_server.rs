//! A model on loopback, or on a socket that a container has, that plays one turn of tool calls: what a live probe puts in the place of
//! the model service (Anthropic's Messages API and OpenAI's Responses API, as much of them as the
//! harnesses ask for).

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::confine::{self, Places, Profile};
use crate::contracts::limits;
use crate::contracts::lock::locked;

/// How long one request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// One tool call that the model makes.
#[derive(Debug, Clone)]
pub struct ProbeCall {
    /// The tool-use id.
    pub id: &'static str,
    /// The tool's name.
    pub tool: &'static str,
    /// Its arguments; a text is the input of a tool that takes free text.
    pub input: Value,
}

/// A listening model. Dropping it ends it.
pub struct ProbeModel {
    place: ModelAddress,
    ending: Arc<AtomicBool>,
    offered: Arc<Mutex<BTreeSet<String>>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a model listens.
#[derive(Clone)]
enum ModelAddress {
    Loopback(SocketAddr),
    Socket(PathBuf),
}

impl ModelAddress {
    /// Has a thread that waits for a request look up.
    fn wake(&self) {
        match self {
            Self::Loopback(address) => drop(TcpStream::connect(address)),
            Self::Socket(path) => drop(UnixStream::connect(path)),
        }
    }
}

impl ProbeModel {
    /// Listens on a free port of 127.0.0.1; the first request that offers tools gets all `calls`
    /// in one turn, every other one a closing word.
    ///
    /// # Errors
    /// What the socket or the thread gives.
    pub fn start(calls: Vec<ProbeCall>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let place = ModelAddress::Loopback(listener.local_addr()?);
        Self::serve(place, calls, move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(REQUEST_TIME))?;
            stream.set_write_timeout(Some(REQUEST_TIME))?;
            Ok(stream)
        })
    }

    /// The same on a socket in a directory.
    ///
    /// # Errors
    /// What the socket or the thread gives.
    pub fn start_at(path: &Path, calls: Vec<ProbeCall>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        Self::serve(ModelAddress::Socket(path.to_owned()), calls, move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(REQUEST_TIME))?;
            stream.set_write_timeout(Some(REQUEST_TIME))?;
            Ok(stream)
        })
    }

    fn serve<Stream: Read + Write>(
        place: ModelAddress,
        calls: Vec<ProbeCall>,
        accept: impl Fn() -> io::Result<Stream> + Send + 'static,
    ) -> io::Result<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ending);
        let offered = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&offered);
        let thread = confine::start(Profile::ProbeModel, Places::none(), move || {
            let mut calls = Some(calls);
            loop {
                let stream = accept();
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(mut stream) = stream {
                    // A request that cannot be read is the harness's to repeat.
                    let _ = answer(&mut stream, &mut calls, &seen);
                }
            }
        })?;
        Ok(Self {
            place,
            ending,
            offered,
            thread: Some(thread),
        })
    }

    /// Names of the tools that requests have offered so far; a group of tools counts by its name.
    #[must_use]
    pub fn offered(&self) -> BTreeSet<String> {
        locked(&self.offered).clone()
    }

    /// What the harness's base URL has to be; `port` where a relay leads to its socket.
    #[must_use]
    pub fn base_url(&self, port: u16) -> String {
        match self.place {
            ModelAddress::Loopback(address) => format!("http://{address}"),
            ModelAddress::Socket(_) => format!("http://127.0.0.1:{port}"),
        }
    }
}

impl Drop for ProbeModel {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to end.
        self.place.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    stream: &mut (impl Read + Write),
    calls: &mut Option<Vec<ProbeCall>>,
    offered: &Mutex<BTreeSet<String>>,
) -> io::Result<()> {
    let (path, body) = read_request(&mut *stream)?;
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Codex can name tools in the conversation, too.
    let input = request.get("input").and_then(Value::as_array);
    let added = input.into_iter().flatten();
    let added = added.filter(|item| item.get("type") == Some(&json!("additional_tools")));
    let lists = std::iter::once(&request).chain(added);
    let lists = lists.filter_map(|holder| holder.get("tools").and_then(Value::as_array));
    locked(offered).extend(lists.flatten().flat_map(names));
    let offers = request
        .get("tools")
        .and_then(Value::as_array)
        .is_some_and(|tools| !tools.is_empty());
    let (kind, text) = if path.contains("count_tokens") {
        ("application/json", json!({"input_tokens": 1}).to_string())
    } else if path.starts_with("/v1/responses") {
        // Tools may stand in the conversation here, so every request counts.
        (
            "text/event-stream",
            response(calls.take().unwrap_or_default()),
        )
    } else if !path.starts_with("/v1/messages") {
        ("application/json", "{}".to_owned())
    } else {
        let calls = if offers { calls.take() } else { None };
        let content = content(calls.unwrap_or_default());
        if request.get("stream") == Some(&json!(true)) {
            ("text/event-stream", events(&request, &content))
        } else {
            ("application/json", message(&request, &content).to_string())
        }
    };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

/// Names of a tool, or of those in a group of tools, with the group's before them. Codex's own are
/// a group without a name of note.
pub(super) fn names(tool: &Value) -> Vec<String> {
    let name = tool.get("name").or_else(|| tool.get("type"));
    let name = name
        .and_then(Value::as_str)
        .unwrap_or("a tool without a name");
    if tool.get("type") != Some(&json!("namespace")) {
        return vec![name.to_owned()];
    }
    let inner = tool.get("tools").and_then(Value::as_array);
    let inner = inner.into_iter().flatten().flat_map(names);
    inner
        .map(|inner| match name {
            "functions" => inner,
            group => format!("{group}__{inner}"),
        })
        .collect()
}

/// Reads one request with a body of a stated length.
pub(super) fn read_request(stream: impl Read) -> io::Result<(String, Vec<u8>)> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let mut reader = BufReader::new(stream).take(limits::PROBE_REQUEST_BYTES);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).ok_or_else(malformed)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 {
            return Err(malformed());
        }
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| malformed())?;
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok((path, body))
}

/// One answer of the Responses API, as its event stream.
fn response(calls: Vec<ProbeCall>) -> String {
    let mut items: Vec<Value> = calls
        .into_iter()
        .map(|call| match call.input {
            Value::String(text) => json!({
                "type": "custom_tool_call", "id": format!("ctc_{}", call.id), "call_id": call.id,
                "name": call.tool, "input": text,
            }),
            input => {
                let (namespace, name) = match call.tool.strip_prefix("mcp__agp__") {
                    Some(name) => (Some("mcp__agp"), name),
                    None => (None, call.tool),
                };
                let mut item = json!({
                    "type": "function_call", "id": format!("fc_{}", call.id), "call_id": call.id,
                    "name": name, "arguments": input.to_string(),
                });
                if let (Some(namespace), Some(item)) = (namespace, item.as_object_mut()) {
                    item.insert("namespace".into(), json!(namespace));
                }
                item
            }
        })
        .collect();
    if items.is_empty() {
        let text = json!([{"type": "output_text", "text": "done", "annotations": []}]);
        items.push(json!({
            "type": "message", "role": "assistant", "id": "msg_probe", "content": text,
        }));
    }
    let done = items.into_iter().enumerate().map(|(index, item)| {
        json!({"type": "response.output_item.done", "output_index": index, "item": item})
    });
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    let created = json!({"type": "response.created", "response": {"id": "resp_probe"}});
    let completed = json!({
        "type": "response.completed", "response": {"id": "resp_probe", "usage": usage},
    });
    let all = std::iter::once(created).chain(done).chain([completed]);
    all.map(|event| event_text(&event)).collect()
}

fn event_text(event: &Value) -> String {
    let name = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    format!("event: {name}\ndata: {event}\n\n")
}

fn content(calls: Vec<ProbeCall>) -> Vec<Value> {
    if calls.is_empty() {
        return vec![json!({"type": "text", "text": "done"})];
    }
    let block = |call: ProbeCall| json!({"type": "tool_use", "id": call.id, "name": call.tool, "input": call.input});
    calls.into_iter().map(block).collect()
}

fn message(request: &Value, content: &[Value]) -> Value {
    json!({
        "id": "msg_probe", "type": "message", "role": "assistant", "model": request.get("model"),
        "content": content, "stop_reason": stop_reason(content), "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    })
}

fn stop_reason(content: &[Value]) -> &'static str {
    let calls = content
        .iter()
        .any(|block| block.get("type") == Some(&json!("tool_use")));
    if calls { "tool_use" } else { "end_turn" }
}

fn events(request: &Value, content: &[Value]) -> String {
    let mut start = message(request, &[]);
    if let Some(start) = start.as_object_mut() {
        start.insert("stop_reason".into(), Value::Null);
    }
    let mut all = vec![json!({"type": "message_start", "message": start})];
    for (index, block) in content.iter().enumerate() {
        let mut opened = block.clone();
        let delta = if let Some(input) = block.get("input") {
            opened
                .as_object_mut()
                .map(|opened| opened.insert("input".into(), json!({})));
            json!({"type": "input_json_delta", "partial_json": input.to_string()})
        } else {
            opened
                .as_object_mut()
                .map(|opened| opened.insert("text".into(), json!("")));
            json!({"type": "text_delta", "text": block.get("text")})
        };
        all.push(json!({"type": "content_block_start", "index": index, "content_block": opened}));
        all.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        all.push(json!({"type": "content_block_stop", "index": index}));
    }
    let end = json!({"stop_reason": stop_reason(content), "stop_sequence": null});
    all.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}));
    all.push(json!({"type": "message_stop"}));
    all.iter().map(event_text).collect()
}
