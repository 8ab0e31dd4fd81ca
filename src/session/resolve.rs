//! What a session is asked to be, from flags, environment and configuration.

use std::env;
use std::path::PathBuf;

use crate::channels::slack::Settings as Slack;
use crate::intendants::confined_query::Search;
use crate::intendants::{claude_code, codex};

use super::config::{self, Config};
use super::docker::{container, harness};
use super::egress::{EgressFlags, WayOut};
use super::harness_origin::changeable;
use super::home::Home;
use super::kinds::{Confine, Harness, Mode, Provider, Stream, absolute, unknown};
use super::layout::{Layout, LayoutRequest};
use super::options::{Run, SessionOptions};
use super::policy_file::PolicySource;
use super::slack;
use crate::report::failure::Failure;

/// The directory for temporary files is there.
fn temporary() -> Result<(), Failure> {
    let directory = std::env::temp_dir();
    match directory.is_dir() {
        true => Ok(()),
        false => Err(Failure::refused(
            format!("TMPDIR: {} is no directory", directory.display()),
            "make it, or unset TMPDIR",
        )),
    }
}

impl SessionOptions {
    /// Flag beats environment beats `config.json` beats default; whatever is asked for and not
    /// there is refused, never replaced by something weaker.
    pub(crate) fn resolve(home: &Home, run: Run) -> Result<Self, Failure> {
        let config = Config::load(home)?;
        identity(&config)?;
        let named_harness = harness(run.intendant, &config)?;
        let slack = channel(run.channel, &config)?;
        let sandbox = provider(run.sandbox, &config, named_harness)?;
        let repository = repository(config::first(run.repo, "AGP_REPO", None))?;
        temporary()?;
        let policy = PolicySource::of(run.policy.as_deref(), &config, home, &repository)?;
        let allow_read = absolute(&run.allow_read)?;
        let allow_write = absolute(&run.allow_write)?;
        // Nothing is confined yet, and so nothing has to start it for this thread.
        let search = Search {
            changeable: changeable(&repository, &allow_write, &allow_read),
            spawner: None,
            unconfined: run.confine.as_deref() == Some("best-effort"),
        };
        let request = LayoutRequest {
            harness: named_harness,
            mode: mode(run.mode.as_deref())?,
            sandbox,
            confine: confine(run.confine.as_deref())?,
        };
        let layout = Layout::of(request, || hook_blocks(&search))?;
        let container = container::requested(run.image, &config, layout.provider())?;
        let named = [&run.allow_read, &run.allow_write];
        if !layout.runs_anything() && named.iter().any(|paths| !paths.is_empty()) {
            let problem = "--allow-read and --allow-write need a sandbox";
            return Err(Failure::usage(problem, "add --sandbox process"));
        }
        let egress_flags = EgressFlags {
            egress: run.egress,
            allow: run.egress_allow,
        };
        let way_out = WayOut::resolve(egress_flags, &config, layout)?;
        let harness = layout.harness();
        if harness.is_none() && run.task.is_some() {
            let problem = "--task needs a harness; a script has no task";
            return Err(Failure::usage(
                problem,
                "add --intendant claude-code or codex",
            ));
        }
        let task = config::first(run.task, "AGP_TASK", None);
        if run.task_command && harness != Some(Harness::ClaudeCode) {
            let problem = "--task-command works only with Claude Code";
            return Err(Failure::usage(problem, "omit --task-command"));
        }
        if let Some(harness) = harness {
            // Claude Code would end at once, and for a cause that has nothing to do with its login.
            if task.as_deref().is_none_or(|task| task.trim().is_empty()) {
                return Err(Failure::usage(
                    "the harness needs a task",
                    "add --task \"what to do\"",
                ));
            }
            if run.script.is_some() {
                return Err(Failure::usage(
                    "--script needs --intendant scripted",
                    "omit --script",
                ));
            }
            let check_arguments = match harness {
                Harness::Codex => codex::check_arguments,
                Harness::ClaudeCode => claude_code::check_arguments,
            };
            check_arguments(&run.harness_arg)
                .and_then(|()| crate::intendants::environment::check_names(&run.harness_env))
                .map_err(|problem| Failure::usage(problem, "omit this argument"))?;
        } else if !run.harness_arg.is_empty() || !run.harness_env.is_empty() {
            let problem = "--harness-arg and --harness-env need a harness; a script has none";
            return Err(Failure::usage(problem, "add --intendant claude-code"));
        }
        Ok(Self {
            layout,
            mode_reason: layout.mode_reason(request.mode),
            container,
            way_out,
            allow_read,
            allow_write,
            task,
            task_command: run.task_command,
            repository,
            policy,
            script: run.script,
            approval_deadline: config::approval_deadline(run.approval_timeout, &config)?,
            approval_queue: config::approval_queue(&config),
            approval_bell: config::approval_bell(&config),
            groups: config.groups().map_err(|error| {
                Failure::refused(format!("config.json: {error}"), "fix the file")
            })?,
            auto_approve: env::var_os("AGP_AUTO_APPROVE").is_some_and(|value| value == "1"),
            attend: run.attend || config::attend(&config),
            slack,
            stream: match run.stream.as_deref() {
                None | Some("lines") => Stream::Lines,
                Some("raw") => Stream::Raw,
                Some(other) => return Err(unknown("--stream", other, "lines or raw")),
            },
            probe: harness.is_some() && !run.no_probe,
            witness: match run.witness.as_deref() {
                None | Some("on") => true,
                Some("off") => false,
                Some(other) => return Err(unknown("--witness", other, "on or off")),
            },
            harness_args: run.harness_arg,
            harness_env: run.harness_env,
            harness_login: harness::login(run.harness_login, layout)?,
            threads_strict: request.confine != Some(Confine::BestEffort),
        })
    }
}

fn not_here(what: &str, instead: &str) -> Failure {
    Failure::refused(format!("not supported: {what}"), instead)
}

/// Whoever asks for a harness's identity to be checked must not believe that it is.
fn identity(config: &Config) -> Result<(), Failure> {
    let options = config.identity.as_ref();
    match options.and_then(|identity| identity.mode.as_deref()) {
        None | Some("off") => Ok(()),
        Some("strict") => Err(not_here(
            "checking the harness's identity (identity.mode strict)",
            "set identity.mode to off in config.json; the journal records the program's digest \
            either way",
        )),
        Some(other) => Err(unknown("identity.mode", other, "off or strict")),
    }
}

/// The harness that is asked for; none is a script.
pub(crate) fn harness(flag: Option<String>, config: &Config) -> Result<Option<Harness>, Failure> {
    let name = config::source(flag.is_some(), "--intendant", "AGP_INTENDANT", "intendant");
    match config::first(flag, "AGP_INTENDANT", config.intendant.clone()).as_deref() {
        None | Some("scripted") => Ok(None),
        Some("claude-code") => Ok(Some(Harness::ClaudeCode)),
        Some("codex") => Ok(Some(Harness::Codex)),
        Some(other) => Err(unknown(&name, other, "scripted, claude-code or codex")),
    }
}

fn channel(flag: Option<String>, config: &Config) -> Result<Option<Slack>, Failure> {
    let name = config::source(flag.is_some(), "--channel", "AGP_CHANNEL", "channel");
    match config::first(flag, "AGP_CHANNEL", config.channel.clone()).as_deref() {
        None | Some("console") => Ok(None),
        Some("slack") => slack::settings(config).map(Some),
        Some(other) => Err(unknown(&name, other, "console or slack")),
    }
}

fn mode(flag: Option<&str>) -> Result<Option<Mode>, Failure> {
    match flag {
        None => Ok(None),
        Some("hook") => Ok(Some(Mode::Hook)),
        Some("mediated") => Ok(Some(Mode::Mediated)),
        Some(other) => Err(unknown("--mode", other, "hook or mediated")),
    }
}

/// Whether this host's Claude Code blocks a call whose hook fails. One that is not found is told of where it is
/// needed.
pub(crate) fn hook_blocks(search: &Search) -> bool {
    claude_code::find(search).map_or(true, |install| install.fails_closed)
}

fn confine(flag: Option<&str>) -> Result<Option<Confine>, Failure> {
    match flag {
        None => Ok(None),
        Some("strict") => Ok(Some(Confine::Strict)),
        Some("best-effort") => Ok(Some(Confine::BestEffort)),
        Some(other) => Err(unknown("--confine", other, "strict or best-effort")),
    }
}

/// Which sandbox is asked for.
fn provider(
    flag: Option<String>,
    config: &Config,
    harness: Option<Harness>,
) -> Result<Option<Provider>, Failure> {
    let file = config.sandbox.clone().unwrap_or_default().provider;
    for (name, of) in [
        ("AGP_CLAUDE_SANDBOX", Harness::ClaudeCode),
        ("AGP_CODEX_SANDBOX", Harness::Codex),
    ] {
        match env::var(name).ok().as_deref() {
            None | Some("") => {}
            Some("docker") if harness == Some(of) && flag.is_none() => {
                return Ok(Some(Provider::Docker));
            }
            Some("docker") => {}
            Some(other) => return Err(unknown(name, other, "docker")),
        }
    }
    let name = config::source(
        flag.is_some(),
        "--sandbox",
        "AGP_SANDBOX",
        "sandbox.provider",
    );
    match config::first(flag, "AGP_SANDBOX", file).as_deref() {
        None => Ok(None),
        Some("recording") => Ok(Some(Provider::Recording)),
        Some("process") => Ok(Some(Provider::Process)),
        Some("docker") => Ok(Some(Provider::Docker)),
        Some(other) => Err(unknown(&name, other, "recording, process or docker")),
    }
}

fn repository(named: Option<String>) -> Result<PathBuf, Failure> {
    let path = named.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let refused = |why: &dyn std::fmt::Display| {
        let problem = format!("cannot use the repository {}: {why}", path.display());
        Failure::usage(problem, "pass a directory that you can enter: --repo DIR")
    };
    let directory = path.canonicalize().map_err(|error| refused(&error))?;
    match directory.is_dir() {
        true => Ok(directory),
        false => Err(refused(&"it is not a directory")),
    }
}
