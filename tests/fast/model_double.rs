//! The model double itself: what it refuses, what it tolerates, and the shape of what it answers.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up its request has failed"
)]

use crate::support::model;

use std::io::{Read, Write};
use std::net::TcpStream;

use model::{Call, ModelDouble, Turn};
use serde_json::{Value, json};

const HEADERS: &str =
    "x-api-key: k\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n";

/// Sends `head` and `body` as they stand and gives the status and the body of the answer.
fn exchange(double: &ModelDouble, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(double.address()).expect("the double listens");
    let length = body.len();
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn post(double: &ModelDouble, body: &Value) -> (u16, String) {
    let head = format!("POST /v1/messages?beta=true HTTP/1.1\r\n{HEADERS}");
    exchange(double, &head, &body.to_string())
}

fn request(messages: &Value) -> Value {
    let tool = json!({"name": "Bash", "input_schema": {"type": "object"}});
    json!({"model": "m", "max_tokens": 9, "tools": [tool], "messages": messages})
}

fn task() -> Value {
    json!({"role": "user", "content": "task"})
}

fn system() -> Value {
    json!({"role": "system", "content": "instructions within the conversation"})
}

fn call(id: &str) -> Call {
    Call {
        id: Some(id.to_owned()),
        ..Call::new("Bash", json!({"command": "true"}))
    }
}

fn uses(ids: &[&str]) -> Value {
    let block = |id: &&str| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {}});
    json!({"role": "assistant", "content": ids.iter().map(block).collect::<Vec<_>>()})
}

fn renamed(mut message: Value, name: &str) -> Value {
    message["content"][0]["name"] = json!(name);
    message
}

fn results(ids: &[&str]) -> Value {
    let block = |id: &&str| json!({"type": "tool_result", "tool_use_id": id, "content": "out"});
    json!({"role": "user", "content": ids.iter().map(block).collect::<Vec<_>>()})
}

/// A double that has made the calls `a` and `b` in one turn.
fn after_two_calls() -> ModelDouble {
    let double = ModelDouble::start(vec![Turn::Calls(vec![call("a"), call("b")])]);
    let (status, _) = post(&double, &request(&json!([task()])));
    assert_eq!(status, 200);
    double
}

#[test]
fn plays_the_script_and_then_says_done() {
    let double = ModelDouble::start(vec![
        Turn::Calls(vec![call("a"), call("b")]),
        Turn::Text("half".to_owned()),
    ]);
    let (_, first) = post(&double, &request(&json!([task()])));
    let first: Value = serde_json::from_str(&first).expect("one message");
    assert_eq!(first["stop_reason"], "tool_use");
    assert_eq!(first["content"][1]["id"], "b");
    let history = json!([
        task(),
        system(),
        uses(&["a", "b"]),
        results(&["b", "a"]),
        system()
    ]);
    let (_, second) = post(&double, &request(&history));
    assert!(second.contains("half"), "{second}");
    let (_, third) = post(&double, &request(&history));
    assert!(third.contains("done"), "{third}");
    let ids: Vec<_> = double
        .results()
        .into_iter()
        .map(|r| r.tool_use_id)
        .collect();
    assert_eq!(ids, ["b", "a"], "each result once");
    assert_eq!(double.requests(), 3);
    assert_eq!(double.turns_left(), 0);
    assert_eq!(double.tools_offered(), ["Bash"]);
    assert_eq!(double.violations(), [""; 0]);
}

#[test]
fn a_call_of_task_may_come_back_as_one_of_agent() {
    let task_call = Call {
        id: Some("a".to_owned()),
        ..Call::new("Task", json!({"prompt": "p"}))
    };
    let double = ModelDouble::start(vec![Turn::Calls(vec![task_call])]);
    assert_eq!(post(&double, &request(&json!([task()]))).0, 200);
    let history = json!([task(), renamed(uses(&["a"]), "Agent"), results(&["a"])]);
    assert_eq!(post(&double, &request(&history)).0, 200);
    assert_eq!(double.violations(), [""; 0]);
}

#[test]
fn streams_a_call_in_the_events_of_the_service() {
    let double = ModelDouble::start(vec![Turn::Calls(vec![call("a")])]);
    let mut body = request(&json!([task()]));
    body["stream"] = json!(true);
    let (status, stream) = post(&double, &body);
    assert_eq!(status, 200);
    let mut names = Vec::new();
    let mut input = String::new();
    for event in stream.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("a name and data");
        let data: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        let name = name.strip_prefix("event: ").expect("a name");
        assert_eq!(data["type"], name);
        input += data["delta"]["partial_json"].as_str().unwrap_or_default();
        names.push(name.to_owned());
    }
    assert_eq!(
        names,
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(input, r#"{"command":"true"}"#);
}

#[test]
fn side_requests_leave_the_script_alone() {
    let double = ModelDouble::start(vec![Turn::Text("first".to_owned())]);
    for line in ["HEAD / HTTP/1.1\r\n", "GET /v1/models HTTP/1.1\r\n"] {
        assert_eq!(exchange(&double, line, "").0, 200);
    }
    let title = json!({"model": "m", "max_tokens": 9, "messages": [task()]});
    assert_eq!(post(&double, &title).0, 200);
    let head = format!("POST /v1/messages/count_tokens HTTP/1.1\r\n{HEADERS}");
    let count = json!({"model": "m", "messages": [task()]}).to_string();
    assert_eq!(exchange(&double, &head, &count).1, r#"{"input_tokens":1}"#);
    drop(TcpStream::connect(double.address()).expect("an idle connection"));
    assert_eq!((double.requests(), double.turns_left()), (0, 1));
    assert_eq!(double.violations(), [""; 0]);
}

#[test]
fn refuses_what_is_no_request_of_the_api() {
    let good = request(&json!([task()])).to_string();
    let messages = "POST /v1/messages HTTP/1.1\r\n";
    let no_key = HEADERS.replace("x-api-key: k\r\n", "");
    let no_version = HEADERS.replace("anthropic-version: 2023-06-01\r\n", "");
    for (head, body, status, why) in [
        (
            format!("POST /v1/complete HTTP/1.1\r\n{HEADERS}"),
            good.as_str(),
            404,
            "endpoint",
        ),
        (
            format!("PUT /v1/messages HTTP/1.1\r\n{HEADERS}"),
            &good,
            404,
            "endpoint",
        ),
        (format!("{messages}{no_key}"), &good, 401, "x-api-key"),
        (
            format!("{messages}{no_version}"),
            &good,
            400,
            "anthropic-version",
        ),
        (format!("{messages}{HEADERS}"), "", 400, "JSON"),
        (format!("{messages}{HEADERS}"), "{", 400, "JSON"),
        (format!("{messages}{HEADERS}"), "[]", 400, "object"),
        (
            format!("{messages}{HEADERS}transfer-encoding: chunked\r\n"),
            &good,
            400,
            "content-length",
        ),
        (
            format!("{messages}x: {}\r\n", "y".repeat(70_000)),
            &good,
            400,
            "64 KiB",
        ),
        (
            format!("{messages}content-length: 99999999\r\n"),
            "",
            400,
            "content-length",
        ),
    ] {
        let double = ModelDouble::start(Vec::new());
        let (got, answer) = exchange(&double, &head, body);
        let answer: Value = serde_json::from_str(&answer).expect("an error object");
        assert_eq!((got, &answer["type"]), (status, &json!("error")), "{why}");
        let violations = double.violations();
        assert!(
            violations.len() == 1 && violations[0].contains(why),
            "{why}: {violations:?}"
        );
        assert_eq!(double.requests(), 0);
    }
}

#[test]
fn refuses_a_body_without_what_it_must_have() {
    for field in ["model", "messages", "max_tokens"] {
        let double = ModelDouble::start(Vec::new());
        let mut body = request(&json!([task()]));
        body.as_object_mut().expect("an object").remove(field);
        assert_eq!(post(&double, &body).0, 400, "{field}");
        assert!(
            double.violations()[0].starts_with(field),
            "{:?}",
            double.violations()
        );
    }
}

#[test]
fn refuses_a_conversation_that_does_not_add_up() {
    let both = ["a", "b"];
    for (messages, why) in [
        (
            json!([task(), uses(&both), results(&["a", "b", "c"])]),
            "unknown tool_use id: \"c\"",
        ),
        (
            json!([task(), uses(&both), results(&["a", "a", "b"])]),
            "unknown tool_use id: \"a\"",
        ),
        (json!([results(&["a"])]), "unknown tool_use id"),
        (
            json!([task(), uses(&both), results(&["a"])]),
            "without a tool_result: b",
        ),
        (
            json!([task(), uses(&both), task()]),
            "without a tool_result: a, b",
        ),
        (
            json!([task(), uses(&["a", "a"]), results(&["a"])]),
            "must be unique",
        ),
        (
            json!([
                task(),
                uses(&["a"]),
                results(&["a"]),
                uses(&["a"]),
                results(&["a"])
            ]),
            "must be unique",
        ),
        (
            json!([task(), uses(&["x y"]), results(&["x y"])]),
            "must match",
        ),
        (
            json!([task(), uses(&["never"]), results(&["never"])]),
            "never made",
        ),
        (
            json!([task(), renamed(uses(&["a"]), "Read"), results(&["a"])]),
            "the call a was of Bash",
        ),
        (json!([task(), task()]), "may not follow"),
        (json!([uses(&both), results(&both)]), "may not follow"),
        (json!([task(), uses(&both)]), "last message"),
        (
            json!([task(), uses(&["a"]), system(), results(&["a"])]),
            "\"system\" may not follow \"assistant\"",
        ),
        (json!([system(), task()]), "may not follow"),
        (json!([]), "at least one"),
        (json!([{"role": "user", "content": ""}]), "empty"),
    ] {
        let double = after_two_calls();
        let (status, answer) = post(&double, &request(&messages));
        assert_eq!(status, 400, "{why}: {answer}");
        let violations = double.violations();
        assert!(
            violations.len() == 1 && violations[0].contains(why),
            "{why}: {violations:?}"
        );
        assert!(double.results().is_empty(), "{why}");
    }
}

#[test]
fn stops_when_dropped_with_a_connection_open() {
    let double = ModelDouble::start(Vec::new());
    let mut open = TcpStream::connect(double.address()).expect("the double listens");
    open.write_all(b"POST /v1/mess").expect("half a request");
    let address = double.address();
    drop(double);
    assert!(TcpStream::connect(address).is_err());
}
