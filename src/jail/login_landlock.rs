//! Landlock for the process that renews a login: the harness's own store of it, and no other file of the
//! operator's.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope,
};

use super::spec::{DEVICES, SYSTEM, SYSTEM_FILES};

/// What a renewal needs of this machine.
#[derive(Debug, Clone, Default)]
pub struct LoginAccess {
    /// What is read and executed besides the system: the harness's program, certificates.
    pub read: Vec<PathBuf>,
    /// What is changed: the store, and directories of the session's own.
    pub change: Vec<PathBuf>,
    /// Where a lock is made beside the store, which is a directory: no file can be made or changed there.
    pub locks: PathBuf,
}

/// Restricts this process and all it will start. A path that is not there gives no right.
///
/// # Errors
/// What the kernel gives. One without Landlock restricts nothing and gives none.
pub fn restrict(reach: &LoginAccess) -> io::Result<()> {
    let all = AccessFs::from_all(ABI::V6);
    let read = AccessFs::from_read(ABI::V6);
    let change = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules = Ruleset::default()
        .handle_access(all)
        .and_then(|rules| rules.scope(Scope::Signal | Scope::AbstractUnixSocket))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| -> io::Result<()> {
        let Ok(opened) = PathFd::new(path) else {
            return Ok(());
        };
        let access = if path.is_dir() {
            access
        } else {
            access & AccessFs::from_file(ABI::V6)
        };
        let rule = PathBeneath::new(opened, access);
        (&mut rules)
            .add_rule(rule)
            .map(drop)
            .map_err(io::Error::other)
    };
    let system = SYSTEM.into_iter().chain(SYSTEM_FILES).chain(["/proc"]);
    let system = system.map(Path::new);
    for path in system.chain(reach.read.iter().map(PathBuf::as_path)) {
        allow(path, read)?;
    }
    for path in DEVICES {
        allow(Path::new(path), device)?;
    }
    for path in &reach.change {
        allow(path, change)?;
    }
    allow(&reach.locks, AccessFs::MakeDir | AccessFs::RemoveDir)?;
    rules.restrict_self().map(drop).map_err(io::Error::other)
}
