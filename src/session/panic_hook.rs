//! A panic in any thread of a session ends it: nobody knows what the thread has left undone.

use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread;

use serde_json::json;

use crate::channels::escape;
use crate::confine::Profile;
use crate::contracts::event::Kind;
use crate::contracts::ids::SessionId;
use crate::governor::{Broken, Governor};
use crate::intendants::process::Stop;
use crate::journal::Handle;

use super::finish::SessionEvent;
use super::home::Home;
use super::lease;
use crate::report::failure::{Failure, Outcome, complain};

/// Characters of what a panic says: foreign text may stand in it.
const SAID_CHARS: usize = 300;

/// From here on a panic is told in one line, whatever `RUST_BACKTRACE` says: a confined thread may make
/// none of the calls that a backtrace needs, and would die of it untold.
pub(crate) fn plainly() {
    panic::set_hook(Box::new(|panic| {
        complain(format_args!("agp: {}", told(panic)));
    }));
}

/// Which thread panicked, where, and what it said.
fn told(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("(unnamed)");
    let place = panic.location().map(ToString::to_string);
    let text = panic.payload_as_str().unwrap_or_default();
    format!(
        "the thread {name} panicked at {}: {}",
        place.unwrap_or_default(),
        escape::line_max(text, SAID_CHARS)
    )
}

/// Threads whose panic leaves nobody to record anything.
const RECORDS: [Profile; 2] = [Profile::Journal, Profile::JournalSign];

/// What the first panic outside of a call worker said, and the session that it ends.
#[derive(Clone, Default)]
pub(crate) struct Panics {
    message: Arc<OnceLock<String>>,
    session: Arc<OnceLock<(SessionId, Arc<Governor>)>>,
}

impl Panics {
    /// From here on a panic ends the harness and the session. Outside of a call worker, whose call
    /// nobody has answered and which is so denied, nothing is recorded any more either but the session's
    /// end: what was handed to the journal before is written whole.
    pub(crate) fn watch(&self, journal: &Handle, events: &Sender<SessionEvent>, stop: &Stop) {
        let (message, journal) = (Arc::clone(&self.message), journal.clone());
        let (events, stop) = (events.clone(), stop.clone());
        panic::set_hook(Box::new(move |panic| {
            let what = told(panic);
            let thread = thread::current();
            let is = |profile: Profile| thread.name() == Some(profile.terms().thread);
            if !is(Profile::Call) {
                match RECORDS.into_iter().any(is) {
                    true => journal.poison(&what),
                    false => journal.poison_but_for_the_end(&what),
                }
                let _ = message.set(what.clone());
            }
            // The harness first: the main thread may be busy.
            stop.now();
            complain(format_args!("agp: {what}"));
            let _ = events.send(SessionEvent::Broken(Broken(what)));
        }));
    }

    /// Runs a session; a panic of its own thread ends it, too.
    pub(crate) fn caught(session: impl FnOnce() -> Outcome) -> Outcome {
        panic::catch_unwind(panic::AssertUnwindSafe(session)).unwrap_or_else(|_| {
            Err(Failure::broken(
                "agp panicked",
                "please report this, with the output above",
            ))
        })
    }

    /// The session is on record: it needs an end there.
    pub(crate) fn begun(&self, session: &SessionId, governor: &Arc<Governor>) {
        let _ = self.session.set((session.clone(), Arc::clone(governor)));
    }

    /// How a session ends in which a thread panicked. Where that was its own, its end is recorded here.
    pub(crate) fn failure(&self, home: &Home) -> Option<Failure> {
        let message = self.message.get()?;
        if let Some((session, governor)) = self.session.get() {
            let mut payload = governor.census_payload();
            payload.insert("end".into(), json!("broken"));
            payload.insert("reason".into(), json!(message));
            // Where the end is on record, or cannot be, this is refused.
            if governor.record_session(Kind::SessionEnded, payload).is_ok() {
                lease::settle(home, session);
            }
        }
        let mend = "please report this, with the output above; check the journal with `agp verify`";
        Some(Failure::broken(message, mend))
    }
}
