//! The gateway of a live session, with the real harness at it: what comes in beside the harness moves
//! nothing, and is found.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, peer, session};

use std::io::Write;
use std::os::unix::net::UnixStream;

use agp::gateway::client_file;
use governed::{bash, run, turns, write};
use peer::{is_error, line, request, send, send_proven, with};
use serde_json::json;
use session::{World, claude, python, wait_for};

/// A command that runs until the session ends.
const LONG: &str = "echo up > up; tail -f /dev/null";

#[test]
fn a_live_session_is_not_moved_by_what_comes_in_beside_its_harness() {
    let Some(claude) = claude() else { return };
    let Some(python) = python() else { return };
    let world = World::new();
    world.policy(&[("require", "Write"), ("allow", "Read")]);
    let model = turns(vec![vec![write(&world, "toolu_w", "w", "w\n")]]);
    let mut live = run(&world, &claude, &model).start_at_terminal(&python);
    live.see("Allow this call once?");
    let lease = world.lease();
    let socket = lease.directory.join("gate.sock");
    assert_eq!(session::mode(&lease.directory), 0o700);
    assert_eq!(session::mode(&socket), 0o600);

    let ours = |id: &str| with(request(id), "sessionId", json!(lease.session));
    is_error(&send(&socket, b"let me in\n", false), "garbage");
    is_error(&send_proven(&socket, &line(&request("m"))), "session");
    is_error(&send(&socket, &line(&ours("m")), false), "no client file");
    // The id of the call that waits for its approval, asked about as another call.
    let replay = with(ours("toolu_w"), "tool", json!("Read"));
    is_error(&send_proven(&socket, &line(&replay)), "replay");
    assert_eq!(world.get("w"), None);
    live.type_in("y\n");
    // The harness itself was not disturbed; but somebody else has asked, and that is said.
    live.finish().succeeded();
    assert!(world.get("w").is_some());
    assert_eq!(world.events("gate.allow").len(), 1);
    assert_eq!(world.events("gate.deny").len(), 1);
    world.verifies();
}

#[test]
fn a_report_of_a_call_that_nobody_decided_breaks_a_session_off_that_nobody_watches() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let model = turns(vec![vec![bash("toolu_b", LONG)]]);
    let live = run(&world, &claude, &model)
        .arguments(&["--witness=off"])
        .start();
    wait_for("the command to run", || world.get("up"));
    let lease = world.lease();
    let report = json!({
        "kind": "tool_call_report", "id": "never-asked", "sessionId": lease.session,
        "tool": "Bash", "argsSha256": "0".repeat(64), "ok": true, "output": "", "outputBytes": 0,
    });
    let socket = lease.directory.join("gate.sock");
    is_error(&send_proven(&socket, &line(&report)), "never asked");
    live.finish().exited(3).complained(&["without asking"]);
    assert_eq!(
        world.event("gate.bypassed")["payload"]["messageId"],
        "never-asked"
    );
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    assert_eq!(ended["payload"]["bypassed"], 1);
    world.verifies();
}

#[test]
fn what_a_peer_says_reaches_the_terminal_escaped_and_hides_no_bypass() {
    let Some(claude) = claude() else { return };
    for (tool, recorded) in [
        ("\u{1b}[2J", "\u{1b}[2J"),
        (&*"x".repeat(2 << 18), "[withheld]"),
    ] {
        let world = World::new();
        world.policy(&[("allow", "Bash")]);
        let model = turns(vec![vec![bash("toolu_b", LONG)]]);
        let live = run(&world, &claude, &model)
            .arguments(&["--witness=off"])
            .start();
        wait_for("the command to run", || world.get("up"));
        let lease = world.lease();
        let socket = lease.directory.join("gate.sock");
        let unheard = with(request("m"), "kind", json!("\u{1b}[31m"));
        is_error(&send(&socket, &line(&unheard), false), "unheard of");
        let report = json!({
            "kind": "tool_call_report", "id": "never-asked", "sessionId": lease.session,
            "tool": tool, "argsSha256": "0".repeat(64), "ok": true, "output": "", "outputBytes": 0,
        });
        is_error(&send_proven(&socket, &line(&report)), "never asked");
        let ran = live.finish().exited(3);
        assert!(!ran.err.contains('\u{1b}'), "{}", ran.err);
        ran.complained(&["\\u{1b}[31m", "without asking"]);
        let bypassed = world.event("gate.bypassed");
        assert_eq!(bypassed["payload"]["tool"], recorded);
        world.verifies();
    }
}

#[test]
fn a_bypass_that_is_found_while_the_session_ends_breaks_it_too() {
    let world = World::new();
    let script = "\
        [ \"$1\" = --version ] && exec echo 2.1.330\n\
        touch started\n\
        while [ ! -e go ]; do sleep 0.05; done\n\
        touch ends\n";
    let live = world.stand_in(script).start();
    wait_for("the harness", || world.get("started"));
    let lease = world.lease();
    let report = json!({
        "kind": "tool_call_report", "id": "never-asked", "sessionId": lease.session,
        "tool": "Bash", "argsSha256": "0".repeat(64), "ok": true, "output": "", "outputBytes": 0,
    });
    let report = line(&report);
    let socket = lease.directory.join("gate.sock");
    let mut peer = UnixStream::connect(&socket).unwrap();
    // The session's end waits a moment for who speaks.
    let (first, last) = report.split_at(report.len() / 2);
    let client = client_file::open_beside(&socket).unwrap().unwrap();
    let sent = client_file::send_with(&peer, first, client);
    assert_eq!(sent.unwrap(), first.len());
    world.put("go", "");
    wait_for("the end", || world.get("ends"));
    wait_for("the gateway to close", || {
        (!socket.exists() || UnixStream::connect(&socket).is_err()).then_some(())
    });
    peer.write_all(last).unwrap();
    live.finish().exited(3).complained(&["without asking"]);
    assert_eq!(world.events("gate.bypassed").len(), 1);
    let ended = world.event("session.ended");
    assert_eq!(
        (&ended["payload"]["end"], &ended["payload"]["bypassed"]),
        (&json!("broken"), &json!(1))
    );
    world.verifies();
}
