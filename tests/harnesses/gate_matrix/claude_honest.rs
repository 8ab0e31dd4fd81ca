//! Ordinary sessions of Claude Code in hook mode that look odd from outside: each goes on, ends with exit code
//! 0, and accuses nobody. What is odd is `gate.anomaly`.

use std::process::Command;

use serde_json::{Value, json};

use super::claude_agents::agent;
use super::column::{Column, nothing_ran};
use super::governed::call;
use super::model::{Call, ModelDouble, Turn};
use super::on_claude::Hook;
use super::session::World;

/// How many oddities there were, and what they were about.
fn anomalies(world: &World) -> Vec<String> {
    let count = world.event("session.ended")["payload"]["anomalies"].clone();
    let all = world.events("gate.anomaly");
    assert_eq!(count, all.len());
    let how = |event: &Value| event["payload"]["how"].as_str().unwrap().to_owned();
    all.iter().map(how).collect()
}

fn in_order(column: &Hook, model: &ModelDouble) {
    column.run(model).run().succeeded();
    assert_eq!(column.world().events("gate.bypassed").len(), 0);
    nothing_ran(column.world());
    column.world().verifies();
}

fn block(call: &Call) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input})
}

#[test]
fn calls_of_an_answer_that_was_stopped() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let stopped = |id: &str| {
        let blocks = vec![block(&Hook::bash(id, "touch ran-stopped"))];
        Turn::Blocks(blocks, "refusal")
    };
    let model = ModelDouble::start(vec![
        stopped("call_main"),
        Turn::Calls(vec![agent("call_agent", "look")]),
        stopped("call_inner"),
        Turn::Text("done".into()),
    ]);
    in_order(&column, &model);
    assert_eq!(anomalies(column.world()), Vec::<String>::new());
    column.each_decided(&["call_agent"]);
}

/// An agent in the background queues calls; once its first runs it is stopped.
fn stopping(body: &Value) -> Turn {
    let text = body["messages"].to_string();
    if let Some((_, rest)) = text.split_once("agentId: ") {
        let id: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        if text.contains("call_stop") {
            return Turn::Text("done".into());
        }
        if text.contains("call_wait") {
            let stop = json!({"task_id": id});
            return Turn::Calls(vec![call("call_stop", "TaskStop", stop)]);
        }
        let wait = "for i in $(seq 400); do [ -e begun ] && break; sleep 0.05; done";
        return Turn::Calls(vec![Hook::bash("call_wait", wait)]);
    }
    if text.contains("BACKGROUND") {
        return Turn::Calls(vec![
            Hook::bash("call_first", "touch begun; sleep 60; touch ran-late"),
            Hook::bash("call_queued", "touch ran-queued"),
            call(
                "call_written",
                "Write",
                json!({"file_path": "ran-written", "content": "x"}),
            ),
        ]);
    }
    let input = json!({
        "description": "look", "prompt": "BACKGROUND", "subagent_type": "general-purpose",
        "run_in_background": true,
    });
    Turn::Calls(vec![call("call_agent", "Agent", input)])
}

#[test]
fn an_agent_that_is_stopped_with_calls_in_its_queue() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let model = ModelDouble::start(vec![Turn::Then(stopping); 8]);
    in_order(&column, &model);
    let world = column.world();
    assert!(world.get("begun").is_some(), "the first was under way");
    // Of these nobody can tell by the harness's words whether they had begun.
    let how = "was stopped before the decision";
    assert_eq!(anomalies(world), [how, how]);
    // The record has an end of the one that ran.
    let first = world.events("tool_call.result");
    let first = first
        .iter()
        .find(|event| event["payload"]["messageId"] == "call_first");
    let payload = &first.unwrap()["payload"];
    assert_eq!(
        [&payload["seenBy"], &payload["how"]],
        ["stream", "stopped with its agent"]
    );
}

#[test]
fn a_call_that_the_models_provider_runs() {
    let Some(column) = Hook::by(&[("allow", "Bash"), ("deny", "WebSearch")]) else {
        return;
    };
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}});
    let found =
        json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let made = block(&Hook::bash("call_bash", "touch made"));
    let model = ModelDouble::start(vec![
        Turn::Blocks(vec![search, found, made], "tool_use"),
        Turn::Text("done".into()),
    ]);
    in_order(&column, &model);
    let world = column.world();
    assert!(world.get("made").is_some());
    assert_eq!(anomalies(world).len(), 1);
    assert_eq!(world.event("gate.anomaly")["payload"]["tool"], "web_search");
    column.each_decided(&["call_bash"]);
}

#[test]
fn calls_that_would_move_to_a_worktree_and_back() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let world = column.world();
    world.put("f", "x\n");
    let git =
        "git init -q . && git add f && git -c user.name=n -c user.email=a@b.invalid commit -qm x";
    let made = Command::new("sh")
        .args(["-c", git])
        .current_dir(world.repo())
        .status();
    assert!(made.unwrap().success());
    let model = Hook::model(vec![
        vec![call(
            "call_enter",
            "EnterWorktree",
            json!({"name": "aside"}),
        )],
        vec![Hook::bash("call_there", "touch made")],
        vec![call("call_read", "Read", json!({"file_path": "f"}))],
        vec![call("call_exit", "ExitWorktree", json!({"action": "keep"}))],
        vec![Hook::bash("call_here", "touch made")],
    ]);
    in_order(&column, &model);
    assert_eq!(anomalies(world), Vec::<String>::new());
    assert!(world.get("made").is_some());
    for id in ["call_enter", "call_exit"] {
        assert!(Hook::was_refused(&model, id), "{id}");
    }
    column.each_decided(&["call_there", "call_read", "call_here"]);
}

#[test]
fn a_command_of_the_harness_that_begins_the_conversation_anew() {
    let Some(column) = Hook::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = Hook::model(vec![vec![Hook::bash("call_bash", "touch made")]]);
    let world = column.world();
    let run = [
        "run",
        "--intendant",
        "claude-code",
        "--no-probe",
        "--task",
        "/clear",
        "--task-command",
    ];
    let start = world.agp(&run).env("ANTHROPIC_BASE_URL", &model.base_url());
    let start = start.env("ANTHROPIC_API_KEY", "x");
    start
        .env("AGP_CLAUDE_BIN", column.claude.to_str().unwrap())
        .run()
        .succeeded();
    assert_eq!(anomalies(column.world()), Vec::<String>::new());
    column.world().verifies();
}

#[test]
fn a_call_that_would_wake_the_harness_later() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    // The shortest that it takes.
    let wake = json!({"delaySeconds": 60, "reason": "a build goes on", "prompt": "go on"});
    let model = ModelDouble::start(vec![
        Turn::Calls(vec![call("call_wake", "ScheduleWakeup", wake)]),
        Turn::Text("waiting".into()),
    ]);
    in_order(&column, &model);
    let told = Hook::told(&model, "call_wake");
    assert!(told.contains("No such tool available"), "{told}");
    let world = column.world();
    assert_eq!(anomalies(world), Vec::<String>::new());
    assert_eq!(
        world.event("session.started")["payload"]["results"],
        "harness"
    );
    column.each_decided(&[]);
}

#[test]
fn calls_that_the_harnesss_own_layer_denies() {
    let Some(column) = Hook::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = Hook::model(vec![
        vec![Hook::bash("call_rm", "rm -f ran-rm")],
        vec![call("call_absent", "NoSuchTool", json!({}))],
        vec![Hook::bash("call_bash", "touch made")],
    ]);
    let deny = ["--harness-arg", "--disallowedTools=Bash(rm:*)"];
    column.run(&model).arguments(&deny).run().succeeded();
    let world = column.world();
    assert!(Hook::told(&model, "call_rm").contains("Permission to use Bash"));
    assert!(world.get("made").is_some());
    assert_eq!(anomalies(world), Vec::<String>::new());
    let kinds = world.kinds_of("call_rm");
    assert_eq!(kinds, ["tool_call.allow", "gate.allow", "tool_call.result"]);
    column.each_decided(&["call_rm", "call_bash"]);
}

#[test]
fn what_the_harness_fills_in_and_leaves_out_is_the_same_call() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let world = column.world();
    world.put("sub/a.txt", "one\n");
    let model = Hook::model(vec![
        vec![call(
            "call_list",
            "ToolSearch",
            json!({"query": "select:WebFetch", "zzz": 1}),
        )],
        vec![call(
            "call_say",
            "SendMessage",
            json!({"to": "x", "message": "hi"}),
        )],
        vec![call(
            "call_watch",
            "Monitor",
            json!({
                "command": "echo m", "description": "d", "timeout_ms": "1000", "persistent": true,
            }),
        )],
        vec![Hook::bash("call_cd", "cd sub")],
        vec![call(
            "call_read",
            "Read",
            json!({"file_path": " ./a.txt", "pages": "", "limit": "5"}),
        )],
        vec![call(
            "call_edit",
            "Edit",
            json!({
                "file_path": "../sub/a.txt", "old_string": "one", "new_string": "two  ", "replace_all": "false",
            }),
        )],
        vec![call("call_home", "Read", json!({"file_path": "~/none"}))],
        vec![call(
            "call_task",
            "Task",
            json!({
                "description": "d", "prompt": "p", "subagent_type": "general-purpose", "run_in_background": false,
            }),
        )],
    ]);
    in_order(&column, &model);
    assert_eq!(anomalies(world), Vec::<String>::new());
    assert_eq!(world.get("sub/a.txt").as_deref(), Some("two\n"));
    let names = ["list", "say", "watch", "cd", "read", "edit", "home", "task"];
    let ids = names.map(|name| format!("call_{name}"));
    column.each_decided(&ids.each_ref().map(String::as_str));
}
