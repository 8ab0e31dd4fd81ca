//! `agp doctor`: whether a session would hold, part by part, before one is started.

use std::fs;
use std::sync::Arc;

use argh::FromArgs;
use serde::Serialize;

use crate::intendants::confined_query::Search;
use crate::intendants::{claude_code, codex};
use crate::journal::redact::Screen;
use crate::journal::{Journal, last_event};
use crate::report::failure::{Failure, Outcome, exit, say};
use crate::session::config::{self, Config};
use crate::session::harness_origin::changeable_here;
use crate::session::home::Home;
use crate::session::key_rotation::settle_rotation;
use crate::session::kinds::Harness;
use crate::session::lease;
use crate::session::policy_file::load_policy;

/// Check that a session would hold: exit 1 when anything needed is missing.
#[derive(FromArgs)]
#[argh(subcommand, name = "doctor")]
pub(super) struct Doctor {
    /// only this check: signing, policy, journal, harness, docker, slack, sandbox, confinement
    #[argh(option)]
    check: Option<String>,
    /// also start the harness against a model of agp's own, and see the gate fire; needs no account
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
    Missing,
    NotNeeded,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "MISSING",
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

/// `named` says that this check was asked for, and not all of them.
type Check = fn(&Home, named: bool) -> Result<(Status, String), Failure>;

const CHECKS: [(&str, Check); 8] = [
    ("signing", signing),
    ("policy", policy),
    ("journal", journal),
    ("harness", harness),
    ("docker", docker),
    ("slack", slack),
    ("sandbox", sandbox),
    ("confinement", confinement),
];

pub(super) fn doctor(home: &Home, command: &Doctor) -> Outcome {
    let asked = |name: &str| command.check.as_deref().is_none_or(|wanted| wanted == name);
    let mut findings: Vec<Finding> = CHECKS
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, check)| finding(name, check(home, command.check.is_some())))
        .collect();
    if command.live {
        findings.push(finding(
            "gate",
            configured(home)
                .and_then(|harness| {
                    crate::session::probe::probe(&crate::session::probe::TrialOptions::of(
                        home, harness,
                    )?)
                })
                .map(|held| (Status::Ok, held)),
        ));
    }
    if findings.is_empty() {
        let known: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        return Err(Failure::usage(
            "there is no such check",
            format!("--check {}", known.join("|")),
        ));
    }
    let sound = findings
        .iter()
        .all(|finding| finding.status != Status::Missing);
    if command.json {
        say(serde_json::json!({"ok": sound, "checks": findings}));
    } else {
        for finding in &findings {
            say(format_args!(
                "{:<12} {:<11} {}",
                finding.check,
                finding.status.word(),
                finding.detail
            ));
            // Asked for by its name a check tells all that it found.
            let all = command.check.is_some();
            for line in finding.more.iter().filter(|_| all) {
                say(format_args!("{:24} {line}", ""));
            }
            if let Some(mend) = &finding.mend {
                say(format_args!("{:24} to mend it: {mend}", ""));
            }
        }
    }
    Ok(if sound { 0 } else { exit::REFUSED })
}

fn finding(check: &'static str, found: Result<(Status, String), Failure>) -> Finding {
    match found {
        Ok((status, detail)) => {
            let mut lines = detail.lines().map(str::to_owned);
            Finding {
                check,
                status,
                detail: lines.next().unwrap_or_default(),
                mend: None,
                more: lines.collect(),
            }
        }
        Err(failure) => Finding {
            check,
            status: Status::Missing,
            detail: failure.problem,
            mend: Some(failure.mend),
            more: Vec::new(),
        },
    }
}

fn ok(detail: impl Into<String>) -> Result<(Status, String), Failure> {
    Ok((Status::Ok, detail.into()))
}

fn not_needed(detail: impl Into<String>) -> Result<(Status, String), Failure> {
    Ok((Status::NotNeeded, detail.into()))
}

fn signing(home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let key = home.signing_key()?;
    let path = home.public_key();
    let public = crate::report::verification::read_key(&path).map_err(|problem| {
        Failure::refused(
            format!("{}: {problem}", path.display()),
            "agp keygen --force",
        )
    })?;
    if public != *key.public() {
        let problem = format!("{} is not the private key's", path.display());
        return Err(Failure::refused(
            problem,
            "restore the pair, or: agp keygen --force",
        ));
    }
    ok(format!("key {}", public.id()))
}

fn policy(home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let policy = load_policy(home)?;
    ok(format!(
        "{} rules, sha256 {}",
        policy.len(),
        policy.digest()
    ))
}

fn journal(home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let paths = home.journal();
    if fs::metadata(&paths.log).map_or(true, |meta| meta.len() == 0) {
        return ok("none yet; the first session begins it");
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
        .map_err(|error| Failure::refused(error, "agp verify"))?;
        journal.close();
    }
    let last = last_event(&paths.log).map_or(0, |last| last.seq);
    ok(format!(
        "{} ({last} events; its end was looked at, agp verify proves all)",
        paths.log.display()
    ))
}

/// The harness that the configuration or the environment names; Claude Code where neither does.
fn configured(home: &Home) -> Result<Harness, Failure> {
    let config = Config::load(home)?;
    let named = config::first(None, "AGP_INTENDANT", config.intendant);
    Ok(match named.as_deref() {
        Some("codex") => Harness::Codex,
        _ => Harness::ClaudeCode,
    })
}

fn harness(home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let config = Config::load(home)?;
    let needed = config::first(None, "AGP_INTENDANT", config.intendant)
        .is_some_and(|name| name != "scripted");
    let search = Search {
        changeable: changeable_here(),
        ..Search::default()
    };
    let (found, name, login, mend) = match configured(home)? {
        Harness::Codex => (
            codex::find(&search).map(|found| (found.version, found.program)),
            "Codex",
            match codex::login_present() {
                true => Ok("login present".to_owned()),
                false => Err("no login".to_owned()),
            },
            "log in with `codex login`, or set CODEX_API_KEY",
        ),
        Harness::ClaudeCode | Harness::Scripted => (
            claude_code::find(&search).map(|found| (found.version, found.program)),
            "Claude Code",
            claude_code::login()
                .map(|place| format!("login: {place}"))
                .map_err(|why| format!("no login: {why}")),
            "log in with `claude`, or set ANTHROPIC_API_KEY",
        ),
    };
    match found {
        Ok((version, program)) => {
            let missing = login.is_err();
            let (Ok(shown) | Err(shown)) = login;
            let detail = format!("{name} {version} at {}, {shown}", program.display());
            if needed && missing {
                return Err(Failure::refused(detail, mend));
            }
            ok(detail)
        }
        Err(error) if needed => Err(Failure::refused(error.problem, error.mend)),
        Err(error) => not_needed(format!("{} ({})", error.problem, error.mend)),
    }
}

fn docker(home: &Home, named: bool) -> Result<(Status, String), Failure> {
    let file = Config::load(home)?.sandbox.unwrap_or_default();
    let asked = |name: &str| std::env::var(name).is_ok_and(|asked| asked == "docker");
    let needed = named
        || config::first(None, "AGP_SANDBOX", file.provider).as_deref() == Some("docker")
        || asked("AGP_CLAUDE_SANDBOX")
        || asked("AGP_CODEX_SANDBOX");
    let image = config::first(None, "AGP_SANDBOX_IMAGE", file.image);
    match crate::session::docker::container::meet() {
        Ok(engine) => ok(crate::session::docker::container::examine(
            home,
            &engine,
            image.as_deref(),
        )?),
        Err(failure) if needed => Err(failure),
        Err(failure) => not_needed(format!("{} ({})", failure.problem, failure.mend)),
    }
}

fn slack(home: &Home, named: bool) -> Result<(Status, String), Failure> {
    let config = Config::load(home)?;
    match config::first(None, "AGP_CHANNEL", config.channel.clone()).as_deref() {
        Some("slack") => crate::session::slack::examine(&config).map(|found| (Status::Ok, found)),
        // What is set up can be tried before it is used, and until then stands in nobody's way.
        None | Some("console") if crate::session::slack::is_set_up(&config) => {
            match crate::session::slack::examine(&config) {
                Ok(found) => ok(found),
                Err(failure) if named => Err(failure),
                Err(failure) => not_needed(format!("{} ({})", failure.problem, failure.mend)),
            }
        }
        None | Some("console") => not_needed("approvals are asked at the console"),
        Some(other) => Err(Failure::refused(
            format!("the channel {other:?} is not known"),
            "channel console or slack",
        )),
    }
}

fn sandbox(home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let config = Config::load(home)?;
    let provider = config.sandbox.and_then(|sandbox| sandbox.provider);
    match config::first(None, "AGP_SANDBOX", provider).as_deref() {
        Some("recording") => ok("recording for scripts; a harness runs on this host"),
        None => match crate::session::sandbox::permitted(home) {
            Ok(told) => ok(format!("{told}; a harness runs on this host")),
            Err(failure) => not_needed(format!("recording for scripts; {}", failure.problem)),
        },
        Some("process") => ok(crate::session::sandbox::permitted(home)?),
        Some("docker") => ok("docker; --check docker looks for the daemon"),
        Some(other) => Err(Failure::refused(
            format!("the sandbox {other:?} is not in this version of agp"),
            "leave the sandbox out",
        )),
    }
}

fn confinement(_home: &Home, _named: bool) -> Result<(Status, String), Failure> {
    let shown = super::doctor_confinement::show()?;
    let [made, refused, killed] = shown.counts;
    let mut told = format!(
        "Landlock ABI {}, seccomp; {made} attempts were made, {refused} refused and {killed} killed, as \
         they must be",
        shown.standing.landlock
    );
    for line in shown.threads {
        told.push('\n');
        told.push_str(&line);
    }
    ok(told)
}
