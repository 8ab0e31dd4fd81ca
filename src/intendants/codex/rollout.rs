//! Codex's rollout: the record of a session that it writes while it runs, JSON lines below
//! `sessions/` in its home. What each line says, for the witness.
//!
//! `codex exec --json` does not show every call; the rollout does, each with the `call_id` that agp's
//! server is told. A call's own item (`item_completed`) is the harness's account that it ran, which no
//! server writes.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::contracts::intendant::{Came, Observation};
use crate::contracts::limits;
use crate::intendants::probe_model_server::names;

/// How an output begins when no tool ran: the harness's own checks came before its server (measured on
/// 0.169.0 and 0.171.0). What a server answers stands behind a head of the harness's ([`SERVER_HEAD`]),
/// so it cannot pass for one of these.
const REFUSALS: [&str; 3] = [
    "failed to parse function arguments: ",
    "unsupported call: ",
    "unsupported custom tool call: ",
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
/// question to a user who is not there. No setting takes them away; the harness answers them itself.
pub const HARMLESS: [&str; 4] = [
    "list_mcp_resources",
    "list_mcp_resource_templates",
    "read_mcp_resource",
    "request_user_input",
];
/// The group of a harness's own tools, where a call names one.
const OWN_GROUP: [&str; 2] = ["", "functions"];
/// The item of a call that a server answered, and who may have answered one of [`HARMLESS`]: agp's
/// server, or the harness for all of its servers.
const SERVER_ITEM: &str = "McpToolCall";
const ANSWERERS: [&str; 2] = ["agp", "codex"];
/// How agp's tools are named.
const AGPS: &str = "mcp__agp__";
const FOREIGN: &str = "Codex offers its model tools that are not agp's";

/// What is known of the calls under one id.
#[derive(Debug, Default)]
struct Calls {
    attempted: u32,
    refused: u32,
    executed: u32,
    /// Outputs of calls that were not refused.
    answered: u32,
    /// Calls that were given up without an output.
    dropped: u32,
    /// Calls of [`HARMLESS`] tools without their output, and without their item.
    own: u32,
    own_items: u32,
    /// It ran and was never announced: told once, however often it is shown.
    unannounced: bool,
}

impl Calls {
    /// Calls whose output has not come.
    fn open(&self) -> u32 {
        let ended = self.refused + self.answered + self.dropped;
        self.attempted.saturating_sub(ended)
    }
}

/// Reads the lines of one session's rollouts.
#[derive(Default)]
pub(crate) struct Rollout {
    calls: HashMap<String, Calls>,
    /// The ids of those whose output has not come.
    open: BTreeSet<String>,
}

impl Rollout {
    /// What one line says; `None` is one that is too long.
    pub(crate) fn line(&mut self, line: Option<&[u8]>) -> Vec<Observation> {
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
            ("session_meta", _) => seen.push(Observation::Started {
                tools: Vec::new(),
                directory: None,
            }),
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
            ("compacted", _) | ("event_msg", "task_complete" | "turn_aborted") => {
                self.drop_open(&mut seen);
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
        let calls = self.calls.entry(id.to_owned()).or_default();
        let own = HARMLESS.into_iter().find(|tool| *tool == name);
        let own = own.filter(|_| OWN_GROUP.contains(&text(payload, "namespace")));
        if let Some(tool) = own.filter(|_| kind == "function_call") {
            calls.own += 1;
            calls.own_items += 1;
            seen.push(Observation::Answered(tool));
            return;
        }
        calls.attempted += 1;
        self.open.insert(id.to_owned());
        seen.push(attempted(id, name));
    }

    /// The conversation goes on without the calls that have no output: what asked for a summary takes no
    /// calls. None of them ran unless the harness's own account says so.
    fn drop_open(&mut self, seen: &mut Vec<Observation>) {
        for id in std::mem::take(&mut self.open) {
            let Some(calls) = self.calls.get_mut(&id) else {
                continue;
            };
            let ran = calls.executed.saturating_sub(calls.answered);
            for number in 0..calls.open() {
                calls.dropped += 1;
                seen.push(returned(&id, number < ran));
            }
        }
    }

    fn output(&mut self, payload: &Value, seen: &mut Vec<Observation>) {
        let id = text(payload, "call_id");
        let calls = self.calls.entry(id.to_owned()).or_default();
        if calls.own > 0 {
            calls.own -= 1;
            return;
        }
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
            if calls.dropped > 0 && !covered {
                // That was told when it was given up.
                calls.dropped -= 1;
            } else {
                seen.push(returned(id, covered));
            }
        } else {
            calls.answered += 1;
            seen.push(returned(id, true));
        }
        if calls.open() == 0 {
            self.open.remove(id);
        }
    }

    /// An item that ran: its output tells of it too, unless it was covered up or never attempted.
    fn item(&mut self, item: &Value, seen: &mut Vec<Observation>) {
        let (kind, id) = (text(item, "type"), text(item, "id"));
        if NO_CALLS.contains(&kind) || text(item, "status") == "declined" {
            return;
        }
        let calls = self.calls.entry(id.to_owned()).or_default();
        if calls.own_items > 0 && came_to_nothing(item) {
            calls.own_items -= 1;
            return;
        }
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

/// Whether this is a call of a [`HARMLESS`] tool that gave its model nothing: agp's server has no
/// resources, so whatever has some is not agp's.
fn came_to_nothing(item: &Value) -> bool {
    let is = |name: &str, known: &[&str]| known.contains(&text(item, name));
    if !(is("type", &[SERVER_ITEM]) && is("server", &ANSWERERS) && is("tool", &HARMLESS)) {
        return false;
    }
    let parts = item.pointer("/result/content").and_then(Value::as_array);
    let mut parts = parts.into_iter().flatten();
    parts.all(|part| {
        let listed: Value = serde_json::from_str(text(part, "text")).unwrap_or_default();
        let lists = ["resources", "resourceTemplates"];
        let mut lists = lists.iter().filter_map(|name| listed.get(name));
        lists.next().is_some_and(|list| *list == json!([])) && lists.next().is_none()
    })
}

/// The tools that the model is offered, where agp's must be the only ones. A model that is sent them
/// in another way (`use_responses_lite` is off) leaves no such line.
fn offered(payload: &Value, seen: &mut Vec<Observation>) {
    let all = payload.get("tools").and_then(Value::as_array);
    let tools: Vec<String> = all.into_iter().flatten().flat_map(names).collect();
    let known = |tool: &String| tool.starts_with(AGPS) || HARMLESS.contains(&tool.as_str());
    if !tools.iter().all(known) {
        seen.push(Observation::Ungated(FOREIGN.into()));
    }
    seen.push(Observation::Started {
        tools,
        directory: None,
    });
}

fn attempted(id: &str, tool: &str) -> Observation {
    Observation::Attempted {
        id: id.to_owned(),
        tool: tool.to_owned(),
        input: None,
    }
}

fn returned(id: &str, ran: bool) -> Observation {
    Observation::Returned {
        id: id.to_owned(),
        came: if ran { Came::Ran } else { Came::Refused },
        told: None,
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
}
