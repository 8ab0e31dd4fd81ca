//! `agp run`: one governed session, and the table of its threads.
//!
//! | thread | entry | how it stops |
//! | --- | --- | --- |
//! | main | [`run`] | the others have |
//! | journal, journal-sign | `journal::Journal::open` | every handle is dropped |
//! | signals | [`watch_signals`] | its handle is closed |
//! | harness | [`drive`] | the harness ends, or its leash is cut |
//! | gateway | `gateway::server::Server::start` | it is dropped |
//! | call (one a call, 64 at most) | `gateway::server` | its call is answered |

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use argh::FromArgs;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::bridge::processes;
use crate::channels::console::{AutoApprove, Console};
use crate::channels::terminal::Terminal;
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::channel::Channel;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::intendant::{HarnessError, HarnessExit, Intendant, Observation};
use crate::gateway::server::Server;
use crate::governor::{Broken, Effect, Governor, Notice, Outcome as CallOutcome, Terms};
use crate::intendants::claude_code::{self, ClaudeCode};
use crate::intendants::harness_process::Stop;
use crate::intendants::scripted::{self, Scripted, ScriptedCall};
use crate::journal::redact::{Screen, Secret};
use crate::journal::{Handle, Journal};
use crate::policy::Policy;
use crate::sandbox::recording::Recording;

use super::home::Home;
use super::init::load_policy;
use super::keygen::settle_rotation;
use super::lease::{self, Lease};
use super::report::{Failure, Outcome, complain, exit, say};
use super::started::{self, Asked, Harness, Stream};
use super::view;

/// Run one governed session.
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub(super) struct Run {
    /// scripted (default) or claude-code
    #[argh(option)]
    pub(super) intendant: Option<String>,
    /// what the agent is asked to do
    #[argh(option)]
    pub(super) task: Option<String>,
    /// the repository it works in (default: this directory)
    #[argh(option)]
    pub(super) repo: Option<String>,
    /// a script for --intendant scripted: JSON lines of {{"tool":..,"args":{{..}}}}
    #[argh(option)]
    pub(super) script: Option<PathBuf>,
    /// recording (for --intendant scripted)
    #[argh(option)]
    pub(super) sandbox: Option<String>,
    /// console
    #[argh(option)]
    pub(super) channel: Option<String>,
    /// seconds an approver has, 1 to 86400 (default: 300)
    #[argh(option)]
    pub(super) approval_timeout: Option<u64>,
    /// an argument for the harness; repeatable
    #[argh(option)]
    pub(super) harness_arg: Vec<String>,
    /// a variable that the harness gets too; repeatable
    #[argh(option)]
    pub(super) harness_env: Vec<String>,
    /// lines (default) or raw: how the harness's output is shown
    #[argh(option)]
    pub(super) stream: Option<String>,
}

/// What the main thread waits for.
enum Event {
    Signal(i32),
    Broken(Broken),
    Harness(Result<HarnessExit, HarnessError>),
}

pub(super) fn run(home: &Home, run: Run) -> Outcome {
    let asked = Asked::resolve(home, run)?;
    session(home, &asked, &Arc::new(Terminal::find()))
}

/// Runs a session whose questions go to `terminal`.
pub(super) fn session(home: &Home, asked: &Asked, terminal: &Arc<Terminal>) -> Outcome {
    let policy = load_policy(home)?;
    let script = read_script(asked)?;
    let screen = Arc::new(screen());
    let journal = open_journal(home, &screen)?;
    let handle = journal.handle();
    let ended = governed(home, asked, script, &policy, &handle, screen, terminal);
    drop(handle);
    let fault = journal.fault();
    journal.close();
    match (ended, fault) {
        (Ok(code), None) => Ok(code),
        (Err(failure), None) => Err(failure),
        (_, Some(why)) => Err(Failure::broken(
            format!("the journal can no longer be written: {why}"),
            "mend the disk, then: agp verify",
        )),
    }
}

fn governed(
    home: &Home,
    asked: &Asked,
    script: Vec<ScriptedCall>,
    policy: &Policy,
    journal: &Handle,
    screen: Arc<Screen>,
    terminal: &Arc<Terminal>,
) -> Outcome {
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

    let (events, happened) = channel();
    let stop = Stop::default();
    let signals = watch_signals(events.clone())
        .map_err(|error| refuse(Failure::refused(error, "try again")))?;
    let raw = asked.stream == Stream::Raw;
    let governor = Arc::new(Governor::new(Terms {
        session: session.clone(),
        journal: journal.clone(),
        screen,
        channel: channel_of(asked, terminal),
        approval_deadline: asked.approval_deadline,
        notices: notices(asked, terminal),
        broken: broken_to(&events, &stop),
        policy: policy.clone(),
    }));
    let setup = IntendantSetup {
        asked,
        session: &session,
        lease: &lease,
        stop: &stop,
    };
    let intendant = setup.intendant(script, &governor).map_err(|error| {
        refuse(Failure {
            code: exit::REFUSED,
            problem: error.problem,
            mend: error.mend,
        })
    })?;
    announce(asked, &session);
    let payload = started::payload(
        &session,
        asked,
        policy,
        intendant.identity(),
        intendant.describe(),
    );
    governor
        .record_session(Kind::SessionStarted, payload)
        .map_err(|broken| unrecorded(broken.0))?;

    let socket = lease.directory().join("gate.sock");
    let gateway = (asked.harness == Harness::ClaudeCode)
        .then(|| Server::start(&socket, governor.clone()))
        .transpose()
        .map_err(|error| unrecorded(format!("{}: {error}", socket.display())))?;
    let harness = drive(intendant, events, Arc::clone(terminal), raw)
        .map_err(|error| unrecorded(error.to_string()))?;
    let end = wait(&happened, &stop, &governor);
    // No call is decided behind the session's record: whoever is still being asked is told no.
    let _ = harness.join();
    governor.hang_up();
    drop(gateway);
    signals.close();
    finish(&governor, &end, raw)
}

/// How a session ended, in the order of what matters most.
struct End {
    broken: Option<Broken>,
    signal: Option<i32>,
    harness: Result<HarnessExit, HarnessError>,
}

/// Waits for the harness to end, and ends it when it must not go on.
fn wait(happened: &Receiver<Event>, stop: &Stop, governor: &Governor) -> End {
    let mut end = End {
        broken: None,
        signal: None,
        harness: Ok(HarnessExit::Stopped),
    };
    while let Ok(event) = happened.recv() {
        match event {
            Event::Signal(signal) => {
                end.signal = Some(signal);
                stop.now();
                // A script waits for the answer itself.
                governor.hang_up();
            }
            Event::Broken(broken) => {
                end.broken.get_or_insert(broken);
                stop.now();
                governor.hang_up();
            }
            Event::Harness(ended) => {
                end.harness = ended;
                // Whatever broke before the harness ended was sent before this.
                while let Ok(Event::Broken(broken)) = happened.try_recv() {
                    end.broken.get_or_insert(broken);
                }
                break;
            }
        }
    }
    end
}

fn finish(governor: &Governor, end: &End, raw: bool) -> Outcome {
    let (word, failure) = match end {
        End {
            broken: Some(broken),
            ..
        } => (
            "broken".to_owned(),
            Some(Failure::broken(
                broken,
                "agp verify, then agp log --kind gate.bypassed",
            )),
        ),
        End {
            signal: Some(signal),
            ..
        } => (
            format!("stopped by signal {signal}"),
            Some(Failure::harness(
                format!("stopped by signal {signal}"),
                "agp run starts anew",
            )),
        ),
        End {
            harness: Err(error),
            ..
        } => (
            "failed".to_owned(),
            Some(Failure::harness(error, error.mend.clone())),
        ),
        End {
            harness: Ok(HarnessExit::Success),
            ..
        } => ("done".to_owned(), None),
        End {
            harness: Ok(other), ..
        } => {
            let problem = match other {
                HarnessExit::Code(code) => format!("the harness ended with code {code}"),
                HarnessExit::Signal(signal) => format!("the harness was ended by signal {signal}"),
                _ => "the harness was stopped".to_owned(),
            };
            (
                problem.clone(),
                Some(Failure::harness(problem, "see its own output above")),
            )
        }
    };
    let mut payload = governor.census_payload();
    payload.insert("end".into(), json!(word));
    governor
        .record_session(Kind::SessionEnded, payload)
        .map_err(|broken| Failure::broken(broken, "mend the disk, then: agp verify"))?;
    let census = governor.census();
    let told = format!(
        "{} calls: {} allowed, {} denied; prove it: agp verify",
        census.decided, census.allowed, census.denied
    );
    // In raw mode standard output is the harness's own.
    if raw {
        complain(told);
    } else {
        say(told);
    }
    failure.map_or(Ok(0), Err)
}

struct IntendantSetup<'a> {
    asked: &'a Asked,
    session: &'a SessionId,
    lease: &'a Lease,
    stop: &'a Stop,
}

impl IntendantSetup<'_> {
    fn intendant(
        &self,
        script: Vec<ScriptedCall>,
        governor: &Arc<Governor>,
    ) -> Result<Box<dyn Intendant>, HarnessError> {
        let asked = self.asked;
        if asked.harness == Harness::Scripted {
            let submit = submit(
                self.session.clone(),
                Arc::clone(governor),
                self.stop.clone(),
            );
            return Ok(Box::new(Scripted::new(script, submit)));
        }
        let setup = claude_code::Setup {
            found: claude_code::find()?,
            session: self.session.clone(),
            socket: self.lease.directory().join("gate.sock"),
            directory: self.lease.directory().to_owned(),
            task: asked.task.clone().unwrap_or_default(),
            repository: asked.repository.clone(),
            approval_deadline: asked.approval_deadline,
            arguments: asked.harness_args.clone(),
            environment: asked.harness_env.clone(),
            stop: self.stop.clone(),
        };
        Ok(Box::new(ClaudeCode::prepare(setup)?))
    }
}

/// Has scripted calls mediated and executed in the recording sandbox.
fn submit(session: SessionId, governor: Arc<Governor>, stop: Stop) -> scripted::Submit {
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
        match governor.run_call(&call, &Effect::Execute(&Recording))? {
            CallOutcome::Denied(_) | CallOutcome::Executed(_) => Ok(()),
            CallOutcome::Released(..) => Err("a scripted call has no harness to run it".into()),
        }
    })
}

fn drive(
    mut intendant: Box<dyn Intendant>,
    events: Sender<Event>,
    terminal: Arc<Terminal>,
    raw: bool,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name("harness".into())
        .spawn(move || {
            let ended = intendant.run(&mut |observation| match (&observation, raw) {
                (Observation::Raw(line), true) => terminal.show(line),
                (_, true) => {}
                (_, false) => {
                    if let Some(line) = view::observed(&observation) {
                        terminal.show(&line);
                    }
                }
            });
            // The main thread waits for exactly this.
            let _ = events.send(Event::Harness(ended));
        })
}

fn watch_signals(events: Sender<Event>) -> std::io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
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

fn channel_of(asked: &Asked, terminal: &Arc<Terminal>) -> Box<dyn Channel> {
    if asked.auto_approve {
        return Box::new(AutoApprove::new(Arc::clone(terminal)));
    }
    let name = std::env::var("USER").unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    Box::new(Console::new(
        Arc::clone(terminal),
        format!("{name} (uid {uid})"),
    ))
}

fn notices(asked: &Asked, terminal: &Arc<Terminal>) -> Box<dyn Fn(&Notice<'_>) + Send + Sync> {
    let (terminal, raw) = (Arc::clone(terminal), asked.stream == Stream::Raw);
    let repository = asked.repository.clone();
    Box::new(move |notice| match notice {
        Notice::Decided {
            call,
            verdict,
            withheld,
        } => {
            let line = if *withheld {
                view::withheld(verdict)
            } else {
                view::decided(call, verdict, &repository)
            };
            // In raw mode standard output is the harness's own, for a program to read.
            if raw {
                complain(line);
            } else {
                terminal.show(&line);
            }
        }
        Notice::Warning(text) => complain(format_args!("agp: warning: {text}")),
    })
}

fn announce(asked: &Asked, session: &SessionId) {
    complain(format_args!(
        "session {session} in {}",
        asked.repository.display()
    ));
    if asked.harness == Harness::ClaudeCode {
        complain(
            "note: hook mode on this host: calls are gated, the harness itself is not confined",
        );
    }
    if asked.auto_approve {
        complain("WARNING: AGP_AUTO_APPROVE=1: every approval is given with nobody looking");
    }
}

fn read_script(asked: &Asked) -> Result<Vec<ScriptedCall>, Failure> {
    match &asked.script {
        None => Ok(scripted::built_in()),
        Some(path) => scripted::read(path).map_err(|problem| {
            Failure::usage(
                problem,
                r#"each line: {"tool":"Bash","args":{"command":"..."}}"#,
            )
        }),
    }
}

/// The secrets that must never be journaled: agp's own, by the names that hold them.
fn screen() -> Screen {
    let secrets = std::env::vars().filter(|(name, _)| {
        name.starts_with("AGP_SECRET_")
            || name.starts_with("AGP_SLACK_") && name.ends_with("_TOKEN")
    });
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

fn task_secret(asked: &Asked, screen: &Screen) -> Option<String> {
    let task = Map::from_iter([("task".to_owned(), json!(asked.task))]);
    screen.secret_in(&task).map(str::to_owned)
}

fn open_journal(home: &Home, screen: &Arc<Screen>) -> Result<Journal, Failure> {
    settle_rotation(home)?;
    let key = home.signing_key()?;
    let (journal, opened) =
        Journal::open(&home.journal(), key, &home.retired()?, Arc::clone(screen)).map_err(
            |error| {
                Failure::refused(
                    error,
                    "agp verify; then move journal and head aside for the auditor",
                )
            },
        )?;
    if let Some(recovered) = opened.recovered {
        let told = serde_json::to_string(&recovered).unwrap_or_default();
        complain(format_args!(
            "agp: the journal was mended after a crash: {told}"
        ));
    }
    Ok(journal)
}

fn new_session() -> Result<SessionId, String> {
    let mut bytes = [0_u8; 6];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "the system gives no random numbers")?;
    let id = format!("s-{}", data_encoding::HEXLOWER.encode(&bytes));
    SessionId::new(id).map_err(|error| error.to_string())
}
