//! Namespaces of a process's own: user, PID, IPC, mount, network, host name, cgroup.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};

use super::loopback;
use super::rlimits::keep_capabilities;
use super::spec::{Namespaces, Spec};

/// The user that a process of root's is inside: nobody.
const NOBODY: u32 = 65534;

/// Enters the namespaces that `spec` asks for. The PID namespace begins with the next child.
///
/// # Errors
/// Which step the kernel refused, and why.
pub fn enter(spec: &Spec) -> io::Result<()> {
    let mut flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if spec.has_network() {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    if geteuid().is_root() && !groups_are_fixed() {
        // Root may, and must, give up groups; an ordinary user's stay, and give what they give.
        nix::unistd::setgroups(&[]).map_err(|error| refused("setgroups", &error.into()))?;
    }
    match spec.namespaces {
        Namespaces::Off => Ok(()),
        Namespaces::Direct => unshare(flags).map_err(|error| refused("unshare", &error.into())),
        Namespaces::User => {
            let (user, group) = (geteuid().as_raw(), getegid().as_raw());
            unshare(flags | CloneFlags::CLONE_NEWUSER)
                .map_err(|error| refused("unshare with a user namespace", &error.into()))?;
            // A process that could change its groups could leave one that is denied something.
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &one(user))?;
            write("/proc/self/gid_map", &one(group))?;
            keep_capabilities().map_err(|error| refused("capabilities", &error))
        }
    }?;
    if spec.relay.is_some() {
        if !spec.has_network() {
            let problem = "a private network needs namespaces";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        loopback::up().map_err(|error| refused("the loopback interface", &error))?;
    }
    Ok(())
}

/// Whether this is the root of a user namespace whose groups cannot be changed: that of an
/// ordinary user's container.
fn groups_are_fixed() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|said| said.trim() == "deny")
}

/// A map of one id: itself, or nobody for root.
fn one(outside: u32) -> String {
    let inside = if outside == 0 { NOBODY } else { outside };
    format!("{inside} {outside} 1")
}

fn write(path: &str, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| refused(path, &error))
}

fn refused(step: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step}: {error}"))
}
