//! `agp doctor`: whether a session would hold, part by part, before one is started.

use std::fs;
use std::sync::Arc;

use argh::FromArgs;
use serde::Serialize;

use crate::contracts::fold::Next;
use crate::contracts::plural::count;
use crate::intendants::confined_query::Search;
use crate::intendants::{claude_code, codex};
use crate::journal::redact::Screen;
use crate::journal::{Journal, OpenError, last_event};
use crate::policy::Policy;
use crate::report::failure::{Failure, Outcome, exit, help_with, say_folded, try_say};
use crate::session::config::{self, Config};
use crate::session::harness_origin::changeable_here;
use crate::session::home::Home;
use crate::session::key_rotation::settle_rotation;
use crate::session::kinds::Harness;
use crate::session::lease;
use crate::session::policy_file::{PolicySource, load_policy};
use crate::session::resolve;

/// Check the installation before a session; exit 1 if anything needed is missing or broken.
#[derive(FromArgs)]
#[argh(subcommand, name = "doctor")]
pub(super) struct Doctor {
    /// run one check: signing, policy, journal, harness, docker, slack, sandbox, attend, confinement
    #[argh(option)]
    check: Option<String>,
    /// also test the gate: run the harness against a built-in model (no account needed)
    #[argh(switch)]
    live: bool,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Ok,
    /// What it reads is not there.
    Missing,
    /// It is there, and is not what it must be.
    Failed,
    NotNeeded,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "MISSING",
            Self::Failed => "FAILED",
            Self::NotNeeded => "not needed",
        }
    }
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<String>,
}

/// What a check that did not fail found.
struct Found {
    status: Status,
    detail: String,
    mend: Option<String>,
}

/// How a finding goes on: below its text.
const DETAIL: Next = Next {
    indent: 25,
    ..Next::MESSAGE
};

/// `named` says that this check was asked for, and not all of them.
type Check = fn(&Home, named: bool) -> Result<Found, Failure>;

const CHECKS: [(&str, Check); 9] = [
    ("signing", signing),
    ("policy", policy),
    ("journal", journal),
    ("harness", harness),
    ("docker", docker),
    ("slack", slack),
    ("sandbox", sandbox),
    ("attend", attend),
    ("confinement", confinement),
];

pub(super) fn doctor(home: &Home, command: &Doctor) -> Outcome {
    let is_wanted = |name: &str| command.check.as_deref().is_none_or(|wanted| wanted == name);
    let mut findings: Vec<Finding> = CHECKS
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, check)| finding(home, name, check(home, command.check.is_some())))
        .collect();
    if command.live {
        findings.push(finding(
            home,
            "gate",
            configured(home)
                .and_then(|harness| {
                    crate::session::probe::probe(&crate::session::probe::TrialOptions::of(
                        home, harness,
                    )?)
                })
                .and_then(ok),
        ));
    }
    if findings.is_empty() {
        let known: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        return Err(Failure::usage(
            format!(
                "unknown check {:?}",
                command.check.as_deref().unwrap_or_default()
            ),
            format!("use --check with one of {}", known.join(", ")),
        ));
    }
    let sound = findings
        .iter()
        .all(|finding| !matches!(finding.status, Status::Missing | Status::Failed));
    if command.json {
        try_say(serde_json::json!({"ok": sound, "checks": findings}));
    } else {
        for finding in &findings {
            say_folded(
                &format!(
                    "{:<12} {:<11} {}",
                    finding.check,
                    finding.status.word(),
                    finding.detail
                ),
                DETAIL,
            );
            // Asked for by its name a check tells all that it found.
            let all = command.check.is_some();
            for line in finding.more.iter().filter(|_| all) {
                say_folded(&format!("{:24} {line}", ""), DETAIL);
            }
            if let Some(mend) = &finding.mend {
                say_folded(&format!("{:24} help: {mend}", ""), DETAIL);
            }
        }
    }
    Ok(if sound { 0 } else { exit::REFUSED })
}

fn finding(home: &Home, check: &'static str, outcome: Result<Found, Failure>) -> Finding {
    let absent = match check {
        "signing" => !home.private_key().exists(),
        "policy" => !home.policy().exists(),
        _ => false,
    };
    match outcome {
        Ok(found) => {
            let mut lines = found.detail.lines().map(str::to_owned);
            Finding {
                check,
                status: found.status,
                detail: lines.next().unwrap_or_default(),
                mend: found.mend,
                more: lines.collect(),
            }
        }
        Err(failure) => Finding {
            check,
            status: if absent {
                Status::Missing
            } else {
                Status::Failed
            },
            detail: failure.problem,
            mend: Some(failure.mend),
            more: Vec::new(),
        },
    }
}

fn ok(detail: impl Into<String>) -> Result<Found, Failure> {
    Ok(Found {
        status: Status::Ok,
        detail: detail.into(),
        mend: None,
    })
}

fn not_needed(detail: impl Into<String>) -> Result<Found, Failure> {
    Ok(Found {
        status: Status::NotNeeded,
        ..ok(detail)?
    })
}

/// What would stand in the way, were it needed.
fn would_fail(failure: Failure) -> Result<Found, Failure> {
    Ok(Found {
        mend: Some(failure.mend),
        ..not_needed(failure.problem)?
    })
}

fn signing(home: &Home, _named: bool) -> Result<Found, Failure> {
    let key = home.signing_key()?;
    let path = home.public_key();
    let public = crate::report::verification::read_key(&path).map_err(|problem| {
        Failure::refused(
            format!("{}: {problem}", path.display()),
            "run `agp keygen --force`",
        )
    })?;
    if public != *key.public() {
        let problem = format!("{} does not match the private key", path.display());
        return Err(Failure::refused(
            problem,
            "restore both key files, or run `agp keygen --force`",
        ));
    }
    ok(format!("key {}", public.id()))
}

fn policy(home: &Home, _named: bool) -> Result<Found, Failure> {
    let policy = load_policy(home)?;
    let config = Config::load(home)?;
    for (path, project) in &config.projects {
        let Some(named) = project.policy.as_deref() else {
            continue;
        };
        let source = PolicySource::of_project(named, home);
        let file = source.shown(home);
        Policy::parse(&source.text(home)?).map_err(|error| {
            let (path, file) = (path.display(), file.display());
            Failure::refused(
                format!("project {path}: {file}: {error}"),
                format!("fix the file, then run `agp policy check {file}`"),
            )
        })?;
    }
    let projects = match config.projects.len() {
        0 => String::new(),
        some => format!("; {} of their own", count(some, "project")),
    };
    ok(format!(
        "{}, sha256 {}; {}{projects}",
        count(policy.len(), "rule"),
        policy.digest(),
        super::policy::summary(home)
    ))
}

fn journal(home: &Home, _named: bool) -> Result<Found, Failure> {
    let paths = home.journal();
    if fs::metadata(&paths.log).map_or(true, |meta| meta.len() == 0) {
        return ok("no journal yet; the first session creates it");
    }
    if lease::live(home) == 0 {
        settle_rotation(home)?;
        // Opening checks the tail against the head, and mends what a crash left.
        let (journal, _) = Journal::open(
            &paths,
            home.signing_key()?,
            &home.retired()?,
            Arc::new(Screen::new(&[])),
        )
        .map_err(|error| {
            let mend = match &error {
                OpenError::Io { path, error } => help_with(path, error, "run `agp verify`"),
                OpenError::Damaged { .. } => "run `agp verify`".into(),
            };
            Failure::refused(error, mend)
        })?;
        journal.close();
    }
    let last = last_event(&paths.log).map_or(0, |last| last.seq);
    let last_events = count(last, "event");
    ok(format!(
        "{} ({last_events}; end verified, `agp verify` checks all)",
        paths.log.display()
    ))
}

/// The harness that the configuration or the environment names; Claude Code where neither does.
fn configured(home: &Home) -> Result<Harness, Failure> {
    let named = resolve::harness(None, &Config::load(home)?)?;
    Ok(named.unwrap_or(Harness::ClaudeCode))
}

fn harness(home: &Home, _named: bool) -> Result<Found, Failure> {
    let needed = resolve::harness(None, &Config::load(home)?)?.is_some();
    let search = Search {
        changeable: changeable_here(),
        ..Search::default()
    };
    let (install, name, login, mend) = match configured(home)? {
        Harness::Codex => (
            codex::find(&search).map(|install| (install.version, install.program)),
            "Codex",
            match codex::login_present() {
                true => Ok("login present".to_owned()),
                false => Err("no login".to_owned()),
            },
            "run `codex login`, or set CODEX_API_KEY",
        ),
        Harness::ClaudeCode => (
            claude_code::find(&search).map(|install| (install.version, install.program)),
            "Claude Code",
            claude_code::login()
                .map(|place| format!("login: {place}"))
                .map_err(|why| format!("no login: {why}")),
            "log in with `claude`, or set ANTHROPIC_API_KEY",
        ),
    };
    match install {
        Ok((version, program)) => {
            let missing = login.is_err();
            let (Ok(state) | Err(state)) = login;
            let detail = format!("{name} {version} at {}, {state}", program.display());
            match missing {
                true if needed => Err(Failure::refused(detail, mend)),
                true => Ok(Found {
                    mend: Some(mend.into()),
                    ..ok(detail)?
                }),
                false => ok(detail),
            }
        }
        Err(error) if needed => Err(error.into()),
        Err(error) => would_fail(error.into()),
    }
}

fn docker(home: &Home, named: bool) -> Result<Found, Failure> {
    let file = Config::load(home)?.sandbox.unwrap_or_default();
    let is_docker = |name: &str| std::env::var(name).is_ok_and(|value| value == "docker");
    let needed = named
        || config::first(None, "AGP_SANDBOX", file.provider).as_deref() == Some("docker")
        || is_docker("AGP_CLAUDE_SANDBOX")
        || is_docker("AGP_CODEX_SANDBOX");
    let image = config::first(None, "AGP_SANDBOX_IMAGE", file.image);
    match crate::session::docker::container::meet() {
        Ok(engine) => ok(crate::session::docker::container::examine(
            home,
            &engine,
            image.as_deref(),
        )?),
        Err(failure) if needed => Err(failure),
        Err(failure) => would_fail(failure),
    }
}

fn slack(home: &Home, named: bool) -> Result<Found, Failure> {
    let config = Config::load(home)?;
    match config::first(None, "AGP_CHANNEL", config.channel.clone()).as_deref() {
        Some("slack") => crate::session::slack::examine(home, &config).and_then(ok),
        // What is set up can be tried before it is used, and until then stands in nobody's way.
        None | Some("console") if crate::session::slack::is_set_up(&config) => {
            match crate::session::slack::examine(home, &config) {
                Ok(detail) => ok(detail),
                Err(failure) if named => Err(failure),
                Err(failure) => would_fail(failure),
            }
        }
        None | Some("console") => not_needed("approvals go to the console"),
        Some(other) => Err(Failure::refused(
            format!("unknown approval channel {other:?}"),
            "set channel to console or slack",
        )),
    }
}

fn sandbox(home: &Home, _named: bool) -> Result<Found, Failure> {
    let config = Config::load(home)?;
    let provider = config.sandbox.and_then(|sandbox| sandbox.provider);
    match config::first(None, "AGP_SANDBOX", provider).as_deref() {
        Some("recording") => ok("recording (scripts only); a harness runs on this host"),
        None => match crate::session::sandbox::permitted(home) {
            Ok(detail) => ok(format!("{detail}; a harness runs on this host")),
            Err(failure) => not_needed(format!("recording (scripts only); {}", failure.problem)),
        },
        Some("process") => ok(crate::session::sandbox::permitted(home)?),
        Some("docker") => ok("docker; `agp doctor --check docker` checks the daemon"),
        Some(other) => Err(Failure::refused(
            format!("unknown sandbox {other:?}"),
            "set the sandbox to recording, process or docker",
        )),
    }
}

fn attend(home: &Home, _named: bool) -> Result<Found, Failure> {
    match crate::session::attend::tried(home)? {
        Some(detail) => ok(detail),
        None => not_needed("no process sandbox here to try it from; a container never has it"),
    }
}

fn confinement(_home: &Home, _named: bool) -> Result<Found, Failure> {
    let tried = super::doctor_confinement::show()?;
    let [made, refused, killed] = tried.counts;
    let mut detail = format!(
        "Landlock ABI {}, seccomp; {} tried as expected ({made} allowed, {refused} denied, \
        {killed} killed)",
        tried.standing.landlock,
        count(made + refused + killed, "operation")
    );
    for line in tried.threads {
        detail.push('\n');
        detail.push_str(&line);
    }
    ok(detail)
}
