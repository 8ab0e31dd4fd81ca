//! A panic in any thread of a session ends it: nobody knows what the thread has left undone.

use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::channels::escape;
use crate::confine::Profile;
use crate::governor::Broken;
use crate::intendants::process::Stop;
use crate::journal::Handle;

use super::finish::SessionEvent;
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

/// What the first panic outside of a call worker said.
#[derive(Clone, Default)]
pub(crate) struct Panics(Arc<OnceLock<String>>);

impl Panics {
    /// From here on a panic ends the harness and the session. Outside of a call worker, whose call
    /// nobody has answered and which is so denied, nothing is recorded any more either: what was
    /// handed to the journal before is written whole, and nothing follows it.
    pub(crate) fn watch(&self, journal: &Handle, events: &Sender<SessionEvent>, stop: &Stop) {
        let (said, journal) = (Arc::clone(&self.0), journal.clone());
        let (events, stop) = (events.clone(), stop.clone());
        panic::set_hook(Box::new(move |panic| {
            let what = told(panic);
            if thread::current().name() != Some(Profile::Call.terms().thread) {
                journal.poison(&what);
                let _ = said.set(what.clone());
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

    /// How a session ends in which a thread panicked.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let said = self.0.get()?;
        let mend = "please report this, with the output above; check the journal with `agp verify`";
        Some(Failure::broken(said, mend))
    }
}
