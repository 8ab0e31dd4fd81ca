//! What a journal line may not hold: known secrets refuse it, token-shaped text is replaced,
//! long arguments are cut.

mod known_secrets;
mod token_patterns;
mod token_scanner;

use serde_json::{Map, Value};

use crate::contracts::limits;
use crate::contracts::plural::count;

pub use crate::contracts::secret::Secret;
pub use known_secrets::Screen;

/// Replaces each token-shaped part of every string and key, at any depth, by a placeholder such
/// as `[redacted:slack-token]`. A key that then equals another gets `#2`, `#3` and so on: no
/// value is lost. Doing it again changes nothing.
pub fn redact_tokens(payload: &mut Map<String, Value>) {
    redact_object(payload, usize::MAX);
}

/// Redacts, then cuts strings to `max` bytes and a note. In this order: a token across the cut
/// would otherwise leave its first half behind.
fn redact_object(map: &mut Map<String, Value>, max: usize) {
    let mut renamed = Vec::new();
    for (key, value) in map.iter_mut() {
        redact_value(value, max);
        if let Some(clean) = token_scanner::redacted(key) {
            renamed.push((key.clone(), clean));
        }
    }
    // Counts on through the whole object, so that many equal keys cost no search each.
    let mut copies = 1_usize;
    for (key, clean) in renamed {
        let Some(value) = map.remove(&key) else {
            continue;
        };
        let mut unused = clean.clone();
        while map.contains_key(&unused) {
            copies += 1;
            unused = format!("{clean}#{copies}");
        }
        map.insert(unused, value);
    }
}

fn redact_value(value: &mut Value, max: usize) {
    match value {
        Value::String(text) => {
            let bytes = text.len();
            if let Some(clean) = token_scanner::redacted(text) {
                *text = clean;
            }
            if text.len() > max {
                text.truncate(text.floor_char_boundary(max));
                text.push_str(&format!("… [cut, {} in all]", count(bytes, "byte")));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, max)),
        Value::Object(map) => redact_object(map, max),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A call's arguments as an event carries them: tokens redacted, strings cut to
/// [`limits::JOURNALED_STRING_BYTES`] with the length they came with. Arguments that even then take more
/// than [`limits::JOURNALED_ARGS_BYTES`] become `{"omitted":true,"bytes":N}`, N being what they
/// took as they came. The event's digest is of the arguments as they came, so nothing cut here
/// goes unproven.
#[must_use]
pub fn journaled_args(args: &Map<String, Value>) -> Value {
    let mut kept = args.clone();
    redact_object(&mut kept, limits::JOURNALED_STRING_BYTES);
    if json_bytes(&kept) <= limits::JOURNALED_ARGS_BYTES {
        Value::Object(kept)
    } else {
        serde_json::json!({ "omitted": true, "bytes": json_bytes(args) })
    }
}

/// Bytes of an object as compact JSON. What cannot be written counts as too much.
fn json_bytes(map: &Map<String, Value>) -> usize {
    serde_json::to_vec(map).map_or(usize::MAX, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn tokens_go_from_strings_and_keys_at_every_depth() {
        let mut payload = object(json!({
            "a": [{"b": format!("x {TOKEN} y")}, 7, null],
            TOKEN: 1,
            format!("{TOKEN}x"): 2,
            "[redacted:github-token]#2": 3,
        }));
        redact_tokens(&mut payload);
        let expected = json!({
            "a": [{"b": "x [redacted:github-token] y"}, 7, null],
            "[redacted:github-token]": 1,
            "[redacted:github-token]#2": 3,
            "[redacted:github-token]#3": 2,
        });
        assert_eq!(Value::Object(payload.clone()), expected);
        redact_tokens(&mut payload);
        assert_eq!(Value::Object(payload), expected);
    }

    #[test]
    fn many_keys_that_redact_alike_keep_their_values_in_reasonable_time() {
        let mut payload: Map<String, Value> = (0..20_000)
            .map(|n| (format!("{TOKEN}{n}"), json!(n)))
            .collect();
        redact_tokens(&mut payload);
        assert_eq!(payload.len(), 20_000);
    }

    #[test]
    fn a_long_string_is_cut_between_characters_and_keeps_its_length() {
        let text = format!("a{}", "ü".repeat(limits::JOURNALED_STRING_BYTES));
        let args = object(json!({ "command": text, "short": "ü" }));
        let kept = journaled_args(&args);
        let command = kept["command"].as_str().unwrap();
        let end = format!("ü… [cut, {} in all]", count(text.len(), "byte"));
        assert!(command.ends_with(&end), "{command}");
        let (head, _) = command.split_once('…').unwrap();
        assert_eq!(head.len(), limits::JOURNALED_STRING_BYTES - 1);
        assert_eq!(kept["short"], "ü");
    }

    #[test]
    fn a_token_across_the_cut_leaves_no_part_of_itself() {
        for before in 0..60 {
            let padding = " ".repeat(limits::JOURNALED_STRING_BYTES - before);
            let args = object(json!({ "c": format!("{padding}{TOKEN}{padding}") }));
            let kept = journaled_args(&args).to_string();
            assert!(!kept.contains("ghp_"), "{before}");
        }
    }

    #[test]
    fn arguments_that_stay_too_large_are_omitted_whole() {
        let piece = "x".repeat(limits::JOURNALED_STRING_BYTES);
        let args = object(json!({ "list": vec![piece; 40] }));
        let bytes = Value::Object(args.clone()).to_string().len();
        assert_eq!(
            journaled_args(&args),
            json!({ "omitted": true, "bytes": bytes })
        );
        let small = object(json!({ "n": 1 }));
        assert_eq!(journaled_args(&small), json!({ "n": 1 }));
    }
}
