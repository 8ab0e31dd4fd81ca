//! The adapters that drive harnesses.

pub mod claude_code;
pub mod harness_process;
pub mod scripted;
