//! seccomp: the system calls a process may make. A list of what is allowed; a call that is not on
//! it, or one of the x32 interface, does nothing; one of another architecture kills.

use std::io;

use nix::libc;
use seccompiler::{BpfProgram, apply_filter};

use super::spec::Sockets;
use super::syscall_allowlist::{ALLOWED, ALLOWED_OLD};
use crate::confine::bpf::{ALL_BITS, BpfRule, Case, allow, only, program, refuse};

/// What is not allowed does not exist: programs then take another way, as they do on an older
/// kernel.
const ABSENT: i32 = libc::ENOSYS;
/// The flags of `clone` and `unshare` that ask for a namespace; libc does not name `CLONE_NEWTIME`.
const NAMESPACES: u32 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS
    | 0x80) as u32;
const NO_NAMESPACE: &[Case] = &[allow(&[only(0, NAMESPACES, &[0])])];
/// Not `TIOCSTI`, which pushes keystrokes into a terminal, nor `TIOCLINUX`, which selects its text.
const REQUESTS: &[Case] = &[
    refuse(&[only(1, ALL_BITS, &[0x5412, 0x541c])], ABSENT),
    allow(&[]),
];
/// What `personality` may be set to: Linux as it is, 32 bits, and asking.
const PERSONALITIES: &[Case] = &[allow(&[only(0, ALL_BITS, &[0, 8, 0x0002_0000, ALL_BITS])])];
const UNIX: u32 = libc::AF_UNIX as u32;
const INET: [u32; 2] = [libc::AF_INET as u32, libc::AF_INET6 as u32];
const PAIRS: &[Case] = &[allow(&[only(0, ALL_BITS, &[UNIX])])];
/// Types of a socket that are not had: raw, reliable datagrams, DCCP, packet.
const BAD_TYPES: Case = refuse(&[only(1, 0xf, &[3, 4, 6, 10])], ABSENT);
const NO_SOCKETS: &[Case] = &[refuse(&[], ABSENT)];
const INET_SOCKETS: &[Case] = &[BAD_TYPES, allow(&[only(0, ALL_BITS, &INET)])];
const UNIX_SOCKETS: &[Case] = &[BAD_TYPES, allow(&[only(0, ALL_BITS, &[UNIX])])];
const BOTH_SOCKETS: &[Case] = &[
    BAD_TYPES,
    allow(&[only(0, ALL_BITS, &[INET[0], INET[1], UNIX])]),
];

/// Puts this process, and all it will start, under the filter.
///
/// # Errors
/// What the kernel gives.
pub fn restrict(sockets: &Sockets) -> io::Result<()> {
    apply_filter(&filter(sockets)).map_err(io::Error::other)
}

fn filter(sockets: &Sockets) -> BpfProgram {
    let families = match (sockets.inet, sockets.unix) {
        (false, false) => NO_SOCKETS,
        (true, false) => INET_SOCKETS,
        (false, true) => UNIX_SOCKETS,
        (true, true) => BOTH_SOCKETS,
    };
    let by_argument = [
        (libc::SYS_clone, NO_NAMESPACE),
        (libc::SYS_unshare, NO_NAMESPACE),
        (libc::SYS_ioctl, REQUESTS),
        (libc::SYS_personality, PERSONALITIES),
        (libc::SYS_socket, families),
        (libc::SYS_socketpair, PAIRS),
    ];
    let listed = ALLOWED.iter().chain(ALLOWED_OLD);
    let rules: Vec<BpfRule> = listed
        .map(|call| BpfRule::of(*call, &[]))
        .chain(by_argument.map(|(call, cases)| BpfRule::of(call, cases)))
        .collect();
    let absent = libc::SECCOMP_RET_ERRNO | ABSENT.unsigned_abs();
    program(&rules.iter().collect::<Vec<_>>(), absent, absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confine::bpf::ARCHITECTURE;
    use crate::confine::bpf::tests::verdict;
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

    const MADE: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSAL: u32 = libc::SECCOMP_RET_ERRNO | ABSENT.unsigned_abs();
    fn comes(sockets: &Sockets, call: i64, arguments: [u64; 2]) -> u32 {
        let [a, b] = arguments;
        let number = u32::try_from(call).unwrap();
        verdict(&filter(sockets), ARCHITECTURE, number, [a, b, 0, 0, 0, 0])
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
        let program = filter(&Sockets::default());
        let x32 = 0x4000_0000;
        for number in (0..1024).chain(x32..x32 + 1024).chain([u32::MAX - 1]) {
            let call = i64::from(number);
            if by_argument.contains(&call) {
                continue;
            }
            let listed = [ALLOWED, ALLOWED_OLD]
                .iter()
                .any(|list| list.contains(&call));
            let expected = if listed { MADE } else { REFUSAL };
            let got = verdict(&program, ARCHITECTURE, number, [0; 6]);
            assert_eq!(got, expected, "{number}");
            let foreign = verdict(&program, 0x4000_0003, number, [0; 6]);
            assert_eq!(foreign, libc::SECCOMP_RET_KILL_PROCESS);
        }
    }

    #[test]
    fn six_calls_hang_on_their_arguments() {
        let none = Sockets::default();
        let thread = 0x003d_0f00;
        for (call, arguments, expected) in [
            (libc::SYS_clone, [thread, 0], MADE),
            (libc::SYS_clone, [17, 0], MADE),
            (libc::SYS_unshare, [0x400, 0], MADE),
            (libc::SYS_ioctl, [0, 0x5401], MADE),
            (libc::SYS_ioctl, [0, 0x5412], REFUSAL),
            (libc::SYS_ioctl, [0, 0x541c], REFUSAL),
            // The kernel takes the request for 32 bits.
            (libc::SYS_ioctl, [0, 0x1_0000_5412], REFUSAL),
            (libc::SYS_personality, [0, 0], MADE),
            (libc::SYS_personality, [8, 0], MADE),
            (libc::SYS_personality, [0x0002_0000, 0], MADE),
            (libc::SYS_personality, [0xffff_ffff, 0], MADE),
            (libc::SYS_personality, [0x0040_0000, 0], REFUSAL),
            (libc::SYS_socketpair, [1, 1], MADE),
            (libc::SYS_socketpair, [16, 3], REFUSAL),
            (libc::SYS_socketpair, [0x1_0000_0010, 3], REFUSAL),
        ] {
            assert_eq!(
                comes(&none, call, arguments),
                expected,
                "{call} {arguments:x?}"
            );
        }
        for flag in [
            0x80,
            1 << 17,
            1 << 25,
            1 << 26,
            1 << 27,
            1 << 28,
            1 << 29,
            1 << 30,
        ] {
            for call in [libc::SYS_clone, libc::SYS_unshare] {
                assert_eq!(comes(&none, call, [flag | 17, 0]), REFUSAL, "{flag:x}");
            }
        }
    }

    #[test]
    fn sockets_are_of_the_families_that_were_asked_for_and_of_no_raw_type() {
        for (inet, unix) in [(false, false), (true, false), (false, true), (true, true)] {
            let sockets = Sockets { inet, unix };
            for family in [0, 1, 2, 10, 16, 17, 38, 40, 0x1_0000_0010] {
                for kind in [1, 2, 3, 4, 5, 6, 10, 0x80001, 0x80003, 0x1_0000_0003] {
                    let had = match family {
                        1 => unix,
                        2 | 10 => inet,
                        _ => false,
                    };
                    let expected = if had && [1, 2, 5].contains(&(kind & 0xf)) {
                        MADE
                    } else {
                        REFUSAL
                    };
                    let got = comes(&sockets, libc::SYS_socket, [family, kind]);
                    assert_eq!(got, expected, "{inet} {unix}: {family:x} {kind:x}");
                }
            }
        }
    }

    #[test]
    fn what_has_been_a_way_out_is_not_allowed() {
        for call in REFUSED {
            assert!(!ALLOWED.contains(call), "{call}");
        }
    }
}
