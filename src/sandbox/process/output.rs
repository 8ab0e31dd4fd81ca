//! A command that runs is followed to its end, whatever keeps it: its output taken, up to a bound and
//! with the digest of all of it, and how it ended.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::BorrowedFd;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::jail::status::Told;
use crate::sandbox::secrets::Scrubber;

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

/// What ends a command, and tells of its end.
pub(crate) trait Keeper {
    /// What becomes readable when there is something to see.
    fn watched(&self) -> BorrowedFd<'_>;
    /// Whether it has ended, which it does when nothing is left of the command.
    fn over(&mut self) -> io::Result<bool>;
    /// Tells it to end the command.
    fn stop(&mut self);
}

/// Brings together what keeper and first process told. `landlock` is the interface in force where a
/// confinement is known to stand without their word.
pub(crate) fn settle(
    taken: Taken,
    errors: &str,
    mut landlock: Option<u32>,
) -> Result<Ran, SandboxError> {
    let mut ended = None;
    for line in errors.lines() {
        match serde_json::from_str(line) {
            Ok(Told::Confined { landlock: version }) => landlock = Some(version),
            Ok(Told::Failed(why)) => return Err(SandboxError(why)),
            // The first word counts: how the command ended, not what the keeper makes of it.
            Ok(other) => drop(ended.get_or_insert(other)),
            Err(_) => {
                return Err(SandboxError(format!(
                    "unexpected output from the sandbox supervisor: {line:?}"
                )));
            }
        }
    }
    match (landlock, ended) {
        (Some(landlock), Some(ended)) => Ok(taken.ran(ended, landlock)),
        (None, Some(ended @ (Told::Deadline | Told::Stopped | Told::DiskFull))) => {
            Ok(taken.ran(ended, 0))
        }
        (None, _) => Err(SandboxError(
            "the sandbox did not confirm its confinement".into(),
        )),
        (Some(_), None) => Err(SandboxError(
            "the sandbox did not report how the command ended".into(),
        )),
    }
}

/// Output, as much of it as is kept.
#[derive(Default)]
pub(crate) struct Taken {
    scrub: Option<Scrubber>,
    kept: Vec<u8>,
    digest: Option<Context>,
    bytes: u64,
}

impl Taken {
    /// Output that is scrubbed of secrets, where there are some.
    pub(crate) fn scrubbed_by(scrub: Option<Scrubber>) -> Self {
        Self {
            scrub,
            ..Self::default()
        }
    }

    /// Takes a block, or what was kept back of the blocks before; an empty one is the end.
    fn pass(&mut self, block: &[u8], watch: &mut Watch<'_>) {
        let Some(scrub) = &mut self.scrub else {
            self.take(block, watch);
            return;
        };
        let text = if block.is_empty() {
            scrub.finish()
        } else {
            scrub.push(block)
        };
        self.take(&text, watch);
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
        Ran {
            ended,
            landlock,
            output: self.kept,
            output_sha256: self.digest.map_or(Sha256::OF_NOTHING, Sha256::finished),
            output_bytes: self.bytes,
        }
    }
}

/// What the keeper is still to be sent. The pipe stays open behind it, as long as the command may
/// run: the command ends with the process that holds it.
pub(crate) struct Feed {
    pipe: Option<ChildStdin>,
    sent: Vec<u8>,
    /// How much of it has gone.
    gone: usize,
}

impl Feed {
    pub(crate) fn of(pipe: Option<ChildStdin>, sent: Vec<u8>) -> io::Result<Self> {
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
    pub(crate) fn give(&mut self) {
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
pub(crate) fn follow(
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
                "the sandbox supervisor does not stop",
            ));
        }
    }
}
