//! The governor that figures are measured on: the real one, of whose terms each changes what it is about.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agp::contracts::approver::Groups;
use agp::contracts::call::ToolCall;
use agp::contracts::event::{Draft, Kind};
use agp::contracts::view::Origin;
use agp::governor::{GovernorConfig, Questions, ReadingTerms};
use agp::journal::{self, Journal, Permit};
use agp::policy::Policy;
use serde_json::{Map, json};

use crate::{Fallible, events, stock};

/// One rule, which allows what the events' calls are.
pub(crate) const SHELL: &[u8] = br#"{"rules":[{"id":"shell","effect":"allow","tool":"Bash"}]}"#;

pub(crate) fn terms(journal: &Journal, policy: &[u8]) -> Fallible<GovernorConfig> {
    Ok(GovernorConfig {
        reading: ReadingTerms::blind(),
        session: events::call(0)?.session,
        policy: Policy::parse(policy)?,
        journal: journal.handle(),
        screen: stock::screen(),
        // Nobody is asked: the policy decides.
        questions: Questions::new(Vec::new(), Duration::from_secs(1), Duration::ZERO),
        groups: Groups::default(),
        origin: Origin::default(),
        own_file: Box::new(|_| false),
        gate_unchanged: Box::new(|| Ok(())),
        watched: true,
        apart: true,
        sandbox: None,
        notices: Box::new(|_| {}),
        broken: Box::new(|broken| crate::complain(&format!("bench: {broken}"))),
    })
}

/// For a gateway's socket: private, and with a short name, for a socket's path has 108 bytes.
pub(crate) fn socket_directory(figure: &str) -> Fallible<PathBuf> {
    let name = format!("agp-figures-{figure}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

/// The permit of a call that no governor decides here: the journal has it allowed.
pub(crate) fn permit(journal: &Journal, call: &ToolCall) -> Fallible<Permit> {
    let payload = Map::from_iter([
        ("messageId".to_owned(), json!(call.id.as_str())),
        ("sessionId".to_owned(), json!(call.session.as_str())),
        ("tool".to_owned(), json!(call.tool)),
        (
            "argsSha256".to_owned(),
            json!(journal::args_sha256(&call.args).to_hex()),
        ),
    ]);
    let draft = Draft {
        call: Some(Arc::new(call.clone())),
        ..Draft::new(Kind::ToolCallAllow, payload)
    };
    let receipt = journal.handle().append_one(draft)?;
    Ok(receipt.permit().ok_or("no permit")?)
}
