//! `agp log`: the journal's events for people, one line each. It shows; it does not verify.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use argh::FromArgs;
use serde_json::{Map, Value};

use crate::channels::escape;
use crate::contracts::limits;
use crate::journal::Entry;

use super::home::Home;
use super::report::{Failure, Outcome, complain, try_say};

/// Show the journal's events, one line each (agp verify proves them).
#[derive(FromArgs)]
#[argh(subcommand, name = "log")]
pub(super) struct Log {
    /// only this session's events
    #[argh(option)]
    session: Option<String>,
    /// only events of this kind; tool_call shows every tool_call.* event
    #[argh(option)]
    kind: Option<String>,
    /// go on with events as they come
    #[argh(switch)]
    follow: bool,
    /// print the journal's own lines
    #[argh(switch)]
    json: bool,
}

const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn log(home: &Home, command: &Log) -> Outcome {
    let path = home.journal().log;
    let failed = |error: io::Error| {
        let mend = match error.kind() {
            io::ErrorKind::NotFound => "there is none before the first session: agp quickstart",
            _ => "agp doctor --check journal",
        };
        Failure {
            code: super::report::exit::USAGE,
            ..Failure::refused(format!("{}: {error}", path.display()), mend)
        }
    };
    let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
    let mut line = Vec::new();
    loop {
        let got = (&mut reader)
            .take(limits::LINE_BYTES as u64 + 2)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        if line.ends_with(b"\n") {
            if !show(command, line.strip_suffix(b"\n").unwrap_or(&line)) {
                return Ok(0);
            }
            line.clear();
        } else if line.len() > limits::LINE_BYTES {
            return Err(Failure::refused(
                "a line is longer than 1 MiB",
                "agp verify",
            ));
        } else if got == 0 && !command.follow {
            return Ok(0);
        } else if got == 0 {
            std::thread::sleep(FOLLOW_INTERVAL);
        }
    }
}

/// Shows a line if it is asked for; false when nobody reads any more.
fn show(command: &Log, line: &[u8]) -> bool {
    let entry = match Entry::parse(line) {
        Ok(entry) => entry,
        Err(flaw) => {
            complain(format_args!("not an event: {}", escape::line(&flaw.detail)));
            return true;
        }
    };
    let of_session = |wanted: &String| text(entry.payload(), "sessionId") == Some(wanted);
    let of_kind = |wanted: &String| {
        let rest = entry.kind().strip_prefix(wanted.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let asked = command.session.as_ref().is_none_or(of_session)
        && command.kind.as_ref().is_none_or(of_kind);
    if !asked {
        true
    } else if command.json {
        try_say(String::from_utf8_lossy(line))
    } else {
        try_say(for_people(&entry))
    }
}

fn text<'a>(payload: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a str> {
    payload?.get(name)?.as_str()
}

/// What a payload says first, whichever kind it is.
const TOLD: &[&str] = &[
    "tool",
    "ruleId",
    "reason",
    "decidedBy",
    "how",
    "exitCode",
    "ok",
    "seen",
    "decided",
    "allowed",
    "denied",
    "bypassed",
    "end",
    "newKeyId",
];

fn for_people(entry: &Entry) -> String {
    let payload = entry.payload();
    let mut line = format!(
        "{:>6} {} {:<18}",
        entry.seq,
        entry.text("ts").unwrap_or_default(),
        escape::line(entry.kind())
    );
    if let Some(session) = text(payload, "sessionId") {
        line.push_str(&format!(" [{}]", escape::line_max(session, 40)));
    }
    for name in TOLD {
        match payload.and_then(|payload| payload.get(*name)) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                line.push_str(&format!(" {name}={}", escape::line_max(text, 100)));
            }
            Some(value) => {
                line.push_str(&format!(
                    " {name}={}",
                    escape::line_max(&value.to_string(), 100)
                ));
            }
        }
    }
    line
}

/// The first event of a journal, unchecked.
pub(super) fn first_event(journal: &Path) -> Option<Entry> {
    let mut line = Vec::new();
    let file = File::open(journal).ok()?;
    BufReader::new(file)
        .take(limits::LINE_BYTES as u64 + 2)
        .read_until(b'\n', &mut line)
        .ok()?;
    Entry::parse(line.strip_suffix(b"\n")?).ok()
}

/// The last event of a journal, unchecked.
pub(super) fn last_event(journal: &Path) -> Option<Entry> {
    crate::journal::last_line(&File::open(journal).ok()?).and_then(|line| Entry::parse(&line).ok())
}
