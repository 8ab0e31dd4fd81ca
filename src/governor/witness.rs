//! The witness: holds what the harness was seen to do against what was decided.
//!
//! It stands beside the path of a call and adds nothing to it. A call that came back without a
//! decision that let it run ends the session at once.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::MessageId;
use crate::contracts::intendant::Observation;
use crate::contracts::limits;

use super::session::{Governor, Notice};

impl Governor {
    /// Takes in what the harness was seen to do.
    pub fn witness(&self, observation: &Observation) {
        if !self.terms.watched {
            return;
        }
        match observation {
            Observation::Started { tools } => {
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
            Observation::Attempted { .. } => self.ledger.attempted(),
            Observation::Returned { id, ran } => {
                if let Some(how) = self.ledger.returned(id, *ran, self.terms.sandbox.is_some()) {
                    self.ungated(id, how);
                }
            }
            Observation::Answered(tool) => self.own.count(tool),
            Observation::Ungated(why) => self.break_off((*why).to_owned()),
            Observation::Unreadable(why) => {
                self.break_off(format!("the harness can no longer be watched: {why}"));
            }
            Observation::Said(_) | Observation::Finished { .. } | Observation::Raw(_) => {}
        }
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
        draft.payload.insert("seenBy".into(), json!("stream"));
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
        // A journal that fails has told the session so itself.
        let _ = self.record(vec![draft]);
        if let Some(shown) = self.next_warning() {
            let text = format!("gate.anomaly: a call {how}");
            self.notice(&Notice::Warning(if shown {
                &text
            } else {
                "further anomalies are not shown"
            }));
        }
    }

    /// Whether the census adds up: every call that was seen was decided, and none was decided
    /// unseen. For a session that ended by itself; one that was ended has calls under way.
    ///
    /// # Errors
    /// What does not add up.
    pub fn account(&self) -> Result<(), String> {
        let census = self.census();
        if !self.terms.watched {
            return Ok(());
        }
        if !self.witnessing.load(Ordering::SeqCst) {
            return match census.decided {
                0 => Ok(()),
                decided => Err(format!(
                    "{decided} calls were decided, and none could be watched"
                )),
            };
        }
        if census.seen == census.decided {
            return Ok(());
        }
        Err(format!(
            "{} calls were seen, {} were decided",
            census.seen, census.decided
        ))
    }

    /// The same for a session whose harness was killed, by others than agp: a result that it
    /// did not live to show is missing, a decision is not.
    ///
    /// # Errors
    /// How many calls were seen and never decided.
    pub fn account_killed(&self) -> Result<(), String> {
        let census = self.census();
        if !self.terms.watched || census.seen <= census.decided {
            return Ok(());
        }
        Err(format!(
            "the harness was killed; {} calls were seen, {} were decided, and the others may have run",
            census.seen, census.decided
        ))
    }
}

/// An id as the decisions have it.
fn known(id: &str) -> String {
    MessageId::known_as(id).map_or_else(String::new, String::from)
}
