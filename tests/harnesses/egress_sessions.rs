//! Sessions that may reach listed hosts and nothing else: scripts in the process sandbox, and the
//! real Claude Code and Codex on this host, whose model is such a host.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, governed, responses, session, tls};

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use session::{Start, World, python};
use tls::Front;

/// A small web server, which counts who comes.
struct Web {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&came);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let _ = stream.read(&mut [0; 8192]);
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nreached\n";
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        Self { address, came }
    }
}

/// Fetches each URL that is named by its arguments, through the proxy that its environment names,
/// and tries every short way besides.
const FETCH: &str = r#"
import os, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])

def through(host, port, name):
    proxy = os.environ["HTTPS_PROXY"].split("/")[2].split(":")
    stream = socket.create_connection((proxy[0], int(proxy[1])), 20)
    stream.sendall(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (host.encode(), port))
    answer = b""
    while b"\r\n\r\n" not in answer:
        block = stream.recv(4096)
        if not block:
            raise OSError("closed")
        answer += block
    if b" 200 " not in answer:
        raise OSError(answer.split(b"\r\n")[0].decode())
    secured = context.wrap_socket(stream, server_hostname=name)
    secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return secured.recv(4096)

def direct(host, port):
    socket.create_connection((host, port), 5)

def unix(path):
    socket.socket(socket.AF_UNIX).connect(path)

port, web = int(sys.argv[2]), int(sys.argv[3])
for name, attempt in {
    "listed": lambda: through("localhost", port, "localhost"),
    "other-port": lambda: through("localhost", web, "localhost"),
    "other-name": lambda: through("example.com", 443, "example.com"),
    "fronted": lambda: through("localhost", port, "example.com"),
    "address": lambda: through("127.0.0.1", port, "localhost"),
    "direct": lambda: direct("127.0.0.1", port),
    "direct-web": lambda: direct("127.0.0.1", web),
    "direct-out": lambda: direct("192.0.2.1", 443),
    "resolve": lambda: socket.getaddrinfo("example.com", 443),
}.items():
    try:
        attempt()
        print(name, "done")
    except OSError as error:
        print(name, "refused", error)
"#;

/// What must not be had in any way.
const REFUSED: [&str; 8] = [
    "other-port",
    "other-name",
    "fronted",
    "address",
    "direct",
    "direct-web",
    "direct-out",
    "resolve",
];

fn script(world: &World, calls: &[Value]) -> PathBuf {
    let lines: Vec<String> = calls.iter().map(Value::to_string).collect();
    let path = world.root().join("script");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn scripted(world: &World, command: &str, more: &[&str]) -> Start {
    let call = json!({"tool": "Bash", "args": {"command": command}});
    let script = script(world, &[call]);
    world
        .agp(&[
            "run",
            "--sandbox",
            "process",
            "--script",
            script.to_str().unwrap(),
        ])
        .arguments(more)
}

/// Lays out a listed web server and one that is not, and the command that tries both.
struct Laid {
    web: Web,
    front: Front,
    command: String,
    listed: String,
}

fn laid(world: &World) -> Laid {
    let web = Web::start();
    let front = Front::before(web.address);
    world.put("fetch.py", FETCH);
    world.put("ca.pem", &front.pem);
    let command = format!(
        "/usr/bin/python3 fetch.py ca.pem {} {}",
        front.address.port(),
        web.address.port()
    );
    let listed = format!("localhost:{}", front.address.port());
    Laid {
        web,
        front,
        command,
        listed,
    }
}

fn assert_tried(said: &str) {
    assert!(said.contains("listed done"), "{said}");
    for name in REFUSED {
        assert!(said.contains(&format!("{name} refused")), "{name}:\n{said}");
    }
}

/// What the journal says of it: what was let out, and what was refused.
fn recorded(world: &World, laid: &Laid, from: &str) {
    let port = laid.front.address.port();
    let allowed = world.events("egress.allow");
    let phases: Vec<&str> = allowed
        .iter()
        .filter(|event| event["payload"]["from"] == from)
        .map(|event| event["payload"]["phase"].as_str().unwrap())
        .collect();
    assert!(
        phases.contains(&"open") && phases.contains(&"closed"),
        "{phases:?}"
    );
    for event in &allowed {
        assert_eq!(event["payload"]["host"], "localhost");
        assert_eq!(event["payload"]["port"], port);
        assert_eq!(event["actor"], "claude_process");
        assert!(event["payload"]["sessionId"].is_string());
    }
    let reasons: Vec<String> = world
        .events("egress.deny")
        .iter()
        .filter(|event| event["payload"]["from"] == from)
        .map(|event| event["payload"]["reason"].as_str().unwrap().to_owned())
        .collect();
    for reason in ["not-listed", "other-server-name", "address-not-listed"] {
        assert!(reasons.iter().any(|had| had == reason), "{reasons:?}");
    }
    world.verifies();
}

#[test]
fn a_script_in_the_process_sandbox_reaches_its_listed_host_and_nothing_else() {
    let Some(_) = python() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let laid = laid(&world);
    let ran = scripted(&world, &laid.command, &["--egress-allow", &laid.listed]).run();
    let ran = ran.succeeded();
    assert_tried(&ran.out);
    ran.complained(&[
        "egress: commands can reach only localhost:",
        "egress denied: example.com:443 to a call: this host is not allowed (--egress-allow)",
        "the TLS server name differs from the requested host (server name: ",
    ]);
    recorded(&world, &laid, "call");
    world
        .agp(&["log", "--kind", "egress.deny"])
        .run()
        .said(&["host=example.com port=443 reason=not-listed"]);
    assert_eq!(laid.web.came.load(Ordering::SeqCst), 1);
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["egress"], "allowlist");
    assert_eq!(started["egressAllowed"], json!([laid.listed]));
    let attested = &world.event("sandbox.attested")["payload"];
    assert_eq!(attested["letOut"].as_array().unwrap().len(), 1);
    assert_eq!(attested["tried"]["unlisted"], 5);
    assert!(
        attested["isolated"]
            .to_string()
            .contains("but for listed hosts")
    );
}

#[test]
fn without_it_a_script_has_no_network_and_with_full_it_has_the_hosts() {
    let Some(_) = python() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let laid = laid(&world);
    let command = format!(
        "/usr/bin/python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {}), 5); print(\"in\", \"reach\")'",
        laid.web.address.port()
    );
    let none = scripted(&world, &command, &[]).run().succeeded();
    assert!(!none.out.contains("in reach"), "{}", none.out);
    let none = scripted(&world, &command, &["--egress", "none"])
        .run()
        .succeeded();
    assert!(!none.out.contains("in reach"), "{}", none.out);
    scripted(&world, &command, &["--egress", "full"])
        .run()
        .succeeded()
        .said(&["in reach"])
        .complained(&["WARNING: --egress full"]);
    let modes: Vec<Value> = world
        .events("session.started")
        .iter()
        .map(|event| event["payload"]["egress"].clone())
        .collect();
    assert_eq!(modes, ["none", "none", "full"]);
    let attested = world.events("sandbox.attested");
    assert!(
        attested[2]["payload"]["notIsolated"]
            .to_string()
            .contains("network")
    );
}

#[test]
fn what_is_asked_for_in_other_words_is_refused_before_anything_starts() {
    let world = World::new();
    for (more, said) in [
        (&["--egress", "some"][..], "none, full or allowlist"),
        (
            &["--egress", "full", "--egress-allow", "a.test"],
            "--egress allowlist",
        ),
        (
            &["--egress-allow", "https://a.test"],
            "without scheme or path",
        ),
        (&["--egress-allow", "*"], "--egress full"),
        (&["--egress-allow", "*.com"], "top-level"),
        (
            &["--sandbox", "recording", "--egress", "full"],
            "runs nothing",
        ),
        (
            &[
                "--intendant",
                "claude-code",
                "--task",
                "t",
                "--egress",
                "none",
            ],
            "cut the harness off from its model",
        ),
        (
            &["--intendant", "codex", "--mode", "hook", "--task", "t"],
            "Codex does not support hook mode",
        ),
    ] {
        let sandbox: &[&str] = match more.first() {
            Some(&("--sandbox" | "--intendant")) => &[],
            _ => &["--sandbox", "process"],
        };
        let ran = world.agp(&["run"]).arguments(sandbox).arguments(more).run();
        let ran = ran.exited(2);
        assert!(ran.err.contains(said), "{more:?}: {}", ran.err);
    }
    // The same from the environment and the file, which the flag beats.
    let ran = world
        .agp(&["run", "--sandbox", "process"])
        .env("AGP_SANDBOX_EGRESS", "allowlist")
        .env("AGP_SANDBOX_EGRESS_ALLOWLIST", "a.test,b.test:x")
        .run()
        .exited(2);
    assert!(
        ran.err
            .contains("AGP_SANDBOX_EGRESS_ALLOWLIST: \"b.test:x\""),
        "{}",
        ran.err
    );
    let config = json!({"sandbox": {"egress": "allowlist", "allowlist": ["*.net"]}});
    fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
    let run = |more: &[&str]| {
        let run = world.agp(&["run", "--sandbox", "process"]);
        run.arguments(more).run()
    };
    let ran = run(&[]).exited(2);
    assert!(
        ran.err.contains("sandbox.allowlist: \"*.net\""),
        "{}",
        ran.err
    );
    run(&["--egress", "none"]).succeeded();
    assert_eq!(world.event("session.started")["payload"]["egress"], "none");
}

/// A model double behind TLS, at a listed host of this machine.
fn fronted(world: &World, model: SocketAddr) -> (Front, [String; 2]) {
    let front = Front::before(model);
    let pem = world.root().join("model.pem");
    fs::write(&pem, &front.pem).unwrap();
    let listed = format!("localhost:{}", front.address.port());
    (front, [listed, pem.to_str().unwrap().to_owned()])
}

#[test]
fn claude_code_on_this_host_reaches_its_model_and_nothing_else() {
    let (Some(claude), Some(_)) = (session::claude(), python()) else {
        return;
    };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let laid = laid(&world);
    let model = governed::turns(vec![vec![governed::bash("t1", &laid.command)]]);
    let (front, [_, pem]) = fronted(&world, model.address());
    let ran = governed::run(&world, &claude, &model)
        .arguments(&["--egress-allow", &laid.listed])
        .env("ANTHROPIC_BASE_URL", &front.url())
        .env("NODE_EXTRA_CA_CERTS", &pem)
        .run()
        .succeeded();
    ran.complained(&["egress: the harness can reach only localhost:"]);
    assert_tried(&(model.result_of("t1").unwrap().text + "\n"));
    assert_eq!(laid.web.came.load(Ordering::SeqCst), 1);
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["egress"], "allowlist");
    let own = format!("localhost:{}", front.address.port());
    assert_eq!(started["egressAllowed"], json!([own, laid.listed]));
    assert_eq!(started["sandbox"]["network"], "allowlist");
    let allowed = world.events("egress.allow");
    let ports = allowed
        .iter()
        .map(|event| event["payload"]["port"].as_u64());
    assert!(
        ports
            .flatten()
            .any(|port| port == u64::from(front.address.port()))
    );
    let denied = world.events("egress.deny");
    let hosts: Vec<&Value> = denied
        .iter()
        .map(|event| &event["payload"]["host"])
        .collect();
    assert!(
        hosts.iter().any(|host| **host == "example.com"),
        "{hosts:?}"
    );
    assert_eq!(
        world.event("sandbox.attested")["payload"]["tried"]["unlisted"],
        5
    );
    world.verifies();
}

/// Asks the proxy for each host that is named by an argument.
const CONNECTS: &str = r#"
import os, socket, sys
for host in sys.argv[1:]:
    proxy = os.environ["HTTPS_PROXY"].split("/")[2].split(":")
    stream = socket.create_connection((proxy[0], int(proxy[1])), 60)
    stream.sendall(b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % host.encode())
    print(stream.recv(4096).decode())
"#;

#[test]
fn by_default_a_harness_has_its_model_and_what_the_policy_and_allowed_calls_name() {
    let (Some(claude), Some(_)) = (session::claude(), python()) else {
        return;
    };
    let world = World::new();
    let policy = json!({"base": "standard", "rules": [
        {"id": "no-pages", "effect": "deny", "when": {"host": ["denied.test"]}},
        {"id": "pages", "effect": "allow", "when": {"host": ["open.test"]}}]});
    fs::write(world.agp_home().join("policy.json"), policy.to_string()).unwrap();
    world.put("connects.py", CONNECTS);
    let hosts = ["open.test", "other.test", "denied.test", "asked.test"];
    let connects = format!("python3 connects.py {}", hosts.join(" "));
    let model = governed::turns(vec![
        vec![governed::bash("t1", &connects)],
        vec![governed::bash("t2", "curl -sS https://asked.test/")],
        vec![governed::bash("t3", &connects)],
    ]);
    let (front, [_, pem]) = fronted(&world, model.address());
    let ran = governed::run(&world, &claude, &model)
        .env("ANTHROPIC_BASE_URL", &front.url())
        .env("NODE_EXTRA_CA_CERTS", &pem)
        .env("AGP_AUTO_APPROVE", "1")
        .run()
        .succeeded();
    ran.complained(&["hosts that the policy allows, and those of allowed calls"]);
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["egress"], "allowlist");
    assert_eq!(started["egressByPolicy"], true);
    // The repository's code asks nobody; the new host does.
    let asked = world.events("tool_call.require");
    let asked: Vec<&Value> = asked
        .iter()
        .map(|event| &event["payload"]["messageId"])
        .collect();
    assert_eq!(asked, ["t2"]);
    let denied = world.events("egress.deny");
    let denied = denied.iter().map(|event| &event["payload"]);
    let denied = denied.filter(|of| hosts.iter().any(|host| of["host"] == *host));
    let denied: Vec<_> = denied
        .map(|of| (of["host"].as_str().unwrap(), of["reason"].as_str().unwrap()))
        .collect();
    let unresolved = |host| (host, "not-resolved");
    let rest = [("other.test", "not-listed"), ("denied.test", "policy")];
    let once = [vec![unresolved("open.test")], rest.to_vec()].concat();
    let mut expected = once.clone();
    expected.push(("asked.test", "not-listed"));
    // The call that was allowed reaches it, and what follows does.
    expected.push(unresolved("asked.test"));
    expected.extend(once);
    expected.push(unresolved("asked.test"));
    assert_eq!(denied, expected);
    world.verifies();
}

#[test]
fn in_mediated_mode_the_harness_reaches_its_model_and_its_calls_what_is_listed() {
    let (Some(claude), Some(_)) = (session::claude(), python()) else {
        return;
    };
    for listed in [false, true] {
        let world = World::new();
        world.policy(&[("allow", "Bash")]);
        let laid = laid(&world);
        let call = governed::mediated::bash("t1", &laid.command);
        let model = governed::turns(vec![vec![call]]);
        let (front, [_, pem]) = fronted(&world, model.address());
        let mut start = governed::mediated::run(&world, &claude, &model)
            .arguments(&["--egress", "allowlist"])
            .env("ANTHROPIC_BASE_URL", &front.url())
            .env("NODE_EXTRA_CA_CERTS", &pem);
        if listed {
            start = start.arguments(&["--egress-allow", &laid.listed]);
        }
        start.run().succeeded();
        let said = model.result_of("t1").unwrap().text + "\n";
        let started = &world.event("session.started")["payload"];
        let own = format!("localhost:{}", front.address.port());
        assert_eq!(started["harnessEgress"], "allowlist");
        if listed {
            assert_tried(&said);
            assert_eq!(started["egressAllowed"], json!([laid.listed]));
            recorded_calls(&world);
        } else {
            assert!(
                said.contains("KeyError") || !said.contains("done"),
                "{said}"
            );
            assert_eq!(started["egress"], "none");
            assert_eq!(started["harnessEgressAllowed"], json!([own]));
            assert_eq!(laid.web.came.load(Ordering::SeqCst), 0);
        }
        world.verifies();
    }
}

fn recorded_calls(world: &World) {
    let allowed = world.events("egress.allow");
    for from in ["harness", "call"] {
        assert!(
            allowed.iter().any(|event| event["payload"]["from"] == from),
            "{from}"
        );
    }
}

#[test]
fn codex_on_this_host_reaches_its_model_and_its_calls_what_is_listed() {
    let Some(governed) = codex::Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    let laid = laid(world);
    let call = responses::Call::mediated("c1", "Bash", &json!({"command": laid.command}));
    let model = responses::ResponsesDouble::start(vec![vec![call]]);
    governed.configure(&model, "");
    let config = governed.operators().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let at = text.split("http://").nth(1).unwrap();
    let address: SocketAddr = at.split('/').next().unwrap().parse().unwrap();
    let (front, [own, pem]) = fronted(world, address);
    let text = text.replace(&format!("http://{address}"), &front.url());
    fs::write(&config, text).unwrap();
    governed
        .start()
        .arguments(&["--egress-allow", &laid.listed])
        .env("CODEX_CA_CERTIFICATE", &pem)
        .env("SSL_CERT_FILE", &pem)
        .run()
        .succeeded();
    assert_tried(&model.result_of("c1").unwrap().replace("\\n", "\n"));
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["egressAllowed"], json!([laid.listed]));
    assert_eq!(started["harnessEgressAllowed"], json!([own, laid.listed]));
    recorded_calls(world);
    world.verifies();
}
