//! A session's container, which was attested: what it was made from, and what it is spoken with by.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::confine::Spawner;
use crate::sandbox::network;
use crate::sandbox::process::Output;
use crate::sandbox::repo_triggers::Look;
use crate::sandbox::secrets::Secrets;

use super::control_socket::ControlSocket;
use super::engine::Engine;
use super::host_config::{Bounds, Mount};
use super::watcher::Life;

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

/// What a container is made from.
pub struct ContainerConfig {
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
    /// Told what the end waits for, and what it leaves behind.
    pub left: Arc<dyn Fn(&str) + Send + Sync>,
}

impl ContainerConfig {
    /// What stands at `/run/agp`.
    pub(super) fn run(&self) -> PathBuf {
        self.directory.join(self.shown)
    }
}

/// A container that was attested.
pub struct Docker {
    pub(super) setup: ContainerConfig,
    pub(super) link: ControlSocket,
    pub(super) life: Life,
    pub(super) shell: Option<&'static str>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) look: Look,
    pub(super) daemon: (Engine, String),
    pub(super) attested: Map<String, Value>,
}

impl Docker {
    /// The payload of `sandbox.attested`, without the session.
    #[must_use]
    pub fn attestation(&self) -> Map<String, Value> {
        self.attested.clone()
    }

    /// Whether its shell is bash; another reads some words otherwise.
    #[must_use]
    pub fn has_bash(&self) -> bool {
        self.shell.is_some_and(|shell| shell.ends_with("bash"))
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
