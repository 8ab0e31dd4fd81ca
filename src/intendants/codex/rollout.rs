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

#[cfg(test)]
mod tests;

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
            return unreadable("it makes too many calls for one session");
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
        let harmless = HARMLESS.into_iter().find(|tool| *tool == name);
        let harmless = harmless.filter(|_| OWN_GROUP.contains(&text(payload, "namespace")));
        if let Some(tool) = harmless.filter(|_| kind == "function_call") {
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
