//! What both harnesses are held to.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod confined_harness;
mod conformance;
mod egress_sessions;
mod gate_matrix;
mod homeless;
