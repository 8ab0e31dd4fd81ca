//! Proof that an event is on disk. Only the journal makes receipts; acting takes them by value.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::contracts::call::ToolCall;
use crate::contracts::event::Kind;
use crate::contracts::ids::Sha256;

use super::canonical_json;

/// Proof that one event is durable.
#[must_use = "a receipt is the licence to act on what was recorded"]
#[derive(Debug, PartialEq)]
pub struct Receipt {
    seq: u64,
    hash: Sha256,
    kind: Kind,
    /// The call that the event decides, held against its payload before it was written.
    call: Option<Arc<ToolCall>>,
}

impl Receipt {
    pub(super) fn new(seq: u64, hash: Sha256, kind: Kind, call: Option<Arc<ToolCall>>) -> Self {
        Self {
            seq,
            hash,
            kind,
            call,
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

    /// Turns the proof of a durable decision to allow into the permission to act on it: to run the
    /// call that was decided, whole as it was decided. `None` when the event is no such decision.
    #[must_use]
    pub fn permit(self) -> Option<Permit> {
        let call = self.call.filter(|_| allows(self.kind))?;
        Some(Permit { call })
    }
}

/// Whether an event of this kind lets a call run.
fn allows(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::GateAllow | Kind::ToolCallAllow | Kind::ApprovalGranted
    )
}

/// The call that an event may give a permit for: the one that its payload is about, arguments
/// included. What is recorded about one call lets no other run.
pub(super) fn decided(
    kind: Kind,
    call: Option<Arc<ToolCall>>,
    payload: &Map<String, Value>,
) -> Option<Arc<ToolCall>> {
    let said = |name: &str| payload.get(name).and_then(Value::as_str);
    call.filter(|call| {
        allows(kind)
            && said("messageId") == Some(call.id.as_str())
            && said("sessionId") == Some(call.session.as_str())
            && said("tool") == Some(call.tool.as_str())
            && said("argsSha256") == Some(canonical_json::args_sha256(&call.args).to_hex().as_str())
    })
}

/// Permission to run the call in it, once. There is no other way to get one than
/// [`Receipt::permit`]. It cannot be forged, copied, or read from somewhere:
///
/// ```compile_fail,E0451
/// fn forged(call: std::sync::Arc<agp::contracts::call::ToolCall>) -> agp::journal::Permit {
///     agp::journal::Permit { call }
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn is_copied<T: Clone>() {}
/// is_copied::<agp::journal::Permit>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_read<T: for<'a> serde::Deserialize<'a>>() {}
/// is_read::<agp::journal::Permit>();
/// ```
#[must_use = "a permit that is not used is a call that did not run"]
#[derive(Debug, PartialEq)]
pub struct Permit {
    call: Arc<ToolCall>,
}

impl Permit {
    /// The call that may run.
    #[must_use]
    pub fn call(&self) -> &ToolCall {
        &self.call
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contracts::call::Actor;
    use crate::contracts::event::Draft;
    use crate::contracts::ids::{MessageId, SessionId};
    use crate::journal::handle;
    use crate::journal::redact::Screen;

    fn call(id: &str, command: &str) -> Arc<ToolCall> {
        Arc::new(ToolCall {
            id: MessageId::new(id).unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: Map::from_iter([("command".to_owned(), json!(command))]),
            actor: Actor::ClaudeProcess,
        })
    }

    /// What the journal has about a call.
    fn about(call: &ToolCall) -> Map<String, Value> {
        Map::from_iter([
            ("messageId".to_owned(), json!(call.id.as_str())),
            ("sessionId".to_owned(), json!(call.session.as_str())),
            ("tool".to_owned(), json!(call.tool)),
            (
                "argsSha256".to_owned(),
                json!(canonical_json::args_sha256(&call.args).to_hex()),
            ),
        ])
    }

    /// What an event of this payload, recorded as the decision about a call, permits.
    fn permit(kind: Kind, payload: &Map<String, Value>, call: &Arc<ToolCall>) -> Option<Permit> {
        let draft = Draft {
            call: Some(Arc::clone(call)),
            ..Draft::new(kind, payload.clone())
        };
        let sealed = handle::admit(vec![draft], &Screen::new(&[])).unwrap().pop();
        let chained = sealed
            .unwrap()
            .chain(1, None, "2026-01-02T03:04:05.678Z", "key");
        chained.receipt.permit()
    }

    #[test]
    fn an_allow_permits_the_call_that_it_is_about() {
        // What the journal will not write down as it is can be allowed all the same.
        let mine = call("ghp_0123456789abcdefghijABCDEFGHIJ012345", "true");
        for kind in Kind::ALL {
            let given = permit(*kind, &about(&mine), &mine);
            let allows = ["gate.allow", "tool_call.allow", "approval.granted"];
            assert_eq!(given.is_some(), allows.contains(&kind.as_str()), "{kind:?}");
            assert!(given.is_none_or(|permit| *permit.call() == *mine));
        }
    }

    #[test]
    fn an_allow_of_one_call_permits_no_other() {
        let mine = call("a", "true");
        let with = |change: &dyn Fn(&mut ToolCall)| {
            let mut other = ToolCall::clone(&mine);
            change(&mut other);
            Arc::new(other)
        };
        let others = [
            call("b", "true"),
            call("a", "false"),
            with(&|call| call.session = SessionId::new("s-2").unwrap()),
            with(&|call| call.tool = "Write".into()),
            with(&|call| drop(call.args.insert("workdir".into(), json!("/")))),
        ];
        for other in others {
            assert_eq!(permit(Kind::GateAllow, &about(&mine), &other), None);
            assert!(permit(Kind::GateAllow, &about(&other), &other).is_some());
        }
        let nameless = Receipt::new(1, Sha256::OF_NOTHING, Kind::GateAllow, None);
        assert_eq!(nameless.permit(), None);
    }
}
