//! One command in a confinement of its own: started, watched, its output taken.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::confine::Spawner;
use crate::confine::spawner::{self, Started};
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::jail::spec::Spec;
use crate::jail::status::Told;

use super::output::{Feed, Keeper, Ran, Taken, Watch, follow, settle};
use crate::sandbox::secrets::Scrubber;

/// A command to run.
pub struct Job<'a> {
    /// Program and arguments.
    pub command: &'a [OsString],
    /// Variables of its own, besides those that its confinement has.
    pub variables: Vec<(String, String)>,
    /// What it reads.
    pub input: &'a [u8],
    /// How long it has.
    pub deadline: Duration,
    /// What is taken out of its output before anybody has it, its digest too.
    pub scrub: Option<Scrubber>,
}

/// A program's file, held open as it was: neither what stands at its path later is started, nor what is
/// written into it.
pub struct Held {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// Size and time of the last change. While a program runs, most kernels let nobody write into its file
/// (`ETXTBSY`); nothing of agp's need be running between two calls.
type Stamp = (u64, i64, i64);

fn stamp(file: &File) -> io::Result<Stamp> {
    let meta = file.metadata()?;
    Ok((meta.len(), meta.ctime(), meta.ctime_nsec()))
}

impl Held {
    /// Opens the program at `path`.
    ///
    /// # Errors
    /// What opening it gives.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            stamp: stamp(&file)?,
            file,
        })
    }

    fn command(&self) -> io::Result<Command> {
        if stamp(&self.file)? != self.stamp {
            return Err(io::Error::other(
                "agp's own program changed since the session started: start a new session",
            ));
        }
        // The child has the same descriptors until it is this program.
        let mut command = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        command.arg0(&self.path);
        Ok(command)
    }
}

/// The program that confines.
#[derive(Clone, Copy)]
pub enum Bridge<'a> {
    /// Whatever stands at a path.
    At(&'a Path),
    /// This file, whatever stands at the path it was opened by.
    Held(&'a Held),
}

impl Bridge<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::At(path) => path,
            Self::Held(held) => &held.path,
        }
    }

    fn command(&self) -> io::Result<Command> {
        match self {
            Self::At(path) => Ok(Command::new(path)),
            Self::Held(held) => held.command(),
        }
    }
}

/// What a confinement is made by, and how.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// What starts its processes.
    pub spawner: &'a Spawner,
    /// The program that confines.
    pub bridge: Bridge<'a>,
    /// The confinement.
    pub spec: &'a Spec,
    /// The environment that a command in it has.
    pub environment: &'a [(OsString, OsString)],
}

/// A confinement that was asked for.
pub struct PendingKeeper {
    keeper: spawner::PendingSpawn,
    output: PipeReader,
}

/// A confinement that stands, or will in a moment, and waits for the one command that it is for. It
/// ends when this is dropped: with the pipe, so that whichever thread does that needs no further
/// right.
pub struct Standing {
    keeper: Started,
    pipe: Option<ChildStdin>,
    output: PipeReader,
}

impl Maker<'_> {
    /// Has a confinement made, without waiting for it.
    ///
    /// # Errors
    /// [`SandboxError`] when its program cannot be started.
    pub fn ask(&self) -> Result<PendingKeeper, SandboxError> {
        let failed =
            |error: io::Error| SandboxError(format!("{}: {error}", self.bridge.path().display()));
        let spec = serde_json::to_string(self.spec).map_err(|error| failed(error.into()))?;
        let (output, writer) = pipe().map_err(failed)?;
        rustix::io::ioctl_fionbio(&output, true).map_err(|error| failed(error.into()))?;
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        let mut command = self.bridge.command().map_err(failed)?;
        command
            .args(["confine", "--spec", &spec])
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(Stdio::piped());
        Ok(PendingKeeper {
            keeper: self.spawner.ask(command).map_err(failed)?,
            output,
        })
    }

    /// Runs one command in a confinement made for it.
    ///
    /// # Errors
    /// [`SandboxError`] when the confinement did not stand, or the command may have outlived it.
    pub fn run(&self, job: Job<'_>, watch: &mut Watch<'_>) -> Result<Ran, SandboxError> {
        match job.command.iter().find_map(|word| unfit(word)) {
            Some(problem) => Ok(Ran::nothing(Told::NotStarted(problem.into()))),
            None => self.ask()?.get()?.give(job)?.follow(watch),
        }
    }
}

impl PendingKeeper {
    /// Waits until its keeper was started. That it does not stand shows when it is used.
    ///
    /// # Errors
    /// [`SandboxError`] when it could not be.
    pub fn get(self) -> Result<Standing, SandboxError> {
        let started = self.keeper.get();
        let mut keeper = started.map_err(|error| {
            SandboxError(format!("cannot start the sandbox supervisor: {error}"))
        })?;
        Ok(Standing {
            pipe: keeper.child.stdin.take(),
            keeper,
            output: self.output,
        })
    }
}

impl Standing {
    /// Whether it has not failed so far.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut polled = [PollFd::new(&self.keeper.pidfd, PollFlags::IN)];
        matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0))
    }

    /// Gives it its command, whose words must be ones that can be passed on (see `unfit`); [`Running::follow`] gives what that
    /// comes to.
    ///
    /// # Errors
    /// [`SandboxError`] when a word is not UTF-8.
    pub fn give(self, job: Job<'_>) -> Result<Running, SandboxError> {
        let failed =
            |error: io::Error| SandboxError(format!("the sandbox supervisor failed: {error}"));
        let words = job
            .command
            .iter()
            .map(|word| word.to_str().map(str::to_owned));
        let words = words.collect::<Option<Vec<String>>>();
        let sent = crate::jail::order::CommandOrder {
            command: words.ok_or_else(|| SandboxError("a command is not UTF-8".into()))?,
            environment: job.variables,
            deadline_millis: u64::try_from(job.deadline.as_millis()).unwrap_or(u64::MAX),
            input_bytes: job.input.len() as u64,
        }
        .sent(job.input)
        .map_err(failed)?;
        let mut feed = Feed::of(self.pipe, sent).map_err(failed)?;
        feed.give();
        Ok(Running {
            keeper: self.keeper,
            feed,
            output: self.output,
            until: Instant::now() + job.deadline + limits::EXEC_GRACE,
            taken: Taken::scrubbed_by(job.scrub),
        })
    }
}

/// A command that runs.
pub struct Running {
    keeper: Started,
    feed: Feed,
    output: PipeReader,
    until: Instant,
    taken: Taken,
}

impl Running {
    /// Follows the command to its end.
    ///
    /// # Errors
    /// [`SandboxError`] when the confinement did not stand, or the command may have outlived it.
    pub fn follow(mut self, watch: &mut Watch<'_>) -> Result<Ran, SandboxError> {
        let failed =
            |error: io::Error| SandboxError(format!("the sandbox supervisor failed: {error}"));
        let keeper = &mut self.keeper;
        let taken = follow(
            keeper,
            self.output,
            &mut self.feed,
            watch,
            self.until,
            self.taken,
        );
        if taken.is_err() {
            // The kernel ends with the keeper what it keeps in a PID namespace, or its command.
            let _ = keeper.signal(Signal::KILL);
        }
        let _ = keeper.child.wait();
        let taken = taken.map_err(failed)?;
        let mut errors = String::new();
        if let Some(mut pipe) = keeper.child.stderr.take() {
            pipe.read_to_string(&mut errors).map_err(failed)?;
        }
        settle(taken, &errors, None)
    }
}

impl Keeper for Started {
    fn watched(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn over(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn stop(&mut self) {
        // Gone already: the next round sees it.
        let _ = self.signal(Signal::TERM);
    }
}

/// Why a word cannot be an argument of a program, if it cannot.
pub(crate) fn unfit(word: &OsStr) -> Option<&'static str> {
    let bytes = word.as_bytes();
    if bytes.contains(&0) {
        Some("an argument contains a zero byte")
    } else if bytes.len() >= limits::EXEC_ARGUMENT_BYTES {
        Some("an argument is longer than Linux accepts")
    } else {
        None
    }
}

/// What a program of agp's own prints, unconfined.
///
/// # Errors
/// What starting it gives, and when it does not succeed.
pub fn plain(command: &[OsString]) -> io::Result<Vec<u8>> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other(output.status.to_string()))
    }
}
