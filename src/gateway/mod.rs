//! The gateway: how a process inside the session reaches the governor, over one Unix socket.
//!
//! One connection carries one question and its answer. Whatever is malformed, oversized, late,
//! replayed or from somebody else ends in an error and a dropped link, never in an allow.

pub mod answer;
pub mod answer_signature;
pub mod client;
pub mod client_file;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate_error;
pub mod server;
mod worker_pool;

pub use gate_error::GateError;
