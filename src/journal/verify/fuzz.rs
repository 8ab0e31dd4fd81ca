//! What must hold of a journal's file.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use crate::journal::key::PublicKey;

use super::Report;
use super::check::{Checked, Chunk, check};
use super::chunks::Chunker;
use super::head_file::HeadText;
use super::join::Joiner;

/// The key of `tests/fixtures/journal-v2`.
const KEY: &str = include_str!("../../../tests/fixtures/journal-v2/valid/journal-ed25519.pub");

/// What is found does not depend on where the file is cut, no line is lost, and a line that is no
/// event is a problem.
pub(crate) fn file(data: &[u8]) {
    let key = PublicKey::from_pem(KEY).expect("a key");
    let mut reader = Chunker::new(data);
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk().expect("a slice can be read") {
        chunks.extend(chunk);
    }
    assert_eq!(chunks, data, "no line is longer than its bound here");

    let whole = joined(&[data], &key);
    let ends = data.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    let middle = ends.get(ends.len() / 2).copied().unwrap_or(0);
    let (first, second) = data.split_at(middle);
    let halves = joined(&[first, second], &key);
    assert_eq!(said(&whole), said(&halves));
    let lines: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(said(&whole), said(&joined(&lines, &key)));
    assert!(whole.problem_count >= lines.len() as u64 - whole.events);
    // There is no head.
    assert!(!whole.intact);
}

fn joined(parts: &[&[u8]], key: &PublicKey) -> Report {
    let mut joiner = Joiner::new(key, None);
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let chunk = Chunk {
            lines: part.to_vec(),
            key: key.clone(),
            head_seq: None,
        };
        let outcome = check(&chunk.lines, &chunk.key, None);
        joiner.join(Checked { chunk, outcome });
    }
    joiner.finish(&HeadText { bytes: None })
}

fn said(report: &Report) -> String {
    serde_json::to_string(report).expect("a report can be written")
}
