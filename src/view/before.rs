//! Files as they are before a call changes them.

use crate::contracts::ids::Sha256;

/// Whoever can read a file for an approver.
pub trait Preview: Send + Sync {
    /// The file at this path, which is absolute and has no links in it, as the session's tools see it. Answers in time.
    fn before(&self, path: &str) -> Before;
}

/// A file before a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Its text.
    Text {
        /// All of it.
        text: String,
        /// Digest of its bytes.
        sha256: Sha256,
    },
    /// Nothing is there.
    Nothing,
    /// It is not shown.
    Hidden {
        /// Why, in agp's words, as in "the file is not shown: it is longer than 1 MiB".
        why: String,
        /// Digest of its bytes, where they were read.
        sha256: Option<Sha256>,
    },
}

impl Before {
    /// Not shown, and not read.
    #[must_use]
    pub fn hidden(why: impl Into<String>) -> Self {
        Self::Hidden {
            why: why.into(),
            sha256: None,
        }
    }

    /// Digest of its bytes, where they were read.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::Text { sha256, .. } => Some(*sha256),
            Self::Hidden { sha256, .. } => *sha256,
            Self::Nothing => None,
        }
    }
}

/// A file that a call changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// As the call names it, from its directory.
    pub path: String,
    /// As it is.
    pub before: Before,
}

impl ChangedFile {
    /// Whether it is still the same file, as far as that was seen.
    #[must_use]
    pub fn is_still(&self, other: &Self) -> bool {
        let there = |file: &Self| file.before != Before::Nothing;
        self.path == other.path
            && there(self) == there(other)
            && self.before.sha256() == other.before.sha256()
    }
}

/// Where nobody reads files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPreview;

impl Preview for NoPreview {
    fn before(&self, _: &str) -> Before {
        Before::hidden("this session reads no files")
    }
}
