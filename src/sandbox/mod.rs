//! Where agp runs the calls that it executes itself, and the confinement of a harness.

pub mod attest;
pub mod docker;
pub mod egress;
pub mod exec;
pub mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod harness;
mod harness_look;
pub mod network;
pub mod planted;
pub mod process;
pub mod recording;
pub mod secrets;
mod work;
