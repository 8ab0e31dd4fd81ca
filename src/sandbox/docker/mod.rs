//! The Docker sandbox: one hardened container a session, attested from inside before its first
//! call. The Engine API is spoken by hand over its Unix socket; no docker client, no child process.

pub mod attest;
pub mod container;
mod control;
pub mod engine;
pub mod exec;
pub mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod hardened;
pub mod http;
pub mod image;
mod life;
pub mod place;
pub mod prepare;
pub mod reap;
pub mod streams;
