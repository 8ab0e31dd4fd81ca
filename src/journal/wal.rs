//! The write-ahead log: the newest lines of the journal once more, in a file that never grows.
//!
//! An append to the log changes its length, so each `fdatasync` of it also commits the file
//! system's own journal, which is half of its time. This file has its length and its blocks from
//! the start: a sync of it writes the lines and nothing else. A line is durable when it is here;
//! the log has it, too, and is synced when the space here is used up, when nothing more comes, and
//! when it is closed or opened.
//!
//! The file is a header of one sector, which says from which byte of the log on it has the lines
//! (`base`), and the lines themselves as they stand there: what is at `base + n` in the log is at
//! `n` here. Nothing in it is trusted: only lines that continue the log's chain under the signing
//! key are taken from it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::durable::{self, Identity, Named};

/// Bytes before the lines: one disk sector, written whole.
const HEADER_BYTES: usize = 512;
/// Lines kept, in bytes: more than a thousand ordinary ones between two syncs of the log.
const ROOM_BYTES: usize = 1 << 20;
/// A disk with less room than this keeps it for the log.
const SPARE_BYTES: u64 = 16 * ROOM_BYTES as u64;
/// How the header begins; what follows is `base`, in decimal.
const MAGIC: &str = "agp journal write-ahead log 1 base ";

/// The open file.
#[derive(Debug)]
pub(super) struct Wal {
    file: File,
    path: PathBuf,
    identity: Identity,
}

impl Wal {
    /// Opens the file if it is there and of our making. One that is not is nobody's data, and is
    /// made anew with [`Wal::create`].
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let named = match Named::at(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            named => named?,
        };
        if named.is_link {
            return Err(rustix::io::Errno::LOOP.into());
        }
        if named.length != (HEADER_BYTES + ROOM_BYTES) as u64 {
            return Ok(None);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(durable::no_follow())
            .open(path)?;
        Self::of(file, path).map(Some)
    }

    /// Makes the file, all of its blocks written and durable, with `base` in its header.
    pub(super) fn create(path: &Path, base: u64) -> io::Result<Self> {
        if durable::free_bytes(&durable::parent(path))? < SPARE_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = vec![0; HEADER_BYTES + ROOM_BYTES];
        put_header(&mut bytes, base);
        durable::replace(path, 0o600, &bytes)?;
        Self::open(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A file with these bytes at its beginning, whatever they are.
    #[cfg(any(test, fuzzing))]
    pub(super) fn holding(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(path)?;
        file.set_len((HEADER_BYTES + ROOM_BYTES) as u64)?;
        file.write_all_at(bytes, 0)?;
        Self::of(file, path)
    }

    fn of(file: File, path: &Path) -> io::Result<Self> {
        Ok(Self {
            identity: Named::of(&file)?.identity,
            file,
            path: path.to_owned(),
        })
    }

    /// Whether the file's name still means this file.
    pub(super) fn stands(&self) -> bool {
        Named::at(&self.path).is_ok_and(|named| named.identity == self.identity)
    }

    /// From which byte of the log on the lines are here; `None` when the header does not say.
    pub(super) fn base(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        let text = std::str::from_utf8(&bytes).ok();
        let number = text.and_then(|text| text.strip_prefix(MAGIC));
        Ok(number.and_then(|number| number.trim_end().parse().ok()))
    }

    /// Lets the lines begin at `base`. What lies before it in the log is synced by now. Durable
    /// with the next [`Wal::write`]: until then, the old header with the old lines says nothing
    /// that is wrong, and with newer ones nothing that continues a chain.
    pub(super) fn rebase(&self, base: u64) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        put_header(&mut header, base);
        self.file.write_all_at(&header, 0)
    }

    /// Whether `lines`, which begin at byte `at` of the log, fit behind those that are here.
    pub(super) fn fits(base: u64, at: u64, lines: &[u8]) -> bool {
        at.checked_sub(base)
            .and_then(|used| used.checked_add(lines.len() as u64))
            .is_some_and(|end| end <= ROOM_BYTES as u64)
    }

    /// Writes lines that begin at byte `at` of the log.
    pub(super) fn write(&self, base: u64, at: u64, lines: &[u8]) -> io::Result<()> {
        let place = HEADER_BYTES as u64 + at.saturating_sub(base);
        self.file.write_all_at(lines, place)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// What is here of the log from byte `from` on: as many as `most` bytes, fewer at the end.
    pub(super) fn read(&self, base: u64, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let start = from.saturating_sub(base).min(ROOM_BYTES as u64);
        let length = most.min(ROOM_BYTES as u64 - start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file
            .read_exact_at(&mut bytes, HEADER_BYTES as u64 + start)?;
        Ok(bytes)
    }
}

fn put_header(bytes: &mut [u8], base: u64) {
    let text = format!("{MAGIC}{base}");
    let padded = text.bytes().chain(std::iter::repeat(b' '));
    for (place, byte) in bytes.iter_mut().take(HEADER_BYTES).zip(padded) {
        *place = byte;
    }
}
