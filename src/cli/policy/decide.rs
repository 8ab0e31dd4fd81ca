//! `agp policy decide`: hooks' JSON lines on standard input, a verdict for each on standard output.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use argh::FromArgs;
use serde_json::json;

use super::asking::{self, Asking, Call, Session};
use super::{hook_line, which};
use crate::contracts::call::Actor;
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::verdict::{Decision, Verdict};
use crate::disk::LocalDisk;
use crate::reading::disk::NoDisk;
use crate::report::failure::{Failure, Outcome};
use crate::session::kinds::Harness;

/// Bytes that are read and written at once: what a pipe holds.
const BUFFER_BYTES: usize = 64 * 1024;

/// Decide hooks' JSON lines on standard input: one line each on standard output. No session, no journal, and nobody
/// is asked.
#[derive(FromArgs)]
#[argh(subcommand, name = "decide")]
pub(super) struct Decide {
    /// whose hooks they are: claude-code or codex
    #[argh(option)]
    harness: String,
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
    /// answer in the harness's own form; a require is a deny that says so
    #[argh(switch)]
    as_hook: bool,
}

pub(super) fn decide(command: &Decide) -> Outcome {
    let harness = hook_line::harness(&command.harness)?;
    let confined = asking::confinement(command.confined, command.unconfined, &command.egress)?;
    let repository = asking::repository(command.repo.as_ref());
    if !repository.is_dir() {
        let problem = format!("{} is no directory", repository.display());
        return Err(Failure::usage(problem, "--repo DIR"));
    }
    let policy = which::load(command.policy.as_deref(), &repository)?;
    let around = asking::surroundings(&repository, !command.no_disk);
    let disk = (!command.no_disk).then(|| asking::disk(&around));
    let mut decider = Decider {
        asking: Asking::new(&policy, around, confined),
        disk,
        sessions: HashMap::new(),
        as_hook: command.as_hook.then_some(harness),
    };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let broken = |error: io::Error| Failure::usage(format!("standard input: {error}"), "");
    let mut line = Vec::new();
    loop {
        line.clear();
        let bound = u64::try_from(limits::LINE_BYTES).unwrap_or(u64::MAX) + 1;
        let got = (&mut input).take(bound).read_until(b'\n', &mut line);
        if got.map_err(broken)? == 0 {
            break;
        }
        let whole = line.ends_with(b"\n") || line.len() <= limits::LINE_BYTES;
        if !whole {
            skip_line(&mut input).map_err(broken)?;
        }
        let text = line.trim_ascii();
        if text.is_empty() && whole {
            continue;
        }
        let answer = match whole {
            true => decider.line(text),
            false => decider.malformed("longer than 1 MiB"),
        };
        // Whoever asks line by line waits for each answer.
        let waits = input.buffer().is_empty();
        let written = writeln!(out, "{answer}").and_then(|()| match waits {
            true => out.flush(),
            false => Ok(()),
        });
        if written.is_err() {
            return Ok(0);
        }
    }
    Ok(out.flush().map_or(0, |()| 0))
}

/// Reads to the end of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

struct Decider<'a> {
    asking: Asking<'a>,
    /// `None`: nobody looks.
    disk: Option<LocalDisk>,
    sessions: HashMap<String, Session>,
    /// Answers are in this harness's form.
    as_hook: Option<Harness>,
}

impl Decider<'_> {
    fn line(&mut self, text: &[u8]) -> String {
        let hook = match hook_line::read(text) {
            Ok(hook) => hook,
            Err(problem) => return self.malformed(&problem.to_string()),
        };
        let call = Call {
            tool: &hook.tool,
            args: &hook.args,
            directory: hook.directory.as_deref(),
            actor: Actor::ClaudeProcess,
        };
        let full = self.sessions.len() >= limits::DECIDE_SESSIONS;
        let mut alone;
        let session = match hook.session {
            None => {
                alone = self.asking.begin();
                &mut alone
            }
            Some(name) if full && !self.sessions.contains_key(&name) => {
                let sessions = count(limits::DECIDE_SESSIONS, "session");
                return self.refused(&format!("more than {sessions} in one run"));
            }
            Some(name) => {
                let session = self.sessions.entry(name);
                session.or_insert_with(|| self.asking.begin())
            }
        };
        let (reading, ruling) = match &self.disk {
            Some(disk) => self.asking.judge(call, session, &disk.looking()),
            None => self.asking.judge(call, session, &NoDisk),
        };
        if ruling.verdict.decision == Decision::Allow {
            session.record(&reading);
        }
        self.answer(&ruling.verdict, &ruling.unread)
    }

    fn malformed(&self, problem: &str) -> String {
        self.refused(&format!("this line is no hook's call: {problem}"))
    }

    fn refused(&self, reason: &str) -> String {
        self.answer(&Verdict::refused(reason), &[])
    }

    fn answer(&self, verdict: &Verdict, unread: &[String]) -> String {
        let answer = match self.as_hook {
            Some(harness) => hook_line::answer(harness, verdict),
            None => json!({
                "decision": verdict.decision.as_str(),
                "reason": verdict.reason,
                "ruleId": verdict.rule_id,
                "unread": unread,
            }),
        };
        answer.to_string()
    }
}
