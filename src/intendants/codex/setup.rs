//! What a session of Codex needs to know, and what is made of that for it to start with: the files of its
//! home, its environment, and the commands by which it asks agp.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::config_toml::{GIT_DIR, Server};
use super::discovery::{CodexInstall, companions};
use crate::confine::Spawner;
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{HarnessError, HarnessFault, HarnessHost};
use crate::contracts::limits;
use crate::intendants::confined_query::{Question, Search};
use crate::intendants::environment;
use crate::intendants::gate_client::Asking;
use crate::intendants::process::{Stop, inside};
use crate::jail::spec::Spec;

/// What a session of Codex needs to know.
pub struct CodexSetup {
    /// The harness.
    pub found: CodexInstall,
    /// The session.
    pub session: SessionId,
    /// The gateway's socket.
    pub socket: PathBuf,
    /// The key that answers are signed with: base64 of its public half.
    pub answer_key: String,
    /// A private directory that does not exist yet, for its home.
    pub home: PathBuf,
    /// A model service of agp's own, in the place of the operator's, and without their login.
    pub model: Option<String>,
    /// What the agent is asked to do.
    pub task: String,
    /// Where.
    pub repository: PathBuf,
    /// How long an approval may take.
    pub patience: Duration,
    /// The operator's own arguments, already checked by [`check_arguments`](super::check_arguments).
    pub arguments: Vec<String>,
    /// Names of further variables to pass.
    pub environment: Vec<String>,
    /// Variables that have a value of agp's own, or none.
    pub set: Vec<(&'static str, Option<String>)>,
    /// The confinement that it is started in.
    pub confinement: Option<Spec>,
    /// How it was found, and is asked about itself.
    pub search: Search,
    /// What starts it.
    pub spawner: Spawner,
    /// The container that it runs in, where that is not this host. `home` is there then.
    pub inside: Option<Inside>,
    /// How it is stopped.
    pub stop: Stop,
    /// Takes each line of its standard error, and what was left of the operator's configuration.
    pub complain: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A container for Codex, and what stands where in it.
pub struct Inside {
    /// Where it is started.
    pub place: Arc<dyn HarnessHost>,
    /// What it answers there to a question about itself.
    pub ask: Box<Ask>,
    /// Variables that have another value there than here.
    pub environment: Vec<(OsString, OsString)>,
    /// Names of variables that mean nothing there.
    pub without: Vec<&'static str>,
    /// Its home.
    pub home: PathBuf,
    /// The repository.
    pub repository: PathBuf,
    /// `agp-bridge`.
    pub bridge: PathBuf,
    /// The gateway's socket.
    pub socket: PathBuf,
    /// User and group.
    pub owner: (u32, u32),
}

/// Asks a program something about itself: its words, and its environment.
pub type Ask = dyn Fn(&[&str], &[(OsString, OsString)]) -> Result<String, HarnessError>;

impl CodexSetup {
    /// Its home, as it knows it.
    pub(crate) fn home_there(&self) -> &Path {
        let inside = self.inside.as_ref();
        inside.map_or(&self.home, |inside| &inside.home)
    }

    /// Writes a file of its home.
    pub(crate) fn put(&self, name: &str, text: &str) -> Result<(), HarnessError> {
        let file = write(&self.home.join(name), text).map_err(unprepared)?;
        if let Some(Inside { owner, .. }) = &self.inside {
            fchown(&file, Some(owner.0), Some(owner.1)).map_err(unprepared)?;
        }
        Ok(())
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "made for map_err, which gives it away"
)]
pub(crate) fn unprepared(error: io::Error) -> HarnessError {
    HarnessFault::Unprepared.of(format_args!("cannot prepare Codex: {error}"))
}

pub(crate) fn environment_of(
    setup: &CodexSetup,
    variables: &[String],
) -> Vec<(OsString, OsString)> {
    let named = [setup.environment.as_slice(), variables].concat();
    let mut environment = environment::environment(&named, &setup.search.changeable);
    let home = setup.home_there().display().to_string();
    let home = ("CODEX_HOME", Some(home));
    // It asks git about the repository, unasked and outside of its own sandbox, and git runs the filters
    // that the repository's configuration names. So its own git finds no repository; its commands' does.
    let git = (GIT_DIR, Some("/dev/null".to_owned()));
    for (name, value) in [home, git].into_iter().chain(setup.set.clone()) {
        environment.retain(|(set, _)| set != name);
        environment.extend(value.map(|value| (name.into(), value.into())));
    }
    if let Some(inside) = &setup.inside {
        environment.retain(|(name, _)| {
            let other = inside.without.iter().any(|without| name == without);
            !other && !inside.environment.iter().any(|(set, _)| set == name)
        });
        environment.extend(inside.environment.iter().cloned());
        return environment;
    }
    if let Some(tools) = companions(&setup.found.program) {
        for (_, value) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
            let mut path = inside(setup.confinement.as_ref(), &tools).into_os_string();
            path.push(":");
            path.push(&*value);
            *value = path;
        }
    }
    environment
}

/// What it answers to a question about itself, in the session's own home and environment.
pub(crate) fn ask(
    setup: &CodexSetup,
    environment: &[(OsString, OsString)],
    words: &[&str],
) -> Result<String, HarnessError> {
    if let Some(inside) = &setup.inside {
        return (inside.ask)(words, environment);
    }
    setup.search.ask(&Question {
        program: &setup.found.program,
        words,
        environment,
        home: Some(&setup.home),
        bytes: limits::CATALOGUE_BYTES,
    })
}

fn write(path: &Path, text: &str) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// agp's tools, as Codex starts them.
pub(crate) fn server(bridge: &Path, setup: &CodexSetup) -> Server {
    let within = setup.patience + limits::EXEC_DEADLINE_MAX + limits::BRIDGE_GRACE;
    let there = |path: &Path| inside(setup.confinement.as_ref(), path);
    let (program, socket) = match &setup.inside {
        None => (there(bridge), there(&setup.socket)),
        Some(inside) => (inside.bridge.clone(), inside.socket.clone()),
    };
    let alone = setup.confinement.as_ref().is_some_and(Spec::has_root);
    let asking = Asking {
        socket: &socket,
        session: &setup.session,
        answer_key: &setup.answer_key,
        outside: alone || setup.inside.is_some(),
        within,
    };
    Server {
        program,
        arguments: asking.arguments("mcp", &[]),
        seconds: (within + limits::HOOK_GRACE).as_secs(),
    }
}
