//! One trial of a harness: a governor, a journal and a model of its own, two calls, and what came of them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::docker::{ContainerHarness, InContainer, MODEL_PORT};
use super::trial_error::TrialError;
use crate::confine::{self, Profile, Spawner};
use crate::contracts::approver::Groups;
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{HarnessError, HarnessExit, HarnessFault, Intendant};
use crate::contracts::lock::locked;
use crate::contracts::view::Origin;
use crate::gateway::server::Server;
use crate::governor::Sandbox;
use crate::governor::{Broken, Census, Governor, GovernorConfig, Questions, ReadingTerms};
use crate::intendants::claude_code::{self, ClaudeCode};
use crate::intendants::codex::{self, Codex};
use crate::intendants::confined_query::Search;
use crate::intendants::probe_model_server::{ProbeCall, ProbeModel};
use crate::intendants::process::Stop;
use crate::jail::container_protocol::REPOSITORY;
use crate::journal::key::SigningKey;
use crate::journal::redact::Screen;
use crate::journal::{Journal, Paths, verify};
use crate::policy::Policy;
use crate::report::failure::Failure;
use crate::sandbox::harness_host::Enclosure;
use crate::session::claude_config_dir::ClaudeHome;
use crate::session::context::SessionContext;
use crate::session::docker::container::{self, Container};
use crate::session::harness_origin::changeable_here;
use crate::session::home::Home;
use crate::session::kinds::Harness;
use crate::session::layout::{Layout, LayoutRequest};
use crate::session::resolve;
use crate::session::sandbox;
use crate::session::thread_confinement;

/// How long the whole probe may take; it takes about two seconds.
pub(crate) const PROBE_TIME: Duration = Duration::from_secs(60);

/// What a probe decides by: nothing of the operator's.
const POLICY: &[u8] = br#"{"rules":[
    {"id":"probe-write","effect":"allow","tool":"Write"},
    {"id":"probe-shell","effect":"deny","tool":"Bash","reason":"self-test: this call must be denied"}
]}"#;

/// How harnesses name agp's tools.
const OWN_TOOLS: &str = "mcp__agp__";
/// A place that Claude Code keeps among its tools, and answers calls of with "No such tool
/// available".
const PLACEHOLDER: &str = "DeferredToolPlaceholder";

/// How a probe is made: as the session behind it is.
pub(crate) struct TrialOptions<'a> {
    /// The harness.
    pub(crate) harness: Harness,
    /// How the session is laid out that has it.
    pub(crate) layout: Layout,
    /// agp's own home, which neither the harness nor its tools must reach.
    pub(crate) home: &'a Home,
    /// What starts it, and the commands of its tools.
    pub(crate) spawner: Spawner,
    /// How it is found.
    pub(crate) search: Search,
    /// What a confined harness may read besides, and change.
    pub(crate) allowed: [&'a [PathBuf]; 2],
    /// Whether the harness's own account must be there, too.
    pub(crate) witness: bool,
    /// Names of further variables that the harness gets.
    pub(crate) environment: &'a [String],
    /// The session and its container, where the harness is to run in one.
    pub(crate) container: Option<(&'a SessionContext<'a>, &'a Container)>,
}

impl<'a> TrialOptions<'a> {
    /// A probe of a harness as a session has it by default.
    pub(crate) fn of(home: &'a Home, harness: Harness) -> Result<Self, Failure> {
        let spawner = sandbox::spawner()?;
        let search = Search {
            changeable: changeable_here(),
            spawner: Some(spawner.clone()),
            unconfined: false,
        };
        let request = LayoutRequest {
            harness: Some(harness),
            mode: None,
            sandbox: None,
            confine: None,
        };
        Ok(Self {
            harness,
            layout: Layout::of(request, || resolve::hook_blocks(&search))?,
            home,
            spawner,
            search,
            allowed: [&[], &[]],
            witness: true,
            environment: &[],
            container: None,
        })
    }
}

/// The harness that is probed.
pub(crate) enum Probed {
    ClaudeCode(claude_code::ClaudeInstall, Option<claude_code::Inside>),
    Codex(codex::CodexInstall, Option<codex::Inside>),
}

impl Probed {
    pub(crate) fn find(
        harness: Harness,
        search: &Search,
        inside: Option<&InContainer>,
    ) -> Result<Self, HarnessError> {
        match (inside, harness) {
            (Some(inside), _) => inside.find().map(|harness| match harness {
                ContainerHarness::ClaudeCode(install, inside) => {
                    Self::ClaudeCode(install, Some(inside))
                }
                ContainerHarness::Codex(install, inside) => Self::Codex(install, Some(inside)),
            }),
            (None, Harness::Codex) => codex::find(search).map(|install| Self::Codex(install, None)),
            (None, Harness::ClaudeCode) => {
                claude_code::find(search).map(|install| Self::ClaudeCode(install, None))
            }
        }
    }

    pub(crate) fn name_and_version(&self) -> String {
        match self {
            Self::ClaudeCode(found, _) => format!("Claude Code {}", found.version),
            Self::Codex(found, _) => format!("Codex {}", found.version),
        }
    }

    /// One call that must be denied, and one that must be allowed.
    fn calls(&self, layout: Layout, root: &Path) -> Vec<ProbeCall> {
        let call = |id, tool, input| ProbeCall { id, tool, input };
        let denied = json!({"command": "touch denied", "description": "must not run"});
        let path = match self {
            // It knows the repository as the container does.
            Self::ClaudeCode(_, Some(_)) => Path::new(REPOSITORY).join("allowed"),
            Self::ClaudeCode(_, None) | Self::Codex(..) => root.join("repo/allowed"),
        };
        let allowed = json!({"file_path": path, "content": "probe\n"});
        let [bash, write] = match layout.runs_calls() {
            true => ["mcp__agp__Bash", "mcp__agp__Write"],
            false => ["Bash", "Write"],
        };
        vec![
            call("toolu_probe_denied", bash, denied),
            call("toolu_probe_allowed", write, allowed),
        ]
    }
}

pub(crate) struct Trial<'a> {
    root: &'a Path,
    inside: Option<&'a InContainer>,
    paths: Paths,
    model: ProbeModel,
    /// What answers are signed with.
    answers: Arc<SigningKey>,
}

pub(crate) struct TrialOutcome {
    exit: Result<HarnessExit, HarnessError>,
    census: Census,
    broken: Option<Broken>,
    /// A tool that was offered and is not agp's, where that must not be.
    foreign: Option<String>,
    intact: bool,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        layout: Layout,
        root: &'a Path,
        probed: &Probed,
        inside: Option<&'a InContainer>,
        answers: Arc<SigningKey>,
    ) -> Result<Self, TrialError> {
        let calls = probed.calls(layout, root);
        let model = match inside {
            Some(inside) => inside.model(calls),
            None => ProbeModel::start(calls),
        };
        let model = model.map_err(|error| {
            TrialError::not_made(format_args!("cannot start the self-test's model: {error}"))
        })?;
        Ok(Self {
            root,
            inside,
            paths: Paths::of(&root.join("audit.log")),
            model,
            answers,
        })
    }

    pub(crate) fn run(
        &self,
        options: &TrialOptions<'_>,
        session: SessionId,
        probed: Probed,
        (sandbox, enclosed, claude): (
            Option<Arc<dyn Sandbox>>,
            Option<Enclosure>,
            Option<ClaudeHome>,
        ),
    ) -> Result<TrialOutcome, TrialError> {
        let (key, _) = SigningKey::generate().map_err(TrialError::not_made)?;
        let public = key.public().clone();
        let screen = Arc::new(Screen::new(&[]));
        let (journal, _) = Journal::open(&self.paths, key, &[], Arc::clone(&screen))
            .map_err(TrialError::not_made)?;
        let stop = Stop::default();
        let broken = Arc::new(Mutex::new(None));
        let governor = Arc::new(Governor::new(GovernorConfig {
            reading: ReadingTerms::blind(),
            session: session.clone(),
            policy: Policy::parse(POLICY).map_err(TrialError::not_made)?,
            journal: journal.handle(),
            screen,
            // The self-test asks for no approval.
            questions: Questions::new(Vec::new(), PROBE_TIME, PROBE_TIME),
            groups: Groups::default(),
            origin: Origin::default(),
            own_file: Box::new(|_| false),
            gate_unchanged: Box::new(|| Ok(())),
            watched: options.witness,
            apart: true,
            sandbox,
            notices: Box::new(|_| {}),
            broken: remember(&broken, &stop),
        }));
        let (socket, peers) = match self.inside {
            Some(inside) => (inside.gate(), container::user().0),
            None => (
                self.root.join(container::GATE),
                rustix::process::geteuid().as_raw(),
            ),
        };
        let gateway = Server::start_for(
            &socket,
            peers,
            governor.clone(),
            Some(Arc::clone(&self.answers)),
        )
        .map_err(TrialError::not_made)?;
        let mut harness = self
            .harness(
                options,
                probed,
                (enclosed.as_ref(), claude.as_ref()),
                session,
                socket,
                &stop,
            )
            .map_err(TrialError::Harness)?;
        let places = thread_confinement::harness_places(self.root);
        let exit = bounded(PROBE_TIME, &stop, || {
            confine::enter(Profile::Harness, &places)
                .map_err(|error| HarnessFault::UnconfinedThread.of(error))?;
            harness.run(&mut |observation| governor.witness(&observation))
        })?;
        drop(gateway);
        let census = governor.census();
        drop(governor);
        journal.close();
        let foreign = self.model.offered().into_iter().find(|tool| {
            options.layout.runs_calls()
                && !tool.starts_with(OWN_TOOLS)
                && tool != PLACEHOLDER
                && !codex::HARMLESS.contains(&tool.as_str())
        });
        let report = verify::verify(&self.paths.log, &public).map_err(TrialError::not_made)?;
        let broken = locked(&broken).clone();
        Ok(TrialOutcome {
            exit,
            census,
            broken,
            foreign,
            intact: report.intact,
        })
    }

    fn harness(
        &self,
        options: &TrialOptions<'_>,
        probed: Probed,
        (enclosed, claude): (Option<&Enclosure>, Option<&ClaudeHome>),
        session: SessionId,
        socket: PathBuf,
        stop: &Stop,
    ) -> Result<Box<dyn Intendant>, HarnessError> {
        let confinement = enclosed.map(Enclosure::spec);
        let mut set = self.environment();
        set.extend(enclosed.map(Enclosure::environment).unwrap_or_default());
        let variables = claude.map(|home| home.variables(enclosed));
        set.extend(variables.unwrap_or_default());
        let (task, stop) = ("probe".to_owned(), stop.clone());
        let repository = self.root.join("repo");
        let complain: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(|_| {});
        match probed {
            Probed::ClaudeCode(found, inside) => ClaudeCode::prepare(claude_code::ClaudeSetup {
                inside,
                found,
                session,
                socket,
                answer_key: self.answers.public().to_spki_base64(),
                directory: self.root.to_owned(),
                task,
                task_command: false,
                repository,
                patience: PROBE_TIME,
                arguments: Vec::new(),
                environment: options.environment.to_vec(),
                set,
                confinement,
                mediated: options.layout.runs_calls(),
                changeable: options.search.changeable.clone(),
                spawner: options.spawner.clone(),
                spared: None,
                stop,
                complain,
            })
            .map(|harness| Box::new(harness) as Box<dyn Intendant>),
            Probed::Codex(found, inside) => Codex::prepare(codex::CodexSetup {
                inside,
                found,
                session,
                socket,
                answer_key: self.answers.public().to_spki_base64(),
                home: self.root.join("harness-home"),
                model: Some(format!("{}/v1", self.model.base_url(MODEL_PORT))),
                task,
                repository,
                patience: PROBE_TIME,
                arguments: Vec::new(),
                environment: options.environment.to_vec(),
                set,
                confinement,
                search: options.search.clone(),
                spawner: options.spawner.clone(),
                stop,
                complain,
            })
            .map(|harness| Box::new(harness) as Box<dyn Intendant>),
        }
    }

    /// The probe's own model, home and credentials; none of the operator's.
    fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let home = self.root.join("home").display().to_string();
        let mut set = vec![
            ("ANTHROPIC_BASE_URL", Some(self.model.base_url(MODEL_PORT))),
            ("ANTHROPIC_API_KEY", Some("probe".to_owned())),
            ("OPENAI_API_KEY", Some("probe".to_owned())),
            ("HOME", Some(home)),
        ];
        let unset = [
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CODEX_API_KEY",
            "CODEX_ACCESS_TOKEN",
            "OPENAI_BASE_URL",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "https_proxy",
        ];
        set.extend(unset.map(|name| (name, None)));
        set
    }
}

fn remember(broken: &Arc<Mutex<Option<Broken>>>, stop: &Stop) -> Box<dyn Fn(Broken) + Send + Sync> {
    let (broken, stop) = (Arc::clone(broken), stop.clone());
    Box::new(move |why| {
        stop.now();
        locked(&broken).get_or_insert(why);
    })
}

/// Runs something that `stop` ends, on the harness's thread, and stops it when it takes too long.
fn bounded<T: Send>(
    time: Duration,
    stop: &Stop,
    run: impl FnOnce() -> T + Send,
) -> Result<T, TrialError> {
    let (done, waits) = channel::<()>();
    thread::scope(|scope| {
        let named = thread::Builder::new().name("harness".into());
        let running = named.spawn_scoped(scope, move || {
            let value = run();
            drop(done);
            value
        });
        let running = running.map_err(TrialError::not_made)?;
        if waits.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            stop.now();
        }
        let ran = running.join();
        ran.map_err(|_| TrialError::not_made("the self-test's harness thread panicked"))
    })
}

impl TrialOutcome {
    /// What the disk, the gate and the witness say, and whether they say the same.
    pub(crate) fn judge(self, options: &TrialOptions<'_>, root: &Path) -> Result<(), TrialError> {
        if root.join("repo/denied").exists() {
            return Err(TrialError::DeniedRan);
        }
        if let Some(broken) = self.broken {
            return Err(TrialError::GateBroken(broken));
        }
        if let Some(tool) = self.foreign {
            return Err(TrialError::ForeignTool(tool));
        }
        match self.exit {
            Ok(HarnessExit::Success) => {}
            Ok(other) => return Err(TrialError::Exit(other)),
            Err(error) => return Err(TrialError::Harness(error)),
        }
        if options.witness && self.census.seen != self.census.decided {
            return Err(TrialError::Unseen(self.census));
        }
        let expected = Census {
            seen: if options.witness { 2 } else { 0 },
            decided: 2,
            allowed: 1,
            denied: 1,
            bypassed: 0,
            anomalies: 0,
            unproven: 0,
        };
        if self.census != expected {
            return Err(TrialError::Miscounted(self.census));
        }
        if !root.join("repo/allowed").exists() {
            return Err(TrialError::AllowedDidNotRun);
        }
        if !self.intact {
            return Err(TrialError::NotIntact);
        }
        Ok(())
    }
}
