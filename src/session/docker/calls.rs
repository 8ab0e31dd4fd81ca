//! The container of a session's calls, or of a harness that runs its own: made and looked into.

use std::path::Path;
use std::sync::Arc;

use super::container::{Container, refused, setup};
use super::harness::{hooked, named_files};
use crate::confine::Spawner;
use crate::contracts::ids::SessionId;
use crate::report::failure::{Failure, complain};
use crate::sandbox::docker::container::{BOX, ContainerConfig, Docker};
use crate::sandbox::docker::host_config::{Mount, check_target};
use crate::sandbox::process::Output;
use crate::sandbox::secrets::Secrets;
use crate::session::home::Home;
use crate::session::options::SessionOptions;

/// What a session's container is made within.
pub(crate) struct ContainerContext<'a> {
    pub(crate) home: &'a Home,
    pub(crate) options: &'a SessionOptions,
    pub(crate) secrets: &'a Secrets,
    pub(crate) spawner: &'a Spawner,
    pub(crate) session: &'a SessionId,
    /// The key that answers are signed with.
    pub(crate) answer_key: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) output: Arc<Output>,
    pub(crate) stopped: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) lost: Arc<dyn Fn(String) + Send + Sync>,
}

/// Makes a session's container, and looks into it.
pub(crate) fn ready(
    container: &Container,
    within: ContainerContext<'_>,
) -> Result<Docker, Failure> {
    if !container.netcheck {
        complain(
            "WARNING: AGP_SANDBOX_SKIP_NETCHECK=1: nobody looked whether the container has a network",
        );
    }
    let options = within.options;
    let mut mounts = named_mounts(options)?;
    if options.harness_inside() {
        let deadline = options.approval_deadline;
        let shown = within.directory.join(BOX);
        let named = (within.session, within.answer_key);
        mounts.extend(hooked(&shown, named, deadline)?);
        mounts.extend(named_files()?);
    }
    let setup = ContainerConfig {
        repository: options.repository.clone(),
        at_own_path: options.harness.is_program() && !options.choices().in_container(),
        network: options.way_out.calls_network(&within.directory.join(BOX)),
        secrets: within.secrets.clone(),
        mounts,
        output: within.output,
        stopped: within.stopped,
        lost: within.lost,
        left: Arc::new(|text| complain(text)),
        ..setup(
            container,
            within.home,
            within.spawner,
            within.session,
            within.directory,
        )?
    };
    Docker::prepare(setup).map_err(|error| refused(&error.0))
}

/// `--allow-read` and `--allow-write`, under their own names.
fn named_mounts(options: &SessionOptions) -> Result<Vec<Mount>, Failure> {
    // A harness on the host has these for itself.
    if options.harness.is_program() && !options.choices().in_container() {
        return Ok(Vec::new());
    }
    let read = options.allow_read.iter().map(|path| (path, false));
    let write = options.allow_write.iter().map(|path| (path, true));
    let mounts = read.chain(write).map(|(path, writable)| {
        check_target(path)
            .map_err(|why| Failure::usage(why, "name another path"))
            .map(|()| Mount {
                source: path.clone(),
                target: path.clone(),
                writable,
            })
    });
    mounts.collect()
}
