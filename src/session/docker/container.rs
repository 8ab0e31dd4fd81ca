//! The container of a session: what was asked for, made, looked into; and what earlier sessions
//! left behind.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, json};

use crate::channels::escape;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::SessionId;
use crate::contracts::limits;
use crate::intendants::environment::variable;
use crate::intendants::executable::bridge_program;
use crate::journal::Handle;
use crate::report::failure::{Failure, complain};
use crate::sandbox::docker::container::{BOX, ContainerConfig, user_for};
use crate::sandbox::docker::engine::Engine;
use crate::sandbox::docker::host_config::Bounds;
use crate::sandbox::docker::image::{find, pinned};
use crate::sandbox::docker::reap::{Leftover, leftovers};
use crate::sandbox::network::Network;
use crate::sandbox::secrets::Secrets;
use crate::session::config::{self, Config};
use crate::session::context::SessionContext;
use crate::session::home::Home;
use crate::session::kinds::Provider;
use crate::session::lease;
use crate::session::private_paths::{private_paths, sockets};

/// The gateway's socket.
pub(crate) const GATE: &str = "gate.sock";

/// A container as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) image: String,
    pub(crate) bounds: Bounds,
    /// Whether the network is looked into before it is used.
    pub(crate) netcheck: bool,
}

/// The container that flags, environment and configuration ask for, where there is to be one.
pub(crate) fn requested(
    image: Option<String>,
    config: &Config,
    provider: Provider,
) -> Result<Option<Container>, Failure> {
    let file = config.sandbox.clone().unwrap_or_default();
    if provider != Provider::Docker {
        if image.is_some() {
            let problem = "--image needs --sandbox docker";
            return Err(Failure::usage(problem, "add --sandbox docker"));
        }
        return Ok(None);
    }
    let Some(image) = config::first(image, "AGP_SANDBOX_IMAGE", file.image) else {
        return Err(Failure::usage(
            "the Docker sandbox needs an image",
            "pass --image NAME:VERSION, or set AGP_SANDBOX_IMAGE or sandbox.image in config.json",
        ));
    };
    pinned(&image).map_err(|why| {
        Failure::usage(
            why,
            "pass --image NAME@sha256:.., NAME:VERSION, or sha256:..",
        )
    })?;
    Ok(Some(Container {
        image,
        bounds: bounds(file.memory, file.cpus, file.pids)?,
        netcheck: env::var_os("AGP_SANDBOX_SKIP_NETCHECK").is_none_or(|value| value != "1"),
    }))
}

fn bounds(memory: Option<u64>, cpus: Option<f64>, pids: Option<u32>) -> Result<Bounds, Failure> {
    const PAGE: u64 = 4096;
    let default = Bounds::default();
    let bounds = Bounds {
        // What the kernel counts in.
        memory: memory.map_or(default.memory, |bytes| bytes / PAGE * PAGE),
        cpus: cpus.unwrap_or(default.cpus),
        pids: pids.unwrap_or(default.pids),
    };
    let sound = bounds.memory >= limits::DOCKER_MEMORY_BYTES_MIN
        && (0.01..=1024.0).contains(&bounds.cpus)
        && bounds.pids >= 16;
    if !sound {
        return Err(Failure::refused(
            "config.json: sandbox.memory must be at least 33554432 bytes (32 MiB), cpus 0.01 to \
            1024, pids at least 16",
            "fix config.json, or remove these fields",
        ));
    }
    Ok(bounds)
}

/// What all containers of a session have in common.
pub(crate) fn setup(
    context: &SessionContext<'_>,
    container: &Container,
    directory: &Path,
) -> Result<ContainerConfig, Failure> {
    let bridge = bridge_program().map_err(|error| refused(&error.to_string()))?;
    let home = context.home.real_root();
    Ok(ContainerConfig {
        daemon: daemon()?,
        image: container.image.clone(),
        bridge: bridge.canonicalize().unwrap_or(bridge),
        session: context.session.as_str().to_owned(),
        name: format!("agp-{}", context.session),
        protected: [home.clone()].into_iter().chain(private_paths()).collect(),
        home,
        directory: directory.to_owned(),
        shown: BOX,
        repository: PathBuf::new(),
        repository_writable: true,
        at_own_path: false,
        user: user(),
        network: Network::Off,
        bounds: container.bounds,
        spawner: context.spawner.clone(),
        secrets: Secrets::default(),
        mounts: Vec::new(),
        login: None,
        environment: Vec::new(),
        sockets: sockets(),
        netcheck: container.netcheck,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
        lost: Arc::new(|_| {}),
        left: Arc::new(|text| complain(text)),
    })
}

/// User and group inside.
pub(crate) fn user() -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    user_for(uid.as_raw(), gid.as_raw())
}

/// Where the Docker daemon listens.
pub(crate) fn daemon() -> Result<PathBuf, Failure> {
    let host = variable("DOCKER_HOST");
    Engine::place(host.as_deref())
        .map_err(|why| Failure::usage(why, "unset DOCKER_HOST, or set it to unix:///PATH"))
}

pub(crate) fn refused(problem: &str) -> Failure {
    Failure::refused(
        format!(
            "the Docker sandbox is not available: {}",
            escape::line(problem)
        ),
        "run `agp doctor --check docker`, or omit --sandbox docker",
    )
}

/// Removes what sessions whose agp has died left with the daemon, and records each.
pub(crate) fn reap(home: &Home, journal: &Handle) -> Result<(), Failure> {
    let engine = meet()?;
    for left in left_behind(home, &engine)? {
        engine
            .remove(&left.container)
            .map_err(|error| refused(&error.to_string()))?;
        let payload = Map::from_iter([
            ("sessionId".to_owned(), json!(left.session)),
            ("container".to_owned(), json!(left.container)),
        ]);
        journal
            .append_one(Draft::new(Kind::SessionReaped, payload))
            .map(drop)
            .map_err(|error| Failure::broken(error, "run `agp doctor --check journal`"))?;
    }
    Ok(())
}

fn left_behind(home: &Home, engine: &Engine) -> Result<Vec<Leftover>, Failure> {
    let own_home = home.real_root();
    let live =
        |session: &str| SessionId::new(session).is_ok_and(|session| lease::is_live(home, &session));
    leftovers(engine, &own_home.to_string_lossy(), &live)
        .map_err(|error| refused(&error.to_string()))
}

/// The Docker daemon, where one answers.
pub(crate) fn meet() -> Result<Engine, Failure> {
    Engine::connect(&daemon()?).map_err(|error| {
        let mend = "start Docker (systemctl start docker), and join the docker group";
        Failure::refused(escape::line(&error.to_string()), mend)
    })
}

/// What `doctor` says of it: which one, whether the image that is set is there, and what was left
/// behind.
pub(crate) fn examine(
    home: &Home,
    engine: &Engine,
    image: Option<&str>,
) -> Result<String, Failure> {
    let daemon = format!(
        "{} at {}, API {}",
        escape::line(engine.server()),
        engine.socket().display(),
        engine.api()
    );
    let image = image.map(|image| (image, find(engine, image)));
    let image = match image {
        None => "no image configured".to_owned(),
        Some((image, Ok(found))) => format!("image {}, {}", escape::line(image), found.id),
        Some((_, Err(error))) => {
            let mend = "set --image, AGP_SANDBOX_IMAGE or sandbox.image (see docs/images.md)";
            return Err(Failure::refused(escape::line(&error.0), mend));
        }
    };
    let left = left_behind(home, engine)?;
    if left.is_empty() {
        return Ok(format!("{daemon}; {image}; no leftover containers"));
    }
    let names: Vec<String> = left
        .iter()
        .map(|left| escape::line(&left.session))
        .collect();
    Err(Failure::refused(
        format!("{daemon}; leftover containers of {}", names.join(", ")),
        "the next `agp run --sandbox docker` removes them",
    ))
}
