//! The real harnesses with the Docker sandbox: on the host with their tools in the container, and in
//! the container themselves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, dockerd, governed, responses, session, tls};

mod claude_code;
mod codex_alone;

use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;

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

/// A harness on the host, its tools in a container.
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

/// Claude Code in a container, whose model is the only host that it reaches.
fn inside(daemon: &Dockerd, world: &World, claude: &Path, front: &Front) -> Start {
    let pem = world.root().join("ca.pem");
    fs::write(&pem, &front.pem).unwrap();
    world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .env("AGP_SANDBOX_IMAGE", daemon.with_claude(claude))
        .env("AGP_CLAUDE_SANDBOX", "docker")
        .env("DOCKER_HOST", &daemon.host())
        .env("ANTHROPIC_BASE_URL", &front.url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("NODE_EXTRA_CA_CERTS", pem.to_str().unwrap())
        // The same file twice, and one where the image may have its own.
        .env("SSL_CERT_FILE", "/etc/os-release")
        .env("CODEX_CA_CERTIFICATE", pem.to_str().unwrap())
}

/// A Codex of an operator's whose model stands behind TLS, in a container.
fn codex_inside(daemon: &Dockerd, governed: &Governed, model: &ResponsesDouble) -> (Start, Front) {
    let world = &governed.world;
    chown(world.repo(), Some(INSIDE), Some(INSIDE)).unwrap();
    let front = secured(governed, model);
    let image = daemon.with_codex(&codex::native(&governed.codex));
    let start = world
        .agp(&["run", "--intendant", "codex", "--task", "go"])
        .arguments(&["--repo", world.repo().to_str().unwrap()])
        .arguments(&["--sandbox", "docker"])
        .env("AGP_SANDBOX_IMAGE", image)
        .env("DOCKER_HOST", &daemon.host())
        .env("DOUBLE_KEY", "x")
        .env(
            "CODEX_CA_CERTIFICATE",
            world.root().join("ca.pem").to_str().unwrap(),
        );
    (start, front)
}

/// Has the operator's configuration name this model behind TLS.
fn secured(governed: &Governed, model: &ResponsesDouble) -> Front {
    governed.configure(model, "");
    let config = governed.operators().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let base = model.base_url();
    let address = base.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap();
    let front = Front::before(address.parse().unwrap());
    let text = text.replace(&format!("http://{address}"), &front.url());
    fs::write(&config, text).unwrap();
    fs::write(governed.world.root().join("ca.pem"), &front.pem).unwrap();
    front
}

/// A program of an image in whose place another stands, which changes what agp asks of it.
fn image_with(daemon: &Dockerd, image: &str, program: &str, script: &str) -> String {
    let name = format!("agp-other-{}:1", program.rsplit('/').next().unwrap());
    let dir = std::env::temp_dir().join(format!("agp-other-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let other = dir.join("other");
    fs::write(&other, script).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let made = daemon.ask(&["create", image, "true"]);
    let real = dir.join("real");
    daemon.ask(&["cp", &format!("{made}:{program}"), real.to_str().unwrap()]);
    daemon.ask(&[
        "cp",
        real.to_str().unwrap(),
        &format!("{made}:{program}.real"),
    ]);
    daemon.ask(&["cp", other.to_str().unwrap(), &format!("{made}:{program}")]);
    daemon.ask(&["commit", &made, &name]);
    daemon.ask(&["rm", &made]);
    fs::remove_dir_all(&dir).unwrap();
    name
}

#[test]
fn a_harness_of_an_image_that_is_not_gated_is_refused_before_the_task() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    // A Claude Code that calls no hook.
    let world = world();
    let model = turns(vec![vec![governed::bash("t1", "echo ran >ran")]]);
    let front = Front::before(model.address());
    let script = "#!/bin/bash\nexport CLAUDE_CODE_SIMPLE=1\nexec /usr/bin/claude.real \"$@\"\n";
    let image = image_with(
        daemon,
        daemon.with_claude(&claude),
        "/usr/bin/claude",
        script,
    );
    inside(daemon, &world, &claude, &front)
        .env("AGP_SANDBOX_IMAGE", &image)
        .run()
        .exited(1)
        .complained(&["the gate failed", "do not use this harness under agp"]);
    assert!(model.result_of("t1").is_none() && world.get("ran").is_none());
    assert!(world.events("session.started").is_empty());
    world.event("session.refused");

    // A Codex that has a shell of its own.
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let script = "#!/bin/sh\nfor word; do shift; case $word in \
        features.shell_tool=false) word=features.shell_tool=true;; \
        features.unified_exec=false) word=features.unified_exec=true;; \
        esac; set -- \"$@\" \"$word\"; done\nexec /bin/codex.real \"$@\"\n";
    let model = ResponsesDouble::start(vec![vec![responses::Call::shell("c1", "echo ran >ran")]]);
    let (start, _front) = codex_inside(daemon, &governed, &model);
    let codex = daemon.with_codex(&codex::native(&governed.codex));
    let image = image_with(daemon, codex, "/bin/codex", script);
    start
        .env("AGP_SANDBOX_IMAGE", &image)
        .run()
        .exited(1)
        .complained(&["the gate failed: Codex offers its model tools"]);
    assert!(governed.world.get("ran").is_none());
    assert!(governed.world.events("session.started").is_empty());
}
