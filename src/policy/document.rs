//! A whole policy file, read strictly. Duplicate names in one object are `strict_json`'s to refuse.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::conditions::PointerText;
use super::danger::{Danger, DangerSeed};
use super::fields::{OneOf, Strings, Text};
use super::rules::{Rule, RuleList};
use crate::contracts::limits;
use crate::contracts::verdict::Decision;
use crate::reading::tools::{Declared, DeclaredTool};

/// What a policy says where no rule matches.
const OTHERWISE: &[(&str, Decision)] = &[("deny", Decision::Deny), ("require", Decision::Require)];
/// What a policy says where it is not known which program runs.
const UNREAD: &[(&str, Decision)] = &[
    ("deny", Decision::Deny),
    ("require", Decision::Require),
    ("allow", Decision::Allow),
];

/// A policy as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pub(super) otherwise: Option<Decision>,
    pub(super) unread: Option<Decision>,
    pub(super) danger: Option<Danger>,
    pub(super) rules: Vec<Rule>,
    /// The shipped policy that it changes.
    pub(super) base: Option<String>,
    /// Rules of that which it leaves out.
    pub(super) drop: Vec<String>,
    pub(super) tools: Declared,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum DocumentField {
    Otherwise,
    Unread,
    Danger,
    Rules,
    Base,
    Drop,
    Tools,
    #[serde(rename = "$schema")]
    Schema,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let mut rules = None;
        while let Some(field) = access.next_key()? {
            match field {
                DocumentField::Rules => rules = Some(access.next_value_seed(RuleList)?),
                DocumentField::Otherwise => {
                    document.otherwise =
                        Some(access.next_value_seed(OneOf("otherwise", OTHERWISE))?);
                }
                DocumentField::Unread => {
                    document.unread = Some(access.next_value_seed(OneOf("unread", UNREAD))?);
                }
                DocumentField::Danger => {
                    document.danger = Some(access.next_value_seed(DangerSeed)?);
                }
                DocumentField::Base => {
                    document.base = Some(access.next_value_seed(Text::name("base"))?);
                }
                DocumentField::Drop => {
                    document.drop = access.next_value_seed(Strings {
                        field: "drop as an array of ids",
                        max: limits::POLICY_RULES,
                        of: || Text::name("an id"),
                    })?;
                }
                DocumentField::Tools => document.tools = access.next_value_seed(ToolFacts)?,
                // For editors.
                DocumentField::Schema => {
                    access.next_value_seed(Text {
                        max: limits::RULE_COMMAND_BYTES,
                        ..Text::name("$schema")
                    })?;
                }
            }
        }
        if document.base.is_none() && !document.drop.is_empty() {
            return Err(de::Error::custom("drop needs base"));
        }
        document.rules = match (rules, &document.base) {
            (Some(rules), _) => rules,
            (None, Some(_)) => Vec::new(),
            (None, None) => return Err(de::Error::missing_field("rules")),
        };
        Ok(document)
    }
}

/// What arguments of tools are that agp does not know.
struct ToolFacts;

impl<'de> DeserializeSeed<'de> for ToolFacts {
    type Value = Declared;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Declared, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ToolFacts {
    type Value = Declared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tools as an object of tools with what their arguments are")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Declared, A::Error> {
        let mut declared = Declared::new();
        while let Some(tool) = access.next_key_seed(Text::name("a tool"))? {
            if crate::reading::known_tools::named(&tool).is_some() {
                return Err(de::Error::custom(format_args!(
                    "{tool:?}: agp knows this tool's arguments"
                )));
            }
            if tool.contains('*') {
                return Err(de::Error::custom(format_args!("{tool:?}: name one tool")));
            }
            declared.insert(tool, access.next_value_seed(Facts)?);
            if declared.len() > limits::DECLARED_TOOLS {
                return Err(de::Error::custom(format_args!(
                    "more than {} tools",
                    limits::DECLARED_TOOLS
                )));
            }
        }
        Ok(declared)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Fact {
    Read,
    Write,
    Host,
    Command,
}

struct Facts;

impl<'de> DeserializeSeed<'de> for Facts {
    type Value = DeclaredTool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DeclaredTool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Facts {
    type Value = DeclaredTool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read, write, host or command with a JSON pointer or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<DeclaredTool, A::Error> {
        let mut tool = DeclaredTool::default();
        while let Some(fact) = access.next_key()? {
            let pointers = access.next_value_seed(PointerText)?;
            match fact {
                Fact::Read => tool.read = pointers,
                Fact::Write => tool.write = pointers,
                Fact::Host => tool.host = pointers,
                Fact::Command => tool.command = pointers,
            }
        }
        match tool == DeclaredTool::default() {
            true => Err(de::Error::custom("missing field `write`, or another fact")),
            false => Ok(tool),
        }
    }
}
