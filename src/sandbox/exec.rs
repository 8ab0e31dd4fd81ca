//! One command in a confinement of its own: started, watched, its output taken.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::confine::Spawner;
use crate::confine::spawner::Started;
use crate::confine::spec::Spec;
use crate::confine::told::Told;
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;

use super::secrets::Scrubber;

/// A command to run.
pub struct Job<'a> {
    /// Program and arguments.
    pub command: &'a [OsString],
    /// Its whole environment.
    pub environment: &'a [(OsString, OsString)],
    /// What it reads.
    pub input: Vec<u8>,
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

/// Runs a command under `spec` by the program `bridge`, which `spawner` starts.
///
/// # Errors
/// [`SandboxError`] when the confinement did not stand, or the command may have outlived it.
pub fn run(
    spawner: &Spawner,
    bridge: &Path,
    spec: &Spec,
    job: Job<'_>,
    watch: &mut Watch<'_>,
) -> Result<Ran, SandboxError> {
    if let Some(problem) = job.command.iter().find_map(|word| unfit(word)) {
        return Ok(Ran::nothing(Told::NotStarted(problem.into())));
    }
    let failed = |error: io::Error| SandboxError(format!("{}: {error}", bridge.display()));
    let spec = Spec {
        starter: std::process::id(),
        deadline_millis: u64::try_from(job.deadline.as_millis()).unwrap_or(u64::MAX),
        ..spec.clone()
    };
    let spec = serde_json::to_string(&spec).map_err(|error| failed(error.into()))?;
    let (output, writer) = pipe().map_err(failed)?;
    rustix::io::ioctl_fionbio(&output, true).map_err(|error| failed(error.into()))?;
    let mut command = Command::new(bridge);
    command
        .args([
            OsStr::new("confine"),
            OsStr::new("--spec"),
            OsStr::new(&spec),
        ])
        .arg("--")
        .args(job.command)
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(if job.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(writer)
        .stderr(Stdio::piped());
    let mut keeper = spawner.spawn(command).map_err(failed)?;
    let until = Instant::now() + job.deadline + limits::EXEC_GRACE;
    let taken = Taken {
        scrub: job.scrub,
        ..Taken::default()
    };
    let taken = Feed::of(keeper.child.stdin.take(), &job.input)
        .and_then(|feed| follow(&mut keeper, output, feed, watch, until, taken));
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

/// What a command is still to read.
pub(super) struct Feed<'a> {
    pipe: Option<ChildStdin>,
    left: &'a [u8],
}

impl<'a> Feed<'a> {
    pub(super) fn of(pipe: Option<ChildStdin>, input: &'a [u8]) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, left: input })
    }

    /// Gives it as much as it takes now. A command that does not read it all has its reasons.
    fn give(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            match pipe.write(self.left) {
                Ok(0) => self.pipe = None,
                Ok(given) => {
                    self.left = self.left.get(given..).unwrap_or_default();
                    if self.left.is_empty() {
                        self.pipe = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// Takes the output until the keeper has ended, which it does when nothing is left inside.
pub(super) fn follow(
    keeper: &mut dyn Keeper,
    mut output: PipeReader,
    mut feed: Feed<'_>,
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
        if let Some(pipe) = &feed.pipe {
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
