//! The life of an event: canonical form, signature, durable line, head, recovery, verification.
//!
//! The format is `docs/journal-format.md`. The verifier's half builds without the `agp` feature.

mod canonical_line;
#[cfg(feature = "agp")]
pub(crate) mod durable;
mod entry;
#[cfg(feature = "agp")]
mod envelope;
#[cfg(feature = "agp")]
mod handle;
mod head;
mod jcs;
pub mod key;
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
mod writer;

pub use entry::{Code, Entry, Flaw};
#[cfg(feature = "agp")]
pub use handle::{AppendError, Handle};
pub use head::Head;
pub use jcs::{args_sha256, canonical, sha256};
#[cfg(feature = "agp")]
pub use receipt::{Permit, Receipt};
#[cfg(feature = "agp")]
pub use recover::OpenError;
#[cfg(feature = "agp")]
pub use tail::last_line;
#[cfg(feature = "agp")]
pub use writer::{Journal, Opened};

use std::path::{Path, PathBuf};

/// Where a journal lives: the log and, beside it, its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The JSON lines.
    pub log: PathBuf,
    /// The signed checkpoint of the log's tail.
    pub head: PathBuf,
}

impl Paths {
    /// The log as given, the head as the same name with `.head` appended.
    #[must_use]
    pub fn of(log: &Path) -> Self {
        let mut head = log.as_os_str().to_owned();
        head.push(".head");
        Self {
            log: log.to_owned(),
            head: PathBuf::from(head),
        }
    }
}
