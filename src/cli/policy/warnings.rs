//! What a policy that loads says in vain, or says too widely.

use std::collections::HashMap;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::places::Place;
use crate::contracts::approver::Groups;
use crate::contracts::limits;
use crate::contracts::timestamp;
use crate::policy::{Glob, Policy};

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) error: bool,
    /// What kind it is: `shadowed`.
    pub(crate) kind: &'static str,
    pub(crate) place: Option<Place>,
    pub(crate) rule: Option<String>,
    pub(crate) message: String,
}

/// Kinds of findings, with what each is.
pub(super) const KINDS: [(&str, &str); 8] = [
    ("error", "The policy does not load"),
    (
        "unreachable",
        "A stricter rule speaks wherever this one does",
    ),
    (
        "shadowed",
        "An earlier rule of the same effect says it already",
    ),
    ("too-wide", "The rule allows more than anybody can foresee"),
    ("unknown-tool", "No harness has a tool of this name"),
    ("unknown-group", "config.json has no group of this name"),
    ("expired", "The last day of this allow is over"),
    ("unread-allowed", "What cannot be read is allowed"),
];

/// Conditions, which narrow a rule without choosing what it is about.
const CONDITIONS: [&str; 4] = ["args", "directory", "branch", "confined"];
/// What chooses what a rule is about.
const CHOOSERS: [&str; 6] = ["command", "read", "write", "path", "host", "code"];
/// Programs that run whatever they are given.
const RUNNERS: [&str; 26] = [
    "ash", "awk", "bash", "bun", "busybox", "dash", "deno", "docker", "doas", "env", "eval",
    "exec", "fish", "ksh", "lua", "node", "npx", "perl", "php", "python", "python3", "ruby", "sh",
    "ssh", "sudo", "zsh",
];
/// Patterns of paths that are everything, or a whole home.
const ALL_PATHS: [&str; 8] = ["*", "**", "/**", "/*", "~", "~/**", "${home}", "${home}/**"];

/// A rule as it is written.
struct Rule<'a> {
    id: &'a str,
    effect: &'a str,
    priority: i64,
    map: &'a Map<String, Value>,
    place: Option<Place>,
    /// Patterns by what chooses; exclusions, too.
    choosers: Vec<(&'static str, Vec<&'a str>)>,
    tools: Vec<&'a str>,
}

impl<'a> Rule<'a> {
    fn new(map: &'a Map<String, Value>, place: Option<Place>) -> Self {
        let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
        let strings = |value: &'a Value| match value {
            Value::String(text) => vec![text.as_str()],
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let when = map.get("when").and_then(Value::as_object);
        let list = |name: &'static str| Some((name, strings(when?.get(name)?)));
        Self {
            id: text("id"),
            effect: text("effect"),
            priority: map.get("priority").and_then(Value::as_i64).unwrap_or(0),
            place,
            choosers: CHOOSERS.into_iter().filter_map(list).collect(),
            tools: map.get("tool").map(strings).unwrap_or_default(),
            map,
        }
    }

    fn strictness(&self) -> u8 {
        match self.effect {
            "deny" => 2,
            "require" => 1,
            _ => 0,
        }
    }

    fn condition(&self, name: &str) -> Option<&Value> {
        match CONDITIONS.contains(&name) {
            true => self.map.get("when")?.get(name),
            false => self.map.get(name),
        }
    }

    /// Whether this rule holds under every condition under which the other does.
    fn holds_with(&self, other: &Self) -> bool {
        let names = CONDITIONS.into_iter().chain(["actor", "secrets", "until"]);
        names.into_iter().all(|name| {
            let condition = self.condition(name);
            condition.is_none() || condition == other.condition(name)
        })
    }

    /// Whether this rule speaks wherever the other does. `false` where it is not certain.
    fn covers(&self, other: &Self) -> bool {
        self.holds_with(other) && self.names_tools_of(other) && self.chooses_of(other)
    }

    fn names_tools_of(&self, other: &Self) -> bool {
        let plain = |list: &[&str]| list.iter().all(|tool| !tool.starts_with('!'));
        if self.tools.is_empty() || self.tools.contains(&"*") {
            return plain(&self.tools);
        }
        // A deny or require that chooses speaks about every tool that does the same.
        if !self.choosers.is_empty() && self.effect != "allow" {
            return plain(&self.tools) && self.tools.iter().all(|tool| !tool.starts_with("mcp__"));
        }
        let named = |tool: &&str| {
            let mut tools = self.tools.iter();
            tools.any(|pattern| {
                pattern == tool || (!tool.contains('*') && Glob::new(pattern).matches(tool))
            })
        };
        plain(&self.tools)
            && plain(&other.tools)
            && !other.tools.is_empty()
            && other.tools.iter().all(named)
    }

    fn chooses_of(&self, other: &Self) -> bool {
        let plain = |list: &[&str]| list.iter().all(|pattern| !pattern.starts_with('!'));
        match (self.choosers.as_slice(), other.choosers.as_slice()) {
            ([], _) => true,
            ([(kind, own)], [(of, patterns)]) => {
                let same = kind == of || (*kind == "path" && ["read", "write"].contains(of));
                let covered = |pattern: &&str| own.iter().any(|wide| wider(kind, wide, pattern));
                let included: Vec<&&str> = patterns
                    .iter()
                    .filter(|text| !text.starts_with('!'))
                    .collect();
                same && plain(own) && !included.is_empty() && included.into_iter().all(covered)
            }
            _ => false,
        }
    }

    /// Whether it says more than its effect: of two such rules neither is in vain.
    fn adds(&self) -> bool {
        let more = [
            "approvalsRequired",
            "sessionGrant",
            "approvers",
            "danger",
            "instead",
            "reason",
            "tier",
        ];
        more.iter().any(|name| self.map.contains_key(*name))
    }
}

/// Whether a pattern matches whatever another does.
fn wider(kind: &str, wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    let pattern = |text: &str| text.contains(['*', '?', '"', '\'', '@']);
    match kind {
        "command" => {
            let prefix = match wide {
                "*" => return true,
                _ => wide.strip_suffix(" *"),
            };
            prefix.is_some_and(|prefix| {
                let rest = narrow.strip_prefix(prefix);
                !pattern(prefix)
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
        }
        "read" | "write" | "path" => match wide {
            "**" | "*" => true,
            _ => wide.strip_suffix("/**").is_some_and(|directory| {
                let rest = narrow.strip_prefix(directory);
                !pattern(directory)
                    && !narrow.contains("..")
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
        },
        "host" => match wide {
            "*" => true,
            _ => wide.strip_prefix('*').is_some_and(|below| {
                below.starts_with('.') && narrow.ends_with(below) && !pattern(narrow)
            }),
        },
        _ => false,
    }
}

/// Warnings about a policy that loads, by its own text and where that stands.
pub(super) fn warnings(
    policy: &Policy,
    document: &Value,
    places: &HashMap<String, Place>,
    groups: Option<&Groups>,
) -> Vec<Finding> {
    let text = policy.text();
    let whole = text.pointer("/policy/policy/rules");
    let whole = whole
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let rules = document.get("rules").and_then(Value::as_array);
    let rules = rules.map(Vec::as_slice).unwrap_or_default();
    let mut by_id: HashMap<&str, Place> = HashMap::new();
    for (at, rule) in rules.iter().enumerate() {
        let id = rule.get("id").and_then(Value::as_str).unwrap_or_default();
        by_id.extend(
            places
                .get(&format!("/rules/{at}"))
                .map(|place| (id, *place)),
        );
    }
    let rules: Vec<Rule<'_>> = whole
        .iter()
        .filter_map(Value::as_object)
        .map(|map| {
            let id = map.get("id").and_then(Value::as_str).unwrap_or_default();
            Rule::new(map, by_id.get(id).copied())
        })
        .collect();
    let index = Index::new(&rules);
    let today = timestamp::day(SystemTime::now());
    let mut findings = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        // What ships is checked where it is made.
        if rule.place.is_none() {
            continue;
        }
        let mut finding = |kind: &'static str, message: String| {
            findings.push(Finding {
                error: false,
                kind,
                place: rule.place,
                rule: Some(rule.id.to_owned()),
                message,
            });
        };
        if let Some((kind, message)) = in_vain(&rules, &index, at, rule) {
            finding(kind, message);
        }
        if rule.effect == "allow" {
            too_wide(rule)
                .into_iter()
                .for_each(|message| finding("too-wide", message));
        }
        let until = rule.map.get("until").and_then(Value::as_str);
        if let Some(until) = until.filter(|until| *until < today.as_str()) {
            finding("expired", format!("it allows until {until}, which is over"));
        }
    }
    for (id, tool) in policy.unknown_tools() {
        findings.push(Finding {
            error: false,
            kind: "unknown-tool",
            place: by_id.get(id).copied(),
            rule: Some(id.to_owned()),
            message: format!(
                "no harness has a tool {tool:?}: the rule speaks about none that agp knows"
            ),
        });
    }
    for (id, group) in policy.groups() {
        if groups.is_some_and(|groups| !groups.0.contains_key(group)) {
            findings.push(Finding {
                error: false,
                kind: "unknown-group",
                place: by_id.get(id).copied(),
                rule: Some(id.to_owned()),
                message: format!("config.json has no group {group:?}: no session starts"),
            });
        }
    }
    if document.get("unread").and_then(Value::as_str) == Some("allow") {
        findings.push(Finding {
            error: false,
            kind: "unread-allowed",
            place: places.get("/unread").copied(),
            rule: None,
            message:
                "what cannot be read is allowed: a command that hides its program passes every rule"
                    .to_owned(),
        });
    }
    findings.sort_by_key(|finding| finding.place);
    findings.truncate(limits::CHECK_FINDINGS);
    findings
}

/// Rules that could cover another, by what they begin with.
struct Index<'a>(HashMap<(&'static str, &'a str), Vec<usize>>);

impl<'a> Index<'a> {
    fn new(rules: &[Rule<'a>]) -> Self {
        let mut index: HashMap<(&'static str, &'a str), Vec<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            for key in Self::keys(rule) {
                index.entry(key).or_default().push(at);
            }
        }
        Self(index)
    }

    /// A rule is found by its kind, and one about commands by the first word of each.
    fn keys(rule: &Rule<'a>) -> Vec<(&'static str, &'a str)> {
        let first = |text: &'a str| text.split(' ').next().unwrap_or_default();
        match rule.choosers.as_slice() {
            [] => vec![("", "")],
            [("command", patterns)] => patterns
                .iter()
                .map(|text| ("command", first(text)))
                .collect(),
            [(kind, _)] => vec![(kind, "")],
            _ => Vec::new(),
        }
    }

    /// Those that could cover a rule.
    fn candidates(&self, rule: &Rule<'a>) -> Vec<usize> {
        let mut keys = Self::keys(rule);
        // What covers all of its patterns covers its first.
        keys.truncate(1);
        keys.extend([("", ""), ("command", "*"), ("path", "")]);
        let mut all: Vec<usize> = keys
            .iter()
            .filter_map(|key| self.0.get(key))
            .flatten()
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Why a rule never decides anything.
fn in_vain(
    rules: &[Rule<'_>],
    index: &Index<'_>,
    at: usize,
    rule: &Rule<'_>,
) -> Option<(&'static str, String)> {
    let candidates = index.candidates(rule);
    let others = candidates.iter().filter(|other| **other != at);
    let others: Vec<(usize, &Rule<'_>)> = others
        .filter_map(|other| Some((*other, rules.get(*other)?)))
        .collect();
    let stricter = others
        .iter()
        .find(|(_, other)| other.strictness() > rule.strictness() && other.covers(rule));
    if let Some((_, other)) = stricter {
        let says = match other.effect {
            "deny" => "denies",
            _ => "requires approval for",
        };
        let message = format!(
            "it never decides: rule {} {says} all that it is about",
            other.id
        );
        return Some(("unreachable", message));
    }
    let before = |other: usize, before: &Rule<'_>| {
        before.priority > rule.priority || (before.priority == rule.priority && other < at)
    };
    let same = others.iter().find(|(position, other)| {
        other.effect == rule.effect
            && !rule.adds()
            && before(*position, other)
            && other.covers(rule)
    });
    same.map(|(_, other)| {
        (
            "shadowed",
            format!("rule {} says the same of all that it is about", other.id),
        )
    })
}

/// What of an allow nobody can foresee.
fn too_wide(rule: &Rule<'_>) -> Vec<String> {
    let mut wide = Vec::new();
    let excludes_alone =
        |list: &[&str]| !list.is_empty() && list.iter().all(|text| text.starts_with('!'));
    if rule.choosers.is_empty() {
        if rule.tools.contains(&"*") || excludes_alone(&rule.tools) {
            wide.push("it allows tools that nobody has named".to_owned());
        } else if rule.tools.contains(&"Bash") {
            wide.push("it allows every command".to_owned());
        }
    }
    for (kind, patterns) in &rule.choosers {
        if excludes_alone(patterns) {
            wide.push(format!(
                "{kind}: a list of exclusions alone begins with everything"
            ));
        }
        for pattern in patterns.iter().filter(|text| !text.starts_with('!')) {
            let why = match *kind {
                "command" => {
                    let mut words = pattern.split_ascii_whitespace();
                    let program = words.next().unwrap_or_default();
                    let open = matches!(words.next(), Some("*" | "**" | "-c"));
                    let name = program.rsplit('/').next().unwrap_or(program);
                    match name {
                        "*" | "**" => Some("every command"),
                        _ if open && RUNNERS.contains(&name) => {
                            Some("whatever that program is given to run")
                        }
                        _ => None,
                    }
                }
                "read" | "write" | "path" if ALL_PATHS.contains(pattern) => {
                    Some("more than a repository's paths")
                }
                "host" if *pattern == "*" => Some("every host"),
                "code" if *pattern == "fetched" => Some("code from the network"),
                "code" if *pattern == "unknown" => Some("programs that agp does not know"),
                _ => None,
            };
            wide.extend(why.map(|why| format!("{kind} {pattern:?} allows {why}")));
        }
    }
    wide
}

#[cfg(test)]
mod tests;
