//! Cutting a log into chunks of whole lines.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::contracts::limits;

/// How long a write that is under way is waited for; one takes milliseconds.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Where the log ends for this verification.
///
/// A live journal's last write may be visible in part, which is no torn line: while its writer
/// holds the lock, its end is waited for. What comes later belongs to the next verification.
pub(super) fn settled_end(file: &File) -> io::Result<u64> {
    if !file.metadata()?.is_file() {
        return Ok(u64::MAX);
    }
    let started = Instant::now();
    loop {
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 && file.read_at(&mut last, length - 1)? == 0 {
            continue;
        }
        if last == [b'\n'] || started.elapsed() > WRITE_PATIENCE {
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

/// Cuts a log into chunks at newlines.
pub(super) struct Chunker<R> {
    source: R,
    rest: Vec<u8>,
}

impl<R: Read> Chunker<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            rest: Vec::new(),
        }
    }

    pub(super) fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
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
