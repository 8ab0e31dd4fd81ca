//! Calls in the session's container: each in the care of a keeper inside, its output taken as it
//! comes, its end told.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, pipe};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::contracts::limits;
use crate::contracts::sandbox::{Execution, SandboxError};
use crate::governor::Sandbox;
use crate::jail::container_protocol::{Job, REPOSITORY, RUN};
use crate::jail::spec::HELPER;
use crate::jail::status::Told;
use crate::journal::Permit;
use crate::sandbox::call_command::{Unrunnable, Work, execution, not_run};
use crate::sandbox::network::Network;
use crate::sandbox::process::keeper_client;
use crate::sandbox::process::output::{Feed, Ran, Taken, Watch, follow, settle};

use super::container::Docker;

/// A command of agp's own making.
pub struct Errand {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What it reads.
    pub input: Vec<u8>,
    /// How long it has.
    pub deadline: Duration,
    /// Whether what it says on standard error is left out of its output.
    pub quiet: bool,
}

impl Docker {
    /// Runs a command, which agp itself asks for: no call of an agent comes this way unasked.
    ///
    /// # Errors
    /// [`SandboxError`] when the container itself failed.
    pub fn run(&self, errand: Errand, output: &mut dyn FnMut(&[u8])) -> Result<Ran, SandboxError> {
        self.run_given(errand, &[], output)
    }

    /// The same with further variables.
    pub(super) fn run_given(
        &self,
        errand: Errand,
        given: &[(String, String)],
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<Ran, SandboxError> {
        let command = match &self.setup.network {
            Network::Listed { socket, .. } => relayed(socket, 0, errand.command),
            Network::Off | Network::Host => errand.command,
        };
        self.run_alone(Errand { command, ..errand }, given, output)
    }

    /// The same without the way out that commands have.
    pub(super) fn run_alone(
        &self,
        errand: Errand,
        given: &[(String, String)],
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<Ran, SandboxError> {
        if let Some(why) = self.life.gone() {
            return Err(SandboxError(why));
        }
        let mut words = errand.command.iter().map(OsStr::new);
        if let Some(problem) = words.find_map(keeper_client::unfit) {
            return Ok(Ran::nothing(Told::NotStarted(problem.into())));
        }
        let failed = |error: io::Error| {
            let gone = self.life.gone_soon();
            SandboxError(gone.unwrap_or_else(|| format!("the container failed: {error}")))
        };
        let job = Job {
            command: errand.command,
            environment: [&self.environment[..], given].concat(),
            directory: self.directory.clone(),
            deadline_millis: u64::try_from(errand.deadline.as_millis()).ok(),
            input_bytes: errand.input.len() as u64,
            disks: vec![PathBuf::from(REPOSITORY)],
            free_bytes: limits::SANDBOX_FREE_BYTES,
            apart: !self.setup.secrets.all().is_empty(),
        };
        let (reader, writer) = pipe().map_err(failed)?;
        rustix::io::ioctl_fionbio(&reader, true).map_err(|error| failed(error.into()))?;
        let writer = OwnedFd::from(writer);
        let errors = match errand.quiet {
            true => OwnedFd::from(File::create("/dev/null").map_err(failed)?),
            false => writer.try_clone().map_err(failed)?,
        };
        let mut running = self
            .link
            .start(&job, &errand.input, writer, errors)
            .map_err(failed)?;
        let until = Instant::now() + errand.deadline + limits::EXEC_GRACE;
        let mut watch = Watch {
            output,
            stopped: &|| (self.setup.stopped)(),
        };
        let mut feed = Feed::of(None, Vec::new()).map_err(failed)?;
        let taken = Taken::scrubbed_by(Some(self.setup.secrets.scrubber()));
        let taken = follow(&mut running, reader, &mut feed, &mut watch, until, taken);
        let taken = taken.inspect_err(|_| {
            // Nobody knows what runs in there now.
            self.link.close();
        });
        let taken = taken.map_err(failed)?;
        settle(taken, &running.told(), Some(0))
            .map_err(|SandboxError(why)| SandboxError(self.life.gone_soon().unwrap_or(why)))
    }
}

/// A command beside a relay of its own, which ends with it; `port` 0 is any that is free.
pub(super) fn relayed(socket: &Path, port: u16, command: Vec<String>) -> Vec<String> {
    let name = socket.file_name().unwrap_or_default();
    let socket = Path::new(RUN).join(name).display().to_string();
    let port = port.to_string();
    let words = [HELPER, "relay", "--socket", &socket, "--port", &port, "--"];
    words
        .map(str::to_owned)
        .into_iter()
        .chain(command)
        .collect()
}

impl Sandbox for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn describe(&self) -> Value {
        let attested = self.attestation();
        let part = |name: &str| attested.get(name).cloned().unwrap_or_default();
        json!({
            "kind": "docker",
            "image": part("image"),
            "imageId": part("imageId"),
            "daemon": part("daemon"),
            "container": part("container"),
            "user": part("user"),
            "network": self.setup.network.as_str(),
            "networkListed": self.setup.network.listed(),
            "netcheck": part("netcheck"),
            "mounts": part("mounts"),
            "limits": {
                "memory": part("memory"),
                "cpus": part("cpus"),
                "pids": part("pids"),
            },
            "isolated": part("isolated"),
            "notIsolated": part("notIsolated"),
            "vmGrade": false,
        })
    }

    fn exec(&self, permit: Permit) -> Result<Execution, SandboxError> {
        let call = permit.call();
        let secrets = &self.setup.secrets;
        let used = secrets.used_by(call);
        let work = used
            .map_err(Unrunnable::from)
            .and_then(|used| Work::of(call, used, Path::new(HELPER), self.shell));
        let work = match work {
            Ok(work) => work,
            Err(why) => return Ok(not_run(secrets.scrubbed(&why.to_string()))),
        };
        let command = work.command.iter();
        let errand = Errand {
            command: command
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            input: work.input,
            deadline: work.deadline,
            quiet: false,
        };
        let given = secrets.variables(&work.secrets);
        let given: Vec<(String, String)> = given
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let output = &self.setup.output;
        let before = self.look.triggers()?;
        let ran = self.run_given(errand, &given, &mut |block| output(block));
        output(&[]);
        let planted = before.changed_in(&self.look.triggers()?);
        let mut execution = execution(ran?, &planted);
        // Names of files can quote one.
        for note in &mut execution.notes {
            *note = secrets.scrubbed(note);
        }
        execution.answer = work.kind.answer(&execution, work.deadline);
        execution.secrets = work.secrets;
        Ok(execution)
    }
}
