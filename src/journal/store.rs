//! The disk: writes signed lines, makes them durable, and replaces the head, in this order.
//!
//! Durable they are in the write-ahead log, or, where that has no room or is not there, in the log
//! itself.
//!
//! After a failed write or sync nothing is known about the disk any more: the store is poisoned,
//! and nothing is ever tried again.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::Paths;
use super::durable::{HeadFile, Identity, Named};
use super::head::Head;
use super::key::PublicKey;
use super::recover::{self, Position};
use super::tail::{self, Forward};
use super::wal::Wal;
use super::write_error::WriteError;
use crate::confine::inject;
use crate::contracts::lock::locked;

/// The write-ahead log, as far as there is one.
enum Ahead {
    /// None yet.
    Absent,
    /// In use.
    Open(Wal),
    /// It could not be made: the disk has no room for it, for one. The log alone is as durable.
    Refused,
}

/// The open log and its head.
pub(super) struct Store {
    file: File,
    /// Which file the log is, to notice when its name comes to mean another.
    identity: Identity,
    head: HeadFile,
    wal: Ahead,
    /// Whether the log has lines that are durable in the write-ahead log alone.
    unsynced: bool,
    paths: Paths,
    /// Behind the last event that is on disk.
    position: Position,
    poison: Option<String>,
    fault: Arc<Mutex<Option<String>>>,
}

impl Store {
    pub(super) fn new(
        file: File,
        paths: &Paths,
        wal: Option<Wal>,
        position: Position,
        fault: Arc<Mutex<Option<String>>>,
    ) -> io::Result<Self> {
        Ok(Self {
            identity: Named::of(&file)?.identity,
            file,
            head: HeadFile::at(&paths.head),
            wal: wal.map_or(Ahead::Absent, Ahead::Open),
            unsynced: false,
            paths: paths.clone(),
            position,
            poison: None,
            fault,
        })
    }

    /// Where the next event goes.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Why nothing is written any more.
    pub(super) fn poisoned(&self) -> Option<&String> {
        self.poison.as_ref()
    }

    /// Everything from here on is refused, and it is a fault.
    pub(super) fn poison(&mut self, why: &str) {
        *locked(&self.fault) = Some(why.to_owned());
        self.poison = Some(why.to_owned());
    }

    /// Everything from here on is refused, as it should be.
    pub(super) fn retire(&mut self, why: &str) {
        self.poison = Some(why.to_owned());
    }

    /// Keeps other processes out.
    pub(super) fn lock(&self) -> Result<(), WriteError> {
        let locked = self.file.lock();
        locked.map_err(|error| WriteError::Log("locking", error))
    }

    /// Lets other processes write.
    pub(super) fn unlock(&self) {
        // The lock goes with the descriptor, too; a failure to unlock only delays other writers.
        let _ = self.file.unlock();
    }

    /// Puts lines on disk, then the head that names the last of them, signed meanwhile or then.
    pub(super) fn write(
        &mut self,
        lines: &[u8],
        head: &Head,
        durable: Durable,
        signature: impl FnOnce() -> [u8; 64],
    ) -> Result<(), WriteError> {
        self.file
            .write_all(lines)
            .map_err(|error| WriteError::Log("write", error))?;
        inject::amid("written", "");
        let base = self.room_ahead(lines, durable)?;
        match (&self.wal, base) {
            (Ahead::Open(wal), Some(base)) => {
                wal.write(base, self.position.bytes, lines)
                    .map_err(|error| WriteError::Log("write", error))?;
                wal.sync()
                    .map_err(|error| WriteError::Log("fdatasync", error))?;
                self.unsynced = true;
            }
            _ => self.settle(self.position.bytes + lines.len() as u64)?,
        }
        self.head
            .write(&head.to_text(&signature()))
            .map_err(WriteError::file(&self.paths.head))?;
        self.position = Position {
            bytes: self.position.bytes + lines.len() as u64,
            seq: head.seq,
            hash: Some(head.hash),
        };
        Ok(())
    }

    /// The base of the write-ahead log, if it takes these lines.
    fn room_ahead(&mut self, lines: &[u8], durable: Durable) -> Result<Option<u64>, WriteError> {
        if let Ahead::Open(wal) = &self.wal
            && !wal.stands()
        {
            // Lines that were durable there alone become so in the log, now.
            self.wal = Ahead::Absent;
        }
        let Ahead::Open(wal) = &self.wal else {
            return Ok(None);
        };
        let base = wal.base().map_err(WriteError::file(&self.paths.wal))?;
        let fits = |base: &u64| Wal::fits(*base, self.position.bytes, lines);
        Ok(base.filter(|base| durable == Durable::Anywhere && fits(base)))
    }

    /// Syncs the log, which ends at byte `end`, and lets the write-ahead log begin anew there.
    fn settle(&mut self, end: u64) -> Result<(), WriteError> {
        self.sync()?;
        match &self.wal {
            Ahead::Open(wal) => wal.rebase(end).map_err(WriteError::file(&self.paths.wal)),
            // The first event needs none, and a journal of one event no second file.
            Ahead::Absent if self.position.seq > 0 => {
                let path = &self.paths.wal;
                let made = match Wal::open(path) {
                    // Another process has made one meanwhile.
                    Ok(Some(wal)) => wal.rebase(end).map(|()| wal),
                    Ok(None) => Wal::create(path, end),
                    Err(error) => Err(error),
                };
                self.wal = made.map_or(Ahead::Refused, Ahead::Open);
                Ok(())
            }
            Ahead::Absent | Ahead::Refused => Ok(()),
        }
    }

    /// Syncs what the log has and only the write-ahead log made durable.
    pub(super) fn sync(&mut self) -> Result<(), WriteError> {
        self.unsynced = false;
        let synced = self.file.sync_data();
        synced.map_err(|error| WriteError::Log("fdatasync", error))
    }

    /// Whether [`Store::sync`] has something to do.
    pub(super) fn unsynced(&self) -> bool {
        self.unsynced && self.poison.is_none()
    }

    /// Leaves a log that needs no other file, unless somebody else is writing it.
    pub(super) fn close(&mut self) -> Result<(), WriteError> {
        if self.poison.is_some() {
            return Ok(());
        }
        self.lock()?;
        let named = Named::at(&self.paths.log);
        let alone = named.is_ok_and(|named| {
            named.identity == self.identity && named.length == self.position.bytes
        });
        let settled = match (&self.wal, alone) {
            (Ahead::Open(_), true) => self.settle(self.position.bytes),
            _ => self.sync(),
        };
        self.unlock();
        settled
    }

    /// Takes in what other processes have appended since, under the lock. Gives the payload of the
    /// `journal.recovered` event when one of them died in the middle of its write.
    pub(super) fn catch_up(
        &mut self,
        key: &PublicKey,
    ) -> Result<Option<Map<String, Value>>, WriteError> {
        let log = self.paths.log.clone();
        let stat = WriteError::file(&log);
        let named = Named::at(&self.paths.log).map_err(stat)?;
        if named.identity != self.identity {
            return Err(WriteError::Replaced(log));
        }
        let length = named.length;
        if length == self.position.bytes {
            return Ok(None);
        }
        if length < self.position.bytes {
            return Err(WriteError::Cut(log));
        }
        let extent = tail::extent(&self.file).map_err(stat)?;
        let (known, mut position) = (self.position.bytes, self.position);
        for text in Forward::new(&self.file, position.bytes, extent.complete) {
            let text = text.map_err(stat)?;
            if let Err(flaw) = recover::follow(&mut position, &text, key) {
                return Err(WriteError::Continued {
                    path: log,
                    after: position.seq,
                    flaw,
                });
            }
        }
        self.position = position;
        if !self.has_ahead(known..position.bytes) {
            self.settle(position.bytes)?;
        }
        if extent.torn == 0 {
            return Ok(None);
        }
        let mended = recover::move_torn_aside(&self.file, &self.paths, extent);
        mended.map(Some).map_err(stat)
    }

    /// Whether what others appended is in the write-ahead log: who dies between its two writes
    /// leaves a gap there.
    fn has_ahead(&self, new: Range<u64>) -> bool {
        let Ahead::Open(wal) = &self.wal else {
            return false;
        };
        let Ok(Some(base)) = wal.base() else {
            return false;
        };
        let from = new.start.max(base);
        let Some(length) = new.end.checked_sub(from) else {
            return false;
        };
        let Ok(ahead) = wal.read(base, from, length) else {
            return false;
        };
        let mut log = vec![0; ahead.len()];
        ahead.len() as u64 == length
            && self.file.read_exact_at(&mut log, from).is_ok()
            && log == ahead
    }
}

/// Where lines must be durable before they are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// In the write-ahead log, or in the log.
    Anywhere,
    /// In the log: it is the last line under this key, and nobody could continue it from elsewhere.
    InTheLog,
}
