//! `job`: the keeper of one command in a container. Reads what to run, runs it under the list of
//! system calls that is allowed, ends it at its deadline or when agp says so, and everything it
//! left; then tells how it ended. Standard input is the report, in both directions.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, pidfd_open, set_dumpable_behavior, setsid,
};

use super::container_protocol::{INPUT_BYTES, Job, LINE_BYTES};
use super::spec::Sockets;
use super::status::Told;
use super::{landlock, seccomp};

use super::keeper::{Disks, of_status};
use super::process_tree;

const OOM: &str = "/proc/self/oom_score_adj";

/// Between two looks at the disk.
const LOOK: Duration = Duration::from_millis(50);

/// Keeps one command; gives the exit code, which says nothing: [`Told`] does.
pub fn run() -> u8 {
    let report = io::stdin().as_fd().try_clone_to_owned();
    let Ok(mut report) = report.map(UnixStream::from) else {
        return 1;
    };
    let status = keep(&report).unwrap_or_else(|error| Told::Failed(error.to_string()));
    let line = serde_json::to_string(&status).unwrap_or_default();
    u8::from(writeln!(report, "{line}").is_err())
}

fn keep(report: &UnixStream) -> io::Result<Told> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    SigSet::empty().thread_set_mask()?;
    setsid()?;
    process_tree::adopt_orphans()?;
    let (job, input) = read(report)?;
    let disks = Disks::of_paths(job.disks.iter(), job.free_bytes)?;
    // Of one user are all of them: what one has in its environment, the next could read.
    if !landlock::apart()? && job.apart {
        let why = "cannot isolate calls from each other, and some have secrets: this needs \
            Landlock and a seccomp profile that allows it";
        return Ok(Told::NotStarted(why.into()));
    }
    // Loopback is the container's own, and so is every socket that has a path.
    seccomp::restrict(&Sockets {
        inet: true,
        unix: true,
    })?;
    let Some((program, arguments)) = job.command.split_first() else {
        return Ok(Told::NotStarted("no command".into()));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&job.directory)
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
    // When memory runs out, the command is what the kernel ends first.
    let _ = fs::write(OOM, "1000");
    let spawned = command.spawn();
    let _ = fs::write(OOM, "0");
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ok(Told::NotStarted(format!("{program}: {error}"))),
    };
    if let Some(mut pipe) = child.stdin.take() {
        let feed = std::thread::Builder::new().name("job-input".into());
        // A command that does not read it all has its reasons.
        feed.spawn(move || drop(pipe.write_all(&input)))?;
    }
    let until = job
        .deadline_millis
        .map(|millis| Instant::now() + Duration::from_millis(millis));
    let ended = watch(&mut child, report, &disks, until);
    if !process_tree::sweep() {
        return Ok(Told::Failed(
            "a process in the sandbox cannot be killed".into(),
        ));
    }
    ended
}

/// Reads what is to be run, and its input.
fn read(report: &UnixStream) -> io::Result<(Job, Vec<u8>)> {
    let mut reader = BufReader::new(report);
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(LINE_BYTES as u64)
        .read_until(b'\n', &mut line)?;
    let job: Job = serde_json::from_slice(&line).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot read the job: {error}"),
        )
    })?;
    let mut input = Vec::new();
    let bytes = job.input_bytes.min(INPUT_BYTES);
    let got = reader.take(bytes).read_to_end(&mut input)?;
    if got as u64 != job.input_bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the job's input",
        ));
    }
    Ok((job, input))
}

/// Waits for the command's end, or for a reason to end it.
fn watch(
    child: &mut Child,
    report: &UnixStream,
    disks: &Disks,
    until: Option<Instant>,
) -> io::Result<Told> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the child has no process ID"))?;
    let watched = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = until.map_or(LOOK, |until| {
            until.saturating_duration_since(Instant::now()).min(LOOK)
        });
        let within = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [
            PollFd::new(&watched, PollFlags::IN),
            PollFd::new(report, PollFlags::IN),
        ];
        match poll(&mut polled, Some(&within)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [ended, stop] = polled.map(|fd| !fd.revents().is_empty());
        if ended {
            return Ok(of_status(child.wait()?));
        }
        // Nothing more is ever sent: this is agp's end, or its word to stop.
        let reason = if stop {
            Some(Told::Stopped)
        } else if until.is_some_and(|until| until <= Instant::now()) {
            Some(Told::Deadline)
        } else {
            disks.too_full().then_some(Told::DiskFull)
        };
        if let Some(reason) = reason {
            // All the others go with the sweep.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(reason);
        }
    }
}
