//! The git of a harness itself: agp's program under git's name, first on the harness's `PATH` and on no
//! command's.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub use crate::jail::command_shell::OWN as DIRECTORY;
use crate::jail::harness_git;

/// All that is in it.
pub const FILE: &str = "bin/git";

/// Lays it out in `directory`, as a link to agp's program, and puts it first on `PATH`, by the name that it has
/// where the harness is. Where no git is on `PATH` none is laid out.
///
/// # Errors
/// What the file system gives.
pub fn lay_out(
    (directory, program): (&Path, &Path),
    there: impl Fn(&Path) -> PathBuf,
    environment: &mut [(OsString, OsString)],
) -> io::Result<()> {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    if path.is_none_or(|(_, path)| harness_git::on(path).is_none()) {
        return Ok(());
    }
    put(directory, program)?;
    match there(&directory.join(FILE)).parent() {
        Some(directory) => first(directory, environment),
        None => Ok(()),
    }
}

/// Lays it out in `directory`.
///
/// # Errors
/// What the file system gives.
pub fn put(directory: &Path, program: &Path) -> io::Result<()> {
    std::fs::create_dir(directory.join(DIRECTORY))?;
    symlink(program, directory.join(FILE))
}

/// Puts the directory that it is in first on `PATH`.
///
/// # Errors
/// When its name holds a colon.
pub fn first(directory: &Path, environment: &mut [(OsString, OsString)]) -> io::Result<()> {
    for (_, path) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
        let entries = [directory.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(path));
        *path = std::env::join_paths(entries).map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_first_where_there_is_a_git_and_nowhere_else() {
        let root = std::env::temp_dir().join(format!("agp-own-git-{}", std::process::id()));
        let (with, session) = (root.join("with"), root.join("session"));
        for directory in [&with, &session] {
            std::fs::create_dir_all(directory).unwrap();
        }
        symlink("/bin/true", with.join("git")).unwrap();
        let laid_out = |path: &Path| {
            let mut environment = vec![("PATH".into(), path.into())];
            let there =
                |path: &Path| Path::new("/run/agp").join(path.strip_prefix(&session).unwrap());
            lay_out((&session, Path::new("/bin/true")), there, &mut environment).unwrap();
            environment.remove(0).1
        };
        assert_eq!(laid_out(&root), root.as_os_str());
        assert!(!session.join(DIRECTORY).exists());
        let mut expected = OsString::from("/run/agp/bin:");
        expected.push(&with);
        assert_eq!(laid_out(&with), expected);
        assert_eq!(
            std::fs::read_link(session.join(FILE)).unwrap(),
            Path::new("/bin/true")
        );
        std::fs::remove_dir_all(&root).unwrap();
    }
}
