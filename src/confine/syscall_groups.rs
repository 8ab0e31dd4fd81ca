//! Groups of system calls that threads of the governor need, each call with its reason.

use nix::libc;

use super::bpf::{ALL_BITS, BpfRule, Case, allow, only, refuse};

macro_rules! rules {
    ($($constant:ident $(if $cases:ident)? : $why:literal),* $(,)?) => {
        &[$(BpfRule {
            call: libc::$constant,
            constant: stringify!($constant),
            cases: rules!(@cases $($cases)?),
            why: $why,
        }),*]
    };
    (@cases) => { &[] };
    (@cases $cases:ident) => { $cases };
}

/// `PROT_EXEC` is not among the protections.
const NOT_EXECUTABLE: &[Case] = &[allow(&[only(2, 4, &[0])])];
/// The flags with which glibc starts a thread of the same process, and no others.
const A_THREAD: &[Case] = &[allow(&[only(0, ALL_BITS, &[0x003d_0f00])])];
/// It cannot be looked into; without it glibc takes `clone`.
const ABSENT: &[Case] = &[refuse(&[], libc::ENOSYS)];
/// `O_ACCMODE`, `O_CREAT`, `O_TRUNC`, `O_APPEND`, and what makes `O_TMPFILE` of `O_DIRECTORY`.
const CHANGES: u32 = 0x40_0643;
/// Opening to read fails; opening to write is none of these cases.
const NO_OPEN: &[Case] = &[refuse(&[only(2, CHANGES, &[0])], libc::EACCES)];
/// Opening to read is for Landlock to decide.
const OPEN_TO_READ: &[Case] = &[allow(&[only(2, CHANGES, &[0])])];
/// `F_DUPFD_CLOEXEC`, `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`.
const DESCRIPTORS: &[Case] = &[allow(&[only(1, ALL_BITS, &[1030, 1, 2, 3, 4])])];
/// `TCGETS` and `TIOCGWINSZ` of a terminal, `FIONBIO`, `FIONREAD` and `FIOCLEX`; never `TIOCSTI`.
const REQUESTS: &[Case] = &[allow(&[only(
    1,
    ALL_BITS,
    &[0x5401, 0x5413, 0x5421, 0x541b, 0x5451],
)])];
/// `TCGETS`, `TCFLSH` and `TIOCGWINSZ`; never `TIOCSTI`.
const TERMINAL_REQUESTS: &[Case] = &[allow(&[only(1, ALL_BITS, &[0x5401, 0x540b, 0x5413])])];
/// `PR_SET_NAME` and `PR_SET_NO_NEW_PRIVS`.
const NEW_THREAD: &[Case] = &[allow(&[only(0, ALL_BITS, &[15, 38])])];
/// `SECCOMP_SET_MODE_FILTER` without flags: for the calling thread, and only narrower.
const NARROWER: &[Case] = &[allow(&[only(0, ALL_BITS, &[1]), only(1, ALL_BITS, &[0])])];
/// `SOCK_STREAM` and `SOCK_DGRAM` of IPv4 and IPv6; the kernel's own list of addresses; and no
/// Unix socket, which glibc tries for a name cache before it does without.
const INET: &[Case] = &[
    allow(&[
        only(0, ALL_BITS, &[libc::AF_INET as u32, libc::AF_INET6 as u32]),
        only(1, 0xf, &[1, 2]),
    ]),
    allow(&[
        only(0, ALL_BITS, &[libc::AF_NETLINK as u32]),
        only(2, ALL_BITS, &[0]),
    ]),
    refuse(&[only(0, ALL_BITS, &[libc::AF_UNIX as u32])], libc::EACCES),
];
/// A stream of the family `AF_UNIX`.
const UNIX: &[Case] = &[allow(&[
    only(0, ALL_BITS, &[libc::AF_UNIX as u32]),
    only(1, 0xf, &[1]),
])];
/// `MSG_CMSG_CLOEXEC` and no other: what comes over is in no program that is started.
const NOT_INHERITED: &[Case] = &[allow(&[only(2, ALL_BITS, &[0x4000_0000])])];

/// What every thread needs.
pub(super) const EVERY: &[BpfRule] = rules! {
    SYS_read: "from what it was handed",
    SYS_write: "to what it was handed; standard error",
    SYS_readv: "as read",
    SYS_writev: "as write",
    SYS_close: "what it is done with",
    SYS_fcntl if DESCRIPTORS: "a second handle; a debug build asks before it closes",
    SYS_futex: "locks and channels",
    SYS_brk: "memory",
    SYS_mmap if NOT_EXECUTABLE: "memory, never executable",
    SYS_mprotect if NOT_EXECUTABLE: "memory, never executable",
    SYS_mremap: "memory",
    SYS_munmap: "memory",
    SYS_madvise: "memory given back",
    SYS_rt_sigprocmask: "around the end of a thread",
    SYS_rt_sigreturn: "behind a signal's handler",
    SYS_sigaltstack: "the stack that an overflow is reported from",
    SYS_set_robust_list: "begin of a thread",
    SYS_rseq: "begin of a thread",
    SYS_sched_getaffinity: "glibc: size of a thread's stack, number of its heaps",
    SYS_gettid: "names a thread",
    SYS_getpid: "names of temporary files",
    SYS_clock_gettime: "the time, where the vDSO has none",
    SYS_clock_nanosleep: "waits",
    SYS_nanosleep: "waits",
    SYS_sched_yield: "waits for a lock",
    SYS_restart_syscall: "a wait goes on behind a stop",
    SYS_getrandom: "nonces, keys of hash tables",
    SYS_exit: "end of the thread",
    SYS_exit_group: "end of the process",
};

/// For those that open nothing.
pub(super) const NO_FILES: &[BpfRule] = rules! {
    SYS_openat if NO_OPEN: "glibc's heap asks for vm.overcommit_memory and does without",
};

/// For those that read files, within their Landlock rules.
pub(super) const READING: &[BpfRule] = rules! {
    SYS_openat if OPEN_TO_READ: "files to read; which ones is Landlock's",
    SYS_lseek: "reads from a place",
    SYS_getdents64: "names in a directory",
};

/// For one that opens files beneath a directory that it was handed, and follows no link.
pub(super) const BENEATH: &[BpfRule] = rules! {
    SYS_openat2: "files beneath the repository; cannot be looked into: what for is Landlock's",
};

/// For those that write files, within their Landlock rules.
pub(super) const WRITING: &[BpfRule] = rules! {
    SYS_openat: "files to read and write; which ones is Landlock's",
    SYS_lseek: "reads from a place",
    SYS_pread64: "the journal's tail",
    SYS_pwrite64: "the head, in place",
    SYS_fdatasync: "durable before visible",
    SYS_fsync: "names that are durable",
    SYS_ftruncate: "a torn line, once it is kept aside",
    SYS_fallocate: "room for what is to be written",
    SYS_statfs: "whether the disk has room",
    SYS_fstatfs: "as statfs",
    SYS_flock: "one writer at a time",
    SYS_renameat: "a file is replaced whole",
    SYS_renameat2: "a file is replaced whole",
    SYS_unlinkat: "what a crash has left",
    SYS_fchmod: "a file of one's own stays private",
};

/// The same by their older names.
#[cfg(target_arch = "x86_64")]
pub(super) const WRITING_OLD: &[BpfRule] = rules! {
    SYS_rename: "a file is replaced whole",
    SYS_unlink: "what a crash has left",
};
/// The same by their older names: none here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const WRITING_OLD: &[BpfRule] = &[];

/// What a name stands for, and of what kind it is: nothing that stands in it.
pub(super) const LOOKING: &[BpfRule] = rules! {
    SYS_statx: "whether a file is still the one it was",
    SYS_newfstatat: "as statx",
    SYS_fstat: "as statx",
};

/// Where a name leads.
pub(super) const NAMES: &[BpfRule] = rules! {
    SYS_faccessat2: "glibc: whether a name is a directory",
    SYS_faccessat: "as faccessat2",
    SYS_readlinkat: "whether an argument leads into agp's own files",
    SYS_getcwd: "a path from the working directory",
};

/// The same by their older names.
#[cfg(target_arch = "x86_64")]
pub(super) const NAMES_OLD: &[BpfRule] = rules! {
    SYS_readlink: "whether an argument leads into agp's own files",
    SYS_lstat: "as statx",
    SYS_stat: "as statx",
};
/// The same by their older names: none here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const NAMES_OLD: &[BpfRule] = &[];

/// Waiting on descriptors.
pub(super) const WAITING: &[BpfRule] = rules! {
    SYS_ppoll: "waits for what comes first",
    SYS_ioctl if REQUESTS: "asks a terminal's size, sets a pipe not to block",
};

/// Asking at a terminal that was opened before.
pub(super) const TERMINAL: &[BpfRule] = rules! {
    SYS_ppoll: "waits for what comes first",
    SYS_ioctl if TERMINAL_REQUESTS: "the terminal's size; throws away what was typed too early",
};

/// The same by their older names.
#[cfg(target_arch = "x86_64")]
pub(super) const WAITING_OLD: &[BpfRule] = rules! {
    SYS_poll: "waits for what comes first",
};
/// The same by their older names: none here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const WAITING_OLD: &[BpfRule] = &[];

/// Speaking on a connection that is there.
pub(super) const CONNECTION: &[BpfRule] = rules! {
    SYS_recvfrom: "what the other side says",
    SYS_sendto: "what it is told",
    SYS_setsockopt: "time limits",
    SYS_getsockopt: "who is at the other end",
    SYS_shutdown: "end of a connection",
};

/// Taking the descriptor that shows who speaks.
pub(super) const CLIENTS: &[BpfRule] = rules! {
    SYS_recvmsg if NOT_INHERITED: "whether whoever speaks could open the client file",
};

/// Being told of signals.
pub(super) const SIGNALLED: &[BpfRule] = rules! {
    SYS_recvfrom: "which signal came",
    SYS_sendto: "a signal's handler wakes the thread that waits for one",
};

/// Waiting for one more connection.
pub(super) const ACCEPTING: &[BpfRule] = rules! {
    SYS_accept4: "the next connection",
};

/// Starting threads, which narrow themselves.
pub(super) const THREADS: &[BpfRule] = rules! {
    SYS_clone if A_THREAD: "a thread of this process, never a process",
    SYS_clone3 if ABSENT: "cannot be looked into: clone is taken",
    SYS_prctl if NEW_THREAD: "a new thread's name, and that it gains no privileges",
    SYS_seccomp if NARROWER: "a new thread's own filter",
};

/// A command that runs in a sandbox, by what its starter has handed over.
pub(super) const COMMANDS: &[BpfRule] = rules! {
    SYS_pipe2: "a command's output",
    SYS_pidfd_send_signal: "ends a command; only one that it was handed",
    SYS_wait4: "how a command ended",
};

/// Whose process this is.
pub(super) const OWNER: &[BpfRule] = rules! {
    SYS_geteuid: "whether a peer is the same user",
};

/// Making connections to the network, names included.
pub(super) const NETWORK: &[BpfRule] = rules! {
    SYS_socket if INET: "TCP, and UDP for names; no Unix socket",
    SYS_connect: "Landlock says to which ports",
    SYS_bind: "the kernel's list of addresses, to sort those of a name by",
    SYS_getsockname: "an address of one's own",
    SYS_getpeername: "the other side's address",
    SYS_sendmsg: "questions for names",
    SYS_sendmmsg: "questions for names",
    SYS_recvmsg: "their answers",
    SYS_uname: "the host's own name is no question",
};

/// Making connections to one daemon.
pub(super) const DAEMON: &[BpfRule] = rules! {
    SYS_socket if UNIX: "a stream to the daemon's socket; no network",
    SYS_connect: "the daemon's socket",
};

/// Speaking to other sessions of the home, of which one has the connection to Slack.
pub(super) const NEIGHBOURS: &[BpfRule] = rules! {
    SYS_socket if UNIX: "a stream to another session's socket; no network",
    SYS_connect: "another session's socket",
    SYS_flock: "one session of the home has the connection",
};

/// Removing a session's directory, and ending the session.
pub(super) const CLEARING: &[BpfRule] = rules! {
    SYS_unlinkat: "the session's files",
    SYS_wait4: "children that came back",
    SYS_rt_sigaction: "signals are no longer taken",
};

/// The same by their older names.
#[cfg(target_arch = "x86_64")]
pub(super) const CLEARING_OLD: &[BpfRule] = rules! {
    SYS_unlink: "the session's files",
    SYS_rmdir: "the session's directory",
};
/// The same by their older names: none here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const CLEARING_OLD: &[BpfRule] = &[];

/// The lowest priority for oneself.
pub(super) const YIELDING: &[BpfRule] = rules! {
    SYS_setpriority: "gives way to the journal thread",
};

const NEVER: &[Case] = &[refuse(&[], libc::EPERM)];

/// What neither the thread that starts programs nor any of them is to do. Refused instead of
/// deadly: they inherit it, and harnesses try some of these to see whether they are there.
pub(super) const FORBIDDEN: &[BpfRule] = rules! {
    SYS_ptrace if NEVER: "another process's memory and registers",
    SYS_process_vm_readv if NEVER: "another process's memory",
    SYS_process_vm_writev if NEVER: "another process's memory",
    SYS_process_madvise if NEVER: "another process's memory",
    SYS_pidfd_getfd if NEVER: "another process's descriptors",
    SYS_kcmp if NEVER: "another process's layout",
    SYS_init_module if NEVER: "kernel code",
    SYS_finit_module if NEVER: "kernel code",
    SYS_delete_module if NEVER: "kernel code",
    SYS_kexec_load if NEVER: "another kernel",
    SYS_kexec_file_load if NEVER: "another kernel",
    SYS_bpf if NEVER: "programs in the kernel",
    SYS_perf_event_open if NEVER: "the kernel's and others' events",
    SYS_io_uring_setup if NEVER: "calls that no filter sees",
    SYS_io_uring_enter if NEVER: "calls that no filter sees",
    SYS_io_uring_register if NEVER: "calls that no filter sees",
    SYS_userfaultfd if NEVER: "page faults in one's own hand",
    SYS_add_key if NEVER: "keyrings",
    SYS_request_key if NEVER: "keyrings",
    SYS_keyctl if NEVER: "keyrings",
    SYS_open_by_handle_at if NEVER: "files by number, past their directories",
    SYS_fanotify_init if NEVER: "who opens what",
    SYS_acct if NEVER: "the machine's accounts",
    SYS_quotactl if NEVER: "the machine's quotas",
    SYS_swapon if NEVER: "the machine's memory",
    SYS_swapoff if NEVER: "the machine's memory",
    SYS_reboot if NEVER: "the machine",
    SYS_syslog if NEVER: "the kernel's messages",
    SYS_settimeofday if NEVER: "the machine's clock",
    SYS_clock_settime if NEVER: "the machine's clock",
    SYS_adjtimex if NEVER: "the machine's clock",
    SYS_vhangup if NEVER: "the operator's terminal",
};

/// Mounts, namespaces and roots: for the thread that starts programs, and for those that make themselves a
/// sandbox, but not for the main thread while it prepares a session.
pub(super) const ISOLATING: &[BpfRule] = rules! {
    SYS_mount if NEVER: "mounts",
    SYS_umount2 if NEVER: "mounts",
    SYS_move_mount if NEVER: "mounts",
    SYS_open_tree if NEVER: "mounts",
    SYS_mount_setattr if NEVER: "mounts",
    SYS_fsopen if NEVER: "mounts",
    SYS_fsconfig if NEVER: "mounts",
    SYS_fsmount if NEVER: "mounts",
    SYS_fspick if NEVER: "mounts",
    SYS_pivot_root if NEVER: "another root",
    SYS_chroot if NEVER: "another root",
    SYS_unshare if NEVER: "namespaces",
    SYS_setns if NEVER: "namespaces",
};
