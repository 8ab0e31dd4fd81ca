//! Reaching a server: the first of its addresses that answers, unless the session ends meanwhile.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// Connects to the first of these that answers by then, and to no other. `None` that it was told to stop.
pub(crate) fn first(
    addresses: &[SocketAddr],
    until: Instant,
    stop: BorrowedFd<'_>,
) -> io::Result<Option<TcpStream>> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for (tried, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        let others = u32::try_from(addresses.len() - tried).unwrap_or(1);
        // One that is silent leaves time for the others.
        let share = left / others;
        if share.is_zero() {
            break;
        }
        match one(*address, now + share, stop) {
            Ok(reached) => return Ok(reached),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What the standard library's `connect_timeout` does, and looks at `stop` besides.
fn one(address: SocketAddr, until: Instant, stop: BorrowedFd<'_>) -> io::Result<Option<TcpStream>> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let within = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [
            PollFd::new(&socket, PollFlags::OUT),
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
        ];
        match poll(&mut polled, Some(&within)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [answered, stopped] = polled.map(|side| !side.revents().is_empty());
        if stopped {
            return Ok(None);
        }
        if answered {
            socket_error(&socket)??;
            ioctl_fionbio(&socket, false)?;
            return Ok(Some(TcpStream::from(socket)));
        }
    }
}
