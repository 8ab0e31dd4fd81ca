//! `agp log --grants`: the approvals that were given for a session, and whether they still hold.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::channels::escape;
use crate::contracts::event::Kind;
use crate::contracts::fold::Next;
use crate::contracts::grant::{Grant, GrantState};
use crate::contracts::plural::count;
use crate::contracts::timestamp;
use crate::journal::Entry;
use crate::report::failure::{say_folded, try_say};

/// The grants of a journal, as its events name them.
#[derive(Default)]
pub(super) struct Listed {
    grants: Vec<OfSession>,
    /// Sessions that are over.
    over: Vec<String>,
}

struct OfSession {
    session: String,
    grant: Grant,
    /// Calls that it has let through.
    calls: usize,
}

impl Listed {
    /// Takes up the next event.
    pub(super) fn take(&mut self, entry: &Entry) {
        let Some(payload) = entry.payload() else {
            return;
        };
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        let Some(session) = text("sessionId") else {
            return;
        };
        let array = |name: &str| {
            payload
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let is = |kind: Kind| entry.kind() == kind.as_str();
        if is(Kind::ApprovalGranted) {
            for given in array("givesGrants").filter_map(Value::as_object) {
                let of = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
                self.grants.push(OfSession {
                    session: session.to_owned(),
                    calls: 0,
                    grant: Grant {
                        id: of("id").unwrap_or_default(),
                        rule: of("rule"),
                        covers: of("covers").unwrap_or_default(),
                        by: text("decidedBy").unwrap_or_default().to_owned(),
                        channel: text("channel").unwrap_or_default().to_owned(),
                        since: entry.text("ts").unwrap_or_default().to_owned(),
                        until: of("until"),
                        state: GrantState::Live,
                    },
                });
            }
            for id in array("usesGrants").filter_map(Value::as_str) {
                if let Some(used) = self.find(session, id) {
                    used.calls += 1;
                }
            }
        } else if is(Kind::GrantRevoked) {
            let id = payload.get("grant").and_then(|grant| grant.get("id"));
            let id = id.and_then(Value::as_str).unwrap_or_default();
            if let Some(revoked) = self.find(session, id) {
                revoked.grant.state = GrantState::Revoked;
            }
        } else if is(Kind::SessionEnded) || is(Kind::SessionReaped) {
            self.over.push(session.to_owned());
        }
    }

    fn find(&mut self, session: &str, id: &str) -> Option<&mut OfSession> {
        let mut grants = self.grants.iter_mut();
        grants.find(|of| of.session == session && of.grant.id == id)
    }

    /// Shows them, in the order in which they were given.
    pub(super) fn print(mut self, as_json: bool) {
        let now = timestamp::rfc3339(SystemTime::now());
        for of in &mut self.grants {
            let grant = &mut of.grant;
            // Both are in UTC, with as many digits.
            let expired = grant.until.as_ref().is_some_and(|until| *until <= now);
            grant.state = match grant.state {
                GrantState::Live if expired => GrantState::Expired,
                GrantState::Live if self.over.contains(&of.session) => GrantState::Ended,
                state => state,
            };
            let printed = match as_json {
                true => try_say(of.as_json()),
                false => say_folded(&of.for_people(), Next::FOREIGN),
            };
            if !printed {
                return;
            }
        }
        if self.grants.is_empty() && !as_json {
            try_say("nobody approved anything for a session");
        }
    }
}

impl OfSession {
    fn as_json(&self) -> Value {
        let grant = serde_json::to_value(&self.grant).unwrap_or_default();
        let mut line = Map::from_iter([("sessionId".to_owned(), json!(self.session))]);
        if let Value::Object(grant) = grant {
            line.extend(grant);
        }
        line.insert("calls".to_owned(), json!(self.calls));
        Value::Object(line)
    }

    /// What it covers stands last: the agent's words cannot pass for what follows.
    fn for_people(&self) -> String {
        let Grant {
            id,
            rule,
            covers,
            by,
            channel,
            since,
            until,
            state,
        } = &self.grant;
        let one = |text: &str| escape::line_max(text, 100);
        let until = until.as_deref().unwrap_or("the end of the session");
        let rule = rule.as_deref().map_or_else(
            || "no rule".to_owned(),
            |rule| format!("rule {}", one(rule)),
        );
        format!(
            "{} {} {:<7} by {} ({}) from {} until {}, {rule}, {}: {}",
            one(&self.session),
            one(id),
            state.as_str(),
            one(by),
            one(channel),
            one(since),
            one(until),
            count(self.calls, "call"),
            escape::line(covers),
        )
    }
}
