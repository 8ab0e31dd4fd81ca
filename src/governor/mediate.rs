//! The main path: what agp does with one tool call, start to end.

use std::sync::Arc;

use crate::contracts::call::ToolCall;
use crate::contracts::channel::{Answer, GrantOffer};
use crate::contracts::event::Draft;
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::question::Asking;
use crate::contracts::sandbox::Execution;
use crate::contracts::verdict::{Decision, Denial, Verdict};
use crate::contracts::view::CallView;
use crate::gateway::server::Peer;
use crate::journal::{Permit, Receipt};

use super::call_view::AskedView;
use super::events::CallEvents;
use super::governed_session::{Broken, Governor, Notice};
use super::judging::Judged;
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
    let runs_here = matches!(effect, Effect::Execute(_));
    let (events, judged) = match (refusal, refused) {
        (Some(refusal), _) => {
            let id = governor.shown_id(call.id.as_str());
            let events = CallEvents::withheld(call, id, args_sha256);
            (events, Judged::refused(refusal))
        }
        (None, Some(why)) => (
            CallEvents::new(call, args_sha256),
            Judged::refused(Verdict::refused(why)),
        ),
        (None, None) => (
            CallEvents::new(call, args_sha256),
            governor.judge(call, runs_here),
        ),
    };

    let (mut drafts, verdict) = match judged.verdict.decision {
        Decision::Require => approved(governor, &events, judged, args_sha256, runs_here)?,
        Decision::Allow | Decision::Deny => (vec![events.verdict(&judged.verdict)], judged.verdict),
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

/// Asks a person, and again where the call would do something else once there is an answer. Gives what is to be recorded
/// of the last answer, and the effective verdict.
fn approved(
    governor: &Governor,
    events: &CallEvents<'_>,
    mut judged: Judged,
    args_sha256: Sha256,
    runs_here: bool,
) -> Result<(Vec<Draft>, Verdict), Broken> {
    let call = events.call();
    for _ in 0..limits::QUESTIONS_PER_CALL {
        governor.record(vec![events.question(&judged)])?;
        let AskedView { view, record } = governor.view(call, &judged, args_sha256);
        let answer = ask(governor, call, &judged, view, args_sha256);
        let drafts = vec![events.answer(&answer, &governor.terms.questions, &record)];
        let granted = matches!(answer, Answer::Granted { .. });
        match granted.then(|| governor.changed(&judged, call, runs_here)) {
            Some(Some(anew)) => {
                governor.record(drafts)?;
                judged = anew;
                if judged.verdict.decision == Decision::Deny {
                    return Ok((vec![events.verdict(&judged.verdict)], judged.verdict));
                }
            }
            Some(None) => {
                governor.remember(&judged);
                return Ok((drafts, settle(judged.verdict, &answer)));
            }
            None => return Ok((drafts, settle(judged.verdict, &answer))),
        }
    }
    let verdict = Verdict {
        decision: Decision::Deny,
        reason: "what it would do changed each time that somebody was asked".to_owned(),
        ..judged.verdict
    };
    Ok((vec![events.verdict(&verdict)], verdict))
}

fn ask(
    governor: &Governor,
    call: &Arc<ToolCall>,
    judged: &Judged,
    view: CallView,
    args_sha256: Sha256,
) -> Answer {
    let verdict = &judged.verdict;
    governor.notice(&Notice::Asked { call, verdict });
    let questions = &governor.terms.questions;
    governor.ask(Asking {
        number: questions.number(),
        call: Arc::clone(call),
        verdict: verdict.clone(),
        terms: judged.terms,
        approvers: judged
            .approvers
            .iter()
            .map(|names| governor.terms.groups.list(names))
            .collect(),
        offer: judged.session_grant.then(|| GrantOffer {
            exact: "exactly this call".to_owned(),
            pattern: None,
        }),
        view,
        args_sha256,
        reading_sha256: judged.reading_sha256(),
        deadline: questions.deadline(),
        queue: questions.queue(),
    })
}

/// The effective verdict once a human was asked.
fn settle(asked: Verdict, answer: &Answer) -> Verdict {
    let (decision, reason) = match answer {
        Answer::Granted { by, .. } => (Decision::Allow, format!("approved by {by}")),
        Answer::Denied {
            by,
            reason: Some(why),
            ..
        } => (Decision::Deny, format!("denied by {by}: {why}")),
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
