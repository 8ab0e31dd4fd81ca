//! `agp policy explain`: what a call would do, what each rule says of it, and the verdict.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use argh::FromArgs;
use serde_json::{Map, Value, json};

use super::asking::{self, Asking, Call};
use super::hook_line::{self, HookLine};
use super::which;
use crate::channels::escape;
use crate::contracts::call::Actor;
use crate::contracts::fold::Next;
use crate::contracts::secret::SHELL;
use crate::contracts::verdict::Decision;
use crate::contracts::{bounded_file, limits, strict_json};
use crate::jail::spec::Withheld;
use crate::policy::{
    AtomExplained, Explanation, Owner, Policy, RuleOutcome, SET_NAMES, category_name, set_members,
};
use crate::reading::atoms::{AtomKind, PathText, Place, Reading};
use crate::reading::disk::{Disk, NoDisk};
use crate::reading::surroundings::Surroundings;
use crate::report::failure::{Failure, Outcome, say, say_folded, try_say};
use crate::session::withheld::withheld;

/// Explain a call: what it would do, what each rule says of that, and the verdict.
#[derive(FromArgs)]
#[argh(subcommand, name = "explain")]
pub(super) struct Explain {
    /// a shell command
    #[argh(option)]
    command: Option<String>,
    /// a tool, in the harness's words
    #[argh(option)]
    tool: Option<String>,
    /// the tool's arguments as JSON
    #[argh(option)]
    args: Option<String>,
    /// read a hook's JSON from standard input; whose it is: claude-code or codex
    #[argh(option)]
    harness: Option<String>,
    /// print a named set, such as @reads
    #[argh(option)]
    set: Option<String>,
    /// the repository (default: the current directory)
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
    /// look at no files: paths are taken by their names
    #[argh(switch)]
    no_disk: bool,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

/// Where the text of a line starts.
const COLUMN: usize = 12;

pub(super) fn explain(command: &Explain) -> Outcome {
    if let Some(name) = &command.set {
        return print_set(name, command.json);
    }
    let hook = call(command)?;
    let confined = asking::confinement(command.confined, command.unconfined, &command.egress)?;
    let repository = asking::repository(command.repo.as_ref());
    let policy = which::load(command.policy.as_deref(), &repository)?;
    let around = asking::surroundings(&repository, !command.no_disk);
    let local = asking::disk(&around);
    let asking = Asking::new(&policy, around, confined);
    let call = Call {
        tool: &hook.tool,
        args: &hook.args,
        directory: hook.directory.as_deref(),
        actor: Actor::ClaudeProcess,
    };
    let looking = local.looking();
    let disk: &dyn Disk = match command.no_disk {
        true => &NoDisk,
        false => &looking,
    };
    let (reading, explanation) = asking.explain(call, &mut asking.begin(), disk);
    let bounds = Bounds {
        policy: &policy,
        around: asking.around(),
        withheld: match confined && !command.no_disk {
            true => withheld(&policy, Path::new(&asking.around().repository), &[]),
            false => Vec::new(),
        },
        egress: (!command.unconfined).then_some(command.egress.as_str()),
    };
    match command.json {
        true => {
            try_say(as_json(&reading, &explanation, &bounds));
        }
        false => print(&hook, &reading, &explanation, &bounds),
    }
    Ok(0)
}

fn call(command: &Explain) -> Result<HookLine, Failure> {
    let usage = "agp policy explain --command TEXT, or --tool TOOL --args JSON, or --harness H with a hook's JSON on \
                 standard input";
    let plain = |tool: &str, args: Map<String, Value>| HookLine {
        tool: tool.to_owned(),
        args,
        directory: None,
        session: None,
    };
    match (&command.command, &command.tool, &command.harness) {
        (Some(text), None, None) if command.args.is_none() => Ok(plain(
            SHELL.0,
            Map::from_iter([(SHELL.1.to_owned(), json!(text))]),
        )),
        (None, Some(tool), None) => {
            let text = command.args.as_deref().unwrap_or("{}");
            match strict_json::from_slice(text.as_bytes()) {
                Ok(Value::Object(args)) => Ok(plain(tool, args)),
                Ok(_) => Err(Failure::usage("--args is no JSON object", usage)),
                Err(error) => Err(Failure::usage(format!("--args: {error}"), usage)),
            }
        }
        (None, None, Some(harness)) => {
            hook_line::harness(harness)?;
            if io::stdin().is_terminal() {
                return Err(Failure::usage("no call on standard input", usage));
            }
            let bound = u64::try_from(limits::LINE_BYTES).unwrap_or(u64::MAX);
            let bytes = bounded_file::read_from(io::stdin().lock(), bound)
                .map_err(|error| Failure::usage(format!("standard input: {error}"), usage))?;
            hook_line::read(&bytes)
                .map_err(|problem| Failure::usage(format!("standard input: {problem}"), usage))
        }
        (None, None, None) => Err(Failure::usage("no call is named", usage)),
        _ => Err(Failure::usage("more than one call is named", usage)),
    }
}

fn print_set(name: &str, json: bool) -> Outcome {
    let members = set_members(name).ok_or_else(|| {
        Failure::usage(
            format!("unknown set {name:?}"),
            format!("--set {}", SET_NAMES.join("|")),
        )
    })?;
    match json {
        true => {
            try_say(json!({"set": name, "members": members}));
        }
        false => members.iter().for_each(say),
    }
    Ok(0)
}

/// What else than reading holds a deny.
struct Bounds<'a> {
    policy: &'a Policy,
    around: &'a Surroundings,
    /// What mounts of a sandbox for these commands would withhold.
    withheld: Vec<Withheld>,
    /// What a sandbox reaches, where commands run in one.
    egress: Option<&'a str>,
}

impl Bounds<'_> {
    /// Who holds a rule that denies an atom.
    fn held_by(&self, rule: &RuleOutcome, kind: Option<&AtomKind>) -> Option<&'static str> {
        if rule.effect != Decision::Deny || !rule.matches {
            return None;
        }
        let by_sandbox = match kind {
            Some(AtomKind::Host(host)) => {
                let says = self.policy.egress(host);
                let denies = says == Some((Decision::Deny, Some(rule.id.as_str())));
                match self.egress {
                    Some("none") => true,
                    Some("allowlist") => denies,
                    _ => false,
                }
            }
            Some(AtomKind::Read(place)) => self.withholds(rule, place, true),
            Some(AtomKind::Write(place)) => self.withholds(rule, place, false),
            _ => false,
        };
        Some(match by_sandbox {
            true => "by the sandbox too",
            false => "by reading",
        })
    }
}

impl Bounds<'_> {
    /// Whether a mount holds this rule at all of a place that is known.
    fn withholds(&self, rule: &RuleOutcome, place: &Place, reads: bool) -> bool {
        let path = match (&place.real, &place.path) {
            (Some(real), PathText::Known(_)) => real,
            (None, PathText::Known(path)) => path,
            _ => return false,
        };
        let mut mounts = self.withheld.iter().filter(|one| one.hidden || !reads);
        let mount = mounts.find(|one| Path::new(path).starts_with(&one.path));
        let Some(mount) = mount.and_then(|mount| mount.path.to_str()) else {
            return false;
        };
        let mut literal = self.policy.withheld(self.around).into_iter();
        let named =
            literal.any(|one| one.rule == rule.id && Path::new(path).starts_with(&one.path));
        let hiding = |whole| {
            self.policy
                .hidden_at(mount, whole, self.around)
                .contains(&rule.id.as_str())
        };
        named || hiding(false) || hiding(true)
    }
}

/// An atom's kind by its position.
fn kind(reading: &Reading, position: usize) -> Option<&AtomKind> {
    let mut atoms = reading.atoms.iter().chain(&reading.mentioned);
    atoms.nth(position).map(|atom| &atom.kind)
}

fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::Managed => "machine",
        Owner::Main => "policy",
        Owner::Repository => "repository",
    }
}

fn as_json(reading: &Reading, explanation: &Explanation, bounds: &Bounds<'_>) -> Value {
    let atom = |(position, atom): (usize, &AtomExplained)| {
        let dangers = atom.dangers.iter().map(|(category, why, on)| {
            json!({"category": category_name(*category), "why": why, "on": on})
        });
        let rules = atom.rules.iter().map(|rule| {
            json!({
                "id": rule.id,
                "of": owner(rule.owner),
                "effect": rule.effect.as_str(),
                "matches": rule.matches,
                "held": bounds.held_by(rule, kind(reading, position)),
            })
        });
        json!({
            "text": atom.text,
            "mentioned": atom.mentioned,
            "decision": atom.decision.as_str(),
            "dangers": dangers.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    };
    let atoms: Vec<Value> = explanation.atoms.iter().enumerate().map(atom).collect();
    let ruling = &explanation.ruling;
    json!({
        "decision": ruling.verdict.decision.as_str(),
        "reason": ruling.verdict.reason,
        "ruleId": ruling.verdict.rule_id,
        "atoms": atoms,
        "unread": explanation.unread,
        "approvalsRequired": ruling.terms.required,
        "sessionGrant": ruling.session_grant(),
        "approvers": ruling.approvers,
    })
}

fn print(hook: &HookLine, reading: &Reading, explanation: &Explanation, bounds: &Bounds<'_>) {
    let line = |label: &str, text: &str| {
        let text = escape::line(text);
        say_folded(
            &format!("{label:<11} {text}"),
            Next {
                indent: COLUMN,
                ..Next::FOREIGN
            },
        );
    };
    match hook.args.get(SHELL.1).and_then(Value::as_str) {
        Some(command) => line(&hook.tool, command),
        None => line(&hook.tool, &Value::Object(hook.args.clone()).to_string()),
    }
    for (position, atom) in explanation.atoms.iter().enumerate() {
        say("");
        let mentioned = match atom.mentioned {
            true => " (only mentioned)",
            false => "",
        };
        line(atom.decision.as_str(), &format!("{}{mentioned}", atom.text));
        for (category, why, on) in &atom.dangers {
            let off = match on {
                true => "",
                false => " (this policy has it off)",
            };
            line(
                "  danger",
                &format!("{}: {why}{off}", category_name(*category)),
            );
        }
        for rule in atom.rules.iter().filter(|rule| rule.matches) {
            let held = bounds.held_by(rule, kind(reading, position));
            let held = held.map_or_else(String::new, |held| format!(", {held}"));
            let whose = match rule.owner {
                Owner::Main => String::new(),
                other => format!(" of the {}", owner(other)),
            };
            let says = format!("{} by rule {}{whose}{held}", rule.effect.as_str(), rule.id);
            line("  matches", &says);
        }
        let others: Vec<&str> = atom
            .rules
            .iter()
            .filter(|rule| !rule.matches)
            .map(|rule| rule.id.as_str())
            .collect();
        if !others.is_empty() {
            line("  no match", &others.join(", "));
        }
    }
    for sentence in &explanation.unread {
        say("");
        line("unread", sentence);
    }
    let ruling = &explanation.ruling;
    say("");
    line("verdict", ruling.verdict.decision.as_str());
    line("why", &ruling.verdict.reason);
    if ruling.verdict.decision == Decision::Require {
        if let Some(people) = ruling.terms.required {
            line("approvals", &people.to_string());
        }
        for approvers in &ruling.approvers {
            line("approvers", &approvers.join(", "));
        }
    }
}
