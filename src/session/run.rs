//! One governed session, and the table of its threads.
//!
//! | thread | started by | how it stops |
//! | --- | --- | --- |
//! | main, prepare (main before the first call) | [`session`] | the others have |
//! | session (of `agp quickstart`, in main's place) | `cli::quickstart` | as main |
//! | confine-try (before all others) | `confine::threads` | it has tried |
//! | journal, journal-sign | `journal::Journal::open` | every handle is dropped |
//! | spawn | `confine::Spawner::start` | every handle is dropped |
//! | signals | [`super::prepare`] | its handle is closed |
//! | harness, harness-stderr | [`drive`] | the harness ends, or its leash is cut |
//! | harness-output, rollout (Codex) | `intendants::codex` | its output ends; the harness has ended |
//! | gateway | `gateway::server::Server::start` | it is dropped |
//! | call (64 at most, of which 8 may wait) | `gateway::server` | enough others wait; the gateway is dropped |
//! | look (with the process sandbox) | `sandbox::repo_triggers` | it is dropped |
//! | paths | `disk::PathsThread::start` | every way to it is dropped |
//! | console (where there is a terminal, and no Slack) | `channels::console::Console::start` | it is hung up; the terminal is closed |
//! | preview | `session::preview` | the governor is dropped |
//! | attend | `channels::attend::Attend::start` | its socket is dropped |
//! | slack-socket, slack-relay, slack-post | `channels::slack::Slack::start` | the channel is dropped |
//! | slack-dial (while a connection is opened) | `channels::slack` | it is open, or is not |
//! | slack-outbox | `channels::slack` | the channel is dropped |
//! | docker (with `--sandbox docker`) | `sandbox::docker` | its container is gone |
//! | egress (one a proxy, two at most) | `egress::Proxy::start` | it is dropped |
//! | egress-conn, egress-resolve (one a connection, 512 at most) | `egress` | it ends; the proxy is dropped |
//! | probe-model, egress-trial (while the start is tried) | `session::probe`, `sandbox::egress_self_test` | it is dropped |

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::channels::terminal::Terminal;
use crate::confine::{self, Profile};
use crate::contracts::intendant::{
    HarnessError, HarnessExit, HarnessFault, Intendant, Observation,
};
use crate::gateway::server::Server;
use crate::governor::Governor;
use crate::intendants::process::Stop;
use crate::intendants::scripted::ScriptedCall;

use super::build::{new_answer_key, new_session, read_script};
use super::calls_view::CallsView;
use super::context::SessionContext;
use super::docker::container;
use super::finish::{SessionEvent, finish, wait};
use super::home::Home;
use super::journal::{open_journal, screen, secrets};
use super::kinds::Stream;
use super::lease;
use super::options::SessionOptions;
use super::panic_hook::Panics;
use super::policy_layers::Layers;
use super::prepare::Prepared;
use super::start_error::StartError;
use super::{thread_confinement, transcript};
use crate::report::failure::{Failure, Outcome};

/// Runs a session whose questions go to `terminal`.
pub(crate) fn session(home: &Home, options: &SessionOptions, terminal: &Arc<Terminal>) -> Outcome {
    session_under(home, options, terminal, &options.policy.text(home)?)
}

/// The same under a policy that is not the home's.
pub(crate) fn session_under(
    home: &Home,
    options: &SessionOptions,
    terminal: &Arc<Terminal>,
    policy: &[u8],
) -> Outcome {
    let source = options.policy.shown(home);
    let layers = Layers::over(policy, &source, home, &options.repository)?;
    layers.know(&options.groups)?;
    let script = read_script(options)?;
    // Before the first thread is started.
    let (standing, spawner) = thread_confinement::arm()?;
    let secrets = secrets(home)?;
    let screen = Arc::new(screen(options, &secrets));
    let journal = open_journal(home, &screen)?;
    let panics = Panics::default();
    let ended = Panics::caught(|| {
        let handle = journal.handle();
        lease::reap(home, &handle)?;
        let (events, happened) = channel();
        let session = new_session()?;
        let context = SessionContext {
            home,
            options,
            layers: &layers,
            directory: lease::directory(&session),
            session,
            answers: new_answer_key()?,
            journal: handle,
            secrets,
            screen,
            terminal: Arc::clone(terminal),
            calls: Arc::new(CallsView::new(
                Arc::clone(terminal),
                options.stream == Stream::Raw,
                options.asks_elsewhere(terminal),
                options.repository.clone(),
            )),
            standing,
            spawner,
            panics: panics.clone(),
            stop: Stop::default(),
            events,
        };
        governed(&context, script, &happened)
    });
    let panicked = panics.failure(home);
    let fault = journal.fault();
    journal.close();
    if let Some(failure) = panicked {
        return Err(failure);
    }
    match (ended, fault) {
        (Ok(code), None) => Ok(code),
        (Err(failure), None) => Err(failure),
        (_, Some(why)) => Err(Failure::broken(
            format!("cannot write the journal: {why}"),
            "fix the disk, then run `agp verify`",
        )),
    }
}

fn governed(
    context: &SessionContext<'_>,
    script: Vec<ScriptedCall>,
    happened: &Receiver<SessionEvent>,
) -> Outcome {
    let options = context.options;
    let mut prepared = context
        .prepare(script)
        .map_err(|failure| context.refused(failure))?;
    prepared.lease.begins();
    context.record(&prepared).map_err(StartError::Unrecorded)?;
    context.panics.begun(&context.session, &prepared.governor);
    context.layers.keep(context.home, &options.repository);
    let Prepared {
        mut lease,
        sandboxes,
        signals,
        governor,
        paths,
        intendant,
        attending,
    } = prepared;

    let proxies = options.way_out.open(context, &governor)?;
    let gateway = gateway(context, &governor)?;
    let harness = drive(context, intendant, Arc::clone(&governor)).map_err(StartError::Thread)?;
    // What it had to read and to start is read and started.
    confine::enter(
        Profile::Main,
        &thread_confinement::main_places(context.home, &context.directory),
    )
    .map_err(StartError::Unconfined)?;
    let mut end = wait(happened, &context.stop, &governor, &context.calls);
    // No call is decided behind the session's record: whoever is still being asked is told no.
    let _ = harness.join();
    governor.hang_up();
    drop(gateway);
    drop(proxies);
    drop(paths);
    signals.close();
    end.hear(happened);
    if options.layout.harness().is_some() {
        end.account(&governor);
    }
    let ended = finish(&governor, &end, context, &mut lease);
    // A container and a socket go before the lease by which the next start would find them, and so do the last
    // words: what is still to be said is this session's as long as it lives.
    drop(sandboxes);
    drop(attending);
    governor.farewell();
    drop(lease);
    ended
}

/// Where a harness asks, if there is one.
fn gateway(
    context: &SessionContext<'_>,
    governor: &Arc<Governor>,
) -> Result<Option<Server>, StartError> {
    if context.options.layout.harness().is_none() {
        return Ok(None);
    }
    let socket = context.gate();
    let peers = match context.options.layout.in_container() {
        true => container::user().0,
        false => rustix::process::geteuid().as_raw(),
    };
    let answers = Arc::clone(&context.answers);
    let server = Server::start_for(&socket, peers, governor.clone(), Some(answers));
    server
        .map(Some)
        .map_err(|error| StartError::Gateway(socket, error))
}

fn drive(
    context: &SessionContext<'_>,
    mut intendant: Box<dyn Intendant>,
    governor: Arc<Governor>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let places = thread_confinement::harness_places(&context.directory);
    let (events, raw) = (context.events.clone(), context.raw());
    let terminal = Arc::clone(&context.terminal);
    confine::start(Profile::Harness, places, move || {
        let mut ended = Ended {
            events,
            outcome: None,
        };
        let outcome = intendant.run(&mut |observation| {
            governor.witness(&observation);
            match (&observation, raw) {
                (Observation::Raw(line), true) => terminal.pass(line),
                (_, true) => {}
                (_, false) => {
                    for line in transcript::observed(&observation) {
                        terminal.show(&line);
                    }
                }
            }
        });
        ended.outcome = Some(outcome);
    })
}

/// Tells the main thread that the harness has ended, also when its thread panicked: the main
/// thread waits for exactly this.
struct Ended {
    events: Sender<SessionEvent>,
    outcome: Option<Result<HarnessExit, HarnessError>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let outcome = self
            .outcome
            .take()
            .unwrap_or_else(|| Err(HarnessFault::Agp.of("agp's own harness thread panicked")));
        let _ = self.events.send(SessionEvent::Harness(outcome));
    }
}
