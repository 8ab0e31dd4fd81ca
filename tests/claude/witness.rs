//! The witness on the real Claude Code: a gate that no longer fires is found in the harness's own
//! stream, journaled, and ends the session; what the harness itself refuses is no bypass.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, model, session};

use std::fs;
use std::path::{Path, PathBuf};

use governed::{bash, call, run, spoilable, with_settings};
use model::{ModelDouble, Turn};
use serde_json::json;
use session::{World, all_gone, below, claude, wait_for};

/// A session in which the second call finds a hook that has fallen silent; `secret` is one of agp's.
/// The bypass must be recorded under `shown`.
fn silenced(secret: &str, shown: &str) {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    // The second call waits until the hook has been replaced by one that has no opinion: then
    // Claude Code's own permission layer lets a harmless command run, and nobody decided it.
    let wait = "touch first; for i in $(seq 200); do [ -e go ] && break; sleep 0.05; done";
    let model = ModelDouble::start(vec![
        Turn::Calls(vec![bash("toolu_first", wait)]),
        Turn::Calls(vec![bash("toolu_second", "echo ungated")]),
        Turn::Calls(vec![call(
            "toolu_third",
            "Write",
            json!({"file_path": world.path("third"), "content": "x"}),
        )]),
    ]);
    let (agp, bridge) = world.copies();
    let (start, hook) = spoilable(&world, &claude, &model, &bridge);
    let live = start.program(&agp).env("AGP_SECRET_PROBE", secret).start();
    wait_for("the first call", || world.get("first"));
    let all = below(live.pid());
    let silent = world.root().join("silent");
    session::put_program(&silent, "#!/bin/sh\nexit 0\n");
    fs::rename(&silent, &hook).unwrap();
    world.put("go", "");

    live.finish()
        .exited(3)
        .complained(&["returned a result without asking"]);
    all_gone(&all);
    let bypassed = world.event("gate.bypassed");
    assert_eq!(bypassed["payload"]["messageId"], shown);
    assert!(!world.journal_text().contains(secret));
    assert_eq!(bypassed["payload"]["seenBy"], "stream");
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    assert_eq!(ended["payload"]["bypassed"], 1);
    assert_eq!(world.get("third"), None);
    world.verifies();
}

#[test]
fn a_hook_that_falls_silent_is_found_and_ends_the_session() {
    silenced("a secret that stands nowhere", "toolu_second");
}

#[test]
fn a_bypass_is_recorded_also_when_its_id_quotes_a_secret() {
    silenced("toolu_second", "[withheld]");
}

#[test]
fn what_the_harness_itself_refuses_is_no_bypass() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Read"), ("allow", "Bash"), ("deny", "Write")]);
    world.put("a.txt", "text\n");
    let write = json!({"file_path": world.path("w"), "content": "x"});
    let model = ModelDouble::start(vec![
        Turn::Calls(vec![
            call("toolu_unknown", "NoSuchTool", json!({})),
            call("toolu_schema", "Read", json!({"nonsense": 1})),
            call(
                "toolu_read",
                "Read",
                json!({"file_path": world.path("a.txt")}),
            ),
        ]),
        Turn::Calls(vec![
            bash("toolu_fails", "echo '<tool_use_error>'; exit 1"),
            call("toolu_denied", "Write", write),
            call(
                "toolu_missing",
                "Read",
                json!({"file_path": world.path("none")}),
            ),
        ]),
    ]);
    run(&world, &claude, &model).run().succeeded();
    let ended = world.event("session.ended");
    let count = |name: &str| ended["payload"][name].as_u64().unwrap();
    assert_eq!(
        (count("seen"), count("decided"), count("bypassed")),
        (4, 4, 0)
    );
    world.verifies();
}

#[test]
fn what_the_harnesss_own_rules_refuse_is_no_bypass_nor_is_it_an_agents() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let own = "/run/agp/settings.json";
    let calls = |whose: &str| {
        let named =
            |name: &str, tool: &str, input| call(&format!("call_{whose}_{name}"), tool, input);
        let edit = json!({"file_path": own, "old_string": "a", "new_string": "b"});
        vec![
            named("read", "Read", json!({"file_path": own})),
            named("link", "Read", json!({"file_path": world.path("link")})),
            named("write", "Write", json!({"file_path": own, "content": "x"})),
            named("edit", "Edit", edit),
            named("cat", "Bash", json!({"command": format!("cat {own}")})),
            named("put", "Bash", json!({"command": format!("echo x > {own}")})),
            named("honest", "Bash", json!({"command": "echo honest"})),
        ]
    };
    std::os::unix::fs::symlink(own, world.path("link")).unwrap();
    let agent = json!({
        "description": "look", "prompt": "look around", "subagent_type": "general-purpose",
        "run_in_background": false,
    });
    let model = ModelDouble::start(vec![
        Turn::Calls(calls("own")),
        Turn::Calls(vec![call("call_agent", "Agent", agent)]),
        Turn::Calls(calls("agent")),
        Turn::Text("the sub-agent is done".into()),
    ]);
    run(&world, &claude, &model).run().succeeded();
    for whose in ["own", "agent"] {
        for name in ["read", "link", "write", "edit", "cat", "put"] {
            let id = format!("call_{whose}_{name}");
            let told = model.result_of(&id).unwrap();
            assert!(told.is_error, "{id}: {told:?}");
        }
        let honest = model.result_of(&format!("call_{whose}_honest")).unwrap();
        assert!(honest.text.contains("honest"), "{honest:?}");
    }
    let ended = &world.event("session.ended")["payload"];
    assert_eq!(
        (&ended["bypassed"], &ended["anomalies"]),
        (&json!(0), &json!(0)),
        "{ended}"
    );
    world.verifies();
}

#[test]
fn a_sub_agents_calls_are_seen_and_decided() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Agent"), ("allow", "Bash"), ("deny", "Write")]);
    let write = json!({"file_path": world.path("w"), "content": "x"});
    let agent = json!({
        "description": "look", "prompt": "look around", "subagent_type": "general-purpose",
        "run_in_background": false,
    });
    let model = ModelDouble::start(vec![
        Turn::Calls(vec![call("toolu_agent", "Agent", agent)]),
        Turn::Calls(vec![bash("toolu_inner", "touch inner")]),
        Turn::Calls(vec![call("toolu_inner_denied", "Write", write)]),
        Turn::Text("the sub-agent is done".into()),
    ]);
    run(&world, &claude, &model).run().succeeded();
    assert!(world.get("inner").is_some());
    assert_eq!(world.get("w"), None);
    let ended = world.event("session.ended");
    let count = |name: &str| ended["payload"][name].as_u64().unwrap();
    assert_eq!(
        (count("seen"), count("decided"), count("bypassed")),
        (3, 3, 0)
    );
    world.verifies();
}

#[test]
fn the_live_probe_sees_the_gate_fire_and_sees_it_when_it_does_not() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    let doctor = |claude: &str| {
        world
            .agp(&["doctor", "--live"])
            .env("AGP_CLAUDE_BIN", claude)
    };
    let before = world.journal_text();
    doctor(claude.to_str().unwrap()).run().succeeded().said(&[
        "gate",
        "the denied call was blocked",
        "gate paths protected",
        "sockets reachable",
    ]);
    assert_eq!(
        world.journal_text(),
        before,
        "the probe has a journal of its own"
    );

    let told = doctor(&silenced_on_the_way(&world, &claude)).run();
    told.exited(1).said(&["gate", "FAILED", "the gate failed"]);
}

/// A harness whose hooks are called and have no opinion: nothing that asks is denied by them.
fn silenced_on_the_way(world: &World, claude: &Path) -> String {
    let change = "for event in ['PreToolUse', 'PostToolUse', 'PostToolUseFailure']: \
        settings['hooks'][event][0]['hooks'][0]['command'] = '/bin/true'";
    let wrapper = with_settings(world, claude, change);
    wrapper.to_str().unwrap().to_owned()
}

#[test]
fn a_task_starts_only_behind_a_gate_that_was_seen_to_fire() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    let model = || ModelDouble::start(vec![Turn::Calls(vec![bash("toolu_b", "touch ran")])]);
    let probed = |model: &ModelDouble, claude: &str| {
        let task = ["run", "--intendant", "claude-code", "--task", "go"];
        world
            .agp(&task)
            .env("ANTHROPIC_BASE_URL", &model.base_url())
            .env("ANTHROPIC_API_KEY", "x")
            .env("AGP_CLAUDE_BIN", claude)
    };
    let held = probed(&model(), claude.to_str().unwrap()).run().succeeded();
    held.complained(&["Gate self-test passed", "the denied call was blocked"]);
    assert!(world.get("ran").is_some());
    let started = world.event("session.started");
    assert_eq!(started["payload"]["probed"], true);
    assert_eq!(started["payload"]["witness"], "stream");

    fs::remove_file(world.path("ran")).unwrap();
    let unused = model();
    let silenced = silenced_on_the_way(&world, &claude);
    let refused = probed(&unused, &silenced).run().exited(1);
    refused.complained(&["the gate failed", "agp doctor --live"]);
    assert_eq!(world.get("ran"), None);
    assert!(unused.result_of("toolu_b").is_none());
    assert!(world.event("session.refused")["payload"]["reason"].is_string());
    world.verifies();
}

/// The real Claude Code, whose stream shows nothing but its beginning and end.
fn mute(world: &World, claude: &Path) -> PathBuf {
    let mute = world.root().join("mute");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec {0} --version\n\
         {0} \"$@\" | grep -E '^.\"type\":\"(system|result)\"'\n",
        claude.display()
    );
    session::put_program(&mute, script);
    mute
}

#[test]
fn a_harness_that_shows_no_calls_is_refused_unless_told_to_go_unwitnessed() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    // A confined harness has what it is started through, and of the real one what is named.
    let claude = claude.canonicalize().unwrap();
    let mute = mute(&world, &claude);
    let go = |more: &[&str]| {
        let model = ModelDouble::start(vec![Turn::Calls(vec![bash("toolu_b", "touch ran")])]);
        let task = ["run", "--intendant", "claude-code", "--task", "go"];
        world
            .agp(&task)
            .arguments(&["--allow-read", claude.to_str().unwrap()])
            .arguments(more)
            .env("ANTHROPIC_BASE_URL", &model.base_url())
            .env("ANTHROPIC_API_KEY", "x")
            .env("AGP_CLAUDE_BIN", mute.to_str().unwrap())
            .run()
    };
    go(&[])
        .exited(1)
        .complained(&["does not show its calls", "--witness off"]);
    assert_eq!(world.get("ran"), None);

    // Without the probe, the count at the end tells.
    go(&["--no-probe"])
        .exited(3)
        .complained(&["0 calls seen", "WARNING: --no-probe"]);
    assert_eq!(world.event("session.started")["payload"]["probed"], false);

    go(&["--witness=off"])
        .succeeded()
        .complained(&["WARNING: --witness off"]);
    let of_last = |kind: &str| {
        let journal = world.journal();
        let last = journal.iter().rev().find(|event| event["kind"] == kind);
        last.unwrap()["payload"]["witness"].clone()
    };
    assert_eq!(of_last("session.started"), "none");
    assert_eq!(of_last("session.ended"), "none");
    world.verifies();
}
