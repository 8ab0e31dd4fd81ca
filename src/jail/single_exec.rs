//! seccomp and Landlock for a program that is to start no other, write no file and open no socket, whatever
//! its configuration says: the last thing that this process does is to become it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// The newest interface that the rules were written for. Older kernels enforce what they have.
const NEWEST: ABI = ABI::V6;
/// The one file that is written to.
const NOWHERE: &str = "/dev/null";
/// What allocators align to. The name of a program that somebody else has put together begins at a multiple of
/// it, and ours does not.
const ALIGNED: usize = 16;

/// Becomes the program at this absolute path. From then on nothing that it starts begins to run, and what it
/// reads is all that it has. Only returns when it cannot.
///
/// # Errors
/// What the kernel gives, and one that has no Landlock.
pub fn become_alone(
    program: &Path,
    arguments: Vec<OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<Infallible> {
    let arguments = arguments
        .into_iter()
        .map(|word| CString::new(word.into_vec()));
    let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
    let environment = environment.into_iter().map(|(name, value)| {
        let pair = [name.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(pair)
    });
    let environment = environment.collect::<Result<Vec<_>, _>>()?;
    let mut room = Vec::new();
    let program = apart(&mut room, program)?;
    write_nothing()?;
    apply_filter(&starting_only(program)?).map_err(io::Error::other)?;
    Ok(nix::unistd::execve(program, &arguments, &environment)?)
}

/// A path at an address that no other name of a program's can have.
fn apart<'a>(room: &'a mut Vec<u8>, path: &Path) -> io::Result<&'a CStr> {
    let path = path.as_os_str().as_bytes();
    *room = vec![0; 2 * ALIGNED + path.len() + 1];
    let before = ALIGNED - room.as_ptr().addr() % ALIGNED + 1;
    let after = before + path.len();
    let place = room.get_mut(before..after);
    place
        .ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(path);
    let text = room.get(before..=after).unwrap_or_default();
    CStr::from_bytes_with_nul(text).map_err(io::Error::other)
}

fn write_nothing() -> io::Result<()> {
    let nowhere = PathFd::new(NOWHERE).map_err(io::Error::other)?;
    let nowhere = PathBeneath::new(nowhere, AccessFs::WriteFile | AccessFs::Truncate);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_write(NEWEST))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(nowhere))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::other("the kernel has no Landlock")),
        _ => Ok(()),
    }
}

/// No program is started but by this very name, which is gone with the process that becomes it: the kernel
/// compares the address, and a file has any number of names and of programs that load it. No socket is made.
fn starting_only(program: &CStr) -> io::Result<BpfProgram> {
    let address = u64::try_from(program.as_ptr().addr()).map_err(io::Error::other)?;
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, address)
        .and_then(|other| SeccompRule::new(vec![other]))
        .map_err(io::Error::other)?;
    let rules = BTreeMap::from([
        (libc::SYS_execve, vec![other]),
        (libc::SYS_execveat, Vec::new()),
        (libc::SYS_socket, Vec::new()),
        (libc::SYS_io_uring_setup, Vec::new()),
    ]);
    let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let here = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, here);
    filter
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_where_no_other_can_be() {
        for path in ["/", "/usr/bin/git", "/usr/local/bin/git-of-another-name"] {
            let mut room = Vec::new();
            let name = apart(&mut room, Path::new(path)).unwrap();
            assert_eq!(name.to_bytes(), path.as_bytes());
            assert_eq!(name.as_ptr().addr() % ALIGNED, 1);
        }
        assert!(apart(&mut Vec::new(), Path::new("/a\0b")).is_err());
    }
}
