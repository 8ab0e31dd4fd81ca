//! The session's grants: approvals that answer the same question again. A grant answers one rule about one atom, in
//! whatever call it stands; it never changes what a rule denies, and where more than the atom decides what is done, it
//! answers in the identical call alone.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::contracts::channel::{ApprovalTerms, GrantOffer, Scope};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::grant::{Grant, GrantState};
use crate::contracts::ids::Sha256;
use crate::contracts::lock::locked;
use crate::contracts::question::{Clock, Moment};
use crate::contracts::{limits, timestamp};
use crate::policy::{Grantable, Question};

use super::judging::Judged;

/// The call that a question is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallDigests {
    /// Of its arguments.
    pub(super) args: Sha256,
    /// Of what it would do.
    pub(super) reading: Sha256,
}

/// A grant, and what it answers.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    key: Sha256,
    since: Moment,
    lasts: Option<Duration>,
}

/// The session's grants.
#[derive(Debug)]
pub(super) struct Grants {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Ids given so far.
    count: u64,
    held: Vec<Held>,
    /// How often each question was put to a person.
    asked: HashMap<Sha256, u32>,
}

/// Which of a call's questions stand open, and the grants that answer the others.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) call: CallDigests,
    pub(super) open: Vec<&'a Question>,
    pub(super) by: Vec<Grant>,
}

impl<'a> Standing<'a> {
    /// Of a session in which no grant holds any more.
    pub(super) fn open(questions: &'a [Question], call: CallDigests) -> Self {
        Self {
            call,
            open: questions.iter().collect(),
            by: Vec::new(),
        }
    }

    /// Whether grants answer all that is asked. Where nothing is known of what is asked, a person is.
    pub(super) fn is_answered(&self) -> bool {
        self.open.is_empty() && !self.by.is_empty()
    }

    /// Who gave the grants, with these.
    pub(super) fn who(&self) -> String {
        let who = self
            .by
            .iter()
            .map(|grant| format!("{} ({})", grant.by, grant.id));
        who.collect::<Vec<_>>().join(", ")
    }

    /// What an answer needs: what the rules ask of which questions stand open.
    pub(super) fn needs(&self, judged: &Judged) -> (ApprovalTerms, Vec<Vec<String>>) {
        if self.by.is_empty() {
            return (judged.terms, judged.approvers.clone());
        }
        let required = self.open.iter().filter_map(|question| question.required);
        let mut approvers: Vec<Vec<String>> = Vec::new();
        for names in self.open.iter().flat_map(|question| &question.approvers) {
            if !approvers.contains(names) {
                approvers.push(names.clone());
            }
        }
        let terms = ApprovalTerms {
            required: required.max(),
        };
        (terms, approvers)
    }
}

impl Grants {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn is_live(&self, held: &Held) -> bool {
        held.grant.state == GrantState::Live
            && held
                .lasts
                .is_none_or(|lasts| held.since.elapsed(self.clock) < lasts)
    }

    /// Which of these questions no live grant answers.
    pub(super) fn standing<'a>(
        &self,
        questions: &'a [Question],
        call: CallDigests,
    ) -> Standing<'a> {
        let state = locked(&self.state);
        let mut standing = Standing {
            call,
            open: Vec::new(),
            by: Vec::new(),
        };
        for question in questions {
            let keys = [exact_key(question, call)]
                .into_iter()
                .chain(pattern_key(question));
            let keys: Vec<Sha256> = keys.collect();
            let mut held = state.held.iter();
            let grant = held.find(|held| keys.contains(&held.key) && self.is_live(held));
            match grant.filter(|_| question.grant != Grantable::Never) {
                Some(held) if standing.by.iter().any(|by| by.id == held.grant.id) => {}
                Some(held) => standing.by.push(held.grant.clone()),
                None => standing.open.push(question),
            }
        }
        standing
    }

    /// What a yes to these questions may hold for, which are put to a person now.
    pub(super) fn offer(&self, standing: &Standing<'_>) -> Option<GrantOffer> {
        let (open, call) = (&standing.open, standing.call);
        let mut state = locked(&self.state);
        let mut offered = !open.is_empty() && state.held.len() + open.len() <= limits::GRANTS;
        for question in open {
            let key = exact_key(question, call);
            let full = state.asked.len() >= limits::ASKED_KEYS && !state.asked.contains_key(&key);
            let times = match full {
                true => 1,
                false => {
                    let times = state.asked.entry(key).or_default();
                    *times = times.saturating_add(1);
                    *times
                }
            };
            offered &= match question.grant {
                Grantable::Never => false,
                Grantable::WhenRepeated => times >= limits::ASKED_BEFORE_OFFER,
                Grantable::Yes => true,
            };
        }
        let pattern = open.iter().any(|question| question.pattern.is_some());
        offered.then(|| GrantOffer {
            exact: covers(open, false),
            pattern: pattern.then(|| covers(open, true)),
        })
    }

    /// What an answer of this scope grants. Nothing holds before [`Self::hold`].
    pub(super) fn given(
        &self,
        standing: &Standing<'_>,
        offer: Option<&GrantOffer>,
        (by, binding): (&str, ApprovalBinding),
        scope: Scope,
    ) -> Vec<Held> {
        let (Some(offer), Scope::Session { pattern, minutes }) = (offer, scope) else {
            return Vec::new();
        };
        let in_range = minutes.is_none_or(|minutes| (1..=limits::GRANT_MINUTES).contains(&minutes));
        if !in_range || pattern && offer.pattern.is_none() {
            return Vec::new();
        }
        let (open, call) = (&standing.open, standing.call);
        let lasts = minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        let since = Moment::now(self.clock);
        let mut state = locked(&self.state);
        let grants = open.iter().map(|question| {
            state.count += 1;
            let narrow = question.pattern.as_ref().filter(|_| pattern);
            Held {
                key: narrow.map_or_else(|| exact_key(question, call), |narrow| narrow.key),
                since,
                lasts,
                grant: Grant {
                    id: format!("g{}", state.count),
                    rule: question.rule.clone(),
                    covers: narrow
                        .map_or(&question.covers, |narrow| &narrow.covers)
                        .clone(),
                    by: by.to_owned(),
                    channel: binding.channel().to_owned(),
                    since: timestamp::rfc3339(since.wall()),
                    until: lasts.map(|lasts| timestamp::rfc3339(since.wall() + lasts)),
                    state: GrantState::Live,
                },
            }
        });
        grants.collect()
    }

    /// From now on these hold.
    pub(super) fn hold(&self, grants: Vec<Held>) {
        let mut state = locked(&self.state);
        let room = limits::GRANTS.saturating_sub(state.held.len());
        state.held.extend(grants.into_iter().take(room));
    }

    /// All grants of the session, in the order in which they were given.
    pub(super) fn list(&self) -> Vec<Grant> {
        let state = locked(&self.state);
        let listed = state.held.iter().map(|held| {
            let mut grant = held.grant.clone();
            if grant.state == GrantState::Live && !self.is_live(held) {
                grant.state = GrantState::Expired;
            }
            grant
        });
        listed.collect()
    }

    /// Takes one back. `None` where no live one has this id.
    pub(super) fn revoke(&self, id: &str) -> Option<Grant> {
        let mut state = locked(&self.state);
        let at = state
            .held
            .iter()
            .position(|held| held.grant.id == id && self.is_live(held))?;
        let held = state.held.get_mut(at)?;
        held.grant.state = GrantState::Revoked;
        Some(held.grant.clone())
    }
}

/// What answers a question as it is.
fn exact_key(question: &Question, call: CallDigests) -> Sha256 {
    match question.identical {
        false => question.key,
        true => Sha256::of(format!("{} {} {}", question.key, call.args, call.reading).as_bytes()),
    }
}

fn pattern_key(question: &Question) -> Option<Sha256> {
    question.pattern.as_ref().map(|narrow| narrow.key)
}

/// What the questions are about, in words, each once.
fn covers(open: &[&Question], pattern: bool) -> String {
    let mut all: Vec<&str> = Vec::new();
    for question in open {
        let narrow = question.pattern.as_ref().filter(|_| pattern);
        let covers = narrow.map_or(&question.covers, |narrow| &narrow.covers);
        if !all.contains(&covers.as_str()) {
            all.push(covers);
        }
    }
    all.join("; ")
}

#[cfg(test)]
mod tests;
