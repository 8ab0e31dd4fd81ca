//! The calls of a session: which ids were seen, and what became of them.

pub(crate) mod stream_account;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use crate::contracts::ids::{MessageId, Sha256};
use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::gateway::GateError;

use super::call_outline::Outline;

pub(super) use stream_account::Finding;
#[cfg(test)]
use stream_account::Unlike;

/// How many calls there were and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls that the witness saw attempted, without those that were over before anybody was asked.
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
    /// What came to the gateway from somebody who does not show the session's client file.
    pub unproven: u64,
}

/// How a report is told of whose arguments are not those that were decided about.
const OTHER_ARGS: &str = "was reported with different arguments than agp decided";

/// What became of a call so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Allowed,
    Denied,
}

/// What a report about a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The call was allowed, and this is the first that is told of its result; the digest of what was decided about.
    Allowed(Sha256),
    /// The same was reported before.
    Repeated,
    /// The stream has told the same already.
    Confirmed,
    /// Something else was told before.
    Contradicted,
    /// The call was denied, and is said not to have run.
    DeniedAndFailed,
    /// The call is said to have run without a decision that let it; says how. Had it run, the harness's own account
    /// would show it.
    Claimed(&'static str),
    /// The same where nothing else would show it, and commands can say so, too: it may have run.
    Unproven(&'static str),
    /// The call ran without a decision that let it; says how.
    Bypassed(&'static str),
}

/// Whose word a report is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// The harness's own account is followed: that shows whether a call ran which nothing let.
    pub(super) followed: bool,
    /// Nothing that runs for the agent can speak to the gate: it is the harness's own.
    pub(super) apart: bool,
}

/// What is told of a call's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) ok: bool,
    pub(super) output: Sha256,
    /// Whether the output is the same text, whole, whoever tells it.
    pub(super) comparable: bool,
}

impl Told {
    fn agrees(self, other: Self) -> bool {
        let compared = self.comparable && other.comparable;
        self.ok == other.ok && (!compared || self.output == other.output)
    }
}

/// What the stream's account of a result is for the record: where nobody has reported it, or something else, which
/// it outweighs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// The digest of what was decided about.
    pub(super) decided: Sha256,
    pub(super) tool: String,
    /// A report said something else.
    pub(super) contradicts: bool,
}

/// Digests of a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Args {
    /// As they were decided about.
    pub(super) decided: Sha256,
    /// As the harness knows them: without what agp has added.
    pub(super) given: Sha256,
}

/// A call that asked.
struct CallRecord {
    stage: Stage,
    args: Args,
    outline: Outline,
    /// The stream has shown a call under its id.
    seen: bool,
    /// The stream has shown it was decided about.
    shown: bool,
    /// Its result has come back: each decision covers one.
    returned: bool,
    /// How many calls under its id agp has refused as replays and the witness has not seen come back.
    refused: u64,
    /// What was told of its result first, and whether the stream has told it.
    told: Option<(Told, bool)>,
}

impl CallRecord {
    /// Takes in how it ended without having run to its end. A replay under its id leaves it is.
    fn ended(&mut self, result: Option<Told>) -> Option<Account> {
        if self.refused > 0 {
            self.refused -= 1;
            return None;
        }
        let open = self.stage == Stage::Allowed && !self.returned;
        self.returned |= open;
        self.account(result.filter(|_| open))
    }

    /// Takes in what the stream tells of its result, once.
    fn account(&mut self, result: Option<Told>) -> Option<Account> {
        let result = result?;
        let before = self.told.replace((result, true));
        if before.is_some_and(|(before, by_stream)| by_stream || before.agrees(result)) {
            return None;
        }
        Some(Account {
            decided: self.args.decided,
            tool: self.outline.tool().to_owned(),
            contradicts: before.is_some(),
        })
    }
}

#[derive(Default)]
struct Calls {
    asked: HashMap<MessageId, CallRecord>,
    /// What the stream has shown under each id, and not yet shown to come back. `None` where the arguments
    /// are not known.
    open: HashMap<MessageId, Vec<Option<Outline>>>,
    /// Calls under an id that was used before.
    replays: u64,
    /// Where the harness began, by its own account.
    directory: Option<PathBuf>,
    census: Census,
}

/// How often the harness answered calls of its own tools that touch nothing, by tool.
#[derive(Default)]
pub(super) struct OwnCalls(Mutex<BTreeMap<&'static str, u64>>);

impl OwnCalls {
    pub(super) fn count(&self, tool: &'static str) {
        let mut calls = locked(&self.0);
        *calls.entry(tool).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.0).clone()
    }
}

/// The calls of one session.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Calls>);

impl Calls {
    /// Whether the stream shows other calls under this id, and none that is the one which was asked about.
    fn differs(&self, id: &MessageId) -> bool {
        let (Some(record), Some(open)) = (self.asked.get(id), self.open.get(id)) else {
            return false;
        };
        let covers = |shown: &Option<Outline>| match shown {
            Some(shown) => record.outline.covers(shown, self.directory.as_deref()),
            None => true,
        };
        !record.shown && !open.is_empty() && !open.iter().any(covers)
    }

    /// Takes what came back under an id from what was shown: preferably one that was decided about, or else
    /// preferably another. Gives whether it was; `None` where nothing was shown, or what is not known.
    fn take(&mut self, id: &MessageId, decided: bool) -> Option<bool> {
        let open = self.open.get_mut(id)?;
        let record = self.asked.get(id);
        let directory = self.directory.as_deref();
        let covered = |shown: &Option<Outline>| {
            let (record, outline) = (record?, shown.as_ref()?);
            Some(record.outline.covers(outline, directory))
        };
        let at = open
            .iter()
            .position(|shown| covered(shown) == Some(decided));
        let taken = open.remove(at.unwrap_or(0));
        let covered = covered(&taken);
        if open.is_empty() {
            self.open.remove(id);
        }
        covered
    }
}

impl Ledger {
    /// A worker that panicked holding the lock left the maps whole: each change is one insertion.
    fn calls(&self) -> MutexGuard<'_, Calls> {
        locked(&self.0)
    }

    pub(super) fn census(&self) -> Census {
        self.calls().census
    }

    /// Remembers where the harness began; it may say so again.
    pub(super) fn began(&self, directory: &str) {
        let mut calls = self.calls();
        calls.directory.get_or_insert_with(|| directory.into());
    }

    /// Remembers an id; an id that was seen before is a replay.
    pub(super) fn ask(
        &self,
        id: &MessageId,
        args: Args,
        outline: Outline,
    ) -> Result<(), GateError> {
        let mut calls = self.calls();
        if calls.asked.contains_key(id) {
            return Err(GateError::Replayed);
        }
        if calls.asked.len() >= limits::CALLS_PER_SESSION {
            return Err(GateError::TooManyCalls);
        }
        let record = CallRecord {
            stage: Stage::Asked,
            args,
            outline,
            seen: calls.open.contains_key(id),
            shown: false,
            returned: false,
            refused: 0,
            told: None,
        };
        let seen = record.seen;
        calls.asked.insert(id.clone(), record);
        let seen_alike = seen && !calls.differs(id);
        if let Some(record) = calls.asked.get_mut(id) {
            record.shown = seen_alike;
        }
        Ok(())
    }

    /// Whether the harness shows other calls under this id than the one that asks.
    pub(super) fn differs(&self, id: &MessageId) -> bool {
        self.calls().differs(id)
    }

    pub(super) fn decide(&self, id: &MessageId, allowed: bool) {
        let mut calls = self.calls();
        calls.census.decided += 1;
        let (count, stage) = if allowed {
            (&mut calls.census.allowed, Stage::Allowed)
        } else {
            (&mut calls.census.denied, Stage::Denied)
        };
        *count += 1;
        if let Some(record) = calls.asked.get_mut(id) {
            record.stage = stage;
        }
    }

    /// Counts a replay, and says how many there were; what became of the first call under its id
    /// stays as it is.
    pub(super) fn refuse_replay(&self, id: &MessageId) -> u64 {
        let mut calls = self.calls();
        calls.census.decided += 1;
        calls.census.denied += 1;
        calls.replays += 1;
        if let Some(record) = calls.asked.get_mut(id) {
            record.refused += 1;
        }
        calls.replays
    }

    /// Takes a report in: whether the call may have run at all, and with these arguments. With which arguments the
    /// harness runs a call stands in no line of its account, in a report alone.
    pub(super) fn report(
        &self,
        id: &MessageId,
        args: Sha256,
        result: Told,
        word: Word,
    ) -> Standing {
        let mut calls = self.calls();
        let believed = |ran, said| {
            if word.apart {
                Standing::Bypassed(ran)
            } else {
                Standing::Unproven(said)
            }
        };
        let unlet = |ran, said| {
            if word.followed {
                Standing::Claimed(said)
            } else {
                believed(ran, said)
            }
        };
        let standing = match calls.asked.get_mut(id) {
            None => unlet("ran without asking", "was reported but never asked"),
            Some(record) => match record.stage {
                // Anybody who reaches the gateway can report first: each report is held to the decision.
                Stage::Allowed if record.args.given != args => believed(OTHER_ARGS, OTHER_ARGS),
                Stage::Allowed => match record.told {
                    None => {
                        record.told = Some((result, false));
                        Standing::Allowed(record.args.decided)
                    }
                    Some((before, _)) if !before.agrees(result) => Standing::Contradicted,
                    Some((_, true)) => Standing::Confirmed,
                    Some((_, false)) => Standing::Repeated,
                },
                // A harness may report that a call it was denied has failed: it did not run.
                Stage::Denied if !result.ok => Standing::DeniedAndFailed,
                Stage::Denied => unlet(
                    "ran although agp denied it",
                    "was reported although agp denied it",
                ),
                Stage::Asked => unlet(
                    "ran before the decision",
                    "was reported before the decision",
                ),
            },
        };
        if let Standing::Bypassed(_) = standing {
            calls.census.bypassed += 1;
        }
        standing
    }
}
