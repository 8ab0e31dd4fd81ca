//! The process beside agp that carries Claude Code's login into a session (`hook/login_renewal.rs`): started, and
//! ended by being let go of.

use std::io::{self, Read};
use std::process::{ChildStdin, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use crate::confine::Spawner;
use crate::contracts::limits;
use crate::hook::login_renewal::{READY, RenewalConfig};
use crate::jail::writable_paths::Changeable;

use super::FIXED_ENVIRONMENT;
use crate::intendants::{environment, executable};

/// A login that is being carried; no more once this is dropped.
pub struct Carrier {
    pid: Option<Pid>,
    _input: Option<ChildStdin>,
}

impl Carrier {
    /// Starts it, and waits until the login is where the session sees it. That can take a renewal.
    ///
    /// # Errors
    /// When it cannot be started, or does not say that it has carried it.
    pub fn start(
        order: &RenewalConfig,
        spawner: &Spawner,
        changeable: &Changeable,
    ) -> io::Result<Self> {
        let mut command = Command::new(executable::bridge_program()?);
        command
            .arg("login")
            .arg(serde_json::to_string(order)?)
            .env_clear()
            .envs(environment::environment(&[], changeable))
            .envs(FIXED_ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut started = spawner.spawn(command)?;
        let mut said = vec![0; READY.len()];
        if let Some(mut out) = started.child.stdout.take() {
            let patience = limits::LOGIN_PATIENCE + limits::VERSION_PATIENCE;
            let patience = Timespec {
                tv_sec: patience.as_secs().cast_signed(),
                tv_nsec: 0,
            };
            if poll(&mut [PollFd::new(&out, PollFlags::IN)], Some(&patience))? > 0 {
                out.read_exact(&mut said)?;
            }
        }
        if said != READY {
            return Err(io::Error::other("timed out"));
        }
        let pid = i32::try_from(started.child.id()).ok();
        Ok(Self {
            pid: pid.and_then(Pid::from_raw),
            _input: started.child.stdin.take(),
        })
    }

    /// The process. What it has begun must not be cut off.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }
}
