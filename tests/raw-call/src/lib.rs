//! Any system call, and what the kernel says of one that a filter traps. The only unsafe code beside
//! agp, which has none, and in none of its releases: tests of the confinement must be able to do
//! what injected code could.

use std::cell::Cell;
use std::ffi::CString;
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};

thread_local! {
    static TRAPPED: Cell<i64> = const { Cell::new(-1) };
    static SKIPS: Cell<bool> = const { Cell::new(false) };
}

/// Makes a system call; gives what the kernel gives, an error as its negative number.
#[must_use]
pub fn call(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: not in general; the caller, a test, picks calls that fail or do no harm.
    let got = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if got == -1 { -i64::from(errno()) } else { got }
}

fn errno() -> i32 {
    // SAFETY: the pointer is the calling thread's own.
    unsafe { *libc::__errno_location() }
}

/// From here on a call that a filter traps is told on standard error, with its thread, and ends the
/// process with the code of `SIGSYS`; but on a thread that skips them.
pub fn catch_traps() {
    // SAFETY: the structure is whole, and the handler does only what a handler may.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = caught as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSYS, &raw const action, null_mut());
    }
}

/// Whether a trapped call of this thread is skipped; [`trapped`] tells of it then.
pub fn skip_traps(skip: bool) {
    SKIPS.set(skip);
}

/// The number of the call that was trapped on this thread since this was last asked.
#[must_use]
pub fn trapped() -> Option<i64> {
    let number = TRAPPED.replace(-1);
    (number >= 0).then_some(number)
}

/// `si_syscall` of linux's `siginfo_t` for `SIGSYS`: behind the address of the call.
fn number_of(info: *mut libc::siginfo_t) -> i32 {
    const OFFSET: usize = 16 + size_of::<usize>();
    // SAFETY: the kernel gives a whole structure, which is larger.
    unsafe { info.cast::<u8>().add(OFFSET).cast::<i32>().read() }
}

extern "C" fn caught(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if SKIPS.get() {
        return TRAPPED.set(i64::from(number_of(info)));
    }
    let mut line = [0_u8; 128];
    let mut length = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(slot) = line.get_mut(length) {
                *slot = *byte;
                length += 1;
            }
        }
    };
    let mut name = [0_u8; 16];
    let thread = thread_name(&mut name);
    put(b"CONFINEMENT: the thread ");
    put(thread);
    put(b" made the system call ");
    let mut digits = [0_u8; 10];
    put(decimal(number_of(info).unsigned_abs(), &mut digits));
    put(b", which its profile does not have\n");
    // SAFETY: the buffer is that long; both calls are in every profile.
    unsafe {
        libc::syscall(libc::SYS_write, 2, line.as_ptr(), length);
        libc::syscall(libc::SYS_exit_group, 128 + libc::SIGSYS);
    }
}

thread_local! {
    static NAME: Cell<[u8; 16]> = const { Cell::new([0; 16]) };
}

/// Keeps the calling thread's name where a handler finds it: a profile may not let it be asked.
pub fn remember_thread(name: &str) {
    let mut kept = [0_u8; 16];
    for (slot, byte) in kept.iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    NAME.set(kept);
}

fn thread_name(into: &mut [u8; 16]) -> &[u8] {
    *into = NAME.get();
    let end = into.iter().position(|byte| *byte == 0).unwrap_or(16);
    &into[..end]
}

fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// Opens a file with these flags.
#[must_use]
pub fn open(path: &str, flags: i32) -> i64 {
    let path = CString::new(path).unwrap_or_default();
    let at = i64::from(libc::AT_FDCWD).cast_unsigned();
    let flags = u64::from(flags.cast_unsigned());
    call(
        libc::SYS_openat,
        [at, path.as_ptr() as u64, flags, 0o600, 0, 0],
    )
}

/// Opens a file with these flags by `openat2`, as a file beneath a directory is opened.
#[must_use]
pub fn open_beneath(path: &str, flags: i32) -> i64 {
    let path = CString::new(path).unwrap_or_default();
    let at = i64::from(libc::AT_FDCWD).cast_unsigned();
    // `struct open_how`: flags, mode, resolve.
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { 0o600 };
    let how = [u64::from(flags.cast_unsigned()), mode, 0];
    let bytes = size_of_val(&how) as u64;
    call(
        libc::SYS_openat2,
        [at, path.as_ptr() as u64, how.as_ptr() as u64, bytes, 0, 0],
    )
}

/// Connects to a Unix socket.
#[must_use]
pub fn connect_unix(path: &str) -> i64 {
    let socket = call(libc::SYS_socket, [1, 1, 0, 0, 0, 0]);
    if socket < 0 || TRAPPED.get() >= 0 {
        return socket;
    }
    let mut address = [0_u8; 110];
    address[0] = 1;
    for (slot, byte) in address.iter_mut().skip(2).zip(path.bytes()) {
        *slot = byte;
    }
    connect(socket, &address)
}

/// Connects to a port of this machine.
#[must_use]
pub fn connect_tcp(port: u16) -> i64 {
    let socket = call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]);
    if socket < 0 || TRAPPED.get() >= 0 {
        return socket;
    }
    let [high, low] = port.to_be_bytes();
    let mut address = [0_u8; 16];
    address[..8].copy_from_slice(&[2, 0, high, low, 127, 0, 0, 1]);
    connect(socket, &address)
}

fn connect(socket: i64, address: &[u8]) -> i64 {
    let length = address.len() as u64;
    let pointer = address.as_ptr() as u64;
    call(
        libc::SYS_connect,
        [socket.cast_unsigned(), pointer, length, 0, 0, 0],
    )
}

/// Becomes another program.
#[must_use]
pub fn exec(path: &str) -> i64 {
    let path = CString::new(path).unwrap_or_default();
    let words = [path.as_ptr(), null()];
    let pointer = words.as_ptr() as u64;
    call(
        libc::SYS_execve,
        [path.as_ptr() as u64, pointer, pointer + 8, 0, 0, 0],
    )
}
