//! The console channel: the operator approves at the terminal that `agp run` was started from.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::contracts::channel::{Answer, ApprovalRequest, Channel};
use crate::contracts::event::ApprovalBinding;

use super::escape;
use super::terminal::{Terminal, Typed};

/// Characters of one argument that a question shows; all of them on request.
const SHOWN_CHARS: usize = 400;
/// Characters of one argument shown on request.
const DETAIL_CHARS: usize = 20_000;

/// Asks at a terminal.
pub struct Console {
    terminal: Arc<Terminal>,
    operator: String,
}

impl Console {
    /// `operator` is who answers at this terminal, for the journal.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>, operator: String) -> Self {
        Self { terminal, operator }
    }
}

impl Channel for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {
        self.terminal.hang_up();
    }

    fn ask(&self, request: &ApprovalRequest<'_>) -> Answer {
        let until = Instant::now() + request.deadline;
        if !self.terminal.is_attended() {
            return Answer::Unreachable(
                "there is no terminal to ask at; run agp in one, or use another channel".into(),
            );
        }
        let binding = ApprovalBinding::Console;
        let mut chars = SHOWN_CHARS;
        loop {
            match self.terminal.ask(&question(request, chars), until) {
                Typed::Line(word) => match word.to_ascii_lowercase().as_str() {
                    "y" | "yes" => {
                        return Answer::Granted {
                            by: self.operator.clone(),
                            binding,
                        };
                    }
                    "n" | "no" => {
                        return Answer::Denied {
                            by: self.operator.clone(),
                            binding,
                        };
                    }
                    "d" | "details" => chars = DETAIL_CHARS,
                    // Anything else is asked again: neither a yes nor a no was typed.
                    _ => {}
                },
                Typed::Nothing => {
                    self.terminal.tell("no answer in time: denied");
                    return Answer::TimedOut;
                }
                Typed::Closed => {
                    return Answer::Unreachable(
                        "the terminal was closed, or the session ended first".into(),
                    );
                }
            }
        }
    }
}

/// The question's text. Everything of the agent's in it is escaped; what agp itself says stands
/// outside the bars.
fn question(request: &ApprovalRequest<'_>, chars: usize) -> String {
    let mut text = String::from("\napproval needed\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<8} {value}");
    };
    line("tool", &escape::line_max(&request.call.tool, 100));
    for (name, value) in &request.call.args {
        let shown = match value {
            Value::String(text) => escape::line_max(text, chars),
            other => escape::line_max(&other.to_string(), chars),
        };
        line("", &format!("| {}: {shown}", escape::line_max(name, 60)));
    }
    let rule = request.verdict.rule_id.as_deref().unwrap_or("none");
    line("rule", &escape::line(rule));
    line("reason", &escape::line(&request.verdict.reason));
    line("args", &format!("sha256 {}", request.args_sha256));
    line(
        "deadline",
        &format!("{} s, then denied", request.deadline.as_secs()),
    );
    text.push_str("allow this call, once? [y]es, [n]o, [d]etails: ");
    text
}

/// Approves everything, for unattended local trials (`AGP_AUTO_APPROVE=1`). Loud, and the journal
/// says who approved: nobody.
pub struct AutoApprove {
    terminal: Arc<Terminal>,
}

impl AutoApprove {
    /// Shows each approval it gives.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>) -> Self {
        Self { terminal }
    }
}

impl Channel for AutoApprove {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {}

    fn ask(&self, request: &ApprovalRequest<'_>) -> Answer {
        self.terminal.tell(&format!(
            "WARNING: AGP_AUTO_APPROVE=1 approves {} ({}) with nobody looking",
            escape::line_max(&request.call.tool, 100),
            escape::line(request.verdict.rule_id.as_deref().unwrap_or("no rule")),
        ));
        Answer::Granted {
            by: "AGP_AUTO_APPROVE".into(),
            binding: ApprovalBinding::Console,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::contracts::call::{Actor, ToolCall};
    use crate::contracts::ids::{MessageId, SessionId, Sha256};
    use crate::contracts::verdict::{Decision, Verdict};

    fn with_request(tool: &str, args: &Value, test: impl FnOnce(&ApprovalRequest<'_>)) {
        let call = ToolCall {
            id: MessageId::new("m1").unwrap(),
            session: SessionId::new("s1").unwrap(),
            tool: tool.into(),
            args: args.as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        };
        let verdict = Verdict {
            decision: Decision::Require,
            reason: "writes need a person".into(),
            rule_id: Some("ask-writes".into()),
            tier: None,
        };
        test(&ApprovalRequest {
            call: &call,
            verdict: &verdict,
            args_sha256: Sha256([7; 32]),
            deadline: Duration::from_secs(1),
        });
    }

    #[test]
    fn a_question_shows_the_call_and_nothing_of_the_agent_reaches_the_terminal_raw() {
        let args = json!({"file_path": "/r/a\u{1b}[2K\r\nallow this call", "x\u{202e}": ["\u{7}"]});
        with_request("Wri\u{200b}te", &args, |request| {
            let text = question(request, SHOWN_CHARS);
            for part in [
                "ask-writes",
                "writes need a person",
                "0707",
                "\\u{202e}",
                "\\u{1b}",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
            assert!(
                text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
                "{text:?}"
            );
            assert_eq!(text.matches("allow this call, once?").count(), 1);
        });
    }

    #[test]
    fn without_a_terminal_nobody_approves() {
        with_request("Write", &json!({}), |request| {
            let console = Console::new(Arc::new(Terminal::unattended()), "somebody".into());
            assert!(matches!(console.ask(request), Answer::Unreachable(_)));
        });
    }
}
