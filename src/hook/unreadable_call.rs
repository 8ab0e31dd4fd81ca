//! A call whose arguments no strict reader takes: what can be said of it, for the record.
//!
//! What encloses the arguments is found without reading them, whatever they are and however deep.

use serde::de::{Deserialize, IgnoredAny};

use crate::contracts::call::Unreadable;
use crate::contracts::ids::{MessageId, SessionId, Sha256};
use crate::contracts::message::Message;
use crate::contracts::{limits, strict_json, surrogates};

/// The members of a JSON object, each with its value as it stands there. `None` for anything else, and
/// where a name is there twice.
pub(crate) fn members(text: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let mut rest = text.trim_ascii_start().strip_prefix(b"{")?.trim_ascii();
    let mut members: Vec<(String, &[u8])> = Vec::new();
    while !rest.starts_with(b"}") {
        if !members.is_empty() {
            rest = rest.strip_prefix(b",")?.trim_ascii_start();
        }
        let (name, behind) = value::<String>(rest)?;
        let behind = behind.trim_ascii_start().strip_prefix(b":")?;
        let behind = behind.trim_ascii_start();
        let (_, after) = value::<IgnoredAny>(behind)?;
        let (span, _) = behind.split_at_checked(behind.len() - after.len())?;
        if members.iter().any(|(known, _)| *known == name) {
            return None;
        }
        members.push((name, span));
        rest = after.trim_ascii_start();
    }
    rest.strip_prefix(b"}")?
        .trim_ascii()
        .is_empty()
        .then_some(members)
}

/// One value at the beginning of a text, and what is behind it.
fn value<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// A member of that name.
pub(crate) fn member<'a>(members: &[(String, &'a [u8])], name: &str) -> Option<&'a [u8]> {
    let pair = members.iter().find(|(known, _)| known == name);
    pair.map(|(_, value)| *value)
}

/// A text among them. Half a surrogate pair is read as U+FFFD.
pub(crate) fn text(value: &[u8]) -> Option<String> {
    let read = strict_json::from_slice(&surrogates::mended(value)).ok()?;
    read.as_str().map(str::to_owned)
}

/// What is said of a call whose arguments stand in `args`.
pub(crate) fn message(
    id: MessageId,
    session: &SessionId,
    mut tool: String,
    args: &[u8],
) -> Message {
    tool.truncate(tool.floor_char_boundary(limits::TOOL_NAME_BYTES));
    Message::ToolCallUnreadable {
        id,
        session_id: session.clone(),
        tool,
        args_sha256: Sha256::of(args),
        args_bytes: args.len() as u64,
        why: why(args),
    }
}

/// What keeps a strict reader from these arguments.
fn why(args: &[u8]) -> Unreadable {
    if args.len() > limits::FRAME_BYTES {
        return Unreadable::TooLong;
    }
    if depth(args) > limits::ARGS_DEPTH {
        return Unreadable::TooDeep;
    }
    let mended = surrogates::mended(args);
    if mended != args || std::str::from_utf8(args).is_err() {
        return Unreadable::NotUnicode;
    }
    Unreadable::Ambiguous
}

/// How deep arrays and objects stand within each other in a JSON text.
fn depth(text: &[u8]) -> usize {
    let (mut deepest, mut levels, mut inside, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => {
                levels += 1;
                deepest = deepest.max(levels);
            }
            b']' | b'}' if !inside => levels = levels.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_whatever_they_hold() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(r#" {{"a" : {deep}, "b":"\ud800 }}\"", "\u0063":1e999 ,"d":{{}}}} "#);
        let members = members(text.as_bytes()).unwrap();
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(member(&members, "a"), Some(deep.as_bytes()));
        assert_eq!(text_of(&members, "b").unwrap(), "\u{fffd} }\"");
        assert_eq!(member(&members, "c"), Some(&b"1e999"[..]));
        assert_eq!(member(&members, "d"), Some(&b"{}"[..]));
        assert_eq!(super::members(b"{}"), Some(Vec::new()));
    }

    fn text_of(members: &[(String, &[u8])], name: &str) -> Option<String> {
        text(member(members, name)?)
    }

    #[test]
    fn what_is_no_object_has_none() {
        for text in [
            "",
            "[]",
            "{",
            "{}}",
            r#"{"a"}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":[}"#,
            r#"{"a":1} x"#,
        ] {
            assert_eq!(members(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_cause_that_is_named_is_there() {
        let nested =
            |levels: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(limits::FRAME_BYTES));
        for (args, expected) in [
            (nested(limits::ARGS_DEPTH), Unreadable::TooDeep),
            (nested(130), Unreadable::TooDeep),
            (r#"{"a":"\ud800"}"#.to_owned(), Unreadable::NotUnicode),
            (
                r#"{"a":1,"a":"[[[[\"[["}"#.to_owned(),
                Unreadable::Ambiguous,
            ),
            (nested(limits::ARGS_DEPTH - 1), Unreadable::Ambiguous),
            (long, Unreadable::TooLong),
        ] {
            assert_eq!(why(args.as_bytes()), expected, "{args:.100}");
        }
    }
}
