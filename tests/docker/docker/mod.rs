//! The Docker sandbox on a real daemon: what it is made of, what is tried from inside, how calls run,
//! and that nothing outlives its session. Rows of `docs/docker.md` name these tests.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{dockerd, permit, session};

mod attempts;
mod calls;
mod endings;
mod network;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agp::confine::Spawner;
use agp::jail::status::Told;
use agp::sandbox::docker::container::{BOX, ContainerConfig, Docker};
use agp::sandbox::docker::exec::Errand;
use agp::sandbox::docker::host_config::Bounds;
use agp::sandbox::network::Network;
use agp::sandbox::secrets::Secrets;
use dockerd::{BUSYBOX, CLOSED_TMP, Dockerd, EMPTY, VOLUME};
use permit::Permits;
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

/// Whether an attempt is seen to succeed where nothing holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Seen,
    Other,
}
use Where::{Other, Seen};

/// Attempts, each of which must fail. Some of them, the `Seen`, are seen to succeed in a container that
/// holds nothing back: an attempt that fails everywhere shows nothing. The `Other` ones would do harm
/// to the machine there, or want what it does not have.
const ATTEMPTS: &[(&str, &str, Where)] = &[
    ("write outside of the mounts", "echo x >/etc/x", Seen),
    ("write beside the repository", "echo x >/repo/../x", Seen),
    ("write the bridge", "echo x >/run/agp-bin/agp-bridge", Other),
    // A script of the repository's: a command that says so is denied.
    ("write agp's directory", "sh write-agp.sh", Other),
    ("remount the root", "mount -o remount,rw /", Seen),
    ("mount a file system", "mount -t tmpfs none /repo", Seen),
    (
        "mount the host's disk",
        "mknod /tmp/disk b 254 0 && mount /tmp/disk /repo",
        Other,
    ),
    ("unmount what hides", "umount /proc/sys", Seen),
    ("make a device", "mknod /tmp/mem c 1 1", Seen),
    ("make a device in the repository", "mknod mem c 1 1", Seen),
    ("become root", "/bin/busybox-gaining su -c true", Seen),
    (
        "become root by a copy",
        "cp /bin/busybox b; chmod 4755 b; chown 0 b",
        Seen,
    ),
    ("give a file away", "touch f && chown 0:0 f", Seen),
    ("a namespace of one's own", "unshare -U true", Seen),
    ("a mount namespace", "unshare -m true", Seen),
    (
        "the first process's namespaces",
        "nsenter -t 1 -m true",
        Seen,
    ),
    ("the first process's memory", "true </proc/1/mem", Seen),
    ("the first process's descriptors", "ls -l /proc/1/fd/", Seen),
    (
        "the first process's environment",
        "cat /proc/1/environ",
        Seen,
    ),
    ("the first process's root", "ls /proc/1/root/", Seen),
    ("the keeper's descriptors", "ls -l /proc/$PPID/fd/", Seen),
    (
        "the kernel's settings",
        "echo 1 >/proc/sys/kernel/core_pattern",
        Other,
    ),
    (
        "the kernel's triggers",
        "echo b >/proc/sysrq-trigger",
        Other,
    ),
    ("the kernel's memory", "cat /proc/kcore", Other),
    ("the kernel's log", "dmesg | grep -q .", Other),
    (
        "control groups",
        "mkdir /sys/fs/cgroup/memory/x || mkdir /sys/fs/cgroup/x",
        Other,
    ),
    (
        "limits of its own",
        "echo 99999 >/sys/fs/cgroup/pids/pids.max || echo 99999 >/sys/fs/cgroup/pids.max",
        Other,
    ),
    ("a raw socket", "ping -c 1 -W 1 127.0.0.1", Seen),
    ("a route", "ip route add 10.9.0.0/16 dev lo", Seen),
    ("a name", "nslookup example.com", Other),
    (
        "a name by the known server",
        "nslookup example.com 1.1.1.1",
        Other,
    ),
    (
        "the cloud's metadata",
        "nc -w 1 169.254.169.254 80 </dev/null",
        Other,
    ),
    ("the world", "nc -w 1 1.1.1.1 443 </dev/null", Other),
    (
        "the world by IPv6",
        "nc -w 1 2606:4700:4700::1111 443 </dev/null",
        Other,
    ),
    (
        "this host by the bridge's gateway",
        "nc -w 1 GATEWAY PORT </dev/null",
        Seen,
    ),
    (
        "the Docker socket",
        "ls /var/run/docker.sock /run/docker.sock 2>/dev/null | grep .",
        Other,
    ),
    (
        "any socket at all",
        "find / -path /proc -prune -o -type s -print 2>/dev/null | grep .",
        Other,
    ),
    (
        "overlaps agp's home",
        "find / -name '*.key' 2>/dev/null | grep .",
        Other,
    ),
    ("the host's shadow file", "cat /etc/shadow", Other),
    (
        "processes of the host",
        "ps -o comm | grep -e dockerd -e systemd",
        Other,
    ),
    ("the host's name", "hostname other", Seen),
    ("the clock", "date -s 2001-01-01; date | grep 2001", Other),
    ("its priority", "renice -n -5 -p $$", Other),
    (
        "to be spared when memory runs out",
        "echo -1000 >/proc/self/oom_score_adj",
        Other,
    ),
    ("a larger limit of files", "ulimit -n 999999", Other),
    ("its own loopback", "ip link set lo down", Seen),
];

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
    ("init_module", 175, "0, 0, 0"),
    ("finit_module", 313, "0, 0, 0"),
    ("delete_module", 176, "0, 0"),
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
        .complained(&["has neither tag nor digest"]);
    start("agp-busybox:latest")
        .exited(2)
        .complained(&["the tag latest may move"]);
    start("agp-absent:1").exited(1).complained(&[
        "no local image",
        "run `docker pull agp-absent:1`, or build it",
    ]);
    start("agp-busybox:1-latest")
        .exited(2)
        .complained(&["the tag 1-latest may move"]);
    start(VOLUME)
        .exited(1)
        .complained(&["declares the volume /data"]);
    // What runc makes of a tmpfs over a directory that the image has.
    start(CLOSED_TMP)
        .exited(1)
        .complained(&["cannot write /tmp", "in the image it must have mode 1777"]);
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
        .complained(&["overlaps agp's home", "overlap"]);
    let home = world.root().join("home");
    fs::create_dir(home.join(".ssh")).unwrap();
    start(&home)
        .exited(1)
        .complained(&["is your home directory"]);
    start(&home.join(".ssh"))
        .exited(1)
        .complained(&["contains private files"]);
    // Named besides, it is the daemon's mounts that are looked at.
    let within = home.join(".ssh").to_str().unwrap().to_owned();
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .arguments(&["--allow-read", &within])
        .run()
        .exited(1)
        .complained(&["which the agent must not see", ".ssh"]);
    start(Path::new("/etc")).exited(1).complained(&["/etc"]);
    let foreign = world.root().join("foreign");
    fs::create_dir(&foreign).unwrap();
    start(&foreign).exited(1).complained(&[
        "user 65534:65534 cannot write /repo",
        &format!("chown -R 65534:65534 {}", foreign.display()),
    ]);
    let socket = daemon.socket().parent().unwrap().to_owned();
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .arguments(&["--allow-read", socket.to_str().unwrap()])
        .run()
        .exited(1)
        .complained(&["which the agent must not see", "docker.sock"]);
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
        session::copy_program(binary, copies.join(Path::new(binary).file_name().unwrap()));
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
