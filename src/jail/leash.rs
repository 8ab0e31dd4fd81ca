//! The leash: a process between agp and the harness, so that the harness never outlives agp.
//!
//! agp holds the other end of the leash's standard input and writes nothing to it. When that end
//! closes, by agp's will or by its death, everything below the leash is killed. When the leash
//! itself is killed, the kernel kills the harness (`PR_SET_PDEATHSIG`), and what the harness left
//! comes back to agp, the next subreaper up.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open,
    set_dumpable_behavior, set_parent_process_death_signal, setsid,
};

use super::{namespaces, rlimits};

use super::{keeper, process_tree};

/// Exit code of a leash that killed what was below it.
pub const KILLED: u8 = 137;

/// Runs `command` on a leash, confined as `spec` says if it does; gives the code to exit with: the command's own, 128 + signal, or
/// [`KILLED`].
///
/// # Errors
/// What starting or watching the command gives; nothing runs then.
pub fn hold(spec: Option<&str>, command: &[OsString]) -> io::Result<u8> {
    // No controlling terminal: nothing below can push keystrokes into the operator's, or read
    // from it, or be reached by its Ctrl-C before agp has recorded the end.
    setsid()?;
    process_tree::adopt_orphans()?;
    let mut start = process_tree::own();
    start
        .arg(if spec.is_some() {
            "enclosed"
        } else {
            "leashed"
        })
        .arg(getpid().as_raw_nonzero().to_string());
    let mut alone = false;
    if let Some(text) = spec {
        let spec = keeper::parse(text)?;
        rlimits::close_inherited()?;
        namespaces::enter(&spec)?;
        alone = spec.has_root();
        start.arg(text);
    }
    let mut child = start.args(command).stdin(Stdio::null()).spawn()?;
    // Nobody of the same user may look into this process, or at its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let sweep = move || {
        // Of a PID namespace the kernel has killed all that was inside, or does now; its `/proc`
        // would show this process nobody.
        alone || process_tree::sweep()
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the child has no process ID"))?;
    let watched = pidfd_open(pid, PidfdFlags::empty())?;
    let stdin = io::stdin();
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::new(&watched, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [cut, ended] = polled.map(|fd| !fd.revents().is_empty());
        if cut {
            // agp closed its end, or died. The harness first: looking for the others takes time.
            let _ = kill_process(pid, Signal::KILL);
            let _ = child.wait();
            let clean = sweep();
            return Ok(if clean { KILLED } else { KILLED + 1 });
        }
        if ended {
            let status = child.wait()?;
            // What the harness left running is not governed any more.
            let _ = sweep();
            let code = status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Ok(u8::try_from(code).unwrap_or(u8::MAX));
        }
    }
}

/// Becomes the command, tied to the life of the leash `parent`. Only returns when it cannot.
pub fn become_leashed(parent: &str, command: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The leash may have died before the kernel was asked to watch it.
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no command");
    };
    if !alive {
        return io::Error::other("the process-tree guard is gone");
    }
    Command::new(program).args(arguments).exec()
}
