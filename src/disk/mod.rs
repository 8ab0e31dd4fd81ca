//! The real file system, as far as reading a call asks about it: in this process ([`LocalDisk`]), or from a thread
//! that may do nothing else ([`PathsThread`]).

mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod git;
mod git_config;
mod thread;

pub use files::{Grounds, Looking, Looks};
pub use thread::{PathsThread, ThreadLooking};

use std::time::Instant;

use crate::contracts::limits;

/// The file system, looked at by this process itself.
#[derive(Debug, Clone)]
pub struct LocalDisk(Grounds);

impl LocalDisk {
    /// One that lists and looks up below these.
    #[must_use]
    pub fn new(grounds: Grounds) -> Self {
        Self(grounds)
    }

    /// For one call, with its own budget ([`limits::DISK_LOOKS`], [`limits::DISK_PATIENCE`]).
    #[must_use]
    pub fn looking(&self) -> Looking<'_> {
        Looking::until(&self.0, Instant::now() + limits::DISK_PATIENCE)
    }
}
