//! seccomp for what a harness's commands start: no real-time signal is sent. Claude Code takes a hook that one
//! of these has ended for a hook that has nothing to say (measured on 2.1.330 and 2.1.332), where any other
//! signal blocks the call. Every other signal stays, so that a command can end what an earlier one has left.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// The first real-time signal (signal(7): the C library keeps 32 and 33 for itself).
const REAL_TIME: u64 = 32;
/// By thread, the C library sends its own first one to cancel a thread. It ends no hook (measured).
const BY_THREAD: u64 = REAL_TIME + 1;
/// The calls that send a signal by number, and which argument that is.
const SENDS: [(i64, u8, u64); 6] = [
    (libc::SYS_kill, 1, REAL_TIME),
    (libc::SYS_tkill, 1, BY_THREAD),
    (libc::SYS_tgkill, 2, BY_THREAD),
    (libc::SYS_rt_sigqueueinfo, 1, REAL_TIME),
    (libc::SYS_rt_tgsigqueueinfo, 2, REAL_TIME),
    (libc::SYS_pidfd_send_signal, 1, REAL_TIME),
];
/// `F_SETSIG` (fcntl(2)): which signal a descriptor sends to its owner, who may be any process.
const F_SETSIG: u64 = 10;

/// Takes the sending of real-time signals from this process, and from all that it will start.
///
/// # Errors
/// What the kernel gives.
pub fn enter() -> io::Result<()> {
    apply_filter(&filter()?).map_err(io::Error::other)
}

fn filter() -> io::Result<BpfProgram> {
    let at_least = |argument, least| {
        let (width, compare) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Ge);
        SeccompCondition::new(argument, width, compare, least)
    };
    let mut rules = BTreeMap::new();
    for (call, argument, least) in SENDS {
        let rule = at_least(argument, least).and_then(|at_least| SeccompRule::new(vec![at_least]));
        rules.insert(call, vec![rule.map_err(io::Error::other)?]);
    }
    let sets = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, F_SETSIG);
    let sets = sets.and_then(|sets| SeccompRule::new(vec![sets, at_least(2, REAL_TIME)?]));
    rules.insert(libc::SYS_fcntl, vec![sets.map_err(io::Error::other)?]);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let here = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, here);
    filter
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}
