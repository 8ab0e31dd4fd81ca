//! The Docker sandbox on a real daemon: what it is made of, what is tried from inside, how calls run,
//! and that nothing outlives its session. Rows of `docs/docker.md` name these tests.
#![cfg(feature = "agp")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support modules serve other tests too, with more than these use"
)]

#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "support/session.rs"]
mod session;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agp::confine::Spawner;
use agp::confine::told::Told;
use agp::sandbox::docker::container::{BOX, Docker, Setup};
use agp::sandbox::docker::exec::Errand;
use agp::sandbox::docker::hardened::Bounds;
use agp::sandbox::network::Network;
use agp::sandbox::secrets::Secrets;
use dockerd::{BUSYBOX, CLOSED_TMP, Dockerd, EMPTY, VOLUME};
use serde_json::{Value, json};
use session::{Ran, Start, World, wait_for};

/// The user inside, where the operator is root.
const INSIDE: u32 = 65534;

/// A world whose repository is that user's, and whose policy allows everything.
fn world() -> World {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    chown(world.repo(), Some(INSIDE), Some(INSIDE)).unwrap();
    world
}

/// A session of these calls in a container of this image.
fn session(daemon: &Dockerd, world: &World, image: &str, calls: &[Value]) -> Start {
    let lines: Vec<String> = calls.iter().map(Value::to_string).collect();
    let script = world.root().join("script");
    fs::write(&script, lines.join("\n")).unwrap();
    world
        .agp(&["run", "--sandbox", "docker", "--image", image])
        .arguments(&["--script", script.to_str().unwrap()])
        .env("DOCKER_HOST", &daemon.host())
}

fn bash(command: &str) -> Value {
    json!({"tool": "Bash", "args": {"command": command}})
}

/// What ran, in its order.
fn executed(world: &World) -> Vec<Value> {
    let events = world.events("tool_call.executed").into_iter();
    events.map(|event| event["payload"].clone()).collect()
}

/// The one session of a world, and that its container is gone.
fn gone(daemon: &Dockerd, world: &World) {
    let started = world.event("session.started");
    daemon.without(started["payload"]["sessionId"].as_str().unwrap());
}

#[test]
fn a_session_runs_in_a_container_that_was_attested() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let write = json!({"tool": "Write", "args": {"file_path": "new.txt", "content": "one\n"}});
    let calls = [
        bash("id -u; pwd; echo err >&2; exit 3"),
        write,
        bash("cat new.txt && echo two >>new.txt"),
        json!({"tool": "Read", "args": {"file_path": "/repo/new.txt"}}),
        json!({"tool": "Grep", "args": {"pattern": "two"}}),
        bash("echo $HOME; touch $HOME/a /tmp/b; hostname; cat; echo read nothing"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    assert!(
        ran.out.contains("| 65534") && ran.out.contains("| /repo"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("| err"), "{}", ran.out);
    assert_eq!(world.get("new.txt").unwrap(), "one\ntwo\n");
    let executed = executed(&world);
    let codes: Vec<_> = executed
        .iter()
        .map(|call| call["exitCode"].clone())
        .collect();
    assert_eq!(codes, [3, 0, 0, 0, 0, 0].map(Value::from));
    assert!(executed.iter().all(|call| call["sandbox"] == "docker"));

    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["sandbox"]["kind"], "docker");
    assert_eq!(started["egress"], "none");
    let id = daemon.ask(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]);
    let attested = world.event("sandbox.attested")["payload"].clone();
    for (name, wanted) in [
        ("kind", json!("docker")),
        ("image", json!(BUSYBOX)),
        ("imageId", json!(id)),
        ("uid", json!(INSIDE)),
        ("groups", json!([INSIDE])),
        ("interfaces", json!(["lo"])),
        ("routes", json!([])),
        ("nameServersAnswered", json!([])),
        ("arrived", json!(0)),
        ("netcheck", json!("held")),
        ("writable", json!(["/repo", "/tmp"])),
        ("vmGrade", json!(false)),
    ] {
        assert_eq!(attested[name], wanted, "{name}: {attested:#}");
    }
    assert_eq!(attested["limits"]["memory"], 4_u64 << 30);
    assert_eq!(attested["limits"]["pids"], 1024);
    let sets = attested["capabilities"].as_object().unwrap();
    assert!(
        sets.len() == 5 && sets.values().all(|set| set == "0000000000000000"),
        "{sets:?}"
    );
    world.verifies();
    gone(daemon, &world);
}

/// Attempts, each of which must fail.
const ATTEMPTS: &[(&str, &str)] = &[
    ("write outside of the mounts", "echo x >/etc/x"),
    ("write beside the repository", "echo x >/repo/../x"),
    ("write the bridge", "echo x >/run/agp-bin/agp-bridge"),
    ("write agp's directory", "echo x >/run/agp/x"),
    ("remount the root", "mount -o remount,rw /"),
    ("mount a file system", "mount -t tmpfs none /repo"),
    (
        "mount the host's disk",
        "mknod /tmp/disk b 254 0 && mount /tmp/disk /repo",
    ),
    ("unmount what hides", "umount /proc/sys"),
    ("make a device", "mknod /tmp/mem c 1 1"),
    ("make a device in the repository", "mknod mem c 1 1"),
    ("become root", "/bin/gaining su -c true"),
    (
        "become root by a copy",
        "cp /bin/busybox b; chmod 4755 b; chown 0 b",
    ),
    ("give a file away", "touch f && chown 0:0 f"),
    ("a namespace of one's own", "unshare -U true"),
    ("a mount namespace", "unshare -m true"),
    ("the first process's namespaces", "nsenter -t 1 -m true"),
    (
        "the first process's memory",
        "dd if=/proc/1/mem of=/dev/null bs=1 count=1",
    ),
    ("the first process's descriptors", "ls -l /proc/1/fd/"),
    ("the first process's environment", "cat /proc/1/environ"),
    ("the first process's root", "ls /proc/1/root/"),
    ("the keeper's descriptors", "ls -l /proc/$PPID/fd/"),
    (
        "the kernel's settings",
        "echo 1 >/proc/sys/kernel/core_pattern",
    ),
    ("the kernel's triggers", "echo b >/proc/sysrq-trigger"),
    ("the kernel's memory", "cat /proc/kcore"),
    ("the kernel's log", "dmesg | grep -q ."),
    ("a module", "insmod /repo/x.ko"),
    ("control groups", "mkdir /sys/fs/cgroup/memory/x"),
    (
        "limits of its own",
        "echo 99999 >/sys/fs/cgroup/pids/pids.max || echo 99999 >/sys/fs/cgroup/pids.max",
    ),
    ("a raw socket", "ping -c 1 -W 1 127.0.0.1"),
    ("a packet socket", "arping -c 1 -w 1 127.0.0.1"),
    ("another network", "ip link add x type dummy"),
    ("a route", "ip route add default via 127.0.0.1"),
    ("a name", "nslookup example.com"),
    ("a name by the known server", "nslookup example.com 1.1.1.1"),
    (
        "the cloud's metadata",
        "nc -w 1 169.254.169.254 80 </dev/null",
    ),
    ("the world", "nc -w 1 1.1.1.1 443 </dev/null"),
    (
        "the world by IPv6",
        "nc -w 1 2606:4700:4700::1111 443 </dev/null",
    ),
    ("the bridge's gateway", "nc -w 1 172.17.0.1 22 </dev/null"),
    (
        "the Docker socket",
        "ls /var/run/docker.sock /run/docker.sock 2>/dev/null | grep .",
    ),
    (
        "any socket of agp's",
        "find / -xdev -type s 2>/dev/null | grep .",
    ),
    (
        "agp's own home",
        "find / -name '*.key' 2>/dev/null | grep .",
    ),
    ("the host's shadow file", "cat /etc/shadow"),
    (
        "processes of the host",
        "ps -o comm | grep -e dockerd -e systemd",
    ),
    ("the host's name", "hostname other"),
    ("the clock", "date -s 2001-01-01; date | grep 2001"),
    (
        "its priority",
        "nice -n -5 true || false; nice -n -5 nice | grep -e -5",
    ),
    (
        "to be spared when memory runs out",
        "echo -1000 >/proc/self/oom_score_adj",
    ),
    ("a larger limit of files", "ulimit -n 999999"),
];

#[test]
fn attempts_from_inside_come_to_nothing() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let calls: Vec<Value> = ATTEMPTS.iter().map(|(_, command)| bash(command)).collect();
    session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    let executed = executed(&world);
    assert_eq!(executed.len(), ATTEMPTS.len());
    for ((what, command), ran) in ATTEMPTS.iter().zip(&executed) {
        let failed = ran["exitCode"].as_i64().is_some_and(|code| code != 0);
        assert!(failed, "{what} ({command}): {ran:#}");
    }
    assert!(!world.root().join("x").exists());
    world.verifies();
}

/// Numbers of x86-64: what has been a way out of a container, and must not exist.
const CALLS: &[(&str, u32, &str)] = &[
    ("ptrace", 101, "0, 0, 0, 0"),
    ("process_vm_readv", 310, "1, 0, 0, 0, 0, 0"),
    ("bpf", 321, "0, 0, 0"),
    ("perf_event_open", 298, "0, 0, -1, -1, 0"),
    ("add_key", 248, "0, 0, 0, 0, 0"),
    ("keyctl", 250, "0, 0, 0, 0, 0"),
    ("io_uring_setup", 425, "1, 0"),
    ("userfaultfd", 323, "0"),
    ("pidfd_getfd", 438, "0, 0, 0"),
    ("mount", 165, "0, 0, 0, 0, 0"),
    ("setns", 308, "0, 0"),
    ("unshare user", 272, "0x10000000"),
    ("clone3", 435, "0, 0"),
    ("open_by_handle_at", 304, "0, 0, 0"),
    ("socket netlink", 41, "16, 3, 0"),
    ("socket packet", 41, "17, 3, 0"),
    ("socket vsock", 41, "40, 1, 0"),
    ("socket raw", 41, "2, 3, 1"),
    ("TIOCSTI", 16, "0, 0x5412, 0"),
];

#[test]
fn what_has_been_a_way_out_does_not_exist_in_a_container_either() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    if !cfg!(target_arch = "x86_64") || !Path::new("/usr/bin/perl").exists() {
        return session::skip("perl on x86-64", "apt-get install perl");
    }
    let world = world();
    let mut script = String::new();
    for (name, number, arguments) in CALLS {
        script.push_str(&format!(
            "$! = 0; $r = syscall({number}, {arguments}); print \"{name} \", $! + 0, \"\\n\";\n"
        ));
    }
    world.put("calls.pl", &script);
    session(
        daemon,
        &world,
        BUSYBOX,
        &[bash("/usr/bin/perl calls.pl >told")],
    )
    .arguments(&["--allow-read", "/usr"])
    .run()
    .succeeded();
    let told = world.get("told").unwrap();
    for (name, _, _) in CALLS {
        assert!(told.contains(&format!("{name} 38\n")), "{name}:\n{told}");
    }
}

#[test]
fn nothing_outlives_its_call() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let left =
        "(setsid sh -c 'while true; do echo x >>alive; sleep 0.05; done' >/dev/null 2>&1 &) ; ";
    let calls = [
        bash(&format!("{left} sleep 0.2; echo done")),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        // Its deadline is inside: whatever becomes of agp's own clock, it ends.
        json!({"tool": "Bash", "args": {"command": format!("{left} sleep 100"), "timeout": 400}}),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        // Without its keeper it ends as well, and the session goes on.
        bash(&format!("{left} kill -9 $PPID; sleep 100")),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        bash("kill -9 -1; sleep 100"),
        bash("kill -9 1; kill 1; echo still here"),
    ];
    session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    let executed = executed(&world);
    let code = |at: usize| executed[at]["exitCode"].clone();
    for at in [0, 1, 3, 5, 7] {
        assert_eq!(code(at), 0, "{at}: {:#}", executed[at]);
    }
    assert!(
        executed[2]["notes"]
            .to_string()
            .contains("killed at its deadline"),
        "{}",
        executed[2]
    );
    assert_eq!(executed[4]["signal"], 9);
    world.verifies();
}

#[test]
fn bombs_end_at_their_bounds_and_the_session_goes_on() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let config = r#"{"sandbox":{"memory":134217728,"pids":64,"cpus":1}}"#;
    fs::write(world.agp_home().join("config.json"), config).unwrap();
    let timed =
        |command: &str| json!({"tool": "Bash", "args": {"command": command, "timeout": 3000}});
    let calls = [
        timed("b() { b | b & }; b; sleep 10"),
        timed("tail /dev/zero"),
        timed("dd if=/dev/zero of=/tmp/full bs=1M count=4000; ls /tmp/full; rm -f /tmp/full"),
        timed("dd if=/dev/zero of=/dev/shm/full bs=1M count=4000; rm -f /dev/shm/full"),
        bash("echo fine"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    assert!(ran.out.contains("| fine"), "{}", ran.out);
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["limits"]["memory"], 134_217_728);
    assert_eq!(attested["limits"]["pids"], 64);
    let executed = executed(&world);
    assert_ne!(executed[1]["exitCode"], 0, "{:#}", executed[1]);
    assert_eq!(executed[4]["exitCode"], 0);
    gone(daemon, &world);
}

#[test]
fn a_call_that_fills_the_disk_is_ended_while_there_is_room() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let disk = world.repo();
    let mount = |arguments: &[&str]| {
        let status = Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&disk)
            .status();
        assert!(status.unwrap().success());
    };
    mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=64m,mode=0777",
        "agp-test",
    ]);
    let calls = [
        bash("dd if=/dev/zero of=full bs=64k; dd if=/dev/zero of=full2 bs=64k; sleep 5"),
        bash("rm -f full full2; echo fine"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls).run();
    mount(&["umount", "-l"]);
    let ran = ran.succeeded();
    assert!(ran.out.contains("| fine"), "{}", ran.out);
    let notes = executed(&world)[0]["notes"].to_string();
    assert!(notes.contains("too little room on the disk"), "{notes}");
}

#[test]
fn an_image_with_nothing_in_it_runs_agps_own_tools() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let calls = [
        json!({"tool": "Write", "args": {"file_path": "a.txt", "content": "one\n"}}),
        json!({"tool": "Read", "args": {"file_path": "a.txt"}}),
        bash("echo there is no shell"),
    ];
    session(daemon, &world, EMPTY, &calls).run().succeeded();
    assert_eq!(world.get("a.txt").unwrap(), "one\n");
    let executed = executed(&world);
    assert_eq!(executed[1]["exitCode"], 0);
    assert_eq!(executed[2]["exitCode"], 127);
    assert!(
        executed[2]["notes"].to_string().contains("/bin/sh"),
        "{}",
        executed[2]
    );
}

#[test]
fn only_a_pinned_image_that_is_there_and_bounded_is_taken() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let start = |image: &str| session(daemon, &world, image, &[bash("true")]).run();
    start("agp-busybox")
        .exited(2)
        .complained(&["names no tag and no digest"]);
    start("agp-busybox:latest")
        .exited(2)
        .complained(&["the tag latest moves"]);
    start("agp-absent:1")
        .exited(1)
        .complained(&["is not on this machine", "docker pull agp-absent:1"]);
    start(VOLUME)
        .exited(1)
        .complained(&["wants /data to be a volume"]);
    // What runc makes of a tmpfs over a directory that the image has.
    start(CLOSED_TMP)
        .exited(1)
        .complained(&["/tmp cannot be written", "of mode 1777"]);
    let id = daemon.ask(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]);
    start(&id).succeeded();
    let refused = world.events("session.refused");
    assert_eq!(refused.len(), 3, "{refused:#?}");
    let left = daemon.ask(&[
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("label=agp.home={}", world.agp_home().display()),
    ]);
    assert_eq!(left, "", "a refused start left a container");
}

#[test]
fn a_repository_that_would_show_a_secret_or_is_not_the_users_is_refused() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let start = |repository: &Path| {
        session(daemon, &world, BUSYBOX, &[bash("true")])
            .arguments(&["--repo", repository.to_str().unwrap()])
            .run()
    };
    start(world.root())
        .exited(1)
        .complained(&["would show", "agp"]);
    let home = world.root().join("home");
    fs::create_dir(home.join(".ssh")).unwrap();
    start(&home).exited(1).complained(&["would show", ".ssh"]);
    start(&home.join(".ssh"))
        .exited(1)
        .complained(&["would show"]);
    start(Path::new("/etc")).exited(1).complained(&["/etc"]);
    let foreign = world.root().join("foreign");
    fs::create_dir(&foreign).unwrap();
    start(&foreign)
        .exited(1)
        .complained(&["/repo cannot be written by 65534:65534", "chown -R"]);
    let socket = daemon.socket().parent().unwrap().to_owned();
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .arguments(&["--allow-read", socket.to_str().unwrap()])
        .run()
        .exited(1)
        .complained(&["would show", "docker.sock"]);
}

#[test]
fn an_ordinary_operator_is_himself_inside() {
    const OPERATOR: u32 = 1234;
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let own = |path: &Path| chown(path, Some(OPERATOR), Some(OPERATOR)).unwrap();
    let all = Command::new("chown")
        .arg("-R")
        .arg(format!("{OPERATOR}:{OPERATOR}"))
        .arg(world.root())
        .status();
    assert!(all.unwrap().success());
    own(&world.repo());
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let copies = world.root().join("copies");
    fs::create_dir(&copies).unwrap();
    for binary in [env!("CARGO_BIN_EXE_agp"), env!("CARGO_BIN_EXE_agp-bridge")] {
        fs::copy(binary, copies.join(Path::new(binary).file_name().unwrap())).unwrap();
    }
    let agp = copies.join("agp");
    let script = world.root().join("script");
    fs::write(&script, bash("id -u; id -g; touch mine").to_string()).unwrap();
    let reach = daemon.socket().parent().unwrap().to_owned();
    fs::set_permissions(reach, fs::Permissions::from_mode(0o755)).unwrap();
    let words = format!(
        "--reuid {OPERATOR} --regid {OPERATOR} --clear-groups {} run --sandbox docker --image {BUSYBOX} --script {}",
        agp.display(),
        script.display()
    );
    let words: Vec<&str> = words.split(' ').collect();
    let ran = world
        .agp(&[])
        .program(Path::new("setpriv"))
        .arguments(&words)
        .env("DOCKER_HOST", &daemon.host())
        .run()
        .succeeded();
    assert_eq!(ran.out.matches("| 1234").count(), 2, "{}", ran.out);
    assert_eq!(world.event("sandbox.attested")["payload"]["uid"], OPERATOR);
}

#[test]
fn a_network_is_had_only_when_it_is_asked_for_and_is_told_of() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let ran = session(
        daemon,
        &world,
        BUSYBOX,
        &[bash("grep -q eth0 /proc/net/dev && echo wired")],
    )
    .arguments(&["--egress", "full"])
    .run()
    .succeeded()
    .complained(&["WARNING: --egress full"]);
    assert!(ran.out.contains("| wired"), "{}", ran.out);
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["egress"], "full");
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["network"], "full");
    // The same probe that must reach nothing in a container without a network reaches agp's
    // listeners in one with it.
    assert!(attested["arrived"].as_u64().unwrap() > 0, "{attested:#}");
    let shared = attested["notIsolated"].as_array().unwrap();
    assert!(shared.contains(&json!("network")), "{attested:#}");
}

#[test]
fn a_list_of_hosts_is_all_that_a_container_reaches() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let connect = |host: &str| {
        let ask = format!("CONNECT {host}:443 HTTP/1.1\\r\\nHost: {host}:443\\r\\n\\r\\n");
        bash(&format!(
            "printf '{ask}' | nc -w 5 127.0.0.1 ${{HTTPS_PROXY##*:}} | head -1"
        ))
    };
    let calls = [
        connect("unlisted.example"),
        connect("169.254.169.254"),
        bash("nc -w 1 172.17.0.1 22 </dev/null"),
        bash("grep -q eth0 /proc/net/dev"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls)
        .arguments(&["--egress-allow", "listed.example"])
        .run()
        .succeeded();
    assert_eq!(ran.out.matches("| HTTP/1.1 403").count(), 2, "{}", ran.out);
    let executed = executed(&world);
    assert!(executed[2]["exitCode"] != 0 && executed[3]["exitCode"] != 0);
    let denied = world.events("egress.deny");
    assert_eq!(denied.len(), 2, "{denied:#?}");
    assert_eq!(denied[0]["payload"]["host"], "unlisted.example");
    let started = world.event("session.started")["payload"].clone();
    assert_eq!(started["egress"], "allowlist");
    // Both halves were tried: a listed host was reached through the relay, no other.
    let attested = world.event("sandbox.attested")["payload"].clone();
    let out = attested["letOut"].as_array().unwrap();
    assert!(
        out.len() == 1 && out[0].as_str().unwrap().starts_with("listed.agp.invalid:"),
        "{out:?}"
    );
    assert_eq!(attested["interfaces"], json!(["lo"]));
    world.verifies();
    gone(daemon, &world);
}

#[test]
fn a_network_that_nobody_looked_into_is_told_of_loudly() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .env("AGP_SANDBOX_SKIP_NETCHECK", "1")
        .run()
        .succeeded()
        .complained(&["WARNING: AGP_SANDBOX_SKIP_NETCHECK=1"]);
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["netcheck"], "SKIPPED");
    let shared = attested["notIsolated"].as_array().unwrap();
    assert!(shared.contains(&json!("network")), "{attested:#}");
}

/// A container for calls that agp itself makes.
fn container(daemon: &Dockerd, world: &World) -> Docker {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = world.root().join(format!("run{number}"));
    fs::create_dir(&directory).unwrap();
    let setup = Setup {
        daemon: daemon.socket(),
        image: BUSYBOX.into(),
        bridge: env!("CARGO_BIN_EXE_agp-bridge").into(),
        session: format!("s-lib-{}-{number}", std::process::id()),
        name: format!("agp-s-lib-{}-{number}", std::process::id()),
        home: world.agp_home(),
        directory,
        shown: BOX,
        repository: world.repo(),
        repository_writable: true,
        at_own_path: false,
        user: (INSIDE, INSIDE),
        network: Network::Off,
        bounds: Bounds::default(),
        spawner: Spawner::start().unwrap(),
        secrets: Secrets::default(),
        mounts: Vec::new(),
        login: None,
        environment: vec![("GIVEN".into(), "as it is".into())],
        protected: vec![world.agp_home()],
        sockets: vec![daemon.socket()],
        netcheck: true,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
        lost: Arc::new(|_| {}),
    };
    Docker::prepare(setup).unwrap()
}

fn errand(words: &[&str], input: &[u8]) -> Errand {
    Errand {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        input: input.to_vec(),
        deadline: Duration::from_secs(60),
        quiet: false,
    }
}

#[test]
fn many_calls_one_after_the_other_and_at_once() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let docker = container(daemon, &world);
    let ask = |number: usize| {
        let word = number.to_string();
        let input = word.repeat(100_000);
        let script = "echo $1 $(wc -c) $GIVEN; exit $(( $1 % 100 ))";
        let words = ["/bin/sh", "-c", script, "sh", &word];
        let ran = docker
            .run(errand(&words, input.as_bytes()), &mut |_| {})
            .unwrap();
        let said = String::from_utf8(ran.output).unwrap();
        assert_eq!(said, format!("{number} {} as it is\n", input.len()));
        assert_eq!(
            ran.ended,
            Told::Exited(i32::try_from(number % 100).unwrap())
        );
    };
    for number in 0..200 {
        ask(number);
    }
    thread::scope(|scope| {
        for worker in 0..16 {
            scope.spawn(move || (0..4).for_each(|round| ask(worker * 4 + round)));
        }
    });
}

#[test]
fn output_is_bounded_and_its_digest_is_of_all() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let docker = container(daemon, &world);
    let words = [
        "/bin/sh",
        "-c",
        "dd if=/dev/zero bs=1M count=64 2>/dev/null",
    ];
    let ran = docker.run(errand(&words, b""), &mut |_| {}).unwrap();
    assert_eq!(ran.output.len(), 1 << 20);
    assert_eq!(ran.output_bytes, 64 << 20);
    let zeros = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351";
    assert_eq!(ran.output_sha256.to_hex(), zeros);
    // A program that is not there, an argument that cannot be one: told apart from a failure of the
    // container.
    let ran = docker.run(errand(&["/none"], b""), &mut |_| {}).unwrap();
    assert!(matches!(ran.ended, Told::NotStarted(_)), "{ran:?}");
    let ran = docker
        .run(errand(&["/bin/echo", "a\0b"], b""), &mut |_| {})
        .unwrap();
    assert!(matches!(ran.ended, Told::NotStarted(_)), "{ran:?}");
}

/// A session whose call runs until the container is gone.
fn under_way(daemon: &Dockerd, world: &World) -> session::Live {
    let calls = [
        bash("echo begun >begun; sleep 100"),
        bash("touch on-the-host"),
    ];
    let live = session(daemon, world, BUSYBOX, &calls).start();
    wait_for("the call", || world.get("begun"));
    live
}

fn broken(world: &World, ran: Ran) {
    ran.exited(3).complained(&["the sandbox"]);
    assert!(world.get("on-the-host").is_none(), "a call ran on the host");
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn a_container_that_vanishes_ends_the_session() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let live = under_way(daemon, &world);
    let session = world.lease().session;
    let [container] = &daemon.containers(&session)[..] else {
        panic!("no container");
    };
    daemon.ask(&["rm", "--force", container]);
    broken(&world, live.finish());
}

#[test]
fn a_daemon_that_ends_in_the_middle_ends_the_session() {
    if !dockerd::possible() {
        return;
    }
    for signal in ["-TERM", "-KILL"] {
        let daemon = Dockerd::start(if signal == "-KILL" { "killed" } else { "ended" });
        let world = world();
        let live = under_way(&daemon, &world);
        session::Process::of(daemon.pid()).unwrap().kill(signal);
        broken(&world, live.finish());
    }
}

#[test]
fn without_a_daemon_nothing_runs() {
    let world = world_without_docker();
    let script = world.root().join("script");
    fs::write(&script, bash("touch on-the-host").to_string()).unwrap();
    world
        .agp(&["run", "--sandbox", "docker", "--image", BUSYBOX])
        .arguments(&["--script", script.to_str().unwrap()])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .run()
        .exited(1)
        .complained(&[
            "the Docker daemon at /nonexistent/docker.sock cannot be reached",
            "systemctl start docker",
        ]);
    assert!(world.get("on-the-host").is_none());
    world.event("session.refused");
}

fn world_without_docker() -> World {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    world
}

#[test]
fn a_container_ends_with_its_agp_and_the_next_start_reaps_what_is_left() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let live = under_way(daemon, &world);
    let lease = world.lease();
    session::Process::of(lease.pid).unwrap().kill("-KILL");
    let begun = Instant::now();
    daemon.without(&lease.session);
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(live);

    // One that did not end by itself: its agp is gone, its label is there.
    let home = format!("agp.home={}", world.agp_home().display());
    let other = "agp.session=s-000000000000";
    let command = [
        "run", "--detach", "--label", &home, "--label", other, BUSYBOX, "sleep", "1000",
    ];
    let left = daemon.ask(&command);
    // Another home's is not this one's to reap.
    let foreign = daemon.ask(&[
        "run",
        "--detach",
        "--label",
        "agp.home=/other",
        BUSYBOX,
        "sleep",
        "1000",
    ]);
    let doctor = || {
        world
            .agp(&["doctor", "--check", "docker"])
            .env("DOCKER_HOST", &daemon.host())
    };
    doctor()
        .run()
        .exited(1)
        .said(&["left behind by s-000000000000"]);
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .run()
        .succeeded();
    let reaped = world.events("session.reaped");
    let of = |session: &str| {
        reaped
            .iter()
            .find(|event| event["payload"]["sessionId"] == session)
            .unwrap()
    };
    assert_eq!(of("s-000000000000")["payload"]["container"], left);
    of(&lease.session);
    assert!(!daemon.client(&["inspect", &left]).status.success());
    daemon.ask(&["rm", "--force", &foreign]);
    let whole = [
        "Docker/",
        "API 1.",
        "no image is set",
        "no container left behind",
    ];
    doctor().run().succeeded().said(&whole);
    let of = |image: &str| doctor().env("AGP_SANDBOX_IMAGE", image).run();
    of(BUSYBOX)
        .succeeded()
        .said(&["image agp-busybox:1, sha256:"]);
    of("agp-other:1").exited(1).said(&["not on this machine"]);
    of("agp-busybox:latest")
        .exited(1)
        .said(&["the tag latest moves", "NAME:VERSION"]);
    world.verifies();
}
