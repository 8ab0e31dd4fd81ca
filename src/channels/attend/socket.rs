//! A socket below a directory whose path may be longer than a socket's name: 108 bytes with the closing zero.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Bytes of a path that the kernel takes as a socket's.
const SOCKET_PATH_BYTES: usize = 107;

/// The name of a session's socket, in the directory of leases.
#[must_use]
pub fn name_of(session: &str) -> String {
    format!("{session}.attend")
}

/// A socket that listens, and is removed with this value.
#[derive(Debug)]
pub struct SessionSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl SessionSocket {
    /// Listens at `name` in `directory`, which must be its owner's alone: that is what protects the socket. What
    /// stands there already is not replaced.
    ///
    /// # Errors
    /// What the file system or the socket gives.
    pub fn bind(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        let (near, _directory) = near(&path)?;
        let listener = UnixListener::bind(near)?;
        let socket = Self { listener, path };
        fs::set_permissions(&socket.path, fs::Permissions::from_mode(0o600))?;
        socket.listener.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listener, which does not block, for the thread that takes connections.
    ///
    /// # Errors
    /// Without a descriptor left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for SessionSocket {
    fn drop(&mut self) {
        // One that stays behind is removed with the session's lease.
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to a socket.
///
/// # Errors
/// What the file system or the socket gives.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (near, _directory) = near(path)?;
    UnixStream::connect(near)
}

/// A path that is short enough, and what keeps it so.
fn near(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().as_bytes().len() <= SOCKET_PATH_BYTES {
        return Ok((path.to_owned(), None));
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let near = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    Ok((near.join(name), Some(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_reached_however_long_its_path_is_and_goes_with_its_owner() {
        let root = std::env::temp_dir().join(format!("agp-attend-{}", std::process::id()));
        for directory in [root.join("short"), root.join("long".repeat(60))] {
            fs::create_dir_all(&directory).unwrap();
            let name = name_of("s-1");
            assert!(connect(&directory.join(&name)).is_err());
            let socket = SessionSocket::bind(&directory, &name).unwrap();
            assert_eq!(socket.path(), directory.join(&name));
            let mode = fs::metadata(socket.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(connect(socket.path()).is_ok());
            assert!(SessionSocket::bind(&directory, &name).is_err());
            drop(socket);
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
