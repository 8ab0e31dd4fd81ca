//! `agp policy replay`: recorded calls through the present policy, and what would change.

use std::collections::HashMap;
use std::path::PathBuf;

use argh::FromArgs;
use serde_json::{Value, json};

use super::asking::{self, Asking, Session};
use super::{recorded, which};
use crate::channels::escape;
use crate::contracts::fold::Next;
use crate::contracts::plural::count;
use crate::report::failure::{Outcome, say, say_folded, try_say};

/// Decide a journal's calls by the present policy, and print what would change. Reads only.
#[derive(FromArgs)]
#[argh(subcommand, name = "replay")]
pub(super) struct Replay {
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
    /// print JSON
    #[argh(switch)]
    json: bool,
}

pub(super) fn replay(command: &Replay) -> Outcome {
    let confined = asking::confinement(command.confined, command.unconfined, &command.egress)?;
    let (record, repository) = recorded::read(&command.journal, command.repo.clone())?;
    let policy = which::load(command.policy.as_deref(), &repository)?;
    let around = asking::surroundings(&repository, true);
    let disk = asking::disk(&around);
    let asking = Asking::new(&policy, around, confined);
    let mut sessions: HashMap<&str, Session> = HashMap::new();
    let (mut changes, mut undecidable) = (Vec::new(), Vec::new());
    for recorded in &record {
        let call = recorded.call();
        let text = shown(&recorded.tool, &recorded.args);
        let Some(call) = call else {
            undecidable.push(json!({"seq": recorded.seq, "call": text}));
            continue;
        };
        let session = sessions.entry(&recorded.session);
        let session = session.or_insert_with(|| asking.begin());
        let (reading, ruling) = asking.judge(call, session, &disk.looking());
        // What ran then is what later calls of that session met.
        if recorded.ran() {
            session.record(&reading);
        }
        if ruling.verdict.decision != recorded.decision {
            changes.push(json!({
                "seq": recorded.seq,
                "call": text,
                "was": recorded.decision.as_str(),
                "is": ruling.verdict.decision.as_str(),
                "reason": ruling.verdict.reason,
                "ruleId": ruling.verdict.rule_id,
            }));
        }
    }
    if command.json {
        try_say(json!({
            "calls": record.len(), "changes": changes, "undecidable": undecidable,
        }));
        return Ok(0);
    }
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        escape::line(text.unwrap_or_default())
    };
    let number = |value: &Value| value.get("seq").map(Value::to_string).unwrap_or_default();
    for change in &changes {
        let (was, is) = (text(change, "was"), text(change, "is"));
        let line = format!(
            "{:>6} {was} -> {is}: {}",
            number(change),
            text(change, "call")
        );
        say_folded(&line, NEXT);
        say_folded(&format!("{:6} {}", "", text(change, "reason")), NEXT);
    }
    for call in &undecidable {
        let line = format!(
            "{:>6} undecidable, its arguments are not whole in the journal: {}",
            number(call),
            text(call, "call")
        );
        say_folded(&line, NEXT);
    }
    say(format_args!(
        "{}: {} would change, {} undecidable",
        count(record.len(), "call"),
        changes.len(),
        undecidable.len()
    ));
    Ok(0)
}

/// Where a line's text starts, behind its number.
const NEXT: Next = Next {
    indent: 7,
    ..Next::FOREIGN
};
/// Characters of a call that are shown.
const SHOWN: usize = 200;

/// A call for people.
pub(super) fn shown(tool: &str, args: &serde_json::Map<String, Value>) -> String {
    let text = match args.get("command").and_then(Value::as_str) {
        Some(command) => format!("{tool} {command}"),
        None => format!("{tool} {}", Value::Object(args.clone())),
    };
    text.chars().take(SHOWN).collect()
}
