//! What a session's tools have shown and written: so that a whole file is not written over what the
//! model has not seen of it, as its harness's own tools have it (measured on Claude Code 2.1.330).
//!
//! Each call is a process of its own, so the record is a file in the session's private temporary
//! directory. It helps a model and promises nothing: what runs in the sandbox can change it, and
//! what is not on record is written as asked.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

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
    /// Nothing of it is hidden from the model.
    whole: bool,
}

/// What is known of a file that a tool is about to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// No tool has shown or written it.
    Unknown,
    /// It is as the model knows it, or the part of it that was shown is.
    Current { whole: bool },
    /// It was changed since by somebody else.
    Changed,
}

impl ReadState {
    /// The record of the session whose private temporary directory this is.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self(directory.join(NAME))
    }

    /// What is known of a file that has this content now.
    pub(super) fn state(&self, path: &Path, content: &[u8]) -> Freshness {
        let path = plain(path);
        let all = self.open().map(|mut file| load(&mut file));
        let mut all = all.into_iter().flatten();
        match all.find(|known| known.path == path) {
            None => Freshness::Unknown,
            Some(known) if known.mark == mark(content) => Freshness::Current { whole: known.whole },
            Some(_) => Freshness::Changed,
        }
    }

    /// Puts on record that the model knows a file to have this content, or a part of it.
    pub(super) fn put(&self, path: &Path, content: &[u8], whole: bool) {
        let known = FileVersion {
            path: plain(path),
            mark: mark(content),
            whole,
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

/// A path by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
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
        let path = Path::new("/r/a");
        assert_eq!(seen.state(path, b"x"), Freshness::Unknown);
        seen.put(path, b"x", true);
        seen.put(Path::new("/r/b"), b"y", false);
        let again = ReadState::in_directory(&directory);
        assert_eq!(
            again.state(Path::new("/r/d/../a"), b"x"),
            Freshness::Current { whole: true }
        );
        assert_eq!(again.state(path, b"X"), Freshness::Changed);
        let part = again.state(Path::new("/r/b"), b"y");
        assert_eq!(part, Freshness::Current { whole: false });
        for number in 0..FILES {
            seen.put(&PathBuf::from(format!("/r/n{number}")), b"", true);
        }
        assert_eq!(
            seen.state(path, b"x"),
            Freshness::Unknown,
            "the oldest is gone"
        );
        let last = PathBuf::from(format!("/r/n{}", FILES - 1));
        assert_eq!(seen.state(&last, b""), Freshness::Current { whole: true });
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_record_that_is_none_is_no_obstacle() {
        let (directory, seen) = record();
        let path = Path::new("/r/a");
        for text in ["", "{", "[1]", "[{\"path\":\"/r/a\"}]"] {
            std::fs::write(&seen.0, text).unwrap();
            assert_eq!(seen.state(path, b"x"), Freshness::Unknown, "{text}");
        }
        seen.put(path, b"x", true);
        assert_eq!(seen.state(path, b"x"), Freshness::Current { whole: true });
        // A link is not followed: what it leads to stays as it is.
        let other = directory.join("other");
        std::fs::write(&other, "kept").unwrap();
        std::fs::remove_file(&seen.0).unwrap();
        symlink(&other, &seen.0).unwrap();
        seen.put(path, b"x", true);
        assert_eq!(seen.state(path, b"x"), Freshness::Unknown);
        assert_eq!(std::fs::read_to_string(other).unwrap(), "kept");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
