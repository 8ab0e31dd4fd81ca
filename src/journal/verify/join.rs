//! Joining the chunks' results in order: the chain between them, the keys, and at last the head.

use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::journal::head::Head;
use crate::journal::key::PublicKey;
use crate::journal::line::{Code, Flaw};

use super::check::{ChainEnd, Checked, chain_flaws, check};
use super::head_file::HeadText;
use super::{Problems, Report};

/// Joins chunks in order.
pub(super) struct Joiner {
    pub(super) key: PublicKey,
    keys: Vec<String>,
    pub(super) head_seq: Option<u64>,
    lines: u64,
    events: u64,
    /// The last line, if it is an event.
    last: Option<ChainEnd>,
    last_event: Option<ChainEnd>,
    at_head: Option<(Sha256, PublicKey)>,
    problems: Problems,
}

impl Joiner {
    pub(super) fn new(key: &PublicKey, head_seq: Option<u64>) -> Self {
        Self {
            key: key.clone(),
            keys: vec![key.id().to_owned()],
            head_seq,
            lines: 0,
            events: 0,
            last: None,
            last_event: None,
            at_head: None,
            problems: Problems::default(),
        }
    }

    pub(super) fn join(&mut self, checked: Checked) {
        let Checked { chunk, mut outcome } = checked;
        if chunk.key != self.key {
            outcome = check(&chunk.lines, &self.key, chunk.head_seq);
        }
        if let Some(first) = outcome.first {
            let flaws = match self.last {
                Some(last) => chain_flaws(last, first),
                None if self.lines == 0 => genesis_flaws(first),
                None => Vec::new(),
            };
            for flaw in flaws {
                self.problems.add(self.lines + 1, Some(first.seq), flaw);
            }
        }
        self.problems.extend(outcome.problems, self.lines + 1);
        self.lines += outcome.lines;
        self.events += outcome.events;
        self.last = outcome.last;
        self.last_event = outcome.last_event.or(self.last_event);
        self.at_head = self.at_head.take().or(outcome.at_head);
        for key in outcome.rotated {
            self.keys.push(key.id().to_owned());
            self.key = key;
        }
    }

    /// The head against the log, once the whole log is known.
    fn head_flaw(&self, head: &HeadText) -> Option<Flaw> {
        let Some(bytes) = &head.bytes else {
            let detail = "the journal has no head file, so truncation cannot be detected";
            return Some(Flaw::new(Code::HeadMissing, detail));
        };
        if bytes.len() as u64 > limits::SMALL_FILE_BYTES {
            let detail = "the head file is too large";
            return Some(Flaw::new(Code::HeadInvalid, detail));
        }
        // The head is signed with the key of its event, or, when that event is a rotation that
        // the head was rewritten after, with the key in force since.
        let signer = self.at_head.as_ref().map_or(&self.key, |(_, key)| key);
        let read = match Head::read(bytes, signer) {
            Err(_) => Head::read(bytes, &self.key),
            ok => ok,
        };
        let read = match read {
            Ok(read) => read,
            Err(flaw) => return Some(flaw),
        };
        match &self.at_head {
            Some((hash, _)) if *hash == read.hash => None,
            Some(_) => Some(Flaw::new(
                Code::HeadHash,
                format!("event {} does not match the head", read.seq),
            )),
            None => Some(Flaw::new(
                Code::Truncated,
                format!(
                    "the head names event {}, the journal ends at event {}",
                    read.seq,
                    self.last_event.map_or(0, |last| last.seq)
                ),
            )),
        }
    }

    pub(super) fn finish(mut self, head: &HeadText) -> Report {
        if let Some(flaw) = self.head_flaw(head) {
            self.problems.add(0, self.head_seq, flaw);
        }
        let last_seq = self.last_event.map(|last| last.seq);
        Report {
            intact: self.problems.count == 0,
            events: self.events,
            last_seq,
            last_hash: self.last_event.map(|last| last.hash.to_hex()),
            head_seq: self.head_seq,
            beyond_head: last_seq
                .unwrap_or(0)
                .saturating_sub(self.head_seq.unwrap_or(0)),
            keys: self.keys,
            problem_count: self.problems.count,
            problems: self.problems.listed,
        }
    }
}

fn genesis_flaws(first: ChainEnd) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if first.seq != 1 {
        let detail = format!("the journal starts at event {}", first.seq);
        flaws.push(Flaw::new(Code::Sequence, detail));
    }
    if first.prev.is_some() {
        flaws.push(Flaw::new(Code::PrevHash, "the first event has a prevHash"));
    }
    flaws
}
