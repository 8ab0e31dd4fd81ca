//! What network a session has: `--egress` and the hosts that it may reach, and the proxies that let
//! it reach them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value, json};

use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::event::Kind;
use crate::egress::{Allowlist, Proxy, ProxyConfig, Record, Unrecorded, explained};
use crate::governor::Governor;
use crate::intendants::model_hosts;
use crate::sandbox::docker::container::{BOX, HARNESS_BOX};
use crate::sandbox::network::Network;

use super::config::{self, Config};
use super::context::SessionContext;
use super::docker::container;
use super::host_policy::HostRules;
use super::kinds::{Confine, Harness, Mode, Provider};
use super::layout::{HarnessPlace, Layout, LayoutError};
use super::start_error::StartError;
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
    /// Hosts of the harness's model, where what it reaches is listed.
    pub(crate) model: Allowlist,
    /// Nobody listed hosts: the policy opens them.
    pub(crate) by_policy: bool,
    /// Why a harness that runs its own tools has this host's network, where nobody asked for it.
    pub(crate) unlisted: Option<String>,
}

/// With one of these a harness reaches its model through a proxy of the operator's.
const PROXIES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];

fn variable_is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// What the flags say of it.
pub(crate) struct EgressFlags {
    pub(crate) egress: Option<String>,
    pub(crate) allow: Vec<String>,
}

impl WayOut {
    /// Flag beats environment beats `config.json` beats the default: nothing for what agp runs
    /// itself, the host's network for a harness.
    pub(crate) fn resolve(
        flags: EgressFlags,
        config: &Config,
        layout: Layout,
    ) -> Result<Self, Failure> {
        let file = config.sandbox.as_ref();
        let named = !flags.allow.is_empty();
        let choice = match (flags.egress, named) {
            (None, true) => Some("allowlist".to_owned()),
            (flag, _) => {
                let file = file.and_then(|sandbox| sandbox.egress.clone());
                config::first(flag, "AGP_SANDBOX_EGRESS", file)
            }
        };
        let list = || list(flags.allow.clone(), file);
        let proxy = PROXIES.iter().find(|name| variable_is_set(name));
        let hosts = |harness| match (proxy, &choice, layout) {
            (Some(name), None, Layout::ClaudeHookOnHost(_)) => Err(Failure::refused(
                format!("{name} is set, and agp's own proxy goes through no other"),
                "add --egress full",
            )),
            _ => hosts_of_model(harness),
        };
        Self::of(layout, choice.as_deref(), named, &list, &hosts)
    }

    /// What a layout may reach for what was asked; `named` says that hosts are named with it, `list` gives the
    /// operator's own, `model_hosts` those that a harness cannot do without.
    pub(crate) fn of(
        layout: Layout,
        choice: Option<&str>,
        named: bool,
        list: &dyn Fn() -> Result<Allowlist, Failure>,
        model_hosts: &dyn Fn(Harness) -> Result<Vec<String>, Failure>,
    ) -> Result<Self, Failure> {
        if !layout.runs_anything() {
            return match choice {
                None | Some("none") => Ok(Self::nothing()),
                Some(_) => Err(LayoutError::EgressOfRecording.into()),
            };
        }
        let in_session_container = layout.place() == HarnessPlace::SessionContainer;
        let mut unlisted = None;
        let hook_default = match (choice, layout) {
            // Whoever runs it with less than a sandbox has no list that holds.
            (None, Layout::ClaudeHookOnHost(Confine::Strict)) => {
                match layout.harness().map(model_hosts) {
                    Some(Ok(hosts)) if !hosts.is_empty() => true,
                    Some(Err(Failure { problem, .. })) => {
                        unlisted = Some(problem);
                        false
                    }
                    _ => {
                        unlisted = Some("agp does not know the hosts of its model".to_owned());
                        false
                    }
                }
            }
            _ => false,
        };
        let scope = match choice {
            // It must reach its model, and is not given more for that.
            None if in_session_container || hook_default => EgressScope::Listed(list()?),
            None | Some("none") => EgressScope::None,
            Some("full") => EgressScope::Full,
            Some("allowlist") => EgressScope::Listed(list()?),
            Some(other) => {
                let problem = format!("unknown --egress {other:?}");
                return Err(Failure::usage(problem, "use none, full or allowlist"));
            }
        };
        if named && !matches!(scope, EgressScope::Listed(_)) {
            let problem = "--egress-allow needs --egress allowlist";
            return Err(Failure::usage(problem, "add --egress allowlist"));
        }
        if choice == Some("none") && layout.mode() == Some(Mode::Hook) {
            return Err(LayoutError::EgressNoneInHookMode.into());
        }
        let mut model = Allowlist::default();
        let mut with_its_model = |list: &Allowlist| match layout.harness() {
            Some(harness) => {
                let hosts = model_hosts(harness)?;
                model = with_hosts(&Allowlist::default(), &hosts).unwrap_or_default();
                with_hosts(list, &hosts)
            }
            None => Ok(list.clone()),
        };
        let by_policy = choice.is_none();
        let harness = match (layout.place(), &scope) {
            (HarnessPlace::Nowhere, _) => EgressScope::None,
            // What it runs itself reaches what it does.
            (HarnessPlace::SessionContainer, _) => {
                let calls = match scope {
                    EgressScope::Listed(list) => EgressScope::Listed(with_its_model(&list)?),
                    EgressScope::None | EgressScope::Full => scope,
                };
                return Ok(Self {
                    calls,
                    harness: EgressScope::None,
                    model,
                    by_policy,
                    unlisted,
                });
            }
            (HarnessPlace::Host(_) | HarnessPlace::OwnContainer, EgressScope::Listed(list)) => {
                EgressScope::Listed(with_its_model(list)?)
            }
            (HarnessPlace::OwnContainer, EgressScope::None) => {
                EgressScope::Listed(with_its_model(&Allowlist::default())?)
            }
            (HarnessPlace::Host(_), EgressScope::None)
            | (HarnessPlace::Host(_) | HarnessPlace::OwnContainer, EgressScope::Full) => {
                EgressScope::Full
            }
        };
        let calls = match scope {
            EgressScope::None => EgressScope::None,
            EgressScope::Full | EgressScope::Listed(_) if !layout.runs_calls() => EgressScope::None,
            // A list of nothing is no way out.
            EgressScope::Listed(list) if list.is_empty() => EgressScope::None,
            EgressScope::Full | EgressScope::Listed(_) => scope,
        };
        Ok(Self {
            calls,
            harness,
            model,
            by_policy,
            unlisted,
        })
    }

    pub(crate) fn nothing() -> Self {
        Self {
            calls: EgressScope::None,
            harness: EgressScope::None,
            model: Allowlist::default(),
            by_policy: false,
            unlisted: None,
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

    /// Starts the proxies that this needs. They end when they are dropped.
    ///
    /// # Errors
    /// When one cannot listen.
    pub(crate) fn open(
        &self,
        context: &SessionContext<'_>,
        governor: &Arc<Governor>,
    ) -> Result<Vec<Proxy>, StartError> {
        let layout = context.options.layout;
        let record = recorder(governor, &context.terminal);
        let mut proxies = Vec::new();
        let calls_are = match layout.mode() {
            Some(Mode::Hook) => "harness",
            None | Some(Mode::Mediated) => "call",
        };
        let directory = &context.directory;
        let (agp, inside) = (rustix::process::geteuid().as_raw(), container::user().0);
        // What a container finds is in the directory that it has, for the user that it has.
        let of_calls = match layout.provider() {
            Provider::Docker => (directory.join(BOX), inside),
            Provider::Recording | Provider::Process => (directory.clone(), agp),
        };
        let of_harness = match layout.place() {
            HarnessPlace::OwnContainer => (directory.join(HARNESS_BOX), inside),
            HarnessPlace::Nowhere | HarnessPlace::Host(_) | HarnessPlace::SessionContainer => {
                (directory.clone(), agp)
            }
        };
        for (scope, name, from, (directory, user)) in [
            (&self.harness, HARNESS_SOCKET, "harness", of_harness),
            (&self.calls, CALLS_SOCKET, calls_are, of_calls),
        ] {
            if let EgressScope::Listed(list) = scope {
                let socket = directory.join(name);
                let (list, record) = (list.clone(), Arc::clone(&record));
                let mut setup = ProxyConfig::new(socket.clone(), from, list, record);
                setup.user = user;
                // What agp runs itself has no model to reach.
                let model = match from {
                    "harness" => self.model.clone(),
                    _ => Allowlist::default(),
                };
                setup.opens = self.by_policy;
                setup.policy = HostRules {
                    policy: context.layers.policy.clone(),
                    governor: Arc::clone(governor),
                    model,
                    opens: self.by_policy,
                }
                .shared();
                let proxy = Proxy::start(setup);
                proxies.push(proxy.map_err(|error| StartError::Proxy(socket, error))?);
            }
        }
        Ok(proxies)
    }

    /// Says it to whoever starts the session.
    pub(crate) fn announce(&self, layout: Layout) {
        let words = |reach: &EgressScope| match reach {
            EgressScope::None => "nothing".to_owned(),
            EgressScope::Full => "everything that this host can reach".to_owned(),
            EgressScope::Listed(list) => format!("only {}", list.entries().join(" ")),
        };
        let more = match self.by_policy {
            true => ", hosts that the policy allows, and those of allowed calls",
            false => "",
        };
        if matches!(self.harness, EgressScope::Listed(_)) {
            complain(format_args!(
                "egress: the harness can reach {}{more}",
                words(&self.harness)
            ));
        }
        if let Some(why) = &self.unlisted {
            complain(format_args!(
                "egress: the harness has unrestricted network access: {why}"
            ));
        }
        if self.calls == EgressScope::Full {
            let who = match layout.place() {
                HarnessPlace::SessionContainer => "the harness has",
                HarnessPlace::OwnContainer => "commands and the harness have",
                HarnessPlace::Nowhere | HarnessPlace::Host(_) => "commands have",
            };
            complain(format_args!(
                "WARNING: --egress full: {who} unrestricted network access"
            ));
        } else if matches!(self.calls, EgressScope::Listed(_)) {
            let who = match layout.mode() {
                Some(Mode::Hook) => "the harness",
                None | Some(Mode::Mediated) => "commands",
            };
            complain(format_args!(
                "egress: {who} can reach {}{more}",
                words(&self.calls)
            ));
        }
    }

    /// What the session's tools may reach, whoever runs them.
    fn main(&self, layout: Layout) -> &EgressScope {
        match layout {
            Layout::ClaudeHookOnHost(_) => &self.harness,
            Layout::ScriptRecorded
            | Layout::ScriptInProcess
            | Layout::ScriptInDocker
            | Layout::ClaudeHookInContainer
            | Layout::ClaudeMediatedInProcess(_)
            | Layout::ClaudeMediatedInDocker(_)
            | Layout::CodexInProcess(_)
            | Layout::CodexInDocker(_)
            | Layout::CodexInOwnContainer => &self.calls,
        }
    }

    /// What an approver is told of it.
    pub(crate) fn shown(&self, layout: Layout) -> String {
        match self.main(layout) {
            EgressScope::Listed(list) => list.entries().join(" "),
            reach => reach.word().to_owned(),
        }
    }

    /// What `session.started` says of it.
    pub(crate) fn describe(&self, layout: Layout, put: &mut dyn FnMut(&str, Value)) {
        let harness = &self.harness;
        let main = self.main(layout);
        put("egress", json!(main.word()));
        if self.by_policy && matches!(main, EgressScope::Listed(_)) {
            put("egressByPolicy", json!(true));
        }
        if let EgressScope::Listed(list) = main {
            put("egressAllowed", json!(list.entries()));
        }
        let reached = match layout.mode() {
            None => None,
            // It reaches what its tools do.
            Some(Mode::Hook) => Some(main.word()),
            Some(Mode::Mediated) => Some(harness.word()),
        };
        put("harnessEgress", json!(reached));
        if let EgressScope::Listed(list) = harness
            && layout.mode() == Some(Mode::Mediated)
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
            format!("{whose}: {}", escape::line(&problem.to_string())),
            "use --egress-allow HOST[:PORT], or *.SUFFIX[:PORT] for all subdomains",
        )
    })
}

/// The hosts that a harness cannot do without.
fn hosts_of_model(harness: Harness) -> Result<Vec<String>, Failure> {
    let hosts = match harness {
        Harness::Codex => model_hosts::of_codex(),
        Harness::ClaudeCode => model_hosts::of_claude_code(),
    };
    hosts.map_err(|problem| Failure::refused(problem, "add --egress full"))
}

/// A list with the hosts of the harness's model.
fn with_hosts(listed: &Allowlist, hosts: &[String]) -> Result<Allowlist, Failure> {
    if hosts.is_empty() && listed.is_empty() {
        return Err(Failure::usage(
            "agp does not know the model's hosts for this harness",
            "add --egress-allow HOST for each host of the model's API",
        ));
    }
    let entries = listed.entries();
    let all = hosts.iter().chain(&entries).map(String::as_str);
    Allowlist::parse(all).map_err(|problem| {
        Failure::refused(
            escape::line(&problem.to_string()),
            "use --egress-allow HOST[:PORT] or *.SUFFIX[:PORT]",
        )
    })
}

/// Records what the proxies do, and shows what they refuse.
fn recorder(governor: &Arc<Governor>, terminal: &Arc<Terminal>) -> Arc<Record> {
    let (governor, terminal) = (Arc::clone(governor), Arc::clone(terminal));
    let refusals = AtomicU32::new(0);
    Arc::new(move |kind, payload: Map<String, Value>| {
        let recorded = governor.record_egress(kind, payload);
        let recorded = recorded.map_err(|_broken| Unrecorded)?;
        if kind == Kind::EgressDeny {
            match refusals.fetch_add(1, Ordering::Relaxed) {
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
    let short = |name: &str| escape::line_max(&text(name), HOST_CHARS);
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
            short("host"),
            text("port")
        ),
    };
    line.push_str(&format!(": {}", explained(&reason).unwrap_or(&reason)));
    if payload.contains_key("serverName") {
        line.push_str(&format!(" (server name: {})", short("serverName")));
    }
    line
}
