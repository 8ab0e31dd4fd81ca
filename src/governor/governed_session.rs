//! One session's governor: policy, journal, channel, the calls seen so far, and whether it holds.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Map, Value, json};

use crate::contracts::approver::Groups;
use crate::contracts::call::{self, Actor, TEXTS, ToolCall, WORKDIR};
use crate::contracts::channel::Answer;
use crate::contracts::event::{ApprovalBinding, Draft, Kind};
use crate::contracts::grant::Grant;
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::question::{Asking, clocks};
use crate::contracts::sandbox::{Execution, SandboxError};
use crate::contracts::verdict::Verdict;
use crate::contracts::view::Origin;
use crate::contracts::{limits, strict_json};
use crate::journal::redact::Screen;
use crate::journal::{Handle, Receipt};
use crate::policy::{Memory, Policy, Question};

use super::call_ledger::{Census, Ledger, OwnCalls};
use super::events::{self, WITHHELD};
use super::grants::{CallDigests, Grants, Standing};
use super::judging::ReadingTerms;
use super::questions::Questions;
use super::sandbox::Sandbox;

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
    /// A person is about to be asked about a call, which waits for the answer.
    Asked {
        /// The call.
        call: &'a ToolCall,
        /// The verdict that requires it.
        verdict: &'a Verdict,
    },
    /// A call was decided, for good.
    Decided {
        /// The call.
        call: &'a ToolCall,
        /// The effective verdict.
        verdict: &'a Verdict,
        /// Nothing of what the agent wrote may be shown: a secret stands in it.
        withheld: bool,
        /// What came of asking a person, where one was asked.
        answer: Option<&'a Answer>,
        /// Who approved it for the session before, where nobody was asked for that.
        granted_by: Option<&'a str>,
    },
    /// A call was executed by agp.
    Executed {
        /// The call.
        call: &'a ToolCall,
        /// What it came to.
        execution: &'a Execution,
    },
    /// A call that the harness ran came back, as the harness reports or shows it: its own word.
    Returned {
        /// The call's id.
        id: &'a str,
        /// The tool's name.
        tool: &'a str,
        /// Whether the tool succeeded.
        ok: bool,
        /// What it answered, possibly cut.
        output: &'a str,
    },
    /// Something is not as it should be; governance holds.
    Warning(&'a str),
}

/// What a session is governed by.
pub struct GovernorConfig {
    /// The session.
    pub session: SessionId,
    /// Its rules.
    pub policy: Policy,
    /// How its calls are read.
    pub reading: ReadingTerms,
    /// Where it is recorded.
    pub journal: Handle,
    /// The secrets that must not be.
    pub screen: Arc<Screen>,
    /// Where humans are asked.
    pub questions: Questions,
    /// The groups that rules name as approvers.
    pub groups: Groups,
    /// What people are shown of the session.
    pub origin: Origin,
    /// Whether an argument names one of agp's own files: its key, policy or journal.
    pub own_file: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Whether the harness still calls the hook that agp set up; if not, why that is thought.
    pub gate_unchanged: Box<dyn Fn() -> Result<(), Broken> + Send + Sync>,
    /// Whether what the harness is seen to do is held against what was decided.
    pub watched: bool,
    /// Whether nothing that runs for the agent can speak to the gate: a report is then the harness's own word.
    pub apart: bool,
    /// Where agp runs the calls that come through the gateway; `None` where the harness runs its
    /// own.
    pub sandbox: Option<Arc<dyn Sandbox>>,
    /// Where the operator looks on.
    pub notices: Box<dyn Fn(&Notice<'_>) + Send + Sync>,
    /// Told when governance breaks; the session must then end.
    pub broken: Box<dyn Fn(Broken) + Send + Sync>,
}

/// Intrusions shown per session.
const WARNINGS: u32 = 20;

/// A session's governor. Shared by its call workers.
pub struct Governor {
    pub(super) terms: GovernorConfig,
    pub(super) ledger: Ledger,
    /// What calls that were allowed did.
    pub(super) memory: Mutex<Memory>,
    /// Approvals that hold for the session.
    pub(super) grants: Grants,
    warnings: AtomicU32,
    /// Whether the harness's own output has been seen to begin.
    pub(super) witnessing: AtomicBool,
    /// The tools that the harness was seen to offer its model.
    pub(super) offered: OnceLock<Vec<String>>,
    /// Set once it was said which of these no rule speaks about.
    pub(super) unnamed_said: OnceLock<()>,
    /// Calls that the harness answered itself, of tools that touch nothing.
    pub(super) own: OwnCalls,
    /// Why nothing may run any more, once something has broken.
    over: OnceLock<String>,
}

impl Governor {
    /// Takes up a session under these terms.
    #[must_use]
    pub fn new(terms: GovernorConfig) -> Self {
        Self {
            terms,
            ledger: Ledger::default(),
            memory: Mutex::default(),
            grants: Grants::new(clocks),
            warnings: AtomicU32::new(0),
            witnessing: AtomicBool::new(false),
            offered: OnceLock::new(),
            unnamed_said: OnceLock::new(),
            own: OwnCalls::default(),
            over: OnceLock::new(),
        }
    }

    /// Calls seen so far.
    #[must_use]
    pub fn census(&self) -> Census {
        self.ledger.census()
    }

    /// The census as `session.ended` carries it.
    #[must_use]
    pub fn census_payload(&self) -> Map<String, Value> {
        let census = self.census();
        let mut payload = Map::new();
        payload.insert("sessionId".into(), json!(self.terms.session.as_str()));
        payload.insert("seen".into(), json!(census.seen));
        payload.insert("decided".into(), json!(census.decided));
        payload.insert("allowed".into(), json!(census.allowed));
        payload.insert("denied".into(), json!(census.denied));
        payload.insert("bypassed".into(), json!(census.bypassed));
        payload.insert("anomalies".into(), json!(census.anomalies));
        if let (Some(_), Some(offered)) = (&self.terms.sandbox, self.offered.get()) {
            // Where agp's tools must be the only ones, this shows that they were.
            payload.insert("offered".into(), json!(offered));
        }
        if census.unproven > 0 {
            payload.insert("unproven".into(), json!(census.unproven));
        }
        let own_calls = self.own.all();
        if !own_calls.is_empty() {
            payload.insert("ownCalls".into(), json!(own_calls));
        }
        if !self.terms.watched {
            payload.insert("witness".into(), json!("none"));
        }
        payload
    }

    /// Refuses, before any policy, a call that could not be written down as it is.
    pub(super) fn refusal(&self, call: &ToolCall) -> Option<Verdict> {
        if let Some(why) = self.unwritable(&call.id, &call.tool) {
            return Some(Verdict::refused(why));
        }
        if !call
            .args
            .values()
            .all(|value| strict_json::nests_within(value, limits::ARGS_DEPTH))
        {
            return Some(Verdict::refused(call::too_deep()));
        }
        let secret = self.terms.screen.secret_in(&call.args)?;
        Some(Verdict::refused(quotes(secret)))
    }

    /// Why a call's id or tool cannot be written down, if it cannot.
    pub(super) fn unwritable(&self, id: &MessageId, tool: &str) -> Option<String> {
        if !(1..=limits::TOOL_NAME_BYTES).contains(&tool.len()) {
            return Some("the tool name is empty or too long".into());
        }
        let named = Map::from_iter([
            ("tool".to_owned(), json!(tool)),
            ("messageId".to_owned(), json!(id.as_str())),
        ]);
        self.terms.screen.secret_in(&named).map(quotes)
    }

    /// An id as the journal takes it: one that quotes a secret is not written down.
    pub(super) fn shown_id<'a>(&self, id: &'a str) -> &'a str {
        let named = Map::from_iter([("messageId".to_owned(), json!(id))]);
        match self.terms.screen.secret_in(&named) {
            Some(_) => WITHHELD,
            None => id,
        }
    }

    /// Whether an argument of a call leads to one of agp's own files.
    pub(super) fn names_own_files(&self, call: &ToolCall) -> bool {
        let there = call.args.get(WORKDIR).and_then(Value::as_str);
        self.name_own_files(&call.args, there.unwrap_or_default())
    }

    /// At any depth; what nests too deep was refused before. Read from the session's directory and from the
    /// call's own.
    fn names_own_file(&self, value: &Value, directory: &str) -> bool {
        let own_file = &self.terms.own_file;
        match value {
            Value::String(text) => {
                let there = || Path::new(directory).join(text.trim());
                own_file(text) || (!directory.is_empty() && own_file(&there().to_string_lossy()))
            }
            Value::Array(items) => items
                .iter()
                .any(|item| self.names_own_file(item, directory)),
            Value::Object(map) => self.name_own_files(map, directory),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn name_own_files(&self, args: &Map<String, Value>, directory: &str) -> bool {
        let paths = args
            .iter()
            .filter(|(name, _)| !TEXTS.contains(&name.as_str()));
        paths
            .into_iter()
            .any(|(_, value)| self.names_own_file(value, directory))
    }

    pub(super) fn ask(&self, asking: Asking) -> Answer {
        let answer = self.terms.questions.ask(asking);
        match self.over() {
            // It broke while somebody thought about it.
            Some(why) if matches!(answer, Answer::Granted { .. }) => Answer::SessionOver(why),
            _ => answer,
        }
    }

    /// Which of a call's questions stand open. Once the session ends no grant holds.
    pub(super) fn standing<'a>(
        &self,
        questions: &'a [Question],
        call: CallDigests,
    ) -> Standing<'a> {
        match self.over().is_some() || self.terms.questions.is_over() {
            true => Standing::open(questions, call),
            false => self.grants.standing(questions, call),
        }
    }

    /// Every approval that was given for the session, in the order in which they were given.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.grants.list()
    }

    /// Takes back an approval that holds for the session. It answers nothing from now on; what it let through goes on.
    /// `None` where no live one has this id.
    ///
    /// # Errors
    /// [`Broken`] when it cannot be recorded.
    pub fn revoke(
        &self,
        id: &str,
        by: &str,
        binding: ApprovalBinding,
    ) -> Result<Option<Grant>, Broken> {
        let Some(grant) = self.grants.revoke(id) else {
            return Ok(None);
        };
        let session = self.terms.session.as_str();
        self.record(vec![events::revoked(session, &grant, by, binding)])?;
        Ok(Some(grant))
    }

    pub(super) fn notice(&self, notice: &Notice<'_>) {
        (self.terms.notices)(notice);
    }

    /// Records. What cannot be recorded must not happen, so a failure ends the session.
    pub(super) fn record(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Broken> {
        let questions = &self.terms.questions;
        let mirrored = drafts.iter().filter(|draft| questions.mirrors(draft.kind));
        let mirrored: Vec<Draft> = mirrored.cloned().collect();
        let receipts = self.terms.journal.append(drafts).map_err(|error| {
            let why = error.to_string();
            self.break_off(why.clone());
            Broken(why)
        })?;
        if !mirrored.is_empty() {
            questions.mirror(&mirrored);
        }
        Ok(receipts)
    }

    /// What an execution came to. One whose sandbox failed ends the session, and is on record all
    /// the same: it may have done something.
    pub(super) fn executed(&self, execution: Result<Execution, SandboxError>) -> Execution {
        execution.unwrap_or_else(|SandboxError(why)| {
            let why = format!("the sandbox failed: {why}");
            self.break_off(why.clone());
            Execution::unknown(why)
        })
    }

    /// Ends the session. Until its harness is gone nothing more is allowed, whatever the rules or an
    /// approver say.
    pub(super) fn break_off(&self, why: String) {
        let _ = self.over.set(why.clone());
        (self.terms.broken)(Broken(why));
    }

    /// Why nothing may run any more, if that is so.
    pub(super) fn over(&self) -> Option<String> {
        let why = self.over.get()?;
        Some(format!("the session is ending: {why}"))
    }

    pub(super) fn session_id(&self) -> &SessionId {
        &self.terms.session
    }

    /// Counts a warning: whether it is to be shown, or is the first that is not.
    pub(super) fn next_warning(&self) -> Option<bool> {
        match self.warnings.fetch_add(1, Ordering::Relaxed) {
            0..WARNINGS => Some(true),
            WARNINGS => Some(false),
            _ => None,
        }
    }

    /// Ends every question that still waits for a human: the session is over.
    pub fn hang_up(&self) {
        self.terms.questions.hang_up();
    }

    /// Has every channel say what is still to be said: the session's end is on record.
    pub fn farewell(&self) {
        self.terms.questions.farewell();
    }

    /// Records what an egress proxy did, for the agent that asked it to. A host that quotes a secret
    /// is not written down. Gives what was written.
    ///
    /// # Errors
    /// [`Broken`] when it cannot be recorded.
    pub fn record_egress(
        &self,
        kind: Kind,
        mut payload: Map<String, Value>,
    ) -> Result<Map<String, Value>, Broken> {
        for name in ["host", "serverName"] {
            let quoted = payload.get(name).cloned();
            let quoted = quoted.map(|value| Map::from_iter([(name.to_owned(), value)]));
            if quoted.is_some_and(|value| self.terms.screen.secret_in(&value).is_some()) {
                payload.insert(name.into(), json!(WITHHELD));
            }
        }
        payload.insert("sessionId".into(), json!(self.terms.session.as_str()));
        let draft = Draft {
            actor: Actor::ClaudeProcess,
            ..Draft::new(kind, payload.clone())
        };
        self.record(vec![draft]).map(|_| payload)
    }

    /// Records an event of the session itself.
    ///
    /// # Errors
    /// [`Broken`] when it cannot be recorded.
    pub fn record_session(&self, kind: Kind, payload: Map<String, Value>) -> Result<(), Broken> {
        self.record(vec![Draft::new(kind, payload)]).map(drop)
    }
}

fn quotes(secret: &str) -> String {
    let problem = format!("the call contains the value of secret {secret}");
    match secret.strip_prefix("AGP_SECRET_") {
        Some(name) => format!("{problem}: use the reference {{{{secret:{name}}}}} instead"),
        None => problem,
    }
}
