//! What the session that holds the connection hands to the one that a click is of: one line of strict JSON, and
//! the answer to it.

use serde::{Deserialize, Serialize};

use crate::contracts::{limits, strict_json};

use super::envelope::Click;

/// The answer of a session that has judged the click, whatever came of it.
pub(super) const TAKEN: &[u8] = b"{\"taken\":true}\n";

/// A click, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClickLine {
    /// The session that is to judge it.
    pub(super) session: String,
    pub(super) click: Click,
}

impl ClickLine {
    /// The line, its end included.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads a line without its end; `None` for what agp would not have written.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        if text.len() > limits::RELAY_LINE_BYTES {
            return None;
        }
        let line: Self = strict_json::parse(text).ok()?;
        line.click.is_bounded().then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn line() -> ClickLine {
        ClickLine {
            session: "s-1".into(),
            click: Click {
                envelope: "e1".into(),
                user: "U1".into(),
                name: "alice \u{1}".into(),
                form: Some("not on\na friday \u{202e}".into()),
                ..Click::default()
            },
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let text = line().written();
        let (end, text) = text.split_last().unwrap();
        assert_eq!(*end, b'\n');
        assert!(!text.contains(&b'\n'));
        assert_eq!(ClickLine::read(text), Some(line()));
    }

    #[test]
    fn what_agp_would_not_have_written_is_no_line() {
        let good = serde_json::to_value(line()).unwrap();
        let with = |at: &str, value: Value| {
            let mut bent = good.clone();
            *bent.pointer_mut(at).unwrap() = value;
            bent.to_string()
        };
        let mut more = good.clone();
        more["click"]["taken"] = json!(true);
        let twice =
            good.to_string()
                .replacen("\"user\":\"U1\"", "\"user\":\"U1\",\"user\":\"U2\"", 1);
        let long = "x".repeat(limits::SLACK_ID_BYTES + 1);
        for text in [
            String::new(),
            "{".into(),
            "[]".into(),
            more.to_string(),
            twice,
            with("/click/user", json!(long)),
            with("/click/value", json!("a b")),
            with("/click/envelope", json!("")),
            with("/click/isBot", json!("no")),
            with(
                "/click/form",
                json!("x".repeat(limits::DENY_REASON_CHARS + 1)),
            ),
            with("/session", json!(7)),
            format!("{good}{}", " ".repeat(limits::RELAY_LINE_BYTES)),
        ] {
            assert_eq!(ClickLine::read(text.as_bytes()), None, "{text:.200}");
        }
    }
}
