//! seccomp: the system calls a process may make. A list of what is allowed; a call that is not on
//! it, one of another architecture or of the x32 interface too, does nothing.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::spec::Sockets;
use super::syscall_table::{ALLOWED, ALLOWED_OLD};

/// Flags of `clone` and `unshare` that ask for a namespace.
const NAMESPACES: u64 = 0x7e02_0080;
/// Pushing keystrokes into a terminal, and selecting its text.
const TERMINAL_TRICKS: [u64; 2] = [0x5412, 0x541c];
/// What `personality` may be set to: Linux as it is, 32 bits, and asking.
const PERSONALITIES: [u64; 4] = [0, 8, 0x0002_0000, 0xffff_ffff];
/// Types of a socket; raw ones are not among them.
const SOCKET_TYPES: [libc::c_int; 3] = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET];
/// The bits of a socket's type that say which.
const SOCKET_TYPE_MASK: u64 = 0xf;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts this process, and all it will start, under the filter.
///
/// # Errors
/// What building the filter or the kernel gives.
pub fn restrict(sockets: &Sockets) -> io::Result<()> {
    apply_filter(&program(sockets)?).map_err(io::Error::other)
}

/// What is not allowed does not exist (`ENOSYS`): programs then take another way, as they do on an
/// older kernel. One filter: each costs at every start.
fn program(sockets: &Sockets) -> io::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(allowed(sockets)?, absent, SeccompAction::Allow, arch)
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}

fn allowed(sockets: &Sockets) -> io::Result<Rules> {
    let always = ALLOWED.iter().chain(ALLOWED_OLD);
    let mut rules: Rules = always.map(|call| (*call, Vec::new())).collect();
    let mut only = |call, alternatives| rules.insert(call, alternatives);
    let no_namespace = || all(vec![masked(0, NAMESPACES, 0)?]);
    only(libc::SYS_clone, vec![no_namespace()?]);
    only(libc::SYS_unshare, vec![no_namespace()?]);
    let tricks = TERMINAL_TRICKS.map(|request| dword(1, SeccompCmpOp::Ne, request));
    only(
        libc::SYS_ioctl,
        vec![all(tricks.into_iter().collect::<io::Result<_>>()?)?],
    );
    let personalities = PERSONALITIES.map(|value| all(vec![dword(0, SeccompCmpOp::Eq, value)?]));
    only(
        libc::SYS_personality,
        personalities.into_iter().collect::<io::Result<_>>()?,
    );
    only(libc::SYS_socketpair, vec![family(libc::AF_UNIX)?]);
    let mut families = Vec::new();
    if sockets.inet {
        for domain in [libc::AF_INET, libc::AF_INET6] {
            for kind in SOCKET_TYPES {
                let kind = masked(1, SOCKET_TYPE_MASK, unsigned(kind))?;
                families.push(all(vec![
                    dword(0, SeccompCmpOp::Eq, unsigned(domain))?,
                    kind,
                ])?);
            }
        }
    }
    if sockets.unix {
        families.push(family(libc::AF_UNIX)?);
    }
    if !families.is_empty() {
        only(libc::SYS_socket, families);
    }
    Ok(rules)
}

fn family(domain: libc::c_int) -> io::Result<SeccompRule> {
    all(vec![dword(0, SeccompCmpOp::Eq, unsigned(domain))?])
}

fn all(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
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

fn unsigned(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::super::syscall_table::list;
    use super::*;

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
        SYS_umount2 SYS_userfaultfd SYS_vhangup SYS_clone3 SYS_socket
    };

    #[test]
    fn the_filter_builds_for_every_choice_of_sockets() {
        for (inet, unix) in [(false, false), (true, false), (false, true), (true, true)] {
            assert!(program(&Sockets { inet, unix }).is_ok());
        }
    }

    #[test]
    fn what_has_been_a_way_out_is_not_allowed() {
        let allowed = allowed(&Sockets::default()).unwrap();
        for call in REFUSED {
            assert!(!allowed.contains_key(call), "{call}");
        }
    }
}
