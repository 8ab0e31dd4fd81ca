//! Codex's rollout: the record of a session that it writes while it runs, JSON lines below
//! `sessions/` in its home. What each line says, for the witness.
//!
//! `codex exec --json` does not show every call (`write_stdin` never); the rollout does, each with
//! the `call_id` that hooks know as `tool_use_id`. A call's own item (`item_completed`) is the
//! harness's account that it ran, which no hook writes.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::bridge::hook;
use crate::contracts::intendant::Observation;
use crate::contracts::limits;

use super::probe_model::names;

/// How an output begins when no tool ran: a hook blocked it, or the harness's own checks came
/// before the hook (measured on 0.169.0). What a command prints stands behind a head of the
/// harness's (`Chunk ID: `), so it cannot pass for one of these.
const REFUSALS: [&str; 15] = [
    "Command blocked by PreToolUse hook: ",
    "Tool call blocked by PreToolUse hook: ",
    "failed to parse function arguments: ",
    "unsupported call: ",
    "unsupported custom tool call: ",
    "apply_patch verification failed: ",
    "apply_patch environment selection is unavailable",
    "unknown turn environment id ",
    "approval policy is Never; reject command",
    "request_user_input is unavailable",
    "code-mode host is disabled",
    NO_TERMINAL,
    "write_stdin failed: ",
    "unable to locate image at ",
    "Invalid patch: ",
];
/// How the output of a server's tool begins, and what stands behind that where its arguments were
/// no JSON and no server was asked.
const SERVER_HEAD: &str = "Wall time: ";
const UNREADABLE_ARGUMENTS: &str = "err: ";
/// What a command that asks for a terminal is told: without one, nothing can be typed into it.
const NO_TERMINAL: &str = "TTY execution is disabled by config";
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
/// What types into a command that runs already. No hook is asked about it.
const TYPING: &str = "write_stdin";
/// Typed characters that are no input: a look at the output, and an interrupt.
const NO_INPUT: [&str; 2] = ["", "\u{3}"];

/// Why a session without hooks ends.
const UNHOOKED: &str = "Codex does not call its hooks, so nothing of it would be gated: a \
    configuration above agp's switches them off (/etc/codex/config.toml, /etc/codex/requirements.toml)";
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
const TERMINAL: &str = "Codex gave a command a terminal, into which it can type without asking";

/// What is known of the calls under one id.
#[derive(Debug, Default)]
struct Calls {
    attempted: u32,
    refused: u32,
    executed: u32,
    /// Looks at the output, and interrupts: no calls of their own.
    looks: u32,
    terminal: bool,
    /// It ran and was never announced: told once, however often it is shown.
    unannounced: bool,
}

/// Reads the lines of one session's rollouts.
pub(super) struct Rollout {
    /// Searches that the provider runs are allowed.
    web_search: bool,
    /// There once the harness has called its first hook; `None` where it has none to call.
    mark: Option<PathBuf>,
    marked: bool,
    calls: HashMap<String, Calls>,
}

impl Rollout {
    pub(super) fn new(web_search: bool, mark: Option<PathBuf>) -> Self {
        Self {
            web_search,
            mark,
            marked: false,
            calls: HashMap::new(),
        }
    }

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
            ("response_item", "additional_tools") if self.mark.is_none() => {
                offered(payload, &mut seen);
            }
            ("event_msg", "item_completed") => {
                self.check_mark(&mut seen);
                if let Some(item) = payload.get("item") {
                    self.item(item, &mut seen);
                }
            }
            ("response_item", kind) if kind.ends_with("_call") => {
                self.check_mark(&mut seen);
                self.attempt(kind, payload, &mut seen);
            }
            ("response_item", kind) if kind.ends_with("_output") => {
                self.output(payload, &mut seen);
            }
            _ => {}
        }
        seen
    }

    /// The first hook comes before the task is given to the model.
    fn check_mark(&mut self, seen: &mut Vec<Observation>) {
        if !self.marked {
            self.marked = true;
            if self.mark.as_ref().is_some_and(|mark| !hook::marked(mark)) {
                seen.push(Observation::Ungated(UNHOOKED));
            }
        }
    }

    fn attempt(&mut self, kind: &str, payload: &Value, seen: &mut Vec<Observation>) {
        // What the provider runs itself has no call id, and nobody was asked about it.
        if payload.get("call_id").is_none() {
            if !(self.web_search && kind == "web_search_call") {
                self.unannounced(text(payload, "id"), kind, seen);
            }
            return;
        }
        let id = text(payload, "call_id");
        let name = match text(payload, "name") {
            "" => kind,
            name => name,
        };
        let arguments: Value = serde_json::from_str(text(payload, "arguments")).unwrap_or_default();
        let calls = self.calls.entry(id.to_owned()).or_default();
        let typed = arguments.get("chars").map_or(Some(""), Value::as_str);
        if name == TYPING && typed.is_some_and(|typed| NO_INPUT.contains(&typed)) {
            calls.looks += 1;
            return;
        }
        calls.attempted += 1;
        calls.terminal |= arguments.get("tty") == Some(&Value::Bool(true));
        seen.push(attempted(id, name));
    }

    fn output(&mut self, payload: &Value, seen: &mut Vec<Observation>) {
        let id = text(payload, "call_id");
        let calls = self.calls.entry(id.to_owned()).or_default();
        if calls.looks > 0 && calls.attempted == 0 {
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
        let unasked = self.mark.is_none()
            && calls.executed == 0
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
        if calls.terminal {
            seen.push(Observation::Ungated(TERMINAL));
        }
        seen.push(returned(id, true));
    }

    /// An item that ran: its output tells of it too, unless it was covered up or never attempted.
    fn item(&mut self, item: &Value, seen: &mut Vec<Observation>) {
        let (kind, id) = (text(item, "type"), text(item, "id"));
        let search = self.web_search && kind == "WebSearch";
        if NO_CALLS.contains(&kind) || search || text(item, "status") == "declined" {
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

    struct Played(Rollout);

    impl Played {
        fn new(web_search: bool) -> Self {
            // A mark that is there.
            Self(Rollout::new(web_search, Some(PathBuf::from("/"))))
        }

        fn say(&mut self, kind: &str, payload: &Value) -> Vec<Observation> {
            let line = json!({"type": kind, "payload": payload}).to_string();
            self.0.line(Some(line.as_bytes()))
        }

        fn call(&mut self, id: &str, name: &str, arguments: &Value) -> Vec<Observation> {
            let arguments = arguments.to_string();
            self.say(
                "response_item",
                &json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}),
            )
        }

        fn output(&mut self, id: &str, said: &str) -> Vec<Observation> {
            self.say(
                "response_item",
                &json!({"type": "function_call_output", "call_id": id, "output": said}),
            )
        }

        fn item(&mut self, id: &str, kind: &str) -> Vec<Observation> {
            let item = json!({"type": kind, "id": id, "status": "completed"});
            self.say(
                "event_msg",
                &json!({"type": "item_completed", "item": item}),
            )
        }
    }

    const BLOCKED: &str = "Command blocked by PreToolUse hook: agp: no. Command: x";

    #[test]
    fn a_call_is_seen_and_its_return_told_once() {
        let mut played = Played::new(false);
        let seen = played.call("a", "exec_command", &json!({"cmd": "x"}));
        assert_eq!(seen, [attempted("a", "exec_command")]);
        assert_eq!(played.item("a", "CommandExecution"), []);
        assert_eq!(played.output("a", "Chunk ID: 1"), [returned("a", true)]);
        played.call("b", "exec_command", &json!({"cmd": "x"}));
        assert_eq!(played.output("b", BLOCKED), [returned("b", false)]);
    }

    #[test]
    fn arguments_that_are_no_json_reach_no_server_and_a_server_cannot_say_so() {
        let output = |played: &mut Played| {
            let said = json!([{"text": "Wall time: 0.1 seconds\nOutput:"}, {"text": "err: x"}]);
            let payload = json!({"type": "function_call_output", "call_id": "a", "output": said});
            played.say("response_item", &payload)
        };
        let mut played = Played(Rollout::new(false, None));
        played.call("a", "Bash", &json!({}));
        assert_eq!(output(&mut played), [returned("a", false)]);
        assert_eq!(played.item("a", "McpToolCall"), [returned("a", true)]);
        let mut played = Played(Rollout::new(false, None));
        played.call("a", "Bash", &json!({}));
        played.item("a", "McpToolCall");
        assert_eq!(output(&mut played), [returned("a", true)]);
    }

    #[test]
    fn in_mediated_mode_tools_that_are_not_agps_end_the_session() {
        let offer = |groups: Value| {
            let payload = json!({"type": "additional_tools", "tools": groups});
            let line = json!({"type": "response_item", "payload": payload}).to_string();
            Rollout::new(false, None).line(Some(line.as_bytes()))
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
        let mut played = Played::new(false);
        played.call("a", "exec_command", &json!({"cmd": "x"}));
        played.item("a", "CommandExecution");
        assert_eq!(played.output("a", BLOCKED), [returned("a", true)]);
        let mut played = Played::new(false);
        played.call("a", "exec_command", &json!({"cmd": "x"}));
        played.output("a", BLOCKED);
        assert_eq!(played.item("a", "CommandExecution"), [returned("a", true)]);
        // One id for two calls, of which one was blocked: nothing is covered up.
        let mut played = Played::new(false);
        for _ in 0..2 {
            played.call("a", "exec_command", &json!({"cmd": "x"}));
        }
        assert_eq!(played.item("a", "CommandExecution"), []);
        assert_eq!(played.output("a", BLOCKED), [returned("a", false)]);
        assert_eq!(played.output("a", "Chunk ID: 1"), [returned("a", true)]);
    }

    #[test]
    fn what_ran_unannounced_is_a_call() {
        let mut played = Played::new(false);
        let both = |id: &str, kind: &str| vec![attempted(id, kind), returned(id, true)];
        assert_eq!(
            played.item("exec-1", "CommandExecution"),
            both("exec-1", "CommandExecution")
        );
        let search = json!({"type": "web_search_call", "id": "ws"});
        assert_eq!(
            played.say("response_item", &search),
            both("ws", "web_search_call")
        );
        assert_eq!(played.item("ws", "WebSearch"), [], "told once");
        let mut allowed = Played::new(true);
        assert_eq!(allowed.say("response_item", &search), []);
        assert_eq!(allowed.item("ws", "WebSearch"), []);
        let image = json!({"type": "image_generation_call", "id": "ig"});
        assert_eq!(
            allowed.say("response_item", &image),
            both("ig", "image_generation_call")
        );
    }

    #[test]
    fn typing_is_a_call_and_looking_is_none() {
        let mut played = Played::new(false);
        for chars in ["", "\u{3}"] {
            let arguments = json!({"session_id": 1, "chars": chars});
            assert_eq!(played.call("look", TYPING, &arguments), []);
            assert_eq!(played.output("look", "Chunk ID: 1"), []);
        }
        // A look under the id of a call hides nothing of the call.
        played.call("both", "exec_command", &json!({"cmd": "x"}));
        played.call("both", TYPING, &json!({"session_id": 1, "chars": ""}));
        assert_eq!(
            played.output("both", "Chunk ID: 1"),
            [returned("both", true)]
        );
        let arguments = json!({"session_id": 1, "chars": "rm x\n"});
        assert_eq!(
            played.call("type", TYPING, &arguments),
            [attempted("type", TYPING)]
        );
        assert_eq!(
            played.output("type", "Chunk ID: 1"),
            [returned("type", true)]
        );
        played.call("refused", TYPING, &arguments);
        assert_eq!(
            played.output("refused", "write_stdin failed: stdin is closed"),
            [returned("refused", false)]
        );
    }

    #[test]
    fn a_terminal_that_was_given_after_all_ends_the_session() {
        let mut played = Played::new(false);
        let arguments = json!({"cmd": "bash", "tty": true});
        played.call("a", "exec_command", &arguments);
        assert_eq!(
            played.output("a", "Process running with session ID 1"),
            [Observation::Ungated(TERMINAL), returned("a", true)]
        );
        played.call("b", "exec_command", &arguments);
        assert_eq!(played.output("b", NO_TERMINAL), [returned("b", false)]);
    }

    #[test]
    fn without_the_mark_of_its_first_hook_it_is_ungated() {
        let mut rollout = Rollout::new(false, Some(PathBuf::from("/nonexistent/mark")));
        let line = br#"{"type":"event_msg","payload":{"type":"item_completed","item":{"type":"UserMessage"}}}"#;
        assert_eq!(rollout.line(Some(line)), [Observation::Ungated(UNHOOKED)]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut rollout = Rollout::new(false, Some(PathBuf::from("/")));
        for line in [None, Some(&b"{"[..]), Some(b"{}"), Some(b"\xff")] {
            assert!(matches!(
                rollout.line(line)[..],
                [Observation::Unreadable(_)]
            ));
        }
    }
}
