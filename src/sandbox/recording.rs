//! The recording sandbox: runs nothing, answers exit code 0. For rehearsing a policy.

use serde_json::{Value, json};

use crate::contracts::call::ToolCall;
use crate::contracts::ids::Sha256;
use crate::contracts::sandbox::{Execution, Sandbox, SandboxError};

/// SHA-256 of no bytes.
const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Runs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recording;

impl<Permit> Sandbox<Permit> for Recording {
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

    fn exec(&self, _call: &ToolCall, permit: Permit) -> Result<Execution, SandboxError> {
        drop(permit);
        Ok(Execution {
            exit_code: Some(0),
            output: String::new(),
            answer: "(recorded; nothing is run here)".into(),
            output_sha256: Sha256(EMPTY_SHA256),
            output_bytes: 0,
            signal: None,
            notes: Vec::new(),
        })
    }
}
