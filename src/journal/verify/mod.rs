//! Verifying a journal with its public key and nothing else.
//!
//! One thread reads and cuts the log at newlines into chunks; a worker per core checks content and
//! signatures; the chunks' results are joined in order, where the chain between them is checked.
//! Memory is a few chunks, whatever the log's size.

mod check;
mod chunks;
#[cfg(all(feature = "agp", any(test, fuzzing)))]
pub(crate) mod fuzz;
mod head_file;
mod join;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use serde::Serialize;

use crate::contracts::limits;

use super::Paths;
use super::key::{InvalidKey, PublicKey};
use super::line::{Entry, Flaw};
use check::{Checked, Chunk, check_all};
use chunks::{Chunker, settled_end};
use head_file::HeadText;
use join::Joiner;

/// One thing wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the log, from 1; 0 for the head.
    pub line: u64,
    /// The event's own sequence number where it could be read.
    pub seq: Option<u64>,
    /// The stable code.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is wrong.
    pub intact: bool,
    /// Lines that are events.
    pub events: u64,
    /// Sequence number of the last event.
    pub last_seq: Option<u64>,
    /// Hash of the last event, 64 hexadecimal digits.
    pub last_hash: Option<String>,
    /// The event that the head names, where the head could be read.
    pub head_seq: Option<u64>,
    /// Sound events beyond the head: written between the head's reading and the log's, or left by
    /// a crash that `agp` mends when it opens the journal.
    pub beyond_head: u64,
    /// Ids of the keys in force, first to last.
    pub keys: Vec<String>,
    /// How many problems there are.
    pub problem_count: u64,
    /// The first [`limits::PROBLEMS_LISTED`] of them.
    pub problems: Vec<Problem>,
}

/// Problems found so far: the first ones listed, all of them counted.
#[derive(Default)]
struct Problems {
    listed: Vec<Problem>,
    count: u64,
}

impl Problems {
    fn add(&mut self, line: u64, seq: Option<u64>, flaw: Flaw) {
        self.count += 1;
        if self.listed.len() < limits::PROBLEMS_LISTED {
            let Flaw { code, detail } = flaw;
            self.listed.push(Problem {
                line,
                seq,
                code: code.as_str(),
                detail,
            });
        }
    }

    /// Takes over another list's, each `lines` further down.
    fn extend(&mut self, others: Self, lines: u64) {
        self.count += others.count;
        let room = limits::PROBLEMS_LISTED.saturating_sub(self.listed.len());
        let moved = others.listed.into_iter().take(room);
        self.listed.extend(moved.map(|problem| Problem {
            line: problem.line + lines,
            ..problem
        }));
    }
}

/// The key that an event hands the journal over to. `None` when it is no rotation.
pub(in crate::journal) fn rotation(entry: &Entry) -> Option<Result<PublicKey, InvalidKey>> {
    (entry.kind() == "key.rotated").then(|| {
        let named = entry
            .payload()
            .and_then(|payload| payload.get("newPublicKey"));
        PublicKey::from_spki_base64(
            named
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default(),
        )
    })
}

/// Verifies a log and the head beside it, trusting `key` for the first event.
///
/// # Errors
/// An [`io::Error`] when the log cannot be read: nothing was then found out.
pub fn verify(log: &Path, key: &PublicKey) -> io::Result<Report> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    verify_with(log, key, workers)
}

/// [`verify`] with a given number of workers.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(log: &Path, key: &PublicKey, workers: usize) -> io::Result<Report> {
    let paths = Paths::of(log);
    // The head first: the log only grows, so a live journal is never taken for a cut one.
    let file = File::open(&paths.log)?;
    let head = HeadText::read(&paths.head).map_err(|error| {
        let problem = format!("cannot read its head {}: {error}", paths.head.display());
        io::Error::new(error.kind(), problem)
    })?;
    let end = settled_end(&file)?;
    let mut joiner = Joiner::new(key, head.seq());
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for _ in 0..workers.max(1) {
            let (chunks, work) = sync_channel::<Chunk>(limits::VERIFY_CHUNKS);
            let (results, done) = sync_channel::<Checked>(limits::VERIFY_CHUNKS);
            scope.spawn(move || check_all(&work, &results));
            lanes.push((chunks, done));
        }
        let mut reader = Chunker::new(file.take(end));
        let (mut sent, mut joined) = (0_usize, 0_usize);
        loop {
            let lines = reader.next_chunk()?;
            let more = lines.is_some();
            if let Some(lines) = lines {
                let chunk = Chunk {
                    lines,
                    key: joiner.key.clone(),
                    head_seq: joiner.head_seq,
                };
                if let Some((chunks, _)) = lanes.get(sent % lanes.len()) {
                    // A lane ends only when this end is dropped.
                    let _ = chunks.send(chunk);
                }
                sent += 1;
            }
            // Some chunks a lane keep every worker busy while this thread reads and joins.
            let most = limits::VERIFY_CHUNKS * lanes.len();
            while joined < sent && (!more || sent - joined >= most) {
                if let Some((_, done)) = lanes.get(joined % lanes.len())
                    && let Ok(checked) = done.recv()
                {
                    joiner.join(checked);
                }
                joined += 1;
            }
            if !more {
                return Ok::<(), io::Error>(());
            }
        }
    })?;
    Ok(joiner.finish(&head))
}
