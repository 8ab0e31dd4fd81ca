//! `agp log`: the journal's events for people, one line each. It shows; it does not verify.

mod grants;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use argh::FromArgs;
use serde_json::{Map, Value};

use crate::channels::escape;
use crate::contracts::event::Kind;
use crate::contracts::fold::Next;
use crate::contracts::limits;
use crate::journal::Entry;
use crate::report::failure::{Failure, Outcome, complain, help_with, say_folded, try_say};
use crate::session::home::Home;
use crate::session::transcript;

/// Show the journal's events, one per line (`agp verify` checks them).
#[derive(FromArgs)]
#[argh(subcommand, name = "log")]
pub(super) struct Log {
    /// show only the events of this session
    #[argh(option)]
    session: Option<String>,
    /// show only this kind of event; tool_call means every tool_call.* event
    #[argh(option)]
    kind: Option<String>,
    /// keep running and show new events
    #[argh(switch)]
    follow: bool,
    /// show the approvals that were given for a session, and whether they still hold
    #[argh(switch)]
    grants: bool,
    /// print the raw journal lines; of grants one object a line
    #[argh(switch)]
    json: bool,
}

/// How an event goes on: right of its number, where none begins.
const EVENT: Next = Next {
    indent: 7,
    ..Next::FOREIGN
};

const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn log(home: &Home, command: &Log) -> Outcome {
    if command.grants && (command.follow || command.kind.is_some()) {
        let problem = "--grants lists what a journal has by now, whatever the kind of event";
        return Err(Failure::usage(problem, "omit --follow and --kind"));
    }
    let path = home.journal().log;
    let failed = |error: io::Error| {
        let mend = match error.kind() {
            io::ErrorKind::NotFound => "the first session creates it: run `agp quickstart`".into(),
            _ => help_with(&path, &error, "run `agp doctor --check journal`"),
        };
        Failure {
            code: crate::report::failure::exit::USAGE,
            ..Failure::refused(format!("{}: {error}", path.display()), mend)
        }
    };
    let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
    let mut line = Vec::new();
    let mut seen = Seen::default();
    loop {
        let got = (&mut reader)
            .take(limits::LINE_BYTES as u64 + 2)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        if line.ends_with(b"\n") {
            if !show(
                command,
                line.strip_suffix(b"\n").unwrap_or(&line),
                &mut seen,
            ) {
                return Ok(0);
            }
            line.clear();
        } else if line.len() > limits::LINE_BYTES {
            let problem = format!("{}: a line is longer than 1 MiB", path.display());
            return Err(Failure::refused(problem, "run `agp verify`"));
        } else if got == 0 && !command.follow {
            let outcome = seen.of(command)?;
            if command.grants {
                seen.grants.print(command.json);
            }
            return Ok(outcome);
        } else if got == 0 {
            std::thread::sleep(FOLLOW_INTERVAL);
        }
    }
}

/// Whether there is what was asked for: a name that is misspelt must not read as "it did not happen".
#[derive(Default)]
struct Seen {
    session: bool,
    kind: bool,
    grants: grants::Listed,
}

impl Seen {
    fn of(&self, command: &Log) -> Outcome {
        if let Some(session) = command.session.as_ref().filter(|_| !self.session) {
            let problem = format!("the journal has no session {session:?}");
            return Err(Failure::usage(
                problem,
                "run `agp sessions` to list the sessions",
            ));
        }
        let known = |kind: &String| Kind::ALL.iter().any(|known| is_of(known.as_str(), kind));
        if let Some(kind) = command
            .kind
            .as_ref()
            .filter(|kind| !self.kind && !known(kind))
        {
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            let problem = format!("unknown event kind {kind:?}");
            return Err(Failure::usage(
                problem,
                format!("use --kind with one of {}", all.join(", ")),
            ));
        }
        Ok(0)
    }
}

/// Whether this kind is the one that is wanted, or one of its family.
fn is_of(kind: &str, wanted: &str) -> bool {
    let rest = kind.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Shows a line if it is asked for; false when nobody reads any more.
fn show(command: &Log, line: &[u8], seen: &mut Seen) -> bool {
    let entry = match Entry::parse(line) {
        Ok(entry) => entry,
        Err(flaw) => {
            complain(format_args!(
                "agp: not an event: {}",
                escape::line(&flaw.detail)
            ));
            return true;
        }
    };
    let session = text(entry.payload(), "sessionId");
    let of_session = command
        .session
        .as_deref()
        .is_none_or(|wanted| session == Some(wanted));
    let of_kind = command
        .kind
        .as_deref()
        .is_none_or(|wanted| is_of(entry.kind(), wanted));
    seen.session |= of_session;
    seen.kind |= of_kind;
    let options = of_session && of_kind;
    if !options {
        true
    } else if command.grants {
        seen.grants.take(&entry);
        true
    } else if command.json {
        try_say(String::from_utf8_lossy(line))
    } else {
        say_folded(&for_people(&entry), EVENT)
    }
}

fn text<'a>(payload: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a str> {
    payload?.get(name)?.as_str()
}

/// What a payload says first, whichever kind it is: a name, and where it stands.
const TOLD: &[(&str, &[&str])] = &[
    ("harness", &["harness", "name"]),
    ("version", &["harness", "version"]),
    ("mode", &["intendant", "mode"]),
    ("sandbox", &["sandbox", "kind"]),
    ("repository", &["repository"]),
    ("task", &["task"]),
    ("kind", &["kind"]),
    ("namespaces", &["namespaces"]),
    ("tool", &["tool"]),
    ("args", &["args"]),
    ("host", &["host"]),
    ("port", &["port"]),
    ("serverName", &["serverName"]),
    ("phase", &["phase"]),
    ("container", &["container"]),
    ("ruleId", &["ruleId"]),
    ("reason", &["reason"]),
    ("decidedBy", &["decidedBy"]),
    ("revokedBy", &["revokedBy"]),
    ("user", &["user"]),
    ("how", &["how"]),
    ("exitCode", &["exitCode"]),
    ("signal", &["signal"]),
    ("ok", &["ok"]),
    ("seen", &["seen"]),
    ("decided", &["decided"]),
    ("allowed", &["allowed"]),
    ("denied", &["denied"]),
    ("bypassed", &["bypassed"]),
    ("anomalies", &["anomalies"]),
    ("end", &["end"]),
    ("newKeyId", &["newKeyId"]),
];

/// A value on one line, of a call of this tool.
fn told(value: &Value, tool: &str) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        // Arguments: of all of them what says most, as in the live lines.
        Value::Object(args) => transcript::telling(tool, args, Path::new("")),
        Value::String(text) => escape::line_max(text, 100),
        other => escape::line_max(&other.to_string(), 100),
    };
    (!text.is_empty()).then_some(text)
}

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
    let tool = text(payload, "tool").unwrap_or_default();
    for (name, place) in TOLD {
        let (first, within) = (place.first(), place.get(1));
        let value = first.and_then(|first| payload?.get(*first));
        let value = value.and_then(|value| within.map_or(Some(value), |name| value.get(name)));
        let Some(words) = value.and_then(|value| told(value, tool)) else {
            continue;
        };
        // What the agent says is not to pass for a field of agp's.
        let foreign = ["tool", "args", "task"].contains(name)
            && !words.chars().all(|c| c.is_ascii_graphic() && c != '"');
        if foreign {
            line.push_str(&format!(" {name}=\"{}\"", words.replace('"', "\\\"")));
        } else {
            line.push_str(&format!(" {name}={words}"));
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
