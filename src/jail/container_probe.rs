//! `probe`: looks around in a container and says what is true there, however it was configured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use rustix::process::{getgid, getgroups};
use serde::{Deserialize, Serialize};

use super::isolation_probe::{self, Ask, Sighting};

/// What was seen of the container itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Surroundings {
    /// What could be reached, read and written.
    pub seen: Sighting,
    /// The group, and all further ones.
    pub groups: BTreeSet<u32>,
    /// `NoNewPrivs` and `Seccomp` of the container's first process, which has no filter of agp's.
    pub first: BTreeMap<String, String>,
    /// Places of all mounts.
    pub mounts: BTreeSet<String>,
    /// Devices in `/dev`.
    pub devices: BTreeSet<String>,
    /// Network interfaces.
    pub interfaces: BTreeSet<String>,
    /// Interfaces that a route leads out by.
    pub routes: BTreeSet<String>,
    /// Name servers that answered a question.
    pub answered: BTreeSet<String>,
    /// The five sets of capabilities, as `/proc/self/status` has them.
    pub capabilities: BTreeMap<String, String>,
    /// Limits of the control group by name: `memory`, `swap`, `pids`, and `cpu`, the microseconds of
    /// processor time in each `cpuPeriod`. What cannot be read is not there.
    pub limits: BTreeMap<String, u64>,
}

/// Tries everything.
#[must_use]
pub fn look(ask: &Ask) -> Surroundings {
    let groups = getgroups().unwrap_or_default().into_iter();
    Surroundings {
        seen: isolation_probe::look(ask),
        groups: groups
            .chain([getgid()])
            .map(|group| group.as_raw())
            .collect(),
        first: status("/proc/1/status", &["NoNewPrivs", "Seccomp"]),
        mounts: lines("/proc/self/mountinfo")
            .iter()
            .filter_map(|line| line.split(' ').nth(4).map(str::to_owned))
            .collect(),
        devices: devices(),
        interfaces: interfaces(),
        routes: routes(),
        answered: name_servers()
            .into_iter()
            .filter(|server| asks(*server).is_ok())
            .map(|server| server.to_string())
            .collect(),
        capabilities: status("/proc/self/status", &["Cap"]),
        limits: limits(),
    }
}

/// Looks around, and prints what was seen. Gives the exit code.
pub fn run(ask: &str, out: &mut dyn io::Write) -> u8 {
    let Ok(ask) = serde_json::from_str::<Ask>(ask) else {
        return 2;
    };
    let seen = serde_json::to_string(&look(&ask)).unwrap_or_default();
    u8::from(writeln!(out, "{seen}").is_err())
}

fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn devices() -> BTreeSet<String> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let devices = entries.filter(|entry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device())
    });
    devices
        .map(|device| device.file_name().to_string_lossy().into_owned())
        .collect()
}

fn interfaces() -> BTreeSet<String> {
    let lines = lines("/proc/net/dev");
    let named = lines.iter().filter_map(|line| line.split_once(':'));
    named.map(|(name, _)| name.trim().to_owned()).collect()
}

fn routes() -> BTreeSet<String> {
    let four = lines("/proc/net/route").into_iter().skip(1);
    let four = four.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let six = lines("/proc/net/ipv6_route").into_iter();
    let six = six.filter_map(|line| line.split_whitespace().next_back().map(str::to_owned));
    four.chain(six).filter(|name| name != "lo").collect()
}

/// The name servers that are configured, and two that everybody knows, one of each family.
fn name_servers() -> BTreeSet<IpAddr> {
    let lines = lines("/etc/resolv.conf");
    let named = lines
        .iter()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .filter_map(|address| address.trim().parse().ok());
    let known = [
        IpAddr::from(Ipv4Addr::new(1, 1, 1, 1)),
        IpAddr::from(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
        // Docker's own, in a network of its.
        IpAddr::from(Ipv4Addr::new(127, 0, 0, 11)),
    ];
    named.chain(known).collect()
}

/// How long a name server has: where there is no network, nothing is waited for.
const ANSWER: Duration = Duration::from_millis(300);

/// A question for the root's name servers.
const QUESTION: [u8; 17] = [0x61, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

fn asks(server: IpAddr) -> io::Result<usize> {
    let any: SocketAddr = match server {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect((server, 53))?;
    socket.send(&QUESTION)?;
    socket.recv(&mut [0; 512])
}

/// The fields of a process's status whose names begin so.
fn status(path: &str, names: &[&str]) -> BTreeMap<String, String> {
    let lines = lines(path);
    let fields = lines.iter().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(name, _)| names.iter().any(|wanted| name.starts_with(wanted)))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Where the control groups of version 2 and of version 1 say a limit.
const LIMITS: [(&str, &str); 8] = [
    ("memory", "memory.max"),
    ("memory", "memory/memory.limit_in_bytes"),
    ("swap", "memory.swap.max"),
    ("memoryAndSwap", "memory/memory.memsw.limit_in_bytes"),
    ("pids", "pids.max"),
    ("pids", "pids/pids.max"),
    ("cpu", "cpu/cpu.cfs_quota_us"),
    ("cpuPeriod", "cpu/cpu.cfs_period_us"),
];

fn limits() -> BTreeMap<String, u64> {
    let base = "/sys/fs/cgroup";
    let mut values = BTreeMap::new();
    for (name, file) in LIMITS {
        let text = fs::read_to_string(format!("{base}/{file}")).unwrap_or_default();
        if let Ok(value) = text.trim().parse() {
            values.insert(name.to_owned(), value);
        }
    }
    let text = fs::read_to_string(format!("{base}/cpu.max")).unwrap_or_default();
    for (name, value) in ["cpu", "cpuPeriod"].iter().zip(text.split_whitespace()) {
        if let Ok(value) = value.parse() {
            values.insert((*name).to_owned(), value);
        }
    }
    values
}
