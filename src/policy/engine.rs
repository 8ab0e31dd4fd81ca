//! Deciding: each atom is held against the rules that could speak about it, the strictest speaks, and a call is as
//! strict as its strictest atom.

use super::call::{Asked, Conditions};
use super::layer::Layer;
use super::matching::Judge;
use super::rules::Rule;
use crate::contracts::secret::placeholders;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{AtomKind, Category, Danger, Reading};
use crate::reading::known_tools;
use crate::reading::word::Piece;

/// What one layer says of a call, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) decision: Decision,
    /// The atom's position among the reading's atoms and then those mentioned; `None`: the call as a whole.
    pub(super) atom: Option<usize>,
    pub(super) cause: Cause,
}

/// What speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// A rule, by its position.
    Rule(usize),
    /// No rule matches.
    Otherwise,
    /// A category that is on.
    Danger(Danger),
    /// A part that is not read. With the rules that could be about it.
    Unread(Vec<usize>),
    /// Secrets where no rule may allow them.
    Secrets,
}

/// How strict a decision is.
pub(super) fn strictness(decision: Decision) -> u8 {
    match decision {
        Decision::Allow => 0,
        Decision::Require => 1,
        Decision::Deny => 2,
    }
}

/// The stricter of two.
pub(super) fn stricter(a: Decision, b: Decision) -> Decision {
    match strictness(a) < strictness(b) {
        true => b,
        false => a,
    }
}

/// Everything that a layer says of a call. Never empty.
pub(super) fn findings(
    layer: &Layer,
    reading: &Reading,
    at: &Conditions<'_>,
    disk: &Asked<'_>,
) -> Vec<Finding> {
    let judge = Judge::new(layer, reading, at, disk);
    let mut findings = Vec::new();
    let mut candidates = Vec::new();
    let mut always = Vec::new();
    layer.index.of_tool(at.tool, &mut always);
    let remembered = at.memory.map_or_else(Vec::new, |memory| {
        memory.dangers(reading, |host| judge.names_itself(host))
    });
    let unread = of_unread(&judge);
    for (position, atom) in reading.atoms.iter().chain(&reading.mentioned).enumerate() {
        candidates.clone_from(&always);
        judge.candidates(position, atom, &mut candidates);
        candidates.sort_unstable();
        candidates.dedup();
        // A program of which no name is known is what is unread, and decided as such.
        let nameless = match &atom.kind {
            AtomKind::Program(program) => program
                .words
                .first()
                .is_none_or(|word| word.known().is_none()),
            AtomKind::Use => true,
            _ => false,
        };
        let mentioned = position >= reading.atoms.len() || (nameless && unread.is_some());
        let before = remembered.iter().filter(|(at, _)| *at == position);
        let dangers = atom.dangers.iter().chain(before.map(|(_, danger)| danger));
        let spared = match &atom.kind {
            AtomKind::Write(place) => {
                let deletes = |danger: &Danger| danger.category == Category::Delete;
                atom.dangers.iter().any(deletes)
                    && super::spared::is_spared(reading, place, at, disk)
            }
            _ => false,
        };
        let dangers = dangers.filter(|danger| !spared || danger.category != Category::Delete);
        of_atom(
            &judge,
            position,
            mentioned,
            &candidates,
            dangers,
            &mut findings,
        );
    }
    findings.extend(unread);
    if layer.looks && !at.secrets.is_empty() && secrets_astray(reading, at) {
        findings.push(Finding {
            decision: Decision::Deny,
            atom: None,
            cause: Cause::Secrets,
        });
    }
    findings
}

fn of_atom<'a>(
    judge: &Judge<'_>,
    position: usize,
    mentioned: bool,
    candidates: &[usize],
    dangers: impl Iterator<Item = &'a Danger>,
    findings: &mut Vec<Finding>,
) {
    let layer = judge.layer;
    let rules = candidates
        .iter()
        .filter_map(|at| Some((*at, layer.rules.get(*at)?)));
    let mut matching: Vec<(usize, &Rule)> = Vec::new();
    for (at, rule) in rules {
        // What is only mentioned needs no allow.
        if (!mentioned || rule.effect != Decision::Allow) && judge.speaks(at, rule, position) {
            matching.push((at, rule));
        }
    }
    let of = |effect| {
        matching
            .iter()
            .filter(move |(_, rule)| rule.effect == effect)
    };
    let mut push = |decision, cause| {
        findings.push(Finding {
            decision,
            atom: Some(position),
            cause,
        });
    };
    for effect in [Decision::Deny, Decision::Require] {
        for (at, _) in of(effect) {
            push(effect, Cause::Rule(*at));
        }
    }
    let bound = of(Decision::Deny)
        .chain(of(Decision::Require))
        .next()
        .is_some();
    if !bound {
        let best = of(Decision::Allow).min_by_key(|(at, _)| layer.rank(*at));
        match best {
            Some((at, _)) => push(Decision::Allow, Cause::Rule(*at)),
            None if mentioned => {}
            None => push(layer.otherwise, Cause::Otherwise),
        }
    }
    for danger in dangers {
        let Some(decision) = layer.danger.says(danger.category) else {
            continue;
        };
        // An allow that names the category covers its own atoms.
        let covered = danger.category != Category::Tampering
            && of(Decision::Allow).any(|(_, rule)| rule.danger.contains(&danger.category));
        if !covered {
            push(decision, Cause::Danger(danger.clone()));
        }
    }
}

/// What a part that is not read asks for.
fn of_unread(judge: &Judge<'_>) -> Option<Finding> {
    let layer = judge.layer;
    if judge.reading.unread.is_empty() {
        return None;
    }
    let (mut could, mut looking, mut allowing) = (Vec::new(), false, false);
    for (at, rule) in layer.rules.iter().enumerate() {
        if !judge.conditions_hold(rule) {
            continue;
        }
        match rule.effect {
            Decision::Allow => {
                allowing = true;
                looking |= rule.looks();
            }
            // Those that choose no atoms speak about each of them already.
            Decision::Require | Decision::Deny => could.extend(rule.chooses().then_some(at)),
        }
    }
    if !looking && could.is_empty() && !layer.danger.is_on() {
        return None;
    }
    // Nobody can say which program gets a secret.
    let decision = match judge.at.secrets.is_empty() || !layer.looks {
        // Where nothing is allowed, this is not either.
        true if !allowing => stricter(layer.unread, layer.otherwise),
        true => layer.unread,
        false => Decision::Deny,
    };
    Some(Finding {
        decision,
        atom: None,
        cause: Cause::Unread(could),
    })
}

/// Whether a secret stands where no rule may allow one, or elsewhere than in the words that rules see: its value is
/// put where the command's text names it, whatever quotes begin or end there.
fn secrets_astray(reading: &Reading, at: &Conditions<'_>) -> bool {
    /// What every name of a secret stands behind.
    const MARK: &str = "secret:";
    if !reading.misplaced_secrets.is_empty() {
        return true;
    }
    // To other tools an argument is put whole.
    if !matches!(known_tools::plain(at.tool), "Bash" | "Monitor") {
        return false;
    }
    let command = at.args.get("command").and_then(serde_json::Value::as_str);
    let Some(command) = command else { return true };
    let put = placeholders(command);
    // In a comment no rule sees it.
    let in_comment = put.iter().any(|put| {
        let before = command.get(..put.start).unwrap_or_default();
        before
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.contains('#'))
    });
    if in_comment {
        return true;
    }
    let mut names: Vec<&str> = put.iter().map(|put| put.name).collect();
    let mut marks = command.matches(MARK).count();
    let mut seen = Vec::new();
    let programs = reading.atoms.iter().filter_map(|atom| match &atom.kind {
        AtomKind::Program(program) => Some(program),
        _ => None,
    });
    for word in programs.flat_map(|program| &program.words) {
        for piece in &word.pieces {
            let (Piece::Text(text) | Piece::Glob(text)) = piece else {
                continue;
            };
            marks = match marks.checked_sub(text.matches(MARK).count()) {
                Some(left) => left,
                // Quotes made one that the text does not name.
                None => return true,
            };
            seen.extend(placeholders(text).into_iter().map(|found| found.name));
        }
    }
    names.sort_unstable();
    seen.sort_unstable();
    marks != 0 || names != seen
}
