//! The calls of a session: which ids were seen, and what became of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::contracts::ids::{MessageId, Sha256};
use crate::contracts::limits;

/// How many calls there were and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls that the witness saw attempted, without those that the harness itself refused.
    pub seen: u64,
    /// Calls that asked.
    pub decided: u64,
    /// Calls let through.
    pub allowed: u64,
    /// Calls refused.
    pub denied: u64,
    /// Calls that ran, or are said to have run, without a decision that let them.
    pub bypassed: u64,
    /// What was odd about calls and is no bypass.
    pub anomalies: u64,
}

/// What became of a call so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Allowed,
    Denied,
    Reported,
}

/// What a report about a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The call was allowed, and this is its first report; the digest of what was decided about.
    Allowed(Sha256),
    /// The call was reported before.
    Repeated,
    /// The call was denied, and is said not to have run.
    DeniedAndFailed,
    /// The call ran without a decision that let it; says how.
    Bypassed(&'static str),
}

/// A call that asked.
#[derive(Clone, Copy)]
struct Asked {
    stage: Stage,
    args: Args,
}

/// Digests of a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Args {
    /// As they were decided about.
    pub(super) decided: Sha256,
    /// As the harness knows them: without what agp has added.
    pub(super) given: Sha256,
}

#[derive(Default)]
struct Calls {
    stages: HashMap<MessageId, Asked>,
    /// Allowed calls whose result the witness has seen: each decision covers one.
    returned: HashSet<MessageId>,
    /// Calls under an id that was used before.
    replays: u64,
    /// How many of those, by id, agp has refused itself and the witness has not seen come back.
    refused: HashMap<MessageId, u64>,
    census: Census,
}

/// How often the harness answered calls of its own tools that touch nothing, by tool.
#[derive(Default)]
pub(super) struct OwnCalls(Mutex<BTreeMap<&'static str, u64>>);

impl OwnCalls {
    pub(super) fn count(&self, tool: &'static str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(tool).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The calls of one session.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Calls>);

impl Ledger {
    /// A worker that panicked holding the lock left the map whole: each change is one insertion.
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn census(&self) -> Census {
        self.calls().census
    }

    /// Remembers an id; an id that was seen before is a replay.
    pub(super) fn ask(&self, id: &MessageId, args: Args) -> Result<(), String> {
        let mut calls = self.calls();
        if calls.stages.contains_key(id) {
            return Err("this call's id was used before".into());
        }
        if calls.stages.len() >= limits::CALLS_PER_SESSION {
            return Err(format!(
                "a session makes at most {} calls",
                limits::CALLS_PER_SESSION
            ));
        }
        let stage = Stage::Asked;
        calls.stages.insert(id.clone(), Asked { stage, args });
        Ok(())
    }

    pub(super) fn decide(&self, id: &MessageId, allowed: bool) {
        let mut calls = self.calls();
        calls.census.decided += 1;
        if allowed {
            calls.census.allowed += 1;
        } else {
            calls.census.denied += 1;
        }
        let stage = if allowed {
            Stage::Allowed
        } else {
            Stage::Denied
        };
        if let Some(asked) = calls.stages.get_mut(id) {
            asked.stage = stage;
        }
    }

    /// Counts a replay, and says how many there were; what became of the first call under its id
    /// stays as it is.
    pub(super) fn refuse_replay(&self, id: &MessageId) -> u64 {
        let mut calls = self.calls();
        calls.census.decided += 1;
        calls.census.denied += 1;
        calls.replays += 1;
        *calls.refused.entry(id.clone()).or_default() += 1;
        calls.replays
    }

    /// Takes a report in: whether the call may have run at all, and with these arguments.
    pub(super) fn report(&self, id: &MessageId, ok: bool, args: Sha256) -> Standing {
        let mut calls = self.calls();
        let standing = match calls.stages.get_mut(id) {
            None => Standing::Bypassed("ran without having asked"),
            Some(asked) => match asked.stage {
                // Anybody who reaches the gateway can report first: each report is held to the decision.
                Stage::Allowed | Stage::Reported if asked.args.given != args => {
                    Standing::Bypassed("ran with other arguments than were decided")
                }
                Stage::Allowed => {
                    asked.stage = Stage::Reported;
                    Standing::Allowed(asked.args.decided)
                }
                Stage::Reported => Standing::Repeated,
                // A harness may report that a call it was denied has failed: it did not run.
                Stage::Denied if !ok => Standing::DeniedAndFailed,
                Stage::Denied => Standing::Bypassed("ran although it was denied"),
                Stage::Asked => Standing::Bypassed("ran before it was decided"),
            },
        };
        match standing {
            Standing::Bypassed(_) => calls.census.bypassed += 1,
            Standing::Allowed(_) | Standing::Repeated | Standing::DeniedAndFailed => {}
        }
        standing
    }
}

impl Ledger {
    /// Counts something odd, and says how much there was of it.
    pub(super) fn odd(&self) -> u64 {
        let mut calls = self.calls();
        calls.census.anomalies += 1;
        calls.census.anomalies
    }

    /// The witness saw a call attempted.
    pub(super) fn attempted(&self) {
        self.calls().census.seen += 1;
    }

    /// The witness saw a call come back: how it got past the gate, if it did. Where agp answers
    /// the calls itself (`by_agp`), a denied one comes back, too.
    pub(super) fn returned(&self, id: &str, ran: bool, by_agp: bool) -> Option<&'static str> {
        let mut calls = self.calls();
        let id = MessageId::known_as(id);
        let stage = id.as_ref().and_then(|id| calls.stages.get(id));
        let stage = stage.map(|asked| asked.stage);
        if !ran {
            if stage.is_none() {
                // The harness's own checks come before its hook: nothing was there to decide.
                calls.census.seen = calls.census.seen.saturating_sub(1);
            }
            return None;
        }
        let how = match (stage, id) {
            (Some(Stage::Allowed | Stage::Reported), Some(id)) => {
                // Where agp answers, its refusal of a replay comes back under the same id.
                let refused = calls
                    .refused
                    .get_mut(&id)
                    .filter(|left| by_agp && **left > 0);
                if let Some(left) = refused {
                    *left -= 1;
                    return None;
                }
                if calls.returned.insert(id) {
                    return None;
                }
                "came back twice under one decision"
            }
            // agp's own answer is sent once the decision stands: what comes back earlier is another's.
            (Some(Stage::Denied), _) if by_agp => return None,
            (Some(Stage::Denied), _) => "came back although it was denied",
            (Some(Stage::Asked), _) => "came back before it was decided",
            _ => "came back without having asked",
        };
        calls.census.bypassed += 1;
        Some(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGS: Sha256 = Sha256([1; 32]);
    const ASKED: Args = Args {
        decided: Sha256([3; 32]),
        given: ARGS,
    };

    #[test]
    fn a_report_stands_or_falls_with_the_decision_before_it() {
        let ledger = Ledger::default();
        let id = |text: &str| MessageId::new(text).unwrap();
        assert!(matches!(
            ledger.report(&id("never"), true, ARGS),
            Standing::Bypassed(_)
        ));
        ledger.ask(&id("a"), ASKED).unwrap();
        assert!(ledger.ask(&id("a"), ASKED).is_err());
        assert!(matches!(
            ledger.report(&id("a"), true, ARGS),
            Standing::Bypassed(_)
        ));
        ledger.decide(&id("a"), true);
        assert_eq!(
            ledger.report(&id("a"), true, ARGS),
            Standing::Allowed(ASKED.decided)
        );
        assert_eq!(ledger.report(&id("a"), true, ARGS), Standing::Repeated);
        // A report that came first, whoever sent it, covers no other arguments.
        assert!(matches!(
            ledger.report(&id("a"), true, Sha256([2; 32])),
            Standing::Bypassed("ran with other arguments than were decided")
        ));
        ledger.ask(&id("b"), ASKED).unwrap();
        ledger.decide(&id("b"), false);
        assert_eq!(
            ledger.report(&id("b"), false, ARGS),
            Standing::DeniedAndFailed
        );
        assert!(matches!(
            ledger.report(&id("b"), true, ARGS),
            Standing::Bypassed(_)
        ));
        ledger.ask(&id("c"), ASKED).unwrap();
        ledger.decide(&id("c"), true);
        assert!(matches!(
            ledger.report(&id("c"), true, Sha256([2; 32])),
            Standing::Bypassed("ran with other arguments than were decided")
        ));
        let census = Census {
            decided: 3,
            allowed: 2,
            denied: 1,
            bypassed: 5,
            anomalies: 0,
            seen: 0,
        };
        assert_eq!(ledger.census(), census);
    }

    #[test]
    fn what_the_witness_sees_stands_or_falls_with_the_decision_too() {
        let ledger = Ledger::default();
        let id = |text: &str| MessageId::new(text).unwrap();
        let attempt = |text: &str, allowed: bool| {
            ledger.attempted();
            ledger.ask(&id(text), ASKED).unwrap();
            ledger.decide(&id(text), allowed);
        };
        attempt("a", true);
        assert_eq!(ledger.returned("a", true, false), None);
        assert!(
            ledger.returned("a", true, false).is_some(),
            "one decision, one run"
        );
        attempt("d", false);
        assert_eq!(ledger.returned("d", false, false), None);
        ledger.ask(&id("u"), ASKED).unwrap();
        assert!(
            ledger.returned("u", true, true).is_some(),
            "not answered yet"
        );
        assert_eq!(ledger.returned("d", true, true), None, "agp said no itself");
        assert!(ledger.returned("d", true, false).is_some());
        assert!(
            ledger
                .returned("never asked, and no id", true, false)
                .is_some()
        );
        for by_agp in [false, true] {
            let name = if by_agp { "r" } else { "s" };
            attempt(name, true);
            ledger.attempted();
            assert_eq!(ledger.refuse_replay(&id(name)), 1 + u64::from(by_agp));
            assert_eq!(ledger.returned(name, true, by_agp), None);
            assert_eq!(
                ledger.returned(name, true, by_agp).is_some(),
                !by_agp,
                "agp's own refusal comes back, a hook's does not count as run"
            );
            assert!(ledger.returned(name, true, by_agp).is_some(), "once more");
        }
        ledger.attempted();
        assert_eq!(
            ledger.returned("refused by the harness", false, false),
            None
        );
        let census = ledger.census();
        assert_eq!((census.seen, census.decided, census.bypassed), (6, 6, 7));
    }
}
