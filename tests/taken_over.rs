//! Each thread of a real session, taken over as soon as it is confined: it tries to read the signing key,
//! to write the journal, to reach a daemon's socket and another port, to trace, to mount, to become
//! another program. And what a panic in it comes to.
//! `cargo test --features inject --test taken_over`

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
#[path = "support/slack.rs"]
mod slack;

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use governed::{bash, mediated, turns};
use responses::ResponsesDouble;
use serde_json::json;
use session::{Ran, Start, World, claude};
use slack::{APP_TOKEN, BOT_TOKEN, CHANNEL, SlackDouble};

const PROGRAM: &str = env!("CARGO_BIN_EXE_agp-taken-over");
const SIGSYS: i32 = 31;
const DENIED: &str = "gives -13";
const DEADLY: &str = "is deadly";

/// What a taken-over thread is after.
struct Targets {
    key: String,
    journal: String,
    socket: PathBuf,
    port: u16,
    _daemon: UnixListener,
    _other: TcpListener,
}

impl Targets {
    fn of(world: &World) -> Self {
        let home = world.agp_home();
        let socket = world.root().join("daemon.sock");
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            key: home
                .join("signing/journal-ed25519.key")
                .display()
                .to_string(),
            journal: home.join("audit.log").display().to_string(),
            _daemon: UnixListener::bind(&socket).unwrap(),
            socket,
            port: other.local_addr().unwrap().port(),
            _other: other,
        }
    }

    fn survey(&self, thread: &str) -> String {
        let (key, journal, port) = (&self.key, &self.journal, self.port);
        format!(
            "{thread} survey {key} {journal} {} {port}",
            self.socket.display()
        )
    }

    /// Asserts what came of each attempt.
    fn held(&self, thread: &str, said: &str) {
        let line = |deed: &str| -> String {
            let begin = format!("TAKEN OVER: {thread}: {deed}");
            let found = said.lines().find(|line| line.starts_with(&begin));
            found
                .unwrap_or_else(|| panic!("{begin} in:\n{said}"))
                .to_owned()
        };
        let came = |deed: &str, expected: &str| {
            let line = line(deed);
            assert!(line.contains(expected), "{line}");
        };
        let owns_files = ["journal", "slack-outbox"].contains(&thread);
        let speaks = ["slack-socket", "slack-post", "slack-dial", "egress"].contains(&thread);
        if ["prepare", "spawn"].contains(&thread) {
            // The one reads nothing foreign, and what it starts inherits its filter; the other opens what
            // a session needs.
            let mount = ["call 165"].into_iter().filter(|_| thread == "prepare");
            for call in ["call 101", "call 321", "call 425"]
                .into_iter()
                .chain(mount)
            {
                came(call, "gives -1");
            }
            return;
        }
        if !owns_files {
            came("read", DENIED);
            came("write", DEADLY);
        }
        let (unix, tcp) = match thread {
            // A Unix connection is its job; to which socket no rule of Landlock's can say.
            "docker" | "slack-relay" => ("gives 0", DEADLY),
            _ if speaks => (DENIED, DENIED),
            _ => (DEADLY, DEADLY),
        };
        came("unix", unix);
        came("tcp", tcp);
        for deed in ["call 101", "call 165", "call 321", "call 425", "exec"] {
            came(deed, DEADLY);
        }
    }
}

/// A session of which one thread does this.
fn taken_over(start: Start, order: &str) -> Start {
    start
        .program(Path::new(PROGRAM))
        .env("AGP_TAKE_OVER", order)
}

fn scripted(world: &World) -> Start {
    scripted_in(world, "process")
}

fn scripted_in(world: &World, sandbox: &str) -> Start {
    let line = json!({"tool": "Bash", "args": {"command": "true"}}).to_string();
    world.put("calls.jsonl", &line);
    world.agp(&["run", "--script", "calls.jsonl", "--sandbox", sandbox])
}

fn scripted_world() -> World {
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    world
}

const SCRIPTED: [&str; 9] = [
    "prepare",
    "main",
    "journal",
    "journal-sign",
    "signals",
    "harness",
    "look",
    "paths",
    "spawn",
];

#[test]
fn the_threads_of_a_script_reach_nothing_that_is_not_theirs() {
    for thread in SCRIPTED {
        let world = scripted_world();
        let targets = Targets::of(&world);
        let ran = taken_over(scripted(&world), &targets.survey(thread)).run();
        targets.held(thread, &ran.succeeded().err);
        world.verifies();
    }
}

#[test]
fn the_threads_of_a_harness_reach_nothing_that_is_not_theirs() {
    let Some(claude) = claude() else { return };
    for (thread, is_mediated) in [
        ("gateway", false),
        ("call", false),
        ("call", true),
        ("harness", false),
        ("harness-stderr", false),
    ] {
        let world = scripted_world();
        let targets = Targets::of(&world);
        let (call, run): (_, fn(&World, &Path, &model::ModelDouble) -> Start) = if is_mediated {
            (mediated::bash("toolu_b", "true"), mediated::run)
        } else {
            (bash("toolu_b", "true"), governed::run)
        };
        let model = turns(vec![vec![call]]);
        let start = run(&world, &claude, &model);
        let ran = taken_over(start, &targets.survey(thread)).run();
        targets.held(thread, &ran.succeeded().err);
        world.verifies();
    }
}

#[test]
fn the_threads_of_codex_reach_nothing_that_is_not_theirs() {
    for thread in ["harness-output", "rollout"] {
        let Some(governed) = codex::Governed::by(&[("allow", "Bash")]) else {
            return;
        };
        let call = responses::Call::mediated("call_b", "Bash", &json!({"command": "true"}));
        let model = ResponsesDouble::start(vec![vec![call]]);
        let targets = Targets::of(&governed.world);
        let start = governed.run_against(&model);
        let ran = taken_over(start, &targets.survey(thread)).run();
        targets.held(thread, &ran.succeeded().err);
        governed.world.verifies();
    }
}

#[test]
fn the_threads_of_slack_reach_slack_and_nothing_else() {
    for thread in [
        "slack-socket",
        "slack-dial",
        "slack-relay",
        "slack-post",
        "slack-outbox",
    ] {
        let world = World::new();
        world.policy(&[("require", "Bash")]);
        let config = json!({"slack": {"channel": CHANNEL, "approvers": ["U0ALICE"]}});
        std::fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
        let targets = Targets::of(&world);
        let double = SlackDouble::start();
        let start = scripted(&world)
            .arguments(&["--approval-timeout", "3"])
            .env("AGP_CHANNEL", "slack")
            .env("AGP_SLACK_API_URL", &double.url())
            .env("AGP_SLACK_BOT_TOKEN", BOT_TOKEN)
            .env("AGP_SLACK_APP_TOKEN", APP_TOKEN);
        let live = taken_over(start, &targets.survey(thread)).start();
        let _ = double.card(0);
        // Has it opened another connection.
        double.disconnect(0, "refresh_requested");
        let ran = live.finish().succeeded();
        targets.held(thread, &ran.err);
        world.verifies();
    }
}

#[test]
fn the_thread_of_a_docker_daemon_reaches_its_socket_and_nothing_else() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = || {
        let world = scripted_world();
        if rustix::process::geteuid().is_root() {
            // The user inside is another then.
            chown(world.repo(), Some(65534), Some(65534)).unwrap();
        }
        world
    };
    let run = |world: &World| {
        scripted_in(world, "docker")
            .arguments(&["--image", dockerd::BUSYBOX])
            .env("DOCKER_HOST", &daemon.host())
    };
    let (world, again) = (world(), world());
    let targets = Targets::of(&world);
    let ran = taken_over(run(&world), &targets.survey("docker")).run();
    targets.held("docker", &ran.succeeded().err);
    world.verifies();
    // As in a release: its death takes agp with it, and the next start its container.
    let ran = taken_over(run(&again), "docker exec killed").run();
    assert_eq!(ran.status.signal(), Some(SIGSYS), "{}", ran.err);
    run(&again).run().succeeded();
    let reaped = &again.events("session.reaped")[0];
    daemon.without(reaped["payload"]["sessionId"].as_str().unwrap());
    again.verifies();
}

#[test]
fn the_threads_of_a_way_out_reach_what_is_listed_and_nothing_else() {
    let listed = TcpListener::bind("127.0.0.1:0").unwrap();
    let listed = format!("localhost:{}", listed.local_addr().unwrap().port());
    for thread in ["egress", "egress-trial"] {
        let world = scripted_world();
        let targets = Targets::of(&world);
        let start = scripted(&world).arguments(&["--egress-allow", &listed]);
        let ran = taken_over(start, &targets.survey(thread)).run();
        targets.held(thread, &ran.succeeded().err);
        world.verifies();
    }
}

#[test]
fn the_thread_that_stands_in_for_a_model_reaches_nothing() {
    let Some(claude) = claude() else { return };
    let world = scripted_world();
    let targets = Targets::of(&world);
    let model = turns(vec![vec![bash("toolu_b", "true")]]);
    let start = world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .env("AGP_REPO", world.repo().to_str().unwrap())
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap());
    let ran = taken_over(start, &targets.survey("probe-model")).run();
    targets.held("probe-model", &ran.succeeded().err);
    world.verifies();
}

#[test]
fn a_call_that_a_thread_does_not_have_kills_agp_at_once() {
    for thread in SCRIPTED
        .into_iter()
        .filter(|thread| !["prepare", "spawn"].contains(thread))
    {
        let world = scripted_world();
        let ran = taken_over(scripted(&world), &format!("{thread} exec killed")).run();
        assert_eq!(ran.status.signal(), Some(SIGSYS), "{thread}: {}", ran.err);
        // What was recorded before is whole, and the next start says what became of the session.
        scripted(&world).run().succeeded();
        world.verifies();
    }
}

#[test]
fn a_missing_call_is_told_with_its_thread_and_number() {
    let world = scripted_world();
    let ran = taken_over(scripted(&world), "journal call 165").run();
    ran.exited(128 + SIGSYS)
        .complained(&["CONFINEMENT: the thread journal made the system call 165"]);
}

#[test]
fn a_panic_in_a_call_worker_denies_its_call_and_ends_the_session() {
    let Some(claude) = claude() else { return };
    let world = scripted_world();
    let model = turns(vec![vec![bash("toolu_b", "echo ran > ran")]]);
    let start = governed::run(&world, &claude, &model);
    let ran = taken_over(start, "call panic").run();
    broken(&ran.exited(3), "call");
    assert_eq!(world.get("ran"), None);
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn a_panic_between_a_decision_and_its_telling_lets_nothing_run() {
    let Some(claude) = claude() else { return };
    let world = scripted_world();
    let model = turns(vec![vec![bash("toolu_b", "echo ran > ran")]]);
    let start = governed::run(&world, &claude, &model);
    let ran = taken_over(start, "call panic decided toolu_b").run();
    broken(&ran.exited(3), "call");
    // The allow is on record, and was told to nobody: the hook's link dropped, which is a deny.
    assert_eq!(world.kinds_of("toolu_b"), ["tool_call.allow", "gate.allow"]);
    assert_eq!(world.get("ran"), None);
    assert_eq!(world.event("session.ended")["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn a_panic_in_the_midst_of_one_call_denies_it_and_loses_no_other() {
    let (Some(claude), Some(python)) = (claude(), session::python()) else {
        return;
    };
    let world = World::new();
    world.policy(&[("require", "Read")]);
    for name in ["a", "b"] {
        world.put(name, "text");
    }
    let read = |id: &str, name: &str| {
        let input = json!({"file_path": world.path(name)});
        governed::call(id, "Read", input)
    };
    // Of calls that change nothing the harness makes several at once.
    let model = turns(vec![vec![read("toolu_a", "a"), read("toolu_b", "b")]]);
    let start = governed::run(&world, &claude, &model);
    let live = taken_over(start, "call panic asked toolu_b").start_at_terminal(&python);
    live.finish().exited(3);
    // The one was not decided, the other is: it waits for a human, or will, and is let go with a deny.
    assert_eq!(world.kinds_of("toolu_b"), [""; 0]);
    let other = world.kinds_of("toolu_a");
    assert_eq!(
        other.last().map(String::as_str),
        Some("gate.deny"),
        "{other:?}"
    );
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    let reason = ended["payload"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the thread call panicked"), "{reason}");
    assert_eq!(ended["payload"]["bypassed"], 0);
    world.verifies();
}

#[test]
fn a_panic_elsewhere_ends_the_session_and_leaves_the_journal_whole() {
    for thread in [
        "journal",
        "journal-sign",
        "signals",
        "harness",
        "look",
        "paths",
        "main",
    ] {
        // A backtrace takes calls that no thread has: it must not be made, or agp dies untold.
        let [plain, asked] = ["0", "full"].map(|backtrace| {
            let world = scripted_world();
            scripted(&world).run().succeeded();
            let start = scripted(&world).env("RUST_BACKTRACE", backtrace);
            let ran = taken_over(start, &format!("{thread} panic")).run();
            if ran.code() == 1 {
                // It has not begun: the first thing that a thread did was to panic.
                assert_eq!(world.events("session.started").len(), 1, "{thread}");
            } else {
                assert_eq!(ran.code(), 3, "{}", ran.err);
            }
            if ["harness", "main"].contains(&thread) {
                // Those of a session that is on record.
                ended_by_panic(&world, thread);
            }
            world.verifies();
            scripted(&world).run().succeeded();
            world.verifies();
            assert!(world.events("session.reaped").is_empty(), "{thread}");
            panicked(&ran, thread)
        });
        assert_eq!(plain, asked);
    }
}

/// Asserts that the last session's end is on record, once, and says why.
fn ended_by_panic(world: &World, thread: &str) {
    let started = world.events("session.started").pop().unwrap();
    let session = &started["payload"]["sessionId"];
    let ended = world.events("session.ended").into_iter();
    let ended: Vec<_> = ended
        .filter(|event| &event["payload"]["sessionId"] == session)
        .collect();
    let [ended] = ended.as_slice() else {
        panic!("{thread}: {ended:?}");
    };
    assert_eq!(ended["payload"]["end"], "broken", "{thread}");
    let reason = ended["payload"]["reason"].as_str().unwrap();
    let begin = format!("the thread {thread} panicked");
    assert!(reason.starts_with(&begin), "{reason}");
}

#[test]
fn a_panic_of_a_thread_beside_a_harness_kills_it_and_is_on_record() {
    let Some(claude) = claude() else { return };
    for thread in ["gateway", "harness", "harness-stderr", "main"] {
        let world = scripted_world();
        let model = turns(vec![vec![bash("toolu_b", "echo ran > ran")]]);
        let start = governed::run(&world, &claude, &model);
        let ran = taken_over(start, &format!("{thread} panic")).run();
        panicked(&ran.exited(3), thread);
        assert_eq!(world.get("ran"), None, "{thread}");
        ended_by_panic(&world, thread);
        world.verifies();
        let left = world.agp(&["sessions"]).run().succeeded();
        assert!(!left.out.contains("no end recorded"), "{}", left.out);
    }
}

/// Three calls, each of which leaves a file; the second is the one that something happens to.
const CALLS: [&str; 3] = ["first", "second", "third"];

/// Where the journal's thread, or its helper, panics: with the second call's decision in hand, its
/// line written and not yet durable, durable and told to nobody; and at a signature beside all that.
const AMID_THE_JOURNAL: [&str; 4] = [
    "journal panic taken tool_call.allow",
    "journal panic written tool_call.allow",
    "journal panic durable tool_call.allow",
    "journal-sign panic signing tool_call.allow",
];

/// Asserts that the session ended as one that is broken, that nothing ran that is not on record, nor
/// anything behind the panic, and that the next start mends what is left and says what became of it.
fn broken_amid(world: &World, ran: Ran, order: &str) {
    let (thread, rest) = order.split_once(' ').unwrap();
    panicked(&ran.exited(3), thread);
    world.verifies();
    let ran = CALLS.map(|name| world.get(name).is_some());
    assert!(ran[0] && !ran[2], "{order}: {ran:?}");
    assert!(world.events("session.ended").is_empty(), "{order}");
    let started = &world.event("session.started")["payload"]["sessionId"];
    let listed = world.agp(&["sessions"]).run().succeeded();
    assert!(listed.out.contains("no end recorded"), "{}", listed.out);
    scripted(world).run().succeeded();
    world.verifies();
    assert_eq!(
        &world.event("session.reaped")["payload"]["sessionId"],
        started
    );
    let allowed = world.events("tool_call.allow").into_iter();
    let allowed = allowed.filter(|event| &event["payload"]["sessionId"] == started);
    let recorded = match (rest.split(' ').nth(1), allowed.count()) {
        (Some("taken"), 1) => 1,
        (Some("written" | "durable"), 2) => 2,
        // What the helper does not sign the journal's thread does.
        (Some("signing"), some @ (1 | 2)) => some,
        (_, other) => panic!("{order}: {other}"),
    };
    // Nobody was told of it, unless the journal's own thread goes on.
    assert!(
        !ran[1] || thread == "journal-sign" && recorded == 2,
        "{order}"
    );
}

#[test]
fn a_panic_of_the_journal_amid_a_session_allows_nothing_more() {
    for order in AMID_THE_JOURNAL {
        let world = scripted_world();
        let calls = CALLS.map(|name| {
            let args = json!({"command": format!("touch {name}")});
            json!({"tool": "Bash", "args": args}).to_string()
        });
        world.put("three.jsonl", &calls.join("\n"));
        let start = world
            .agp(&["run", "--script", "three.jsonl", "--sandbox", "process"])
            .env("RUST_BACKTRACE", "1");
        let ran = taken_over(start, order).run();
        broken_amid(&world, ran, order);
    }
}

#[test]
fn a_panic_of_the_journal_amid_a_harness_s_session_ends_the_harness_unallowed() {
    let Some(claude) = claude() else { return };
    for (order, is_mediated) in AMID_THE_JOURNAL
        .into_iter()
        .zip([false, true].into_iter().cycle())
    {
        let world = scripted_world();
        let call = if is_mediated { mediated::bash } else { bash };
        let calls =
            CALLS.map(|name| vec![call(&format!("toolu_{name}"), &format!("touch {name}"))]);
        let model = turns(calls.into());
        let run = if is_mediated {
            mediated::run
        } else {
            governed::run
        };
        let start = run(&world, &claude, &model).env("RUST_BACKTRACE", "1");
        let ran = taken_over(start, order).run();
        broken_amid(&world, ran, order);
    }
}

/// The one line that tells of a thread's panic.
fn panicked(ran: &Ran, thread: &str) -> String {
    let begin = format!("agp: the thread {thread} panicked at ");
    let line = ran.err.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("{begin} in: {}", ran.err));
    assert!(line.ends_with(": as it was told to"), "{line}");
    assert!(!ran.err.contains("stack backtrace"), "{}", ran.err);
    line.to_owned()
}

fn broken(ran: &Ran, thread: &str) {
    let said = format!("the thread {thread} panicked");
    assert!(ran.err.contains(&said), "{}", ran.err);
}
