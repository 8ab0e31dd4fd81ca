//! What a session is asked to be: flags, environment and configuration brought together, checked.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::FromArgs;

use crate::intendants::{claude_code, codex};
use crate::sandbox::docker::provider::{BOX, HARNESS_BOX};

use super::config::{self, Config};
use crate::channels::slack::Settings as Slack;

use super::container::{self, Container};
use super::harness_container;
use super::home::Home;
use super::report::Failure;
use super::slack;
use super::way_out::{Of, Said, WayOut};

/// Run one governed session.
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub(super) struct Run {
    /// scripted (default), claude-code or codex
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
    /// recording (default for a script), process (default for a harness's tools) or docker
    #[argh(option)]
    pub(super) sandbox: Option<String>,
    /// the image of --sandbox docker, pinned: NAME@sha256:.., NAME:VERSION or sha256:..
    #[argh(option)]
    pub(super) image: Option<String>,
    /// hook: the harness runs its own tools and asks before each; mediated: agp's are the only ones
    #[argh(option)]
    pub(super) mode: Option<String>,
    /// a path that commands in the process sandbox may read too; repeatable
    #[argh(option)]
    pub(super) allow_read: Vec<PathBuf>,
    /// a path that they may change too; repeatable
    #[argh(option)]
    pub(super) allow_write: Vec<PathBuf>,
    /// strict or best-effort: agp's own threads and the harness itself run confined, or are refused;
    /// or run unconfined where they cannot be
    #[argh(option)]
    pub(super) confine: Option<String>,
    /// none, full or allowlist: what may be reached by the sandbox (default: none), and by
    /// a harness (default: full)
    #[argh(option)]
    pub(super) egress: Option<String>,
    /// a host that may be reached, HOST[:PORT] or *.SUFFIX[:PORT]; repeatable
    #[argh(option)]
    pub(super) egress_allow: Vec<String>,
    /// console (default) or slack
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
    /// the login of a Codex in a container, which is mounted there: ~/.codex/auth.json
    #[argh(option)]
    pub(super) harness_login: Option<PathBuf>,
    /// lines (default) or raw: how the harness's output is shown
    #[argh(option)]
    pub(super) stream: Option<String>,
    /// start without having tried the gate on the harness first
    #[argh(switch)]
    pub(super) no_probe: bool,
    /// on (default) or off: whether the harness's own account is held against the decisions
    #[argh(option)]
    pub(super) witness: Option<String>,
}

impl Run {
    /// A run of which nothing is said.
    pub(super) fn nothing() -> Self {
        Self {
            intendant: None,
            task: None,
            repo: None,
            script: None,
            sandbox: None,
            image: None,
            allow_read: Vec::new(),
            allow_write: Vec::new(),
            confine: None,
            egress: None,
            egress_allow: Vec::new(),
            channel: None,
            approval_timeout: None,
            harness_arg: Vec::new(),
            harness_env: Vec::new(),
            harness_login: None,
            stream: None,
            mode: None,
            no_probe: false,
            witness: None,
        }
    }
}

/// Which harness is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harness {
    Scripted,
    ClaudeCode,
    Codex,
}

impl Harness {
    /// Whether it is a program of its own, which speaks through the gateway.
    pub(super) fn is_program(self) -> bool {
        self != Self::Scripted
    }
}

/// Who runs the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The harness runs its own, and asks before each.
    Hook,
    /// agp does; the harness has none of its own.
    Mediated,
}

/// Where agp runs what it executes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Recording,
    Process,
    Docker,
}

/// Whether the harness itself is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confine {
    /// It is not.
    Off,
    /// It is, or the session is refused.
    Strict,
    /// It is where the kernel permits it.
    BestEffort,
}

/// How the harness's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Lines,
    Raw,
}

/// A session as it was asked for, checked.
#[derive(Debug)]
pub(super) struct Asked {
    pub harness: Harness,
    pub mode: Mode,
    /// Why this mode.
    pub mode_reason: &'static str,
    pub sandbox: Provider,
    /// The container, where that is the sandbox.
    pub container: Option<Container>,
    pub confine: Confine,
    /// Whether the harness has a container of its own, beside that of its tools, which agp runs.
    pub alone: bool,
    pub way_out: WayOut,
    pub allow_read: Vec<PathBuf>,
    pub allow_write: Vec<PathBuf>,
    pub task: Option<String>,
    pub repository: PathBuf,
    pub script: Option<PathBuf>,
    pub approval_deadline: Duration,
    pub auto_approve: bool,
    /// Where approvals are asked, unless it is the console.
    pub slack: Option<Slack>,
    pub stream: Stream,
    pub harness_args: Vec<String>,
    pub harness_env: Vec<String>,
    /// The login that is mounted for a harness in a container of its own.
    pub harness_login: Option<PathBuf>,
    /// Whether the gate is tried on the harness before the task starts.
    pub probe: bool,
    /// Whether the harness's own account is held against the decisions.
    pub witness: bool,
    /// Whether agp's own threads are confined in full, or nothing starts.
    pub threads_strict: bool,
}

impl Asked {
    /// Whether the harness itself runs in the session's container.
    pub(super) fn harness_inside(&self) -> bool {
        self.of().harness_inside()
    }

    /// Where the gateway listens, within the session's directory.
    pub(super) fn gate(&self, directory: &Path) -> PathBuf {
        match (self.harness_inside(), self.alone) {
            (true, _) => directory.join(BOX).join(container::GATE),
            (_, true) => directory.join(HARNESS_BOX).join(container::GATE),
            _ => directory.join(container::GATE),
        }
    }

    /// What the way out is for.
    pub(super) fn of(&self) -> Of {
        Of {
            harness: self.harness,
            mode: self.mode,
            sandbox: self.sandbox,
            confine: self.confine,
            alone: self.alone,
        }
    }

    /// Flag beats environment beats `config.json` beats default; whatever is asked for and not
    /// there is refused, never replaced by something weaker.
    pub(super) fn resolve(home: &Home, run: Run) -> Result<Self, Failure> {
        let config = Config::load(home)?;
        identity(&config)?;
        let harness = harness(run.intendant, &config)?;
        let slack = channel(run.channel, &config)?;
        let provider = provider(run.sandbox, &config, harness)?;
        let (mode, mode_reason) = match (run.mode.as_deref(), harness, provider.as_deref()) {
            // Which one is in the image is asked once the container is there.
            (None, Harness::ClaudeCode, Some("docker")) => (Mode::Hook, "in a container"),
            (None, Harness::Codex, Some("docker")) => (Mode::Mediated, "in a container"),
            (flag, _, _) => mode(flag, harness)?,
        };
        let sandbox = sandbox(provider.as_deref(), harness, mode)?;
        let container = container::asked(run.image, &config, sandbox)?;
        let threads_strict = run.confine.as_deref() != Some("best-effort");
        let named = [&run.allow_read, &run.allow_write];
        // Asked for by name, mediated mode has the harness on this host.
        let docker = harness.is_program() && sandbox == Provider::Docker;
        let alone = docker && mode == Mode::Mediated && run.mode.is_none();
        let inside = docker && mode == Mode::Hook;
        let confine = match &run.confine {
            _ if !inside && !alone => confine(run.confine.as_deref(), harness, mode)?,
            None => Confine::Off,
            Some(_) => {
                let problem = "--confine is for a harness on this host";
                return Err(Failure::usage(problem, "leave --confine out"));
            }
        };
        let confined = sandbox != Provider::Recording || confine != Confine::Off;
        if !confined && named.iter().any(|paths| !paths.is_empty()) {
            let problem = "--allow-read and --allow-write are for what is confined";
            return Err(Failure::usage(problem, "--sandbox process"));
        }
        let of = Of {
            harness,
            mode,
            sandbox,
            confine,
            alone,
        };
        let said = Said {
            egress: run.egress,
            allow: run.egress_allow,
        };
        let way_out = WayOut::resolve(said, &config, of)?;
        let repository = repository(config::first(run.repo, "AGP_REPO", None))?;
        let task = config::first(run.task, "AGP_TASK", None);
        if harness.is_program() {
            if task.is_none() {
                return Err(Failure::usage(
                    "a harness needs a task",
                    "--task \"what to do\"",
                ));
            }
            if run.script.is_some() {
                return Err(Failure::usage(
                    "--script is for --intendant scripted",
                    "leave it out",
                ));
            }
            let check_arguments = match harness {
                Harness::Codex => codex::check_arguments,
                _ => claude_code::check_arguments,
            };
            check_arguments(&run.harness_arg)
                .and_then(|()| crate::intendants::environment::check_names(&run.harness_env))
                .map_err(|problem| Failure::usage(problem, "leave the argument out"))?;
        } else if !run.harness_arg.is_empty() || !run.harness_env.is_empty() {
            let problem = "--harness-arg and --harness-env are for a harness, not for a script";
            return Err(Failure::usage(problem, "--intendant claude-code"));
        }
        Ok(Self {
            harness,
            mode,
            mode_reason,
            sandbox,
            container,
            confine,
            alone,
            way_out,
            allow_read: absolute(&run.allow_read)?,
            allow_write: absolute(&run.allow_write)?,
            task,
            repository,
            script: run.script,
            approval_deadline: config::approval_deadline(run.approval_timeout, &config)?,
            auto_approve: env::var_os("AGP_AUTO_APPROVE").is_some_and(|value| value == "1"),
            slack,
            stream: match run.stream.as_deref() {
                None | Some("lines") => Stream::Lines,
                Some("raw") => Stream::Raw,
                Some(other) => return Err(unknown("--stream", other, "lines or raw")),
            },
            probe: harness != Harness::Scripted && !run.no_probe,
            witness: match run.witness.as_deref() {
                None | Some("on") => true,
                Some("off") => false,
                Some(other) => return Err(unknown("--witness", other, "on or off")),
            },
            harness_args: run.harness_arg,
            harness_env: run.harness_env,
            harness_login: harness_container::login(run.harness_login, alone, inside)?,
            threads_strict,
        })
    }
}

fn unknown(flag: &str, value: &str, known: &str) -> Failure {
    Failure::usage(
        format!("{flag} {value:?} is not known"),
        format!("{flag} takes {known}"),
    )
}

fn not_here(what: &str, instead: &str) -> Failure {
    Failure::refused(format!("{what} is not in this version of agp"), instead)
}

/// Whoever asks for a harness's identity to be checked must not believe that it is.
fn identity(config: &Config) -> Result<(), Failure> {
    let asked = config.identity.as_ref();
    match asked.and_then(|identity| identity.mode.as_deref()) {
        None | Some("off") => Ok(()),
        Some("strict") => Err(not_here(
            "the check of a harness's identity (identity.mode strict)",
            "identity.mode off in config.json; its program's digest is in the journal either way",
        )),
        Some(other) => Err(unknown("identity.mode", other, "off or strict")),
    }
}

fn harness(flag: Option<String>, config: &Config) -> Result<Harness, Failure> {
    match config::first(flag, "AGP_INTENDANT", config.intendant.clone()).as_deref() {
        None | Some("scripted") => Ok(Harness::Scripted),
        Some("claude-code") => Ok(Harness::ClaudeCode),
        Some("codex") => Ok(Harness::Codex),
        Some(other) => Err(unknown(
            "--intendant",
            other,
            "scripted, claude-code or codex",
        )),
    }
}

fn channel(flag: Option<String>, config: &Config) -> Result<Option<Slack>, Failure> {
    match config::first(flag, "AGP_CHANNEL", config.channel.clone()).as_deref() {
        None | Some("console") => Ok(None),
        Some("slack") => slack::settings(config).map(Some),
        Some(other) => Err(unknown("--channel", other, "console or slack")),
    }
}

/// Paths as they are, links followed: what is allowed is what is there now.
pub(super) fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let found = paths.iter().map(|path| {
        path.canonicalize().map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            Failure::usage(problem, "name a path that is there")
        })
    });
    found.collect()
}

/// The mode and why it is this one.
pub(super) fn mode(flag: Option<&str>, harness: Harness) -> Result<(Mode, &'static str), Failure> {
    match (flag, harness) {
        (None | Some("mediated"), Harness::Scripted) => Ok((Mode::Mediated, "a script")),
        (Some("hook"), Harness::Scripted) => Err(Failure::usage(
            "a script has no hooks: agp runs its calls itself",
            "leave --mode out",
        )),
        (Some("hook"), _) => Ok((Mode::Hook, "as asked")),
        (Some("mediated"), _) => Ok((Mode::Mediated, "as asked")),
        (None, Harness::Codex) => Ok((
            Mode::Mediated,
            "Codex runs a call whose hook was killed or hangs",
        )),
        // One that is not found is told of where it is needed.
        (None, Harness::ClaudeCode) => match claude_code::find() {
            Ok(found) if !found.fails_closed => Ok((
                Mode::Mediated,
                "this Claude Code runs a call whose hook fails",
            )),
            _ => Ok((Mode::Hook, "Claude Code blocks a call whose hook fails")),
        },
        (Some(other), _) => Err(unknown("--mode", other, "hook or mediated")),
    }
}

pub(super) fn confine(
    flag: Option<&str>,
    harness: Harness,
    mode: Mode,
) -> Result<Confine, Failure> {
    match (flag, harness, mode) {
        (Some(other), _, _) if !["strict", "best-effort"].contains(&other) => {
            Err(unknown("--confine", other, "strict or best-effort"))
        }
        // agp's own threads are all there is.
        (_, Harness::Scripted, _) => Ok(Confine::Off),
        // Its own sandbox, which keeps its commands off the network, needs namespaces, and there
        // are no further ones inside.
        (Some("best-effort"), Harness::Codex, Mode::Hook) => Ok(Confine::Off),
        (_, Harness::Codex, Mode::Hook) => Err(Failure::refused(
            "Codex cannot be confined in hook mode: its own sandbox could not stand inside agp's",
            "--mode mediated; or --confine best-effort, which then runs it unconfined",
        )),
        (None | Some("strict"), _, _) => Ok(Confine::Strict),
        (Some(_), _, _) => Ok(Confine::BestEffort),
    }
}

/// Which sandbox is asked for.
fn provider(
    flag: Option<String>,
    config: &Config,
    harness: Harness,
) -> Result<Option<String>, Failure> {
    let file = config.sandbox.clone().unwrap_or_default().provider;
    for (name, of) in [
        ("AGP_CLAUDE_SANDBOX", Harness::ClaudeCode),
        ("AGP_CODEX_SANDBOX", Harness::Codex),
    ] {
        match env::var(name).ok().as_deref() {
            None | Some("") => {}
            Some("docker") if harness == of && flag.is_none() => {
                return Ok(Some("docker".to_owned()));
            }
            Some("docker") => {}
            Some(other) => return Err(unknown(name, other, "docker")),
        }
    }
    Ok(config::first(flag, "AGP_SANDBOX", file))
}

fn sandbox(asked: Option<&str>, harness: Harness, mode: Mode) -> Result<Provider, Failure> {
    match (asked, harness, mode) {
        (None, Harness::Scripted, _) | (Some("recording"), Harness::Scripted, _) => {
            Ok(Provider::Recording)
        }
        (Some("process"), Harness::Scripted, _) | (None | Some("process"), _, Mode::Mediated) => {
            Ok(Provider::Process)
        }
        // Nothing of agp's runs there.
        (None, _, Mode::Hook) => Ok(Provider::Recording),
        (Some("recording"), _, _) => Err(Failure::usage(
            "the recording sandbox runs nothing, and a harness's calls must run",
            "leave --sandbox out, or use --intendant scripted",
        )),
        (Some("process"), _, Mode::Hook) => Err(not_here(
            "a harness in the process sandbox",
            "--mode mediated, whose tools run there",
        )),
        (Some("docker"), Harness::Codex, Mode::Hook) => Err(not_here(
            "Codex in a container in hook mode",
            "leave --mode out: agp runs its tools in a container, and Codex in another",
        )),
        (Some("docker"), _, _) => Ok(Provider::Docker),
        (Some(other), _, _) => Err(unknown("--sandbox", other, "recording, process or docker")),
    }
}

fn repository(asked: Option<String>) -> Result<PathBuf, Failure> {
    let path = asked.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let found = path.canonicalize().ok().filter(|path| path.is_dir());
    found.ok_or_else(|| {
        let problem = format!("{} is not a directory that can be entered", path.display());
        Failure::usage(problem, "--repo DIR")
    })
}
