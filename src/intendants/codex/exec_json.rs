//! What `codex exec --json` prints, for the operator's eyes. The witness reads the rollout: this
//! stream does not show every call.

use serde_json::Value;

use crate::contracts::intendant::Observation;

/// What stands in every session's output as an error, because of what agp sets.
const CHATTER: &str = "`[features].multi_agent` is deprecated";

/// What one line says; `None` is one that is too long.
pub(crate) fn observations(line: Option<&[u8]>) -> Vec<Observation> {
    let Some(line) = line else {
        // It may be a command's output; what matters of it is in the rollout.
        return Vec::new();
    };
    let raw = Observation::Raw(String::from_utf8_lossy(line).into_owned());
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let at = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let said = match (at("/type").as_str(), at("/item/type").as_str()) {
        ("item.completed", "agent_message") => Some(Observation::Said(at("/item/text"))),
        ("item.completed", "error") => Some(at("/item/message"))
            .filter(|message| !message.starts_with(CHATTER))
            .map(Observation::Said),
        ("turn.completed", _) => Some(Observation::Finished {
            ok: true,
            text: String::new(),
        }),
        ("turn.failed", _) => Some(Observation::Finished {
            ok: false,
            text: at("/error/message"),
        }),
        ("error", _) => Some(Observation::Said(at("/message"))),
        _ => None,
    };
    [Some(raw), said].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_is_shown_and_chatter_is_not() {
        let said = |line: &str| observations(Some(line.as_bytes())).into_iter().nth(1);
        assert_eq!(
            said(r#"{"type":"item.completed","item":{"type":"agent_message","text":"hi"}}"#),
            Some(Observation::Said("hi".into()))
        );
        let error = |text: &str| {
            format!(r#"{{"type":"item.completed","item":{{"type":"error","message":"{text}"}}}}"#)
        };
        assert_eq!(said(&error(CHATTER)), None);
        assert!(said(&error("no model")).is_some());
        assert!(matches!(
            said(r#"{"type":"turn.failed","error":{"message":"x"}}"#),
            Some(Observation::Finished { ok: false, .. })
        ));
        assert_eq!(observations(Some(b"not JSON")).len(), 1);
    }
}
