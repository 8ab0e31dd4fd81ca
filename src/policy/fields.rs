//! The values a rule's fields can hold, checked while they are read.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Unexpected, Visitor};

use crate::contracts::limits;

/// A bounded text for people, and with `taken` one that must be new.
pub(super) struct Text<'a> {
    pub(super) field: &'static str,
    pub(super) max: usize,
    pub(super) taken: Option<&'a HashSet<String>>,
}

impl Text<'_> {
    /// A rule's id, tool or tier.
    pub(super) fn name(field: &'static str) -> Self {
        Self {
            field,
            max: limits::RULE_NAME_BYTES,
            taken: None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as a string of 1 to {} bytes", self.field, self.max)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if text.is_empty() || text.len() > self.max {
            return Err(E::invalid_length(text.len(), &self));
        }
        if text.contains(char::is_control) {
            return Err(E::custom(format_args!(
                "{} has a control character",
                self.field
            )));
        }
        if self.taken.is_some_and(|taken| taken.contains(text)) {
            return Err(E::custom(format_args!("duplicate rule id {text:?}")));
        }
        Ok(text.to_owned())
    }
}

/// A field's name, and the words it can hold with what they mean.
pub(super) struct OneOf<T: 'static>(
    pub(super) &'static str,
    pub(super) &'static [(&'static str, T)],
);

impl<'de, T: Copy> DeserializeSeed<'de> for OneOf<T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: Copy> Visitor<'_> for OneOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be one of", self.0)?;
        self.1.iter().try_for_each(|(word, _)| write!(f, " {word}"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.1
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
