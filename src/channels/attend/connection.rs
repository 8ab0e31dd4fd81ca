//! One connection of those who attend: what came, what is on its way, and that nobody waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use crate::contracts::attendant::Attendant;
use crate::contracts::limits;
use crate::contracts::question::Question;

use super::board::News;
use super::process::Identified;
use super::protocol::{Lines, SessionMessage, written};
use super::rejections::Reason;

/// One who attends, or is about to.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) attendant: Option<Attendant>,
    /// Why it may not attend.
    pub(super) refused: Option<Reason>,
    /// Readable once its process has ended.
    pub(super) process: Option<OwnedFd>,
    /// Whether it may answer, once it said that it attends.
    pub(super) attached: Option<bool>,
    pub(super) came: Instant,
    pub(super) input: Lines,
    output: VecDeque<Outgoing>,
    /// Questions that were sent whole, and are open as far as is known.
    put: BTreeMap<u64, Arc<Question>>,
    /// The highest number of these, those that are over included.
    highest: u64,
    /// Bytes of the first of these that were sent.
    sent: usize,
    /// Bytes of all of them.
    pub(super) waiting: usize,
    pub(super) strikes: u32,
    pub(super) gone: bool,
}

/// A message on its way.
struct Outgoing {
    bytes: Arc<[u8]>,
    /// The question that a person may see once this is sent.
    question: Option<Arc<Question>>,
}

impl Client {
    /// One who has connected, and said nothing yet.
    pub(super) fn new(stream: UnixStream, identified: Identified) -> Self {
        Self {
            stream,
            attendant: identified.attendant,
            refused: identified.refused,
            process: identified.process,
            attached: None,
            came: Instant::now(),
            input: Lines::of_attendant(),
            output: VecDeque::new(),
            put: BTreeMap::new(),
            highest: 0,
            sent: 0,
            waiting: 0,
            strikes: 0,
            gone: false,
        }
    }

    pub(super) fn take(&mut self, news: &[News], answers: bool) {
        for one in news {
            let outgoing = match one {
                News::Message(bytes) => Outgoing {
                    bytes: Arc::clone(bytes),
                    question: None,
                },
                News::Question(open) => Outgoing {
                    bytes: open.message(answers).into(),
                    question: answers.then(|| Arc::clone(&open.question)),
                },
            };
            self.put(outgoing);
        }
        self.send();
    }

    pub(super) fn say(&mut self, message: &SessionMessage) {
        self.put(Outgoing {
            bytes: written(message).into(),
            question: None,
        });
    }

    /// A question was sent whole.
    fn has(&mut self, question: Arc<Question>) {
        let number = question.asking().number;
        self.put.retain(|_, question| question.answer().is_none());
        self.put.insert(number, question);
        self.highest = self.highest.max(number);
    }

    /// A person can see this question here. False where it was never sent here.
    pub(super) fn sees(&self, number: u64) -> bool {
        match self.put.get(&number) {
            Some(question) => question.seen(),
            // It may be over since.
            None => return (1..=self.highest).contains(&number),
        }
        true
    }

    fn put(&mut self, outgoing: Outgoing) {
        self.waiting += outgoing.bytes.len();
        self.output.push_back(outgoing);
        self.gone |= self.waiting > limits::ATTEND_QUEUE_BYTES;
    }

    /// Sends what the other side takes now.
    pub(super) fn send(&mut self) {
        while let Some(first) = self.output.front().filter(|_| !self.gone) {
            let rest = first.bytes.get(self.sent..).unwrap_or_default();
            match self.stream.write(rest) {
                Ok(0) => self.gone = true,
                Ok(wrote) => {
                    self.waiting -= wrote;
                    self.sent += wrote;
                    if wrote == rest.len() {
                        let whole = self.output.pop_front();
                        self.sent = 0;
                        if let Some(question) = whole.and_then(|whole| whole.question) {
                            self.has(question);
                        }
                    }
                }
                Err(error) if pauses(&error) => return,
                Err(_) => self.gone = true,
            }
        }
    }
}

/// Whether it works again later.
pub(super) fn pauses(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn client(stream: UnixStream) -> Client {
        stream.set_nonblocking(true).unwrap();
        let identified = Identified {
            attendant: None,
            refused: None,
            process: None,
        };
        Client::new(stream, identified)
    }

    #[test]
    fn who_does_not_read_is_dropped_and_who_reads_gets_all_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut deaf = client(ours);
        let piece = limits::ATTEND_MESSAGE_BYTES / 4;
        let message = |byte: u8| News::Message(vec![byte; piece].into());
        let fits = limits::ATTEND_QUEUE_BYTES / piece;
        for n in 0..fits {
            deaf.take(&[message(u8::try_from(n).unwrap())], true);
            assert!(!deaf.gone, "{n}");
        }
        // What was taken in between made room for one more.
        let mut block = vec![1; 64 << 10];
        for _ in 0..piece / block.len() {
            theirs.read_exact(&mut block).unwrap();
            assert!(block.iter().all(|byte| *byte == 0));
            deaf.send();
        }
        deaf.take(&[message(9)], true);
        assert!(!deaf.gone);
        deaf.take(&[message(10)], true);
        assert!(deaf.gone);
    }
}
