//! Claude Code in hook mode: where a call runs, and which agent makes it. What the witness could not see is
//! not let happen.

use std::fs;

use serde_json::json;

use super::column::{Column, nothing_ran};
use super::governed::call;
use super::model::Call;
use super::on_claude::Hook;

/// An agent of the usual kind, to be waited for.
pub(crate) fn agent(id: &str, prompt: &str) -> Call {
    let input = json!({
        "description": "look", "prompt": prompt, "subagent_type": "general-purpose",
        "run_in_background": false,
    });
    call(id, "Agent", input)
}

#[test]
fn a_command_in_another_directory_is_another_call() {
    let Some(column) = Hook::by(&[]) else {
        return;
    };
    let world = column.world();
    let rules = json!({"rules": [
        {"id": "build", "effect": "allow", "tool": "Bash", "when": {"command": ["sh build.sh", "cd vendor/evil"]}},
        {"id": "read", "effect": "allow", "tool": "Read"},
    ]});
    fs::write(world.agp_home().join("policy.json"), rules.to_string()).unwrap();
    world.put("build.sh", "touch built\n");
    world.put("vendor/evil/build.sh", "touch ../../ran-evil\n");
    let model = Hook::model(vec![
        vec![Hook::bash("call_here", "sh build.sh")],
        vec![Hook::bash("call_cd", "cd vendor/evil")],
        vec![Hook::bash("call_there", "sh build.sh")],
        vec![call("call_read", "Read", json!({"file_path": "build.sh"}))],
        vec![call("call_missing", "Glob", json!({"pattern": "*"}))],
    ]);
    column.run(&model).run().succeeded();
    assert!(world.get("built").is_some());
    nothing_ran(world);
    let first = |id: &str| {
        let all = world.journal().into_iter();
        let mut of = all.filter(|event| event["payload"]["messageId"] == id);
        of.next().unwrap()["payload"].clone()
    };
    let (here, there) = (first("call_here"), first("call_there"));
    assert_eq!(here["args"], json!({"command": "sh build.sh"}));
    assert_eq!(there["args"]["workdir"], world.path("vendor/evil"));
    assert_ne!(here["argsSha256"], there["argsSha256"]);
    assert_eq!(
        world.kinds_of("call_there"),
        ["tool_call.deny", "gate.deny"]
    );
    // The command that changed the directory is reported from where it went, as what it was.
    assert_eq!(
        world.kinds_of("call_cd"),
        ["tool_call.allow", "gate.allow", "tool_call.result"]
    );
    let read = first("call_read");
    assert_eq!(
        read["args"],
        json!({"file_path": world.path("vendor/evil/build.sh")})
    );
    let log = world.agp(&["log"]).run().succeeded();
    log.said(&["vendor/evil: sh build.sh"]);
    column.each_decided(&["call_here", "call_cd", "call_there", "call_read"]);
}

#[test]
fn an_agent_within_an_agent_is_denied_and_the_session_goes_on() {
    let Some(column) = Hook::by(&[("allow", "Agent"), ("allow", "Bash")]) else {
        return;
    };
    let world = column.world();
    let model = Hook::model(vec![
        vec![agent("call_outer", "look around")],
        vec![agent("call_inner", "look further")],
        vec![Hook::bash("call_bash", "touch made")],
    ]);
    column.run(&model).run().succeeded();
    let told = Hook::told(&model, "call_inner");
    assert!(told.contains("--mode mediated"), "{told}");
    assert_eq!(
        world.kinds_of("call_inner"),
        ["tool_call.deny", "gate.deny"]
    );
    assert!(world.get("made").is_some());
    column.each_decided(&["call_outer", "call_inner", "call_bash"]);
}

#[test]
fn workflow_is_withheld() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let script = "export const meta = {name: 'x', description: 'y', phases: []};\n\
        return await agent('touch ran-in-a-workflow');";
    let model = Hook::model(vec![
        vec![call("call_flow", "Workflow", json!({"script": script}))],
        vec![Hook::bash("call_bash", "touch made")],
    ]);
    column.run(&model).run().succeeded();
    let offered = model.tools_offered();
    assert!(!offered.contains(&"Workflow".to_owned()), "{offered:?}");
    assert!(Hook::was_refused(&model, "call_flow"));
    assert!(column.world().get("made").is_some());
    column.each_decided(&["call_bash"]);
}
