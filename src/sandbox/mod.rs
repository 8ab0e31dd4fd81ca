//! Where agp runs the calls that it executes itself, and the confinement of a harness.

pub mod attestation;
mod call_command;
pub mod docker;
pub mod egress_self_test;
mod expectation;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod harness_attestation;
pub mod harness_host;
pub mod network;
pub mod process;
pub mod recording;
pub mod repo_triggers;
pub mod secrets;
