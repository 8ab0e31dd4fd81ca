//! The adapters that drive harnesses.

pub mod claude_code;
mod claude_stream;
pub mod environment;
pub mod harness_process;
pub mod probe_model;
pub mod program;
pub mod scripted;
