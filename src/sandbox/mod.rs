//! Where agp runs the calls that it executes itself.

pub mod attest;
pub mod exec;
pub mod planted;
pub mod process;
pub mod recording;
