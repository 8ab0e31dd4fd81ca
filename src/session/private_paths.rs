//! What nothing that runs for an agent may reach, whatever the sandbox.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::channels::escape;
use crate::jail::unix_sockets as files;

/// Paths below the operator's home that nothing inside may reach, unless named by `--allow-read`.
const PRIVATE: [&str; 22] = [
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".config",
    ".docker",
    ".kube",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".password-store",
    ".mozilla",
    ".bash_history",
    ".bashrc",
    ".profile",
    ".zshrc",
    ".claude",
    ".claude.json",
    ".codex",
    ".cargo/credentials.toml",
    ".local/share/keyrings",
];
/// The same elsewhere.
const PRIVATE_SYSTEM: [&str; 5] = [
    "/etc/shadow",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssl/private",
    "/root",
    "/var/spool/cron",
];
/// Sockets of those that could start a process outside.
const SOCKETS: [&str; 7] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
];

/// The operator's paths that nothing inside may reach.
pub(crate) fn private_paths() -> Vec<PathBuf> {
    let mut private: Vec<PathBuf> = PRIVATE_SYSTEM.iter().map(PathBuf::from).collect();
    if let Some(user) = variable("HOME") {
        let user = PathBuf::from(user);
        private.extend(PRIVATE.iter().map(|name| user.join(name)));
    }
    private
}

/// Sockets that are looked for by name when they are tried, at most. A confinement's probe is told of them in
/// one argument, which Linux bounds at 128 KiB.
const LISTENING: usize = 500;

/// Sockets at which a process outside could be had to do something.
pub(crate) struct Sockets {
    /// Of those that start processes, or hold an operator's session.
    pub(crate) dangerous: Vec<PathBuf>,
    /// All others at which something listens now.
    pub(crate) listening: Vec<PathBuf>,
    /// How many more there are.
    pub(crate) untold: usize,
}

impl Sockets {
    /// Those of this machine, but for what lies below `directory`.
    ///
    /// # Errors
    /// When the operator's runtime directory cannot be looked through.
    pub(crate) fn of_this_machine(directory: &Path) -> io::Result<Self> {
        let mut dangerous = sockets();
        let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        if let Some(runtime) = runtime.filter(|path| path.is_dir()) {
            dangerous.extend(files::below(&runtime)?);
        }
        let (mut listening, all) = files::listening(LISTENING);
        let untold = all - listening.len();
        listening.retain(|path| !path.starts_with(directory) && !dangerous.contains(path));
        dangerous.retain(|path| !path.starts_with(directory));
        Ok(Self {
            dangerous,
            listening: listening.into_iter().collect(),
            untold,
        })
    }

    /// Those that whoever runs as this user can connect to, by their modes.
    pub(crate) fn open(&self) -> Vec<String> {
        let all = self.dangerous.iter().chain(&self.listening);
        let open = all.filter(|path| access(*path, Access::WRITE_OK).is_ok());
        open.map(|path| path.display().to_string()).collect()
    }
}

/// Sockets of those that could start a process outside.
pub(crate) fn sockets() -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
    if let Some(user) = variable("HOME") {
        sockets.push(PathBuf::from(user).join(".docker/run/docker.sock"));
    }
    if let Some(runtime) = variable("XDG_RUNTIME_DIR") {
        let runtime = PathBuf::from(runtime);
        sockets.extend(["docker.sock", "podman/podman.sock", "bus"].map(|name| runtime.join(name)));
    }
    let daemons = ["DOCKER_HOST", "CONTAINER_HOST"].into_iter();
    sockets.extend(daemons.filter_map(|name| socket_of(&variable(name)?)));
    sockets
}

/// The socket in a daemon's address.
fn socket_of(address: &OsStr) -> Option<PathBuf> {
    address.to_str()?.strip_prefix("unix://").map(PathBuf::from)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Sockets as a message lists them.
pub(crate) fn listed(sockets: &[String]) -> String {
    const SHOWN: usize = 10;
    let names = sockets.iter().take(SHOWN).map(|path| escape::line(path));
    let mut names = names.collect::<Vec<_>>().join(", ");
    if let Some(more) = sockets.len().checked_sub(SHOWN + 1) {
        names += &format!(", and {} more", more + 1);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemons_address_names_its_socket() {
        let of = |address: &str| socket_of(OsStr::new(address));
        assert_eq!(of("unix:///run/x.sock"), Some("/run/x.sock".into()));
        assert_eq!(of("tcp://127.0.0.1:2375"), None);
    }

    #[test]
    fn a_long_list_says_how_long_it_is() {
        let names: Vec<String> = (0..12).map(|n| format!("/s{n}")).collect();
        assert_eq!(listed(&names[..2]), "/s0, /s1");
        assert!(listed(&names[..10]).ends_with("/s9"));
        assert!(listed(&names).ends_with("/s9, and 2 more"));
    }
}
