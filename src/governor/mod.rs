//! The governor: what a session decides and records. It names no harness, channel or sandbox.

mod call_ledger;
mod call_outline;
mod call_view;
mod events;
mod gate;
mod governed_session;
mod grants;
mod judging;
pub mod mediate;
mod questions;
mod sandbox;
mod witness;

pub use call_ledger::Census;
pub use governed_session::{Broken, Governor, GovernorConfig, Notice};
pub use judging::ReadingTerms;
pub use mediate::{CallOutcome, Effect, mediate};
pub use questions::Questions;
pub use sandbox::Sandbox;
pub use witness::AccountError;
