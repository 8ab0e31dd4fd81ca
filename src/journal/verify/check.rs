//! Checking one chunk: what each line is, and how its lines follow one another.

use std::sync::mpsc::{Receiver, SyncSender};

use crate::contracts::ids::Sha256;
use crate::journal::key::PublicKey;
use crate::journal::line::{Code, Entry, Flaw};

use super::{Problems, rotation};

/// Whole lines, the last possibly torn.
pub(super) struct Chunk {
    pub(super) lines: Vec<u8>,
    /// The key that was in force when the chunk was sent; an earlier chunk still under way may
    /// change it, and then this one is checked again.
    pub(super) key: PublicKey,
    pub(super) head_seq: Option<u64>,
}

/// An end of a run of events: what the neighbouring run is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainEnd {
    pub(super) seq: u64,
    pub(super) prev: Option<Sha256>,
    pub(super) hash: Sha256,
}

/// A chunk's result; lines are counted from the chunk's first, 0.
pub(super) struct Checked {
    pub(super) chunk: Chunk,
    pub(super) outcome: ChunkOutcome,
}

pub(super) struct ChunkOutcome {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) first: Option<ChainEnd>,
    /// The last line, if it is an event: what the next chunk follows.
    pub(super) last: Option<ChainEnd>,
    /// The last event of the chunk, whatever follows it.
    pub(super) last_event: Option<ChainEnd>,
    pub(super) problems: Problems,
    /// Keys that the chunk's rotations brought in force.
    pub(super) rotated: Vec<PublicKey>,
    /// Hash of the event that the head names, and the key it is signed with.
    pub(super) at_head: Option<(Sha256, PublicKey)>,
}

pub(super) fn check_all(work: &Receiver<Chunk>, results: &SyncSender<Checked>) {
    while let Ok(chunk) = work.recv() {
        let outcome = check(&chunk.lines, &chunk.key, chunk.head_seq);
        if results.send(Checked { chunk, outcome }).is_err() {
            return;
        }
    }
}

pub(super) fn check(lines: &[u8], key: &PublicKey, head_seq: Option<u64>) -> ChunkOutcome {
    let mut outcome = ChunkOutcome {
        lines: 0,
        events: 0,
        first: None,
        last: None,
        last_event: None,
        problems: Problems::default(),
        rotated: Vec::new(),
        at_head: None,
    };
    let mut key = key.clone();
    for text in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = outcome.lines;
        outcome.lines += 1;
        let Some(text) = text.strip_suffix(b"\n") else {
            let detail = "the last line has no newline (torn write)";
            outcome
                .problems
                .add(line, None, Flaw::new(Code::LineTorn, detail));
            outcome.last = None;
            continue;
        };
        match Entry::parse(text) {
            Ok(entry) => outcome.event(line, &entry, &mut key, head_seq),
            Err(flaw) => {
                outcome.problems.add(line, None, flaw);
                outcome.last = None;
            }
        }
    }
    outcome
}

impl ChunkOutcome {
    fn event(&mut self, line: u64, entry: &Entry, key: &mut PublicKey, head_seq: Option<u64>) {
        self.events += 1;
        let link = ChainEnd {
            seq: entry.seq,
            prev: entry.prev,
            hash: entry.hash,
        };
        if line == 0 {
            self.first = Some(link);
        } else {
            for flaw in self
                .last
                .map(|last| chain_flaws(last, link))
                .unwrap_or_default()
            {
                self.problems.add(line, Some(entry.seq), flaw);
            }
        }
        let flaws = entry.check_content(key);
        if head_seq == Some(entry.seq) && self.at_head.is_none() {
            self.at_head = Some((entry.hash, key.clone()));
        }
        match rotation(entry) {
            Some(Ok(next)) if flaws.is_empty() => {
                self.rotated.push(next.clone());
                *key = next;
            }
            Some(Err(_)) => {
                let flaw = Flaw::new(Code::Rotation, "newPublicKey is not an Ed25519 SPKI key");
                self.problems.add(line, Some(entry.seq), flaw);
            }
            _ => {}
        }
        for flaw in flaws {
            self.problems.add(line, Some(entry.seq), flaw);
        }
        self.last = Some(link);
        self.last_event = Some(link);
    }
}

pub(super) fn chain_flaws(before: ChainEnd, after: ChainEnd) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if after.seq != before.seq + 1 {
        let detail = format!("event {} follows event {}", after.seq, before.seq);
        flaws.push(Flaw::new(Code::Sequence, detail));
    }
    if after.prev != Some(before.hash) {
        let detail = "prevHash is not the hash of the previous event";
        flaws.push(Flaw::new(Code::PrevHash, detail));
    }
    flaws
}
