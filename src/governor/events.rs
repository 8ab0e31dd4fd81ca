//! The payloads of a call's events, the same keys whichever harness made the call.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::channel::Answer;
use crate::contracts::event::{ApprovalBinding, Draft, Kind};
use crate::contracts::grant::Grant;
use crate::contracts::ids::Sha256;
use crate::contracts::intendant::{Came, ToldResult};
use crate::contracts::limits;
use crate::contracts::sandbox::Execution;
use crate::contracts::verdict::{Decision, Verdict};
use crate::gateway::server::{CallReport, Peer};
use crate::journal::redact;

use super::call_ledger::Account;
use super::call_view::{self, ViewRecord};
use super::grants::Held;
use super::judging::Judged;
use super::questions::Questions;

/// One call's events share these: message, session, tool, digest of the arguments as the harness
/// gave them, and the arguments as far as they may be kept.
pub(super) struct CallEvents<'a> {
    call: &'a Arc<ToolCall>,
    base: Map<String, Value>,
}

/// Stands for what must not be quoted.
pub(super) const WITHHELD: &str = "[withheld]";

impl<'a> CallEvents<'a> {
    pub(super) fn new(call: &'a Arc<ToolCall>, args_sha256: Sha256) -> Self {
        let mut base = Map::new();
        base.insert("messageId".into(), json!(call.id.as_str()));
        base.insert("sessionId".into(), json!(call.session.as_str()));
        base.insert("tool".into(), json!(call.tool));
        base.insert("argsSha256".into(), json!(args_sha256.to_hex()));
        base.insert("args".into(), redact::journaled_args(&call.args));
        Self { call, base }
    }

    /// The same without what the agent wrote, for a call that must not be quoted.
    pub(super) fn withheld(call: &'a Arc<ToolCall>, id: &str, args_sha256: Sha256) -> Self {
        let mut events = Self::new(call, args_sha256);
        events.base.insert("messageId".into(), json!(id));
        events.base.insert("tool".into(), json!(WITHHELD));
        events.base.insert("args".into(), json!({"withheld": true}));
        events
    }

    pub(super) fn call(&self) -> &'a Arc<ToolCall> {
        self.call
    }

    fn draft(&self, kind: Kind, more: Value) -> Draft {
        let mut payload = self.base.clone();
        if let Value::Object(more) = more {
            payload.extend(more);
        }
        Draft {
            actor: self.call.actor,
            call: Some(Arc::clone(self.call)),
            ..Draft::new(kind, payload)
        }
    }

    pub(super) fn verdict(&self, verdict: &Verdict) -> Draft {
        let kind = match verdict.decision {
            Decision::Allow => Kind::ToolCallAllow,
            Decision::Require => Kind::ToolCallRequire,
            Decision::Deny => Kind::ToolCallDeny,
        };
        self.draft(kind, grounds(verdict))
    }

    /// A verdict that a person is asked about, with the files that are shown to them.
    pub(super) fn question(&self, judged: &Judged) -> Draft {
        let mut draft = self.verdict(&judged.verdict);
        if !judged.files.is_empty() {
            let preview = call_view::preview(&judged.files);
            draft.payload.insert("preview".into(), preview);
        }
        draft
    }

    /// `questions` names the channels that were asked, where nobody answered, and else the workspace of who did.
    /// `by_grants` answered a part of what was asked, `given` is what the answer grants for the session.
    pub(super) fn answer(
        &self,
        answer: &Answer,
        questions: &Questions,
        record: &ViewRecord,
        by_grants: &[Grant],
        given: &[Held],
    ) -> Draft {
        let (kind, by, binding, reason) = match answer {
            Answer::Granted { by, binding, .. } => {
                (Kind::ApprovalGranted, Some(by), Some(*binding), None)
            }
            Answer::Denied {
                by,
                binding,
                reason,
            } => (
                Kind::ApprovalDenied,
                Some(by),
                Some(*binding),
                reason.as_deref(),
            ),
            Answer::TimedOut => (Kind::ApprovalTimeout, None, None, Some("no answer in time")),
            Answer::Unreachable(why) | Answer::SessionOver(why) => {
                (Kind::ApprovalDenied, None, None, Some(why.as_str()))
            }
        };
        let names = questions.names();
        let channel = binding.map_or(names.as_str(), |binding| binding.channel());
        let mut draft = self.draft(
            kind,
            json!({
                "channel": channel,
                "decidedBy": by,
                "reason": reason,
                "viewSha256": record.sha256.to_hex(),
                "view": record.view,
            }),
        );
        if let Some(attendant) = binding.and_then(ApprovalBinding::attendant) {
            draft.payload.insert("peer".into(), attendant.record());
        }
        if !by_grants.is_empty() {
            draft.payload.insert("usesGrants".into(), ids(by_grants));
        }
        if !given.is_empty() {
            let grants: Vec<Value> = given.iter().map(|held| described(&held.grant)).collect();
            draft.payload.insert("givesGrants".into(), json!(grants));
        }
        if let Some(team) = by.and_then(|_| questions.team(channel)) {
            draft.payload.insert("team".into(), json!(team));
        }
        draft.actor = Actor::SessionOwner;
        draft.binding = binding;
        draft.on_behalf_of = by.cloned();
        draft
    }

    /// Grants answer all that is asked.
    pub(super) fn by_grants(&self, grants: &[Grant]) -> Draft {
        let distinct = |of: fn(&Grant) -> &str| {
            let mut all: Vec<&str> = grants.iter().map(of).collect();
            all.dedup();
            all.join(", ")
        };
        let by = distinct(|grant| &grant.by);
        let channel = distinct(|grant| &grant.channel);
        let mut draft = self.draft(
            Kind::ApprovalGranted,
            json!({"channel": channel, "decidedBy": by, "reason": null, "usesGrants": ids(grants)}),
        );
        draft.actor = Actor::SessionOwner;
        draft.binding = Some(ApprovalBinding::SessionGrant);
        draft.on_behalf_of = Some(by);
        draft
    }

    pub(super) fn gate(&self, verdict: &Verdict, peer: Peer) -> Draft {
        let kind = match verdict.decision {
            Decision::Allow => Kind::GateAllow,
            Decision::Require | Decision::Deny => Kind::GateDeny,
        };
        let mut more = grounds(verdict);
        if let Some(more) = more.as_object_mut() {
            more.insert("peer".into(), json!({"pid": peer.pid, "uid": peer.uid}));
        }
        self.draft(kind, more)
    }

    pub(super) fn executed(&self, sandbox: &str, execution: &Execution) -> Draft {
        self.draft(
            Kind::ToolCallExecuted,
            json!({
                "sandbox": sandbox,
                "exitCode": execution.exit_code,
                "signal": execution.signal,
                "notes": execution.notes,
                "outputSha256": execution.output_sha256.to_hex(),
                "outputBytes": execution.output_bytes,
                "secretsUsed": execution.secrets,
            }),
        )
    }
}

fn ids(grants: &[Grant]) -> Value {
    let ids: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
    json!(ids)
}

/// A grant as events have it.
fn described(grant: &Grant) -> Value {
    json!({"id": grant.id, "rule": grant.rule, "covers": grant.covers, "until": grant.until})
}

/// A grant was taken back.
pub(super) fn revoked(session: &str, grant: &Grant, by: &str, binding: ApprovalBinding) -> Draft {
    let mut payload = Map::from_iter([
        ("sessionId".to_owned(), json!(session)),
        ("channel".to_owned(), json!(binding.channel())),
        ("revokedBy".to_owned(), json!(by)),
        ("grant".to_owned(), described(grant)),
    ]);
    if let Some(attendant) = binding.attendant() {
        payload.insert("peer".into(), attendant.record());
    }
    Draft {
        on_behalf_of: Some(by.to_owned()),
        ..Draft::new(Kind::GrantRevoked, payload)
    }
}

fn grounds(verdict: &Verdict) -> Value {
    json!({"ruleId": verdict.rule_id, "reason": verdict.reason, "tier": verdict.tier})
}

/// The event of a harness's own report on a call.
pub(super) fn result(session: &str, report: &CallReport, output_sha256: Sha256) -> Draft {
    let id = report.id.as_str();
    let payload = json!({
        "messageId": id,
        "sessionId": session,
        "tool": report.tool,
        "argsSha256": report.args_sha256.to_hex(),
        "ok": report.ok,
        "outputSha256": output_sha256.to_hex(),
        "outputBytes": report.output_bytes,
        "outputCut": report.output_bytes > report.output.len() as u64,
        "seenBy": "report",
    });
    call_event(Kind::ToolCallResult, payload)
}

/// The same as the harness's stream shows it: where no report told it, or one that `contradicts` it.
pub(super) fn shown_result(
    session: &str,
    [id, tool]: [&str; 2],
    account: &Account,
    came: Came,
    result: &ToldResult,
) -> Draft {
    let output = kept(&result.output);
    let how = match came {
        Came::Ran => "ran",
        Came::Refused => "refused by the harness",
        Came::Blocked => "blocked by a hook",
        Came::Stopped => "stopped with its agent",
    };
    let payload = json!({
        "messageId": id,
        "sessionId": session,
        "tool": tool,
        "argsSha256": account.decided.to_hex(),
        "ok": result.ok,
        "outputSha256": Sha256::of(output.as_bytes()).to_hex(),
        "outputBytes": result.output.len(),
        "outputCut": result.output.len() > output.len(),
        "seenBy": "stream",
        "how": how,
        "contradictsReport": account.contradicts,
    });
    call_event(Kind::ToolCallResult, payload)
}

/// As much of an output as its digest is of.
pub(super) fn kept(output: &str) -> &str {
    let end = output.floor_char_boundary(limits::REPORT_OUTPUT_BYTES);
    output.get(..end).unwrap_or(output)
}

/// Whether an output is short enough to be the same text in a report and in the stream.
pub(super) fn comparable(output_bytes: u64) -> bool {
    output_bytes <= limits::RESULT_COMPARED_BYTES
}

/// The event of a call that ran, or is said to have run, without a decision that let it.
pub(super) fn bypassed(session: &str, id: &str, report: &CallReport, how: &str) -> Draft {
    let payload = json!({
        "messageId": id,
        "sessionId": session,
        "tool": report.tool,
        "argsSha256": report.args_sha256.to_hex(),
        "ok": report.ok,
        "how": how,
    });
    call_event(Kind::GateBypassed, payload)
}

fn call_event(kind: Kind, payload: Value) -> Draft {
    let payload = match payload {
        Value::Object(payload) => payload,
        _ => Map::new(),
    };
    Draft {
        actor: crate::contracts::call::Actor::ClaudeProcess,
        ..Draft::new(kind, payload)
    }
}
