//! seccomp: the system calls a process may make. A list of what is allowed; a call that is not on
//! it, one of another architecture or of the x32 interface too, does nothing.
//!
//! Two filters, of which the stricter counts. One knows numbers only, in ranges: the kernel
//! compiles a filter at every start of a confinement, and a comparison for each call was measured
//! to cost a millisecond. The other looks at the arguments of six calls.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::spec::Sockets;
use super::syscall_allowlist::{ALLOWED, ALLOWED_OLD};

/// Flags of `clone` and `unshare` that ask for a namespace.
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    // CLONE_NEWTIME, which libc does not name.
    0x80,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
/// Pushing keystrokes into a terminal, and selecting its text.
const TERMINAL_TRICKS: [u64; 2] = [0x5412, 0x541c];
/// What `personality` may be set to: Linux as it is, 32 bits, and asking.
const PERSONALITIES: [u64; 4] = [0, 8, 0x0002_0000, 0xffff_ffff];
/// Types of a socket that are not had: raw, reliable datagrams, DCCP, packet.
const SOCKET_TYPES: [u64; 4] = [3, 4, 6, 10];
/// The bits of a socket's type that say which.
const SOCKET_TYPE_MASK: u64 = 0xf;

/// Puts this process, and all it will start, under the filters.
///
/// # Errors
/// What building a filter or the kernel gives.
pub fn restrict(sockets: &Sockets) -> io::Result<()> {
    apply_filter(&arguments(sockets)?).map_err(io::Error::other)?;
    apply_filter(&numbers()).map_err(io::Error::other)
}

/// What is not allowed does not exist: programs then take another way, as they do on an older
/// kernel.
const ABSENT: u32 = libc::ENOSYS.unsigned_abs();

/// `AUDIT_ARCH_*` of linux/audit.h.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else {
    0xc000_00b7
};

/// Whether a call's number is one that is allowed. Classic BPF over `struct seccomp_data`: the
/// number at offset 0, the architecture at 4.
fn numbers() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const GREATER: u16 = 0x25;
    const AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let op = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let kill = op(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0);
    let absent = op(RETURN, libc::SECCOMP_RET_ERRNO | ABSENT, 0, 0);
    let allow = op(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    let mut program = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, ARCHITECTURE, 1, 0),
        kill,
        op(LOAD, 0, 0, 0),
    ];
    for (first, last) in ranges() {
        // Above the range: on to the next. Below it, it lies between two.
        program.push(op(GREATER, last, 3, 0));
        program.push(op(AT_LEAST, first, 0, 1));
        program.push(allow.clone());
        program.push(absent.clone());
    }
    program.push(absent);
    program
}

/// The allowed numbers as ranges, both ends included.
fn ranges() -> Vec<(u32, u32)> {
    let by_argument = [
        libc::SYS_clone,
        libc::SYS_unshare,
        libc::SYS_ioctl,
        libc::SYS_personality,
        libc::SYS_socket,
        libc::SYS_socketpair,
    ];
    let all = ALLOWED.iter().chain(ALLOWED_OLD).chain(&by_argument);
    let mut all: Vec<u32> = all.filter_map(|call| u32::try_from(*call).ok()).collect();
    all.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for call in all {
        match ranges.last_mut() {
            Some((_, last)) if call <= *last + 1 => *last = call,
            _ => ranges.push((call, call)),
        }
    }
    ranges
}

/// Which arguments of six calls make them absent.
fn arguments(sockets: &Sockets) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let namespaces = || -> io::Result<Vec<SeccompRule>> {
        let flags = NAMESPACES.map(|flag| u64::from(flag.unsigned_abs()));
        flags
            .into_iter()
            .map(|flag| all([masked(0, flag, flag)]))
            .collect()
    };
    rules.insert(libc::SYS_clone, namespaces()?);
    rules.insert(libc::SYS_unshare, namespaces()?);
    let tricks = TERMINAL_TRICKS.map(|request| all([dword(1, SeccompCmpOp::Eq, request)]));
    rules.insert(
        libc::SYS_ioctl,
        tricks.into_iter().collect::<io::Result<_>>()?,
    );
    let other = PERSONALITIES.map(|value| dword(0, SeccompCmpOp::Ne, value));
    rules.insert(libc::SYS_personality, vec![all(other)?]);
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    rules.insert(
        libc::SYS_socketpair,
        vec![all([dword(0, SeccompCmpOp::Ne, unix)])?],
    );
    let mut families = Vec::new();
    if sockets.inet {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    if sockets.unix {
        families.push(libc::AF_UNIX);
    }
    // Without a rule, any arguments match.
    let mut refused = Vec::new();
    if !families.is_empty() {
        let others = families
            .iter()
            .map(|family| dword(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())));
        refused.push(all(others)?);
        for kind in SOCKET_TYPES {
            refused.push(all([masked(1, SOCKET_TYPE_MASK, kind)])?);
        }
    }
    rules.insert(libc::SYS_socket, refused);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(ABSENT),
        arch,
    )
    .and_then(BpfProgram::try_from)
    .map_err(io::Error::other)
}

fn all(
    conditions: impl IntoIterator<Item = io::Result<SeccompCondition>>,
) -> io::Result<SeccompRule> {
    let conditions = conditions.into_iter().collect::<io::Result<Vec<_>>>()?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// The kernel takes these arguments for 32 bits, whatever stands above them.
fn dword(argument: u8, operation: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
        .map_err(io::Error::other)
}

fn masked(argument: u8, mask: u64, value: u64) -> io::Result<SeccompCondition> {
    dword(argument, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::syscall_allowlist::list;

    /// Kernel, mounts, other processes' memory and descriptors, keys, and what was the way out of a
    /// sandbox before.
    const REFUSED: &[i64] = list! {
        SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chroot SYS_clock_adjtime
        SYS_clock_settime SYS_delete_module SYS_fanotify_init SYS_fanotify_mark
        SYS_finit_module SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_init_module
        SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_kcmp
        SYS_kexec_file_load SYS_kexec_load SYS_keyctl SYS_lookup_dcookie SYS_memfd_secret
        SYS_migrate_pages SYS_mount SYS_mount_setattr SYS_move_mount SYS_move_pages
        SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_pidfd_getfd SYS_pivot_root
        SYS_process_madvise SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev
        SYS_ptrace SYS_quotactl SYS_quotactl_fd SYS_reboot SYS_request_key SYS_setdomainname
        SYS_sethostname SYS_setns SYS_settimeofday SYS_swapoff SYS_swapon SYS_syslog
        SYS_umount2 SYS_userfaultfd SYS_vhangup SYS_clone3
    };

    /// What the kernel's interpreter does with [`numbers`].
    fn verdict(arch: u32, number: u32) -> u32 {
        let program = numbers();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let op = &program[at];
            let jump = |holds: bool| usize::from(if holds { op.jt } else { op.jf });
            at += 1;
            match op.code {
                0x20 => loaded = if op.k == 0 { number } else { arch },
                0x15 => at += jump(loaded == op.k),
                0x25 => at += jump(loaded > op.k),
                0x35 => at += jump(loaded >= op.k),
                _ => return op.k,
            }
        }
    }

    #[test]
    fn exactly_the_listed_numbers_are_allowed() {
        let by_argument = [
            libc::SYS_clone,
            libc::SYS_unshare,
            libc::SYS_ioctl,
            libc::SYS_personality,
            libc::SYS_socket,
            libc::SYS_socketpair,
        ];
        let x32 = 0x4000_0000;
        for number in (0..1024).chain(x32..x32 + 1024).chain([u32::MAX]) {
            let call = i64::from(number);
            let listed = [ALLOWED, ALLOWED_OLD, &by_argument]
                .iter()
                .any(|list| list.contains(&call));
            let expected = if listed {
                libc::SECCOMP_RET_ALLOW
            } else {
                libc::SECCOMP_RET_ERRNO | ABSENT
            };
            assert_eq!(verdict(ARCHITECTURE, number), expected, "{number}");
            assert_eq!(verdict(0x4000_0003, number), libc::SECCOMP_RET_KILL_PROCESS);
        }
    }

    #[test]
    fn the_filter_of_arguments_builds_for_every_choice_of_sockets() {
        for (inet, unix) in [(false, false), (true, false), (false, true), (true, true)] {
            assert!(arguments(&Sockets { inet, unix }).is_ok());
        }
    }

    #[test]
    fn what_has_been_a_way_out_is_not_allowed() {
        for call in REFUSED {
            assert!(!ALLOWED.contains(call), "{call}");
        }
    }
}
