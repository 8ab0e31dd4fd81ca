//! What a session's tools have shown and written: so that a whole file is not written over what the
//! model has not seen of it.
//!
//! Each call is a process of its own, so the record is a file in the session's private temporary
//! directory. It helps a model and promises nothing: what runs in the sandbox can change it, and
//! what is not on record is written as asked.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

/// Files on record; the one that was longest not touched goes first.
const FILES: usize = 512;
/// Bytes of the record that are read: 512 paths of Linux's greatest length would be as many.
const RECORD_BYTES: u64 = 4 << 20;
/// Name of the record.
const NAME: &str = ".agp-tools-seen";

/// The record of a session, in a file.
pub struct ReadState(PathBuf);

/// A file as the model knows it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
struct FileVersion {
    path: PathBuf,
    mark: u64,
}

impl ReadState {
    /// The record of the session whose private temporary directory this is.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self(directory.join(NAME))
    }

    /// Whether a file that has this content now is as the model knows it; `None` where no tool has shown or
    /// written it.
    pub(super) fn is_current(&self, path: &Path, content: &[u8]) -> Option<bool> {
        let path = resolved(path);
        let all = load(&mut self.open()?);
        let known = all.into_iter().find(|known| known.path == path)?;
        Some(known.mark == mark(content))
    }

    /// Puts on record that the model knows a file to have this content.
    pub(super) fn put(&self, path: &Path, content: &[u8]) {
        let known = FileVersion {
            path: resolved(path),
            mark: mark(content),
        };
        let Some(mut file) = self.open() else {
            return;
        };
        let mut all = load(&mut file);
        all.retain(|other| other.path != known.path);
        all.push_back(known);
        while all.len() > FILES {
            all.pop_front();
        }
        // One that is not written whole is read as none: then nothing is known.
        let _ = store(&mut file, &all);
    }

    /// Opens the record for this call alone; without one, nothing is known.
    fn open(&self) -> Option<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = options.mode(0o600).custom_flags(flags).open(&self.0).ok()?;
        flock(&file, FlockOperation::LockExclusive).ok()?;
        Some(file)
    }
}

fn load(file: &mut File) -> VecDeque<FileVersion> {
    let mut text = Vec::new();
    match file.take(RECORD_BYTES).read_to_end(&mut text) {
        Ok(_) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => VecDeque::new(),
    }
}

fn store(file: &mut File, all: &VecDeque<FileVersion>) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(all)?)
}

/// Tells one content from another; nobody gains by two that are alike.
fn mark(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// One name for a file, however it is named.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn record() -> (PathBuf, ReadState) {
        let name = format!(
            "agp-seen-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let seen = ReadState::in_directory(&directory);
        (directory, seen)
    }

    #[test]
    fn what_is_known_lasts_from_call_to_call_and_is_bounded() {
        let (directory, seen) = record();
        let path = &directory.join("a");
        std::fs::write(path, "x").unwrap();
        std::fs::create_dir_all(directory.join("d")).unwrap();
        assert_eq!(seen.is_current(path, b"x"), None);
        seen.put(path, b"x");
        let again = ReadState::in_directory(&directory);
        let otherwise = directory.join("d/../a");
        assert_eq!(again.is_current(&otherwise, b"x"), Some(true));
        assert_eq!(again.is_current(path, b"X"), Some(false));
        for number in 0..FILES {
            seen.put(&PathBuf::from(format!("/r/n{number}")), b"");
        }
        assert_eq!(seen.is_current(path, b"x"), None, "the oldest is gone");
        let last = PathBuf::from(format!("/r/n{}", FILES - 1));
        assert_eq!(seen.is_current(&last, b""), Some(true));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_record_that_is_none_is_no_obstacle() {
        let (directory, seen) = record();
        let path = Path::new("/r/a");
        for text in ["", "{", "[1]", "[{\"path\":\"/r/a\"}]"] {
            std::fs::write(&seen.0, text).unwrap();
            assert_eq!(seen.is_current(path, b"x"), None, "{text}");
        }
        seen.put(path, b"x");
        assert_eq!(seen.is_current(path, b"x"), Some(true));
        // A link is not followed: what it leads to stays as it is.
        let other = directory.join("other");
        std::fs::write(&other, "kept").unwrap();
        std::fs::remove_file(&seen.0).unwrap();
        symlink(&other, &seen.0).unwrap();
        seen.put(path, b"x");
        assert_eq!(seen.is_current(path, b"x"), None);
        assert_eq!(std::fs::read_to_string(other).unwrap(), "kept");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
