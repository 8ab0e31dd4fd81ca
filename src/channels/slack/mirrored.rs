//! What is said in Slack of the journal's events, once they are durable.

use serde_json::Value;

use crate::contracts::event::{Draft, Kind};

use super::blocks::{self, Outcome};
use super::notice::Notice;
use super::post_queue::Job;
use super::{Slack, random_id};

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
        let comes_in_floods = matches!(event.kind, Kind::ToolCallDeny | Kind::GateAnomaly);
        let say = |what: &'static str, foreign: &[(&'static str, &str)]| {
            self.hub.post.send(Job::Say {
                id: random_id(),
                notice: Notice::new(what, comes_in_floods, foreign),
            });
        };
        match event.kind {
            Kind::ApprovalGranted | Kind::ApprovalDenied | Kind::ApprovalTimeout => {
                let reason = event.payload.get("reason").and_then(Value::as_str);
                let outcome = match (event.kind, event.on_behalf_of.as_deref()) {
                    (Kind::ApprovalGranted, Some(who)) => Outcome::new("*Approved*").by(who),
                    (Kind::ApprovalDenied, Some(who)) => {
                        Outcome::new("*Denied*").by(who).because(reason)
                    }
                    (Kind::ApprovalTimeout, _) => {
                        Outcome::new("*Expired*: no answer, so denied").now()
                    }
                    _ => Outcome::new("*Expired*: nobody could answer, so denied").now(),
                };
                if let Some(edit) = self.approvals.settled(at("messageId"), outcome) {
                    self.hub.post.send(Job::last(edit));
                }
            }
            Kind::SessionStarted => {
                self.hub.post.send(Job::Opening {
                    text: blocks::opening_text(&self.about.origin),
                    blocks: blocks::opening(&self.about, &event.payload),
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
