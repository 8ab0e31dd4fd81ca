//! The gateway at its edges: whatever is not exactly a question of this session's own process is
//! an error or a dropped link, and on neither side ever an allow.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{peer, permit, session};

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use agp::contracts::call::{Actor, ToolCall, Unreadable, UnreadableCall};
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use agp::contracts::limits::{
    CALLS_IN_FLIGHT, FRAME_BYTES, FRAME_DEADLINE, FRAME_VALUES, IDLE_CALL_WORKERS,
};
use agp::contracts::message::Message;
use agp::contracts::verdict::{Denial, Verdict};
use agp::gateway::GateError;
use agp::gateway::client::{self, AskError, Governor, Said};
use agp::gateway::frame::{self, FrameError};
use agp::gateway::server::{CallReport, Decided, Gate, Peer, Server};
use agp::journal::args_sha256;
use agp::journal::key::SigningKey;
use peer::{is_error, line, request, send, send_proven, send_with, with};
use permit::Permits;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value, json};
use session::{python, say_skipped, wait_for};

/// A directory of the test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-gateway-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("gate.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A gate that allows every call it is asked about, and keeps book. Only the gateway's own checks
/// stand between a peer and an allow.
struct AllowAll {
    session: SessionId,
    permits: Permits,
    calls: Mutex<Vec<ToolCall>>,
    unread: Mutex<Vec<UnreadableCall>>,
    reports: Mutex<Vec<CallReport>>,
    intrusions: Mutex<Vec<(Option<Peer>, String)>>,
    unproven: Mutex<Vec<Peer>>,
    failures: Mutex<Vec<String>>,
    workers: Mutex<HashSet<ThreadId>>,
    /// Calls of the tool `Hold` wait until this is set.
    released: (Mutex<bool>, Condvar),
}

impl Gate for AllowAll {
    fn session(&self) -> &SessionId {
        &self.session
    }

    fn request(&self, call: ToolCall, peer: Peer) -> Result<Decided, GateError> {
        assert_eq!(peer.pid, i32::try_from(std::process::id()).unwrap());
        self.workers.lock().unwrap().insert(thread::current().id());
        let holds = call.tool == "Hold";
        assert_ne!(call.tool, "Panic", "as it was told to");
        {
            let mut calls = self.calls.lock().unwrap();
            if calls.iter().any(|seen| seen.id == call.id) {
                return Err(GateError::Replayed);
            }
            calls.push(call.clone());
        }
        if holds {
            let (released, changed) = &self.released;
            let guard = released.lock().unwrap();
            drop(changed.wait_while(guard, |released| !*released).unwrap());
        }
        Ok(Decided::Released(
            self.permits.of(&call),
            Verdict::refused("because"),
        ))
    }

    fn unreadable(&self, call: UnreadableCall, _peer: Peer) -> Result<Denial, GateError> {
        self.unread.lock().unwrap().push(call);
        Ok(Denial::refused("nobody can read it"))
    }

    fn report(&self, report: CallReport, _peer: Peer) -> Result<(), GateError> {
        self.reports.lock().unwrap().push(report);
        Ok(())
    }

    fn unproven(&self, peer: Peer) {
        self.unproven.lock().unwrap().push(peer);
    }

    fn failed(&self, problem: &str) {
        self.failures.lock().unwrap().push(problem.to_owned());
    }

    fn intruded(&self, peer: Option<Peer>, problem: &str) {
        let mut all = self.intrusions.lock().unwrap();
        all.push((peer, problem.to_owned()));
    }
}

fn serve() -> (Directory, Arc<AllowAll>, Server) {
    serve_with(None)
}

fn serve_with(key: Option<Arc<SigningKey>>) -> (Directory, Arc<AllowAll>, Server) {
    let directory = Directory::new();
    let gate = Arc::new(AllowAll {
        session: SessionId::new("s-1").unwrap(),
        permits: Permits::new(&directory.0),
        calls: Mutex::default(),
        unread: Mutex::default(),
        reports: Mutex::default(),
        intrusions: Mutex::default(),
        unproven: Mutex::default(),
        failures: Mutex::default(),
        workers: Mutex::default(),
        released: Default::default(),
    });
    let user = rustix::process::geteuid().as_raw();
    let server = Server::start_for(&directory.socket(), user, gate.clone(), key).unwrap();
    (directory, gate, server)
}

#[test]
fn a_question_is_answered_and_a_report_taken() {
    let (directory, gate, server) = serve();
    let answer: Value =
        serde_json::from_str(&send(&directory.socket(), &line(&request("m1")), false)).unwrap();
    assert_eq!(answer["kind"], "policy_verdict");
    assert_eq!(answer["id"], "m1");
    assert_eq!(answer["sessionId"], "s-1");
    assert_eq!(answer["verdict"]["decision"], "allow");
    let report = json!({
        "kind": "tool_call_report", "id": "m1", "sessionId": "s-1", "tool": "Bash",
        "argsSha256": "0".repeat(64), "ok": true, "output": "out", "outputBytes": 3,
    });
    let answer = send(&directory.socket(), &line(&report), false);
    assert!(answer.contains("report_recorded"), "{answer}");
    assert_eq!(gate.reports.lock().unwrap().len(), 1);
    assert_eq!(gate.intrusions.lock().unwrap().len(), 0);
    drop(server);
    assert!(!directory.socket().exists());
}

#[test]
fn whatever_is_no_message_is_an_error_and_the_link_drops() {
    let (directory, gate, _server) = serve();
    let good = String::from_utf8(line(&request("m"))).unwrap();
    let one = good.trim_end();
    let nul: &[u8] = b"\0\n";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"hello\n".to_vec()),
        ("nothing", b"\n".to_vec()),
        ("a NUL", nul.to_vec()),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec()),
        ("an array", format!("[{one}]\n").into()),
        ("two on a line", format!("{one}{one}\n").into()),
        ("bytes after the newline", format!("{one}\nx").into()),
        ("two at once", format!("{one}\n{one}\n").into()),
        ("a byte-order mark", format!("\u{feff}{one}\n").into()),
        ("invalid UTF-8", {
            let at = one.find("Bash").unwrap();
            [&one.as_bytes()[..at], b"\xff\n"].concat()
        }),
        ("invalid UTF-8 within a text", {
            let (before, after) = one.split_once("true").unwrap();
            [before.as_bytes(), b"\xc0\xae", after.as_bytes(), b"\n"].concat()
        }),
        ("a lone surrogate", good.replace("true", "\\ud800").into()),
        (
            "a duplicate key",
            good.replace("\"tool\"", "\"tool\":\"Read\",\"tool\"")
                .into(),
        ),
        (
            "a duplicate key in the arguments",
            good.replace("\"command\"", "\"command\":\"x\",\"command\"")
                .into(),
        ),
        ("an unknown field", line(&with(request("m"), "x", json!(1)))),
        (
            "an unknown kind",
            line(&with(request("m"), "kind", json!("let_me"))),
        ),
        ("no kind", good.replace("\"kind\"", "\"kin\"").into()),
        (
            "too long an id",
            line(&with(request("m"), "id", json!("a".repeat(1025)))),
        ),
        (
            "a bad session",
            line(&with(request("m"), "sessionId", json!("s 1"))),
        ),
        ("an empty id", line(&with(request("m"), "id", json!("")))),
        (
            "an id of no text",
            line(&with(request("m"), "id", json!(7))),
        ),
        (
            "arguments of no object",
            line(&with(request("m"), "args", json!([]))),
        ),
        (
            "an unknown actor",
            line(&with(request("m"), "actor", json!("root"))),
        ),
        ("a missing field", {
            let mut request = request("m");
            request.as_object_mut().unwrap().remove("actor");
            line(&request)
        }),
        ("deep nesting", {
            let deep = "[".repeat(100_000) + &"]".repeat(100_000);
            good.replace("\"true\"", &deep).into()
        }),
    ];
    let count = cases.len();
    for (about, bytes) in cases {
        is_error(&send(&directory.socket(), &bytes, false), about);
    }
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    let intrusions = gate.intrusions.lock().unwrap();
    assert_eq!(intrusions.len(), count, "{intrusions:?}");
}

#[test]
fn the_wrong_kind_or_session_is_an_error() {
    let (directory, gate, _server) = serve();
    let said = json!({"decision": "allow", "reason": "r", "ruleId": null, "tier": null});
    for wrong in [
        json!({"kind": "policy_verdict", "id": "m", "sessionId": "s-1", "verdict": said}),
        json!({"kind": "tool_call_result", "id": "m", "sessionId": "s-1", "ok": true, "output": ""}),
        json!({"kind": "report_recorded", "id": "m", "sessionId": "s-1"}),
        json!({"kind": "error", "id": null, "sessionId": null, "message": "m"}),
    ] {
        let about = wrong.to_string();
        is_error(&send(&directory.socket(), &line(&wrong), false), &about);
    }
    let other = with(request("m"), "sessionId", json!("s-2"));
    let answer = is_error(&send(&directory.socket(), &line(&other), false), "session");
    assert_eq!(answer["id"], "m");
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    assert_eq!(gate.intrusions.lock().unwrap().len(), 5);
}

#[test]
fn nobody_speaks_for_the_sessions_owner() {
    let (directory, gate, _server) = serve();
    let posing = with(request("m"), "actor", json!("session_owner"));
    let answer = is_error(&send(&directory.socket(), &line(&posing), false), "actor");
    assert!(answer["message"].as_str().unwrap().contains("owner"));
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    assert_eq!(gate.intrusions.lock().unwrap().len(), 1);
}

#[test]
fn a_frame_of_4_mib_is_taken_and_one_byte_more_is_not() {
    let (directory, gate, _server) = serve();
    let of_size = |id: &str, size: usize| {
        let empty = line(&with(request(id), "args", json!({"command": ""}))).len();
        let filler = "x".repeat(size - empty);
        line(&with(request(id), "args", json!({"command": filler})))
    };
    let exact = of_size("m1", FRAME_BYTES);
    assert_eq!(exact.len(), FRAME_BYTES);
    let answer = send(&directory.socket(), &exact, false);
    assert!(answer.contains("policy_verdict"), "{answer}");
    let more = of_size("m2", FRAME_BYTES + 1);
    assert_eq!(more.len(), FRAME_BYTES + 1);
    is_error(&send(&directory.socket(), &more, false), "one byte more");
    // Without an end: refused as soon as it is too long, not when it ends.
    let endless = vec![b'['; FRAME_BYTES];
    is_error(&send(&directory.socket(), &endless, false), "no end");
    assert_eq!(gate.calls.lock().unwrap().len(), 1);
}

#[test]
fn a_frame_of_too_many_values_is_not_read() {
    let (directory, gate, _server) = serve();
    let of = |values: usize| {
        let args = json!({"list": vec![0; values]});
        send(
            &directory.socket(),
            &line(&with(request("m"), "args", args)),
            false,
        )
    };
    is_error(&of(FRAME_VALUES), "too many");
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    assert!(of(FRAME_VALUES - 100).contains("policy_verdict"));
}

#[test]
fn half_a_frame_is_no_question() {
    let (directory, gate, _server) = serve();
    let whole = line(&request("m"));
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        is_error(&send(&directory.socket(), &whole[..end], true), "half");
    }
    // The same with the peer gone altogether.
    let mut gone = UnixStream::connect(directory.socket()).unwrap();
    gone.write_all(&whole[..whole.len() - 1]).unwrap();
    drop(gone);
    wait_for("the last one's end", || {
        (gate.intrusions.lock().unwrap().len() == 5).then_some(())
    });
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
}

#[test]
fn a_frame_may_come_in_pieces() {
    let (directory, _gate, _server) = serve();
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    for piece in line(&request("m")).chunks(7) {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("policy_verdict"), "{answer}");
}

#[test]
fn silence_ends_at_the_deadline_however_it_is_stretched() {
    let (quiet, _other) = UnixStream::pair().unwrap();
    let started = Instant::now();
    let within = Duration::from_millis(50);
    assert!(matches!(frame::read(&quiet, within), Err(FrameError::Late)));
    // A byte now and then does not buy time.
    let (slow, mut writer) = UnixStream::pair().unwrap();
    let feeder = thread::spawn(move || {
        while writer.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(matches!(frame::read(&slow, within), Err(FrameError::Late)));
    drop(slow);
    feeder.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_id_is_answered_once() {
    let (directory, gate, _server) = serve();
    assert!(send(&directory.socket(), &line(&request("m")), false).contains("policy_verdict"));
    let again = is_error(
        &send(&directory.socket(), &line(&request("m")), false),
        "again",
    );
    assert_eq!(again["id"], "m");
    assert_eq!(gate.calls.lock().unwrap().len(), 1);
}

#[test]
fn one_call_too_many_at_once_is_refused_and_the_others_are_not_harmed() {
    let (directory, gate, _server) = serve();
    let mut waiting: Vec<UnixStream> = (0..CALLS_IN_FLIGHT)
        .map(|number| {
            let held = with(request(&format!("m{number}")), "tool", json!("Hold"));
            let mut stream = UnixStream::connect(directory.socket()).unwrap();
            stream.write_all(&line(&held)).unwrap();
            stream
        })
        .collect();
    wait_for("all to wait", || {
        (gate.calls.lock().unwrap().len() == CALLS_IN_FLIGHT).then_some(())
    });
    let refused = send(&directory.socket(), &line(&request("late")), false);
    is_error(&refused, "the 65th");
    *gate.released.0.lock().unwrap() = true;
    gate.released.1.notify_all();
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("policy_verdict"), "{answer}");
    }
    // Their places are free again.
    wait_for("a place", || {
        let answer = send(&directory.socket(), &line(&request("after")), false);
        answer.contains("policy_verdict").then_some(())
    });
    assert_eq!(gate.calls.lock().unwrap().len(), CALLS_IN_FLIGHT + 1);
}

#[test]
fn a_worker_stays_for_the_next_call() {
    let (directory, gate, _server) = serve();
    for number in 0..100 {
        let call = line(&request(&format!("m{number}")));
        assert!(send(&directory.socket(), &call, false).contains("policy_verdict"));
    }
    // One that is not back yet when the next call comes has another started.
    let workers = gate.workers.lock().unwrap().len();
    assert!(workers <= 1 + IDLE_CALL_WORKERS, "{workers}");
}

#[test]
fn a_worker_that_panics_answers_nobody_and_harms_no_other_call() {
    let (directory, gate, server) = serve();
    let held = |id: &str| line(&with(request(id), "tool", json!("Hold")));
    let mut waiting = UnixStream::connect(directory.socket()).unwrap();
    waiting.write_all(&held("m1")).unwrap();
    wait_for("it to wait", || {
        (gate.calls.lock().unwrap().len() == 1).then_some(())
    });
    // More than there are places: each gives its own back.
    for number in 0..CALLS_IN_FLIGHT + 2 {
        let call = with(request(&format!("p{number}")), "tool", json!("Panic"));
        assert_eq!(send(&directory.socket(), &line(&call), false), "");
    }
    let failures = gate.failures.lock().unwrap().clone();
    assert_eq!(failures.len(), CALLS_IN_FLIGHT + 2);
    assert!(failures.iter().all(|said| said == "a call worker panicked"));
    *gate.released.0.lock().unwrap() = true;
    gate.released.1.notify_all();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("policy_verdict"), "{answer}");
    let last = send(&directory.socket(), &line(&request("m2")), false);
    assert!(last.contains("policy_verdict"), "{last}");
    // Nobody is waited for in vain.
    let stopped = Instant::now();
    drop(server);
    assert!(stopped.elapsed() < FRAME_DEADLINE);
}

#[test]
fn another_users_process_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return say_skipped(
            "not root: no other user to be",
            "run the tests as root once",
        );
    }
    let Some(python) = python() else { return };
    let (directory, gate, _server) = serve();
    // In real life the directory and the socket's own mode stop it earlier.
    fs::set_permissions(&directory.0, PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(directory.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    let program = "import os, socket, sys\n\
        os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        try: s.sendall(sys.argv[2].encode() + b'\\n')\n\
        except OSError: pass\n\
        print(s.recv(65536).decode(), end='')";
    let output = Command::new(python)
        .args(["-c", program])
        .arg(directory.socket())
        .arg(request("m").to_string())
        .output()
        .unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    is_error(&answer, &String::from_utf8_lossy(&output.stderr));
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    let intrusions = gate.intrusions.lock().unwrap();
    assert_eq!(intrusions[0].0.unwrap().uid, 65534);

    // With the modes that agp sets, it does not even connect.
    fs::set_permissions(directory.socket(), PermissionsExt::from_mode(0o600)).unwrap();
    let connect = "import os, socket, sys\n\
        os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
        socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    let output = Command::new("/usr/bin/env")
        .args(["python3", "-c", connect])
        .arg(directory.socket())
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn the_socket_is_its_owners_alone_and_never_takes_over_another() {
    let (directory, gate, server) = serve();
    assert_eq!(session::mode(&directory.socket()), 0o600);
    assert!(Server::start(&directory.socket(), gate).is_err());
    assert_eq!(server.socket(), directory.socket());
}

#[test]
fn a_gateway_that_stops_waits_for_the_calls_under_way() {
    let (directory, gate, server) = serve();
    let held = with(request("m"), "tool", json!("Hold"));
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    stream.write_all(&line(&held)).unwrap();
    wait_for("it to wait", || gate.calls.lock().unwrap().pop());
    let later = Arc::clone(&gate);
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        *later.released.0.lock().unwrap() = true;
        later.released.1.notify_all();
    });
    drop(server);
    assert!(*gate.released.0.lock().unwrap(), "it did not wait");
    release.join().unwrap();
}

// The asking side.

fn question() -> Message {
    Message::ToolCallRequest {
        id: MessageId::new("m").unwrap(),
        session_id: SessionId::new("s-1").unwrap(),
        tool: "Bash".into(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    }
}

fn completion() -> Message {
    Message::ToolCallReport {
        id: MessageId::new("m").unwrap(),
        session_id: SessionId::new("s-1").unwrap(),
        tool: "Bash".into(),
        args_sha256: Sha256([0; 32]),
        ok: true,
        output: String::new(),
        output_bytes: 0,
    }
}

/// An answer's bytes, whoever wrote them.
fn said(id: &str, session: &str, decision: &str) -> Vec<u8> {
    line(&json!({
        "kind": "policy_verdict",
        "id": id,
        "sessionId": session,
        "verdict": {"decision": decision, "reason": "because", "ruleId": null, "tier": null},
    }))
}

/// A governor that answers one question with these bytes, after this long.
fn governor(directory: &Directory, answer: Vec<u8>, after: Duration) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(directory.socket()).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(&stream).read_line(&mut asked).unwrap();
        thread::sleep(after);
        let _ = stream.write_all(&answer);
    })
}

fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).unwrap();
    bytes.push(b'\n');
    bytes
}

fn ask_of(answer: Vec<u8>) -> Result<Said, AskError> {
    let directory = Directory::new();
    let thread = governor(&directory, answer, Duration::ZERO);
    let verdict = client::ask(
        &Governor::at(&directory.socket()),
        &question(),
        Duration::from_secs(5),
    );
    thread.join().unwrap();
    verdict
}

#[test]
fn an_answer_to_the_question_is_believed() {
    let allow = ask_of(said("m", "s-1", "allow")).unwrap();
    assert_eq!(allow, Said::Allow("because".into()));
    let deny = ask_of(said("m", "s-1", "deny")).unwrap();
    assert_eq!(deny, Said::Deny("because".into()));
}

#[test]
fn no_other_answer_is() {
    let allow = said("m", "s-1", "allow");
    let mismatched = [
        said("other", "s-1", "allow"),
        said("m", "s-2", "allow"),
        // Nobody waits for a human behind the gateway's back.
        said("m", "s-1", "require"),
        line(&json!({"kind": "report_recorded", "id": "m", "sessionId": "s-1"})),
        line(&json!({
            "kind": "tool_call_result", "id": "m", "sessionId": "s-1", "ok": true, "output": "",
        })),
    ];
    for answer in mismatched {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let asked = ask_of(answer);
        assert!(matches!(asked, Err(AskError::Mismatched)), "{shown}");
    }
    let refused = json!({"kind": "error", "id": null, "sessionId": null, "message": "no"});
    let refused = ask_of(line(&refused));
    assert!(matches!(refused, Err(AskError::Refused(_))));
    let broken: [Vec<u8>; 8] = [
        // What is asked is no answer.
        bytes(&question()),
        bytes(&completion()),
        Vec::new(),
        b"\n".to_vec(),
        allow[..allow.len() - 1].to_vec(),
        [&allow[..], &allow[..]].concat(),
        String::from_utf8(allow.clone())
            .unwrap()
            .replace("\"decision\"", "\"decision\":\"deny\",\"decision\"")
            .into(),
        vec![b' '; FRAME_BYTES + 1],
    ];
    for answer in broken {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let asked = ask_of(answer);
        assert!(
            matches!(asked, Err(AskError::Link(_))),
            "{shown:.200}: {asked:?}"
        );
    }
}

#[test]
fn a_late_answer_is_none() {
    let directory = Directory::new();
    let allow = said("m", "s-1", "allow");
    let thread = governor(&directory, allow, Duration::from_millis(300));
    let within = Duration::from_millis(30);
    let asked = client::ask(&Governor::at(&directory.socket()), &question(), within);
    assert!(
        matches!(asked, Err(AskError::Link(FrameError::Late))),
        "{asked:?}"
    );
    thread.join().unwrap();
}

#[test]
fn nobody_there_and_questions_that_are_none() {
    let directory = Directory::new();
    let within = Duration::from_secs(1);
    let asked = client::ask(&Governor::at(&directory.socket()), &question(), within);
    assert!(matches!(asked, Err(AskError::Unreachable(_))));
    // A socket that nobody answers any more.
    drop(UnixListener::bind(directory.socket()).unwrap());
    let asked = client::ask(&Governor::at(&directory.socket()), &question(), within);
    assert!(matches!(asked, Err(AskError::Unreachable(_))));
    let asked = client::ask(&Governor::at(&directory.socket()), &completion(), within);
    assert!(matches!(asked, Err(AskError::Mismatched)));
    let told = client::report(&Governor::at(&directory.socket()), &question(), within);
    assert!(matches!(told, Err(AskError::Mismatched)));
}

#[test]
fn of_a_question_too_long_to_send_is_said_what_it_was() {
    let (directory, gate, _server) = serve();
    let Message::ToolCallRequest {
        id,
        session_id,
        tool,
        actor,
        ..
    } = question()
    else {
        unreachable!()
    };
    let huge = json!("x".repeat(FRAME_BYTES));
    let args = Map::from_iter([("command".to_owned(), huge)]);
    let args_sha256 = args_sha256(&args);
    let huge = Message::ToolCallRequest {
        id,
        session_id,
        tool,
        args,
        actor,
    };
    let asked = client::ask(
        &Governor::at(&directory.socket()),
        &huge,
        Duration::from_secs(5),
    );
    assert_eq!(asked.unwrap(), Said::Deny("nobody can read it".into()));
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
    let told = UnreadableCall {
        id: MessageId::new("m").unwrap(),
        session: SessionId::new("s-1").unwrap(),
        tool: "Bash".into(),
        args_sha256,
        args_bytes: (FRAME_BYTES + r#"{"command":""}"#.len()) as u64,
        why: Unreadable::TooLong,
    };
    assert_eq!(*gate.unread.lock().unwrap(), [told]);
}

#[test]
fn of_a_question_of_too_many_values_is_said_what_it_was() {
    let (directory, gate, _server) = serve();
    let values = |count: usize| Value::from(vec![0; count]);
    let ask = |id: &str, count: usize| {
        let question = Message::ToolCallRequest {
            id: MessageId::new(id).unwrap(),
            session_id: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: Map::from_iter([("command".to_owned(), values(count))]),
            actor: Actor::ClaudeProcess,
        };
        let governor = Governor::at(&directory.socket());
        client::ask(&governor, &question, Duration::from_secs(5)).unwrap()
    };
    assert!(matches!(ask("m1", FRAME_VALUES - 100), Said::Allow(_)));
    assert!(matches!(ask("m2", FRAME_VALUES), Said::Deny(_)));
    let unread = gate.unread.lock().unwrap();
    assert_eq!((unread.len(), unread[0].why), (1, Unreadable::TooMany));
    drop(unread);
    // Whoever sends them all the same is told that it broke the protocol.
    let all = with(
        request("m3"),
        "args",
        json!({"command": values(FRAME_VALUES)}),
    );
    is_error(&send(&directory.socket(), &line(&all), false), "too many");
    assert_eq!(gate.calls.lock().unwrap().len(), 1);
}

#[test]
fn no_answer_lets_a_call_run_that_nobody_could_read() {
    let unreadable = Message::ToolCallUnreadable {
        id: MessageId::new("m").unwrap(),
        session_id: SessionId::new("s-1").unwrap(),
        tool: "Bash".into(),
        args_sha256: Sha256::OF_NOTHING,
        args_bytes: 1,
        why: Unreadable::TooDeep,
    };
    let done = json!({
        "kind": "tool_call_result", "id": "m", "sessionId": "s-1", "ok": true, "output": "",
    });
    for answer in [said("m", "s-1", "allow"), line(&done)] {
        let directory = Directory::new();
        let within = Duration::from_secs(5);
        let thread = governor(&directory, answer.clone(), Duration::ZERO);
        let asked = client::ask(&Governor::at(&directory.socket()), &unreadable, within);
        thread.join().unwrap();
        assert!(matches!(asked, Err(AskError::Mismatched)), "{asked:?}");
        let directory = Directory::new();
        let thread = governor(&directory, answer, Duration::ZERO);
        let called = client::call(&Governor::at(&directory.socket()), &unreadable, within);
        thread.join().unwrap();
        assert!(matches!(called, Err(AskError::Mismatched)), "{called:?}");
    }
}

#[test]
fn a_report_counts_when_it_is_recorded() {
    let (directory, gate, _server) = serve();
    let within = Duration::from_secs(5);
    client::report(&Governor::at(&directory.socket()), &completion(), within).unwrap();
    assert_eq!(gate.reports.lock().unwrap().len(), 1);
    let other = Directory::new();
    let recorded = json!({"kind": "report_recorded", "id": "n", "sessionId": "s-1"});
    let thread = governor(&other, line(&recorded), Duration::ZERO);
    let told = client::report(&Governor::at(&other.socket()), &completion(), within);
    assert!(matches!(told, Err(AskError::Mismatched)));
    thread.join().unwrap();
}

// Whose answer it is.

fn signing_key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate().unwrap().0)
}

/// A governor whose answers are signed, and how it is known.
fn serve_signed() -> (Directory, Server, Governor) {
    let (directory, _, server, known) = serve_proving();
    (directory, server, known)
}

fn serve_proving() -> (Directory, Arc<AllowAll>, Server, Governor) {
    let key = signing_key();
    let (directory, gate, server) = serve_with(Some(Arc::clone(&key)));
    let known = Governor {
        key: Some(key.public().clone()),
        ..Governor::at(&directory.socket())
    };
    (directory, gate, server, known)
}

#[test]
fn who_does_not_show_the_client_file_is_refused_unheard() {
    let (directory, gate, server, known) = serve_proving();
    let within = Duration::from_secs(5);
    let (socket, file) = (directory.socket(), directory.0.join("gate.client"));
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.len(), found.mode() & 0o7777), (0, 0o400));
    fs::copy(&file, directory.0.join("copy")).unwrap();
    let open = |path: &Path, flags| rustix::fs::open(path, flags, Mode::empty()).unwrap();
    let wrong = || {
        let other = open(&directory.0.join("copy"), OFlags::RDONLY);
        // What Landlock lets anybody open.
        let named = open(&file, OFlags::PATH);
        [other, named, open(&directory.0, OFlags::RDONLY)]
    };
    let report = serde_json::to_value(completion()).unwrap();
    let unreadable = json!({
        "kind": "tool_call_unreadable", "id": "m", "sessionId": "s-1", "tool": "Bash",
        "argsSha256": "0".repeat(64), "argsBytes": 9, "why": "too_deep",
    });
    let elsewhere = with(request("m"), "sessionId", json!("s-2"));
    let mut tried = 0;
    for said in [request("m"), report, unreadable, elsewhere] {
        let said = line(&said);
        let shown = wrong().map(|file| send_with(&socket, &said, file));
        for told in shown.into_iter().chain([send(&socket, &said, false)]) {
            let told = is_error(&told, "unproven");
            assert!(
                told["message"]
                    .as_str()
                    .unwrap()
                    .contains("only the session's own"),
                "{told}"
            );
            tried += 1;
        }
        assert_eq!(gate.unproven.lock().unwrap().len(), tried);
    }
    assert!(gate.calls.lock().unwrap().is_empty());
    assert!(gate.reports.lock().unwrap().is_empty());
    assert!(gate.unread.lock().unwrap().is_empty());
    // Nothing that is written in a question shows anything.
    let said = with(request("m"), "token", json!("0".repeat(64)));
    is_error(&send_proven(&socket, &line(&said)), "another field");
    assert!(gate.calls.lock().unwrap().is_empty());
    // Who opens it is answered.
    let allow = client::ask(&known, &question(), within).unwrap();
    assert_eq!(allow, Said::Allow("because".into()));
    client::report(&known, &completion(), within).unwrap();
    assert_eq!(gate.unproven.lock().unwrap().len(), tried);
    drop(server);
    assert!(!file.exists());
}

#[test]
fn a_bridge_opens_the_client_file_beside_the_socket() {
    let (directory, gate, _server, known) = serve_proving();
    let key = known.key.unwrap().to_spki_base64();
    let input = json!({
        "hook_event_name": "PostToolUse", "tool_use_id": "m", "tool_name": "Bash",
        "tool_input": {"command": "true"}, "tool_response": {"stdout": "x"},
    })
    .to_string();
    let report = || {
        let mut bridge = Command::new(env!("CARGO_BIN_EXE_agp-bridge"))
            .args(["bridge", "--session", "s-1", "--answer-key", &key])
            .args(["--event", "post"])
            .args([Path::new("--socket"), &directory.socket()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = bridge.stdin.take().unwrap().write_all(input.as_bytes());
        bridge.wait_with_output().unwrap()
    };
    let [file, kept] = ["gate.client", "kept"].map(|name| directory.0.join(name));
    fs::rename(&file, &kept).unwrap();
    let unproven = report();
    assert_eq!(unproven.status.code(), Some(2), "{unproven:?}");
    assert_eq!(gate.unproven.lock().unwrap().len(), 1);
    symlink(&file, &file).unwrap();
    let broken = report();
    assert_eq!(broken.status.code(), Some(2), "{broken:?}");
    assert!(String::from_utf8_lossy(&broken.stderr).contains("the session's client file"));
    assert_eq!(gate.unproven.lock().unwrap().len(), 1);
    fs::rename(&kept, &file).unwrap();
    let known = report();
    assert_eq!(known.status.code(), Some(0), "{known:?}");
    assert_eq!(gate.reports.lock().unwrap().len(), 1);
}

#[test]
fn the_governors_own_answers_are_believed() {
    let (_directory, _server, known) = serve_signed();
    let within = Duration::from_secs(5);
    let allow = client::ask(&known, &question(), within).unwrap();
    assert_eq!(allow, Said::Allow("because".into()));
    client::report(&known, &completion(), within).unwrap();
    let (_other, _server, known) = serve_signed();
    let other = Governor {
        key: Some(signing_key().public().clone()),
        ..known
    };
    let asked = client::ask(&other, &question(), within);
    assert!(matches!(asked, Err(AskError::Impostor)), "{asked:?}");
    let told = client::report(&other, &completion(), within);
    assert!(matches!(told, Err(AskError::Impostor)), "{told:?}");
}

/// Whoever stands between a hook and the governor, passes on what is asked and hands back what it was
/// told the first time. Gives what it was asked.
fn relay(at: &Path, to: PathBuf, questions: usize) -> thread::JoinHandle<Vec<Value>> {
    let listener = UnixListener::bind(at).unwrap();
    thread::spawn(move || {
        let (mut asked, mut kept) = (Vec::new(), None);
        for _ in 0..questions {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            asked.push(serde_json::from_str(&line).unwrap());
            let answer = kept.get_or_insert_with(|| send_proven(&to, line.as_bytes()));
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    })
}

#[test]
fn an_answer_to_the_same_question_asked_before_is_not_believed() {
    let (directory, _server, known) = serve_signed();
    let between = Directory::new();
    let relay = relay(&between.socket(), directory.socket(), 2);
    let known = Governor {
        socket: between.socket(),
        ..known
    };
    let within = Duration::from_secs(5);
    // Passed on as it is, an answer is the governor's still.
    let allow = client::ask(&known, &question(), within).unwrap();
    assert_eq!(allow, Said::Allow("because".into()));
    let again = client::ask(&known, &question(), within);
    assert!(matches!(again, Err(AskError::Impostor)), "{again:?}");
    let asked = relay.join().unwrap();
    assert_ne!(asked[0]["nonce"], asked[1]["nonce"]);
}

#[test]
fn an_answer_that_is_not_signed_or_was_changed_is_not_believed() {
    let key = signing_key();
    let ask_of = |answer: Vec<u8>| {
        let directory = Directory::new();
        let thread = governor(&directory, answer, Duration::ZERO);
        let known = Governor {
            key: Some(key.public().clone()),
            ..Governor::at(&directory.socket())
        };
        let asked = client::ask(&known, &question(), Duration::from_secs(5));
        thread.join().unwrap();
        asked
    };
    let allow: Value = serde_json::from_slice(&said("m", "s-1", "allow")).unwrap();
    for answer in [
        allow.clone(),
        with(allow.clone(), "proof", json!("")),
        with(allow.clone(), "proof", json!("A".repeat(88))),
    ] {
        let asked = ask_of(line(&answer));
        assert!(matches!(asked, Err(AskError::Impostor)), "{answer}");
    }
    let odd = ask_of(line(&with(allow, "proof", json!(7))));
    assert!(matches!(odd, Err(AskError::Link(_))), "{odd:?}");
    // That there is no answer is a deny, whoever says so.
    let refused = json!({"kind": "error", "id": null, "sessionId": null, "message": "no"});
    assert!(matches!(ask_of(line(&refused)), Err(AskError::Refused(_))));
}

#[test]
fn a_listener_that_has_a_process_id_here_is_told_nothing() {
    let (_directory, _server, known) = serve_signed();
    let outside = Governor {
        outside: true,
        ..known
    };
    let asked = client::ask(&outside, &question(), Duration::from_secs(5));
    assert!(matches!(asked, Err(AskError::Impostor)), "{asked:?}");
    let directory = Directory::new();
    let listener = UnixListener::bind(directory.socket()).unwrap();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    });
    let known = Governor {
        outside: true,
        ..Governor::at(&directory.socket())
    };
    let asked = client::ask(&known, &question(), Duration::from_secs(5));
    assert!(matches!(asked, Err(AskError::Impostor)), "{asked:?}");
    assert_eq!(heard.join().unwrap(), "");
}

#[test]
fn a_nonce_of_another_shape_is_an_error() {
    let (directory, gate, _server) = serve();
    for nonce in [
        json!(""),
        json!("0".repeat(31)),
        json!("A".repeat(32)),
        json!(7),
        json!(null),
    ] {
        let asked = send(
            &directory.socket(),
            &line(&with(request("m"), "nonce", nonce.clone())),
            false,
        );
        is_error(&asked, &nonce.to_string());
    }
    assert_eq!(gate.calls.lock().unwrap().len(), 0);
}
