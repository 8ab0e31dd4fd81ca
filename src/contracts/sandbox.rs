//! Where agp runs the calls that it executes itself.

use serde_json::Value;

use super::call::ToolCall;
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

/// A place to run calls in. `Permit` is the journal's proof that the call was allowed durably;
/// it is taken by value, so one permit runs one call, and nothing runs before the journal spoke.
pub trait Sandbox<Permit>: Send + Sync {
    /// The kind in events: `recording`, `process`, `docker`.
    fn kind(&self) -> &'static str;

    /// What is isolated and what is not, for `session.started`.
    fn describe(&self) -> Value;

    /// Runs one call.
    ///
    /// # Errors
    /// [`SandboxError`] when the sandbox itself failed; the session then ends.
    fn exec(&self, call: &ToolCall, permit: Permit) -> Result<Execution, SandboxError>;
}
