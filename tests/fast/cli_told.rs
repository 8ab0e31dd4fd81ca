//! What the command line tells somebody who does not know it yet: nothing is passed over in silence, and what is
//! said fits where it is said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support module serves other tests too, with more than these use"
)]

use crate::support::session;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use session::World;

#[test]
fn a_task_for_nobody_is_refused() {
    let world = World::new();
    let ran = world.agp(&["run", "--task", "mend the build"]).run();
    ran.exited(2)
        .complained(&["--task needs a harness", "--intendant claude-code"]);
    assert_eq!(world.journal().len(), 0);
    // One for any harness may stand in the environment.
    let run = world.agp(&["run"]).env("AGP_TASK", "mend the build").run();
    run.succeeded()
        .complained(&["allowed calls are recorded, not run"]);
    let real = world
        .agp(&["run", "--sandbox", "process"])
        .run()
        .succeeded();
    assert!(!real.err.contains(", not run"), "{}", real.err);
}

#[test]
fn a_script_that_is_not_there_is_not_told_how_its_lines_look() {
    let world = World::new();
    let ran = world
        .agp(&["run", "--script", "none.jsonl"])
        .run()
        .exited(2);
    assert!(!ran.err.contains("one call per line"), "{}", ran.err);
    ran.complained(&["none.jsonl: No such file", "--script FILE"]);
}

#[test]
fn help_is_said_as_it_is_typed() {
    let world = World::empty();
    let run = world.agp(&["run", "--help"]).run().succeeded();
    assert!(!run.out.contains("{{"), "{}", run.out);
    run.said(&[r#"{"tool":..,"args":{..}}"#]);
    for command in ["bridge", "mcp"] {
        let help = world.agp(&[command, "--help"]).run().succeeded();
        help.said(&[&format!("usage: agp {command} --socket PATH")]);
    }
    let verify = |argument: &str| {
        let program = env!("CARGO_BIN_EXE_agp-verify");
        let output = Command::new(program).arg(argument).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let version = format!("agp-verify {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(verify("--version"), (Some(0), version));
    let (code, said) = verify("audit.log");
    assert_eq!(code, Some(2));
    assert!(
        said.contains("usage: agp-verify JOURNAL --key PUB"),
        "{said}"
    );
}

#[test]
fn the_log_says_about_what_a_call_was_and_under_what_a_session() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let command = "make \u{1b}[2Jit\" ruleId=mine";
    let call = json!({"tool": "Bash", "args": {"command": command, "description": "build"}});
    world.put("calls.jsonl", &call.to_string());
    world
        .agp(&["run", "--script", "calls.jsonl"])
        .run()
        .succeeded();
    world.agp(&["log"]).run().succeeded().said(&[
        "harness=scripted",
        "sandbox=recording",
        "tool=Bash args=\"make \\u{1b}[2Jit\\\" ruleId=mine\" ruleId=allow-*",
        "tool=Bash args=\"make \\u{1b}[2Jit\\\" ruleId=mine\" exitCode=0",
    ]);
}

/// A misspelt name must not read as "it did not happen".
#[test]
fn a_log_of_what_is_not_there_says_so() {
    let world = World::new();
    world.agp(&["run"]).run().succeeded();
    let kind = world.agp(&["log", "--kind", "gate.bypas"]).run().exited(2);
    kind.complained(&["unknown event kind \"gate.bypas\"", "gate.bypassed"]);
    let session = world.agp(&["log", "--session", "s-nobody"]).run();
    session
        .exited(2)
        .complained(&["no session \"s-nobody\"", "agp sessions"]);
    // What could have been and was not is no error.
    for kind in ["gate.bypassed", "gate", "egress"] {
        let none = world.agp(&["log", "--kind", kind]).run().succeeded();
        assert_eq!(none.out, "", "{kind}");
    }
}

#[test]
fn a_refused_session_is_listed_with_its_time_and_its_reason() {
    let world = World::new();
    let run = ["run", "--intendant", "codex", "--task", "x"];
    let refused = world
        .agp(&run)
        .env("AGP_CODEX_BIN", "/nonexistent/codex")
        .run();
    refused.exited(1);
    let at = world.event("session.refused")["ts"]
        .as_str()
        .unwrap()
        .to_owned();
    let listed = world.agp(&["sessions"]).run().succeeded();
    listed.said(&[&at, "refused: ", "/nonexistent/codex"]);
}

#[test]
fn doctor_tells_one_line_a_check_and_all_of_the_one_that_is_named() {
    let world = World::new();
    let all = world.agp(&["doctor"]).run().succeeded();
    assert!(!all.out.contains("journal-sign"), "{}", all.out);
    let one = world.agp(&["doctor", "--check", "confinement"]).run();
    one.succeeded()
        .said(&["journal-sign", "exec: no; allowed "]);
}

/// Whoever works in a home that holds agp's is told what to change, and not to give up the confinement.
#[test]
fn a_harness_without_a_login_is_told_of_at_the_start() {
    let world = World::new();
    let script = "[ \"$1\" = --version ] && exec echo 2.1.330\n";
    let told = "note: Claude Code is not logged in (";
    let missing = format!("{told}no file ");
    world.stand_in(script).run().complained(&[&missing]);
    let homeless = world.stand_in(script).without("HOME").run();
    homeless.complained(&[told, "HOME is not set"]);
    let settings = world.root().join("home/.claude/settings.json");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    std::fs::write(&settings, "{\"apiKeyHelper\": \"echo x\"}").unwrap();
    let helped = world.stand_in(script).run();
    helped.complained(&[
        "the apiKeyHelper of",
        "agp does not use the apiKeyHelper of ",
    ]);
    let with = world.stand_in(script).env("ANTHROPIC_API_KEY", "x").run();
    assert!(!with.err.contains(told), "{}", with.err);
}

#[test]
fn a_repository_around_agps_home_is_told_to_be_another() {
    let world = World::new();
    let root = world.root().to_str().unwrap().to_owned();
    let own = world
        .agp_home()
        .join("signing")
        .to_str()
        .unwrap()
        .to_owned();
    let claude = ["--intendant", "claude-code", "--task", "go"];
    for arguments in [
        &["--sandbox", "process", "--repo", &root][..],
        &["--sandbox", "process", "--repo", &own],
        &["--sandbox", "process", "--allow-read", &root],
        &[&claude[..], &["--repo", &root]].concat(),
        &[&claude[..], &["--repo", &root, "--confine", "best-effort"]].concat(),
        &[&claude[..], &["--mode", "mediated", "--allow-write", &own]].concat(),
    ] {
        let run = world.agp(&["run"]).arguments(arguments);
        // One that says its version and nothing else: it is not started.
        let run = run.env("AGP_CLAUDE_BIN", stand_in(&world).to_str().unwrap());
        let ran = run
            .run()
            .exited(1)
            .complained(&["overlaps agp's home", " overlap"]);
        for wrong in ["doctor", "recording", "best-effort", "Gate self-test"] {
            assert!(!ran.err.contains(wrong), "{arguments:?}: {}", ran.err);
        }
    }
    assert_eq!(world.events("session.refused").len(), 6);
    // What runs nothing has nothing.
    world.agp(&["run", "--repo", &root]).run().succeeded();
}

/// The same of a home that agp's is not in: its start-up files are not to be changed, nor its keys read.
#[test]
fn a_repository_that_is_a_home_is_told_to_be_another() {
    let world = World::new();
    let home = world.root().join("home");
    fs::write(home.join(".bashrc"), "").unwrap();
    fs::create_dir_all(world.repo().join(".ssh")).unwrap();
    let at = |path: &Path, arguments: &[&str]| {
        let run = world.agp(&["run", "--repo", path.to_str().unwrap()]);
        run.arguments(arguments)
    };
    let claude = ["--intendant", "claude-code", "--task", "go"];
    for arguments in [&["--sandbox", "process"][..], &claude] {
        let bridge = stand_in(&world);
        let run = |path: &Path| at(path, arguments).env("AGP_CLAUDE_BIN", bridge.to_str().unwrap());
        run(&home).run().exited(1).complained(&[
            "is your home directory, which an agent must not see",
            "pass --repo with a directory",
        ]);
        // Wherever it is, and whatever of it is there.
        let elsewhere = run(&world.repo()).env("HOME", world.repo().to_str().unwrap());
        elsewhere
            .run()
            .exited(1)
            .complained(&["is your home directory, which an agent must not see"]);
    }
    // By another name it is the same.
    let link = world.root().join("link");
    std::os::unix::fs::symlink(world.repo(), &link).unwrap();
    for (within, told) in [
        (
            world.repo(),
            "is your home directory, which an agent must not see",
        ),
        (world.repo().join(".ssh"), "contains private files ("),
    ] {
        let run = at(&within, &["--sandbox", "process"]).env("HOME", link.to_str().unwrap());
        run.run().exited(1).complained(&[told]);
    }
    // A directory of that name is nobody's home, and work within a home is work.
    at(&world.repo(), &["--sandbox", "process"])
        .run()
        .succeeded();
    fs::create_dir(home.join("work")).unwrap();
    at(&home.join("work"), &["--sandbox", "process"])
        .run()
        .succeeded();
}

/// The harness would end at once, and what is said then is about its login.
#[test]
fn a_task_of_nothing_is_no_task() {
    let world = World::new();
    for task in ["", " \n"] {
        let run = world.agp(&["run", "--intendant", "claude-code", "--task", task]);
        run.run()
            .exited(2)
            .complained(&["the harness needs a task"]);
    }
}

fn stand_in(world: &World) -> PathBuf {
    let program = world.root().join("claude");
    if !program.exists() {
        session::put_program(&program, "#!/bin/sh\necho '2.1.330 (Claude Code)'\n");
    }
    program
}
