//! The real harnesses with the Docker sandbox: on the host with their tools in the container, and in
//! the container themselves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support modules serve other tests too, with more than these use"
)]

#[path = "support/codex.rs"]
mod codex;
#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "support/governed.rs"]
mod governed;
#[path = "support/model.rs"]
mod model;
#[path = "support/responses.rs"]
mod responses;
#[path = "support/session.rs"]
mod session;
#[path = "support/tls.rs"]
mod tls;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;

use codex::Governed;
use dockerd::{BUSYBOX, Dockerd};
use governed::mediated::{bash, call};
use governed::turns;
use responses::ResponsesDouble;
use serde_json::json;
use session::{Start, World, claude, wait_for};
use tls::Front;

/// The user inside, where the operator is root.
const INSIDE: u32 = 65534;

fn world() -> World {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    chown(world.repo(), Some(INSIDE), Some(INSIDE)).unwrap();
    world
}

fn in_docker(start: Start, daemon: &Dockerd) -> Start {
    start
        .arguments(&["--sandbox", "docker", "--image", BUSYBOX])
        .env("DOCKER_HOST", &daemon.host())
}

/// What every session of these must leave.
fn held(daemon: &Dockerd, world: &World, calls: &[&str]) {
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["intendant"]["mode"], "mediated");
    assert_eq!(started["sandbox"]["kind"], "docker");
    assert_eq!(started["sandbox"]["harness"]["kind"], "process");
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["netcheck"], "held");
    for id in calls {
        let kinds = ["tool_call.allow", "tool_call.executed"];
        assert_eq!(world.kinds_of(id), kinds, "{id}");
    }
    let executed = world.events("tool_call.executed");
    assert!(
        executed
            .iter()
            .all(|event| event["payload"]["sandbox"] == "docker")
    );
    daemon.without(started["sessionId"].as_str().unwrap());
    world.verifies();
}

#[test]
fn claude_codes_tools_run_in_the_container() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let path = world.path("new.txt");
    let model = turns(vec![
        vec![call(
            "t1",
            "Write",
            json!({"file_path": path, "content": "one\ntwo\n"}),
        )],
        vec![bash(
            "t2",
            "cat new.txt; pwd; id -u; ls /usr/bin/env /bin/busybox",
        )],
        vec![call("t3", "Read", json!({"file_path": path}))],
        vec![bash("t4", "cat /root/.bashrc; exit 3")],
    ]);
    let start = governed::mediated::run(&world, &claude, &model);
    let ran = in_docker(start, daemon).run().succeeded();
    ran.complained(&["mode: mediated", "run in the Docker sandbox"]);
    let told = |id: &str| model.result_of(id).unwrap().text;
    let shell = told("t2");
    assert!(
        shell.contains("one\ntwo\n") && shell.contains("\n65534\n"),
        "{shell}"
    );
    // The harness and its tools know the repository by one name.
    assert!(shell.contains(world.repo().to_str().unwrap()), "{shell}");
    // The container's programs, not the host's.
    assert!(
        shell.contains("/bin/busybox") && shell.contains("/usr/bin/env: No such file"),
        "{shell}"
    );
    assert_eq!(told("t3"), "1\tone\n2\ttwo\n3\t");
    assert!(told("t4").starts_with("Exit code 3"), "{}", told("t4"));
    assert_eq!(world.get("new.txt").unwrap(), "one\ntwo\n");
    held(daemon, &world, &["t1", "t2", "t3", "t4"]);
}

#[test]
fn codexs_tools_run_in_the_container() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    chown(world.repo(), Some(INSIDE), Some(INSIDE)).unwrap();
    let path = world.path("new.txt");
    let model = ResponsesDouble::start(vec![
        vec![responses::Call::mediated(
            "c1",
            "Write",
            &json!({"file_path": path, "content": "one\n"}),
        )],
        vec![responses::Call::mediated(
            "c2",
            "Bash",
            &json!({"command": "cat new.txt; id -u; ls /bin/busybox"}),
        )],
    ]);
    governed.configure(&model, "");
    in_docker(governed.default_mode(), daemon).run().succeeded();
    let told = model.result_of("c2").unwrap();
    assert!(
        told.contains("65534") && told.contains("/bin/busybox"),
        "{told}"
    );
    assert_eq!(world.get("new.txt").unwrap(), "one\n");
    held(daemon, world, &["c1", "c2"]);
}

/// Claude Code in a container, whose model is the only host that it reaches.
fn inside(daemon: &Dockerd, world: &World, claude: &Path, front: &Front) -> Start {
    let pem = world.root().join("ca.pem");
    fs::write(&pem, &front.pem).unwrap();
    world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .arguments(&["--image", daemon.with_claude(claude)])
        .env("AGP_CLAUDE_SANDBOX", "docker")
        .env("DOCKER_HOST", &daemon.host())
        .env("ANTHROPIC_BASE_URL", &front.url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("NODE_EXTRA_CA_CERTS", pem.to_str().unwrap())
}

#[test]
fn claude_code_in_a_container_is_gated_and_reaches_its_model_alone() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    world.policy(&[("allow", "Bash"), ("deny", "Write")]);
    // What a repository can say for itself.
    world.put(
        ".claude/settings.json",
        r#"{"disableAllHooks":true,"permissions":{"allow":["*"]}}"#,
    );
    let tries = "id -u; pwd; ls /usr/bin/claude; \
        echo x >/etc/claude-code/managed-settings.json; rm -f /etc/claude-code/managed-settings.json; \
        echo '{\"disableAllHooks\":true}' >$HOME/.claude/settings.json; \
        nc -w 1 1.1.1.1 443 </dev/null || echo no way out; \
        printf 'CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\n' | nc -w 5 127.0.0.1 ${HTTPS_PROXY##*:} | head -1; \
        ls -ln /run/agp/gate.sock; echo made >made";
    let write = |id: &str| {
        let input = json!({"file_path": "/repo/denied.txt", "content": "x"});
        governed::call(id, "Write", input)
    };
    let model = turns(vec![
        vec![governed::bash("t1", tries)],
        vec![write("t2")],
        vec![governed::bash("t3", "cat made; exit 3")],
    ]);
    let front = Front::before(model.address());
    let ran = inside(daemon, &world, &claude, &front).run().succeeded();
    ran.complained(&["mode: hook (in a container)", "egress: the harness reaches"]);
    let told = model.result_of("t1").unwrap().text;
    for part in [
        "65534\n/repo\n/usr/bin/claude\n",
        "no way out",
        "HTTP/1.1 403",
        "srw------- ",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(
        model
            .result_of("t2")
            .unwrap()
            .text
            .contains("Write is deny here")
    );
    assert_eq!(world.get("made").unwrap(), "made\n");
    assert!(world.get("denied.txt").is_none());
    world.each_decided_by(&["gate.allow", "gate.deny"], &["t1", "t2", "t3"]);

    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["intendant"]["mode"], "hook");
    assert_eq!(started["sandbox"]["kind"], "docker");
    assert_eq!(started["egress"], "allowlist");
    assert_eq!(started["probed"], false);
    let own = format!("localhost:{}", front.address.port());
    assert_eq!(started["egressAllowed"], json!([own]));
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["interfaces"], json!(["lo"]));
    let allowed = world.events("egress.allow");
    let port = json!(front.address.port());
    assert!(!allowed.is_empty() && allowed.iter().all(|event| event["payload"]["port"] == port));
    assert!(
        allowed
            .iter()
            .all(|event| event["payload"]["from"] == "harness")
    );
    let denied = world.events("egress.deny");
    assert!(
        denied
            .iter()
            .any(|event| event["payload"]["host"] == "example.com"),
        "{denied:#?}"
    );
    daemon.without(started["sessionId"].as_str().unwrap());
    world.verifies();
}

#[test]
fn a_harness_in_a_container_that_vanishes_ends_the_session() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let model = turns(vec![vec![governed::bash(
        "t1",
        "echo begun >begun; sleep 100",
    )]]);
    let front = Front::before(model.address());
    let live = inside(daemon, &world, &claude, &front).start();
    wait_for("the call", || world.get("begun"));
    let lease = world.lease();
    let session = lease.session;
    // The gateway is the container's user's: even root of this host is told to go.
    let socket = lease.directory.join("container/gate.sock");
    assert_eq!(session::mode(&socket), 0o600);
    assert_eq!(fs::metadata(&socket).unwrap().uid(), INSIDE);
    let mut told = String::new();
    let mut peer = UnixStream::connect(&socket).unwrap();
    peer.read_to_string(&mut told).unwrap();
    assert!(told.contains("serves another user"), "{told}");
    daemon.ask(&["rm", "--force", &daemon.containers(&session)[0]]);
    live.finish().exited(3).complained(&["the sandbox is gone"]);
    assert_eq!(world.event("session.ended")["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn a_harness_in_a_container_needs_its_login_by_name_and_itself_in_the_image() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let model = turns(vec![]);
    let front = Front::before(model.address());
    let start = || inside(daemon, &world, &claude, &front);
    start()
        .without("ANTHROPIC_API_KEY")
        .run()
        .exited(1)
        .complained(&["gets its login by name", "claude setup-token"]);
    start()
        .env("AGP_SANDBOX_IMAGE", BUSYBOX)
        .without("AGP_CLAUDE_SANDBOX")
        .arguments(&["--sandbox", "docker", "--confine", "strict"])
        .run()
        .exited(2)
        .complained(&["--confine is for a harness on this host"]);
    world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .arguments(&["--sandbox", "docker", "--image", BUSYBOX])
        .env("DOCKER_HOST", &daemon.host())
        .env("ANTHROPIC_API_KEY", "x")
        .run()
        .exited(1)
        .complained(&["claude", "docs/images.md"]);
    world
        .agp(&[
            "run",
            "--intendant",
            "codex",
            "--mode",
            "hook",
            "--task",
            "go",
        ])
        .arguments(&["--sandbox", "docker", "--image", BUSYBOX])
        .run()
        .exited(1)
        .complained(&["Codex in a container is not in this version of agp"]);
}

/// The harness on the host reaches its model; what its tools run in the container reaches what is
/// listed, and has a secret that no model sees.
#[test]
fn with_a_list_codex_reaches_its_model_and_its_container_what_is_listed() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let rules = json!({"rules": [
        {"id": "bash", "effect": "allow", "tool": "Bash", "secrets": ["TOKEN"]},
    ]});
    fs::write(world.agp_home().join("policy.json"), rules.to_string()).unwrap();
    chown(world.repo(), Some(INSIDE), Some(INSIDE)).unwrap();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listed = format!("localhost:{}", listening.local_addr().unwrap().port());
    let ask = |host: &str| {
        format!(
            "printf 'CONNECT {host} HTTP/1.1\\r\\n\\r\\n' | nc -w 5 127.0.0.1 ${{HTTPS_PROXY##*:}} | head -1"
        )
    };
    let command = format!(
        "{}; {}; nc -w 1 1.1.1.1 443 </dev/null || echo no way out; echo {{{{secret:TOKEN}}}} | tee got",
        ask(&listed),
        ask("example.com:443")
    );
    let call = responses::Call::mediated("c1", "Bash", &json!({"command": command}));
    let model = ResponsesDouble::start(vec![vec![call]]);
    governed.configure(&model, "");
    let config = governed.operators().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let base = model.base_url();
    let address = base.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap();
    let front = Front::before(address.parse().unwrap());
    let secured = text.replace(&format!("http://{address}"), &front.url());
    fs::write(&config, secured).unwrap();
    let pem = world.root().join("ca.pem");
    fs::write(&pem, &front.pem).unwrap();
    let value = "a value that no model sees";
    let start = governed
        .default_mode()
        .arguments(&["--egress-allow", &listed])
        .env("CODEX_CA_CERTIFICATE", pem.to_str().unwrap())
        .env("SSL_CERT_FILE", pem.to_str().unwrap())
        .env("AGP_SECRET_TOKEN", value);
    in_docker(start, daemon).run().succeeded();
    let told = model.result_of("c1").unwrap();
    for part in [
        "HTTP/1.1 200",
        "HTTP/1.1 403",
        "no way out",
        "[redacted:TOKEN]",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(!model.was_told(value));
    assert_eq!(world.get("got").unwrap(), format!("{value}\n"));
    let executed = world.event("tool_call.executed")["payload"].clone();
    assert_eq!(executed["secretsUsed"], json!(["TOKEN"]));
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["egressAllowed"], json!([listed]));
    let own = format!("localhost:{}", front.address.port());
    assert_eq!(started["harnessEgressAllowed"], json!([own, listed]));
    let from = |from: &str, kind: &str| {
        let events = world.events(kind).into_iter();
        let own = events.filter(|event| event["payload"]["from"] == from);
        own.map(|event| event["payload"]["host"].clone())
            .collect::<Vec<_>>()
    };
    assert!(from("harness", "egress.allow").contains(&json!("localhost")));
    assert!(from("call", "egress.deny").contains(&json!("example.com")));
    held(daemon, world, &["c1"]);
}
