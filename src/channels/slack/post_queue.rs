//! What is to be said in Slack, in order of urgency, and not before its method may be called again. What became
//! of the session's calls keeps its order, whatever its method.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

use serde_json::Value;

use crate::contracts::limits;

use super::approvals::Edit;
use super::authorization::OwnCard;
use super::blocks;
use super::notice::Notice;
use super::outbox::OutboxEntry;
use super::web_api::Posted;

/// The urgency of what can as well be left out.
const LEAST: usize = 3;

pub(super) const POST: &str = "chat.postMessage";
pub(super) const UPDATE: &str = "chat.update";
pub(super) const EPHEMERAL: &str = "chat.postEphemeral";
pub(super) const MODAL: &str = "views.open";

/// What a modal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modal {
    /// The whole of a call: whoever has it open may allow.
    Details,
    /// A form for a reason.
    Form,
}

/// Something to say.
pub(super) enum Job {
    /// A modal, in answer to a click.
    Modal {
        modal: Modal,
        nonce: String,
        user: String,
        trigger: String,
        view: Value,
        since: Instant,
    },
    /// A word to one person.
    Ephemeral { user: String, text: String },
    /// A request, without its buttons.
    Card {
        nonce: String,
        text: String,
        blocks: Value,
        until: Instant,
    },
    /// Its buttons, once its entry in the outbox is durable.
    Arm {
        nonce: String,
        posted: Posted,
        until: Instant,
    },
    /// A message that has changed.
    Update {
        posted: Posted,
        text: String,
        blocks: Value,
        last: bool,
    },
    /// The first message of the session: the others go into its thread.
    Opening { text: String, blocks: Value },
    /// Any other message.
    Say { id: String, notice: Notice },
    /// Something that another session left behind.
    LeftBehind(OutboxEntry),
    /// A card whose nonce nobody knows loses its buttons, unless its session runs.
    Disarm(OwnCard),
    /// The session is over: what waits is said within this time, if it can be.
    Stop(Instant),
}

/// What keeps its order among itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What became of this session's calls, and of the session.
    Session,
    /// What other sessions left behind.
    LeftBehind,
}

impl Job {
    /// The last edit of a message.
    pub(super) fn last(edit: Edit) -> Self {
        let blocks = blocks::with_outcome(edit.body, &edit.outcome);
        Self::Update {
            posted: edit.posted,
            text: edit.outcome.text(&edit.brief),
            blocks,
            last: true,
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Modal { .. } => MODAL,
            Self::Ephemeral { .. } => EPHEMERAL,
            Self::Arm { .. } | Self::Update { .. } | Self::Disarm(_) => UPDATE,
            Self::LeftBehind(entry) if entry.ts.is_some() => UPDATE,
            _ => POST,
        }
    }

    /// What is done first among what may be done now.
    fn urgency(&self) -> usize {
        match self {
            Self::Modal { .. } | Self::Opening { .. } => 0,
            Self::Card { .. } | Self::Arm { .. } => 1,
            Self::Update { .. } | Self::Say { .. } => 2,
            _ => LEAST,
        }
    }

    fn lane(&self) -> Option<Lane> {
        match self {
            Self::Update { last: true, .. } | Self::Say { .. } => Some(Lane::Session),
            Self::LeftBehind(_) => Some(Lane::LeftBehind),
            _ => None,
        }
    }

    /// Whether doing it twice is as good as doing it once.
    pub(super) fn is_idempotent(&self) -> bool {
        self.method() == UPDATE
    }

    /// Whether somebody, by clicking or by being denied, can have as many of these as he likes. They
    /// must leave room for the others.
    fn comes_in_floods(&self) -> bool {
        match self {
            Self::Modal { .. } | Self::Ephemeral { .. } | Self::LeftBehind(_) | Self::Disarm(_) => {
                true
            }
            Self::Say { notice, .. } => notice.comes_in_floods(),
            _ => false,
        }
    }
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Post {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
    /// Jobs on the way that come in floods.
    flood: Arc<AtomicUsize>,
}

impl Post {
    pub(super) fn new(jobs: SyncSender<Job>) -> Self {
        Self {
            jobs,
            dropped: Arc::default(),
            flood: Arc::default(),
        }
    }

    /// The thread has taken this job.
    pub(super) fn taken(&self, job: &Job) {
        if job.comes_in_floods() {
            self.flood.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Jobs that there was no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Never waits. False when there is no room, or no thread.
    pub(super) fn send(&self, job: Job) -> bool {
        let flood = job.comes_in_floods();
        if flood && self.flood.fetch_add(1, Ordering::AcqRel) >= limits::SLACK_FLOOD {
            self.flood.fetch_sub(1, Ordering::AcqRel);
            self.count_dropped();
            return false;
        }
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                self.taken(&job);
                self.count_dropped();
                false
            }
        }
    }
}

/// A job, and how often it was tried.
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) tries: u32,
    /// Tries of which Slack may have done what they were for, without saying so.
    pub(super) lost: u32,
}

/// What waits, the most urgent first, and what is known of Slack.
#[derive(Default)]
pub(super) struct QueueState {
    queue: VecDeque<Waiting>,
    /// Before this a method is not called again.
    pub(super) not_before: HashMap<&'static str, Instant>,
    pub(super) thread: Option<String>,
    /// Outbox entries of messages that have buttons.
    pub(super) cards: HashMap<String, String>,
    /// Until when there is time, once the session is over.
    pub(super) stop: Option<Instant>,
    /// Nothing more is to come.
    pub(super) told_to_stop: bool,
    pub(super) complained: bool,
}

impl QueueState {
    pub(super) fn add(&mut self, job: Job) {
        if let Job::Stop(until) = job {
            self.stop = Some(until);
            self.told_to_stop = true;
            return;
        }
        let urgency = job.urgency();
        let at = self
            .queue
            .partition_point(|other| other.job.urgency() <= urgency);
        let waiting = Waiting {
            job,
            tries: 0,
            lost: 0,
        };
        self.queue.insert(at, waiting);
    }

    /// Says it in the message that waits last, where that says the like. Gives the notice back where there is no such
    /// message; else its id, and what the outbox is to have of it, where that is another now.
    pub(super) fn merge(&mut self, notice: Notice) -> Result<(String, Option<String>), Notice> {
        let mut queue = self.queue.iter_mut().rev();
        let last = queue.find(|waiting| waiting.job.lane() == Some(Lane::Session));
        match last {
            // One that was tried may stand in Slack as it is.
            Some(Waiting {
                job: Job::Say { id, notice: last },
                tries: 0,
                ..
            }) if last.is_like(&notice) => {
                let kept = last.add(notice).then(|| last.in_one_line());
                Ok((id.clone(), kept))
            }
            _ => Err(notice),
        }
    }

    /// What waits, and can still be of use, goes before all that is as urgent.
    pub(super) fn again(&mut self, waiting: Waiting) {
        let urgency = waiting.job.urgency();
        let at = self
            .queue
            .partition_point(|other| other.job.urgency() < urgency);
        self.queue.insert(at, waiting);
    }

    fn due(&self, method: &str) -> Option<Instant> {
        self.not_before
            .get(method)
            .copied()
            .filter(|due| *due > Instant::now())
    }

    /// The next job that may be done now.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        let mut held = Vec::new();
        let may = |waiting: &Waiting| {
            let lane = waiting.job.lane();
            if lane.is_some_and(|lane| held.contains(&lane)) {
                return false;
            }
            let may = self.due(waiting.job.method()).is_none();
            held.extend(lane.filter(|_| !may));
            may
        };
        let at = self.queue.iter().position(may)?;
        self.queue.remove(at)
    }

    /// Whether nothing that waits may be done before it is too late for all.
    pub(super) fn is_too_late(&self) -> bool {
        self.told_to_stop && self.wake() == self.stop
    }

    /// When that may change by itself.
    pub(super) fn wake(&self) -> Option<Instant> {
        let methods = self.queue.iter().map(|waiting| waiting.job.method());
        let dues = methods.filter_map(|method| self.due(method));
        dues.chain(self.stop).min()
    }

    /// Whether there is no room for what can as well be left out.
    pub(super) fn is_full(&self) -> bool {
        let floods = self.queue.iter();
        let floods = floods.filter(|waiting| waiting.job.comes_in_floods());
        floods.count() >= limits::SLACK_JOBS
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.queue.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
