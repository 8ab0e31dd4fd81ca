//! Containers, on a Docker daemon of these tests' own; some with a harness inside.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod docker;
mod docker_harness;
mod docker_lies;
