//! What is the same for all parts of one session.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::channels::terminal::{NO_TERMINAL, Terminal};
use crate::confine::Spawner;
use crate::confine::threads::Standing;
use crate::contracts::ids::SessionId;
use crate::governor::Broken;
use crate::intendants::confined_query::Search;
use crate::intendants::process::Stop;
use crate::journal::Handle;
use crate::journal::key::SigningKey;
use crate::journal::redact::Screen;
use crate::sandbox::process::Output;
use crate::sandbox::secrets::Secrets;

use super::calls_view::CallsView;
use super::finish::SessionEvent;
use super::home::Home;
use super::kinds::Stream;
use super::layout::Layout;
use super::options::SessionOptions;
use super::output_view;
use super::panic_hook::Panics;
use super::policy_layers::Layers;

/// One session: what it was asked to be, and what its parts share. A part takes this by reference, and beside
/// it only what is its own.
pub(crate) struct SessionContext<'a> {
    pub(crate) home: &'a Home,
    pub(crate) options: &'a SessionOptions,
    pub(crate) layers: &'a Layers,
    pub(crate) session: SessionId,
    /// Its private directory, which its lease makes and removes.
    pub(crate) directory: PathBuf,
    /// The session's own key, with which its answers to the harness's hooks and servers are signed.
    pub(crate) answers: Arc<SigningKey>,
    pub(crate) journal: Handle,
    /// What calls may ask for by name.
    pub(crate) secrets: Secrets,
    pub(crate) screen: Arc<Screen>,
    pub(crate) terminal: Arc<Terminal>,
    /// What the operator is told of calls.
    pub(crate) calls: Arc<CallsView>,
    /// What this kernel enforces of the confinement of agp's own threads.
    pub(crate) standing: Standing,
    pub(crate) spawner: Spawner,
    pub(crate) panics: Panics,
    pub(crate) stop: Stop,
    pub(crate) events: Sender<SessionEvent>,
}

impl SessionContext<'_> {
    /// The key that answers are checked with.
    pub(crate) fn answer_key(&self) -> String {
        self.answers.public().to_spki_base64()
    }

    /// Where the gateway listens.
    pub(crate) fn gate(&self) -> PathBuf {
        self.options.layout.gate(&self.directory)
    }

    /// How its harness is found.
    pub(crate) fn search(&self) -> Search {
        self.options.search(&self.spawner)
    }

    /// Whether the harness's output is shown as it is.
    pub(crate) fn raw(&self) -> bool {
        self.options.stream == Stream::Raw
    }

    /// How many questions there were, where no approver was available for any of them. A session that records calls instead
    /// of running them is a rehearsal, and `agp quickstart` means to ask nobody.
    pub(crate) fn nobody_asked(&self) -> Option<u64> {
        let wanted = match self.terminal.unattended_because() {
            None => true,
            Some(why) => why == NO_TERMINAL,
        };
        // agp's own script is a demonstration.
        let demonstrates = self.options.layout.harness().is_none() && self.options.script.is_none();
        let runs = self.options.layout != Layout::ScriptRecorded && !demonstrates;
        self.calls.nobody_asked().filter(|_| wanted && runs)
    }

    /// Shows what calls write.
    pub(crate) fn output(&self) -> Arc<Output> {
        output_view::shown(&self.terminal, self.raw())
    }

    /// Whether the session is to end, for whoever waits for something else.
    pub(crate) fn stopped(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let stop = self.stop.clone();
        Arc::new(move || stop.asked())
    }

    /// Ends the session, whichever thread finds that it must end.
    pub(crate) fn broken(&self) -> Box<dyn Fn(Broken) + Send + Sync> {
        let (events, stop) = (self.events.clone(), self.stop.clone());
        Box::new(move |broken| {
            // The harness first: the main thread may be busy.
            stop.now();
            let _ = events.send(SessionEvent::Broken(broken));
        })
    }

    /// The same, when a container is gone in the middle of the session.
    pub(crate) fn container_lost(&self) -> Arc<dyn Fn(String) + Send + Sync> {
        let broken = self.broken();
        Arc::new(move |why| broken(Broken(format!("the sandbox ended: {why}"))))
    }
}
