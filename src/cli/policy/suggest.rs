//! `agp policy suggest`: the narrowest rules that would have spared the questions that a person allowed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use argh::FromArgs;
use serde_json::{Map, Value, json};

use super::asking::{self, Asking, Call, Session};
use super::{recorded, replay, which};
use crate::channels::escape;
use crate::contracts::plural::count;
use crate::contracts::verdict::Decision;
use crate::policy::Policy;
use crate::reading::atoms::{Atom, AtomKind, PathText, Program, Reading};
use crate::reading::surroundings::Surroundings;
use crate::report::failure::{Outcome, complain, try_say};

/// Print the narrowest rules that would have spared the questions that a person allowed. Reads only.
#[derive(FromArgs)]
#[argh(subcommand, name = "suggest")]
pub(super) struct Suggest {
    /// the journal file (`agp verify` checks it; this does not)
    #[argh(positional)]
    journal: PathBuf,
    /// the repository (default: that of the journal's last session)
    #[argh(option)]
    repo: Option<PathBuf>,
    /// a policy: a file, standard, strict or watch (default: the policy in AGP_HOME)
    #[argh(option)]
    policy: Option<String>,
    /// commands run in a sandbox (the default)
    #[argh(switch)]
    confined: bool,
    /// commands run on this host
    #[argh(switch)]
    unconfined: bool,
    /// what commands reach of the network: none (the default), allowlist or full
    #[argh(option, default = "String::from(\"none\")")]
    egress: String,
}

pub(super) fn suggest(command: &Suggest) -> Outcome {
    let confined = asking::confinement(command.confined, command.unconfined, &command.egress)?;
    let (record, repository) = recorded::read(&command.journal, command.repo.clone())?;
    let policy = which::load(command.policy.as_deref(), &repository)?;
    let around = asking::surroundings(&repository, true);
    let disk = asking::disk(&around);
    let asking = Asking::new(&policy, around, confined);
    let mut sessions: HashMap<&str, Session> = HashMap::new();
    let mut suggested = Suggested::default();
    for recorded in &record {
        let Some(call) = recorded.call() else {
            if recorded.granted {
                let call = replay::shown(&recorded.tool, &recorded.args);
                suggested.left(&call, "its arguments are not whole in the journal");
            }
            continue;
        };
        let session = sessions.entry(&recorded.session);
        let session = session.or_insert_with(|| asking.begin());
        let (reading, explained) = asking.explain(call, session, &disk.looking());
        if recorded.granted && explained.ruling.verdict.decision == Decision::Require {
            let atoms = explained.atoms.iter().enumerate();
            let atoms = atoms.filter(|(_, atom)| atom.decision == Decision::Require);
            let atoms: Vec<usize> = atoms.map(|(at, _)| at).collect();
            let rules = rules_for(&reading, &atoms, asking.around(), call);
            let text = replay::shown(&recorded.tool, &recorded.args);
            match with(&policy, &rules) {
                Some(wider) if !rules.is_empty() => {
                    let wider = Asking::new(&wider, asking.around().clone(), confined);
                    let (_, ruling) = wider.judge(call, session, &disk.looking());
                    match ruling.verdict.decision {
                        Decision::Allow => suggested.take(rules),
                        _ => suggested.left(&text, &ruling.verdict.reason),
                    }
                }
                _ => suggested.left(&text, &explained.ruling.verdict.reason),
            }
        }
        if recorded.ran() {
            session.record(&reading);
        }
    }
    suggested.print();
    Ok(0)
}

/// Rules, and questions for which there is none.
#[derive(Default)]
struct Suggested {
    /// By what they say, with how many questions each would have spared.
    rules: BTreeMap<String, usize>,
    left: BTreeMap<String, String>,
}

impl Suggested {
    fn take(&mut self, rules: Vec<Map<String, Value>>) {
        for rule in rules {
            *self
                .rules
                .entry(Value::Object(rule).to_string())
                .or_default() += 1;
        }
    }

    fn left(&mut self, call: &str, why: &str) {
        self.left.insert(call.to_owned(), why.to_owned());
    }

    fn print(&self) {
        let numbered = self.rules.keys().enumerate().map(|(number, text)| {
            let mut rule = Map::from_iter([
                ("id".to_owned(), json!(format!("suggested-{}", number + 1))),
                ("effect".to_owned(), json!("allow")),
            ]);
            if let Ok(Value::Object(rest)) = serde_json::from_str(text) {
                rule.extend(rest);
            }
            Value::Object(rule)
        });
        let rules = json!({"rules": numbered.collect::<Vec<_>>()});
        try_say(serde_json::to_string_pretty(&rules).unwrap_or_default());
        for (number, questions) in self.rules.values().enumerate() {
            let spared = count(questions, "question");
            complain(format_args!("suggested-{}: spares {spared}", number + 1));
        }
        for (call, why) in &self.left {
            let (call, why) = (escape::line(call), escape::line(why));
            complain(format_args!("no allow rule spares {call}: {why}"));
        }
    }
}

/// Allow rules for the atoms that are asked about, each as narrow as it can be written; none where one cannot.
fn rules_for(
    reading: &Reading,
    asked: &[usize],
    around: &Surroundings,
    call: Call<'_>,
) -> Vec<Map<String, Value>> {
    let mut rules = Vec::new();
    for position in asked {
        let Some(atom) = reading.atoms.get(*position) else {
            return Vec::new();
        };
        let Some(rule) = rule_for(reading, atom, around, call) else {
            return Vec::new();
        };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

fn rule_for(
    reading: &Reading,
    atom: &Atom,
    around: &Surroundings,
    call: Call<'_>,
) -> Option<Map<String, Value>> {
    let when = |key: &str, pattern: String| {
        Some(Map::from_iter([(
            "when".to_owned(),
            json!({key: [pattern]}),
        )]))
    };
    match &atom.kind {
        AtomKind::Program(program) => when("command", command(program)?),
        AtomKind::Read(place) if !place.tree => when("read", path(&place.path, around)?),
        AtomKind::Write(place) if !place.tree => when("write", path(&place.path, around)?),
        AtomKind::Host(host) => when("host", host.name.clone()?),
        // A program's code is covered with the program.
        AtomKind::Code(_) => {
            let program = atom.program.and_then(|at| reading.atoms.get(at))?;
            match &program.kind {
                AtomKind::Program(program) => when("command", command(program)?),
                _ => None,
            }
        }
        AtomKind::Use => Some(Map::from_iter([("tool".to_owned(), json!(call.tool))])),
        AtomKind::Read(_) | AtomKind::Write(_) => None,
    }
}

/// A command as a pattern that means no more than itself.
fn command(program: &Program) -> Option<String> {
    let words = program.words.iter().map(|word| quoted(word.known()?));
    let words = words.collect::<Option<Vec<String>>>()?;
    (!program.open_ended).then(|| words.join(" "))
}

/// A word as a pattern holds it: itself, not a star.
fn quoted(word: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match word {
        _ if !word.is_empty() && word.chars().all(plain) => Some(word.to_owned()),
        "" => Some("''".to_owned()),
        _ if word.contains('\'') || word.contains(char::is_control) => None,
        _ => Some(format!("'{word}'")),
    }
}

fn path(text: &PathText, around: &Surroundings) -> Option<String> {
    let PathText::Known(path) = text else {
        return None;
    };
    let path = Path::new(path);
    let rooted = [
        ("${repo}", &around.repository),
        ("${home}", &around.home),
        ("${tmp}", &around.temporary),
    ];
    let named = rooted.iter().find_map(|(name, root)| {
        let rest = path.strip_prefix(root).ok()?.to_str()?;
        (!root.is_empty() && !rest.is_empty()).then(|| format!("{name}/{rest}"))
    });
    let named = named.or_else(|| path.to_str().map(str::to_owned))?;
    // A name that would be a pattern is no narrow rule.
    let rest = named.trim_start_matches(['$', '{']);
    (!rest.contains(['*', '?', '!', '[', '\\'])).then_some(named)
}

/// The policy with these allow rules besides.
fn with(policy: &Policy, rules: &[Map<String, Value>]) -> Option<Policy> {
    let text = policy.text();
    let part = |name: &str| text.get(name).and_then(|part| part.get("policy"));
    let mut main = part("policy")?.clone();
    let list = main.get_mut("rules")?.as_array_mut()?;
    for (number, rule) in rules.iter().enumerate() {
        let mut rule = rule.clone();
        rule.insert("id".to_owned(), json!(format!("agp-suggested-{number}")));
        rule.insert("effect".to_owned(), json!("allow"));
        list.push(Value::Object(rule));
    }
    let bytes = |value: &Value| value.to_string().into_bytes();
    let (managed, repository) = (part("managed").map(bytes), part("repository").map(bytes));
    Policy::layered(managed.as_deref(), &bytes(&main), repository.as_deref()).ok()
}
