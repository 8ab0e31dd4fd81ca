//! The main path: what agp does with one tool call, start to end.

use std::sync::Arc;

use crate::contracts::call::ToolCall;
use crate::contracts::channel::{Answer, ApprovalRequest};
use crate::contracts::ids::Sha256;
use crate::contracts::sandbox::Execution;
use crate::contracts::verdict::{Decision, Denial, Verdict};
use crate::gateway::server::Peer;
use crate::journal::{Permit, Receipt};

use super::events::CallEvents;
use super::governed_session::{Broken, Governor, Notice};
use super::sandbox::Sandbox;

/// What an allowed call comes to.
pub enum Effect<'a> {
    /// The harness runs it: its own hook is let go.
    Release(Peer),
    /// agp runs it.
    Execute(&'a dyn Sandbox),
}

/// What became of a call.
#[must_use = "the harness waits for this"]
#[derive(Debug, PartialEq)]
pub enum CallOutcome {
    /// It must not run; says why.
    Denied(Denial),
    /// The harness may run it, on these grounds. The permit is spent by telling it so.
    Released(Permit, Verdict),
    /// agp ran it.
    Executed(Execution),
}

/// Decides a call and sees it through: policy, where needed a human, the journal, and only then
/// the effect. `args_sha256` is the digest of the call's arguments; `refused` says why no rule may decide about it, if that is so.
///
/// # Errors
/// [`Broken`] when a decision or result could not be recorded: the session is over, and the call
/// has not run, or its result is not delivered.
pub fn mediate(
    governor: &Governor,
    call: &Arc<ToolCall>,
    args_sha256: Sha256,
    refused: Option<String>,
    effect: &Effect<'_>,
) -> Result<CallOutcome, Broken> {
    let refusal = governor.refusal(call);
    let withheld = refusal.is_some();
    let (events, verdict) = match refusal {
        Some(refusal) => {
            let id = governor.shown_id(call.id.as_str());
            (CallEvents::withheld(call, id, args_sha256), refusal)
        }
        None => {
            let runs_here = matches!(effect, Effect::Execute(_));
            let decide = || governor.policy_verdict(call, runs_here);
            let verdict = refused.map_or_else(decide, Verdict::refused);
            (CallEvents::new(call, args_sha256), verdict)
        }
    };

    let mut drafts = vec![events.verdict(&verdict)];
    let verdict = if verdict.decision == Decision::Require {
        governor.record(drafts)?;
        let answer = ask(governor, call, &verdict, args_sha256);
        drafts = vec![events.answer(&answer, governor.channel_name())];
        settle(verdict, &answer)
    } else {
        verdict
    };
    if let Effect::Release(peer) = effect {
        drafts.push(events.gate(&verdict, *peer));
    }
    let receipts = governor.record(drafts)?;

    governor.notice(&Notice::Decided {
        call,
        verdict: &verdict,
        withheld,
    });
    let permit = receipts.into_iter().next_back().and_then(Receipt::permit);
    match (permit, effect) {
        (None, _) => Ok(CallOutcome::Denied(Denial::of(verdict).unwrap_or_else(
            || Denial::refused("the journal has no allow decision for this call"),
        ))),
        (Some(permit), Effect::Release(_)) => Ok(CallOutcome::Released(permit, verdict)),
        (Some(permit), Effect::Execute(sandbox)) => {
            let execution = governor.executed(sandbox.exec(permit));
            governor.record(vec![events.executed(sandbox.kind(), &execution)])?;
            governor.notice(&Notice::Executed(&execution));
            Ok(CallOutcome::Executed(execution))
        }
    }
}

fn ask(governor: &Governor, call: &ToolCall, verdict: &Verdict, args_sha256: Sha256) -> Answer {
    governor.notice(&Notice::Asked { call, verdict });
    governor.ask(&ApprovalRequest {
        call,
        verdict,
        terms: governor.approval_terms(verdict),
        args_sha256,
        deadline: governor.approval_deadline(),
    })
}

/// The effective verdict once a human was asked.
fn settle(asked: Verdict, answer: &Answer) -> Verdict {
    let (decision, reason) = match answer {
        Answer::Granted { by, .. } => (Decision::Allow, format!("approved by {by}")),
        Answer::Denied { by, .. } => (Decision::Deny, format!("denied by {by}")),
        Answer::TimedOut => (
            Decision::Deny,
            "no answer to the approval request in time".to_owned(),
        ),
        Answer::Unreachable(why) => (Decision::Deny, format!("no approver available: {why}")),
        Answer::SessionOver(why) => (Decision::Deny, why.clone()),
    };
    Verdict {
        decision,
        reason,
        ..asked
    }
}
