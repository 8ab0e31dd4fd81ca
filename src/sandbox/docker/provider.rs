//! A session's container: created, compared with what was asked, started, spoken with, attested;
//! and removed at its end. Whatever differs refuses the start, and leaves nothing behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::confine::Spawner;
use crate::confine::job::{HOME, REPOSITORY, RUN};
use crate::confine::spec::HELPER;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::sandbox::network;
use crate::sandbox::planted::Look;
use crate::sandbox::process::Output;
use crate::sandbox::secrets::Secrets;

use super::attest;
use super::control::{Awaited, Link};
use super::engine::{Engine, Image};
use super::hardened::{Bounds, Mount, Network, Wanted, check_mounts, check_target, told};
use super::image::pinned;
use super::life::{Held, Life};

/// What a container is made from.
pub struct Setup {
    /// Where the daemon listens.
    pub daemon: PathBuf,
    /// The image, pinned.
    pub image: String,
    /// `agp-bridge`, or `agp` itself: a static program.
    pub bridge: PathBuf,
    /// The session.
    pub session: String,
    /// The container's own name.
    pub name: String,
    /// agp's home, which marks its own containers.
    pub home: PathBuf,
    /// The session's private directory.
    pub directory: PathBuf,
    /// The directory of `directory` that stands at `/run/agp`, for sockets and nothing else.
    pub shown: &'static str,
    /// The repository.
    pub repository: PathBuf,
    /// Whether it may be changed there.
    pub repository_writable: bool,
    /// Whether the repository stands at its own path too, and calls run there: a harness on the host
    /// knows it by that name.
    pub at_own_path: bool,
    /// User and group inside.
    pub user: (u32, u32),
    /// Its network.
    pub network: network::Network,
    /// Its bounds.
    pub bounds: Bounds,
    /// What starts processes, those in the container too.
    pub spawner: Spawner,
    /// What is given to commands that ask for it by name, and to nobody else.
    pub secrets: Secrets,
    /// Further mounts.
    pub mounts: Vec<Mount>,
    /// The harness's login, which the operator named: it lies in what is otherwise not mounted.
    pub login: Option<Mount>,
    /// Further variables of every command.
    pub environment: Vec<(String, String)>,
    /// Paths of the host's that nothing inside may reach. The first is agp's home.
    pub protected: Vec<PathBuf>,
    /// Sockets of those that could start a process outside.
    pub sockets: Vec<PathBuf>,
    /// Whether the network is looked into.
    pub netcheck: bool,
    /// Takes the output of a command as it comes.
    pub output: Arc<Output>,
    /// Whether the session is over.
    pub stopped: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told when the container is gone in the middle of the session.
    pub lost: Arc<dyn Fn(String) + Send + Sync>,
}

impl Setup {
    /// What stands at `/run/agp`.
    pub(super) fn run(&self) -> PathBuf {
        self.directory.join(self.shown)
    }
}

/// A container that was attested.
pub struct Docker {
    pub(super) setup: Setup,
    pub(super) link: Link,
    pub(super) life: Life,
    pub(super) shell: Option<&'static str>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) look: Look,
    daemon: (Engine, String),
    attested: Map<String, Value>,
}

fn failed(error: impl std::fmt::Display) -> SandboxError {
    SandboxError(error.to_string())
}

/// The directories of a session that its containers have: sockets, and nothing else.
pub const BOX: &str = "container";
/// The same of a harness that has a container of its own.
pub const HARNESS_BOX: &str = "harness-container";

/// The user and group inside for an operator: his own, and nobody's for root.
#[must_use]
pub fn user_for(uid: u32, gid: u32) -> (u32, u32) {
    const NOBODY: u32 = 65534;
    if uid == 0 {
        (NOBODY, NOBODY)
    } else {
        (uid, gid)
    }
}

impl Docker {
    /// Makes a session's container, and looks into it.
    ///
    /// # Errors
    /// [`SandboxError`] when it cannot be had as it was asked for, or does not hold what it
    /// promises. Nothing of it is left then.
    pub fn prepare(setup: Setup) -> Result<Self, SandboxError> {
        let engine = Engine::connect(&setup.daemon).map_err(failed)?;
        fit(&engine)?;
        let image = find(&engine, &setup.image)?;
        let run = setup.run();
        let made = fs::DirBuilder::new()
            .mode(0o755)
            .recursive(true)
            .create(&run);
        made.map_err(|error| SandboxError(format!("{}: {error}", run.display())))?;
        // Whatever the umask: the user inside enters it. The directory above is agp's alone.
        fs::set_permissions(&run, Permissions::from_mode(0o755)).map_err(failed)?;
        let wanted = wanted(&setup, &image, &run)?;
        let awaited = Awaited::listen(&run, setup.user).map_err(failed)?;

        let created = engine.create(&setup.name, &wanted.body());
        let (id, warnings) = created.map_err(failed)?;
        let held = Held {
            engine: engine.clone(),
            id: id.clone(),
        };
        if let Some(warning) = warnings.first() {
            return Err(SandboxError(format!("the Docker daemon warns: {warning}")));
        }
        let inspected = engine.inspect(&id).map_err(failed)?;
        wanted.compare(&inspected).map_err(SandboxError)?;
        let life = Life::listen(engine.attach(&id).map_err(failed)?, held).map_err(failed)?;
        engine.start(&id).map_err(failed)?;
        let link = awaited
            .accept(
                limits::DOCKER_PATIENCE,
                &|| life.gone(),
                setup.spawner.clone(),
            )
            .map_err(|why| SandboxError(format!("the container did not come up: {why}")))?;
        let inspected = engine.inspect(&id).map_err(failed)?;
        wanted.compare(&inspected).map_err(SandboxError)?;
        wanted.compare_networks(&inspected).map_err(SandboxError)?;
        let first = inspected.pointer("/State/Pid").and_then(Value::as_i64);
        if first != Some(i64::from(link.peer)) {
            let problem = "what speaks to agp is not the container's first process";
            return Err(SandboxError(problem.into()));
        }
        let directory = if setup.at_own_path {
            setup.repository.clone()
        } else {
            PathBuf::from(REPOSITORY)
        };
        let environment = environment(&setup, &image, &directory);
        let mut docker = Self {
            link,
            life,
            shell: None,
            environment,
            directory,
            look: Look::start(&setup.repository).map_err(failed)?,
            daemon: (engine, id),
            attested: Map::new(),
            setup,
        };
        let (shell, seen) = attest::attest(&docker, &wanted).map_err(SandboxError)?;
        docker.shell = shell;
        docker.attested = docker.payload(&wanted, &image, seen);
        docker.life.tell(Arc::clone(&docker.setup.lost));
        Ok(docker)
    }

    fn payload(
        &self,
        wanted: &Wanted,
        image: &Image,
        seen: Map<String, Value>,
    ) -> Map<String, Value> {
        let mut payload = told(wanted);
        payload.insert("kind".into(), json!("docker"));
        payload.insert("image".into(), json!(self.setup.image));
        payload.insert("imageId".into(), json!(image.id));
        payload.insert("container".into(), json!(self.id()));
        payload.insert("daemon".into(), json!(self.daemon.0.server()));
        payload.insert("apiVersion".into(), json!(self.daemon.0.api()));
        payload.extend(seen);
        payload.insert("network".into(), json!(self.setup.network.as_str()));
        payload
    }

    /// The payload of `sandbox.attested`, without the session.
    #[must_use]
    pub fn attestation(&self) -> Map<String, Value> {
        self.attested.clone()
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        let (_, id) = &self.daemon;
        id
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.life.leave();
        // Ends everything inside at once; that it is removed follows, with its life.
        self.link.close();
    }
}

/// Whether the daemon maps users as they are, and filters system calls.
fn fit(engine: &Engine) -> Result<(), SandboxError> {
    let options = engine.security_options().map_err(failed)?;
    let has = |name: &str| {
        let name = format!("name={name}");
        options
            .iter()
            .any(|option| option.split(',').next() == Some(&name))
    };
    for name in ["rootless", "userns"] {
        if has(name) {
            return Err(SandboxError(format!(
                "this Docker daemon maps users ({name}): nobody inside would be the repository's owner. \
                 Use a daemon without, or --sandbox process"
            )));
        }
    }
    if !has("seccomp") {
        return Err(SandboxError(
            "this Docker daemon filters no system calls (seccomp)".into(),
        ));
    }
    Ok(())
}

/// The image of a reference: pinned, there, and bounded.
///
/// # Errors
/// [`SandboxError`] when it is not.
pub fn find(engine: &Engine, reference: &str) -> Result<Image, SandboxError> {
    pinned(reference).map_err(|why| {
        SandboxError(format!(
            "{why}. Pin it: NAME@sha256:…, NAME:VERSION, or sha256:…"
        ))
    })?;
    let image = engine.image(reference).map_err(|error| {
        if error.status() == Some(404) {
            return SandboxError(format!(
                "the image {reference} is not on this machine, and agp fetches none: docker pull {reference}"
            ));
        }
        failed(error)
    })?;
    let digest = reference.split_once('@').map(|(_, digest)| digest);
    let digest = digest.or_else(|| super::engine::is_digest(reference).then_some(reference));
    let known = digest.is_none_or(|digest| {
        image.id == digest || image.digests.iter().any(|known| known.ends_with(digest))
    });
    if !known {
        return Err(SandboxError(format!(
            "the Docker daemon gives {} for {reference}",
            image.id
        )));
    }
    if let Some(volume) = image.volumes.first() {
        return Err(SandboxError(format!(
            "the image {reference} wants {volume} to be a volume, which nothing bounds: build one \
             without VOLUME"
        )));
    }
    Ok(image)
}

fn wanted(setup: &Setup, image: &Image, run: &Path) -> Result<Wanted, SandboxError> {
    let mount = |source: &Path, target: &str, writable| Mount {
        source: source.to_owned(),
        target: PathBuf::from(target),
        writable,
    };
    let mut mounts = vec![
        mount(&setup.repository, REPOSITORY, setup.repository_writable),
        mount(run, RUN, false),
        mount(&setup.bridge, HELPER, false),
    ];
    if setup.at_own_path {
        check_target(&setup.repository).map_err(SandboxError)?;
        mounts.push(Mount {
            source: setup.repository.clone(),
            target: setup.repository.clone(),
            writable: true,
        });
    }
    mounts.extend(setup.mounts.iter().cloned());
    let daemons = setup.sockets.iter().chain([&setup.daemon]);
    let protected = setup.protected.iter().chain(daemons.clone());
    let protected: Vec<PathBuf> = protected.cloned().collect();
    check_mounts(&mounts, &protected).map_err(SandboxError)?;
    if let Some(login) = &setup.login {
        // agp's own home and the daemons' sockets are no login, whoever says so.
        let never: Vec<PathBuf> = protected.iter().take(1).chain(daemons).cloned().collect();
        check_mounts(std::slice::from_ref(login), &never).map_err(SandboxError)?;
        mounts.push(login.clone());
    }
    let directory = if setup.at_own_path {
        setup.repository.clone()
    } else {
        PathBuf::from(REPOSITORY)
    };
    Ok(Wanted {
        session: setup.session.clone(),
        home: setup.home.clone(),
        image: image.id.clone(),
        user: setup.user,
        mounts,
        directory,
        network: match setup.network {
            network::Network::Host => Network::Bridge,
            network::Network::Off | network::Network::Listed { .. } => Network::None,
        },
        bounds: setup.bounds,
    })
}

/// Where programs are when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a command: built, never inherited.
fn environment(setup: &Setup, image: &Image, directory: &Path) -> Vec<(String, String)> {
    let passed = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let passes = matches!(name.as_str(), "LANG" | "TERM" | "TZ") || name.starts_with("LC_");
        passes.then_some((name, value))
    });
    let path = image.path.clone().unwrap_or_else(|| PATH.to_owned());
    let set = [
        ("PATH", path.as_str()),
        ("HOME", HOME),
        ("TMPDIR", "/tmp"),
        ("SHELL", "/bin/sh"),
        ("PWD", directory.to_str().unwrap_or(REPOSITORY)),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut environment: Vec<(String, String)> = passed.chain(set).collect();
    for (name, value) in &setup.environment {
        environment.retain(|(set, _)| set != name);
        environment.push((name.clone(), value.clone()));
    }
    environment
}
