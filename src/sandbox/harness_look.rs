//! A look around from inside a harness's confinement before it starts: what must hold is tried, and held
//! against what the same attempts come to outside.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::confine::isolation::{Ask, PID_NAMESPACE, Seen};
use crate::confine::spec::{HELPER, Spec};
use crate::confine::steady::Steady;
use crate::confine::told::Told;
use crate::contracts::sandbox::SandboxError;

use super::attest::{self, LANDLOCK_SIGNALS, PROBE, STATUS, Unfit, Wires};
use super::exec::{Bridge, Job, Maker};
use super::follow::Watch;
use super::harness::{Setup, empty_file, temporary};
use super::network;
use super::process::from_outside;

/// What must stay what it is inside: the gate's parts, and the harness's program.
fn steady(setup: &Setup, spec: &Spec) -> Vec<Steady> {
    let of = |path: &Path, write| Steady {
        path: spec.inside(path),
        write,
    };
    let parts = [&setup.gate].into_iter().chain(&setup.parts);
    let parts = parts.map(|part| of(&part.from, part.write));
    let programs = [&setup.bridge, &setup.program];
    parts.chain(programs.map(|path| of(path, false))).collect()
}

/// What stands for the gateway, for what must not be reached, and for parts of the gate that are made
/// later, while the probe looks.
struct Bait {
    _listeners: [UnixListener; 3],
    paths: [PathBuf; 3],
}

impl Bait {
    fn lay(setup: &Setup, name: &str) -> io::Result<Self> {
        let paths = ["try.sock", "bait.sock", "try"].map(|name| setup.directory.join(name));
        let [gate, bait, part] = &paths;
        empty_file(part)?;
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
pub(super) fn looked_into(setup: &Setup, spec: &Spec) -> Result<Map<String, Value>, Unfit> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unfit::Leaky(format!("{what}: {error}"));
    let name = format!("agp-harness-{}", setup.token);
    let bait = Bait::lay(setup, &name).map_err(|error| failed("the probe's listeners", &error))?;
    let [tried, hidden, part] = bait.paths.clone();
    let steady = steady(setup, spec);
    let mut spec = spec.clone();
    for placed in &mut spec.placed {
        if placed.from == setup.gate.from {
            placed.from.clone_from(&tried);
        } else if !placed.from.exists() {
            placed.from.clone_from(&part);
        }
    }
    let spec = &spec;
    let mut unix = vec![tried.clone(), hidden.clone()];
    unix.extend(setup.sockets.iter().cloned());
    let mut ask = Ask {
        abstract_name: name,
        unix,
        read: barred(setup).collect(),
        ..Ask::of_this_process()
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
    ask.steady = steady;
    let gate = spec.inside(&tried);
    if let Some(first) = ask.unix.first_mut() {
        first.clone_from(&gate);
    }
    let inside = inside(setup, spec, &ask)?;
    if wires.arrived(&ask.token) > 0 {
        let problem = "something arrived from inside at agp's own listeners";
        return Err(Unfit::Leaky(problem.into()));
    }
    judge(&Looked {
        spec,
        ask: &ask,
        tried: &tried,
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
        environment: &[("TMPDIR".into(), temporary(spec).into())],
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
    /// What stands for the gateway's socket: where it lies outside, and where it stands inside.
    tried: &'a Path,
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
        named(looked.tried),
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
    let wanted = [("net", spec.has_network()), (PID_NAMESPACE, root)];
    for (kind, _) in wanted.into_iter().filter(|(_, own)| *own) {
        if inside.namespaces.get(kind) == outside.namespaces.get(kind) {
            return Err(format!("inside, the {kind} namespace is the host's"));
        }
    }
    if let Some(how) = inside.shaken.first() {
        return Err(format!("inside, the gate could be replaced: {how}"));
    }
    if !inside.shakes {
        return Err("the probe proves nothing: inside, nothing can be renamed anywhere".into());
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
            "replaced": looked.ask.steady.len(),
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
