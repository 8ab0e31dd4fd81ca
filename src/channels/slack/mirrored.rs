//! What is said in Slack of the journal's events, once they are durable.

use std::time::SystemTime;

use serde_json::Value;

use crate::contracts::event::{Draft, Kind};
use crate::contracts::timestamp;

use super::notice::Notice;
use super::post_queue::Job;
use super::{Slack, blocks, random_id};

impl Slack {
    /// Says what is to be said of an event that is durable by now.
    pub(super) fn mirrored(&self, event: &Draft) {
        let at = |name: &str| {
            event
                .payload
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("none")
        };
        let now = timestamp::rfc3339(SystemTime::now());
        let comes_in_floods = matches!(event.kind, Kind::ToolCallDeny | Kind::GateAnomaly);
        let say = |what: &'static str, foreign: &[(&'static str, &str)]| {
            self.hub.post.send(Job::Say {
                id: random_id(),
                notice: Notice::new(what, comes_in_floods, foreign),
            });
        };
        match event.kind {
            Kind::ApprovalGranted | Kind::ApprovalDenied | Kind::ApprovalTimeout => {
                let word = match (event.kind, event.on_behalf_of.as_deref()) {
                    (Kind::ApprovalGranted, Some(who)) => format!("*Approved* by {who} at {now}"),
                    (Kind::ApprovalDenied, Some(who)) => format!("*Denied* by {who} at {now}"),
                    (Kind::ApprovalTimeout, _) => {
                        format!("*Expired*: no answer by {now}. Denied.")
                    }
                    _ => format!("*Expired* at {now}: nobody could answer. Denied."),
                };
                if let Some(edit) = self.approvals.settled(at("messageId"), &word) {
                    self.hub.post.send(Job::last(edit));
                }
            }
            Kind::SessionStarted => {
                let blocks = blocks::opening(&self.about, &event.payload, &self.who);
                self.hub.post.send(Job::Opening {
                    text: "agp: a session".into(),
                    blocks,
                });
            }
            Kind::SessionEnded => say("The session has ended.", &[("How", at("end"))]),
            Kind::ToolCallDeny => say(
                "A call was denied by policy.",
                &[
                    ("Tool", at("tool")),
                    ("Rule", at("ruleId")),
                    ("Reason", at("reason")),
                ],
            ),
            Kind::GateBypassed => say(
                "THE GATE WAS BYPASSED. agp ended the session.",
                &[("Tool", at("tool")), ("How", at("how"))],
            ),
            Kind::GateAnomaly => {
                let ends = event.payload.get("endsSession") == Some(&Value::Bool(true));
                let what = match ends {
                    true => "Unexpected activity at the gate. agp ended the session.",
                    false => "Unexpected activity at the gate. The session continues.",
                };
                say(what, &[("Tool", at("tool")), ("How", at("how"))]);
            }
            _ => {}
        }
    }
}
