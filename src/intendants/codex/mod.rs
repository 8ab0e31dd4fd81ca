//! Codex: a home of its own for each session, in which the only tool server is agp's, and its rollout
//! read while it grows. agp's tools are the only ones it has.

pub(crate) mod config_error;
pub(crate) mod config_toml;
pub(crate) mod discovery;
pub(crate) mod exec_json;
pub(crate) mod rollout;
pub(crate) mod rollout_tail;
pub(crate) mod setup;

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, Builder};

use serde_json::{Map, Value, json};

use crate::confine::{self, Places, Profile};
use crate::contracts::intendant::{
    HarnessError, HarnessExit, HarnessFault, HarnessIdentity, Intendant, Observation,
};
use crate::contracts::limits;

use super::process;
use super::process::{Launch, Stop};
use super::{executable as programs, harness_git};
use config_error::ConfigError;
use config_toml as config;
use config_toml::Config;
use discovery::{AUTH, operators_home};
use rollout::Rollout;
use rollout_tail::Growth;
use setup::{ask, environment_of, server, unprepared};

pub use rollout::HARMLESS;
pub use setup::{Ask, CodexSetup, Inside};

pub use discovery::{
    CodexInstall, check_arguments, find, found_elsewhere, login, login_by_name, login_present,
    program,
};

/// What it says on standard error in every session.
const CHATTER: [&str; 2] = [
    "Reading additional input from stdin...",
    "WARNING: proceeding, even though we could not create PATH aliases",
];

/// A session of Codex.
pub struct Codex {
    identity: HarnessIdentity,
    launch: Launch,
    stop: Stop,
    sessions: PathBuf,
}

impl Codex {
    /// Makes the private home, checks that this version takes its settings, and prepares the start.
    ///
    /// # Errors
    /// [`HarnessError`] when the home cannot be written, or the harness would not be gated by it.
    pub fn prepare(setup: CodexSetup) -> Result<Self, HarnessError> {
        let bridge = programs::bridge_program().map_err(unprepared)?;
        if setup.inside.is_none() {
            let made = DirBuilder::new().mode(0o700).create(&setup.home);
            made.map_err(unprepared)?;
        }
        let operators = operators_home().filter(|_| setup.model.is_none());
        let mut carried = match &operators {
            Some(home) => config::carried(home)?,
            None => config::Carried::default(),
        };
        if !carried.left.is_empty() {
            let left = carried.left.join(" ");
            (setup.complain)(&format!("agp: ignored in your config.toml: {left}"));
        }
        // In a container a link would lead nowhere.
        if let Some(home) = operators.filter(|_| setup.inside.is_none()) {
            link_login(&home, &setup.home).map_err(unprepared)?;
        }
        let mut environment = environment_of(&setup, &carried.variables);
        let catalogue = ask(&setup, &environment, &["debug", "models", "--bundled"])?;
        let catalogue = config::direct(&catalogue)?;
        if let Some(base_url) = &setup.model {
            carried.table = config::of_ones_own(base_url, &catalogue)?;
        }
        setup.put("models.json", &catalogue)?;
        let text = Config {
            repository: setup
                .inside
                .as_ref()
                .map_or(&setup.repository, |inside| &inside.repository),
            catalogue: Some(setup.home_there().join("models.json")),
            server: server(&bridge, &setup),
        }
        .text(carried.table)?;
        setup.put("config.toml", &text)?;
        config::check_features(&ask(&setup, &environment, &["features", "list"])?)?;
        if let (Some(spec), Some(directory)) = (&setup.confinement, setup.socket.parent()) {
            let there = |path: &Path| spec.inside(path);
            harness_git::lay_out((directory, &bridge), there, &mut environment)
                .map_err(unprepared)?;
        }
        let identity = HarnessIdentity {
            name: "codex",
            version: setup.found.version.clone(),
            // In a container the image's own id, which the session records, vouches for it.
            binary_sha256: match setup.inside {
                None => Some(programs::digest(&setup.found.program).map_err(unprepared)?),
                Some(_) => None,
            },
        };
        let launch = Launch {
            leash: bridge,
            program: setup.found.program.clone(),
            arguments: arguments(&setup),
            environment,
            confinement: setup.confinement.clone(),
            place: setup
                .inside
                .as_ref()
                .map(|inside| Arc::clone(&inside.place)),
            directory: setup.repository.clone(),
            spawner: setup.spawner.clone(),
            complain: without_chatter(Arc::clone(&setup.complain)),
            spared: None,
        };
        Ok(Self {
            identity,
            launch,
            stop: setup.stop,
            sessions: setup.home.join("sessions"),
        })
    }
}

impl From<ConfigError> for HarnessError {
    fn from(error: ConfigError) -> Self {
        let fault = match error {
            ConfigError::Io { .. } | ConfigError::NotUtf8(_) | ConfigError::NotToml { .. } => {
                HarnessFault::CodexConfig
            }
            ConfigError::Repository => HarnessFault::RepositoryPath,
            ConfigError::CatalogueNotJson(_) | ConfigError::Catalogue(_) => {
                HarnessFault::CodexVersion
            }
            ConfigError::Unwritable(_) => HarnessFault::Unprepared,
        };
        fault.of(error)
    }
}

fn link_login(operators: &Path, home: &Path) -> io::Result<()> {
    let login = operators.join(AUTH);
    if login.exists() {
        symlink(login.canonicalize()?, home.join(AUTH))?;
    }
    Ok(())
}

fn without_chatter(complain: Arc<dyn Fn(&str) + Send + Sync>) -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(move |line| {
        if !CHATTER.iter().any(|known| line.starts_with(known)) {
            complain(line);
        }
    })
}

fn arguments(setup: &CodexSetup) -> Vec<OsString> {
    let fixed = [
        "exec",
        "--json",
        "--skip-git-repo-check",
        // It has nothing to write with.
        "-s",
        "read-only",
    ];
    let mut arguments: Vec<OsString> = fixed.map(OsString::from).into();
    let settings = config::overrides();
    arguments.extend(setup.arguments.iter().map(OsString::from));
    for setting in &settings {
        arguments.extend(["-c".into(), OsString::from(setting)]);
    }
    // Behind `--`, so that a task that begins with a dash is no option.
    arguments.extend(["--".into(), OsString::from(&setup.task)]);
    arguments
}

impl Intendant for Codex {
    fn identity(&self) -> &HarnessIdentity {
        &self.identity
    }

    fn describe(&self) -> Map<String, Value> {
        Map::from_iter([
            ("mode".to_owned(), json!("mediated")),
            (
                "confined".to_owned(),
                json!(self.launch.confinement.is_some() || self.launch.place.is_some()),
            ),
        ])
    }

    fn run(&mut self, observe: &mut dyn FnMut(Observation)) -> Result<HarnessExit, HarnessError> {
        let (seen, stream) = sync_channel(limits::OBSERVATIONS);
        let ended = AtomicBool::new(false);
        let (launch, stop, sessions) = (&self.launch, &self.stop, &self.sessions);
        let mut rollout = Rollout::default();
        let record = seen.clone();
        let follow = move |ended: &AtomicBool| {
            if let Err(error) = confine::enter(Profile::Rollout, &Places::none()) {
                let _ = record.send(Observation::Unreadable(error.to_string()));
                return;
            }
            rollout_tail::follow(sessions, ended, &mut |growth| {
                let observations = match growth {
                    Growth::Line(line) => rollout.line(line),
                    Growth::Lost(why) => vec![Observation::Unreadable(why.into())],
                };
                for observation in observations {
                    // Whoever listened has gone: the session is over.
                    let _ = record.send(observation);
                }
            });
        };
        let harness = move || {
            confine::enter(Profile::HarnessOutput, &Places::none())
                .map_err(|error| unstarted(&error))?;
            process::run(launch, stop, &mut |line| {
                for observation in exec_json::observations(line) {
                    let _ = seen.send(observation);
                }
            })
        };
        let threads = ["rollout", "harness-output"].map(|name| Builder::new().name(name.into()));
        let exit = run_both(threads, &ended, follow, harness, || {
            for observation in stream {
                observe(observation);
            }
        });
        exit.map_err(|error| unstarted(&error))?
            .unwrap_or_else(|_| {
                Err(HarnessFault::Agp.of("the thread that reads Codex's output panicked"))
            })
    }
}

/// Runs `follow` and `work`, each on a thread of its own, and `meanwhile` on this one. `follow` hears that
/// `work` has ended: also where it panicked, and where its thread could not be started.
fn run_both<T: Send>(
    [follower, worker]: [Builder; 2],
    ended: &AtomicBool,
    follow: impl FnOnce(&AtomicBool) + Send,
    work: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(),
) -> io::Result<thread::Result<T>> {
    thread::scope(|scope| {
        // Before the first start: what was started is waited for on each way out of here.
        let ending = Ending(ended);
        follower.spawn_scoped(scope, move || follow(ended))?;
        let worker = worker.spawn_scoped(scope, move || {
            let _ending = ending;
            work()
        })?;
        meanwhile();
        Ok(worker.join())
    })
}

/// Tells the rollout's thread that the harness has ended.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn unstarted(error: &io::Error) -> HarnessError {
    HarnessFault::NoThread.of(format_args!("cannot start a thread for Codex: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// More than any address space has room for.
    const ENDLESS_STACK: usize = 1 << 60;

    #[test]
    fn the_rollouts_thread_hears_of_an_ending_however_the_harness_ends() {
        let followed_to_its_end = |worker: Builder, work: fn()| {
            let (ended, heard) = (AtomicBool::new(false), AtomicBool::new(false));
            let follow = |ended: &AtomicBool| {
                let until = Instant::now() + Duration::from_secs(10);
                while !ended.load(Ordering::SeqCst) && Instant::now() < until {
                    thread::yield_now();
                }
                heard.store(ended.load(Ordering::SeqCst), Ordering::SeqCst);
            };
            let ran = run_both([Builder::new(), worker], &ended, follow, work, || ());
            assert!(heard.load(Ordering::SeqCst));
            ran
        };
        assert!(followed_to_its_end(Builder::new(), || ()).unwrap().is_ok());
        let panicked = followed_to_its_end(Builder::new(), || panic!("as it was told to"));
        assert!(panicked.unwrap().is_err());
        let unstarted = Builder::new().stack_size(ENDLESS_STACK);
        assert!(followed_to_its_end(unstarted, || ()).is_err());
    }
}
