//! The verifier against damaged journals: what is found, where, and under which code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
use crate::support::journal as support;

mod format;
mod large;
mod programs;
mod tampered;

use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agp::contracts::limits;
use agp::journal::key::PublicKey;
use agp::journal::verify::verify_with;
use agp::journal::{Code, Paths};
use serde_json::{Value, json};
use support::{Forge, Key, Scratch, agp_verify, head_text, short, verify};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-v2");

/// Each fixture and what is wrong with it, as `line:code`.
const EXPECTED: &[(&str, u64, &[&str])] = &[
    ("bad-signature", 11, &["7:event.signature"]),
    ("deleted-middle", 10, &["6:chain.seq", "6:chain.prev_hash"]),
    ("duplicate-key", 10, &["4:line.duplicate_name"]),
    ("duplicated", 12, &["6:chain.seq", "6:chain.prev_hash"]),
    ("edited-payload", 11, &["4:event.hash", "4:event.signature"]),
    ("forged-head", 8, &["head:head.signature"]),
    ("no-head", 11, &["head:head.missing"]),
    (
        "reordered",
        11,
        &[
            "5:chain.seq",
            "5:chain.prev_hash",
            "6:chain.seq",
            "6:chain.prev_hash",
            "7:chain.seq",
            "7:chain.prev_hash",
        ],
    ),
    ("truncated", 8, &["head:head.truncated"]),
    ("unknown-field", 10, &["5:event.field_unknown"]),
    ("unsigned-rollback", 10, &["3:event.version"]),
    ("valid", 11, &[]),
];

fn fixture(name: &str) -> (PathBuf, PublicKey, PathBuf) {
    let dir = Path::new(FIXTURES).join(name);
    let key = dir.join("journal-ed25519.pub");
    let public = PublicKey::from_pem(&fs::read_to_string(&key).unwrap()).unwrap();
    (dir.join("audit.log"), public, key)
}

#[test]
fn every_fixture_is_judged_for_the_right_reason() {
    let mut names: Vec<String> = fs::read_dir(FIXTURES)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, EXPECTED.iter().map(|e| e.0).collect::<Vec<_>>());
    for (name, events, problems) in EXPECTED {
        let (log, public, _) = fixture(name);
        let report = verify(&log, &public);
        assert_eq!(short(&report), *problems, "{name}");
        assert_eq!(report.events, *events, "{name}");
        assert_eq!(report.intact, problems.is_empty(), "{name}");
    }
}

/// Payloads of many shapes, none with two spellings that differ in one bit: an `e` in a number's
/// exponent and a hexadecimal letter in a `\u` escape may be written in either case, and of a
/// double's 17th digit there may be two.
fn varied(number: usize) -> Value {
    match number % 5 {
        0 => json!({"n": number, "nested": {"a": [1, -2, [], {}, [null, true, false]]}}),
        1 => json!({"text": "größer ✓ 😀 \u{2028}", "ключ": "значение", "\u{fb33}": 1, "😀": 2}),
        2 => json!({"floats": [0.1, -3.25, 1234.5678, 0.000_001, 333_333_333.333_3]}),
        3 => json!({"escapes": "\" \\ / \u{8} \t \n \r \u{11}\u{7f}", "": "empty name"}),
        _ => json!({"n": 9_007_199_254_740_991_u64, "m": -9_007_199_254_740_991_i64, "z": 0}),
    }
}

struct Sample {
    scratch: Scratch,
    key: Key,
    log: Vec<u8>,
    head: Vec<u8>,
}

impl Sample {
    fn new(name: &str, events: usize) -> Self {
        let (scratch, key) = (Scratch::new(name), Key::new());
        let paths = scratch.paths();
        support::write(&paths, &key, (0..events).map(varied));
        let report = verify(&paths.log, &key.public());
        assert!(report.intact, "{report:?}");
        assert_eq!(report.events, events as u64);
        Self {
            log: fs::read(&paths.log).unwrap(),
            head: fs::read(&paths.head).unwrap(),
            scratch,
            key,
        }
    }

    fn paths(&self) -> Paths {
        self.scratch.paths()
    }

    fn lines(&self) -> Vec<&[u8]> {
        self.log.split_inclusive(|byte| *byte == b'\n').collect()
    }

    /// What is wrong with another log beside the same head.
    fn with_log(&self, log: &[u8]) -> Vec<String> {
        fs::write(self.paths().log, log).unwrap();
        short(&verify(&self.paths().log, &self.key.public()))
    }

    /// What is wrong with another head beside the same log.
    fn with_head(&self, head: &[u8]) -> Vec<String> {
        fs::write(self.paths().log, &self.log).unwrap();
        fs::write(self.paths().head, head).unwrap();
        short(&verify(&self.paths().log, &self.key.public()))
    }

    /// Flips the bits that `bits` gives for each offset, one at a time, and demands that every
    /// one is found. Two threads, each on a copy of its own; the workers alternate 1 and 3.
    fn flip(&self, bits: impl Fn(usize) -> Vec<u8> + Sync) {
        let public = self.key.public();
        thread::scope(|scope| {
            for half in 0..2 {
                let copy = Paths::of(&self.scratch.dir().join(format!("copy-{half}")));
                fs::write(&copy.log, &self.log).unwrap();
                fs::write(&copy.head, &self.head).unwrap();
                let (bits, public) = (&bits, &public);
                scope.spawn(move || {
                    let file = fs::OpenOptions::new().write(true).open(&copy.log).unwrap();
                    for at in (half..self.log.len()).step_by(2) {
                        for bit in bits(at) {
                            let flipped = self.log[at] ^ (1 << bit);
                            file.write_all_at(&[flipped], at as u64).unwrap();
                            let workers = if at % 64 < 2 { 3 } else { 1 };
                            let report = verify_with(&copy.log, public, workers).unwrap();
                            assert!(!report.intact, "byte {at} bit {bit}");
                        }
                        file.write_all_at(&[self.log[at]], at as u64).unwrap();
                    }
                    assert!(verify_with(&copy.log, public, 1).unwrap().intact);
                });
            }
        });
    }
}

#[test]
fn the_key_changes_where_the_journal_says_so() {
    let keys = [Key::new(), Key::new(), Key::new()];
    let [first, second, third] = keys.each_ref().map(Key::signing);
    let scratch = Scratch::new("rotation");
    let paths = scratch.paths();
    let named = |key: &agp::journal::key::SigningKey| json!({"newPublicKey": key.public().to_spki_base64()});

    let mut forge = Forge::new();
    forge.push(&first, "a", &varied(1));
    forge.push(&first, "key.rotated", &named(&second));
    forge.write(&paths, &first);
    assert!(verify(&paths.log, first.public()).intact);
    // The head of the rotation itself may be the new key's: it is rewritten when that takes over.
    forge.write(&paths, &second);
    assert!(verify(&paths.log, first.public()).intact);
    forge.push(&second, "a", &varied(2));
    forge.push(&second, "key.rotated", &named(&third));
    forge.push(&third, "a", &varied(3));
    forge.write(&paths, &third);
    let report = verify(&paths.log, first.public());
    assert!(report.intact, "{report:?}");
    assert_eq!(
        report.keys,
        [&first, &second, &third].map(|k| k.public().id())
    );
    // Whoever trusts a later key alone does not learn of the first.
    assert!(!verify(&paths.log, third.public()).intact);

    // The old key signs no more; nobody hands over a key that is not theirs; a key must be one.
    let id = json!(null);
    let mut old = Forge::new();
    old.push(&first, "key.rotated", &named(&second));
    old.push_as(&first, &id, "a", &varied(1));
    old.write(&paths, &second);
    let found = short(&verify(&paths.log, first.public()));
    assert_eq!(found, ["2:event.signature", "head:head.signature"][..1]);

    let mut stolen = Forge::new();
    stolen.push(&first, "a", &varied(1));
    stolen.push_as(&second, &id, "key.rotated", &named(&second));
    stolen.push_as(&second, &id, "a", &varied(1));
    stolen.write(&paths, &second);
    let found = short(&verify(&paths.log, first.public()));
    assert_eq!(
        found,
        [
            "2:event.signature",
            "3:event.signature",
            "head:head.signature"
        ]
    );

    for payload in [
        json!({}),
        json!({"newPublicKey": "AAAA"}),
        json!({"newPublicKey": 1}),
    ] {
        let mut forge = Forge::new();
        forge.push(&first, "key.rotated", &payload);
        forge.push(&first, "a", &varied(1));
        forge.write(&paths, &first);
        assert_eq!(
            short(&verify(&paths.log, first.public())),
            ["1:key.rotation"]
        );
    }
}

/// The fenced block of that name in the format document, which ends without a line's end.
fn quoted<'a>(document: &'a str, name: &str) -> &'a str {
    let start = format!("\n```{name}\n");
    let body = document.split(&start).nth(1).unwrap();
    body.split("\n```\n").next().unwrap()
}
