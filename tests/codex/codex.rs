//! The real Codex under agp before its first call: its home and login, its own settings and the
//! operator's, a version that cannot be gated, and what it is offered.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, responses, session};

use std::fs;
use std::os::unix::fs::PermissionsExt;

use codex::{Governed, MODEL};
use responses::{Call, ResponsesDouble};
use serde_json::json;
use session::{World, mode, wait_for};

/// Another model of its catalogue: one whose searches are offered to any provider.
const PLAIN: &[&str] = &["--harness-arg", "--model=gpt-5.5"];

fn bash(id: &str, command: &str) -> Call {
    Call::mediated(id, "Bash", &json!({"command": command}))
}

fn one(call: Call) -> ResponsesDouble {
    ResponsesDouble::start(vec![vec![call]])
}

#[test]
fn mediated_mode_is_its_only_mode() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    for more in [
        &[][..],
        &["--confine", "best-effort"],
        &["--sandbox", "docker"],
    ] {
        let run = [
            "run",
            "--intendant",
            "codex",
            "--task",
            "go",
            "--mode",
            "hook",
        ];
        let ran = world.agp(&run).arguments(more).run().exited(2);
        ran.complained(&["Codex does not support hook mode", "mediated mode"]);
    }
    assert_eq!(world.events("session.started").len(), 0);
    let bridge = [
        "bridge",
        "--socket",
        "/x/agp-s-1/gate.sock",
        "--harness",
        "codex",
    ];
    let ran = world.agp(&bridge).run().exited(2);
    ran.complained(&["--harness does not accept codex"]);
}

#[test]
fn its_home_is_private_and_its_login_a_link_that_is_never_read() {
    let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = &governed.world;
    let model = one(bash(
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
    for theirs in ["notified", "mcp_servers.mine", "never-to-be-read"] {
        assert!(!config.contains(theirs), "{theirs}");
    }
    world.put("go", "");
    assert_eq!(
        model.model(),
        MODEL,
        "the operator's choice is carried over"
    );
    let ran = live.finish().succeeded();
    ran.complained(&["ignored in your config.toml: ", "mcp_servers", "notify"]);
    assert!(!lease.directory.exists());
    assert!(auth.exists(), "the link went, not what it leads to");
    assert!(!world.journal_text().contains("never-to-be-read"));
    world.verifies();
}

#[test]
fn the_operators_environment_and_arguments_cannot_switch_the_gate_off() {
    let Some(governed) = Governed::by(&[("deny", "*")]) else {
        return;
    };
    let model = one(bash("call_b", "touch made"));
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
        ran.complained(&["is not allowed or needs a value"]);
    }
    let named = governed.start().arguments(&["--harness-env", "CODEX_HOME"]);
    named.run().exited(2).complained(&["would weaken the gate"]);
}

#[test]
fn a_search_of_the_providers_is_not_offered_and_one_that_it_makes_all_the_same_is_found() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    let action = json!({"type": "search", "query": "x"});
    let search =
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action});
    let model = ResponsesDouble::start(vec![
        vec![Call::item("ws_1", search), bash("call_b", "true")],
        vec![bash("call_c", "touch late")],
    ]);
    governed.configure(&model, "web_search = \"live\"");
    governed.start().arguments(PLAIN).run().exited(3);
    assert!(!model.tools().contains("web_search"), "{:?}", model.tools());
    let bypassed = world.event("gate.bypassed");
    assert_eq!(bypassed["payload"]["messageId"], "ws_1");
    assert_eq!(world.get("late"), None);
    let started = &world.event("session.started")["payload"];
    assert_eq!(started["harnessArguments"], json!([PLAIN[1]]));
    world.verifies();
}

#[test]
fn a_harness_that_cannot_be_gated_is_refused() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let old = world.root().join("old-codex");
    session::put_program(&old, "#!/bin/sh\necho 'codex-cli 0.168.9'\n");
    // One that no longer has the switch which takes its shell away.
    let other = world.root().join("other-codex");
    let script = "#!/bin/sh\ncase \"$*\" in --version) echo codex-cli 1.0.0;; \
        debug*) echo '{\"models\":[]}';; features*) echo multi_agent stable false;; esac\n";
    session::put_program(&other, script);
    for (program, why) in [
        (old.to_str().unwrap(), "it needs 0.169.0 or later"),
        (other.to_str().unwrap(), "shell_tool"),
        ("/nonexistent/codex", "AGP_CODEX_BIN"),
    ] {
        let start = world.agp(&["run", "--intendant", "codex", "--no-probe", "--task", "go"]);
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
    told.said(&["gate", "Codex 0.", "the denied call was blocked"]);
    assert_eq!(world.journal_text(), before, "it has a journal of its own");

    // A server that is started and offers nothing: nothing is asked.
    let real = world.root().join("real-bridge");
    fs::rename(&bridge, &real).unwrap();
    let silent = format!(
        "#!/bin/sh\n[ \"$1\" = mcp ] && exec cat >/dev/null\nexec {} \"$@\"\n",
        real.display()
    );
    session::put_program(&bridge, &silent);
    let told = doctor().run();
    told.exited(1).said(&["gate", "FAILED"]);
}
