//! The values a rule's fields can hold, checked while they are read.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Unexpected, Visitor};

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

/// A list of values, one at least.
pub(super) struct Strings<F> {
    pub(super) field: &'static str,
    pub(super) max: usize,
    /// Makes the reader of one.
    pub(super) of: F,
}

impl<'de, S: DeserializeSeed<'de>, F: Fn() -> S> DeserializeSeed<'de> for Strings<F> {
    type Value = Vec<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(StringsVisitor(self, PhantomData))
    }
}

struct StringsVisitor<S, F>(Strings<F>, PhantomData<S>);

impl<'de, S: DeserializeSeed<'de>, F: Fn() -> S> Visitor<'de> for StringsVisitor<S, F> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of 1 to {}", self.0.field, self.0.max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed((self.0.of)())? {
            values.push(value);
            if values.len() > self.0.max {
                return Err(de::Error::invalid_length(values.len(), &self));
            }
        }
        match values.is_empty() {
            true => Err(de::Error::invalid_length(0, &self)),
            false => Ok(values),
        }
    }
}

/// A day, `2026-12-31`.
pub(super) struct Date;

impl<'de> DeserializeSeed<'de> for Date {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Date {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("until as a day, such as 2026-12-31")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        let shape = text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        let number = |from, to| text.get(from..to).and_then(|part| part.parse::<u32>().ok());
        let days = match number(5, 7) {
            Some(4 | 6 | 9 | 11) => 30,
            Some(2) => 29,
            Some(1..=12) => 31,
            _ => 0,
        };
        let day = number(8, 10).is_some_and(|day| (1..=days).contains(&day));
        match shape && text.len() == 10 && day {
            true => Ok(text.to_owned()),
            false => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}
