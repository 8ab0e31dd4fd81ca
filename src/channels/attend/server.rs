//! The thread `attend`: takes connections, sends what is up, and judges what is said. It waits for nobody: who does not
//! read, or says what is no message, is dropped.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::channels::screen::Said;
use crate::contracts::channel::Answer;
use crate::contracts::event::ApprovalBinding;
use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;

use super::Shared;
use super::board::OpenQuestion;
use super::connection::{Client, pauses};
use super::process::Admission;
use super::protocol::{AttendantMessage, GivenAnswer, PROTOCOL, SessionMessage, read};
use super::rejections::{Reason, Rejection};

/// Bytes that are read of one connection before the others have their turn.
const BLOCK_BYTES: usize = 4096;

/// The thread's own.
pub(super) struct Server {
    pub(super) listener: UnixListener,
    /// Readable when there are news.
    pub(super) wake: PipeReader,
    pub(super) shared: Arc<Shared>,
    pub(super) admission: Admission,
    pub(super) clients: Vec<Client>,
}

/// What a look at the descriptors came to.
struct Ready {
    listener: bool,
    wake: bool,
    /// Of each client whether something came, there is room to send, and its process has ended.
    clients: Vec<[bool; 3]>,
}

impl Server {
    /// Serves until the session is over, and a little longer for the last news.
    pub(super) fn run(mut self) {
        while !self.shared.is_over() {
            if self.turn(self.patience()).is_err() {
                // Out of memory: whoever waits for an answer has none, which is a deny.
                return;
            }
        }
        self.deliver();
        let until = Instant::now() + limits::ATTEND_FAREWELL;
        while self.clients.iter().any(|client| client.waiting > 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.turn(Some(left)).is_err() {
                return;
            }
        }
    }

    /// How long nothing may happen before somebody has to be dropped.
    fn patience(&self) -> Option<Duration> {
        let waits = self.clients.iter().filter(|one| one.attached.is_none());
        let until = waits.map(|one| one.came + limits::ATTEND_HELLO).min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn turn(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let ready = self.wait(patience)?;
        if ready.wake {
            let _ = self.wake.read(&mut [0; 64]);
            self.shared.heard();
        }
        self.deliver();
        for (at, [came, room, ended]) in ready.clients.into_iter().enumerate() {
            if came {
                self.hear(at);
            }
            if let Some(client) = self.clients.get_mut(at) {
                if room {
                    client.send();
                }
                client.gone |= ended;
            }
        }
        if ready.listener {
            self.accept();
        }
        self.dismiss();
        Ok(())
    }

    fn wait(&self, patience: Option<Duration>) -> io::Result<Ready> {
        let mut polled = vec![
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.wake, PollFlags::IN),
        ];
        for client in &self.clients {
            let mut awaited = PollFlags::IN;
            if client.waiting > 0 {
                awaited |= PollFlags::OUT;
            }
            polled.push(PollFd::new(&client.stream, awaited));
        }
        let with_process = self.clients.iter().map(|client| client.process.as_ref());
        let with_process: Vec<Option<&OwnedFd>> = with_process.collect();
        for process in with_process.iter().copied().flatten() {
            polled.push(PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN));
        }
        let timeout = patience.map(|patience| Timespec {
            // Rounded up: nothing is to be looked at before.
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = polled.iter().map(PollFd::revents);
        let mut next = || events.next().unwrap_or(PollFlags::empty());
        let any = |events: PollFlags, of: PollFlags| events.intersects(of);
        let end = PollFlags::HUP | PollFlags::ERR;
        let (listener, wake) = (next(), next());
        let streams: Vec<PollFlags> = self.clients.iter().map(|_| next()).collect();
        let clients = streams.iter().zip(&with_process).map(|(stream, process)| {
            let ended = process.is_some() && any(next(), PollFlags::IN);
            let came = any(*stream, PollFlags::IN | end);
            [came, any(*stream, PollFlags::OUT), ended]
        });
        Ok(Ready {
            clients: clients.collect(),
            listener: any(listener, PollFlags::IN),
            wake: any(wake, PollFlags::IN | end),
        })
    }

    /// Hands the news to those who attend.
    fn deliver(&mut self) {
        let news = locked(&self.shared.board).news();
        for client in &mut self.clients {
            if let Some(answers) = client.attached {
                client.take(&news, answers);
            }
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let identified = self.admission.identify(&stream);
        let mut client = Client::new(stream, identified);
        if self.clients.len() >= limits::ATTEND_CLIENTS {
            let most = count(limits::ATTEND_CLIENTS, "terminal");
            client.say(&SessionMessage::Ended {
                words: format!("{most} attend this session already"),
            });
            client.send();
            return;
        }
        self.clients.push(client);
    }

    /// Lets those go who are gone, or never said what they want.
    fn dismiss(&mut self) {
        let shared = &self.shared;
        let mut alone = false;
        self.clients.retain(|client| {
            let late = client.attached.is_none() && client.came.elapsed() >= limits::ATTEND_HELLO;
            let stays = !client.gone && !late;
            if !stays && client.attached == Some(true) {
                let mut board = locked(&shared.board);
                board.attended = board.attended.saturating_sub(1);
                alone = board.attended == 0;
            }
            stays
        });
        if !alone || shared.is_over() {
            return;
        }
        // Nobody attends any more: the operator is told again that something waits.
        let first = locked(&shared.board).first();
        if let Some(question) = first.filter(|question| question.answer().is_none()) {
            (shared.waiting)(&question);
        }
    }

    fn hear(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        let mut block = [0; BLOCK_BYTES];
        match client.stream.read(&mut block) {
            Ok(0) => client.gone = true,
            Ok(got) => client.input.push(block.get(..got).unwrap_or_default()),
            Err(error) if pauses(&error) => {}
            Err(_) => client.gone = true,
        }
        loop {
            let Some(client) = self.clients.get_mut(at).filter(|client| !client.gone) else {
                return;
            };
            match client.input.next_line() {
                Ok(Some(line)) => self.take_in(at, &line),
                Ok(None) => return,
                Err(_) => {
                    self.reject(at, Reason::Malformed, None);
                    self.drop_after_words(at);
                }
            }
        }
    }

    fn take_in(&mut self, at: usize, line: &[u8]) {
        let message = read::<AttendantMessage>(line);
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        if let Some(reason) = client.refused {
            self.reject(at, reason, None);
            self.drop_after_words(at);
            return;
        }
        match (message, client.attached) {
            (Ok(AttendantMessage::Attach { protocol, answers }), None) => {
                self.attach(at, protocol, answers);
            }
            // Who only watches has no screen.
            (Ok(AttendantMessage::Seen { number }), Some(true)) if client.sees(number) => {}
            (Ok(AttendantMessage::Answer(answer)), Some(answers)) => {
                self.answered(at, answer, answers);
            }
            (Ok(AttendantMessage::Grants {}), Some(_)) => client.say(&self.shared.granted()),
            (Ok(AttendantMessage::Revoke { grant }), Some(answers)) => {
                self.revoke(at, &grant, answers);
            }
            _ => {
                self.reject(at, Reason::Malformed, None);
                self.drop_after_words(at);
            }
        }
    }

    fn attach(&mut self, at: usize, protocol: u32, answers: bool) {
        // What the others are still to be told is in what this one gets.
        self.deliver();
        let hello = SessionMessage::Hello {
            protocol: PROTOCOL,
            origin: self.shared.origin.clone(),
            since: self.shared.since.clone(),
        };
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        client.say(&hello);
        if protocol != PROTOCOL {
            client.say(&SessionMessage::Ended {
                words: "another version of agp runs this session".into(),
            });
            self.drop_after_words(at);
            return;
        }
        let (whole, since) = {
            let mut board = locked(&self.shared.board);
            let news = board.news();
            board.attended += usize::from(answers);
            (board.whole(), news)
        };
        client.take(&whole, answers);
        client.attached = Some(answers);
        // Between the two looks something may have come.
        for (other, one) in self.clients.iter_mut().enumerate() {
            if let (true, Some(answers)) = (other != at, one.attached) {
                one.take(&since, answers);
            }
        }
    }

    fn answered(&mut self, at: usize, answer: GivenAnswer, answers: bool) {
        let number = answer.number;
        let judged = locked(&self.shared.board).judged(&answer, answers);
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        let (open, attendant) = match (judged, client.attendant) {
            (Ok(open), Some(attendant)) => (open, attendant),
            (Ok(_), None) => return self.reject(at, Reason::UnknownProcess, Some(number)),
            (Err(reason), _) => return self.reject(at, reason, Some(number)),
        };
        let by = attendant.person(&self.shared.user);
        let binding = ApprovalBinding::Attend(attendant);
        let given = match answer.verdict {
            Said::Approve(scope) => Answer::Granted { by, binding, scope },
            Said::Deny { reason } => Answer::Denied {
                by,
                binding,
                reason: reason.filter(|reason| !reason.trim().is_empty()),
            },
        };
        if open.question.settle(given) {
            client.say(&SessionMessage::Taken { number });
        } else {
            let reason = match open.question.answer() {
                Some(Answer::TimedOut) => Reason::Expired,
                _ => Reason::Decided,
            };
            self.reject_about(at, reason, Some(number), Some(&open));
        }
    }

    fn revoke(&mut self, at: usize, grant: &str, answers: bool) {
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        let Some(attendant) = client.attendant.filter(|_| answers) else {
            return self.reject(at, Reason::ReadOnly, None);
        };
        let by = attendant.person(&self.shared.user);
        let binding = ApprovalBinding::Attend(attendant);
        let grants = self.shared.grants.get();
        let revoked = grants.and_then(|(_, revoke)| revoke(grant, &by, binding));
        let message = match revoked {
            Some(_) => self.shared.granted(),
            // A word that was mistyped is nobody's attempt at anything.
            None => SessionMessage::Rejected {
                number: None,
                words: "no grant of this id holds".to_owned(),
            },
        };
        client.say(&message);
    }

    fn reject(&mut self, at: usize, reason: Reason, number: Option<u64>) {
        let open = number.and_then(|number| locked(&self.shared.board).about(number).cloned());
        self.reject_about(at, reason, number, open.as_ref());
    }

    /// Puts on record that somebody said what is no answer, and says so.
    fn reject_about(
        &mut self,
        at: usize,
        reason: Reason,
        number: Option<u64>,
        open: Option<&Arc<OpenQuestion>>,
    ) {
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        client.strikes += 1;
        client.say(&SessionMessage::Rejected {
            number,
            words: reason.words().to_owned(),
        });
        let asking = open.map(|open| open.question.asking());
        let rejection = Rejection {
            reason,
            attendant: client.attendant,
            number,
            message_id: asking.map(|asking| asking.call.id.clone()),
            args_sha256: asking.map(|asking| asking.args_sha256),
        };
        let flooding = client.strikes >= limits::ATTEND_STRIKES;
        self.shared.rejected(rejection);
        if flooding {
            self.drop_after_words(at);
        }
    }

    /// Sends what can be sent at once, and lets it go.
    fn drop_after_words(&mut self, at: usize) {
        if let Some(client) = self.clients.get_mut(at) {
            client.send();
            client.gone = true;
        }
    }
}
