//! The container of a probe: the harness of the session's own image, given what it has in a session,
//! and no network but a relay to the probe's model.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{HarnessError, HarnessHost};
use crate::intendants::probe_model_server::{ProbeCall, ProbeModel};
use crate::intendants::{claude_code, codex};
use crate::report::failure::Failure;
use crate::sandbox::docker::container::{BOX, Docker, HARNESS_BOX};
use crate::sandbox::docker::harness_exec::Tried;
use crate::sandbox::network::Network;
use crate::session::context::SessionContext;
use crate::session::docker::container::{self, Container};
use crate::session::docker::harness::{self, OwnContainer};
use crate::session::kinds::Harness;

/// The socket of the probe's model.
const MODEL: &str = "model.sock";
/// The port of the container's loopback that leads to it: not the relay's own of a session.
pub(crate) const MODEL_PORT: u16 = 3129;

/// A probe's container.
pub(crate) struct InContainer {
    docker: Arc<Docker>,
    /// The directory that stands in it at `/run/agp`.
    shown: PathBuf,
    harness: Harness,
}

/// What of a harness the container gives.
pub(crate) enum ContainerHarness {
    ClaudeCode(claude_code::ClaudeInstall, claude_code::Inside),
    Codex(codex::CodexInstall, codex::Inside),
}

impl InContainer {
    /// Makes it as the session will, around a repository of the probe's.
    pub(crate) fn ready(
        (context, container): (&SessionContext<'_>, &Container),
        harness: Harness,
        (root, session, answer_key): (&Path, &SessionId, String),
        deadline: Duration,
    ) -> Result<Self, Failure> {
        let repository = root.join("repo");
        let settings = OwnContainer {
            context,
            container,
            suffix: "probe",
            directory: root,
            repository: &repository,
            network: Network::Off,
            // Its model asks for none.
            login: None,
            lost: Arc::new(|_| {}),
        };
        let readied = |done: std::io::Result<()>| {
            done.map_err(|error| {
                let problem = format!("{}: {error}", repository.display());
                Failure::refused(problem, "free space in the temporary directory")
            })
        };
        let (docker, place) = match harness {
            Harness::Codex => {
                // It only looks into it: what writes there is agp's, elsewhere.
                let seen = Permissions::from_mode(0o755);
                readied(std::fs::set_permissions(&repository, seen))?;
                (harness::codex_container(settings)?, HARNESS_BOX)
            }
            Harness::ClaudeCode => {
                let (uid, gid) = container::user();
                readied(chown(&repository, Some(uid), Some(gid)))?;
                (
                    harness::claude_container(settings, (session, answer_key), deadline)?,
                    BOX,
                )
            }
        };
        Ok(Self {
            docker,
            shown: root.join(place),
            harness,
        })
    }

    /// The harness that the image has.
    pub(crate) fn find(&self) -> Result<ContainerHarness, HarnessError> {
        let place: Arc<dyn HarnessHost> = Arc::new(Tried {
            docker: Arc::clone(&self.docker),
            socket: PathBuf::from(MODEL),
            port: MODEL_PORT,
        });
        match self.harness {
            Harness::Codex => harness::codex_inside(&self.docker, place)
                .map(|(found, inside)| ContainerHarness::Codex(found, inside)),
            Harness::ClaudeCode => harness::claude_inside(&self.docker, place)
                .map(|(found, inside)| ContainerHarness::ClaudeCode(found, inside)),
        }
    }

    /// Its model.
    pub(crate) fn model(&self, calls: Vec<ProbeCall>) -> std::io::Result<ProbeModel> {
        let path = self.shown.join(MODEL);
        let model = ProbeModel::start_at(&path, calls)?;
        let (uid, gid) = container::user();
        chown(&path, Some(uid), Some(gid))?;
        Ok(model)
    }

    /// Its gateway's socket.
    pub(crate) fn gate(&self) -> PathBuf {
        self.shown.join(container::GATE)
    }
}
