//! What happened, before it becomes a journal line: kind, actor and payload.
//!
//! The journal adds sequence, time, chain and signature; see `docs/journal-format.md`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::attendant::Attendant;
use super::call::{Actor, ToolCall};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kinds of event that agp writes. Readers accept others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind, in the order of the format document.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The wire name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// A session began; says under what policy, harness, sandbox and confinement.
    SessionStarted = "session.started",
    /// A session ended; carries the census.
    SessionEnded = "session.ended",
    /// A session whose governor died was cleaned up by a later start.
    SessionReaped = "session.reaped",
    /// A session was asked for and refused.
    SessionRefused = "session.refused",
    /// The policy allowed a call.
    ToolCallAllow = "tool_call.allow",
    /// The policy, or the gate itself, denied a call.
    ToolCallDeny = "tool_call.deny",
    /// The policy wants a human.
    ToolCallRequire = "tool_call.require",
    /// A human approved.
    ApprovalGranted = "approval.granted",
    /// A human refused, or no approver was available.
    ApprovalDenied = "approval.denied",
    /// Nobody answered in time.
    ApprovalTimeout = "approval.timeout",
    /// A stray, replayed, forged or unauthorised answer.
    ApprovalRejected = "approval.rejected",
    /// A person took back an approval that held for the session.
    GrantRevoked = "grant.revoked",
    /// The effective decision given to a harness that runs its own tools: it may run.
    GateAllow = "gate.allow",
    /// The effective decision given to a harness that runs its own tools: it must not run.
    GateDeny = "gate.deny",
    /// agp ran the call.
    ToolCallExecuted = "tool_call.executed",
    /// The harness ran the call, as its post-tool hook reported.
    ToolCallResult = "tool_call.result",
    /// A call was seen that no decision covers.
    GateBypassed = "gate.bypassed",
    /// Something about a call is odd; nothing was seen to run undecided, and the session goes on.
    GateAnomaly = "gate.anomaly",
    /// A sandbox was looked into before its first call.
    SandboxAttested = "sandbox.attested",
    /// The egress proxy let a connection out.
    EgressAllow = "egress.allow",
    /// The egress proxy refused a connection.
    EgressDeny = "egress.deny",
    /// An intendant's identity could not be verified.
    IntendantVerifyFailed = "intendant.verify.failed",
    /// The signing key changed; signed by the old key.
    KeyRotated = "key.rotated",
    /// A torn tail or a lagging head was mended on opening.
    JournalRecovered = "journal.recovered",
}

/// How an approval was bound to the call it approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalBinding {
    /// A single-use nonce in a Slack message.
    SlackNonce,
    /// The prompt on the operator's terminal.
    Console,
    /// `agp attend`, at another terminal: this process answered.
    Attend(Attendant),
    /// Grants for the session, which people gave earlier.
    SessionGrant,
}

impl ApprovalBinding {
    /// The channel that the answer came by.
    #[must_use]
    pub fn channel(self) -> &'static str {
        match self {
            Self::SlackNonce => "slack",
            Self::Console => "console",
            Self::Attend(_) => "attend",
            Self::SessionGrant => "session",
        }
    }

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlackNonce => "slack-nonce",
            Self::Console => "console",
            Self::Attend(_) => "attend",
            Self::SessionGrant => "session-grant",
        }
    }

    /// The process that answered, where it is another one than agp.
    #[must_use]
    pub fn attendant(self) -> Option<Attendant> {
        match self {
            Self::Attend(attendant) => Some(attendant),
            Self::SlackNonce | Self::Console | Self::SessionGrant => None,
        }
    }
}

/// An event as its author states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What happened.
    pub kind: Kind,
    /// Who it is attributed to.
    pub actor: Actor,
    /// The particulars, camelCase names.
    pub payload: Map<String, Value>,
    /// The call that it decides, if it decides one: a permit is for this call and no other.
    pub call: Option<Arc<ToolCall>>,
    /// On approval events: how the approval was bound.
    pub binding: Option<ApprovalBinding>,
    /// On approval events: the human who decided. For accountability, never read to authorise.
    pub on_behalf_of: Option<String>,
}

impl Draft {
    /// An event of the session owner's, without approval fields.
    #[must_use]
    pub fn new(kind: Kind, payload: Map<String, Value>) -> Self {
        Self {
            kind,
            actor: Actor::SessionOwner,
            payload,
            call: None,
            binding: None,
            on_behalf_of: None,
        }
    }
}
