//! The journal thread: the only place that signs, with its helper, and that has events written.
//!
//! It drains what is waiting, has the store write all of it at once, sync once and replace the
//! head, and only then answers. Once the store is poisoned every later append fails.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use crate::confine::{self, Place, Places, Profile, inject};
use crate::contracts::event::{Draft, Kind};
use crate::contracts::lock::locked;
use crate::contracts::{limits, timestamp};

use super::Paths;
use super::durable;
use super::envelope::{Chained, Sealed};
use super::handle::{AppendError, Handle, Job, admit};
use super::head::Head;
use super::key::{PublicKey, SigningKey};
use super::receipt::Receipt;
use super::recover::{self, OpenError, Position, Tail};
use super::redact::Screen;
use super::signer::Helper;
use super::store::{Durable, Store};
use super::wal::Wal;
use super::wal_replay::{self, ReplayError};
use super::write_error::WriteError;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedJournal {
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
    ) -> Result<(Self, OpenedJournal), OpenError> {
        let io_error = |error| OpenError::Io {
            path: paths.log.clone(),
            error,
        };
        durable::private_dir(&durable::parent(&paths.log)).map_err(io_error)?;
        recover::check_not_removed(paths)?;
        let file = durable::open_log(&paths.log).map_err(io_error)?;
        file.lock().map_err(io_error)?;
        let tail = open_locked(&file, paths, key.public(), retired);
        let unlocked = file.unlock();
        let (tail, wal) = tail?;
        unlocked.map_err(io_error)?;

        let fault = Arc::new(Mutex::new(None));
        let key = Arc::new(key);
        let store = Store::new(file, paths, wal, tail.position, Arc::clone(&fault));
        let mut writer = Writer {
            helper: Helper::start(Arc::clone(&key)).map_err(io_error)?,
            store: store.map_err(io_error)?,
            key,
        };
        if let Some(payload) = tail.recovered.clone() {
            let draft = Draft::new(Kind::JournalRecovered, payload);
            let recorded = admit(vec![draft], &screen).and_then(|draft| writer.commit_alone(draft));
            recorded.map_err(|error| match error {
                AppendError::Poisoned(why) => io_error(io::Error::other(why)),
                error => OpenError::Damaged {
                    path: paths.log.clone(),
                    problem: error.to_string(),
                },
            })?;
        }
        let (jobs, waiting) = sync_channel(limits::BATCH_EVENTS);
        let places = Places::none().with(Place::Journal, durable::parent(&paths.log));
        let thread = confine::start(Profile::Journal, places, move || writer.run(&waiting))
            .map_err(io_error)?;
        let opened = OpenedJournal {
            seq: tail.position.seq,
            recovered: tail.recovered,
        };
        Ok((
            Self {
                handle: Handle::new(jobs, screen),
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
        locked(&self.fault).clone()
    }

    /// Writes what was waiting and stops the thread; a [`Handle`] that is left over finds the
    /// journal closed.
    pub fn close(self) {
        self.handle.close();
        // A panicked thread has answered nobody; there is nothing left to tell.
        let _ = self.thread.join();
    }
}

/// Checks and mends the log, under its lock. From here on it needs no other file to be whole, and
/// the write-ahead log begins anew.
fn open_locked(
    file: &File,
    paths: &Paths,
    key: &PublicKey,
    retired: &[PublicKey],
) -> Result<(Tail, Option<Wal>), OpenError> {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |error| OpenError::Io { path, error }
    };
    let wal = Wal::open(&paths.wal).map_err(of(&paths.wal))?;
    let head = recover::read_head(paths, key, retired)?;
    let covered = head.map_or(0, |(head, _)| head.seq);
    let replayed = wal
        .as_ref()
        .map(|wal| wal_replay::replay(file, paths, wal, key, covered));
    let replayed = replayed.transpose().map_err(|error| match error {
        ReplayError::Io(error) => of(&paths.log)(error),
        ReplayError::Forked(seq) => OpenError::Damaged {
            path: paths.wal.clone(),
            problem: format!("its event {seq} differs from the log"),
        },
    })?;
    let mut tail = recover::open_tail(file, paths, key, retired)?;
    if let Some(replayed) = replayed.flatten() {
        tail.recovered.get_or_insert_default().extend(replayed);
    }
    // The first event begins it anew, too.
    if let Some(wal) = &wal
        && tail.position.seq > 0
    {
        file.sync_data().map_err(of(&paths.log))?;
        wal.rebase(tail.position.bytes).map_err(of(&paths.wal))?;
    }
    Ok((tail, wal))
}

struct Writer {
    store: Store,
    key: Arc<SigningKey>,
    helper: Helper,
}

/// How long a batch waits for as many jobs as the one before had: whoever was just answered is
/// likely back at once, and would otherwise wait for a whole sync of others'. Where one thread
/// records, nobody waits.
const GATHERING: Duration = Duration::from_micros(100);

/// How long nothing is asked before the log is synced.
const QUIET: Duration = Duration::from_millis(100);

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut held: Option<Job> = None;
        let mut crowd = 1;
        while let Some(first) = held.take().or_else(|| self.next(jobs)) {
            let mut events = first.events.len();
            let mut batch = vec![first];
            let until = Instant::now() + GATHERING;
            // The first event of a journal goes alone: opening tells a crash after it from a cut.
            let ends = |job: &Job| job.last || job.rotates();
            let mut ended = batch.iter().any(ends);
            while !ended && self.store.position().seq > 0 && events < limits::BATCH_EVENTS {
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
                break;
            }
        }
        // What cannot be synced now is durable in the write-ahead log, and the next opening mends it.
        let _ = self.store.close();
    }

    /// Waits for a job. When none comes for a while, what is durable in the write-ahead log alone
    /// is made so in the log, at nobody's cost.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        if self.store.unsynced() {
            match jobs.recv_timeout(QUIET) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(why) = self.store.sync() {
                self.store.poison(&why.to_string());
            }
        }
        jobs.recv().ok()
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
        let injected = inject::Batch::of(events.iter().map(|event| event.kind().as_str()));
        injected.amid("taken");
        let written = match self.store.poisoned() {
            Some(why) => Err(why.clone()),
            None => {
                let written = self.write_all_of(events).map_err(|why| why.to_string());
                if let Err(why) = &written {
                    self.store.poison(why);
                }
                written
            }
        };
        injected.amid("durable");
        if rotates && written.is_ok() {
            // It is the last event that this key signs; what comes behind it is refused.
            self.store.retire("the signing key was rotated");
        }
        match written {
            Ok(receipts) => {
                let mut receipts = receipts.into_iter();
                for (reply, count) in replies {
                    Job::answer(&reply, Ok(receipts.by_ref().take(count).collect()));
                }
            }
            Err(why) => {
                for (reply, _) in replies {
                    Job::answer(&reply, Err(AppendError::Poisoned(why.clone())));
                }
            }
        }
    }

    fn write_all_of(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, WriteError> {
        self.store.lock()?;
        let written = self.write_locked(events);
        self.store.unlock();
        written
    }

    fn write_locked(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, WriteError> {
        if let Some(mended) = self.store.catch_up(self.key.public())? {
            let event = Sealed::new(Draft::new(Kind::JournalRecovered, mended));
            self.write_batch(event.into_iter().collect())?;
        }
        let single_first = self.store.position().seq == 0 && events.len() > 1;
        if single_first {
            let mut events = events.into_iter();
            let mut receipts = self.write_batch(events.by_ref().take(1).collect())?;
            receipts.extend(self.write_batch(events.collect())?);
            return Ok(receipts);
        }
        self.write_batch(events)
    }

    fn write_batch(&mut self, events: Vec<Sealed>) -> Result<Vec<Receipt>, WriteError> {
        let chained = self.chain(events);
        let Some(last) = chained.last() else {
            return Ok(Vec::new());
        };
        let head = Head {
            seq: last.receipt.seq(),
            hash: last.hash,
        };
        let rotates = chained
            .iter()
            .any(|event| event.receipt.kind() == Kind::KeyRotated);
        let durable = if rotates {
            Durable::InTheLog
        } else {
            Durable::Anywhere
        };
        let signatures = self.helper.sign(&self.key, &chained, head.signed_bytes())?;
        let mut lines = Vec::with_capacity(chained.len() * 1024);
        let mut receipts = Vec::with_capacity(chained.len());
        for (event, signature) in chained.into_iter().zip(signatures.events) {
            event.write_line(&signature, &mut lines);
            receipts.push(event.receipt);
        }
        self.store.write(&lines, &head, durable, || {
            // Usually there by now; signatures are deterministic, so it is no matter who makes it.
            let made = signatures.head.try_recv();
            made.unwrap_or_else(|_| self.key.sign(&head.signed_bytes()))
        })?;
        Ok(receipts)
    }

    /// Gives events their sequence, time and hash. The chain covers content, not signatures, so
    /// the signing can follow in any order.
    fn chain(&self, events: Vec<Sealed>) -> Vec<Chained> {
        let ts = timestamp::rfc3339(SystemTime::now());
        let Position {
            mut seq,
            hash: mut prev,
            ..
        } = self.store.position();
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
}
