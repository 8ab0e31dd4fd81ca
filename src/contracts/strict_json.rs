//! JSON read strictly: two readers that disagree about a text are an attack.
//!
//! Refused, beyond what RFC 8259 refuses: duplicate names at any depth, lone surrogates, numbers
//! outside an IEEE 754 double, trailing bytes, a byte-order mark, nesting beyond 127 levels.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not strict JSON: the parser's error, with line and column.
#[derive(Debug)]
pub enum StrictError {
    /// An object has a name twice; lenient readers differ on which value it means.
    DuplicateName(serde_json::Error),
    /// Anything else that is refused.
    Syntax(serde_json::Error),
}

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::DuplicateName(error) | Self::Syntax(error)) = self;
        error.fmt(f)
    }
}

impl std::error::Error for StrictError {}

impl From<StrictError> for serde_json::Error {
    fn from(error: StrictError) -> Self {
        let (StrictError::DuplicateName(error) | StrictError::Syntax(error)) = error;
        error
    }
}

/// Reads one JSON text.
///
/// # Errors
/// [`StrictError`] for anything that is not strict JSON.
pub fn from_slice(bytes: &[u8]) -> Result<Value, StrictError> {
    let duplicate = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict(&duplicate).deserialize(&mut reader);
    let whole = read.and_then(|value| reader.end().map(|()| value));
    whole.map_err(|error| {
        if duplicate.get() {
            StrictError::DuplicateName(error)
        } else {
            StrictError::Syntax(error)
        }
    })
}

/// Reads one JSON object into a type. Duplicate names are found at every depth, also inside parts
/// that the type keeps as [`Value`]; an array never stands for a structure, as serde would let it.
///
/// # Errors
/// As [`from_slice`], and where the text does not have the type's shape.
pub fn parse<T: de::DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    parse_both(bytes).map(|(read, _)| read)
}

/// The same, with the object as it is written.
///
/// # Errors
/// As [`parse`].
pub fn parse_both<T: de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, Map<String, Value>), serde_json::Error> {
    // Twice over the same bytes: the first pass finds duplicates, the second keeps line and
    // column in the type's own errors.
    let value = from_slice(bytes)?;
    let read = serde_json::from_slice(bytes)?;
    match value {
        Value::Object(map) => Ok((read, map)),
        _ => Err(de::Error::custom("not a JSON object")),
    }
}

/// Whether arrays and objects stand within each other at most `levels` deep in a value.
#[must_use]
pub fn nests_within(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| levels > 0 && nests_within(value, levels - 1);
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(inner),
        Value::Object(map) => levels > 0 && map.values().all(inner),
        _ => true,
    }
}

/// No fewer values than a JSON text has, and at most twice as many: its memory once it is read.
#[must_use]
pub fn values(text: &[u8]) -> usize {
    let (mut values, mut inside, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b'[' | b'{' | b',' if !inside => values += 1,
            _ => {}
        }
    }
    values
}

/// The same JSON text, with `null` for each array and object that stands within so many others: no more
/// than that is nested, and any reader takes it. What is no JSON stays none.
#[must_use]
pub fn pruned(text: &[u8], levels: usize) -> Vec<u8> {
    let (mut kept, mut open) = (Vec::with_capacity(text.len()), 0_usize);
    let (mut inside, mut escaped) = (false, false);
    for byte in text {
        let was_deep = open > levels;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => {
                open += 1;
                if open == levels + 1 {
                    kept.extend_from_slice(b"null");
                }
            }
            b']' | b'}' if !inside => open = open.saturating_sub(1),
            _ => {}
        }
        if !was_deep && open <= levels {
            kept.push(*byte);
        }
    }
    kept
}

/// Reads a value, and notes whether it ended at a name that an object has twice.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            // Before the value is read, so that the error points at the name.
            if map.contains_key(&name) {
                self.0.set(true);
                return Err(de::Error::custom(format_args!("duplicate name {name:?}")));
            }
            map.insert(name, access.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{StrictError, from_slice, nests_within, pruned, values};
    use crate::contracts::limits;

    #[test]
    fn refuses_what_another_reader_could_read_otherwise() {
        let refused: &[&[u8]] = &[
            br#"{"a":1,"a":1}"#,
            br#"{"a":{"b":[{"c":1,"\u0063":2}]}}"#,
            b"\xef\xbb\xbf{}",
            b"{} x",
            b"{}{}",
            br#"{"a":"\ud800"}"#,
            b"{\"a\":\"\xff\"}",
            br#"{"a":1e999}"#,
            br#"{"a":NaN}"#,
            br#"{"a":01}"#,
            br#"{"a":1,}"#,
            b"{\"a\":\"\t\"}",
            b"",
        ];
        for bytes in refused {
            assert!(
                from_slice(bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(from_slice(nested(limits::JSON_DEPTH).as_bytes()).is_ok());
        assert!(from_slice(nested(limits::JSON_DEPTH + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_duplicate_name_is_told_from_a_text_that_speaks_of_one() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"\u0063":2,"c":1}}]"#] {
            let error = from_slice(text.as_bytes()).unwrap_err();
            assert!(matches!(error, StrictError::DuplicateName(_)), "{text}");
        }
        for text in ["{\"a\":1,\"a", "duplicate name", r#"{"duplicate name":}"#] {
            let error = from_slice(text.as_bytes()).unwrap_err();
            assert!(matches!(error, StrictError::Syntax(_)), "{text}");
        }
    }

    #[test]
    fn values_are_counted_outside_of_strings() {
        for (text, expected) in [("1", 1), ("[]", 2), (r#"{"a":[1,2],"b":"[,{\",["}"#, 5)] {
            assert_eq!(values(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_pruned_is_nested_no_deeper() {
        for (text, levels, expected) in [
            (
                r#"{"a":[1,{"b":"]}"}],"c":2}"#,
                3,
                r#"{"a":[1,{"b":"]}"}],"c":2}"#,
            ),
            (
                r#"{"a":[1,{"b":"]}\""}],"c":2}"#,
                2,
                r#"{"a":[1,null],"c":2}"#,
            ),
            (r#"{"a":[1,{"b":"]}"}],"c":2}"#, 1, r#"{"a":null,"c":2}"#),
            ("[[]]", 0, "null"),
        ] {
            let pruned = pruned(text.as_bytes(), levels);
            assert_eq!(String::from_utf8(pruned).unwrap(), expected);
        }
        let deep = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(9999), "]".repeat(9999));
        let value = from_slice(&pruned(deep.as_bytes(), limits::JSON_DEPTH)).unwrap();
        assert_eq!(value["b"], 1);
        assert!(nests_within(&value, limits::JSON_DEPTH));
    }

    #[test]
    fn reads_ordinary_json() {
        let text = r#" {"a":[1,-2,3.5,true,null,"\u2028\ud83d\ude00"],"b":{}} "#;
        let value = from_slice(text.as_bytes()).unwrap();
        assert_eq!(
            value,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }
}
