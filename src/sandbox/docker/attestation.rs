//! Whether a container is what it is said to be: agp listens on every address of this host, and the
//! same look around from inside and from outside is held together. Whatever differs from what was
//! asked refuses the start.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::contracts::sandbox::SandboxError;
use crate::jail::container_probe::Surroundings;
use crate::jail::isolation_probe::{self, Ask, Sighting};
use crate::jail::spec::HELPER;
use crate::jail::status::Told;
use crate::jail::tamper_probe::Steady;
use crate::sandbox::attestation::{Bait, PROBE, Planted};
use crate::sandbox::egress_self_test::Trial;
use crate::sandbox::expectation::{
    self, Difference, Expectation, among, arrives_outside, namespaces, never, none,
    nothing_arrives, reaches_only, reaches_outside, reads_only, reads_outside, status, unshaken,
    way_out, writes, writes_only,
};
use crate::sandbox::network;

use super::container::Docker;
use super::exec::{Errand, relayed};
use super::host_config::{Mount, Network, Wanted};

/// Shells that a command may be given to, the preferred first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Where nothing may be written, besides what is mounted read-only.
const CLOSED: [&str; 7] = [
    "/",
    "/etc",
    "/usr",
    "/run/agp",
    "/run/agp-bin",
    "/proc",
    "/sys",
];

/// Mounts of a container's own that are not read-only, and hold nothing of the host's.
const OWN_MOUNTS: [&str; 9] = [
    // With control groups of version 1: root's, with read-only mounts in it.
    "/sys/fs/cgroup",
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/proc",
    "/tmp",
];

/// Further ones, which must be read-only.
const SHOWN_MOUNTS: [&str; 4] = ["/", "/sys", "/etc/hosts", "/etc/resolv.conf"];

/// Devices of every container's, none of them the host's.
const OWN_DEVICES: [&str; 8] = [
    "console", "full", "null", "ptmx", "random", "tty", "urandom", "zero",
];

/// Namespaces that must be the container's own.
const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

/// What `/proc/PID/status` says of a process under a filter.
const FILTERED: [(&str, &str); 2] = [("NoNewPrivs", "1"), ("Seccomp", "2")];

/// The sets of capabilities, all of which must be empty.
const CAPABILITIES: [&str; 5] = ["CapAmb", "CapBnd", "CapEff", "CapInh", "CapPrm"];

/// Looks around from outside and from inside. Gives the shell that is there, and what
/// `sandbox.attested` says.
///
/// # Errors
/// The first difference between what was asked and what was seen, or why it cannot be seen.
pub(super) fn attest(
    docker: &Docker,
    wanted: &Wanted,
    planted: Option<&Planted>,
) -> Result<(Option<&'static str>, Map<String, Value>), SandboxError> {
    let setup = &docker.setup;
    let mut bait = Bait::lay(&setup.directory, &format!("{}-docker", setup.name))
        .map_err(|error| failed("cannot start the self-test's listeners", &error))?;
    let here = bait.ask.unix.len();
    bait.ask
        .unix
        .extend(planted.map(|planted| planted.path.clone()));
    bait.ask.read.clone_from(&setup.protected);
    let outside = isolation_probe::look(&bait.ask);
    let outside = (outside, bait.arrived());
    if setup.netcheck {
        expectation::judge(worth(&bait.ask, &outside.0, outside.1))?;
    }
    // Inside, the repository has another name; and only there the others are tried.
    for path in bait.ask.unix.iter_mut().skip(here) {
        if let Some(name) = path.file_name() {
            *path = docker.directory.join(name);
        }
    }
    bait.ask.unix.extend(setup.sockets.iter().cloned());

    let mounts = wanted.mounts.iter();
    let writable: BTreeSet<PathBuf> = mounts
        .filter(|mount| mount.writable && mount.source.is_dir())
        .map(|mount| mount.target.clone())
        .chain([PathBuf::from("/tmp")])
        .collect();
    bait.ask.write = writable.iter().cloned().collect();
    bait.ask.write.extend(CLOSED.map(PathBuf::from));
    bait.ask.families = true;
    // What agp brings, and what says how a harness is gated.
    let below = |path: &Path| writable.iter().any(|above| path.starts_with(above));
    let brought = wanted.mounts.iter().filter(|mount| !below(&mount.target));
    bait.ask.steady = brought
        .map(|mount| Steady {
            path: mount.target.clone(),
            write: mount.writable,
        })
        .collect();
    let run = setup.run();
    let trial = match setup.network {
        network::Network::Listed { .. } => {
            let trial = Trial::lay_for(&run, &bait.ask.token, setup.user.0);
            Some(trial.map_err(|error| failed("cannot start the self-test's proxy", &error))?)
        }
        network::Network::Off | network::Network::Host => None,
    };
    bait.ask.way_out = trial.as_ref().map(|trial| trial.ask.clone());
    let mut ask = bait.ask.clone();
    ask.read.extend(SHELLS.map(PathBuf::from));
    let inside = inside(docker, &ask, trial.as_ref())?;
    let looks = Looks {
        wanted,
        ask: &bait.ask,
        writable: &writable,
        outside: (&outside.0, outside.1),
        inside: &inside,
        arrived: bait.arrived(),
        netcheck: setup.netcheck,
    };
    looks.judge()?;
    let shell = SHELLS
        .into_iter()
        .find(|shell| inside.seen.opened.contains(Path::new(shell)));
    Ok((shell, looks.told()))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> SandboxError {
    SandboxError(format!("{what}: {error}"))
}

fn inside(docker: &Docker, ask: &Ask, trial: Option<&Trial>) -> Result<Surroundings, SandboxError> {
    const WHAT: &str = "the self-test in the container failed";
    let ask = serde_json::to_string(ask).map_err(|error| failed(WHAT, &error))?;
    let command = vec![HELPER.into(), "probe".into(), ask];
    let command = match trial {
        Some(trial) => relayed(trial.socket(), trial.ask.port, command),
        None => command,
    };
    let ran = docker
        .run_alone(
            Errand {
                command,
                input: Vec::new(),
                deadline: PROBE,
                quiet: false,
            },
            &[],
            &mut |_| {},
        )
        .map_err(|SandboxError(why)| failed(WHAT, &why))?;
    match ran.ended {
        Told::Exited(0) => {
            serde_json::from_slice(&ran.output).map_err(|error| failed(WHAT, &error))
        }
        other => Err(SandboxError(format!(
            "the self-test in the container ended unexpectedly: {other:?}"
        ))),
    }
}

struct Looks<'a> {
    wanted: &'a Wanted,
    ask: &'a Ask,
    writable: &'a BTreeSet<PathBuf>,
    outside: (&'a Sighting, usize),
    inside: &'a Surroundings,
    arrived: usize,
    netcheck: bool,
}

impl Looks<'_> {
    fn judge(&self) -> Result<(), Difference> {
        let mut table = self.process();
        table.extend(self.files());
        table.extend(self.limits());
        if self.netcheck {
            table.extend(self.network());
        }
        expectation::judge(table)
    }

    /// Who runs inside, and with what rights.
    fn process(&self) -> Vec<Expectation<'_>> {
        let Surroundings {
            seen,
            groups,
            capabilities,
            first,
            ..
        } = self.inside;
        let (uid, gid) = self.wanted.user;
        let (wanted, alone) = (uid.to_string(), format!("{:?}", [gid]));
        let groups = format!("{:?}", groups.iter().collect::<Vec<_>>());
        let mut table = vec![
            among(
                [seen.uid.to_string()],
                move |seen| seen == wanted,
                format!("container self-test failed: the user is {{}}, not {uid}"),
            ),
            among(
                [groups],
                move |seen| seen == alone,
                format!("container self-test failed: the groups are {{}}, not just {gid}"),
            ),
        ];
        let none = |set: &str| !set.is_empty() && set.bytes().all(|digit| digit == b'0');
        table.extend(CAPABILITIES.map(|name| {
            let set = capabilities.get(name).cloned().unwrap_or_default();
            let problem =
                format!("container self-test failed: it has capabilities: {name} \"{{}}\"");
            among([set], none, problem)
        }));
        table.extend(status(&seen.status, &FILTERED));
        // Every command is under a filter of agp's own; the daemon's shows on the first process.
        for expected in status(first, &FILTERED) {
            let problem =
                "container self-test failed: the daemon's seccomp filter is not active".into();
            table.push(Expectation {
                told: problem,
                ..expected
            });
        }
        table.push(namespaces(NAMESPACES, self.outside.0, seen));
        table
    }

    /// What can be read and written.
    fn files(&self) -> Vec<Expectation<'_>> {
        let seen = &self.inside.seen;
        // An image has an /etc/shadow of its own; what counts is that it is not the host's, and no
        // mount is of it.
        let mut table = vec![
            reads_outside(self.outside.0, self.ask),
            reads_only(seen, |path| self.is_images(path)),
        ];
        let writable = self.writable.iter();
        table.extend(writable.map(|path| writes(seen, [path], self.unwritable(path))));
        table.extend(unshaken(
            seen,
            "container self-test failed: agp's files could be replaced: {}",
            "container self-test inconclusive: nothing can be renamed in its /tmp",
        ));
        let is_mounted = |place: &str, writable: bool| {
            let mut mounts = self.wanted.mounts.iter();
            mounts.any(|mount| mount.target == Path::new(place) && (mount.writable || !writable))
        };
        // Masked by the runtime: something empty over something of the kernel's.
        let masked = |place: &str| place.starts_with("/proc/") || place.starts_with("/sys/");
        let mounted = move |place: &str| {
            OWN_MOUNTS.contains(&place)
                || SHOWN_MOUNTS.contains(&place)
                || masked(place)
                || is_mounted(place, false)
        };
        let written = move |place: &str| {
            OWN_MOUNTS.contains(&place) || place.starts_with("/proc/") || is_mounted(place, true)
        };
        let mounts = &seen.writable_mounts;
        table.extend([
            writes_only(seen, self.writable),
            never(
                mounts.is_none(),
                "container self-test failed: cannot list its mounts",
            ),
            among(
                self.inside.mounts.iter().cloned(),
                mounted,
                "container self-test failed: unexpected mount {}",
            ),
            among(
                mounts.iter().flatten().cloned(),
                written,
                "container self-test failed: the mount {} is writable",
            ),
            among(
                self.inside.devices.iter().cloned(),
                |name| OWN_DEVICES.contains(&name),
                "container self-test failed: unexpected device /dev/{}",
            ),
        ]);
        table
    }

    /// What is said of a path that the user inside ought to be able to write.
    fn unwritable(&self, path: &Path) -> String {
        let (uid, gid) = self.wanted.user;
        let mut mounts = self.wanted.mounts.iter();
        let how = match mounts.find(|mount| mount.target == path) {
            Some(Mount { source, .. }) => {
                let owner = crate::sandbox::attestation::owner(source);
                let source = source.display();
                format!("change the owner (chown -R {uid}:{gid} {source}), or run agp as {owner}")
            }
            None => "in the image it must have mode 1777, or not exist (see docs/images.md)".into(),
        };
        format!("in the container, user {uid}:{gid} cannot write {{}}: {how}")
    }

    /// Whether a path that could be opened is one of the image's own, or agp looked for it there.
    fn is_images(&self, path: &Path) -> bool {
        let mounted = self
            .wanted
            .mounts
            .iter()
            .any(|mount| path.starts_with(&mount.target));
        SHELLS.iter().any(|shell| path == Path::new(shell))
            || (!mounted
                && ["/etc", "/root", "/var"]
                    .iter()
                    .any(|top| path.starts_with(top)))
    }

    /// The limits of its control group.
    fn limits(&self) -> Vec<Expectation<'_>> {
        let bounds = self.wanted.bounds;
        let seen = |name: &str| self.inside.limits.get(name).copied();
        let (memory, pids) = (seen("memory"), seen("pids"));
        // Version 2 counts swap by itself, version 1 with memory.
        let swaps = seen("swap") != Some(0) && seen("memoryAndSwap") != Some(bounds.memory);
        let cpu = seen("cpu").zip(seen("cpuPeriod"));
        // The daemon rounds.
        let differs =
            |(quota, period): &(u64, u64)| quota.abs_diff(self.wanted.processor_time(*period)) > 1;
        let time = |(quota, period)| format!("{quota} of each {period}");
        vec![
            never(
                memory != Some(bounds.memory),
                format!("container self-test failed: the memory limit in bytes is {memory:?}"),
            ),
            never(swaps, "container self-test failed: swap is available"),
            never(
                pids != Some(u64::from(bounds.pids)),
                format!("container self-test failed: the process limit is {pids:?}"),
            ),
            never(
                cpu.is_none(),
                "container self-test failed: there is no CPU limit",
            ),
            none(
                cpu.filter(differs).map(time),
                "container self-test failed: the CPU limit in microseconds is {}",
            ),
        ]
    }

    /// What of the network can be reached.
    fn network(&self) -> Vec<Expectation<'_>> {
        let Surroundings {
            seen,
            interfaces,
            routes,
            answered,
            ..
        } = self.inside;
        // Whatever the network, no socket of the host's that has a path, no abstract one, and no
        // family that leads around the network namespace.
        let loops_back =
            |name: &str| name.starts_with("tcp ") || name.starts_with("udp ") || name == "dns";
        let mut table = vec![reaches_only(seen, loops_back)];
        if self.wanted.network == Network::Bridge {
            return table;
        }
        // A packet to the container's own loopback is sent, and arrives nowhere; nor does asking for
        // a name server there reach one.
        let alone = |name: &str| {
            name == "dns" || name.starts_with("udp 127.") || name.starts_with("udp [::1]")
        };
        table.extend([
            among(
                interfaces.iter().cloned(),
                |name| name == "lo",
                "container self-test failed: it has a network interface: {}",
            ),
            none(
                routes.iter().cloned(),
                "container self-test failed: it has a route through {}",
            ),
            none(
                answered.iter().cloned(),
                "container self-test failed: the name server {} answered",
            ),
            reaches_only(seen, alone),
        ]);
        table.extend(way_out(self.ask, seen));
        table.push(nothing_arrives(self.arrived));
        table
    }

    fn told(&self) -> Map<String, Value> {
        let inside = self.inside;
        let none = self.wanted.network == Network::None;
        let mut isolated = vec![
            "files",
            "credentials of the operator",
            "processes",
            "mounts",
            "Unix sockets",
            "System V IPC",
            "memory in total",
        ];
        let mut shared = vec!["the kernel", "disk space in total"];
        match (none && self.netcheck, self.ask.way_out.is_some()) {
            (true, false) => isolated.push("network"),
            (true, true) => isolated.push("network, but for listed hosts"),
            (false, _) => shared.push("network"),
        }
        let particulars = json!({
            "netcheck": if self.netcheck { "held" } else { "SKIPPED" },
            "capabilities": inside.capabilities,
            "groups": inside.groups,
            "interfaces": inside.interfaces,
            "routes": inside.routes,
            "nameServersAnswered": inside.answered,
            "limits": inside.limits,
            "tried": {
                "tcp": self.ask.tcp.len(),
                "udp": self.ask.udp.len(),
                "unix": self.ask.unix.len() + 1,
                "replaced": self.ask.steady.len(),
                "paths": self.ask.read.len(),
            },
            "arrived": self.arrived,
            "writableMounts": inside.seen.writable_mounts,
        });
        expectation::attested(&inside.seen, &isolated, &shared, particulars)
    }
}

/// A proof that something cannot be reached is worth something only if it could be reached.
fn worth(ask: &Ask, outside: &Sighting, came: usize) -> [Expectation<'static>; 2] {
    let tcp = ask.tcp.iter().map(|address| format!("tcp {address}"));
    let udp = ask.udp.iter().map(|address| format!("udp {address}"));
    let named = [format!("abstract {}", ask.abstract_name)];
    let unix = ask.unix.iter().map(|path| expectation::unix(path));
    [
        reaches_outside(outside, tcp.chain(udp).chain(named).chain(unix)),
        arrives_outside(ask, came),
    ]
}
