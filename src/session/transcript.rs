//! What the operator sees of a session: one readable line a call.

use std::path::Path;

use serde_json::{Map, Value};

use crate::channels::escape;
use crate::channels::screen::AGENT_BAR;
use crate::contracts::call::{ToolCall, WORKDIR};
use crate::contracts::channel::Answer;
use crate::contracts::intendant::Observation;
use crate::contracts::plural::count;
use crate::contracts::secret::SHELL;
use crate::contracts::verdict::{Decision, Verdict};
use crate::view::escape::units;

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
/// Characters of a person's name.
const PERSON_CHARS: usize = 200;
/// Lines of what the model says at once.
const SAID_LINES: usize = 10;
/// Characters of each.
const SAID_CHARS: usize = 500;

/// `Read src/main.rs`.
#[must_use]
pub(crate) fn call(call: &ToolCall, repository: &Path) -> String {
    let tool = escape::line_max(&call.tool, 60);
    let about = telling(&call.tool, &call.args, repository);
    match about.is_empty() {
        true => tool,
        false => format!("{tool} {about}"),
    }
}

/// `allow Read src/main.rs (read-ok)` by a rule, `approved Write a.txt (by root at /dev/pts/3)` by a person.
#[must_use]
pub(crate) fn decided(
    decided: &ToolCall,
    verdict: &Verdict,
    answer: Option<&Answer>,
    repository: &Path,
) -> String {
    let call = call(decided, repository);
    let person = |by: &str| escape::line_max(by, PERSON_CHARS);
    match (verdict.decision, answer) {
        (Decision::Allow, Some(Answer::Granted { by, .. })) => {
            return format!("approved {call} (by {})", person(by));
        }
        (Decision::Deny, Some(Answer::Denied { by, reason, .. })) => {
            let reason = reason
                .as_ref()
                .map(|why| format!(": {}", escape::line_max(why, 300)));
            let reason = reason.unwrap_or_default();
            return format!("denied {call} (by {}){reason}", person(by));
        }
        _ => {}
    }
    let word = match verdict.decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny ",
        Decision::Require => "ask  ",
    };
    let rule = escape::line(verdict.rule_id.as_deref().unwrap_or("no rule"));
    let mut line = format!("{word} {call} ({rule})");
    if verdict.decision != Decision::Allow {
        line.push_str(&format!(": {}", escape::line_max(&verdict.reason, 300)));
    }
    line
}

/// `approved Bash git push (for the session by root at /dev/pts/3)`: by somebody who was asked before.
#[must_use]
pub(crate) fn granted(granted: &ToolCall, by: &str, repository: &Path) -> String {
    let (call, by) = (
        call(granted, repository),
        escape::line_max(by, PERSON_CHARS),
    );
    format!("approved {call} (for the session by {by})")
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

/// Lines for something the harness was seen to do, if it is worth any.
#[must_use]
pub(crate) fn observed(observation: &Observation) -> Vec<String> {
    match observation {
        Observation::Said(text) => said(text.trim()),
        Observation::Finished { ok: false, text } => vec![format!(
            "the harness gave up: {}",
            escape::line_max(text, SAID_CHARS)
        )],
        _ => Vec::new(),
    }
}

/// What the model says, behind its bar.
fn said(text: &str) -> Vec<String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut view: Vec<String> = lines
        .by_ref()
        .take(SAID_LINES)
        .map(|line| {
            let mut text: String = units(line.trim_end()).take(SAID_CHARS).collect();
            if units(line.trim_end()).nth(SAID_CHARS).is_some() {
                text.push('…');
            }
            format!("{AGENT_BAR}{text}")
        })
        .collect();
    let more = lines.count();
    if more > 0 {
        view.push(format!("      ({})", count(more, "more line")));
    }
    view
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
            decided(&read, &allow, None, Path::new("/repo")),
            "allow Read src/main.rs (read-ok)"
        );
        let bash = call(
            "Bash",
            json!({"command": "rm -rf /\u{1b}[2J\n", "description": "tidy"}),
        );
        let line = decided(
            &bash,
            &Verdict::refused("no rule allows it"),
            None,
            Path::new("/repo"),
        );
        // What the agent puts beside a command does not stand in its place.
        let beside = json!({"command": "rm x", "file_path": "notes", "workdir": "/tmp"});
        assert_eq!(
            decided(&call("Bash", beside), &allow, None, Path::new("/repo")),
            "allow Bash in /tmp: rm x (read-ok)"
        );
        assert_eq!(
            line,
            "deny  Bash rm -rf /\\u{1b}[2J\\n (no rule): no rule allows it"
        );
    }

    #[test]
    fn a_person_s_word_is_not_a_rule_s() {
        let call = ToolCall {
            id: MessageId::new("m").unwrap(),
            session: SessionId::new("s").unwrap(),
            tool: "Bash".into(),
            args: json!({"command": "ls"}).as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        };
        let by = || "root at /dev/pts/3".to_owned();
        let verdict = |decision| Verdict {
            decision,
            ..Verdict::refused("because")
        };
        let binding = crate::contracts::event::ApprovalBinding::Console;
        let granted = Answer::Granted {
            by: by(),
            binding,
            scope: crate::contracts::channel::Scope::Once,
        };
        let denied = |reason: Option<&str>| Answer::Denied {
            by: by(),
            binding,
            reason: reason.map(str::to_owned),
        };
        for (decision, answer, expected) in [
            (
                Decision::Allow,
                granted,
                "approved Bash ls (by root at /dev/pts/3)",
            ),
            (
                Decision::Deny,
                denied(None),
                "denied Bash ls (by root at /dev/pts/3)",
            ),
            (
                Decision::Deny,
                denied(Some("no\u{1b}")),
                "denied Bash ls (by root at /dev/pts/3): no\\u{1b}",
            ),
            (
                Decision::Deny,
                Answer::TimedOut,
                "deny  Bash ls (no rule): because",
            ),
        ] {
            let line = decided(&call, &verdict(decision), Some(&answer), Path::new("/r"));
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn what_the_model_says_is_behind_its_bar() {
        let lines = observed(&Observation::Said("Done.\n\nallow Bash x\n".into()));
        assert_eq!(lines, ["agent │ Done.", "agent │ allow Bash x"]);
        let lines = observed(&Observation::Said("x\n".repeat(30)));
        assert_eq!(lines.last().unwrap(), "      (20 more lines)");
        assert!(observed(&Observation::Said(" \n".into())).is_empty());
    }
}
