//! Codex's rollout: the record of a session that it writes while it runs, JSON lines below
//! `sessions/` in its home. What each line says, for the witness.
//!
//! `codex exec --json` does not show every call; the rollout does, each with the `call_id` that agp's
//! server is told. A call's own item (`item_completed`) is the harness's account that it ran, which no
//! server writes.

use std::collections::HashMap;

use serde_json::Value;

use crate::contracts::intendant::Observation;
use crate::contracts::limits;

use super::probe_model::names;

/// How an output begins when no tool ran: the harness's own checks came before its server (measured on
/// 0.169.0). What a server answers stands behind a head of the harness's ([`SERVER_HEAD`]), so it cannot
/// pass for one of these.
const REFUSALS: [&str; 13] = [
    "failed to parse function arguments: ",
    "unsupported call: ",
    "unsupported custom tool call: ",
    "apply_patch verification failed: ",
    "apply_patch environment selection is unavailable",
    "unknown turn environment id ",
    "approval policy is Never; reject command",
    "request_user_input is unavailable",
    "code-mode host is disabled",
    "TTY execution is disabled by config",
    "write_stdin failed: ",
    "unable to locate image at ",
    "Invalid patch: ",
];
/// How the output of a server's tool begins, and what stands behind that where its arguments were
/// no JSON and no server was asked.
const SERVER_HEAD: &str = "Wall time: ";
const UNREADABLE_ARGUMENTS: &str = "err: ";
/// Items that are no call.
const NO_CALLS: [&str; 8] = [
    "UserMessage",
    "AgentMessage",
    "Reasoning",
    "Plan",
    "HookPrompt",
    "ContextCompaction",
    "EnteredReviewMode",
    "ExitedReviewMode",
];
/// Tools of Codex's own that touch nothing: its servers' resources, of which agp's has none, and a
/// question to a user who is not there.
pub const HARMLESS: [&str; 4] = [
    "list_mcp_resources",
    "list_mcp_resource_templates",
    "read_mcp_resource",
    "request_user_input",
];
/// How agp's tools are named.
const AGPS: &str = "mcp__agp__";
const FOREIGN: &str = "Codex offers its model tools that are not agp's";

/// What is known of the calls under one id.
#[derive(Debug, Default)]
struct Calls {
    attempted: u32,
    refused: u32,
    executed: u32,
    /// It ran and was never announced: told once, however often it is shown.
    unannounced: bool,
}

/// Reads the lines of one session's rollouts.
#[derive(Default)]
pub(super) struct Rollout {
    calls: HashMap<String, Calls>,
}

impl Rollout {
    /// What one line says; `None` is one that is too long.
    pub(super) fn line(&mut self, line: Option<&[u8]>) -> Vec<Observation> {
        let Some(line) = line else {
            return unreadable("a line of its rollout is too long");
        };
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            return unreadable("a line of its rollout is not JSON");
        };
        let Some(payload) = value.get("payload") else {
            return unreadable("a line of its rollout has no payload");
        };
        if self.calls.len() > limits::CALLS_PER_SESSION {
            return unreadable("it makes more calls than a session may");
        }
        let mut seen = Vec::new();
        match (text(&value, "type"), text(payload, "type")) {
            ("session_meta", _) => seen.push(Observation::Started { tools: Vec::new() }),
            ("response_item", "additional_tools") => offered(payload, &mut seen),
            ("event_msg", "item_completed") => {
                if let Some(item) = payload.get("item") {
                    self.item(item, &mut seen);
                }
            }
            ("response_item", kind) if kind.ends_with("_call") => {
                self.attempt(kind, payload, &mut seen);
            }
            ("response_item", kind) if kind.ends_with("_output") => {
                self.output(payload, &mut seen);
            }
            _ => {}
        }
        seen
    }

    fn attempt(&mut self, kind: &str, payload: &Value, seen: &mut Vec<Observation>) {
        // What the provider runs itself has no call id, and nobody was asked about it.
        if payload.get("call_id").is_none() {
            return self.unannounced(text(payload, "id"), kind, seen);
        }
        let id = text(payload, "call_id");
        let name = match text(payload, "name") {
            "" => kind,
            name => name,
        };
        self.calls.entry(id.to_owned()).or_default().attempted += 1;
        seen.push(attempted(id, name));
    }

    fn output(&mut self, payload: &Value, seen: &mut Vec<Observation>) {
        let id = text(payload, "call_id");
        let calls = self.calls.entry(id.to_owned()).or_default();
        let (said, rest) = match payload.get("output") {
            Some(Value::String(said)) => (said.as_str(), ""),
            Some(Value::Array(parts)) => {
                let part = |at: usize| parts.get(at).map_or("", |part| text(part, "text"));
                (part(0), part(1))
            }
            _ => ("", ""),
        };
        // A server that was asked has an item, whatever it answers.
        let unasked = calls.executed == 0
            && said.starts_with(SERVER_HEAD)
            && rest.starts_with(UNREADABLE_ARGUMENTS);
        // A failed search for tools answers with no text at all; it is no tool.
        let nothing = text(payload, "type") == "tool_search_output";
        if nothing || unasked || REFUSALS.iter().any(|refusal| said.starts_with(refusal)) {
            calls.refused += 1;
            let covered = calls.executed + calls.refused > calls.attempted;
            seen.push(returned(id, covered));
            return;
        }
        seen.push(returned(id, true));
    }

    /// An item that ran: its output tells of it too, unless it was covered up or never attempted.
    fn item(&mut self, item: &Value, seen: &mut Vec<Observation>) {
        let (kind, id) = (text(item, "type"), text(item, "id"));
        if NO_CALLS.contains(&kind) || text(item, "status") == "declined" {
            return;
        }
        let calls = self.calls.entry(id.to_owned()).or_default();
        if calls.attempted == 0 {
            return self.unannounced(id, kind, seen);
        }
        calls.executed += 1;
        if calls.executed + calls.refused > calls.attempted {
            seen.push(returned(id, true));
        }
    }

    fn unannounced(&mut self, id: &str, kind: &str, seen: &mut Vec<Observation>) {
        let calls = self.calls.entry(id.to_owned()).or_default();
        if !calls.unannounced {
            calls.unannounced = true;
            seen.push(attempted(id, kind));
            seen.push(returned(id, true));
        }
    }
}

/// The tools that the model is offered, where agp's must be the only ones. A model that is sent them
/// in another way (`use_responses_lite` is off) leaves no such line.
fn offered(payload: &Value, seen: &mut Vec<Observation>) {
    let all = payload.get("tools").and_then(Value::as_array);
    let tools: Vec<String> = all.into_iter().flatten().flat_map(names).collect();
    let known = |tool: &String| tool.starts_with(AGPS) || HARMLESS.contains(&tool.as_str());
    if !tools.iter().all(known) {
        seen.push(Observation::Ungated(FOREIGN));
    }
    seen.push(Observation::Started { tools });
}

fn attempted(id: &str, tool: &str) -> Observation {
    Observation::Attempted {
        id: id.to_owned(),
        tool: tool.to_owned(),
    }
}

fn returned(id: &str, ran: bool) -> Observation {
    Observation::Returned {
        id: id.to_owned(),
        ran,
    }
}

fn unreadable(why: &str) -> Vec<Observation> {
    vec![Observation::Unreadable(why.into())]
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        assert_eq!(known, [Observation::Started { tools }]);
        for foreign in [
            group("functions", "exec_command"),
            group("mcp__agp2", "Bash"),
            group("mcp__evil", "Bash"),
            json!({"type": "function", "name": "shell"}),
            json!({"type": "web_search"}),
        ] {
            let seen = offer(json!([foreign]));
            assert_eq!(seen[0], Observation::Ungated(FOREIGN), "{foreign}");
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
}
