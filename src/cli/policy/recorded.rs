//! Calls as a journal recorded them: each with its arguments, what was decided, and what a person answered. The
//! journal is not verified here.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::asking::{self, Call};
use crate::contracts::call::{Actor, without_added};
use crate::contracts::event::Kind;
use crate::contracts::limits;
use crate::contracts::verdict::Decision;
use crate::journal::{self, Entry};
use crate::report::failure::Failure;

/// A call on record.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) seq: u64,
    pub(super) session: String,
    pub(super) tool: String,
    pub(super) args: Map<String, Value>,
    pub(super) actor: Actor,
    /// Its arguments are on record as they were given.
    whole: bool,
    /// What the policy of then said.
    pub(super) decision: Decision,
    /// A person allowed it.
    pub(super) granted: bool,
}

impl Recorded {
    /// The call as it was made; `None` where its arguments are not on record whole.
    pub(super) fn call(&self) -> Option<Call<'_>> {
        self.whole.then_some(Call {
            tool: &self.tool,
            args: &self.args,
            directory: None,
            actor: self.actor,
        })
    }

    /// Whether it ran.
    pub(super) fn ran(&self) -> bool {
        self.decision == Decision::Allow || self.granted
    }
}

/// Whether arguments are on record as they were given, and not cut or redacted: their digest is.
fn is_whole(args: &Map<String, Value>, digest: Option<&str>) -> bool {
    let given = without_added(args);
    let of_args = journal::args_sha256(given.as_ref().unwrap_or(args)).to_hex();
    digest == Some(of_args.as_str())
}

/// Reads the calls of a journal, in its order, and where they were made: in `named`, else in the repository of its last
/// session.
pub(super) fn read(
    journal: &Path,
    named: Option<PathBuf>,
) -> Result<(Vec<Recorded>, PathBuf), Failure> {
    let failed = |problem: String| {
        let problem = format!("{}: {problem}", journal.display());
        Failure::usage(problem, "name a journal, such as audit.log in AGP_HOME")
    };
    let file = File::open(journal).map_err(|error| failed(error.to_string()))?;
    let mut reader = BufReader::new(file);
    let (mut calls, mut last) = (Vec::<Recorded>::new(), None);
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut line = Vec::new();
    let bound = u64::try_from(limits::LINE_BYTES).unwrap_or(u64::MAX) + 2;
    let mut number = 0_u64;
    loop {
        line.clear();
        let got = (&mut reader).take(bound).read_until(b'\n', &mut line);
        if got.map_err(|error| failed(error.to_string()))? == 0 {
            let repository = named.or(last.map(PathBuf::from));
            return Ok((calls, asking::repository(repository.as_ref())));
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let entry = Entry::parse(text)
            .map_err(|flaw| failed(format!("line {number} is no event: {}", flaw.detail)))?;
        let Some(payload) = entry.payload() else {
            continue;
        };
        let field = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        if entry.kind() == Kind::SessionStarted.as_str() {
            last = field("repository").or(last);
            continue;
        }
        let decision = match entry.kind() {
            kind if kind == Kind::ToolCallAllow.as_str() => Some(Decision::Allow),
            kind if kind == Kind::ToolCallRequire.as_str() => Some(Decision::Require),
            kind if kind == Kind::ToolCallDeny.as_str() => Some(Decision::Deny),
            _ => None,
        };
        let key = (
            field("sessionId").unwrap_or_default(),
            field("messageId").unwrap_or_default(),
        );
        if entry.kind() == Kind::ApprovalGranted.as_str() {
            let call = places.get(&key).and_then(|at| calls.get_mut(*at));
            if let Some(call) = call {
                call.granted = true;
            }
        }
        let (Some(decision), Some(tool)) = (decision, field("tool")) else {
            continue;
        };
        let args = payload.get("args").and_then(Value::as_object);
        let args = args.cloned().unwrap_or_default();
        let whole = is_whole(&args, field("argsSha256").as_deref());
        places.insert(key.clone(), calls.len());
        calls.push(Recorded {
            seq: entry.seq,
            session: key.0,
            tool,
            args,
            whole,
            actor: match entry.text("actor") {
                Some("session_owner") => Actor::SessionOwner,
                _ => Actor::ClaudeProcess,
            },
            decision,
            granted: false,
        });
    }
}
