//! A harness as a process: started on a leash, read line by line, ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;

use crate::confine::spawner::Started;
use crate::confine::{self, Places, Profile, Spawner};
use crate::contracts::intendant::{HarnessError, HarnessExit, HarnessFault, HarnessHost};
use crate::contracts::lock::locked;
use crate::jail::process_tree;
use crate::jail::spec::Spec;

use super::json_lines::each_line;

/// Ends a running harness from another thread.
#[derive(Clone, Default)]
pub struct Stop {
    leash: Arc<Mutex<(bool, Option<Leash>)>>,
}

/// What ends the harness when it is dropped: the leash's input, or the container's hold.
type Leash = Box<dyn Send>;

impl Stop {
    /// Ends the harness and everything below it, now or as soon as it starts. Returns at once.
    pub fn now(&self) {
        // Closing the leash's input is what makes it kill.
        *locked(&self.leash) = (true, None);
    }

    /// Whether the harness was told to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        locked(&self.leash).0
    }

    fn hold(&self, held: Option<Leash>) {
        let mut leash = locked(&self.leash);
        if !leash.0 {
            leash.1 = held;
        }
    }
}

/// How to start a harness.
pub struct Launch {
    /// The program that holds leashes: `agp-bridge`, or `agp` itself.
    pub leash: PathBuf,
    /// The harness's program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The confinement that it is started in.
    pub confinement: Option<Spec>,
    /// Its working directory, on this host.
    pub directory: PathBuf,
    /// Where it runs, if not on this host. Then there is no leash.
    pub place: Option<Arc<dyn HarnessHost>>,
    /// Takes each line that it, or what it starts, says on standard error.
    pub complain: Arc<dyn Fn(&str) + Send + Sync>,
    /// A process of agp's beside it, which does not end with it.
    pub spared: Option<Pid>,
    /// What starts it.
    pub spawner: Spawner,
}

/// Where something of this host's stands for a harness that is started so.
pub(super) fn inside(confinement: Option<&Spec>, path: &Path) -> PathBuf {
    confinement.map_or_else(|| path.to_owned(), |spec| spec.inside(path))
}

/// Starts a harness on a leash and gives its output line by line until it ends.
///
/// # Errors
/// [`HarnessError`] when it cannot be started.
pub fn run(
    launch: &Launch,
    stop: &Stop,
    on_line: &mut dyn FnMut(Option<&[u8]>),
) -> Result<HarnessExit, HarnessError> {
    let failed = |error: io::Error| {
        let program = launch.program.display();
        HarnessFault::Unprepared.of(format_args!("cannot start {program}: {error}"))
    };
    if let Some(place) = &launch.place {
        return run_there(place.as_ref(), launch, stop, on_line).map_err(failed);
    }
    let spec = launch.confinement.as_ref().map(serde_json::to_string);
    let spec = spec.transpose().map_err(|error| failed(error.into()))?;
    let mut command = Command::new(&launch.leash);
    command
        .arg("leash")
        .args(spec.iter().flat_map(|spec| ["--spec", spec]))
        .arg("--")
        .arg(inside(launch.confinement.as_ref(), &launch.program))
        .args(&launch.arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.directory);
    let (leash, streams) = launch.spawner.spawn_joined(command).map_err(failed)?;
    let errors = File::from(OwnedFd::from(streams.errors));
    pass_on(errors, Arc::clone(&launch.complain)).map_err(failed)?;
    stop.hold(Some(Box::new(streams.input)));
    let output = Output {
        stream: File::from(OwnedFd::from(streams.output)),
        leash: leash.pidfd.as_fd(),
        late: LATE_BYTES,
    };
    each_line(output, on_line);
    finish(leash, stop, launch).map_err(failed)
}

/// The same in another place.
fn run_there(
    place: &dyn HarnessHost,
    launch: &Launch,
    stop: &Stop,
    on_line: &mut dyn FnMut(Option<&[u8]>),
) -> io::Result<HarnessExit> {
    let command = [launch.program.clone().into_os_string()].into_iter();
    let command: Vec<OsString> = command.chain(launch.arguments.iter().cloned()).collect();
    let placed = place.start(&command, &launch.environment)?;
    pass_on(File::from(placed.errors), Arc::clone(&launch.complain))?;
    stop.hold(Some(placed.hold));
    let output = Output {
        stream: File::from(placed.output),
        leash: placed.ended.as_fd(),
        late: LATE_BYTES,
    };
    each_line(output, on_line);
    let exit = (placed.end)()?;
    Ok(if stop.asked() {
        HarnessExit::Stopped
    } else {
        exit
    })
}

/// Bytes that are still read once the leash has ended: more than a socket holds.
const LATE_BYTES: usize = 1 << 20;

/// A harness's output. It ends with the leash: a process that is not below it may hold the other end
/// open for ever, and is not waited for.
struct Output<'a> {
    stream: File,
    leash: BorrowedFd<'a>,
    late: usize,
}

impl Read for Output<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut polled = [
            PollFd::new(&self.stream, PollFlags::IN),
            PollFd::new(&self.leash, PollFlags::IN),
        ];
        poll(&mut polled, None)?;
        let [readable, ended] = polled.map(|fd| !fd.revents().is_empty());
        if !readable || self.late == 0 {
            return Ok(0);
        }
        let got = self.stream.read(buffer)?;
        if ended {
            self.late = self.late.saturating_sub(got);
        }
        Ok(got)
    }
}

/// Passes standard error on, line by line, on a thread of its own. It ends with the stream, and is
/// not waited for: what escaped the session may hold the other end.
fn pass_on(
    errors: impl Read + Send + 'static,
    complain: Arc<dyn Fn(&str) + Send + Sync>,
) -> io::Result<()> {
    let passing = move || {
        each_line(errors, &mut |line| {
            if let Some(line) = line {
                complain(&String::from_utf8_lossy(line));
            }
        });
    };
    confine::start(Profile::HarnessStderr, Places::none(), passing).map(drop)
}

fn finish(mut leash: Started, stop: &Stop, launch: &Launch) -> io::Result<HarnessExit> {
    // The output is closed: the harness has ended, or works on without anybody watching it.
    let status = leash.child.wait()?;
    // What escaped the leash came back to this process.
    let spared = launch.spared;
    launch.spawner.run(move || {
        let _ = process_tree::sweep_but(spared);
    })?;
    if stop.asked() {
        return Ok(HarnessExit::Stopped);
    }
    Ok(match status.code() {
        Some(0) => HarnessExit::Success,
        // The leash's own code for what it killed is not among these: it was asked to, above.
        Some(code) if code > 128 => HarnessExit::Signal(code - 128),
        Some(code) => HarnessExit::Code(code),
        // The leash was killed, and the kernel ended the harness the same way.
        None => HarnessExit::Signal(status.signal().unwrap_or(0)),
    })
}
