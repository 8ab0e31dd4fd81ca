//! What Slack says on a Socket Mode connection, read strictly and without trust.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contracts::{limits, strict_json};

use super::forms;

/// One text frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// The connection may be used from here on.
    Hello {
        /// Whose it is.
        app: String,
        /// How many connections the app has, this one included.
        connections: u64,
    },
    /// Slack is about to close the connection.
    Disconnect(Leave),
    /// Something to acknowledge.
    Envelope {
        /// Its name: the acknowledgement.
        id: String,
        /// A click, if it is one.
        click: Option<Box<Click>>,
    },
    /// Of a type that agp does not know, and need not.
    Unknown,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Routine: another connection should take over.
    Refresh,
    /// Socket Mode was switched off.
    LinkDisabled,
    /// Other connections of the app must end first.
    TooMany,
}

/// A click on a button, or a form that was sent, as Slack tells of it. A part that is missing is empty, and matches
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Click {
    pub(super) envelope: String,
    pub(super) app: String,
    pub(super) user: String,
    /// What Slack calls the person: foreign, of any characters.
    pub(super) name: String,
    /// The clicker's team; in a shared channel it may be another one than the channel's.
    pub(super) team: String,
    pub(super) is_bot: bool,
    pub(super) channel: String,
    pub(super) message: String,
    /// Whose message it is: a bot's user.
    pub(super) author: String,
    pub(super) block: String,
    pub(super) action: String,
    pub(super) value: String,
    pub(super) trigger: String,
    /// What was written in a form that agp had opened: foreign. Without it this is a click on a message's button. A form
    /// has no channel and no message, and its block and value are those of the card that it was opened from.
    pub(super) form: Option<String>,
}

impl Click {
    /// Whether all of it is as short as what is read of a frame.
    pub(super) fn is_bounded(&self) -> bool {
        let ids = [
            &self.app,
            &self.user,
            &self.team,
            &self.channel,
            &self.message,
            &self.author,
            &self.block,
            &self.action,
            &self.value,
            &self.trigger,
        ];
        let short = |id: &&String| id.is_empty() || is_short(id);
        let texts = [Some(&self.name), self.form.as_ref()];
        let few = |text: &&String| text.chars().count() <= limits::DENY_REASON_CHARS;
        is_short(&self.envelope) && ids.iter().all(short) && texts.iter().flatten().all(few)
    }
}

/// Reads a frame; `None` when it is none.
pub(super) fn read(text: &str) -> Option<Frame> {
    let frame = strict_json::from_slice(text.as_bytes()).ok()?;
    if let Some(id) = frame.get("envelope_id") {
        let id = id.as_str().filter(|id| is_short(id))?.to_owned();
        let interactive = frame.get("type").and_then(Value::as_str) == Some("interactive");
        let payload = frame.get("payload").filter(|_| interactive);
        let click = payload
            .and_then(|payload| click(&id, payload))
            .map(Box::new);
        return Some(Frame::Envelope { id, click });
    }
    match frame.get("type")?.as_str()? {
        "hello" => Some(Frame::Hello {
            app: part(&frame, "/connection_info/app_id"),
            connections: frame
                .get("num_connections")
                .and_then(Value::as_u64)
                .unwrap_or(1),
        }),
        "disconnect" => Some(Frame::Disconnect(
            match frame.get("reason").and_then(Value::as_str) {
                Some("link_disabled") => Leave::LinkDisabled,
                Some("too_many_websockets") => Leave::TooMany,
                // `warning`, `refresh_requested`, and whatever else: the connection will not last.
                _ => Leave::Refresh,
            },
        )),
        _ => Some(Frame::Unknown),
    }
}

fn click(envelope: &str, payload: &Value) -> Option<Click> {
    match payload.get("type").and_then(Value::as_str) {
        Some("block_actions") => {}
        Some("view_submission") => return Some(submission(envelope, payload)),
        _ => return None,
    }
    // One click is one action: with several it could be read in two ways, so it is read as of none, which
    // matches no request.
    let actions = payload.get("actions").and_then(Value::as_array);
    let action = match actions.map(Vec::as_slice) {
        Some([action]) => action,
        _ => &Value::Null,
    };
    // Both name the channel, and the message, where both are there: then they must agree.
    let same = |one: &str, other: &str| {
        let (one, other) = (part(payload, one), part(payload, other));
        match (one.is_empty(), other.is_empty()) {
            (_, true) => one,
            (true, false) => other,
            _ if one == other => one,
            _ => String::new(),
        }
    };
    Some(Click {
        channel: same("/container/channel_id", "/channel/id"),
        message: same("/container/message_ts", "/message/ts"),
        author: part(payload, "/message/user"),
        block: part(action, "/block_id"),
        action: part(action, "/action_id"),
        value: part(action, "/value"),
        trigger: part(payload, "/trigger_id"),
        ..person(envelope, payload)
    })
}

/// A form that was sent: as a click on the card that it was opened from.
fn submission(envelope: &str, payload: &Value) -> Click {
    let card = part(payload, "/view/private_metadata");
    let (block, nonce) = forms::card_of(&card).unwrap_or_default();
    let text = payload.pointer(forms::REASON_AT).and_then(Value::as_str);
    Click {
        block: block.to_owned(),
        action: part(payload, "/view/callback_id"),
        value: nonce.to_owned(),
        form: Some(bounded(text.unwrap_or_default())),
        ..person(envelope, payload)
    }
}

/// Who acted, by whatever way.
fn person(envelope: &str, payload: &Value) -> Click {
    let team = match part(payload, "/user/team_id") {
        team if team.is_empty() => part(payload, "/team/id"),
        team => team,
    };
    let name = |at: &str| payload.pointer(at).and_then(Value::as_str);
    let name = name("/user/username").or_else(|| name("/user/name"));
    Click {
        envelope: envelope.to_owned(),
        app: part(payload, "/api_app_id"),
        user: part(payload, "/user/id"),
        name: bounded(name.unwrap_or_default()),
        team,
        is_bot: payload.pointer("/user/is_bot") == Some(&Value::Bool(true)),
        ..Click::default()
    }
}

/// Foreign text, as much of it as is ever shown.
fn bounded(text: &str) -> String {
    text.chars().take(limits::DENY_REASON_CHARS).collect()
}

fn part(value: &Value, at: &str) -> String {
    let text = value.pointer(at).and_then(Value::as_str);
    text.filter(|text| is_short(text))
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn is_short(text: &str) -> bool {
    (1..=limits::SLACK_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(payload: &Value) -> String {
        json!({"envelope_id": "e1", "type": "interactive", "payload": payload}).to_string()
    }

    fn a_click() -> Value {
        json!({
            "type": "block_actions", "api_app_id": "A1", "trigger_id": "t1",
            "user": {"id": "U1", "team_id": "T1", "username": "alice"}, "team": {"id": "T9"},
            "container": {"channel_id": "C1", "message_ts": "1.2"}, "channel": {"id": "C1"},
            "message": {"ts": "1.2"},
            "actions": [{"action_id": "allow", "block_id": "b1", "value": "n1"}],
        })
    }

    fn clicked(payload: &Value) -> Option<Click> {
        match read(&envelope(payload)) {
            Some(Frame::Envelope { id, click }) if id == "e1" => click.map(|click| *click),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_click_is_read_with_the_clickers_own_team() {
        let click = clicked(&a_click()).unwrap();
        assert_eq!((click.user.as_str(), click.team.as_str()), ("U1", "T1"));
        assert_eq!(
            (click.channel.as_str(), click.message.as_str()),
            ("C1", "1.2")
        );
        assert_eq!(click.value, "n1");
    }

    #[test]
    fn a_form_is_read_as_of_the_card_that_it_was_opened_from() {
        let sent = |card: &str, text: Value| {
            json!({
                "type": "view_submission", "api_app_id": "A1", "trigger_id": "t1",
                "user": {"id": "U1", "team_id": "T1", "name": "alice"},
                "view": {
                    "type": "modal", "callback_id": "send-reason", "private_metadata": card,
                    "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": text}}}},
                },
                // What only a click has.
                "channel": {"id": "C1"}, "message": {"ts": "1.2"},
                "actions": [{"action_id": "allow", "block_id": "b1", "value": "n1"}],
            })
        };
        let form = clicked(&sent("agp.h.s-1.ff/n1", json!("not on Fridays"))).unwrap();
        let expected = Click {
            envelope: "e1".into(),
            app: "A1".into(),
            user: "U1".into(),
            name: "alice".into(),
            team: "T1".into(),
            block: "agp.h.s-1.ff".into(),
            action: "send-reason".into(),
            value: "n1".into(),
            form: Some("not on Fridays".into()),
            ..Click::default()
        };
        assert_eq!(form, expected);
        for card in ["", "n1", "/n1", "b1/", "b1 /n1"] {
            let form = clicked(&sent(card, Value::Null)).unwrap();
            assert_eq!(
                (form.block.as_str(), form.value.as_str()),
                ("", ""),
                "{card}"
            );
            assert_eq!(form.form.as_deref(), Some(""));
        }
        let long = clicked(&sent("b1/n1", json!("x".repeat(10_000)))).unwrap();
        assert_eq!(long.form.unwrap().len(), limits::DENY_REASON_CHARS);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_read_in_none() {
        let mut two = a_click();
        two["actions"] = json!([two["actions"][0], two["actions"][0]]);
        let click = clicked(&two).unwrap();
        assert_eq!((click.action.as_str(), click.value.as_str()), ("", ""));
        let mut elsewhere = a_click();
        elsewhere["channel"]["id"] = json!("C2");
        elsewhere["message"]["ts"] = json!("9.9");
        let click = clicked(&elsewhere).unwrap();
        assert_eq!((click.channel.as_str(), click.message.as_str()), ("", ""));
        let text = envelope(&a_click()).replacen(
            "\"value\":\"n1\"",
            "\"value\":\"n1\",\"value\":\"n2\"",
            1,
        );
        assert_eq!(read(&text), None);
    }

    #[test]
    fn other_frames_are_told_apart_and_none_is_trusted() {
        let hello = r#"{"type":"hello","num_connections":2,"connection_info":{"app_id":"A1"}}"#;
        let app = "A1".to_owned();
        assert_eq!(
            read(hello),
            Some(Frame::Hello {
                app,
                connections: 2
            })
        );
        for (reason, leave) in [
            ("warning", Leave::Refresh),
            ("refresh_requested", Leave::Refresh),
            ("link_disabled", Leave::LinkDisabled),
            ("too_many_websockets", Leave::TooMany),
        ] {
            let text = format!(r#"{{"type":"disconnect","reason":"{reason}"}}"#);
            assert_eq!(read(&text), Some(Frame::Disconnect(leave)));
        }
        assert_eq!(read(r#"{"type":"new_thing"}"#), Some(Frame::Unknown));
        for bad in [
            "",
            "{",
            "[]",
            "1",
            r#"{"type":1}"#,
            r#"{"envelope_id":5}"#,
            r#"{"envelope_id":""}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
