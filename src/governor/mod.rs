//! The governor: what a session decides and records. It names no harness, channel or sandbox.

mod events;
pub mod mediate;
pub mod session;

pub use mediate::{Effect, Outcome, mediate};
pub use session::{Broken, Census, Governor, Notice, Terms};
