//! Claude Code's `stream-json` output: what each line says.

use serde_json::Value;

use crate::contracts::intendant::Observation;
use crate::contracts::{limits, strict_json, surrogates};

/// How the text of an error result begins when no tool ran: the harness's own checks of the call
/// (measured on 2.1.330), and a hook that blocked it. A tool that ran and failed begins otherwise
/// (`Exit code 1`), so a tool's output cannot pass for one of these. A hook that runs after the
/// tool can put another output in its place, which can: see [`executed`].
const REFUSALS: [&str; 2] = ["<tool_use_error>", "PreToolUse:"];

/// What one line says.
pub(super) fn observations(line: &[u8]) -> Vec<Observation> {
    let Some(value) = read(line) else {
        return vec![Observation::Unreadable(
            "a line of its stream is not JSON".into(),
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
            vec![Observation::Started {
                tools: names.map(str::to_owned).collect(),
            }]
        }
        ("assistant", _) => parts().filter_map(from_model).collect(),
        ("user", _) => parts()
            .filter(|part| text(part, "type") == "tool_result")
            .map(|part| Observation::Returned {
                id: text(part, "tool_use_id").to_owned(),
                ran: executed(&value, text(part, "tool_use_id")) || ran(part),
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
    match text(part, "type") {
        "text" => Some(Observation::Said(text(part, "text").to_owned())),
        // Whatever the model can call is called `..._use`.
        kind if kind.ends_with("tool_use") => Some(Observation::Attempted {
            id: text(part, "id").to_owned(),
            tool: text(part, "name").to_owned(),
        }),
        _ => None,
    }
}

/// Whether the harness's own account of a result, which no hook writes, says that the call was let
/// through: a permission that was given, or the tool's own output instead of an error's text.
fn executed(line: &Value, id: &str) -> bool {
    let accounts = line.get("tool_result_meta").and_then(Value::as_array);
    let accepted = accounts.into_iter().flatten().any(|account| {
        let decision = account.pointer("/permission_decision/decision");
        text(account, "id") == id && decision.is_some_and(|said| said == "accept")
    });
    accepted || line.get("tool_use_result").is_some_and(Value::is_object)
}

/// Whether a result tells of a tool that ran. What is not known to be a refusal ran.
fn ran(result: &Value) -> bool {
    let failed = result.get("is_error").and_then(Value::as_bool) == Some(true);
    let said = match result.get("content") {
        Some(Value::String(said)) => said.as_str(),
        Some(Value::Array(parts)) => parts.first().map_or("", |part| text(part, "text")),
        _ => "",
    };
    !(failed && REFUSALS.iter().any(|refusal| said.starts_with(refusal)))
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
        let line = br#"{"type":"assistant","message":{"content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"Bash","input":{}}]},"parent_tool_use_id":"p"}"#;
        let said = Observation::Said("hi".into());
        let attempted = Observation::Attempted {
            id: "t".into(),
            tool: "Bash".into(),
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
            Observation::Returned { ran, .. } => ran,
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
            [Observation::Returned { ran, .. }] => *ran,
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
