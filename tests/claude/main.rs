//! Sessions of the real Claude Code.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod claude_code;
mod claude_login;
mod gate_replaced;
mod gateway_live;
mod harness_sockets;
mod journal_lost;
mod kept_apart;
mod mediated;
mod secrets;
mod witness;
