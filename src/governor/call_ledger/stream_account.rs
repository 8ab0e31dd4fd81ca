//! What the harness's own account shows of the calls, held against what was decided.

use super::{Account, CallRecord, Ledger, Stage, Told};
use crate::contracts::ids::MessageId;
use crate::contracts::intendant::Came;
use crate::contracts::limits;
use crate::governor::call_outline::Outline;

/// What is found of a call that came back, where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::governor) enum Finding {
    /// The call ran without a decision that let it.
    Bypassed(&'static str),
    /// Odd, and no bypass: the session goes on.
    Odd(&'static str),
}

/// A call is shown, and is not the one that was let through under its id; says so. It has not come back, so nothing
/// is known to have run: no bypass, and the session ends before one can become of it.
#[must_use = "the harness may be about to run it"]
#[derive(Debug, PartialEq, Eq)]
pub(in crate::governor) struct Unlike(pub(in crate::governor) &'static str);

impl Ledger {
    /// Counts something odd, and says how much there was of it.
    pub(in crate::governor) fn odd(&self) -> u64 {
        let mut calls = self.calls();
        calls.census.anomalies += 1;
        calls.census.anomalies
    }

    /// The witness saw a call attempted: whether another was let through under its id. Where agp runs the calls itself
    /// (`by_agp`), what runs is what it decided about.
    pub(in crate::governor) fn attempted(
        &self,
        id: &str,
        outline: Option<Outline>,
        by_agp: bool,
    ) -> Option<Unlike> {
        let mut calls = self.calls();
        calls.census.seen += 1;
        // The bound on ids holds here, too: what is never answered could have any number.
        let id = MessageId::known_as(id)?;
        if calls.open.len() < limits::CALLS_PER_SESSION {
            calls.open.entry(id.clone()).or_default().push(outline);
        }
        let differs = calls.differs(&id);
        let record = calls.asked.get_mut(&id)?;
        record.seen = true;
        record.shown |= !differs;
        let unlike = differs && record.stage == Stage::Allowed && !by_agp;
        unlike.then_some(Unlike(OTHER))
    }

    /// The same for a call that has just been let through, and was shown in the meantime.
    pub(in crate::governor) fn let_through(&self, id: &MessageId) -> Option<Unlike> {
        self.calls().differs(id).then_some(Unlike(OTHER))
    }

    /// Counts what came to the gateway from somebody who does not show the session's client file, and says how often
    /// that was.
    pub(in crate::governor) fn unproven(&self) -> u64 {
        let mut calls = self.calls();
        calls.census.unproven += 1;
        calls.census.unproven
    }

    /// The witness saw a call come back, with this result: how it got past the gate or what is odd about it, and
    /// what of the result is for the record. Where agp answers the calls itself (`by_agp`), a denied one comes
    /// back, too, and agp knows the result.
    pub(in crate::governor) fn returned(
        &self,
        id: &str,
        came: Came,
        result: Option<Told>,
        by_agp: bool,
    ) -> (Option<Finding>, Option<Account>) {
        let mut calls = self.calls();
        let id = MessageId::known_as(id);
        let covered = id.as_ref().and_then(|id| calls.take(id, came == Came::Ran));
        let others = id.as_ref().is_some_and(|id| calls.open.contains_key(id));
        let record = id.and_then(|id| calls.asked.get_mut(&id));
        let result = result.filter(|_| !by_agp);
        let (finding, account) = match (came, record) {
            (Came::Ran, Some(record)) => ran(record, covered, others, result, by_agp),
            (Came::Ran, None) => (
                Some(Finding::Bypassed("returned a result without asking")),
                None,
            ),
            (_, Some(record)) => (over(record, came), record.ended(result)),
            (_, None) => {
                // Nothing was there to decide.
                calls.census.seen = calls.census.seen.saturating_sub(1);
                let odd = match came {
                    Came::Blocked => Some(Finding::Odd("was blocked before the decision")),
                    Came::Stopped => Some(Finding::Odd("was stopped before the decision")),
                    Came::Ran | Came::Refused => None,
                };
                (odd, None)
            }
        };
        if let Some(Finding::Bypassed(_)) = finding {
            calls.census.bypassed += 1;
        }
        (finding, account)
    }

    /// The ids of calls that were seen, and neither decided nor seen to come back; and of those that were let
    /// through and never seen.
    pub(in crate::governor) fn unaccounted(&self) -> (Vec<MessageId>, Vec<MessageId>) {
        let calls = self.calls();
        let open = calls.open.keys();
        let open = open.filter(|id| !calls.asked.contains_key(*id)).cloned();
        let unseen = calls
            .asked
            .iter()
            .filter(|(_, asked)| asked.stage == Stage::Allowed && !asked.seen && !asked.returned);
        (open.collect(), unseen.map(|(id, _)| id.clone()).collect())
    }
}

/// How a call is told of that is another one than was decided about.
pub(crate) const OTHER: &str = "differs from the call that agp decided";

/// A call that asked and came back: how it got past the gate or what is odd about it, and its result.
fn ran(
    record: &mut CallRecord,
    covered: Option<bool>,
    others: bool,
    result: Option<Told>,
    by_agp: bool,
) -> (Option<Finding>, Option<Account>) {
    let bypassed = |how| (Some(Finding::Bypassed(how)), None);
    match record.stage {
        // agp's own answer is sent once the decision stands: what comes back earlier is another's.
        Stage::Asked => bypassed("returned a result before the decision"),
        Stage::Denied if by_agp => (None, None),
        Stage::Denied => bypassed("returned a result although agp denied it"),
        // Where agp answers, its refusal of a replay comes back under the same id.
        Stage::Allowed if by_agp && record.refused > 0 => {
            record.refused -= 1;
            (None, None)
        }
        Stage::Allowed if record.returned => bypassed("returned two results for one decision"),
        Stage::Allowed => {
            record.returned = true;
            let odd = match covered {
                Some(false) if by_agp => Some("differs from the call that agp decided and ran"),
                Some(false) => return bypassed(OTHER),
                // Which of them ran, nobody can tell.
                _ if others && !by_agp => Some("returned a result while others used its ID"),
                _ => None,
            };
            (odd.map(Finding::Odd), record.account(result))
        }
    }
}

/// What is odd about a call that asked and did not run to its end.
fn over(record: &CallRecord, came: Came) -> Option<Finding> {
    let odd = came == Came::Blocked
        && record.stage == Stage::Allowed
        && !record.returned
        && record.refused == 0;
    odd.then_some(Finding::Odd("was blocked although agp allowed it"))
}
