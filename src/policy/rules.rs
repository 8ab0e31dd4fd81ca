//! What a rule says, and reading rules so that a fault names its line and column.
//!
//! The visitors are written by hand: derived ones also take an array for an object and
//! `{"allow":null}` for `"allow"`, and only inside a visitor does an error still know its place.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::conditions::When;
use super::fields::{OneOf, Text};
use super::glob::Glob;
use super::shell_words::Pattern;
use crate::contracts::call::Actor;
use crate::contracts::channel::ApprovalTerms;
use crate::contracts::limits;
use crate::contracts::secret;
use crate::contracts::verdict::Decision;

const EFFECTS: &[(&str, Decision)] = &[
    ("allow", Decision::Allow),
    ("deny", Decision::Deny),
    ("require", Decision::Require),
];

const ACTORS: &[(&str, Actor)] = &[
    ("session_owner", Actor::SessionOwner),
    ("claude_process", Actor::ClaudeProcess),
];

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, distinct in the policy: 1 to [`limits::RULE_NAME_BYTES`] bytes.
    pub id: String,
    /// What it says about the calls it matches.
    pub effect: Decision,
    /// The tools it matches.
    pub tool: Glob,
    /// The one actor it matches; `None` for all.
    pub actor: Option<Actor>,
    /// A label for approvers: 1 to [`limits::RULE_NAME_BYTES`] bytes.
    pub tier: Option<String>,
    /// Of rules with the same effect, the one with the highest priority speaks.
    pub priority: i64,
    /// Why, for people: 1 to [`limits::REASON_BYTES`] bytes.
    pub reason: Option<String>,
    /// What a require rule asks of an approval.
    pub approval: ApprovalTerms,
    /// Commands that it is about, where it names some. An allow rule holds for no other; another rule
    /// holds for those that cannot be read with certainty, too.
    pub(super) commands: Option<Vec<Pattern>>,
    /// Secrets by name, `*` for every one. An allow rule lets a call use these and no others, and
    /// none where it names none; another rule that names some is about calls that use one of them.
    pub secrets: Option<Vec<String>>,
}

/// A whole policy file. Duplicate names in one object are `strict_json`'s to refuse.
pub(super) struct Document(pub(super) Vec<Rule>);

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum DocumentField {
    Rules,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum RuleField {
    Id,
    Effect,
    Tool,
    Actor,
    Tier,
    Priority,
    Reason,
    #[serde(rename = "approvalsRequired")]
    ApprovalsRequired,
    #[serde(rename = "sessionGrant")]
    SessionGrant,
    Secrets,
    When,
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
        let mut rules = None;
        while let Some(DocumentField::Rules) = access.next_key()? {
            rules = Some(access.next_value_seed(RuleList)?);
        }
        rules
            .map(Document)
            .ok_or_else(|| de::Error::missing_field("rules"))
    }
}

struct RuleList;

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
        let (mut id, mut effect, mut tool) = (None, None, None);
        let (mut actor, mut tier, mut priority, mut reason) = (None, None, None, None);
        let mut approval = ApprovalTerms::default();
        let (mut secrets, mut commands) = (None, None);
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
                RuleField::Tool => tool = Some(access.next_value_seed(Text::name("tool"))?),
                RuleField::Actor => {
                    actor = Some(access.next_value_seed(OneOf("actor", ACTORS))?);
                }
                RuleField::ApprovalsRequired => {
                    approval.required = Some(access.next_value_seed(People)?);
                }
                RuleField::SessionGrant => approval.for_session = access.next_value()?,
                RuleField::Secrets => secrets = Some(access.next_value_seed(SecretNames)?),
                RuleField::When => commands = Some(access.next_value_seed(When)?),
                RuleField::Tier => tier = Some(access.next_value_seed(Text::name("tier"))?),
                RuleField::Priority => priority = Some(access.next_value()?),
                RuleField::Reason => {
                    reason = Some(access.next_value_seed(Text {
                        max: limits::REASON_BYTES,
                        ..Text::name("reason")
                    })?);
                }
            }
        }
        if effect != Some(Decision::Require) && approval != ApprovalTerms::default() {
            return Err(de::Error::custom(
                "approvalsRequired and sessionGrant need effect \"require\"",
            ));
        }
        if commands.is_some() && tool.as_deref() != Some(SHELL) {
            return Err(de::Error::custom(format_args!(
                "when.command needs tool {SHELL:?}"
            )));
        }
        Ok(Rule {
            id: id.ok_or_else(|| de::Error::missing_field("id"))?,
            effect: effect.ok_or_else(|| de::Error::missing_field("effect"))?,
            tool: Glob::new(&tool.ok_or_else(|| de::Error::missing_field("tool"))?),
            actor,
            tier,
            priority: priority.unwrap_or(0),
            reason,
            approval,
            commands,
            secrets,
        })
    }
}

/// The tool that runs commands, by every harness's name for it.
pub(super) const SHELL: &str = "Bash";
/// Tools of one harness that run commands as well: Claude Code's, which tells its model of each line
/// that a command prints.
pub(super) const OTHER_SHELLS: [&str; 1] = ["Monitor"];

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
mod tests {
    use crate::contracts::limits;
    use crate::policy::Policy;

    fn refusal(text: &str) -> String {
        Policy::parse(text.as_bytes()).expect_err(text).to_string()
    }

    /// A policy of three lines whose rule on line 2 has these fields.
    fn rule(fields: &str) -> String {
        format!("{{\"rules\":[\n  {{{fields}}}\n]}}")
    }

    #[test]
    fn a_whole_rule_is_read() {
        let text = rule(
            r#""id":"a","effect":"require","tool":"mcp__*","actor":"claude_process","tier":"t","priority":-3,"reason":"r""#,
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let rule = &policy.rules()[0];
        assert_eq!((rule.id.as_str(), rule.priority), ("a", -3));
        assert_eq!(rule.tool.as_str(), "mcp__*");
        assert_eq!(rule.tier.as_deref(), Some("t"));
        assert_eq!(rule.reason.as_deref(), Some("r"));
    }

    #[test]
    fn a_fault_is_reported_at_its_line_and_column() {
        let long = "n".repeat(limits::RULE_NAME_BYTES + 1);
        // The caret stands where reading should stop.
        for (marked, problem) in [
            (
                r#""effect":"permit"^,"tool":"*""#,
                r#"invalid value: string "permit", expected effect to be one of allow deny require"#,
            ),
            (r#""id":"a","efect"^:"allow""#, "unknown field `efect`"),
            (r#""id":"a","when":{}^"#, "missing field `command`"),
            (r#""when":{"path"^:["a"]}"#, "unknown field `path`"),
            (r#""when":^["a"]"#, "invalid type: sequence"),
            (r#""when":{"command":"a"^}"#, "invalid type: string"),
            (r#""when":{"command":[]^}"#, "invalid length 0"),
            (
                r#""when":{"command":["a;b"]^}"#,
                "\"a;b\" is an unsupported pattern: use one program and its arguments",
            ),
            (
                r#""when":{"command":["*"]^}"#,
                "\"*\" is an unsupported pattern: the program name cannot contain *",
            ),
            (r#""id":""^,"effect":"allow""#, "invalid length 0"),
            (r#""id":7^,"tool":"*""#, "invalid type: integer `7`"),
            (r#""tool":"a\u0007"^"#, "tool has a control character"),
            (r#""id":"a","tier":null^"#, "invalid type: null"),
            (r#""priority":1.0^"#, "invalid type: floating point"),
            (r#""effect":^{"allow":null}"#, "invalid type: map"),
            (&format!(r#""id":"{long}"^"#), "invalid length 129"),
            (
                r#""approvalsRequired":0^"#,
                "invalid value: integer `0`, expected approvalsRequired from 1 to 100",
            ),
            (r#""approvalsRequired":-1^"#, "invalid type: integer `-1`"),
            (r#""sessionGrant":"yes"^"#, "invalid type: string"),
            (r#""secrets":"A"^"#, "invalid type: string"),
            (r#""secrets":["a"]^"#, "\"a\" is not a secret name"),
            (r#""secrets":[7^]"#, "invalid type: integer `7`"),
        ] {
            let column = 3 + marked.find('^').unwrap();
            let fields = marked.replace('^', "");
            let shown = refusal(&rule(&fields));
            let expected = format!("line 2 column {column}: {problem}");
            assert!(shown.starts_with(&expected), "{shown}\n{expected}");
        }
        let allowing = rule(r#""id":"a","effect":"allow","tool":"x","sessionGrant":true"#);
        assert!(refusal(&allowing).contains("need effect \"require\""));
        for tool in ["*", "B*", "Write"] {
            let text = rule(&format!(
                r#""id":"a","effect":"deny","tool":"{tool}","when":{{"command":["a"]}}"#
            ));
            assert!(refusal(&text).contains("when.command needs tool \"Bash\""));
        }
        // What is missing is missed at the end of the rule.
        assert_eq!(
            refusal(&rule(r#""id":"a","effect":"allow""#)),
            "line 2 column 29: missing field `tool`"
        );
        assert_eq!(
            refusal(&rule(r#""id":"a","id":"b""#)),
            "line 2 column 16: duplicate name \"id\""
        );
    }

    #[test]
    fn a_duplicate_id_is_reported_where_it_is_repeated() {
        let text = r#"{"rules":[
            {"id":"a","effect":"allow","tool":"x"},
            {"id":"b","effect":"allow","tool":"x"},
            {"effect":"deny",
             "id":"a",
             "tool":"y"}
        ]}"#;
        assert_eq!(refusal(text), "line 5 column 21: duplicate rule id \"a\"");
    }

    #[test]
    fn other_shapes_than_the_documented_one_are_refused() {
        for text in [
            "",
            "{}",
            "[[]]",
            "{\"rules\":{}}",
            "{\"rules\":null}",
            "{\"rules\":[],\"danger\":{}}",
            "{\"rules\":[]}{}",
            "\u{feff}{\"rules\":[]}",
            "{\"rules\":[],\"rules\":[]}",
            "{\"rules\":[[\"a\",\"allow\",\"*\"]]}",
        ] {
            assert!(refusal(text).starts_with("line 1 column "), "{text}");
        }
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let policy = |count: usize| {
            let rules: Vec<String> = (0..count)
                .map(|n| format!(r#"{{"id":"{n}","effect":"deny","tool":"*"}}"#))
                .collect();
            format!("{{\"rules\":[{}]}}", rules.join(",\n"))
        };
        let most = Policy::parse(policy(limits::POLICY_RULES).as_bytes()).unwrap();
        assert_eq!(most.len(), limits::POLICY_RULES);
        let shown = refusal(&policy(limits::POLICY_RULES + 1));
        assert!(shown.starts_with("line 10001 "), "{shown}");
    }
}
