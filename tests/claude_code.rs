//! The real Claude Code, governed: what it may do happens and is journaled, what it may not do
//! leaves no trace, and nothing of it outlives the session.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

#[path = "support/governed.rs"]
mod governed;
#[path = "support/model.rs"]
mod model;
#[path = "support/session.rs"]
mod session;

use std::path::PathBuf;
use std::time::Duration;

use governed::{bash, call, run, turns};
use model::{Call, ModelDouble};
use serde_json::{Value, json};
use session::{Live, Process, Start, World, all_gone, below, claude, python, wait_for};

const QUESTION: &str = "allow this call, once?";

/// A world with a policy, and the harness to be governed in it.
struct Governed {
    world: World,
    claude: PathBuf,
}

impl Governed {
    fn by(rules: &[(&str, &str)]) -> Option<Self> {
        let claude = claude()?;
        let world = World::new();
        world.policy(rules);
        Some(Self { world, claude })
    }

    fn run_against(&self, model: &ModelDouble) -> Start {
        run(&self.world, &self.claude, model)
    }

    fn write(&self, id: &str, name: &str) -> Call {
        let input = json!({"file_path": self.world.path(name), "content": "written\n"});
        call(id, "Write", input)
    }

    /// The session's processes, the harness among them, once it runs.
    fn processes(&self) -> (Process, Vec<Process>) {
        let agp = Process::of(self.world.lease().pid).unwrap();
        let all = below(agp.pid);
        (agp, all.into_iter().collect())
    }

    /// The process whose second argument tells what it is.
    fn leash(&self) -> Process {
        self.find(|arguments| arguments.get(1).is_some_and(|word| word == "leash"))
    }

    fn harness(&self) -> Process {
        self.find(|arguments| arguments.get(1).is_some_and(|word| word == "--settings"))
    }

    fn find(&self, is: impl Fn(&[String]) -> bool) -> Process {
        let (_, all) = self.processes();
        let mut found = all.into_iter().filter(|process| is(&process.arguments()));
        found.next().unwrap()
    }
}

fn one(call: Call) -> ModelDouble {
    turns(vec![vec![call]])
}

/// The result of a call, as the model read it.
fn answer(model: &ModelDouble, id: &str) -> model::ToolResult {
    assert_eq!(model.violations(), Vec::<String>::new());
    model
        .result_of(id)
        .unwrap_or_else(|| panic!("no result of {id}: {:?}", model.results()))
}

#[test]
fn allowed_calls_happen_and_are_journaled_in_order() {
    let Some(governed) = Governed::by(&[("allow", "Read"), ("allow", "Write")]) else {
        return;
    };
    let world = &governed.world;
    world.put("a.txt", "a line to read\n");
    let read = call("toolu_r", "Read", json!({"file_path": world.path("a.txt")}));
    let model = turns(vec![vec![read], vec![governed.write("toolu_w", "b.txt")]]);
    let ran = governed.run_against(&model).run().succeeded();

    ran.said(&["allow Read a.txt", "allow Write b.txt", "2 allowed"]);
    assert_eq!(world.get("b.txt").as_deref(), Some("written\n"));
    assert!(answer(&model, "toolu_r").text.contains("a line to read"));
    assert!(!answer(&model, "toolu_w").is_error);
    for id in ["toolu_r", "toolu_w"] {
        let kinds = world.kinds_of(id);
        assert_eq!(kinds, ["tool_call.allow", "gate.allow", "tool_call.result"]);
    }
    for result in world.events("tool_call.result") {
        assert_eq!(result["payload"]["ok"], true, "{result}");
        assert_eq!(result["actor"], "claude_process");
    }
    let kinds: Vec<_> = world.journal();
    assert_eq!(kinds[0]["kind"], "session.started");
    assert_eq!(kinds[kinds.len() - 1]["kind"], "session.ended");
    let started = world.event("session.started");
    assert_eq!(started["payload"]["harness"]["name"], "claude-code");
    assert_eq!(started["payload"]["autoApprove"], false);
    assert_eq!(world.event("session.ended")["payload"]["end"], "done");
    world.verifies();
}

#[test]
fn a_denied_command_leaves_no_trace_and_the_model_learns_why() {
    let Some(governed) = Governed::by(&[("deny", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let model = turns(vec![
        vec![bash("toolu_b", "touch made-by-bash")],
        vec![governed.write("toolu_w", "made-by-write")],
    ]);
    governed.run_against(&model).run().succeeded();

    assert_eq!(world.get("made-by-bash"), None);
    assert_eq!(world.get("made-by-write"), None);
    let denied = answer(&model, "toolu_b");
    assert!(denied.is_error && denied.text.contains("Bash is deny here"));
    // No rule speaks of Write.
    assert!(answer(&model, "toolu_w").is_error);
    for id in ["toolu_b", "toolu_w"] {
        assert_eq!(world.kinds_of(id), ["tool_call.deny", "gate.deny"]);
    }
    let denied = &world.events("gate.deny")[0];
    assert_eq!(denied["payload"]["ruleId"], "deny-Bash");
    assert!(denied["payload"]["peer"]["pid"].is_i64());
    world.verifies();
}

#[test]
fn a_command_that_fails_is_reported_as_failed() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = one(bash("toolu_b", "echo ran > ran; exit 1"));
    governed.run_against(&model).run().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("ran").as_deref(), Some("ran\n"));
    assert!(answer(&model, "toolu_b").is_error);
    assert_eq!(world.event("tool_call.result")["payload"]["ok"], false);
    world.verifies();
}

#[test]
fn repository_settings_cannot_switch_the_gate_off() {
    let Some(governed) = Governed::by(&[("deny", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let off = json!({"disableAllHooks": true, "permissions": {"allow": ["Bash"]}}).to_string();
    world.put(".claude/settings.json", &off);
    world.put(".claude/settings.local.json", &off);
    let model = one(bash("toolu_b", "touch made"));
    governed.run_against(&model).run().succeeded();

    assert_eq!(world.get("made"), None);
    assert_eq!(world.kinds_of("toolu_b"), ["tool_call.deny", "gate.deny"]);
    world.verifies();
}

/// A required Write at a terminal, up to the question.
fn asked(more: &[&str]) -> Option<(Governed, ModelDouble, Live)> {
    let governed = Governed::by(&[("require", "Write")])?;
    let python = python()?;
    let model = one(governed.write("toolu_w", "asked.txt"));
    let start = governed.run_against(&model).arguments(more);
    let mut live = start.start_at_terminal(&python);
    live.see(QUESTION);
    Some((governed, model, live))
}

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
    assert!(human.starts_with("tester (uid "), "{human}");
    let required = world.event("tool_call.require");
    assert_eq!(required["approval_binding_type"], Value::Null);
    assert_eq!(
        required["payload"]["argsSha256"],
        granted["payload"]["argsSha256"]
    );
    world.verifies();
}

#[test]
fn a_no_denies() {
    let Some((governed, model, mut live)) = asked(&[]) else {
        return;
    };
    live.type_in("n\n");
    live.finish().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let denied = answer(&model, "toolu_w");
    assert!(denied.is_error && denied.text.contains("refused by tester"));
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
        denied.is_error && denied.text.contains("nobody answered"),
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
    let command = format!("true {}; echo tail > ran", " ".repeat(500));
    let model = one(bash("toolu_b", &command));
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    live.see(QUESTION);
    assert!(!live.seen().contains("echo tail"), "{}", live.seen());
    live.type_in("y\n");
    live.see_times(QUESTION, 2);
    live.see("echo tail > ran");
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
        let content = format!("{}{id}-tail\n", " ".repeat(510));
        let input = json!({"file_path": world.path(id), "content": content});
        call(id, "Write", input)
    };
    let ids = ["w1", "w2", "w3", "w4"];
    let model = turns(vec![ids.map(write).to_vec()]);
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    let mut asked = 0;
    for _ in ids {
        live.see_times(QUESTION, asked + 1);
        // Somebody who looks twice at each call, and says yes to the second look.
        live.type_in("x\n");
        live.see_times(QUESTION, asked + 2);
        live.type_in("d\n");
        live.see_times(QUESTION, asked + 3);
        let seen = live.seen();
        let tails = ids.iter().filter(|id| seen.contains(&format!("{id}-tail")));
        assert_eq!(tails.count(), asked / 3 + 1, "{seen}");
        live.type_in("y\n");
        asked += 3;
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
    governed.run_against(&model).run().succeeded();

    let world = &governed.world;
    assert_eq!(world.get("asked.txt"), None);
    let denied = answer(&model, "toolu_w");
    assert!(denied.is_error && denied.text.contains("there is no terminal to ask at"));
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

#[test]
fn parallel_calls_each_get_their_own_verdict_and_journal_and_disk_agree() {
    let rules = [("allow", "Write"), ("deny", "Read"), ("require", "Bash")];
    let Some(governed) = Governed::by(&rules) else {
        return;
    };
    let Some(python) = python() else { return };
    let world = &governed.world;
    world.put("secret.txt", "not to be read\n");
    let read = |id| call(id, "Read", json!({"file_path": world.path("secret.txt")}));
    let model = turns(vec![vec![
        governed.write("toolu_w1", "w1"),
        bash("toolu_b1", "touch b1"),
        read("toolu_r1"),
        governed.write("toolu_w2", "w2"),
        governed.write("toolu_w3", "w3"),
        bash("toolu_b2", "touch b2"),
        read("toolu_r2"),
        governed.write("toolu_w4", "w4"),
    ]]);
    let mut live = governed.run_against(&model).start_at_terminal(&python);
    live.see(QUESTION);
    live.type_in("y\n");
    live.see_times(QUESTION, 2);
    live.type_in("n\n");
    live.finish()
        .succeeded()
        .said(&["8 calls: 5 allowed, 3 denied"]);

    let released = world.events("gate.allow");
    let allowed = |id: &str| {
        let mut all = released.iter();
        all.any(|event| event["payload"]["messageId"] == id)
    };
    for name in ["w1", "w2", "w3", "w4", "b1", "b2"] {
        let id = format!("toolu_{name}");
        assert_eq!(world.get(name).is_some(), allowed(&id), "{name}");
        assert_eq!(answer(&model, &id).is_error, !allowed(&id), "{name}");
    }
    for id in ["toolu_r1", "toolu_r2"] {
        let denied = answer(&model, id);
        assert!(denied.is_error && !denied.text.contains("not to be read"));
    }
    assert_eq!(released.len(), 5);
    assert_eq!(world.events("tool_call.result").len(), 5);
    assert_eq!(world.events("gate.deny").len(), 3);
    assert_eq!(world.events("gate.bypassed").len(), 0);
    world.verifies();
}

#[test]
fn an_id_decides_only_once() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let twice = vec![bash("toolu_x", "touch one"), bash("toolu_x", "touch two")];
    let model = turns(vec![twice, vec![bash("toolu_x", "touch three")]]);
    governed.run_against(&model).run().succeeded();

    let world = &governed.world;
    let made = ["one", "two"].map(|name| world.get(name).is_some());
    assert_ne!(made[0], made[1], "exactly one of the two ran");
    assert_eq!(world.get("three"), None);
    assert_eq!(world.events("gate.allow").len(), 1);
    assert_eq!(world.events("tool_call.result").len(), 1);
    // The two that were refused are on record as well.
    let denied = world.events("gate.deny");
    assert_eq!(denied.len(), 2);
    for event in denied {
        let reason = event["payload"]["reason"].as_str().unwrap();
        assert!(reason.contains("id was used before"), "{reason}");
    }
    world.verifies();
}

#[test]
fn the_operators_environment_cannot_switch_the_gate_off() {
    let Some(governed) = Governed::by(&[("deny", "*")]) else {
        return;
    };
    for name in ["CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE"] {
        let model = one(bash("toolu_b", "echo RAN"));
        let start = governed.run_against(&model).env(name, "1");
        start.run().succeeded().said(&["0 allowed, 1 denied"]);
        assert!(answer(&model, "toolu_b").is_error, "{name}");
        let start = governed.run_against(&model).env(name, "1");
        let asked = start.arguments(&["--harness-env", name]).run();
        asked.exited(2).complained(&["would weaken the gate"]);
    }
}

#[test]
fn the_harness_gets_a_listed_environment_and_no_secret_of_agps() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = one(bash("toolu_b", "env > env.txt"));
    let start = governed
        .run_against(&model)
        .arguments(&["--harness-env", "MINE", "--harness-env", "AGP_SECRET_TOKEN"])
        .env("AGP_SECRET_TOKEN", "value-of-the-secret")
        .env("AGP_SLACK_BOT_TOKEN", "value-of-the-bot-token")
        .env("AWS_SECRET_ACCESS_KEY", "value-of-the-cloud-key")
        .env("MINE", "value-of-mine");
    start.run().succeeded();

    let world = &governed.world;
    let started = world.event("session.started");
    assert_eq!(started["payload"]["harnessEnvironment"], json!(["MINE"]));
    let got = world.get("env.txt").unwrap();
    assert!(got.contains("MINE=value-of-mine"), "{got}");
    for withheld in ["AGP_SECRET_", "AGP_SLACK_", "AWS_", "value-of-the-"] {
        assert!(!got.contains(withheld), "{withheld} in {got}");
        assert!(!world.journal_text().contains(withheld), "{withheld}");
    }
    world.verifies();
}

#[test]
fn a_call_that_quotes_a_secret_is_denied_and_the_journal_does_not_quote_it() {
    let rules = [("allow", "Bash"), ("allow", "Write")];
    let Some(governed) = Governed::by(&rules) else {
        return;
    };
    let world = &governed.world;
    let secret = "correct-horse-battery-staple";
    let write = json!({"file_path": world.path("w"), "content": format!("a {secret} b")});
    let model = turns(vec![
        vec![bash("toolu_b", &format!("echo {secret} > b"))],
        vec![call("toolu_w", "Write", write)],
    ]);
    let start = governed.run_against(&model).env("AGP_SECRET_X", secret);
    let ran = start.run().succeeded();

    for id in ["toolu_b", "toolu_w"] {
        let denied = answer(&model, id);
        assert!(
            denied.is_error && denied.text.contains("AGP_SECRET_X"),
            "{denied:?}"
        );
        assert_eq!(world.kinds_of(id), ["tool_call.deny", "gate.deny"]);
    }
    assert_eq!((world.get("b"), world.get("w")), (None, None));
    assert!(!world.journal_text().contains(secret));
    assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    world.verifies();
}

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
    live.finish().exited(4);
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
    assert_eq!(ended(&governed), "the harness was ended by signal 9");
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
    assert_eq!(ended(&governed), "the harness was ended by signal 9");
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
    assert_eq!(ended(&governed), "the harness was ended by signal 9");
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
fn the_raw_stream_is_the_harnesss_own_and_nothing_else() {
    let Some(governed) = Governed::by(&[("require", "Write"), ("deny", "Bash")]) else {
        return;
    };
    let model = turns(vec![
        vec![governed.write("toolu_w", "w")],
        vec![bash("toolu_b", "true")],
    ]);
    let start = governed.run_against(&model).arguments(&["--stream", "raw"]);
    let ran = start.env("AGP_AUTO_APPROVE", "1").run().succeeded();
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let has = |kind: &str| lines.iter().any(|line| line["type"] == kind);
    assert!(has("system") && has("assistant") && has("result"));
    ran.complained(&["allow Write w", "deny  Bash true", "1 allowed, 1 denied"]);
}

#[test]
fn arguments_that_would_weaken_the_gate_are_refused() {
    let Some(governed) = Governed::by(&[("deny", "*")]) else {
        return;
    };
    let model = turns(Vec::new());
    for argument in ["--dangerously-skip-permissions", "--settings=x", "-p"] {
        let refused = format!("--harness-arg={argument}");
        // The two-word form as well: argh takes a value that begins with a dash.
        for form in [vec![refused.as_str()], vec!["--harness-arg", argument]] {
            let start = governed.run_against(&model).arguments(&form);
            start.run().exited(2);
        }
    }
    assert_eq!(governed.world.journal().len(), 0);
    assert_eq!(model.requests(), 0);
}

#[test]
fn a_harness_that_cannot_be_gated_is_refused() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let old = world.root().join("old-claude");
    session::put_program(&old, "#!/bin/sh\necho '2.1.294 (Claude Code)'\n");
    let ancient = world.root().join("ancient-claude");
    session::put_program(&ancient, "#!/bin/sh\necho '2.1.100 (Claude Code)'\n");
    let run = ["run", "--intendant", "claude-code", "--no-probe"];
    let (old, ancient) = (old.to_str().unwrap(), ancient.to_str().unwrap());
    for (program, mode, why) in [
        (old, &["--mode", "hook"][..], "2.1.295 is the first"),
        (ancient, &["--mode", "hook"], "2.1.197 is the first"),
        (ancient, &["--mode", "mediated"], "2.1.197 is the first"),
        ("/nonexistent/claude", &[], "AGP_CLAUDE_BIN"),
    ] {
        let start = world.agp(&run).arguments(&["--task", "go"]);
        let start = start.arguments(mode).env("AGP_CLAUDE_BIN", program);
        start.run().exited(1).complained(&[why]);
    }
    let refused = world.events("session.refused");
    assert_eq!(refused.len(), 4);
    assert_eq!(world.events("session.started").len(), 0);
    world.verifies();
}

#[test]
fn a_session_leaves_no_files_of_its_own_behind() {
    let Some(governed) = Governed::by(&[("allow", "Read")]) else {
        return;
    };
    let world = &governed.world;
    world.put("a.txt", "a\n");
    let read = call("toolu_r", "Read", json!({"file_path": world.path("a.txt")}));
    let model = one(read);
    let live = governed.run_against(&model).start();
    let lease = world.lease();
    let socket = lease.directory.join("gate.sock");
    // Either it is seen live with the modes it should have, or the session was quicker.
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < until && !socket.exists() && lease.directory.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(session::mode(&lease.directory), 0o700);
    assert_eq!(session::mode(&socket), 0o600);
    live.finish().succeeded();
    assert!(!lease.directory.exists());
    let left = std::fs::read_dir(world.agp_home().join("sessions")).unwrap();
    assert_eq!(left.count(), 0);
}
