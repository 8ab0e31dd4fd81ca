//! A harness on the host, confined: what it and the commands that it runs can reach of the
//! operator's, in both modes, on the real Claude Code and Codex.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, governed, model, operator, responses, session};

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::Path;

use codex::Governed;
use governed::{bash, run, turns};
use model::Call;
use operator::Operator;
use responses::ResponsesDouble;
use serde_json::json;
use session::{World, all_gone, below, claude, python, wait_for};

/// Tries each of its arguments and says what came of it, a line each.
const TRY: &str = r#"
import ctypes, os, socket, sys, time
root, repo = sys.argv[1:3]
home = root + "/home"
while not os.path.exists(repo + "/agp-pid"):
    time.sleep(0.02)
agp = int(open(repo + "/agp-pid").read())

def read(path):
    return lambda: open(path, "rb").read()

def append(path):
    def go():
        with open(path, "a") as file:
            file.write("planted\n")
    return go

def connect(path):
    return lambda: socket.socket(socket.AF_UNIX).connect(path)

def ptrace():
    if ctypes.CDLL(None).ptrace(16, agp, 0, 0) != 0:
        raise OSError("ptrace")

def listing():
    if str(agp) in os.listdir("/proc"):
        read("/proc/%d/environ" % agp)()
    else:
        raise OSError("not there")

for name, attempt in {
    "key": read(root + "/agp/signing/journal-ed25519.key"),
    "journal": append(root + "/agp/audit.log"),
    "policy": append(root + "/agp/policy.json"),
    "ssh": read(home + "/.ssh/id"),
    "aws": read(home + "/.aws/credentials"),
    "bashrc": read(home + "/.bashrc"),
    "docker": connect(root + "/docker.sock"),
    "abstract": connect("\0" + root + "/abstract"),
    "signal": lambda: os.kill(agp, 0),
    "ptrace": ptrace,
    "memory": read("/proc/%d/mem" % agp),
    "environ": listing,
    "shadow": read("/etc/shadow"),
    "settings": append(root + "/home/.claude/settings.json"),
    "named": read(root + "/named/file"),
    "change-named": append(root + "/named/file"),
    "repo": append(repo + "/made"),
    "tmp": append("/tmp/made-inside"),
    "tmpdir": append(os.environ["TMPDIR"] + "/made"),
}.items():
    try:
        attempt()
        print(name, "done")
    except OSError as error:
        print(name, "refused")
"#;

/// What no command of the harness's may do.
const BARRED: [&str; 14] = [
    "key", "journal", "policy", "ssh", "aws", "bashrc", "docker", "abstract", "signal", "ptrace",
    "memory", "environ", "shadow", "settings",
];

/// What more they may do where there are no namespaces, besides what is told of it: Landlock keeps
/// nobody from a socket that has a path, and takes nothing from what lies in a writable directory.
const NOT_BARRED_WITHOUT: [&str; 2] = ["docker", "settings"];

/// Lays out what could be reached, runs the attempts, and gives what was said of them.
fn attempts(world: &World, claude: &Path, more: &[&str]) -> String {
    attempts_as(Operator::Same, world, claude, more).unwrap()
}

fn attempts_as(who: Operator, world: &World, claude: &Path, more: &[&str]) -> Option<String> {
    let (agp, claude) = who.of(world, claude)?;
    let listening = lay_out(world);
    let root = world.root().to_str().unwrap();
    world.put("try.py", TRY);
    let repo = world.repo();
    let command = format!(
        "python3 try.py {root} {}; echo planted >> $HOME/.profile",
        repo.to_str().unwrap()
    );
    let model = turns(vec![vec![bash("t1", &command)]]);
    who.own(world);
    let mut start = run(world, &claude, &model).program(&agp);
    if who != Operator::Same {
        // What else is on the test's own may lie where he may not look.
        start = start.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    }
    let live = start.arguments(more).start();
    world.put("agp-pid", &world.lease().pid.to_string());
    live.finish().succeeded();
    drop(listening);
    let said = model.result_of("t1").unwrap().text + "\n";
    let open =
        |name: &str| who == Operator::WithoutNamespaces && NOT_BARRED_WITHOUT.contains(&name);
    barred(world, &said, &open);
    Some(said)
}

/// Lays out what could be reached, and listens where something could.
fn lay_out(world: &World) -> [UnixListener; 2] {
    let root = world.root().to_str().unwrap();
    for (name, text) in [
        ("home/.ssh/id", "secret"),
        ("home/.aws/credentials", "secret"),
        ("home/.bashrc", "# mine\n"),
        ("home/.profile", "# mine\n"),
        ("home/.claude/settings.json", "{}"),
        ("named/file", "named"),
    ] {
        let path = world.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for there in ["agp/signing/journal-ed25519.key", "agp/policy.json"] {
        assert!(world.root().join(there).exists(), "{there}");
    }
    let docker = UnixListener::bind(world.root().join("docker.sock")).unwrap();
    let name = format!("{root}/abstract");
    let hidden = UnixListener::bind_addr(&UnixAddr::from_abstract_name(name).unwrap()).unwrap();
    [docker, hidden]
}

/// Asserts that nothing was done of what is barred and not `open`.
fn barred(world: &World, said: &str, open: &dyn Fn(&str) -> bool) {
    for name in BARRED.into_iter().filter(|name| !open(name)) {
        assert!(
            said.contains(&format!("{name} refused\n")),
            "{name}:\n{said}"
        );
    }
    let profile = fs::read_to_string(world.root().join("home/.profile")).unwrap();
    assert_eq!(profile, "# mine\n");
}

#[test]
fn an_ordinary_users_harness_is_confined_with_and_without_namespaces() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    for (who, namespaces, more) in [
        (Operator::Ordinary, "user", &[][..]),
        (
            Operator::WithoutNamespaces,
            "off",
            &["--confine", "best-effort"],
        ),
    ] {
        let world = World::new();
        world.policy(&[("allow", "Bash")]);
        let Some(said) = attempts_as(who, &world, &claude, more) else {
            continue;
        };
        for name in ["repo", "tmpdir"] {
            assert!(
                said.contains(&format!("{name} done\n")),
                "{who:?} {name}:\n{said}"
            );
        }
        let started = &world.event("session.started")["payload"];
        assert_eq!(started["intendant"]["confined"], true, "{who:?}");
        assert_eq!(started["sandbox"]["namespaces"], namespaces, "{who:?}");
        let attested = &world.event("sandbox.attested")["payload"];
        assert_eq!(attested["readable"], json!([]), "{who:?}");
        assert_eq!(world.events("tool_call.result").len(), 1, "{who:?}");
        world.verifies();
    }
}

/// The harness that the probe starts is confined, too, as the session's will be.
#[test]
fn the_probes_harness_is_confined() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    // Leaves a mark outside, where it can.
    let stand_in = world.root().join("harness");
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> {}/escaped\nexec {} \"$@\"\n",
        world.root().display(),
        claude.canonicalize().unwrap().display()
    );
    session::put_program(&stand_in, script);
    let real = claude.canonicalize().unwrap();
    let read = real.parent().unwrap().to_str().unwrap().to_owned();
    let model = turns(vec![vec![bash("t1", "echo ran > ran")]]);
    let escaped = world.root().join("escaped");
    let marks = || fs::read_to_string(&escaped).unwrap_or_default();
    let probed = |more: &[&str]| {
        let _ = fs::remove_file(&escaped);
        world
            .agp(&["run", "--intendant", "claude-code", "--task", "go"])
            .arguments(&["--allow-read", &read])
            .arguments(more)
            .env("ANTHROPIC_BASE_URL", &model.base_url())
            .env("ANTHROPIC_API_KEY", "x")
            .env("AGP_CLAUDE_BIN", stand_in.to_str().unwrap())
            .run()
            .succeeded()
    };
    probed(&[]).complained(&["Gate self-test passed", ", confined: "]);
    // Asking it for its version is all that is done unconfined.
    let unconfined = marks();
    assert!(
        unconfined.lines().all(|line| line == "--version"),
        "{unconfined}"
    );
    assert_eq!(world.get("ran").as_deref(), Some("ran\n"));
}

#[test]
fn what_an_allowed_command_can_reach_is_the_repository_and_no_more() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let said = attempts(&world, &claude, &[]);
    for name in ["repo", "tmp", "tmpdir"] {
        assert!(said.contains(&format!("{name} done\n")), "{name}:\n{said}");
    }
    for name in ["named", "change-named"] {
        assert!(said.contains(&format!("{name} refused\n")), "{said}");
    }
    assert_eq!(world.get("made").as_deref(), Some("planted\n"));
    assert!(!Path::new("/tmp/made-inside").exists());
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["intendant"]["confined"], true);
    assert_eq!(started["sandbox"]["kind"], "process");
    let attested = &world.event("sandbox.attested")["payload"];
    assert_eq!(attested["readable"], json!([]));
    world.verifies();
}

#[test]
fn what_is_named_can_be_read_or_changed_and_is_on_record() {
    let (Some(claude), Some(_)) = (claude(), python()) else {
        return;
    };
    for (flag, changed) in [("--allow-read", "refused"), ("--allow-write", "done")] {
        let world = World::new();
        world.policy(&[("allow", "Bash")]);
        let named = world.root().join("named");
        fs::create_dir(&named).unwrap();
        let named = named.to_str().unwrap().to_owned();
        let said = attempts(&world, &claude, &[flag, &named]);
        assert!(said.contains("named done\n"), "{said}");
        assert!(
            said.contains(&format!("change-named {changed}\n")),
            "{said}"
        );
        let started = world.event("session.started")["payload"]["sandbox"].to_string();
        assert!(started.contains(&named), "{started}");
    }
}

#[test]
fn nothing_of_a_confined_harness_outlives_the_session() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let orphan = "setsid sleep 300 & touch started; wait";
    let model = turns(vec![vec![bash("t1", orphan)]]);
    let live = run(&world, &claude, &model).start();
    wait_for("the command", || world.get("started"));
    let agp = world.lease().pid;
    let all = wait_for("the orphan", || {
        let all = below(agp);
        let sleeps = |process: &session::Process| {
            process.arguments().first().map(String::as_str) == Some("sleep")
        };
        all.iter().any(sleeps).then_some(all)
    });
    session::Process::of(agp).unwrap().kill("-KILL");
    all_gone(&all);
    drop(live);
}

#[test]
fn in_mediated_mode_the_harness_is_confined_too() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let call = Call {
        id: Some("t1".to_owned()),
        ..Call::new("mcp__agp__Bash", json!({"command": "echo inside > made"}))
    };
    let model = turns(vec![vec![call]]);
    run(&world, &claude, &model)
        .arguments(&["--mode", "mediated"])
        .run()
        .succeeded()
        .complained(&["the harness itself is confined"]);
    assert_eq!(world.get("made").as_deref(), Some("inside\n"));
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["intendant"]["confined"], true);
    assert_eq!(started["sandbox"]["harness"]["kind"], "process");
    let limits = &started["sandbox"]["harness"]["limits"];
    assert!(limits["processes"].is_u64() && limits["openFiles"].is_u64());
    assert!(
        limits["fileBytes"].is_null(),
        "no limit is no number: {limits}"
    );
    let attested = &world.event("sandbox.attested")["payload"];
    assert_eq!(attested["harness"]["readable"], json!([]));
}

#[test]
fn codex_is_confined_in_mediated_mode() {
    let (Some(codex), Some(_)) = (session::codex(), python()) else {
        return;
    };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let listening = lay_out(&world);
    // The harness itself: before it starts, the attempts are made in its place.
    let real = codex::native(&codex);
    let [root, repo] =
        [world.root().to_owned(), world.repo()].map(|path| path.display().to_string());
    let wrapper = world.root().join("codex");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = exec ] && python3 {repo}/try.py {root} {repo} > {repo}/said\n\
         exec {} \"$@\"\n",
        real.display()
    );
    session::put_program(&wrapper, script);
    world.put("try.py", TRY);
    let governed = Governed { world, codex };
    let world = &governed.world;
    let call = responses::Call::mediated(
        "c1",
        "Bash",
        &json!({"command": "echo inside > made-by-a-tool"}),
    );
    let model = ResponsesDouble::start(vec![vec![call]]);
    governed.configure(&model, "");
    let live = governed
        .start()
        .env("AGP_CODEX_BIN", wrapper.to_str().unwrap())
        .arguments(&["--allow-read", real.to_str().unwrap()])
        .start();
    world.put("agp-pid", &world.lease().pid.to_string());
    live.finish()
        .succeeded()
        .complained(&["the harness itself is confined"]);
    drop(listening);
    let said = world.get("said").unwrap();
    barred(world, &said, &|_| false);
    for name in ["repo", "tmp", "tmpdir"] {
        assert!(said.contains(&format!("{name} done\n")), "{name}:\n{said}");
    }
    assert_eq!(world.get("made-by-a-tool").as_deref(), Some("inside\n"));
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["intendant"]["confined"], true);
    assert_eq!(started["sandbox"]["harness"]["kind"], "process");
    let attested = &world.event("sandbox.attested")["payload"];
    assert_eq!(attested["harness"]["readable"], json!([]));
    codex::mediated_decided(world, &["c1"]);
}

#[test]
fn what_cannot_be_confined_is_refused_unless_told_otherwise() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let model = turns(vec![vec![bash("t1", "echo ran > ran")]]);
    // Certificates whose directory lies around agp's home.
    let around = || {
        let run = run(&world, &claude, &model);
        run.env("SSL_CERT_DIR", world.root().to_str().unwrap())
    };
    around()
        .run()
        .exited(1)
        .complained(&["cannot confine the harness", "--confine best-effort"]);
    assert_eq!(world.events("session.started").len(), 0);
    around()
        .arguments(&["--confine", "best-effort"])
        .run()
        .succeeded()
        .complained(&["WARNING: the harness is not confined"]);
    assert!(world.get("ran").is_some());
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["intendant"]["confined"], false);
    assert_eq!(started["sandbox"]["kind"], "host");
}

#[test]
fn without_namespaces_a_socket_that_answers_refuses_the_start() {
    use agp::jail::spec::{Namespaces, Placed};
    use agp::sandbox::harness_host::{HarnessHostConfig, prepare};
    let world = World::new();
    let docker = world.root().join("docker.sock");
    let listening = UnixListener::bind(&docker).unwrap();
    // What another test forks meanwhile holds a socket of the time before for a moment: each has a name of its own.
    let turn = std::cell::Cell::new(0);
    let prepared = |namespaces| {
        turn.set(turn.get() + 1);
        let directory = world.root().join("session");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        prepare(&HarnessHostConfig {
            withheld: Vec::new(),
            bridge: env!("CARGO_BIN_EXE_agp-bridge").into(),
            spawner: agp::confine::Spawner::start().unwrap(),
            directory,
            repository: world.repo(),
            home: Some(world.root().join("home")),
            read: Vec::new(),
            write: vec![world.repo()],
            write_later: Vec::new(),
            gate: Placed {
                from: world.root().join("session/gate.sock"),
                at: "/run/agp/gate.sock".into(),
                write: false,
                foreign: false,
            },
            parts: Vec::new(),
            program: "/usr/bin/true".into(),
            package: "/usr/bin/true".into(),
            protected: vec![world.agp_home()],
            sockets: vec![docker.clone()],
            listening: Vec::new(),
            untold: 0,
            without_namespaces: true,
            weaker: false,
            token: format!("test-{}-{}", std::process::id(), turn.get()),
            namespaces: Some(namespaces),
            network: agp::sandbox::network::Network::Host,
        })
    };
    prepared(Namespaces::User).unwrap();
    let refused = prepared(Namespaces::Off).unwrap_err().0;
    assert!(refused.contains(docker.to_str().unwrap()), "{refused}");
    drop(listening);
    let enclosed = prepared(Namespaces::Off).unwrap();
    assert_eq!(enclosed.describe()["namespaces"], "off");
    assert_eq!(enclosed.attestation()["readable"], json!([]));
}

/// In a container agp is the first process, or the second. Inside a PID namespace of its own these numbers
/// are the confinement's.
#[test]
fn agp_can_be_the_first_process_of_a_container_and_the_second() {
    let Some(claude) = claude() else { return };
    let agp = env!("CARGO_BIN_EXE_agp");
    for (number, script) in [
        (
            1,
            format!("exec unshare MAP --pid --fork --mount-proc {agp} \"$@\""),
        ),
        (
            2,
            format!(
                "exec unshare MAP --pid --fork --mount-proc sh -c '{agp} \"$@\"; exit $?' sh \"$@\""
            ),
        ),
    ] {
        let map = if rustix::process::geteuid().is_root() {
            ""
        } else {
            "--map-root-user"
        };
        for mode in ["hook", "mediated"] {
            let world = World::new();
            world.policy(&[("allow", "Bash")]);
            let start = world.root().join("start");
            let text = format!("#!/bin/sh\n{}\n", script.replace("MAP", map));
            session::put_program(&start, text);
            let call = |command: &str| match mode {
                "hook" => bash("t1", command),
                _ => governed::mediated::bash("t1", command),
            };
            let model = turns(vec![vec![call("echo ran > ran")]]);
            run(&world, &claude, &model)
                .program(&start)
                .arguments(&["--mode", mode])
                .run()
                .succeeded();
            assert!(world.get("ran").is_some(), "{number} {mode}");
            let started = &world.event("session.started")["payload"];
            let harness = match mode {
                "hook" => &started["sandbox"],
                _ => &started["sandbox"]["harness"],
            };
            // What was asked for, not something weaker.
            assert_eq!(harness["namespaces"], "user", "{number} {mode}");
            assert!(!harness["notIsolated"].to_string().contains("signals"));
            world.verifies();
        }
    }
}
