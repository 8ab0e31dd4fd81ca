//! Messages as Slack's blocks. What agp computed stands in fields of its own; what the agent said
//! stands behind bars in a code fence, under a heading that says whose words they are.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::contracts::question::Asking;
use crate::contracts::{limits, timestamp};

use super::mrkdwn_escape::{fences, name, plain};
use super::request::Action;

/// Characters of a field.
const FIELD_CHARS: usize = 1500;
/// What stands where the buttons are going to be.
const PREPARING: &str = "Preparing the buttons… If none appear, nothing can be approved here.";
/// Arguments that a person decides by, shown first.
const FIRST: &[&str] = &[
    "command",
    "file_path",
    "notebook_path",
    "path",
    "url",
    "old_string",
    "new_string",
    "content",
    "pattern",
];

/// What every message of a session says about it.
#[derive(Debug, Clone)]
pub struct About {
    /// The session.
    pub session: String,
    /// What runs the calls, such as `host`.
    pub sandbox: String,
    /// What they may reach, such as `full`.
    pub egress: String,
}

/// A request, drawn.
pub(super) struct Card {
    /// With buttons, as the last block, and without the time there is to answer: see [`with_deadline`].
    pub(super) blocks: Value,
    /// The same before it has them: whoever clicks on it decides nothing, and the nonce is not in it.
    pub(super) inert: Value,
    /// Without.
    pub(super) body: Value,
    /// The whole call, as a modal.
    pub(super) modal: Value,
    /// Whether `blocks` shows a part of it only.
    pub(super) partial: bool,
    /// For the notification.
    pub(super) text: String,
}

/// What a card is drawn from.
pub(super) struct Drawing<'a> {
    pub(super) asking: &'a Asking,
    /// The call's arguments, redacted.
    pub(super) args: &'a Map<String, Value>,
    pub(super) about: &'a About,
    pub(super) required: usize,
}

/// A call that Slack cannot show whole: nobody is asked about it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call is too long to show in full in Slack")
    }
}

impl std::error::Error for TooLong {}

impl Drawing<'_> {
    /// Draws the request; [`TooLong`] when it cannot be shown whole.
    pub(super) fn card(&self, nonce: &str, block: &str) -> Result<Card, TooLong> {
        let said = said(self.args);
        let modal = modal(&said)?;
        let few = fences(&said, limits::SLACK_CARD_CHARS);
        let partial = few.len() > 1;
        let tool = &self.asking.call.tool;
        let mut body = vec![
            json!({"type": "header", "text": plain_text(&plain(&format!("Approval needed: {tool}"), 140))}),
            json!({"type": "section", "fields": self.fields()}),
            context("What the agent wants to run (its own text):"),
            fence(few.first().map_or("", String::as_str)),
        ];
        if *self.args != self.asking.call.args {
            body.push(context(
                "Tokens are redacted here and in *Details*: [redacted:…]. The command itself \
                    receives the real value.",
            ));
        }
        if partial {
            body.push(context("Truncated. Open *Details* before you can approve."));
        }
        let mut inert = body.clone();
        inert.push(context(PREPARING));
        let mut blocks = body.clone();
        blocks.push(json!({"type": "actions", "block_id": block, "elements": self.buttons(nonce)}));
        Ok(Card {
            blocks: Value::Array(blocks),
            inert: Value::Array(inert),
            body: Value::Array(body),
            modal,
            partial,
            text: format!("agp: {} needs approval", name(tool)),
        })
    }

    fn fields(&self) -> Vec<Value> {
        let (request, about) = (self.asking, self.about);
        let mut fields = vec![
            field("Rule", request.verdict.rule_id.as_deref().unwrap_or("none")),
            field("Reason", &request.verdict.reason),
            field(
                "Sandbox, egress",
                &format!("{}, {}", about.sandbox, about.egress),
            ),
            field(
                "Session, call",
                &format!("{}, {}", about.session, request.call.id),
            ),
            field("Arguments, sha256", &request.args_sha256.to_hex()),
        ];
        if self.required > 1 {
            let needed = format!("{} different people", self.required);
            fields.push(field("Approvals needed", &needed));
        }
        fields
    }

    fn buttons(&self, nonce: &str) -> Vec<Value> {
        let button = |action: Action, text: &str, style: Option<&str>| {
            let mut button = json!({
                "type": "button", "action_id": action.id(), "value": nonce, "text": plain_text(text),
            });
            if let (Some(style), Some(button)) = (style, button.as_object_mut()) {
                button.insert("style".into(), json!(style));
            }
            button
        };
        let mut buttons = vec![
            button(Action::Allow, "Allow", Some("primary")),
            button(Action::Deny, "Deny", Some("danger")),
            button(Action::DenyWithReason, "Deny with a reason", None),
            button(Action::Details, "Details", None),
        ];
        if self.asking.offer.is_some() {
            // What it means is said where it is offered.
            buttons.push(button(
                Action::AllowForSession,
                "Allow exactly this for the session",
                None,
            ));
        }
        buttons
    }
}

/// All of a call. What Slack would not take whole is not asked about: an approver could not see it.
fn modal(said: &str) -> Result<Value, TooLong> {
    // What is drawn of a text is no shorter: nothing is drawn in vain.
    if said.len() > limits::SLACK_MODAL_BYTES {
        return Err(TooLong);
    }
    let all = fences(said, limits::SLACK_FENCE_CHARS);
    let mut blocks = vec![context(
        "All arguments of the call (the agent's own text). Tokens are redacted.",
    )];
    blocks.extend(all.iter().map(|text| fence(text)));
    let modal = json!({
        "type": "modal", "title": plain_text("Full call"), "close": plain_text("Close"),
        "blocks": blocks,
    });
    if all.len() > limits::SLACK_MODAL_FENCES || modal.to_string().len() > limits::SLACK_MODAL_BYTES
    {
        return Err(TooLong);
    }
    Ok(modal)
}

/// A card with its buttons, and above them until when it can be answered.
pub(super) fn with_deadline(blocks: &Value, until: SystemTime) -> Value {
    let mut blocks = blocks.clone();
    if let Some(blocks) = blocks.as_array_mut() {
        let above = blocks.len().saturating_sub(1);
        blocks.insert(above, context(&deadline(until)));
    }
    blocks
}

/// A moment, in the clock of whoever reads it.
fn deadline(until: SystemTime) -> String {
    let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let utc = timestamp::rfc3339(until);
    format!(
        "Answer by <!date^{seconds}^{{date_short_pretty}} at {{time_secs}}|{utc}>; no answer means \
            Deny."
    )
}

/// A message that is over: without buttons, with how it ended. `word` is agp's own.
pub(super) fn over(body: Option<Value>, word: &str) -> Value {
    let mut blocks = match body {
        Some(Value::Array(blocks)) => blocks,
        _ => Vec::new(),
    };
    blocks.push(json!({"type": "section", "text": mrkdwn(word)}));
    Value::Array(blocks)
}

/// The first message of a session: its thread.
pub(super) fn opening(about: &About, payload: &Map<String, Value>, who: &str) -> Value {
    let at = |pointer: &str| {
        let whole = Value::Object(payload.clone());
        let text = whole
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("?");
        text.to_owned()
    };
    json!([
        {"type": "header", "text": plain_text("agp session")},
        {"type": "section", "fields": [
            field("Session", &about.session),
            field("Started by", who),
            field("Harness", &format!("{} {}", at("/harness/name"), at("/harness/version"))),
            field("Repository", &at("/repository")),
            field("Policy, sha256", &at("/policySha256")),
            field("Sandbox, egress", &format!("{}, {}", about.sandbox, about.egress)),
        ]},
    ])
}

/// A line of agp's about something foreign: `what` is agp's own, the rest is shown as it is.
pub(super) fn notice(what: &str, foreign: &[(&str, &str)]) -> Value {
    let mut blocks = vec![json!({"type": "section", "text": plain_text(what)})];
    let fields: Vec<Value> = foreign
        .iter()
        .map(|(name, value)| field(name, value))
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    Value::Array(blocks)
}

/// The same without markup, for when it is said later.
pub(super) fn in_one_line(what: &str, foreign: &[(&str, &str)]) -> String {
    let foreign = foreign.iter().map(|(name, value)| {
        // Short enough that a full outbox stays within its bounds.
        format!(" {name}: {};", plain(value, limits::OUTBOX_FIELD_CHARS))
    });
    format!("{what}{}", foreign.collect::<String>())
}

/// The arguments as text: those that matter first, each behind its name.
fn said(args: &Map<String, Value>) -> String {
    let first = FIRST.iter().filter_map(|name| args.get_key_value(*name));
    let rest = args
        .iter()
        .filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut text = String::new();
    for (name, value) in first.chain(rest) {
        if !text.is_empty() {
            text.push('\n');
        }
        // A newline in a name would be a line of its own.
        text.push_str(&name.replace('\n', "\u{240a}"));
        match value {
            Value::String(value) if value.contains('\n') => {
                text.push_str(":\n");
                // What belongs to a value is indented, so that no line of it passes for a name.
                text.push_str("    ");
                text.push_str(&value.replace('\n', "\n    "));
            }
            Value::String(value) => {
                text.push_str(": ");
                text.push_str(value);
            }
            other => {
                text.push_str(": ");
                text.push_str(&other.to_string());
            }
        }
    }
    if text.is_empty() {
        "(no arguments)".to_owned()
    } else {
        text
    }
}

pub(super) fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn field(name: &str, value: &str) -> Value {
    plain_text(&format!("{name}\n{}", plain(value, FIELD_CHARS)))
}

fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [mrkdwn(text)]})
}

fn fence(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_a_whole_frame_cannot_be_approved_where_nobody_can_see_it() {
        for part in ["a", "&", "\n", "\u{202e}"] {
            let said = part.repeat(limits::FRAME_BYTES / part.len());
            assert_eq!(modal(&said), Err(TooLong));
        }
        assert!(modal(&"a".repeat(100_000)).is_ok());
    }
}
