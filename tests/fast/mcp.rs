//! The MCP server at its edges, as a real `agp-bridge mcp` in front of a gateway whose gate is a
//! test's: what is no request gets an error or nothing, what is a call is asked about once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::permit;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agp::contracts::call::{Actor, ToolCall, Unreadable, UnreadableCall};
use agp::contracts::ids::Sha256;
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::limits::{CALLS_IN_FLIGHT, FRAME_BYTES, HOOK_INPUT_BYTES, RESULT_OUTPUT_BYTES};
use agp::contracts::verdict::{Denial, Verdict};
use agp::gateway::GateError;
use agp::gateway::server::{CallReport, Decided, Gate, Peer, Server};
use permit::Permits;
use serde_json::{Value, json};

/// How long an answer may take before the test fails.
const LIMIT: Duration = Duration::from_secs(20);
/// How long nothing must come where nothing may.
const SILENCE: Duration = Duration::from_millis(200);

/// A gate that says what it ran, and keeps book. A `command` of `deny` is denied, `fail` fails,
/// `long` answers with more than fits, `refuse` is an error, `hold` waits until it is released.
struct Told {
    session: SessionId,
    permits: Permits,
    calls: Mutex<Vec<ToolCall>>,
    unread: Mutex<Vec<UnreadableCall>>,
    holding: Mutex<usize>,
    released: (Mutex<bool>, Condvar),
}

impl Gate for Told {
    fn session(&self) -> &SessionId {
        &self.session
    }

    fn request(&self, call: ToolCall, _peer: Peer) -> Result<Decided, GateError> {
        let command = call.args.get("command").and_then(Value::as_str);
        let command = command.unwrap_or_default().to_owned();
        self.calls.lock().unwrap().push(call.clone());
        if command == "hold" {
            *self.holding.lock().unwrap() += 1;
            let (released, changed) = &self.released;
            let guard = released.lock().unwrap();
            drop(changed.wait_while(guard, |released| !*released).unwrap());
        }
        let done = |ok, output: String| Ok(Decided::Executed { ok, output });
        match command.as_str() {
            "deny" => Ok(Decided::Denied(Denial::refused("because"))),
            "allow" => Ok(Decided::Released(
                self.permits.of(&call),
                Verdict::refused("because"),
            )),
            "fail" => done(false, "Exit code 1".into()),
            "long" => done(true, "é".repeat(RESULT_OUTPUT_BYTES)),
            "refuse" => Err(GateError::Unrecorded("no".into())),
            _ => done(true, format!("ran {command}")),
        }
    }

    fn unreadable(&self, call: UnreadableCall, _peer: Peer) -> Result<Denial, GateError> {
        self.unread.lock().unwrap().push(call);
        Ok(Denial::refused("nobody can read it"))
    }

    fn report(&self, _report: CallReport, _peer: Peer) -> Result<(), GateError> {
        Err(GateError::Unrecorded("nothing is reported here".into()))
    }

    fn unproven(&self, peer: Peer) {
        panic!("{peer:?} shows no client file");
    }

    fn failed(&self, _problem: &str) {
        // A worker that panics below has said why.
    }

    fn intruded(&self, peer: Option<Peer>, problem: &str) {
        panic!("{peer:?}: {problem}");
    }
}

/// A server in front of a gate.
struct Served {
    directory: PathBuf,
    gate: Arc<Told>,
    gateway: Option<Server>,
    server: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Served {
    fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-mcp-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).unwrap();
        let gate = Arc::new(Told {
            session: SessionId::new("s-1").unwrap(),
            permits: Permits::new(&directory),
            calls: Mutex::default(),
            unread: Mutex::default(),
            holding: Mutex::default(),
            released: Default::default(),
        });
        let gateway = Server::start(&directory.join("gate.sock"), gate.clone()).unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_agp-bridge"))
            .args(["mcp", "--session", "s-1", "--deadline", "20", "--socket"])
            .arg(gateway.socket())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(server.stdout.take().unwrap());
        let (told, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                let line = serde_json::from_str(&line.unwrap()).unwrap();
                if told.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            directory,
            gate,
            gateway: Some(gateway),
            input: server.stdin.take(),
            server,
            lines,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.write_all(b"\n").unwrap();
        input.flush().unwrap();
    }

    fn next(&self) -> Value {
        let answer = self.lines.recv_timeout(LIMIT).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        answer
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.send(request.to_string().as_bytes());
        self.next()
    }

    /// Nothing has come, and a ping behind it is answered.
    fn says_nothing(&mut self) {
        assert!(self.lines.recv_timeout(SILENCE).is_err());
        let answer = self.ask(&json!({"jsonrpc": "2.0", "id": "still", "method": "ping"}));
        assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": "still", "result": {}})
        );
    }

    /// The text of a call's result, and whether it is an error's.
    fn call(&mut self, request: &Value) -> (String, bool) {
        let answer = self.ask(request);
        assert_eq!(answer["id"], request["id"]);
        text(&answer)
    }

    fn calls(&self) -> Vec<ToolCall> {
        self.gate.calls.lock().unwrap().clone()
    }

    fn unread(&self) -> Vec<UnreadableCall> {
        self.gate.unread.lock().unwrap().clone()
    }

    fn release(&self) {
        *self.gate.released.0.lock().unwrap() = true;
        self.gate.released.1.notify_all();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.release();
        drop(self.input.take());
        let until = Instant::now() + LIMIT;
        while self.server.try_wait().unwrap().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
        drop(self.gateway.take());
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[track_caller]
fn text(answer: &Value) -> (String, bool) {
    let content = answer["result"]["content"].as_array().unwrap();
    assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")));
    let failed = answer["result"]["isError"].as_bool().unwrap();
    (content[0]["text"].as_str().unwrap().to_owned(), failed)
}

fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn bash(id: &str, command: &str) -> Value {
    let params = json!({
        "name": "Bash", "arguments": {"command": command},
        "_meta": {"claudecode/toolUseId": id},
    });
    request(&json!(id), "tools/call", &params)
}

#[test]
fn a_client_is_greeted_in_its_own_version() {
    let mut served = Served::start();
    let asked = json!({"protocolVersion": "2024-11-05", "capabilities": {}});
    let answer = served.ask(&request(&json!(0), "initialize", &asked));
    assert_eq!(answer["id"], 0);
    let result = &answer["result"];
    assert_eq!(result["protocolVersion"], "2024-11-05");
    assert_eq!(result["serverInfo"]["name"], "agp");
    assert_eq!(result["capabilities"], json!({"tools": {}}));
    let answer = served.ask(&request(&json!(1), "initialize", &json!({})));
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
}

#[test]
fn the_tools_are_listed_with_what_they_take() {
    let mut served = Served::start();
    let answer = served.ask(&request(&json!(1), "tools/list", &json!({})));
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["Bash", "Read", "Write", "Edit", "MultiEdit", "Glob", "Grep"]
    );
    for tool in tools {
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        for name in schema["required"].as_array().unwrap() {
            assert!(schema["properties"][name.as_str().unwrap()].is_object());
        }
    }
}

#[test]
fn an_id_comes_back_as_it_was_given() {
    let mut served = Served::start();
    for id in [
        json!(7),
        json!(-1),
        json!("a"),
        json!(""),
        json!(1.5),
        json!(null),
    ] {
        let answer = served.ask(&request(&id, "ping", &json!({})));
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
}

#[test]
fn what_needs_no_answer_gets_none() {
    let mut served = Served::start();
    for silent in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"Bash","arguments":{}}}"#,
        r#"{"jsonrpc":"2.0","id":9,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":1,"message":"m"}}"#,
        "",
        "  \t ",
    ] {
        served.send(silent.as_bytes());
    }
    served.says_nothing();
    assert!(served.calls().is_empty());
}

#[test]
fn what_is_no_request_is_an_error_and_the_next_line_is_read() {
    let mut served = Served::start();
    for (line, code, id) in [
        (&b"garbage"[..], -32700, json!(null)),
        (b"\0", -32700, json!(null)),
        (b"\xff\xfe", -32700, json!(null)),
        (b"[]", -32700, json!(null)),
        (
            br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            -32700,
            json!(null),
        ),
        (b"\"ping\"", -32700, json!(null)),
        (br#"{"id":1,"id":2,"method":"ping"}"#, -32700, json!(null)),
        (
            br#"{"id":2,"method":"ping","params":{"a":1,"a":2}}"#,
            -32700,
            json!(2),
        ),
        (br#"{"jsonrpc":"2.0","id":3}"#, -32600, json!(3)),
        (br#"{"jsonrpc":"2.0","id":3,"method":5}"#, -32600, json!(3)),
        (
            br#"{"jsonrpc":"2.0","id":4,"method":"prompts/list"}"#,
            -32601,
            json!(4),
        ),
        (
            br#"{"jsonrpc":"2.0","id":5,"method":"tools/call"}"#,
            -32602,
            json!(5),
        ),
    ] {
        served.send(line);
        let answer = served.next();
        let shown = String::from_utf8_lossy(line);
        assert_eq!(answer["error"]["code"], code, "{shown}");
        assert_eq!(answer["id"], id, "{shown}");
    }
    for (method, nothing) in [
        ("resources/list", json!({"resources": []})),
        ("resources/templates/list", json!({"resourceTemplates": []})),
    ] {
        let answer = served.ask(&request(&json!(6), method, &json!({})));
        assert_eq!(answer["result"], nothing);
    }
    let read = request(
        &json!(7),
        "resources/read",
        &json!({"uri": "file:///etc/passwd"}),
    );
    assert_eq!(served.ask(&read)["error"]["code"], -32002);
    // Nested deeper than any strict reader goes: the harness still learns which call it was.
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let line = format!(r#"{{"method":"tools/call","params":{deep},"id":"deep"}}"#);
    served.send(line.as_bytes());
    let answer = served.next();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!("deep"), &json!(-32700))
    );
    served.says_nothing();
    assert!(served.calls().is_empty());
}

#[test]
fn a_call_is_asked_about_under_the_harness_s_id_and_answered() {
    let mut served = Served::start();
    assert_eq!(
        served.call(&bash("toolu_1", "true")),
        ("ran true".into(), false)
    );
    assert_eq!(
        served.call(&bash("toolu_2", "fail")),
        ("Exit code 1".into(), true)
    );
    assert_eq!(
        served.call(&bash("toolu_3", "deny")),
        ("Denied by agp: because".into(), true)
    );
    let (refused, failed) = served.call(&bash("toolu_4", "refuse"));
    assert!(failed && refused.contains("the governor refused the call: no"));
    // An allow without a result is none: nothing here runs a call but the governor.
    let (other, failed) = served.call(&bash("toolu_5", "allow"));
    assert!(
        failed && other.contains("is for another request"),
        "{other}"
    );
    let codex = json!({"name": "Read", "arguments": {"file_path": "/x"}, "_meta": {"callId": "c"}});
    served.call(&request(&json!(9), "tools/call", &codex));
    let bare = json!({"name": "Glob"});
    served.call(&request(&json!(9), "tools/call", &bare));
    let null = json!({"name": "Grep", "arguments": null, "_meta": {}});
    served.call(&request(&json!(9), "tools/call", &null));
    let calls = served.calls();
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(
        ids[..6],
        ["toolu_1", "toolu_2", "toolu_3", "toolu_4", "toolu_5", "c"]
    );
    assert!(ids[6].starts_with("mcp-") && ids[7].starts_with("mcp-") && ids[6] != ids[7]);
    assert!(calls[6].args.is_empty() && calls[7].args.is_empty());
    assert_eq!(calls[5].tool, "Read");
    assert!(calls.iter().all(|call| call.actor == Actor::ClaudeProcess));
}

#[test]
fn a_call_that_is_none_is_refused_unasked() {
    let mut served = Served::start();
    for params in [
        json!({"name": "Nonsense", "arguments": {}}),
        json!({"name": "bash", "arguments": {"command": "x"}}),
        json!({"name": 7}),
        json!({"arguments": {"command": "x"}}),
        json!({"name": "Bash", "arguments": ["x"]}),
        json!({"name": "Bash", "arguments": "x"}),
        json!({"name": "Bash", "arguments": {}, "_meta": {"callId": ""}}),
    ] {
        let answer = served.ask(&request(&json!(1), "tools/call", &params));
        assert_eq!(answer["error"]["code"], -32602, "{params}");
    }
    assert!(served.calls().is_empty());
}

#[test]
fn half_a_surrogate_pair_is_read_as_it_would_be_written() {
    let mut served = Served::start();
    let line = bash("toolu_1", "HALF").to_string();
    let line = line.replace("HALF", r"a\ud800b \udbff\udfff \\ud800 \uDC00");
    served.send(line.as_bytes());
    let command = "a\u{fffd}b \u{10ffff} \\ud800 \u{fffd}";
    assert_eq!(text(&served.next()), (format!("ran {command}"), false));
    assert_eq!(served.calls()[0].args["command"], command);
}

#[test]
fn a_call_beyond_a_frame_is_denied_and_the_next_is_taken() {
    let mut served = Served::start();
    let (answer, failed) = served.call(&bash("toolu_1", &"x".repeat(FRAME_BYTES)));
    assert!(failed, "{answer}");
    assert_eq!(answer, "Denied by agp: nobody can read it");
    assert!(served.calls().is_empty());
    assert_eq!(served.unread()[0].why, Unreadable::TooLong);
    // What fits is taken, also behind it.
    let fits = "x".repeat(FRAME_BYTES - 1000);
    assert!(!served.call(&bash("toolu_2", &fits)).1);
    assert_eq!(served.calls()[0].args["command"], fits);
}

#[test]
fn a_call_that_no_strict_reader_takes_is_denied_and_the_next_is_taken() {
    let mut served = Served::start();
    let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
    let args = format!(r#"{{"command":{deep}}}"#);
    let call = bash("a|b/c@d", "ARGS").to_string();
    let call = call.replace(r#"{"command":"ARGS"}"#, &args);
    served.send(call.as_bytes());
    let denied = ("Denied by agp: nobody can read it".to_owned(), true);
    assert_eq!(text(&served.next()), denied);
    assert!(!served.call(&bash("toolu_2", "true")).1);
    let told = UnreadableCall {
        id: MessageId::new("a|b/c@d").unwrap(),
        session: SessionId::new("s-1").unwrap(),
        tool: "Bash".into(),
        args_sha256: Sha256::of(args.as_bytes()),
        args_bytes: args.len() as u64,
        why: Unreadable::TooDeep,
    };
    assert_eq!(served.unread(), [told]);
    assert_eq!(served.calls().len(), 1);
}

#[test]
fn a_line_that_does_not_end_ends_the_server() {
    let mut served = Served::start();
    let block = vec![b'x'; 1 << 20];
    let input = served.input.as_mut().unwrap();
    let sent = (0..=HOOK_INPUT_BYTES >> 20).try_for_each(|_| input.write_all(&block));
    // It may be gone before it took everything.
    drop(sent);
    let answer = served.next();
    assert_eq!(
        (&answer["error"]["code"], &answer["id"]),
        (&json!(-32700), &json!(null))
    );
    assert!(served.lines.recv_timeout(LIMIT).is_err());
    assert!(served.server.wait().unwrap().success());
}

#[test]
fn an_answer_is_cut_to_what_a_harness_takes() {
    let mut served = Served::start();
    let (answer, failed) = served.call(&bash("toolu_1", "long"));
    assert!(!failed);
    let kept = answer.find('\n').unwrap();
    assert!(kept <= RESULT_OUTPUT_BYTES && kept > RESULT_OUTPUT_BYTES - 4);
    let missing = 2 * RESULT_OUTPUT_BYTES - kept;
    assert_eq!(
        answer[kept..],
        format!("\n[{missing} more bytes not shown]")
    );
}

#[test]
fn calls_run_at_once_up_to_a_bound() {
    let mut served = Served::start();
    for number in 0..=CALLS_IN_FLIGHT {
        let line = bash(&format!("toolu_{number}"), "hold").to_string();
        served.send(line.as_bytes());
    }
    let until = Instant::now() + LIMIT;
    while *served.gate.holding.lock().unwrap() < CALLS_IN_FLIGHT && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(SILENCE);
    assert_eq!(*served.gate.holding.lock().unwrap(), CALLS_IN_FLIGHT);
    served.release();
    let mut answered: Vec<String> = (0..=CALLS_IN_FLIGHT)
        .map(|_| {
            let answer = served.next();
            assert!(!text(&answer).1, "{answer}");
            answer["id"].as_str().unwrap().to_owned()
        })
        .collect();
    answered.sort();
    answered.dedup();
    assert_eq!(answered.len(), CALLS_IN_FLIGHT + 1);
}

#[test]
fn without_a_gateway_every_call_fails_and_the_server_goes_on() {
    let mut served = Served::start();
    drop(served.gateway.take());
    let (answer, failed) = served.call(&bash("toolu_1", "true"));
    assert!(
        failed && answer.contains("cannot reach the governor"),
        "{answer}"
    );
    served.says_nothing();
}

#[test]
fn it_ends_with_its_input() {
    let mut served = Served::start();
    served.says_nothing();
    drop(served.input.take());
    let until = Instant::now() + LIMIT;
    let ended = loop {
        match served.server.try_wait().unwrap() {
            Some(ended) => break ended,
            None => assert!(Instant::now() < until),
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success());
}
