//! What nothing that runs for an agent may reach, whatever the sandbox.

use std::path::{Path, PathBuf};

use super::asked::Asked;
use super::choices::{Confine, Provider};
use super::home::Home;
use super::report::Failure;

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

/// Refuses a repository, or a path that is named besides, that holds agp's own home or lies in it, and a repository
/// that is the operator's home or holds what is private there: what is confined to it would have the key, or the
/// shell's start-up files. Told here, before anything is tried, because it is no fault of this machine's, and
/// no weaker confinement mends it.
///
/// # Errors
/// [`Failure`], naming both.
pub(super) fn keeps_out(home: &Home, asked: &Asked) -> Result<(), Failure> {
    if asked.sandbox == Provider::Recording && asked.confine == Confine::Off {
        return Ok(());
    }
    let own = home.root().canonicalize();
    let own = own.unwrap_or_else(|_| home.root().to_owned());
    let overlaps = |path: &Path| own.starts_with(path) || path.starts_with(&own);
    let refused = |what: &str, path: &Path, mend: &str| {
        let (own, path) = (own.display(), path.display());
        Err(Failure::refused(
            format!(
                "{what} {path} and agp's own home {own} overlap: what is confined to the one would have the other"
            ),
            mend,
        ))
    };
    if overlaps(&asked.repository) {
        let mend =
            "--repo a directory that is not around agp's home, or AGP_HOME a directory elsewhere";
        return refused("the repository", &asked.repository, mend);
    }
    // A home can be reached by another name; what lies in it and leads elsewhere is meant as it is named.
    let named = std::env::var_os("HOME").map(PathBuf::from);
    let user = named.as_ref().and_then(|named| named.canonicalize().ok());
    let truly = |path: PathBuf| match (&named, &user) {
        (Some(named), Some(user)) => path
            .strip_prefix(named)
            .map_or(path.clone(), |rest| user.join(rest)),
        _ => path,
    };
    let held = private_paths().into_iter().map(truly);
    let held = held.filter(|path| path.exists()).chain(user.clone());
    let mut held = held.filter(|path| path.starts_with(&asked.repository));
    if let Some(private) = held.next() {
        let (repository, private) = (asked.repository.display(), private.display());
        return Err(Failure::refused(
            format!(
                "the repository {repository} holds {private}, which nothing that runs for an agent may have"
            ),
            "--repo a directory that holds the work alone",
        ));
    }
    for path in asked.allow_read.iter().chain(&asked.allow_write) {
        let found = path.canonicalize().unwrap_or_else(|_| path.clone());
        if overlaps(&found) {
            return refused("what is allowed besides,", path, "name less than that");
        }
    }
    Ok(())
}
