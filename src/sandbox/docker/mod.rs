//! The Docker sandbox: one hardened container a session, attested from inside before its first
//! call. The Engine API is spoken by hand over its Unix socket; no docker client, no child process.

pub mod attestation;
pub mod container;
mod control_socket;
pub mod engine;
pub mod error;
pub mod exec;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod harness_exec;
pub mod host_config;
pub mod http;
pub mod image;
pub(crate) mod mount_error;
pub mod prepare;
pub mod reap;
pub mod stdcopy;
mod watcher;
