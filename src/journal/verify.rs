//! Verifying a journal with its public key and nothing else.
//!
//! One thread reads and cuts the log at newlines into chunks; a worker per core checks content and
//! signatures; the chunks' results are joined in order, where the chain between them is checked.
//! Memory is a few chunks, whatever the log's size.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contracts::ids::Sha256;
use crate::contracts::limits;

use super::Paths;
use super::entry::{Code, Entry, Flaw};
use super::head::Head;
use super::key::{InvalidKey, PublicKey};

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

/// The key that an event hands the journal over to. `None` when it is no rotation.
pub(super) fn rotation(entry: &Entry) -> Option<Result<PublicKey, InvalidKey>> {
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
    let head = HeadText::read(&paths.head)?;
    let end = settled_end(&file)?;
    let mut joiner = Joiner::new(key, head.seq());
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for _ in 0..workers.max(1) {
            let (chunks, work) = sync_channel::<Chunk>(1);
            let (results, done) = sync_channel::<Checked>(1);
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
            // Two chunks a lane keep every worker busy while this thread reads and joins.
            while joined < sent && (!more || sent - joined >= 2 * lanes.len()) {
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

/// How long a write that is under way is waited for; one takes milliseconds.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Where the log ends for this verification.
///
/// A live journal's last write may be visible in part, which is no torn line: while its writer
/// holds the lock, its end is waited for. What comes later belongs to the next verification.
fn settled_end(file: &File) -> io::Result<u64> {
    if !file.metadata()?.is_file() {
        return Ok(u64::MAX);
    }
    let asked = Instant::now();
    loop {
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 && file.read_at(&mut last, length - 1)? == 0 {
            continue;
        }
        if last == [b'\n'] || asked.elapsed() > WRITE_PATIENCE {
            return Ok(length);
        }
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            // Nobody writes, or the file system has no locks: it is as it will stay.
            outcome => {
                let length = file.metadata()?.len();
                if outcome.is_ok() {
                    file.unlock()?;
                }
                return Ok(length);
            }
        }
    }
}

/// Whole lines, the last possibly torn.
struct Chunk {
    lines: Vec<u8>,
    /// The key that was in force when the chunk was sent; an earlier chunk still under way may
    /// change it, and then this one is checked again.
    key: PublicKey,
    head_seq: Option<u64>,
}

/// Cuts a log into chunks at newlines.
struct Chunker<R> {
    source: R,
    rest: Vec<u8>,
}

impl<R: Read> Chunker<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            rest: Vec::new(),
        }
    }

    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = std::mem::take(&mut self.rest);
        // Behind a dropped line there may be whole ones.
        if let Some(at) = buffer.iter().rposition(|byte| *byte == b'\n') {
            self.rest = buffer.split_off(at + 1);
            return Ok(Some(buffer));
        }
        // A chunk grows past its usual size only to hold one long line, and then to one byte
        // over the longest allowed: the rest of such a line is dropped unread.
        loop {
            let searched = buffer.len();
            let want = limits::VERIFY_CHUNK_BYTES;
            let got = (&mut self.source)
                .take(want as u64)
                .read_to_end(&mut buffer)?;
            if got == 0 {
                return Ok((!buffer.is_empty()).then_some(buffer));
            }
            let fresh = buffer.get(searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().rposition(|byte| *byte == b'\n') {
                self.rest = buffer.split_off(searched + at + 1);
                return Ok(Some(buffer));
            }
            if buffer.len() > limits::LINE_BYTES {
                buffer.truncate(limits::LINE_BYTES + 1);
                self.skip_line()?;
                buffer.push(b'\n');
                return Ok(Some(buffer));
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        let mut block = Vec::with_capacity(limits::VERIFY_CHUNK_BYTES);
        loop {
            block.clear();
            let want = limits::VERIFY_CHUNK_BYTES as u64;
            if (&mut self.source).take(want).read_to_end(&mut block)? == 0 {
                return Ok(());
            }
            if let Some(at) = block.iter().position(|byte| *byte == b'\n') {
                self.rest = block.split_off(at + 1);
                return Ok(());
            }
        }
    }
}

/// An end of a run of events: what the neighbouring run is held against.
#[derive(Debug, Clone, Copy)]
struct Link {
    seq: u64,
    prev: Option<Sha256>,
    hash: Sha256,
}

/// A chunk's result; lines are counted from the chunk's first, 0.
struct Checked {
    chunk: Chunk,
    outcome: Outcome,
}

struct Outcome {
    lines: u64,
    events: u64,
    first: Option<Link>,
    /// The last line, if it is an event: what the next chunk follows.
    last: Option<Link>,
    /// The last event of the chunk, whatever follows it.
    last_event: Option<Link>,
    problems: Vec<Problem>,
    problem_count: u64,
    /// Keys that the chunk's rotations brought in force.
    rotated: Vec<PublicKey>,
    /// Hash of the event that the head names, and the key it is signed with.
    at_head: Option<(Sha256, PublicKey)>,
}

fn check_all(work: &Receiver<Chunk>, results: &SyncSender<Checked>) {
    while let Ok(chunk) = work.recv() {
        let outcome = check(&chunk.lines, &chunk.key, chunk.head_seq);
        if results.send(Checked { chunk, outcome }).is_err() {
            return;
        }
    }
}

fn check(lines: &[u8], key: &PublicKey, head_seq: Option<u64>) -> Outcome {
    let mut outcome = Outcome {
        lines: 0,
        events: 0,
        first: None,
        last: None,
        last_event: None,
        problems: Vec::new(),
        problem_count: 0,
        rotated: Vec::new(),
        at_head: None,
    };
    let mut key = key.clone();
    for text in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = outcome.lines;
        outcome.lines += 1;
        let Some(text) = text.strip_suffix(b"\n") else {
            let detail = "the last line has no newline: a torn write";
            outcome.report(line, None, Flaw::new(Code::LineTorn, detail));
            outcome.last = None;
            continue;
        };
        match Entry::parse(text) {
            Ok(entry) => outcome.event(line, &entry, &mut key, head_seq),
            Err(flaw) => {
                outcome.report(line, None, flaw);
                outcome.last = None;
            }
        }
    }
    outcome
}

impl Outcome {
    fn event(&mut self, line: u64, entry: &Entry, key: &mut PublicKey, head_seq: Option<u64>) {
        self.events += 1;
        let link = Link {
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
                self.report(line, Some(entry.seq), flaw);
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
                let flaw = Flaw::new(Code::Rotation, "newPublicKey is not an Ed25519 SPKI");
                self.report(line, Some(entry.seq), flaw);
            }
            _ => {}
        }
        for flaw in flaws {
            self.report(line, Some(entry.seq), flaw);
        }
        self.last = Some(link);
        self.last_event = Some(link);
    }

    fn report(&mut self, line: u64, seq: Option<u64>, flaw: Flaw) {
        self.problem_count += 1;
        if self.problems.len() < limits::PROBLEMS_LISTED {
            let Flaw { code, detail } = flaw;
            self.problems.push(Problem {
                line,
                seq,
                code: code.as_str(),
                detail,
            });
        }
    }
}

fn chain_flaws(before: Link, after: Link) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if after.seq != before.seq + 1 {
        let detail = format!("event {} follows event {}", after.seq, before.seq);
        flaws.push(Flaw::new(Code::Sequence, detail));
    }
    if after.prev != Some(before.hash) {
        let detail = "prevHash is not the hash of the event before";
        flaws.push(Flaw::new(Code::PrevHash, detail));
    }
    flaws
}

/// Joins chunks in order.
struct Joiner {
    key: PublicKey,
    keys: Vec<String>,
    head_seq: Option<u64>,
    lines: u64,
    events: u64,
    /// The last line, if it is an event.
    last: Option<Link>,
    last_event: Option<Link>,
    at_head: Option<(Sha256, PublicKey)>,
    problems: Vec<Problem>,
    problem_count: u64,
}

impl Joiner {
    fn new(key: &PublicKey, head_seq: Option<u64>) -> Self {
        Self {
            key: key.clone(),
            keys: vec![key.id().to_owned()],
            head_seq,
            lines: 0,
            events: 0,
            last: None,
            last_event: None,
            at_head: None,
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    fn join(&mut self, checked: Checked) {
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
                self.report(self.lines + 1, Some(first.seq), flaw);
            }
        }
        for problem in outcome.problems {
            if self.problems.len() < limits::PROBLEMS_LISTED {
                self.problems.push(Problem {
                    line: self.lines + problem.line + 1,
                    ..problem
                });
            }
        }
        self.problem_count += outcome.problem_count;
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

    fn report(&mut self, line: u64, seq: Option<u64>, flaw: Flaw) {
        self.problem_count += 1;
        if self.problems.len() < limits::PROBLEMS_LISTED {
            let Flaw { code, detail } = flaw;
            self.problems.push(Problem {
                line,
                seq,
                code: code.as_str(),
                detail,
            });
        }
    }

    /// The head against the log, once the whole log is known.
    fn head_flaw(&self, head: &HeadText) -> Option<Flaw> {
        let Some(bytes) = &head.bytes else {
            let detail = "there is no head beside the journal, so a cut could not be seen";
            return Some(Flaw::new(Code::HeadMissing, detail));
        };
        if bytes.len() as u64 > limits::SMALL_FILE_BYTES {
            let detail = "the head is larger than any head";
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
                format!("event {} is not the head's", read.seq),
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

    fn finish(mut self, head: &HeadText) -> Report {
        if let Some(flaw) = self.head_flaw(head) {
            self.report(0, self.head_seq, flaw);
        }
        let last_seq = self.last_event.map(|last| last.seq);
        Report {
            intact: self.problem_count == 0,
            events: self.events,
            last_seq,
            last_hash: self.last_event.map(|last| last.hash.to_hex()),
            head_seq: self.head_seq,
            beyond_head: last_seq
                .unwrap_or(0)
                .saturating_sub(self.head_seq.unwrap_or(0)),
            keys: self.keys,
            problem_count: self.problem_count,
            problems: self.problems,
        }
    }
}

fn genesis_flaws(first: Link) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if first.seq != 1 {
        let detail = format!("the journal begins at event {}", first.seq);
        flaws.push(Flaw::new(Code::Sequence, detail));
    }
    if first.prev.is_some() {
        flaws.push(Flaw::new(Code::PrevHash, "the first event has a prevHash"));
    }
    flaws
}

/// Readings of a head that keeps changing; each takes microseconds, a replacement far longer.
const HEAD_READS: usize = 100;

/// The head's bytes, read before the log.
#[derive(PartialEq, Eq)]
struct HeadText {
    bytes: Option<Vec<u8>>,
}

impl HeadText {
    /// The head of a live journal is replaced in place, so one reading may come out mixed: it is
    /// read until two readings agree.
    fn read(path: &Path) -> io::Result<Self> {
        let mut head = Self::read_once(path)?;
        for _ in 0..HEAD_READS {
            let again = Self::read_once(path)?;
            if again == head {
                break;
            }
            head = again;
        }
        Ok(head)
    }

    fn read_once(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file
                .take(limits::SMALL_FILE_BYTES + 1)
                .read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { bytes: None });
            }
            Err(error) => return Err(error),
        };
        Ok(Self { bytes: Some(bytes) })
    }

    /// The sequence number that the head claims, unchecked: which event to remember.
    fn seq(&self) -> Option<u64> {
        let value = crate::contracts::strict_json::from_slice(self.bytes.as_deref()?).ok()?;
        value.get("seq")?.as_u64()
    }
}
