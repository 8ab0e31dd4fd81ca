//! The questions of a call: for which rule, about which of its atoms, a person is asked, and what a yes for the session
//! would hold for.

use super::call::{Asked, Conditions};
use super::danger::category_name;
use super::engine::{Cause, Finding};
use super::layer::Layer;
use super::matching::Judge;
use super::narrow::{self, Exact};
use super::rules::{Rule, SessionGrant};
use super::ruling::{Texts, atom_at};
use super::typed::typed;
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::verdict::Decision;
use crate::reading::atoms::{Atom, AtomKind, Reading};

/// A question to a person. A call is approved when each of its questions is, by an answer or by a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The rule that asks; `None` where none does.
    pub rule: Option<String>,
    /// What made it a question, in words: `writes .github/workflows/ci.yml`. `None` of the whole call.
    pub atom: Option<String>,
    /// What a yes for the session would hold for, in words: `running git push origin feature/login`.
    pub covers: String,
    /// The same by everything that the reading knows of it: a link that leads elsewhere, another script or another
    /// remote makes another key. With the layer and the rule.
    pub key: Sha256,
    /// More than the key says decides what it is about, such as what it reads: only the identical call is the same.
    pub identical: bool,
    /// A part that is not read.
    pub unread: bool,
    /// Whether a yes may hold for the session.
    pub grant: Grantable,
    /// The narrow pattern around it, where the rule offers one and it is certain.
    pub pattern: Option<Narrow>,
    /// How many different people must approve; `None` leaves it to the channel.
    pub required: Option<u32>,
    /// Who may approve, by each rule that says so: an approval needs somebody of each.
    pub approvers: Vec<Vec<String>>,
}

/// Whether an approval may hold for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grantable {
    /// Never.
    Never,
    /// No rule says so: once it was asked [`limits::ASKED_BEFORE_OFFER`] times.
    WhenRepeated,
    /// By the rule.
    Yes,
}

/// A pattern of the policy's own language that opens one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrow {
    /// In words: `running git push origin feature/*`.
    pub covers: String,
    /// Equal for whatever the pattern means that is the same but for the one name. With the layer and the rule.
    pub key: Sha256,
}

/// Of a layer, what asks.
pub(super) struct Asks<'a> {
    pub(super) layer: &'a Layer,
    pub(super) finding: &'a Finding,
}

/// The questions of a call that a person is asked about, each once: the first [`limits::QUESTIONS`] of them.
pub(super) fn of<'a>(
    asks: impl Iterator<Item = Asks<'a>>,
    reading: &Reading,
    at: &Conditions<'_>,
    disk: &Asked<'_>,
) -> Vec<Question> {
    let texts = Texts { reading, at, disk };
    let mut questions: Vec<Question> = Vec::new();
    for ask in asks {
        if questions.len() == limits::QUESTIONS {
            break;
        }
        let question = one(&ask, &texts);
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    questions
}

fn one(ask: &Asks<'_>, texts: &Texts<'_>) -> Question {
    let Asks { layer, finding } = ask;
    let (reading, at) = (texts.reading, texts.at);
    let atom = finding
        .atom
        .and_then(|position| Some((position, atom_at(reading, position)?)));
    match &finding.cause {
        Cause::Rule(number) => {
            let rule = layer.rules.get(*number);
            let chooses = rule.is_some_and(|rule| rule.chooses() && !rule.looks_at_args());
            // Of the whole call it asks once, whatever the call does.
            let of = Of::new(layer, rule, atom.filter(|_| chooses), texts);
            let said = rule.and_then(|rule| rule.session_grant);
            let grant = match said {
                Some(SessionGrant::Never) => Grantable::Never,
                Some(SessionGrant::Exact | SessionGrant::Pattern) => Grantable::Yes,
                None => of.repeated(),
            };
            let pattern = (said == Some(SessionGrant::Pattern))
                .then(|| of.narrow(texts))
                .flatten();
            of.question(grant, pattern, rule.as_slice())
        }
        Cause::Otherwise => {
            let of = Of::new(layer, None, atom, texts);
            of.question(of.repeated(), None, &[])
        }
        Cause::Danger(danger) => {
            let of = Of::new(layer, None, atom, texts);
            let name = category_name(danger.category);
            Question {
                key: Sha256::of(format!("{:?} danger {name}", layer.owner).as_bytes()),
                covers: format!("{} (danger: {name})", danger.why),
                identical: true,
                ..of.question(Grantable::Never, None, &[])
            }
        }
        Cause::Unread(could) => {
            let of = Of::new(layer, None, None, texts);
            let rules = could.iter().filter_map(|number| layer.rules.get(*number));
            let rules: Vec<&Rule> = rules
                .filter(|rule| rule.effect == Decision::Require)
                .collect();
            let names: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
            Question {
                key: Sha256::of(format!("{:?} unread {names:?}", layer.owner).as_bytes()),
                rule: names.first().map(|&name| name.to_owned()),
                unread: true,
                ..of.question(Grantable::Never, None, &rules)
            }
        }
        // A deny, always.
        Cause::Secrets => Of::new(layer, None, None, texts).question(Grantable::Never, None, &[]),
    }
    .about(at.tool, made_by(ask, texts))
}

/// What of a call made it a question.
fn made_by(ask: &Asks<'_>, texts: &Texts<'_>) -> Option<String> {
    let atom = ask.finding.atom;
    let atom = atom.and_then(|position| atom_at(texts.reading, position));
    let words = || {
        let atom = atom.filter(|atom| atom.kind != AtomKind::Use)?;
        Some(it_does(&texts.of_atom(atom)))
    };
    match &ask.finding.cause {
        Cause::Rule(number) => {
            let rule = ask.layer.rules.get(*number);
            rule.filter(|rule| rule.chooses()).and_then(|_| words())
        }
        Cause::Otherwise => words(),
        Cause::Danger(danger) => {
            let name = category_name(danger.category);
            Some(format!("{} (danger: {name})", danger.why))
        }
        Cause::Unread(_) | Cause::Secrets => None,
    }
}

/// `writing x` as what a call does: `writes x`.
fn it_does(doing: &str) -> String {
    let verbs = [
        ("reaching ", "reaches "),
        ("reading ", "reads "),
        ("removing ", "removes "),
        ("running ", "runs "),
        ("writing ", "writes "),
    ];
    let mut verbs = verbs.into_iter();
    let said = verbs.find_map(|(doing_it, does)| Some((does, doing.strip_prefix(doing_it)?)));
    said.map_or_else(|| doing.to_owned(), |(does, what)| format!("{does}{what}"))
}

impl Question {
    /// Of the identical call alone there is no more to say.
    fn about(mut self, tool: &str, atom: Option<String>) -> Self {
        self.atom = atom;
        if self.covers.is_empty() {
            self.covers = format!("exactly this call of {}", clean(tool));
        }
        self
    }
}

/// An atom that is asked about, or the call as a whole.
struct Of<'a> {
    layer: &'a Layer,
    /// Layer and rule.
    origin: String,
    rule: Option<String>,
    atom: Option<(usize, &'a Atom)>,
    exact: Exact,
    covers: String,
}

impl<'a> Of<'a> {
    fn new(
        layer: &'a Layer,
        rule: Option<&Rule>,
        atom: Option<(usize, &'a Atom)>,
        texts: &Texts<'_>,
    ) -> Self {
        let rule = rule.map(|rule| rule.id.clone());
        // What is mentioned is a part of an argument: nothing is known of the rest.
        let atom = atom.filter(|(position, _)| *position < texts.reading.atoms.len());
        let exact = atom
            .and_then(|(position, atom)| narrow::exact(texts.reading, position, atom, texts.disk));
        let covers = match (&exact, atom) {
            (Some(exact), Some((_, atom))) if !exact.identical => words(atom, texts),
            _ => String::new(),
        };
        let exact = exact.unwrap_or(Exact::CALL);
        // Of an identical call the tool is the same, too.
        let tool = Some(texts.at.tool).filter(|_| exact.identical);
        Self {
            layer,
            origin: format!("{:?} {rule:?} {tool:?}", layer.owner),
            rule,
            atom,
            exact,
            covers,
        }
    }

    /// Whether it may be offered once it was asked often enough.
    fn repeated(&self) -> Grantable {
        match self.exact.unknown {
            true => Grantable::Never,
            false => Grantable::WhenRepeated,
        }
    }

    fn narrow(&self, texts: &Texts<'_>) -> Option<Narrow> {
        let (position, atom) = self.atom?;
        if self.exact.identical {
            return None;
        }
        let judge = Judge::new(self.layer, texts.reading, texts.at, texts.disk);
        let (covers, shape) = narrow::pattern(&judge, position, atom)?;
        (covers.len() <= limits::GRANT_WORDS).then(|| Narrow {
            key: Sha256::of(format!("{} pattern {shape}", self.origin).as_bytes()),
            covers,
        })
    }

    fn question(&self, grant: Grantable, pattern: Option<Narrow>, rules: &[&Rule]) -> Question {
        let mut approvers: Vec<Vec<String>> = Vec::new();
        for rule in rules {
            if !rule.approvers.is_empty() && !approvers.contains(&rule.approvers) {
                approvers.push(rule.approvers.clone());
            }
        }
        let required = rules.iter().filter_map(|rule| rule.approval.required);
        Question {
            rule: self.rule.clone(),
            atom: None,
            covers: self.covers.clone(),
            key: Sha256::of(format!("{} {}", self.origin, self.exact.shape).as_bytes()),
            identical: self.exact.identical,
            unread: false,
            grant,
            pattern,
            required: required.max(),
            approvers,
        }
    }
}

/// What a yes to an atom holds for. What the words leave open is said.
fn words(atom: &Atom, texts: &Texts<'_>) -> String {
    let text = match &atom.kind {
        AtomKind::Program(program) => format!("running {}", clean(&typed(program))),
        AtomKind::Write(place) if !place.removes => {
            format!("{}, whatever the content", texts.of_atom(atom))
        }
        _ => texts.of_atom(atom),
    };
    match text.chars().nth(limits::GRANT_WORDS) {
        None => text,
        Some(_) => {
            let mut cut: String = text.chars().take(limits::GRANT_WORDS).collect();
            cut.push('…');
            cut
        }
    }
}

fn clean(text: &str) -> String {
    let clean = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    text.chars().map(clean).collect()
}
