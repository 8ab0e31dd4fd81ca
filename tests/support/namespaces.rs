//! What namespaces this machine gives, and to whom.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::process::{Command, Stdio};

use agp::jail::spec::Namespaces;

use super::session;

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this machine gives such namespaces, by the word of another program than agp's.
pub(crate) fn permitted(namespaces: Namespaces) -> bool {
    let words: &[&str] = match namespaces {
        Namespaces::User => &["--user", "--map-root-user"],
        Namespaces::Direct => &[],
        Namespaces::Off => return true,
    };
    let mut unshare = Command::new("unshare");
    unshare.args(words).args([
        "--mount", "--pid", "--fork", "--net", "mount", "-t", "tmpfs", "agp", "/tmp",
    ]);
    let given = unshare
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !given {
        session::skip(
            "namespaces",
            "sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns",
        );
    }
    given
}
