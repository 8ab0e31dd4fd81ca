//! What a container is asked to be, and whether the daemon's own account of it says the same: an
//! older daemon ignores in silence what it does not know.

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::jail::container_protocol::{HOME, REPOSITORY, RUN};
use crate::jail::spec::HELPER;

use super::mount_error::MountError;

/// The label that names the session.
pub const LABEL_SESSION: &str = "agp.session";
/// The label that names agp's home, whose sessions are its own to reap.
pub const LABEL_HOME: &str = "agp.home";
/// The label that names agp's version.
pub const LABEL_VERSION: &str = "agp.version";

/// What a container may use at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Bytes of memory; there is no swap.
    pub memory: u64,
    /// Cores.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory: limits::DOCKER_MEMORY_BYTES,
            cpus: limits::DOCKER_CPUS,
            pids: limits::DOCKER_PIDS,
        }
    }
}

/// What of the network a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None.
    None,
    /// The daemon's own bridge, and by it whatever the host reaches.
    Bridge,
}

impl Network {
    fn mode(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bridge => "bridge",
        }
    }
}

/// A directory or file of the host's that stands in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether it may be changed there.
    pub writable: bool,
}

/// A container as it is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The session.
    pub session: String,
    /// agp's home.
    pub home: PathBuf,
    /// The image's id: never a name, which could have been given to another meanwhile.
    pub image: String,
    /// User and group of every process inside.
    pub user: (u32, u32),
    /// Everything of the host's that it has.
    pub mounts: Vec<Mount>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its network.
    pub network: Network,
    /// Its bounds.
    pub bounds: Bounds,
}

/// CPU time is counted in these.
const NANOS_PER_CPU: f64 = 1e9;

impl Wanted {
    /// Nanoseconds of processor time a second.
    fn nano_cpus(&self) -> i64 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the configuration allows 0.01 to 1024 cores"
        )]
        let nanos = (self.bounds.cpus * NANOS_PER_CPU) as i64;
        nanos
    }

    /// The same, of each `period`.
    pub(super) fn processor_time(&self, period: u64) -> u64 {
        let nanos = u128::try_from(self.nano_cpus()).unwrap_or(0);
        let part = nanos * u128::from(period) / 1_000_000_000;
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    fn user(&self) -> String {
        let (uid, gid) = self.user;
        format!("{uid}:{gid}")
    }

    fn labels(&self) -> Value {
        json!({
            LABEL_SESSION: self.session,
            LABEL_HOME: self.home,
            LABEL_VERSION: env!("CARGO_PKG_VERSION"),
        })
    }

    /// The parts of `HostConfig` that are asked for, as they are also given back.
    fn host(&self) -> Value {
        let mounts: Vec<Value> = self
            .mounts
            .iter()
            .map(|mount| {
                json!({
                    "Type": "bind",
                    "Source": mount.source,
                    "Target": mount.target,
                    "ReadOnly": !mount.writable,
                    "BindOptions": {"Propagation": "rprivate"},
                })
            })
            .collect();
        json!({
            "NetworkMode": self.network.mode(),
            "CapDrop": ["ALL"],
            "Privileged": false,
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": true,
            "Tmpfs": {"/tmp": format!(
                "rw,exec,nosuid,nodev,size={},mode=1777",
                // What lies there counts as memory, and no process's end gives it back: all of it
                // must leave room for the processes.
                limits::DOCKER_TMP_BYTES.min(self.bounds.memory / 2)
            )},
            "ShmSize": limits::DOCKER_SHM_BYTES.min(self.bounds.memory / 8),
            "Memory": self.bounds.memory,
            // The same number of memory and swap together: no swap.
            "MemorySwap": self.bounds.memory,
            "NanoCpus": self.nano_cpus(),
            "PidsLimit": self.bounds.pids,
            "Ulimits": [
                {"Name": "core", "Hard": 0, "Soft": 0},
                {"Name": "fsize", "Hard": limits::SANDBOX_FILE_BYTES, "Soft": limits::SANDBOX_FILE_BYTES},
                {"Name": "nofile", "Hard": limits::SANDBOX_OPEN_FILES, "Soft": limits::SANDBOX_OPEN_FILES},
            ],
            "IpcMode": "private",
            // With the older control groups a daemon leaves it the host's.
            "CgroupnsMode": "private",
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            // It ends when agp does, and is then removed by whoever is still there.
            "AutoRemove": true,
            // agp-bridge is the init.
            "Init": false,
            "Mounts": mounts,
        })
    }

    /// The body of the request that creates it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({
            "Image": self.image,
            "Hostname": "agp",
            "User": self.user(),
            "WorkingDir": self.directory,
            "Entrypoint": [HELPER],
            "Cmd": ["inside"],
            "Env": [format!("HOME={HOME}")],
            "Labels": self.labels(),
            "Tty": false,
            "OpenStdin": false,
            "AttachStdout": true,
            "AttachStderr": true,
            "Healthcheck": {"Test": ["NONE"]},
            "NetworkDisabled": self.network == Network::None,
            "HostConfig": self.host(),
        })
    }

    /// Holds what the daemon says of the container against what was asked.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, inspected: &Value) -> Result<(), Mismatch> {
        let at = |path: &str| inspected.pointer(path).unwrap_or(&Value::Null);
        let differs = |path: &str, wanted: &Value| {
            let value = at(path);
            if said(value) == said(wanted) || (is_empty(value) && is_empty(wanted)) {
                return Ok(());
            }
            Err(Mismatch::Other {
                name: path.trim_start_matches('/').replace('/', "."),
                reported: value.clone(),
                wanted: wanted.clone(),
            })
        };
        let Value::Object(host) = self.host() else {
            return Err(Mismatch::Missing("host configuration"));
        };
        for (name, wanted) in &host {
            differs(&format!("/HostConfig/{name}"), wanted)?;
        }
        differs("/Image", &json!(self.image))?;
        differs("/Config/User", &json!(self.user()))?;
        differs("/Config/Entrypoint", &json!([HELPER]))?;
        differs("/Config/Cmd", &json!(["inside"]))?;
        let labels = at("/Config/Labels").as_object();
        let Value::Object(wanted) = self.labels() else {
            return Err(Mismatch::Missing("labels"));
        };
        if !wanted
            .iter()
            .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
        {
            return Err(Mismatch::Labels);
        }
        for name in EMPTY {
            let reported = at(&format!("/HostConfig/{name}"));
            if !is_empty(reported) {
                return Err(Mismatch::NotEmpty(name, reported.clone()));
            }
        }
        for (name, path) in [
            ("HostConfig.MaskedPaths", "/HostConfig/MaskedPaths"),
            ("HostConfig.ReadonlyPaths", "/HostConfig/ReadonlyPaths"),
        ] {
            if is_empty(at(path)) {
                return Err(Mismatch::Missing(name));
            }
        }
        self.compare_mounts(at("/Mounts"))
    }

    /// What is mounted must be what was asked for, and nothing else: an image can ask for volumes.
    fn compare_mounts(&self, mounts: &Value) -> Result<(), Mismatch> {
        let text = |mount: &Value, name: &str| -> String {
            let text = mount.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let mut left: Vec<&Mount> = self.mounts.iter().collect();
        for mount in mounts.as_array().into_iter().flatten() {
            let target = text(mount, "Destination");
            if text(mount, "Type") == "tmpfs" && target == "/tmp" {
                continue;
            }
            let writable = mount.get("RW").and_then(Value::as_bool);
            let known = left.iter().position(|wanted| {
                wanted.target == Path::new(&target)
                    && wanted.source == Path::new(&text(mount, "Source"))
                    && Some(wanted.writable) == writable
            });
            match known {
                Some(at) => drop(left.swap_remove(at)),
                None => return Err(Mismatch::Mount(target)),
            }
        }
        match left.first() {
            None => Ok(()),
            Some(missing) => Err(Mismatch::NotMounted(missing.target.clone())),
        }
    }

    /// Holds what the daemon says of the networks of a started container against what was asked.
    ///
    /// # Errors
    /// The first that was not asked for.
    pub fn compare_networks(&self, inspected: &Value) -> Result<(), Mismatch> {
        let networks = inspected.pointer("/NetworkSettings/Networks");
        let Some(networks) = networks.and_then(Value::as_object) else {
            return Err(Mismatch::Missing("networks"));
        };
        let mode = self.network.mode();
        match networks.keys().find(|name| *name != mode) {
            Some(other) => Err(Mismatch::Network(other.clone())),
            None => Ok(()),
        }
    }
}

/// What the daemon says of a container is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// A setting has another value.
    Other {
        /// The setting.
        name: String,
        /// What the daemon says.
        reported: Value,
        /// What was asked for.
        wanted: Value,
    },
    /// The daemon says nothing of this.
    Missing(&'static str),
    /// This part of `HostConfig` is not empty.
    NotEmpty(&'static str, Value),
    /// A label has another value.
    Labels,
    /// Something is mounted here that was not asked for.
    Mount(String),
    /// This is not mounted.
    NotMounted(PathBuf),
    /// The container is in another network.
    Network(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other {
                name,
                reported,
                wanted,
            } => write!(
                f,
                "the daemon reports {name} as {reported} instead of {wanted}"
            ),
            Self::Missing(name) => write!(f, "the daemon reports no {name}"),
            Self::NotEmpty(name, reported) => {
                write!(f, "the daemon reports HostConfig.{name} as {reported}")
            }
            Self::Labels => f.write_str("the daemon did not keep its labels"),
            Self::Mount(target) => write!(f, "unexpected mount {target}"),
            Self::NotMounted(target) => write!(f, "{} is not mounted", target.display()),
            Self::Network(name) => write!(f, "the container is in the network {name:?}"),
        }
    }
}

impl From<Mismatch> for SandboxError {
    fn from(mismatch: Mismatch) -> Self {
        Self(mismatch.to_string())
    }
}

/// Parts of `HostConfig` that must be empty: each would give something of the host's.
const EMPTY: [&str; 20] = [
    "Binds",
    "CapAdd",
    "CgroupParent",
    "ContainerIDFile",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Links",
    "PidMode",
    "PortBindings",
    "PublishAllPorts",
    "Sysctls",
    "UTSMode",
    "UsernsMode",
    "VolumeDriver",
    "VolumesFrom",
];

/// A value without the parts of it that say nothing: a daemon leaves out what is false or empty.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let parts = map.iter().map(|(name, part)| (name.clone(), said(part)));
            Value::Object(parts.filter(|(_, part)| !is_empty(part)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(said).collect()),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Directories of a container that nothing may be mounted over.
const OWN: [&str; 8] = [
    "/",
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/tmp",
    RUN,
    "/run/agp-bin",
];

/// Checks what is to be mounted: nothing of the host's own, nothing that is, holds, or lies in
/// what must not be reached.
///
/// # Errors
/// The first that may not be.
pub fn check_mounts(mounts: &[Mount], protected: &[PathBuf]) -> Result<(), MountError> {
    for mount in mounts {
        let path = mount.source.clone();
        let source = match mount.source.canonicalize() {
            Ok(source) => source,
            Err(error) => return Err(MountError::Io { path, error }),
        };
        if source != path {
            return Err(MountError::LeadsTo { path, end: source });
        }
        for system in [
            "/", "/proc", "/sys", "/dev", "/boot", "/run", "/var/run", "/etc", "/var",
        ] {
            if source == Path::new(system) {
                return Err(MountError::HostsOwn(path));
            }
        }
        for protected in protected {
            let Ok(protected) = protected.canonicalize() else {
                continue;
            };
            // A whole home is in the list only as what must not be given away whole.
            let whole = protected.parent() == Some(Path::new("/"));
            let within = !whole && source.starts_with(&protected);
            if protected.starts_with(&source) || within {
                return Err(MountError::Shows { path, protected });
            }
        }
        if mount.source.to_str().is_none() || mount.target.to_str().is_none() {
            return Err(MountError::NotUtf8(path));
        }
    }
    Ok(())
}

/// Whether a path of the host's may have the same name in the container.
///
/// # Errors
/// Which of the container's own it would hide.
pub fn check_target(target: &Path) -> Result<(), MountError> {
    let hides = |place: &&&str| {
        let place = Path::new(**place);
        place.starts_with(target)
            || (place != Path::new("/") && place != Path::new("/tmp") && target.starts_with(place))
    };
    match OWN.iter().chain(&[REPOSITORY]).find(hides) {
        Some(place) => Err(MountError::Hides {
            path: target.to_owned(),
            own: place,
        }),
        None => Ok(()),
    }
}

/// The payload of an attestation that tells of what was asked.
#[must_use]
pub fn told(wanted: &Wanted) -> Map<String, Value> {
    let mounts: Vec<Value> = wanted
        .mounts
        .iter()
        .map(|mount| json!({"source": mount.source, "target": mount.target, "writable": mount.writable}))
        .collect();
    let described = json!({
        "user": wanted.user(),
        "network": wanted.network.mode(),
        "memory": wanted.bounds.memory,
        "cpus": wanted.bounds.cpus,
        "pids": wanted.bounds.pids,
        "mounts": mounts,
    });
    match described {
        Value::Object(described) => described,
        _ => Map::new(),
    }
}
