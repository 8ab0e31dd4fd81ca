//! What is to be said in Slack, in order of urgency, and not before its method may be called again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

use serde_json::Value;

use crate::contracts::limits;

use super::approvals::Edit;
use super::blocks;
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
    /// A request.
    Card {
        nonce: String,
        text: String,
        blocks: Value,
        until: Instant,
    },
    /// A message that has changed.
    Update {
        posted: Posted,
        blocks: Value,
        last: bool,
    },
    /// The first message of the session: the others go into its thread.
    Opening { text: String, blocks: Value },
    /// Any other message.
    Say {
        id: String,
        /// More than one among many: it goes before those.
        weighty: bool,
        text: String,
        /// All of it in one line, for a later start.
        whole: String,
        blocks: Value,
    },
    /// Something that another session left behind.
    LeftBehind(OutboxEntry),
    /// The session is over: what waits is said within this time, if it can be.
    Stop(Instant),
}

impl Job {
    /// The last edit of a message.
    pub(super) fn last(edit: Edit) -> Self {
        let blocks = blocks::over(edit.body, &edit.word);
        Self::Update {
            posted: edit.posted,
            blocks,
            last: true,
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Modal { .. } => MODAL,
            Self::Ephemeral { .. } => EPHEMERAL,
            Self::Update { .. } => UPDATE,
            Self::LeftBehind(entry) if entry.ts.is_some() => UPDATE,
            _ => POST,
        }
    }

    /// What is done first among what may be done now.
    fn urgency(&self) -> usize {
        match self {
            Self::Modal { .. } | Self::Opening { .. } => 0,
            Self::Card { .. } => 1,
            Self::Update { .. } | Self::Say { weighty: true, .. } => 2,
            _ => LEAST,
        }
    }

    /// Whether somebody, by clicking or by being denied, can have as many of these as he likes. They
    /// must leave room for the others.
    fn comes_in_floods(&self) -> bool {
        matches!(
            self,
            Self::Modal { .. }
                | Self::Ephemeral { .. }
                | Self::LeftBehind(_)
                | Self::Say { weighty: false, .. }
        )
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
        self.queue.insert(at, Waiting { job, tries: 0 });
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
        let may = |waiting: &Waiting| self.due(waiting.job.method()).is_none();
        let at = self.queue.iter().position(may)?;
        self.queue.remove(at)
    }

    /// When that may change by itself.
    pub(super) fn wake(&self) -> Option<Instant> {
        let methods = self.queue.iter().map(|waiting| waiting.job.method());
        let dues = methods.filter_map(|method| self.due(method));
        dues.chain(self.stop).min()
    }

    /// Whether there is no room for what can as well be left out.
    pub(super) fn is_full(&self) -> bool {
        let least = self.queue.iter();
        let least = least.filter(|waiting| waiting.job.urgency() == LEAST);
        least.count() >= limits::SLACK_JOBS
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.queue.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn card(nonce: &str) -> Job {
        Job::Card {
            nonce: nonce.into(),
            text: String::new(),
            blocks: Value::Null,
            until: Instant::now(),
        }
    }

    fn modal(nonce: &str) -> Job {
        Job::Modal {
            modal: Modal::Details,
            nonce: nonce.into(),
            user: String::new(),
            trigger: String::new(),
            view: Value::Null,
            since: Instant::now(),
        }
    }

    fn ephemeral(text: &str) -> Job {
        Job::Ephemeral {
            user: String::new(),
            text: text.into(),
        }
    }

    fn name(waiting: &Waiting) -> String {
        match &waiting.job {
            Job::Card { nonce, .. } | Job::Modal { nonce, .. } => nonce.clone(),
            Job::Ephemeral { text, .. } => text.clone(),
            _ => String::new(),
        }
    }

    #[test]
    fn the_most_urgent_goes_first_and_what_is_as_urgent_in_order() {
        let mut state = QueueState::default();
        for job in [
            ephemeral("e1"),
            card("c1"),
            ephemeral("e2"),
            card("c2"),
            modal("m1"),
        ] {
            state.add(job);
        }
        assert_eq!(name(&state.next().unwrap()), "m1");
        let tried = state.next().unwrap();
        assert_eq!(name(&tried), "c1");
        state.add(card("c3"));
        state.again(tried);
        let order: Vec<String> = std::iter::from_fn(|| state.next())
            .map(|waiting| name(&waiting))
            .collect();
        assert_eq!(order, ["c1", "c2", "c3", "e1", "e2"]);
        assert!(state.is_empty());
    }

    #[test]
    fn what_must_wait_for_its_method_keeps_nothing_else_waiting() {
        let mut state = QueueState::default();
        let later = Instant::now() + Duration::from_secs(3600);
        state.not_before.insert(POST, later);
        let opening = Job::Opening {
            text: String::new(),
            blocks: Value::Null,
        };
        for job in [opening, card("c1"), modal("m1"), ephemeral("e1")] {
            state.add(job);
        }
        // As urgent as the opening, behind it, and of another method.
        assert_eq!(name(&state.next().unwrap()), "m1");
        assert_eq!(name(&state.next().unwrap()), "e1");
        assert!(state.next().is_none());
        assert_eq!(state.wake(), Some(later));
        assert_eq!(state.waiting(), 2);
    }

    #[test]
    fn only_what_can_be_left_out_fills_the_queue() {
        let mut state = QueueState::default();
        for at in 0..limits::SLACK_JOBS {
            assert!(!state.is_full(), "{at}");
            state.add(card("c"));
            state.add(ephemeral("e"));
        }
        assert!(state.is_full());
        while let Some(Job::Card { .. }) = state.next().map(|waiting| waiting.job) {}
        assert!(!state.is_full());
    }
}
