//! A session's container: created, compared with what was asked, started, spoken with, attested. Whatever
//! differs refuses the start, and leaves nothing behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::jail::container_protocol::{HOME, REPOSITORY, RUN};
use crate::jail::spec::HELPER;
use crate::jail::unix_sockets;
use crate::sandbox::attestation::Planted;
use crate::sandbox::network;
use crate::sandbox::repo_triggers::Look;

use super::attestation;
use super::container::{ContainerConfig, Docker};
use super::control_socket::Awaited;
use super::engine::{Engine, Image};
use super::host_config::{Mount, Network, Wanted, check_mounts, check_target, told};
use super::image::find;
use super::watcher::{Held, Life};

fn failed(error: impl std::fmt::Display) -> SandboxError {
    SandboxError(error.to_string())
}

impl Docker {
    /// Makes a session's container, and looks into it.
    ///
    /// # Errors
    /// [`SandboxError`] when it cannot be made as it was asked for, or does not hold what it
    /// promises. Nothing of it is left then.
    pub fn prepare(setup: ContainerConfig) -> Result<Self, SandboxError> {
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
        // It must lie there when sockets are looked for, to be found.
        let planted = Planted::lay(&setup.repository, &setup.name);
        let wanted = wanted(&setup, &image, &run)?;
        let awaited = Awaited::listen(&run, setup.user).map_err(failed)?;

        let created = engine.create(&setup.name, &wanted.body());
        let (id, warnings) = created.map_err(failed)?;
        let held = Held {
            engine: engine.clone(),
            id: id.clone(),
        };
        if let Some(warning) = warnings.first() {
            return Err(SandboxError(format!("warning from Docker: {warning}")));
        }
        let inspected = engine.inspect(&id).map_err(failed)?;
        wanted.compare(&inspected)?;
        let life = Life::listen(
            engine.attach(&id).map_err(failed)?,
            held,
            Arc::clone(&setup.left),
        )
        .map_err(failed)?;
        engine.start(&id).map_err(failed)?;
        let link = awaited
            .accept(
                limits::DOCKER_PATIENCE,
                &|| life.gone(),
                setup.spawner.clone(),
            )
            .map_err(|why| SandboxError(format!("the container did not start: {why}")))?;
        let inspected = engine.inspect(&id).map_err(failed)?;
        wanted.compare(&inspected)?;
        wanted.compare_networks(&inspected)?;
        let first = inspected.pointer("/State/Pid").and_then(Value::as_i64);
        if first != Some(i64::from(link.peer)) {
            let problem = "the peer is not the container's first process";
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
        let (shell, seen) = attestation::attest(&docker, &wanted, planted.as_ref())?;
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
                "this Docker daemon maps user ids ({name}), so the container cannot own the \
                    repository. Use a daemon without user mapping, or --sandbox process"
            )));
        }
    }
    if !has("seccomp") {
        return Err(SandboxError(
            "this Docker daemon has no seccomp support".into(),
        ));
    }
    Ok(())
}

fn wanted(setup: &ContainerConfig, image: &Image, run: &Path) -> Result<Wanted, SandboxError> {
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
        check_target(&setup.repository)?;
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
    check_mounts(&mounts, &protected)?;
    if let Some(login) = &setup.login {
        // agp's own home and the daemons' sockets are no login, whoever says so.
        let never: Vec<PathBuf> = protected.iter().take(1).chain(daemons).cloned().collect();
        check_mounts(std::slice::from_ref(login), &never)?;
        mounts.push(login.clone());
    }
    mounts.extend(masks(&mounts, run)?);
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

/// Something over each socket of the host's in what is mounted, but for agp's own: a mount is the same file
/// system, and whoever listens there would answer.
fn masks(mounts: &[Mount], run: &Path) -> Result<Vec<Mount>, SandboxError> {
    let mut masks = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.source != run) {
        let sockets = unix_sockets::below(&mount.source).map_err(failed)?;
        masks.extend(sockets.iter().filter_map(|socket| {
            let name = socket.strip_prefix(&mount.source).ok()?;
            Some(Mount {
                source: PathBuf::from("/dev/null"),
                target: mount.target.join(name),
                writable: false,
            })
        }));
    }
    Ok(masks)
}

/// Where programs are when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image's `PATH` without the entries in which a command can put a program for later ones.
fn searched(path: &str) -> String {
    let changed = [REPOSITORY, HOME, "/tmp", "/dev/shm"];
    let sound = |entry: &&str| {
        let entry = Path::new(entry);
        entry.is_absolute() && !changed.iter().any(|place| entry.starts_with(place))
    };
    path.split(':').filter(sound).collect::<Vec<_>>().join(":")
}

/// The environment of a command: built, never inherited.
fn environment(setup: &ContainerConfig, image: &Image, directory: &Path) -> Vec<(String, String)> {
    let passed = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let passes = matches!(name.as_str(), "LANG" | "TERM" | "TZ") || name.starts_with("LC_");
        passes.then_some((name, value))
    });
    let path = searched(image.path.as_deref().unwrap_or(PATH));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_search_path_keeps_what_no_command_can_change() {
        let path =
            format!(":bin:{REPOSITORY}/node_modules/.bin:/tmp/x:{HOME}/bin:/opt/x/bin:/usr/bin");
        assert_eq!(searched(&path), "/opt/x/bin:/usr/bin");
    }
}
