//! Claude Code: on the host with its tools in the container, and in the container itself.

use super::*;

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
        ls -ln /run/agp/gate.sock; cat /run/agp/gate.client 2>&1; echo \"PATH:$PATH:\"; echo made >made";
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
    ran.complained(&[
        "Gate self-test passed: Claude Code",
        "in a container: the denied call was blocked",
        "mode: hook (in a container)",
        "egress: the harness can reach",
    ]);
    let told = model.result_of("t1").unwrap().text;
    for part in [
        "65534\n/repo\n/usr/bin/claude\n",
        "no way out",
        "HTTP/1.1 403",
        "srw------- ",
        "can't open '/run/agp/gate.client': Permission denied",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    // What the harness has first on it is not a command's.
    assert!(told.contains("PATH:/usr/"), "{told}");
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
    assert_eq!(started["probed"], true);
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
    assert!(told.contains("belongs to another user"), "{told}");
    daemon.ask(&["rm", "--force", &daemon.containers(&session)[0]]);
    live.finish().exited(3).complained(&["the sandbox ended"]);
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
        .env("SSL_CERT_FILE", "/nonexistent/ca.pem")
        .run()
        .exited(2)
        .complained(&["SSL_CERT_FILE=/nonexistent/ca.pem", "unset SSL_CERT_FILE"]);
    start()
        .without("ANTHROPIC_API_KEY")
        .run()
        .exited(1)
        .complained(&["no login for the harness", "claude setup-token"]);
    start()
        .env("AGP_SANDBOX_IMAGE", BUSYBOX)
        .without("AGP_CLAUDE_SANDBOX")
        .arguments(&["--sandbox", "docker", "--confine", "strict"])
        .run()
        .exited(2)
        .complained(&["--confine applies only to a harness on this host"]);
    world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .arguments(&["--sandbox", "docker", "--image", BUSYBOX])
        .env("DOCKER_HOST", &daemon.host())
        .env("ANTHROPIC_API_KEY", "x")
        .run()
        .exited(1)
        .complained(&["cannot start claude in the image", "docs/images.md"]);
}

#[test]
fn a_harness_in_a_container_that_fills_the_disk_is_ended_while_there_is_room() {
    let Some(claude) = claude() else { return };
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let disk = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(world.repo());
        assert!(command.status().unwrap().success());
    };
    let small = "size=64m,mode=0777,uid=65534";
    disk(&["mount", "-t", "tmpfs", "-o", small, "agp-test"]);
    let fill = "dd if=/dev/zero of=full bs=64k; dd if=/dev/zero of=full2 bs=64k; sleep 100";
    let model = turns(vec![vec![governed::bash("t1", fill)]]);
    let front = Front::before(model.address());
    let ran = inside(daemon, &world, &claude, &front)
        .arguments(&["--no-probe"])
        .run();
    disk(&["umount", "-l"]);
    ran.exited(4).complained(&["it filled this host's disk"]);
    daemon.without(
        world.event("session.started")["payload"]["sessionId"]
            .as_str()
            .unwrap(),
    );
    world.verifies();
}
