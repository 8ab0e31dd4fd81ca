//! The parts of a session, made from what was asked: harness, channel, journal, view.

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, json};

use crate::channels::console::{AutoApprove, Console};
use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::confine::Spawner;
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::channel::Channel;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::intendant::{HarnessError, Intendant};
use crate::governor::Sandbox;
use crate::governor::{Effect, Governor, Notice, Outcome as CallOutcome};
use crate::intendants::claude_code::{self, ClaudeCode};
use crate::intendants::codex::{self, Codex};
use crate::intendants::executable::{self, Pinned};
use crate::intendants::process::Stop;
use crate::intendants::scripted::{self, Scripted, ScriptedCall};
use crate::journal::key::SigningKey;
use crate::journal::redact::{Screen, Secret};
use crate::journal::{Journal, OpenError};
use crate::sandbox::docker::container::Docker;
use crate::sandbox::docker::harness_exec;
use crate::sandbox::harness_host::Enclosure;
use crate::sandbox::secrets::{Secrets, variable};

use super::claude_config_dir::ClaudeHome;
use super::docker::harness;
use super::home::{Home, operator};
use super::kinds::{Harness, Mode, Provider, Stream};
use super::lease::{HARNESS_HOME, Lease};
use super::options::Asked;
use super::{sandbox, slack, transcript};
use crate::cli::keygen::settle_rotation;
use crate::report::failure::{Failure, complain};

/// Characters of a line of the harness's standard error.
const COMPLAINT_CHARS: usize = 1000;
/// Characters of a warning.
const WARNING_CHARS: usize = 300;

pub(crate) struct IntendantSetup<'a> {
    pub(crate) asked: &'a Asked,
    pub(crate) sandbox: &'a Arc<dyn Sandbox>,
    pub(crate) container: Option<&'a Arc<Docker>>,
    /// The harness's own container, where it has one.
    pub(crate) alone: Option<&'a Arc<Docker>>,
    pub(crate) enclosed: Option<&'a Enclosure>,
    /// Claude Code's own configuration, where it is this host's.
    pub(crate) claude: Option<&'a ClaudeHome>,
    pub(crate) spawner: &'a Spawner,
    pub(crate) session: &'a SessionId,
    /// The key that answers are signed with.
    pub(crate) answer_key: String,
    pub(crate) lease: &'a Lease,
    pub(crate) stop: &'a Stop,
    pub(crate) terminal: &'a Arc<Terminal>,
}

impl IntendantSetup<'_> {
    pub(crate) fn intendant(
        &self,
        script: Vec<ScriptedCall>,
        governor: &Arc<Governor>,
    ) -> Result<Box<dyn Intendant>, HarnessError> {
        let asked = self.asked;
        let confinement = self.enclosed.map(Enclosure::spec);
        let mut set = self
            .enclosed
            .map(Enclosure::environment)
            .unwrap_or_default();
        let own = self.claude.map(|own| own.variables(self.enclosed));
        set.extend(own.unwrap_or_default());
        if asked.harness == Harness::Scripted {
            let submit = submit(
                self.session.clone(),
                Arc::clone(governor),
                self.stop.clone(),
                Arc::clone(self.sandbox),
            );
            return Ok(Box::new(Scripted::new(script, submit)));
        }
        let search = asked.search(self.spawner);
        if asked.harness == Harness::Codex {
            let (found, inside) = match self.alone {
                Some(docker) => {
                    let place = Arc::new(harness_exec::Inside(Arc::clone(docker)));
                    let (found, inside) = harness::codex_inside(docker, place)?;
                    (found, Some(inside))
                }
                None => (codex::find(&search)?, None),
            };
            let setup = codex::Setup {
                found,
                inside,
                session: self.session.clone(),
                socket: self.lease.directory().join("gate.sock"),
                answer_key: self.answer_key.clone(),
                home: self.lease.directory().join(HARNESS_HOME),
                model: None,
                task: asked.task.clone().unwrap_or_default(),
                repository: asked.repository.clone(),
                approval_deadline: asked.approval_deadline,
                arguments: asked.harness_args.clone(),
                environment: asked.harness_env.clone(),
                set,
                confinement,
                search,
                spawner: self.spawner.clone(),
                stop: self.stop.clone(),
                complain: complaints(self.terminal),
            };
            return Ok(Box::new(Codex::prepare(setup)?));
        }
        let (found, inside) = match self.container.filter(|_| asked.harness_inside()) {
            Some(docker) => {
                let place = Arc::new(harness_exec::Inside(Arc::clone(docker)));
                let (found, inside) = harness::claude_inside(docker, place)?;
                (found, Some(inside))
            }
            None => (claude_code::find(&search)?, None),
        };
        let setup = claude_code::Setup {
            found,
            inside,
            session: self.session.clone(),
            socket: asked.gate(self.lease.directory()),
            answer_key: self.answer_key.clone(),
            directory: self.lease.directory().to_owned(),
            task: asked.task.clone().unwrap_or_default(),
            task_command: asked.task_command,
            repository: asked.repository.clone(),
            approval_deadline: asked.approval_deadline,
            arguments: asked.harness_args.clone(),
            environment: asked.harness_env.clone(),
            set,
            confinement,
            mediated: asked.mode == Mode::Mediated,
            changeable: search.changeable,
            spawner: self.spawner.clone(),
            spared: self.claude.and_then(ClaudeHome::carrier),
            stop: self.stop.clone(),
            complain: complaints(self.terminal),
        };
        Ok(Box::new(ClaudeCode::prepare(setup)?))
    }
}

/// Shows the harness's standard error escaped, and never across a question: an agent can have a say
/// in what stands there.
fn complaints(terminal: &Arc<Terminal>) -> Arc<dyn Fn(&str) + Send + Sync> {
    let terminal = Arc::clone(terminal);
    Arc::new(move |line| terminal.tell(&escape::line_max(line, COMPLAINT_CHARS)))
}

/// Has scripted calls mediated and executed in the session's sandbox.
fn submit(
    session: SessionId,
    governor: Arc<Governor>,
    stop: Stop,
    sandbox: Arc<dyn Sandbox>,
) -> scripted::Submit {
    let mut count = 0_u64;
    Box::new(move |scripted: ScriptedCall| {
        if stop.asked() {
            return Err("stopped".into());
        }
        count += 1;
        let id = MessageId::new(format!("call-{count}")).map_err(|error| error.to_string())?;
        let call = ToolCall {
            id,
            session: session.clone(),
            tool: scripted.tool,
            args: scripted.args,
            actor: Actor::ClaudeProcess,
        };
        match governor.run_call(call, &Effect::Execute(sandbox.as_ref()))? {
            CallOutcome::Denied(_) | CallOutcome::Executed(_) => Ok(()),
            CallOutcome::Released(..) => Err("a scripted call has no harness to run it".into()),
        }
    })
}

pub(crate) fn channel_of(asked: &Asked, terminal: &Arc<Terminal>) -> Box<dyn Channel> {
    if asked.auto_approve {
        return Box::new(AutoApprove::new(Arc::clone(terminal)));
    }
    Box::new(Console::new(Arc::clone(terminal), operator()))
}

pub(crate) fn notices(
    asked: &Asked,
    terminal: &Arc<Terminal>,
) -> Box<dyn Fn(&Notice<'_>) + Send + Sync> {
    let (terminal, raw) = (Arc::clone(terminal), asked.stream == Stream::Raw);
    let elsewhere = asked.slack.is_some();
    let repository = asked.repository.clone();
    Box::new(move |notice| match notice {
        // At the console the question itself says so.
        Notice::Asked { call, verdict } if elsewhere => {
            let line = transcript::decided(call, verdict, &repository);
            if raw {
                complain(line);
            } else {
                terminal.show(&line);
            }
        }
        Notice::Asked { .. } => {}
        Notice::Decided {
            call,
            verdict,
            withheld,
        } => {
            let line = if *withheld {
                transcript::withheld(verdict)
            } else {
                transcript::decided(call, verdict, &repository)
            };
            // In raw mode standard output is the harness's own, for a program to read.
            if raw {
                complain(line);
            } else {
                terminal.show(&line);
            }
        }
        Notice::Executed(execution) => match sandbox::ended(execution) {
            Some(line) if raw => terminal.tell(&line),
            Some(line) => terminal.show(&line),
            None => {}
        },
        // A peer's own bytes may stand in it, and a question may stand on the screen.
        Notice::Warning(text) => terminal.tell(&format!(
            "agp: warning: {}",
            escape::line_max(text, WARNING_CHARS)
        )),
    })
}

/// Whether the hook's program is still the one that the session began with.
pub(crate) fn gate_unchanged(
    asked: &Asked,
) -> Result<Box<dyn Fn() -> Result<(), String> + Send + Sync>, String> {
    if asked.harness == Harness::Scripted {
        return Ok(Box::new(|| Ok(())));
    }
    let pinned = executable::bridge_program().and_then(Pinned::of);
    let pinned = pinned.map_err(|error| format!("the hook's program: {error}"))?;
    Ok(Box::new(move || pinned.check()))
}

/// Says before the start what the harness would say much later, or try without end. In a container the login
/// was looked for already.
fn without_login(asked: &Asked) {
    if asked.harness_inside() || asked.alone {
        return;
    }
    match asked.harness {
        Harness::ClaudeCode => {
            if let Err(why) = claude_code::login() {
                complain(format_args!(
                    "note: there seems to be no login of Claude Code ({why}): log in with `claude`, or set \
                     ANTHROPIC_API_KEY"
                ));
            }
        }
        Harness::Codex if !codex::login_present() => complain(
            "note: there seems to be no login of Codex, which may try without end: log in with `codex login`, \
             or set CODEX_API_KEY",
        ),
        _ => {}
    }
}

/// Says why a command that works outside is not found inside. A container has a `PATH` of its own.
fn without_tools(asked: &Asked) {
    if !asked.harness.is_program() || asked.container.is_some() || asked.alone {
        return;
    }
    let left_out = asked.left_out_of_path();
    let Some(first) = left_out.first() else {
        return;
    };
    let more = match left_out.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    complain(format_args!(
        "note: commands have a PATH without {}{more} (--allow-read DIR keeps one)",
        escape::line(&first.display().to_string())
    ));
}

pub(crate) fn announce(asked: &Asked, session: &SessionId, confined: bool) {
    complain(format_args!(
        "session {session} in {}",
        asked.repository.display()
    ));
    let is = if confined { "is" } else { "is not" };
    match asked.mode {
        _ if !asked.harness.is_program() => {
            if asked.sandbox == Provider::Recording {
                complain(
                    "sandbox: recording: what is allowed is recorded, and not run (--sandbox process runs it)",
                );
            }
        }
        Mode::Hook if asked.harness_inside() => complain(format_args!(
            "mode: hook ({}): the harness runs in a container, with its own tools, and asks before each; \
             results are as it tells them",
            asked.mode_reason
        )),
        Mode::Hook => complain(format_args!(
            "mode: hook ({}): the harness runs its own tools on this host and asks before each; \
             results are as it tells them; it {is} confined",
            asked.mode_reason
        )),
        Mode::Mediated if asked.alone => complain(format_args!(
            "mode: mediated ({}): agp's tools are the harness's only ones, and run in a container; the \
             harness runs in another",
            asked.mode_reason
        )),
        Mode::Mediated => complain(format_args!(
            "mode: mediated ({}): agp's tools are the harness's only ones, and run in the {} sandbox; \
             the harness itself {is} confined",
            asked.mode_reason,
            if asked.container.is_some() {
                "Docker"
            } else {
                "process"
            }
        )),
    }
    without_login(asked);
    without_tools(asked);
    if asked.harness.is_program() {
        if !asked.probe {
            complain(
                "WARNING: --no-probe: nobody has tried whether this harness asks before a call",
            );
        }
        if !asked.witness {
            complain(
                "WARNING: --witness off: a call that the harness runs without asking is not seen",
            );
        }
    }
    if let Some(settings) = &asked.slack {
        slack::announce(settings);
    }
    if asked.auto_approve {
        complain("WARNING: AGP_AUTO_APPROVE=1: every approval is given with nobody looking");
    }
}

pub(crate) fn read_script(asked: &Asked) -> Result<Vec<ScriptedCall>, Failure> {
    match &asked.script {
        None => Ok(scripted::built_in()),
        Some(path) => scripted::read(path).map_err(|problem| {
            let mend = match path.is_file() {
                true => r#"each line: {"tool":"Bash","args":{"command":"..."}}"#,
                false => "--script FILE, a file of calls; without it the built-in script is played",
            };
            Failure::usage(problem, mend)
        }),
    }
}

/// The secrets that calls may ask for by name.
///
/// # Errors
/// [`Failure`] when one cannot be used as it is.
pub(crate) fn secrets(home: &Home) -> Result<Secrets, Failure> {
    Secrets::load(&home.secrets()).map_err(|problem| {
        let mend = "correct the secret, or take it away";
        Failure::refused(escape::line(&problem), mend)
    })
}

/// The secrets that must never be journaled: agp's own, by the names that hold them.
pub(crate) fn screen(asked: &Asked, given: &Secrets) -> Screen {
    let configured = asked.slack.iter().flat_map(|slack| slack.secrets());
    let configured = configured.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secrets = std::env::vars()
        .filter(|(name, _)| name.starts_with("AGP_SLACK_") && name.ends_with("_TOKEN"));
    let given = given.all().iter();
    let given = given.map(|secret| (variable(secret.name()), secret.value().to_owned()));
    let secrets = secrets.chain(configured).chain(given);
    let secrets: Vec<Secret> = secrets
        .map(|(name, value)| Secret::new(name, value))
        .collect();
    let screen = Screen::new(&secrets);
    for name in screen.ignored() {
        complain(format_args!(
            "agp: warning: {name} is too short to be screened for"
        ));
    }
    screen
}

/// The name of a secret that stands in what the journal will have of the operator's own words.
pub(crate) fn quoted_secret(asked: &Asked, screen: &Screen) -> Option<String> {
    let words = Map::from_iter([
        ("task".to_owned(), json!(asked.task)),
        ("harnessArguments".to_owned(), json!(asked.harness_args)),
    ]);
    screen.secret_in(&words).map(str::to_owned)
}

pub(crate) fn open_journal(home: &Home, screen: &Arc<Screen>) -> Result<Journal, Failure> {
    settle_rotation(home)?;
    let key = home.signing_key()?;
    let (journal, opened) = Journal::open(
        &home.journal(),
        key,
        &home.retired()?,
        Arc::clone(screen),
    )
    .map_err(|error| {
        let mend = match error {
            OpenError::Io { .. } => {
                "make room on its disk, or have its directory be yours alone, and begin again"
            }
            OpenError::Damaged { .. } => {
                "agp verify; then move journal and head aside for the auditor"
            }
        };
        Failure::refused(error, mend)
    })?;
    if let Some(recovered) = opened.recovered {
        let told = serde_json::to_string(&recovered).unwrap_or_default();
        complain(format_args!(
            "agp: the journal was mended after a crash: {told}"
        ));
    }
    Ok(journal)
}

/// A key of a session's own.
pub(crate) fn new_answer_key() -> Result<Arc<SigningKey>, String> {
    SigningKey::generate()
        .map(|(key, _)| Arc::new(key))
        .map_err(|_| "the system gives no random numbers".into())
}

pub(crate) fn new_session() -> Result<SessionId, String> {
    let mut bytes = [0_u8; 6];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "the system gives no random numbers")?;
    let id = format!("s-{}", data_encoding::HEXLOWER.encode(&bytes));
    SessionId::new(id).map_err(|error| error.to_string())
}
