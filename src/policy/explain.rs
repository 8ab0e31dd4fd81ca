//! Why a policy decides a call as it does: each atom with what each rule says of it.

use super::call::{Asked, Conditions};
use super::engine::{Cause, findings};
use super::layer::{Layer, Owner};
use super::matching::Judge;
use super::ruling::{Ruling, Texts};
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{Category, Reading};

/// A call explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the call would do, in its order.
    pub atoms: Vec<AtomExplained>,
    /// What is not read.
    pub unread: Vec<String>,
    /// What comes of it.
    pub ruling: Ruling,
}

/// An atom explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtomExplained {
    /// What would be done: `writing /repo/x`.
    pub text: String,
    /// It is only mentioned in an argument.
    pub mentioned: bool,
    /// Its dangers, with whether the policy has them on.
    pub dangers: Vec<(Category, String, bool)>,
    /// The strictest of all layers.
    pub decision: Decision,
    /// Of every rule of every layer, whether it speaks about the atom.
    pub rules: Vec<RuleOutcome>,
}

/// What a rule says of an atom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOutcome {
    /// Whose rule it is.
    pub owner: Owner,
    /// The rule's id.
    pub id: String,
    /// What it says where it speaks.
    pub effect: Decision,
    /// Whether it speaks about the atom.
    pub matches: bool,
}

/// Explains a call. Every rule is held against every atom.
pub(super) fn explain(layers: &[Layer], reading: &Reading, at: &Conditions<'_>) -> Explanation {
    let disk = Asked::new(at.disk);
    let texts = Texts {
        reading,
        at,
        disk: &disk,
    };
    let judges: Vec<Judge<'_>> = layers
        .iter()
        .map(|layer| Judge::new(layer, reading, at, &disk))
        .collect();
    let findings: Vec<_> = layers
        .iter()
        .map(|layer| findings(layer, reading, at, &disk))
        .collect();
    let all = reading.atoms.iter().chain(&reading.mentioned).enumerate();
    let atoms = all.map(|(position, atom)| {
        let mut rules = Vec::new();
        for judge in &judges {
            for (number, rule) in judge.layer.rules.iter().enumerate() {
                rules.push(RuleOutcome {
                    owner: judge.layer.owner,
                    id: rule.id.clone(),
                    effect: rule.effect,
                    matches: judge.speaks(number, rule, position),
                });
            }
        }
        let by_index = || {
            findings
                .iter()
                .flatten()
                .filter(move |finding| finding.atom == Some(position))
        };
        let mut dangers: Vec<(Category, String, bool)> = Vec::new();
        for danger in &atom.dangers {
            let on = layers
                .iter()
                .any(|layer| layer.danger.says(danger.category).is_some());
            dangers.push((danger.category, danger.why.clone(), on));
        }
        for finding in by_index() {
            if let Cause::Danger(danger) = &finding.cause
                && !atom.dangers.contains(danger)
            {
                dangers.push((danger.category, danger.why.clone(), true));
            }
        }
        AtomExplained {
            text: texts.of_atom(atom),
            mentioned: position >= reading.atoms.len(),
            dangers,
            decision: by_index()
                .map(|finding| finding.decision)
                .fold(Decision::Allow, super::engine::stricter),
            rules,
        }
    });
    Explanation {
        atoms: atoms.collect(),
        unread: reading.unread.clone(),
        ruling: super::ruling::rule(layers, reading, at),
    }
}
