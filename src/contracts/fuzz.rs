//! What must hold of JSON that others wrote.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use serde_json::Value;

use super::{limits, strict_json as reader, surrogates as halves};

/// The strict reader takes exactly what the lenient one takes and what has no name twice, and both
/// read it alike.
pub(crate) fn strict_json(data: &[u8]) {
    let strict = reader::from_slice(data);
    let lenient = serde_json::from_slice::<Value>(data);
    let once = |value: &Value| members(value) == colons(data);
    let expected = lenient.ok().filter(once);
    assert_eq!(strict.as_ref().ok(), expected.as_ref());
    let Ok(value) = strict else { return };
    assert!((count(&value)..=2 * count(&value)).contains(&reader::values(data)));
    let pruned = reader::from_slice(&reader::pruned(data, 3)).expect("what is pruned is read");
    assert!(reader::nests_within(&pruned, 3));
    assert_eq!(pruned == value, reader::nests_within(&value, 3));
    assert!(reader::nests_within(&value, limits::JSON_DEPTH));
    let written = serde_json::to_vec(&value).expect("a value can be written");
    assert_eq!(reader::from_slice(&written).expect("and read"), value);
}

/// Values in a value, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Names in a value, at every depth.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// Colons in a JSON text outside of its strings: one for each name that was written.
fn colons(text: &[u8]) -> usize {
    let (mut colons, mut inside, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b':' if !inside => colons += 1,
            _ => {}
        }
    }
    colons
}

/// Mending changes nothing that is sound, keeps the length, and leaves nothing to mend.
pub(crate) fn surrogates(data: &[u8]) {
    let mended = halves::mended(data);
    assert_eq!(mended.len(), data.len());
    assert_eq!(halves::mended(&mended), mended);
    if serde_json::from_slice::<Value>(data).is_ok() {
        assert_eq!(mended, data);
    }
    // Whatever stands between two quotes and can be made text is read.
    if let Ok(text) = serde_json::to_string(&String::from_utf8_lossy(data)) {
        let halved = text.replace("\\\\u", "\\u");
        let mended = halves::mended(halved.as_bytes());
        let problem = serde_json::from_slice::<Value>(&mended).err();
        let half = problem.is_some_and(|why| why.to_string().contains("surrogate"));
        assert!(!half, "{halved}");
    }
}
