//! `isolation`: looks around and says what it can reach. Run inside a sandbox and outside of it,
//! by the same words: what is seen outside and not inside is what the sandbox keeps away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tamper_probe::{self, Steady};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Pid, getuid, test_kill_process};
use serde::{Deserialize, Serialize};

/// What to try.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// Listeners to connect to.
    pub tcp: Vec<SocketAddr>,
    /// Listeners to send [`Ask::token`] to.
    pub udp: Vec<SocketAddr>,
    /// What is sent: it tells one probe's packets from another's.
    pub token: String,
    /// The name of an abstract Unix listener.
    pub abstract_name: String,
    /// Unix sockets to connect to.
    pub unix: Vec<PathBuf>,
    /// Files and directories to open for reading.
    pub read: Vec<PathBuf>,
    /// Directories to make and remove a file in.
    pub write: Vec<PathBuf>,
    /// Whether sockets of rare families are tried too. Not from outside: the kernel would look for
    /// their modules, which takes milliseconds.
    pub families: bool,
    /// What must stay what it is.
    pub steady: Vec<Steady>,
    /// A process to signal (with signal 0: nothing is sent) and to look into.
    pub process: i32,
    /// The PID namespace in which [`Ask::process`] is its number. In another one below it that process
    /// has none, and the number is somebody else's.
    pub process_namespace: String,
    /// A name server to speak to; by default the one that is named where the probe stands.
    pub name_server: Option<IpAddr>,
    /// The way out, where there is to be one.
    pub way_out: Option<WayOut>,
}

/// A way out to try: through the proxy at a port of one's own loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WayOut {
    /// The proxy's port.
    pub port: u16,
    /// A host and port that is listed, and answers with [`Ask::token`].
    pub listed: String,
    /// Others that are not.
    pub unlisted: Vec<String>,
    /// The beginning of TLS for the listed one, in hexadecimal.
    pub hello: String,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sighting {
    /// Listeners that were reached, as `tcp 192.0.2.1:7`, `udp …`, `abstract …`, `unix …`; `dns`
    /// where a name server could be spoken to; `packet`, `netlink`, `vsock` where such a socket could be
    /// made.
    pub reached: BTreeSet<String>,
    /// Paths that could be opened.
    pub opened: BTreeSet<PathBuf>,
    /// Directories in which a file could be made.
    pub written: BTreeSet<PathBuf>,
    /// How something could be made another that must stay what it is.
    pub shaken: BTreeSet<String>,
    /// Whether in the temporary directory the same attempts succeed.
    pub shakes: bool,
    /// Whether the process could be signalled.
    pub signalled: bool,
    /// The user, as seen from here.
    pub uid: u32,
    /// `NoNewPrivs`, `Seccomp` and `CapEff` of `/proc/self/status`.
    pub status: BTreeMap<String, String>,
    /// Namespaces by kind, as `/proc/self/ns` names them.
    pub namespaces: BTreeMap<String, String>,
    /// Hosts that were reached through the way out.
    pub let_out: BTreeSet<String>,
    /// Places of mounts that are not read-only; `None` where they cannot be listed.
    pub writable_mounts: Option<BTreeSet<String>>,
    /// Places of overlays, through which no socket is reached.
    pub overlays: BTreeSet<String>,
}

/// How long a listener has to answer: all are on this machine.
const ANSWER: Duration = Duration::from_millis(500);

/// Families whose sockets reach the kernel, the wire or the host's hypervisor.
const FAMILIES: [(&str, AddressFamily); 3] = [
    ("packet", AddressFamily::PACKET),
    ("netlink", AddressFamily::NETLINK),
    ("vsock", AddressFamily::VSOCK),
];

/// Tries everything.
#[must_use]
pub fn look(ask: &Ask) -> Sighting {
    let mut seen = Sighting {
        uid: getuid().as_raw(),
        status: status(),
        namespaces: namespaces(),
        writable_mounts: writable_mounts().ok(),
        overlays: overlays(),
        ..Sighting::default()
    };
    for address in &ask.tcp {
        if TcpStream::connect_timeout(address, ANSWER).is_ok() {
            seen.reached.insert(format!("tcp {address}"));
        }
    }
    for address in &ask.udp {
        if send(address, &ask.token).is_ok() {
            seen.reached.insert(format!("udp {address}"));
        }
    }
    let named = UnixAddr::from_abstract_name(&ask.abstract_name);
    if named
        .and_then(|address| UnixStream::connect_addr(&address))
        .is_ok()
    {
        seen.reached
            .insert(format!("abstract {}", ask.abstract_name));
    }
    for path in &ask.unix {
        if listens(path) {
            seen.reached.insert(format!("unix {}", path.display()));
        }
    }
    if dns(ask.name_server.unwrap_or_else(name_server)).is_ok() {
        seen.reached.insert("dns".into());
    }
    let families: &[_] = if ask.families { &FAMILIES } else { &[] };
    for (name, family) in families {
        if rustix::net::socket(*family, SocketType::DGRAM, None).is_ok() {
            seen.reached.insert((*name).into());
        }
    }
    if let Some(way_out) = &ask.way_out {
        let hosts = way_out.unlisted.iter().chain([&way_out.listed]);
        let reached = hosts.filter(|host| go_out(way_out, host, &ask.token).unwrap_or(false));
        seen.let_out.extend(reached.cloned());
    }
    if !ask.steady.is_empty() {
        seen.shaken
            .extend(ask.steady.iter().filter_map(tamper_probe::shaken));
        seen.shakes = tamper_probe::succeeds_in(&std::env::temp_dir());
    }
    let process = Pid::from_raw(ask.process).filter(|_| is_numbered_here(ask, &seen));
    let memory = process.iter().flat_map(|pid| {
        let of = |name| PathBuf::from(format!("/proc/{}/{name}", pid.as_raw_nonzero()));
        ["mem", "environ"].map(of)
    });
    for path in ask.read.iter().cloned().chain(memory) {
        let opened = if path.is_dir() {
            fs::read_dir(&path).is_ok()
        } else {
            File::open(&path).is_ok()
        };
        if opened {
            seen.opened.insert(path);
        }
    }
    for path in &ask.write {
        if write(path).is_ok() {
            seen.written.insert(path.clone());
        }
    }
    seen.signalled = process.is_some_and(|pid| test_kill_process(pid).is_ok());
    seen
}

/// Whether a process has the same number here. Where that cannot be seen it is tried.
fn is_numbered_here(ask: &Ask, seen: &Sighting) -> bool {
    let here = seen.namespaces.get(PID_NAMESPACE);
    here.is_none_or(|here| *here == ask.process_namespace)
}

impl Ask {
    /// What to try of the process that asks.
    #[must_use]
    pub fn of_this_process() -> Self {
        let namespace = namespaces().remove(PID_NAMESPACE);
        Self {
            process: i32::try_from(std::process::id()).unwrap_or(0),
            process_namespace: namespace.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// The kind of namespace that numbers processes.
pub const PID_NAMESPACE: &str = "pid";

/// Whether something answers at a socket, of whatever type. A path may be longer than a socket's name.
fn listens(path: &Path) -> bool {
    use rustix::net::{SocketAddrUnix, SocketFlags, connect, socket_with};
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(parent) = rustix::fs::open(parent, flags, Mode::empty()) else {
        return false;
    };
    let short = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string());
    let Ok(address) = SocketAddrUnix::new(short.join(name)) else {
        return false;
    };
    // One whose queue is full is not waited for.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let Ok(socket) = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return false;
    };
    // Of another type it is there as well, for another kind of socket.
    matches!(
        connect(&socket, &address),
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE)
    )
}

/// How long a proxy on this machine has to answer, and the listed host behind it.
const PROXY_ANSWER: Duration = Duration::from_secs(5);
/// Bytes of a proxy's answer.
const PROXY_BYTES: u64 = 4096;

/// Whether a host is reached: one that the proxy agrees to, and of the listed one its own answer.
fn go_out(way_out: &WayOut, host: &str, token: &str) -> io::Result<bool> {
    let mut proxy = TcpStream::connect(("127.0.0.1", way_out.port))?;
    proxy.set_read_timeout(Some(PROXY_ANSWER))?;
    write!(proxy, "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut proxy = io::BufReader::new(proxy);
    let mut line = String::new();
    proxy.by_ref().take(PROXY_BYTES).read_line(&mut line)?;
    let agreed = line.starts_with("HTTP/1.1 200 ");
    if host != way_out.listed || !agreed {
        return Ok(agreed);
    }
    while line != "\r\n" {
        line.clear();
        if proxy.by_ref().take(PROXY_BYTES).read_line(&mut line)? == 0 {
            return Ok(false);
        }
    }
    proxy.get_mut().write_all(&unhexed(&way_out.hello))?;
    let mut answer = vec![0; token.len()];
    proxy.read_exact(&mut answer)?;
    Ok(answer == token.as_bytes())
}

fn unhexed(text: &str) -> Vec<u8> {
    let pairs = (0..text.len())
        .step_by(2)
        .filter_map(|at| text.get(at..at + 2));
    pairs
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

fn send(address: &SocketAddr, token: &str) -> io::Result<usize> {
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    UdpSocket::bind(any)?.send_to(token.as_bytes(), address)
}

/// The first name server, as the system's resolver finds it.
#[must_use]
pub fn name_server() -> IpAddr {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut named = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .filter_map(|address| address.trim().parse::<IpAddr>().ok());
    named.next().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Whether a socket to a name server could be had. Nothing is sent to it.
fn dns(address: IpAddr) -> io::Result<()> {
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    UdpSocket::bind(any)?.connect((address, 53))
}

fn write(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".agp-probe-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(path)
}

fn status() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(name, _)| matches!(*name, "NoNewPrivs" | "Seccomp" | "CapEff"))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn namespaces() -> BTreeMap<String, String> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let namespaces = kinds.into_iter().filter_map(|kind| {
        let target = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        Some((kind.to_owned(), target.display().to_string()))
    });
    namespaces.collect()
}

fn writable_mounts() -> io::Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        let (place, options) = (fields.next()?, fields.next()?);
        let writable = options.split(',').any(|option| option == "rw");
        writable.then(|| place.to_owned())
    });
    Ok(mounts.collect())
}

fn overlays() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = text.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let place = mount.split(' ').nth(4)?;
        source.starts_with("overlay ").then(|| place.to_owned())
    });
    mounts.collect()
}

/// Looks around for what `ask` names, and prints what was seen. Gives the exit code.
pub fn run(ask: &str, out: &mut dyn io::Write) -> u8 {
    let Ok(ask) = serde_json::from_str::<Ask>(ask) else {
        return 2;
    };
    let seen = serde_json::to_string(&look(&ask)).unwrap_or_default();
    u8::from(writeln!(out, "{seen}").is_err())
}
