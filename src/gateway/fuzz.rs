//! What must hold of what comes over the gateway's socket, at either end.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::contracts::call::Actor;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::message::Message;
use crate::contracts::strict_json;

use super::{answer_signature, client, frame};

/// What is taken for a message is written as it came, and is one line and nothing behind it.
pub(crate) fn frame(data: &[u8]) {
    let parsed = frame::parse(data);
    if let Ok(message) = &parsed {
        let (message, nonce) = message;
        let mut written = serde_json::to_value(message).expect("a message can be written");
        if let Some(nonce) = nonce {
            written["nonce"] = nonce.to_hex().into();
        }
        assert_eq!(strict_json::from_slice(data).ok(), Some(written));
    }
    // Nothing is both a message to the governor and an answer of it.
    assert!(parsed.is_err() || frame::parse_answer(data).is_err());
    // More would not fit into the socket, and this thread writes before it reads.
    let data = data.get(..data.len().min(64 << 10)).unwrap_or_default();
    let (mut peer, ours) = UnixStream::pair().expect("a pair of sockets");
    peer.write_all(data).expect("there is room");
    drop(peer);
    let read = frame::read(&ours, Duration::from_secs(5));
    let line = data
        .strip_suffix(b"\n")
        .filter(|line| !line.contains(&b'\n'));
    let expected = line.and_then(|line| frame::parse(line).ok());
    assert_eq!(read.ok().map(|(question, _)| question), expected);
}

/// An allow, or a result, is one that was written as such, and to this question.
pub(crate) fn answer(data: &[u8]) {
    let Ok(answer) = frame::parse_answer(data) else {
        return;
    };
    let mut said = strict_json::from_slice(data).expect("a message is strict JSON");
    let (key, nonce) = answer_signature::documented();
    let given = said.as_object_mut().and_then(|said| said.remove("proof"));
    let proved = answer.clone().by(key.public(), nonce).is_some();
    assert_eq!(
        proved,
        given == Some(answer_signature::of(&key, nonce, &said).into())
    );
    let heard = answer.by_anybody();
    let (id, session_id) = (MessageId::new("t1"), SessionId::new("s1"));
    let request = Message::ToolCallRequest {
        id: id.expect("an id"),
        session_id: session_id.expect("an id"),
        tool: "Bash".into(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    };
    let is = |pointer: &str, value: Value| said.pointer(pointer) == Some(&value);
    let ours = is("/id", json!("t1")) && is("/sessionId", json!("s1"));
    if client::verdict_in(&request, heard.clone()).is_ok() {
        let decided =
            is("/verdict/decision", json!("allow")) || is("/verdict/decision", json!("deny"));
        assert!(ours && decided && is("/kind", json!("policy_verdict")));
    }
    match client::reply_in(&request, heard) {
        Ok(client::CallReply::Done { ok, .. }) => {
            assert!(ours && is("/kind", json!("tool_call_result")) && is("/ok", json!(ok)));
        }
        Ok(client::CallReply::Denied(_)) => {
            assert!(ours && is("/verdict/decision", json!("deny")));
        }
        Err(_) => {}
    }
}
