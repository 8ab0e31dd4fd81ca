//! `agp attend` at work: connections to sessions, and the terminal of whoever attends or a program that watches.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::channels::screen::Look;
use crate::channels::terminal::{Keyboard, Terminal, Typed};
use crate::contracts::limits;

use super::protocol::{AttendantMessage, Lines, PROTOCOL, SessionMessage, read, written};
use super::socket::connect;
use super::viewer::{Effect, Viewer};

/// The terminal's size and the time that is left are looked at this often while a question waits.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes that are read of a session at once.
const BLOCK_BYTES: usize = 64 << 10;
/// A session that takes no answer within this time is lost.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// A session that runs, and where it is attended.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its id.
    pub session: String,
    /// Its socket.
    pub socket: PathBuf,
}

/// Which sessions are attended.
pub enum Sessions<'a> {
    /// This one.
    One(Running),
    /// All that this finds, which is looked for again each second.
    All(&'a mut dyn FnMut() -> Vec<Running>),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parted {
    /// Every session that was attended has ended, or whoever attended left.
    Well,
    /// The connection to one was lost.
    Lost,
}

/// Why attending could not begin.
#[derive(Debug)]
pub enum AttendError {
    /// No session runs.
    NoSession,
    /// A session could not be reached.
    Unreached(Running, io::Error),
    /// Waiting failed.
    Io(io::Error),
}

impl fmt::Display for AttendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSession => f.write_str("no session is running"),
            Self::Unreached(running, error) => {
                let (session, socket) = (&running.session, running.socket.display());
                write!(f, "cannot reach session {session} at {socket}: {error}")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AttendError {}

/// Attends sessions at a terminal, until they have ended or whoever sits there leaves.
///
/// # Errors
/// [`AttendError`] when there is none, or the one that was named cannot be reached.
pub fn attend(
    sessions: Sessions<'_>,
    terminal: &Terminal,
    bell: bool,
) -> Result<Parted, AttendError> {
    let look = || Look {
        bell,
        ..terminal.look()
    };
    let mut viewer = Viewer::new(look(), Instant::now());
    let mut keyboard = Keyboard::default();
    let mut links = Links::begin(sessions, true)?;
    loop {
        let patience = if viewer.asks() {
            LOOK
        } else {
            limits::ATTEND_LOOK
        };
        let (heard, typed) = links
            .wait(Some(terminal), patience)
            .map_err(AttendError::Io)?;
        let mut effects = Vec::new();
        for one in heard {
            let session = one.session;
            effects.extend(match one.what {
                Some(message) => viewer.heard(&session, message, Instant::now()),
                None => {
                    let mut effects = viewer.gone(&session);
                    effects.push(Effect::Line(format!("{session}: the connection was lost")));
                    effects
                }
            });
        }
        perform(effects, terminal, &mut keyboard, &mut links);
        let passed = viewer.passed(Instant::now(), look());
        perform(passed, terminal, &mut keyboard, &mut links);
        if typed {
            match terminal.typed(&mut keyboard) {
                Typed::Line(line) => {
                    let effects = viewer.typed(line.as_deref().unwrap_or_default());
                    perform(effects, terminal, &mut keyboard, &mut links);
                }
                Typed::Begun => {}
                Typed::Closed => return Ok(links.parted),
            }
        }
        if links.is_over() {
            return Ok(links.parted);
        }
    }
}

/// Gives all that sessions say to a program, a JSON object each with the session's id, until they have ended or nobody
/// takes it any more. Answers nothing.
///
/// # Errors
/// As [`attend`].
pub fn watch(
    sessions: Sessions<'_>,
    out: &mut dyn FnMut(&serde_json::Value) -> bool,
) -> Result<Parted, AttendError> {
    let mut links = Links::begin(sessions, false)?;
    loop {
        let (heard, _) = links
            .wait(None, limits::ATTEND_LOOK)
            .map_err(AttendError::Io)?;
        for one in heard {
            let Some(message) = one.what else { continue };
            if matches!(message, SessionMessage::Ended { .. }) {
                links.leave(&one.session);
            }
            let mut value = serde_json::to_value(&message).unwrap_or_default();
            if let Some(value) = value.as_object_mut() {
                value.insert("sessionId".into(), one.session.into());
            }
            if !out(&value) {
                return Ok(links.parted);
            }
        }
        if links.is_over() {
            return Ok(links.parted);
        }
    }
}

fn perform(
    effects: Vec<Effect>,
    terminal: &Terminal,
    keyboard: &mut Keyboard,
    links: &mut Links<'_>,
) {
    for effect in effects {
        match effect {
            Effect::Line(line) => terminal.show(&line),
            Effect::Question(text) => terminal.put_question(&text),
            Effect::Forget => terminal.forget_typed(keyboard),
            Effect::Resume => terminal.resume(),
            Effect::Say(session, message) => links.say(&session, &message),
            Effect::Leave(session) => links.leave(&session),
        }
    }
}

/// The connections.
struct Links<'a> {
    sessions: Option<&'a mut dyn FnMut() -> Vec<Running>>,
    answers: bool,
    links: Vec<Link>,
    /// Sessions that were attended, those that are over too.
    known: BTreeSet<String>,
    looked: Instant,
    parted: Parted,
}

struct Link {
    session: String,
    stream: UnixStream,
    lines: Lines,
    /// It is read no more.
    over: bool,
}

/// What a session said; nothing when its connection was lost.
struct Heard {
    session: String,
    what: Option<SessionMessage>,
}

impl<'a> Links<'a> {
    fn begin(sessions: Sessions<'a>, answers: bool) -> Result<Self, AttendError> {
        let mut links = Self {
            sessions: None,
            answers,
            links: Vec::new(),
            known: BTreeSet::new(),
            looked: Instant::now(),
            parted: Parted::Well,
        };
        match sessions {
            Sessions::One(running) => links
                .add(&running)
                .map_err(|error| AttendError::Unreached(running, error))?,
            Sessions::All(running) => {
                links.sessions = Some(running);
                links.look();
            }
        }
        match links.links.is_empty() {
            true => Err(AttendError::NoSession),
            false => Ok(links),
        }
    }

    /// Connects to sessions that began.
    fn look(&mut self) {
        self.looked = Instant::now();
        let running = self.sessions.as_mut().map(|sessions| sessions());
        for running in running.unwrap_or_default() {
            if !self.known.contains(&running.session) {
                // One that has just ended, or does not listen yet, is looked for again.
                let _ = self.add(&running);
            }
        }
    }

    fn add(&mut self, running: &Running) -> io::Result<()> {
        let mut stream = connect(&running.socket)?;
        stream.set_write_timeout(Some(SEND_PATIENCE))?;
        stream.write_all(&written(&AttendantMessage::Attach {
            protocol: PROTOCOL,
            answers: self.answers,
        }))?;
        self.known.insert(running.session.clone());
        self.links.push(Link {
            session: running.session.clone(),
            stream,
            lines: Lines::of_session(),
            over: false,
        });
        Ok(())
    }

    /// Waits for what comes first. Gives what was heard, and whether something was typed.
    fn wait(
        &mut self,
        terminal: Option<&Terminal>,
        within: Duration,
    ) -> io::Result<(Vec<Heard>, bool)> {
        let tty = terminal.and_then(Terminal::file);
        let mut polled: Vec<PollFd<'_>> = Vec::new();
        polled.extend(tty.map(|tty| PollFd::new(tty, PollFlags::IN)));
        let streams = self.links.iter().map(|link| &link.stream);
        polled.extend(streams.map(|stream| PollFd::new(stream, PollFlags::IN)));
        let timeout = Timespec::try_from(within).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok((Vec::new(), false)),
            Err(error) => return Err(error.into()),
        }
        let mut ready = polled.iter().map(|one| !one.revents().is_empty());
        let typed = tty.is_some() && ready.next() == Some(true);
        let ready: Vec<bool> = ready.collect();
        let mut heard = Vec::new();
        for (link, ready) in self.links.iter_mut().zip(ready) {
            if ready {
                link.read(&mut heard);
            }
        }
        if heard.iter().any(|one| one.what.is_none()) {
            self.parted = Parted::Lost;
        }
        self.links.retain(|link| !link.over);
        if self.looked.elapsed() >= limits::ATTEND_LOOK {
            self.look();
        }
        Ok((heard, typed))
    }

    fn say(&mut self, session: &str, message: &AttendantMessage) {
        let link = self.links.iter_mut().find(|link| link.session == session);
        if let Some(link) = link
            && link.stream.write_all(&written(message)).is_err()
        {
            // Reading it says that it is lost.
            let _ = link.stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn leave(&mut self, session: &str) {
        self.links.retain(|link| link.session != session);
    }

    fn is_over(&self) -> bool {
        self.links.is_empty()
    }
}

impl Link {
    fn read(&mut self, heard: &mut Vec<Heard>) {
        let mut block = vec![0; BLOCK_BYTES];
        let got = match self.stream.read(&mut block) {
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(_) => 0,
        };
        self.lines.push(block.get(..got).unwrap_or_default());
        self.over = got == 0;
        loop {
            let message = match self.lines.next_line() {
                Ok(Some(line)) => read::<SessionMessage>(&line).ok(),
                Ok(None) => break,
                Err(_) => None,
            };
            let ended = matches!(message, Some(SessionMessage::Ended { .. }));
            self.over |= message.is_none();
            heard.push(Heard {
                session: self.session.clone(),
                what: message,
            });
            // Nothing comes behind an end, or behind what cannot be understood.
            if ended || self.over {
                self.over = true;
                return;
            }
        }
        if self.over {
            heard.push(Heard {
                session: self.session.clone(),
                what: None,
            });
        }
    }
}
