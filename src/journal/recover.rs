//! Opening a journal: its tail is checked and, after a crash, mended. Nothing else is repaired.
//!
//! A crash can leave two things: a last line that is torn, which nobody was ever told of, and
//! complete events that the head does not cover yet. Everything else that is wrong is somebody's
//! doing, and refuses the start.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::contracts::ids::Sha256;
use crate::contracts::{limits, timestamp};

use super::head::Head;
use super::key::PublicKey;
use super::line::{Code, Entry, Flaw};
use super::tail::{self, Backward, Forward};
use super::verify::rotation;
use super::{Paths, durable};

/// Why a journal was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// A file could not be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The journal is not what its last writer left: it was cut, replaced or edited.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged { path, problem } => write!(f, "{}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// The end of a journal that was found sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Bytes of complete lines.
    pub bytes: u64,
    /// The last event's sequence number; 0 when there is none.
    pub seq: u64,
    /// The last event's hash.
    pub hash: Option<Sha256>,
}

/// What opening found and did.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub position: Position,
    /// The payload of the `journal.recovered` event to write, if anything was mended.
    pub recovered: Option<Map<String, Value>>,
}

/// Checks the tail of a locked log and mends what a crash can leave.
///
/// `retired` are earlier public keys: the last event may be the `key.rotated` that one of them
/// signed.
pub(super) fn open_tail(
    file: &File,
    paths: &Paths,
    key: &PublicKey,
    retired: &[PublicKey],
) -> Result<Tail, OpenError> {
    let damaged = |problem: String| OpenError::Damaged {
        path: paths.log.clone(),
        problem,
    };
    let log_io = |error| OpenError::Io {
        path: paths.log.clone(),
        error,
    };
    let extent = tail::extent(file).map_err(log_io)?;
    let head = read_head(paths, key, retired)?;
    let last = last_entry(file, extent.complete, paths, key, retired)?;

    let position = match (&head, &last) {
        (None, None) => Position::default(),
        (Some((head, _)), None) => {
            return Err(damaged(format!(
                "the journal is empty, but its head names event {}",
                head.seq
            )));
        }
        // The very first append is a batch of one event (see the writer), so a crash between its
        // two writes leaves one event and no head, and never more.
        (None, Some(last)) if last.seq == 1 && last.prev.is_none() => at(last, extent.complete),
        (None, Some(_)) => {
            return Err(OpenError::Damaged {
                path: paths.head.clone(),
                problem: "the head is missing, so truncation cannot be detected".into(),
            });
        }
        (Some((head, _)), Some(last)) if last.seq < head.seq => {
            return Err(damaged(format!(
                "the journal ends at event {}, but its head names event {}: events were removed",
                last.seq, head.seq
            )));
        }
        (Some((head, signer)), Some(last)) => {
            if last.seq > head.seq {
                let checked = check_beyond(file, extent.complete, (head, signer), key);
                checked.map_err(|fault| match fault {
                    Fault::Io(error) => log_io(error),
                    Fault::Wrong(problem) => damaged(problem),
                })?;
            } else if last.hash != head.hash {
                return Err(damaged(format!(
                    "event {} does not match the head",
                    last.seq
                )));
            }
            at(last, extent.complete)
        }
    };
    let covered = head.map_or(0, |(head, _)| head.seq);
    let recovered = mend(file, paths, extent, covered, position).map_err(log_io)?;
    Ok(Tail {
        position,
        recovered,
    })
}

/// Refuses a head whose log is gone, before opening would make a new log in its place.
///
/// The head is looked at first: a log is always made before its head.
pub(super) fn check_not_removed(paths: &Paths) -> Result<(), OpenError> {
    if fs::symlink_metadata(&paths.head).is_err() {
        return Ok(());
    }
    match fs::symlink_metadata(&paths.log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::Damaged {
            path: paths.log.clone(),
            problem: "the journal is missing, but its head exists".into(),
        }),
        _ => Ok(()),
    }
}

fn at(entry: &Entry, bytes: u64) -> Position {
    Position {
        bytes,
        seq: entry.seq,
        hash: Some(entry.hash),
    }
}

/// The head, whose key it is checked against, and which of them signed it.
pub(super) fn read_head(
    paths: &Paths,
    key: &PublicKey,
    retired: &[PublicKey],
) -> Result<Option<(Head, PublicKey)>, OpenError> {
    let bytes = match durable::read_bounded(&paths.head, limits::SMALL_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(OpenError::Io {
                path: paths.head.clone(),
                error,
            });
        }
    };
    let first = Head::read(&bytes, key).map(|head| (head, key.clone()));
    // After a rotation the head is the old key's until the new one has written.
    let mut older = retired
        .iter()
        .map(|old| Head::read(&bytes, old).map(|head| (head, old.clone())));
    let outcome = first.or_else(|flaw| older.find(Result::is_ok).unwrap_or(Err(flaw)));
    outcome.map(Some).map_err(|flaw| OpenError::Damaged {
        path: paths.head.clone(),
        problem: flaw.detail,
    })
}

fn last_entry(
    file: &File,
    end: u64,
    paths: &Paths,
    key: &PublicKey,
    retired: &[PublicKey],
) -> Result<Option<Entry>, OpenError> {
    let Some(line) = Backward::new(file, end).next() else {
        return Ok(None);
    };
    let (_, line) = line.map_err(|error| OpenError::Io {
        path: paths.log.clone(),
        error,
    })?;
    let damaged = |flaw: &Flaw| OpenError::Damaged {
        path: paths.log.clone(),
        problem: format!("the last event is invalid: {}", flaw.detail),
    };
    let entry = Entry::parse(&line).map_err(|flaw| damaged(&flaw))?;
    let Some(named) = rotation(&entry) else {
        return match entry.check_content(key).first() {
            Some(flaw) => Err(damaged(flaw)),
            None => Ok(Some(entry)),
        };
    };
    if !signed_by_any(&entry, key, retired) {
        let detail = "signature does not verify";
        return Err(damaged(&Flaw::new(Code::Signature, detail)));
    }
    if named.as_ref() != Ok(key) {
        let detail = "it hands the journal over to another key";
        return Err(damaged(&Flaw::new(Code::Rotation, detail)));
    }
    Ok(Some(entry))
}

fn signed_by_any(entry: &Entry, key: &PublicKey, retired: &[PublicKey]) -> bool {
    let mut keys = retired.iter().chain([key]);
    keys.any(|key| entry.check_content(key).is_empty())
}

enum Fault {
    Io(io::Error),
    Wrong(String),
}

/// Verifies the events beyond the head, which only the crash between two writes explains. They
/// may hand the journal over, from the key that signed the head to the one in force.
fn check_beyond(
    file: &File,
    end: u64,
    (head, signer): (&Head, &PublicKey),
    key: &PublicKey,
) -> Result<(), Fault> {
    let mut signer = signer.clone();
    let mut start = None;
    for line in Backward::new(file, end) {
        let (offset, line) = line.map_err(Fault::Io)?;
        let entry = Entry::parse(&line).map_err(|flaw| Fault::Wrong(flaw.detail))?;
        if entry.seq == head.seq {
            if entry.hash != head.hash {
                return Err(Fault::Wrong(format!(
                    "event {} does not match the head",
                    head.seq
                )));
            }
            if let Some(Ok(next)) = rotation(&entry) {
                signer = next;
            }
            start = Some(offset + line.len() as u64 + 1);
            break;
        }
        if entry.seq < head.seq {
            break;
        }
    }
    let start = start.ok_or_else(|| {
        Fault::Wrong(format!(
            "event {} of the head is not in the journal",
            head.seq
        ))
    })?;
    let mut position = Position {
        bytes: start,
        seq: head.seq,
        hash: Some(head.hash),
    };
    for line in Forward::new(file, start, end) {
        let line = line.map_err(Fault::Io)?;
        let entry =
            check_next(&position, &line, &signer).map_err(|flaw| Fault::Wrong(flaw.detail))?;
        if let Some(Ok(next)) = rotation(&entry) {
            signer = next;
        }
        position = at(&entry, position.bytes + line.len() as u64 + 1);
    }
    if signer == *key {
        Ok(())
    } else {
        Err(Fault::Wrong(
            "the journal was handed over to another key".into(),
        ))
    }
}

/// Checks that a line is the next event, and moves the position behind it.
pub(super) fn follow(position: &mut Position, line: &[u8], key: &PublicKey) -> Result<(), Flaw> {
    let entry = check_next(position, line, key)?;
    if rotation(&entry).is_some() {
        return Err(Flaw::new(
            Code::Rotation,
            "another process rotated the signing key",
        ));
    }
    *position = at(&entry, position.bytes + line.len() as u64 + 1);
    Ok(())
}

fn check_next(position: &Position, line: &[u8], key: &PublicKey) -> Result<Entry, Flaw> {
    let entry = Entry::parse(line)?;
    if entry.seq != position.seq + 1 || entry.prev != position.hash {
        let detail = format!("event {} does not follow event {}", entry.seq, position.seq);
        return Err(Flaw::new(Code::Sequence, detail));
    }
    match entry.check_content(key).into_iter().next() {
        Some(flaw) => Err(flaw),
        None => Ok(entry),
    }
}

/// Moves a torn last line aside and tells what was mended.
fn mend(
    file: &File,
    paths: &Paths,
    extent: tail::Extent,
    covered: u64,
    position: Position,
) -> io::Result<Option<Map<String, Value>>> {
    let mut payload = Map::new();
    if extent.torn > 0 {
        payload = move_torn_aside(file, paths, extent)?;
    }
    if position.seq > covered {
        payload.insert("headSeq".into(), json!(covered));
        payload.insert("rolledForwardTo".into(), json!(position.seq));
    }
    Ok((!payload.is_empty()).then_some(payload))
}

/// Copies the bytes after the last newline to `<log>.torn-<time>`, durably, then cuts them off.
/// Gives what there is to report of it.
pub(super) fn move_torn_aside(
    file: &File,
    paths: &Paths,
    extent: tail::Extent,
) -> io::Result<Map<String, Value>> {
    let mut torn = vec![0; usize::try_from(extent.torn).unwrap_or_default()];
    file.read_exact_at(&mut torn, extent.complete)?;
    let stamp: String = timestamp::rfc3339(SystemTime::now())
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let mut name = paths.log.as_os_str().to_owned();
    name.push(format!(".torn-{stamp}-{}", std::process::id()));
    let aside = PathBuf::from(name);
    durable::create_new(&aside, 0o600, &torn)?;
    file.set_len(extent.complete)?;
    file.sync_all()?;
    let mut payload = Map::new();
    payload.insert("tornBytes".into(), json!(extent.torn));
    payload.insert("tornFile".into(), json!(aside.display().to_string()));
    Ok(payload)
}
