//! For tests alone, behind a feature that no release is built with: something else happens on a
//! thread that has just entered its profile, as if it had been taken over there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happens on the thread of a name.
type Deed = Box<dyn Fn(&str) + Send + Sync>;

static DEED: OnceLock<Deed> = OnceLock::new();
static TRAP: AtomicBool = AtomicBool::new(false);

/// Has this done on every thread that enters its profile from now on.
pub fn on_each_thread(deed: impl Fn(&str) + Send + Sync + 'static) {
    // The first one stays.
    let _ = DEED.set(Box::new(deed));
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

pub(super) fn instead_of(otherwise: u32) -> u32 {
    use nix::libc::{SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP};
    if TRAP.load(Ordering::SeqCst) && otherwise == SECCOMP_RET_KILL_PROCESS {
        SECCOMP_RET_TRAP
    } else {
        otherwise
    }
}
