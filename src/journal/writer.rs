//! The journal thread: the only place that signs and writes, and the only one that holds the key.
//!
//! It drains what is waiting, writes all of it at once, syncs once, replaces the head, and only
//! then answers. After a failed write or sync nothing is known about the disk any more: the
//! journal is poisoned, and every later append fails.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use crate::contracts::event::{Draft, Kind};
use crate::contracts::{limits, timestamp};

use super::Paths;
use super::durable::{self, HeadFile, Identity};
use super::envelope::{Chained, Sealed};
use super::head::Head;
use super::key::{PublicKey, SigningKey};
use super::receipt::Receipt;
use super::recover::{self, OpenError, Position};
use super::redact::{self, Screen};
use super::tail::{self, Forward};

/// Why an event was not recorded. Whoever waited for it must not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// A write or sync failed, now or earlier: nothing can be recorded any more.
    Poisoned(String),
    /// The value of this known secret stands in the event.
    Secret(String),
    /// The event does not fit a line: it is too long, or nested deeper than readers go.
    TooLong,
    /// The journal thread has stopped.
    Closed,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(why) => write!(f, "the journal can no longer be written: {why}"),
            Self::Secret(name) => write!(f, "the value of secret {name} stands in the event"),
            Self::TooLong => f.write_str("the event does not fit a journal line"),
            Self::Closed => f.write_str("the journal is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

struct Job {
    events: Vec<Sealed>,
    reply: SyncSender<Result<Vec<Receipt>, AppendError>>,
    /// The last job: nothing after it is taken.
    last: bool,
}

impl Job {
    /// Whether the key is another one behind this job.
    fn rotates(&self) -> bool {
        self.events
            .iter()
            .any(|event| event.kind() == Kind::KeyRotated)
    }
}

/// A way to the journal thread; as many as there are threads that record.
#[derive(Clone)]
pub struct Handle {
    jobs: SyncSender<Job>,
    screen: Arc<Screen>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} events)", self.events.len())
    }
}

impl Handle {
    /// Records events, together and in order, and returns once they are on disk.
    ///
    /// # Errors
    /// [`AppendError`]; then none of them is recorded, except that after
    /// [`AppendError::Poisoned`] nobody can know.
    pub fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, AppendError> {
        // Here and not in the journal thread: those who record together do this side by side.
        let events = admit(drafts, &self.screen)?;
        let (reply, answer) = sync_channel(1);
        self.jobs
            .send(Job {
                events,
                reply,
                last: false,
            })
            .map_err(|_| AppendError::Closed)?;
        answer.recv().map_err(|_| AppendError::Closed)?
    }

    /// Records one event.
    ///
    /// # Errors
    /// As [`Handle::append`].
    pub fn append_one(&self, draft: Draft) -> Result<Receipt, AppendError> {
        self.append(vec![draft])?.pop().ok_or(AppendError::Closed)
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Sequence number of the last event; 0 in a new journal.
    pub seq: u64,
    /// What was mended, as the `journal.recovered` event says it.
    pub recovered: Option<Map<String, Value>>,
}

/// A running journal thread.
#[derive(Debug)]
pub struct Journal {
    handle: Handle,
    thread: JoinHandle<()>,
    fault: Arc<Mutex<Option<String>>>,
}

impl Journal {
    /// Opens a journal, mends what a crash can leave, and starts its thread.
    ///
    /// # Errors
    /// [`OpenError`] when a file cannot be used, or is not what its last writer left.
    pub fn open(
        paths: &Paths,
        key: SigningKey,
        retired: &[PublicKey],
        screen: Arc<Screen>,
    ) -> Result<(Self, Opened), OpenError> {
        let io_error = |error| OpenError::Io {
            path: paths.log.clone(),
            error,
        };
        durable::private_dir(&durable::parent(&paths.log)).map_err(io_error)?;
        recover::check_not_removed(paths)?;
        let file = durable::open_log(&paths.log).map_err(io_error)?;
        file.lock().map_err(io_error)?;
        let found = recover::open_tail(&file, paths, key.public(), retired);
        let unlocked = file.unlock();
        let found = found?;
        unlocked.map_err(io_error)?;

        let fault = Arc::new(Mutex::new(None));
        let key = Arc::new(key);
        let mut writer = Writer {
            helper: Helper::start(Arc::clone(&key)).map_err(io_error)?,
            fault: Arc::clone(&fault),
            position: found.position,
            head: HeadFile::at(&paths.head),
            identity: Identity::of(&file.metadata().map_err(io_error)?),
            paths: paths.clone(),
            file,
            key,
            poison: None,
        };
        if let Some(payload) = found.recovered.clone() {
            let draft = Draft::new(Kind::JournalRecovered, payload);
            let recorded = admit(vec![draft], &screen).and_then(|draft| writer.commit_alone(draft));
            recorded.map_err(|error| OpenError::Damaged {
                path: paths.log.clone(),
                problem: error.to_string(),
            })?;
        }
        let (jobs, waiting) = sync_channel(limits::BATCH_EVENTS);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&waiting))
            .map_err(io_error)?;
        let opened = Opened {
            seq: found.position.seq,
            recovered: found.recovered,
        };
        Ok((
            Self {
                handle: Handle { jobs, screen },
                thread,
                fault,
            },
            opened,
        ))
    }

    /// A way to record.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Why nothing can be recorded any more, once that is so.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .map_or_else(|_| Some("journal thread panicked".into()), |f| f.clone())
    }

    /// Writes what was waiting and stops the thread; a [`Handle`] that is left over finds the
    /// journal closed.
    pub fn close(self) {
        let (reply, _) = sync_channel(1);
        // A thread that is gone already needs no telling.
        let _ = self.handle.jobs.send(Job {
            events: Vec::new(),
            reply,
            last: true,
        });
        // A panicked thread has answered nobody; there is nothing left to tell.
        let _ = self.thread.join();
    }
}

struct Writer {
    file: File,
    /// Which file the log is, to notice when its name comes to mean another.
    identity: Identity,
    head: HeadFile,
    paths: Paths,
    key: Arc<SigningKey>,
    helper: Helper,
    position: Position,
    poison: Option<String>,
    fault: Arc<Mutex<Option<String>>>,
}

/// How long a batch waits for as many jobs as the one before had: whoever was just answered is
/// likely back at once, and would otherwise wait for a whole sync of others'. Where one thread
/// records, nobody waits.
const GATHERING: Duration = Duration::from_micros(100);

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut held: Option<Job> = None;
        let mut crowd = 1;
        while let Some(first) = held.take().or_else(|| jobs.recv().ok()) {
            let mut events = first.events.len();
            let mut batch = vec![first];
            let until = Instant::now() + GATHERING;
            // The first event of a journal goes alone: opening tells a crash after it from a cut.
            let ends = |job: &Job| job.last || job.rotates();
            let mut ended = batch.iter().any(ends);
            while !ended && self.position.seq > 0 && events < limits::BATCH_EVENTS {
                let left = until.saturating_duration_since(Instant::now());
                let job = match jobs.try_recv() {
                    Err(TryRecvError::Empty) if batch.len() < crowd => jobs.recv_timeout(left).ok(),
                    tried => tried.ok(),
                };
                let Some(job) = job else { break };
                if events + job.events.len() > limits::BATCH_EVENTS {
                    held = Some(job);
                    break;
                }
                events += job.events.len();
                ended = ends(&job);
                batch.push(job);
            }
            crowd = batch.len();
            let last = batch.iter().any(|job| job.last);
            self.commit(batch);
            if last {
                return;
            }
        }
    }

    fn commit_alone(&mut self, events: Vec<Sealed>) -> Result<(), AppendError> {
        let (reply, answer) = sync_channel(1);
        self.commit(vec![Job {
            events,
            reply,
            last: false,
        }]);
        answer.recv().map_err(|_| AppendError::Closed)?.map(drop)
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let rotates = batch.iter().any(Job::rotates);
        let mut replies = Vec::with_capacity(batch.len());
        let mut events = Vec::new();
        for job in batch {
            replies.push((job.reply, job.events.len()));
            events.extend(job.events);
        }
        let written = match self.poison.clone() {
            Some(why) => Err(why),
            None => {
                let written = self.write_all_of(events);
                if let Err(why) = &written {
                    self.poison(why.clone());
                }
                written
            }
        };
        if rotates && written.is_ok() {
            // It is the last event that this key signs; what comes behind it is refused.
            self.poison = Some("the signing key was rotated".into());
        }
        match written {
            Ok(receipts) => {
                let mut receipts = receipts.into_iter();
                for (reply, count) in replies {
                    answer(&reply, Ok(receipts.by_ref().take(count).collect()));
                }
            }
            Err(why) => {
                for (reply, _) in replies {
                    answer(&reply, Err(AppendError::Poisoned(why.clone())));
                }
            }
        }
    }

    fn poison(&mut self, why: String) {
        if let Ok(mut fault) = self.fault.lock() {
            *fault = Some(why.clone());
        }
        self.poison = Some(why);
    }

    fn write_all_of(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, String> {
        self.file
            .lock()
            .map_err(|error| format!("locking failed: {error}"))?;
        let written = self.write_locked(events);
        // The lock goes with the descriptor, too; a failure to unlock only delays other writers.
        let _ = self.file.unlock();
        written
    }

    fn write_locked(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, String> {
        if let Some(mended) = self.catch_up()? {
            let event = Sealed::new(Draft::new(Kind::JournalRecovered, mended));
            self.write_batch(event.into_iter().collect())?;
        }
        let single_first = self.position.seq == 0 && events.len() > 1;
        if single_first {
            let mut events = events.into_iter();
            let mut receipts = self.write_batch(events.by_ref().take(1).collect())?;
            receipts.extend(self.write_batch(events.collect())?);
            return Ok(receipts);
        }
        self.write_batch(events)
    }

    fn write_batch(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, String> {
        let chained = self.chain(events);
        let Some(last) = chained.last() else {
            return Ok(Vec::new());
        };
        let head = Head {
            seq: last.receipt.seq(),
            hash: last.hash,
        };
        let signatures = self.helper.sign(&self.key, &chained, head.signed_bytes())?;
        let mut lines = Vec::with_capacity(chained.len() * 1024);
        let mut receipts = Vec::with_capacity(chained.len());
        for (event, signature) in chained.into_iter().zip(signatures.events) {
            event.write_line(&signature, &mut lines);
            receipts.push(event.receipt);
        }
        self.file
            .write_all(&lines)
            .map_err(|error| format!("write failed: {error}"))?;
        self.file
            .sync_data()
            .map_err(|error| format!("fdatasync failed: {error}"))?;
        // Usually there by now; signatures are deterministic, so it is no matter who makes it.
        let head_signature = signatures
            .head
            .try_recv()
            .unwrap_or_else(|_| self.key.sign(&head.signed_bytes()));
        self.head
            .write(&head.to_text(&head_signature))
            .map_err(|error| format!("{}: {error}", self.paths.head.display()))?;
        self.position = Position {
            bytes: self.position.bytes + lines.len() as u64,
            seq: head.seq,
            hash: Some(head.hash),
        };
        Ok(receipts)
    }

    /// Gives events their sequence, time and hash. The chain covers content, not signatures, so
    /// the signing can follow in any order.
    fn chain(&self, events: Vec<Sealed>) -> Vec<Chained> {
        let ts = timestamp::rfc3339(SystemTime::now());
        let (mut seq, mut prev) = (self.position.seq, self.position.hash);
        let key_id = self.key.public().id();
        events
            .into_iter()
            .map(|event| {
                seq += 1;
                let chained = event.chain(seq, prev, &ts, key_id);
                prev = Some(chained.hash);
                chained
            })
            .collect()
    }

    /// Takes in what other processes have appended since, under the lock. Gives the payload of the
    /// `journal.recovered` event when one of them died in the middle of its write.
    fn catch_up(&mut self) -> Result<Option<Map<String, Value>>, String> {
        let log = self.paths.log.display();
        let stat = |error: io::Error| format!("{log}: {error}");
        let named = fs::symlink_metadata(&self.paths.log).map_err(stat)?;
        if Identity::of(&named) != self.identity {
            return Err(format!("{log} was replaced by another file"));
        }
        let length = named.len();
        if length == self.position.bytes {
            return Ok(None);
        }
        if length < self.position.bytes {
            return Err(format!("{log} was cut"));
        }
        let extent = tail::extent(&self.file).map_err(stat)?;
        let mut position = self.position;
        for text in Forward::new(&self.file, position.bytes, extent.complete) {
            let text = text.map_err(stat)?;
            recover::follow(&mut position, &text, self.key.public())
                .map_err(|flaw| format!("{log}: after event {}: {}", position.seq, flaw.detail))?;
        }
        self.position = position;
        if extent.torn == 0 {
            return Ok(None);
        }
        let mended = recover::move_torn_aside(&self.file, &self.paths, extent);
        mended.map(Some).map_err(stat)
    }
}

/// Refuses what must not be written, and takes token-shaped strings out of the rest.
fn admit(drafts: Vec<Draft>, screen: &Screen) -> Result<Vec<Sealed>, AppendError> {
    let admit = |mut draft: Draft| {
        if let Some(name) = screen.secret_in(&draft.payload) {
            return Err(AppendError::Secret(name.to_owned()));
        }
        redact::redact_tokens(&mut draft.payload);
        Sealed::new(draft).ok_or(AppendError::TooLong)
    };
    drafts.into_iter().map(admit).collect()
}

fn answer(
    reply: &SyncSender<Result<Vec<Receipt>, AppendError>>,
    result: Result<Vec<Receipt>, AppendError>,
) {
    // Whoever asked may be gone; the event stays recorded.
    let _ = reply.send(result);
}

struct Signatures {
    events: Vec<[u8; 64]>,
    /// Comes while the disk works.
    head: Receiver<[u8; 64]>,
}

/// A second pair of hands: signing costs a fifth of a disk sync, so a batch is signed on two
/// cores, and the head's signature is made while the disk works.
///
/// Its thread gives way to all others: woken next to the journal thread, or to the kernel's that
/// commits the sync, it would take from them the core that it is to save. So it can also be
/// starved, and nobody waits for it longer than the work takes.
struct Helper {
    work: Sender<Task>,
}

struct Task {
    events: Vec<Vec<u8>>,
    signed: SyncSender<Vec<[u8; 64]>>,
    head: Vec<u8>,
    head_signed: SyncSender<[u8; 64]>,
}

/// The lowest priority.
const NICE: i32 = 19;
/// A generous time for one signature.
const SIGNATURE: Duration = Duration::from_micros(50);

impl Helper {
    fn start(key: Arc<SigningKey>) -> io::Result<Self> {
        let (work, tasks) = channel::<Task>();
        std::thread::Builder::new()
            .name("journal-sign".into())
            .spawn(move || {
                // On Linux this is the calling thread's own; refused, the work is done all the same.
                let _ = rustix::process::setpriority_process(None, NICE);
                while let Ok(task) = tasks.recv() {
                    if !task.events.is_empty() {
                        let events = task.events.iter().map(|bytes| key.sign(bytes)).collect();
                        // Whoever asked may have done it himself.
                        let _ = task.signed.send(events);
                    }
                    let _ = task.head_signed.send(key.sign(&task.head));
                }
            })?;
        Ok(Self { work })
    }

    fn sign(
        &self,
        key: &SigningKey,
        chained: &[Chained],
        head: Vec<u8>,
    ) -> Result<Signatures, String> {
        let (own, others) = chained.split_at(chained.len().div_ceil(2));
        let (signed, theirs) = sync_channel(1);
        let (head_signed, head_signature) = sync_channel(1);
        let task = Task {
            events: others.iter().map(|event| event.signed.clone()).collect(),
            signed,
            head,
            head_signed,
        };
        self.work.send(task).map_err(|_| "signing thread is gone")?;
        let by_us = |events: &[Chained]| -> Vec<[u8; 64]> {
            events.iter().map(|event| key.sign(&event.signed)).collect()
        };
        let mut events = by_us(own);
        if let Ok(count) = u32::try_from(others.len())
            && count > 0
        {
            let theirs = theirs.recv_timeout(SIGNATURE * count);
            events.extend(theirs.unwrap_or_else(|_| by_us(others)));
        }
        Ok(Signatures {
            events,
            head: head_signature,
        })
    }
}
