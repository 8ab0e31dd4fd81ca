//! The Slack double's cards: which messages have buttons, whether they were ever to have them, and what is done at a
//! moment of one call.

use std::collections::BTreeSet;

use std::time::Instant;

use serde_json::{Value, json};

use super::{CHANNEL, Posted, SlackDouble, State};

/// A moment of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It has come, and goes its way afterwards.
    Coming,
    /// It was asked for, and is never done.
    Asked,
    /// It was asked for, and is done afterwards.
    Doing,
    /// It is done, and never answered.
    Done,
    /// It was done and answered.
    Answered,
}

/// What is done at a moment of the next call that is like this.
pub(super) struct Trip {
    method: &'static str,
    parts: Vec<String>,
    pub(super) moment: Moment,
    pub(super) act: Box<dyn FnOnce() + Send>,
}

/// The values of the buttons of a message's state.
fn values(state: &Value) -> BTreeSet<&str> {
    let blocks = state["blocks"].as_array().into_iter().flatten();
    let actions = blocks.filter(|block| block["type"] == "actions");
    let buttons = actions.filter_map(|block| block["elements"].as_array());
    let buttons = buttons.flatten();
    buttons
        .map(|button| button["value"].as_str().unwrap_or_default())
        .collect()
}

impl Posted {
    /// Every state of it, the first one first.
    fn states(&self) -> impl Iterator<Item = &Value> {
        std::iter::once(&self.message).chain(&self.edits)
    }

    /// Whether it has buttons now.
    pub(crate) fn is_armed(&self) -> bool {
        !values(self.now()).is_empty()
    }

    /// Whether it ever had any.
    pub(crate) fn was_armed(&self) -> bool {
        self.states().any(|state| !values(state).is_empty())
    }

    /// How many of its states say this.
    pub(crate) fn said(&self, part: &str) -> usize {
        let states = self.states();
        states
            .filter(|state| state.to_string().contains(part))
            .count()
    }
}

/// What a post may not have: buttons that nobody could take off again, or another card's nonce.
pub(super) fn wrong_post(state: &State, body: &Value) -> Option<String> {
    let before: BTreeSet<&str> = state
        .messages
        .iter()
        .flat_map(Posted::states)
        .flat_map(values)
        .collect();
    let text = body.to_string();
    if !values(body).is_empty() {
        return Some("a message was posted with its buttons".into());
    }
    let known = before
        .into_iter()
        .find(|nonce| nonce.len() > 16 && text.contains(nonce));
    known.map(|nonce| format!("the nonce {nonce} is in another message"))
}

/// What an edit of the message number `at` may not do: give buttons that were known before, or once more.
pub(super) fn wrong_edit(state: &State, at: usize, body: &Value) -> Option<String> {
    let values_now = values(body);
    let nonce = *values_now.first()?;
    if values_now.len() > 1 {
        return Some("two nonces in one message".into());
    }
    let (before, others) = (&state.messages[at], state.messages.iter().enumerate());
    let mut others = others.filter(|(number, _)| *number != at);
    if others.any(|(_, other)| other.said(nonce) > 0) {
        return Some(format!("the nonce {nonce} is in two messages"));
    }
    let was_closed = before.was_armed() && !before.is_armed();
    let was_known = before
        .states()
        .any(|state| values(state).is_empty() && state.to_string().contains(nonce));
    (was_closed || was_known).then(|| format!("{} got its buttons twice, or too late", before.ts))
}

impl State {
    /// The trip that this call is for.
    pub(super) fn tripped(&mut self, method: &str, body: &[u8]) -> Option<Trip> {
        let text = String::from_utf8_lossy(body);
        let is_it = |trip: &Trip| {
            trip.method == method && trip.parts.iter().all(|part| text.contains(part))
        };
        let at = self.trips.iter().position(is_it)?;
        Some(self.trips.remove(at))
    }
}

impl SlackDouble {
    /// At this moment of the next call of `method` whose body has all these parts, `act` is done.
    pub(crate) fn at(
        &self,
        method: &'static str,
        parts: &[&str],
        moment: Moment,
        act: impl FnOnce() + Send + 'static,
    ) {
        let trip = Trip {
            method,
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            moment,
            act: Box::new(act),
        };
        self.state().trips.push(trip);
    }

    /// The messages that have buttons now.
    pub(crate) fn armed(&self) -> Vec<Posted> {
        let all = self.messages().into_iter();
        all.filter(Posted::is_armed).collect()
    }

    /// A card of an earlier time stands in the channel, with a button; gives its name.
    pub(crate) fn plant(&self, text: &str) -> String {
        let mut state = self.state();
        let plain = json!({"type": "plain_text", "text": text, "emoji": false});
        let button = json!({
            "type": "button", "action_id": "allow", "value": "f".repeat(32), "text": plain,
        });
        let blocks = json!([{"type": "actions", "block_id": "b", "elements": [button]}]);
        let ts = format!("1700000000.{:06}", state.messages.len() + 1);
        state.messages.push(Posted {
            ts: ts.clone(),
            message: json!({"channel": CHANNEL, "text": text, "blocks": blocks}),
            edits: Vec::new(),
            at: Instant::now(),
            edited: None,
        });
        ts
    }

    /// When a message was edited last.
    #[track_caller]
    pub(crate) fn edited(&self, ts: &str) -> Instant {
        let all = self.messages();
        let message = all.iter().find(|message| message.ts == ts);
        message.and_then(|message| message.edited).unwrap()
    }

    /// From here on several sessions post, each at its own pace.
    pub(crate) fn allow_bursts(&self) {
        self.state().bursts = true;
    }

    /// What `auth.test` says besides that all is well.
    pub(crate) fn say_identity(&self, what: Value) {
        self.state().identity = what;
    }
}
