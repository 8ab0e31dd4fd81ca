//! What a person was shown of a call, in sessions with real threads: the journal has it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use agp::contracts::ids::Sha256;
use agp::contracts::view::{CallView, LineKind};
use agp::journal::canonical;
use agp::view::drawn;
use serde_json::{Value, json};

use crate::support::session::World;

/// Runs these calls, each of which somebody is asked about, and gives the events of the questions and of the answers.
fn asked(world: &World, calls: &[Value]) -> Vec<(Value, Value)> {
    world.policy(&[("require", "*")]);
    let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
    world.put("calls.jsonl", &calls.join("\n"));
    world
        .agp(&["run", "--script", "calls.jsonl"])
        .env("AGP_AUTO_APPROVE", "1")
        .env("AGP_SECRET_DB", "correct-horse-battery")
        .run()
        .succeeded();
    let questions = world.events("tool_call.require").into_iter();
    questions.zip(world.events("approval.granted")).collect()
}

fn edit(path: &str, old: &str, new: &str) -> Value {
    json!({"tool": "Edit", "args": {"file_path": path, "old_string": old, "new_string": new}})
}

/// The view on record, whose digest is that of what was shown.
fn view(answer: &Value) -> CallView {
    let view = &answer["payload"]["view"];
    let sha256 = Sha256::of(&canonical(view)).to_hex();
    assert_eq!(answer["payload"]["viewSha256"], sha256);
    serde_json::from_value(view.clone()).unwrap()
}

/// The lines of its first block, agp's own in parentheses.
fn lines(answer: &Value) -> Vec<String> {
    let view = view(answer);
    let lines = drawn(&view.blocks[0]).into_iter();
    lines
        .map(|line| match line.kind {
            LineKind::Note => format!("({})", line.text),
            _ => line.mark + &line.text,
        })
        .collect()
}

#[test]
fn an_edit_is_shown_against_the_file_as_it_is_and_both_are_on_record() {
    let world = World::new();
    let repo = world.repo();
    fs::create_dir_all(repo.join("src")).unwrap();
    let text = "one\n\ttwo\u{202e}\nthree\n";
    fs::write(repo.join("src/a"), text).unwrap();
    symlink("src", repo.join("link")).unwrap();
    let calls = [edit("src/a", "two", "2"), edit("link/a", "two", "2")];
    let events = asked(&world, &calls);
    let expected = [
        "1   one",
        r"2 - ⇥two\u{202e}",
        r"2 + ⇥2\u{202e}",
        "3   three",
    ];
    for (question, answer) in &events {
        assert_eq!(lines(answer), expected);
        let file = &question["payload"]["preview"][0];
        assert_eq!(file["sha256"], Sha256::of(text.as_bytes()).to_hex());
    }
    let leads = |at: usize| view(&events[at].1).leads;
    assert!(leads(0).is_empty());
    assert_eq!(
        (leads(1)[0].path.as_str(), leads(1)[0].real.as_str()),
        ("link/a", "src/a")
    );
}

#[test]
fn what_made_it_a_question_is_said() {
    let world = World::new();
    let policy = json!({"danger": {"history": "require"}, "rules": [
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "ci", "effect": "require", "when": {"write": [".github/**"]}}]});
    world.put("p.json", &policy.to_string());
    let call = |command: &str| json!({"tool": "Bash", "args": {"command": command}}).to_string();
    let calls = ["echo a > a; echo b > .github/ci.yml", "git push --force"].map(call);
    world.put("calls.jsonl", &calls.join("\n"));
    world
        .agp(&["run", "--script", "calls.jsonl", "--policy", "p.json"])
        .env("AGP_AUTO_APPROVE", "1")
        .run()
        .succeeded();
    let answers = world.events("approval.granted");
    let atoms: Vec<Vec<String>> = answers.iter().map(|answer| view(answer).atoms).collect();
    let file = world.repo().join(".github/ci.yml");
    assert_eq!(atoms[0], [format!("writes {}", file.display())]);
    assert_eq!(atoms[1].len(), 1, "{atoms:?}");
    assert!(atoms[1][0].ends_with(" (danger: history)"), "{atoms:?}");
}

#[test]
fn a_file_that_is_not_shown_says_why_and_waits_for_nothing() {
    let world = World::new();
    let repo = world.repo();
    let mut mkfifo = Command::new("mkfifo");
    assert!(mkfifo.arg(repo.join("fifo")).status().unwrap().success());
    let large = fs::File::create(repo.join("large")).unwrap();
    large.set_len(2 << 30).unwrap();
    fs::write(
        repo.join("token"),
        "ghp_0123456789abcdefghijABCDEFGHIJ012345\n",
    )
    .unwrap();
    fs::write(repo.join("key"), "correct-horse-battery\n").unwrap();
    // Neither the file nor the call is the secret alone; what the edit makes of them is.
    fs::write(repo.join("half"), "correct-horse-X\n").unwrap();
    let cases = [
        ("fifo", "it is not a regular file"),
        ("large", "it is longer than 1 MiB"),
        ("token", "it contains what looks like a token"),
        ("key", "it contains the value of secret AGP_SECRET_DB"),
        ("/etc/hostname", "it is outside the repository"),
        (
            "half",
            "with the change it would contain the value of a secret",
        ),
    ];
    let calls = cases.map(|(path, _)| edit(path, "horse-X", "horse-battery"));
    let events = asked(&world, &calls);
    assert_eq!(events.len(), cases.len());
    for ((path, why), (question, answer)) in cases.iter().zip(&events) {
        let expected = [
            format!("(agp does not show the file as it is: {why}.)"),
            "(The edit replaces this text:)".to_owned(),
            "- horse-X".to_owned(),
            "(with:)".to_owned(),
            "+ horse-battery".to_owned(),
        ];
        assert_eq!(lines(answer), expected, "{path}");
        let file = &question["payload"]["preview"][0];
        // Its digest is not on record: it could be guessed from.
        assert_eq!(file["sha256"].is_string(), *path == "half", "{file}");
    }
    assert!(!world.journal_text().contains("correct-horse-battery"));
}

#[test]
fn a_view_is_on_record_whole_up_to_a_bound_and_by_its_digest_always() {
    let world = World::new();
    let write = |bytes: usize| json!({"tool": "Write", "args": {"file_path": "new", "content": "x".repeat(bytes)}});
    let events = asked(&world, &[write(60_000), write(66_000)]);
    let whole = view(&events[0].1);
    assert_eq!(whole.blocks[0].heading, "creates");
    let answer = &events[1].1["payload"];
    assert_eq!(answer["view"], Value::Null);
    assert_eq!(answer["viewSha256"].as_str().unwrap().len(), 64);
}
