//! Proof that an event is on disk. Only the journal makes receipts; acting takes them by value.

use crate::contracts::event::Kind;
use crate::contracts::ids::{MessageId, Sha256};

/// Proof that one event is durable.
#[must_use = "a receipt is the licence to act on what was recorded"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    seq: u64,
    hash: Sha256,
    kind: Kind,
    message_id: Option<MessageId>,
}

impl Receipt {
    pub(super) fn new(seq: u64, hash: Sha256, kind: Kind, message_id: Option<MessageId>) -> Self {
        Self {
            seq,
            hash,
            kind,
            message_id,
        }
    }

    /// Where the event stands in the journal.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The event's hash.
    #[must_use]
    pub fn hash(&self) -> Sha256 {
        self.hash
    }

    /// What kind of event it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Turns the proof of a durable decision to allow into the permission to act on it. `None`
    /// when the event is no such decision, or is about another call.
    #[must_use]
    pub fn permit(self, call: &MessageId) -> Option<Permit> {
        let allows = matches!(
            self.kind,
            Kind::GateAllow | Kind::ToolCallAllow | Kind::ApprovalGranted
        );
        (allows && self.message_id.as_ref() == Some(call)).then_some(Permit(()))
    }
}

/// Permission to run exactly one call, once. There is no other way to get one than
/// [`Receipt::permit`]:
///
/// ```compile_fail
/// let forged = agp::journal::Permit(());
/// ```
#[must_use = "a permit that is not used is a call that did not run"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit(());
