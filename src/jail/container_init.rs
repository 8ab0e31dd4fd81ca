//! `inside`: the first process of a container. Starts what agp asks for, each in the care of a
//! keeper, kills what escaped one, and ends, with all that is inside, when agp is gone.
//!
//! As process 1 of its PID namespace it cannot be killed from inside. It speaks with agp over a
//! socket that it connects before anything else runs here; agp accepts one peer, and then stops
//! listening. A message is one byte with three descriptors: the job's report, output and errors.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, getpid, kill_process, set_dumpable_behavior, wait,
};

use super::container_protocol;
use super::status::Told;

use super::process_tree;

/// Runs until agp is gone; gives the exit code.
pub fn run() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "agp-bridge in the container: {error}");
            1
        }
    }
}

fn serve() -> io::Result<()> {
    if !getpid().is_init() {
        return Err(io::Error::other(
            "this runs only as a container's first process",
        ));
    }
    // Nobody of the same user may look into this process, or at its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut caught = SigSet::empty();
    caught.add(Caught::SIGCHLD);
    caught.thread_block()?;
    let signals = SignalFd::with_flags(&caught, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // Where it cannot be made, the look around says why.
    let _ = fs::create_dir_all(container_protocol::HOME);
    let control = UnixStream::connect(container_protocol::CONTROL).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", container_protocol::CONTROL),
        )
    })?;
    let program = std::env::current_exe()?;
    let mut keepers: HashMap<i32, UnixStream> = HashMap::new();
    loop {
        let mut polled = [
            PollFd::new(&control, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [job, ended] = polled.map(|fd| !fd.revents().is_empty());
        if ended {
            while signals.read_signal()?.is_some() {}
            reap(&mut keepers)?;
        }
        if job {
            let Some(descriptors) = receive(&control)? else {
                // The kernel ends with this process all that is inside.
                return Ok(());
            };
            start(&program, &mut keepers, descriptors);
        }
    }
}

/// Starts a keeper. A job that cannot be started ends with its report closed, and nothing told.
fn start(
    program: &std::path::Path,
    keepers: &mut HashMap<i32, UnixStream>,
    [report, output, errors]: [OwnedFd; 3],
) {
    if keepers.len() >= container_protocol::AT_ONCE {
        return;
    }
    let mut report = UnixStream::from(report);
    let Ok(input) = report.try_clone() else {
        return;
    };
    let started = Command::new(program)
        .arg("job")
        .stdin(OwnedFd::from(input))
        .stdout(output)
        .stderr(errors)
        .spawn();
    match started.map(|child| i32::try_from(child.id())) {
        Ok(Ok(pid)) => drop(keepers.insert(pid, report)),
        Ok(Err(_)) => {}
        Err(error) => tell(
            &mut report,
            &Told::NotStarted(format!("cannot start the container's supervisor: {error}")),
        ),
    }
}

fn tell(report: &mut UnixStream, status: &Told) {
    let line = serde_json::to_string(status).unwrap_or_default();
    // Whoever does not listen any more does not want to know.
    let _ = writeln!(report, "{line}");
}

/// The descriptors of one message, or none when agp is gone.
fn receive(control: &UnixStream) -> io::Result<Option<[OwnedFd; 3]>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0; 1];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let got = recvmsg(control, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut received = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.extend(descriptors);
        }
    }
    received
        .try_into()
        .map(Some)
        .map_err(|_| io::Error::other("a message without its file descriptors"))
}

/// How long processes may take to vanish after they were killed.
const SWEEP: Duration = Duration::from_secs(5);

/// Takes leave of whatever has ended. A keeper that did not end by itself was killed from inside:
/// what it kept has come to this process, and is killed before its job is told to have ended.
fn reap(keepers: &mut HashMap<i32, UnixStream>) -> io::Result<()> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let Some(mut report) = keepers.remove(&pid.as_raw_nonzero().get()) else {
            continue;
        };
        sweep(keepers)?;
        if let Some(signal) = status.terminating_signal() {
            tell(&mut report, &Told::Signalled(signal));
        }
    }
    Ok(())
}

/// Kills every child that is no keeper, until there is none.
fn sweep(keepers: &mut HashMap<i32, UnixStream>) -> io::Result<()> {
    let until = Instant::now() + SWEEP;
    loop {
        let strays = process_tree::children(getpid());
        let strays: Vec<Pid> = strays
            .into_iter()
            .filter(|pid| !keepers.contains_key(&pid.as_raw_nonzero().get()))
            .collect();
        if strays.is_empty() {
            return Ok(());
        }
        for pid in strays {
            let _ = kill_process(pid, Signal::KILL);
            // Only this one: a keeper that ended meanwhile has its own leave to take.
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if Instant::now() > until {
            // Ending here ends everything.
            return Err(io::Error::other(
                "a process in the sandbox cannot be killed",
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
