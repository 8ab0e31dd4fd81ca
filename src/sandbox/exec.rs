//! One command in a confinement of its own: started, watched, its output taken.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::confine::spawner::{self, Started};
use crate::confine::spec::Spec;
use crate::confine::told::Told;
use crate::confine::{self, Spawner};
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;

use super::secrets::Scrubber;

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

/// Looks on while a command runs.
pub struct Watch<'a> {
    /// Takes the output as it comes.
    pub output: &'a mut dyn FnMut(&[u8]),
    /// Whether the command must end now.
    pub stopped: &'a dyn Fn() -> bool,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub ended: Told,
    /// The Landlock interface it ran under, 0 for none.
    pub landlock: u32,
    /// What it printed, the first [`limits::EXEC_OUTPUT_BYTES`] of it.
    pub output: Vec<u8>,
    /// Digest of all it printed.
    pub output_sha256: Sha256,
    /// Bytes of all it printed.
    pub output_bytes: u64,
}

impl Ran {
    /// A command that was never started.
    #[must_use]
    pub fn nothing(ended: Told) -> Self {
        Taken::default().ran(ended, 0)
    }
}

/// Between two looks at whether the command must end.
const LOOK: Duration = Duration::from_millis(50);

/// The program that confines.
#[derive(Clone, Copy)]
pub enum Bridge<'a> {
    /// Whatever stands at a path.
    At(&'a Path),
    /// This open file, whatever stands at the path it was opened by.
    Opened(&'a Path, &'a File),
}

impl Bridge<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::At(path) | Self::Opened(path, _) => path,
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::At(path) => Command::new(path),
            // The child has the same descriptors until it is this program.
            Self::Opened(path, file) => {
                let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
                command.arg0(path);
                command
            }
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
pub struct Asked {
    keeper: spawner::Asked,
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
    pub fn ask(&self) -> Result<Asked, SandboxError> {
        let failed =
            |error: io::Error| SandboxError(format!("{}: {error}", self.bridge.path().display()));
        let spec = serde_json::to_string(self.spec).map_err(|error| failed(error.into()))?;
        let (output, writer) = pipe().map_err(failed)?;
        rustix::io::ioctl_fionbio(&output, true).map_err(|error| failed(error.into()))?;
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        let mut command = self.bridge.command();
        command
            .args(["confine", "--spec", &spec])
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(Stdio::piped());
        Ok(Asked {
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

impl Asked {
    /// Waits until its keeper was started. That it does not stand shows when it is used.
    ///
    /// # Errors
    /// [`SandboxError`] when it could not be.
    pub fn get(self) -> Result<Standing, SandboxError> {
        let started = self.keeper.get();
        let mut keeper =
            started.map_err(|error| SandboxError(format!("starting the keeper: {error}")))?;
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
        let failed = |error: io::Error| SandboxError(format!("the keeper: {error}"));
        let words = job
            .command
            .iter()
            .map(|word| word.to_str().map(str::to_owned));
        let words = words.collect::<Option<Vec<String>>>();
        let sent = confine::order::Order {
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
            taken: Taken {
                scrub: job.scrub,
                ..Taken::default()
            },
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
        let failed = |error: io::Error| SandboxError(format!("the keeper: {error}"));
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
        let mut told = String::new();
        if let Some(mut pipe) = keeper.child.stderr.take() {
            pipe.read_to_string(&mut told).map_err(failed)?;
        }
        settle(taken, &told, None)
    }
}

/// What ends a command, and tells of its end.
pub(super) trait Keeper {
    /// What becomes readable when there is something to see.
    fn watched(&self) -> BorrowedFd<'_>;
    /// Whether it has ended, which it does when nothing is left of the command.
    fn over(&mut self) -> io::Result<bool>;
    /// Tells it to end the command.
    fn stop(&mut self);
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
pub(super) fn unfit(word: &OsStr) -> Option<&'static str> {
    let bytes = word.as_bytes();
    if bytes.contains(&0) {
        Some("an argument holds a zero byte")
    } else if bytes.len() >= limits::EXEC_ARGUMENT_BYTES {
        Some("an argument is longer than Linux takes")
    } else {
        None
    }
}

/// Brings together what keeper and first process told. `landlock` is the interface in force where a
/// confinement is known to stand without their word.
pub(super) fn settle(
    taken: Taken,
    told: &str,
    mut landlock: Option<u32>,
) -> Result<Ran, SandboxError> {
    let mut ended = None;
    for line in told.lines() {
        match serde_json::from_str(line) {
            Ok(Told::Confined { landlock: version }) => landlock = Some(version),
            Ok(Told::Failed(why)) => return Err(SandboxError(why)),
            // The first word counts: how the command ended, not what the keeper makes of it.
            Ok(other) => drop(ended.get_or_insert(other)),
            Err(_) => return Err(SandboxError(format!("the keeper said {line:?}"))),
        }
    }
    match (landlock, ended) {
        (Some(landlock), Some(ended)) => Ok(taken.ran(ended, landlock)),
        (None, Some(ended @ (Told::Deadline | Told::Stopped | Told::DiskFull))) => {
            Ok(taken.ran(ended, 0))
        }
        (None, _) => Err(SandboxError(
            "the confinement was not reported to stand".into(),
        )),
        (Some(_), None) => Err(SandboxError("nobody told how the command ended".into())),
    }
}

/// Output, as much of it as is kept.
#[derive(Default)]
pub(super) struct Taken {
    scrub: Option<Scrubber>,
    kept: Vec<u8>,
    digest: Option<Context>,
    bytes: u64,
}

impl Taken {
    /// Output whose secrets are scrubbed.
    pub(super) fn scrubbed_by(scrub: Scrubber) -> Self {
        Self {
            scrub: Some(scrub),
            ..Self::default()
        }
    }

    /// Takes a block, or what was kept back of the blocks before; an empty one is the end.
    fn pass(&mut self, block: &[u8], watch: &mut Watch<'_>) {
        let Some(scrub) = &mut self.scrub else {
            self.take(block, watch);
            return;
        };
        let shown = if block.is_empty() {
            scrub.finish()
        } else {
            scrub.push(block)
        };
        self.take(&shown, watch);
    }

    fn take(&mut self, block: &[u8], watch: &mut Watch<'_>) {
        if block.is_empty() {
            return;
        }
        (watch.output)(block);
        self.bytes += block.len() as u64;
        let digest = self.digest.get_or_insert_with(|| Context::new(&SHA256));
        digest.update(block);
        let room = limits::EXEC_OUTPUT_BYTES - self.kept.len();
        self.kept.extend(block.iter().take(room));
    }

    fn ran(self, ended: Told, landlock: u32) -> Ran {
        let digest = self
            .digest
            .unwrap_or_else(|| Context::new(&SHA256))
            .finish();
        let mut sha256 = [0; 32];
        sha256
            .iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        Ran {
            ended,
            landlock,
            output: self.kept,
            output_sha256: Sha256(sha256),
            output_bytes: self.bytes,
        }
    }
}

/// What the keeper is still to be sent. The pipe stays open behind it, as long as the command may
/// run: the command ends with the process that holds it.
pub(super) struct Feed {
    pipe: Option<ChildStdin>,
    sent: Vec<u8>,
    /// How much of it has gone.
    gone: usize,
}

impl Feed {
    pub(super) fn of(pipe: Option<ChildStdin>, sent: Vec<u8>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self {
            pipe,
            sent,
            gone: 0,
        })
    }

    /// Sends as much as is taken now. A keeper that takes no more has ended, which is seen.
    fn give(&mut self) {
        while let (Some(pipe), Some(left @ [_, ..])) = (&mut self.pipe, self.sent.get(self.gone..))
        {
            match pipe.write(left) {
                Ok(given @ 1..) => self.gone += given,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.pipe = None,
            }
        }
    }

    /// The pipe, while there is something to send.
    fn waits(&self) -> Option<&ChildStdin> {
        self.pipe.as_ref().filter(|_| self.gone < self.sent.len())
    }
}

/// Takes the output until the keeper has ended, which it does when nothing is left inside.
pub(super) fn follow(
    keeper: &mut dyn Keeper,
    mut output: PipeReader,
    feed: &mut Feed,
    watch: &mut Watch<'_>,
    until: Instant,
    mut taken: Taken,
) -> io::Result<Taken> {
    let mut open = true;
    let mut told_to_stop = false;
    let mut block = vec![0; 64 << 10];
    let within = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    loop {
        feed.give();
        let mut polled = vec![PollFd::from_borrowed_fd(keeper.watched(), PollFlags::IN)];
        // A closed pipe is always ready: it is not asked any more.
        if open {
            polled.push(PollFd::new(&output, PollFlags::IN));
        }
        if let Some(pipe) = feed.waits() {
            polled.push(PollFd::new(pipe, PollFlags::OUT));
        }
        match poll(&mut polled, Some(&within)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = polled.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(polled);
        let ended = ready && keeper.over()?;
        // What was printed before the end is there before the end is seen; nobody is left to add.
        while open {
            match output.read(&mut block) {
                Ok(0) => open = false,
                Ok(got) => {
                    let got = block.get(..got).unwrap_or_default();
                    taken.pass(got, watch);
                    if !ended {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if ended {
            taken.pass(&[], watch);
            return Ok(taken);
        }
        if !told_to_stop && (watch.stopped)() {
            told_to_stop = true;
            keeper.stop();
        }
        if Instant::now() > until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the keeper does not end",
            ));
        }
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
