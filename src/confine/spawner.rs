//! The thread `spawn`: the only one that starts processes. It is handed a command by threads that may
//! not, and hands back the child; it reads nothing of what the child says.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::profile::Profile;
use super::threads::{self, Places};

/// Commands that wait to be started: no more than threads that wait for one.
const WAITING: usize = 16;

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    /// The child, with the ends of its pipes.
    pub child: Child,
    /// The child, whatever becomes of its process id.
    pub pidfd: OwnedFd,
}

impl Started {
    /// Sends the child a signal.
    ///
    /// # Errors
    /// What the kernel gives; most likely it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, signal)?)
    }
}

/// agp's ends of a process's standard streams. The others are sockets, and no pipes: a pipe is opened
/// anew by every process that finds it below `/proc/PID/fd`, to write into it or to take what it holds.
#[derive(Debug)]
pub struct Streams {
    /// Its standard input, to be closed: nothing is written.
    pub input: UnixStream,
    /// Its standard output, to be read alone.
    pub output: UnixStream,
    /// Its standard error, in the same way.
    pub errors: UnixStream,
}

/// A process that was asked for.
pub struct PendingSpawn(Receiver<io::Result<Started>>);

impl PendingSpawn {
    /// Waits until it was started.
    ///
    /// # Errors
    /// What starting it gave.
    pub fn get(self) -> io::Result<Started> {
        self.0.recv().map_err(|_| gone())?
    }
}

enum Errand {
    Start(Box<Command>, SyncSender<io::Result<Started>>),
    Run(Box<dyn FnOnce() + Send>, SyncSender<()>),
}

/// A way to the thread that starts processes. The thread ends with the last of them.
#[derive(Clone, Debug)]
pub struct Spawner {
    errands: SyncSender<Errand>,
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Errand")
    }
}

impl Spawner {
    /// Starts the thread. To be called where nothing is confined yet: what the caller may not, no
    /// process that is started may.
    ///
    /// # Errors
    /// When there is no thread, or it cannot enter its profile.
    pub fn start() -> io::Result<Self> {
        let (errands, waiting) = sync_channel::<Errand>(WAITING);
        threads::start(Profile::Spawn, Places::none(), move || {
            while let Ok(errand) = waiting.recv() {
                match errand {
                    Errand::Start(command, reply) => {
                        // The command holds the other ends of pipes, and goes before the answer.
                        let started = started(*command);
                        let _ = reply.send(started);
                    }
                    Errand::Run(run, reply) => {
                        run();
                        let _ = reply.send(());
                    }
                }
            }
        })?;
        Ok(Self { errands })
    }

    /// Has a process started.
    ///
    /// # Errors
    /// What starting it gives.
    pub fn spawn(&self, command: Command) -> io::Result<Started> {
        self.ask(command)?.get()
    }

    /// The same, without waiting for it.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn ask(&self, command: Command) -> io::Result<PendingSpawn> {
        let (reply, answer) = sync_channel(1);
        let errand = Errand::Start(Box::new(command), reply);
        self.errands.send(errand).map_err(|_| gone())?;
        Ok(PendingSpawn(answer))
    }

    /// Has a process started whose standard streams lead here.
    ///
    /// # Errors
    /// What starting it gives.
    pub fn spawn_joined(&self, mut command: Command) -> io::Result<(Started, Streams)> {
        let (reply, answer) = sync_channel(1);
        self.run(move || {
            let joined = join(&mut command).and_then(|streams| Ok((started(command)?, streams)));
            let _ = reply.send(joined);
        })?;
        answer.recv().map_err(|_| gone())?
    }

    /// Two ends of a stream for a process elsewhere: the first, agp's, can only read.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn stream(&self) -> io::Result<[UnixStream; 2]> {
        let (reply, answer) = sync_channel(1);
        self.run(move || drop(reply.send(inward())))?;
        answer.recv().map_err(|_| gone())?
    }

    /// Has something done about processes where that may be done: the sweep behind a harness.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn run(&self, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let (reply, answer) = sync_channel(1);
        let errand = Errand::Run(Box::new(run), reply);
        self.errands.send(errand).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the process-starting thread is gone")
}

/// Gives a command its standard streams.
fn join(command: &mut Command) -> io::Result<Streams> {
    let ([input, input_end], [output, output_end], [errors, errors_end]) =
        (outward()?, inward()?, inward()?);
    command
        .stdin(OwnedFd::from(input_end))
        .stdout(OwnedFd::from(output_end))
        .stderr(OwnedFd::from(errors_end));
    Ok(Streams {
        input,
        output,
        errors,
    })
}

/// Two ends of a stream, of which the first can only read.
fn inward() -> io::Result<[UnixStream; 2]> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.shutdown(Shutdown::Write)?;
    Ok([ours, theirs])
}

/// Two ends of a stream, of which the first can only write.
fn outward() -> io::Result<[UnixStream; 2]> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.shutdown(Shutdown::Read)?;
    Ok([ours, theirs])
}

fn started(mut command: Command) -> io::Result<Started> {
    let mut child = command.spawn()?;
    drop(command);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let opened = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match opened {
        Some(Ok(pidfd)) => Ok(Started { child, pidfd }),
        other => {
            // Nobody could follow it.
            let _ = child.kill();
            let _ = child.wait();
            Err(other.map_or_else(
                || io::Error::other("the child has no process ID"),
                |failed| failed.map_or_else(io::Error::from, |_| gone()),
            ))
        }
    }
}
