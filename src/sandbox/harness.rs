//! The confinement of a harness on the host: what of the machine it keeps, and a look around from
//! inside before it starts.

use std::fs::OpenOptions;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::confine::Spawner;
use crate::confine::isolation::{Ask, Seen};
use crate::confine::spec::{HELPER, Limits, Namespaces, Sockets, Spec};
use crate::confine::told::Told;
use crate::contracts::limits;
use crate::contracts::sandbox::SandboxError;

use super::attest::{self, LANDLOCK_SIGNALS, PROBE, STATUS, Unfit, Wires};
use super::exec::{Bridge, Job, Maker};
use super::follow::Watch;
use super::network::{self, Network};
use super::process::from_outside;

/// What a harness is to have, and what it must not reach.
#[derive(Debug, Clone)]
pub struct Setup {
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
    /// Paths that must not be reached. The first, agp's own home, must be readable outside.
    pub protected: Vec<PathBuf>,
    /// Sockets of those that could start a process outside.
    pub sockets: Vec<PathBuf>,
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

/// Name of the directory that is the harness's own `/tmp`, in the session's.
pub const SCRATCH: &str = "harness-tmp";

/// Finds the strongest confinement that this kernel permits, and looks into it.
///
/// # Errors
/// [`SandboxError`] when there is none, or something that must not be reached is.
pub fn prepare(setup: &Setup) -> Result<Enclosure, SandboxError> {
    let given = setup.write.iter().chain(&setup.read);
    for path in given {
        let overlaps = |own: &&PathBuf| own.starts_with(path) || path.starts_with(own);
        if let Some(own) = setup.protected.first().filter(overlaps) {
            let (own, path) = (own.display(), path.display());
            let problem = format!("{own}, agp's own, and {path}, the harness's, overlap");
            return Err(SandboxError(problem));
        }
    }
    let scratch = setup.directory.join(SCRATCH);
    let home = scratch.join("home");
    let made = std::fs::create_dir_all(&home);
    made.map_err(|error| SandboxError(format!("{}: {error}", home.display())))?;
    let ((mut spec, mut attested), refused) = attest::strongest(setup.namespaces, |namespaces| {
        let spec = spec(setup, &scratch, namespaces);
        looked_into(setup, &spec).map(|attested| (spec, attested))
    })?;
    attested.insert("namespacesRefused".into(), attest::told(&refused));
    spec.write.extend(setup.write_later.iter().cloned());
    let network = setup.network.clone();
    Ok(Enclosure {
        spec,
        network,
        attested,
    })
}

impl Enclosure {
    /// The confinement, as the leash takes it.
    ///
    /// # Errors
    /// [`SandboxError`] when a path is not UTF-8.
    pub fn spec(&self) -> Result<String, SandboxError> {
        serde_json::to_string(&self.spec).map_err(|error| SandboxError(error.to_string()))
    }

    /// Variables that the harness gets with it: its temporary directory.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let scratch = if self.spec.has_root() {
            "/tmp".to_owned()
        } else {
            self.spec.scratch.display().to_string()
        };
        let temporary = ["TMPDIR", "CLAUDE_CODE_TMPDIR"].map(|name| (name, scratch.clone()));
        let all = temporary.into_iter().chain(self.network.variables());
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
            "privateHome": self.spec.has_root() && self.spec.home.is_some(),
            "limits": told(&self.spec.limits),
            "vmGrade": false,
        })
    }
}

/// Limits as events tell them: null where there is none.
fn told(limits: &Limits) -> Value {
    let mut told = json!(limits);
    let each = told.as_object_mut().map(Map::values_mut);
    for limit in each.into_iter().flatten() {
        if limit.as_u64() == Some(u64::MAX) {
            *limit = Value::Null;
        }
    }
    told
}

fn spec(setup: &Setup, scratch: &Path, namespaces: Namespaces) -> Spec {
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
        free_bytes: 0,
    };
    setup.network.give(&mut spec);
    spec
}

/// What stands for the gateway, and for what must not be reached, while the probe looks.
struct Bait {
    _listeners: [UnixListener; 3],
    paths: [PathBuf; 2],
}

impl Bait {
    fn lay(setup: &Setup, name: &str) -> io::Result<Self> {
        let paths = ["try.sock", "bait.sock"].map(|name| setup.directory.join(name));
        let [gate, bait] = &paths;
        let _listeners = [
            UnixListener::bind(gate)?,
            UnixListener::bind(bait)?,
            UnixListener::bind_addr(&UnixAddr::from_abstract_name(name)?)?,
        ];
        Ok(Self { _listeners, paths })
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        for path in &self.paths {
            // The directory goes with the session.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Looks around inside, where a socket that stands for the gateway's is open in the same way.
fn looked_into(setup: &Setup, spec: &Spec) -> Result<Map<String, Value>, Unfit> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unfit::Leaky(format!("{what}: {error}"));
    let name = format!("agp-harness-{}", setup.token);
    let bait = Bait::lay(setup, &name).map_err(|error| failed("the probe's listeners", &error))?;
    let [gate, hidden] = bait.paths.clone();
    let mut spec = spec.clone();
    spec.read.push(gate.clone());
    let spec = &spec;
    let own = std::process::id();
    let memory = ["mem", "environ"].map(|name| PathBuf::from(format!("/proc/{own}/{name}")));
    let mut unix = vec![gate.clone(), hidden.clone()];
    unix.extend(setup.sockets.iter().cloned());
    let mut ask = Ask {
        abstract_name: name,
        unix,
        read: barred(setup).chain(memory).collect(),
        process: i32::try_from(own).unwrap_or(0),
        ..Ask::default()
    };
    // The host's network is not kept away unless it has one of its own.
    let wires = spec.has_network().then(|| Wires::lay(&mut ask)).transpose();
    let wires = wires
        .map_err(|error| failed("the probe's listeners", &error))?
        .unwrap_or_default();
    ask.token.clone_from(&setup.token);
    let outside = from_outside(&attest::command(&setup.bridge, &ask))
        .map_err(|error| failed("the probe outside", &error))?;
    attest::all_arrived(&ask, wires.arrived(&ask.token)).map_err(Unfit::Leaky)?;
    let trial = network::trial(&setup.network, &setup.directory, &setup.token)
        .map_err(|error| failed("the proxy to try", &error))?;
    let spec = &network::tried(spec, trial.as_ref(), &mut ask);
    let directories = |paths: &[PathBuf]| -> Vec<PathBuf> {
        paths.iter().filter(|path| path.is_dir()).cloned().collect()
    };
    let writable = directories(&spec.write);
    let barred_directories = directories(&barred(setup).collect::<Vec<_>>());
    ask.write = [writable.clone(), barred_directories].concat();
    ask.write.extend(["/usr", "/etc"].map(PathBuf::from));
    ask.families = true;
    let inside = inside(setup, spec, &ask)?;
    if wires.arrived(&ask.token) > 0 {
        let problem = "something arrived from inside at agp's own listeners";
        return Err(Unfit::Leaky(problem.into()));
    }
    judge(&Looked {
        spec,
        ask: &ask,
        gate: &gate,
        hidden: &hidden,
        writable: &writable,
        outside: &outside,
        inside: &inside.0,
        landlock: inside.1,
    })
    .map_err(Unfit::Leaky)
}

/// The protected paths, without those that were allowed by name.
fn barred(setup: &Setup) -> impl Iterator<Item = PathBuf> + '_ {
    let allowed = |path: &PathBuf| {
        let mut named = setup.read.iter().chain(&setup.write);
        named.any(|allowed| path.starts_with(allowed) || allowed.starts_with(path))
    };
    // In its place stands a private one.
    let own_home = |path: &PathBuf| setup.home.as_ref() == Some(path);
    setup
        .protected
        .iter()
        .filter(move |path| !allowed(path) && !own_home(path))
        .cloned()
}

fn inside(setup: &Setup, spec: &Spec, ask: &Ask) -> Result<(Seen, u32), Unfit> {
    let program = if spec.has_root() {
        Path::new(HELPER)
    } else {
        &setup.bridge
    };
    let job = Job {
        command: &attest::command(program, ask),
        variables: Vec::new(),
        input: &[],
        deadline: PROBE,
        scrub: None,
    };
    let mut watch = Watch {
        output: &mut |_| {},
        stopped: &|| false,
    };
    let maker = Maker {
        spawner: &setup.spawner,
        bridge: Bridge::At(&setup.bridge),
        spec,
        environment: &[],
    };
    let ran = maker
        .run(job, &mut watch)
        .map_err(|SandboxError(why)| Unfit::Unavailable(why))?;
    match &ran.ended {
        Told::Exited(0) => serde_json::from_slice(&ran.output)
            .map(|seen| (seen, ran.landlock))
            .map_err(|error| Unfit::Leaky(format!("the probe inside: {error}"))),
        other => Err(Unfit::Leaky(format!(
            "the probe inside ended otherwise: {other:?}"
        ))),
    }
}

struct Looked<'a> {
    spec: &'a Spec,
    ask: &'a Ask,
    gate: &'a Path,
    hidden: &'a Path,
    writable: &'a [PathBuf],
    outside: &'a Seen,
    inside: &'a Seen,
    landlock: u32,
}

/// Holds the two looks together. Gives what `sandbox.attested` says.
fn judge(looked: &Looked<'_>) -> Result<Map<String, Value>, String> {
    let Looked {
        spec,
        ask,
        outside,
        inside,
        landlock,
        ..
    } = *looked;
    let named = |path: &Path| format!("unix {}", path.display());
    let hidden_name = format!("abstract {}", ask.abstract_name);
    for wanted in [
        named(looked.gate),
        named(looked.hidden),
        hidden_name.clone(),
    ] {
        if !outside.reached.contains(&wanted) {
            return Err(format!(
                "the probe proves nothing: outside it does not reach {wanted}"
            ));
        }
    }
    if let Some(path) = ask.read.first()
        && !outside.opened.contains(path)
    {
        return Err(format!(
            "the probe proves nothing: outside it cannot read {}",
            path.display()
        ));
    }
    if !inside.reached.contains(&named(looked.gate)) {
        return Err("inside, the gateway cannot be reached".into());
    }
    let root = spec.has_root();
    let mut allowed = vec![named(looked.gate)];
    if !root {
        // Landlock does not see connects to pathname sockets; those that matter are tried by name.
        allowed.push(named(looked.hidden));
    }
    if !root && landlock < LANDLOCK_SIGNALS {
        allowed.push(hidden_name);
    }
    let leaked = |name: &&String| !allowed.contains(name) && !network::is_no_leak(spec, name);
    if let Some(reached) = inside.reached.iter().find(leaked) {
        return Err(format!("inside, this was reached: {reached}"));
    }
    let net = |seen: &Seen| seen.namespaces.get("net").cloned();
    if spec.has_network() && net(inside) == net(outside) {
        return Err("inside, the net namespace is the host's".into());
    }
    network::judge_way_out(ask, inside)?;
    if let Some(opened) = inside.opened.first() {
        return Err(format!("inside, this could be read: {}", opened.display()));
    }
    if let Some(path) = looked
        .writable
        .iter()
        .find(|path| !inside.written.contains(*path))
    {
        return Err(format!("inside, {} cannot be written", path.display()));
    }
    let foreign = |path: &&PathBuf| !looked.writable.contains(path);
    if let Some(path) = inside.written.iter().find(foreign) {
        return Err(format!("inside, {} could be written", path.display()));
    }
    if inside.signalled && (root || landlock >= LANDLOCK_SIGNALS) {
        return Err("inside, agp could be signalled".into());
    }
    for (name, wanted) in STATUS {
        if inside.status.get(name).map(String::as_str) != Some(wanted) {
            return Err(format!("inside, {name} is not {wanted}"));
        }
    }
    Ok(attested(looked))
}

fn attested(looked: &Looked<'_>) -> Map<String, Value> {
    let (spec, inside) = (looked.spec, looked.inside);
    let mut isolated = vec![
        "files",
        "credentials of the operator",
        "memory of other processes",
    ];
    let mut shared = vec![
        "the harness's own configuration",
        "the kernel",
        "processor time",
        "memory in total",
        "disk space in total",
    ];
    isolated.extend(network::isolated(spec));
    shared.extend(network::not_isolated(spec));
    if spec.has_root() {
        isolated.extend([
            "processes",
            "mounts",
            "System V IPC",
            "Unix sockets",
            "terminals",
        ]);
        shared.push("abstract Unix sockets, where Landlock is older than ABI 6");
    } else {
        shared.extend([
            "process ids: other processes can be seen to be there",
            "System V IPC and POSIX message queues",
            "Unix sockets that have a path, but those that were tried",
        ]);
    }
    if inside.signalled {
        shared.push("signals to the operator's other processes");
    } else {
        isolated.push("signals");
    }
    let payload = json!({
        "kind": "process",
        "namespaces": spec.namespaces.as_str(),
        "namespaceIds": inside.namespaces,
        "landlock": looked.landlock,
        "status": inside.status,
        "uid": inside.uid,
        "tried": {"unix": looked.ask.unix.len() + 1, "paths": looked.ask.read.len(),
            "unlisted": looked.ask.way_out.as_ref().map(|way_out| way_out.unlisted.len())},
        "letOut": inside.let_out,
        "reached": inside.reached,
        "readable": inside.opened,
        "writable": inside.written,
        "isolated": isolated,
        "notIsolated": shared,
        "vmGrade": false,
    });
    match payload {
        Value::Object(payload) => payload,
        _ => Map::new(),
    }
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
