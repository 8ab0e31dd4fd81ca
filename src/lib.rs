//! agp: a governor between a coding agent and the world.
//!
//! Modules in reading order. `contracts` is what all agree on; `governor::mediate` is the main path.
//! Without the feature `agp` only what a verifier needs is built.

pub mod contracts;

#[cfg(feature = "agp")]
pub mod governor;
#[cfg(feature = "agp")]
pub mod policy;
#[cfg(feature = "agp")]
pub mod reading;
#[cfg(feature = "agp")]
pub mod shell;

pub mod journal;

#[cfg(feature = "agp")]
pub mod channels;
#[cfg(feature = "agp")]
pub mod confine;
#[cfg(feature = "agp")]
pub mod disk;
#[cfg(feature = "agp")]
pub mod egress;
#[cfg(feature = "agp")]
pub mod gateway;
#[cfg(feature = "agp")]
pub mod hook;
#[cfg(feature = "agp")]
pub mod intendants;
#[cfg(feature = "agp")]
pub mod jail;
#[cfg(feature = "agp")]
pub mod sandbox;
#[cfg(feature = "agp")]
pub mod tools;
#[cfg(feature = "agp")]
pub mod tunnel;
#[cfg(feature = "agp")]
pub mod view;

#[cfg(feature = "agp")]
pub mod session;

pub mod cli;
pub mod report;

/// What must hold whatever bytes come: for `fuzz/`, and for the test that replays its seeds.
#[cfg(all(feature = "agp", any(test, fuzzing)))]
pub mod fuzz;
