//! What a policy denies to read or to write, in a real sandbox: code that no reader sees has it neither.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use serde_json::{Value, json};
use session::{World, python};

const VALUE: &str = "value-of-the-file";

#[test]
fn code_that_nobody_reads_has_no_file_that_the_policy_withholds() {
    if python().is_none() {
        return;
    }
    let world = World::new();
    let policy = json!({"rules": [
        {"id": "shell", "effect": "allow", "tool": "Bash"},
        {"id": "env", "effect": "deny", "when": {"read": [".env", ".env.*", "!.env.example"]}},
        {"id": "keys", "effect": "deny", "when": {"read": ["secrets/**"]}},
        {"id": "ci", "effect": "deny", "when": {"write": [".github/**"]}},
    ]});
    std::fs::write(world.agp_home().join("policy.json"), policy.to_string()).unwrap();
    for name in [".env", "sub/.env", "secrets/a/key"] {
        world.put(name, VALUE);
    }
    world.put(".env.example", "an example");
    world.put(".github/ci.yml", "steps");
    let reads = |path: &str| format!("python3 -c \"print(open('{path}').read())\"");
    let commands = [
        "cat .env".to_owned(),
        reads(".env"),
        reads("secrets/a/key"),
        reads(".env.example"),
        reads(".github/ci.yml"),
        "python3 -c \"open('.github/ci.yml','w').write('mine')\"".to_owned(),
        // Its name is no longer the one that was looked for at the start.
        "python3 -c \"import os; os.rename('sub', 'moved')\"".to_owned(),
        reads("moved/.env"),
        "python3 -c \"import os; os.mkdir('sub'); os.symlink('/etc/passwd', 'sub/.env')\""
            .to_owned(),
        "python3 -c \"import os; os.rename('.env', 'free')\"".to_owned(),
        reads("moved/.env"),
    ];
    let calls = commands.map(|command| {
        let call = json!({"tool": "Bash", "args": {"command": command}});
        call.to_string() + "\n"
    });
    world.put("calls.jsonl", &calls.concat());
    let run = ["run", "--script", "calls.jsonl", "--sandbox", "process"];
    let ran = world.agp(&run).run();
    assert!(!ran.out.contains(VALUE), "{}", ran.out);
    assert!(ran.out.contains("an example"), "{}", ran.out);
    let started = world.event("session.started");
    let sandbox = &started["payload"]["sandbox"];
    if sandbox["namespaces"] == "off" {
        session::skip("no namespaces here", "run the tests as root");
        return;
    }
    let paths: Vec<&str> = sandbox["withheld"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    let names = [".env", ".github", "secrets", "sub/.env"].map(|name| world.path(name));
    assert_eq!(paths, names);
    let ended = |event: &Value| event["payload"]["exitCode"].as_i64().unwrap();
    let codes: Vec<i64> = world
        .events("tool_call.executed")
        .iter()
        .map(ended)
        .collect();
    assert_eq!(codes, [1, 1, 0, 0, 1, 0, 1, 0, 1, 1], "{}", ran.out);
    assert_eq!(world.events("tool_call.deny").len(), 1);
    assert_eq!(world.get(".env").as_deref(), Some(VALUE));
    assert_eq!(world.get(".github/ci.yml").as_deref(), Some("steps"));
    world.verifies();
}
