//! agp: a governor between a coding agent and the world.
//!
//! Modules in reading order. `contracts` is what all agree on; `governor::mediate` is the main path.

pub mod cli;
pub mod contracts;
pub mod journal;
