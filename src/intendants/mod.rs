//! The adapters that drive harnesses.

pub mod asking;
mod claude_calls;
pub mod claude_carrier;
pub mod claude_code;
mod claude_managed;
mod claude_program;
mod claude_settings;
pub mod claude_shell;
mod claude_stream;
pub mod codex;
mod codex_config;
mod codex_program;
mod codex_rollout;
mod codex_setup;
mod codex_stream;
pub mod environment;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod growing_files;
pub mod harness_process;
pub mod model_hosts;
pub mod own_git;
pub mod probe_model;
pub mod program;
pub mod question;
pub mod scripted;
mod stream_lines;
