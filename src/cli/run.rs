//! `agp run`: one governed session, and the table of its threads.
//!
//! | thread | entry | how it stops |
//! | --- | --- | --- |
//! | main | [`run`] | the others have |
//! | journal, journal-sign | `journal::Journal::open` | every handle is dropped |
//! | signals | [`watch_signals`] | its handle is closed |
//! | harness, harness-stderr | [`drive`] | the harness ends, or its leash is cut |
//! | gateway | `gateway::server::Server::start` | it is dropped |
//! | slack-socket, slack-post | `channels::slack::Slack::start` | the channel is dropped |
//! | slack-dial (while a connection is opened) | `channels::slack` | it is open, or is not |
//! | docker (with `--sandbox docker`) | `sandbox::docker` | its container is gone |
//! | call (one a call, 64 at most) | `gateway::server` | its call is answered |
//! | egress (one a proxy, two at most) | `sandbox::egress::Proxy::start` | it is dropped |
//! | egress-conn, egress-resolve (one a connection, 512 at most) | `sandbox::egress` | it ends; the proxy is dropped |

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::{Map, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::bridge::processes;
use crate::channels::terminal::Terminal;
use crate::confine::threads::Standing;
use crate::confine::{self, Places, Profile, Spawner};
use crate::contracts::event::{Draft, Kind};
use crate::contracts::intendant::{HarnessError, HarnessExit, Intendant, Observation};
use crate::contracts::sandbox::Sandbox;
use crate::gateway::server::Server;
use crate::governor::{Broken, Governor, Terms};
use crate::intendants::environment::variable;
use crate::intendants::harness_process::Stop;
use crate::intendants::scripted::ScriptedCall;
use crate::journal::redact::Screen;
use crate::journal::{Handle, Permit};
use crate::policy::Policy;
use crate::sandbox::docker::provider::HARNESS_BOX;
use crate::sandbox::harness::Enclosure;
use crate::sandbox::secrets::Secrets;

use super::asked::{Asked, Mode, Run, Stream};
use super::ending::{Event, finish, wait};
use super::home::Home;
use super::init::load_policy;
use super::lease::{self, Lease};
use super::panics::Panics;
use super::probe_inside::Ahead;
use super::report::{Failure, Outcome, complain, exit};
use super::wiring::{
    IntendantSetup, announce, channel_of, gate_unchanged, new_session, notices, open_journal,
    own_file, read_script, screen, secrets, task_secret,
};
use super::{
    confined, container, enclosed, harness_container, probe, sandboxed, slack, started, view,
};

pub(super) fn run(home: &Home, run: Run) -> Outcome {
    let asked = Asked::resolve(home, run)?;
    session(home, &asked, &Arc::new(Terminal::find()))
}

/// Runs a session whose questions go to `terminal`.
pub(super) fn session(home: &Home, asked: &Asked, terminal: &Arc<Terminal>) -> Outcome {
    session_under(home, asked, terminal, &load_policy(home)?)
}

/// The same under a policy that is not the home's.
pub(super) fn session_under(
    home: &Home,
    asked: &Asked,
    terminal: &Arc<Terminal>,
    policy: &Policy,
) -> Outcome {
    let script = read_script(asked)?;
    // Before the first thread is started.
    let (standing, spawner) = confined::arm()?;
    let secrets = secrets(home)?;
    let screen = Arc::new(screen(asked, &secrets));
    let journal = open_journal(home, &screen)?;
    let (handle, panics) = (journal.handle(), Panics::default());
    let means = Means {
        journal: &handle,
        secrets,
        screen,
        terminal,
        standing,
        spawner,
        panics: panics.clone(),
    };
    let ended = Panics::caught(|| governed(home, asked, script, policy, means));
    drop(handle);
    let fault = journal.fault();
    journal.close();
    if let Some(failure) = panics.failure() {
        return Err(failure);
    }
    match (ended, fault) {
        (Ok(code), None) => Ok(code),
        (Err(failure), None) => Err(failure),
        (_, Some(why)) => Err(Failure::broken(
            format!("the journal can no longer be written: {why}"),
            "mend the disk, then: agp verify",
        )),
    }
}

/// What a session has from its process.
struct Means<'a> {
    journal: &'a Handle,
    /// What it is not to show.
    secrets: Secrets,
    screen: Arc<Screen>,
    terminal: &'a Arc<Terminal>,
    standing: Standing,
    spawner: Spawner,
    panics: Panics,
}

fn governed(
    home: &Home,
    asked: &Asked,
    script: Vec<ScriptedCall>,
    policy: &Policy,
    means: Means<'_>,
) -> Outcome {
    let Means {
        journal,
        secrets,
        screen,
        terminal,
        standing,
        spawner,
        panics,
    } = means;
    let unrecorded = |error: String| Failure::broken(error, "agp doctor --check journal");
    lease::reap(home, journal).map_err(unrecorded)?;
    let session = new_session().map_err(unrecorded)?;
    let refuse = |failure: Failure| {
        let payload = Map::from_iter([
            ("sessionId".to_owned(), json!(session.as_str())),
            ("reason".to_owned(), json!(failure.problem)),
        ]);
        match journal.append_one(Draft::new(Kind::SessionRefused, payload)) {
            Ok(_) => failure,
            Err(error) => unrecorded(error.to_string()),
        }
    };
    confined::hold(standing, asked).map_err(refuse)?;
    if let Some(name) = task_secret(asked, &screen) {
        let problem = format!("the task quotes the value of {name}, which must not be journaled");
        return Err(refuse(Failure::refused(
            problem,
            "ask for the work without the secret",
        )));
    }
    let lease = Lease::take(home, &session).map_err(|error| {
        refuse(Failure::refused(
            error,
            "make room in the runtime directory",
        ))
    })?;
    processes::adopt_orphans()
        .map_err(|error| refuse(Failure::refused(error, "run agp on Linux 3.4 or later")))?;

    if asked.container.is_some() {
        container::reap(home, journal).map_err(refuse)?;
    }
    if asked.probe {
        let asked = probe::Asked {
            harness: asked.harness,
            mode: asked.mode,
            home,
            spawner: spawner.clone(),
            confine: asked.confine,
            allowed: [&asked.allow_read, &asked.allow_write],
            witness: asked.witness,
            environment: &asked.harness_env,
            container: asked
                .container
                .as_ref()
                .filter(|_| asked.of().in_container())
                .map(|container| Ahead {
                    container,
                    session: &session,
                }),
        };
        let held = probe::probe(&asked).map_err(refuse)?;
        complain(format_args!("the gate was tried first: {held}"));
    }
    let (events, happened) = channel();
    let stop = Stop::default();
    panics.watch(journal, &events, &stop);
    let signals = watch_signals(events.clone())
        .map_err(|error| refuse(Failure::refused(error, "try again")))?;
    let raw = asked.stream == Stream::Raw;
    let lost = broken_to(&events, &stop);
    let lost: Arc<dyn Fn(String) + Send + Sync> =
        Arc::new(move |why| lost(Broken(format!("the sandbox is gone: {why}"))));
    let ready = sandboxed::ready(sandboxed::Within {
        home,
        asked,
        secrets: &secrets,
        session: &session,
        directory: lease.directory(),
        stop: &stop,
        terminal,
        spawner: &spawner,
        lost: Arc::clone(&lost),
    })
    .map_err(refuse)?;
    let alone = match asked.container.as_ref().filter(|_| asked.alone) {
        Some(container) => {
            let alone = harness_container::Alone {
                container,
                home,
                spawner: &spawner,
                session: &session,
                suffix: "harness",
                directory: lease.directory(),
                repository: &asked.repository,
                network: asked
                    .way_out
                    .harness_network(&lease.directory().join(HARNESS_BOX)),
                lost,
            };
            Some(harness_container::codex_alone(alone).map_err(refuse)?)
        }
        None => None,
    };
    let enclosed = enclosed::ready(&enclosed::Wanted {
        harness: asked.harness,
        confine: asked.confine,
        home,
        spawner: &spawner,
        directory: lease.directory(),
        repository: &asked.repository,
        writes: asked.container.is_none(),
        user: variable("HOME").map(PathBuf::from),
        configuration: variable("CLAUDE_CONFIG_DIR").map(PathBuf::from),
        network: asked.way_out.harness_network(lease.directory()),
        allow_read: &asked.allow_read,
        allow_write: &asked.allow_write,
    })
    .map_err(refuse)?;
    let mediated = asked.harness.is_program() && asked.mode == Mode::Mediated;
    let governor = Arc::new(Governor::new(Terms {
        session: session.clone(),
        journal: journal.clone(),
        screen,
        channel: match &asked.slack {
            None => channel_of(asked, terminal),
            Some(settings) => slack::channel(
                settings,
                slack::Within {
                    home,
                    asked,
                    session: &session,
                    journal,
                    terminal,
                    broken: broken_to(&events, &stop),
                },
            )
            .map_err(refuse)?,
        },
        approval_deadline: asked.approval_deadline,
        own_file: own_file(home, asked),
        gate_unchanged: gate_unchanged(asked)
            .map_err(|error| refuse(Failure::refused(error, "agp doctor --check harness")))?,
        watched: asked.witness,
        sandbox: mediated.then(|| Arc::clone(&ready.sandbox)),
        notices: notices(asked, terminal),
        broken: broken_to(&events, &stop),
        policy: policy.clone(),
    }));
    let setup = IntendantSetup {
        asked,
        sandbox: &ready.sandbox,
        container: ready.container.as_ref(),
        alone: alone.as_ref(),
        enclosed: enclosed.as_ref(),
        spawner: &spawner,
        session: &session,
        lease: &lease,
        stop: &stop,
        terminal,
    };
    let intendant = setup.intendant(script, &governor).map_err(|error| {
        refuse(Failure {
            code: exit::REFUSED,
            problem: error.problem,
            mend: error.mend,
        })
    })?;
    announce(asked, &session, enclosed.is_some());
    asked.way_out.announce(asked.of());
    let mut payload = started::payload(
        &session,
        asked,
        policy,
        intendant.identity(),
        intendant.describe(),
        ready.sandbox.describe(),
        match &alone {
            Some(alone) => Sandbox::<Permit>::describe(alone.as_ref()),
            None => enclosed::described(enclosed.as_ref()),
        },
    );
    // Their names: a value is in no event.
    payload.insert("secrets".into(), json!(secrets.names()));
    payload.insert("confinement".into(), confined::described(standing, asked));
    governor
        .record_session(Kind::SessionStarted, payload)
        .map_err(|broken| unrecorded(broken.0))?;
    let inside = enclosed.as_ref().map(Enclosure::attestation);
    let inside = inside.or_else(|| alone.as_ref().map(|alone| alone.attestation()));
    let attested = match (ready.attested, inside) {
        (Some(mut attested), Some(harness)) => {
            attested.insert("harness".into(), json!(harness));
            Some(attested)
        }
        (attested, inside) => attested.or(inside),
    };
    if let Some(mut attested) = attested {
        attested.insert("sessionId".into(), json!(session.as_str()));
        governor
            .record_session(Kind::SandboxAttested, attested)
            .map_err(|broken| unrecorded(broken.0))?;
    }

    let proxies = asked
        .way_out
        .open(
            lease.directory(),
            &governor,
            terminal,
            (
                asked.of(),
                asked.container.as_ref().map(|_| container::user().0),
            ),
        )
        .map_err(|error| unrecorded(format!("the egress proxy: {error}")))?;
    let socket = asked.gate(lease.directory());
    let peers = if asked.of().in_container() {
        container::user().0
    } else {
        rustix::process::geteuid().as_raw()
    };
    let gateway = asked
        .harness
        .is_program()
        .then(|| Server::start_for(&socket, peers, governor.clone()))
        .transpose()
        .map_err(|error| unrecorded(format!("{}: {error}", socket.display())))?;
    let harness = drive(
        intendant,
        confined::harness_places(lease.directory()),
        events,
        Arc::clone(&governor),
        Arc::clone(terminal),
        raw,
    )
    .map_err(|error| unrecorded(error.to_string()))?;
    // What it had to read and to start is read and started.
    confine::enter(Profile::Main, &confined::main_places(home, &lease))
        .map_err(|error| unrecorded(error.to_string()))?;
    let mut end = wait(&happened, &stop, &governor);
    // No call is decided behind the session's record: whoever is still being asked is told no.
    let _ = harness.join();
    governor.hang_up();
    drop(gateway);
    drop(proxies);
    signals.close();
    if asked.harness.is_program() {
        end.account(&governor);
    }
    finish(&governor, &end, raw)
}

fn drive(
    mut intendant: Box<dyn Intendant>,
    places: Places,
    events: Sender<Event>,
    governor: Arc<Governor>,
    terminal: Arc<Terminal>,
    raw: bool,
) -> std::io::Result<thread::JoinHandle<()>> {
    confine::start(Profile::Harness, places, move || {
        let mut ended = Ended {
            events,
            outcome: None,
        };
        let outcome = intendant.run(&mut |observation| {
            governor.witness(&observation);
            match (&observation, raw) {
                (Observation::Raw(line), true) => terminal.show(line),
                (_, true) => {}
                (_, false) => {
                    if let Some(line) = view::observed(&observation) {
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
    events: Sender<Event>,
    outcome: Option<Result<HarnessExit, HarnessError>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Err(HarnessError {
                problem: "agp's own harness thread panicked".into(),
                mend: "report it, with what was printed above".into(),
            })
        });
        let _ = self.events.send(Event::Harness(outcome));
    }
}

fn watch_signals(events: Sender<Event>) -> std::io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    confine::start(Profile::Signals, Places::none(), move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(handle)
}

fn broken_to(events: &Sender<Event>, stop: &Stop) -> Box<dyn Fn(Broken) + Send + Sync> {
    let (events, stop) = (events.clone(), stop.clone());
    Box::new(move |broken| {
        // The harness first: the main thread may be busy.
        stop.now();
        let _ = events.send(Event::Broken(broken));
    })
}
