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
) -> Result<(Option<&'static str>, Map<String, Value>), String> {
    let setup = &docker.setup;
    let mut bait = Bait::lay(&setup.directory, &format!("{}-docker", setup.name))
        .map_err(|error| format!("agp's own listeners: {error}"))?;
    let here = bait.ask.unix.len();
    bait.ask
        .unix
        .extend(planted.map(|planted| planted.path.clone()));
    bait.ask.read.clone_from(&setup.protected);
    let outside = isolation_probe::look(&bait.ask);
    let outside = (outside, bait.arrived());
    if setup.netcheck {
        worth(&bait.ask, &outside.0, outside.1)?;
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
            Some(trial.map_err(|error| format!("a proxy to try: {error}"))?)
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

fn inside(docker: &Docker, ask: &Ask, trial: Option<&Trial>) -> Result<Surroundings, String> {
    let ask = serde_json::to_string(ask).map_err(|error| error.to_string())?;
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
        .map_err(|SandboxError(why)| format!("the probe inside: {why}"))?;
    match ran.ended {
        Told::Exited(0) => serde_json::from_slice(&ran.output)
            .map_err(|error| format!("the probe inside: {error}")),
        other => Err(format!("the probe inside ended otherwise: {other:?}")),
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
    fn judge(&self) -> Result<(), String> {
        self.process()?;
        self.files()?;
        self.limits()?;
        if self.netcheck {
            self.network()?;
        }
        Ok(())
    }

    /// Who runs inside, and with what rights.
    fn process(&self) -> Result<(), String> {
        let Surroundings {
            seen,
            groups,
            capabilities,
            ..
        } = self.inside;
        let (uid, gid) = self.wanted.user;
        if seen.uid != uid {
            return Err(format!("inside, the user is {}, not {uid}", seen.uid));
        }
        if *groups != BTreeSet::from([gid]) {
            return Err(format!(
                "inside, the groups are {groups:?}, not {gid} alone"
            ));
        }
        for name in CAPABILITIES {
            let set = capabilities.get(name).map(String::as_str);
            if set.is_none_or(|set| set.is_empty() || set.bytes().any(|digit| digit != b'0')) {
                return Err(format!("inside, there are capabilities: {name} {set:?}"));
            }
        }
        for (name, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            if seen.status.get(name).map(String::as_str) != Some(wanted) {
                return Err(format!("inside, {name} is not {wanted}"));
            }
        }
        // Every command is under a filter of agp's own; the daemon's shows on the first process.
        let first = |name: &str| self.inside.first.get(name).map(String::as_str);
        if first("NoNewPrivs") != Some("1") || first("Seccomp") != Some("2") {
            return Err("inside, the daemon's own filter of system calls is not there".into());
        }
        let (outside, _) = self.outside;
        for kind in NAMESPACES {
            let own = seen.namespaces.get(kind);
            if own.is_none() || own == outside.namespaces.get(kind) {
                return Err(format!("inside, the {kind} namespace is the host's"));
            }
        }
        Ok(())
    }

    /// What can be read and written.
    fn files(&self) -> Result<(), String> {
        let seen = &self.inside.seen;
        let (outside, _) = self.outside;
        match self.ask.read.first() {
            Some(path) if !outside.opened.contains(path) => {
                let path = path.display();
                return Err(format!(
                    "the probe proves nothing: outside it cannot read {path}"
                ));
            }
            _ => {}
        }
        // An image has an /etc/shadow of its own; what counts is that it is not the host's, and no
        // mount is of it.
        let foreign = |path: &&PathBuf| !self.is_images(path);
        if let Some(opened) = seen.opened.iter().find(foreign) {
            return Err(format!("inside, this could be read: {}", opened.display()));
        }
        for path in self.writable {
            if !seen.written.contains(path) {
                return Err(self.unwritable(path));
            }
        }
        if let Some(how) = seen.shaken.first() {
            return Err(format!("inside, what agp brings could be replaced: {how}"));
        }
        if !seen.shakes {
            return Err("the probe proves nothing: inside, nothing can be renamed in /tmp".into());
        }
        if let Some(path) = seen.written.difference(self.writable).next() {
            return Err(format!("inside, {} could be written", path.display()));
        }
        let Some(writable) = &seen.writable_mounts else {
            return Err("inside, the mounts cannot be listed".into());
        };
        let asked = |place: &str, writable: bool| {
            let mut mounts = self.wanted.mounts.iter();
            mounts.any(|mount| mount.target == Path::new(place) && (mount.writable || !writable))
        };
        // Masked by the runtime: something empty over something of the kernel's.
        let masked = |place: &str| place.starts_with("/proc/") || place.starts_with("/sys/");
        let known = |place: &str| {
            OWN_MOUNTS.contains(&place)
                || SHOWN_MOUNTS.contains(&place)
                || masked(place)
                || asked(place, false)
        };
        if let Some(place) = self.inside.mounts.iter().find(|place| !known(place)) {
            return Err(format!(
                "inside, {place} is mounted, which was not asked for"
            ));
        }
        let known = |place: &str| {
            OWN_MOUNTS.contains(&place) || place.starts_with("/proc/") || asked(place, true)
        };
        if let Some(place) = writable.iter().find(|place| !known(place)) {
            return Err(format!("inside, the mount {place} is writable"));
        }
        let mut devices = self.inside.devices.iter();
        match devices.find(|name| !OWN_DEVICES.contains(&name.as_str())) {
            Some(name) => Err(format!(
                "inside, there is a device that was not asked for: /dev/{name}"
            )),
            None => Ok(()),
        }
    }

    /// What is said of a path that the user inside ought to be able to write.
    fn unwritable(&self, path: &Path) -> String {
        let (uid, gid) = self.wanted.user;
        let shown = path.display();
        let mut mounts = self.wanted.mounts.iter();
        let how = match mounts.find(|mount| mount.target == path) {
            Some(Mount { source, .. }) => {
                let source = source.display();
                format!("it must be theirs: chown -R {uid}:{gid} {source}, or run agp as its owner")
            }
            None => "the image must have it of mode 1777, or not at all (docs/images.md)".into(),
        };
        format!("inside, {shown} cannot be written by {uid}:{gid}: {how}")
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
                    .any(|own| path.starts_with(own)))
    }

    /// The limits of its control group.
    fn limits(&self) -> Result<(), String> {
        let bounds = self.wanted.bounds;
        let seen = |name: &str| self.inside.limits.get(name).copied();
        if seen("memory") != Some(bounds.memory) {
            let found = seen("memory");
            return Err(format!("inside, memory is limited to {found:?} bytes"));
        }
        // Version 2 counts swap by itself, version 1 with memory.
        if seen("swap") != Some(0) && seen("memoryAndSwap") != Some(bounds.memory) {
            return Err("inside, swap is not limited to nothing".into());
        }
        if seen("pids") != Some(u64::from(bounds.pids)) {
            let found = seen("pids");
            return Err(format!("inside, processes are limited to {found:?}"));
        }
        let (Some(quota), Some(period)) = (seen("cpu"), seen("cpuPeriod")) else {
            return Err("inside, processor time is not limited".into());
        };
        // The daemon rounds.
        if quota.abs_diff(self.wanted.processor_time(period)) > 1 {
            return Err(format!(
                "inside, processor time is limited to {quota} of each {period} microseconds"
            ));
        }
        Ok(())
    }

    /// What of the network can be reached.
    fn network(&self) -> Result<(), String> {
        let Surroundings {
            seen,
            interfaces,
            routes,
            answered,
            ..
        } = self.inside;
        // Whatever the network, no socket of the host's that has a path, no abstract one, and no
        // family that leads around the network namespace.
        let own =
            |name: &str| name.starts_with("tcp ") || name.starts_with("udp ") || name == "dns";
        if let Some(reached) = seen.reached.iter().find(|name| !own(name)) {
            return Err(format!("inside, this was reached: {reached}"));
        }
        if self.wanted.network == Network::Bridge {
            return Ok(());
        }
        if let Some(name) = interfaces.iter().find(|name| *name != "lo") {
            return Err(format!("inside, there is a network interface: {name}"));
        }
        if let Some(name) = routes.first() {
            return Err(format!("inside, there is a route by {name}"));
        }
        if let Some(server) = answered.first() {
            return Err(format!("inside, the name server {server} answered"));
        }
        // A packet to the container's own loopback is sent, and arrives nowhere; nor does asking for
        // a name server there reach one.
        let alone = |name: &str| {
            name == "dns" || name.starts_with("udp 127.") || name.starts_with("udp [::1]")
        };
        if let Some(reached) = seen.reached.iter().find(|name| !alone(name)) {
            return Err(format!("inside, this was reached: {reached}"));
        }
        network::judge_way_out(self.ask, seen)?;
        if self.arrived > 0 {
            return Err("something arrived from inside at agp's own listeners".into());
        }
        Ok(())
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
        let told = json!({
            "netcheck": if self.netcheck { "held" } else { "SKIPPED" },
            "status": inside.seen.status,
            "capabilities": inside.capabilities,
            "uid": inside.seen.uid,
            "groups": inside.groups,
            "namespaceIds": inside.seen.namespaces,
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
            "reached": inside.seen.reached,
            "letOut": inside.seen.let_out,
            "arrived": self.arrived,
            "writable": inside.seen.written,
            "writableMounts": inside.seen.writable_mounts,
            "isolated": isolated,
            "notIsolated": shared,
            "vmGrade": false,
        });
        match told {
            Value::Object(told) => told,
            _ => Map::new(),
        }
    }
}

/// A proof that something cannot be reached is worth something only if it could be reached.
fn worth(ask: &Ask, outside: &Sighting, came: usize) -> Result<(), String> {
    let tcp = ask.tcp.iter().map(|address| format!("tcp {address}"));
    let udp = ask.udp.iter().map(|address| format!("udp {address}"));
    let named = [format!("abstract {}", ask.abstract_name)];
    let unix = ask.unix.iter();
    let unix = unix.map(|path| format!("unix {}", path.display()));
    for name in tcp.chain(udp).chain(named).chain(unix) {
        if !outside.reached.contains(&name) {
            return Err(format!(
                "the probe proves nothing: outside it does not reach {name}"
            ));
        }
    }
    if came < ask.tcp.len() + ask.udp.len() {
        return Err("the probe proves nothing: outside, not all it sent arrived".into());
    }
    Ok(())
}
