//! Which policy a session has: the flag's, the project's, the home's, and what of it is on record.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use session::{Ran, World};

/// Runs one call that each of the policies decides in another way; gives what is on record of the last session.
fn run(world: &World, arguments: &[&str]) -> (Ran, Value) {
    world.put(
        "calls.jsonl",
        &json!({"tool": "Write", "args": {"file_path": world.path("x"), "content": "x"}})
            .to_string(),
    );
    let words = ["run", "--script", "calls.jsonl"];
    let ran = world.agp(&words).arguments(arguments).run();
    let started = world.events("session.started").pop().unwrap_or_default();
    (ran, started["payload"].clone())
}

fn rules(started: &Value) -> Vec<String> {
    let rules = started["policy"]["policy"]["policy"]["rules"].as_array();
    let id = |rule: &Value| rule["id"].as_str().unwrap().to_owned();
    rules.unwrap().iter().map(id).collect()
}

fn decided(world: &World) -> String {
    let events = world.journal().into_iter().rev();
    let kind = |event: Value| event["kind"].as_str().unwrap().to_owned();
    let mut kinds = events.map(kind);
    kinds
        .find(|kind| kind.starts_with("tool_call.") && kind != "tool_call.executed")
        .unwrap()
}

#[test]
fn the_flag_beats_the_project_s_policy_and_that_the_home_s() {
    let world = World::new();
    let other = world.root().join("other.json");
    let text = json!({"base": "watch", "rules": [
        {"id": "no-writes", "effect": "deny", "tool": "Write"}]});
    fs::write(&other, text.to_string()).unwrap();
    let other = other.to_str().unwrap().to_owned();

    let (ran, started) = run(&world, &[]);
    ran.succeeded();
    let home = world.agp_home().join("policy.json");
    assert_eq!(started["policySource"], home.to_str().unwrap());
    assert!(rules(&started).contains(&"edit".to_owned()));
    assert_eq!(decided(&world), "tool_call.allow");

    let config = |value: Value| {
        fs::write(world.agp_home().join("config.json"), value.to_string()).unwrap();
    };
    let root = world.root().to_str().unwrap();
    // The nearest directory's counts; a relative file is the home's own.
    config(json!({"projects": {
        root: {"policy": "watch"},
        world.repo().to_str().unwrap(): {"policy": "mine.json"},
        "/nowhere": {"policy": "strict"},
    }}));
    let mine = json!({"rules": [{"id": "mine", "effect": "deny", "tool": "Write"}]});
    fs::write(world.agp_home().join("mine.json"), mine.to_string()).unwrap();
    let (_, started) = run(&world, &[]);
    assert_eq!(rules(&started), ["mine"]);
    assert_eq!(decided(&world), "tool_call.deny");
    let explained = world
        .agp(&["policy", "explain", "--tool", "Write"])
        .run()
        .succeeded();
    explained.said(&["matches   deny by rule mine"]);

    let (_, started) = run(&world, &["--policy", "strict"]);
    assert_eq!(started["policySource"], "strict");
    // Nobody answers here: what a person is asked about is denied.
    assert_eq!(decided(&world), "tool_call.require");

    let (_, started) = run(&world, &["--policy", &other]);
    assert_eq!(started["policySource"], other);
    // The whole text, its base filled in.
    let ids = rules(&started);
    assert!(
        ids.len() > 1 && ids.last().unwrap() == "no-writes",
        "{ids:?}"
    );
    assert_eq!(decided(&world), "tool_call.deny");
    world.verifies();
}

#[test]
fn a_policy_that_is_none_refuses_the_session_and_says_where_it_is_wrong() {
    let world = World::new();
    let bad = world.root().join("bad.json");
    fs::write(&bad, "{\"rules\":[\n  {\"id\":\"x\",\"effect\":\"alow\"}]}").unwrap();
    let (ran, _) = run(&world, &["--policy", bad.to_str().unwrap()]);
    let err = ran.exited(1).err;
    assert!(err.contains("bad.json: line 2 column "), "{err}");
    let open = world.root().join("open.json");
    fs::write(&open, r#"{"rules":[]}"#).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let (ran, _) = run(&world, &["--policy", open.to_str().unwrap()]);
    let err = ran.exited(1).err;
    assert!(err.contains("other users can write it"), "{err}");
    let (ran, _) = run(&world, &["--policy", "standrad"]);
    let err = ran.exited(1).err;
    assert!(err.contains("a file, standard, strict or watch"), "{err}");
    let config = json!({"projects": {"repo": {"policy": "strict"}}});
    fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
    let (ran, _) = run(&world, &[]);
    let err = ran.exited(2).err;
    assert!(err.contains("no absolute path"), "{err}");
}

#[test]
fn no_call_changes_the_policy_of_the_next_session() {
    let world = World::new();
    let policy = json!({"rules": [{"id": "all", "effect": "allow", "tool": ["Bash", "Write"]}]});
    world.put("p.json", &policy.to_string());
    world.put(".agp/policy.json", &json!({"rules": []}).to_string());
    let code = |name: &str| {
        let command = format!("python3 -c \"open('{name}', 'w').write('mine')\"");
        json!({"tool": "Bash", "args": {"command": command}}).to_string()
    };
    let write = |name: &str| {
        json!({"tool": "Write", "args": {"file_path": world.path(name), "content": "mine"}})
            .to_string()
    };
    let calls = [
        write("p.json"),
        write(".agp/policy.json"),
        code("p.json"),
        code(".agp/policy.json"),
    ];
    world.put("calls.jsonl", &calls.join("\n"));
    let run = [
        "run",
        "--script",
        "calls.jsonl",
        "--sandbox",
        "process",
        "--policy",
        "p.json",
    ];
    let ran = world.agp(&run).run();
    assert!(
        ran.err.contains("p.json is in the repository"),
        "{}",
        ran.err
    );
    assert_eq!(world.events("tool_call.deny").len(), 2);
    let started = world.event("session.started");
    if started["payload"]["sandbox"]["namespaces"] == "off" {
        return session::skip("no namespaces here", "run the tests as root");
    }
    assert_eq!(world.get("p.json").unwrap(), policy.to_string());
    assert!(!world.get(".agp/policy.json").unwrap().contains("mine"));
}

#[test]
fn doctor_says_where_a_policy_is_wrong_and_what_to_write_instead() {
    let world = World::new();
    let doctor = |code: i32, parts: &[&str]| {
        world
            .agp(&["doctor", "--check", "policy"])
            .run()
            .exited(code)
            .said(parts);
    };
    let home = |name: &str, text: &str| fs::write(world.agp_home().join(name), text).unwrap();
    doctor(0, &["no errors"]);
    home(
        "mine.json",
        "{\"rules\":[\n  {\"id\":\"x\",\"effect\":\"alow\"}]}",
    );
    let project = |policy: &str| json!({"projects": {"/srv/x": {"policy": policy}}}).to_string();
    home("config.json", &project("mine.json"));
    doctor(
        1,
        &["FAILED", "project /srv/x: ", "mine.json: line 2 column "],
    );
    home("config.json", &project("strict"));
    doctor(0, &["1 project of their own"]);
    let theirs = r#"{"rules":[{"id":"x","effect":"allow","tool":"Bash(git push *)"}]}"#;
    home("policy.json", theirs);
    let instead = r#"write "when": {"command": ["git push *"]}"#;
    doctor(1, &["FAILED", "policy.json: line 1 column ", instead]);
    fs::remove_file(world.agp_home().join("policy.json")).unwrap();
    doctor(1, &["MISSING"]);
}
