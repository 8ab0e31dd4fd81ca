//! What needs nothing: no harness, no root, no daemon. `cargo test --lib --test fast` while you work.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod call_view;
mod claims;
mod cli;
mod cli_policy;
mod cli_policy_schema;
mod cli_told;
mod demo;
mod dependencies;
mod disk;
mod egress;
mod gateway;
mod governor;
mod grants;
mod journal_power;
mod journal_verify;
mod journal_writer;
mod judging;
mod mcp;
mod mediation;
mod model_double;
mod mutations;
mod policy_choice;
mod policy_corpus;
mod policy_docs;
mod python_verifier;
mod responses_double;
mod screens;
mod slack_double;
mod started_programs;
mod tidy;
mod words;
