//! A session that begins: its sandbox, its harness's surroundings, its governor and its harness are made
//! ready and looked into. What is found wanting refuses it, on record.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::channels::attend::Attending;
use crate::channels::attend::socket::SessionSocket;
use crate::channels::terminal::NO_TERMINAL;
use crate::confine::{self, Places, Profile};
use crate::contracts::channel::Channel;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::intendant::Intendant;
use crate::contracts::view::Origin;
use crate::disk::PathsThread;
use crate::governor::{Broken, Governor, GovernorConfig, Questions, ReadingTerms, Sandbox};
use crate::intendants::environment::variable;
use crate::intendants::scripted::ScriptedCall;
use crate::jail::process_tree;
use crate::sandbox::docker::container::{Docker, HARNESS_BOX};
use crate::sandbox::harness_host::Enclosure;

use super::announce::announce;
use super::approval_channel::channel_of;
use super::attend;
use super::build::{gate_unchanged, intendant};
use super::claude_config_dir::ClaudeHome;
use super::context::SessionContext;
use super::docker::{container, harness};
use super::finish::SessionEvent;
use super::home::account_of;
use super::home_guard::own_file;
use super::home_overlap::refuse_overlap;
use super::journal::quoted_secret;
use super::kinds::{Harness, Mode};
use super::layout::HarnessPlace;
use super::lease::Lease;
use super::sandbox::{self, CallsSandbox};
use super::surroundings::View;
use super::withheld::withheld;
use super::{harness_sandbox, probe, slack, started_event, thread_confinement};
use crate::report::failure::{Failure, complain};

/// Where the session's calls run, and its harness.
pub(crate) struct SessionSandboxes {
    pub(crate) calls: CallsSandbox,
    /// The harness's own container, where it has one.
    pub(crate) own_container: Option<Arc<Docker>>,
    /// Its confinement on this host.
    pub(crate) enclosure: Option<Enclosure>,
    /// Claude Code's configuration on this host.
    pub(crate) claude_home: Option<ClaudeHome>,
    /// Whether the container of the calls has bash, where they have one.
    pub(crate) bash: Option<bool>,
}

/// A session that may begin.
pub(crate) struct Prepared {
    pub(crate) lease: Lease,
    pub(crate) sandboxes: SessionSandboxes,
    pub(crate) signals: signal_hook::iterator::Handle,
    pub(crate) governor: Arc<Governor>,
    /// Where calls' paths lead.
    pub(crate) paths: PathsThread,
    pub(crate) intendant: Box<dyn Intendant>,
    /// The session's socket for `agp attend`, and who answers there.
    pub(crate) attending: Option<Attending>,
}

/// Where approvals are asked, and what serves those who attend.
struct Channels {
    channels: Vec<Box<dyn Channel>>,
    attending: Option<Attending>,
}

impl SessionContext<'_> {
    /// Puts on record that the session was refused; gives what is to be said of it.
    pub(crate) fn refused(&self, failure: Failure) -> Failure {
        let payload = Map::from_iter([
            ("sessionId".to_owned(), json!(self.session.as_str())),
            ("reason".to_owned(), json!(failure.problem)),
        ]);
        let refused = Draft::new(Kind::SessionRefused, payload);
        match self.journal.append_one(refused) {
            Ok(_) => failure,
            Err(error) => Failure::broken(error.to_string(), "run `agp doctor --check journal`"),
        }
    }

    /// Makes everything ready, and looks into it.
    ///
    /// # Errors
    /// [`Failure`] for what is missing or does not hold: the session is refused.
    pub(crate) fn prepare(&self, script: Vec<ScriptedCall>) -> Result<Prepared, Failure> {
        thread_confinement::hold(self.standing, self.options)?;
        if let Some(name) = quoted_secret(self.options, &self.screen) {
            return Err(Failure::refused(
                format!("the task or a --harness-arg contains the value of secret {name}"),
                "remove the secret from the task",
            ));
        }
        refuse_overlap(self.home, self.options)?;
        let lease = Lease::take(self.home, &self.session, &self.directory)?;
        // Before the sandboxes: their self-tests try it.
        let socket = attend::socket(self)?;
        process_tree::adopt_orphans()
            .map_err(|error| Failure::refused(error, "use Linux 3.4 or later"))?;
        if self.options.container.is_some() {
            container::reap(self.home, &self.journal)?;
        }
        harness::login_given(self.options)?;
        self.try_the_gate()?;
        self.panics.watch(&self.journal, &self.events, &self.stop);
        let signals = watch_signals(self.events.clone());
        let signals = signals.map_err(|error| Failure::refused(error, "try again"))?;
        let sandboxes = self.sandboxes()?;
        let view = View::of(self, &sandboxes);
        let paths = thread_confinement::paths(view.grounds.clone())?;
        let preview = thread_confinement::preview(
            &self.options.repository,
            view.repository().to_owned(),
            Arc::clone(&self.screen),
        )?;
        let Channels {
            channels,
            attending,
        } = self.channels(socket)?;
        let governor = self.governor(&sandboxes, view.terms(&paths, preview), channels)?;
        if let Some(attending) = &attending {
            attend::governs(attending, &governor, &self.terminal);
        }
        let intendant = intendant(self, &sandboxes, script, &governor)?;
        Ok(Prepared {
            lease,
            signals,
            governor,
            paths,
            intendant,
            sandboxes,
            attending,
        })
    }

    /// Sees the gate fire on the harness, before the task is sent.
    fn try_the_gate(&self) -> Result<(), Failure> {
        let options = self.options;
        let Some(harness) = options.layout.harness().filter(|_| options.probe) else {
            return Ok(());
        };
        let container = options.container.as_ref();
        let container = container.filter(|_| options.layout.in_container());
        let held = probe::probe(&probe::TrialOptions {
            harness,
            layout: options.layout,
            home: self.home,
            spawner: self.spawner.clone(),
            search: self.search(),
            allowed: [&options.allow_read, &options.allow_write],
            witness: options.witness,
            environment: &options.harness_env,
            container: container.map(|container| (self, container)),
        })?;
        complain(format_args!("Gate self-test passed: {held}"));
        Ok(())
    }

    fn sandboxes(&self) -> Result<SessionSandboxes, Failure> {
        let (options, directory) = (self.options, &self.directory);
        let layout = options.layout;
        let calls = sandbox::ready(self)?;
        let container = options.container.as_ref();
        let container = container.filter(|_| layout.place() == HarnessPlace::OwnContainer);
        let own_container = container.map(|container| {
            harness::codex_container(harness::OwnContainer {
                context: self,
                container,
                suffix: "harness",
                directory,
                repository: &options.repository,
                network: options
                    .way_out
                    .harness_network(&directory.join(HARNESS_BOX)),
                login: options.harness_login.as_deref(),
                lost: self.container_lost(),
            })
        });
        let own_container = own_container.transpose()?;
        let changeable = options.changeable();
        let claude_home = layout
            .has_claude_home()
            .then(|| ClaudeHome::with_login(directory, &self.spawner, &changeable))
            .transpose();
        let claude_home = claude_home.map_err(|error| {
            let problem = format!(
                "{}: cannot prepare Claude Code's configuration: {error}",
                self.directory.display()
            );
            Failure::refused(problem, "free space in that directory")
        })?;
        let enclosure = harness_sandbox::ready(&harness_sandbox::HarnessNeeds {
            layout,
            home: self.home,
            spawner: &self.spawner,
            directory,
            repository: &options.repository,
            writes: options.container.is_none(),
            user: variable("HOME").map(PathBuf::from),
            claude: claude_home.as_ref(),
            withheld: withheld(
                &self.layers.policy,
                &options.repository,
                &self.kept_policies(),
            ),
            network: options.way_out.harness_network(directory),
            changeable: &changeable,
            allow_read: &options.allow_read,
            allow_write: &options.allow_write,
        })?;
        Ok(SessionSandboxes {
            bash: calls.container.as_ref().map(|docker| docker.has_bash()),
            calls,
            own_container,
            enclosure,
            claude_home,
        })
    }

    fn governor(
        &self,
        sandboxes: &SessionSandboxes,
        reading: ReadingTerms,
        channels: Vec<Box<dyn Channel>>,
    ) -> Result<Arc<Governor>, Failure> {
        let options = self.options;
        let mediated = options.layout.mode() == Some(Mode::Mediated);
        let unchanged = gate_unchanged(options).map_err(|error| {
            let problem = format!("cannot find the hook program: {error}");
            Failure::refused(problem, "run `agp doctor --check harness`")
        })?;
        let calls = Arc::clone(&self.calls);
        Ok(Arc::new(Governor::new(GovernorConfig {
            session: self.session.clone(),
            journal: self.journal.clone(),
            screen: Arc::clone(&self.screen),
            questions: Questions::new(channels, options.approval_deadline, options.approval_queue),
            groups: options.groups.clone(),
            origin: self.origin(),
            own_file: own_file(self.home, options),
            gate_unchanged: unchanged,
            watched: options.witness,
            // In a container, too, no command runs that was not taken from the gate.
            apart: sandboxes.enclosure.is_some() || !options.layout.on_host(),
            sandbox: mediated.then(|| Arc::clone(&sandboxes.calls.sandbox)),
            notices: Box::new(move |notice| calls.notice(notice)),
            broken: self.broken(),
            policy: self.layers.policy.clone(),
            reading,
        })))
    }

    /// What people are shown of the session.
    pub(crate) fn origin(&self) -> Origin {
        let options = self.options;
        Origin {
            session: self.session.to_string(),
            harness: options
                .layout
                .harness()
                .map_or("script", Harness::name)
                .to_owned(),
            task: options.task.clone(),
            repository: options.repository.display().to_string(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            user: account_of(rustix::process::getuid().as_raw()),
        }
    }

    fn channels(&self, socket: Option<SessionSocket>) -> Result<Channels, Failure> {
        let first = match &self.options.slack {
            None => channel_of(self.options, &self.terminal)?,
            Some(settings) => slack::channel(settings, self)?,
        };
        let Some(socket) = socket else {
            return Ok(Channels {
                channels: vec![first],
                attending: None,
            });
        };
        let (attend, attending) = attend::start(self, socket)?;
        Ok(Channels {
            channels: vec![first, Box::new(attend)],
            attending: Some(attending),
        })
    }

    /// Says how the session is governed, and puts it on record, with what was seen of it.
    ///
    /// # Errors
    /// That it could not be recorded.
    pub(crate) fn record(&self, prepared: &Prepared) -> Result<(), Broken> {
        let Prepared {
            governor,
            intendant,
            sandboxes,
            ..
        } = prepared;
        let options = self.options;
        let nobody = self.terminal.unattended_because() == Some(NO_TERMINAL);
        announce(
            options,
            &self.session,
            sandboxes.enclosure.is_some(),
            nobody,
        );
        if let Some(file) = options.policy.file()
            && file
                .canonicalize()
                .is_ok_and(|file| file.starts_with(&options.repository))
        {
            complain(format_args!(
                "WARNING: the policy {} is in the repository, where the agent works",
                file.display()
            ));
        }
        self.layers.announce();
        options.way_out.announce(options.layout);
        let mut payload = started_event::payload(
            &self.session,
            options,
            &self.layers.policy,
            intendant.identity(),
            intendant.describe(),
            sandboxes.calls.sandbox.describe(),
            sandboxes.of_harness(),
        );
        self.layers.describe(&self.screen, &mut payload);
        // Their names: a value is in no event.
        payload.insert("secrets".into(), json!(self.secrets.names()));
        let confinement = thread_confinement::described(self.standing, options, &self.terminal);
        payload.insert("confinement".into(), confinement);
        governor.record_session(Kind::SessionStarted, payload)?;
        if let Some(mut attested) = sandboxes.attested() {
            attested.insert("sessionId".into(), json!(self.session.as_str()));
            governor.record_session(Kind::SandboxAttested, attested)?;
        }
        Ok(())
    }
}

impl SessionSandboxes {
    /// What is said of the harness's own surroundings.
    fn of_harness(&self) -> Value {
        match &self.own_container {
            Some(docker) => Sandbox::describe(docker.as_ref()),
            None => harness_sandbox::described(self.enclosure.as_ref()),
        }
    }

    /// What was seen of the sandbox, and of the harness's surroundings.
    fn attested(&self) -> Option<Map<String, Value>> {
        let enclosed = self.enclosure.as_ref().map(Enclosure::attestation);
        let harness = enclosed.or_else(|| {
            self.own_container
                .as_ref()
                .map(|docker| docker.attestation())
        });
        match (self.calls.attested.clone(), harness) {
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
