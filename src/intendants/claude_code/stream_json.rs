//! Claude Code's `stream-json` output: what each line says.

use serde_json::Value;

use crate::contracts::intendant::{Came, Observation, ToldResult};
use crate::contracts::{limits, strict_json, surrogates};

use super::tool_calls;

/// How the text of an error result begins when the harness's own checks of the call came before its hook. A tool
/// that ran and failed begins otherwise (`Exit code 1`), so a tool's output cannot pass for one of these. A hook
/// that runs after the tool can put another output in its place, which can: see [`accepted`].
const CHECKED: &str = "<tool_use_error>";
/// The same when a hook blocked it.
const BLOCKED: &str = "PreToolUse:";
/// How it begins when the answer that made the call was stopped. The harness's account of the result is the same
/// text; a tool's own error stands there behind `Error: `.
const NOT_RUN: &str = "Not run: ";
/// The account of a call that was stopped with its agent, and how its text begins.
const STOPPED: (&str, &str) = (
    "User rejected tool use",
    "The user doesn't want to proceed with this tool use",
);
/// What the harness notes of a call that its own layer, or a hook, refused.
const NON_EXECUTION: &str = "non_execution_kind";

/// What one line says.
pub(crate) fn observations(line: &[u8]) -> Vec<Observation> {
    let Some(value) = read(line) else {
        return vec![Observation::Unreadable(
            "a line of its output is not JSON".into(),
        )];
    };
    let parts = || {
        let content = value.pointer("/message/content").and_then(Value::as_array);
        content.into_iter().flatten()
    };
    match (text(&value, "type"), text(&value, "subtype")) {
        ("system", "init") => {
            let tools = value.get("tools").and_then(Value::as_array);
            let names = tools.into_iter().flatten().filter_map(Value::as_str);
            let directory = value.get("cwd").and_then(Value::as_str);
            vec![Observation::Started {
                tools: names.map(str::to_owned).collect(),
                directory: directory.map(str::to_owned),
            }]
        }
        ("assistant", _) => parts().filter_map(from_model).collect(),
        ("user", _) => parts()
            .filter(|part| text(part, "type") == "tool_result")
            .map(|part| Observation::Returned {
                id: text(part, "tool_use_id").to_owned(),
                came: came(&value, part),
                told: Some(told(&value, part)),
            })
            .collect(),
        ("result", subtype) => {
            let failed = value.get("is_error").and_then(Value::as_bool);
            vec![Observation::Finished {
                ok: subtype == "success" && failed != Some(true),
                text: text(&value, "result").to_owned(),
            }]
        }
        _ => Vec::new(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn from_model(part: &Value) -> Option<Observation> {
    let (id, name) = (text(part, "id").to_owned(), text(part, "name"));
    match text(part, "type") {
        "text" => Some(Observation::Said(text(part, "text").to_owned())),
        "tool_use" => Some(Observation::Attempted {
            id,
            tool: tool_calls::name(name).to_owned(),
            input: part.get("input").and_then(Value::as_object).cloned(),
        }),
        // Whatever the model can call is called `..._use`; what the harness is to run is a `tool_use`.
        kind if kind.ends_with("tool_use") => Some(Observation::AtProvider {
            id,
            tool: name.to_owned(),
        }),
        _ => None,
    }
}

/// What the harness itself notes of a result, which no hook and no tool writes.
fn noted<'a>(line: &'a Value, id: &str) -> Option<&'a Value> {
    let notes = line.get("tool_result_meta").and_then(Value::as_array);
    notes?.iter().find(|note| text(note, "id") == id)
}

/// Whether the harness's own account of a result says that the call was let through: a permission that was given,
/// or the tool's own output instead of an error's text.
fn accepted(line: &Value, id: &str) -> bool {
    let decision = noted(line, id).and_then(|note| note.pointer("/permission_decision/decision"));
    let accepted = decision.is_some_and(|said| said == "accept");
    accepted || line.get("tool_use_result").is_some_and(Value::is_object)
}

/// How a call came back. What is not known to be something else ran.
fn came(line: &Value, result: &Value) -> Came {
    let id = text(result, "tool_use_id");
    let failed = result.get("is_error").and_then(Value::as_bool) == Some(true);
    if !failed || accepted(line, id) {
        return Came::Ran;
    }
    let (said, account) = (said(result), text(line, "tool_use_result"));
    let note = noted(line, id).filter(|note| note.get(NON_EXECUTION).is_some_and(Value::is_string));
    let of_hook = |note: &Value| {
        note.pointer("/permission_decision/source")
            .is_some_and(|by| by == "hook")
    };
    if said.starts_with(BLOCKED) || note.is_some_and(of_hook) {
        Came::Blocked
    } else if said.starts_with(CHECKED)
        || note.is_some()
        || (said.starts_with(NOT_RUN) && account == said)
    {
        Came::Refused
    } else if said.starts_with(STOPPED.1) && account == STOPPED.0 && line.get("agent_id").is_some()
    {
        Came::Stopped
    } else {
        Came::Ran
    }
}

/// The text of a result, or of its first part.
fn said(result: &Value) -> &str {
    match result.get("content") {
        Some(Value::String(said)) => said,
        Some(Value::Array(parts)) => parts.first().map_or("", |part| text(part, "text")),
        _ => "",
    }
}

/// What the harness says that the tool answered: in the words of its post-tool hooks, but where it shows the
/// model's part alone.
fn told(line: &Value, result: &Value) -> ToldResult {
    let failed = result.get("is_error").and_then(Value::as_bool) == Some(true);
    let content = result.get("content").unwrap_or(&Value::Null);
    let account = line.get("tool_use_result").filter(|_| !failed);
    let output = match account.unwrap_or(content) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    ToldResult {
        ok: !failed,
        output,
        comparable: account.is_some() || (failed && content.is_string()),
    }
}

/// Reads a line. What the harness writes of an agent's text can hold half a surrogate pair,
/// which no strict reader takes: such an escape is read as U+FFFD, so that nobody can hide a
/// result behind one. What is nested deeper than readers go is read as null: nobody decides about
/// such arguments.
fn read(line: &[u8]) -> Option<Value> {
    let read = |line: &[u8]| serde_json::from_slice(line).ok();
    let mended = || surrogates::mended(line);
    read(line)
        .or_else(|| read(&mended()))
        .or_else(|| read(&strict_json::pruned(&mended(), limits::JSON_DEPTH)))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn returned(content: &str, is_error: &str) -> Observation {
        let line = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","content":{content}{is_error}}}]}}}}"#
        );
        observations(line.as_bytes()).remove(0)
    }

    #[test]
    fn a_call_whose_input_is_nested_too_deep_is_seen() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        let line = format!(
            r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"t","name":"Bash","input":{{"a":{deep}}}}}]}}}}"#
        );
        let seen = observations(line.as_bytes());
        let [Observation::Attempted { id, tool, .. }] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((id.as_str(), tool.as_str()), ("t", "Bash"));
    }

    #[test]
    fn what_the_model_says_and_calls_is_seen() {
        let line = br#"{"type":"assistant","message":{"content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"Bash","input":{"command":"x"}}]},"parent_tool_use_id":"p"}"#;
        let said = Observation::Said("hi".into());
        let attempted = Observation::Attempted {
            id: "t".into(),
            tool: "Bash".into(),
            input: Some(Map::from_iter([("command".to_owned(), "x".into())])),
        };
        assert_eq!(observations(line), [said, attempted]);
        let line = br#"{"type":"result","subtype":"success","is_error":false,"result":"done"}"#;
        let finished = Observation::Finished {
            ok: true,
            text: "done".into(),
        };
        assert_eq!(observations(line), [finished]);
    }

    #[test]
    fn only_the_harnesss_own_refusals_did_not_run() {
        let returned = |content: &str, is_error: &str| match returned(content, is_error) {
            Observation::Returned { came, .. } => came == Came::Ran,
            other => panic!("{other:?}"),
        };
        for refusal in [
            r#""<tool_use_error>No such tool available: X</tool_use_error>""#,
            r#""PreToolUse:Bash hook error: [x]: agp: no\n""#,
            r#"[{"type":"text","text":"<tool_use_error>bad input</tool_use_error>"}]"#,
        ] {
            assert!(!returned(refusal, r#","is_error":true"#), "{refusal}");
            assert!(returned(refusal, ""), "no error: {refusal}");
        }
        assert!(returned(
            r#""Exit code 1\n<tool_use_error>""#,
            r#","is_error":true"#
        ));
        assert!(returned("[]", r#","is_error":true"#));
        assert!(returned("null", ""));
    }

    #[test]
    fn another_output_in_the_place_of_the_tools_hides_nothing() {
        let line = |more: &str| {
            format!(
                r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","content":"PreToolUse:Bash hook error: no","is_error":true}}]}},{more}}}"#
            )
        };
        let ran = |more: &str| match &observations(line(more).as_bytes())[..] {
            [Observation::Returned { came, .. }] => *came == Came::Ran,
            other => panic!("{other:?}"),
        };
        let meta = |id: &str, decision: &str| {
            format!(
                r#""tool_result_meta":[{{"id":"{id}","permission_decision":{{"decision":"{decision}","source":"hook"}}}}]"#
            )
        };
        assert!(ran(&meta("t", "accept")));
        assert!(ran(r#""tool_use_result":{"stdout":"","interrupted":true}"#));
        assert!(!ran(&meta("t", "reject")));
        assert!(!ran(&meta("other", "accept")));
        assert!(!ran(
            r#""tool_use_result":"Error: PreToolUse:Bash hook error: no""#
        ));
    }

    /// One result, as `content` and `more` of the line say.
    fn line(content: &str, more: &str) -> (Came, ToldResult) {
        let line = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","content":"{content}","is_error":true}}]}}{more}}}"#
        );
        match observations(line.as_bytes()).remove(0) {
            Observation::Returned {
                came,
                told: Some(told),
                ..
            } => (came, told),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_did_not_run_is_known_by_the_harnesss_own_account() {
        let came = |content: &str, more: &str| line(content, more).0;
        let meta = |more: &str| format!(r#","tool_result_meta":[{{"id":"t",{more}}}]"#);
        let kind = |kind: &str| meta(&format!(r#""non_execution_kind":"{kind}""#));
        let account = |text: &str| format!(r#","tool_use_result":"{text}""#);
        assert_eq!(came("Not run: stopped", &kind("cancelled")), Came::Refused);
        // Of an agent's call the account alone.
        assert_eq!(
            came("Not run: stopped", &account("Not run: stopped")),
            Came::Refused
        );
        let denied = r#""non_execution_kind":"permission-rule","permission_decision":{"decision":"reject","source":"config"}"#;
        assert_eq!(
            came("Permission to use X has been denied.", &meta(denied)),
            Came::Refused
        );
        assert_eq!(
            came("no", &meta(&denied.replace("config", "hook"))),
            Came::Blocked
        );
        assert_eq!(came("PreToolUse:Bash hook error: no", ""), Came::Blocked);
        let stopped = format!(r#"{},"agent_id":"a""#, account(STOPPED.0));
        assert_eq!(came(STOPPED.1, &stopped), Came::Stopped);
    }

    #[test]
    fn a_tools_own_output_passes_for_none_of_these() {
        let came = |content: &str, more: &str| line(content, more).0;
        let error = |text: &str| format!(r#","tool_use_result":"Error: {text}","agent_id":"a""#);
        for text in ["Not run: stopped", STOPPED.1, "cancelled", "Exit code 1"] {
            assert_eq!(came(text, &error(text)), Came::Ran, "{text}");
            assert_eq!(came(text, ""), Came::Ran, "{text}");
        }
        // No agent was stopped: nobody can say no to the session's own calls.
        assert_eq!(
            came(STOPPED.1, r#","tool_use_result":"User rejected tool use""#),
            Came::Ran
        );
        let accepted = r#","tool_result_meta":[{"id":"t","permission_decision":{"decision":"accept"}}],
            "tool_use_result":"User rejected tool use","agent_id":"a""#;
        assert_eq!(came(STOPPED.1, accepted), Came::Ran);
        assert_eq!(came("PreToolUse:", accepted), Came::Ran);
    }

    #[test]
    fn a_result_is_told_as_the_post_tool_hook_tells_it() {
        let (_, failed) = line("Exit code 3", r#","tool_use_result":"Error: Exit code 3""#);
        let result = |ok: bool, output: &str, comparable: bool| ToldResult {
            ok,
            output: output.into(),
            comparable,
        };
        assert_eq!(failed, result(false, "Exit code 3", true));
        let of = |more: &str| {
            let line = format!(
                r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","content":"x"}}]}}{more}}}"#
            );
            match observations(line.as_bytes()).remove(0) {
                Observation::Returned { told, .. } => told.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let object = r#"{"stderr":"","stdout":"x"}"#;
        assert_eq!(
            of(&format!(r#","tool_use_result":{object}"#)),
            result(true, object, true)
        );
        assert_eq!(
            of(""),
            result(true, "x", false),
            "an agent's: the model's part"
        );
    }

    #[test]
    fn what_the_provider_runs_is_no_call_of_the_harness() {
        let line = br#"{"type":"assistant","message":{"content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"tool_use","id":"t","name":"Task","input":{}},{"type":"tool_use","id":"u","name":"mcp__agp__Read","input":{}}]}}"#;
        let seen = observations(line);
        let search = Observation::AtProvider {
            id: "s".into(),
            tool: "web_search".into(),
        };
        assert_eq!(seen[0], search);
        let tools = seen.iter().filter_map(|seen| match seen {
            Observation::Attempted { tool, .. } => Some(tool.as_str()),
            _ => None,
        });
        assert_eq!(tools.collect::<Vec<_>>(), ["Agent", "Read"]);
    }

    #[test]
    fn no_line_can_be_made_unreadable_by_what_a_tool_prints() {
        for content in [r#""\ud800""#, r#""a\uDBFFb\u0041""#, r#""\\ud800 \ud800""#] {
            assert!(
                matches!(returned(content, ""), Observation::Returned { .. }),
                "{content}"
            );
        }
        assert!(matches!(
            observations(b"{\"type\":")[..],
            [Observation::Unreadable(_)]
        ));
    }
}
