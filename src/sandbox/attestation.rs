//! Whether a confinement holds what it promises: agp listens, and the same look around from inside
//! and from outside is held together. Whatever differs from what was asked refuses the start.

#[cfg(test)]
pub(crate) mod tests;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::expectation::{
    self, Difference, Expectation, arrives_outside, namespaces, nothing_arrives, reaches_only,
    reaches_outside, reads_only, reads_outside, status, unsignalled, way_out, writes, writes_only,
};
use super::network;
use crate::contracts::sandbox::SandboxError;
use crate::egress;
use crate::jail::isolation_probe::{Ask, Sighting, name_server};
use crate::jail::spec::{BIN, Namespaces, RUN, Spec, overlaps_own};

/// Landlock's first interface that keeps signals inside.
pub(super) const LANDLOCK_SIGNALS: u32 = 6;

/// What `/proc/self/status` says inside: no new privileges, a seccomp filter, no capabilities.
pub(super) const STATUS: [(&str, &str); 3] = [
    ("NoNewPrivs", "1"),
    ("Seccomp", "2"),
    ("CapEff", "0000000000000000"),
];

/// Why a confinement is not used.
pub(super) enum Unfit {
    /// The kernel does not give it.
    Unavailable(String),
    /// It does not hold what it promises, or that cannot be shown.
    Leaky(String),
}

/// Namespaces that the kernel did not give, each with the reason.
pub(super) type Refused = Vec<(Namespaces, String)>;

/// Tries the confinements that may be had, the strongest first, and gives the first that holds. A
/// weaker one is tried only where the kernel does not give the stronger: one that stands and does
/// not hold ends the search.
///
/// # Errors
/// [`SandboxError`] when one does not hold, or none is to be had.
pub(super) fn strongest<T>(
    candidates: impl IntoIterator<Item = Namespaces>,
    mut attest: impl FnMut(Namespaces) -> Result<T, Unfit>,
) -> Result<(T, Refused), SandboxError> {
    let mut refused = Refused::new();
    for namespaces in candidates {
        match attest(namespaces) {
            Ok(held) => return Ok((held, refused)),
            Err(Unfit::Unavailable(why)) => refused.push((namespaces, why)),
            Err(Unfit::Leaky(why)) => {
                let namespaces = namespaces.as_str();
                return Err(SandboxError(format!("namespaces {namespaces}: {why}")));
            }
        }
    }
    let mut why = "this kernel offers no sufficient isolation".to_owned();
    if !refused.iter().any(|(tried, _)| *tried == Namespaces::Off) {
        why += " without namespaces, which close Unix sockets that have a path";
    }
    for (namespaces, problem) in &refused {
        let _ = write!(why, "; namespaces {}: {problem}", namespaces.as_str());
    }
    Err(SandboxError(why))
}

/// The confinements that may be had, the strongest first.
pub(super) fn candidates(only: Option<Namespaces>) -> Vec<Namespaces> {
    match only {
        Some(namespaces) => vec![namespaces],
        None if rustix::process::geteuid().is_root() => {
            vec![Namespaces::User, Namespaces::Direct, Namespaces::Off]
        }
        None => vec![Namespaces::User, Namespaces::Off],
    }
}

/// What was refused, as events tell it.
pub(super) fn told(refused: &Refused) -> Value {
    let refusals = refused
        .iter()
        .map(|(namespaces, why)| (namespaces.as_str().to_owned(), json!(why)));
    Value::Object(refusals.collect())
}

/// Refuses a path that would stand around agp's own places inside: what is bound there would be what they
/// are made in.
///
/// # Errors
/// [`SandboxError`] that names both.
pub(super) fn apart_from_own_places(path: &Path) -> Result<(), SandboxError> {
    if !overlaps_own(path) {
        return Ok(());
    }
    let path = path.display();
    Err(SandboxError(format!(
        "{path} overlaps {RUN} and {BIN}, which agp uses inside the sandbox: allow its \
            subdirectories instead"
    )))
}

/// Who owns a path, for people.
pub(super) fn owner(path: &Path) -> String {
    match std::fs::metadata(path).map(|meta| meta.uid()) {
        Ok(0) => "root".to_owned(),
        Ok(uid) => format!("user {uid}"),
        Err(_) => "another user".to_owned(),
    }
}

/// What must be writable inside, each told with why it may not be and what to do.
pub(super) fn writes_all(inside: &Sighting, paths: &[PathBuf]) -> Vec<Expectation<'static>> {
    let expected = paths.iter().map(|path| {
        let problem = format!("the sandbox cannot write {{}}: {}", unwritable(path));
        writes(inside, [path], problem)
    });
    expected.collect()
}

fn unwritable(path: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    match std::fs::metadata(path) {
        Ok(meta) if meta.uid() != uid => format!(
            "{} owns it. Inside, even root is an ordinary user. Run agp as the owner",
            owner(path)
        ),
        Ok(meta) if meta.mode() & 0o200 == 0 => {
            "its owner may not write it. Run `chmod u+w` on it".into()
        }
        Ok(_) => "its file system may be read-only".into(),
        Err(error) => error.to_string(),
    }
}

/// How long the look around from inside may take.
pub(super) const PROBE: Duration = Duration::from_secs(20);

/// agp's own listeners on the network, for as long as it attests.
#[derive(Default)]
pub struct Wires {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

impl Wires {
    /// Listens on every address of this host, and asks the probe to try each.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn lay(ask: &mut Ask) -> io::Result<Self> {
        let mut wires = Self::default();
        // Inside, where it is named cannot be read.
        ask.name_server = Some(name_server());
        for address in host_addresses() {
            let (Ok(stream), Ok(packet)) = (
                TcpListener::bind((address, 0)),
                UdpSocket::bind((address, 0)),
            ) else {
                // An address that went away meanwhile, or is not ready yet.
                continue;
            };
            packet.set_nonblocking(true)?;
            ask.tcp.push(stream.local_addr()?);
            ask.udp.push(packet.local_addr()?);
            wires.tcp.push(stream);
            wires.udp.push(packet);
        }
        Ok(wires)
    }

    /// Packets that have arrived since the last time.
    fn packets(&self, token: &[u8]) -> usize {
        let mut block = [0; 256];
        let arrived = self.udp.iter().flat_map(|socket| {
            std::iter::from_fn(move || {
                socket
                    .recv(&mut block)
                    .ok()
                    .map(|got| block.starts_with(token) && got == token.len())
            })
        });
        arrived.filter(|ours| *ours).count()
    }

    /// Connections that have arrived since the last time.
    fn connections(&self) -> usize {
        let arrived = self
            .tcp
            .iter()
            .filter(|listener| listener.set_nonblocking(true).is_ok() && listener.accept().is_ok());
        arrived.count()
    }

    /// What arrived, whatever the probe says of it.
    #[must_use]
    pub fn arrived(&self, token: &str) -> usize {
        self.packets(token.as_bytes()) + self.connections()
    }
}

/// agp's own listeners, for as long as it attests.
pub struct Bait {
    wires: Wires,
    _named: UnixListener,
    path: PathBuf,
    _abstract: UnixListener,
    /// What the probe is asked to try.
    pub ask: Ask,
}

impl Bait {
    /// Listens on every address of this host, on an abstract name, and on a path in `directory`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn lay(directory: &Path, token: &str) -> io::Result<Self> {
        let mut ask = Ask::of_this_process();
        let wires = Wires::lay(&mut ask)?;
        let path = directory.join("bait.sock");
        let named = UnixListener::bind(&path)?;
        ask.abstract_name = format!("agp-bait-{token}");
        let hidden = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&ask.abstract_name)?)?;
        ask.unix.push(path.clone());
        ask.token = token.to_owned();
        Ok(Self {
            wires,
            _named: named,
            path,
            _abstract: hidden,
            ask,
        })
    }

    /// What arrived at the listeners, whatever the probe says of it.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.wires.arrived(&self.ask.token)
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        // The directory goes with the session.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket of agp's in a repository, for as long as it attests: nobody inside may reach it.
pub(super) struct Planted {
    /// Where it lies.
    pub(super) path: PathBuf,
    _listener: UnixListener,
}

impl Planted {
    /// Listens there, where that can hold a socket.
    pub(super) fn lay(repository: &Path, token: &str) -> Option<Self> {
        let name = format!(".agp-{token}.sock");
        // A path may be longer than a socket's name.
        let directory = File::open(repository).ok()?;
        let short = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        let planted = Self {
            _listener: UnixListener::bind(&short).ok()?,
            path: repository.join(name),
        };
        // Inside it may be another user who tries.
        std::fs::set_permissions(short, Permissions::from_mode(0o777)).ok()?;
        Some(planted)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        // The next session's probe takes another name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Every address of this host, loopback included.
fn host_addresses() -> Vec<IpAddr> {
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    addresses.extend(egress::own_addresses());
    // Link-local addresses mean nothing without their interface; the others stand for them.
    addresses.retain(|address| !matches!(address, IpAddr::V6(six) if six.is_unicast_link_local()));
    addresses.sort();
    addresses.dedup();
    addresses
}

/// What the probe saw, outside and inside.
pub struct Looks {
    /// From outside, and what then arrived at the listeners.
    pub outside: (Sighting, usize),
    /// From inside, and what then arrived.
    pub inside: (Sighting, usize),
    /// The Landlock interface in force inside.
    pub landlock: u32,
}

/// Holds the two looks together. Gives what `sandbox.attested` says.
///
/// # Errors
/// The first difference between what was asked and what was seen.
pub fn judge(spec: &Spec, ask: &Ask, looks: &Looks) -> Result<Map<String, Value>, Difference> {
    let Looks {
        inside: (inside, _),
        landlock,
        ..
    } = looks;
    expectation::judge(expectations(spec, ask, looks))?;
    Ok(attested(spec, ask, inside, *landlock))
}

/// What must come of each thing that is tried.
fn expectations<'a>(spec: &'a Spec, ask: &Ask, looks: &Looks) -> Vec<Expectation<'a>> {
    let Looks {
        outside: (outside, came_outside),
        inside: (inside, came_inside),
        landlock,
    } = looks;
    let (has_network, root) = (spec.has_network(), spec.has_root());
    let tcp = ask.tcp.iter().map(|address| format!("tcp {address}"));
    let udp = ask.udp.iter().map(|address| format!("udp {address}"));
    let hidden = [format!("abstract {}", ask.abstract_name)];
    let bait = ask.unix.first().map(|path| expectation::unix(path));
    let mut table = vec![
        reaches_outside(outside, tcp.chain(udp).chain(hidden).chain(bait)),
        arrives_outside(ask, *came_outside),
        reads_outside(outside, ask),
        reaches_only(inside, |name| network::is_no_leak(spec, name)),
    ];
    if has_network || !spec.sockets.inet {
        table.push(nothing_arrives(*came_inside));
    }
    table.extend(way_out(ask, inside));
    table.extend(writes_all(inside, &spec.write));
    table.extend([
        reads_only(inside, |_| false),
        writes_only(inside, &spec.write),
        unsignalled(inside, root || *landlock >= LANDLOCK_SIGNALS),
    ]);
    table.extend(status(&inside.status, &STATUS));
    if root {
        let kinds = outside.namespaces.keys().map(String::as_str);
        let kinds = kinds.filter(|kind| match *kind {
            "user" => spec.namespaces == Namespaces::User,
            "net" => has_network,
            _ => true,
        });
        table.push(namespaces(kinds, outside, inside));
    }
    table
}

fn attested(spec: &Spec, ask: &Ask, inside: &Sighting, landlock: u32) -> Map<String, Value> {
    let particulars = json!({
        "kind": "process",
        "namespaces": spec.namespaces.as_str(),
        "landlock": landlock,
        "tried": {
            "tcp": ask.tcp.len(),
            "udp": ask.udp.len(),
            "unix": ask.unix.len() + 1,
            "paths": ask.read.len(),
            "unlisted": ask.way_out.as_ref().map(|way_out| way_out.unlisted.len()),
        },
        "readable": inside.opened,
        "writableMounts": inside.writable_mounts,
    });
    let isolated = isolated(spec, landlock, inside.signalled);
    let shared = not_isolated(spec, landlock, inside.signalled);
    expectation::attested(inside, &isolated, &shared, particulars)
}

fn isolated(spec: &Spec, landlock: u32, signalled: bool) -> Vec<&'static str> {
    let mut isolated = vec!["files", "credentials of the operator", "Unix sockets"];
    isolated.extend(network::isolated(spec));
    if spec.has_root() {
        isolated.extend(["processes", "mounts", "System V IPC"]);
    } else if !signalled {
        isolated.push("signals");
    }
    if landlock > 0 {
        isolated.push("memory of other processes");
    }
    isolated
}

/// What is the host's, plainly.
fn not_isolated(spec: &Spec, landlock: u32, signalled: bool) -> Vec<&'static str> {
    let mut shared = vec![
        "the kernel",
        "processor time",
        "memory in total",
        "disk space in total",
    ];
    if !spec.has_root() {
        shared.extend([
            "process ids: other processes can be seen to be there",
            "System V IPC and POSIX message queues",
        ]);
    }
    shared.extend(network::not_isolated(spec));
    if signalled {
        shared.push("signals to the operator's other processes");
    }
    if landlock == 0 {
        shared.push("no Landlock: only mounts and file modes restrict files");
    }
    shared
}

/// The command line of the probe.
#[must_use]
pub fn command(program: &Path, ask: &Ask) -> Vec<OsString> {
    let ask = serde_json::to_string(ask).unwrap_or_default();
    vec![program.into(), "isolation".into(), ask.into()]
}
