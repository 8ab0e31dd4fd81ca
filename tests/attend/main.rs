//! Approvals at another terminal: the session's socket, what it takes for an answer, and `agp attend`.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod reach;
mod slack;
mod terminal;
