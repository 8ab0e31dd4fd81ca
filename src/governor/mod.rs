//! The governor: what a session decides and records. It names no harness, channel or sandbox.

mod events;
mod gate;
mod ledger;
pub mod mediate;
mod outline;
mod sandbox;
mod session;
mod witness;

pub use ledger::Census;
pub use mediate::{Effect, Outcome, mediate};
pub use sandbox::Sandbox;
pub use session::{Broken, Governor, Notice, Terms};
