//! Reading a log from its end: what opening needs, at a cost that does not grow with the log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Entry;
use crate::contracts::limits;

/// Where the complete lines of a log end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes up to and including the last newline.
    pub complete: u64,
    /// Bytes after it: a torn write.
    pub torn: u64,
}

const BLOCK: u64 = 64 << 10;

/// The last newline before `end`, as an offset.
fn newline_before(file: &File, end: u64) -> io::Result<Option<u64>> {
    let mut upper = end;
    // A line, and so the distance between two newlines, is bounded; a longer run is not ours.
    let floor = end.saturating_sub(limits::LINE_BYTES as u64 + 2);
    while upper > floor {
        let lower = upper.saturating_sub(BLOCK).max(floor);
        let mut block = vec![0; usize::try_from(upper - lower).unwrap_or_default()];
        file.read_exact_at(&mut block, lower)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(lower + at as u64));
        }
        upper = lower;
    }
    if floor == 0 {
        return Ok(None);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a line is longer than 1 MiB",
    ))
}

/// Measures where the complete lines end.
pub(super) fn extent(file: &File) -> io::Result<Extent> {
    let length = file.metadata()?.len();
    let complete = newline_before(file, length)?.map_or(0, |at| at + 1);
    Ok(Extent {
        complete,
        torn: length - complete,
    })
}

/// The complete lines of a log, last first, each with its offset.
pub(super) struct Backward<'a> {
    file: &'a File,
    end: u64,
}

impl<'a> Backward<'a> {
    /// Starts before `end`, which follows a newline or is 0.
    pub(super) fn new(file: &'a File, end: u64) -> Self {
        Self { file, end }
    }

    fn step(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        if self.end == 0 {
            return Ok(None);
        }
        let newline = self.end - 1;
        let start = newline_before(self.file, newline)?.map_or(0, |at| at + 1);
        let mut line = vec![0; usize::try_from(newline - start).unwrap_or_default()];
        self.file.read_exact_at(&mut line, start)?;
        self.end = start;
        Ok(Some((start, line)))
    }
}

impl Iterator for Backward<'_> {
    type Item = io::Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// The complete lines from one offset to another, first first.
pub(super) struct Forward<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl<'a> Forward<'a> {
    /// Reads from `at` to `end`; both follow a newline or are 0.
    pub(super) fn new(file: &'a File, at: u64, end: u64) -> Self {
        Self {
            file,
            at,
            end,
            buffer: Vec::new(),
        }
    }

    fn step(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(newline) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(newline + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            if self.at == self.end {
                return Ok(None);
            }
            if self.buffer.len() > limits::LINE_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is longer than 1 MiB",
                ));
            }
            let take = (self.end - self.at).min(BLOCK);
            let mut block = vec![0; usize::try_from(take).unwrap_or_default()];
            self.file.read_exact_at(&mut block, self.at)?;
            self.buffer.append(&mut block);
            self.at += take;
        }
    }
}

impl Iterator for Forward<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// The last event of a log, unchecked.
#[must_use]
pub fn last_event(log: &Path) -> Option<Entry> {
    let file = File::open(log).ok()?;
    let end = extent(&file).ok()?.complete;
    let (_, line) = Backward::new(&file, end).next()?.ok()?;
    Entry::parse(&line).ok()
}
