//! The thread `slack-relay`: hands clicks that are other sessions' to them, takes those that others have heard for
//! this one, and takes over the connection when the session that had it ends.
//!
//! It speaks to Unix sockets in the home and to nothing else. Whoever can reach them can write in the home, and a
//! click that comes over one is judged like any other: only who holds a request's nonce can decide it.
//!
//! Nothing here waits for one other session: all of them are heard at once, each until its own deadline.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::contracts::limits;

use super::app_lock::AppLock;
use super::approvals::{Approvals, Effect};
use super::envelope::Click;
use super::hub::Hub;
use super::relay_line::{ClickLine, TAKEN};

/// What a session's socket is called beside its lease: the lease's name with this extension.
pub const SOCKET: &str = "clicks";

/// Where the sessions of a home listen. Their directory's path may be longer than a socket's may be, so it is
/// gone through by a descriptor.
pub(super) struct Sockets(OwnedFd);

impl Sockets {
    /// # Errors
    /// What the file system gives.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(directory, flags, Mode::empty())?))
    }

    fn at(&self, session: &str) -> String {
        format!("/proc/self/fd/{}/{session}.{SOCKET}", self.0.as_raw_fd())
    }

    /// Listens for the clicks of a session, of which there is no other.
    ///
    /// # Errors
    /// What the file system or the socket gives.
    pub(super) fn listen(&self, session: &str) -> io::Result<UnixListener> {
        let path = self.at(session);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Begins to speak to a session, and waits for nothing.
    fn connect(&self, session: &str) -> Result<UnixStream, Errno> {
        let address = SocketAddrUnix::new(self.at(session))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)?;
        Ok(UnixStream::from(socket))
    }
}

/// What came of a click that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    /// Its session judges it.
    Taken,
    /// No such session runs in this home.
    Nobody,
    /// Its session did not take it in time.
    Failed,
}

/// What the thread that hears Slack has this one do.
pub(super) enum Order {
    /// Hands a click to the session that it names.
    Hand { session: String, click: Box<Click> },
    /// Lets another session have the connection: this one can have none.
    Release,
}

/// What that thread hears from this one.
pub(super) enum News {
    /// The connection is this session's now.
    Holds,
    /// What came of the click of this envelope.
    Handed(String, Handed),
}

/// The way to the relay, which ends with it: first the orders end, and then it wakes.
pub(super) struct Way {
    orders: SyncSender<Order>,
    waker: UnixStream,
}

impl Way {
    pub(super) fn new(orders: SyncSender<Order>, waker: UnixStream) -> Self {
        Self { orders, waker }
    }

    /// Never waits. False when there is no room.
    pub(super) fn send(&self, order: Order) -> bool {
        let sent = self.orders.try_send(order).is_ok();
        super::wake(&self.waker);
        sent
    }
}

pub(super) struct Relay {
    pub(super) lock: AppLock,
    /// Whether this session has the lock.
    pub(super) holds: bool,
    pub(super) sockets: Sockets,
    pub(super) listener: UnixListener,
    pub(super) session: String,
    pub(super) hub: Arc<Hub>,
    pub(super) approvals: Arc<Approvals>,
    pub(super) orders: Receiver<Order>,
    /// Something is read here when the thread is wanted.
    pub(super) wake: UnixStream,
    pub(super) news: Sender<News>,
    /// Where that is written for the thread that hears Slack.
    pub(super) waker: UnixStream,
}

/// Another session's connection, as it writes its line.
struct Incoming {
    stream: UnixStream,
    text: Vec<u8>,
    until: Instant,
}

/// A click on its way to another session.
struct Outgoing {
    stream: UnixStream,
    session: String,
    envelope: String,
    unsent: Vec<u8>,
    reply: Vec<u8>,
    until: Instant,
}

struct RelayState {
    incoming: Vec<Incoming>,
    outgoing: Vec<Outgoing>,
    /// When to try for the lock next; never again once this session holds it, or gave it away.
    next_try: Option<Instant>,
}

impl Relay {
    /// Runs until nobody is left who gives orders.
    pub(super) fn run(mut self) {
        let mut state = RelayState {
            incoming: Vec::new(),
            outgoing: Vec::new(),
            next_try: (!self.holds).then(Instant::now),
        };
        loop {
            self.wait(&state);
            if !self.obey(&mut state) {
                return;
            }
            self.accept(&mut state);
            self.hear(&mut state);
            self.hand_over(&mut state);
            self.try_lock(&mut state);
        }
    }

    /// Sleeps until something came, or is due.
    fn wait(&mut self, state: &RelayState) {
        let now = Instant::now();
        let incoming = state.incoming.iter().map(|incoming| incoming.until);
        let outgoing = state.outgoing.iter().map(|outgoing| outgoing.until);
        let due = incoming.chain(outgoing).chain(state.next_try).min();
        let timeout = due.map(|due| due.saturating_duration_since(now) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if state.incoming.len() < limits::RELAY_CLICKS {
            fds.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        let heard = state.incoming.iter().map(|incoming| &incoming.stream);
        fds.extend(heard.map(|stream| PollFd::new(stream, PollFlags::IN)));
        fds.extend(state.outgoing.iter().map(|outgoing| {
            let flags = match outgoing.unsent.is_empty() {
                true => PollFlags::IN,
                false => PollFlags::IN | PollFlags::OUT,
            };
            PollFd::from_borrowed_fd(outgoing.stream.as_fd(), flags)
        }));
        let _ = poll(&mut fds, timeout.as_ref());
        // It holds nothing but wake-ups, and never blocks.
        let mut block = [0; 64];
        while matches!(self.wake.read(&mut block), Ok(1..)) {}
    }

    /// False when nobody gives orders any more.
    fn obey(&self, state: &mut RelayState) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Hand { session, click }) => self.begin(state, session, *click),
                Ok(Order::Release) => {
                    self.lock.release();
                    state.next_try = None;
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn begin(&self, state: &mut RelayState, session: String, click: Click) {
        let envelope = click.envelope.clone();
        let of_this = |outgoing: &&Outgoing| outgoing.session == session;
        if state.outgoing.iter().filter(of_this).count() >= limits::RELAY_CLICKS_EACH {
            return self.tell(News::Handed(envelope, Handed::Failed));
        }
        match self.sockets.connect(&session) {
            Ok(stream) => {
                let unsent = ClickLine {
                    session: session.clone(),
                    click,
                }
                .written();
                state.outgoing.push(Outgoing {
                    stream,
                    session,
                    envelope,
                    unsent,
                    reply: Vec::new(),
                    until: Instant::now() + limits::RELAY_PATIENCE,
                });
            }
            // No session of this name was started here, or the one that was is gone.
            Err(Errno::NOENT | Errno::CONNREFUSED) => {
                self.tell(News::Handed(envelope, Handed::Nobody));
            }
            Err(_) => self.tell(News::Handed(envelope, Handed::Failed)),
        }
    }

    fn tell(&self, news: News) {
        // Who is gone needs none.
        let _ = self.news.send(news);
        super::wake(&self.waker);
    }

    fn accept(&self, state: &mut RelayState) {
        while state.incoming.len() < limits::RELAY_CLICKS {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        state.incoming.push(Incoming {
                            stream,
                            text: Vec::new(),
                            until: Instant::now() + limits::RELAY_PATIENCE,
                        });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // Out of descriptors, most likely: others give theirs back.
                    return thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// Judges the clicks whose lines are whole, and answers all of them before it acts on any: one that is
    /// rejected waits for the journal.
    fn hear(&self, state: &mut RelayState) {
        let mut judged: Vec<(Click, Effect)> = Vec::new();
        state.incoming.retain_mut(|incoming| {
            let Some(whole) = incoming.listen() else {
                return false;
            };
            if !whole {
                return Instant::now() < incoming.until;
            }
            let line = incoming.text.strip_suffix(b"\n").and_then(ClickLine::read);
            let Some(line) = line.filter(|line| line.session == self.session) else {
                self.hub.malformed();
                return false;
            };
            let effect = self.approvals.click(&line.click);
            let _ = incoming.stream.write_all(TAKEN);
            judged.push((line.click, effect));
            false
        });
        for (click, effect) in judged {
            self.hub.act(&self.approvals, &click, &effect);
        }
    }

    fn hand_over(&self, state: &mut RelayState) {
        state.outgoing.retain_mut(|outgoing| {
            let handed = match outgoing.step() {
                None if Instant::now() < outgoing.until => return true,
                None => Handed::Failed,
                Some(handed) => handed,
            };
            self.tell(News::Handed(std::mem::take(&mut outgoing.envelope), handed));
            false
        });
    }

    fn try_lock(&mut self, state: &mut RelayState) {
        let now = Instant::now();
        if state.next_try.is_none_or(|due| now < due) {
            return;
        }
        state.next_try = Some(now + limits::RELAY_TRY);
        if self.lock.try_hold().unwrap_or(false) {
            state.next_try = None;
            self.tell(News::Holds);
        }
    }
}

impl Incoming {
    /// Whether the line is whole. `None` where whoever wrote it is gone, or would not end: what he no longer
    /// waits for must not count.
    fn listen(&mut self) -> Option<bool> {
        let mut block = [0; 4096];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return None,
                Ok(got) => self.text.extend(block.iter().take(got)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Some(self.text.ends_with(b"\n"));
                }
                Err(_) => return None,
            }
            if self.text.len() > limits::RELAY_LINE_BYTES {
                return None;
            }
        }
    }
}

impl Outgoing {
    /// What came of it, if anything did yet.
    fn step(&mut self) -> Option<Handed> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Some(Handed::Failed),
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Handed::Failed),
            }
        }
        let mut block = [0; TAKEN.len()];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return Some(Handed::Failed),
                Ok(got) => self.reply.extend(block.iter().take(got)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Handed::Failed),
            }
            if self.reply == TAKEN {
                return Some(Handed::Taken);
            }
            if !TAKEN.starts_with(&self.reply) {
                return Some(Handed::Failed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        (one, other)
    }

    #[test]
    fn a_line_counts_when_it_is_whole_and_whoever_wrote_it_still_waits() {
        let (stream, mut writer) = pair();
        let mut incoming = Incoming {
            stream,
            text: Vec::new(),
            until: Instant::now(),
        };
        assert_eq!(incoming.listen(), Some(false));
        writer.write_all(b"{\"session\":").unwrap();
        assert_eq!(incoming.listen(), Some(false));
        writer.write_all(b"0}\n").unwrap();
        assert_eq!(incoming.listen(), Some(true));
        drop(writer);
        assert_eq!(incoming.listen(), None);

        let (stream, mut writer) = pair();
        let mut endless = Incoming { stream, ..incoming };
        writer.set_nonblocking(true).unwrap();
        let most = limits::RELAY_LINE_BYTES / 4096 + 2;
        let listened = (0..most).map(|_| {
            let _ = writer.write(&[b'x'; 4096]);
            endless.listen()
        });
        assert_eq!(listened.last(), Some(None));
    }

    #[test]
    fn a_click_is_taken_only_by_whoever_says_so() {
        let answers: [(&[u8], Option<Handed>); 5] = [
            (b"", None),
            (b"{\"taken\":", None),
            (TAKEN, Some(Handed::Taken)),
            (b"{\"taken\":false}\n", Some(Handed::Failed)),
            (b"no", Some(Handed::Failed)),
        ];
        for (answer, expected) in answers {
            let (stream, mut owner) = pair();
            let mut outgoing = Outgoing {
                stream,
                session: "s-2".into(),
                envelope: "e1".into(),
                unsent: b"line\n".to_vec(),
                reply: Vec::new(),
                until: Instant::now(),
            };
            owner.write_all(answer).unwrap();
            assert_eq!(outgoing.step(), expected);
            let mut line = [0; 5];
            owner.read_exact(&mut line).unwrap();
            assert_eq!(&line, b"line\n");
            if expected.is_none() {
                drop(owner);
                assert_eq!(outgoing.step(), Some(Handed::Failed));
            }
        }
    }
}
