//! Landlock: the files a process may reach, and its TCP, abstract sockets and signals.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::spec::{DEVICES, HELPER, Spec};

/// The newest interface that the rules were written for. Older kernels enforce what they have.
const NEWEST: ABI = ABI::V6;

/// What of `/proc` may be read where it is the host's: facts about the machine, and about oneself.
const HOST_PROC: [&str; 10] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/uptime",
    "/proc/version",
];

/// Restricts this process and all it will start. Gives the version of the interface that the
/// kernel enforces: 0 when it has none.
///
/// # Errors
/// What the kernel gives, and a path that may be written but cannot be opened.
pub fn restrict(spec: &Spec) -> io::Result<u32> {
    let all = AccessFs::from_all(NEWEST);
    let mut rules = Ruleset::default()
        .handle_access(all)
        .map_err(io::Error::other)?;
    if !spec.sockets.inet {
        // No port is named: none may be bound or reached.
        rules = rules
            .handle_access(AccessNet::from_all(NEWEST))
            .map_err(io::Error::other)?;
    }
    let mut rules = rules
        .scope(Scope::Signal | Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;

    let read = AccessFs::from_read(NEWEST);
    // No device files are made, and none but the listed ones are spoken to.
    let change = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let mut allow = |path: &Path, access| -> io::Result<bool> {
        let Ok(opened) = PathFd::new(path) else {
            return Ok(false);
        };
        let access = if path.is_dir() {
            access
        } else {
            access & AccessFs::from_file(NEWEST)
        };
        let rule = PathBeneath::new(opened, access);
        (&mut rules).add_rule(rule).map_err(io::Error::other)?;
        Ok(true)
    };
    for path in spec.readable() {
        allow(path, read)?;
    }
    for path in DEVICES {
        allow(Path::new(path), device)?;
    }
    for placed in &spec.placed {
        allow(
            &spec.inside(&placed.from),
            if placed.write { change } else { read },
        )?;
    }
    let scratch = if spec.has_root() {
        allow(Path::new(HELPER), read)?;
        allow(Path::new("/proc"), look)?;
        allow(Path::new("/dev"), look)?;
        allow(Path::new("/dev/shm"), change)?;
        if spec.terminals {
            allow(Path::new("/dev/pts"), device | AccessFs::IoctlDev)?;
        }
        if let Some(home) = &spec.home {
            allow(home, change)?;
        }
        Path::new("/tmp")
    } else {
        allow(&spec.helper, read)?;
        for path in HOST_PROC {
            allow(Path::new(path), look)?;
        }
        &spec.scratch
    };
    for path in spec
        .write
        .iter()
        .map(std::path::PathBuf::as_path)
        .chain([scratch])
    {
        if !allow(path, change)? {
            let problem = format!("cannot open {}", path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, problem));
        }
    }
    let status = rules.restrict_self().map_err(io::Error::other)?;
    let enforced = status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if enforced => effective_abi as u32,
        _ => 0,
    })
}
/// Keeps this process, and all it will start, from looking into processes that are not below it: their
/// memory, environment and descriptors. It keeps them from no file. Gives whether the kernel does so.
///
/// # Errors
/// What the kernel gives.
pub fn apart() -> io::Result<bool> {
    // A ruleset must name something; renames are refused where it does not name them.
    let free = AccessFs::Execute | AccessFs::Refer;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(free)
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let root = PathFd::new("/").map_err(io::Error::other)?;
    let rules = rules
        .add_rule(PathBeneath::new(root, free))
        .map_err(io::Error::other)?;
    let status = rules.restrict_self().map_err(io::Error::other)?;
    Ok(status.ruleset == RulesetStatus::FullyEnforced)
}
