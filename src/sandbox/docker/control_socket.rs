//! agp's side of the socket to a container's first process: jobs go in, with the descriptors that
//! their output comes out by.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::confine::Spawner;
use crate::jail::container_protocol::{CONTROL_NAME, Job};
use crate::sandbox::process::output::Keeper;

/// A socket on which one peer is waited for, once.
pub(super) struct Awaited {
    listener: UnixListener,
    path: PathBuf,
}

/// Between two looks at whether the container is still there.
const LOOK: Duration = Duration::from_millis(20);

impl Awaited {
    /// Listens in `directory`, for a peer of this user.
    pub(super) fn listen(directory: &Path, (uid, gid): (u32, u32)) -> io::Result<Self> {
        let path = directory.join(CONTROL_NAME);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        chown(&path, Some(uid), Some(gid))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// Waits for the first process, and takes its link. Nobody can connect behind it.
    pub(super) fn accept(
        self,
        within: Duration,
        gone: &dyn Fn() -> Option<String>,
        spawner: Spawner,
    ) -> io::Result<ControlSocket> {
        let until = Instant::now() + within;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return ControlSocket::of(stream, spawner),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if let Some(why) = gone() {
                return Err(io::Error::other(why));
            }
            if Instant::now() > until {
                let problem = "its first process does not connect to agp";
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
            let _ = poll(
                &mut [PollFd::new(&self.listener, PollFlags::IN)],
                Some(&look),
            );
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        // The directory goes with the session.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The link to a container's first process. When it is closed, the container ends.
///
/// A thread that sees a call through may neither make sockets nor hand descriptors over: the thread
/// that starts processes does that, for these are processes too.
pub(super) struct ControlSocket {
    /// A message is one byte, which is sent whole or not at all: whoever sends waits for nobody else.
    stream: Arc<File>,
    pub(super) spawner: Spawner,
    /// The first process as agp's own host numbers it.
    pub(super) peer: i32,
}

/// A job under way.
pub(super) struct Running {
    report: File,
    told: Vec<u8>,
}

/// Whatever a keeper hears behind its job, it stops.
const STOP: &[u8] = b"s";
/// Bytes of what is told of one job: a line or two.
const TOLD_BYTES: usize = 64 << 10;
/// How long the first process and a keeper may take to hear of a job.
const HEARING: Duration = Duration::from_secs(10);

impl ControlSocket {
    fn of(stream: UnixStream, spawner: Spawner) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(HEARING))?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        Ok(Self {
            stream: Arc::new(File::from(OwnedFd::from(stream))),
            spawner,
            peer: peer.pid.as_raw_nonzero().get(),
        })
    }

    /// Has a job run. Its output and its errors are written to these descriptors.
    pub(super) fn start(
        &self,
        job: &Job,
        input: &[u8],
        output: OwnedFd,
        errors: OwnedFd,
    ) -> io::Result<Running> {
        let mut report = self.open(&Arc::new([output, errors]))?;
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        report.write_all(&line)?;
        report.write_all(input)?;
        rustix::io::ioctl_fionbio(&report, true)?;
        Ok(Running {
            report,
            told: Vec::new(),
        })
    }

    /// Hands a report and two outputs over, and gives agp's end of the report. Where the first process hears
    /// of nothing, it is this thread that waits, and not the one that starts processes.
    fn open(&self, outputs: &Arc<[OwnedFd; 2]>) -> io::Result<File> {
        let until = Instant::now() + HEARING;
        loop {
            let (stream, outputs) = (Arc::clone(&self.stream), Arc::clone(outputs));
            let (reply, answer) = sync_channel(1);
            self.spawner.run(move || {
                // Whoever asked is waiting.
                let _ = reply.send(opened(&stream, &outputs));
            })?;
            match answer.recv().map_err(io::Error::other)? {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                opened => return opened,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let problem = "the container's first process takes no job";
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(
                &mut [PollFd::new(&self.stream, PollFlags::OUT)],
                Some(&left),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends the first process, and so everything inside: it takes no message without descriptors.
    pub(super) fn close(&self) {
        // Gone already: then it has ended.
        let _ = (&*self.stream).write_all(b"x");
    }
}

/// Hands a report and two outputs to the first process; gives agp's end of the report. Where there is no
/// room for them it fails at once: every start of a process waits for this one.
fn opened(stream: &File, [output, errors]: &[OwnedFd; 2]) -> io::Result<File> {
    let (report, theirs) = UnixStream::pair()?;
    let descriptors = [theirs.as_fd(), output.as_fd(), errors.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("too many file descriptors"));
    }
    let parts = [io::IoSlice::new(b"j")];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(stream, &parts, &mut ancillary, flags)?;
    report.set_write_timeout(Some(HEARING))?;
    Ok(File::from(OwnedFd::from(report)))
}

impl Running {
    /// A second hold of the report, which becomes readable at the end.
    pub(super) fn ended(&self) -> io::Result<OwnedFd> {
        self.report.try_clone().map(OwnedFd::from)
    }

    /// What ends the job when it is dropped.
    pub(super) fn hold(&self) -> io::Result<Hold> {
        self.report.try_clone().map(Hold)
    }

    /// What was told.
    pub(super) fn told(&self) -> String {
        String::from_utf8_lossy(&self.told).into_owned()
    }
}

/// Ends a job when it is dropped.
pub(super) struct Hold(File);

impl Drop for Hold {
    fn drop(&mut self) {
        let Self(report) = self;
        let _ = report.write_all(STOP);
    }
}

impl Keeper for Running {
    fn watched(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// The first process holds the other end until nothing is left of the job.
    fn over(&mut self) -> io::Result<bool> {
        let mut block = [0; 4096];
        loop {
            match self.report.read(&mut block) {
                Ok(0) => return Ok(true),
                Ok(got) => self
                    .told
                    .extend_from_slice(block.get(..got).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset => return Ok(true),
                    _ => return Err(error),
                },
            }
            if self.told.len() > TOLD_BYTES {
                return Err(io::Error::other("the container's supervisor sent too much"));
            }
        }
    }

    fn stop(&mut self) {
        let _ = self.report.write_all(STOP);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn a_container_that_takes_no_job_delays_no_other_start() {
        let spawner = Spawner::start().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = ControlSocket::of(ours, spawner.clone()).unwrap();
        let full = [b'x'; 4096];
        let flags = SendFlags::DONTWAIT;
        while rustix::net::send(&*socket.stream, &full, flags).is_ok() {}
        while rustix::net::send(&*socket.stream, b"x", flags).is_ok() {}
        let sink = || OwnedFd::from(File::options().write(true).open("/dev/null").unwrap());
        thread::scope(|scope| {
            let job = scope.spawn(|| socket.open(&Arc::new([sink(), sink()])).map(drop));
            for _ in 0..20 {
                let mut started = spawner.spawn(Command::new("true")).unwrap();
                assert!(started.child.wait().unwrap().success());
            }
            assert!(!job.is_finished(), "the job waits for its own container");
            theirs.set_nonblocking(true).unwrap();
            let mut block = [0; 65536];
            while theirs.read(&mut block).is_ok() {}
            job.join().unwrap().unwrap();
        });
    }
}
