//! Files that must survive a crash: the order of write, sync, rename and directory sync, once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, StatxFlags};

use crate::contracts::bounded_file;

/// `O_NOFOLLOW`: a link where one of our files should be is somebody's trap.
pub(super) fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory of a file, `.` for a bare name.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a private directory (0700) and its parents; one that exists stays as it is.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Writes a new file that was not there before, durably.
pub(crate) fn create_new(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(no_follow())
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_dir(&parent(path))
}

/// Replaces a file's content so that a crash leaves the old one or the new one.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let staged = PathBuf::from(name);
    // One of a crashed process with our process id; never anyone's data.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let replaced = create_new(&staged, mode, bytes).and_then(|()| fs::rename(&staged, path));
    if replaced.is_err() {
        // Half of a file on a full disk would only be in the way; what failed is told.
        let _ = fs::remove_file(&staged);
    }
    replaced?;
    sync_dir(&parent(path))
}

/// Bytes that an ordinary user can still write to the file system of a directory.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Reads a whole file of at most `bound` bytes, not following a link.
pub(crate) fn read_bounded(path: &Path, bound: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow())
        .open(path)?;
    bounded_file::read_from(file, bound)
}

/// Opens a log for appending and reading, making it (0600, name durable) when absent.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(0o600)
        .custom_flags(no_follow());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = options.create(true).open(path)?;
            sync_dir(&parent(path))?;
            Ok(file)
        }
        other => other,
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: (u32, u32),
    inode: u64,
}

/// What a name stands for, or an open file is; without times.
///
/// Since Linux 6.13 a file whose times somebody asked for gets a new, finer one with its next
/// write, and its inode becomes dirty for it. Asking for no times took 2 of the 9 us of the head's
/// write away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// Which file.
    pub(crate) identity: Identity,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Whether the name is that of a symbolic link, which is not followed.
    pub(crate) is_link: bool,
}

impl Named {
    /// What stands at `path`.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Self::ask(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What is open.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Self::ask(file, Path::new(""), AtFlags::EMPTY_PATH)
    }

    fn ask(start: impl AsFd, path: &Path, flags: AtFlags) -> io::Result<Self> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE;
        let stat = rustix::fs::statx(start, path, flags, wanted)?;
        Ok(Self {
            identity: Identity {
                device: (stat.stx_dev_major, stat.stx_dev_minor),
                inode: stat.stx_ino,
            },
            length: stat.stx_size,
            is_link: FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Symlink,
        })
    }
}

/// Size of the head's file: the text is padded with spaces, so that every head fits the same
/// bytes of one disk sector.
pub(crate) const HEAD_FILE_BYTES: usize = 256;

/// The head's file, kept open from one event to the next.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    open: Option<(File, Identity)>,
}

impl HeadFile {
    /// The head at `path`, which need not be there yet.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
        }
    }

    /// Replaces the head.
    ///
    /// In place, in one write of a fixed size within one sector, which leaves the old head or the
    /// new one: process death cannot interrupt it, and disks write sectors whole. A temporary file
    /// and a rename were measured at two and a half times the cost of the append itself (the next
    /// `fdatasync` commits the directory too). The write is not synced: a head that lags behind is
    /// mended on opening. A head of another size (another writer's, or none) is replaced by rename.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        let mut padded = text.as_bytes().to_vec();
        padded.resize(HEAD_FILE_BYTES.max(padded.len()), b' ');
        match Named::at(&self.path) {
            Ok(named) if named.is_link => Err(rustix::io::Errno::LOOP.into()),
            Ok(named) if named.length == HEAD_FILE_BYTES as u64 => {
                self.opened(named.identity)?.write_all_at(&padded, 0)
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => replace(&self.path, 0o600, &padded),
        }
    }

    /// The open file, opened anew when the name has come to mean another one.
    fn opened(&mut self, named: Identity) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(_, open)| *open != named) {
            let file = OpenOptions::new()
                .write(true)
                .custom_flags(no_follow())
                .open(&self.path)?;
            let identity = Named::of(&file)?.identity;
            self.open = Some((file, identity));
        }
        let open = self.open.as_ref().map(|(file, _)| file);
        open.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("agp-durable-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        private_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_head_is_written_under_its_name_whatever_was_put_there() {
        let directory = directory("head");
        let path = directory.join("head");
        let mut head = HeadFile::at(&path);
        let content = || fs::read_to_string(&path).unwrap().trim_end().to_owned();

        head.write("one").unwrap();
        head.write("two").unwrap();
        assert_eq!(
            (content(), fs::metadata(&path).unwrap().len()),
            ("two".into(), 256)
        );

        let other = directory.join("other");
        replace(&other, 0o600, &[b'x'; HEAD_FILE_BYTES]).unwrap();
        fs::rename(&other, &path).unwrap();
        head.write("three").unwrap();
        assert_eq!(content(), "three", "another file of the right size");

        fs::write(&path, "short").unwrap();
        head.write("four").unwrap();
        assert_eq!(content(), "four", "another size");

        fs::remove_file(&path).unwrap();
        head.write("five").unwrap();
        assert_eq!(content(), "five", "none");

        fs::rename(&path, &other).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(head.write("six").is_err(), "a link");
        assert!(fs::read_to_string(&other).unwrap().starts_with("five"));
        fs::remove_dir_all(&directory).unwrap();
    }
}
