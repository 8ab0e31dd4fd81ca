//! The confinement of a harness on the host: what of the machine it keeps.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::confine::Spawner;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;
use crate::jail::spec::{HARNESS, Limits, Namespaces, Placed, SCRATCH, Sockets, Spec, Withheld};
use crate::jail::unix_sockets;

use super::attestation;
use super::harness_attestation::{Bait, looked_into};
use super::network::Network;

/// What a harness is to have, and what it must not reach.
#[derive(Debug, Clone)]
pub struct HarnessHostConfig {
    /// The program that confines: `agp-bridge`, or `agp` itself.
    pub bridge: PathBuf,
    /// What starts the look around.
    pub spawner: Spawner,
    /// The session's private directory, outside of all that the harness may reach.
    pub directory: PathBuf,
    /// The repository: its working directory.
    pub repository: PathBuf,
    /// The operator's home, in whose place a private one stands where that can be had.
    pub home: Option<PathBuf>,
    /// What it may read and execute, besides the system.
    pub read: Vec<PathBuf>,
    /// What it may change. All of it must be there.
    pub write: Vec<PathBuf>,
    /// What it may change once it is there, when the harness starts.
    pub write_later: Vec<PathBuf>,
    /// The gateway's socket.
    pub gate: Placed,
    /// What else the gate is made of: none of it could be replaced without the gate being another.
    pub parts: Vec<Placed>,
    /// The harness's own program.
    pub program: PathBuf,
    /// What belongs to that: a directory around it, or the file alone.
    pub package: PathBuf,
    /// Paths that must not be reached. The first, agp's own home, must be readable outside.
    pub protected: Vec<PathBuf>,
    /// Sockets of those that could start a process outside.
    pub sockets: Vec<PathBuf>,
    /// Sockets at which something listens on this host now.
    pub listening: Vec<PathBuf>,
    /// How many more there are, which are not tried by name.
    pub untold: usize,
    /// Whether it may do without namespaces.
    pub without_namespaces: bool,
    /// Whether it may then be one in which dangerous sockets can be reached.
    pub weaker: bool,
    /// What the policy withholds of all this.
    pub withheld: Vec<Withheld>,
    /// What network it has: the host's, or a way out to listed hosts.
    pub network: Network,
    /// A name for the probe's listener that nobody else has.
    pub token: String,
    /// The namespaces; `None` for the most that this kernel permits.
    pub namespaces: Option<Namespaces>,
}

/// A confinement that was looked into, for one harness.
#[derive(Debug, Clone)]
pub struct Enclosure {
    spec: Spec,
    network: Network,
    attested: Map<String, Value>,
}

/// Finds the strongest confinement that this kernel permits, and looks into it.
///
/// # Errors
/// [`SandboxError`] when there is none, or something that must not be reached is.
pub fn prepare(setup: &HarnessHostConfig) -> Result<Enclosure, SandboxError> {
    let given = setup.write.iter().chain(&setup.read);
    for path in given {
        attestation::apart_from_own_places(path)?;
        no_socket(path)?;
        let overlaps = |private: &&PathBuf| private.starts_with(path) || path.starts_with(private);
        if let Some(private) = setup.protected.first().filter(overlaps) {
            let (private, path) = (private.display(), path.display());
            let problem = format!("agp's directory {private} overlaps the harness's {path}");
            return Err(SandboxError(problem));
        }
    }
    let scratch = setup.directory.join(SCRATCH);
    let home = scratch.join("home");
    let made = std::fs::create_dir_all(&home);
    made.map_err(|error| SandboxError(format!("{}: {error}", home.display())))?;
    let failed = |error: io::Error| SandboxError(error.to_string());
    // It must lie there when sockets are looked for, to be found.
    let bait = Bait::lay(setup).map_err(failed)?;
    let mut masked = Vec::new();
    for path in &setup.write {
        masked.extend(unix_sockets::below(path).map_err(failed)?);
    }
    let candidates = attestation::candidates(setup.namespaces).into_iter();
    let candidates =
        candidates.filter(|namespaces| setup.without_namespaces || *namespaces != Namespaces::Off);
    let ((mut spec, mut attested), refused) = attestation::strongest(candidates, |namespaces| {
        let spec = spec(setup, &scratch, &masked, namespaces);
        looked_into(setup, &spec, &bait).map(|attested| (spec, attested))
    })?;
    attested.insert("namespacesRefused".into(), attestation::told(&refused));
    spec.write.extend(setup.write_later.iter().cloned());
    let network = setup.network.clone();
    Ok(Enclosure {
        spec,
        network,
        attested,
    })
}

/// Refuses a socket that somebody names: whoever listens there would do what it is asked.
fn no_socket(path: &Path) -> Result<(), SandboxError> {
    let socket = std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = || {
        SandboxError(format!(
            "{} is a socket, and the sandbox admits none",
            path.display()
        ))
    };
    if socket { Err(refused()) } else { Ok(()) }
}

impl Enclosure {
    /// The confinement.
    #[must_use]
    pub fn spec(&self) -> Spec {
        self.spec.clone()
    }

    /// The namespaces that it has.
    #[must_use]
    pub fn namespaces(&self) -> Namespaces {
        self.spec.namespaces
    }

    /// The host's sockets that were reached from inside.
    #[must_use]
    pub fn open_sockets(&self) -> Vec<String> {
        let open = self.attested.get("openSockets").and_then(Value::as_array);
        let open = open.into_iter().flatten().filter_map(Value::as_str);
        open.map(str::to_owned).collect()
    }

    /// How many parts of the gate were tried to be replaced from inside, and how many sockets to be reached.
    #[must_use]
    pub fn tried(&self) -> [u64; 2] {
        let tried = self.attested.get("tried");
        ["replaced", "unix"].map(|name| {
            let count = tried.and_then(|tried| tried.get(name));
            count.and_then(Value::as_u64).unwrap_or(0)
        })
    }

    /// Variables that the harness gets with it: its temporary directory, and a home where the operator has none.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let scratch = temporary(&self.spec).display().to_string();
        let directories = ["TMPDIR", "CLAUDE_CODE_TMPDIR"].map(|name| (name, scratch.clone()));
        // Where the operator has none, the harness would take its working directory's or the system's for one.
        let home = temporary(&self.spec).join("home").display().to_string();
        let home = self.spec.home.is_none().then_some(("HOME", home));
        let all = directories
            .into_iter()
            .chain(home)
            .chain(self.network.variables());
        all.map(|(name, value)| (name, Some(value))).collect()
    }

    /// What was seen from inside, for `sandbox.attested`.
    #[must_use]
    pub fn attestation(&self) -> Map<String, Value> {
        self.attested.clone()
    }

    /// What it is made of, for `session.started`.
    #[must_use]
    pub fn describe(&self) -> Value {
        let attested = |name: &str| self.attested.get(name).cloned().unwrap_or_default();
        json!({
            "kind": "process",
            "network": self.network.as_str(),
            "networkListed": self.network.listed(),
            "namespaces": self.spec.namespaces.as_str(),
            "namespacesRefused": attested("namespacesRefused"),
            "landlock": attested("landlock"),
            "isolated": attested("isolated"),
            "notIsolated": attested("notIsolated"),
            "read": self.spec.read,
            "write": self.spec.write,
            "withheld": self.spec.withheld,
            "privateHome": self.spec.has_root() && self.spec.home.is_some(),
            "limits": told(&self.spec.limits),
            "vmGrade": false,
        })
    }
}

/// Its temporary directory, as it knows it.
pub(super) fn temporary(spec: &Spec) -> PathBuf {
    match spec.has_root() {
        true => "/tmp".into(),
        false => spec.scratch.clone(),
    }
}

/// Limits as events tell them: null where there is none.
fn told(limits: &Limits) -> Value {
    let mut values = json!(limits);
    let each = values.as_object_mut().map(Map::values_mut);
    for limit in each.into_iter().flatten() {
        if limit.as_u64() == Some(u64::MAX) {
            *limit = Value::Null;
        }
    }
    values
}

fn spec(
    setup: &HarnessHostConfig,
    scratch: &Path,
    masked: &[PathBuf],
    namespaces: Namespaces,
) -> Spec {
    let mut spec = Spec {
        namespaces,
        read: setup.read.clone(),
        write: setup.write.clone(),
        scratch: scratch.to_owned(),
        // The whole of /tmp is private already.
        home: setup.home.clone().filter(|home| home != Path::new("/tmp")),
        terminals: true,
        directory: setup.repository.clone(),
        helper: setup.bridge.clone(),
        sockets: Sockets {
            inet: true,
            unix: true,
        },
        relay: None,
        limits: Limits {
            processes: limits::SANDBOX_PROCESSES_SHARED,
            open_files: limits::HARNESS_OPEN_FILES,
            // What a harness reserves is its maker's business: only what it runs was ever bounded.
            file_bytes: u64::MAX,
            address_bytes: u64::MAX,
            data_bytes: u64::MAX,
        },
        placed: [&setup.gate]
            .into_iter()
            .chain(&setup.parts)
            .cloned()
            .collect(),
        masked: masked.to_vec(),
        // Without a root of its own nothing can be mounted.
        withheld: match namespaces {
            Namespaces::Off => Vec::new(),
            Namespaces::User | Namespaces::Direct => setup.withheld.clone(),
        },
        free_bytes: 0,
    };
    let later = setup.write_later.iter().map(PathBuf::as_path);
    match settled(&setup.package, spec.loose().chain(later)) {
        Some(placed) => spec.placed.push(placed),
        None => spec.read.push(setup.package.clone()),
    }
    setup.network.give(&mut spec);
    spec
}

/// Where a harness's package stands inside, if its own place is one where it, or a directory on the way
/// to it, could be made another: below what is `loose`.
fn settled<'a>(package: &Path, mut loose: impl Iterator<Item = &'a Path>) -> Option<Placed> {
    let below = loose.any(|loose| package.starts_with(loose));
    below.then(|| Placed {
        from: package.to_owned(),
        at: Path::new(HARNESS).join(package.file_name().unwrap_or_default()),
        write: false,
        foreign: true,
    })
}

/// Makes an empty private file that the harness may write to.
///
/// # Errors
/// What the file system gives.
pub fn empty_file(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_could_be_moved_stands_elsewhere_inside() {
        let settled = |package: &str, loose: &[&str]| {
            let loose = loose.iter().map(|path| Path::new(*path));
            settled(Path::new(package), loose).map(|placed| placed.at)
        };
        let loose = ["/tmp", "/home/u", "/srv/repo"];
        let moved = |name: &str| Some(Path::new(HARNESS).join(name));
        assert_eq!(settled("/opt/claude/bin/claude", &loose), None);
        assert_eq!(settled("/home/user/claude", &loose), None);
        for package in [
            "/home/u/.local/claude",
            "/srv/repo/claude",
            "/tmp/a/b/claude",
        ] {
            assert_eq!(settled(package, &loose), moved("claude"), "{package}");
        }
    }
}
