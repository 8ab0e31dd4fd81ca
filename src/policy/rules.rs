//! What a rule says, and reading rules so that a fault names its line and column.
//!
//! The visitors are written by hand: derived ones also take an array for an object and
//! `{"allow":null}` for `"allow"`, and only inside a visitor does an error still know its place.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::conditions::{When, WhenSeed};
use super::danger;
use super::fields::{Date, OneOf, Strings, Text};
use super::patterns::List;
use super::tool_names::ToolName;
use crate::contracts::approver;
use crate::contracts::call::Actor;
use crate::contracts::channel::ApprovalTerms;
use crate::contracts::limits;
use crate::contracts::secret;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::Category;

const EFFECTS: &[(&str, Decision)] = &[
    ("allow", Decision::Allow),
    ("deny", Decision::Deny),
    ("require", Decision::Require),
];

const ACTORS: &[(&str, Actor)] = &[
    ("session_owner", Actor::SessionOwner),
    ("claude_process", Actor::ClaudeProcess),
];

/// How far an approval may reach beyond its call, by a require rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionGrant {
    /// This call alone, however often it is asked about.
    Never,
    /// What exactly was asked about.
    Exact,
    /// That, or the narrow pattern around it.
    Pattern,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, distinct in the policy: 1 to [`limits::RULE_NAME_BYTES`] bytes.
    pub id: String,
    /// What it says about the calls it matches.
    pub effect: Decision,
    /// The tools it matches; `None` for all.
    pub(super) tools: Option<List<ToolName>>,
    /// The one actor it matches; `None` for all.
    pub actor: Option<Actor>,
    /// A label for approvers: 1 to [`limits::RULE_NAME_BYTES`] bytes.
    pub tier: Option<String>,
    /// Of rules with the same effect, the one with the highest priority speaks.
    pub priority: i64,
    /// Why, for people: 1 to [`limits::REASON_BYTES`] bytes.
    pub reason: Option<String>,
    /// What the model should do instead: 1 to [`limits::REASON_BYTES`] bytes.
    pub instead: Option<String>,
    /// For whoever keeps the policy: 1 to [`limits::REASON_BYTES`] bytes.
    pub note: Option<String>,
    /// The last day of an allow, `2026-12-31`.
    pub until: Option<String>,
    /// What a require rule asks of an approval.
    pub approval: ApprovalTerms,
    /// Whether an approval may hold for the session; `None` where a require rule does not say.
    pub session_grant: Option<SessionGrant>,
    /// Who may approve, people or groups; empty: whoever the channel asks.
    pub approvers: Vec<String>,
    /// Secrets by name, `*` for every one. An allow rule lets a call use these and no others, and
    /// none where it names none; another rule that names some is about calls that use one of them.
    pub secrets: Option<Vec<String>>,
    /// Categories of danger that an allow covers where it chooses the atom.
    pub(super) danger: Vec<Category>,
    /// What it is about.
    pub(super) when: Option<When>,
}

impl Rule {
    /// The tools that it names, as written; none where it speaks about all.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        let lists = self.tools.iter();
        lists.flat_map(|list| list.included.iter().map(ToolName::as_str))
    }

    /// Whether it looks at what a call does, not only at who calls what.
    #[must_use]
    pub fn looks(&self) -> bool {
        self.when.is_some()
    }

    /// Whether it asks for arguments: what they are is then a part of what it is about.
    pub(super) fn looks_at_args(&self) -> bool {
        self.when.as_ref().is_some_and(|when| !when.args.is_empty())
    }

    /// Whether it chooses atoms.
    pub(super) fn chooses(&self) -> bool {
        self.when.as_ref().is_some_and(When::chooses)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum RuleField {
    Id,
    Effect,
    Tool,
    Actor,
    Tier,
    Priority,
    Reason,
    Instead,
    Note,
    Until,
    ApprovalsRequired,
    SessionGrant,
    Approvers,
    Secrets,
    Danger,
    When,
}

/// Reads the rules.
pub(super) struct RuleList;

impl<'de> DeserializeSeed<'de> for RuleList {
    type Value = Vec<Rule>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Rule>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RuleList {
    type Value = Vec<Rule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Rule>, A::Error> {
        let mut rules = Vec::new();
        let mut taken = HashSet::new();
        while let Some(rule) = seq.next_element_seed(RuleSeed { taken: &taken })? {
            if rules.len() == limits::POLICY_RULES {
                return Err(de::Error::custom(format_args!(
                    "more than {} rules",
                    limits::POLICY_RULES
                )));
            }
            taken.insert(rule.id.clone());
            rules.push(rule);
        }
        Ok(rules)
    }
}

struct RuleSeed<'a> {
    taken: &'a HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for RuleSeed<'_> {
    type Value = Rule;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rule, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RuleSeed<'_> {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Rule, A::Error> {
        let (mut id, mut effect) = (None, None);
        let mut rule = Rule {
            id: String::new(),
            effect: Decision::Deny,
            tools: None,
            actor: None,
            tier: None,
            priority: 0,
            reason: None,
            instead: None,
            note: None,
            until: None,
            approval: ApprovalTerms::default(),
            session_grant: None,
            approvers: Vec::new(),
            secrets: None,
            danger: Vec::new(),
            when: None,
        };
        let long = |field| Text {
            max: limits::REASON_BYTES,
            ..Text::name(field)
        };
        while let Some(field) = access.next_key()? {
            match field {
                RuleField::Id => {
                    id = Some(access.next_value_seed(Text {
                        taken: Some(self.taken),
                        ..Text::name("id")
                    })?);
                }
                RuleField::Effect => {
                    effect = Some(access.next_value_seed(OneOf("effect", EFFECTS))?);
                }
                RuleField::Tool => rule.tools = Some(access.next_value_seed(Tools)?),
                RuleField::Actor => {
                    rule.actor = Some(access.next_value_seed(OneOf("actor", ACTORS))?);
                }
                RuleField::ApprovalsRequired => {
                    rule.approval.required = Some(access.next_value_seed(People)?);
                }
                RuleField::SessionGrant => {
                    rule.session_grant = Some(access.next_value_seed(GrantKind)?);
                }
                RuleField::Approvers => {
                    rule.approvers = access.next_value_seed(Strings {
                        field: "approvers as an array",
                        max: limits::SLACK_APPROVERS,
                        of: || Text::name("an approver"),
                    })?;
                    let mut names = rule.approvers.iter();
                    if let Some(name) = names.find(|name| !approver::is_name(name)) {
                        return Err(de::Error::custom(format_args!(
                            "{name:?} is no approver: write U0ALICE, user:alice or @group"
                        )));
                    }
                }
                RuleField::Secrets => rule.secrets = Some(access.next_value_seed(SecretNames)?),
                RuleField::Danger => {
                    let names = access.next_value_seed(Strings {
                        field: "danger as an array",
                        max: danger::CATEGORIES.len(),
                        of: || Text::name("a category"),
                    })?;
                    let categories = names.iter().map(|name| danger::category(name));
                    rule.danger = categories.collect::<Result<_, A::Error>>()?;
                }
                RuleField::When => rule.when = Some(access.next_value_seed(WhenSeed)?),
                RuleField::Tier => rule.tier = Some(access.next_value_seed(Text::name("tier"))?),
                RuleField::Priority => rule.priority = access.next_value()?,
                RuleField::Reason => rule.reason = Some(access.next_value_seed(long("reason"))?),
                RuleField::Instead => rule.instead = Some(access.next_value_seed(long("instead"))?),
                RuleField::Note => rule.note = Some(access.next_value_seed(long("note"))?),
                RuleField::Until => rule.until = Some(access.next_value_seed(Date)?),
            }
        }
        let allow = effect == Some(Decision::Allow);
        let terms = rule.approval != ApprovalTerms::default()
            || rule.session_grant.is_some()
            || !rule.approvers.is_empty();
        if effect != Some(Decision::Require) && terms {
            return Err(de::Error::custom(
                "approvalsRequired, sessionGrant and approvers need effect \"require\"",
            ));
        }
        if !allow && (rule.until.is_some() || !rule.danger.is_empty()) {
            return Err(de::Error::custom("until and danger need effect \"allow\""));
        }
        if rule.danger.contains(&Category::Tampering) {
            return Err(de::Error::custom("tampering is always denied"));
        }
        rule.id = id.ok_or_else(|| de::Error::missing_field("id"))?;
        rule.effect = effect.ok_or_else(|| de::Error::missing_field("effect"))?;
        if rule.tools.is_none() && !rule.chooses() {
            return Err(de::Error::missing_field("tool"));
        }
        Ok(rule)
    }
}

/// One tool, or a list of them.
struct Tools;

impl<'de> DeserializeSeed<'de> for Tools {
    type Value = List<ToolName>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Tools {
    fn add<E: de::Error>(list: &mut List<ToolName>, text: &str) -> Result<(), E> {
        let (excluded, name) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let name = ToolName::parse(name).map_err(E::custom)?;
        match excluded {
            true => list.excluded.push(name),
            false => list.included.push(name),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Tools {
    type Value = List<ToolName>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tool as a string of 1 to {} bytes, or an array of 1 to {} of them",
            limits::RULE_NAME_BYTES,
            limits::RULE_COMMANDS
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let text = Text::name("tool").visit_str::<E>(text)?;
        let mut list = List {
            included: Vec::new(),
            excluded: Vec::new(),
        };
        Self::add(&mut list, &text)?;
        Ok(list)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = List {
            included: Vec::new(),
            excluded: Vec::new(),
        };
        let mut count = 0;
        while let Some(text) = seq.next_element_seed(Text::name("tool"))? {
            count += 1;
            if count > limits::RULE_COMMANDS {
                return Err(de::Error::invalid_length(count, &self));
            }
            Self::add(&mut list, &text)?;
        }
        match count {
            0 => Err(de::Error::invalid_length(0, &self)),
            _ => Ok(list),
        }
    }
}

/// Names of secrets, or `*` for all.
struct SecretNames;

impl<'de> DeserializeSeed<'de> for SecretNames {
    type Value = Vec<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for SecretNames {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "secrets as an array of names, at most {}",
            limits::SECRETS
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element_seed(Text::name("a secret's name"))? {
            if name != ANY_SECRET && !secret::is_name(&name) {
                return Err(de::Error::custom(format_args!(
                    "{name:?} is not a secret name (capitals, digits and _, or *)"
                )));
            }
            names.push(name);
            if names.len() > limits::SECRETS {
                return Err(de::Error::invalid_length(names.len(), &self));
            }
        }
        Ok(names)
    }
}

/// Whether an approval may hold for the session.
struct GrantKind;

impl<'de> DeserializeSeed<'de> for GrantKind {
    type Value = SessionGrant;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SessionGrant, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for GrantKind {
    type Value = SessionGrant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sessionGrant as true, false or \"pattern\"")
    }

    fn visit_bool<E: de::Error>(self, offered: bool) -> Result<SessionGrant, E> {
        Ok(match offered {
            true => SessionGrant::Exact,
            false => SessionGrant::Never,
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SessionGrant, E> {
        match text {
            "pattern" => Ok(SessionGrant::Pattern),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// Stands for every secret.
pub(super) const ANY_SECRET: &str = "*";

/// A number of people.
struct People;

impl<'de> DeserializeSeed<'de> for People {
    type Value = u32;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_u32(self)
    }
}

impl Visitor<'_> for People {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "approvalsRequired from 1 to {}", limits::SLACK_APPROVERS)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
        let people = usize::try_from(number).unwrap_or(usize::MAX);
        if !(1..=limits::SLACK_APPROVERS).contains(&people) {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        u32::try_from(number).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
