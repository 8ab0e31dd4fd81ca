//! A daemon that lies. In front of the real one stands one that asks it for something else than agp
//! asked, and tells agp what it wants to hear: the look around from inside finds out. Another
//! speaks HTTP as nobody should: nothing of it is trusted, waited for without end, or kept whole.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{dockerd, session};

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agp::sandbox::docker::engine::Engine;
use agp::sandbox::docker::http::{self, HttpError, HttpRequest};
use dockerd::{BUSYBOX, Dockerd};
use serde_json::{Value, json};
use session::{Ran, World};

/// Changes what is asked of the daemon.
type Create = fn(&mut Value, &World);
/// Changes what is told of a container.
type Inspect = fn(&mut Value);

/// One way to lie.
#[derive(Clone, Copy)]
struct Lie {
    /// What the real daemon is asked for instead.
    create: Create,
    /// What agp is told of the container, besides what it asked for.
    inspect: Inspect,
}

fn nothing(_: &mut Value) {}

/// Stands between agp and the daemon.
fn liar(daemon: &Dockerd, world: &Arc<World>, lie: Lie) -> PathBuf {
    let path = world.root().join("liar.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // The world is the test's, and goes with it.
    let (real, world) = (daemon.socket(), Arc::downgrade(world));
    let asked: Arc<Mutex<Value>> = Arc::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (real, asked) = (real.clone(), Arc::clone(&asked));
            let Some(world) = world.upgrade() else {
                return;
            };
            thread::spawn(move || {
                between(
                    stream,
                    &UnixStream::connect(real).unwrap(),
                    lie,
                    &asked,
                    &world,
                );
            });
        }
    });
    path
}

fn between(
    mut client: UnixStream,
    mut daemon: &UnixStream,
    lie: Lie,
    asked: &Mutex<Value>,
    world: &World,
) {
    let (head, mut body) = message(&mut client);
    if head.contains("/attach") {
        daemon.write_all(head.as_bytes()).unwrap();
        let (mut back, mut to) = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut client, &mut &*daemon);
        let _ = daemon.shutdown(std::net::Shutdown::Both);
        return;
    }
    if head.contains("/containers/create") {
        let mut wanted: Value = serde_json::from_slice(&body).unwrap();
        *asked.lock().unwrap() = wanted.clone();
        (lie.create)(&mut wanted, world);
        body = wanted.to_string().into_bytes();
    }
    let lines = head
        .lines()
        .filter(|line| !line.starts_with("Content-Length"));
    let mut text: String = lines
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\r\n");
    text.push_str(&format!("\r\nContent-Length: {}\r\n\r\n", body.len()));
    daemon.write_all(text.as_bytes()).unwrap();
    daemon.write_all(&body).unwrap();
    let mut reply = Vec::new();
    daemon.read_to_end(&mut reply).unwrap();
    let is_inspect = head.starts_with("GET /v1.")
        && head.contains("/containers/")
        && !head.contains("/containers/json");
    // It tells lies of what is there. That something is gone it tells as it is.
    if !is_inspect || !reply.starts_with(b"HTTP/1.1 200 ") {
        let _ = client.write_all(&reply);
        return;
    }
    let end = reply
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap()
        + 4;
    let (head, body) = reply.split_at(end);
    let head = String::from_utf8(head.to_vec()).unwrap();
    let body = if head.contains("chunked") {
        dechunked(body)
    } else {
        body.to_vec()
    };
    let mut told: Value = serde_json::from_slice(&body).unwrap();
    flatter(&mut told, &asked.lock().unwrap());
    (lie.inspect)(&mut told);
    let told = told.to_string();
    let reply = format!(
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{told}",
        told.len()
    );
    let _ = client.write_all(reply.as_bytes());
}

/// Says of a container what was asked for.
fn flatter(told: &mut Value, asked: &Value) {
    for (name, value) in asked["HostConfig"].as_object().into_iter().flatten() {
        told["HostConfig"][name] = value.clone();
    }
    for name in ["PidMode", "UTSMode", "GroupAdd", "Devices"] {
        told["HostConfig"][name] = Value::Null;
    }
    told["Config"]["User"] = asked["User"].clone();
    let targets: Vec<&Value> = asked["HostConfig"]["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| &mount["Target"])
        .collect();
    if let Some(mounts) = told["Mounts"].as_array_mut() {
        mounts.retain(|mount| targets.contains(&&mount["Destination"]));
    }
    told["NetworkSettings"]["Networks"] = json!({"none": {}});
    told["HostConfig"]["MaskedPaths"] = json!(["/proc/kcore"]);
    told["HostConfig"]["ReadonlyPaths"] = json!(["/proc/sys"]);
}

/// Head and body of one request.
fn message(stream: &mut UnixStream) -> (String, Vec<u8>) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
}

/// A session under a lie, which must be refused and leave nothing.
fn refused(daemon: &Dockerd, lie: Lie) -> Ran {
    let world = Arc::new(World::new());
    world.policy(&[("allow", "*")]);
    chown(world.repo(), Some(65534), Some(65534)).unwrap();
    let socket = liar(daemon, &world, lie);
    let script = world.root().join("script");
    fs::write(
        &script,
        json!({"tool": "Bash", "args": {"command": "touch ran"}}).to_string(),
    )
    .unwrap();
    let ran = world
        .agp(&["run", "--sandbox", "docker", "--image", BUSYBOX])
        .arguments(&["--script", script.to_str().unwrap()])
        .env("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .run()
        .exited(1);
    assert!(world.get("ran").is_none());
    world.event("session.refused");
    assert!(world.events("session.started").is_empty());
    let home = format!("label=agp.home={}", world.agp_home().display());
    let left = daemon.ask(&["ps", "--all", "--quiet", "--filter", &home]);
    assert_eq!(left, "", "a refused start left a container");
    ran
}

fn host(wanted: &mut Value) -> &mut Value {
    &mut wanted["HostConfig"]
}

fn mount(wanted: &mut Value, source: &Path, target: &str, read_only: bool) {
    let mount = json!({"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only});
    host(wanted)["Mounts"].as_array_mut().unwrap().push(mount);
}

/// What the daemon does instead, and what finds it out.
const LIES: &[(&str, Create, &str)] = &[
    (
        "none, and a network",
        |wanted, _| {
            wanted["NetworkDisabled"] = json!(false);
            host(wanted)["NetworkMode"] = json!("bridge");
        },
        "it has a network interface: eth0",
    ),
    (
        "the host's network",
        |wanted, _| {
            wanted["NetworkDisabled"] = json!(false);
            host(wanted)["NetworkMode"] = json!("host");
            wanted.as_object_mut().unwrap().remove("Hostname");
        },
        "it shares the host's net namespace",
    ),
    (
        "capabilities",
        |wanted, _| host(wanted)["CapDrop"] = json!([]),
        "it has capabilities",
    ),
    (
        "privileges to be gained",
        |wanted, _| host(wanted)["SecurityOpt"] = json!([]),
        "the daemon's seccomp filter is not active",
    ),
    (
        "no filter of system calls",
        |wanted, _| {
            host(wanted)["SecurityOpt"] = json!(["no-new-privileges", "seccomp=unconfined"]);
        },
        "the daemon's seccomp filter is not active",
    ),
    (
        "root",
        |wanted, _| {
            wanted["User"] = json!("0:0");
            host(wanted)["CapDrop"] = json!([]);
        },
        "the user is 0, not 65534",
    ),
    (
        "root without a right",
        |wanted, _| wanted["User"] = json!("0:0"),
        "/run/agp/control.sock: Permission denied",
    ),
    (
        "another group",
        |wanted, _| host(wanted)["GroupAdd"] = json!(["0"]),
        "the groups are",
    ),
    (
        "a root that can be written",
        |wanted, _| host(wanted)["ReadonlyRootfs"] = json!(false),
        "the mount / is writable",
    ),
    (
        "the host's files",
        |wanted, _| mount(wanted, Path::new("/"), "/host", true),
        "unexpected mount /host",
    ),
    (
        "agp's home",
        |wanted, world| {
            let home = world.agp_home();
            fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            mount(wanted, &home, home.to_str().unwrap(), true);
        },
        "it could read",
    ),
    (
        "the Docker socket",
        |wanted, world| {
            let socket = world.root().join("liar.sock");
            mount(wanted, &socket, "/var/run/docker.sock", true);
        },
        "unexpected mount /var/run/docker.sock",
    ),
    (
        "memory without bound",
        |wanted, _| {
            host(wanted)["Memory"] = json!(0);
            host(wanted)["MemorySwap"] = json!(0);
        },
        "the memory limit in bytes is",
    ),
    (
        "swap",
        |wanted, _| host(wanted)["MemorySwap"] = json!(-1),
        "swap is available",
    ),
    (
        "processes",
        |wanted, _| host(wanted)["PidsLimit"] = json!(0),
        "the process limit is",
    ),
    (
        "processor time",
        |wanted, _| host(wanted)["NanoCpus"] = json!(0),
        "there is no CPU limit",
    ),
    (
        "other processor time",
        |wanted, _| host(wanted)["NanoCpus"] = json!(1_000_000_000),
        "the CPU limit in microseconds is 100000 of each 100000",
    ),
    (
        "a device",
        |wanted, _| {
            host(wanted)["Devices"] = json!([{"PathOnHost": "/dev/full", "PathInContainer": "/dev/other",
                "CgroupPermissions": "rwm"}]);
        },
        "unexpected device /dev/other",
    ),
    (
        "the host's processes",
        |wanted, _| host(wanted)["PidMode"] = json!("host"),
        "this runs only as a container's first process",
    ),
    (
        "the host's IPC",
        |wanted, _| host(wanted)["IpcMode"] = json!("host"),
        "it shares the host's ipc namespace",
    ),
    (
        "the host's control groups",
        |wanted, _| host(wanted)["CgroupnsMode"] = json!("host"),
        "it shares the host's cgroup namespace",
    ),
    (
        "the host's name",
        |wanted, _| {
            host(wanted)["UTSMode"] = json!("host");
            wanted.as_object_mut().unwrap().remove("Hostname");
        },
        "it shares the host's uts namespace",
    ),
];

#[test]
fn a_daemon_that_does_something_else_is_found_out_from_inside() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let mut missing = Vec::new();
    for (what, create, found) in LIES {
        let lie = Lie {
            create: *create,
            inspect: nothing,
        };
        let ran = refused(daemon, lie);
        if !ran.err.contains(found) {
            missing.push(format!("{what}: {found:?} in:\n{}", ran.err));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What the daemon says of a container that is as it was asked, and the words that refuse it.
const WORDS: &[(&str, Inspect, &str)] = &[
    (
        "a field less",
        |told| {
            drop(
                told["HostConfig"]
                    .as_object_mut()
                    .unwrap()
                    .remove("ReadonlyRootfs"),
            );
        },
        "HostConfig.ReadonlyRootfs as null instead of true",
    ),
    (
        "no HostConfig",
        |told| told["HostConfig"] = Value::Null,
        "as null instead of",
    ),
    (
        "another value",
        |told| told["HostConfig"]["PidsLimit"] = json!(9999),
        "HostConfig.PidsLimit as 9999 instead of 1024",
    ),
    (
        "more than asked",
        |told| told["HostConfig"]["CapAdd"] = json!(["SYS_ADMIN"]),
        "HostConfig.CapAdd as [\"SYS_ADMIN\"]",
    ),
    (
        "a device",
        |told| told["HostConfig"]["Devices"] = json!([{"PathOnHost": "/dev/kvm"}]),
        "HostConfig.Devices as",
    ),
    (
        "a volume",
        |told| {
            let mount = json!({"Type": "volume", "Destination": "/data", "RW": true});
            told["Mounts"].as_array_mut().unwrap().push(mount);
        },
        "unexpected mount /data",
    ),
    (
        "no mounts",
        |told| told["Mounts"] = json!([]),
        "is not mounted",
    ),
    (
        "another image",
        |told| told["Image"] = json!(format!("sha256:{}", "0".repeat(64))),
        "instead of \"sha256:",
    ),
    (
        "another container",
        |told| told["Id"] = json!("0".repeat(64)),
        "answered about another container",
    ),
    (
        "another network",
        |told| told["NetworkSettings"]["Networks"]["bridge"] = json!({}),
        "the container is in the network \"bridge\"",
    ),
    (
        "another process",
        |told| told["State"]["Pid"] = json!(1),
        "the peer is not the container's first process",
    ),
    (
        "nothing masked",
        |told| told["HostConfig"]["MaskedPaths"] = json!([]),
        "reports no HostConfig.MaskedPaths",
    ),
];

#[test]
fn a_daemon_that_tells_of_something_else_is_refused() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let mut missing = Vec::new();
    for (what, inspect, found) in WORDS {
        let lie = Lie {
            create: |_, _| {},
            inspect: *inspect,
        };
        let ran = refused(daemon, lie);
        if !ran.err.contains(found) {
            missing.push(format!("{what}: {found:?} in:\n{}", ran.err));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// A daemon that answers every request by `answer`.
fn answering(answer: impl Fn(UnixStream) + Send + Sync + 'static) -> (PathBuf, World) {
    let world = World::empty();
    let path = world.root().join("d.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let _ = message(&mut stream);
                answer(stream);
            });
        }
    });
    (path, world)
}

fn saying(text: &'static str) -> (PathBuf, World) {
    answering(move |mut stream| drop(stream.write_all(text.as_bytes())))
}

fn ask(socket: &Path) -> Result<http::HttpReply, HttpError> {
    let request = HttpRequest {
        method: "GET",
        target: "/_ping",
        body: None,
        within: Duration::from_millis(1500),
    };
    http::ask(socket, &request)
}

#[test]
fn what_comes_in_pieces_is_put_together() {
    let (socket, _world) = answering(|mut stream| {
        let reply = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n";
        for byte in reply {
            let _ = stream.write_all(&[*byte]);
            thread::sleep(Duration::from_millis(2));
        }
    });
    let reply = ask(&socket).unwrap();
    assert_eq!(reply.body, b"OK");
    assert_eq!(Engine::connect(&socket).unwrap().api(), "1.41");
}

#[test]
fn nobody_is_waited_for_without_end() {
    let begun = Instant::now();
    let (silent, _world) = answering(|stream| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let timed_out = |error: HttpError| error.to_string().contains("did not answer in time");
    assert!(timed_out(ask(&silent).unwrap_err()));
    let (dripping, _other) = answering(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(timed_out(ask(&dripping).unwrap_err()));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_is_too_large_is_not_kept() {
    const FLOOD: &[u8] = &[b'x'; 1 << 16];
    let flood = |head: &'static str| {
        let (socket, _world) = answering(move |mut stream| {
            let _ = stream.write_all(head.as_bytes());
            // Two gigabytes, to whoever takes them.
            for _ in 0..(2_u64 << 30) >> 16 {
                if stream.write_all(FLOOD).is_err() {
                    return;
                }
            }
        });
        ask(&socket).unwrap_err().to_string()
    };
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000000\r\n",
        "HTTP/1.1 200 OK\r\nX: ",
    ] {
        let error = flood(head);
        assert!(error.contains("too large a response"), "{head:?}: {error}");
    }
}

#[test]
fn what_breaks_off_or_is_no_http_is_no_reply() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ] {
        let (socket, _world) = saying(text);
        assert!(ask(&socket).is_err(), "{text:?}");
    }
}

#[test]
fn only_a_docker_daemon_that_is_new_enough_is_met() {
    for (text, wanted) in [
        (
            "HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nContent-Length: 2\r\n\r\nOK",
            "Docker 20.10",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
            "is it Docker?",
        ),
        (
            "HTTP/1.1 500 No\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n",
            "500",
        ),
        (
            "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-API-Version: 5.0.0\r\nServer: Libpod/5.0.0 (linux)\r\n\
             Content-Length: 2\r\n\r\nOK",
            "this is Podman",
        ),
    ] {
        let (socket, _world) = saying(text);
        let error = Engine::connect(&socket).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted:?} in {error}");
    }
    let (newest, _world) =
        saying("HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nContent-Length: 2\r\n\r\nOK");
    assert_eq!(Engine::connect(&newest).unwrap().api(), "1.51");
}

#[test]
fn a_refusal_is_told_in_the_daemons_own_words() {
    let refusal = |text: &'static str| {
        let (socket, _world) = answering(move |mut stream| {
            let ping = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
            static COUNT: Mutex<u32> = Mutex::new(0);
            let mut count = COUNT.lock().unwrap();
            *count += 1;
            let text = if *count % 2 == 1 { ping } else { text };
            let _ = stream.write_all(text.as_bytes());
        });
        let engine = Engine::connect(&socket).unwrap();
        engine.image("a:1").unwrap_err().to_string()
    };
    let json = refusal(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 25\r\n\r\n{\"message\":\"no such one\"}",
    );
    assert!(
        json.contains("cannot look up the image") && json.contains("Docker error 404: no such one"),
        "{json}"
    );
    let plain = refusal("HTTP/1.1 400 Bad\r\nContent-Length: 7\r\n\r\ntoo old");
    assert!(plain.contains("Docker error 400: too old"), "{plain}");
}
