//! The thread `slack-post`: everything that agp says in Slack, in order of urgency, at the pace that
//! Slack asks for. Nobody waits for it but the request whose card it posts.
//!
//! A card takes three steps: posted without buttons, its entry durable in the outbox, and then its buttons. Where
//! the reply to the first is lost there may be a copy that nobody can name; it has no buttons, and gets none.

use crate::contracts::plural::count;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::contracts::limits;

use super::approvals::Approvals;
use super::blocks::{self, Outcome};
use super::hub::Hub;
use super::notice::Notice;
use super::outbox::{Keeper, OutboxEntry};
use super::post_queue::{EPHEMERAL, Job, MODAL, Modal, POST, QueueState, UPDATE, Waiting};
use super::random_id;
use super::web_api::{ApiError, Posted, WebApi};

/// After this the click that a modal answers is too old for Slack.
const TRIGGER: Duration = Duration::from_secs(3);
/// What a card says whose session is over.
const ABANDONED: &str = "Expired: the session ended. The journal has the decision.";

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
                state.stop = Some(Instant::now() + limits::SLACK_LAST_WORDS);
            }
            let done = state.told_to_stop && state.is_empty();
            if done || state.stop.is_some_and(|until| Instant::now() >= until) {
                return self.account(&state);
            }
            if let Some(waiting) = state.next() {
                self.attempt(&mut state, waiting);
                continue;
            }
            if state.is_too_late() {
                return self.account(&state);
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
        match job {
            Job::Say { id, notice } => self.take_notice(state, id, notice),
            job => state.add(job),
        }
    }

    fn take_notice(&self, state: &mut QueueState, id: String, notice: Notice) {
        // An agent that is denied without end must not fill memory, disk or channel.
        let floods = notice.comes_in_floods();
        let (id, kept) = match state.merge(notice) {
            Ok((_, None)) => return,
            Ok((id, Some(line))) => (id, line),
            Err(_) if floods && state.is_full() => return self.hub.post.count_dropped(),
            Err(notice) => {
                let line = notice.in_one_line();
                let say = Job::Say {
                    id: id.clone(),
                    notice,
                };
                state.add(say);
                (id, line)
            }
        };
        let kept = self.outbox.put(OutboxEntry {
            thread: state.thread.clone(),
            text: Some(kept),
            ..self.entry(id)
        });
        if let Err(error) = kept {
            self.hub.warn(&format!("outbox.json: {error}"));
        }
    }

    /// An entry of this session's, of nothing yet.
    fn entry(&self, id: String) -> OutboxEntry {
        OutboxEntry {
            id,
            session: self.session.clone(),
            channel: self.channel.clone(),
            ts: None,
            thread: None,
            text: None,
            claimed_by: None,
        }
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
            Err(error) => {
                waiting.lost += u32::from(error.is_lost());
                // It may stand there all the same, and the pace is by what stands there.
                pause = limits::SLACK_PACE;
                match may_repeat(&waiting, &error) {
                    true => {
                        self.complain(state, &error);
                        state.again(waiting);
                    }
                    false => self.give_up(state, &waiting.job, &error),
                }
            }
        }
        state.not_before.insert(method, Instant::now() + pause);
    }

    /// Whether nobody has any use for it now.
    fn is_stale(&self, job: &Job) -> bool {
        match job {
            Job::Card { nonce, .. } | Job::Arm { nonce, .. } => !self.approvals.is_open(nonce),
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
        if let Job::Card { nonce, until, .. } | Job::Arm { nonce, until, .. } = &waiting.job
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
            Job::Arm { nonce, .. } => {
                let why = format!(
                    "cannot add the buttons to the request: {error}; {}",
                    error.mend()
                );
                self.not_posted(nonce, &why);
            }
            Job::Modal {
                modal, nonce, user, ..
            } => self.not_shown(state, *modal, nonce, user.clone()),
            // The message is gone, or may not be changed any more: nothing is left to be done. Another token,
            // or the app's return to the workspace, may do better at the next start.
            Job::LeftBehind(entry) if error.is_of_message() => {
                let _ = self.outbox.remove(&entry.id);
            }
            Job::Update {
                posted, last: true, ..
            } if error.is_of_message() => self.is_over(state, posted),
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
        // What is begun at the end of the session ends with the time that is left.
        let left = state.stop.map_or(limits::SLACK_PATIENCE, |stop| {
            stop.saturating_duration_since(Instant::now())
        });
        let api = &self.api.within(left);
        match job {
            Job::Modal {
                modal,
                nonce,
                user,
                trigger,
                view,
                ..
            } => {
                api.call(MODAL, &json!({"trigger_id": trigger, "view": view}))?;
                if *modal == Modal::Details {
                    let early = self.approvals.looked(nonce, user, true);
                    self.hub.judge_late(&self.approvals, &early);
                }
            }
            Job::Ephemeral { user, text } => {
                let mut message = self.message(state, text, None);
                message.insert("user".into(), json!(user));
                api.call(EPHEMERAL, &Value::Object(message))?;
            }
            Job::Card {
                nonce,
                text,
                blocks,
                until,
            } => {
                let posted = api.post(&Value::Object(self.message(state, text, Some(blocks))))?;
                self.card_posted(state, nonce, posted, *until);
            }
            Job::Arm { nonce, posted, .. } => {
                if let Some((text, blocks)) = self.approvals.arming(nonce) {
                    update(api, posted, &text, &blocks)?;
                    let early = self.approvals.armed(nonce);
                    self.hub.judge_late(&self.approvals, &early);
                }
            }
            Job::Update {
                posted,
                text,
                blocks,
                last,
            } => {
                update(api, posted, text, blocks)?;
                if *last {
                    self.is_over(state, posted);
                }
            }
            Job::Opening { text, blocks } => {
                let posted = api.post(&Value::Object(self.message(state, text, Some(blocks))))?;
                state.thread = Some(posted.ts);
            }
            Job::Say { id, notice } => {
                let mut message = self.message(state, &notice.text(), Some(&notice.blocks()));
                let id_of = json!({"event_type": "agp", "event_payload": {"id": id}});
                message.insert("metadata".into(), id_of);
                api.post(&Value::Object(message))?;
                let _ = self.outbox.remove(id);
            }
            Job::LeftBehind(entry) => self.left_behind(api, entry)?,
            Job::Disarm(card) => {
                // Another live session's card is its own. What an earlier time of this one posted is not.
                if card.session == self.session || !self.outbox.is_live(&card.session) {
                    abandoned(api, &card.posted)?;
                }
            }
            Job::Stop(_) => {}
        }
        state.complained = false;
        Ok(())
    }

    /// A card gets its buttons once it is certain that a later start can take them off.
    fn card_posted(&self, state: &mut QueueState, nonce: &str, posted: Posted, until: Instant) {
        let id = random_id();
        let kept = self.outbox.put(OutboxEntry {
            channel: posted.channel.clone(),
            ts: Some(posted.ts.clone()),
            ..self.entry(id.clone())
        });
        match (self.approvals.posted(nonce, posted.clone()), &kept) {
            (Ok(()), Ok(())) => state.add(Job::Arm {
                nonce: nonce.to_owned(),
                posted: posted.clone(),
                until,
            }),
            (Ok(()), Err(error)) => {
                self.not_posted(nonce, &format!("cannot keep the request: {error}"));
            }
            (Err(Some(edit)), _) => state.add(Job::last(*edit)),
            (Err(None), _) => {}
        }
        match kept {
            Ok(()) => drop(state.cards.insert(posted.ts, id)),
            Err(error) => self.hub.warn(&format!("outbox.json: {error}")),
        }
        // The session is over, and nobody else looks for it any more.
        if self.hub.is_stopping() {
            let left = self.approvals.left_over();
            left.into_iter().for_each(|edit| state.add(Job::last(edit)));
        }
    }

    /// A card has lost its buttons, for good.
    fn is_over(&self, state: &mut QueueState, posted: &Posted) {
        if let Some(id) = state.cards.remove(&posted.ts) {
            let _ = self.outbox.remove(&id);
        }
    }

    fn left_behind(&self, api: &WebApi, entry: &OutboxEntry) -> Result<(), ApiError> {
        match &entry.ts {
            Some(ts) => {
                let posted = Posted {
                    channel: entry.channel.clone(),
                    ts: ts.clone(),
                };
                abandoned(api, &posted)?;
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
                api.post(&message)?;
            }
        }
        let _ = self.outbox.remove(&entry.id);
        Ok(())
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

/// Takes the buttons off a card of a session that is over.
fn abandoned(api: &WebApi, posted: &Posted) -> Result<(), ApiError> {
    let outcome = Outcome::new(ABANDONED);
    let blocks = blocks::with_outcome(None, &outcome);
    update(api, posted, &format!("agp: {}", outcome.text("")), &blocks)
}

fn update(api: &WebApi, posted: &Posted, text: &str, blocks: &Value) -> Result<(), ApiError> {
    let message = json!({
        "channel": posted.channel, "ts": posted.ts, "text": text,
        "blocks": blocks, "parse": "none", "link_names": false,
    });
    api.call(UPDATE, &message).map(drop)
}

/// Whether another attempt can do better, and leaves no more behind than it may.
fn may_repeat(waiting: &Waiting, error: &ApiError) -> bool {
    let may = waiting.tries < limits::SLACK_TRIES;
    match error {
        ApiError::Refused(..) | ApiError::RateLimited(_) => false,
        ApiError::Unreachable(_) => may,
        ApiError::Failed(_) | ApiError::TimedOut if waiting.job.is_idempotent() => may,
        // Of two copies of a card one has buttons; the other one can do nothing, and there is no third.
        ApiError::Failed(_) | ApiError::TimedOut if matches!(waiting.job, Job::Card { .. }) => {
            waiting.lost <= 1
        }
        ApiError::Failed(_) => may,
        ApiError::TimedOut => false,
    }
}
