//! Sessions of the real Codex.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod codex;
mod codex_measured;
mod mediated_codex;
