//! `confine`: runs one command in a confinement of its own, and ends everything it left.
//!
//! Three processes, each an `execve` of the one before: the **keeper** enters the namespaces,
//! waits, and kills at the deadline; the **first process** inside builds the root directory, takes
//! every right from itself and starts the command; without namespaces it becomes the command.
//! A confinement stands before it is known what for: it waits for one order on the keeper's standard
//! input, runs that, and ends when whoever holds the other end has gone.
//! The command's standard error is its standard output: on the descriptor that is standard error
//! outside, keeper and first process report, a JSON line each, and the command never has it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Stdin, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::order::CommandOrder;
use super::spec::Spec;
use super::status::Told;
use super::{landlock, mounts, namespaces, rlimits, seccomp};
use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open,
    set_dumpable_behavior, set_parent_process_death_signal, setsid, wait,
};

use super::{egress_relay, process_tree};

fn tell(status: &Told) {
    let line = serde_json::to_string(status).unwrap_or_default();
    // Whoever does not listen any more does not want to know.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Between two looks at the disk.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the order that comes, confined as `spec` says; gives the exit code, which says nothing: [`Told`]
/// does.
pub fn keep(spec: &str) -> u8 {
    match kept(spec) {
        Ok(Some(told)) => {
            tell(&told);
            0
        }
        Ok(None) => 0,
        Err(error) => {
            tell(&Told::Failed(error.to_string()));
            1
        }
    }
}

fn kept(text: &str) -> io::Result<Option<Told>> {
    let spec = parse(text)?;
    rlimits::close_inherited()?;
    setsid()?;
    let mut caught = SigSet::empty();
    for signal in [Caught::SIGTERM, Caught::SIGINT, Caught::SIGHUP] {
        caught.add(signal);
    }
    caught.thread_block()?;
    let signals = SignalFd::with_flags(&caught, SfdFlags::SFD_CLOEXEC)?;
    let mut disks = Disks::of_paths(spec.write.iter().chain([&spec.scratch]), spec.free_bytes)?;
    namespaces::enter(&spec)?;
    process_tree::adopt_orphans()?;
    let mut child = process_tree::own()
        .arg("confined")
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(text)
        .stdin(Stdio::piped())
        .spawn()?;
    // Nobody of the same user may look into this process, or at its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let events = Events::of(&child, signals)?;
    let ended = match events.order(&mut child)? {
        Ok(deadline) => {
            disks.measure();
            events.watch(&mut child, &disks, Instant::now() + deadline)?
        }
        Err(ended) => ended,
    };
    if spec.has_root() {
        // The kernel has killed all that was inside, or does now.
        let _ = child.kill();
        let _ = child.wait()?;
    } else if !process_tree::sweep() {
        return Ok(Some(Told::Failed(
            "a process in the sandbox cannot be killed".into(),
        )));
    }
    Ok(match ended {
        // The first process has told of the command itself.
        Ended::Itself(status) if !spec.has_root() => Some(of_status(status)),
        Ended::Itself(_) => None,
        Ended::Killed(told) => Some(told),
    })
}

enum Ended {
    Itself(ExitStatus),
    Killed(Told),
}

/// What the keeper waits for.
struct Events {
    child: OwnedFd,
    signals: SignalFd,
    /// Where the order comes from. It ends when whoever sends it is gone, whichever of its threads
    /// that was.
    starter: Stdin,
}

impl Events {
    fn of(child: &Child, signals: SignalFd) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process ID"))?;
        Ok(Self {
            child: pidfd_open(pid, PidfdFlags::empty())?,
            signals,
            starter: io::stdin(),
        })
    }

    /// Waits: whether the child has ended, a signal has come, and the starter has `said` something
    /// or is gone.
    fn next(&self, said: PollFlags, within: Option<&Timespec>) -> io::Result<[bool; 3]> {
        let mut polled = [
            PollFd::new(&self.child, PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::new(&self.starter, said),
        ];
        match poll(&mut polled, within) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(polled.map(|fd| !fd.revents().is_empty()))
    }

    /// Waits for the order, without end, and hands it on to the first process. Gives its deadline.
    fn order(&self, child: &mut Child) -> io::Result<Result<Duration, Ended>> {
        let (mut come, mut block) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let [ended, stop, sent] = self.next(PollFlags::IN, None)?;
            if ended {
                return Ok(Err(Ended::Itself(child.wait()?)));
            }
            let got = match sent && !stop {
                true => rustix::io::read(&self.starter, &mut block)?,
                false if stop => 0,
                false => continue,
            };
            if got == 0 {
                return Ok(Err(Ended::Killed(Told::Stopped)));
            }
            come.extend_from_slice(block.get(..got).unwrap_or_default());
            let deadline = CommandOrder::read(&come)?.map(|(order, _)| order.deadline_millis);
            if let Some(deadline) = deadline {
                // One that cannot take it has ended, which is seen next.
                let _ = child.stdin.take().map(|mut first| first.write_all(&come));
                return Ok(Ok(Duration::from_millis(deadline)));
            }
        }
    }

    fn watch(&self, child: &mut Child, disks: &Disks, until: Instant) -> io::Result<Ended> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let within = Timespec::try_from(left.min(LOOK)).map_err(io::Error::other)?;
            let [ended, stop, gone] = self.next(PollFlags::empty(), Some(&within))?;
            if ended {
                return Ok(Ended::Itself(child.wait()?));
            }
            if stop || gone {
                return Ok(Ended::Killed(Told::Stopped));
            }
            if until <= Instant::now() {
                return Ok(Ended::Killed(Told::Deadline));
            }
            if disks.too_full() {
                return Ok(Ended::Killed(Told::DiskFull));
            }
        }
    }
}

/// The file systems that may be written, and how much must stay free on them.
pub(crate) struct Disks {
    open: Vec<(OwnedFd, u64)>,
    wanted: u64,
}

impl Disks {
    pub(crate) fn of_paths<'a>(
        paths: impl Iterator<Item = &'a std::path::PathBuf>,
        free_bytes: u64,
    ) -> io::Result<Self> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        let mut open = Vec::new();
        for path in paths {
            let opened = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let opened = opened.map_err(|error| {
                io::Error::other(format!("{}: {}", path.display(), io::Error::from(error)))
            })?;
            open.push((opened, 0));
        }
        let mut disks = Self {
            open,
            wanted: free_bytes,
        };
        disks.measure();
        Ok(disks)
    }

    /// Looks how full they are now, before the command. What was nearly full then is no fault of its,
    /// until it takes half of what was left.
    fn measure(&mut self) {
        for (disk, reserve) in &mut self.open {
            let free = free(disk).unwrap_or(u64::MAX);
            *reserve = self.wanted.min(free / 2);
        }
    }

    pub(crate) fn too_full(&self) -> bool {
        self.open
            .iter()
            .any(|(disk, reserve)| free(disk).is_some_and(|free| free < *reserve))
    }
}

fn free(disk: &OwnedFd) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(disk).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(crate) fn of_status(status: ExitStatus) -> Told {
    match (status.code(), status.signal()) {
        (Some(code), _) => Told::Exited(code),
        (None, signal) => Told::Signalled(signal.unwrap_or(0)),
    }
}

/// Confines this process and starts the order's command, or becomes it. Gives the exit code.
pub fn confined(keeper: &str, spec: &str) -> u8 {
    match first(keeper, spec) {
        Ok(status) => {
            tell(&status);
            0
        }
        Err(error) => {
            tell(&Told::Failed(error.to_string()));
            // The keeper takes it for the command's, and the starter knows better.
            1
        }
    }
}

/// Confines this process and runs the harness in it, or becomes it. Gives the code to exit with:
/// the harness's own, or 128 + signal.
///
/// # Errors
/// Why the confinement does not stand, or the harness cannot be started.
pub fn enclosed(leash: &str, spec: &str, command: &[OsString]) -> io::Result<u8> {
    let spec = parse(spec)?;
    stand(leash, &spec)?;
    let (mut command, program) = command_of(command)?;
    let not_started =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", program.display()));
    if !spec.has_root() {
        return Err(not_started(command.exec()));
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let child = command.stdin(Stdio::null()).spawn().map_err(not_started)?;
    let (code, signal) = outlive(child.id())?;
    let code = code.unwrap_or_else(|| 128 + signal.unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn command_of(words: &[OsString]) -> io::Result<(Command, &OsString)> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok((command, program))
}

/// Waits for one child, and reaps what else comes: the first process of a PID namespace inherits
/// every orphan; when it ends, all end. Gives exit code and signal.
fn outlive(child: u32) -> io::Result<(Option<i32>, Option<i32>)> {
    loop {
        let Ok(Some((pid, status))) = wait(WaitOptions::empty()) else {
            return Err(io::Error::other("lost the command"));
        };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child) {
            return Ok((status.exit_status(), status.terminating_signal()));
        }
    }
}

fn first(keeper: &str, spec: &str) -> io::Result<Told> {
    let spec = parse(spec)?;
    let landlock = stand(keeper, &spec)?;
    tell(&Told::Confined { landlock });
    let (order, stdin) = awaited()?;
    let words: Vec<OsString> = order.command.into_iter().map(OsString::from).collect();
    let (mut command, program) = command_of(&words)?;
    command.envs(order.environment).stdin(stdin);
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    command.stderr(Stdio::from(output));
    let not_started =
        |error: io::Error| Told::NotStarted(format!("{}: {error}", program.display()));
    if !spec.has_root() {
        return Ok(not_started(command.exec()));
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(error)),
    };
    Ok(match outlive(child.id())? {
        (Some(code), _) => Told::Exited(code),
        (None, signal) => Told::Signalled(signal.unwrap_or(0)),
    })
}

/// Waits for the order that the keeper hands on. Gives it, and what its command reads.
fn awaited() -> io::Result<(CommandOrder, Stdio)> {
    let mut come = Vec::new();
    io::stdin().lock().read_to_end(&mut come)?;
    let (order, input) = CommandOrder::read(&come)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if input.is_empty() {
        return Ok((order, Stdio::null()));
    }
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok((order, Stdio::from(file)))
}

/// Confines this process, tied to the life of its parent. Gives the Landlock interface in force.
fn stand(keeper: &str, spec: &Spec) -> io::Result<u32> {
    tie_to(keeper)?;
    // Inside a user namespace root is nobody: the kernel's own map tells.
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let outside = map.split_ascii_whitespace().nth(1);
    let root = outside == Some("0");
    SigSet::empty().thread_set_mask()?;
    rlimits::close_inherited()?;
    if spec.has_root() {
        mounts::enter_root(spec)?;
        // Where the kernel counts per PID namespace, it also counts for root, whom RLIMIT_NPROC
        // does not hold.
        let _ = std::fs::write(
            "/proc/sys/kernel/pid_max",
            spec.limits.processes.to_string(),
        );
    }
    rlimits::set(&spec.limits)?;
    rlimits::drop_privileges()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    std::env::set_current_dir(&spec.directory).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", spec.directory.display()),
        )
    })?;
    if let Some(relay) = &spec.relay {
        egress_relay::within(relay, spec)?;
    }
    let landlock = landlock::restrict(spec)?;
    if landlock == 0 && (root || !spec.has_root()) {
        let problem = "the kernel has no Landlock, which protects these files";
        return Err(io::Error::other(problem));
    }
    seccomp::restrict(&spec.sockets)?;
    Ok(landlock)
}

pub(crate) fn parse(spec: &str) -> io::Result<Spec> {
    serde_json::from_str(spec)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("--spec: {error}")))
}

/// Dies with the keeper, which must be alive. From within a new PID namespace its id is seen only
/// in the `/proc` of the namespace outside.
fn tie_to(keeper: &str) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    if parent.map(str::trim) == Some(keeper) {
        Ok(())
    } else {
        Err(io::Error::other("the sandbox supervisor is gone"))
    }
}
