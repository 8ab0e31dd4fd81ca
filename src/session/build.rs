//! The parts of a session, made from what was asked: harness, channel, journal, view.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::intendant::{HarnessError, Intendant};
use crate::governor::Sandbox;
use crate::governor::{Broken, CallOutcome, Effect, Governor};
use crate::intendants::claude_code::{self, ClaudeCode};
use crate::intendants::codex::{self, Codex};
use crate::intendants::executable::{self, Pinned};
use crate::intendants::process::Stop;
use crate::intendants::scripted::{self, ScriptFault, Scripted, ScriptedCall};
use crate::journal::key::SigningKey;
use crate::sandbox::docker::harness_exec;
use crate::sandbox::harness_host::Enclosure;

use super::claude_config_dir::ClaudeHome;
use super::context::SessionContext;
use super::docker::harness;
use super::kinds::{Harness, Mode};
use super::lease::HARNESS_HOME;
use super::options::SessionOptions;
use super::prepare::SessionSandboxes;
use super::start_error::StartError;
use crate::report::failure::Failure;

/// Characters of a line of the harness's standard error.
const COMPLAINT_CHARS: usize = 1000;

/// The harness of a session, ready to be driven.
pub(crate) fn intendant(
    context: &SessionContext<'_>,
    sandboxes: &SessionSandboxes,
    script: Vec<ScriptedCall>,
    governor: &Arc<Governor>,
) -> Result<Box<dyn Intendant>, HarnessError> {
    let options = context.options;
    let enclosure = sandboxes.enclosure.as_ref();
    let claude_home = sandboxes.claude_home.as_ref();
    let confinement = enclosure.map(Enclosure::spec);
    let mut set = enclosure.map(Enclosure::environment).unwrap_or_default();
    let variables = claude_home.map(|home| home.variables(enclosure));
    set.extend(variables.unwrap_or_default());
    let (layout, search) = (options.layout, context.search());
    match layout.harness() {
        None => {
            let submit = submit(
                context.session.clone(),
                Arc::clone(governor),
                context.stop.clone(),
                Arc::clone(&sandboxes.calls.sandbox),
            );
            Ok(Box::new(Scripted::new(script, submit)))
        }
        Some(Harness::Codex) => {
            let (install, inside) = match &sandboxes.own_container {
                Some(docker) => {
                    let place = Arc::new(harness_exec::Inside(Arc::clone(docker)));
                    let (install, inside) = harness::codex_inside(docker, place)?;
                    (install, Some(inside))
                }
                None => (codex::find(&search)?, None),
            };
            let setup = codex::CodexSetup {
                found: install,
                inside,
                session: context.session.clone(),
                socket: context.directory.join("gate.sock"),
                answer_key: context.answer_key(),
                home: context.directory.join(HARNESS_HOME),
                model: None,
                task: options.task.clone().unwrap_or_default(),
                repository: options.repository.clone(),
                patience: options.patience(),
                arguments: options.harness_args.clone(),
                environment: options.harness_env.clone(),
                set,
                confinement,
                search,
                spawner: context.spawner.clone(),
                stop: context.stop.clone(),
                complain: complaints(&context.terminal),
            };
            Ok(Box::new(Codex::prepare(setup)?))
        }
        Some(Harness::ClaudeCode) => {
            let container = sandboxes.calls.container.as_ref();
            let (install, inside) = match container.filter(|_| layout.in_container()) {
                Some(docker) => {
                    let place = Arc::new(harness_exec::Inside(Arc::clone(docker)));
                    let (install, inside) = harness::claude_inside(docker, place)?;
                    (install, Some(inside))
                }
                None => (claude_code::find(&search)?, None),
            };
            let setup = claude_code::ClaudeSetup {
                found: install,
                inside,
                session: context.session.clone(),
                socket: context.gate(),
                answer_key: context.answer_key(),
                directory: context.directory.clone(),
                task: options.task.clone().unwrap_or_default(),
                task_command: options.task_command,
                repository: options.repository.clone(),
                patience: options.patience(),
                arguments: options.harness_args.clone(),
                environment: options.harness_env.clone(),
                set,
                confinement,
                mediated: layout.mode() == Some(Mode::Mediated),
                changeable: search.changeable,
                spawner: context.spawner.clone(),
                spared: claude_home.and_then(ClaudeHome::carrier),
                stop: context.stop.clone(),
                complain: complaints(&context.terminal),
            };
            Ok(Box::new(ClaudeCode::prepare(setup)?))
        }
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
            return ControlFlow::Break(());
        }
        count += 1;
        let Ok(id) = MessageId::new(format!("call-{count}")) else {
            return ControlFlow::Break(());
        };
        let call = ToolCall {
            id,
            session: session.clone(),
            tool: scripted.tool,
            args: scripted.args,
            actor: Actor::ClaudeProcess,
        };
        match governor.run_call(call, &Effect::Execute(sandbox.as_ref())) {
            Ok(CallOutcome::Denied(_) | CallOutcome::Executed(_)) => ControlFlow::Continue(()),
            // Why there is no outcome was said where it broke; and no harness could run a released call.
            Ok(CallOutcome::Released(..)) | Err(_) => ControlFlow::Break(()),
        }
    })
}

/// Whether the hook's program is still the one that the session began with.
pub(crate) fn gate_unchanged(
    options: &SessionOptions,
) -> io::Result<Box<dyn Fn() -> Result<(), Broken> + Send + Sync>> {
    if options.layout.harness().is_none() {
        return Ok(Box::new(|| Ok(())));
    }
    let pinned = executable::bridge_program().and_then(Pinned::of)?;
    Ok(Box::new(move || {
        pinned.check().map_err(|error| Broken(error.to_string()))
    }))
}

pub(crate) fn read_script(options: &SessionOptions) -> Result<Vec<ScriptedCall>, Failure> {
    match &options.script {
        None => Ok(scripted::built_in()),
        Some(path) => scripted::read(path).map_err(|error| {
            let mend = match error.fault {
                ScriptFault::Line(..) => {
                    r#"write one call per line: {"tool":"Bash","args":{"command":"..."}}"#
                }
                ScriptFault::Io(_) => {
                    "pass a file of calls with --script FILE, or omit it for the built-in script"
                }
            };
            Failure::usage(error, mend)
        }),
    }
}

/// A key of a session's own.
pub(crate) fn new_answer_key() -> Result<Arc<SigningKey>, StartError> {
    SigningKey::generate()
        .map(|(key, _)| Arc::new(key))
        .map_err(|_| StartError::NoRandom)
}

pub(crate) fn new_session() -> Result<SessionId, StartError> {
    let mut bytes = [0_u8; 6];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| StartError::NoRandom)?;
    let id = format!("s-{}", data_encoding::HEXLOWER.encode(&bytes));
    SessionId::new(id).map_err(|_| StartError::NoRandom)
}
