//! Opening after a power cut: lines that are durable in the write-ahead log alone go back into the
//! log.
//!
//! Where the machine went down, the log may have lost lines that were acknowledged, or hold holes
//! in their place. The write-ahead log has them. Whatever is taken from it continues the log's
//! chain under the key in force, so nobody without the key can have put it there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde_json::{Map, Value, json};

use crate::contracts::limits;

use super::Paths;
use super::key::PublicKey;
use super::line::Entry;
use super::recover::{self, Position};
use super::tail::{Backward, Extent};
use super::wal::Wal;

/// Why nothing could be taken back.
#[derive(Debug)]
pub(super) enum ReplayError {
    /// A file could not be read or written.
    Io(io::Error),
    /// Log and write-ahead log each have another event in the same place, both sound.
    Forked(u64),
}

/// Puts back what the log lost, if with it the log reaches event `covered`, which its head names.
/// Gives what there is to report, if anything was put back.
pub(super) fn replay(
    log: &File,
    paths: &Paths,
    wal: &Wal,
    key: &PublicKey,
    covered: u64,
) -> Result<Option<Map<String, Value>>, ReplayError> {
    let length = log.metadata().map_err(ReplayError::Io)?.len();
    let base = wal.base().map_err(ReplayError::Io)?;
    let Some(base) = base.filter(|base| (1..=length).contains(base)) else {
        return Ok(None);
    };
    let ahead = wal.read(base, base, u64::MAX).map_err(ReplayError::Io)?;
    let kept = read(log, base, length, ahead.len()).map_err(ReplayError::Io)?;
    let same = ahead.iter().zip(&kept).take_while(|(a, b)| a == b).count();
    let whole = behind_newline(ahead.get(..same).unwrap_or_default());
    let start = base + whole as u64;
    let missing = ahead.get(whole..).unwrap_or_default();
    // Most openings end here: what follows is left of older lines, or nothing.
    let Some(from) = position(log, start, missing).map_err(ReplayError::Io)? else {
        return Ok(None);
    };
    let to = followed(from, missing, key);
    // Short of the head the start is refused, and then nothing may be changed.
    if to.seq == from.seq || to.seq < covered {
        return Ok(None);
    }
    let rest = kept.get(whole..).unwrap_or_default();
    if followed(from, rest, key).seq > from.seq {
        return Err(ReplayError::Forked(from.seq + 1));
    }
    let count = usize::try_from(to.bytes - from.bytes).unwrap_or_default();
    let lines = missing.get(..count).unwrap_or_default();
    let mut report = Map::new();
    if !lines.starts_with(rest) || length > base + kept.len() as u64 {
        let torn = Extent {
            complete: start,
            torn: length - start,
        };
        report = recover::move_torn_aside(log, paths, torn).map_err(ReplayError::Io)?;
    }
    log.set_len(start)
        .and_then(|()| log.write_all_at(lines, start))
        .and_then(|()| log.sync_all())
        .map_err(ReplayError::Io)?;
    report.insert("replayedFrom".into(), json!(from.seq + 1));
    report.insert("replayedTo".into(), json!(to.seq));
    Ok(Some(report))
}

/// The log from `base` on, as far as the write-ahead log could have it.
fn read(log: &File, base: u64, length: u64, most: usize) -> io::Result<Vec<u8>> {
    let there = usize::try_from(length - base).unwrap_or(usize::MAX);
    let mut bytes = vec![0; there.min(most)];
    log.read_exact_at(&mut bytes, base)?;
    Ok(bytes)
}

/// Bytes up to and including the last newline.
fn behind_newline(bytes: &[u8]) -> usize {
    let newline = bytes.iter().rposition(|byte| *byte == b'\n');
    newline.map_or(0, |at| at + 1)
}

/// The event of the log that ends at `start`, if the next line could be one that follows it.
///
/// Its signature is not looked at here: opening does so where it is the last that is kept.
fn position(log: &File, start: u64, next: &[u8]) -> io::Result<Option<Position>> {
    let Some(next) = line(next).and_then(|next| Entry::parse(next).ok()) else {
        return Ok(None);
    };
    let last = match Backward::new(log, start).next() {
        Some(last) => last?.1,
        None => return Ok(None),
    };
    let last = Entry::parse(&last).ok();
    let last = last.filter(|last| next.seq == last.seq + 1 && next.prev == Some(last.hash));
    Ok(last.map(|last| Position {
        bytes: start,
        seq: last.seq,
        hash: Some(last.hash),
    }))
}

/// The first line of some bytes, if it has its end and is no longer than a line may be.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(limits::LINE_BYTES + 1);
    let end = end.into_iter().position(|byte| *byte == b'\n')?;
    bytes.get(..end)
}

/// How far lines continue the chain. A change of the key is never among them: the writer puts it
/// into the log at once.
fn followed(mut position: Position, mut bytes: &[u8], key: &PublicKey) -> Position {
    while let Some(next) = line(bytes) {
        if recover::follow(&mut position, next, key).is_err() {
            break;
        }
        bytes = bytes.get(next.len() + 1..).unwrap_or_default();
    }
    position
}
