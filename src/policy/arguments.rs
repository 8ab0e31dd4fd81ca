//! A call's arguments by JSON pointer.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde_json::{Map, Value};

use super::glob::Glob;
use super::patterns::{List, PatternError};
use crate::contracts::limits;

/// Values that one pointer with `*` reaches at most; beyond, they are not known.
const REACHED: usize = 1000;

/// A JSON pointer (RFC 6901), in which `*` is any member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |wrong| PatternError::Pointer(text.to_owned(), wrong);
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| error("a JSON pointer begins with /"))?;
        let names = rest.split('/').map(|name| {
            let escapes = name.matches('~').count();
            let known = name.matches("~0").count() + name.matches("~1").count();
            match escapes == known {
                true => Ok(name.replace("~1", "/").replace("~0", "~")),
                false => Err(error("write ~0 for ~ and ~1 for /")),
            }
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }

    /// What it points to; `None` where that is more than anybody looks at.
    #[must_use]
    pub fn values<'a>(&self, args: &'a Map<String, Value>) -> Option<Vec<&'a Value>> {
        let mut names = self.0.iter();
        let mut reached: Vec<&Value> = match names.next().map(String::as_str) {
            None => return Some(Vec::new()),
            Some("*") => args.values().collect(),
            Some(name) => args.get(name).into_iter().collect(),
        };
        for name in names {
            let mut next = Vec::new();
            for value in reached {
                match (value, name.as_str()) {
                    (Value::Object(map), "*") => next.extend(map.values()),
                    (Value::Object(map), name) => next.extend(map.get(name)),
                    (Value::Array(items), "*") => next.extend(items),
                    (Value::Array(items), at) => {
                        next.extend(at.parse::<usize>().ok().and_then(|at| items.get(at)));
                    }
                    _ => {}
                }
                if next.len() > REACHED {
                    return None;
                }
            }
            reached = next;
        }
        // An array stands for what is in it.
        let mut values = Vec::new();
        for value in reached {
            match value {
                Value::Array(items) => values.extend(items),
                value => values.push(value),
            }
        }
        (values.len() <= REACHED).then_some(values)
    }
}

impl List<Glob> {
    /// Whether a name is in the list.
    pub(super) fn names(&self, name: &str) -> bool {
        let matches = |own: &Glob| own.matches(name);
        self.has(matches, matches)
    }

    /// Whether values are in the list: for an allow all, for a deny or require any. Absent ones are not.
    pub(super) fn hold(&self, values: Option<Vec<&Value>>, allow: bool) -> bool {
        let Some(values) = values else { return !allow };
        let mut texts = values.iter().map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            // An object, or an array in an array, is no scalar.
            Value::Array(_) | Value::Object(_) => None,
        });
        match allow {
            true => {
                !values.is_empty() && texts.all(|text| text.is_some_and(|text| self.names(&text)))
            }
            false => texts.any(|text| text.is_none_or(|text| self.names(&text))),
        }
    }
}

/// A value of a list: whether it is an exclusion, and its pattern.
pub(super) struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = (bool, Glob);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar {
    type Value = (bool, Glob);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, true or false")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.len() > limits::RULE_COMMAND_BYTES {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(match text.strip_prefix('!') {
            Some(rest) => (true, Glob::new(rest)),
            None => (false, Glob::new(text)),
        })
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok((false, Glob::new(&value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok((false, Glob::new(&value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok((false, Glob::new(&value.to_string())))
    }
}
