//! The governor behind the gateway: calls come in, reports come back, ids are used once.

use std::sync::Arc;

use serde_json::{Map, json};

use crate::contracts::call::{self, Actor, LEADS_TO, ToolCall, UnreadableCall, WITHIN_AGENT};
use crate::contracts::ids::{SessionId, Sha256};
use crate::contracts::limits;
use crate::contracts::verdict::Denial;
use crate::gateway::GateError;
use crate::gateway::server::{CallReport, Decided, Gate, Peer};
use crate::journal;

use super::call_ledger::{Args, Standing, Told, Word};
use super::call_outline::Outline;
use super::events::{self, WITHHELD};
use super::governed_session::{Broken, Governor, Notice};
use super::mediate::{CallOutcome, Effect, mediate};
use super::witness::STREAM;

impl Governor {
    /// Sees one call through.
    ///
    /// # Errors
    /// Why there is no outcome; the call did not run, or its result is not recorded.
    pub fn run_call(&self, call: ToolCall, effect: &Effect<'_>) -> Result<CallOutcome, GateError> {
        let args_sha256 = journal::args_sha256(&call.args);
        self.see_through(&Arc::new(call), args_sha256, None, effect)
    }

    /// The same, where `unread` says why no rule can decide about it, if that is so.
    fn see_through(
        &self,
        call: &Arc<ToolCall>,
        args_sha256: Sha256,
        unread: Option<String>,
        effect: &Effect<'_>,
    ) -> Result<CallOutcome, GateError> {
        let changed = (self.terms.gate_unchanged)().err();
        let changed = changed.map(|Broken(why)| why);
        if let Some(why) = &changed {
            // Whoever asks may be another than the hook that agp set up.
            self.break_off(why.clone());
        }
        let given = call::without_added(&call.args);
        let args = Args {
            decided: args_sha256,
            given: given.map_or(args_sha256, |given| journal::args_sha256(&given)),
        };
        let outline = Outline::of(&call.tool, &call.args);
        let replay = self.ledger.ask(&call.id, args, outline).err();
        let refused = changed.or_else(|| self.over());
        let refused = refused.or_else(|| replay.as_ref().map(GateError::to_string));
        let refused = refused.or(unread).or_else(|| not_by_itself(call, effect));
        let released = matches!(effect, Effect::Release(_));
        let refused = refused.or_else(|| {
            let differs = released && self.terms.watched && self.ledger.differs(&call.id);
            differs.then(|| "the harness shows a different call under this ID".to_owned())
        });
        let outcome = mediate(self, call, args_sha256, refused, effect);
        let outcome = outcome.map_err(|broken| GateError::Unrecorded(broken.0));
        match (replay, outcome) {
            (None, outcome) => {
                let allowed = matches!(
                    outcome,
                    Ok(CallOutcome::Executed(_) | CallOutcome::Released(..))
                );
                self.ledger.decide(&call.id, allowed);
                // It was shown while it was being decided about.
                if allowed
                    && released
                    && self.terms.watched
                    && let Some(unlike) = self.ledger.let_through(&call.id)
                {
                    self.end_for(call.id.as_str(), unlike.0, STREAM);
                    return Err(GateError::NotLetThrough(unlike.0));
                }
                outcome
            }
            (Some(why), Ok(_)) => {
                // Recorded and refused; to the asking side it is an error, as any replay is.
                if self.ledger.refuse_replay(&call.id) > limits::REPLAYS {
                    self.break_off("too many calls reused an ID".into());
                }
                Err(why)
            }
            (Some(_), Err(broken)) => Err(broken),
        }
    }

    /// How a call ends that comes through the gateway.
    fn effect(&self, peer: Peer) -> Effect<'_> {
        match &self.terms.sandbox {
            Some(sandbox) => Effect::Execute(sandbox.as_ref()),
            None => Effect::Release(peer),
        }
    }

    /// Records a bypass whatever its report says: what the journal would refuse is left out.
    fn bypassed(&self, mut report: CallReport, how: &'static str) -> Result<(), GateError> {
        if self.unwritable(&report.id, &report.tool).is_some() {
            report.tool = WITHHELD.into();
        }
        let id = self.shown_id(report.id.as_str());
        // The harness is ended before anything else is done about it.
        self.break_off(format!("a call of {} {how}", report.tool));
        let draft = events::bypassed(self.session().as_str(), id, &report, how);
        self.record(vec![draft])
            .map_err(|broken| GateError::Unrecorded(broken.0))?;
        Err(GateError::NotLetThrough(how))
    }
}

/// The argument by which an agent gets a work tree of its own, which the harness makes by itself.
const ISOLATION: &str = "isolation";

/// Why a harness must not run a call by itself: its own account would not show what comes of it, or it starts
/// programs that nobody decides about.
fn not_by_itself(call: &ToolCall, effect: &Effect<'_>) -> Option<String> {
    let refused = match effect {
        Effect::Execute(_) => None,
        Effect::Release(_) if call.args.contains_key(LEADS_TO) => {
            Some("an argument leads to a protected file, or to a process in /proc")
        }
        Effect::Release(_) if call.args.contains_key(WITHIN_AGENT) => Some(
            "hook mode does not allow nested agents: agp cannot watch them. Do the work in this \
                agent",
        ),
        Effect::Release(_)
            if call
                .args
                .get(ISOLATION)
                .is_some_and(|value| !value.is_null()) =>
        {
            Some(
                "hook mode does not support isolation: the harness would run git outside the gate. \
                    Omit it, or create a worktree with Bash first",
            )
        }
        Effect::Release(_) => None,
    };
    refused.map(str::to_owned)
}

impl Gate for Governor {
    fn session(&self) -> &SessionId {
        self.session_id()
    }

    fn request(&self, call: ToolCall, peer: Peer) -> Result<Decided, GateError> {
        Ok(match self.run_call(call, &self.effect(peer))? {
            CallOutcome::Denied(denial) => Decided::Denied(denial),
            CallOutcome::Released(permit, verdict) => Decided::Released(permit, verdict),
            CallOutcome::Executed(execution) => Decided::Executed {
                ok: execution.exit_code == Some(0),
                output: execution.answer,
            },
        })
    }

    fn unreadable(&self, call: UnreadableCall, peer: Peer) -> Result<Denial, GateError> {
        // What is recorded instead of the arguments. Their digest is not of this: no permit fits it.
        let stands_for = [
            ("unreadable".to_owned(), json!(call.why.as_str())),
            ("bytes".to_owned(), json!(call.args_bytes)),
        ];
        let stand_in = ToolCall {
            id: call.id,
            session: call.session,
            tool: call.tool,
            args: Map::from_iter(stands_for),
            actor: Actor::ClaudeProcess,
        };
        let (why, digest) = (call.why.reason(), call.args_sha256);
        match self.see_through(&Arc::new(stand_in), digest, Some(why), &self.effect(peer))? {
            CallOutcome::Denied(denial) => Ok(denial),
            CallOutcome::Released(..) | CallOutcome::Executed(_) => {
                Err(GateError::UnreadableDecided)
            }
        }
    }

    fn report(&self, mut report: CallReport, peer: Peer) -> Result<(), GateError> {
        let digest = Sha256::of(report.output.as_bytes());
        let result = Told {
            ok: report.ok,
            output: digest,
            comparable: events::comparable(report.output_bytes),
        };
        let id = self.shown_id(report.id.as_str());
        let word = Word {
            followed: self.followed(),
            apart: self.terms.apart,
        };
        let standing = self
            .ledger
            .report(&report.id, report.args_sha256, result, word);
        match standing {
            Standing::Allowed(decided) => {
                // Of what was decided about, which is what ran, and where.
                report.args_sha256 = decided;
                let draft = events::result(self.session().as_str(), &report, digest);
                self.record(vec![draft])
                    .map_err(|broken| GateError::Unrecorded(broken.0))?;
                self.notice(&Notice::Returned {
                    id: report.id.as_str(),
                    tool: &report.tool,
                    ok: report.ok,
                    output: &report.output,
                });
                Ok(())
            }
            Standing::Confirmed => Ok(()),
            // One of the two is not the harness's, and the journal has the first.
            Standing::Repeated => {
                self.intruded(Some(peer), &format!("call {id} was reported twice"));
                Err(GateError::ReportedTwice)
            }
            Standing::Contradicted => {
                self.intruded(Some(peer), &format!("call {id} was reported twice"));
                let how = "was reported twice with different results";
                self.anomaly(Some(report.id.as_str()), Some(&report.tool), how, "report");
                Err(GateError::ReportedOtherwise)
            }
            Standing::DeniedAndFailed => Ok(()),
            // Whoever reaches the gateway can say so. Had it run, the harness's own account would show it.
            Standing::Claimed(how) => {
                self.intruded(Some(peer), &format!("call {id} {how}"));
                self.anomaly(Some(report.id.as_str()), Some(&report.tool), how, "report");
                Err(GateError::NotLetThrough(how))
            }
            Standing::Unproven(how) => {
                self.end_for(report.id.as_str(), how, "report");
                Err(GateError::NotLetThrough(how))
            }
            Standing::Bypassed(how) => self.bypassed(report, how),
        }
    }

    fn failed(&self, problem: &str) {
        self.break_off(problem.to_owned());
    }

    fn unproven(&self, peer: Peer) {
        let how = "came from a process that did not show the session's client file";
        // One says it all: whoever asks without end must not keep other anomalies from the record.
        if self.ledger.unproven() == 1 {
            self.anomaly(None, None, how, "gateway");
        } else {
            self.intruded(Some(peer), &format!("a call {how}"));
        }
    }

    fn intruded(&self, peer: Option<Peer>, problem: &str) {
        let who = peer.map_or_else(
            || "a process".to_owned(),
            |peer| format!("process {} of user {}", peer.pid, peer.uid),
        );
        // Whoever floods the gateway must not flood the operator.
        match self.next_warning() {
            Some(true) => self.notice(&Notice::Warning(&format!("gateway: {who}: {problem}"))),
            Some(false) => {
                self.notice(&Notice::Warning("gateway: further intrusions not shown"));
            }
            None => {}
        }
    }
}
