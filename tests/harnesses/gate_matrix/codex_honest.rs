//! Codex's ordinary sessions, which end with exit code 0 and accuse nobody.

use std::fs;

use serde_json::json;

use super::column::{Column, nothing_ran, raw};
use super::mediated::Mediated;
use super::on_codex::Agps;
use super::responses::{Call, ResponsesDouble};
use super::session::put_program;

/// A session of these turns, and of a command behind them that is allowed.
fn honest(column: &Agps, mut turns: Vec<Vec<Call>>) -> ResponsesDouble {
    turns.push(vec![Agps::bash("call_last", "touch last")]);
    let model = Agps::model(turns);
    column.run(&model).run().succeeded();
    assert!(column.world().get("last").is_some());
    column.each_decided(&["call_last"]);
    assert_eq!(column.world().events("gate.bypassed").len(), 0);
    assert_eq!(model.violations(), Vec::<String>::new());
    model
}

fn allowing() -> Option<Agps> {
    Agps::by(&[("allow", "*")])
}

#[test]
fn a_look_at_the_resources_of_its_servers() {
    let Some(column) = allowing() else { return };
    let look = |id: &str, tool: &str, input| Call::function(id, tool, input);
    let agp = json!({"server": "agp"});
    let read = json!({"server": "agp", "uri": "file:///etc/passwd"});
    let list = "list_mcp_resources";
    let templates = "list_mcp_resource_templates";
    let model = honest(
        &column,
        vec![
            vec![
                look("call_list", list, json!({})),
                look("call_templates", templates, json!({})),
            ],
            vec![look("call_list_agp", list, agp.clone())],
            vec![look("call_templates_agp", templates, agp)],
            vec![look("call_other", list, json!({"server": "other"}))],
            vec![look("call_broken", list, raw("{no json"))],
            vec![look("call_read", "read_mcp_resource", read)],
        ],
    );
    for (id, said) in [
        ("call_list", "{\"resources\":[]}"),
        ("call_templates", "{\"resourceTemplates\":[]}"),
        ("call_list_agp", "\"resources\":[]"),
        ("call_templates_agp", "\"resourceTemplates\":[]"),
        ("call_read", "agp has no resources"),
    ] {
        let told = Agps::told(&model, id);
        assert!(told.contains(said), "{id}: {told}");
    }
    let ended = column.world().event("session.ended");
    let own = json!({list: 4, templates: 2, "read_mcp_resource": 1});
    assert_eq!(ended["payload"]["ownCalls"], own);
    assert_eq!(ended["payload"]["anomalies"], 0);
}

#[test]
fn a_question_to_a_user_who_is_not_there() {
    let Some(column) = allowing() else { return };
    let options = json!([{"label": "yes", "description": "do it"}]);
    let question = json!({"id": "q", "header": "h", "question": "go on?", "options": options});
    let ask = Call::function(
        "call_ask",
        "request_user_input",
        json!({"questions": [question]}),
    );
    let model = honest(&column, vec![vec![ask]]);
    assert!(Agps::told(&model, "call_ask").contains("unavailable"));
    let ended = column.world().event("session.ended");
    assert_eq!(
        ended["payload"]["ownCalls"],
        json!({"request_user_input": 1})
    );
}

#[test]
fn a_call_in_answer_to_a_compaction() {
    let Some(column) = allowing() else { return };
    let model = Agps::model(vec![
        vec![Agps::bash("call_first", "touch first").after(900_000)],
        vec![Agps::bash("call_summary", "touch ran-summary")],
        vec![Agps::bash("call_last", "touch last")],
    ]);
    let limit = "model_auto_compact_token_limit = 1000";
    column.0.configure(&model, limit);
    column.0.start().run().succeeded();
    let world = column.world();
    assert_eq!(model.requests(), 4, "a summary was asked for");
    assert!(world.get("first").is_some() && world.get("last").is_some());
    nothing_ran(world);
    column.each_decided(&["call_first", "call_last"]);
    assert_eq!(world.events("gate.bypassed").len(), 0);
}

#[test]
fn calls_of_tools_that_are_not_there() {
    let Some(column) = allowing() else { return };
    let search = json!({
        "type": "tool_search_call", "id": "ts", "call_id": "call_search", "execution": "client",
        "arguments": {"query": "x"},
    });
    let mut of_another = Agps::bash("call_other", "touch ran-other");
    of_another.of_server("evil");
    honest(
        &column,
        vec![
            vec![
                Call::shell("call_shell", "touch ran-shell"),
                Call::patch("call_patch", "*** Add File: ran-patch\n+x"),
                Call::function(
                    "call_type",
                    "write_stdin",
                    json!({"session_id": 1, "chars": "x"}),
                ),
            ],
            vec![Call::function("call_unknown", "no_such_tool", json!({}))],
            vec![Call::custom(
                "call_script",
                "exec",
                "await tools.exec_command({cmd: 'touch ran-script'});",
            )],
            vec![Agps::call("call_agps", "Nonsense", &json!({}))],
            vec![of_another],
            vec![Call::item("call_search", search)],
        ],
    );
    nothing_ran(column.world());
}

#[test]
fn a_call_that_it_never_answers() {
    let Some(column) = allowing() else { return };
    let action = json!({"type": "exec", "command": ["touch", column.world().path("ran-local")]});
    let local = json!({
        "type": "local_shell_call", "id": "ls", "call_id": "call_local", "status": "completed",
        "action": action,
    });
    let model = Agps::model(vec![
        vec![Agps::bash("call_first", "touch first")],
        vec![Call::item("call_local", local)],
    ]);
    column.run(&model).run().succeeded();
    nothing_ran(column.world());
    column.each_decided(&["call_first"]);
    assert_eq!(column.world().events("gate.bypassed").len(), 0);
}

#[test]
fn ids_as_a_gateway_of_models_makes_them() {
    let Some(column) = allowing() else { return };
    let ids = [
        "call_a|fc_1",
        "gw/openai/call_b",
        "call_c@eu-1",
        "call:d=+.",
    ];
    let turns = ids
        .iter()
        .enumerate()
        .map(|(number, id)| vec![Agps::bash(id, &format!("touch made-{number}"))]);
    let model = Agps::model(turns.collect());
    column.run(&model).run().succeeded();
    for (number, id) in ids.iter().enumerate() {
        let made = column.world().get(&format!("made-{number}"));
        assert!(made.is_some(), "{id}");
    }
    column.each_decided(&ids);
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// Slow: Codex's own shell answers after ten seconds, whatever its command does.
#[test]
fn a_command_that_takes_longer_than_its_own_shell_waits() {
    let Some(column) = allowing() else { return };
    let command = "sleep 11; echo late; exit 3";
    let model = Agps::model(vec![vec![Agps::bash("call_slow", command)]]);
    column.run(&model).run().succeeded();
    let told = Agps::told(&model, "call_slow");
    assert!(
        told.contains("Exit code 3") && told.contains("late"),
        "{told}"
    );
    let executed = &column.world().event("tool_call.executed")["payload"];
    assert_eq!(executed["messageId"], "call_slow");
    assert_eq!(
        (&executed["exitCode"], &executed["outputBytes"]),
        (&json!(3), &json!(5))
    );
    column.each_decided(&["call_slow"]);
}

#[test]
fn a_bwrap_on_its_path() {
    let Some(column) = allowing() else { return };
    let world = column.world();
    let programs = world.root().join("programs");
    fs::create_dir(&programs).unwrap();
    let script = format!("#!/bin/sh\ntouch '{}'\nexit 1\n", world.path("ran-bwrap"));
    put_program(programs.join("bwrap"), script);
    let path = std::env::var("PATH").unwrap();
    let model = Agps::model(vec![vec![Agps::bash("call_b", "touch made")]]);
    let start = column.run(&model);
    start
        .env("PATH", &format!("{}:{path}", programs.display()))
        .run()
        .succeeded();
    assert!(world.get("made").is_some());
    nothing_ran(world);
    column.each_decided(&["call_b"]);
}

#[test]
fn a_home_that_is_not_said_or_is_the_root() {
    for home in [None, Some("/")] {
        let Some(column) = allowing() else { return };
        let world = column.world();
        let model = Agps::model(vec![vec![Agps::bash("call_b", "touch made")]]);
        let start = column.run(&model);
        let start = match home {
            None => start.without("HOME"),
            Some(home) => start.env("HOME", home),
        };
        let own = column.0.operators();
        start
            .env("CODEX_HOME", own.to_str().unwrap())
            .run()
            .succeeded();
        assert!(world.get("made").is_some(), "{home:?}");
        column.each_decided(&["call_b"]);
    }
}
