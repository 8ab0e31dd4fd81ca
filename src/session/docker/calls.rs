//! The container of a session's calls, or of a harness that runs its own: made and looked into.

use std::sync::Arc;

use super::container::{self, Container, refused};
use super::harness::{hooked, named_files};
use crate::report::failure::{Failure, complain};
use crate::sandbox::docker::container::{BOX, ContainerConfig, Docker};
use crate::sandbox::docker::host_config::{Mount, check_target};
use crate::session::context::SessionContext;
use crate::session::layout::HarnessPlace;
use crate::session::options::SessionOptions;

/// Makes a session's container, and looks into it.
pub(crate) fn ready(
    context: &SessionContext<'_>,
    container: &Container,
) -> Result<Docker, Failure> {
    if !container.netcheck {
        complain(
            "WARNING: AGP_SANDBOX_SKIP_NETCHECK=1: the container's network isolation was not \
            tested",
        );
    }
    let options = context.options;
    let mut mounts = named_mounts(options)?;
    if options.layout.place() == HarnessPlace::SessionContainer {
        let session = (&context.session, context.answer_key());
        let deadline = options.patience();
        mounts.extend(hooked(&context.directory.join(BOX), session, deadline)?);
        mounts.extend(named_files()?);
    }
    let setup = ContainerConfig {
        repository: options.repository.clone(),
        at_own_path: options.layout.on_host(),
        network: options.way_out.calls_network(&context.directory.join(BOX)),
        secrets: context.secrets.clone(),
        mounts,
        output: context.output(),
        stopped: context.stopped(),
        lost: context.container_lost(),
        left: Arc::new(|text| complain(text)),
        ..container::setup(context, container, &context.directory)?
    };
    Docker::prepare(setup).map_err(|error| refused(&error.0))
}

/// `--allow-read` and `--allow-write`, under their own names.
fn named_mounts(options: &SessionOptions) -> Result<Vec<Mount>, Failure> {
    // A harness on the host has these for itself.
    if options.layout.on_host() {
        return Ok(Vec::new());
    }
    let read = options.allow_read.iter().map(|path| (path, false));
    let write = options.allow_write.iter().map(|path| (path, true));
    let mounts = read.chain(write).map(|(path, writable)| {
        check_target(path)
            .map_err(|why| Failure::usage(why, "use another path"))
            .map(|()| Mount {
                source: path.clone(),
                target: path.clone(),
                writable,
            })
    });
    mounts.collect()
}
