//! Unix sockets among files: what listens at one would do what it is asked by whoever reaches it.

use crate::contracts::plural::count;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Names that are looked at below one directory: a large repository has a few hundred thousand, and a
/// million take about two seconds.
const NAMES: usize = 1_000_000;
/// Sockets that are covered below one directory: each is a mount.
const COVERED: usize = 1000;

/// Every socket below `root`, itself included. No link is followed, no directory left out but those that
/// nobody of this user can enter.
///
/// # Errors
/// When a directory cannot be listed and yet be entered, and beyond the bounds.
pub fn below(root: &Path) -> io::Result<Vec<PathBuf>> {
    bounded(root, NAMES, COVERED)
}

fn bounded(root: &Path, names: usize, sockets: usize) -> io::Result<Vec<PathBuf>> {
    let refused = |what: String| {
        let root = root.display();
        io::Error::other(format!(
            "{root}: {what}, so agp cannot hide all its sockets"
        ))
    };
    let (mut paths, mut seen) = (Vec::new(), 0_usize);
    match fs::symlink_metadata(root) {
        Ok(meta) if meta.is_dir() => {}
        Ok(meta) if meta.file_type().is_socket() => return Ok(vec![root.to_owned()]),
        Ok(_) => return Ok(paths),
        Err(error) => return Err(refused(error.to_string())),
    }
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) if is_closed(&directory) => continue,
            Err(error) => return Err(refused(format!("{}: {error}", directory.display()))),
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > names {
                return Err(refused(format!(
                    "it contains more than {}",
                    count(names, "file")
                )));
            }
            // One that has gone meanwhile is none.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_socket() {
                paths.push(entry.path());
            }
        }
        if paths.len() > sockets {
            return Err(refused(format!(
                "it contains more than {}",
                count(sockets, "socket")
            )));
        }
    }
    Ok(paths)
}

/// Whether nobody of this user can enter a directory, or make it one that can be entered.
fn is_closed(directory: &Path) -> bool {
    let uid = rustix::process::geteuid().as_raw();
    let foreign = fs::symlink_metadata(directory).is_ok_and(|meta| meta.uid() != uid);
    foreign && access(directory, Access::EXEC_OK).is_err()
}

/// The paths at which something listens now, by the kernel's own list, at most `bound` of them: those that
/// are absolute, and there. Gives with it how many there are.
#[must_use]
pub fn listening(bound: usize) -> (BTreeSet<PathBuf>, usize) {
    let text = fs::read("/proc/net/unix").unwrap_or_default();
    let all = paths_of(&String::from_utf8_lossy(&text));
    let all: BTreeSet<PathBuf> = all.into_iter().filter(|path| path.exists()).collect();
    let count = all.len();
    (all.into_iter().take(bound).collect(), count)
}

/// The absolute paths in a table as `/proc/net/unix` has it: the eighth field, which may hold blanks.
fn paths_of(table: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| {
        let at = line.find(" /")?;
        line.get(at + 1..).map(PathBuf::from)
    };
    table.lines().skip(1).filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sockets_are_found_wherever_they_lie_and_bounds_are_said() {
        let root = std::env::temp_dir().join(format!("agp-sockets-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        symlink("/", root.join("a/link")).unwrap();
        let paths = [root.join("one"), root.join("a/b/two")];
        let held = paths
            .each_ref()
            .map(|path| UnixListener::bind(path).unwrap());
        let mut sockets = below(&root).unwrap();
        sockets.sort();
        assert_eq!(sockets, [paths[1].clone(), paths[0].clone()]);
        assert_eq!(below(&paths[0]).unwrap(), [paths[0].clone()]);
        let (listening, _) = listening(usize::MAX);
        assert!(paths.iter().all(|path| listening.contains(path)));
        drop(held);
        let said = bounded(&root, 5, 9).unwrap_err().to_string();
        assert!(said.contains("more than 5 files"), "{said}");
        assert!(bounded(&root, 6, 9).is_ok());
        let said = bounded(&root, 9, 1).unwrap_err().to_string();
        assert!(said.contains("more than 1 socket,"), "{said}");
        fs::remove_dir_all(&root).unwrap();
        assert!(below(&root).is_err());
    }

    #[test]
    fn the_kernels_list_is_read_as_it_is_written() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 14529 /run/a b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 1 @/tmp/abstract\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 2 relative\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 3\n";
        let paths: Vec<PathBuf> = paths_of(table).into_iter().collect();
        assert_eq!(paths, [Path::new("/run/a b.sock")]);
    }
}
