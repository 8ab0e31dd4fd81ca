//! One session's governor: policy, journal, channel, the calls seen so far, and whether it holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::contracts::call::ToolCall;
use crate::contracts::channel::{Answer, ApprovalRequest, Channel};
use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::sandbox::{Execution, SandboxError};
use crate::contracts::verdict::Verdict;
use crate::contracts::{limits, strict_json};
use crate::gateway::server::{CallReport, Gate, Peer};
use crate::journal::redact::Screen;
use crate::journal::{self, Handle, Receipt};
use crate::policy::Policy;

use super::events;
use super::mediate::{Effect, Outcome, mediate};

/// Governance itself has failed: nothing may run any more, and the session ends with exit code 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something the operator should see, as soon as it is durable.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A call was decided, for good.
    Decided {
        /// The call.
        call: &'a ToolCall,
        /// The effective verdict.
        verdict: &'a Verdict,
    },
    /// Something is not as it should be; governance holds.
    Warning(&'a str),
}

/// How many calls there were and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls that asked.
    pub decided: u64,
    /// Calls let through.
    pub allowed: u64,
    /// Calls refused.
    pub denied: u64,
    /// Calls that ran, or are said to have run, without a decision that let them.
    pub bypassed: u64,
}

/// What a session is governed by.
pub struct Terms {
    /// The session.
    pub session: SessionId,
    /// Its rules.
    pub policy: Policy,
    /// Where it is recorded.
    pub journal: Handle,
    /// The secrets that must not be.
    pub screen: Arc<Screen>,
    /// Where humans are asked.
    pub channel: Box<dyn Channel>,
    /// How long they have.
    pub approval_deadline: Duration,
    /// Where the operator looks on.
    pub notices: Box<dyn Fn(&Notice<'_>) + Send + Sync>,
    /// Told when governance breaks; the session must then end.
    pub broken: Box<dyn Fn(Broken) + Send + Sync>,
}

/// What became of a call so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Allowed,
    Denied,
    Reported,
}

#[derive(Default)]
struct Calls {
    stages: HashMap<MessageId, Stage>,
    census: Census,
}

/// Intrusions shown per session.
const WARNINGS: u32 = 20;

/// A session's governor. Shared by its call workers.
pub struct Governor {
    terms: Terms,
    calls: Mutex<Calls>,
    warnings: AtomicU32,
}

impl Governor {
    /// Takes up a session under these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            calls: Mutex::default(),
            warnings: AtomicU32::new(0),
        }
    }

    /// Calls seen so far.
    #[must_use]
    pub fn census(&self) -> Census {
        self.calls
            .lock()
            .map(|calls| calls.census)
            .unwrap_or_default()
    }

    /// The census as `session.ended` carries it.
    #[must_use]
    pub fn census_payload(&self) -> Map<String, Value> {
        let census = self.census();
        let mut payload = Map::new();
        payload.insert("sessionId".into(), json!(self.terms.session.as_str()));
        payload.insert("decided".into(), json!(census.decided));
        payload.insert("allowed".into(), json!(census.allowed));
        payload.insert("denied".into(), json!(census.denied));
        payload.insert("bypassed".into(), json!(census.bypassed));
        payload
    }

    /// Refuses, before any policy, a call that could not be written down as it is.
    pub(super) fn refusal(&self, call: &ToolCall) -> Option<Verdict> {
        if !(1..=limits::TOOL_NAME_BYTES).contains(&call.tool.len()) {
            return Some(Verdict::refused("the tool's name is empty or too long"));
        }
        if !call
            .args
            .values()
            .all(|value| strict_json::nests_within(value, limits::ARGS_DEPTH))
        {
            return Some(Verdict::refused(
                "the arguments are nested too deep to be recorded",
            ));
        }
        let named = Map::from_iter([("tool".to_owned(), json!(call.tool))]);
        let screen = &self.terms.screen;
        let secret = screen
            .secret_in(&call.args)
            .or_else(|| screen.secret_in(&named))?;
        Some(Verdict::refused(format!(
            "the value of secret {secret} stands in the call"
        )))
    }

    /// Remembers an id; an id that was seen before is a replay.
    fn remember(&self, id: &MessageId) -> Result<(), String> {
        let Ok(mut calls) = self.calls.lock() else {
            return Err("the governor's state is lost".into());
        };
        if calls.stages.contains_key(id) {
            return Err("this call's id was used before".into());
        }
        if calls.stages.len() >= limits::CALLS_PER_SESSION {
            return Err(format!(
                "a session makes at most {} calls",
                limits::CALLS_PER_SESSION
            ));
        }
        calls.stages.insert(id.clone(), Stage::Asked);
        Ok(())
    }

    fn decided(&self, id: &MessageId, allowed: bool) {
        if let Ok(mut calls) = self.calls.lock() {
            calls.census.decided += 1;
            let stage = if allowed {
                calls.census.allowed += 1;
                Stage::Allowed
            } else {
                calls.census.denied += 1;
                Stage::Denied
            };
            calls.stages.insert(id.clone(), stage);
        }
    }

    pub(super) fn policy_verdict(&self, call: &ToolCall) -> Verdict {
        self.terms.policy.decide(&call.tool, call.actor)
    }

    pub(super) fn channel_name(&self) -> &'static str {
        self.terms.channel.name()
    }

    pub(super) fn approval_deadline(&self) -> Duration {
        self.terms.approval_deadline
    }

    pub(super) fn ask(&self, request: &ApprovalRequest<'_>) -> Answer {
        self.terms.channel.ask(request)
    }

    pub(super) fn notice(&self, notice: &Notice<'_>) {
        (self.terms.notices)(notice);
    }

    /// Records. What cannot be recorded must not happen, so a failure ends the session.
    pub(super) fn record(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Broken> {
        self.terms.journal.append(drafts).map_err(|error| {
            let broken = Broken(error.to_string());
            (self.terms.broken)(broken.clone());
            broken
        })
    }

    pub(super) fn executed(
        &self,
        execution: Result<Execution, SandboxError>,
    ) -> Result<Execution, Broken> {
        execution.map_err(|SandboxError(why)| {
            self.break_off(format!("the sandbox failed: {why}"));
            Broken(why)
        })
    }

    fn break_off(&self, why: String) {
        (self.terms.broken)(Broken(why));
    }

    /// Sees a call through for an intendant that has agp run it.
    ///
    /// # Errors
    /// Why there is no outcome; the call did not run, or its result is not recorded.
    pub fn run_call(&self, call: &ToolCall, effect: &Effect<'_>) -> Result<Outcome, String> {
        self.remember(&call.id)?;
        let outcome = mediate(self, call, effect).map_err(|broken| broken.0);
        self.decided(
            &call.id,
            matches!(outcome, Ok(Outcome::Executed(_) | Outcome::Released(..))),
        );
        outcome
    }
}

impl Gate for Governor {
    fn session(&self) -> &SessionId {
        &self.terms.session
    }

    fn request(&self, call: ToolCall, peer: Peer) -> Result<Verdict, String> {
        match self.run_call(&call, &Effect::Release(peer))? {
            Outcome::Denied(verdict) => Ok(verdict),
            Outcome::Released(verdict, permit) => {
                // The one place where a permit is spent on words instead of an execution.
                drop(permit);
                Ok(verdict)
            }
            Outcome::Executed(_) => Err("the call was executed elsewhere".into()),
        }
    }

    fn report(&self, report: CallReport, _peer: Peer) -> Result<(), String> {
        let stage = {
            let mut calls = self
                .calls
                .lock()
                .map_err(|_| "the governor's state is lost")?;
            let stage = calls.stages.get(&report.id).copied();
            if stage == Some(Stage::Allowed) {
                calls.stages.insert(report.id.clone(), Stage::Reported);
            }
            stage
        };
        let session = self.terms.session.as_str();
        match stage {
            Some(Stage::Allowed) => {
                let digest = journal::sha256(report.output.as_bytes());
                self.record(vec![events::result(session, &report, digest)])
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            Some(Stage::Reported) => Err("this call was reported before".into()),
            // A harness may report that a call it was denied has failed: it did not run.
            Some(Stage::Denied) if !report.ok => Ok(()),
            Some(Stage::Denied) => self.bypassed(&report, "ran although it was denied"),
            Some(Stage::Asked) => self.bypassed(&report, "ran before it was decided"),
            None => self.bypassed(&report, "ran without having asked"),
        }
    }

    fn intruded(&self, peer: Option<Peer>, problem: &str) {
        let who = peer.map_or_else(
            || "a process".to_owned(),
            |peer| format!("process {} of user {}", peer.pid, peer.uid),
        );
        // Whoever floods the gateway must not flood the operator.
        let told = self.warnings.fetch_add(1, Ordering::Relaxed);
        match told {
            0..WARNINGS => self.notice(&Notice::Warning(&format!("gateway: {who}: {problem}"))),
            WARNINGS => self.notice(&Notice::Warning(
                "gateway: further intrusions are not shown",
            )),
            _ => {}
        }
    }
}

impl Governor {
    fn bypassed(&self, report: &CallReport, how: &str) -> Result<(), String> {
        if let Ok(mut calls) = self.calls.lock() {
            calls.census.bypassed += 1;
        }
        let session = self.terms.session.as_str();
        let recorded = self.record(vec![events::bypassed(session, report, how)]);
        self.break_off(format!("a call of {} {how}", report.tool));
        recorded.map(drop).map_err(|error| error.to_string())?;
        Err(format!("this call {how}"))
    }

    /// Records an event of the session itself.
    ///
    /// # Errors
    /// [`Broken`] when it cannot be recorded.
    pub fn record_session(&self, kind: Kind, payload: Map<String, Value>) -> Result<(), Broken> {
        self.record(vec![Draft::new(kind, payload)]).map(drop)
    }
}
