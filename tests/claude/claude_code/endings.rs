//! Whoever ends, and however: nothing runs on, and the journal says so.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn when_agp_is_killed_nothing_runs_on_and_the_next_start_says_so() {
    let Some((governed, _model, live)) = asked(&[]) else {
        return;
    };
    let world = &governed.world;
    let lease = world.lease();
    let (agp, all) = governed.processes();
    assert!(all.len() >= 3, "leash, harness and hook: {all:?}");
    agp.kill("-KILL");
    live.finish().exited(128 + 9);
    all_gone(&all);
    assert_eq!(world.get("asked.txt"), None);
    assert_eq!(world.kinds_of("toolu_w"), ["tool_call.require"]);

    world.agp(&["run"]).run().succeeded();
    let reaped = world.event("session.reaped");
    assert_eq!(reaped["payload"]["sessionId"], lease.session.as_str());
    assert!(!lease.directory.exists());
    world.agp(&["run"]).run().succeeded();
    world.event("session.reaped");
    assert_eq!(world.get("asked.txt"), None);
    world.verifies();
}

/// A session whose harness is busy with an allowed command that never ends.
fn busy() -> Option<(Governed, ModelDouble, Live)> {
    let governed = Governed::by(&[("allow", "Bash")])?;
    let model = one(bash("toolu_b", "echo up > up; exec tail -f /dev/null"));
    let live = governed.run_against(&model).start();
    wait_for("the command to run", || governed.world.get("up"));
    Some((governed, model, live))
}

#[test]
fn when_agp_is_killed_a_command_under_way_ends_too() {
    let Some((governed, _model, live)) = busy() else {
        return;
    };
    let runs = |process: &Process| process.arguments().first().is_some_and(|a| a == "tail");
    // The file is there a moment before the shell has become the command.
    let (agp, all) = wait_for("the command itself", || {
        let (agp, all) = governed.processes();
        all.iter().any(runs).then_some((agp, all))
    });
    agp.kill("-KILL");
    live.finish().exited(128 + 9);
    all_gone(&all);
}

fn ended(governed: &Governed) -> String {
    governed.world.verifies();
    let ended = governed.world.event("session.ended");
    ended["payload"]["end"].as_str().unwrap().to_owned()
}

#[test]
fn a_signal_to_agp_ends_the_session_and_all_of_it() {
    let Some((governed, _model, live)) = busy() else {
        return;
    };
    let (agp, all) = governed.processes();
    agp.kill("-TERM");
    live.finish().exited(4).complained(&["signal 15"]);
    all_gone(&all);
    assert_eq!(ended(&governed), "stopped by signal 15");
}

#[test]
fn a_signal_to_agp_ends_a_session_that_waits_for_its_operator() {
    let Some((governed, _model, live)) = asked(&[]) else {
        return;
    };
    let (agp, all) = governed.processes();
    agp.kill("-TERM");
    live.finish().exited(4);
    all_gone(&all);
    assert_eq!(governed.world.get("asked.txt"), None);
    assert_eq!(ended(&governed), "stopped by signal 15");
    assert_eq!(governed.world.events("gate.allow").len(), 0);
}

#[test]
fn an_interrupt_at_the_terminal_ends_the_session() {
    let Some((governed, _model, mut live)) = asked(&[]) else {
        return;
    };
    let (_, all) = governed.processes();
    live.type_in("\u{3}");
    let ran = live.finish().exited(130);
    assert!(
        ran.out
            .contains("signal 2 (Ctrl-C); interrupted: Write asked.txt"),
        "{}",
        ran.out
    );
    all_gone(&all);
    assert_eq!(ended(&governed), "stopped by signal 2");
}

#[test]
fn when_the_harness_is_killed_agp_notices() {
    let Some((governed, _model, live)) = busy() else {
        return;
    };
    let (_, all) = governed.processes();
    governed.harness().kill("-KILL");
    live.finish().exited(4);
    all_gone(&all);
    assert_eq!(ended(&governed), "signal 9 ended the harness");
}

#[test]
fn when_the_harness_dies_its_question_is_withdrawn() {
    let Some((governed, _model, live)) = asked(&[]) else {
        return;
    };
    let (_, all) = governed.processes();
    governed.harness().kill("-KILL");
    live.finish().exited(4);
    all_gone(&all);
    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let kinds = world.kinds_of("toolu_w");
    assert_eq!(kinds, ["tool_call.require", "approval.denied", "gate.deny"]);
    assert_eq!(ended(&governed), "signal 9 ended the harness");
    let journal = world.journal();
    assert_eq!(journal[journal.len() - 1]["kind"], "session.ended");
}

#[test]
fn when_the_leash_is_killed_the_harness_dies() {
    let Some((governed, _model, live)) = busy() else {
        return;
    };
    let (_, all) = governed.processes();
    governed.leash().kill("-KILL");
    live.finish().exited(4);
    all_gone(&all);
    assert_eq!(ended(&governed), "signal 9 ended the harness");
}

#[test]
fn what_a_command_leaves_running_ends_with_the_session() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    // Where the harness has process ids of its own, this tells it from others.
    let time = format!("300.{}", std::process::id());
    let command = format!("setsid nohup sleep {time} >/dev/null 2>&1 & echo $! > pid");
    let model = turns(vec![
        vec![bash("toolu_1", &command)],
        vec![bash("toolu_2", "kill -0 $(cat pid) && touch still-up")],
    ]);
    governed.run_against(&model).run().succeeded();

    let world = &governed.world;
    assert!(world.get("still-up").is_some(), "it outlived its command");
    let left = below(1);
    let left = left
        .iter()
        .find(|process| process.arguments() == ["sleep", &time]);
    assert_eq!(left, None, "but not the session");
    assert_eq!(ended(&governed), "done");
}

#[test]
fn a_session_leaves_no_files_of_its_own_behind() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    // Seen live, however slow this test is.
    let wait = "for i in $(seq 400); do [ -e go ] && break; sleep 0.05; done";
    let model = one(bash("toolu_b", wait));
    let live = governed.run_against(&model).start();
    let lease = world.lease();
    let socket = lease.directory.join("gate.sock");
    assert_eq!(session::mode(&lease.directory), 0o700);
    // It is made and then closed to others, which the directory keeps out meanwhile.
    wait_for("a socket of the owner's alone", || {
        let mode = std::fs::metadata(&socket).ok()?.permissions().mode();
        (mode & 0o7777 == 0o600).then_some(())
    });
    world.put("go", "");
    live.finish().succeeded();
    assert!(!lease.directory.exists());
    let left = std::fs::read_dir(world.agp_home().join("sessions")).unwrap();
    assert_eq!(left.count(), 0);
}
