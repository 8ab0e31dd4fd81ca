//! The way to the journal thread: what is asked of it, and how the answer comes back.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use crate::contracts::event::{Draft, Kind};
use crate::contracts::plural::count;

use super::envelope::Sealed;
use super::receipt::{self, Receipt};
use super::redact::{self, Screen};

/// Why an event was not recorded. Whoever waited for it must not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// A write or sync failed, now or earlier: nothing can be recorded any more.
    Poisoned(String),
    /// The value of this known secret stands in the event.
    Secret(String),
    /// The event does not fit a line: it is too long, or nested deeper than readers go.
    TooLong,
    /// The journal thread has stopped.
    Closed,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(why) => write!(f, "cannot write the journal: {why}"),
            Self::Secret(name) => write!(f, "the event contains the value of secret {name}"),
            Self::TooLong => f.write_str("the event is too long for a journal line"),
            Self::Closed => f.write_str("the journal is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

/// What became of a job.
pub(super) type AppendOutcome = Result<Vec<Receipt>, AppendError>;

/// Events to be recorded together and in order.
pub(super) struct Job {
    pub(super) events: Vec<Sealed>,
    pub(super) reply: SyncSender<AppendOutcome>,
    /// The last job: nothing after it is taken.
    pub(super) last: bool,
}

impl Job {
    /// Tells whoever asked what became of it.
    pub(super) fn answer(reply: &SyncSender<AppendOutcome>, outcome: AppendOutcome) {
        // Whoever asked may be gone; the event stays recorded.
        let _ = reply.send(outcome);
    }

    /// Whether the key is another one behind this job.
    pub(super) fn rotates(&self) -> bool {
        self.events
            .iter()
            .any(|event| event.kind() == Kind::KeyRotated)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({})", count(self.events.len(), "event"))
    }
}

/// A way to the journal thread; as many as there are threads that record.
#[derive(Clone)]
pub struct Handle {
    jobs: SyncSender<Job>,
    screen: Arc<Screen>,
    /// Why nothing more is taken, whatever the disk says.
    poison: Arc<OnceLock<Poison>>,
    /// A session's end has been taken.
    ended: Arc<AtomicBool>,
}

/// Why nothing more is taken.
#[derive(Debug)]
struct Poison {
    why: String,
    /// Nor a session's end.
    all: bool,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    pub(super) fn new(jobs: SyncSender<Job>, screen: Arc<Screen>) -> Self {
        Self {
            jobs,
            screen,
            poison: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Refuses everything from here on: agp itself has failed, and what it would record may be
    /// wrong. What was sent before is still written whole.
    pub fn poison(&self, why: &str) {
        self.refuse(why, true);
    }

    /// The same, but for the end of the session, once.
    pub fn poison_but_for_the_end(&self, why: &str) {
        self.refuse(why, false);
    }

    fn refuse(&self, why: &str, all: bool) {
        let why = why.to_owned();
        // The first reason stays.
        let _ = self.poison.set(Poison { why, all });
    }

    /// Records events, together and in order, and returns once they are on disk.
    ///
    /// # Errors
    /// [`AppendError`]; then none of them is recorded, except that after
    /// [`AppendError::Poisoned`] nobody can know.
    pub fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, AppendError> {
        let is_end = matches!(drafts.as_slice(), [draft] if draft.kind == Kind::SessionEnded);
        let again = is_end && self.ended.swap(true, Ordering::SeqCst);
        if let Some(poison) = self.poison.get()
            && (poison.all || again || !is_end)
        {
            return Err(AppendError::Poisoned(poison.why.clone()));
        }
        // Here and not in the journal thread: those who record together do this side by side.
        let events = admit(drafts, &self.screen)?;
        let answer = self.send(events, false)?;
        answer.recv().map_err(|_| AppendError::Closed)?
    }

    /// Records one event.
    ///
    /// # Errors
    /// As [`Handle::append`].
    pub fn append_one(&self, draft: Draft) -> Result<Receipt, AppendError> {
        self.append(vec![draft])?.pop().ok_or(AppendError::Closed)
    }

    /// Has the journal thread finish what was sent so far, and stop.
    pub(super) fn close(&self) {
        // A thread that is gone already needs no telling.
        let _ = self.send(Vec::new(), true);
    }

    fn send(
        &self,
        events: Vec<Sealed>,
        last: bool,
    ) -> Result<Receiver<AppendOutcome>, AppendError> {
        let (reply, answer) = sync_channel(1);
        let job = Job {
            events,
            reply,
            last,
        };
        self.jobs.send(job).map_err(|_| AppendError::Closed)?;
        Ok(answer)
    }
}

/// Refuses what must not be written, and takes token-shaped strings out of the rest.
pub(super) fn admit(drafts: Vec<Draft>, screen: &Screen) -> Result<Vec<Sealed>, AppendError> {
    let admit = |mut draft: Draft| {
        if let Some(name) = screen.secret_in(&draft.payload) {
            return Err(AppendError::Secret(name.to_owned()));
        }
        // Before anything in it is replaced.
        draft.call = receipt::decided(draft.kind, draft.call, &draft.payload);
        redact::redact_tokens(&mut draft.payload);
        Sealed::new(draft).ok_or(AppendError::TooLong)
    };
    drafts.into_iter().map(admit).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::redact::Secret;

    /// What is written of these payloads, or why nothing is.
    fn admitted(payloads: &[serde_json::Value]) -> Result<String, AppendError> {
        let screen = Screen::new(&[Secret::new("DB", "p4ssw0rd-of-it")]);
        let draft = |payload: &serde_json::Value| {
            Draft::new(Kind::ToolCallRequire, payload.as_object().unwrap().clone())
        };
        let events = admit(payloads.iter().map(draft).collect(), &screen)?;
        let written = events.into_iter().map(|event| event.chain(1, None, "", ""));
        Ok(written
            .map(|event| String::from_utf8(event.signed).unwrap())
            .collect())
    }

    #[test]
    fn with_a_known_secret_in_one_event_none_is_written() {
        let held = json!({"args": {"list": ["x p4ssw0rd-of-it y"]}});
        let refused = AppendError::Secret("DB".into());
        assert_eq!(admitted(&[json!({}), held]), Err(refused));
        assert!(admitted(&[json!({}), json!({})]).is_ok());
    }

    #[test]
    fn behind_a_panic_the_end_of_the_session_is_taken_once_and_nothing_else() {
        let (jobs, taken) = sync_channel(4);
        let handle = Handle::new(jobs, Arc::new(Screen::new(&[])));
        // Nobody answers: what is taken is seen at the other end.
        drop(taken);
        let append = |kind| handle.append_one(Draft::new(kind, serde_json::Map::new()));
        let refused = Err(AppendError::Poisoned("a panic".into()));
        handle.poison_but_for_the_end("a panic");
        assert_eq!(append(Kind::ToolCallAllow), refused);
        assert_eq!(append(Kind::SessionEnded), Err(AppendError::Closed));
        assert_eq!(append(Kind::SessionEnded), refused);
        handle.poison("another");
        assert_eq!(append(Kind::SessionEnded), refused);
    }

    #[test]
    fn a_token_is_not_written() {
        let token = format!("ghp_{}", "0123456789abcdefghij".repeat(2));
        let written = admitted(&[json!({"args": {token.as_str(): [token]}})]).unwrap();
        assert!(!written.contains(&token), "{written}");
        assert_eq!(
            written.matches("[redacted:github-token]").count(),
            2,
            "{written}"
        );
    }
}
