//! One layer of a policy: its rules and settings, ready to decide.

use std::cmp::Reverse;

use super::danger::Danger;
use super::document::Document;
use super::index::Index;
use super::rules::Rule;
use crate::contracts::verdict::Decision;
use crate::reading::tools::Declared;

/// Whose a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The machine's, which nothing loosens.
    Managed,
    /// The session's own.
    Main,
    /// The repository's, which may only tighten.
    Repository,
}

/// Rules and settings.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) owner: Owner,
    /// In the file's order.
    pub(super) rules: Vec<Rule>,
    /// Of each rule, how many of the same effect speak before it.
    ranks: Vec<usize>,
    /// Allows that choose atoms, in the order in which they speak.
    choosing: Vec<usize>,
    pub(super) index: Index,
    /// What holds where no rule matches. `Allow`: this layer says nothing then.
    pub(super) otherwise: Decision,
    pub(super) unread: Decision,
    pub(super) danger: Danger,
    pub(super) tools: Declared,
    /// Some rule looks at what a call does.
    pub(super) looks: bool,
}

impl Layer {
    pub(super) fn new(owner: Owner, document: Document) -> Self {
        let rules = document.rules;
        let allows = rules.iter().any(|rule| rule.effect == Decision::Allow);
        let absent = match owner {
            // Rules that only tighten say nothing of the rest.
            Owner::Repository => Decision::Allow,
            Owner::Managed if !allows => Decision::Allow,
            Owner::Managed | Owner::Main => Decision::Deny,
        };
        let mut ranked: Vec<(usize, &Rule)> = rules.iter().enumerate().collect();
        // Sorting is stable: what remains equal stays in the file's order.
        ranked.sort_by_key(|(_, rule)| Reverse(rule.priority));
        let mut ranks = vec![0; rules.len()];
        for (rank, (at, _)) in ranked.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(*at) {
                *slot = rank;
            }
        }
        let choosing = |(at, rule): &(usize, &Rule)| {
            (rule.chooses() && rule.effect == Decision::Allow).then_some(*at)
        };
        let choosing = ranked.iter().filter_map(choosing).collect();
        Self {
            owner,
            ranks,
            choosing,
            index: Index::new(&rules),
            otherwise: document.otherwise.unwrap_or(absent),
            unread: document.unread.unwrap_or(Decision::Require),
            danger: document.danger.unwrap_or_default(),
            tools: document.tools,
            looks: rules.iter().any(Rule::looks),
            rules,
        }
    }

    /// Allows that choose atoms, in the order in which they speak.
    pub(super) fn choosing(&self) -> impl Iterator<Item = usize> {
        self.choosing.iter().copied()
    }

    /// Of rules with the same effect, the one with the lowest rank speaks.
    pub(super) fn rank(&self, at: usize) -> usize {
        self.ranks.get(at).copied().unwrap_or(usize::MAX)
    }
}
