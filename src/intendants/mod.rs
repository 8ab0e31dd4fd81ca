//! The adapters that drive harnesses.

pub mod claude_code;
pub mod codex;
pub mod confined_query;
pub mod environment;
pub mod executable;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod gate_client;
pub mod harness_git;
mod json_lines;
pub mod model_hosts;
pub mod probe_model_server;
pub mod process;
pub mod scripted;
