//! Files that must survive a crash: the order of write, sync, rename and directory sync, once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `O_NOFOLLOW`: a link where one of our files should be is somebody's trap.
fn no_follow() -> i32 {
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
    create_new(&staged, mode, bytes)?;
    fs::rename(&staged, path)?;
    sync_dir(&parent(path))
}

/// Reads a whole file of at most `bound` bytes, not following a link.
pub(crate) fn read_bounded(path: &Path, bound: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {bound} bytes"),
        ));
    }
    Ok(bytes)
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

/// Whether the path still names the very file that is open.
pub(crate) fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok(open.dev() == named.dev() && open.ino() == named.ino())
}

/// Size of the head's file: the text is padded with spaces, so that every head fits the same
/// bytes of one disk sector.
pub(crate) const HEAD_FILE_BYTES: usize = 256;

/// Replaces the head.
///
/// In place, in one write of a fixed size within one sector, which leaves the old head or the new
/// one: process death cannot interrupt it, and disks write sectors whole. A temporary file and a
/// rename were measured at two and a half times the cost of the append itself (the next
/// `fdatasync` commits the directory too). The write is not synced: a head that lags behind is
/// mended on opening. A head of another size (another writer's, or none) is replaced by rename.
pub(crate) fn write_head(path: &Path, text: &str) -> io::Result<()> {
    let mut padded = text.as_bytes().to_vec();
    padded.resize(HEAD_FILE_BYTES.max(padded.len()), b' ');
    let open = OpenOptions::new()
        .write(true)
        .custom_flags(no_follow())
        .open(path);
    match open {
        Ok(file) if file.metadata()?.len() == HEAD_FILE_BYTES as u64 => {
            file.write_all_at(&padded, 0)
        }
        Ok(_) => replace(path, 0o600, &padded),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, 0o600, &padded),
        Err(error) => Err(error),
    }
}
