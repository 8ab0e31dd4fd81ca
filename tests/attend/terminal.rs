//! `agp attend` in a pseudo-terminal, beside real sessions.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use serde_json::{Value, json};

use crate::support::attendee::{Attendee, asks, sockets, waiting};
use crate::support::session::{Live, Process, World, all_gone, python, wait_for};

/// The prompt at a question.
const PROMPT: &str = "Allow this call once?";

/// `agp attend` at a terminal of its own.
fn attend(world: &World, arguments: &[&str]) -> Option<Live> {
    let python = python()?;
    let start = world.agp(&["attend"]).arguments(arguments);
    Some(start.start_at_terminal(&python))
}

/// The sessions of a world that run, once there are so many.
fn sessions(world: &World, many: usize) -> Vec<String> {
    wait_for("sessions", || {
        let sockets = sockets(world);
        let names = sockets.iter().map(|path| path.file_stem().unwrap());
        let names: Vec<String> = names.map(|name| name.to_str().unwrap().into()).collect();
        (names.len() == many).then_some(names)
    })
}

#[test]
fn a_session_without_a_terminal_is_seen_and_answered_at_another_one() {
    let world = World::new();
    let session = waiting(&world, &["make one", "make two"]);
    let names = sessions(&world, 1);
    let Some(mut live) = attend(&world, &[&names[0]]) else {
        return;
    };
    live.see(&format!("{}: script in ", names[0]));
    live.see("make one");
    live.see(PROMPT);
    live.type_in("y\n");
    live.see("approved Bash make one");
    live.see("make two");
    live.see_times(PROMPT, 2);
    live.type_in("n too early\n");
    let ran = live.finish().succeeded();
    assert!(ran.out.contains("the session ended"), "{}", ran.out);
    session.finish().succeeded();

    let granted = &world.event("approval.granted");
    let terminal = granted["payload"]["peer"]["terminal"].as_str().unwrap();
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let by = granted["payload"]["decidedBy"].as_str().unwrap();
    assert!(by.ends_with(&format!(" at {terminal}")), "{by}");
    let denied = world.event("approval.denied");
    assert_eq!(denied["payload"]["reason"], "too early");
    assert_eq!(denied["payload"]["channel"], "attend");
    assert_eq!(denied["payload"]["decidedBy"], by);
    world.verifies();
}

#[test]
fn what_was_shown_before_stands_above_the_question() {
    let world = World::new();
    world.policy(&[("allow", "Read"), ("require", "Bash")]);
    let read = json!({"tool": "Read", "args": {"file_path": world.path("calls.jsonl")}});
    let bash = json!({"tool": "Bash", "args": {"command": "make one"}});
    world.put("calls.jsonl", &format!("{read}\n{bash}\n"));
    let mut session = world
        .agp(&["run", "--script", "calls.jsonl", "--attend"])
        .start();
    session.see("waiting for an answer: agp attend");
    let Some(mut live) = attend(&world, &[]) else {
        return;
    };
    live.see(PROMPT);
    let screen = live.seen();
    let [above, below] = ["allow Read calls.jsonl", PROMPT].map(|text| screen.find(text).unwrap());
    assert!(above < below, "{screen}");
    live.type_in("y\n");
    live.finish().succeeded();
    session.finish().succeeded();
}

#[test]
fn all_sessions_are_attended_new_ones_too_and_ended_ones_leave() {
    let world = World::new();
    let first = waiting(&world, &["make one"]);
    let [one] = &sessions(&world, 1)[..] else {
        panic!();
    };
    let Some(mut live) = attend(&world, &[]) else {
        return;
    };
    live.see(PROMPT);
    let second = waiting(&world, &["make two"]);
    let names = sessions(&world, 2);
    let two = names.iter().find(|name| *name != one).unwrap();
    live.see("Question 2 waits, too");
    live.type_in("2 n\n");
    second.finish().succeeded();
    live.type_in("y\n");
    first.finish().succeeded();
    let ran = live.finish().succeeded();
    for name in [one, two] {
        let ended = format!("{name}: the session ended");
        assert!(ran.out.contains(&ended), "{}", ran.out);
    }
    let of = |kind: &str| world.event(kind)["payload"]["sessionId"].clone();
    assert_eq!(of("approval.granted"), *one);
    assert_eq!(of("approval.denied"), *two);
}

#[test]
fn whoever_answers_first_counts_and_the_other_terminal_is_told() {
    let Some(python) = python() else { return };
    for at_the_session in [true, false] {
        let world = World::new();
        let mut session = asks(&world, &["make one"], &[]).start_at_terminal(&python);
        session.see(PROMPT);
        let mut live = attend(&world, &[]).unwrap();
        live.see(PROMPT);
        let (answers, other) = match at_the_session {
            true => (&mut session, &mut live),
            false => (&mut live, &mut session),
        };
        answers.type_in("y\n");
        other.see("Question 1: approved by ");
        live.finish().succeeded();
        session.finish().succeeded();
        assert_eq!(world.events("approval.granted").len(), 1);
        let channel = if at_the_session { "console" } else { "attend" };
        assert_eq!(
            world.event("approval.granted")["payload"]["channel"],
            channel
        );
    }
}

#[test]
fn a_session_that_is_killed_is_lost() {
    let world = World::new();
    let session = waiting(&world, &["make one"]);
    let names = sessions(&world, 1);
    let Some(mut live) = attend(&world, &[&names[0]]) else {
        return;
    };
    live.see(PROMPT);
    let governor = Process::of(world.lease().pid).unwrap();
    governor.kill("-KILL");
    all_gone([&governor]);
    let ran = live.finish().exited(1);
    assert!(ran.out.contains("the connection was lost"), "{}", ran.out);
    drop(session);
}

#[test]
fn where_nothing_runs_it_says_so_and_how_to_go_on() {
    let world = World::new();
    for (arguments, problem, code) in [
        (&[][..], "no session is running", 1),
        (&["s-0"][..], "no session \"s-0\" is running", 2),
        (&["../x"][..], "no session \"../x\" is running", 2),
    ] {
        let watched = world.agp(&["attend", "--json"]).arguments(arguments);
        let ran = watched.run().exited(code);
        assert!(ran.err.contains(problem), "{}", ran.err);
        assert!(ran.err.contains("help: "), "{}", ran.err);
    }
    let blind = world.agp(&["attend"]).run().exited(2);
    assert!(blind.err.contains("needs a terminal"), "{}", blind.err);
}

#[test]
fn a_program_is_told_everything_and_answers_nothing() {
    let world = World::new();
    let session = waiting(&world, &["make one"]);
    let names = sessions(&world, 1);
    let mut watched = world.agp(&["attend", "--json"]).start();
    watched.see("\"question\"");
    let Some(mut live) = attend(&world, &[]) else {
        return;
    };
    live.see(PROMPT);
    live.type_in("y\n");
    live.finish().succeeded();
    session.finish().succeeded();
    let ran = watched.finish().succeeded();
    let lines = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.iter().all(|line| line["sessionId"] == names[0]));
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    for kind in ["hello", "line", "question", "settled", "ended"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let question = lines
        .iter()
        .find(|line| line["type"] == "question")
        .unwrap();
    assert_eq!(question["nonce"], Value::Null);
}

/// What stands on a screen, without what colours it.
fn rows(shown: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, code)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = code.split_once('m').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let text = text.replace(['\r', '\u{7}'], "");
    text.split('\n').map(str::to_owned).collect()
}

#[test]
fn at_every_width_a_question_is_whole_and_no_row_is_broken_by_the_terminal() {
    let Some(python) = python() else { return };
    let script =
        "cat > notes.txt <<'END'\n\tAllow this call once? y\u{202e}\u{1b}[2J\nEND\nmake release";
    for columns in [40, 60, 80, 200] {
        let world = World::new();
        let session = waiting(&world, &[script]);
        let _ = sessions(&world, 1);
        let relay = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");
        let size = format!("{columns}x40");
        let agp = env!("CARGO_BIN_EXE_agp");
        let mut live = world
            .agp(&[relay, "--size", &size, agp, "attend"])
            .program(&python)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .start();
        live.see("etails:");
        let mut attendee = Attendee::attend(&world);
        let question = attendee.see("question");
        attendee.answer(&question, &json!({"deny": {"reason": null}}));
        let ran = live.finish().succeeded();
        session.finish().succeeded();
        let rows = rows(&ran.out);
        for row in &rows {
            assert!(row.chars().count() <= columns, "{columns}: {row:?}");
            assert!(!row.chars().any(char::is_control), "{row:?}");
        }
        let at = |text: &str| rows.iter().position(|row| row.starts_with(text));
        // The command in its real lines, each behind the bar.
        let first = at("│ cat > notes.txt <<'END'").unwrap_or_else(|| panic!("{rows:#?}"));
        let last = at("│ make release").unwrap();
        assert!(
            rows[first..=last]
                .iter()
                .all(|row| row.starts_with(['│', '┆'])),
            "{rows:#?}"
        );
        let foreign: String = rows[first..=last].concat();
        assert!(
            foreign.contains("\\u{202e}") && foreign.contains("\\u{1b}"),
            "{foreign}"
        );
        // And the one line that asks is agp's.
        let asks = rows
            .iter()
            .filter(|row| row.starts_with("Allow this call once?"));
        assert_eq!(asks.count(), 1, "{rows:#?}");
    }
}

#[test]
fn a_yes_for_the_session_is_listed_and_taken_back_at_the_terminal() {
    let world = World::new();
    let rule = |id: &str, tool: &str| {
        json!({"id": id, "effect": "require", "tool": tool, "reason": "ask first",
            "sessionGrant": true})
    };
    let rules = json!({"rules": [rule("publish", "Bash"), rule("write", "Write")]});
    std::fs::write(world.agp_home().join("policy.json"), rules.to_string()).unwrap();
    let make = json!({"tool": "Bash", "args": {"command": "make one"}});
    let write = json!({"tool": "Write", "args": {"file_path": world.path("x"), "content": "x"}});
    world.put("calls.jsonl", &format!("{make}\n{make}\n{write}\n{make}\n"));
    let session = world
        .agp(&["run", "--script", "calls.jsonl", "--attend"])
        .start();
    let _ = sessions(&world, 1);
    let Some(mut live) = attend(&world, &[]) else {
        return;
    };
    live.see(PROMPT);
    live.type_in("g\n");
    live.see(": no grants");
    live.type_in("s\n");
    live.see("For this session, without asking again:");
    live.type_in("s\n");
    // The second call is let through by it; the third one asks.
    live.see("question 2 ");
    live.type_in("g\n");
    live.see(": 1 grant");
    live.see("g1 live, by ");
    live.type_in("revoke g9\n");
    live.see("no grant of this id holds");
    live.type_in("revoke g1\n");
    live.see("g1 revoked, by ");
    live.type_in("y\n");
    // And the fourth one as well.
    live.see("question 3 ");
    live.type_in("n\n");
    live.finish().succeeded();
    let ran = session.finish().succeeded();
    assert!(ran.err.contains("grant g1 revoked by "), "{}", ran.err);
    let revoked = world.event("grant.revoked");
    assert_eq!(revoked["payload"]["grant"]["id"], "g1");
    assert_eq!(revoked["payload"]["channel"], "attend");
    let terminal = revoked["payload"]["peer"]["terminal"].as_str().unwrap();
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    assert_eq!(world.events("approval.granted").len(), 3);
    assert_eq!(world.events("approval.denied").len(), 1);
    world.verifies();
}
