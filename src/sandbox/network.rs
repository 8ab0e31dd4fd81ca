//! What network a sandbox has: none, the host's, or a way out to listed hosts alone.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::egress_self_test::Trial;
use crate::egress::Allowlist;
use crate::jail::isolation_probe::{Ask, name_server};
use crate::jail::spec::{RELAY_PORT, Relay, Spec};

/// What network a sandbox has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Network {
    /// None at all.
    #[default]
    Off,
    /// The host's.
    Host,
    /// One of its own, with nothing in it but the way to an egress proxy.
    Listed {
        /// The socket of the proxy.
        socket: PathBuf,
        /// What that proxy lets through.
        list: Allowlist,
    },
}

impl Network {
    /// The word for it in events and on the command line.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Host => "full",
            Self::Listed { .. } => "allowlist",
        }
    }

    /// What may be reached, each host in its one spelling; empty where it is not listed.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        match self {
            Self::Off | Self::Host => Vec::new(),
            Self::Listed { list, .. } => list.entries(),
        }
    }

    /// Variables that a program inside gets.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Off | Self::Host => Vec::new(),
            Self::Listed { list, .. } => Relay::variables(RELAY_PORT, &list.local()),
        }
    }

    /// Gives it to a confinement.
    pub(super) fn give(&self, spec: &mut Spec) {
        match self {
            Self::Off => {}
            Self::Host => spec.sockets.inet = true,
            Self::Listed { socket, .. } => {
                spec.sockets.inet = true;
                spec.relay = Some(relay(socket));
            }
        }
    }
}

/// A proxy to try, where there is a way out to be tried.
pub(super) fn trial(network: &Network, directory: &Path, token: &str) -> io::Result<Option<Trial>> {
    match network {
        Network::Off | Network::Host => Ok(None),
        Network::Listed { .. } => Trial::lay(directory, token).map(Some),
    }
}

/// The confinement with its way out leading to the proxy that is tried.
pub(super) fn tried(spec: &Spec, trial: Option<&Trial>, ask: &mut Ask) -> Spec {
    let mut spec = spec.clone();
    if let Some(trial) = trial {
        spec.relay = Some(relay(trial.socket()));
        ask.way_out = Some(trial.ask.clone());
    }
    spec
}

/// Whether something that could be spoken to is not the host's: on a loopback interface of one's own
/// a packet can be sent to nobody, and what the host's network offers is no leak where it is given.
pub(super) fn is_no_leak(spec: &Spec, reached: &str) -> bool {
    if !spec.sockets.inet {
        return false;
    }
    let (kind, address) = reached.split_once(' ').unwrap_or((reached, ""));
    if !spec.has_network() {
        return matches!(kind, "tcp" | "udp" | "dns");
    }
    let address = address.parse::<SocketAddr>();
    match kind {
        "udp" => address.is_ok_and(|address| address.ip().is_loopback()),
        "dns" => name_server().is_loopback(),
        _ => false,
    }
}

/// What of the network is kept away.
pub(super) fn isolated(spec: &Spec) -> Option<&'static str> {
    match (spec.sockets.inet, spec.has_network()) {
        (false, _) => Some("network"),
        (true, true) => Some("network, but for listed hosts"),
        (true, false) => None,
    }
}

/// What of the network is the host's.
pub(super) fn not_isolated(spec: &Spec) -> Option<&'static str> {
    isolated(spec).is_none().then_some("network")
}

/// A way that ends at this proxy.
fn relay(socket: &Path) -> Relay {
    Relay {
        socket: socket.to_owned(),
        port: RELAY_PORT,
    }
}
