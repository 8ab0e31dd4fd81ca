//! The recording sandbox: runs nothing, answers exit code 0. For rehearsing a policy.

use serde_json::{Value, json};

use crate::contracts::ids::Sha256;
use crate::contracts::sandbox::{Execution, SandboxError};
use crate::governor::Sandbox;
use crate::journal::Permit;

/// Runs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recording;

impl Sandbox for Recording {
    fn kind(&self) -> &'static str {
        "recording"
    }

    fn describe(&self) -> Value {
        json!({
            "kind": "recording",
            "isolated": ["everything: no call is run"],
            "notIsolated": [],
            "vmGrade": false,
        })
    }

    fn exec(&self, permit: Permit) -> Result<Execution, SandboxError> {
        drop(permit);
        Ok(Execution {
            exit_code: Some(0),
            output: String::new(),
            answer: "(recorded, not run)".into(),
            output_sha256: Sha256::OF_NOTHING,
            output_bytes: 0,
            signal: None,
            notes: Vec::new(),
            secrets: Vec::new(),
        })
    }
}
