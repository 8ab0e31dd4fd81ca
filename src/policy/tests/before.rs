//! Policies of the language before atoms (`tool`, `actor`, `secrets`, `when.command`), with what the engine of that
//! language said of each call: `before.json`, where `A`, `R` and `D` are a rule's verdict, `d` that none matched.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Conditions, Decision, around, whole};
use crate::contracts::call::Actor;
use crate::policy::engine::strictness;
use crate::policy::{Policy, Ruling};
use crate::reading::atoms::{AtomKind, Category, Role};
use crate::reading::disk::NoDisk;
use crate::reading::tools;

struct Recorded {
    policies: Vec<Policy>,
    texts: Vec<Value>,
    calls: Vec<Value>,
    verdicts: Vec<Vec<u8>>,
}

fn recorded() -> Recorded {
    let data: Value = serde_json::from_str(include_str!("before.json")).unwrap();
    let list = |name: &str| data[name].as_array().unwrap().clone();
    let verdicts = list("verdicts").into_iter();
    Recorded {
        policies: list("policies").iter().map(whole).collect(),
        texts: list("policies"),
        calls: list("calls"),
        verdicts: verdicts
            .map(|line| line.as_str().unwrap().bytes().collect())
            .collect(),
    }
}

fn decision(letter: u8) -> Decision {
    match letter {
        b'A' => Decision::Allow,
        b'R' => Decision::Require,
        _ => Decision::Deny,
    }
}

/// What is said of a call now, and whether it is read word by word as it is written: reading sees through `env` and the
/// like and the directory of a program, leaves out options in front of a subcommand, and takes what the shell does by
/// itself for no program.
fn now(policy: &Policy, call: &Value, command: Option<&str>) -> (Ruling, bool) {
    let args = command.map(|command| ("command".to_owned(), command.into()));
    let args: Map<String, Value> = args.into_iter().collect();
    let (around, tool) = (around(), call["tool"].as_str().unwrap());
    let secrets = call["secrets"].as_array().into_iter().flatten();
    let secrets: BTreeSet<String> = secrets
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let reading = tools::read(tool, &args, &around, &NoDisk, &policy.declared());
    let at = Conditions {
        tool,
        args: &args,
        actor: match call["actor"].as_str() {
            Some(_) => Actor::SessionOwner,
            None => Actor::ClaudeProcess,
        },
        around: &around,
        directory: Some("/r"),
        branch: None,
        confined: false,
        today: None,
        secrets: &secrets,
        memory: None,
        disk: &NoDisk,
    };
    let mut programs = reading.atoms.iter().filter_map(|atom| match &atom.kind {
        AtomKind::Program(program) => Some(program),
        _ => None,
    });
    let as_written = match (programs.next(), programs.next()) {
        (Some(program), None) => {
            let words = program.words.iter().filter_map(|word| word.known());
            let read = words.collect::<Vec<_>>().join(" ");
            let unquoted = command.unwrap_or_default().replace(['\'', '"'], "");
            read == unquoted && !read.starts_with('/') && !program.roles.contains(&Role::Global)
        }
        (None, _) => command.is_none(),
        (Some(_), Some(_)) => false,
    };
    (policy.judge(&reading, &at), as_written)
}

#[test]
fn each_recorded_call_is_decided_at_least_as_strictly_as_before() {
    let recorded = recorded();
    let mut compared = 0;
    for ((policy, text), verdicts) in recorded
        .policies
        .iter()
        .zip(&recorded.texts)
        .zip(&recorded.verdicts)
    {
        assert_eq!(verdicts.len(), recorded.calls.len());
        for (call, letter) in recorded.calls.iter().zip(verdicts) {
            let command = call["command"].as_str();
            let (ruling, as_written) = now(policy, call, command);
            let decision_now = ruling.verdict.decision;
            // Where no rule spoke, one about the program that is meant may speak now.
            if *letter == b'd' && !as_written {
                continue;
            }
            let before = decision(*letter);
            assert!(
                strictness(decision_now) >= strictness(before),
                "{call} was {before:?} and is {decision_now:?} under {text}"
            );
            compared += 1;
        }
    }
    assert!(compared > 4000, "{compared}");
}

/// Without `when`, and apart from what is always denied.
#[test]
fn a_policy_without_when_decides_as_before() {
    let recorded = recorded();
    let mut compared = 0;
    for ((policy, text), verdicts) in recorded
        .policies
        .iter()
        .zip(&recorded.texts)
        .zip(&recorded.verdicts)
    {
        if text.to_string().contains("\"when\"") {
            continue;
        }
        for (call, letter) in recorded.calls.iter().zip(verdicts) {
            let (ruling, _) = now(policy, call, call["command"].as_str());
            if ruling.dangers.contains(&Category::Tampering) {
                continue;
            }
            let decision_now = ruling.verdict.decision;
            assert_eq!(decision_now, decision(*letter), "{call} under {text}");
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}

/// Two commands behind each other are as strict as the stricter of both was.
#[test]
fn a_command_of_parts_is_at_least_as_strict_as_each_part_was() {
    let recorded = recorded();
    for ((policy, text), verdicts) in recorded
        .policies
        .iter()
        .zip(&recorded.texts)
        .zip(&recorded.verdicts)
    {
        let plain: Vec<(&Value, u8)> = recorded
            .calls
            .iter()
            .zip(verdicts.iter().copied())
            .filter(|(call, letter)| {
                call["tool"] == "Bash" && call.get("secrets").is_none() && *letter != b'd'
            })
            .collect();
        for (at, joint) in [" && ", "; ", " | ", " || "]
            .iter()
            .cycle()
            .take(plain.len())
            .enumerate()
        {
            // A neighbour far away, so that the parts have nothing to do with each other.
            let ((a, first), (b, second)) = (plain[at], plain[(at * 7 + 3) % plain.len()]);
            if a.get("actor") != b.get("actor") {
                continue;
            }
            let parts = [a, b].map(|call| call["command"].as_str().unwrap());
            let command = parts.join(joint);
            let decision_now = now(policy, a, Some(&command)).0.verdict.decision;
            for letter in [first, second] {
                assert!(
                    strictness(decision_now) >= strictness(decision(letter)),
                    "{command} is {decision_now:?} under {text}"
                );
            }
        }
    }
}
