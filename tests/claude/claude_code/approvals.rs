//! Calls that a person decides at the terminal.

use super::*;

#[test]
fn a_required_write_waits_for_the_operators_yes() {
    let Some((governed, model, mut live)) = asked(&[]) else {
        return;
    };
    let world = &governed.world;
    assert!(live.seen().contains("asked.txt"));
    assert_eq!(world.get("asked.txt"), None);
    assert_eq!(world.kinds_of("toolu_w"), ["tool_call.require"]);
    // Neither yes nor no is asked again.
    live.type_in("maybe\n");
    live.see_times(QUESTION, 2);
    assert_eq!(world.get("asked.txt"), None);
    live.type_in("y\n");
    live.finish().succeeded();

    assert_eq!(world.get("asked.txt").as_deref(), Some("written\n"));
    assert!(!answer(&model, "toolu_w").is_error);
    let kinds = world.kinds_of("toolu_w");
    let whole = [
        "tool_call.require",
        "approval.granted",
        "gate.allow",
        "tool_call.result",
    ];
    assert_eq!(kinds, whole);
    let granted = world.event("approval.granted");
    assert_eq!(granted["approval_binding_type"], "console");
    assert_eq!(granted["actor"], "session_owner");
    let human = granted["on_behalf_of"].as_str().unwrap();
    assert!(human.contains(" at /dev/pts/"), "{human}");
    let required = world.event("tool_call.require");
    assert_eq!(required["approval_binding_type"], Value::Null);
    assert_eq!(
        required["payload"]["argsSha256"],
        granted["payload"]["argsSha256"]
    );
    world.verifies();
}

#[test]
fn a_no_denies_and_the_model_is_told_who_and_why() {
    // The longest time that a person can have: the harness's own patience is longer.
    let Some((governed, model, mut live)) = asked(&["--approval-timeout", "86400"]) else {
        return;
    };
    live.type_in("n use b.txt instead\n");
    live.finish().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let denied = answer(&model, "toolu_w");
    let parts = [" at /dev/pts/", ": use b.txt instead"].map(|part| denied.text.contains(part));
    assert!(denied.is_error && parts == [true; 2], "{}", denied.text);
    let kinds = world.kinds_of("toolu_w");
    assert_eq!(kinds, ["tool_call.require", "approval.denied", "gate.deny"]);
    let denied = world.event("approval.denied");
    assert_eq!(denied["approval_binding_type"], "console");
    world.verifies();
}

#[test]
fn an_approval_nobody_gives_in_time_is_a_deny() {
    let Some((governed, model, live)) = asked(&["--approval-timeout", "1"]) else {
        return;
    };
    live.finish().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let denied = answer(&model, "toolu_w");
    assert!(
        denied.is_error
            && denied
                .text
                .contains("no answer to the approval request in time"),
        "{denied:?}"
    );
    let kinds = world.kinds_of("toolu_w");
    assert_eq!(
        kinds,
        ["tool_call.require", "approval.timeout", "gate.deny"]
    );
    assert_eq!(world.event("approval.timeout")["on_behalf_of"], Value::Null);
    world.verifies();
}

#[test]
fn a_yes_to_a_part_of_a_command_runs_nothing() {
    let Some(governed) = Governed::by(&[("require", "Bash")]) else {
        return;
    };
    let Some(python) = python() else { return };
    // The middle is what has no room.
    let spaces = " ".repeat(2000);
    let command = format!("true {spaces}; echo middle > ran; true {spaces}");
    let model = one(bash("toolu_b", &command));
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    live.see("hidden: [d]etails");
    assert!(!live.seen().contains("echo middle"), "{}", live.seen());
    live.type_in("y\n");
    live.see("hidden: type d first");
    live.type_in("d\n");
    live.see(QUESTION);
    live.see("echo middle > ran");
    assert_eq!(governed.world.get("ran"), None);
    live.type_in("y\n");
    live.finish().succeeded();
    assert!(governed.world.get("ran").is_some());
}

#[test]
fn a_call_keeps_the_terminal_until_it_is_answered() {
    let Some(governed) = Governed::by(&[("require", "Write")]) else {
        return;
    };
    let Some(python) = python() else { return };
    let world = &governed.world;
    let write = |id: &str| {
        let content = format!("{}{id}-tail\n", " ".repeat(51));
        let input = json!({"file_path": world.path(id), "content": content});
        call(id, "Write", input)
    };
    let ids = ["w1", "w2", "w3", "w4"];
    let model = turns(vec![ids.map(write).to_vec()]);
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    for (answered, _) in ids.iter().enumerate() {
        // A yes is to the call that stands: one more is drawn with each.
        live.see_times("-tail", answered + 1);
        assert_eq!(world.events("gate.allow").len(), answered);
        live.type_in("y\n");
        session::wait_for("the decision", || {
            (world.events("gate.allow").len() > answered).then_some(())
        });
    }
    live.finish().succeeded();
    assert_eq!(world.events("gate.allow").len(), ids.len());
}

#[test]
fn what_was_typed_ahead_approves_nothing() {
    let Some(governed) = Governed::by(&[("require", "Write")]) else {
        return;
    };
    let Some(python) = python() else { return };
    let model = one(governed.write("toolu_w", "asked.txt"));
    let start = governed.run_against(&model);
    let mut live = start
        .arguments(&["--approval-timeout", "2"])
        .start_at_terminal(&python);
    live.see("session ");
    assert!(!live.seen().contains(QUESTION), "too late to type ahead");
    live.type_in("yes\nyes\ny\n");
    // The terminal's echo: it is in the input queue.
    live.see("yes");
    live.see(QUESTION);
    live.finish().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let kinds = world.kinds_of("toolu_w");
    assert_eq!(
        kinds,
        ["tool_call.require", "approval.timeout", "gate.deny"]
    );
}

#[test]
fn one_yes_too_many_does_not_approve_the_next_call() {
    let Some(governed) = Governed::by(&[("require", "Write")]) else {
        return;
    };
    let Some(python) = python() else { return };
    let model = turns(vec![vec![
        governed.write("toolu_1", "one.txt"),
        governed.write("toolu_2", "two.txt"),
    ]]);
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    live.see(QUESTION);
    live.type_in("y\ny\n");
    live.see_times(QUESTION, 2);
    live.type_in("n\n");
    live.finish().succeeded();

    let world = &governed.world;
    let written = ["one.txt", "two.txt"].map(|name| world.get(name).is_some());
    assert_ne!(written[0], written[1]);
    assert_eq!(world.events("approval.granted").len(), 1);
    assert_eq!(world.events("approval.denied").len(), 1);
    world.verifies();
}

#[test]
fn without_a_terminal_a_required_call_is_denied_with_the_reason() {
    let Some(governed) = Governed::by(&[("require", "Write")]) else {
        return;
    };
    let model = one(governed.write("toolu_w", "asked.txt"));
    // No question had anybody to answer it: the session says so at its start and at its end.
    let ran = governed.run_against(&model).run().exited(1);
    ran.complained(&[
        "WARNING: no approver available: every question is denied",
        "no approver available: denied 1 question",
    ]);

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let denied = answer(&model, "toolu_w");
    assert!(denied.is_error && denied.text.contains("no terminal; run agp in one"));
    let kinds = world.kinds_of("toolu_w");
    assert_eq!(kinds, ["tool_call.require", "approval.denied", "gate.deny"]);
    let denied = world.event("approval.denied");
    assert_eq!(denied["on_behalf_of"], Value::Null);
    assert_eq!(denied["approval_binding_type"], Value::Null);
    world.verifies();
}

#[test]
fn auto_approval_is_loud() {
    let Some(governed) = Governed::by(&[("require", "Write")]) else {
        return;
    };
    let model = one(governed.write("toolu_w", "asked.txt"));
    let start = governed.run_against(&model).env("AGP_AUTO_APPROVE", "1");
    let ran = start.run().succeeded();
    let warning = "WARNING: AGP_AUTO_APPROVE=1";
    let warned = format!("{}{}", ran.out, ran.err).matches(warning).count();
    assert_eq!(warned, 2, "once for the session, once for the call");

    let world = &governed.world;
    assert!(world.get("asked.txt").is_some());
    let started = world.event("session.started");
    assert_eq!(started["payload"]["autoApprove"], true);
    let granted = world.event("approval.granted");
    assert_eq!(granted["on_behalf_of"], "AGP_AUTO_APPROVE");
    world.verifies();
}
