//! The session's questions: each is shown in every channel, and the first answer counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::contracts::channel::{Answer, Channel};
use crate::contracts::event::{Draft, Kind};
use crate::contracts::lock::locked;
use crate::contracts::question::{Asking, Question};

/// Where a session's questions are asked.
pub struct Questions {
    channels: Vec<Box<dyn Channel>>,
    /// How long a person has who could see a question.
    deadline: Duration,
    /// How long a question may wait to be shown.
    queue: Duration,
    /// Questions so far.
    count: AtomicU64,
    open: Mutex<OpenQuestions>,
}

#[derive(Default)]
struct OpenQuestions {
    questions: Vec<Arc<Question>>,
    over: bool,
}

impl Questions {
    /// Asks in these channels, at least one.
    #[must_use]
    pub fn new(channels: Vec<Box<dyn Channel>>, deadline: Duration, queue: Duration) -> Self {
        Self {
            channels,
            deadline,
            queue,
            count: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    /// The channels' names, for a question that nobody answered.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.channels.iter().map(|channel| channel.name()).collect();
        names.join("+")
    }

    /// The workspace of the channel with this name, where it has one.
    pub(super) fn team(&self, channel: &str) -> Option<&str> {
        let mut channels = self.channels.iter();
        channels.find(|other| other.name() == channel)?.team()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn queue(&self) -> Duration {
        self.queue
    }

    /// The number of the next question.
    pub(super) fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks in every channel, and waits for the first answer.
    pub(super) fn ask(&self, asking: Asking) -> Answer {
        let question = Arc::new(Question::new(asking, self.channels.len()));
        {
            let mut open = locked(&self.open);
            if open.over {
                return over();
            }
            open.questions.push(Arc::clone(&question));
        }
        for channel in &self.channels {
            if let Err(why) = channel.show(&question) {
                question.gives_up(&why);
            }
        }
        let answer = question.wait();
        for channel in &self.channels {
            channel.over(&question, &answer);
        }
        let mut open = locked(&self.open);
        open.questions
            .retain(|other| !Arc::ptr_eq(other, &question));
        answer
    }

    /// Whether the session is over: nobody is asked any more.
    pub(super) fn is_over(&self) -> bool {
        locked(&self.open).over
    }

    /// Tells every channel what became durable, where people there are told of it.
    pub(super) fn mirror(&self, drafts: &[Draft]) {
        for channel in &self.channels {
            let mirrored: Vec<Draft> = drafts
                .iter()
                .filter(|draft| channel.mirrors(draft.kind))
                .cloned()
                .collect();
            if !mirrored.is_empty() {
                channel.mirror(mirrored);
            }
        }
    }

    /// Whether any channel is told of events of this kind.
    pub(super) fn mirrors(&self, kind: Kind) -> bool {
        self.channels.iter().any(|channel| channel.mirrors(kind))
    }

    /// The session is over: every question that still waits, and every later one, is answered so.
    pub(super) fn hang_up(&self) {
        let questions = {
            let mut open = locked(&self.open);
            open.over = true;
            std::mem::take(&mut open.questions)
        };
        for question in &questions {
            question.settle(over());
        }
        for channel in &self.channels {
            channel.hang_up();
        }
    }

    /// The session's end is on record: every channel says what is still to be said.
    pub(super) fn farewell(&self) {
        for channel in &self.channels {
            channel.farewell();
        }
    }
}

fn over() -> Answer {
    Answer::SessionOver("the session ended before an answer".into())
}
