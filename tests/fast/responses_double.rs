//! The Responses double itself: what it refuses, and what it plays.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up its request has failed"
)]

use crate::support::responses;

use std::io::{Read, Write};
use std::net::TcpStream;

use responses::{Call, ResponsesDouble};
use serde_json::{Value, json};

const HEADERS: &str = "authorization: Bearer k\r\ncontent-type: application/json\r\n";

fn exchange(double: &ResponsesDouble, path: &str, headers: &str, body: &str) -> (u16, String) {
    let base = double.base_url();
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.strip_suffix("/v1").unwrap()).unwrap();
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn post(double: &ResponsesDouble, input: &Value) -> (u16, String) {
    let tool = json!({"type": "function", "name": "exec_command"});
    let body = json!({"model": "m", "stream": true, "input": input, "tools": [tool]});
    exchange(double, "/v1/responses", HEADERS, &body.to_string())
}

/// A double that has made the call `a`.
fn after_a_call() -> ResponsesDouble {
    let double = ResponsesDouble::start(vec![vec![Call::shell("a", "true")]]);
    let (status, answer) = post(&double, &json!([]));
    assert_eq!(status, 200);
    assert!(answer.contains("response.output_item.done") && answer.contains("\"call_id\":\"a\""));
    double
}

fn made(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "exec_command", "arguments": "{}"})
}

fn output(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": "out"})
}

#[test]
fn plays_the_script_and_then_says_done() {
    let double = after_a_call();
    let (status, answer) = post(&double, &json!([made("a"), output("a")]));
    assert_eq!(status, 200);
    assert!(answer.contains("done"));
    assert_eq!(double.result_of("a").as_deref(), Some("out"));
    assert_eq!((double.requests(), double.model().as_str()), (2, "m"));
    assert!(double.tools().contains("exec_command"));
    assert_eq!(double.violations(), [""; 0]);
}

#[test]
fn refuses_a_conversation_that_does_not_add_up() {
    let other = json!({"type": "custom_tool_call_output", "call_id": "a", "output": "out"});
    for (input, why) in [
        (json!([made("a")]), "No tool output found"),
        (json!([output("a")]), "No tool call found"),
        (json!([made("a"), other]), "No tool call found"),
        (
            json!([made("a"), output("a"), output("a")]),
            "No tool call found",
        ),
        (json!([made("b"), output("b")]), "never made"),
        (
            json!([made("a"), output("a"), made("a"), output("a")]),
            "never made",
        ),
    ] {
        let double = after_a_call();
        assert_eq!(post(&double, &input).0, 400, "{input}");
        let violations = double.violations();
        assert!(violations[0].contains(why), "{why}: {violations:?}");
    }
}

#[test]
fn refuses_what_is_no_request_of_the_api() {
    let good = json!({"model": "m", "stream": true, "input": []}).to_string();
    let (path, json_only) = ("/v1/responses", "content-type: application/json\r\n");
    for (path, headers, body, status) in [
        ("/v1/messages", HEADERS, good.as_str(), 404),
        (path, json_only, &good, 401),
        (path, "authorization: Bearer k\r\n", &good, 400),
        (path, HEADERS, "{", 400),
        (path, HEADERS, "{\"model\":\"m\",\"input\":[]}", 400),
        (path, HEADERS, "{\"model\":\"m\",\"stream\":true}", 400),
    ] {
        let double = ResponsesDouble::start(Vec::new());
        assert_eq!(exchange(&double, path, headers, body).0, status, "{body}");
        assert_eq!(double.violations().len(), 1);
        assert_eq!(double.requests(), 0);
    }
}
