//! The process sandbox: every call in a confinement of its own, without Docker and without root.

pub mod keeper_client;
pub mod output;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::confine::Spawner;
use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::contracts::sandbox::{Execution, SandboxError};
use crate::governor::Sandbox;
use crate::jail::isolation_probe::Sighting;
use crate::jail::spec::{HELPER, Limits, Namespaces, Sockets, Spec, Withheld};
use crate::jail::status::Told;
use crate::jail::writable_paths::Changeable;
use crate::journal::Permit;

use super::attestation::{self, Bait, Looks, PROBE, Unfit};
use super::call_command::{self, Unrunnable, Work, execution, not_run};
use super::network::{self, Network};
use super::repo_triggers::{Look, Withholding};
use super::secrets::Secrets;
use keeper_client::{Bridge, Held, Job, Maker, PendingKeeper, Standing};
use output::{Ran, Watch};

/// Takes a block of a command's output; an empty one is its end.
pub type Output = dyn Fn(&[u8]) + Send + Sync;

/// What a process sandbox is made from.
#[derive(Clone)]
pub struct ProcessConfig {
    /// The program that confines: `agp-bridge`, or `agp` itself.
    pub bridge: PathBuf,
    /// The repository: read, written, and the working directory.
    pub repository: PathBuf,
    /// What starts its processes.
    pub spawner: Spawner,
    /// A private directory outside of it, for listeners and for what becomes `/tmp`.
    pub directory: PathBuf,
    /// Paths that must not be reached. The first must be readable outside: agp's own home.
    pub protected: Vec<PathBuf>,
    /// Sockets that must not be reached, besides agp's own.
    pub sockets: Vec<PathBuf>,
    /// What may be read besides the system: `--allow-read`.
    pub read: Vec<PathBuf>,
    /// What may be changed besides the repository: `--allow-write`.
    pub write: Vec<PathBuf>,
    /// Finds what the policy withholds of all this.
    pub withholding: Arc<Withholding>,
    /// What network it has.
    pub network: Network,
    /// What is given to commands that ask for it by name, and to nobody else.
    pub secrets: Secrets,
    /// A name for this sandbox's listeners that nobody else has.
    pub token: String,
    /// The namespaces; `None` for the most that this kernel permits.
    pub namespaces: Option<Namespaces>,
    /// Takes the output of a command as it comes.
    pub output: Arc<Output>,
    /// Whether the session is over.
    pub stopped: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// A process sandbox that was attested.
pub struct Process {
    setup: ProcessConfig,
    /// The program that confines, as it was when this was prepared: a call can be confined ahead, before
    /// the gate looks whether the file at its path is still the same.
    bridge: Held,
    spec: Spec,
    /// What is withheld now, in a root of its own.
    withheld: Mutex<Vec<Withheld>>,
    attested: Map<String, Value>,
    refused: Vec<(Namespaces, String)>,
    environment: Vec<(OsString, OsString)>,
    look: Look,
    /// Whether the next call's confinement can be made ahead.
    ahead: bool,
    /// It: made while nobody waits for it.
    next: Mutex<Option<PendingKeeper>>,
}

/// Names of the operator's environment that a command gets.
const PASSED: [&str; 4] = ["LANG", "TERM", "TZ", "PATH"];
/// Where programs are when the operator has no `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl Process {
    /// Finds the strongest confinement that this kernel permits, and attests it.
    ///
    /// # Errors
    /// [`SandboxError`] when there is none, or it does not hold what it promises.
    pub fn prepare(setup: ProcessConfig) -> Result<Self, SandboxError> {
        let bridge = Held::open(&setup.bridge);
        let bridge =
            bridge.map_err(|error| SandboxError(format!("{}: {error}", setup.bridge.display())))?;
        let scratch = setup.directory.join("tmp");
        let home = scratch.join("home");
        let made = std::fs::create_dir_all(&home);
        made.map_err(|error| SandboxError(format!("{}: {error}", home.display())))?;
        let given = [&setup.repository].into_iter();
        for path in given.chain(&setup.write).chain(&setup.read) {
            attestation::apart_from_own_places(path)?;
            let holds = |private: &&PathBuf| private.starts_with(path) || path.starts_with(private);
            if let Some(private) = setup.protected.first().filter(holds) {
                let (private, path) = (private.display(), path.display());
                let problem = format!("agp's directory {private} overlaps the sandbox's {path}");
                return Err(SandboxError(problem));
            }
        }
        let ((spec, environment, attested), refused) =
            attestation::strongest(attestation::candidates(setup.namespaces), |namespaces| {
                let spec = spec(&setup, &scratch, namespaces);
                let environment = environment(&spec, &setup);
                attested(&setup, &spec, &environment).map(|attested| (spec, environment, attested))
            })?;
        let look = Look::start(&setup.repository);
        // A file that was named is bound as it is then, and may be replaced before the call.
        let mut named = setup.read.iter().chain(&setup.write);
        Ok(Self {
            ahead: named.all(|path| path.is_dir()),
            next: Mutex::default(),
            look: look.map_err(|error| SandboxError(error.to_string()))?,
            withheld: Mutex::new(spec.withheld.clone()),
            setup,
            bridge,
            spec,
            attested,
            refused,
            environment,
        })
    }

    /// The confinement of its commands.
    #[must_use]
    pub fn spec(&self) -> Spec {
        self.spec.clone()
    }

    /// The `PATH` of its commands.
    #[must_use]
    pub fn search_path(&self) -> Option<OsString> {
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        path.map(|(_, value)| value.clone())
    }

    /// The payload of `sandbox.attested`, without the session.
    #[must_use]
    pub fn attestation(&self) -> Map<String, Value> {
        self.attested.clone()
    }

    /// Which namespaces it has.
    #[must_use]
    pub fn namespaces(&self) -> Namespaces {
        self.spec.namespaces
    }

    /// What was tried before and not permitted, with the reason.
    #[must_use]
    pub fn refused(&self) -> &[(Namespaces, String)] {
        &self.refused
    }

    /// Runs a command, which agp itself asks for: no call of an agent comes this way.
    ///
    /// # Errors
    /// [`SandboxError`] when the sandbox itself failed.
    pub fn run(
        &self,
        command: &[OsString],
        input: &[u8],
        deadline: Duration,
    ) -> Result<Ran, SandboxError> {
        self.run_with(command, Vec::new(), input, deadline)
    }

    fn run_with(
        &self,
        command: &[OsString],
        variables: Vec<(String, String)>,
        input: &[u8],
        deadline: Duration,
    ) -> Result<Ran, SandboxError> {
        if let Some(problem) = command.iter().find_map(|word| keeper_client::unfit(word)) {
            return Ok(Ran::nothing(Told::NotStarted(problem.into())));
        }
        self.withhold_again()?;
        let made = self.next().take().and_then(|reply| reply.get().ok());
        // One that failed in the meantime, for want of memory say, is made anew.
        let standing = match made.filter(Standing::is_alive) {
            Some(standing) => standing,
            None => self.ask()?.get()?,
        };
        let running = standing.give(Job {
            command,
            variables,
            input,
            deadline,
            scrub: Some(self.setup.secrets.scrubber()),
        })?;
        self.stand_by();
        let mut watch = Watch {
            output: &mut |block| (self.setup.output)(block),
            stopped: &|| (self.setup.stopped)(),
        };
        let ran = running.follow(&mut watch);
        (self.setup.output)(&[]);
        ran
    }

    /// Has the next call's confinement made, unless it is. Each is used once.
    pub fn stand_by(&self) {
        let mut next = self.next();
        // The proxy of the way out listens later than the first confinement could be made, and one that
        // is made before has no way to it.
        let way_out = self.spec.relay.as_ref();
        let listens = way_out.is_none_or(|relay| relay.socket.exists());
        if next.is_none() && self.ahead && listens {
            // The call itself tells of what fails here.
            *next = self.ask().ok();
        }
    }

    /// Has a confinement made with what is withheld now.
    fn ask(&self) -> Result<PendingKeeper, SandboxError> {
        let spec = Spec {
            withheld: locked(&self.withheld).clone(),
            ..self.spec.clone()
        };
        let maker = Maker {
            spawner: &self.setup.spawner,
            bridge: Bridge::Held(&self.bridge),
            spec: &spec,
            environment: &self.environment,
        };
        maker.ask()
    }

    /// Looks for what is to be withheld once more, where a file that is has been moved or replaced: a call
    /// can rename a directory above it. Files that are made later are found then, too, and not before.
    fn withhold_again(&self) -> Result<(), SandboxError> {
        let there = |one: &Withheld| {
            let meta = std::fs::symlink_metadata(&one.path);
            meta.is_ok_and(|meta| meta.ino() == one.inode)
        };
        if locked(&self.withheld).iter().all(there) {
            return Ok(());
        }
        let now = self.look.withheld(&self.setup.withholding)?;
        *locked(&self.withheld) = now;
        drop(self.next().take());
        Ok(())
    }

    fn next(&self) -> MutexGuard<'_, Option<PendingKeeper>> {
        locked(&self.next)
    }
}

fn spec(setup: &ProcessConfig, scratch: &Path, namespaces: Namespaces) -> Spec {
    let write: Vec<&PathBuf> = [&setup.repository]
        .into_iter()
        .chain(&setup.write)
        .collect();
    // Below what may be changed a name stands for nothing: a call could put a link in its place, and
    // the next would have what that leads to. What lies there may be changed anyhow.
    let outermost = |path: &&PathBuf| {
        let mut others = write.iter().filter(|other| *other != path);
        !others.any(|other| path.starts_with(other))
    };
    let processes = match namespaces {
        Namespaces::User => limits::SANDBOX_PROCESSES,
        Namespaces::Direct | Namespaces::Off => limits::SANDBOX_PROCESSES_SHARED,
    };
    let mut spec = Spec {
        namespaces,
        read: setup.read.iter().filter(outermost).cloned().collect(),
        write: write.iter().copied().filter(outermost).cloned().collect(),
        placed: Vec::new(),
        // No command of it has a socket to connect.
        masked: Vec::new(),
        // Without a root of its own nothing can be mounted.
        withheld: match namespaces {
            Namespaces::Off => Vec::new(),
            Namespaces::User | Namespaces::Direct => (setup.withholding)(),
        },
        scratch: scratch.to_owned(),
        home: None,
        terminals: false,
        directory: setup.repository.clone(),
        helper: setup.bridge.clone(),
        sockets: Sockets::default(),
        relay: None,
        limits: Limits {
            processes,
            open_files: limits::SANDBOX_OPEN_FILES,
            file_bytes: limits::SANDBOX_FILE_BYTES,
            address_bytes: limits::SANDBOX_ADDRESS_BYTES,
            data_bytes: limits::SANDBOX_DATA_BYTES,
        },
        free_bytes: limits::SANDBOX_FREE_BYTES,
    };
    setup.network.give(&mut spec);
    spec
}

/// The environment of a command: built, never inherited.
fn environment(spec: &Spec, setup: &ProcessConfig) -> Vec<(OsString, OsString)> {
    let scratch = if spec.has_root() {
        Path::new("/tmp")
    } else {
        &spec.scratch
    };
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_str().unwrap_or_default();
            PASSED.contains(&name) || name.starts_with("LC_")
        })
        .collect();
    let write = [&setup.repository].into_iter().chain(&setup.write);
    let changeable = Changeable::shared(write).in_sandbox(&setup.read);
    for (_, value) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
        *value = changeable.search_path(value);
    }
    let mut set = |name: &str, value: &OsStr| environment.push((name.into(), value.to_owned()));
    if std::env::var_os("PATH").is_none() {
        set("PATH", OsStr::new(PATH));
    }
    set("HOME", scratch.join("home").as_os_str());
    set("TMPDIR", scratch.as_os_str());
    set("SHELL", OsStr::new("/bin/sh"));
    set("PWD", spec.directory.as_os_str());
    for (name, value) in setup.network.variables() {
        set(name, OsStr::new(&value));
    }
    environment
}

/// Looks around from outside and from inside.
fn attested(
    setup: &ProcessConfig,
    spec: &Spec,
    environment: &[(OsString, OsString)],
) -> Result<Map<String, Value>, Unfit> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unfit::Leaky(format!("{what}: {error}"));
    let mut bait = Bait::lay(&setup.directory, &setup.token)
        .map_err(|error| failed("cannot start the self-test's listeners", &error))?;
    bait.ask.unix.extend(setup.sockets.iter().cloned());
    bait.ask.read = reachable_paths(setup);
    bait.ask.write.clone_from(&spec.write);
    let outside = attestation::command(&setup.bridge, &bait.ask);
    let outside = from_outside(&outside)
        .map_err(|error| failed("the self-test outside the sandbox failed", &error))?;
    let outside = (outside, bait.arrived());

    // Inside also what must not be written is tried; outside it would be.
    let system = [Path::new("/usr"), Path::new("/etc")].map(Path::to_owned);
    bait.ask.write.extend(system);
    bait.ask.families = true;
    let hidden = spec.withheld.iter();
    let hidden = hidden.filter(|one| one.hidden && !one.path.is_dir());
    let hidden = hidden.take(limits::WITHHELD_TRIED);
    bait.ask.read.extend(hidden.map(|one| one.path.clone()));
    let trial = network::trial(&setup.network, &setup.directory, &setup.token)
        .map_err(|error| failed("cannot start the self-test's proxy", &error))?;
    let spec = &network::tried(spec, trial.as_ref(), &mut bait.ask);
    bait.ask
        .write
        .extend(setup.protected.iter().filter(|path| path.is_dir()).cloned());
    let program = if spec.has_root() {
        Path::new(HELPER)
    } else {
        &setup.bridge
    };
    let maker = Maker {
        spawner: &setup.spawner,
        bridge: Bridge::At(&setup.bridge),
        spec,
        environment,
    };
    let (inside, landlock) = from_inside(&maker, &attestation::command(program, &bait.ask))?;
    let looks = Looks {
        outside,
        inside: (inside, bait.arrived()),
        landlock,
    };
    Ok(attestation::judge(spec, &bait.ask, &looks)?)
}

/// The protected paths, without those that were allowed by name.
fn reachable_paths(setup: &ProcessConfig) -> Vec<PathBuf> {
    let allowed = |path: &Path| {
        let mut named = setup
            .read
            .iter()
            .chain(&setup.write)
            .chain([&setup.repository]);
        named.any(|allowed| path.starts_with(allowed) || allowed.starts_with(path))
    };
    let named = setup.protected.iter();
    named.filter(|path| !allowed(path)).cloned().collect()
}

/// Looks around in a confinement. Gives what was seen, and the Landlock interface in force there.
pub(super) fn from_inside(
    maker: &Maker<'_>,
    command: &[OsString],
) -> Result<(Sighting, u32), Unfit> {
    let job = Job {
        command,
        variables: Vec::new(),
        input: &[],
        deadline: PROBE,
        scrub: None,
    };
    let mut watch = Watch {
        output: &mut |_| {},
        stopped: &|| false,
    };
    let ran = maker
        .run(job, &mut watch)
        .map_err(|SandboxError(why)| Unfit::Unavailable(why))?;
    match &ran.ended {
        Told::Exited(0) => serde_json::from_slice(&ran.output)
            .map(|seen| (seen, ran.landlock))
            .map_err(|error| Unfit::Leaky(format!("the sandbox self-test failed: {error}"))),
        other => Err(Unfit::Leaky(format!(
            "the sandbox self-test ended unexpectedly: {other:?}"
        ))),
    }
}

pub(super) fn from_outside(command: &[OsString]) -> std::io::Result<Sighting> {
    let output = keeper_client::plain(command)?;
    serde_json::from_slice(&output).map_err(std::io::Error::other)
}

impl Sandbox for Process {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn describe(&self) -> Value {
        let attested = |name: &str| self.attested.get(name).cloned().unwrap_or_default();
        json!({
            "kind": "process",
            "network": self.setup.network.as_str(),
            "networkListed": self.setup.network.listed(),
            "namespaces": self.spec.namespaces.as_str(),
            "namespacesRefused": attestation::told(&self.refused),
            "landlock": attested("landlock"),
            "isolated": attested("isolated"),
            "notIsolated": attested("notIsolated"),
            "allowRead": self.setup.read,
            "allowWrite": self.setup.write,
            "withheld": self.spec.withheld,
            "limits": self.spec.limits,
            "vmGrade": false,
        })
    }

    fn exec(&self, permit: Permit) -> Result<Execution, SandboxError> {
        let call = permit.call();
        let secrets = &self.setup.secrets;
        let program = if self.spec.has_root() {
            Path::new(HELPER)
        } else {
            &self.setup.bridge
        };
        let shell = call_command::SHELLS
            .into_iter()
            .find(|shell| Path::new(shell).exists());
        let used = secrets.used_by(call);
        let work = used
            .map_err(Unrunnable::from)
            .and_then(|used| Work::of(call, used, program, shell));
        let work = match work {
            Ok(work) => work,
            Err(why) => return Ok(not_run(secrets.scrubbed(&why.to_string()))),
        };
        let given = secrets.variables(&work.secrets);
        let given = given
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let before = self.look.triggers()?;
        let ran = self.run_with(&work.command, given, &work.input, work.deadline)?;
        let planted = before.changed_in(&self.look.triggers()?);
        let mut execution = execution(ran, &planted);
        // Names of files can quote one.
        for note in &mut execution.notes {
            *note = secrets.scrubbed(note);
        }
        execution.answer = work.kind.answer(&execution, work.deadline);
        execution.secrets = work.secrets;
        Ok(execution)
    }
}
