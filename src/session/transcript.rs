//! What the operator sees of a session: one readable line a call.

use std::path::Path;

use serde_json::{Map, Value};

use crate::channels::escape;
use crate::contracts::call::{ToolCall, WORKDIR};
use crate::contracts::intendant::Observation;
use crate::contracts::secret::SHELL;
use crate::contracts::verdict::{Decision, Verdict};

/// Arguments that say most about a call, best first.
const TELLING: [&str; 9] = [
    "file_path",
    "notebook_path",
    "path",
    "command",
    "url",
    "pattern",
    "query",
    "description",
    "prompt",
];
/// Characters of an argument on a line.
const SHOWN_CHARS: usize = 100;
/// Characters of what the model says on a line.
const SAID_CHARS: usize = 500;

/// `allow Read src/main.rs (read-ok)`.
#[must_use]
pub(crate) fn decided(call: &ToolCall, verdict: &Verdict, repository: &Path) -> String {
    let word = match verdict.decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny ",
        Decision::Require => "ask  ",
    };
    let tool = escape::line_max(&call.tool, 60);
    let about = telling(&call.tool, &call.args, repository);
    let rule = escape::line(verdict.rule_id.as_deref().unwrap_or("no rule"));
    let mut line = format!("{word} {tool}");
    if !about.is_empty() {
        line.push(' ');
        line.push_str(&about);
    }
    line.push_str(&format!(" ({rule})"));
    if verdict.decision != Decision::Allow {
        line.push_str(&format!(": {}", escape::line_max(&verdict.reason, 300)));
    }
    line
}

/// The same for a call of which nothing may be shown.
#[must_use]
pub(crate) fn withheld(verdict: &Verdict) -> String {
    let reason = escape::line_max(&verdict.reason, 300);
    format!("deny  [withheld] (no rule): {reason}")
}

/// What of a call's arguments says most about it, on one line.
#[must_use]
pub(crate) fn telling(tool: &str, args: &Map<String, Value>, repository: &Path) -> String {
    let argument = |name: &str| args.get(name).and_then(Value::as_str);
    let there = argument(WORKDIR).map(|there| format!("in {there}: "));
    let there = there.unwrap_or_default();
    // Whatever else stands beside it: the agent chooses what it calls its arguments.
    if let Some(command) = argument(SHELL.1).filter(|_| tool == SHELL.0) {
        return escape::line_max(&(there + command), SHOWN_CHARS);
    }
    let text = TELLING
        .iter()
        .find_map(|name| args.get(*name).and_then(Value::as_str))
        .or_else(|| args.values().find_map(Value::as_str))
        .unwrap_or_default();
    let relative = Path::new(text)
        .strip_prefix(repository)
        .ok()
        .and_then(Path::to_str);
    let text = relative.filter(|path| !path.is_empty()).unwrap_or(text);
    escape::line_max(&(there + text), SHOWN_CHARS)
}

/// A line for something the harness was seen to do, if it is worth one.
#[must_use]
pub(crate) fn observed(observation: &Observation) -> Option<String> {
    match observation {
        Observation::Said(text) if !text.trim().is_empty() => Some(format!(
            "      {}",
            escape::line_max(text.trim(), SAID_CHARS)
        )),
        Observation::Finished { ok: false, text } => Some(format!(
            "the harness gave up: {}",
            escape::line_max(text, SAID_CHARS)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contracts::call::Actor;
    use crate::contracts::ids::{MessageId, SessionId};

    #[test]
    fn a_line_says_what_was_decided_about_what_and_why() {
        let call = |tool: &str, args: Value| ToolCall {
            id: MessageId::new("m").unwrap(),
            session: SessionId::new("s").unwrap(),
            tool: tool.into(),
            args: args.as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        };
        let allow = Verdict {
            decision: Decision::Allow,
            reason: "r".into(),
            rule_id: Some("read-ok".into()),
            tier: None,
        };
        let read = call("Read", json!({"file_path": "/repo/src/main.rs"}));
        assert_eq!(
            decided(&read, &allow, Path::new("/repo")),
            "allow Read src/main.rs (read-ok)"
        );
        let bash = call(
            "Bash",
            json!({"command": "rm -rf /\u{1b}[2J\n", "description": "tidy"}),
        );
        let line = decided(
            &bash,
            &Verdict::refused("no rule allows it"),
            Path::new("/repo"),
        );
        // What the agent puts beside a command does not stand in its place.
        let beside = json!({"command": "rm x", "file_path": "notes", "workdir": "/tmp"});
        assert_eq!(
            decided(&call("Bash", beside), &allow, Path::new("/repo")),
            "allow Bash in /tmp: rm x (read-ok)"
        );
        assert_eq!(
            line,
            "deny  Bash rm -rf /\\u{1b}[2J\\n (no rule): no rule allows it"
        );
    }
}
