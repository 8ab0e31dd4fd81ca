//! One contract, whichever harness is behind it: the same script of calls through the real Claude
//! Code in both modes, the real Codex, and the scripted intendant gives the same verdicts, the same
//! kinds of events and the same payload keys.
//!
//! Where the harnesses differ, this is the canonical form:
//!
//! | here | Claude Code, hook mode | either, mediated | scripted |
//! | --- | --- | --- | --- |
//! | shell | `Bash` | `mcp__agp__Bash`, journaled `Bash` | `Bash` |
//! | edit | `Write` | `mcp__agp__Write`, journaled `Write` | `Write` |
//! | look | `Read` | `mcp__agp__Read`, journaled `Read` | `Read` |
//! | let through | `gate.allow` | | |
//! | refused | `gate.deny` | | |
//! | came to | `tool_call.result` | `tool_call.executed` | `tool_call.executed` |
//!
//! A harness runs its own tools: `gate.allow` or `gate.deny` is what it is told, and
//! `tool_call.result` what it reports. In mediated mode, as with a script, agp runs the calls:
//! nobody is told that he may, and `tool_call.executed`, with an exit code in the place of `ok`,
//! stands for both. Arguments are the harness's own. `session.ended` of mediated mode has one more
//! key: `offered`, the tools that the harness was seen to have, which must be agp's alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, model, responses, session};

use std::collections::{BTreeMap, BTreeSet};

use codex::Governed;
use model::{ModelDouble, Turn};
use responses::ResponsesDouble;
use serde_json::{Value, json};
use session::{Start, World, claude, python};

const QUESTION: &str = "Allow this call once?";

/// The ids of the script's calls, in order.
const CALLS: [&str; 5] = ["ok", "fails", "approved", "refused", "unknown"];

/// What each of them must come to, in events, for a harness that runs its own tools.
const EXPECTED: [(&str, &[&str]); 5] = [
    ("ok", &["tool_call.allow", "gate.allow", "tool_call.result"]),
    (
        "fails",
        &["tool_call.allow", "gate.allow", "tool_call.result"],
    ),
    (
        "approved",
        &[
            "tool_call.require",
            "approval.granted",
            "gate.allow",
            "tool_call.result",
        ],
    ),
    (
        "refused",
        &["tool_call.require", "approval.denied", "gate.deny"],
    ),
    ("unknown", &["tool_call.deny", "gate.deny"]),
];

fn canonical(tool: &str) -> &str {
    match tool {
        "Bash" => "shell",
        "Write" => "edit",
        "Read" => "look",
        other => other,
    }
}

/// One event of a call: its kind, and what its payload says that must be the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: String,
    tool: String,
    ok: Option<bool>,
    fields: BTreeSet<String>,
    keys: BTreeSet<String>,
}

/// A session's events: by call, and those of the session itself.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    calls: BTreeMap<String, Vec<Seen>>,
    session: BTreeMap<String, BTreeSet<String>>,
    census: [u64; 4],
}

fn keys(value: &Value) -> BTreeSet<String> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, _)| name.clone()).collect()
}

/// Plays a session at a terminal: yes to the first question, no to the second.
fn play(world: &World, start: Start, ids: &[(&str, &str)]) -> Option<Played> {
    let mut live = start.start_at_terminal(&python()?);
    live.see(QUESTION);
    live.type_in("y\n");
    live.see_times(QUESTION, 2);
    live.type_in("n\n");
    live.finish().succeeded();
    world.verifies();
    let mut calls = BTreeMap::new();
    for (id, own) in ids {
        let events = world.journal().into_iter();
        let events = events.filter(|event| event["payload"]["messageId"] == *own);
        let seen = events.map(|event| Seen {
            kind: event["kind"].as_str().unwrap().to_owned(),
            tool: canonical(event["payload"]["tool"].as_str().unwrap()).to_owned(),
            ok: event["payload"]["ok"].as_bool(),
            fields: keys(&event),
            keys: keys(&event["payload"]),
        });
        calls.insert((*id).to_owned(), seen.collect());
    }
    let ended = world.event("session.ended");
    let census = ["decided", "allowed", "denied", "bypassed"];
    Some(Played {
        calls,
        session: ["session.started", "session.ended"]
            .map(|kind| (kind.to_owned(), keys(&world.event(kind)["payload"])))
            .into(),
        census: census.map(|name| ended["payload"][name].as_u64().unwrap()),
    })
}

fn on_claude(mode: &str) -> Option<Played> {
    let claude = claude()?;
    let world = World::new();
    world.policy(&[("allow", "Bash"), ("require", "Write")]);
    world.put("picture.png", "x");
    let call = |id: &str, name: &str, input: Value| model::Call {
        id: Some(id.to_owned()),
        ..model::Call::new(
            &match mode {
                "mediated" => format!("mcp__agp__{name}"),
                _ => name.to_owned(),
            },
            input,
        )
    };
    let write = |id, name| {
        let input = json!({"file_path": world.path(name), "content": "x\n"});
        call(id, "Write", input)
    };
    let turns = [
        call("ok", "Bash", json!({"command": "touch ok"})),
        call("fails", "Bash", json!({"command": "exit 3"})),
        write("approved", "approved"),
        write("refused", "refused"),
        call(
            "unknown",
            "Read",
            json!({"file_path": world.path("picture.png")}),
        ),
    ];
    let model = ModelDouble::start(turns.map(|call| Turn::Calls(vec![call])).into());
    let start = world
        .agp(&["run", "--intendant", "claude-code", "--task", "go"])
        .arguments(&["--mode", mode])
        .arguments(&["--repo", world.repo().to_str().unwrap()])
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap());
    let played = play(&world, start, &CALLS.map(|id| (id, id)));
    effects(&world);
    played
}

fn on_codex() -> Option<Played> {
    let governed = Governed::by(&[("allow", "Bash"), ("require", "Write")])?;
    let world = &governed.world;
    world.put("picture.png", "x");
    let call = responses::Call::mediated;
    let write = |id: &str| {
        call(
            id,
            "Write",
            &json!({"file_path": world.path(id), "content": "x\n"}),
        )
    };
    let turns = [
        call("ok", "Bash", &json!({"command": "touch ok"})),
        call("fails", "Bash", &json!({"command": "exit 3"})),
        write("approved"),
        write("refused"),
        call(
            "unknown",
            "Read",
            &json!({"file_path": world.path("picture.png")}),
        ),
    ];
    let model = ResponsesDouble::start(turns.map(|call| vec![call]).into());
    governed.configure(&model, "");
    let played = play(world, governed.start(), &CALLS.map(|id| (id, id)));
    effects(world);
    assert_eq!(model.violations(), Vec::<String>::new());
    played
}

fn on_a_script() -> Option<Played> {
    let world = World::new();
    world.policy(&[("allow", "Bash"), ("require", "Write")]);
    let write = |name: &str| json!({"tool": "Write", "args": {"file_path": name, "content": "x"}});
    let lines = [
        json!({"tool": "Bash", "args": {"command": "touch ok"}}),
        json!({"tool": "Bash", "args": {"command": "exit 3"}}),
        write("approved"),
        write("refused"),
        json!({"tool": "Read", "args": {"file_path": "picture.png"}}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    world.put("script.jsonl", &text);
    let start = world.agp(&["run", "--script", &world.path("script.jsonl")]);
    let own: Vec<String> = (1..=CALLS.len()).map(|n| format!("call-{n}")).collect();
    let ids: Vec<(&str, &str)> = CALLS
        .iter()
        .copied()
        .zip(own.iter().map(String::as_str))
        .collect();
    play(&world, start, &ids)
}

fn effects(world: &World) {
    for (name, there) in [("ok", true), ("approved", true), ("refused", false)] {
        assert_eq!(world.get(name).is_some(), there, "{name}");
    }
}

#[test]
fn hook_mode_leaves_this_record() {
    let Some(claude) = on_claude("hook") else {
        return;
    };
    for (id, kinds) in EXPECTED {
        let seen: Vec<&str> = claude.calls[id]
            .iter()
            .map(|seen| seen.kind.as_str())
            .collect();
        assert_eq!(seen, kinds, "{id}");
    }
    assert_eq!(claude.calls["ok"][2].ok, Some(true));
    assert_eq!(claude.calls["fails"][2].ok, Some(false));
}

/// Asserts that calls which agp ran are recorded like those of a harness that ran its own.
fn recorded_alike(by_agp: &Played, by_harness: &Played) {
    assert_eq!(by_agp.census, by_harness.census);
    // The sessions have all that the other's has.
    assert_eq!(by_agp.session, by_harness.session);
    for id in CALLS {
        let decided = |played: &Played| -> Vec<Seen> {
            let seen = played.calls[id].iter().cloned();
            seen.filter(|seen| !seen.kind.starts_with("gate.") && seen.ok.is_none())
                .filter(|seen| seen.kind != "tool_call.executed")
                .collect()
        };
        assert_eq!(decided(by_agp), decided(by_harness), "{id}");
        let happened = |played: &Played, kind: &str| {
            let mut seen = played.calls[id].iter();
            seen.any(|seen| seen.kind == kind)
        };
        let ran = happened(by_harness, "tool_call.result");
        assert_eq!(happened(by_harness, "gate.allow"), ran, "{id}");
        assert_eq!(happened(by_agp, "tool_call.executed"), ran, "{id}");
    }
}

#[test]
fn a_script_is_decided_like_a_harness() {
    let (Some(hook), Some(script)) = (on_claude("hook"), on_a_script()) else {
        return;
    };
    recorded_alike(&script, &hook);
}

#[test]
fn mediated_mode_is_recorded_like_hook_mode_and_like_a_script() {
    let (Some(mut mediated), Some(hook)) = (on_claude("mediated"), on_claude("hook")) else {
        return;
    };
    let ended = mediated.session.get_mut("session.ended").unwrap();
    assert!(ended.remove("offered"));
    recorded_alike(&mediated, &hook);
    let Some(script) = on_a_script() else { return };
    // Event by event, key by key: both are run by agp.
    assert_eq!(mediated.calls, script.calls);
    assert_eq!(mediated.census, script.census);
}

#[test]
fn in_mediated_mode_both_harnesses_leave_the_same_record() {
    let (Some(claude), Some(codex)) = (on_claude("mediated"), on_codex()) else {
        return;
    };
    assert_eq!(codex, claude);
}
