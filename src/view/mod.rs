//! What a person is shown of a call: pure, and the same at a terminal and in Slack.

pub mod characters;
pub mod escape;
mod lines;
mod record;

pub use lines::{DrawnLine, drawn};

use serde_json::Value;

use crate::contracts::call::ToolCall;
use crate::contracts::ids::Sha256;
use crate::contracts::verdict::Verdict;
use crate::contracts::view::{CallView, LineKind, Origin, ViewBlock, ViewLine};
use crate::reading::atoms::Reading;

/// What a view is made of.
#[derive(Debug)]
pub struct ViewRequest<'a> {
    /// The call.
    pub call: &'a ToolCall,
    /// The verdict that asks.
    pub verdict: &'a Verdict,
    /// What the call would do. `None` where nobody read it.
    pub reading: Option<&'a Reading>,
    /// Where the session runs.
    pub origin: &'a Origin,
    /// Digest of the canonical arguments.
    pub args_sha256: Sha256,
}

/// Draws a call up.
#[must_use]
pub fn of(request: &ViewRequest<'_>) -> CallView {
    let ViewRequest {
        call,
        verdict,
        origin,
        args_sha256,
        ..
    } = request;
    let blocks = call.args.iter().map(|(name, value)| {
        let command = name == "command";
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        ViewBlock {
            heading: if command { "runs" } else { "argument" }.to_owned(),
            subject: (!command).then(|| name.clone()),
            lines: text
                .split('\n')
                .map(|line| ViewLine {
                    kind: match command {
                        true => LineKind::Command,
                        false => LineKind::Text,
                    },
                    number: None,
                    text: line.to_owned(),
                })
                .collect(),
        }
    });
    CallView {
        tool: call.tool.clone(),
        blocks: blocks.collect(),
        directory: None,
        leads: Vec::new(),
        description: None,
        rule: verdict.rule_id.clone(),
        reason: verdict.reason.clone(),
        atoms: Vec::new(),
        origin: (*origin).clone(),
        details: vec![
            ("call".to_owned(), call.id.to_string()),
            ("sha256".to_owned(), args_sha256.to_hex()),
        ],
    }
}
