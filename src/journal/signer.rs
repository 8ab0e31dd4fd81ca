//! A second pair of hands: signing costs a fifth of a disk sync, so a batch is signed on two
//! cores, and the head's signature is made while the disk works.
//!
//! Its thread gives way to all others: woken next to the journal thread, or to the kernel's that
//! commits the sync, it would take from them the core that it is to save. So it can also be
//! starved, and nobody waits for it longer than the work takes.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use crate::confine::{self, Places, Profile, inject};

use super::envelope::Chained;
use super::key::SigningKey;
use super::write_error::WriteError;

/// What was signed.
pub(super) struct Signatures {
    pub(super) events: Vec<[u8; 64]>,
    /// Comes while the disk works.
    pub(super) head: Receiver<[u8; 64]>,
}

/// The way to the helping thread.
pub(super) struct Helper {
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
    pub(super) fn start(key: Arc<SigningKey>) -> io::Result<Self> {
        let (work, tasks) = channel::<Task>();
        confine::start(Profile::JournalSign, Places::none(), move || {
            // On Linux this is the calling thread's own; refused, the work is done all the same.
            let _ = rustix::process::setpriority_process(None, NICE);
            while let Ok(task) = tasks.recv() {
                inject::amid("signing", "");
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

    /// Signs events, half of them here, and has the head signed meanwhile.
    pub(super) fn sign(
        &self,
        key: &SigningKey,
        chained: &[Chained],
        head: Vec<u8>,
    ) -> Result<Signatures, WriteError> {
        let (ours, others) = chained.split_at(chained.len().div_ceil(2));
        let (signed, theirs) = sync_channel(1);
        let (head_signed, head_signature) = sync_channel(1);
        let task = Task {
            events: others.iter().map(|event| event.signed.clone()).collect(),
            signed,
            head,
            head_signed,
        };
        self.work.send(task).map_err(|_| WriteError::NoSigner)?;
        let by_us = |events: &[Chained]| -> Vec<[u8; 64]> {
            events.iter().map(|event| key.sign(&event.signed)).collect()
        };
        let mut events = by_us(ours);
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
