//! The witness: holds what the harness was seen to do against what was decided.
//!
//! It stands beside the path of a call and adds nothing to it. A call that came back without a
//! decision that let it run ends the session at once.

use crate::contracts::plural::count;
use std::fmt;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::MessageId;
use crate::contracts::ids::Sha256;
use crate::contracts::intendant::{Came, Observation, ToldResult};
use crate::contracts::limits;

use super::call_ledger::{Account, Finding, Told};
use super::call_outline::Outline;
use super::events;
use super::governed_session::{Governor, Notice};

/// Why a harness's own account is not whole: what was decided and what it showed do not fit. Whether it hid
/// calls, or died over them, nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountError {
    /// It gave no account.
    Unwatched {
        /// Calls that agp decided.
        decided: u64,
    },
    /// Some calls stand on one side alone.
    Differs {
        /// Calls that it showed.
        seen: u64,
        /// Calls that agp decided.
        decided: u64,
    },
    /// Others than agp killed it, and it showed calls that agp did not decide.
    Killed {
        /// Calls that it showed.
        seen: u64,
        /// Calls that agp decided.
        decided: u64,
    },
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwatched { decided } => {
                write!(
                    f,
                    "agp decided {} but could watch none",
                    count(decided, "call")
                )
            }
            Self::Differs { seen, decided } => {
                write!(f, "{} seen but {decided} decided", count(seen, "call"))
            }
            Self::Killed { seen, decided } => write!(
                f,
                "the harness was killed; {} seen but {decided} decided, so others may have run",
                count(seen, "call")
            ),
        }
    }
}

impl std::error::Error for AccountError {}

impl Governor {
    /// Takes in what the harness was seen to do.
    pub fn witness(&self, observation: &Observation) {
        if !self.terms.watched {
            return;
        }
        match observation {
            Observation::Started { tools, directory } => {
                if let Some(directory) = directory {
                    self.ledger.began(directory);
                }
                self.witnessing.store(true, Ordering::SeqCst);
                let named = tools.iter().take(limits::TOOLS_SHOWN);
                let named: Vec<String> = named
                    .map(|tool| tool.chars().take(limits::TOOL_NAME_BYTES).collect())
                    .collect();
                if !named.is_empty() {
                    // A harness that starts its stream anew offers the same.
                    let _ = self.offered.set(named);
                }
            }
            Observation::Attempted { id, tool, input } => {
                let outline = input.as_ref().map(|input| Outline::of(tool, input));
                if let Some(unlike) = self.ledger.attempted(id, outline, self.by_agp()) {
                    self.end_for(id, unlike.0, STREAM);
                }
            }
            Observation::Returned { id, came, told } => {
                let result = told.as_ref().map(|told| Told {
                    ok: told.ok,
                    output: Sha256::of(events::kept(&told.output).as_bytes()),
                    comparable: told.comparable && events::comparable(told.output.len() as u64),
                });
                let (finding, account) = self.ledger.returned(id, *came, result, self.by_agp());
                self.found(id, finding);
                if let (Some(account), Some(result)) = (account, told) {
                    self.told(id, *came, &account, result);
                }
            }
            Observation::Answered(tool) => self.own.count(tool),
            Observation::AtProvider { id, tool } => {
                let how = "ran at the model's provider, outside the gate";
                self.anomaly(Some(id), Some(tool), how, STREAM);
            }
            Observation::Ungated(why) => self.break_off(why.to_string()),
            Observation::Unreadable(why) => {
                self.break_off(format!("cannot watch the harness any more: {why}"));
            }
            Observation::Said(_) | Observation::Finished { .. } | Observation::Raw(_) => {}
        }
    }

    /// Whether agp runs the calls itself.
    fn by_agp(&self) -> bool {
        self.terms.sandbox.is_some()
    }

    /// Whether the harness runs its calls itself and shows what it does.
    pub(super) fn followed(&self) -> bool {
        self.terms.watched && !self.by_agp() && self.witnessing.load(Ordering::SeqCst)
    }

    fn found(&self, id: &str, finding: Option<Finding>) {
        match finding {
            Some(Finding::Bypassed(how)) => self.ungated(id, how),
            Some(Finding::Odd(how)) => self.anomaly(Some(id), None, how, STREAM),
            None => {}
        }
    }

    /// Records a result as the stream has it, where no report has, or another.
    fn told(&self, id: &str, came: Came, account: &Account, result: &ToldResult) {
        if account.contradicts {
            let how = "was reported with a different result than the harness shows";
            self.anomaly(Some(id), Some(&account.tool), how, STREAM);
        }
        let session = self.session_id().as_str();
        let id = known(id);
        let named = [self.shown_id(&id), self.shown_id(&account.tool)];
        let draft = events::shown_result(session, named, account, came, result);
        // A journal that fails has told the session so itself.
        let _ = self.record(vec![draft]);
        self.notice(&Notice::Returned {
            id: &id,
            tool: &account.tool,
            ok: result.ok,
            output: events::kept(&result.output),
        });
    }

    fn ungated(&self, id: &str, how: &str) {
        // A bypass must be recorded whatever its id says.
        let id: String = self.shown_id(&known(id)).to_owned();
        // The harness is ended before anything else is done about it.
        self.break_off(format!("a call {how}: {id}"));
        let mut draft = Draft::new(Kind::GateBypassed, serde_json::Map::new());
        draft.payload.insert("messageId".into(), json!(id));
        draft
            .payload
            .insert("sessionId".into(), json!(self.session_id().as_str()));
        draft.payload.insert("how".into(), json!(how));
        draft.payload.insert("seenBy".into(), json!(STREAM));
        // A journal that fails has told the session so itself.
        let _ = self.record(vec![draft]);
    }

    /// Ends the session for a call that may have run as another than was let through, or undecided, before anything
    /// is known to have run so: a `gate.anomaly` that says so, recorded however many there were.
    pub(super) fn end_for(&self, id: &str, how: &str, seen_by: &str) {
        // The harness is ended before anything else is done about it.
        self.break_off(format!("a call {how}: {}", self.shown_id(&known(id))));
        self.ledger.odd();
        let mut draft = self.odd(Some(id), None, how, seen_by);
        draft.payload.insert("endsSession".into(), json!(true));
        // A journal that fails has told the session so itself.
        let _ = self.record(vec![draft]);
    }

    /// Records something odd about a call, or about none: `gate.anomaly`. The session goes on. `how`
    /// completes "a call ..." in agp's own words; `seen_by` names whose account it is.
    pub fn anomaly(&self, id: Option<&str>, tool: Option<&str>, how: &str, seen_by: &str) {
        let count = self.ledger.odd();
        if count > limits::ANOMALIES {
            return;
        }
        // A journal that fails has told the session so itself.
        let _ = self.record(vec![self.odd(id, tool, how, seen_by)]);
        if let Some(in_full) = self.next_warning() {
            let text = format!("gate.anomaly: a call {how}");
            self.notice(&Notice::Warning(if in_full {
                &text
            } else {
                "further anomalies not shown"
            }));
        }
    }

    fn odd(&self, id: Option<&str>, tool: Option<&str>, how: &str, seen_by: &str) -> Draft {
        let mut draft = Draft::new(Kind::GateAnomaly, serde_json::Map::new());
        let mut say = |name: &str, value: String| draft.payload.insert(name.into(), json!(value));
        say("sessionId", self.session_id().to_string());
        say("how", how.to_owned());
        say("seenBy", seen_by.to_owned());
        // Ids and names are the harness's: both are bounded, and neither may carry a secret.
        if let Some(id) = id {
            say("messageId", self.shown_id(&known(id)).to_owned());
        }
        if let Some(tool) = tool {
            say(
                "tool",
                self.shown_id(tool)
                    .chars()
                    .take(limits::TOOL_NAME_BYTES)
                    .collect(),
            );
        }
        draft
    }

    /// Whether the harness's own account is whole: no call was seen of which nobody knows what became, and there
    /// is an account at all. For a session that ended by itself; one that was ended has calls under way. A call
    /// that agp decided and the stream never showed is odd; where agp ran it, it is in order.
    ///
    /// # Errors
    /// What does not add up.
    pub fn account(&self) -> Result<(), AccountError> {
        let census = self.census();
        if !self.terms.watched {
            return Ok(());
        }
        if !self.witnessing.load(Ordering::SeqCst) {
            return match census.decided {
                0 => Ok(()),
                decided => Err(AccountError::Unwatched { decided }),
            };
        }
        let (open, unseen) = self.ledger.unaccounted();
        let (seen, decided) = (census.seen, census.decided);
        if self.by_agp() {
            // Nothing of the harness's own could have run.
            for id in &open {
                let how = "appeared in the output but has no outcome";
                self.anomaly(Some(id.as_str()), None, how, STREAM);
            }
            return Ok(());
        }
        if !open.is_empty() || (seen == 0 && decided > 0) {
            return Err(AccountError::Differs { seen, decided });
        }
        for id in &unseen {
            let how = "was decided but never appeared in the output";
            self.anomaly(Some(id.as_str()), None, how, STREAM);
        }
        Ok(())
    }

    /// The same for a session whose harness was killed, by others than agp: a result that it
    /// did not live to show is missing, a decision is not.
    ///
    /// # Errors
    /// How many calls were seen and never decided.
    pub fn account_killed(&self) -> Result<(), AccountError> {
        let census = self.census();
        let (open, _) = self.ledger.unaccounted();
        if !self.terms.watched || open.is_empty() || self.by_agp() {
            return Ok(());
        }
        let (seen, decided) = (census.seen, census.decided);
        Err(AccountError::Killed { seen, decided })
    }
}

/// An id as the decisions have it.
fn known(id: &str) -> String {
    MessageId::known_as(id).map_or_else(String::new, String::from)
}

/// Whose account it is.
pub(super) const STREAM: &str = "stream";
