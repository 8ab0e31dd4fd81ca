//! The disk: writes signed lines, syncs, and replaces the head, in this order.
//!
//! After a failed write or sync nothing is known about the disk any more: the store is poisoned,
//! and nothing is ever tried again.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::Paths;
use super::durable::{HeadFile, Identity, Named};
use super::head::Head;
use super::key::PublicKey;
use super::recover::{self, Position};
use super::tail::{self, Forward};

/// The open log and its head.
pub(super) struct Store {
    file: File,
    /// Which file the log is, to notice when its name comes to mean another.
    identity: Identity,
    head: HeadFile,
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
        position: Position,
        fault: Arc<Mutex<Option<String>>>,
    ) -> io::Result<Self> {
        Ok(Self {
            identity: Named::of(&file)?.identity,
            file,
            head: HeadFile::at(&paths.head),
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
        if let Ok(mut fault) = self.fault.lock() {
            *fault = Some(why.to_owned());
        }
        self.poison = Some(why.to_owned());
    }

    /// Everything from here on is refused, as it should be.
    pub(super) fn retire(&mut self, why: &str) {
        self.poison = Some(why.to_owned());
    }

    /// Keeps other processes out.
    pub(super) fn lock(&self) -> Result<(), String> {
        let locked = self.file.lock();
        locked.map_err(|error| format!("locking failed: {error}"))
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
        signature: impl FnOnce() -> [u8; 64],
    ) -> Result<(), String> {
        self.file
            .write_all(lines)
            .map_err(|error| format!("write failed: {error}"))?;
        self.file
            .sync_data()
            .map_err(|error| format!("fdatasync failed: {error}"))?;
        self.head
            .write(&head.to_text(&signature()))
            .map_err(|error| format!("{}: {error}", self.paths.head.display()))?;
        self.position = Position {
            bytes: self.position.bytes + lines.len() as u64,
            seq: head.seq,
            hash: Some(head.hash),
        };
        Ok(())
    }

    /// Takes in what other processes have appended since, under the lock. Gives the payload of the
    /// `journal.recovered` event when one of them died in the middle of its write.
    pub(super) fn catch_up(
        &mut self,
        key: &PublicKey,
    ) -> Result<Option<Map<String, Value>>, String> {
        let log = self.paths.log.display();
        let stat = |error: io::Error| format!("{log}: {error}");
        let named = Named::at(&self.paths.log).map_err(stat)?;
        if named.identity != self.identity {
            return Err(format!("{log} was replaced by another file"));
        }
        let length = named.length;
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
            recover::follow(&mut position, &text, key)
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
