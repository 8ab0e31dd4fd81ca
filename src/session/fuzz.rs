//! What must hold of `config.json`, and of a lease.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use crate::contracts::strict_json;

use super::config::Config;
use super::lease::LeaseRecord;

/// What is read is read again from what is written of it, and what is shown of it holds no token.
pub(crate) fn config_file(data: &[u8]) {
    let Ok(config) = strict_json::parse::<Config>(data) else {
        return;
    };
    let written = serde_json::to_vec(&config).expect("a configuration can be written");
    assert_eq!(
        strict_json::parse::<Config>(&written).ok().as_ref(),
        Some(&config)
    );
    let debug = format!("{config:?}");
    let slack = config.slack.unwrap_or_default();
    for token in [slack.bot_token, slack.app_token].into_iter().flatten() {
        assert!(token.len() < 12 || !debug.contains(&token));
    }
}

/// What is read is read again from what is written of it, and what would be removed is a directory of that
/// session's own name.
pub(crate) fn lease_file(data: &[u8]) {
    let Some(terms) = LeaseRecord::read(data) else {
        return;
    };
    let name = terms.directory.file_name().and_then(|name| name.to_str());
    assert_eq!(name, Some(format!("agp-{}", terms.session_id).as_str()));
    assert!(terms.directory.is_absolute());
    let written = serde_json::to_vec(&terms).expect("they can be written");
    assert_eq!(LeaseRecord::read(&written), Some(terms));
}
