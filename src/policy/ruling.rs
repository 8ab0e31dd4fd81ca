//! What a policy says of a call: the verdict, why in words, and what an approval needs.

use super::call::{Asked, Conditions};
use super::danger::category_name;
use super::engine::{Cause, Finding, findings, stricter};
use super::layer::{Layer, Owner};
use super::matching::Judge;
use super::patterns::place::{Ground, Spot};
use super::questions::{self, Asks, Grantable, Question};
use super::rules::Rule;
use super::typed::typed;
use crate::contracts::channel::ApprovalTerms;
use crate::contracts::limits;
use crate::contracts::verdict::{Decision, Verdict};
use crate::reading::atoms::{Atom, AtomKind, Category, CodeClass, Found, PathText, Place, Reading};
use crate::reading::word::Word;

/// Characters of a tool's name, a command or a path in a reason: any usual one whole, and never a screenful.
const SHOWN_CHARS: usize = 80;

/// What a policy says of a call.
#[must_use = "a verdict that nobody acts on is a call that nobody gated"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The decision; its reason says all reasons, and behind them what to do instead.
    pub verdict: Verdict,
    /// What an approval needs.
    pub terms: ApprovalTerms,
    /// What a person is asked, where the decision is to require one.
    pub questions: Vec<Question>,
    /// Who may approve, by each rule that says so: an approval needs somebody of each.
    pub approvers: Vec<Vec<String>>,
    /// What is not read, for people.
    pub unread: Vec<String>,
    /// What the model should do instead; it stands in the reason, too.
    pub instead: Option<String>,
    /// Categories of danger that tighten the call.
    pub dangers: Vec<Category>,
}

/// A finding of a layer.
struct Of<'a> {
    layer: &'a Layer,
    finding: Finding,
}

impl Of<'_> {
    fn rule(&self) -> Option<&Rule> {
        match self.finding.cause {
            Cause::Rule(at) => self.layer.rules.get(at),
            _ => None,
        }
    }

    /// In a question: what is dangerous before the rules.
    fn is_asked_later(&self, decision: Decision) -> bool {
        decision == Decision::Require && !matches!(self.finding.cause, Cause::Danger(_))
    }

    /// A rule before another cause; of rules the first in rank.
    fn order(&self) -> (u8, usize) {
        match &self.finding.cause {
            Cause::Rule(at) => (0, self.layer.rank(*at)),
            Cause::Secrets => (0, usize::MAX),
            Cause::Danger(_) => (1, 0),
            Cause::Unread(_) => (2, 0),
            Cause::Otherwise => (3, 0),
        }
    }
}

/// Decides a call.
pub(super) fn rule(layers: &[Layer], reading: &Reading, at: &Conditions<'_>) -> Ruling {
    let disk = Asked::new(at.disk);
    let mut all: Vec<Of<'_>> = Vec::new();
    for layer in layers {
        let findings = findings(layer, reading, at, &disk).into_iter();
        all.extend(findings.map(|finding| Of { layer, finding }));
    }
    let decision = all
        .iter()
        .map(|of| of.finding.decision)
        .fold(Decision::Allow, stricter);
    let mut speaking: Vec<&Of<'_>> = all
        .iter()
        .filter(|of| of.finding.decision == decision)
        .collect();
    // Sorting is stable: of equals, the first atom's of the first layer.
    if decision != Decision::Allow {
        speaking.sort_by_key(|of| of.order());
    }
    let texts = Texts {
        reading,
        at,
        disk: &disk,
    };
    let first = speaking
        .iter()
        .find_map(|of| of.rule())
        .filter(|_| speaking.first().is_some_and(|of| of.rule().is_some()));
    let instead = speaking.iter().find_map(|of| of.rule()?.instead.clone());
    speaking.sort_by_key(|of| of.is_asked_later(decision));
    let mut reason = texts.all(&speaking, decision);
    if decision != Decision::Allow
        && let Some(instead) = &instead
    {
        reason = bounded(
            format!("{reason}. Instead: {instead}"),
            limits::REASON_BYTES,
        );
    }
    Ruling {
        verdict: Verdict {
            decision,
            reason,
            rule_id: first.map(|rule| rule.id.clone()),
            tier: first.and_then(|rule| rule.tier.clone()),
        },
        terms: terms(&all, decision),
        questions: match decision {
            Decision::Require => asked(&all, reading, at, &disk),
            Decision::Allow | Decision::Deny => Vec::new(),
        },
        approvers: approvers(&all, decision),
        unread: reading.unread.clone(),
        instead: instead.filter(|_| decision != Decision::Allow),
        dangers: dangers(&speaking, decision),
    }
}

impl Ruling {
    /// Whether every rule that asks lets an approval hold for the session.
    #[must_use]
    pub fn session_grant(&self) -> bool {
        let mut questions = self.questions.iter();
        !self.questions.is_empty() && questions.all(|question| question.grant == Grantable::Yes)
    }
}

/// What a person is asked.
fn asked(
    all: &[Of<'_>],
    reading: &Reading,
    at: &Conditions<'_>,
    disk: &Asked<'_>,
) -> Vec<Question> {
    let required = all
        .iter()
        .filter(|of| of.finding.decision == Decision::Require);
    let asks = required.map(|of| Asks {
        layer: of.layer,
        finding: &of.finding,
    });
    let mut questions = questions::of(asks, reading, at, disk);
    // The last one stands for all that are not told apart.
    if questions.len() == limits::QUESTIONS
        && let Some(last) = questions.last_mut()
    {
        last.grant = Grantable::Never;
        last.required = terms(all, Decision::Require).required;
        last.approvers = approvers(all, Decision::Require);
    }
    questions
}

/// The rules that a require asks by.
fn asking<'a>(all: &'a [Of<'a>]) -> impl Iterator<Item = &'a Rule> {
    let required = all
        .iter()
        .filter(|of| of.finding.decision == Decision::Require);
    required.flat_map(|of| {
        let rules: Vec<&Rule> = match &of.finding.cause {
            Cause::Rule(at) => of.layer.rules.get(*at).into_iter().collect(),
            Cause::Unread(could) => {
                let rules = could.iter().filter_map(|at| of.layer.rules.get(*at));
                rules
                    .filter(|rule| rule.effect == Decision::Require)
                    .collect()
            }
            _ => Vec::new(),
        };
        rules
    })
}

/// The most approvals of all.
fn terms(all: &[Of<'_>], decision: Decision) -> ApprovalTerms {
    if decision != Decision::Require {
        return ApprovalTerms::default();
    }
    ApprovalTerms {
        required: asking(all).filter_map(|rule| rule.approval.required).max(),
    }
}

fn approvers(all: &[Of<'_>], decision: Decision) -> Vec<Vec<String>> {
    let mut approvers: Vec<Vec<String>> = Vec::new();
    if decision == Decision::Require {
        for rule in asking(all) {
            if !rule.approvers.is_empty() && !approvers.contains(&rule.approvers) {
                approvers.push(rule.approvers.clone());
            }
        }
    }
    approvers
}

fn dangers(speaking: &[&Of<'_>], decision: Decision) -> Vec<Category> {
    let mut categories: Vec<Category> = speaking
        .iter()
        .filter_map(|of| match &of.finding.cause {
            Cause::Danger(danger) if decision != Decision::Allow => Some(danger.category),
            _ => None,
        })
        .collect();
    categories.sort_unstable();
    categories.dedup();
    categories
}

/// The atom at a position: of the reading's, then of those mentioned.
pub(super) fn atom_at(reading: &Reading, position: usize) -> Option<&Atom> {
    let mut atoms = reading.atoms.iter().chain(&reading.mentioned);
    atoms.nth(position)
}

/// The words of reasons.
pub(super) struct Texts<'a> {
    pub(super) reading: &'a Reading,
    pub(super) at: &'a Conditions<'a>,
    /// What the deciding asked already.
    pub(super) disk: &'a Asked<'a>,
}

impl Texts<'_> {
    /// All reasons, each once.
    fn all(&self, speaking: &[&Of<'_>], decision: Decision) -> String {
        let (mut texts, mut said): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut more = 0_usize;
        for of in speaking {
            let text = self.one(of.layer, &of.finding);
            if said.contains(&text) {
                continue;
            }
            // An allow needs one.
            if said.len() == limits::REASONS || (decision == Decision::Allow && !said.is_empty()) {
                more += 1;
                continue;
            }
            let (lead, again) = of_none_lead(of.layer);
            let none = matches!(of.finding.cause, Cause::Otherwise);
            let rest = text.strip_prefix(lead).filter(|_| none);
            let first = texts.iter_mut().find(|first| first.starts_with(lead));
            match (rest, first) {
                (Some(rest), Some(first)) => first.push_str(&format!("{again}{rest}")),
                _ => texts.push(text.clone()),
            }
            said.push(text);
        }
        let mut text = texts.join("; ");
        if more > 0 && decision != Decision::Allow {
            text = format!("{text}; and {more} more");
        }
        bounded(text, limits::REASON_BYTES)
    }

    fn one(&self, layer: &Layer, finding: &Finding) -> String {
        let atom = finding
            .atom
            .and_then(|position| atom_at(self.reading, position));
        match &finding.cause {
            Cause::Rule(at) => {
                let rule = layer.rules.get(*at);
                rule.map_or_else(String::new, |rule| self.of_rule(layer.owner, rule, atom))
            }
            Cause::Danger(danger) => {
                format!("{} (danger: {})", danger.why, category_name(danger.category))
            }
            Cause::Otherwise => self.of_none(layer, atom),
            Cause::Unread(_) => {
                let parts = self.reading.unread.iter().take(limits::REASONS);
                let parts: Vec<&str> = parts.map(String::as_str).collect();
                format!("agp cannot tell which program runs: {}", parts.join("; "))
            }
            Cause::Secrets => {
                "a secret stands where no rule can allow it (only the words of a program can hold one)".to_owned()
            }
        }
    }

    fn of_rule(&self, owner: Owner, rule: &Rule, atom: Option<&Atom>) -> String {
        let whose = match owner {
            Owner::Managed => " of the machine",
            Owner::Main => "",
            Owner::Repository => " of the repository",
        };
        let about = match atom {
            Some(atom) if rule.chooses() => self
                .of_file_in_tree(rule, atom)
                .unwrap_or_else(|| self.of_atom(atom)),
            _ => cut(self.at.tool),
        };
        match &rule.reason {
            // A rule about a whole tool says all by itself.
            Some(reason) if !rule.chooses() && owner == Owner::Main => reason.clone(),
            Some(reason) => format!("{reason}: {about} (rule '{}'{whose})", rule.id),
            None => {
                let says = match rule.effect {
                    Decision::Allow => "allows",
                    Decision::Require => "requires approval for",
                    Decision::Deny => "denies",
                };
                format!("rule '{}'{whose} {says} {about}", rule.id)
            }
        }
    }

    fn of_none(&self, layer: &Layer, atom: Option<&Atom>) -> String {
        let tool = cut(self.at.tool);
        let (lead, _) = of_none_lead(layer);
        let default = match layer.otherwise {
            Decision::Deny => " (default deny)",
            Decision::Require | Decision::Allow => "",
        };
        if !self.at.secrets.is_empty() {
            return format!(
                "no rule allows tool '{tool}' to use these secrets in this call (an allow rule must list them in \
                 \"secrets\")"
            );
        }
        let judge = Judge::new(layer, self.reading, self.at, self.disk);
        let atom = atom.filter(|atom| atom.kind != AtomKind::Use && layer.looks);
        let Some(atom) = atom else {
            return format!("{lead}tool '{tool}'{default}");
        };
        let confined = judge.confined_would(atom).map_or_else(String::new, |rule| {
            format!(
                ": rule '{}' holds only where commands run in a sandbox without free network",
                rule.id
            )
        });
        let path = self
            .writable_path(atom)
            .map_or_else(String::new, |directory| {
                format!(
                    ": PATH has {} first, which the session can write",
                    cut(directory)
                )
            });
        format!("{lead}{}{default}{confined}{path}", self.of_atom(atom))
    }

    /// The directory of PATH for which no rule can allow a program by its name: the session could put another there.
    fn writable_path(&self, atom: &Atom) -> Option<&str> {
        let AtomKind::Program(program) = &atom.kind else {
            return None;
        };
        let name = program.words.first().and_then(Word::known);
        if program.found != Found::WritablePath || name.is_none() {
            return None;
        }
        let mut path = self.at.around.path.iter();
        let (directory, _) = path.find(|(_, writable)| *writable)?;
        Some(directory)
    }

    /// The file for which a deny or require holds for the tree around it, where the disk says which one it is.
    fn of_file_in_tree(&self, rule: &Rule, atom: &Atom) -> Option<String> {
        let when = rule.when.as_ref().filter(|when| when.command.is_none())?;
        let (place, lists) = match &atom.kind {
            AtomKind::Read(place) => (place, [&when.read, &when.path]),
            AtomKind::Write(place) => (place, [&when.write, &when.path]),
            _ => return None,
        };
        if rule.effect == Decision::Allow || !place.tree {
            return None;
        }
        let around = self.at.around;
        let on = Ground {
            around,
            disk: self.disk,
        };
        let spot = Spot::new(place, on);
        let mut lists = lists.into_iter().flatten();
        let file = lists.find_map(|list| list.file_in_tree(&spot, on))?;
        let root = spot.written.as_deref()?;
        let inside = root.strip_prefix(around.repository.as_str());
        let root = match inside {
            Some("") => ".",
            Some(rest) => rest.strip_prefix('/').unwrap_or(root),
            None => root,
        };
        let doing = doing(&atom.kind);
        Some(format!("{doing} {} (below {})", cut(&file), cut(root)))
    }

    /// The command that an atom comes from.
    fn words_of(&self, atom: &Atom) -> Option<String> {
        let atoms = &self.reading.atoms;
        // What is mentioned counts its programs by itself.
        let itself = atoms.iter().any(|one| std::ptr::eq(one, atom));
        match &atoms.get(atom.program.filter(|_| itself)?)?.kind {
            AtomKind::Program(program) => Some(cut(&typed(program))),
            _ => None,
        }
    }

    /// An atom in words: what the call would do.
    pub(super) fn of_atom(&self, atom: &Atom) -> String {
        match &atom.kind {
            AtomKind::Program(program) => format!("running {}", cut(&typed(program))),
            AtomKind::Read(place) | AtomKind::Write(place) => {
                let unknown = match place.path {
                    PathText::Anywhere => self.words_of(atom),
                    _ => None,
                };
                let behind = unknown.map_or_else(String::new, |words| format!(", in `{words}`"));
                format!("{} {}{behind}", doing(&atom.kind), of_place(place))
            }
            AtomKind::Host(host) => match &host.name {
                Some(name) => format!("reaching {}", cut(name)),
                None => "reaching a host that is not known".to_owned(),
            },
            AtomKind::Code(code) => {
                let class = match code.class {
                    CodeClass::Repo => "the repository's code",
                    CodeClass::Inline => "code of the command's own",
                    CodeClass::Unknown => "code that is not known",
                    CodeClass::Fetched => "code from the network",
                };
                format!("running {class}: {}", cut(&code.what))
            }
            AtomKind::Use => cut(self.at.tool),
        }
    }
}

/// How it is said that no rule has a word on something, and how that goes on.
fn of_none_lead(layer: &Layer) -> (&'static str, &'static str) {
    match layer.otherwise {
        Decision::Deny => ("no rule allows ", ", nor "),
        Decision::Require | Decision::Allow => ("no rule speaks about ", ", nor about "),
    }
}

/// What is done to a path.
fn doing(kind: &AtomKind) -> &'static str {
    match kind {
        AtomKind::Write(place) if place.removes => "removing",
        AtomKind::Write(_) => "writing",
        _ => "reading",
    }
}

fn of_place(place: &Place) -> String {
    let text = match &place.path {
        PathText::Known(path) if place.tree => format!("{} and all below it", cut(path)),
        PathText::Known(path) => cut(path),
        PathText::Below(path) => format!("something below {}", cut(path)),
        PathText::Glob(path, pattern) => cut(&format!("{path}/{pattern}")),
        PathText::Anywhere => "a path that is not known".to_owned(),
    };
    match (&place.real, &place.path) {
        (Some(real), PathText::Known(path)) if crate::reading::paths::normal(path) != *real => {
            format!("{text}, which leads to {}", cut(real))
        }
        _ => text,
    }
}

/// Text of the agent's as a reason shows it.
fn cut(text: &str) -> String {
    let clean = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    let mut cut: String = text.chars().take(SHOWN_CHARS).map(clean).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        cut.push('…');
    }
    cut
}

/// At most so many bytes.
fn bounded(mut text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let mut end = max.saturating_sub("…".len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
    text
}
