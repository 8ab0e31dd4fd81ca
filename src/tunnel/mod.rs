//! Two connections carried into each other, byte for byte and both ways, until both have ended.
//! The egress proxy and the relay that leads to it are made of this.

mod slots;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

pub use slots::{Slot, Slots};

/// Bytes of each way's buffer, which is there only while something is in it.
const BUFFER_BYTES: usize = 32 << 10;
/// Blocks moved one way before the other gets its turn.
const TURNS: u32 = 16;

/// What a tunnel may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// It ends when nothing moved for this long.
    pub idle: Duration,
    /// It ends when it has carried this much, both ways together.
    pub bytes: u64,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides had said all.
    Closed,
    /// A side was gone, or failed.
    Broken,
    /// Nothing moved for too long.
    Idle,
    /// It had carried all that it may.
    Bytes,
    /// It was told to stop.
    Stopped,
}

impl End {
    /// The word for it in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Bytes => "bytes",
            Self::Stopped => "stopped",
        }
    }
}

/// What a tunnel came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Bytes from near to far.
    pub up: u64,
    /// Bytes from far to near.
    pub down: u64,
    /// How it ended.
    pub end: End,
}

/// One direction: what was read and not yet passed on.
struct Way {
    buffer: Vec<u8>,
    from: usize,
    ended: bool,
    told: bool,
    moved: u64,
}

impl Way {
    fn new(first: &[u8]) -> Self {
        Self {
            buffer: first.to_vec(),
            from: 0,
            ended: false,
            told: false,
            moved: 0,
        }
    }

    fn pending(&self) -> bool {
        self.from < self.buffer.len()
    }

    /// Most connections rest most of the time, and need no memory then.
    fn rest(&mut self) {
        if !self.pending() {
            (self.buffer, self.from) = (Vec::new(), 0);
        }
    }

    fn wants_more(&self) -> bool {
        !self.ended && !self.pending()
    }

    /// All was passed on, and its end too.
    fn is_over(&self) -> bool {
        self.told
    }

    /// Moves what can be moved without waiting, at most `budget` bytes. Gives how many were moved,
    /// and whether an end was seen.
    fn step(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        budget: u64,
    ) -> Result<(u64, bool), Errno> {
        let (mut moved, had_ended) = (0, self.ended);
        for _ in 0..TURNS {
            let outcome = if self.pending() {
                let most = usize::try_from(budget - moved).unwrap_or(usize::MAX);
                let block = self.buffer.get(self.from..).unwrap_or_default();
                let block = block.get(..block.len().min(most)).unwrap_or_default();
                if block.is_empty() {
                    break;
                }
                send(sink, block, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(|sent| {
                    self.from += sent;
                    moved += sent as u64;
                })
            } else if self.ended {
                if !self.told {
                    self.told = true;
                    // A sink that is gone needs no telling.
                    let _ = shutdown(sink, Shutdown::Write);
                }
                break;
            } else {
                self.buffer.clear();
                self.buffer.reserve_exact(BUFFER_BYTES);
                self.from = 0;
                let room = spare_capacity(&mut self.buffer);
                recv(source, room, RecvFlags::DONTWAIT).map(|(_, got)| self.ended = got == 0)
            };
            match outcome {
                Ok(()) => {}
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        self.moved += moved;
        Ok((moved, self.ended != had_ended))
    }
}

/// Carries until both sides have ended, or a bound is reached, or `stop` is readable or closed.
/// `first` was read from `near` already and goes to `far` before all else.
///
/// Both must be stream sockets. What one side's end leaves for the other is still passed on.
pub fn carry(
    near: impl AsFd,
    far: impl AsFd,
    first: &[u8],
    stop: Option<BorrowedFd<'_>>,
    bounds: Bounds,
) -> Carried {
    let (near, far) = (near.as_fd(), far.as_fd());
    let (mut up, mut down) = (Way::new(first), Way::new(&[]));
    let mut gone = [false; 2];
    let mut last = Instant::now();
    let end = loop {
        let left = bounds.bytes.saturating_sub(up.moved + down.moved);
        let (sent, ended) = match up.step(near, far, left) {
            Ok(did) => did,
            Err(_) => break End::Broken,
        };
        let (received, answered) = match down.step(far, near, left - sent) {
            Ok(did) => did,
            Err(_) => break End::Broken,
        };
        if up.is_over() && down.is_over() {
            break End::Closed;
        }
        if up.moved + down.moved >= bounds.bytes && (up.pending() || down.pending()) {
            break End::Bytes;
        }
        let now = Instant::now();
        if sent + received > 0 || ended || answered {
            last = now;
        }
        // A side that is wholly gone takes nothing any more: what came from it still goes on.
        if gone == [true; 2] || gone[0] && !up.pending() || gone[1] && !down.pending() {
            break if up.is_over() || down.is_over() {
                End::Closed
            } else {
                End::Broken
            };
        }
        let patience = (last + bounds.idle).saturating_duration_since(now);
        if patience.is_zero() {
            break End::Idle;
        }
        up.rest();
        down.rest();
        match wait([near, far], [&up, &down], &mut gone, stop, patience) {
            Ok(true) => {}
            Ok(false) => break End::Stopped,
            Err(_) => break End::Broken,
        }
    };
    Carried {
        up: up.moved,
        down: down.moved,
        end,
    }
}

/// Waits until something can be moved. False when told to stop.
fn wait(
    sides: [BorrowedFd<'_>; 2],
    ways: [&Way; 2],
    gone: &mut [bool; 2],
    stop: Option<BorrowedFd<'_>>,
    patience: Duration,
) -> io::Result<bool> {
    let within = Timespec::try_from(patience).map_err(io::Error::other)?;
    let [near, far] = sides;
    let [up, down] = ways;
    let [near_gone, far_gone] = gone;
    let near = look_at(near, up, down, *near_gone);
    let far = look_at(far, down, up, *far_gone);
    let stop = stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN));
    let places = [near.is_some(), far.is_some(), stop.is_some()];
    let mut polled: Vec<PollFd<'_>> = [near, far, stop].into_iter().flatten().collect();
    match poll(&mut polled, Some(&within)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut seen = polled.iter().map(PollFd::revents);
    let [near, far, stop] = places.map(|polled| {
        let seen = polled.then(|| seen.next()).flatten();
        seen.unwrap_or(PollFlags::empty())
    });
    let dead = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    *near_gone |= up.ended && near.intersects(dead);
    *far_gone |= down.ended && far.intersects(dead);
    Ok(stop.is_empty())
}

/// What is waited for at one side. One that has ended is looked at still, for whether it is wholly
/// gone; one whose words cannot be taken now would be reported again and again.
fn look_at<'a>(side: BorrowedFd<'a>, from: &Way, into: &Way, gone: bool) -> Option<PollFd<'a>> {
    let mut events = PollFlags::empty();
    if from.wants_more() {
        events |= PollFlags::IN;
    }
    if into.pending() {
        events |= PollFlags::OUT;
    }
    let looked = (!events.is_empty() || from.ended) && !gone;
    looked.then(|| PollFd::from_borrowed_fd(side, events))
}

/// Whether `stop` is readable or closed.
#[must_use]
pub fn is_over(stop: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(stop, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|seen| seen > 0)
}

/// Reads what is there, waiting until `until` at most. An empty answer is the end; `None` that it
/// was told to stop.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when nothing came in time, and what the socket gives.
pub fn read_within(
    from: impl AsFd,
    most: usize,
    until: Instant,
    stop: Option<BorrowedFd<'_>>,
) -> io::Result<Option<Vec<u8>>> {
    let from = from.as_fd();
    let mut block = vec![0; most];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let within = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = vec![PollFd::from_borrowed_fd(from, PollFlags::IN)];
        polled.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
        match poll(&mut polled, Some(&within)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if polled.get(1).is_some_and(|stop| !stop.revents().is_empty()) {
            return Ok(None);
        }
        match recv(from, block.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((got, _)) => {
                block.truncate(got);
                return Ok(Some(block));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown as Half;
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    const FREE: Bounds = Bounds {
        idle: Duration::from_secs(20),
        bytes: u64::MAX,
    };

    /// A tunnel: its near end, its far end, and what it comes to.
    fn tunnel(first: &[u8], bounds: Bounds) -> (UnixStream, UnixStream, JoinHandle<Carried>) {
        let (client, near) = UnixStream::pair().unwrap();
        let (far, server) = UnixStream::pair().unwrap();
        let first = first.to_vec();
        let carrying = thread::spawn(move || carry(near, far, &first, None, bounds));
        (client, server, carrying)
    }

    #[test]
    fn a_request_that_is_ended_still_gets_its_whole_answer() {
        let (mut client, mut server, carrying) = tunnel(b"GE", FREE);
        client.write_all(b"T").unwrap();
        client.shutdown(Half::Write).unwrap();
        let mut request = String::new();
        server.read_to_string(&mut request).unwrap();
        assert_eq!(request, "GET");
        let answer = vec![7; 3 << 20];
        let sent = answer.clone();
        let answering = thread::spawn(move || server.write_all(&sent));
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        answering.join().unwrap().unwrap();
        assert!(got == answer);
        let carried = carrying.join().unwrap();
        let expected = Carried {
            up: 3,
            down: 3 << 20,
            end: End::Closed,
        };
        assert_eq!(carried, expected);
    }

    #[test]
    fn what_a_client_that_left_has_said_is_passed_on_and_the_tunnel_ends() {
        let (mut client, mut server, carrying) = tunnel(b"", FREE);
        client.write_all(&vec![1; 100_000]).unwrap();
        drop(client);
        let mut got = Vec::new();
        let mut block = [0; 4096];
        while got.len() < 100_000 {
            let more = server.read(&mut block).unwrap();
            got.extend_from_slice(&block[..more]);
        }
        assert_eq!(carrying.join().unwrap().up, 100_000);
    }

    #[test]
    fn both_ways_at_once_with_neither_reading_first_does_not_stand_still() {
        let (client, server, carrying) = tunnel(b"", FREE);
        let both = |stream: UnixStream| {
            let writing = stream.try_clone().unwrap();
            let write = thread::spawn(move || {
                (&writing).write_all(&vec![9; 8 << 20]).unwrap();
                writing.shutdown(Half::Write).unwrap();
            });
            let read = thread::spawn(move || {
                let mut got = Vec::new();
                (&stream).read_to_end(&mut got).unwrap();
                got.len()
            });
            (write, read)
        };
        for (write, read) in [both(client), both(server)] {
            write.join().unwrap();
            assert_eq!(read.join().unwrap(), 8 << 20);
        }
        assert_eq!(carrying.join().unwrap().end, End::Closed);
    }

    #[test]
    fn it_carries_no_byte_more_than_it_may() {
        let bounds = Bounds {
            bytes: 1000,
            ..FREE
        };
        let (mut client, mut server, carrying) = tunnel(b"", bounds);
        client.write_all(&[5; 5000]).unwrap();
        let mut got = Vec::new();
        // What was left unread in the tunnel is a reset to this side.
        let _ = server.read_to_end(&mut got);
        assert_eq!(got.len(), 1000);
        assert_eq!(carrying.join().unwrap().end, End::Bytes);
    }

    #[test]
    fn one_that_stands_still_is_ended() {
        let bounds = Bounds {
            idle: Duration::from_millis(50),
            ..FREE
        };
        let (client, server, carrying) = tunnel(b"", bounds);
        assert_eq!(carrying.join().unwrap().end, End::Idle);
        drop((client, server));
    }

    #[test]
    fn a_closed_stop_ends_it() {
        let (near, _client) = UnixStream::pair().unwrap();
        let (far, _server) = UnixStream::pair().unwrap();
        let (stop, running) = std::io::pipe().unwrap();
        drop(running);
        let carried = carry(near, far, &[], Some(stop.as_fd()), FREE);
        assert_eq!(carried.end, End::Stopped);
    }
}
