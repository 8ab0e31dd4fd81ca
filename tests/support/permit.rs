//! Permits for tests that stand where the governor does. There is one way to them: a journal's.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support: whatever fails here fails the test"
)]

use std::path::Path;
use std::sync::Arc;

use agp::contracts::call::ToolCall;
use agp::contracts::event::{Draft, Kind};
use agp::journal::key::SigningKey;
use agp::journal::redact::Screen;
use agp::journal::{Journal, Paths, Permit, args_sha256};
use serde_json::json;

/// A journal of the test's own, in a directory that is there.
pub(crate) struct Permits(Journal);

impl Permits {
    pub(crate) fn new(directory: &Path) -> Self {
        let paths = Paths::of(&directory.join("permits.log"));
        let key = SigningKey::generate().unwrap().0;
        let screen = Arc::new(Screen::new(&[]));
        Self(Journal::open(&paths, key, &[], screen).unwrap().0)
    }

    /// Records that a call is allowed.
    pub(crate) fn of(&self, call: &ToolCall) -> Permit {
        let payload = json!({
            "messageId": call.id.as_str(),
            "sessionId": call.session.as_str(),
            "tool": call.tool,
            "argsSha256": args_sha256(&call.args).to_hex(),
        });
        let draft = Draft {
            call: Some(Arc::new(call.clone())),
            ..Draft::new(Kind::GateAllow, payload.as_object().unwrap().clone())
        };
        self.0.handle().append_one(draft).unwrap().permit().unwrap()
    }
}
