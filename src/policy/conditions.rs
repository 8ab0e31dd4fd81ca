//! What a rule asks of a call: `when`, read strictly.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::arguments::{Pointer, Scalar};
use super::fields::{Strings, Text};
use super::glob::Glob;
use super::patterns::command::Command;
use super::patterns::host::Host;
use super::patterns::path::Path;
use super::patterns::{List, PatternError};
use crate::contracts::limits;
use crate::reading::atoms::CodeClass;

const CLASSES: [(&str, CodeClass); 4] = [
    ("repo", CodeClass::Repo),
    ("inline", CodeClass::Inline),
    ("unknown", CodeClass::Unknown),
    ("fetched", CodeClass::Fetched),
];

/// What must hold of a call, and which of its atoms a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct When {
    pub(super) command: Option<List<Command>>,
    pub(super) read: Option<List<Path>>,
    pub(super) write: Option<List<Path>>,
    /// Read or written.
    pub(super) path: Option<List<Path>>,
    pub(super) host: Option<List<Host>>,
    pub(super) code: Option<List<CodeClass>>,
    pub(super) args: Vec<(Pointer, List<Glob>)>,
    pub(super) directory: Option<List<Path>>,
    pub(super) branch: Option<List<Glob>>,
    pub(super) confined: Option<bool>,
}

impl When {
    /// Whether it chooses atoms; the rest are conditions.
    pub(super) fn chooses(&self) -> bool {
        self.command.is_some() || self.chooses_by_use()
    }

    /// Whether it chooses by what is done.
    pub(super) fn chooses_by_use(&self) -> bool {
        self.paths().next().is_some() || self.host.is_some() || self.code.is_some()
    }

    /// The lists of paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &List<Path>> {
        [&self.read, &self.write, &self.path].into_iter().flatten()
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum WhenField {
    Command,
    Read,
    Write,
    Path,
    Host,
    Code,
    Args,
    Directory,
    Branch,
    Confined,
}

/// Reads `when`.
pub(super) struct WhenSeed;

impl<'de> DeserializeSeed<'de> for WhenSeed {
    type Value = When;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<When, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WhenSeed {
    type Value = When;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "when as an object with command, read, write, path, host, code, args, directory, branch or confined",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<When, A::Error> {
        let mut when = When::default();
        let mut empty = true;
        while let Some(field) = access.next_key()? {
            empty = false;
            match field {
                WhenField::Command => {
                    when.command = Some(access.next_value_seed(Patterns::new(
                        "command",
                        "commands",
                        Command::parse,
                    ))?);
                }
                WhenField::Read => when.read = Some(access.next_value_seed(paths("read"))?),
                WhenField::Write => when.write = Some(access.next_value_seed(paths("write"))?),
                WhenField::Path => when.path = Some(access.next_value_seed(paths("path"))?),
                WhenField::Host => {
                    when.host = Some(access.next_value_seed(Patterns::new(
                        "host",
                        "hosts",
                        Host::parse,
                    ))?);
                }
                WhenField::Code => {
                    when.code =
                        Some(access.next_value_seed(Patterns::new("code", "classes", class))?);
                }
                WhenField::Args => when.args = access.next_value_seed(Arguments)?,
                WhenField::Directory => {
                    when.directory = Some(access.next_value_seed(paths("directory"))?);
                }
                WhenField::Branch => {
                    when.branch =
                        Some(access.next_value_seed(Patterns::new("branch", "names", name))?);
                }
                WhenField::Confined => when.confined = Some(access.next_value()?),
            }
        }
        if empty {
            return Err(de::Error::custom(
                "missing field `command`, or another of when: an empty when asks nothing",
            ));
        }
        Ok(when)
    }
}

fn paths(field: &'static str) -> Patterns<Path> {
    Patterns::new(field, "paths", Path::parse)
}

fn class(text: &str) -> Result<CodeClass, PatternError> {
    let class = CLASSES.iter().find(|(name, _)| *name == text);
    class.map(|(_, class)| *class).ok_or_else(|| {
        let wrong = "the classes of code are repo, inline, unknown, fetched";
        PatternError::Class(text.to_owned(), wrong)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "as the other readers of patterns")]
fn name(text: &str) -> Result<Glob, PatternError> {
    Ok(Glob::new(text))
}

/// A list of patterns, one at least; `!` takes out.
struct Patterns<T> {
    field: &'static str,
    what: &'static str,
    parse: fn(&str) -> Result<T, PatternError>,
}

impl<T> Patterns<T> {
    fn new(
        field: &'static str,
        what: &'static str,
        parse: fn(&str) -> Result<T, PatternError>,
    ) -> Self {
        Self { field, what, parse }
    }
}

impl<'de, T> DeserializeSeed<'de> for Patterns<T> {
    type Value = List<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T> Visitor<'de> for Patterns<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, what, .. } = self;
        write!(
            f,
            "{field} as an array of 1 to {} {what}",
            limits::RULE_COMMANDS
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut list = List {
            included: Vec::new(),
            excluded: Vec::new(),
        };
        let mut count = 0;
        let text = || Text {
            max: limits::RULE_COMMAND_BYTES,
            ..Text::name("a pattern")
        };
        while let Some(text) = seq.next_element_seed(text())? {
            count += 1;
            if count > limits::RULE_COMMANDS {
                return Err(de::Error::invalid_length(count, &self));
            }
            let (excluded, pattern) = match text.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, text.as_str()),
            };
            let pattern = (self.parse)(pattern).map_err(de::Error::custom)?;
            match excluded {
                true => list.excluded.push(pattern),
                false => list.included.push(pattern),
            }
        }
        if count == 0 {
            return Err(de::Error::invalid_length(0, &self));
        }
        Ok(list)
    }
}

/// JSON pointers with what may stand there.
struct Arguments;

impl<'de> DeserializeSeed<'de> for Arguments {
    type Value = Vec<(Pointer, List<Glob>)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Arguments {
    type Value = Vec<(Pointer, List<Glob>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "args as an object of 1 to {} JSON pointers with lists of values",
            limits::RULE_COMMANDS
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while let Some(pointer) = access.next_key_seed(PointerSeed)? {
            args.push((pointer, access.next_value_seed(Scalars)?));
            if args.len() > limits::RULE_COMMANDS {
                return Err(de::Error::invalid_length(args.len(), &self));
            }
        }
        match args.is_empty() {
            true => Err(de::Error::invalid_length(0, &self)),
            false => Ok(args),
        }
    }
}

/// JSON pointers as text: one, or a list.
pub(super) struct PointerText;

impl<'de> DeserializeSeed<'de> for PointerText {
    type Value = Vec<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PointerText {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON pointer or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
        Pointer::parse(text).map_err(E::custom)?;
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut pointers = Vec::new();
        while let Some(text) = seq.next_element_seed(Text {
            max: limits::RULE_COMMAND_BYTES,
            ..Text::name("a JSON pointer")
        })? {
            Pointer::parse(&text).map_err(de::Error::custom)?;
            pointers.push(text);
            if pointers.len() > limits::RULE_COMMANDS {
                return Err(de::Error::invalid_length(pointers.len(), &self));
            }
        }
        match pointers.is_empty() {
            true => Err(de::Error::invalid_length(0, &self)),
            false => Ok(pointers),
        }
    }
}

/// A JSON pointer.
pub(super) struct PointerSeed;

impl<'de> DeserializeSeed<'de> for PointerSeed {
    type Value = Pointer;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Pointer, D::Error> {
        let text = Text {
            max: limits::RULE_COMMAND_BYTES,
            ..Text::name("a JSON pointer")
        };
        let text = text.deserialize(deserializer)?;
        Pointer::parse(&text).map_err(de::Error::custom)
    }
}

/// Values of an argument: strings as patterns, numbers and truth values as they are written.
struct Scalars;

impl<'de> DeserializeSeed<'de> for Scalars {
    type Value = List<Glob>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<Glob>, D::Error> {
        let scalars = Strings {
            field: "a list of values",
            max: limits::RULE_COMMANDS,
            of: || Scalar,
        };
        let mut list = List {
            included: Vec::new(),
            excluded: Vec::new(),
        };
        for (excluded, glob) in scalars.deserialize(deserializer)? {
            match excluded {
                true => list.excluded.push(glob),
                false => list.included.push(glob),
            }
        }
        Ok(list)
    }
}
