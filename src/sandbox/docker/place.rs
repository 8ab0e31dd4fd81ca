//! A harness in the session's container: started like a call, but with two outputs, an environment
//! of its own, and no deadline.

use std::ffi::OsString;
use std::io::{self, pipe};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};

use crate::confine::job::Job;
use crate::confine::told::Told;
use crate::contracts::intendant::{HarnessExit, Place, Placed};
use crate::contracts::sandbox::SandboxError;
use crate::sandbox::exec::{self, Keeper, Taken};
use crate::sandbox::network::Network;

use super::control::Running;
use super::exec::relayed;
use super::provider::Docker;

/// A session's container, as a place for a harness.
pub struct Inside(pub Arc<Docker>);

impl Place for Inside {
    fn start(
        &self,
        command: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Placed> {
        let Self(docker) = self;
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let command: Vec<String> = command.iter().map(text).collect();
        let command = match &docker.setup.network {
            Network::Listed { socket, .. } => relayed(socket, 0, command),
            Network::Off | Network::Host => command,
        };
        let job = Job {
            command,
            environment: environment
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            directory: docker.directory.clone(),
            deadline_millis: None,
            ..Job::default()
        };
        let (output, output_end) = pipe()?;
        let (errors, errors_end) = pipe()?;
        let running = docker.link.start(
            &job,
            &[],
            OwnedFd::from(output_end),
            OwnedFd::from(errors_end),
        )?;
        let (ended, hold) = (running.ended()?, running.hold()?);
        let docker = Arc::clone(docker);
        Ok(Placed {
            output: output.into(),
            errors: errors.into(),
            ended,
            hold: Box::new(hold),
            end: Box::new(move || end(running, &docker)),
        })
    }
}

/// Waits for the end of a harness.
fn end(mut running: Running, docker: &Docker) -> io::Result<HarnessExit> {
    while !running.over()? {
        match poll(
            &mut [PollFd::from_borrowed_fd(running.watched(), PollFlags::IN)],
            None,
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let ran = exec::settle(Taken::default(), &running.told(), Some(0));
    let ran =
        ran.map_err(|SandboxError(why)| io::Error::other(docker.life.gone_soon().unwrap_or(why)))?;
    match ran.ended {
        Told::Exited(0) => Ok(HarnessExit::Success),
        Told::Exited(code) => Ok(HarnessExit::Code(code)),
        Told::Signalled(signal) => Ok(HarnessExit::Signal(signal)),
        Told::Stopped => Ok(HarnessExit::Stopped),
        Told::NotStarted(why) => Err(io::Error::new(io::ErrorKind::NotFound, why)),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

impl Docker {
    /// The variables that every process in the container needs to be what it is there.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let own = self.environment.iter();
        let own = own.map(|(name, value)| match (name.as_str(), self.shell) {
            ("SHELL", Some(shell)) => (name.into(), shell.into()),
            _ => (name.into(), value.into()),
        });
        // Its relay says by itself where it is.
        let direct = self.setup.network.variables().into_iter();
        let direct = direct.filter(|(name, _)| name.eq_ignore_ascii_case("no_proxy"));
        own.chain(direct.map(|(name, value)| (name.into(), value.into())))
            .collect()
    }

    /// The first line of what a program in the container says, asked its version.
    ///
    /// # Errors
    /// [`SandboxError`] when it is not there or fails.
    pub fn version_of(&self, program: &str) -> Result<String, SandboxError> {
        let errand = super::exec::Errand {
            command: vec![program.to_owned(), "--version".to_owned()],
            input: Vec::new(),
            deadline: crate::contracts::limits::DOCKER_PATIENCE,
        };
        let ran = self.run(errand, &mut |_| {})?;
        let said = String::from_utf8_lossy(&ran.output).into_owned();
        match ran.ended {
            Told::Exited(0) => Ok(said),
            other => Err(SandboxError(format!(
                "{program} in the image {}: {other:?} {}",
                self.setup.image,
                said.trim()
            ))),
        }
    }
}
