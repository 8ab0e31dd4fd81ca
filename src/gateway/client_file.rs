//! Who may speak to the gateway. Landlock keeps no process from connecting to a socket, so a session's commands
//! can. What they cannot do is open the client file, which lies beside the socket: the harness's hooks and agp's own
//! server send it, opened to read, with the first bytes of each question. It is empty, and nothing of it is secret.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The client file's name, beside the gateway's socket.
pub const FILE: &str = "gate.client";

/// Opens the client file beside this socket, if there is one.
///
/// # Errors
/// When it is there and cannot be opened.
pub fn open_beside(socket: &Path) -> io::Result<Option<OwnedFd>> {
    match File::open(path(socket)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(|file| Some(file.into())),
    }
}

/// Sends bytes, or the first of them, and this descriptor with them; gives how many bytes went.
///
/// # Errors
/// What the socket gives.
pub fn send_with(stream: &UnixStream, bytes: &[u8], file: impl AsFd) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let parts = [IoSlice::new(bytes)];
    let sent = retry_on_intr(|| sendmsg(stream, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(sent)
}

/// Reads some bytes, and the one descriptor that came with them. Where more came, all are closed.
pub(super) fn receive(
    stream: &UnixStream,
    block: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(block)];
    let got = recvmsg(stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut received = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.extend(descriptors);
        }
    }
    let one: Result<[OwnedFd; 1], _> = received.try_into();
    Ok((got.bytes, one.ok().map(|[one]| one)))
}

/// The client file that a gateway has laid.
#[derive(Debug)]
pub(super) struct ClientFile {
    /// Open as long as the gateway is there, so that no other file gets its number.
    _file: File,
    /// Its device and inode.
    number: (u64, u64),
}

impl ClientFile {
    /// Lays it beside a socket, for this user alone.
    pub(super) fn lay_beside(socket: &Path, user: u32) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path(socket))?;
        if user != rustix::process::geteuid().as_raw() {
            fchown(&file, Some(user), None)?;
        }
        let number = number(&file)?;
        Ok(Self {
            _file: file,
            number,
        })
    }

    /// Whether this is the file, and was opened to be read: what gives neither reading nor writing (`O_PATH`, and
    /// both bits of the access mode) Landlock lets anybody open.
    pub(super) fn is(&self, given: OwnedFd) -> bool {
        let flags = fcntl_getfl(&given);
        let to_read = flags.is_ok_and(|flags| !flags.intersects(OFlags::RWMODE | OFlags::PATH));
        to_read && number(&File::from(given)).is_ok_and(|number| number == self.number)
    }
}

fn number(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

/// Where the client file of this socket lies.
pub(super) fn path(socket: &Path) -> PathBuf {
    socket.with_file_name(FILE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{Mode, open};
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn only_the_file_itself_opened_to_read_counts() {
        let root = std::env::temp_dir().join(format!("agp-client-file-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let socket = root.join("gate.sock");
        assert!(open_beside(&socket).unwrap().is_none());
        let user = rustix::process::geteuid().as_raw();
        let laid = ClientFile::lay_beside(&socket, user).unwrap();
        assert!(ClientFile::lay_beside(&socket, user).is_err());
        let meta = fs::metadata(root.join(FILE)).unwrap();
        assert_eq!((meta.len(), meta.mode() & 0o7777), (0, 0o400));
        assert!(laid.is(open_beside(&socket).unwrap().unwrap()));
        // For whoever may do so: who is not root may not even open it so.
        fs::set_permissions(
            root.join(FILE),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        for flags in [OFlags::PATH, OFlags::RWMODE, OFlags::WRONLY, OFlags::RDWR] {
            let other = open(root.join(FILE), flags, Mode::empty()).unwrap();
            assert!(!laid.is(other), "{flags:?}");
        }
        fs::write(root.join("other"), "").unwrap();
        assert!(!laid.is(File::open(root.join("other")).unwrap().into()));
        assert!(!laid.is(File::open(&root).unwrap().into()));
        fs::remove_file(root.join(FILE)).unwrap();
        fs::write(root.join(FILE), "").unwrap();
        assert!(
            !laid.is(open_beside(&socket).unwrap().unwrap()),
            "laid by another"
        );
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn one_descriptor_comes_over_and_no_program_gets_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(send_with(&theirs, b"abc", &theirs).unwrap(), 3);
        let mut block = [0; 8];
        let (bytes, descriptor) = receive(&ours, &mut block).unwrap();
        assert_eq!((bytes, &block[..3]), (3, &b"abc"[..]));
        let flags = fcntl_getfd(descriptor.unwrap()).unwrap();
        assert!(flags.contains(FdFlags::CLOEXEC));
        for count in [2, 3, 200] {
            let descriptors = vec![theirs.as_fd(); count];
            let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let parts = [IoSlice::new(b"abc")];
            sendmsg(&theirs, &parts, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
            let (bytes, descriptor) = receive(&ours, &mut block).unwrap();
            assert!(bytes == 3 && descriptor.is_none(), "{count}");
        }
        drop(theirs);
        assert_eq!(receive(&ours, &mut block).unwrap().0, 0);
    }
}
