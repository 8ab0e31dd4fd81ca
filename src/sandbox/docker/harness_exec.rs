//! A harness in the session's container: started like a call, but with two outputs, an environment
//! of its own, and no deadline.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};

use crate::contracts::intendant::{HarnessExit, HarnessHost, Placed};
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::sandbox::SandboxError;
use crate::jail::container_protocol::{Job, REPOSITORY};
use crate::jail::status::Told;
use crate::sandbox::network::Network;
use crate::sandbox::process::output::{Keeper, Taken, settle};

use super::container::Docker;
use super::control_socket::Running;
use super::exec::{Errand, relayed};

/// A session's container, as a place for a harness.
pub struct Inside(pub Arc<Docker>);

/// The same for a trial: a relay inside leads from a port of loopback to one socket of agp's.
pub struct Tried {
    /// The container.
    pub docker: Arc<Docker>,
    /// The socket, in the directory that the container has.
    pub socket: PathBuf,
    /// The port.
    pub port: u16,
}

impl HarnessHost for Inside {
    fn start(
        &self,
        command: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Placed> {
        let Self(docker) = self;
        let command = texts(command);
        let command = match &docker.setup.network {
            Network::Listed { socket, .. } => relayed(socket, 0, command),
            Network::Off | Network::Host => command,
        };
        docker.placed(command, environment)
    }
}

impl HarnessHost for Tried {
    fn start(
        &self,
        command: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Placed> {
        let command = relayed(&self.socket, self.port, texts(command));
        self.docker.placed(command, environment)
    }
}

fn text(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

fn texts(all: &[OsString]) -> Vec<String> {
    all.iter().map(text).collect()
}

impl Docker {
    /// Starts a harness.
    fn placed(
        self: &Arc<Self>,
        command: Vec<String>,
        environment: &[(OsString, OsString)],
    ) -> io::Result<Placed> {
        let job = Job {
            command,
            environment: environment
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            directory: self.directory.clone(),
            deadline_millis: None,
            input_bytes: 0,
            disks: self.disks(),
            free_bytes: limits::SANDBOX_FREE_BYTES,
            // What it starts is its own.
            apart: false,
        };
        let [output, output_end] = self.link.spawner.stream()?;
        let [errors, errors_end] = self.link.spawner.stream()?;
        let running = self.link.start(
            &job,
            &[],
            OwnedFd::from(output_end),
            OwnedFd::from(errors_end),
        )?;
        let (ended, hold) = (running.ended()?, running.hold()?);
        let docker = Arc::clone(self);
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
    let ran = settle(Taken::default(), &running.told(), Some(0));
    let ran =
        ran.map_err(|SandboxError(why)| io::Error::other(docker.life.gone_soon().unwrap_or(why)))?;
    match ran.ended {
        Told::Exited(0) => Ok(HarnessExit::Success),
        Told::Exited(code) => Ok(HarnessExit::Code(code)),
        Told::Signalled(signal) => Ok(HarnessExit::Signal(signal)),
        Told::Stopped => Ok(HarnessExit::Stopped),
        Told::NotStarted(why) => Err(io::Error::new(io::ErrorKind::NotFound, why)),
        Told::DiskFull => Err(io::Error::other("ended because it filled this host's disk")),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

impl Docker {
    /// Directories where the host's disk can be filled.
    fn disks(&self) -> Vec<PathBuf> {
        let mounts = self.setup.mounts.iter();
        let mounts = mounts.filter(|mount| mount.writable && mount.source.is_dir());
        let repository = self.setup.repository_writable.then_some(REPOSITORY);
        let repository = repository.map(PathBuf::from).into_iter();
        repository
            .chain(mounts.map(|mount| mount.target.clone()))
            .collect()
    }

    /// The variables that every process in the container needs to be what it is there.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let variables = self.environment.iter();
        let variables = variables.map(|(name, value)| match (name.as_str(), self.shell) {
            ("SHELL", Some(shell)) => (name.into(), shell.into()),
            _ => (name.into(), value.into()),
        });
        // Its relay says by itself where it is.
        let direct = self.setup.network.variables().into_iter();
        let direct = direct.filter(|(name, _)| name.eq_ignore_ascii_case("no_proxy"));
        variables
            .chain(direct.map(|(name, value)| (name.into(), value.into())))
            .collect()
    }

    /// What a program in the container answers on its standard output, with further variables.
    ///
    /// # Errors
    /// [`SandboxError`] when it fails, or says more than `bytes`.
    pub fn answer_of(
        &self,
        command: Vec<String>,
        given: &[(String, String)],
        bytes: usize,
    ) -> Result<String, SandboxError> {
        let command_line = command.join(" ");
        let errand = Errand {
            command,
            input: Vec::new(),
            deadline: limits::DOCKER_PATIENCE,
            quiet: true,
        };
        let mut said = Vec::new();
        let mut keep = |block: &[u8]| {
            if said.len() <= bytes {
                said.extend_from_slice(block);
            }
        };
        let ran = self.run_given(errand, given, &mut keep)?;
        match ran.ended {
            Told::Exited(0) if said.len() <= bytes => String::from_utf8(said)
                .map_err(|_| SandboxError(format!("{command_line}: not UTF-8"))),
            Told::Exited(0) => Err(SandboxError(format!(
                "{command_line}: larger than {}",
                count(bytes, "byte")
            ))),
            other => Err(SandboxError(format!(
                "{command_line} in the container: {other:?}"
            ))),
        }
    }

    /// The first line of what a program in the container says, asked its version.
    ///
    /// # Errors
    /// [`SandboxError`] when it is not there or fails.
    pub fn version_of(&self, program: &str) -> Result<String, SandboxError> {
        let errand = Errand {
            command: vec![program.to_owned(), "--version".to_owned()],
            input: Vec::new(),
            deadline: limits::DOCKER_PATIENCE,
            quiet: false,
        };
        let ran = self.run(errand, &mut |_| {})?;
        let said = String::from_utf8_lossy(&ran.output).into_owned();
        match ran.ended {
            Told::Exited(0) => Ok(said),
            Told::NotStarted(why) => Err(SandboxError(format!(
                "cannot start {program} in the image {}: {why}",
                self.setup.image
            ))),
            other => Err(SandboxError(format!(
                "{program} in the image {}: {other:?} {}",
                self.setup.image,
                said.trim()
            ))),
        }
    }
}
