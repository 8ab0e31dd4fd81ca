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
use super::grants::{CallDigests, Held, Standing};
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

    let approval = match judged.verdict.decision {
        Decision::Require => approved(governor, &events, judged, args_sha256, runs_here)?,
        Decision::Allow | Decision::Deny => {
            Approval::of(vec![events.verdict(&judged.verdict)], judged.verdict)
        }
    };
    let (mut drafts, verdict) = (approval.drafts, approval.verdict);
    if let Effect::Release(peer) = effect {
        drafts.push(events.gate(&verdict, *peer));
    }
    let receipts = governor.record(drafts)?;
    governor.grants.hold(approval.grants);

    governor.notice(&Notice::Decided {
        call,
        verdict: &verdict,
        withheld,
        answer: approval.answer.as_ref(),
        granted_by: approval.granted_by.as_deref(),
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
            governor.notice(&Notice::Executed {
                call,
                execution: &execution,
            });
            Ok(CallOutcome::Executed(execution))
        }
    }
}

/// What became of a call that a person must approve.
struct Approval {
    /// What is to be recorded of the last answer.
    drafts: Vec<Draft>,
    /// The effective verdict.
    verdict: Verdict,
    /// What the answer grants for the session, once it is durable.
    grants: Vec<Held>,
    /// The answer, where it made the verdict.
    answer: Option<Answer>,
    /// Who approved it for the session before, where that made the verdict.
    granted_by: Option<String>,
}

impl Approval {
    fn of(drafts: Vec<Draft>, verdict: Verdict) -> Self {
        Self {
            drafts,
            verdict,
            grants: Vec::new(),
            answer: None,
            granted_by: None,
        }
    }
}

/// Asks a person what no grant answers, and again where the call would do something else once there is an answer.
fn approved(
    governor: &Governor,
    events: &CallEvents<'_>,
    mut judged: Judged,
    args_sha256: Sha256,
    runs_here: bool,
) -> Result<Approval, Broken> {
    let call = events.call();
    for _ in 0..limits::QUESTIONS_PER_CALL {
        governor.record(vec![events.question(&judged)])?;
        let digests = CallDigests {
            args: args_sha256,
            reading: judged.reading_sha256(),
        };
        let standing = governor.standing(&judged.questions, digests);
        if standing.is_answered() {
            governor.remember(&judged);
            let who = standing.who();
            let verdict = Verdict {
                decision: Decision::Allow,
                reason: format!("approved for the session by {who}"),
                ..judged.verdict
            };
            return Ok(Approval {
                granted_by: Some(who),
                ..Approval::of(vec![events.by_grants(&standing.by)], verdict)
            });
        }
        let AskedView { view, record } = governor.view(call, &judged, args_sha256);
        let offer = governor.grants.offer(&standing);
        let answer = ask(governor, call, &judged, &standing, offer.clone(), view);
        let questions = &governor.terms.questions;
        let draft =
            |grants: &[Held]| events.answer(&answer, questions, &record, &standing.by, grants);
        let Answer::Granted { by, binding, scope } = &answer else {
            let verdict = settle(judged.verdict, &answer);
            return Ok(Approval {
                answer: Some(answer.clone()),
                ..Approval::of(vec![draft(&[])], verdict)
            });
        };
        let Some(anew) = governor.changed(&judged, call, runs_here) else {
            governor.remember(&judged);
            let given = (by.as_str(), *binding);
            let grants = governor
                .grants
                .given(&standing, offer.as_ref(), given, *scope);
            return Ok(Approval {
                drafts: vec![draft(&grants)],
                verdict: settle(judged.verdict, &answer),
                grants,
                answer: Some(answer.clone()),
                granted_by: None,
            });
        };
        governor.record(vec![draft(&[])])?;
        judged = anew;
        if judged.verdict.decision == Decision::Deny {
            let drafts = vec![events.verdict(&judged.verdict)];
            return Ok(Approval::of(drafts, judged.verdict));
        }
    }
    let verdict = Verdict {
        decision: Decision::Deny,
        reason: "what it would do changed each time that somebody was asked".to_owned(),
        ..judged.verdict
    };
    Ok(Approval::of(vec![events.verdict(&verdict)], verdict))
}

fn ask(
    governor: &Governor,
    call: &Arc<ToolCall>,
    judged: &Judged,
    standing: &Standing<'_>,
    offer: Option<GrantOffer>,
    view: CallView,
) -> Answer {
    let verdict = &judged.verdict;
    governor.notice(&Notice::Asked { call, verdict });
    let questions = &governor.terms.questions;
    let (terms, approvers) = standing.needs(judged);
    let groups = &governor.terms.groups;
    governor.ask(Asking {
        number: questions.number(),
        call: Arc::clone(call),
        verdict: verdict.clone(),
        terms,
        approvers: approvers.iter().map(|names| groups.list(names)).collect(),
        offer,
        view,
        args_sha256: standing.call.args,
        reading_sha256: standing.call.reading,
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
