//! What is recorded of each connection, and how much of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::contracts::event::Kind;
use crate::contracts::limits;
use crate::tunnel::Carried;

use super::allowlist::Host;
use super::refusal::Refusal;

/// Makes an event durable.
///
/// # Errors
/// [`Unrecorded`]: the connection is then not carried.
pub type Record = dyn Fn(Kind, Map<String, Value>) -> Result<(), Unrecorded> + Send + Sync;

/// An event is not durable. Why not is said where the journal is, and ends the session there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrecorded;

/// The journal's side of one proxy.
pub(crate) struct Ledger {
    record: Arc<Record>,
    from: &'static str,
    /// Connections that may be opened.
    most: u64,
    opened: AtomicU64,
    denied: AtomicU64,
}

/// One connection that is carried.
pub(crate) struct OpenConnection<'a> {
    ledger: &'a Ledger,
    number: u64,
    host: &'a Host,
    port: u16,
}

impl Ledger {
    pub(crate) fn new(record: Arc<Record>, from: &'static str, most: u64) -> Self {
        Self {
            record,
            from,
            most,
            opened: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        }
    }

    /// Records a refusal, as long as there were not too many. Durable when this returns.
    pub(crate) fn deny(&self, refusal: &Refusal) -> Result<(), Unrecorded> {
        if self.denied.fetch_add(1, Ordering::SeqCst) >= limits::EGRESS_DENIALS {
            return Ok(());
        }
        let mut payload = json!({
            "from": self.from,
            "host": refusal.host,
            "port": refusal.port,
            "address": refusal.address.map(|address| address.to_string()),
            "bytesUp": 0,
            "bytesDown": 0,
            "reason": refusal.reason.code(),
        });
        if let (Some(name), Some(payload)) = (&refusal.server_name, payload.as_object_mut()) {
            payload.insert("serverName".into(), json!(name));
        }
        self.write(Kind::EgressDeny, payload)
    }

    /// Whether the session may have another connection at all, as it looks now.
    pub(crate) fn has_room(&self) -> bool {
        self.opened.load(Ordering::SeqCst) < self.most
    }

    /// Records that a connection is about to be opened, if the session may have another. Durable when
    /// this returns.
    pub(crate) fn open<'a>(
        &'a self,
        host: &'a Host,
        port: u16,
        address: Option<IpAddr>,
    ) -> Result<Option<OpenConnection<'a>>, Unrecorded> {
        let another = |had| (had < self.most).then_some(had + 1);
        let had = self
            .opened
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, another);
        let Ok(had) = had else { return Ok(None) };
        let opened = OpenConnection {
            ledger: self,
            number: had + 1,
            host,
            port,
        };
        let payload = opened.payload("open", address, None, "listed", None);
        self.write(Kind::EgressAllow, payload)
            .map(|()| Some(opened))
    }

    /// Says at the end what was not recorded one by one.
    pub(crate) fn close(&self) {
        let denied = self.denied.load(Ordering::SeqCst);
        if denied > limits::EGRESS_DENIALS {
            let payload = json!({
                "from": self.from,
                "host": null,
                "port": null,
                "address": null,
                "bytesUp": 0,
                "bytesDown": 0,
                "reason": "more",
                "count": denied - limits::EGRESS_DENIALS,
            });
            // A journal that is broken has ended the session already.
            let _ = self.write(Kind::EgressDeny, payload);
        }
    }

    fn write(&self, kind: Kind, payload: Value) -> Result<(), Unrecorded> {
        match payload {
            Value::Object(payload) => (self.record)(kind, payload),
            _ => Err(Unrecorded),
        }
    }
}

impl OpenConnection<'_> {
    /// Records what a connection came to: how it ended and, where one was reached, from which
    /// address on.
    pub(crate) fn closed(
        self,
        address: Option<IpAddr>,
        carried: Option<&Carried>,
        end: &str,
        lasted: Duration,
    ) {
        let payload = self.payload("closed", address, carried, end, Some(lasted));
        // A journal that is broken has ended the session already.
        let _ = self.ledger.write(Kind::EgressAllow, payload);
    }

    fn payload(
        &self,
        phase: &str,
        address: Option<IpAddr>,
        carried: Option<&Carried>,
        reason: &str,
        lasted: Option<Duration>,
    ) -> Value {
        json!({
            "from": self.ledger.from,
            "connection": self.number,
            "phase": phase,
            "host": self.host.to_string(),
            "port": self.port,
            "address": address.map(|address| address.to_string()),
            "bytesUp": carried.map(|carried| carried.up),
            "bytesDown": carried.map(|carried| carried.down),
            "reason": reason,
            "durationMs": lasted.map(|lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
        })
    }
}
