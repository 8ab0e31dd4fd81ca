//! What must hold of a policy that others wrote, and of a tool's name that an agent chose.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::collections::BTreeSet;

use serde_json::Map;

use crate::contracts::call::Actor;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{Atom, AtomKind, Reading, Source};
use crate::reading::disk::NoDisk;
use crate::reading::surroundings::Surroundings;

use super::{Conditions, Glob, Policy};

/// A policy decides as its rules say one by one, never allows without one that does, and what is
/// wrong with a text is said in a line.
pub(crate) fn policy(data: &[u8]) {
    let policy = match Policy::parse(data) {
        Ok(policy) => policy,
        Err(problem) => {
            let said = problem.to_string();
            assert!(
                said.chars().count() < 1000 && !said.contains(char::is_control),
                "{said:?}"
            );
            return;
        }
    };
    let text = String::from_utf8_lossy(data);
    let named = policy.rules().iter().flat_map(super::Rule::tools);
    let tools = ["mcp__a__b", "", &text].into_iter().chain(named);
    let (args, around, secrets) = (Map::new(), Surroundings::default(), BTreeSet::new());
    // A use of a tool and nothing else.
    let reading = Reading {
        atoms: vec![Atom {
            kind: AtomKind::Use,
            program: None,
            source: Source::Tool,
            dangers: Vec::new(),
        }],
        ..Reading::default()
    };
    for tool in tools.take(20) {
        for actor in [Actor::SessionOwner, Actor::ClaudeProcess] {
            let at = Conditions {
                tool,
                args: &args,
                actor,
                around: &around,
                directory: None,
                branch: None,
                confined: false,
                today: None,
                secrets: &secrets,
                memory: None,
                disk: &NoDisk,
            };
            let ruling = policy.judge(&reading, &at);
            let explained = policy.explain(&reading, &at);
            assert_eq!(explained.ruling, ruling);
            let outcomes = &explained.atoms[0].rules;
            let of = |effect: Decision| {
                let matching = outcomes.iter().zip(policy.rules());
                let matching = matching
                    .filter(move |(outcome, _)| outcome.matches && outcome.effect == effect);
                matching.map(|(_, rule)| rule).collect::<Vec<_>>()
            };
            let strictest = [Decision::Deny, Decision::Require, Decision::Allow]
                .into_iter()
                .map(of)
                .find(|rules| !rules.is_empty());
            let verdict = ruling.verdict;
            let Some(rules) = strictest else {
                assert_eq!(verdict.rule_id, None);
                assert_ne!(verdict.decision, Decision::Allow);
                continue;
            };
            let highest = rules.iter().map(|rule| rule.priority).max();
            let first = rules.iter().find(|rule| Some(rule.priority) == highest);
            assert_eq!(
                verdict.rule_id.as_deref(),
                first.map(|rule| rule.id.as_str())
            );
            assert_eq!(Some(verdict.decision), first.map(|rule| rule.effect));
        }
    }
}

/// A pattern matches what its definition says: `*` any run, everything else itself.
pub(crate) fn tool_pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, &text));
    // `reached[n]`: what was read of the pattern can match the first n characters.
    let name_chars: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name_chars.len() + 1];
    reached[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; reached.len()];
        for at in 0..reached.len() {
            let here = c == '*' && (reached[at] || (at > 0 && next[at - 1]));
            let step = c != '*' && at > 0 && reached[at - 1] && name_chars[at - 1] == c;
            next[at] = here || step;
        }
        reached = next;
    }
    let expected = reached.last() == Some(&true);
    assert_eq!(
        Glob::new(pattern).matches(name),
        expected,
        "{pattern:?} {name:?}"
    );
}
