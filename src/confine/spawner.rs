//! The thread `spawn`: the only one that starts processes. It is handed a command by threads that may
//! not, and hands back the child; it reads nothing of what the child says.

use std::io;
use std::os::fd::OwnedFd;
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

/// A process that was asked for.
pub struct Asked(Receiver<io::Result<Started>>);

impl Asked {
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
    pub fn ask(&self, command: Command) -> io::Result<Asked> {
        let (reply, answer) = sync_channel(1);
        let errand = Errand::Start(Box::new(command), reply);
        self.errands.send(errand).map_err(|_| gone())?;
        Ok(Asked(answer))
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
    io::Error::other("the thread that starts processes is gone")
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
                || io::Error::other("the child has no process id"),
                |failed| failed.map_or_else(io::Error::from, |_| gone()),
            ))
        }
    }
}
