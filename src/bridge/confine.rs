//! `confine`: runs one command in a confinement of its own, and ends everything it left.
//!
//! Three processes, each an `execve` of the one before: the **keeper** enters the namespaces,
//! waits, and kills at the deadline; the **first process** inside builds the root directory, takes
//! every right from itself and starts the command; without namespaces it becomes the command.
//! The command's standard error is its standard output: on the descriptor that is standard error
//! outside, keeper and first process report, a JSON line each, and the command never has it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::confine::spec::Spec;
use crate::confine::told::Told;
use crate::confine::{files, limits, mounts, namespaces, syscalls};
use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, pidfd_open,
    set_dumpable_behavior, set_parent_process_death_signal, setsid, wait,
};

use super::{processes, relay};

fn tell(told: &Told) {
    let line = serde_json::to_string(told).unwrap_or_default();
    // Whoever does not listen any more does not want to know.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Between two looks at the disk.
const LOOK: Duration = Duration::from_millis(50);

/// Runs `command` confined as `spec` says; gives the exit code, which says nothing: [`Told`] does.
pub fn keep(spec: &str, command: &[OsString]) -> u8 {
    match kept(spec, command) {
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

fn kept(text: &str, command: &[OsString]) -> io::Result<Option<Told>> {
    let spec = parse(text)?;
    let own = std::env::current_exe()?;
    limits::close_inherited()?;
    setsid()?;
    let mut caught = SigSet::empty();
    for signal in [Caught::SIGTERM, Caught::SIGINT, Caught::SIGHUP] {
        caught.add(signal);
    }
    caught.thread_block()?;
    let signals = SignalFd::with_flags(&caught, SfdFlags::SFD_CLOEXEC)?;
    let disks = Disks::of_paths(spec.write.iter().chain([&spec.scratch]), spec.free_bytes)?;
    namespaces::enter(&spec)?;
    // Behind the namespaces: a change of credentials forgets it.
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let starter = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if starter != Some(spec.starter) {
        return Err(io::Error::other(
            "the process that started this one is gone",
        ));
    }
    processes::adopt_orphans()?;
    let mut child = Command::new(own)
        .arg("confined")
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(text)
        .args(command)
        .spawn()?;
    // Nobody of the same user may look into this process, or at its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let until = Instant::now() + Duration::from_millis(spec.deadline_millis);
    let ended = watch(&mut child, &signals, &disks, until)?;
    if spec.has_root() {
        // The kernel has killed all that was inside, or does now.
        let _ = child.kill();
        let _ = child.wait()?;
    } else if !processes::sweep() {
        return Ok(Some(Told::Failed(
            "something inside cannot be killed".into(),
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

fn watch(
    child: &mut Child,
    signals: &SignalFd,
    disks: &Disks,
    until: Instant,
) -> io::Result<Ended> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
    let watched = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let within = Timespec::try_from(left.min(LOOK)).map_err(io::Error::other)?;
        let mut polled = [
            PollFd::new(&watched, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, Some(&within)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [ended, told] = polled.map(|fd| !fd.revents().is_empty());
        if ended {
            return Ok(Ended::Itself(child.wait()?));
        }
        if told {
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

/// The file systems that may be written, and how much must stay free on them.
pub(super) struct Disks(Vec<(std::os::fd::OwnedFd, u64)>);

impl Disks {
    pub(super) fn of_paths<'a>(
        paths: impl Iterator<Item = &'a std::path::PathBuf>,
        free_bytes: u64,
    ) -> io::Result<Self> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        let mut disks = Vec::new();
        for path in paths {
            let opened = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let opened = opened.map_err(|error| {
                io::Error::other(format!("{}: {}", path.display(), io::Error::from(error)))
            })?;
            // What was nearly full before is no fault of the command's, until it takes half of it.
            let free = free(&opened).unwrap_or(u64::MAX);
            disks.push((opened, free_bytes.min(free / 2)));
        }
        Ok(Self(disks))
    }

    pub(super) fn too_full(&self) -> bool {
        self.0
            .iter()
            .any(|(disk, reserve)| free(disk).is_some_and(|free| free < *reserve))
    }
}

fn free(disk: &std::os::fd::OwnedFd) -> Option<u64> {
    let found = rustix::fs::fstatvfs(disk).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

pub(super) fn of_status(status: ExitStatus) -> Told {
    match (status.code(), status.signal()) {
        (Some(code), _) => Told::Exited(code),
        (None, signal) => Told::Signalled(signal.unwrap_or(0)),
    }
}

/// Confines this process and starts the command, or becomes it. Gives the exit code.
pub fn confined(keeper: &str, spec: &str, command: &[OsString]) -> u8 {
    match first(keeper, spec, command) {
        Ok(told) => {
            tell(&told);
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
            return Err(io::Error::other("the command is lost"));
        };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child) {
            return Ok((status.exit_status(), status.terminating_signal()));
        }
    }
}

fn first(keeper: &str, spec: &str, command: &[OsString]) -> io::Result<Told> {
    let spec = parse(spec)?;
    let landlock = stand(keeper, &spec)?;
    let (mut command, program) = command_of(command)?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    command.stderr(Stdio::from(output));
    tell(&Told::Confined { landlock });
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

/// Confines this process, tied to the life of its parent. Gives the Landlock interface in force.
fn stand(keeper: &str, spec: &Spec) -> io::Result<u32> {
    tie_to(keeper)?;
    // Inside a user namespace root is nobody: the kernel's own map tells.
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let outside = map.split_ascii_whitespace().nth(1);
    let root = outside == Some("0");
    SigSet::empty().thread_set_mask()?;
    limits::close_inherited()?;
    if spec.has_root() {
        mounts::enter_root(spec)?;
        // Where the kernel counts per PID namespace, it also counts for root, whom RLIMIT_NPROC
        // does not hold.
        let _ = std::fs::write(
            "/proc/sys/kernel/pid_max",
            spec.limits.processes.to_string(),
        );
    }
    limits::set(&spec.limits)?;
    limits::drop_privileges()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    std::env::set_current_dir(&spec.directory).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", spec.directory.display()),
        )
    })?;
    if let Some(relay) = &spec.relay {
        relay::within(relay, spec)?;
    }
    let landlock = files::restrict(spec)?;
    if landlock == 0 && (root || !spec.has_root()) {
        let problem = "the kernel has no Landlock, and nothing else keeps these files";
        return Err(io::Error::other(problem));
    }
    syscalls::restrict(&spec.sockets)?;
    Ok(landlock)
}

pub(super) fn parse(spec: &str) -> io::Result<Spec> {
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
        Err(io::Error::other("the keeper is gone"))
    }
}
