//! Landlock: all files but some, for commands that a harness starts. What is hidden from them is the gate,
//! and what the harness keeps for itself; its memory and its descriptors are hidden with it, for they are
//! of a process outside of the commands' domain.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, make_bitflags,
};

/// The newest interface that the rules were written for. Older kernels enforce what they have.
const NEWEST: ABI = ABI::V6;
/// To replace whole files in a directory.
const CHANGE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
});

/// What is hidden, and what of it is not.
#[derive(Debug, Clone, Default)]
pub struct Hidden<'a> {
    /// All that is not hidden, with everything below it.
    pub among: &'a [PathBuf],
    /// Places with everything below them. Those that are not there hide nothing.
    pub places: &'a [PathBuf],
    /// Places within, to be read all the same.
    pub read: &'a [PathBuf],
    /// One of them, to be changed as well.
    pub change: Option<&'a Path>,
}

/// Takes the hidden places from this process, and from all that it will start; and the memory,
/// environment and descriptors of every process but those. In a directory around a hidden place nothing new
/// can be made. Gives whether the kernel does so.
///
/// # Errors
/// What the kernel gives, and a directory that cannot be listed.
pub fn hide(hidden: &Hidden<'_>) -> io::Result<bool> {
    let all = AccessFs::from_all(NEWEST);
    let mut rules = Ruleset::default()
        .handle_access(all)
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let places: BTreeSet<PathBuf> = hidden
        .places
        .iter()
        .filter_map(|place| place.canonicalize().ok())
        .collect();
    for root in hidden.among {
        rules = show(rules, root, &places)?;
    }
    for read in hidden.read {
        rules = allow(rules, read, AccessFs::from_read(NEWEST))?;
    }
    if let Some(change) = hidden.change {
        rules = allow(rules, change, CHANGE)?;
    }
    let status = rules.restrict_self().map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs)
}

/// Allows a place, or all in it that is not hidden.
fn show(
    mut rules: RulesetCreated,
    path: &Path,
    places: &BTreeSet<PathBuf>,
) -> io::Result<RulesetCreated> {
    if places.iter().any(|place| path.starts_with(place)) {
        return Ok(rules);
    }
    if !places.iter().any(|place| place.starts_with(path)) {
        return allow(rules, path, AccessFs::from_all(NEWEST));
    }
    rules = allow(rules, path, AccessFs::ReadDir.into())?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // What a link leads to is allowed where it stands, or not at all.
        if !entry.file_type()?.is_symlink() {
            rules = show(rules, &entry.path(), places)?;
        }
    }
    Ok(rules)
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    let Ok(opened) = PathFd::new(path) else {
        // Gone, or not for this user: there is nothing to allow.
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(NEWEST)
    };
    rules
        .add_rule(PathBeneath::new(opened, access))
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};

    use super::*;

    /// On a thread of its own, which the rules bind.
    fn hiding<T: Send>(hidden: &Hidden<'_>, then: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let hides = scope.spawn(|| {
                assert!(hide(hidden).unwrap(), "this kernel has no Landlock");
                then()
            });
            hides.join().unwrap()
        })
    }

    #[test]
    fn what_is_hidden_cannot_be_reached_under_any_name_and_all_else_can() {
        let root = std::env::temp_dir().join(format!("agp-hidden-{}", std::process::id()));
        let root = fs::create_dir(&root)
            .and_then(|()| root.canonicalize())
            .unwrap();
        let [gate, home, other] = ["gate", "own", "other"].map(|name| root.join(name));
        for directory in [&gate, &home, &other, &home.join("snapshots")] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(gate.join("secret"), "secret").unwrap();
        fs::write(home.join("login"), "secret").unwrap();
        fs::write(home.join("snapshots/one"), "seen").unwrap();
        symlink(&gate, root.join("link")).unwrap();
        symlink(gate.join("secret"), other.join("link")).unwrap();
        let places = [gate.clone(), home.clone(), root.join("never there")];
        let snapshots = home.join("snapshots");
        let mut sleep = std::process::Command::new("/bin/sleep");
        let mut outside = sleep.arg("60").spawn().unwrap();
        assert!(fs::File::open(format!("/proc/{}/mem", outside.id())).is_ok());
        let everything = [PathBuf::from("/")];
        let hidden = Hidden {
            among: &everything,
            places: &places,
            read: std::slice::from_ref(&snapshots),
            change: None,
        };
        hiding(&hidden, || {
            for path in ["gate/secret", "own/login", "link/secret", "other/link"] {
                let denied = fs::read(root.join(path)).unwrap_err();
                assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied, "{path}");
            }
            assert!(fs::write(gate.join("more"), "").is_err());
            assert!(fs::rename(&gate, root.join("moved")).is_err());
            // Landlock looks at no open that gives neither reading nor writing, nor at what is made of it.
            for flags in [OFlags::PATH, OFlags::RWMODE] {
                let named = open(gate.join("secret"), flags, Mode::empty()).unwrap();
                let again = format!("/proc/self/fd/{}", named.as_raw_fd());
                assert!(fs::File::open(&again).is_err(), "{flags:?}");
                let hard = other.join("hard");
                assert!(linkat(CWD, &again, CWD, &hard, AtFlags::SYMLINK_FOLLOW).is_err());
                assert!(fs::read_link(&again).is_ok());
            }
            assert!(fs::hard_link(gate.join("secret"), other.join("hard")).is_err());
            assert_eq!(fs::read(snapshots.join("one")).unwrap(), b"seen");
            assert!(fs::write(snapshots.join("two"), "").is_err());
            // What is not hidden is as it was, and can be linked, moved and run.
            fs::write(other.join("made"), "x").unwrap();
            fs::create_dir(other.join("below")).unwrap();
            fs::rename(other.join("made"), other.join("below/moved")).unwrap();
            assert!(fs::read_dir(&root).unwrap().count() >= 4);
            assert!(fs::read("/proc/self/environ").is_ok());
            let ran = std::process::Command::new("/bin/true").status().unwrap();
            assert!(ran.success());
            // Root here may read more (CAP_PERFMON), which nothing inside has.
            for name in ["mem", "fd/0", "cwd/"] {
                let path = format!("/proc/{}/{name}", outside.id());
                assert!(fs::File::open(path).is_err(), "{name}");
            }
        });
        let changed = Hidden {
            change: Some(&snapshots),
            ..hidden
        };
        hiding(&changed, || {
            fs::write(snapshots.join("two"), "").unwrap();
            assert!(fs::write(home.join("settings"), "").is_err());
        });
        outside.kill().and_then(|()| outside.wait()).unwrap();
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn where_nothing_is_there_to_be_hidden_everything_is_as_it_was() {
        let none = [PathBuf::from("/never/there")];
        let everything = [PathBuf::from("/")];
        let hidden = Hidden {
            among: &everything,
            places: &none,
            ..Hidden::default()
        };
        hiding(&hidden, || {
            assert!(fs::read("/proc/self/status").is_ok());
            assert!(fs::read_dir("/").is_ok());
        });
        let some = ["/usr", "/lib", "/lib64", "/proc", "/never/there"].map(PathBuf::from);
        let hidden = Hidden {
            among: &some,
            ..hidden
        };
        hiding(&hidden, || {
            assert!(fs::read("/proc/self/status").is_ok());
            assert!(fs::read("/etc/passwd").is_err());
        });
    }
}
