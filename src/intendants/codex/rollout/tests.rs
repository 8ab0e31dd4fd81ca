//! What must hold of lines of a rollout: no harness is started.

use super::*;

#[derive(Default)]
struct Played(Rollout);

impl Played {
    fn say(&mut self, kind: &str, payload: &Value) -> Vec<Observation> {
        let line = json!({"type": kind, "payload": payload}).to_string();
        self.0.line(Some(line.as_bytes()))
    }

    /// A call of one of agp's tools.
    fn call(&mut self, id: &str, name: &str) -> Vec<Observation> {
        let call = json!({
            "type": "function_call", "call_id": id, "name": name, "namespace": "mcp__agp",
            "arguments": "{}",
        });
        self.say("response_item", &call)
    }

    fn output(&mut self, id: &str, said: &Value) -> Vec<Observation> {
        let output = json!({"type": "function_call_output", "call_id": id, "output": said});
        self.say("response_item", &output)
    }

    fn item(&mut self, id: &str, kind: &str) -> Vec<Observation> {
        let item = json!({"type": kind, "id": id, "status": "completed"});
        self.say(
            "event_msg",
            &json!({"type": "item_completed", "item": item}),
        )
    }
}

/// What a server's tool answered, as the rollout has it.
fn answer(text: &str) -> Value {
    json!([{"text": "Wall time: 0.1 seconds\nOutput:"}, {"text": text}])
}

fn refusal() -> Value {
    json!("unsupported call: Bash")
}

#[test]
fn a_call_is_seen_and_its_return_told_once() {
    let mut played = Played::default();
    assert_eq!(played.call("a", "Bash"), [attempted("a", "Bash")]);
    assert_eq!(played.item("a", "McpToolCall"), []);
    assert_eq!(played.output("a", &answer("x")), [returned("a", true)]);
    played.call("b", "Bash");
    assert_eq!(played.output("b", &refusal()), [returned("b", false)]);
}

#[test]
fn arguments_that_are_no_json_reach_no_server_and_a_server_cannot_say_so() {
    let mut played = Played::default();
    played.call("a", "Bash");
    let said = answer("err: x");
    assert_eq!(played.output("a", &said), [returned("a", false)]);
    assert_eq!(played.item("a", "McpToolCall"), [returned("a", true)]);
    let mut played = Played::default();
    played.call("a", "Bash");
    played.item("a", "McpToolCall");
    assert_eq!(played.output("a", &said), [returned("a", true)]);
}

#[test]
fn tools_that_are_not_agps_end_the_session() {
    let offer = |groups: Value| {
        let payload = json!({"type": "additional_tools", "tools": groups});
        Played::default().say("response_item", &payload)
    };
    let group = |name: &str, tool: &str| json!({"type": "namespace", "name": name, "tools": [{"name": tool}]});
    let known = offer(json!([
        group("functions", "request_user_input"),
        group("mcp__agp", "Bash")
    ]));
    let tools = vec!["request_user_input".to_owned(), "mcp__agp__Bash".to_owned()];
    assert_eq!(
        known,
        [Observation::Started {
            tools,
            directory: None
        }]
    );
    for foreign in [
        group("functions", "exec_command"),
        group("mcp__agp2", "Bash"),
        group("mcp__evil", "Bash"),
        json!({"type": "function", "name": "shell"}),
        json!({"type": "web_search"}),
    ] {
        let seen = offer(json!([foreign]));
        assert_eq!(seen[0], Observation::Ungated(FOREIGN.into()), "{foreign}");
    }
}

#[test]
fn a_result_that_is_covered_up_is_found_in_either_order() {
    let mut played = Played::default();
    played.call("a", "Bash");
    played.item("a", "McpToolCall");
    assert_eq!(played.output("a", &refusal()), [returned("a", true)]);
    let mut played = Played::default();
    played.call("a", "Bash");
    played.output("a", &refusal());
    assert_eq!(played.item("a", "McpToolCall"), [returned("a", true)]);
    // One id for two calls, of which one was refused: nothing is covered up.
    let mut played = Played::default();
    for _ in 0..2 {
        played.call("a", "Bash");
    }
    assert_eq!(played.item("a", "McpToolCall"), []);
    assert_eq!(played.output("a", &refusal()), [returned("a", false)]);
    assert_eq!(played.output("a", &answer("x")), [returned("a", true)]);
}

impl Played {
    /// A call of one of Codex's own tools.
    fn own(&mut self, id: &str, tool: &str, namespace: &str) -> Vec<Observation> {
        let call = json!({
            "type": "function_call", "call_id": id, "name": tool, "namespace": namespace,
            "arguments": "{}",
        });
        self.say("response_item", &call)
    }

    fn resources(&mut self, server: &str, tool: &str, result: &Value) -> Vec<Observation> {
        let item = json!({
            "type": SERVER_ITEM, "id": "a", "server": server, "tool": tool, "result": result,
        });
        let payload = json!({"type": "item_completed", "item": item});
        self.say("event_msg", &payload)
    }
}

#[test]
fn a_look_at_resources_is_answered_by_the_harness_and_is_no_call_unless_there_are_some() {
    let listed = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let nothing = listed(r#"{"server":"agp","resources":[]}"#);
    let ran = [attempted("a", SERVER_ITEM), returned("a", true)];
    let item = |server: &str, tool: &str, result: &Value| {
        let mut played = Played::default();
        let seen = played.own("a", "list_mcp_resources", "");
        assert_eq!(seen, [Observation::Answered("list_mcp_resources")]);
        let seen = played.resources(server, tool, result);
        assert_eq!(played.output("a", &json!("anything")), []);
        seen
    };
    assert_eq!(item("agp", "list_mcp_resources", &nothing), []);
    assert_eq!(item("codex", "list_mcp_resources", &nothing), []);
    // It failed: its item has an error in the place of the result.
    assert_eq!(item("agp", "read_mcp_resource", &Value::Null), []);
    for (server, tool, result) in [
        ("evil", "list_mcp_resources", &nothing),
        ("agp", "Bash", &nothing),
        ("agp", "list_mcp_resources", &listed(r#"{"resources":[1]}"#)),
        (
            "codex",
            "list_mcp_resources",
            &listed(r#"{"resources":[],"resourceTemplates":[1]}"#),
        ),
        ("agp", "read_mcp_resource", &listed("secret")),
    ] {
        assert_eq!(item(server, tool, result), ran, "{server} {tool} {result}");
    }
    let mut played = Played::default();
    played.own("a", "request_user_input", "functions");
    assert_eq!(played.output("a", &json!("unavailable")), []);
    // Another server's tool of that name is no tool of the harness's.
    let seen = played.own("b", "list_mcp_resources", "mcp__evil");
    assert_eq!(seen, [attempted("b", "list_mcp_resources")]);
}

#[test]
fn a_look_at_resources_hides_no_call_under_its_id() {
    // The look's output is whichever comes first; another is left for the call.
    let mut played = Played::default();
    played.own("a", "list_mcp_resources", "");
    played.call("a", "Bash");
    assert_eq!(played.output("a", &answer("x")), []);
    assert_eq!(played.output("a", &json!("{}")), [returned("a", true)]);
    // The call's own item tells of it where its output does not.
    let mut played = Played::default();
    played.own("a", "list_mcp_resources", "");
    played.call("a", "Bash");
    played.item("a", SERVER_ITEM);
    assert_eq!(played.output("a", &answer("x")), []);
    assert_eq!(played.output("a", &refusal()), [returned("a", true)]);
}

#[test]
fn a_call_without_an_output_did_not_run_unless_its_item_says_so() {
    let ends = [
        ("compacted", json!({"message": "a summary"})),
        ("event_msg", json!({"type": "task_complete"})),
        ("event_msg", json!({"type": "turn_aborted"})),
    ];
    for (kind, payload) in ends {
        let mut played = Played::default();
        played.call("a", "Bash");
        assert_eq!(played.say(kind, &payload), [returned("a", false)]);
        assert_eq!(played.say(kind, &payload), [], "told once");
        // What comes after all is told.
        assert_eq!(played.item("a", SERVER_ITEM), []);
        assert_eq!(played.output("a", &answer("x")), [returned("a", true)]);
        played.call("b", "Bash");
        played.item("b", SERVER_ITEM);
        assert_eq!(played.say(kind, &payload), [returned("b", true)]);
        played.call("c", "Bash");
        played.output("c", &answer("x"));
        assert_eq!(played.say(kind, &payload), []);
    }
}

#[test]
fn what_ran_unannounced_is_a_call() {
    let mut played = Played::default();
    let both = |id: &str, kind: &str| vec![attempted(id, kind), returned(id, true)];
    assert_eq!(
        played.item("exec-1", "CommandExecution"),
        both("exec-1", "CommandExecution")
    );
    for kind in ["web_search_call", "image_generation_call"] {
        let call = json!({"type": kind, "id": kind});
        assert_eq!(played.say("response_item", &call), both(kind, kind));
    }
    assert_eq!(played.item("web_search_call", "WebSearch"), [], "told once");
}

#[test]
fn what_cannot_be_read_is_told() {
    let mut rollout = Rollout::default();
    for line in [None, Some(&b"{"[..]), Some(b"{}"), Some(b"\xff")] {
        assert!(matches!(
            rollout.line(line)[..],
            [Observation::Unreadable(_)]
        ));
    }
}
