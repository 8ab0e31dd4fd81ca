//! A session that begins: its sandbox, its harness's surroundings, its governor and its harness are made
//! ready and looked into. What is found wanting refuses it, on record.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::channels::terminal::Terminal;
use crate::confine::threads::Standing;
use crate::confine::{self, Places, Profile, Spawner};
use crate::contracts::channel::Channel;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::Intendant;
use crate::governor::Sandbox;
use crate::governor::{Broken, Governor, GovernorConfig};
use crate::intendants::environment::variable;
use crate::intendants::process::Stop;
use crate::intendants::scripted::ScriptedCall;
use crate::jail::process_tree;
use crate::journal::Handle;
use crate::journal::key::SigningKey;
use crate::journal::redact::Screen;
use crate::policy::Policy;
use crate::sandbox::docker::container::{Docker, HARNESS_BOX};
use crate::sandbox::harness_host::Enclosure;
use crate::sandbox::secrets::Secrets;

use super::announce::announce;
use super::approval_channel::{channel_of, notices};
use super::build::{IntendantSetup, gate_unchanged};
use super::claude_config_dir::ClaudeHome;
use super::docker::{container, harness};
use super::finish::SessionEvent;
use super::home::Home;
use super::home_guard::own_file;
use super::home_overlap::refuse_overlap;
use super::journal::quoted_secret;
use super::kinds::{Harness, Mode};
use super::lease::Lease;
use super::options::SessionOptions;
use super::panic_hook::Panics;
use super::probe::docker::ContainerTrial;
use super::sandbox::{self, Ready};
use super::{harness_sandbox, probe, slack, started_event, thread_confinement};
use crate::report::failure::{Failure, complain, exit};

/// What a session has from its process.
pub(crate) struct Means {
    pub(crate) journal: Handle,
    /// What it is not to show.
    pub(crate) secrets: Secrets,
    pub(crate) screen: Arc<Screen>,
    pub(crate) terminal: Arc<Terminal>,
    pub(crate) standing: Standing,
    pub(crate) spawner: Spawner,
    pub(crate) panics: Panics,
}

/// A session that has a name, and nothing else yet.
pub(crate) struct Beginning<'a> {
    pub(crate) home: &'a Home,
    pub(crate) options: &'a SessionOptions,
    pub(crate) policy: &'a Policy,
    pub(crate) session: SessionId,
    /// The session's own key, with which its answers to the harness's hooks and servers are signed.
    pub(crate) answers: Arc<SigningKey>,
    pub(crate) means: Means,
    pub(crate) stop: Stop,
    pub(crate) events: Sender<SessionEvent>,
}

/// Where the session's calls run, and its harness.
pub(crate) struct Quarters {
    ready: Ready,
    /// The harness's own container, where it has one.
    alone: Option<Arc<Docker>>,
    /// Its confinement on this host.
    enclosed: Option<Enclosure>,
    /// Claude Code's configuration on this host.
    claude: Option<ClaudeHome>,
}

/// A session that may begin.
pub(crate) struct Prepared {
    pub(crate) lease: Lease,
    pub(crate) quarters: Quarters,
    pub(crate) signals: signal_hook::iterator::Handle,
    pub(crate) governor: Arc<Governor>,
    pub(crate) intendant: Box<dyn Intendant>,
}

impl Beginning<'_> {
    /// Puts on record that the session was refused; gives what is to be said of it.
    pub(crate) fn refused(&self, failure: Failure) -> Failure {
        let payload = Map::from_iter([
            ("sessionId".to_owned(), json!(self.session.as_str())),
            ("reason".to_owned(), json!(failure.problem)),
        ]);
        let refused = Draft::new(Kind::SessionRefused, payload);
        match self.means.journal.append_one(refused) {
            Ok(_) => failure,
            Err(error) => Failure::broken(error.to_string(), "agp doctor --check journal"),
        }
    }

    /// Makes everything ready, and looks into it.
    ///
    /// # Errors
    /// [`Failure`] for what is missing or does not hold: the session is refused.
    pub(crate) fn prepare(&self, script: Vec<ScriptedCall>) -> Result<Prepared, Failure> {
        thread_confinement::hold(self.means.standing, self.options)?;
        if let Some(name) = quoted_secret(self.options, &self.means.screen) {
            return Err(Failure::refused(
                format!(
                    "the task or a --harness-arg quotes the value of {name}, which must not be journaled"
                ),
                "ask for the work without the secret",
            ));
        }
        refuse_overlap(self.home, self.options)?;
        let lease = Lease::take(self.home, &self.session);
        let lease =
            lease.map_err(|error| Failure::refused(error, "make room in the runtime directory"))?;
        process_tree::adopt_orphans()
            .map_err(|error| Failure::refused(error, "run agp on Linux 3.4 or later"))?;
        if self.options.container.is_some() {
            container::reap(self.home, &self.means.journal)?;
        }
        harness::login_given(self.options)?;
        self.try_the_gate()?;
        let Means {
            journal, panics, ..
        } = &self.means;
        panics.watch(journal, &self.events, &self.stop);
        let signals = watch_signals(self.events.clone());
        let signals = signals.map_err(|error| Failure::refused(error, "try again"))?;
        let quarters = self.quarters(&lease)?;
        let governor = self.governor(&quarters)?;
        let setup = IntendantSetup {
            options: self.options,
            sandbox: &quarters.ready.sandbox,
            container: quarters.ready.container.as_ref(),
            alone: quarters.alone.as_ref(),
            enclosed: quarters.enclosed.as_ref(),
            claude: quarters.claude.as_ref(),
            spawner: &self.means.spawner,
            session: &self.session,
            answer_key: self.answers.public().to_spki_base64(),
            lease: &lease,
            stop: &self.stop,
            terminal: &self.means.terminal,
        };
        let intendant = setup
            .intendant(script, &governor)
            .map_err(|error| Failure {
                code: exit::REFUSED,
                problem: error.problem,
                mend: error.mend,
            })?;
        Ok(Prepared {
            lease,
            signals,
            governor,
            intendant,
            quarters,
        })
    }

    /// Sees the gate fire on the harness, before the task is sent.
    fn try_the_gate(&self) -> Result<(), Failure> {
        let options = self.options;
        if !options.probe {
            return Ok(());
        }
        let container = options.container.as_ref();
        let inside = container.filter(|_| options.choices().in_container());
        let held = probe::probe(&probe::TrialOptions {
            harness: options.harness,
            mode: options.mode,
            home: self.home,
            spawner: self.means.spawner.clone(),
            confine: options.confine,
            search: options.search(&self.means.spawner),
            allowed: [&options.allow_read, &options.allow_write],
            witness: options.witness,
            environment: &options.harness_env,
            container: inside.map(|container| ContainerTrial {
                container,
                harness: options.harness,
                session: &self.session,
                home: self.home,
                spawner: &self.means.spawner,
            }),
        })?;
        complain(format_args!("the gate was tried first: {held}"));
        Ok(())
    }

    fn quarters(&self, lease: &Lease) -> Result<Quarters, Failure> {
        let (home, options, session) = (self.home, self.options, &self.session);
        let answer_key = self.answers.public().to_spki_base64();
        let spawner = &self.means.spawner;
        let directory = lease.directory();
        let gone = self.broken_to();
        let lost: Arc<dyn Fn(String) + Send + Sync> =
            Arc::new(move |why| gone(Broken(format!("the sandbox is gone: {why}"))));
        let ready = sandbox::ready(sandbox::SandboxContext {
            home,
            options,
            secrets: &self.means.secrets,
            session,
            answer_key: &answer_key,
            directory,
            stop: &self.stop,
            terminal: &self.means.terminal,
            spawner,
            lost: Arc::clone(&lost),
        })?;
        let own = options.container.as_ref().filter(|_| options.alone);
        let alone = own.map(|container| {
            harness::codex_alone(harness::Alone {
                container,
                home,
                spawner,
                session,
                suffix: "harness",
                directory,
                repository: &options.repository,
                network: options
                    .way_out
                    .harness_network(&directory.join(HARNESS_BOX)),
                login: options.harness_login.as_deref(),
                lost,
            })
        });
        let alone = alone.transpose()?;
        let here = options.harness == Harness::ClaudeCode && !options.harness_inside();
        let claude = here
            .then(|| ClaudeHome::with_login(directory, spawner, &options.changeable()))
            .transpose();
        let claude = claude.map_err(|error| {
            let problem = format!("Claude Code's configuration: {error}");
            Failure::refused(problem, "make room in the runtime directory")
        })?;
        let enclosed = harness_sandbox::ready(&harness_sandbox::Wanted {
            harness: options.harness,
            mode: options.mode,
            confine: options.confine,
            home,
            spawner,
            directory,
            repository: &options.repository,
            writes: options.container.is_none(),
            user: variable("HOME").map(PathBuf::from),
            claude: claude.as_ref(),
            network: options.way_out.harness_network(directory),
            changeable: &options.changeable(),
            allow_read: &options.allow_read,
            allow_write: &options.allow_write,
        })?;
        Ok(Quarters {
            ready,
            alone,
            enclosed,
            claude,
        })
    }

    fn governor(&self, quarters: &Quarters) -> Result<Arc<Governor>, Failure> {
        let options = self.options;
        let Means {
            journal,
            screen,
            terminal,
            ..
        } = &self.means;
        let mediated = options.harness.is_program() && options.mode == Mode::Mediated;
        let unchanged = gate_unchanged(options)
            .map_err(|error| Failure::refused(error, "agp doctor --check harness"))?;
        Ok(Arc::new(Governor::new(GovernorConfig {
            session: self.session.clone(),
            journal: journal.clone(),
            screen: Arc::clone(screen),
            channel: self.channel()?,
            approval_deadline: options.approval_deadline,
            own_file: own_file(self.home, options),
            gate_unchanged: unchanged,
            watched: options.witness,
            sandbox: mediated.then(|| Arc::clone(&quarters.ready.sandbox)),
            notices: notices(options, terminal),
            broken: self.broken_to(),
            policy: self.policy.clone(),
        })))
    }

    /// Where approvals are asked.
    fn channel(&self) -> Result<Box<dyn Channel>, Failure> {
        let Means {
            journal, terminal, ..
        } = &self.means;
        match &self.options.slack {
            None => Ok(channel_of(self.options, terminal)),
            Some(settings) => slack::channel(
                settings,
                slack::SlackContext {
                    home: self.home,
                    options: self.options,
                    session: &self.session,
                    journal,
                    terminal,
                    broken: self.broken_to(),
                },
            ),
        }
    }

    /// Says how the session is governed, and puts it on record, with what was seen of it.
    ///
    /// # Errors
    /// That it could not be recorded.
    pub(crate) fn record(&self, prepared: &Prepared) -> Result<(), String> {
        let Prepared {
            governor,
            intendant,
            quarters,
            ..
        } = prepared;
        let options = self.options;
        announce(options, &self.session, quarters.enclosed.is_some());
        options.way_out.announce(options.choices());
        let mut payload = started_event::payload(
            &self.session,
            options,
            self.policy,
            intendant.identity(),
            intendant.describe(),
            quarters.ready.sandbox.describe(),
            quarters.of_harness(),
        );
        // Their names: a value is in no event.
        payload.insert("secrets".into(), json!(self.means.secrets.names()));
        let confinement = thread_confinement::described(self.means.standing, options);
        payload.insert("confinement".into(), confinement);
        let record = |kind, payload| {
            governor
                .record_session(kind, payload)
                .map_err(|lost| lost.0)
        };
        record(Kind::SessionStarted, payload)?;
        if let Some(mut attested) = quarters.attested() {
            attested.insert("sessionId".into(), json!(self.session.as_str()));
            record(Kind::SandboxAttested, attested)?;
        }
        Ok(())
    }

    /// Ends the session, whichever thread finds that it must end.
    fn broken_to(&self) -> Box<dyn Fn(Broken) + Send + Sync> {
        let (events, stop) = (self.events.clone(), self.stop.clone());
        Box::new(move |broken| {
            // The harness first: the main thread may be busy.
            stop.now();
            let _ = events.send(SessionEvent::Broken(broken));
        })
    }
}

impl Quarters {
    /// What is said of the harness's own surroundings.
    fn of_harness(&self) -> Value {
        match &self.alone {
            Some(alone) => Sandbox::describe(alone.as_ref()),
            None => harness_sandbox::described(self.enclosed.as_ref()),
        }
    }

    /// What was seen of the sandbox, and of the harness's surroundings.
    fn attested(&self) -> Option<Map<String, Value>> {
        let enclosed = self.enclosed.as_ref().map(Enclosure::attestation);
        let harness = enclosed.or_else(|| self.alone.as_ref().map(|alone| alone.attestation()));
        match (self.ready.attested.clone(), harness) {
            (Some(mut attested), Some(harness)) => {
                attested.insert("harness".into(), json!(harness));
                Some(attested)
            }
            (attested, harness) => attested.or(harness),
        }
    }
}

fn watch_signals(events: Sender<SessionEvent>) -> std::io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    confine::start(Profile::Signals, Places::none(), move || {
        for signal in signals.forever() {
            if events.send(SessionEvent::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(handle)
}
