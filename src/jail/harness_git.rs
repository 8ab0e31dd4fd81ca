//! `git`: stands before git for what a harness asks of it by itself, with no call decided. It becomes the git
//! that stands behind it on PATH, which then starts no other program, whichever key of the repository's
//! configuration names one, writes nothing and connects nowhere.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::single_exec;

/// The name that it goes by.
pub const NAME: &str = "git";
/// How a program begins that needs no other to be run.
const ELF: [u8; 4] = *b"\x7fELF";
/// It can write no index, and does not try.
const READS_ONLY: (&str, &str) = ("GIT_OPTIONAL_LOCKS", "0");

/// Whether a program that was started under this name is to be git.
#[must_use]
pub fn is_asked_for(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(NAME))
}

/// The git of a `PATH` that is not this program. A script is none: nothing runs it where no program is started.
#[must_use]
pub fn on(path: &OsStr) -> Option<PathBuf> {
    let of = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let itself = of(Path::new("/proc/self/exe"));
    let entries = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    let mut named = entries.map(|entry| entry.join(NAME));
    named.find(|named| is_program(named) && of(named) != itself)
}

fn is_program(path: &Path) -> bool {
    let may_run =
        |meta: std::fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
    let mut begins = [0; ELF.len()];
    path.metadata().is_ok_and(may_run)
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut begins).is_ok())
        && begins == ELF
}

/// Becomes git, with these arguments. Only returns when it cannot: nothing runs then.
///
/// # Errors
/// What the kernel gives, and where there is no git.
pub fn become_git(name: OsString, arguments: Vec<OsString>) -> io::Result<Infallible> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let git = on(&path);
    let git = git.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "git: not found"))?;
    let words = [name].into_iter().chain(arguments).collect();
    let environment = std::env::vars_os().filter(|(name, _)| name != READS_ONLY.0);
    let added = [READS_ONLY].map(|(name, value)| (name.into(), value.into()));
    single_exec::become_alone(&git, words, environment.chain(added))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_script_and_this_program_itself_are_no_git() {
        let root = std::env::temp_dir().join(format!("agp-git-{}", std::process::id()));
        for name in ["own", "script", "data", "true"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let program = std::env::current_exe().unwrap();
        std::os::unix::fs::symlink(program, root.join("own/git")).unwrap();
        fs::write(root.join("script/git"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("script/git"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(root.join("data/git"), ELF).unwrap();
        let path = |names: &[&str]| {
            let entries = names.iter().map(|name| root.join(name));
            std::env::join_paths(entries.chain(["relative".into()])).unwrap()
        };
        assert_eq!(on(&path(&["own", "script", "data"])), None);
        std::os::unix::fs::symlink("/bin/true", root.join("true/git")).unwrap();
        let git = on(&path(&["own", "script", "data", "true"]));
        assert_eq!(git, Some(root.join("true/git")));
        fs::remove_dir_all(&root).unwrap();
        for name in ["git", "/run/agp/bin/git"] {
            assert!(is_asked_for(OsStr::new(name)));
        }
        assert!(!is_asked_for(OsStr::new("/usr/bin/agp-bridge")));
    }
}
