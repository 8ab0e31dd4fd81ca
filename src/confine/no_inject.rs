//! What a release has in the place of `inject.rs`: nothing happens at any of its stages.

use nix::libc::SECCOMP_RET_KILL_PROCESS;

pub(super) fn reached(_thread: &str) {}

pub(crate) fn amid(_stage: &str, _of: &str) {}

pub(super) fn deadly() -> u32 {
    SECCOMP_RET_KILL_PROCESS
}

pub(crate) struct Batch;

impl Batch {
    pub(crate) fn of(_kinds: impl Iterator<Item = &'static str>) -> Self {
        Self
    }

    pub(crate) fn amid(&self, _stage: &str) {}
}
