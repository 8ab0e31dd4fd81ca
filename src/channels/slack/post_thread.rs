//! The thread `slack-post`: everything that agp says in Slack, in order of urgency, at the pace that
//! Slack asks for. Nobody waits for it but the request whose card it posts.

use crate::contracts::plural::count;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::contracts::limits;

use super::approvals::Approvals;
use super::blocks;
use super::hub::Hub;
use super::outbox::{Keeper, OutboxEntry};
use super::post_queue::{EPHEMERAL, Job, MODAL, Modal, POST, QueueState, UPDATE, Waiting};
use super::random_id;
use super::web_api::{ApiError, Posted, WebApi};

/// After this the click that a modal answers is too old for Slack.
const TRIGGER: Duration = Duration::from_secs(3);

pub(super) struct Poster {
    pub(super) api: WebApi,
    pub(super) hub: Arc<Hub>,
    pub(super) approvals: Arc<Approvals>,
    pub(super) outbox: Keeper,
    pub(super) channel: String,
    pub(super) session: String,
    pub(super) jobs: Receiver<Job>,
}

impl Poster {
    /// Runs until it is told to stop, and what waits then is said.
    pub(super) fn run(self) {
        let mut state = QueueState::default();
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.take(&mut state, job);
            }
            if self.hub.is_stopping() && state.stop.is_none() {
                state.stop = Some(Instant::now() + limits::SLACK_FAREWELL);
            }
            let done = state.told_to_stop && state.is_empty();
            if done || state.stop.is_some_and(|until| Instant::now() >= until) {
                return self.account(&state);
            }
            if let Some(waiting) = state.next() {
                self.attempt(&mut state, waiting);
                continue;
            }
            let job = match state.wake() {
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self
                    .jobs
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match job {
                Ok(job) => self.take(&mut state, job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// What was not said is said to the operator.
    fn account(&self, state: &QueueState) {
        let unsaid = self.hub.post.dropped() + state.waiting();
        if unsaid > 0 {
            self.hub.warn(&format!(
                "slack: {} not delivered; the journal has every decision, and the next start \
                    retries",
                count(unsaid, "message")
            ));
        }
    }

    /// A message is kept before it is sent: it is said at least once, also after a crash.
    fn take(&self, state: &mut QueueState, job: Job) {
        self.hub.post.taken(&job);
        if let Job::Say {
            id, weighty, whole, ..
        } = &job
        {
            // An agent that is denied without end must not fill memory, disk or channel.
            if !weighty && state.is_full() {
                self.hub.post.count_dropped();
                return;
            }
            let kept = self.outbox.put(OutboxEntry {
                id: id.clone(),
                session: self.session.clone(),
                channel: self.channel.clone(),
                ts: None,
                thread: state.thread.clone(),
                text: Some(whole.clone()),
            });
            if let Err(error) = kept {
                self.hub.warn(&format!("outbox.json: {error}"));
            }
        }
        state.add(job);
    }

    fn attempt(&self, state: &mut QueueState, mut waiting: Waiting) {
        let method = waiting.job.method();
        if self.is_stale(&waiting.job) {
            if let Job::Modal {
                modal, nonce, user, ..
            } = waiting.job
            {
                self.not_shown(state, modal, &nonce, user);
            }
            return;
        }
        waiting.tries += 1;
        let done = self.perform(state, &waiting.job);
        let pace = match method {
            // Whoever may not decide can click without end, too.
            POST | UPDATE | EPHEMERAL => limits::SLACK_PACE,
            _ => Duration::ZERO,
        };
        let mut pause = pace;
        match done {
            Ok(()) => {}
            Err(ApiError::RateLimited(delay)) => {
                pause = delay;
                self.limited(state, waiting, delay);
            }
            Err(error @ ApiError::Failed(_)) if waiting.tries < limits::SLACK_TRIES => {
                // It may stand there all the same, and the pace is by what stands there.
                pause = limits::SLACK_PACE;
                self.complain(state, &error);
                state.again(waiting);
            }
            Err(error) => self.give_up(state, &waiting.job, &error),
        }
        state.not_before.insert(method, Instant::now() + pause);
    }

    /// Whether nobody has any use for it now.
    fn is_stale(&self, job: &Job) -> bool {
        match job {
            Job::Card { nonce, .. } => !self.approvals.is_open(nonce),
            Job::Modal { since, .. } => since.elapsed() >= TRIGGER,
            Job::Update {
                posted,
                last: false,
                ..
            } => !self.approvals.has_buttons(posted),
            _ => false,
        }
    }

    fn limited(&self, state: &mut QueueState, waiting: Waiting, delay: Duration) {
        if let Job::Card { nonce, until, .. } = &waiting.job
            && Instant::now() + delay >= *until
        {
            let error = ApiError::RateLimited(delay);
            self.not_posted(nonce, &format!("cannot post the request: {error}"));
            return;
        }
        state.again(waiting);
    }

    fn not_posted(&self, nonce: &str, why: &str) {
        let early = self.approvals.failed(nonce, why.to_owned());
        self.hub.judge_late(&self.approvals, &early);
    }

    /// Whoever asked for the details must not take what the message shows for all of it.
    fn not_shown(&self, state: &mut QueueState, modal: Modal, nonce: &str, user: String) {
        let text = match modal {
            Modal::Details => {
                let early = self.approvals.looked(nonce, &user, false);
                self.hub.judge_late(&self.approvals, &early);
                "agp: Slack was too slow to open the details. Click Details again."
            }
            Modal::Form => {
                "agp: Slack was too slow to open the form. Click again, or Deny without a reason."
            }
        };
        let text = text.to_owned();
        state.add(Job::Ephemeral { user, text });
    }

    fn give_up(&self, state: &mut QueueState, job: &Job, error: &ApiError) {
        match job {
            Job::Card { nonce, .. } => {
                let why = format!("cannot post the request: {error}; {}", error.mend());
                self.not_posted(nonce, &why);
            }
            Job::Modal {
                modal, nonce, user, ..
            } => self.not_shown(state, *modal, nonce, user.clone()),
            // The message is gone, or may not be changed any more: nothing is left to be done.
            Job::LeftBehind(entry) if matches!(error, ApiError::Refused(..)) => {
                let _ = self.outbox.remove(&entry.id);
            }
            _ => {}
        }
        self.complain(state, error);
    }

    fn complain(&self, state: &mut QueueState, error: &ApiError) {
        // Once until something has worked again.
        if !state.complained {
            state.complained = true;
            self.hub.warn(&format!("slack: {error} ({})", error.mend()));
        }
    }

    fn perform(&self, state: &mut QueueState, job: &Job) -> Result<(), ApiError> {
        match job {
            Job::Modal {
                modal,
                nonce,
                user,
                trigger,
                view,
                ..
            } => {
                self.api
                    .call(MODAL, &json!({"trigger_id": trigger, "view": view}))?;
                if *modal == Modal::Details {
                    let early = self.approvals.looked(nonce, user, true);
                    self.hub.judge_late(&self.approvals, &early);
                }
            }
            Job::Ephemeral { user, text } => {
                let mut message = self.message(state, text, None);
                message.insert("user".into(), json!(user));
                self.api.call(EPHEMERAL, &Value::Object(message))?;
            }
            Job::Card {
                nonce,
                text,
                blocks,
                ..
            } => {
                let posted =
                    self.api
                        .post(&Value::Object(self.message(state, text, Some(blocks))))?;
                self.card_posted(state, nonce, posted);
            }
            Job::Update {
                posted,
                blocks,
                last,
            } => {
                self.update(posted, blocks)?;
                if *last && let Some(id) = state.cards.remove(&posted.ts) {
                    let _ = self.outbox.remove(&id);
                }
            }
            Job::Opening { text, blocks } => {
                let posted =
                    self.api
                        .post(&Value::Object(self.message(state, text, Some(blocks))))?;
                state.thread = Some(posted.ts);
            }
            Job::Say {
                id, text, blocks, ..
            } => {
                let mut message = self.message(state, text, Some(blocks));
                let id_of = json!({"event_type": "agp", "event_payload": {"id": id}});
                message.insert("metadata".into(), id_of);
                self.api.post(&Value::Object(message))?;
                let _ = self.outbox.remove(id);
            }
            Job::LeftBehind(entry) => self.left_behind(entry)?,
            Job::Stop(_) => {}
        }
        state.complained = false;
        Ok(())
    }

    fn card_posted(&self, state: &mut QueueState, nonce: &str, posted: Posted) {
        let id = random_id();
        let kept = self.outbox.put(OutboxEntry {
            id: id.clone(),
            session: self.session.clone(),
            channel: posted.channel.clone(),
            ts: Some(posted.ts.clone()),
            thread: None,
            text: None,
        });
        match kept {
            Ok(()) => drop(state.cards.insert(posted.ts.clone(), id)),
            Err(error) => self.hub.warn(&format!("outbox.json: {error}")),
        }
        match self.approvals.posted(nonce, posted) {
            Ok(early) => self.hub.judge_late(&self.approvals, &early),
            Err(Some(edit)) => state.add(Job::last(edit)),
            // The session is over, and nobody else looks for it any more.
            Err(None) if self.hub.is_stopping() => {
                let left = self.approvals.left_over();
                left.into_iter().for_each(|edit| state.add(Job::last(edit)));
            }
            Err(None) => {}
        }
    }

    fn left_behind(&self, entry: &OutboxEntry) -> Result<(), ApiError> {
        match &entry.ts {
            Some(ts) => {
                let word = "Expired: the session ended. The journal has the decision.";
                let posted = Posted {
                    channel: entry.channel.clone(),
                    ts: ts.clone(),
                };
                self.update(&posted, &blocks::over(None, word))?;
            }
            None => {
                let text = entry.text.as_deref().unwrap_or_default();
                let message = json!({
                    "channel": entry.channel, "text": "agp: a message from an earlier session",
                    "blocks": blocks::notice(
                        "agp: delayed message",
                        &[("Session", &entry.session), ("What", text)],
                    ),
                    "metadata": {"event_type": "agp", "event_payload": {"id": entry.id}},
                    "thread_ts": entry.thread,
                });
                self.api.post(&message)?;
            }
        }
        let _ = self.outbox.remove(&entry.id);
        Ok(())
    }

    fn update(&self, posted: &Posted, blocks: &Value) -> Result<(), ApiError> {
        let message = json!({
            "channel": posted.channel, "ts": posted.ts, "text": "agp: this request is closed",
            "blocks": blocks, "parse": "none", "link_names": false,
        });
        self.api.call(UPDATE, &message).map(drop)
    }

    fn message(
        &self,
        state: &QueueState,
        text: &str,
        blocks: Option<&Value>,
    ) -> Map<String, Value> {
        let mut message = Map::new();
        let mut put = |name: &str, value: Value| drop(message.insert(name.to_owned(), value));
        put("channel", json!(self.channel));
        put("text", json!(text));
        // No text outside of blocks is to be read for names or links.
        put("parse", json!("none"));
        put("link_names", json!(false));
        put("unfurl_links", json!(false));
        put("unfurl_media", json!(false));
        if let Some(blocks) = blocks {
            put("blocks", blocks.clone());
        }
        if let Some(thread) = &state.thread {
            put("thread_ts", json!(thread));
        }
        message
    }
}
