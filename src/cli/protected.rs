//! What nothing that runs for an agent may reach, whatever the sandbox.

use std::path::PathBuf;

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
pub(super) fn private_paths() -> Vec<PathBuf> {
    let mut private: Vec<PathBuf> = PRIVATE_SYSTEM.iter().map(PathBuf::from).collect();
    if let Some(user) = std::env::var_os("HOME").filter(|user| !user.is_empty()) {
        let user = PathBuf::from(user);
        private.extend(PRIVATE.iter().map(|name| user.join(name)));
    }
    private
}

/// Sockets of those that could start a process outside.
pub(super) fn sockets() -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
    if let Some(user) = std::env::var_os("HOME").filter(|user| !user.is_empty()) {
        sockets.push(PathBuf::from(user).join(".docker/run/docker.sock"));
    }
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
        let runtime = PathBuf::from(runtime);
        sockets.extend(["docker.sock", "podman/podman.sock", "bus"].map(|name| runtime.join(name)));
    }
    sockets
}
