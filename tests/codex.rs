//! The real Codex, governed: what it may do happens and is journaled, what it may not do leaves no
//! trace, and nothing of the user's or the repository's runs under agp's trust.
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
#[path = "support/responses.rs"]
mod responses;
#[path = "support/session.rs"]
mod session;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use codex::{Governed, MODEL};
use responses::{Call, ResponsesDouble, SESSION};
use serde_json::{Value, json};
use session::{World, mode, python, wait_for};

/// Another model of its catalogue: one whose searches are offered to any provider.
const PLAIN: &[&str] = &["--harness-arg", "--model=gpt-5.5"];
const QUESTION: &str = "allow this call, once?";

fn one(call: Call) -> ResponsesDouble {
    ResponsesDouble::start(vec![vec![call]])
}

/// The result of a call, as the model read it.
fn answer(model: &ResponsesDouble, id: &str) -> String {
    assert_eq!(model.violations(), Vec::<String>::new());
    model.result_of(id).unwrap()
}

#[test]
fn allowed_calls_happen_and_are_journaled_in_order() {
    let Some(governed) = Governed::by(&[("allow", "Bash"), ("allow", "apply_patch")]) else {
        return;
    };
    let world = &governed.world;
    let model = ResponsesDouble::start(vec![
        vec![Call::shell(
            "call_b",
            "echo made > by-shell; echo \"seen $GIT_DIR.\"",
        )],
        vec![Call::patch("call_p", "*** Add File: by-patch\n+patched")],
    ]);
    let ran = governed.run_against(&model).run().succeeded();
    ran.said(&["allow Bash", "allow apply_patch by-patch", "2 allowed"]);
    assert_eq!(world.get("by-shell").as_deref(), Some("made\n"));
    assert_eq!(world.get("by-patch").as_deref(), Some("patched\n"));
    assert!(
        answer(&model, "call_b").contains("seen ."),
        "git finds the repository"
    );
    for id in ["call_b", "call_p"] {
        let kinds = world.kinds_of(id);
        assert_eq!(kinds, ["tool_call.allow", "gate.allow", "tool_call.result"]);
    }
    for result in world.events("tool_call.result") {
        assert_eq!(result["payload"]["ok"], true, "{result}");
    }
    assert_eq!(
        model.model(),
        MODEL,
        "the operator's choice is carried over"
    );
    let started = world.event("session.started");
    assert_eq!(started["payload"]["harness"]["name"], "codex");
    assert_eq!(world.census(), [2, 2, 0]);
    assert_eq!(world.event("session.ended")["payload"]["end"], "done");
    world.verifies();
}

#[test]
fn a_denied_call_leaves_no_trace_and_the_model_learns_why() {
    let Some(governed) = Governed::by(&[("deny", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let model = ResponsesDouble::start(vec![
        vec![Call::shell("call_b", "touch made")],
        vec![Call::patch("call_p", "*** Add File: made\n+x")],
    ]);
    governed.run_against(&model).run().succeeded();
    assert_eq!(world.get("made"), None);
    assert!(answer(&model, "call_b").contains("Bash is deny here"));
    for id in ["call_b", "call_p"] {
        assert_eq!(world.kinds_of(id), ["tool_call.deny", "gate.deny"]);
    }
    assert_eq!(world.census(), [2, 2, 0]);
    world.verifies();
}

#[test]
fn a_command_that_fails_is_reported_as_failed() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = one(Call::shell("call_b", "touch ran; exit 3"));
    governed.run_against(&model).run().succeeded();
    assert!(governed.world.get("ran").is_some());
    assert!(answer(&model, "call_b").contains("exited with code 3"));
    let result = governed.world.event("tool_call.result");
    assert_eq!(result["payload"]["ok"], false);
    governed.world.verifies();
}

#[test]
fn a_required_call_waits_for_the_operators_yes_and_a_no_denies() {
    for (typed, last) in [("y\n", "gate.allow"), ("n\n", "gate.deny")] {
        let Some(governed) = Governed::by(&[("require", "apply_patch")]) else {
            return;
        };
        let Some(python) = python() else { return };
        let world = &governed.world;
        let model = one(Call::patch("call_p", "*** Add File: asked\n+x"));
        let mut live = governed.run_against(&model).start_at_terminal(&python);
        live.see(QUESTION);
        assert_eq!(world.get("asked"), None);
        assert_eq!(world.kinds_of("call_p"), ["tool_call.require"]);
        live.type_in(typed);
        live.finish().succeeded();
        assert_eq!(world.get("asked").is_some(), last == "gate.allow");
        assert!(world.kinds_of("call_p").contains(&last.to_owned()));
        world.verifies();
    }
}

#[test]
fn every_path_of_a_patch_is_an_argument_and_what_is_no_patch_is_denied() {
    let Some(governed) = Governed::by(&[("allow", "apply_patch")]) else {
        return;
    };
    let world = &governed.world;
    world.put("old", "line\n");
    world.put("gone", "x\n");
    let body = "*** Add File: dir/new\n+x\n*** Update File: old\n*** Move to: moved\n@@\n-line\n\
        +other\n*** Delete File: gone";
    let model = ResponsesDouble::start(vec![
        vec![Call::patch("call_p", body)],
        // Codex takes a header behind white space for one.
        vec![Call::patch("call_odd", "  *** Add File: odd\n+x")],
        vec![Call::patch(
            "call_own",
            &format!(
                "*** Add File: {}\n+x",
                world.agp_home().join("policy.json").display()
            ),
        )],
    ]);
    governed.run_against(&model).run().succeeded();
    let allowed = &world.events("tool_call.allow")[0]["payload"];
    assert_eq!(
        allowed["args"]["paths"],
        json!(["dir/new", "old", "moved", "gone"])
    );
    assert!(
        allowed["args"]["command"]
            .as_str()
            .unwrap()
            .contains("+other")
    );
    assert_eq!(world.get("moved").as_deref(), Some("other\n"));
    assert_eq!((world.get("odd"), world.get("gone")), (None, None));
    assert!(answer(&model, "call_odd").contains("not understood"));
    assert_eq!(world.kinds_of("call_own"), ["tool_call.deny", "gate.deny"]);
    assert_eq!(world.events("gate.bypassed").len(), 0);
    world.verifies();
}

#[test]
fn where_a_command_runs_is_a_part_of_the_call() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    world.put("sub/kept", "");
    let run = |id: &str, workdir: &str| {
        let arguments = json!({"cmd": "touch here", "workdir": workdir});
        vec![Call::function(id, "exec_command", arguments)]
    };
    let repo = world.repo().canonicalize().unwrap();
    let sub = repo.join("sub").display().to_string();
    let model = ResponsesDouble::start(vec![
        run("call_repo", &format!("{}/", repo.display())),
        run("call_sub", "sub"),
        run("call_own", world.agp_home().to_str().unwrap()),
    ]);
    governed.run_against(&model).run().succeeded();
    assert!(world.get("here").is_some() && world.get("sub/here").is_some());
    let args = |id: &str| {
        let mut decided = world.events("gate.allow");
        decided.extend(world.events("gate.deny"));
        let call = decided
            .iter()
            .find(|event| event["payload"]["messageId"] == id);
        call.unwrap()["payload"]["args"].clone()
    };
    assert_eq!(args("call_repo"), json!({"command": "touch here"}));
    assert_eq!(
        args("call_sub"),
        json!({"command": "touch here", "workdir": sub})
    );
    assert_eq!(world.kinds_of("call_own"), ["tool_call.deny", "gate.deny"]);
    assert_eq!(world.events("tool_call.result").len(), 2);
    assert_eq!(world.census(), [3, 3, 0]);
    world.verifies();

    // A rule that names the command is about the repository's.
    let Some(governed) = Governed::by(&[]) else {
        return;
    };
    let world = &governed.world;
    let rule = json!({"id": "touch", "effect": "allow", "tool": "Bash", "when": {"command": ["touch here"]}});
    fs::write(
        world.agp_home().join("policy.json"),
        json!({"rules": [rule]}).to_string(),
    )
    .unwrap();
    let model = ResponsesDouble::start(vec![
        run("call_repo", world.repo().to_str().unwrap()),
        run("call_root", "/tmp"),
    ]);
    governed.run_against(&model).run().succeeded();
    assert!(world.get("here").is_some());
    assert_eq!(world.kinds_of("call_root"), ["tool_call.deny", "gate.deny"]);
    assert_eq!(world.census(), [2, 2, 0]);
}

#[test]
fn web_search_is_off_unless_the_policy_allows_it() {
    let search = || {
        let action = json!({"type": "search", "query": "x"});
        let item = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action});
        vec![
            Call::item("ws_1", item),
            Call::shell("call_b", "touch behind"),
        ]
    };
    let Some(governed) = Governed::by(&[("allow", "Bash"), ("allow", "web_search")]) else {
        return;
    };
    let model = ResponsesDouble::start(vec![search()]);
    let start = governed.run_against(&model);
    start.arguments(PLAIN).run().succeeded();
    assert!(model.tools().contains("web_search"), "{:?}", model.tools());
    assert_eq!(governed.world.census(), [1, 1, 0]);
    let started = &governed.world.event("session.started")["payload"];
    assert_eq!(started["harnessArguments"], json!([PLAIN[1]]));

    let Some(governed) = Governed::by(&[("allow", "Bash"), ("require", "web_search")]) else {
        return;
    };
    let world = &governed.world;
    let model = ResponsesDouble::start(vec![search(), vec![Call::shell("call_c", "touch late")]]);
    governed.configure(&model, "web_search = \"live\"");
    // A provider that searches all the same is found.
    governed.start().arguments(PLAIN).run().exited(3);
    assert!(!model.tools().contains("web_search"), "{:?}", model.tools());
    let bypassed = world.event("gate.bypassed");
    assert_eq!(bypassed["payload"]["messageId"], "ws_1");
    assert_eq!(world.get("late"), None);
    world.verifies();
}

#[test]
fn its_home_is_private_and_its_login_a_link_that_is_never_read() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let model = one(Call::shell(
        "call_b",
        "touch up; while [ ! -e go ]; do sleep 0.05; done",
    ));
    governed.configure(
        &model,
        "notify = [\"touch\", \"notified\"]\n[mcp_servers.mine]\ncommand = \"/bin/false\"",
    );
    let auth = governed.operators().join("auth.json");
    fs::write(&auth, "{\"OPENAI_API_KEY\": \"never-to-be-read\"}").unwrap();
    fs::set_permissions(&auth, PermissionsExt::from_mode(0o600)).unwrap();
    let live = governed.start().start();
    wait_for("the command", || world.get("up"));
    let lease = world.lease();
    let home = lease.directory.join("harness-home");
    assert_eq!((mode(&lease.directory), mode(&home)), (0o700, 0o700));
    assert_eq!(mode(&home.join("config.toml")), 0o600);
    assert_eq!(fs::read_link(home.join("auth.json")).unwrap(), auth);
    let config = fs::read_to_string(home.join("config.toml")).unwrap();
    for theirs in ["notified", "mcp_servers", "never-to-be-read"] {
        assert!(!config.contains(theirs), "{theirs}");
    }
    world.put("go", "");
    let ran = live.finish().succeeded();
    ran.complained(&["not taken from your config.toml: ", "mcp_servers", "notify"]);
    assert!(!lease.directory.exists());
    assert!(auth.exists(), "the link went, not what it leads to");
    assert!(!world.journal_text().contains("never-to-be-read"));
    world.verifies();
}

#[test]
fn what_hook_mode_cannot_prevent_is_said_at_the_start() {
    let Some(governed) = Governed::by(&[("deny", "*")]) else {
        return;
    };
    let model = ResponsesDouble::start(Vec::new());
    let ran = governed.run_against(&model).run().succeeded();
    ran.complained(&["ends the session", "WARNING: the harness is not confined"]);
    let started = &governed.world.event("session.started")["payload"];
    assert_eq!(started["intendant"]["confined"], false);
    assert_eq!(started["sandbox"]["kind"], "host");
}

#[test]
fn hook_mode_is_refused_where_nobody_said_that_it_may_run_unconfined() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let model = ResponsesDouble::start(vec![vec![Call::shell("c1", "touch ran")]]);
    for confine in [&[][..], &["--confine", "strict"]] {
        governed.configure(&model, "");
        let start = governed.default_mode().arguments(&["--mode", "hook"]);
        let ran = start.arguments(confine).run().exited(1);
        ran.complained(&["cannot be confined in hook mode", "--mode mediated"]);
    }
    assert!(governed.world.get("ran").is_none());
    assert_eq!(governed.world.events("session.started").len(), 0);
}

#[test]
fn nothing_can_be_typed_into_an_allowed_command() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let exec = |id: &str, tty: bool| {
        let arguments =
            json!({"cmd": "echo up; sleep 2; cat > typed", "tty": tty, "yield_time_ms": 300});
        Call::function(id, "exec_command", arguments)
    };
    let type_in = |id: &str, chars: &str| {
        let arguments = format!("{{\"session_id\":{SESSION},\"chars\":{}}}", json!(chars));
        Call::function(id, "write_stdin", Value::String(arguments))
    };
    let model = ResponsesDouble::start(vec![
        vec![exec("call_tty", true)],
        vec![exec("call_pipe", false)],
        vec![type_in("call_type", "touch ran\n")],
        vec![type_in("call_look", "")],
        vec![type_in("call_stop", "\u{3}")],
    ]);
    governed.run_against(&model).run().succeeded();
    assert!(answer(&model, "call_tty").contains("TTY execution is disabled"));
    assert!(answer(&model, "call_type").contains("stdin is closed"));
    assert!(world.get("typed").unwrap_or_default().is_empty());
    assert_eq!(world.get("ran"), None);
    // A look at the output is no call; what was typed was refused.
    assert_eq!(world.events("gate.bypassed").len(), 0);
    world.verifies();
}

#[test]
fn scripts_of_calls_are_not_taken() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let script = "await tools.exec_command({cmd: 'touch nested'});";
    let model = one(Call::custom("call_x", "exec", script));
    governed.run_against(&model).run().succeeded();
    assert!(!model.tools().contains("exec"), "{:?}", model.tools());
    assert!(answer(&model, "call_x").contains("unsupported"));
    assert_eq!(governed.world.get("nested"), None);
    assert_eq!(governed.world.census(), [0, 0, 0]);
}

#[test]
fn the_operators_environment_and_arguments_cannot_switch_the_gate_off() {
    let Some(governed) = Governed::by(&[("deny", "*")]) else {
        return;
    };
    let model = one(Call::shell("call_b", "touch made"));
    let other = governed.world.root().join("elsewhere");
    fs::create_dir(&other).unwrap();
    governed.configure(&model, "");
    fs::copy(
        governed.operators().join("config.toml"),
        other.join("config.toml"),
    )
    .unwrap();
    let start = governed.start().env("CODEX_HOME", other.to_str().unwrap());
    start.run().succeeded().said(&["0 allowed, 1 denied"]);
    assert_eq!(governed.world.get("made"), None);
    for argument in [
        "--dangerously-bypass-approvals-and-sandbox",
        "--ephemeral",
        "--sandbox=danger-full-access",
    ] {
        let refused = governed.start().arguments(&["--harness-arg", argument]);
        let ran = refused.run().exited(2);
        ran.complained(&["could weaken the gate"]);
    }
    let named = governed.start().arguments(&["--harness-env", "CODEX_HOME"]);
    named.run().exited(2).complained(&["would weaken the gate"]);
}

#[test]
fn a_harness_that_cannot_be_gated_is_refused() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let old = world.root().join("old-codex");
    session::put_program(&old, "#!/bin/sh\necho 'codex-cli 0.168.9'\n");
    // One that no longer has the switch which keeps terminals away.
    let other = world.root().join("other-codex");
    let script = "#!/bin/sh\ncase \"$*\" in --version) echo codex-cli 1.0.0;; \
        debug*) echo '{\"models\":[]}';; features*) echo hooks stable true;; esac\n";
    session::put_program(&other, script);
    for (program, why) in [
        (old.to_str().unwrap(), "0.169.0 is the first"),
        (other.to_str().unwrap(), "unified_exec_tty"),
        ("/nonexistent/codex", "AGP_CODEX_BIN"),
    ] {
        let start = world.agp(&[
            "run",
            "--intendant",
            "codex",
            "--mode",
            "hook",
            "--confine",
            "best-effort",
            "--no-probe",
            "--task",
            "go",
        ]);
        let ran = start.env("AGP_CODEX_BIN", program).run();
        ran.exited(1).complained(&[why]);
    }
    assert_eq!(world.events("session.refused").len(), 3);
    assert_eq!(world.events("session.started").len(), 0);
    world.verifies();
}

#[test]
fn the_live_probe_sees_the_gate_fire_and_sees_it_when_it_does_not() {
    let Some(codex) = session::codex() else {
        return;
    };
    let world = World::new();
    let (agp, bridge) = world.copies();
    let doctor = || {
        world
            .agp(&["doctor", "--live", "--check", "policy"])
            .program(&agp)
            .env("AGP_INTENDANT", "codex")
            .env("AGP_CODEX_BIN", codex.to_str().unwrap())
    };
    let before = world.journal_text();
    let told = doctor().run().succeeded();
    told.said(&["gate", "Codex 0.", "left no trace"]);
    assert_eq!(world.journal_text(), before, "it has a journal of its own");

    // A hook that is called, and has no opinion: nothing that asks is denied by it.
    let silent = "#!/bin/sh\n[ \"$1\" = leash ] && shift 2 && exec \"$@\"\n\
                  case \"$*\" in *start*) touch \"$(dirname \"$3\")/hooked\";; esac\nexit 0\n";
    fs::write(&bridge, silent).unwrap();
    let told = doctor().run();
    told.exited(1).said(&["gate", "MISSING"]);
}
