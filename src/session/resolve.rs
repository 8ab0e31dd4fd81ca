//! What a session is asked to be, from flags, environment and configuration.

use std::env;
use std::path::PathBuf;

use crate::channels::slack::Settings as Slack;
use crate::intendants::confined_query::Search;
use crate::intendants::{claude_code, codex};

use super::config::{self, Config};
use super::docker::{container, harness};
use super::egress::{Said, WayOut};
use super::harness_origin::changeable;
use super::home::Home;
use super::kinds::{Choices, Confine, Harness, Mode, Provider, Stream, absolute, unknown};
use super::options::{Run, SessionOptions};
use super::slack;
use crate::report::failure::Failure;

impl SessionOptions {
    /// Flag beats environment beats `config.json` beats default; whatever is asked for and not
    /// there is refused, never replaced by something weaker.
    pub(crate) fn resolve(home: &Home, run: Run) -> Result<Self, Failure> {
        let config = Config::load(home)?;
        identity(&config)?;
        let harness = harness(run.intendant, &config)?;
        let slack = channel(run.channel, &config)?;
        let provider = provider(run.sandbox, &config, harness)?;
        let repository = repository(config::first(run.repo, "AGP_REPO", None))?;
        let allow_read = absolute(&run.allow_read)?;
        let allow_write = absolute(&run.allow_write)?;
        // Nothing is confined yet, and so nothing has to start it for this thread.
        let search = Search {
            changeable: changeable(&repository, &allow_write, &allow_read),
            spawner: None,
            unconfined: run.confine.as_deref() == Some("best-effort"),
        };
        let (mode, mode_reason) = match (run.mode.as_deref(), harness, provider.as_deref()) {
            // Which one is in the image is asked once the container is there.
            (None, Harness::ClaudeCode, Some("docker")) => (Mode::Hook, "in a container"),
            (None, Harness::Codex, Some("docker")) => (Mode::Mediated, "in a container"),
            (flag, _, _) => mode(flag, harness, &search)?,
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
            _ if !inside && !alone => confine(run.confine.as_deref(), harness)?,
            None => Confine::Off,
            Some(_) => {
                let problem = "--confine applies only to a harness on this host";
                return Err(Failure::usage(problem, "omit --confine"));
            }
        };
        let confined = sandbox != Provider::Recording || confine != Confine::Off;
        if !confined && named.iter().any(|paths| !paths.is_empty()) {
            let problem = "--allow-read and --allow-write need a sandbox";
            return Err(Failure::usage(problem, "add --sandbox process"));
        }
        let choices = Choices {
            harness,
            mode,
            sandbox,
            alone,
        };
        let said = Said {
            egress: run.egress,
            allow: run.egress_allow,
        };
        let way_out = WayOut::resolve(said, &config, choices)?;
        if !harness.is_program() && run.task.is_some() {
            let problem = "--task needs a harness; a script has no task";
            return Err(Failure::usage(
                problem,
                "add --intendant claude-code or codex",
            ));
        }
        let task = config::first(run.task, "AGP_TASK", None);
        if run.task_command && harness != Harness::ClaudeCode {
            let problem = "--task-command works only with Claude Code";
            return Err(Failure::usage(problem, "omit --task-command"));
        }
        if harness.is_program() {
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
                _ => claude_code::check_arguments,
            };
            check_arguments(&run.harness_arg)
                .and_then(|()| crate::intendants::environment::check_names(&run.harness_env))
                .map_err(|problem| Failure::usage(problem, "omit this argument"))?;
        } else if !run.harness_arg.is_empty() || !run.harness_env.is_empty() {
            let problem = "--harness-arg and --harness-env need a harness; a script has none";
            return Err(Failure::usage(problem, "add --intendant claude-code"));
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
            allow_read,
            allow_write,
            task,
            task_command: run.task_command,
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
            harness_login: harness::login(run.harness_login, alone, inside)?,
            threads_strict,
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

/// The mode and why it is this one.
pub(crate) fn mode(
    flag: Option<&str>,
    harness: Harness,
    search: &Search,
) -> Result<(Mode, &'static str), Failure> {
    match (flag, harness) {
        (None | Some("mediated"), Harness::Scripted) => Ok((Mode::Mediated, "a script")),
        (Some("hook"), Harness::Scripted) => Err(Failure::usage(
            "--mode does not apply to a script: it has no hooks",
            "omit --mode",
        )),
        (Some("hook"), Harness::Codex) => Err(Failure::usage(
            "Codex does not support hook mode: it runs a call whose hook was killed or hangs",
            "omit --mode: Codex uses mediated mode",
        )),
        (Some("hook"), _) => Ok((Mode::Hook, "requested")),
        (Some("mediated"), _) => Ok((Mode::Mediated, "requested")),
        (None, Harness::Codex) => Ok((Mode::Mediated, "Codex supports no other")),
        // One that is not found is told of where it is needed.
        (None, Harness::ClaudeCode) => match claude_code::find(search) {
            Ok(found) if !found.fails_closed => Ok((
                Mode::Mediated,
                "this Claude Code runs a call when its hook fails",
            )),
            _ => Ok((Mode::Hook, "Claude Code blocks a call when its hook fails")),
        },
        (Some(other), _) => Err(unknown("--mode", other, "hook or mediated")),
    }
}

pub(crate) fn confine(flag: Option<&str>, harness: Harness) -> Result<Confine, Failure> {
    match (flag, harness) {
        (Some(other), _) if !["strict", "best-effort"].contains(&other) => {
            Err(unknown("--confine", other, "strict or best-effort"))
        }
        // agp's own threads are all there is.
        (_, Harness::Scripted) => Ok(Confine::Off),
        (None | Some("strict"), _) => Ok(Confine::Strict),
        (Some(_), _) => Ok(Confine::BestEffort),
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

fn sandbox(options: Option<&str>, harness: Harness, mode: Mode) -> Result<Provider, Failure> {
    match (options, harness, mode) {
        (None, Harness::Scripted, _) | (Some("recording"), Harness::Scripted, _) => {
            Ok(Provider::Recording)
        }
        (Some("process"), Harness::Scripted, _) | (None | Some("process"), _, Mode::Mediated) => {
            Ok(Provider::Process)
        }
        // Nothing of agp's runs there.
        (None, _, Mode::Hook) => Ok(Provider::Recording),
        (Some("recording"), _, _) => Err(Failure::usage(
            "the recording sandbox runs nothing, so a harness cannot use it",
            "omit --sandbox, or use --intendant scripted",
        )),
        (Some("process"), _, Mode::Hook) => Err(not_here(
            "a harness in hook mode with the process sandbox",
            "use --mode mediated",
        )),
        (Some("docker"), _, _) => Ok(Provider::Docker),
        (Some(other), _, _) => Err(unknown("--sandbox", other, "recording, process or docker")),
    }
}

fn repository(options: Option<String>) -> Result<PathBuf, Failure> {
    let path = options.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let found = path.canonicalize().ok().filter(|path| path.is_dir());
    found.ok_or_else(|| {
        let problem = format!("cannot enter the repository directory {}", path.display());
        Failure::usage(problem, "--repo DIR")
    })
}
