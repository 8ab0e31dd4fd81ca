//! Whoever speaks to a gateway: bytes of its own choice over the socket.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: whatever fails here fails the test"
)]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use agp::contracts::limits::FRAME_DEADLINE;
use agp::gateway::client_file;
use serde_json::{Value, json};

/// Sends bytes as they are, closes the sending side if asked, and gives what came back.
pub(crate) fn send(socket: &Path, bytes: &[u8], close: bool) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // The server may have dropped the link before it took everything.
    let _ = stream.write_all(bytes);
    if close {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    answer(stream)
}

/// Sends bytes as they are with a descriptor, and gives what came back.
pub(crate) fn send_with(socket: &Path, bytes: &[u8], file: impl AsFd) -> String {
    let stream = UnixStream::connect(socket).unwrap();
    assert_eq!(
        client_file::send_with(&stream, bytes, file).unwrap(),
        bytes.len()
    );
    answer(stream)
}

/// The same with the client file, as a harness's hook does.
pub(crate) fn send_proven(socket: &Path, bytes: &[u8]) -> String {
    send_with(
        socket,
        bytes,
        client_file::open_beside(socket).unwrap().unwrap(),
    )
}

fn answer(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(FRAME_DEADLINE * 2)).unwrap();
    let mut answer = Vec::new();
    // Unread bytes on the other side turn its close into a reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

pub(crate) fn request(id: &str) -> Value {
    json!({
        "kind": "tool_call_request",
        "id": id,
        "sessionId": "s-1",
        "tool": "Bash",
        "args": {"command": "true"},
        "actor": "claude_process",
    })
}

pub(crate) fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

pub(crate) fn with(mut value: Value, name: &str, to: Value) -> Value {
    value[name] = to;
    value
}

/// Nothing but one error came back, and then the link was dropped.
#[track_caller]
pub(crate) fn is_error(answer: &str, about: &str) -> Value {
    let only = answer.strip_suffix('\n').unwrap_or(answer);
    let value: Value =
        serde_json::from_str(only).unwrap_or_else(|error| panic!("{about}: {error} in {answer:?}"));
    assert_eq!(value["kind"], "error", "{about}: {answer}");
    assert!(!answer.contains("allow"), "{about}: {answer}");
    value
}
