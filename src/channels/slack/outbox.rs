//! `outbox.json`: what must still be said in Slack after a crash. Messages that may have buttons, so
//! that they can be marked as over, and messages on their way.
//!
//! An entry of a card is durable before the card gets its buttons. Of a session that is over, one other
//! session sees to all entries: it claims them under the file's lock, and its claim ends with it.
//!
//! One file for all sessions of a home, replaced whole under a lock beside it. Only a thread of its
//! own touches it while a session runs: the one that posts asks that thread, and has the network; no
//! decision waits for either.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::confine::{self, Place, Places, Profile};
use crate::contracts::{bounded_file, limits, strict_json};

/// One thing to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OutboxEntry {
    /// Its own, for good.
    pub id: String,
    /// Whose it is.
    pub session: String,
    /// Where.
    pub channel: String,
    /// The message that may have buttons; without it the text is a message to be posted.
    pub ts: Option<String>,
    /// The thread it belongs to.
    pub thread: Option<String>,
    /// What is to be posted; agp's own words, and foreign ones made harmless.
    pub text: Option<String>,
    /// The other session that sees to it, as long as that one lives. Files of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
}

/// Whoever has the file's lock holds it for a few milliseconds.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Contents {
    entries: Vec<OutboxEntry>,
}

/// The file.
pub struct Outbox {
    path: PathBuf,
}

impl Outbox {
    /// At this place; it need not be there yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Keeps an entry, in the place of the one with its id where there is one; durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be read or replaced, or is full. Messages leave room for cards, which get no
    /// buttons without an entry.
    pub fn put(&self, entry: OutboxEntry) -> io::Result<()> {
        let room = match entry.ts {
            Some(_) => limits::OUTBOX_ENTRIES,
            None => limits::OUTBOX_MESSAGES,
        };
        self.change(|entries| {
            let full = entries.len() >= room;
            match entries.iter_mut().find(|other| other.id == entry.id) {
                Some(other) => *other = entry,
                None if full => return Err(io::Error::other("the outbox is full")),
                None => entries.push(entry),
            }
            Ok(())
        })
    }

    /// Forgets an entry.
    ///
    /// # Errors
    /// When the file cannot be read or replaced.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.change(|entries| {
            entries.retain(|entry| entry.id != id);
            Ok(())
        })
    }

    /// What sessions left behind that are not live any more, and that no other live session has claimed;
    /// from here on it is `claimer`'s. The entries of one session are claimed together, so that they keep
    /// their order. They stay there until they are removed; more than
    /// [`limits::OUTBOX_CLAIMS`] are for a later start.
    ///
    /// # Errors
    /// When the file cannot be read or replaced.
    pub fn left_behind(
        &self,
        claimer: &str,
        is_live: &dyn Fn(&str) -> bool,
    ) -> io::Result<Vec<OutboxEntry>> {
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        let claimed_by_other = |entry: &&OutboxEntry| {
            let other = entry.claimed_by.as_deref();
            other.is_some_and(|other| other != claimer && is_live(other))
        };
        let sessions = entries.iter().map(|entry| &entry.session);
        let live = sessions.filter(|session| is_live(session));
        let held = entries.iter().filter(claimed_by_other);
        let held: BTreeSet<String> = held
            .map(|entry| &entry.session)
            .chain(live)
            .cloned()
            .collect();
        let mut claimed = Vec::new();
        let free = entries
            .iter_mut()
            .filter(|entry| !held.contains(&entry.session));
        for entry in free.take(limits::OUTBOX_CLAIMS) {
            entry.claimed_by = Some(claimer.to_owned());
            claimed.push(entry.clone());
        }
        if !claimed.is_empty() {
            self.write(entries)?;
        }
        Ok(claimed)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<OutboxEntry>) -> io::Result<()>,
    ) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        change(&mut entries)?;
        self.write(entries)
    }

    /// Replaces the file. Only whoever holds its lock does.
    fn write(&self, entries: Vec<OutboxEntry>) -> io::Result<()> {
        let text = written(entries)?;
        let unnamed = self.path.with_extension("json.new");
        let mut file = private().truncate(true).open(&unnamed)?;
        file.write_all(&text)?;
        file.sync_data()?;
        std::fs::rename(&unnamed, &self.path)?;
        self.path
            .parent()
            .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    fn read(&self) -> io::Result<Vec<OutboxEntry>> {
        match bounded_file::read(&self.path, limits::OUTBOX_BYTES) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.path.with_extension("json.lock");
        let file = private().open(&path)?;
        let until = Instant::now() + limits::OUTBOX_LOCK;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let why = "another agp, which may be stopped, holds its lock";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
            }
        }
    }
}

/// The entries that a file's text holds.
pub(super) fn read(text: &[u8]) -> io::Result<Vec<OutboxEntry>> {
    strict_json::parse::<Contents>(text)
        .map(|contents| contents.entries)
        .map_err(io::Error::other)
}

/// The text that holds these entries.
pub(super) fn written(entries: Vec<OutboxEntry>) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(&Contents { entries })?;
    // What is longer could not be read again.
    if text.len() as u64 > limits::OUTBOX_BYTES {
        return Err(io::Error::other("the outbox is full"));
    }
    Ok(text)
}

/// What the outbox's thread is asked to do, and where its answer goes.
enum Errand {
    Put(OutboxEntry, SyncSender<io::Result<()>>),
    Remove(String, SyncSender<io::Result<()>>),
    IsLive(String, SyncSender<bool>),
}

/// A way to the thread `slack-outbox`, which ends with it.
pub(super) struct Keeper(SyncSender<Errand>);

impl Keeper {
    /// Starts the thread. `is_live` reads leases, which are files below the outbox's directory.
    pub(super) fn start(
        outbox: Outbox,
        is_live: Box<dyn Fn(&str) -> bool + Send>,
    ) -> io::Result<Self> {
        // One asks, and waits for the answer.
        let (errands, waiting) = sync_channel(0);
        let directory = outbox.path.parent().unwrap_or(Path::new("."));
        let places = Places::none().with(Place::Outbox, directory);
        confine::start(Profile::SlackOutbox, places, move || {
            while let Ok(errand) = waiting.recv() {
                // Whoever asked may be gone.
                match errand {
                    Errand::Put(entry, reply) => drop(reply.send(outbox.put(entry))),
                    Errand::Remove(id, reply) => drop(reply.send(outbox.remove(&id))),
                    Errand::IsLive(session, reply) => drop(reply.send(is_live(&session))),
                }
            }
        })?;
        Ok(Self(errands))
    }

    /// As [`Outbox::put`].
    pub(super) fn put(&self, entry: OutboxEntry) -> io::Result<()> {
        self.ask(|reply| Errand::Put(entry, reply)).flatten()
    }

    /// As [`Outbox::remove`].
    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        self.ask(|reply| Errand::Remove(id.to_owned(), reply))
            .flatten()
    }

    /// Whether a session of this name runs, as far as can be said: then its cards are its own.
    pub(super) fn is_live(&self, session: &str) -> bool {
        self.ask(|reply| Errand::IsLive(session.to_owned(), reply))
            .unwrap_or(true)
    }

    fn ask<T>(&self, errand: impl FnOnce(SyncSender<T>) -> Errand) -> io::Result<T> {
        let gone = || io::Error::other("the outbox thread is gone");
        let (reply, answer) = sync_channel(1);
        self.0.send(errand(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}
