//! The head's bytes, as they are beside a log that may be live.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::contracts::limits;

/// Readings of a head that keeps changing; each takes microseconds, a replacement far longer.
const HEAD_READS: usize = 100;

/// The head's bytes, read before the log.
#[derive(PartialEq, Eq)]
pub(super) struct HeadText {
    pub(super) bytes: Option<Vec<u8>>,
}

impl HeadText {
    /// The head of a live journal is replaced in place, so one reading may come out mixed: it is
    /// read until two readings agree.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut head = Self::read_once(path)?;
        for _ in 0..HEAD_READS {
            let again = Self::read_once(path)?;
            if again == head {
                break;
            }
            head = again;
        }
        Ok(head)
    }

    fn read_once(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file
                .take(limits::SMALL_FILE_BYTES + 1)
                .read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { bytes: None });
            }
            Err(error) => return Err(error),
        };
        Ok(Self { bytes: Some(bytes) })
    }

    /// The sequence number that the head claims, unchecked: which event to remember.
    pub(super) fn seq(&self) -> Option<u64> {
        let value = crate::contracts::strict_json::from_slice(self.bytes.as_deref()?).ok()?;
        value.get("seq")?.as_u64()
    }
}
