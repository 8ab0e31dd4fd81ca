//! A look around from inside a harness's confinement before it starts: what must hold is tried, and held
//! against what the same attempts come to outside.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::jail::isolation_probe::{Ask, PID_NAMESPACE, Sighting};
use crate::jail::spec::{HELPER, Placed, Spec};
use crate::jail::tamper_probe::Steady;

use super::attestation::{self, LANDLOCK_SIGNALS, Planted, STATUS, Unfit, Wires};
use super::expectation::{
    self, Difference, Expectation, arrives_outside, namespaces, nothing_arrives, reaches_only,
    reaches_outside, reads_only, reads_outside, status, unix, unshaken, unsignalled, way_out,
    writes_only,
};
use super::harness_host::{HarnessHostConfig, empty_file, temporary};
use super::network;
use super::process::keeper_client::{Bridge, Maker};
use super::process::{from_inside, from_outside};

/// What must stay what it is inside: the gate's parts, and the harness's program.
fn steady(setup: &HarnessHostConfig, spec: &Spec) -> Vec<Steady> {
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
pub(super) struct Bait {
    _listeners: [UnixListener; 4],
    _planted: Option<Planted>,
    /// What stands for the gateway's socket.
    gate: PathBuf,
    /// What stands for a part of the gate that is not there yet.
    part: PathBuf,
    /// A directory that is only read inside, with a socket.
    closed: PathBuf,
    /// What must not be reached where there is a root of its own.
    hidden: Vec<PathBuf>,
    /// An abstract name that must not be reached.
    abstract_name: String,
}

/// The name of a socket that must not be reached.
const BAIT: &str = "bait.sock";
/// Where [`Bait::closed`] stands inside.
const CLOSED: &str = "/run/agp/try";

impl Bait {
    /// Listens in the session's directory, in one that is only read inside, and in the repository, where
    /// that can hold a socket.
    pub(super) fn lay(setup: &HarnessHostConfig) -> io::Result<Self> {
        let [gate, part, closed, outside] =
            ["try.sock", "try", "try-read", BAIT].map(|name| setup.directory.join(name));
        empty_file(&part)?;
        std::fs::create_dir(&closed)?;
        let below = closed.join(BAIT);
        let abstract_name = format!("agp-harness-{}", setup.token);
        let named = UnixAddr::from_abstract_name(&abstract_name)?;
        let listeners = [
            UnixListener::bind(&gate)?,
            UnixListener::bind(&outside)?,
            UnixListener::bind(&below)?,
            UnixListener::bind_addr(&named)?,
        ];
        let mut hidden = vec![outside, below];
        let planted = Planted::lay(&setup.repository, &setup.token);
        hidden.extend(planted.iter().map(|planted| planted.path.clone()));
        Ok(Self {
            _listeners: listeners,
            _planted: planted,
            gate,
            part,
            closed,
            hidden,
            abstract_name,
        })
    }

    /// Where one of its sockets stands inside.
    fn inside(&self, spec: &Spec, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.closed) {
            Ok(name) if spec.has_root() => Path::new(CLOSED).join(name),
            _ => spec.inside(path),
        }
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        for path in self.hidden.iter().chain([&self.gate, &self.part]) {
            // The session's directory goes with the session.
            let _ = std::fs::remove_file(path);
        }
        let _ = std::fs::remove_dir(&self.closed);
    }
}

/// Looks around inside, where a socket that stands for the gateway's is open in the same way.
pub(super) fn looked_into(
    setup: &HarnessHostConfig,
    spec: &Spec,
    bait: &Bait,
) -> Result<Map<String, Value>, Unfit> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unfit::Leaky(format!("{what}: {error}"));
    let steady = steady(setup, spec);
    let mut spec = spec.clone();
    for placed in &mut spec.placed {
        if placed.from == setup.gate.from {
            placed.from.clone_from(&bait.gate);
        } else if !placed.from.exists() {
            placed.from.clone_from(&bait.part);
        }
    }
    spec.placed.push(Placed {
        from: bait.closed.clone(),
        at: CLOSED.into(),
        write: false,
        foreign: true,
    });
    let spec = &spec;
    let gate = spec.inside(&bait.gate);
    let mut ask = Ask {
        abstract_name: bait.abstract_name.clone(),
        unix: [&bait.gate]
            .into_iter()
            .chain(&bait.hidden)
            .cloned()
            .collect(),
        read: barred(setup).collect(),
        ..Ask::of_this_process()
    };
    // The host's network is not kept away unless it has one of its own.
    let wires = spec.has_network().then(|| Wires::lay(&mut ask)).transpose();
    let wires = wires
        .map_err(|error| failed("cannot start the self-test's listeners", &error))?
        .unwrap_or_default();
    ask.token.clone_from(&setup.token);
    let outside = from_outside(&attestation::command(&setup.bridge, &ask))
        .map_err(|error| failed("the self-test outside the sandbox failed", &error))?;
    let came = wires.arrived(&ask.token);
    expectation::judge([arrives_outside(&ask, came)])?;
    let trial = network::trial(&setup.network, &setup.directory, &setup.token)
        .map_err(|error| failed("cannot start the self-test's proxy", &error))?;
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
    // Outside, who listens there is not bothered.
    let others = setup.sockets.iter().chain(&setup.listening).cloned();
    ask.unix = ask
        .unix
        .iter()
        .map(|path| bait.inside(spec, path))
        .chain(others)
        .collect();
    let inside = inside(setup, spec, &ask)?;
    let came = wires.arrived(&ask.token);
    expectation::judge([nothing_arrives(came)])?;
    let attested = judge(&Looked {
        spec,
        ask: &ask,
        setup,
        bait,
        gate: &gate,
        writable: &writable,
        outside: &outside,
        inside: &inside.0,
        landlock: inside.1,
    })?;
    Ok(attested)
}

/// The protected paths, without those that were allowed by name.
fn barred(setup: &HarnessHostConfig) -> impl Iterator<Item = PathBuf> + '_ {
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

fn inside(setup: &HarnessHostConfig, spec: &Spec, ask: &Ask) -> Result<(Sighting, u32), Unfit> {
    let program = if spec.has_root() {
        Path::new(HELPER)
    } else {
        &setup.bridge
    };
    let maker = Maker {
        spawner: &setup.spawner,
        bridge: Bridge::At(&setup.bridge),
        spec,
        environment: &[("TMPDIR".into(), temporary(spec).into())],
    };
    from_inside(&maker, &attestation::command(program, ask))
}

struct Looked<'a> {
    spec: &'a Spec,
    ask: &'a Ask,
    setup: &'a HarnessHostConfig,
    bait: &'a Bait,
    /// Where what stands for the gateway's socket stands inside.
    gate: &'a Path,
    writable: &'a [PathBuf],
    outside: &'a Sighting,
    inside: &'a Sighting,
    landlock: u32,
}

/// Holds the two looks together. Gives what `sandbox.attested` says.
fn judge(looked: &Looked<'_>) -> Result<Map<String, Value>, Difference> {
    expectation::judge(expectations(looked))?;
    Ok(attested(looked))
}

/// What must come of each thing that is tried.
fn expectations<'a>(looked: &Looked<'a>) -> Vec<Expectation<'a>> {
    let Looked {
        spec,
        ask,
        outside,
        inside,
        landlock,
        ..
    } = *looked;
    let root = spec.has_root();
    let keeps_signals = landlock >= LANDLOCK_SIGNALS;
    let gate = unix(looked.gate);
    let hidden_name = format!("abstract {}", ask.abstract_name);
    let bait = [&looked.bait.gate].into_iter().chain(&looked.bait.hidden);
    let bait = bait.map(|path| unix(path)).chain([hidden_name.clone()]);
    let mut allowed = BTreeSet::from([gate.clone()]);
    if !root {
        // Landlock does not see connects to pathname sockets: they are told. Those that could start a
        // process outside refuse the start, unless it was said that it may be weaker.
        let dangerous = looked.setup.sockets.iter();
        let dangerous = dangerous.filter(|_| looked.setup.weaker);
        let visible = looked.bait.hidden.iter().chain(dangerous);
        allowed.extend(
            visible
                .chain(&looked.setup.listening)
                .map(|path| unix(path)),
        );
    }
    if !root && !keeps_signals {
        allowed.insert(hidden_name);
    }
    let kinds = [("net", spec.has_network()), (PID_NAMESPACE, root)];
    let kinds = kinds
        .into_iter()
        .filter_map(|(kind, has)| has.then_some(kind));
    let mut table = vec![
        reaches_outside(outside, bait),
        reads_outside(outside, ask),
        expectation::all(
            inside.reached.iter().cloned(),
            [gate],
            "harness self-test failed: it cannot reach agp's gateway",
        ),
        reaches_only(inside, move |name| {
            allowed.contains(name) || network::is_no_leak(spec, name)
        }),
        namespaces(kinds, outside, inside),
    ];
    table.extend(unshaken(
        inside,
        "harness self-test failed: the gate could be replaced: {}",
        "harness self-test inconclusive: nothing can be renamed inside the sandbox",
    ));
    table.extend(way_out(ask, inside));
    table.extend(attestation::writes_all(inside, looked.writable));
    table.extend([
        reads_only(inside, |_| false),
        writes_only(inside, looked.writable),
        unsignalled(inside, root || keeps_signals),
    ]);
    table.extend(status(&inside.status, &STATUS));
    table
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
        shared.extend([
            "abstract Unix sockets, where Landlock is older than ABI 6",
            "Unix sockets that are made later in what may be written",
        ]);
        let overlaid = |path: &Path| inside.overlays.iter().any(|place| path.starts_with(place));
        let read = spec.read.iter().filter(|path| path.is_dir());
        if !overlaid(Path::new(CLOSED)) || read.clone().any(|path| !overlaid(path)) {
            shared.push("Unix sockets that are made later in what is read, where overlays are not available");
        }
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
    let hosts = looked.setup.sockets.iter().chain(&looked.setup.listening);
    let open: Vec<String> =
        expectation::shown(hosts.filter(|path| inside.reached.contains(&unix(path))));
    let particulars = json!({
        "kind": "process",
        "namespaces": spec.namespaces.as_str(),
        "landlock": looked.landlock,
        "openSockets": open,
        "overlays": inside.overlays,
        "masked": spec.masked.len(),
        "tried": {"unix": looked.ask.unix.len() + 1, "paths": looked.ask.read.len(),
            "replaced": looked.ask.steady.len(), "untoldUnix": looked.setup.untold,
            "unlisted": looked.ask.way_out.as_ref().map(|way_out| way_out.unlisted.len())},
        "readable": inside.opened,
    });
    expectation::attested(inside, &isolated, &shared, particulars)
}
