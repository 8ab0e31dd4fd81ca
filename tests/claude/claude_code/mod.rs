//! The real Claude Code, governed: what it may do happens and is journaled, what it may not do
//! leaves no trace, and nothing of it outlives the session.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, model, session};

mod approvals;
mod endings;

use std::path::PathBuf;

use governed::{bash, call, run, turns};
use model::{Call, ModelDouble};
use serde_json::{Value, json};
use session::{Live, Process, Start, World, all_gone, below, claude, python, wait_for};

const QUESTION: &str = "Allow this call once?";

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
    let allowed = world.events("tool_call.allow");
    for (result, allowed) in world.events("tool_call.result").iter().zip(&allowed) {
        assert_eq!(result["payload"]["ok"], true, "{result}");
        // What ran is what was decided about.
        for name in ["messageId", "argsSha256"] {
            assert!(result["payload"][name].is_string(), "{result}");
            assert_eq!(result["payload"][name], allowed["payload"][name], "{name}");
        }
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

/// It has another tool that runs commands. Where everything is allowed but these, it is not.
#[test]
fn a_denied_command_is_denied_by_whichever_tool_it_is_run() {
    let Some(governed) = Governed::by(&[("allow", "*"), ("deny", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let monitor = json!({"command": "touch made-by-monitor; sleep 1", "description": "x", "timeout_ms": 5000, "persistent": false});
    let model = turns(vec![vec![call("toolu_m", "Monitor", monitor)]]);
    governed.run_against(&model).run().succeeded();
    assert!(answer(&model, "toolu_m").text.contains("Bash is deny here"));
    assert_eq!(world.kinds_of("toolu_m"), ["tool_call.deny", "gate.deny"]);
    assert_eq!(world.get("made-by-monitor"), None);
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
        assert!(reason.contains("ID was already used"), "{reason}");
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
    ran.complained(&["approved Write w", "deny  Bash true", "1 allowed, 1 denied"]);
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
        (
            old,
            &["--mode", "hook"][..],
            "hook mode needs 2.1.295 or later",
        ),
        (ancient, &["--mode", "hook"], "it needs 2.1.197 or later"),
        (
            ancient,
            &["--mode", "mediated"],
            "it needs 2.1.197 or later",
        ),
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
