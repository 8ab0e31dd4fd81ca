//! What executing a call comes to. The trait itself is `governor::Sandbox`: it names the journal's permit.

use super::ids::Sha256;

/// What executing one call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The exit code, or `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed, cut to the sandbox's bound.
    pub output: String,
    /// What the model is told: the output, and how it ended where that is not well.
    pub answer: String,
    /// Digest of the whole output.
    pub output_sha256: Sha256,
    /// Bytes of the whole output.
    pub output_bytes: u64,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What else is to be said of it: why the sandbox ended it, what it was found to have done.
    pub notes: Vec<String>,
    /// Names of the secrets it was given.
    pub secrets: Vec<String>,
}

impl Execution {
    /// One of which nobody knows how it ended: its sandbox failed.
    #[must_use]
    pub fn unknown(why: String) -> Self {
        Self {
            exit_code: None,
            output: String::new(),
            answer: why.clone(),
            output_sha256: Sha256::OF_NOTHING,
            output_bytes: 0,
            signal: None,
            notes: vec![why, "what it did until then is not known".into()],
            secrets: Vec::new(),
        }
    }
}

/// Why a sandbox could not execute: the sandbox's own failure, never the command's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxError(pub String);
