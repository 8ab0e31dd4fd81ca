//! Approvals in Slack, against a double that is stricter than Slack.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod slack;
mod slack_cards;
mod slack_connection;
mod slack_doctor;
mod slack_harness;
mod slack_hostile;
mod slack_kill;
mod slack_outbox;
mod slack_relay;
mod slack_session;
