//! The life of an event: canonical form, signature, durable line, head, recovery, verification.
//!
//! The format is `docs/journal-format.md`. The verifier's half builds without the `agp` feature.

mod canonical_json;
mod canonical_line;
#[cfg(feature = "agp")]
pub(crate) mod durable;
#[cfg(feature = "agp")]
mod envelope;
#[cfg(all(feature = "agp", any(test, fuzzing)))]
pub(crate) mod fuzz;
#[cfg(feature = "agp")]
mod handle;
mod head;
pub mod key;
mod line;
#[cfg(feature = "agp")]
mod receipt;
#[cfg(feature = "agp")]
mod recover;
#[cfg(feature = "agp")]
pub mod redact;
#[cfg(feature = "agp")]
mod signer;
#[cfg(feature = "agp")]
mod store;
#[cfg(feature = "agp")]
mod tail;
pub mod verify;
#[cfg(feature = "agp")]
mod wal;
#[cfg(feature = "agp")]
mod wal_replay;
#[cfg(feature = "agp")]
mod write_error;
#[cfg(feature = "agp")]
mod writer;

pub use canonical_json::{args_sha256, canonical};
#[cfg(feature = "agp")]
pub use handle::{AppendError, Handle};
pub use head::Head;
pub use line::{Code, Entry, Flaw};
#[cfg(feature = "agp")]
pub use receipt::{Permit, Receipt};
#[cfg(feature = "agp")]
pub use recover::OpenError;
#[cfg(feature = "agp")]
pub use tail::last_event;
#[cfg(feature = "agp")]
pub use writer::{Journal, OpenedJournal};

use std::path::{Path, PathBuf};

/// Where a journal lives: the log and, beside it, its head and its write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The JSON lines.
    pub log: PathBuf,
    /// The signed checkpoint of the log's tail.
    pub head: PathBuf,
    /// The newest lines once more, for the writer alone: see `wal`.
    pub wal: PathBuf,
}

impl Paths {
    /// The log as given, the others as the same name with `.head` and `.wal` appended.
    #[must_use]
    pub fn of(log: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = log.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self {
            log: log.to_owned(),
            head: beside(".head"),
            wal: beside(".wal"),
        }
    }
}
