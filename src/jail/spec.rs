//! What a confined process may do, as its starter states it: data that crosses one `execve`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Which namespaces a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespaces {
    /// User, PID, IPC, mount and network namespaces: an ordinary user's way.
    User,
    /// The same without a user namespace: root's way where user namespaces are switched off.
    Direct,
    /// None: Landlock and seccomp alone.
    Off,
}

impl Namespaces {
    /// The word for it in events and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Direct => "direct",
            Self::Off => "off",
        }
    }
}

/// Resource limits of each process inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Processes and threads at a time.
    pub processes: u64,
    /// Open descriptors.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of address space.
    pub address_bytes: u64,
    /// Bytes of private writable memory.
    pub data_bytes: u64,
}

/// Which sockets may be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sockets {
    /// TCP and UDP. The process then keeps the host's network, unless [`Spec::relay`] says
    /// otherwise.
    pub inet: bool,
    /// Unix sockets.
    pub unix: bool,
}

/// The one way out of a network of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relay {
    /// The socket that each connection is carried to: the egress proxy's.
    pub socket: PathBuf,
    /// The port of its own loopback at which the way begins.
    pub port: u16,
}

/// Plain HTTP is not carried, and told so by the proxy, which says more than a name that cannot be
/// resolved.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

impl Relay {
    /// Variables by which programs find the relay. `local` are hosts of this machine's that are to be
    /// reached through it, too, instead of on the sandbox's own loopback.
    #[must_use]
    pub fn variables(port: u16, local: &[String]) -> Vec<(&'static str, String)> {
        let proxy = format!("http://127.0.0.1:{port}");
        let direct: Vec<&str> = ["localhost", "127.0.0.1", "::1"]
            .into_iter()
            .filter(|name| !local.iter().any(|listed| listed == name))
            .collect();
        let direct = direct.join(",");
        let mut all: Vec<(&'static str, String)> = PROXY_VARIABLES
            .iter()
            .map(|name| (*name, proxy.clone()))
            .collect();
        all.extend(["NO_PROXY", "no_proxy"].map(|name| (name, direct.clone())));
        all
    }
}

/// Something of the host's that stands at a place of agp's own inside: below [`RUN`] or [`BIN`], in the
/// root's own tmpfs. Nobody inside can rename or replace it, or a directory on the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placed {
    /// Where it lies outside. What is not there is left out.
    pub from: PathBuf,
    /// Where it stands inside.
    pub at: PathBuf,
    /// Whether its content may be changed.
    pub write: bool,
    /// Whether it is not agp's own: no socket in it is reached then, and what takes another's place in it
    /// outside need not be seen.
    pub foreign: bool,
}

/// A path that a policy withholds from whatever runs inside, in a root of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withheld {
    /// Without links on the way.
    pub path: PathBuf,
    /// The file that was found there: another one in its place is not what was meant.
    pub inode: u64,
    /// It cannot be read, or listed. Otherwise it cannot be changed.
    pub hidden: bool,
}

/// What a confined process may do. Whatever is not named here it may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The namespaces it gets.
    pub namespaces: Namespaces,
    /// Paths that may be read and executed, besides the system's. Those not there are left out.
    pub read: Vec<PathBuf>,
    /// Paths that may be changed too.
    pub write: Vec<PathBuf>,
    /// What stands at another place, in a root of its own.
    pub placed: Vec<Placed>,
    /// Sockets below what may be changed, which cannot be reached in a root of its own.
    pub masked: Vec<PathBuf>,
    /// What a policy withholds of what may be read or changed.
    pub withheld: Vec<Withheld>,
    /// The directory that becomes its `/tmp`, or stands for it where there is no mount namespace.
    pub scratch: PathBuf,
    /// Where `home` of [`Spec::scratch`] stands for the operator's home, in a root of its own.
    pub home: Option<PathBuf>,
    /// Whether it may make terminals, in a root of its own: they are then its own.
    pub terminals: bool,
    /// Its working directory.
    pub directory: PathBuf,
    /// The program of agp's own that may be run inside, to look around there.
    pub helper: PathBuf,
    /// Its sockets.
    pub sockets: Sockets,
    /// Where it has a network of its own with nothing in it but this.
    pub relay: Option<Relay>,
    /// Its limits.
    pub limits: Limits,
    /// Everything inside is killed when it makes less than this free where it may write.
    pub free_bytes: u64,
}

/// Where a session's sockets and settings stand inside, read-only: in a container, too.
pub const RUN: &str = "/run/agp";
/// The private home of a harness that has one, within that directory.
pub const HARNESS_HOME: &str = "harness-home";
/// Where Claude Code finds its login, within that directory.
pub const HARNESS_LOGIN: &str = "harness-login";
/// What becomes a harness's private `/tmp`, within a session's directory.
pub const SCRATCH: &str = "harness-tmp";
/// Where the programs that agp brings stand inside, read-only.
pub const BIN: &str = "/run/agp-bin";
/// Where [`Spec::helper`] stands in a mount namespace of its own.
pub const HELPER: &str = "/run/agp-bin/agp-bridge";
/// Where a harness's program stands that lies where it could be replaced.
pub const HARNESS: &str = "/run/agp-bin/harness";
/// An empty directory in a mount namespace of its own.
pub const EMPTY: &str = "/run/agp-bin/empty";
/// Where the egress proxy's socket stands in a mount namespace of its own.
pub const PROXY: &str = "/run/agp/proxy.sock";

/// Where a way out begins on a sandbox's own loopback: the port that proxies have by custom.
pub const RELAY_PORT: u16 = 3128;

/// What of the system may be read and executed.
pub const SYSTEM: [&str; 8] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix",
];

/// What of `/etc` may be read. Not all of it: to root's own processes the shadow file and private
/// keys would be open.
pub const SYSTEM_FILES: [&str; 41] = [
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/environment",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/python3",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/static",
    "/etc/terminfo",
    "/etc/timezone",
    "/etc/xattr.conf",
];

/// Devices that may be read and written.
pub const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

impl Spec {
    /// Whether it has a network of its own.
    #[must_use]
    pub fn has_network(&self) -> bool {
        self.has_root() && (!self.sockets.inet || self.relay.is_some())
    }

    /// Whether it has a root directory of its own.
    #[must_use]
    pub fn has_root(&self) -> bool {
        self.namespaces != Namespaces::Off
    }

    /// Where something of the host's stands inside.
    #[must_use]
    pub fn inside(&self, path: &Path) -> PathBuf {
        if !self.has_root() {
            return path.to_owned();
        }
        if path == self.helper {
            return HELPER.into();
        }
        let placed = self.placed.iter().find_map(|placed| {
            let rest = path.strip_prefix(&placed.from).ok()?;
            // Joined with nothing, a file's path would end in a slash.
            Some(if rest.as_os_str().is_empty() {
                placed.at.clone()
            } else {
                placed.at.join(rest)
            })
        });
        placed.unwrap_or_else(|| path.to_owned())
    }

    /// Directories inside, in a root of its own, in which names can be made, moved and taken away.
    pub fn loose(&self) -> impl Iterator<Item = &Path> {
        let temporary = ["/tmp", "/dev/shm"].into_iter().map(Path::new);
        let given = self.write.iter().chain(&self.home);
        temporary.chain(given.map(PathBuf::as_path))
    }

    /// What may be read and executed, the system's paths included.
    pub fn readable(&self) -> impl Iterator<Item = &Path> {
        let system = SYSTEM.into_iter().chain(SYSTEM_FILES).map(Path::new);
        system.chain(self.read.iter().map(PathBuf::as_path))
    }
}

/// Whether a path that somebody names lies around agp's own places inside, or in them.
#[must_use]
pub fn overlaps_own(path: &Path) -> bool {
    let reserved = [RUN, BIN].map(Path::new);
    reserved
        .iter()
        .any(|reserved| reserved.starts_with(path) || path.starts_with(reserved))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One that has nothing.
    pub(crate) fn spec(namespaces: Namespaces) -> Spec {
        let placed = |from: &str, at: &str| Placed {
            from: from.into(),
            at: at.into(),
            write: false,
            foreign: false,
        };
        Spec {
            namespaces,
            read: Vec::new(),
            write: Vec::new(),
            placed: vec![
                placed("/tmp/s/gate.sock", "/run/agp/gate.sock"),
                placed("/home/u/claude", "/run/agp-bin/harness/claude"),
            ],
            masked: Vec::new(),
            withheld: Vec::new(),
            scratch: "/tmp/s/tmp".into(),
            home: None,
            terminals: false,
            directory: "/repo".into(),
            helper: "/home/u/.cargo/bin/agp-bridge".into(),
            sockets: Sockets::default(),
            relay: None,
            limits: Limits {
                processes: 1,
                open_files: 1,
                file_bytes: 1,
                address_bytes: 1,
                data_bytes: 1,
            },
            free_bytes: 0,
        }
    }

    #[test]
    fn what_the_gate_is_made_of_stands_at_agps_own_places() {
        for (outside, inside) in [
            ("/tmp/s/gate.sock", "/run/agp/gate.sock"),
            ("/home/u/claude", "/run/agp-bin/harness/claude"),
            ("/home/u/claude/bin/x", "/run/agp-bin/harness/claude/bin/x"),
            ("/home/u/claude2", "/home/u/claude2"),
            ("/home/u/.cargo/bin/agp-bridge", HELPER),
            ("/usr/bin/git", "/usr/bin/git"),
        ] {
            let outside = Path::new(outside);
            assert_eq!(spec(Namespaces::User).inside(outside), Path::new(inside));
            assert_eq!(spec(Namespaces::Off).inside(outside), outside);
        }
    }

    #[test]
    fn agps_own_places_are_not_to_be_named() {
        for path in ["/", "/run", "/run/agp", "/run/agp/x", "/run/agp-bin"] {
            assert!(overlaps_own(Path::new(path)), "{path}");
        }
        for path in ["/run/agp2", "/run/user/1000", "/home/u"] {
            assert!(!overlaps_own(Path::new(path)), "{path}");
        }
    }
}
