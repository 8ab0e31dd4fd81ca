//! For tests alone, behind a feature that no release is built with: something else happens on a
//! thread that has just entered its profile, as if it had been taken over there, or in the midst of
//! its work.

use nix::libc::{SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happens on the thread of a name.
type Deed = Box<dyn Fn(&str) + Send + Sync>;

/// What happens at a stage of something: a call, by its id, or an event, by its kind.
type Turn = Box<dyn Fn(&str, &str) + Send + Sync>;

static DEED: OnceLock<Deed> = OnceLock::new();
static TURN: OnceLock<Turn> = OnceLock::new();
static TRAP: AtomicBool = AtomicBool::new(false);

/// Has this done on every thread that enters its profile from now on.
pub fn on_each_thread(deed: impl Fn(&str) + Send + Sync + 'static) {
    // The first one stays.
    let _ = DEED.set(Box::new(deed));
}

/// Has this done on the worker of every call, once it is `asked` for and once it is `decided`, which is on
/// disk then and told to nobody; on the journal's thread with every event that it has `taken`, once its
/// lines are `written` and once they are `durable`, which is told to nobody then; and on its helper's
/// where it is `signing`.
pub fn on_each_stage(turn: impl Fn(&str, &str) + Send + Sync + 'static) {
    // The first one stays.
    let _ = TURN.set(Box::new(turn));
}

/// Has a call that kills raise `SIGSYS` first, for a handler that tells thread and call.
pub fn trap_first() {
    TRAP.store(true, Ordering::SeqCst);
}

/// Takes [`trap_first`] back.
pub fn trap_never() {
    TRAP.store(false, Ordering::SeqCst);
}

pub(super) fn reached(thread: &str) {
    if let Some(deed) = DEED.get() {
        deed(thread);
    }
}

pub(crate) fn amid(stage: &str, of: &str) {
    if let Some(turn) = TURN.get() {
        turn(stage, of);
    }
}

/// What a filter says of a call that must not be.
pub(super) fn deadly() -> u32 {
    if TRAP.load(Ordering::SeqCst) {
        SECCOMP_RET_TRAP
    } else {
        SECCOMP_RET_KILL_PROCESS
    }
}

/// Events that are written together, by their kinds.
pub(crate) struct Batch(Vec<&'static str>);

impl Batch {
    pub(crate) fn of(kinds: impl Iterator<Item = &'static str>) -> Self {
        Self(kinds.collect())
    }

    pub(crate) fn amid(&self, stage: &str) {
        for kind in &self.0 {
            amid(stage, kind);
        }
    }
}
