//! Messages as Slack's blocks: what they are made of, and those that are no cards. Foreign text stands in `plain_text`,
//! in which Slack reads no markup, or behind bars in a code fence.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::contracts::view::Origin;
use crate::contracts::{limits, timestamp};

use super::mrkdwn_escape::{Line, fences, inline, plain};

/// Characters of a field.
const FIELD_CHARS: usize = 1500;
/// Characters of a person's name or a path in one line. Escapes make eight of one at most, and a text that is edited
/// later has 4000.
const NAME_CHARS: usize = 100;

/// What every message of a session says about it.
#[derive(Debug, Clone)]
pub struct About {
    /// The session, and where it runs.
    pub origin: Origin,
    /// What runs the calls, such as `host`.
    pub sandbox: String,
    /// What they may reach, such as `full`.
    pub egress: String,
}

/// What a request has come to, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// agp's own words; the first may be bold.
    what: String,
    /// Who did it: foreign.
    by: Option<String>,
    /// Why, in that person's words: foreign.
    reason: Option<String>,
    at: Option<SystemTime>,
}

impl Outcome {
    /// Nothing but agp's own words.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            by: None,
            reason: None,
            at: None,
        }
    }

    /// By this person, now.
    pub(super) fn by(self, who: &str) -> Self {
        Self {
            by: Some(who.to_owned()),
            ..self.now()
        }
    }

    /// Now.
    pub(super) fn now(self) -> Self {
        Self {
            at: Some(SystemTime::now()),
            ..self
        }
    }

    /// For this reason.
    pub(super) fn because(self, reason: Option<&str>) -> Self {
        let reason = reason.map(str::to_owned);
        Self { reason, ..self }
    }

    /// The line as a block, and the reason behind a bar.
    fn blocks(&self) -> Vec<Value> {
        let mut elements = vec![mrkdwn(&self.what)];
        if let Some(by) = &self.by {
            elements.push(plain_text(&plain(&format!("by {by}"), FIELD_CHARS)));
        }
        elements.extend(self.at.map(|at| mrkdwn(&moment(at))));
        let mut blocks = vec![json!({"type": "context", "elements": elements})];
        if let Some(reason) = &self.reason {
            let lines = [Line::label("reason"), Line::foreign(reason)];
            let fences = fences(&lines, limits::SLACK_FENCE_CHARS, 1);
            blocks.extend(fences.first().map(|text| fence(text)));
        }
        blocks
    }

    /// For the text outside of blocks, of a message about a request that is `brief` so.
    pub(super) fn text(&self, brief: &str) -> String {
        let mut text = self.what.replace('*', "");
        if let Some(by) = &self.by {
            text.push_str(&format!(" by {}", inline(by, NAME_CHARS)));
        }
        match brief {
            "" => text,
            brief => format!("{text}: {brief}"),
        }
    }
}

/// A moment, in the clock of whoever reads it.
pub(super) fn moment(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let utc = timestamp::rfc3339(time);
    format!("<!date^{seconds}^{{date_short_pretty}} at {{time}}|{utc}>")
}

/// Until when a request can be answered, and what happens else.
pub(super) fn deadline(until: SystemTime) -> String {
    format!("Answer by {}; no answer means Deny.", moment(until))
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

/// A message with what it has come to above all else.
pub(super) fn with_outcome(body: Option<Value>, outcome: &Outcome) -> Value {
    let mut blocks = outcome.blocks();
    if let Some(Value::Array(body)) = body {
        blocks.extend(body);
    }
    Value::Array(blocks)
}

/// The first message of a session: its thread.
pub(super) fn opening(about: &About, payload: &Map<String, Value>) -> Value {
    let payload = Value::Object(payload.clone());
    let at = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    let origin = &about.origin;
    let name = at("/harness/name").unwrap_or(&origin.harness);
    let harness = format!("{name} {}", at("/harness/version").unwrap_or_default());
    let mut blocks = vec![json!({"type": "header", "text": plain_text("agp session")})];
    if let Some(task) = &origin.task {
        let mut lines = vec![Line::label("task")];
        lines.extend(task.split('\n').map(Line::foreign));
        let fences = fences(&lines, limits::SLACK_CARD_CHARS, 1);
        blocks.extend(fences.first().map(|text| fence(text)));
        if fences.len() > 1 {
            blocks.push(context("The task is longer; agp log shows the rest."));
        }
    }
    blocks.push(json!({"type": "section", "fields": [
        field("Repository", &origin.repository),
        field("Host", &origin.host),
        field("Started by", &origin.user),
        field("Harness", harness.trim_end()),
        field("Sandbox, egress", &format!("{}, {}", about.sandbox, about.egress)),
        field("Session", &origin.session),
        field("Policy, sha256", at("/policySha256").unwrap_or("?")),
    ]}));
    Value::Array(blocks)
}

/// The same for a notification.
pub(super) fn opening_text(origin: &Origin) -> String {
    let part = |text: &str| inline(text, NAME_CHARS);
    let (user, host) = (part(&origin.user), part(&origin.host));
    let repository = part(&origin.repository);
    let task = origin.task.as_deref().map(part).unwrap_or_default();
    let line = format!("agp: {user}@{host} started a session in {repository}: {task}");
    line.trim_end_matches([' ', ':']).to_owned()
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

pub(super) fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn field(name: &str, value: &str) -> Value {
    plain_text(&format!("{name}\n{}", plain(value, FIELD_CHARS)))
}

pub(super) fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [mrkdwn(text)]})
}

pub(super) fn fence(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}
