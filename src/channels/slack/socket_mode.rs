//! The thread `slack-socket`: the Socket Mode connections, from hello to Close. A click is acknowledged as soon as
//! its session has judged it, and not where that session does not: Slack tells whoever clicked that it failed.
//!
//! A session that stands by has no connection, until the relay says that it is its turn.
//!
//! Connections are opened by a thread of their own, `slack-dial`, so that opening a new one never
//! delays what comes on the old one.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConfig;

use crate::confine::{self, Places, Profile};
use crate::contracts::limits;

use super::approvals::{Approvals, Effect};
use super::envelope::{Click, Frame, Leave};
use super::hub::{Hub, NotTaken, Owner};
use super::relay::{Handed, News, Order, Way};
use super::request::Ended;
use super::web_api::{ApiError, WebApi};
use super::websocket::{Heard, OpenSocket};

/// How connections are opened.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) api: WebApi,
    pub(super) tls: Arc<ClientConfig>,
}

/// Why there is no new connection.
pub(super) enum DialError {
    /// Nor will there be one.
    Final(ApiError),
    /// Another attempt may do better, after this long at least.
    Passing(String, Duration),
}

impl Dial {
    pub(super) fn open(&self) -> Result<OpenSocket, DialError> {
        let url = self.api.open_connection().map_err(|error| match error {
            error if error.is_final() => DialError::Final(error),
            ApiError::RateLimited(pause) => {
                DialError::Passing(ApiError::RateLimited(pause).to_string(), pause)
            }
            error => DialError::Passing(error.to_string(), Duration::ZERO),
        })?;
        // An address is for one connection; after a failure another one is asked for.
        OpenSocket::open(&url, &self.tls, self.api.is_plain())
            .map_err(|error| DialError::Passing(error.0, Duration::ZERO))
    }
}

pub(super) struct Receiver {
    pub(super) dial: Dial,
    pub(super) hub: Arc<Hub>,
    pub(super) approvals: Arc<Approvals>,
    /// Something is read here when the thread is wanted.
    pub(super) wake: UnixStream,
    /// Where a dialling thread writes for that.
    pub(super) waker: UnixStream,
    /// The way to the other sessions of the home.
    pub(super) relay: Way,
    /// What comes from there.
    pub(super) news: Inbox<News>,
}

/// A click that another session is to judge.
struct Pending {
    /// The connection that waits for the acknowledgement.
    link: u64,
    click: Box<Click>,
    due: Instant,
}

struct SocketState {
    links: Vec<OpenSocket>,
    /// How many connections there were.
    opened: u64,
    /// By their envelopes.
    pending: HashMap<String, Pending>,
    dialled: Inbox<Result<OpenSocket, DialError>>,
    dialler: Sender<Result<OpenSocket, DialError>>,
    dialling: bool,
    /// When the next attempt is due.
    retry: Option<Instant>,
    failures: u32,
    /// No attempt is made any more.
    down: bool,
    /// More may have come than was read.
    behind: bool,
    stopping: Option<Instant>,
}

impl SocketState {
    fn live(&self) -> usize {
        self.links.iter().filter(|link| !link.is_over()).count()
    }

    fn add(&mut self, mut link: OpenSocket) {
        self.opened += 1;
        link.number = self.opened;
        self.links.push(link);
    }

    fn acknowledge(&mut self, link: u64, envelope: &str) {
        let mut links = self.links.iter_mut();
        if let Some(link) = links.find(|open| open.number == link) {
            link.acknowledge(envelope);
        }
    }
}

impl Receiver {
    /// Runs until the session is over and Slack has been told so.
    pub(super) fn run(mut self, first: Option<OpenSocket>) {
        let (dialler, dialled) = channel();
        let mut state = SocketState {
            links: Vec::new(),
            opened: 0,
            pending: HashMap::new(),
            dialled,
            dialler,
            dialling: false,
            retry: None,
            failures: 0,
            down: false,
            behind: false,
            stopping: None,
        };
        if let Some(first) = first {
            state.add(first);
        }
        loop {
            self.wait(&state);
            if self.hub.is_stopping() && state.stopping.is_none() {
                state.stopping = Some(Instant::now() + limits::SLACK_FAREWELL);
                state.links.iter_mut().for_each(OpenSocket::retire);
            }
            while let Ok(news) = self.news.try_recv() {
                self.hear_of(&mut state, news);
            }
            while let Ok(opened) = state.dialled.try_recv() {
                state.dialling = false;
                self.dialled(&mut state, opened);
            }
            self.pump(&mut state);
            self.tend(&mut state);
            let late = state.stopping.is_some_and(|until| Instant::now() >= until);
            // A connection that is just being opened gets its Close frame, too.
            let idle = state.links.is_empty() && !state.dialling;
            if state.stopping.is_some() && (idle || late) {
                return self.hub.account();
            }
        }
    }

    /// Sleeps until something came, or is due.
    fn wait(&mut self, state: &SocketState) {
        let now = Instant::now();
        let pings = state
            .links
            .iter()
            .map(|link| link.pinged + limits::SLACK_PING);
        let pending = state.pending.values().map(|pending| pending.due);
        let due = pings.chain(pending).chain(state.retry);
        let due = due.chain(state.stopping).min();
        let timeout = due.map(|due| due.saturating_duration_since(now) + Duration::from_millis(1));
        let timeout = if state.behind {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        let fd_of = |link| {
            let flags = if OpenSocket::owes(link) {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            PollFd::from_borrowed_fd(link.fd(), flags)
        };
        fds.extend(state.links.iter().map(fd_of));
        let _ = poll(&mut fds, timeout.as_ref());
        // It holds nothing but wake-ups, and never blocks.
        let mut block = [0; 64];
        while matches!(self.wake.read(&mut block), Ok(1..)) {}
    }

    fn pump(&self, state: &mut SocketState) {
        state.behind = false;
        let mut at = 0;
        while at < state.links.len() {
            // The others stay where they are: whether one is left decides what a loss means.
            let mut link = state.links.remove(at);
            link.flush();
            match self.drain(state, &mut link) {
                None => {
                    state.links.insert(at, link);
                    at += 1;
                }
                Some(why) => self.lost(state, &link, &why),
            }
        }
    }

    /// Reads what has come, and acknowledges what is judged here before it acts on any of it: a rejected click
    /// waits for the journal.
    fn drain(&self, state: &mut SocketState, link: &mut OpenSocket) -> Option<String> {
        let mut judged = Vec::new();
        let ended = self.hear(state, link, &mut judged);
        for (click, effect) in judged {
            self.hub.act(&self.approvals, &click, &effect);
        }
        ended
    }

    /// Has another session judge a click. What there is no room for is not acknowledged.
    fn hand_over(&self, state: &mut SocketState, link: u64, session: &str, click: Box<Click>) {
        let due = Instant::now() + limits::RELAY_PATIENCE + limits::RELAY_PATIENCE / 2;
        let room = state.pending.len() < limits::RELAY_CLICKS;
        let order = Order::Hand {
            session: session.to_owned(),
            click: click.clone(),
        };
        if !room || !self.relay.send(order) {
            return self.hub.not_taken(&click, NotTaken::Hung);
        }
        let envelope = click.envelope.clone();
        state.pending.insert(envelope, Pending { link, click, due });
    }

    fn hear_of(&self, state: &mut SocketState, news: News) {
        let (envelope, handed) = match news {
            News::Holds => return self.redial(state),
            News::Handed(envelope, handed) => (envelope, handed),
        };
        let Some(Pending { link, click, .. }) = state.pending.remove(&envelope) else {
            return;
        };
        match handed {
            Handed::Taken => state.acknowledge(link, &envelope),
            Handed::Nobody if self.approvals.authority().has_card(&click) => {
                let effect = self.approvals.click(&click);
                state.acknowledge(link, &envelope);
                self.hub.act(&self.approvals, &click, &effect);
            }
            // Another home's session may wait for it: a click that failed can be made again.
            Handed::Nobody => self.hub.not_taken(&click, NotTaken::Elsewhere),
            Handed::Failed => self.hub.not_taken(&click, NotTaken::Hung),
        }
    }

    /// Reads up to a bound: whoever sends without end keeps neither the other connection nor the end of the
    /// session waiting. Says why when the connection is over.
    fn hear(
        &self,
        state: &mut SocketState,
        link: &mut OpenSocket,
        judged: &mut Vec<(Click, Effect)>,
    ) -> Option<String> {
        for _ in 0..limits::SLACK_FRAMES_AT_ONCE {
            match link.read() {
                Heard::Quiet => return None,
                Heard::Ended(why) => return Some(why),
                Heard::Malformed => self.hub.malformed(),
                Heard::Frame(Frame::Envelope { id, click: None }) => link.acknowledge(&id),
                Heard::Frame(Frame::Envelope {
                    id,
                    click: Some(click),
                }) => match self.hub.owner(&click) {
                    Owner::This => {
                        let effect = self.approvals.click(&click);
                        link.acknowledge(&id);
                        judged.push((*click, effect));
                    }
                    Owner::Session(session) => {
                        let session = session.to_owned();
                        self.hand_over(state, link.number, &session, click);
                    }
                },
                Heard::Frame(Frame::Disconnect(leave)) => self.told_to_leave(state, link, leave),
                Heard::Control | Heard::Frame(Frame::Hello { .. } | Frame::Unknown) => {}
            }
        }
        state.behind = true;
        None
    }

    fn told_to_leave(&self, state: &mut SocketState, link: &mut OpenSocket, leave: Leave) {
        match leave {
            // The old connection is read until the new one is there: no click falls in between.
            Leave::Refresh => self.redial(state),
            Leave::TooMany => {
                self.hub
                    .warn("slack: the app has too many connections; others receive its clicks");
                // First this one, and the next one not at once: the others must have time to end.
                link.leave();
                if state.live() == 0 {
                    self.back_off(state, limits::SLACK_BACKOFF_MIN);
                }
            }
            Leave::LinkDisabled => {
                self.give_up(state, "Socket Mode is disabled for the app in Slack");
                link.leave();
            }
        }
    }

    fn dialled(&self, state: &mut SocketState, opened: Result<OpenSocket, DialError>) {
        match opened {
            Ok(mut link) => {
                state.retry = None;
                let expected = state.links.len() + 1;
                self.hub.count_connections(&link, expected);
                if link.app != self.approvals.authority().app {
                    self.give_up(state, "the app-level token now belongs to another app");
                }
                if state.stopping.is_some() || state.down {
                    link.leave();
                } else {
                    state.links.iter_mut().for_each(OpenSocket::retire);
                }
                state.add(link);
            }
            Err(DialError::Final(error)) => {
                self.give_up(state, &format!("{error}; {}", error.mend()));
            }
            Err(DialError::Passing(why, pause)) => {
                if state.failures == 0 {
                    self.hub
                        .warn(&format!("slack: cannot connect: {why}; retrying"));
                }
                self.back_off(state, pause);
            }
        }
    }

    fn lost(&self, state: &mut SocketState, link: &OpenSocket, why: &str) {
        if link.is_over() && (state.live() > 0 || state.down || state.stopping.is_some()) {
            return;
        }
        self.hub.lost(why);
        if state.live() == 0 && !state.dialling && state.retry.is_none() {
            if link.opened.elapsed() >= limits::SLACK_SILENCE {
                self.redial(state);
            } else {
                self.back_off(state, Duration::ZERO);
            }
        }
    }

    /// Pings, looks for silence, and tries again when it is time.
    fn tend(&self, state: &mut SocketState) {
        let now = Instant::now();
        let lasts = |link: &OpenSocket| link.opened.elapsed() >= limits::SLACK_SILENCE;
        if state.links.iter().any(lasts) {
            state.failures = 0;
        }
        let mut late = Vec::new();
        for (envelope, pending) in &state.pending {
            if now >= pending.due {
                late.push(envelope.clone());
            }
        }
        for envelope in late {
            self.hear_of(state, News::Handed(envelope, Handed::Failed));
        }
        for link in &mut state.links {
            let number = link.number;
            let waits = |since| now < since + limits::RELAY_PATIENCE;
            let mut pending = state.pending.values();
            let last = pending.any(|pending| pending.link == number);
            if link.retiring.is_some_and(|since| !last || !waits(since)) {
                link.leave();
            }
        }
        let mut dead = Vec::new();
        for (at, link) in state.links.iter_mut().enumerate() {
            let left = link
                .leaving
                .is_some_and(|since| now >= since + limits::SLACK_FAREWELL);
            if left || now >= link.heard + limits::SLACK_SILENCE {
                dead.push(at);
            } else if now >= link.pinged + limits::SLACK_PING {
                link.ping();
            }
        }
        for at in dead.into_iter().rev() {
            let mut link = state.links.remove(at);
            link.leave();
            self.lost(state, &link, "it was silent too long");
        }
        if state.retry.is_some_and(|due| now >= due) {
            state.retry = None;
            self.redial(state);
        }
    }

    fn redial(&self, state: &mut SocketState) {
        if state.dialling || state.down || state.stopping.is_some() {
            return;
        }
        let (dial, done) = (self.dial.clone(), state.dialler.clone());
        let Ok(waker) = self.waker.try_clone() else {
            return self.back_off(state, Duration::ZERO);
        };
        let spawned = thread::Builder::new()
            .name("slack-dial".into())
            .spawn(move || {
                let opened = confine::enter(Profile::SlackDial, &Places::none())
                    .map_err(|error| DialError::Passing(error.to_string(), Duration::ZERO))
                    .and_then(|()| dial.open());
                let _ = done.send(opened);
                super::wake(&waker);
            });
        match spawned {
            Ok(_) => state.dialling = true,
            Err(_) => self.back_off(state, Duration::ZERO),
        }
    }

    /// Twice as long with each failure, and never all at once: half of it is by chance.
    fn back_off(&self, state: &mut SocketState, at_least: Duration) {
        let doubled = limits::SLACK_BACKOFF_MIN * 2_u32.saturating_pow(state.failures.min(10));
        let longest = doubled.min(limits::SLACK_BACKOFF_MAX);
        let mut chance = [128_u8];
        let _ = SystemRandom::new().fill(&mut chance);
        let [chance] = chance;
        let pause = longest / 2 + longest * u32::from(chance) / 512;
        state.failures = state.failures.saturating_add(1);
        state.retry = Some(Instant::now() + pause.max(at_least));
    }

    fn give_up(&self, state: &mut SocketState, why: &str) {
        state.down = true;
        state.retry = None;
        // Another session finds out for itself.
        self.relay.send(Order::Release);
        self.hub
            .warn(&format!("slack: {why}: approvals are no longer possible"));
        let gone = Ended::Unreachable(format!("Slack is not available: {why}"));
        let early = self.approvals.hang_up(&gone);
        self.hub.judge_late(&self.approvals, &early);
    }
}
