//! `agp sessions`: every session the journal knows, one line each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use argh::FromArgs;
use serde_json::{Map, Value, json};

use crate::channels::escape;
use crate::contracts::fold::Next;
use crate::contracts::ids::SessionId;
use crate::contracts::limits;
use crate::journal::Entry;
use crate::report::failure::{Failure, Outcome, exit, help_with, say, say_folded, try_say};
use crate::session::home::Home;
use crate::session::lease;

/// List the sessions in the journal.
#[derive(FromArgs)]
#[argh(subcommand, name = "sessions")]
pub(super) struct Sessions {
    /// print JSON lines
    #[argh(switch)]
    json: bool,
}

#[derive(Default)]
struct Summary {
    first_seq: u64,
    started: String,
    harness: String,
    allowed: u64,
    denied: u64,
    end: Option<String>,
    /// Why it was refused.
    why: Option<String>,
    /// Whether it has a governor.
    live: bool,
}

pub(super) fn sessions(home: &Home, command: &Sessions) -> Outcome {
    let path = home.journal().log;
    let failed = |error: io::Error| Failure {
        code: exit::USAGE,
        ..Failure::refused(
            format!("{}: {error}", path.display()),
            help_with(&path, &error, "run `agp doctor --check journal`"),
        )
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !command.json {
                say("no sessions yet; run `agp quickstart`");
            }
            return Ok(0);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::new(file);
    let mut summaries: BTreeMap<String, Summary> = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let got = (&mut reader)
            .take(limits::LINE_BYTES as u64 + 2)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        if got == 0 {
            break;
        }
        if let Some(Ok(entry)) = line.strip_suffix(b"\n").map(Entry::parse) {
            take_in(&mut summaries, &entry);
        }
    }
    let mut all: Vec<_> = summaries.into_iter().collect();
    all.sort_by_key(|(_, summary)| summary.first_seq);
    for (id, mut summary) in all {
        summary.live = SessionId::new(&id).is_ok_and(|session| lease::is_live(home, &session));
        let is_read = if command.json {
            try_say(as_json(&id, &summary))
        } else {
            say_folded(&for_people(&id, &summary), Next::FOREIGN)
        };
        if !is_read {
            break;
        }
    }
    Ok(0)
}

fn take_in(summaries: &mut BTreeMap<String, Summary>, entry: &Entry) {
    let text = |name: &str| {
        let payload = entry.payload()?;
        payload.get(name)?.as_str().map(str::to_owned)
    };
    let Some(id) = text("sessionId") else { return };
    let summary = summaries.entry(id).or_insert_with(|| Summary {
        first_seq: entry.seq,
        // One that was refused has not started; it was asked for then.
        started: entry.text("ts").unwrap_or_default().to_owned(),
        ..Summary::default()
    });
    match entry.kind() {
        "session.started" => {
            summary.started = entry.text("ts").unwrap_or_default().to_owned();
            let name = |harness: &Map<String, Value>| {
                harness
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let harness = entry.payload().and_then(|payload| payload.get("harness"));
            summary.harness = harness
                .and_then(Value::as_object)
                .map(name)
                .unwrap_or_default();
        }
        "session.ended" => {
            summary.end = Some(text("end").unwrap_or_else(|| "ended".into()));
            let count = |name: &str| entry.payload()?.get(name)?.as_u64();
            summary.allowed = count("allowed").unwrap_or(summary.allowed);
            summary.denied = count("denied").unwrap_or(summary.denied);
        }
        "session.reaped" => summary.end = Some("reaped".into()),
        "session.refused" => {
            summary.end = Some("refused".into());
            summary.why = text("reason");
        }
        "gate.allow" | "tool_call.executed" => summary.allowed += 1,
        "gate.deny" => summary.denied += 1,
        _ => {}
    }
}

fn for_people(id: &str, summary: &Summary) -> String {
    let why = summary
        .why
        .as_deref()
        .map(|why| format!(": {}", escape::line_max(why, 100)));
    // One that has neither is reaped by the next start.
    let unended = if summary.live {
        "running"
    } else {
        "no end recorded"
    };
    format!(
        "{:<14} {} {:<12} {} allowed, {} denied, {}{}",
        escape::line(id),
        escape::line(&summary.started),
        escape::line(&summary.harness),
        summary.allowed,
        summary.denied,
        escape::line(summary.end.as_deref().unwrap_or(unended)),
        why.unwrap_or_default(),
    )
}

fn as_json(id: &str, summary: &Summary) -> String {
    json!({
        "sessionId": id,
        "started": summary.started,
        "harness": summary.harness,
        "allowed": summary.allowed,
        "denied": summary.denied,
        "end": summary.end,
    })
    .to_string()
}
