//! What must hold of a file of permissions that others wrote.
#![allow(
    clippy::expect_used,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use serde_json::json;

use crate::policy::Policy;

/// Whatever is imported is a policy that loads, and what is said of the rest is one line each.
pub(crate) fn permissions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(imported) = super::import(&text) else {
        return;
    };
    let policy = json!({ "rules": imported.rules }).to_string();
    let policy = Policy::parse(policy.as_bytes()).expect("what is imported loads");
    assert_eq!(policy.len(), imported.rules.len());
    assert!(
        imported
            .left_out
            .iter()
            .all(|line| !line.contains(char::is_control))
    );
}
