//! What the host listens at, and a command of a confined harness's can reach of it: sockets in what it may
//! read and in what it may write, there before the session and made in its midst; with namespaces and
//! without.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, operator, session};

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use governed::{bash, run, turns};
use operator::Operator;
use serde_json::json;
use session::{World, claude, put_program, python, wait_for};

/// Connects to each path that it is given, with every type of socket, once all is laid out.
const CONNECT: &str = r#"
import os, socket, sys, time
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.02)
for path in sys.argv[1:]:
    came = set()
    for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]:
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            came.add("reached")
        except OSError as error:
            came.add(error.strerror)
    print(os.path.basename(path), "reached" if "reached" in came else sorted(came))
"#;

/// A world whose host listens in a directory that is only read, in the repository, and elsewhere.
struct Listening {
    world: World,
    held: Vec<UnixListener>,
    _datagram: UnixDatagram,
}

fn listen(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    // Whoever runs the harness may connect, as far as files say.
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    listener
}

impl Listening {
    fn new() -> Self {
        let world = World::new();
        world.policy(&[("allow", "Bash")]);
        world.put("connect.py", CONNECT);
        let root = world.root();
        for name in ["named/deep", "repo/run", "tmux"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let held = ["named/deep/before", "repo/run/inside", "tmux/default"]
            .map(|name| listen(&root.join(name)));
        let datagram = UnixDatagram::bind(root.join("repo/log")).unwrap();
        Self {
            held: held.into(),
            _datagram: datagram,
            world,
        }
    }

    fn path(&self, name: &str) -> String {
        self.world.root().join(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn no_socket_of_the_hosts_is_reached_with_namespaces() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    for who in [Operator::Same, Operator::Ordinary] {
        let mut listening = Listening::new();
        let Some((agp, claude)) = who.of(&listening.world, &claude) else {
            continue;
        };
        let names = [
            "named/deep/before",
            "named/after",
            "repo/run/inside",
            "repo/log",
            "tmux/default",
        ];
        let paths = names.map(|name| listening.path(name)).join(" ");
        let model = turns(vec![vec![bash(
            "t1",
            &format!("python3 connect.py {paths}"),
        )]]);
        who.own(&listening.world);
        let world = &listening.world;
        let mut start = run(world, &claude, &model).program(&agp);
        if who != Operator::Same {
            start = start.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        }
        let live = start
            .arguments(&["--allow-read", &listening.path("named")])
            .start();
        wait_for("the command", || world.get("ready"));
        let after = listen(&world.root().join("named/after"));
        world.put("go", "");
        live.finish().succeeded();
        let said = model.result_of("t1").unwrap().text;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), names.len(), "{said}");
        assert!(!said.contains("reached"), "{who:?}\n{said}");
        // It is there to be seen: only nothing is had from it.
        assert!(lines[1].contains("Connection refused"), "{said}");
        let attested = &world.event("sandbox.attested")["payload"];
        assert_eq!(attested["openSockets"], json!([]), "{attested}");
        assert!(attested["masked"].as_u64().unwrap() >= 2, "{attested}");
        assert!(
            attested["tried"]["unix"].as_u64().unwrap() >= 4,
            "{attested}"
        );
        // The probe's own socket is gone from the repository.
        let left = fs::read_dir(world.repo()).unwrap().flatten();
        let left: Vec<String> = left
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name.starts_with(".agp-"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        world.verifies();
        listening.held.push(after);
    }
}

/// Landlock sees no connection to a socket that has a path. So a tmux, say, gave whoever runs a command the
/// operator's own terminal.
#[test]
fn without_namespaces_hook_mode_is_refused_and_best_effort_says_what_is_open() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    let listening = Listening::new();
    let world = &listening.world;
    let Some((agp, claude)) = Operator::WithoutNamespaces.of(world, &claude) else {
        return;
    };
    let tmux = listening.path("tmux/default");
    // What lets the hooks speak at the gate, beside the settings that the harness was given.
    let client = "settings=$(tr '\\0' '\\n' </proc/$CLAUDE_PID/cmdline | grep settings.json); \
                 cat ${settings%settings.json}gate.client 2>&1; echo looked";
    let model = turns(vec![
        vec![bash("t1", &format!("touch go; python3 connect.py {tmux}"))],
        vec![bash("t2", client)],
    ]);
    let start = || {
        run(world, &claude, &model)
            .program(&agp)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
    };
    start().run().exited(1).complained(&[
        "cannot confine the harness",
        "which close Unix sockets that have a path",
        "namespaces user: ",
        "--mode mediated",
    ]);
    assert_eq!(world.events("session.started").len(), 0);
    start()
        .arguments(&["--confine", "best-effort"])
        .run()
        .succeeded()
        // Ten of them are named; all of the machine's are on record.
        .complained(&["WARNING: no namespaces", "such as /"]);
    let said = model.result_of("t1").unwrap().text;
    assert!(said.contains("default reached"), "{said}");
    let said = model.result_of("t2").unwrap().text;
    assert!(said.contains("/gate.client: Permission denied"), "{said}");
    let started = &world.event("session.started")["payload"]["sandbox"];
    assert_eq!(started["namespaces"], "off");
    let open = &world.event("sandbox.attested")["payload"]["openSockets"];
    let open = open.as_array().unwrap();
    assert!(open.contains(&json!(tmux)), "{open:?}");
}

/// An overlay shows nothing that is mounted below. So there the sockets that are there are covered, and the
/// record says that later ones are not.
#[test]
fn where_no_overlay_is_to_be_had_the_sockets_that_are_there_are_covered() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    let listening = Listening::new();
    let world = &listening.world;
    let named = listening.path("named");
    fs::create_dir(world.root().join("named/mounted")).unwrap();
    let mounting = world.root().join("mounting");
    put_program(
        &mounting,
        format!(
            "#!/bin/sh\nexec unshare --map-root-user --mount sh -c 'mount -t tmpfs agp {named}/mounted && \
             exec {} \"$@\"' sh \"$@\"\n",
            env!("CARGO_BIN_EXE_agp")
        ),
    );
    let before = listening.path("named/deep/before");
    let command = format!("touch go; python3 connect.py {before}");
    let model = turns(vec![vec![bash("t1", &command)]]);
    run(world, &claude, &model)
        .program(&mounting)
        .arguments(&["--allow-read", &named])
        .run()
        .succeeded();
    let said = model.result_of("t1").unwrap().text;
    assert!(
        said.contains("Connection refused") && !said.contains("reached"),
        "{said}"
    );
    let attested = &world.event("sandbox.attested")["payload"];
    let told = attested["notIsolated"].to_string();
    assert!(told.contains("made later in what is read"), "{told}");
}

#[test]
fn a_socket_that_is_named_is_refused() {
    let Some(claude) = claude() else { return };
    let listening = Listening::new();
    let model = turns(Vec::new());
    let tmux = listening.path("tmux/default");
    for flag in ["--allow-read", "--allow-write"] {
        run(&listening.world, &claude, &model)
            .arguments(&[flag, &tmux])
            .run()
            .exited(1)
            .complained(&[&tmux, "is a socket"]);
    }
}

/// A daemon of the operator's that a variable names is tried, whatever its path.
#[test]
fn a_daemon_that_a_variable_names_is_out_of_reach() {
    let Some(claude) = claude() else { return };
    let listening = Listening::new();
    let world = &listening.world;
    let model = turns(vec![vec![bash("t1", "touch ran")]]);
    let tmux = listening.path("tmux/default");
    let ran = run(world, &claude, &model)
        .env("DOCKER_HOST", &format!("unix://{tmux}"))
        .run();
    ran.succeeded();
    assert!(world.get("ran").is_some());
    let attested = &world.event("sandbox.attested")["payload"];
    assert_eq!(attested["openSockets"], json!([]), "{attested}");
}
