//! The sandbox of a session: made as it was asked for, looked into, and told of.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::channels::escape;
use crate::confine::Spawner;
use crate::governor::Sandbox;
use crate::intendants::executable::bridge_program;
use crate::jail::spec::Spec;
use crate::sandbox::docker::container::Docker;
use crate::sandbox::network::Network;
use crate::sandbox::process::{Process, ProcessConfig};
use crate::sandbox::recording::Recording;
use crate::sandbox::repo_triggers::Withholding;
use crate::sandbox::secrets::Secrets;

use super::attend;
use super::context::SessionContext;
use super::docker::calls;
use super::home::Home;
use super::kinds::Provider;
use super::private_paths::{private_paths, sockets};
use super::withheld::withheld;
use crate::report::failure::Failure;

/// The sandbox of the session's calls, which may be used.
pub(crate) struct CallsSandbox {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// The same, where it is a container.
    pub(crate) container: Option<Arc<Docker>>,
    /// Its confinement, where it is the process sandbox.
    pub(crate) spec: Option<Spec>,
    /// The `PATH` of its commands.
    pub(crate) search_path: Option<OsString>,
    /// What `sandbox.attested` says, where there was something to look into.
    pub(crate) attested: Option<Map<String, Value>>,
}

/// Makes the session's sandbox, and looks into it.
///
/// # Errors
/// [`Failure`] when it cannot be made as it was asked for: nothing weaker is taken instead.
pub(crate) fn ready(context: &SessionContext<'_>) -> Result<CallsSandbox, Failure> {
    let options = context.options;
    if let Some(container) = &options.container {
        let docker = Arc::new(calls::ready(context, container)?);
        return Ok(CallsSandbox {
            attested: Some(docker.attestation()),
            spec: None,
            search_path: None,
            sandbox: Arc::clone(&docker) as _,
            container: Some(docker),
        });
    }
    if options.layout.provider() == Provider::Recording {
        let sandbox = Arc::new(Recording);
        return Ok(CallsSandbox {
            sandbox,
            container: None,
            spec: None,
            search_path: None,
            attested: None,
        });
    }
    let directory = &context.directory;
    let config = ProcessConfig {
        read: options.allow_read.clone(),
        write: options.allow_write.clone(),
        network: options.way_out.calls_network(directory),
        withholding: withholding(context),
        secrets: context.secrets.clone(),
        output: context.output(),
        stopped: context.stopped(),
        ..setup(
            context.home,
            &options.repository,
            directory,
            &context.spawner,
        )?
    };
    let process = Process::prepare(config).map_err(|error| refused(&error.0))?;
    process.stand_by();
    Ok(CallsSandbox {
        attested: Some(process.attestation()),
        spec: Some(process.spec()),
        search_path: process.search_path(),
        sandbox: Arc::new(process),
        container: None,
    })
}

/// Finds what the session's policy withholds of its repository.
fn withholding(context: &SessionContext<'_>) -> Arc<Withholding> {
    let policy = context.layers.policy.clone();
    let repository = context.options.repository.clone();
    let kept = context.kept_policies();
    Arc::new(move || withheld(&policy, &repository, &kept))
}

/// A sandbox for a probe's own repository.
///
/// # Errors
/// [`Failure`] when it cannot be made.
pub(crate) fn bare(
    home: &Home,
    repository: &Path,
    directory: &Path,
    spawner: &Spawner,
) -> Result<Arc<dyn Sandbox>, Failure> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(directory);
    made.map_err(|error| refused(&format!("{}: {error}", directory.display())))?;
    let setup = setup(home, repository, directory, spawner)?;
    let process = Process::prepare(setup).map_err(|error| refused(&error.0))?;
    Ok(Arc::new(process))
}

/// The most that this machine permits, in words.
///
/// # Errors
/// [`Failure`] when it permits nothing that holds.
pub(crate) fn permitted(home: &Home) -> Result<String, Failure> {
    let base = std::env::temp_dir().join(format!("agp-doctor-{}", std::process::id()));
    let repository = base.join("repository");
    let made = std::fs::create_dir_all(&repository);
    made.map_err(|error| refused(&format!("{}: {error}", base.display())))?;
    let process = spawner()
        .and_then(|spawner| setup(home, &repository, &base, &spawner))
        .and_then(|setup| with_a_home(setup, &base))
        .and_then(|setup| Process::prepare(setup).map_err(|error| refused(&error.0)));
    // What stays behind is empty, and in the temporary directory.
    let _ = std::fs::remove_dir_all(&base);
    let process = process?;
    let attested = process.attestation();
    let landlock = attested.get("landlock").cloned().unwrap_or_default();
    let mut summary = format!(
        "process: isolation verified (namespaces {}, Landlock {landlock}, seccomp)",
        process.namespaces().as_str()
    );
    for (namespaces, why) in process.refused() {
        summary.push_str(&format!(
            "; namespaces {} not available: {why}",
            namespaces.as_str()
        ));
    }
    Ok(summary)
}

/// Before `agp init` there is no home of agp's to keep anybody out of: a directory stands for it.
fn with_a_home(mut setup: ProcessConfig, base: &Path) -> Result<ProcessConfig, Failure> {
    if let Some(home) = setup.protected.first_mut().filter(|home| !home.exists()) {
        *home = base.join("home");
        let made = std::fs::create_dir(&*home);
        made.map_err(|error| refused(&format!("{}: {error}", home.display())))?;
    }
    Ok(setup)
}

/// Starts the thread that starts processes.
///
/// # Errors
/// [`Failure`] when it cannot be made.
pub(crate) fn spawner() -> Result<Spawner, Failure> {
    Spawner::start()
        .map_err(|error| Failure::refused(error, "run `agp doctor --check confinement`"))
}

fn refused(problem: &str) -> Failure {
    Failure::refused(
        format!(
            "the process sandbox is not available: {}",
            escape::line(problem)
        ),
        "run `agp doctor --check sandbox`, or use --sandbox recording (runs nothing)",
    )
}

fn setup(
    home: &Home,
    repository: &Path,
    directory: &Path,
    spawner: &Spawner,
) -> Result<ProcessConfig, Failure> {
    let bridge = bridge_program().map_err(|error| refused(&error.to_string()))?;
    let protected = [home.real_root()]
        .into_iter()
        .chain(private_paths())
        .collect();
    let token = directory.file_name().unwrap_or_default();
    Ok(ProcessConfig {
        bridge,
        repository: repository.to_owned(),
        spawner: spawner.clone(),
        directory: directory.to_owned(),
        protected,
        sockets: sockets().into_iter().chain(attend::sockets(home)).collect(),
        read: Vec::new(),
        write: Vec::new(),
        withholding: Arc::new(Vec::new),
        network: Network::Off,
        secrets: Secrets::default(),
        token: format!("{}-{}", token.to_string_lossy(), std::process::id()),
        namespaces: None,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
    })
}
