//! What network a session has: `--egress` and the hosts that it may reach, and the proxies that let
//! it reach them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value, json};

use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::event::Kind;
use crate::egress::{Allowlist, Proxy, ProxyConfig, Record, explained};
use crate::governor::Governor;
use crate::intendants::model_hosts;
use crate::sandbox::docker::container::{BOX, HARNESS_BOX};
use crate::sandbox::network::Network;

use super::config::{self, Config};
use super::kinds::{Choices, Harness, Mode, Provider};
use crate::report::failure::{Failure, complain};

/// Names of the proxies' sockets in the session's directory.
const HARNESS_SOCKET: &str = "egress.sock";
const CALLS_SOCKET: &str = "egress-calls.sock";
/// Refusals that the operator is shown.
const SHOWN: u32 = 20;
/// Characters of a refused host that are shown.
const HOST_CHARS: usize = 260;

/// How much may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EgressScope {
    /// Nothing.
    None,
    /// Everything that this machine reaches.
    Full,
    /// These hosts.
    Listed(Allowlist),
}

/// What the two sides of a session may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WayOut {
    /// What agp runs itself.
    pub(crate) calls: EgressScope,
    /// The harness, and what it runs itself.
    pub(crate) harness: EgressScope,
}

/// What was said of it.
pub(crate) struct Said {
    pub(crate) egress: Option<String>,
    pub(crate) allow: Vec<String>,
}

impl WayOut {
    /// Flag beats environment beats `config.json` beats the default: nothing for what agp runs
    /// itself, the host's network for a harness.
    pub(crate) fn resolve(said: Said, config: &Config, of: Choices) -> Result<Self, Failure> {
        let file = config.sandbox.as_ref();
        let named = !said.allow.is_empty();
        let options = match (said.egress, named) {
            (None, true) => Some("allowlist".to_owned()),
            (flag, _) => {
                let file = file.and_then(|sandbox| sandbox.egress.clone());
                config::first(flag, "AGP_SANDBOX_EGRESS", file)
            }
        };
        let runs_calls = of.sandbox != Provider::Recording;
        let program = of.harness.is_program();
        if !runs_calls && !program {
            return match options.as_deref() {
                None | Some("none") => Ok(Self::nothing()),
                Some(_) => Err(Failure::usage(
                    "--egress has no effect: the recording sandbox runs nothing",
                    "add --sandbox process",
                )),
            };
        }
        let reach = match options.as_deref() {
            // It must reach its model, and is not given more for that.
            None if of.harness_inside() => EgressScope::Listed(list(said.allow.clone(), file)?),
            None | Some("none") => EgressScope::None,
            Some("full") => EgressScope::Full,
            Some("allowlist") => EgressScope::Listed(list(said.allow.clone(), file)?),
            Some(other) => {
                let problem = format!("unknown --egress {other:?}");
                return Err(Failure::usage(problem, "use none, full or allowlist"));
            }
        };
        if named && !matches!(reach, EgressScope::Listed(_)) {
            let problem = "--egress-allow needs --egress allowlist";
            return Err(Failure::usage(problem, "add --egress allowlist"));
        }
        if options.as_deref() == Some("none") && program && of.mode == Mode::Hook {
            return Err(Failure::usage(
                "--egress none would cut the harness off from its model",
                "use --egress allowlist: it allows the model's API only",
            ));
        }
        if of.harness_inside() {
            let calls = match reach {
                EgressScope::Listed(listed) => EgressScope::Listed(with_its_model(&listed, of)?),
                reach => reach,
            };
            let harness = EgressScope::None;
            return Ok(Self { calls, harness });
        }
        let harness = match &reach {
            _ if !program => EgressScope::None,
            EgressScope::None if of.alone => {
                EgressScope::Listed(with_its_model(&Allowlist::default(), of)?)
            }
            EgressScope::None | EgressScope::Full => EgressScope::Full,
            EgressScope::Listed(listed) => EgressScope::Listed(with_its_model(listed, of)?),
        };
        let calls = match reach {
            _ if !runs_calls => EgressScope::None,
            // A list of nothing is no way out.
            EgressScope::Listed(listed) if listed.is_empty() => EgressScope::None,
            reach => reach,
        };
        Ok(Self { calls, harness })
    }

    pub(crate) fn nothing() -> Self {
        Self {
            calls: EgressScope::None,
            harness: EgressScope::None,
        }
    }

    /// Whether anything has a way out to listed hosts.
    pub(crate) fn is_listed(&self) -> bool {
        let mut both = [&self.calls, &self.harness].into_iter();
        both.any(|reach| matches!(reach, EgressScope::Listed(_)))
    }

    /// The network of what agp runs itself.
    pub(crate) fn calls_network(&self, directory: &Path) -> Network {
        self.calls.network(&directory.join(CALLS_SOCKET))
    }

    /// The network of the harness.
    pub(crate) fn harness_network(&self, directory: &Path) -> Network {
        self.harness.network(&directory.join(HARNESS_SOCKET))
    }

    /// Starts the proxies that this needs; `container` is the user that calls have in a container.
    /// They end when they are dropped.
    ///
    /// # Errors
    /// When one cannot listen.
    pub(crate) fn open(
        &self,
        directory: &Path,
        governor: &Arc<Governor>,
        terminal: &Arc<Terminal>,
        (of, container): (Choices, Option<u32>),
    ) -> Result<Vec<Proxy>, String> {
        let record = recorder(governor, terminal);
        let mut proxies = Vec::new();
        let calls_are = if of.harness_inside() {
            "harness"
        } else {
            "call"
        };
        for (reach, name, from) in [
            (&self.harness, HARNESS_SOCKET, "harness"),
            (&self.calls, CALLS_SOCKET, calls_are),
        ] {
            if let EgressScope::Listed(list) = reach {
                let own = rustix::process::geteuid().as_raw();
                // What calls in a container find is in the directory that it has.
                let (directory, user) = match container {
                    Some(user) if name == CALLS_SOCKET => (directory.join(BOX), user),
                    Some(user) if of.alone => (directory.join(HARNESS_BOX), user),
                    _ => (directory.to_owned(), own),
                };
                let socket = directory.join(name);
                let mut setup = ProxyConfig::new(socket, from, list.clone(), Arc::clone(&record));
                setup.user = user;
                let proxy = Proxy::start(setup).map_err(|error| format!("{name}: {error}"))?;
                proxies.push(proxy);
            }
        }
        Ok(proxies)
    }

    /// Says it to whoever starts the session.
    pub(crate) fn announce(&self, of: Choices) {
        let words = |reach: &EgressScope| match reach {
            EgressScope::None => "nothing".to_owned(),
            EgressScope::Full => "everything that this host can reach".to_owned(),
            EgressScope::Listed(list) => format!("only {}", list.entries().join(" ")),
        };
        if of.harness.is_program() && matches!(self.harness, EgressScope::Listed(_)) {
            complain(format_args!(
                "egress: the harness can reach {}",
                words(&self.harness)
            ));
        }
        if self.calls == EgressScope::Full {
            let who = match (of.harness_inside(), of.alone) {
                (true, _) => "the harness has",
                (_, true) => "commands and the harness have",
                _ => "commands have",
            };
            complain(format_args!(
                "WARNING: --egress full: {who} unrestricted network access"
            ));
        } else if matches!(self.calls, EgressScope::Listed(_)) {
            let who = match of.harness_inside() {
                true => "the harness",
                false => "commands",
            };
            complain(format_args!(
                "egress: {who} can reach {}",
                words(&self.calls)
            ));
        }
    }

    /// What the session's tools may reach, whoever runs them.
    fn main(&self, of: Choices) -> &EgressScope {
        let on_host = of.harness.is_program() && of.mode == Mode::Hook && !of.harness_inside();
        if on_host { &self.harness } else { &self.calls }
    }

    /// What an approver is told of it.
    pub(crate) fn shown(&self, of: Choices) -> String {
        match self.main(of) {
            EgressScope::Listed(list) => list.entries().join(" "),
            reach => reach.word().to_owned(),
        }
    }

    /// What `session.started` says of it.
    pub(crate) fn describe(&self, of: Choices, put: &mut dyn FnMut(&str, Value)) {
        let harness = &self.harness;
        let main = self.main(of);
        put("egress", json!(main.word()));
        if let EgressScope::Listed(list) = main {
            put("egressAllowed", json!(list.entries()));
        }
        // A harness that runs its own tools reaches what they do; a script has none.
        let reached = match of.mode {
            Mode::Hook => main,
            Mode::Mediated => harness,
        };
        let reached = of.harness.is_program().then(|| reached.word());
        put("harnessEgress", json!(reached));
        if let EgressScope::Listed(list) = harness
            && of.harness.is_program()
            && of.mode == Mode::Mediated
        {
            put("harnessEgressAllowed", json!(list.entries()));
        }
    }
}

impl EgressScope {
    fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Full => "full",
            Self::Listed(_) => "allowlist",
        }
    }

    fn network(&self, socket: &Path) -> Network {
        match self {
            Self::None => Network::Off,
            Self::Full => Network::Host,
            Self::Listed(list) => Network::Listed {
                socket: socket.to_owned(),
                list: list.clone(),
            },
        }
    }
}

/// The operator's list: of the flags, or else of the variable, or else of the file.
fn list(flags: Vec<String>, file: Option<&config::SandboxConfig>) -> Result<Allowlist, Failure> {
    let variable = std::env::var("AGP_SANDBOX_EGRESS_ALLOWLIST").unwrap_or_default();
    let variable: Vec<String> = variable
        .split([',', ' ', '\n'])
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect();
    let (entries, whose) = if !flags.is_empty() {
        (flags, "--egress-allow")
    } else if !variable.is_empty() {
        (variable, "AGP_SANDBOX_EGRESS_ALLOWLIST")
    } else {
        let file = file.map(|sandbox| sandbox.allowlist.clone());
        (file.unwrap_or_default(), "sandbox.allowlist")
    };
    Allowlist::parse(entries.iter().map(String::as_str)).map_err(|problem| {
        Failure::usage(
            format!("{whose}: {}", escape::line(&problem)),
            "use --egress-allow HOST[:PORT], or *.SUFFIX[:PORT] for all subdomains",
        )
    })
}

/// The same with the hosts that this harness cannot do without.
fn with_its_model(listed: &Allowlist, of: Choices) -> Result<Allowlist, Failure> {
    let hosts = match of.harness {
        Harness::Codex => model_hosts::of_codex(),
        _ => model_hosts::of_claude_code(),
    };
    let hosts = hosts.map_err(|problem| Failure::refused(problem, "add --egress full"))?;
    if hosts.is_empty() && listed.is_empty() {
        return Err(Failure::usage(
            "agp does not know the model's hosts for this harness",
            "add --egress-allow HOST for each host of the model's API",
        ));
    }
    let own = listed.entries();
    let all = hosts.iter().chain(&own).map(String::as_str);
    Allowlist::parse(all)
        .map_err(|problem| Failure::refused(escape::line(&problem), "--egress-allow HOST"))
}

/// Records what the proxies do, and shows what they refuse.
fn recorder(governor: &Arc<Governor>, terminal: &Arc<Terminal>) -> Arc<Record> {
    let (governor, terminal) = (Arc::clone(governor), Arc::clone(terminal));
    let shown = AtomicU32::new(0);
    Arc::new(move |kind, payload: Map<String, Value>| {
        let recorded = governor.record_egress(kind, payload);
        let recorded = recorded.map_err(|broken| broken.to_string())?;
        if kind == Kind::EgressDeny {
            match shown.fetch_add(1, Ordering::Relaxed) {
                ..SHOWN => terminal.tell(&denied(&recorded)),
                SHOWN => terminal.tell(
                    "egress denied: further denials not shown (see `agp log --kind egress.deny`)",
                ),
                _ => {}
            }
        }
        Ok(())
    })
}

fn denied(payload: &Map<String, Value>) -> String {
    let text = |name: &str| match payload.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "?".to_owned(),
    };
    let shown = |name: &str| escape::line_max(&text(name), HOST_CHARS);
    let from = match text("from").as_str() {
        "harness" => "the harness",
        _ => "a call",
    };
    let reason = text("reason");
    let mut line = match payload.get("host") {
        // It was refused before it said which.
        None | Some(Value::Null) => format!("egress denied to {from}"),
        Some(_) => format!(
            "egress denied: {}:{} to {from}",
            shown("host"),
            text("port")
        ),
    };
    line.push_str(&format!(": {}", explained(&reason).unwrap_or(&reason)));
    if payload.contains_key("serverName") {
        line.push_str(&format!(" (server name: {})", shown("serverName")));
    }
    line
}
