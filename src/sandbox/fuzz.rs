//! What must hold of what the keeper of a command reports.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use crate::jail::status::Told;

use super::process::output::{Taken, settle};

/// Only a confinement that was reported to stand, or that its keeper ended, gives a result.
pub(crate) fn keeper_report(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(ran) = settle(Taken::default(), &text, None) else {
        return;
    };
    let statuses: Vec<Told> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(statuses.len(), text.lines().count(), "a line that is none");
    assert!(
        !statuses
            .iter()
            .any(|status| matches!(status, Told::Failed(_)))
    );
    let stood = statuses
        .iter()
        .any(|status| matches!(status, Told::Confined { .. }));
    let kept = matches!(ran.ended, Told::Deadline | Told::Stopped | Told::DiskFull);
    assert!(stood || kept);
    assert!(statuses.contains(&ran.ended) && !matches!(ran.ended, Told::Confined { .. }));
}
