//! What a rule asks of a call's arguments: `when`, read strictly.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::fields::Text;
use super::shell_words::Pattern;
use crate::contracts::limits;

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum WhenField {
    Command,
}

/// What must hold of a call's arguments.
pub(super) struct When;

impl<'de> DeserializeSeed<'de> for When {
    type Value = Vec<Pattern>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Pattern>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for When {
    type Value = Vec<Pattern>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("when as an object with command")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<Pattern>, A::Error> {
        let mut commands = None;
        while let Some(WhenField::Command) = access.next_key()? {
            commands = Some(access.next_value_seed(Patterns)?);
        }
        commands.ok_or_else(|| de::Error::missing_field("command"))
    }
}

/// Commands, at least one.
struct Patterns;

impl<'de> DeserializeSeed<'de> for Patterns {
    type Value = Vec<Pattern>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Pattern>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Patterns {
    type Value = Vec<Pattern>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "command as an array of 1 to {} commands",
            limits::RULE_COMMANDS
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Pattern>, A::Error> {
        let mut patterns = Vec::new();
        let text = || Text {
            max: limits::RULE_COMMAND_BYTES,
            ..Text::name("a command")
        };
        while let Some(command) = seq.next_element_seed(text())? {
            let pattern = Pattern::parse(&command).map_err(|wanted| {
                de::Error::custom(format_args!(
                    "{command:?} is an unsupported pattern: {wanted}"
                ))
            })?;
            patterns.push(pattern);
            if patterns.len() > limits::RULE_COMMANDS {
                return Err(de::Error::invalid_length(patterns.len(), &self));
            }
        }
        if patterns.is_empty() {
            return Err(de::Error::invalid_length(0, &self));
        }
        Ok(patterns)
    }
}
