//! One assistant message, whole or as the service's event stream.
#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null"
)]

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::http::Response;
use super::{Call, Turn};

/// An assistant message ready to be sent.
pub(super) struct Message {
    head: Value,
    blocks: Vec<Value>,
    stop_reason: &'static str,
}

/// The message that plays `turn` in answer to `request`; `number` tells it from the double's others.
pub(super) fn message(request: &Value, turn: Turn, number: usize) -> Message {
    let (blocks, stop_reason) = match turn {
        Turn::Text(text) => (vec![json!({"type": "text", "text": text})], "end_turn"),
        Turn::Blocks(blocks, stop_reason) => (blocks, stop_reason),
        Turn::Then(_) => unreachable!("it was asked what it makes"),
        Turn::Calls(calls) => {
            let blocks = calls.into_iter().enumerate();
            let blocks = blocks.map(|(index, call)| tool_use(call, number, index));
            (blocks.collect(), "tool_use")
        }
    };
    Message {
        head: json!({
            "id": unique("msg", number, 0),
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }),
        blocks,
        stop_reason,
    }
}

fn tool_use(call: Call, number: usize, index: usize) -> Value {
    let id = call.id.unwrap_or_else(|| unique("toolu", number, index));
    json!({"type": "tool_use", "id": id, "name": call.name, "input": call.input})
}

/// An id of the service's form and length, different in every double and process.
fn unique(prefix: &str, number: usize, index: usize) -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = since.as_nanos();
    format!("{prefix}_01{nanos:016x}{number:04}{index:02}")
}

impl Message {
    pub(super) fn blocks(&self) -> &[Value] {
        &self.blocks
    }

    pub(super) fn whole(self) -> Response {
        let mut message = self.head;
        message["content"] = Value::Array(self.blocks);
        message["stop_reason"] = json!(self.stop_reason);
        Response::json(200, &message)
    }

    pub(super) fn stream(self) -> Response {
        let mut events = String::new();
        let mut event = |data: Value| {
            let name = data["type"].as_str().unwrap_or_default();
            let _ = write!(events, "event: {name}\ndata: {data}\n\n");
        };
        event(json!({"type": "message_start", "message": self.head}));
        event(json!({"type": "ping"}));
        for (index, mut block) in self.blocks.into_iter().enumerate() {
            let deltas = deltas(&mut block);
            event(json!({"type": "content_block_start", "index": index, "content_block": block}));
            for delta in deltas {
                event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            }
            event(json!({"type": "content_block_stop", "index": index}));
        }
        event(json!({
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": null},
            "usage": {"output_tokens": 5},
        }));
        event(json!({"type": "message_stop"}));
        Response::events(events)
    }
}

/// Empties the block and gives its content in two pieces, as no client may count on getting it in one.
fn deltas(block: &mut Value) -> Vec<Value> {
    if block["type"] == "text" {
        let text = block["text"].take();
        block["text"] = json!("");
        let pieces = halves(text.as_str().unwrap_or_default());
        return pieces
            .map(|text| json!({"type": "text_delta", "text": text}))
            .into();
    }
    if block["input"].is_null() {
        return Vec::new();
    }
    let input = match block["input"].take() {
        // Verbatim: what a model writes need not be what a strict reader takes.
        Value::String(text) => text,
        input => input.to_string(),
    };
    block["input"] = json!({});
    halves(&input)
        .map(|part| json!({"type": "input_json_delta", "partial_json": part}))
        .into()
}

fn halves(text: &str) -> [&str; 2] {
    let middle = text.floor_char_boundary(text.len() / 2);
    let (left, right) = text.split_at(middle);
    [left, right]
}
