//! The verifier against damaged journals: what is found, where, and under which code.

#![cfg(feature = "agp")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
mod support;

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

#[test]
fn agp_verify_says_so_in_text_in_json_and_by_its_exit_code() {
    for (name, events, problems) in EXPECTED {
        let (log, _, key) = fixture(name);
        let (log, key) = (log.to_str().unwrap(), key.to_str().unwrap());

        let text = agp_verify(&[log, "--key", key]);
        let shown = String::from_utf8(text.stdout).unwrap();
        assert_eq!(text.status.code(), Some(i32::from(!problems.is_empty())));
        let first = shown.lines().next().unwrap();
        if problems.is_empty() {
            let hash = "cc7f79af4415d7b616e5bc67e49790bf47a9d98ef3e24f8bcaac22f8d7eb82db";
            assert_eq!(
                shown,
                format!("OK: 11 events, last 11 {hash}, key 4c7cef085671f9c6\n")
            );
        } else {
            let plural = if problems.len() == 1 { "" } else { "s" };
            let count = problems.len();
            assert_eq!(
                first,
                format!("FAIL: {count} problem{plural} in {events} events")
            );
            assert_eq!(shown.lines().count(), count + 1, "{name}");
        }

        let output = agp_verify(&["--json", log, "--key", key]);
        assert_eq!(output.status.code(), text.status.code(), "{name}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["intact"], json!(problems.is_empty()), "{name}");
        assert_eq!(report["events"], json!(events), "{name}");
        assert_eq!(report["problemCount"], json!(problems.len()), "{name}");
        let mut names: Vec<_> = report.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(
            names,
            [
                "beyondHead",
                "events",
                "headSeq",
                "intact",
                "keys",
                "lastHash",
                "lastSeq",
                "problemCount",
                "problems"
            ]
        );
        for problem in report["problems"].as_array().unwrap() {
            let mut names: Vec<_> = problem.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["code", "detail", "line", "seq"], "{name}");
        }
    }
}

#[test]
fn agp_verify_exits_2_when_it_could_not_check() {
    let scratch = Scratch::new("exit2");
    let (log, _, key) = fixture("valid");
    let (log, key) = (log.to_str().unwrap(), key.to_str().unwrap());
    let garbage = scratch.dir().join("garbage.pub");
    fs::write(
        &garbage,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let garbage = garbage.to_str().unwrap();
    let here = scratch.dir().to_str().unwrap();
    for arguments in [
        &["/nonexistent/audit.log", "--key", key][..],
        &[log, "--key", "/nonexistent/key.pub"],
        &[log, "--key", garbage],
        &[log, "--key", "/dev/null"],
        &[here, "--key", key],
        &[log],
        &["--key", key],
        &[log, log, "--key", key],
        &[log, "--key", key, "--lenient"],
        &[],
    ] {
        let output = agp_verify(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(agp_verify(&["--help"]).status.code(), Some(0));
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

/// All eight bits of every byte, on five events of every payload shape.
#[test]
fn every_flipped_bit_is_found() {
    Sample::new("flips", 5).flip(|_| (0..8).collect());
}

/// One bit of every byte, all eight bits in turn, on twenty events: the same in a longer chain.
/// (Eight bits of every byte there would be minutes of signature checks.)
#[test]
fn every_byte_of_twenty_events_flipped_is_found() {
    Sample::new("flips20", 20).flip(|at| vec![u8::try_from(at % 8).unwrap()]);
}

/// Every length the file can be cut to, on ten events.
#[test]
fn every_cut_is_found() {
    let sample = Sample::new("cuts", 10);
    let public = sample.key.public();
    let log = sample.paths().log;
    let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    for length in (0..sample.log.len()).rev() {
        file.set_len(length as u64).unwrap();
        let report = verify_with(&log, &public, 1).unwrap();
        let whole = sample.log[..length].iter().filter(|b| **b == b'\n').count();
        let mut expected = Vec::new();
        if length > 0 && sample.log[length - 1] != b'\n' {
            expected.push(format!("{}:line.torn", whole + 1));
        }
        expected.push("head:head.truncated".into());
        assert_eq!(short(&report), expected, "cut to {length} bytes");
    }
}

#[test]
fn every_dropped_doubled_or_swapped_line_is_found() {
    let sample = Sample::new("lines", 20);
    let lines = sample.lines();
    for at in 0..lines.len() {
        let mut dropped = lines.clone();
        dropped.remove(at);
        let found = sample.with_log(&dropped.concat());
        if at == 19 {
            assert_eq!(found, ["head:head.truncated"]);
        } else {
            let line = at + 1;
            let expected = [
                format!("{line}:chain.seq"),
                format!("{line}:chain.prev_hash"),
            ];
            assert_eq!(found, expected, "dropped line {line}");
        }

        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        let line = at + 2;
        let expected = [
            format!("{line}:chain.seq"),
            format!("{line}:chain.prev_hash"),
        ];
        assert_eq!(sample.with_log(&doubled.concat()), expected);

        for other in 0..at {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            let found = sample.with_log(&swapped.concat());
            let first = format!("{}:chain.seq", other + 1);
            assert_eq!(found.first(), Some(&first), "swapped {at} and {other}");
        }
    }
}

#[test]
fn a_head_that_is_missing_old_foreign_or_edited_is_found() {
    let sample = Sample::new("heads", 20);
    let other = Key::new();
    let events = support::events(&sample.paths().log);
    let hash = |seq: usize| events[seq - 1]["hash"].as_str().unwrap();

    fs::remove_file(sample.paths().head).unwrap();
    let report = verify(&sample.paths().log, &sample.key.public());
    assert_eq!(short(&report), ["head:head.missing"]);

    let foreign = head_text(&other.signing(), 20, hash(20));
    assert_eq!(
        sample.with_head(foreign.as_bytes()),
        ["head:head.signature"]
    );
    let own = sample.key.signing();
    let wrong = head_text(&own, 20, hash(19));
    assert_eq!(sample.with_head(wrong.as_bytes()), ["head:head.hash"]);
    let ahead = head_text(&own, 21, hash(20));
    assert_eq!(sample.with_head(ahead.as_bytes()), ["head:head.truncated"]);
    let zero = head_text(&own, 0, hash(20));
    assert_eq!(sample.with_head(zero.as_bytes()), ["head:head.truncated"]);
    for text in ["", "{}", "null", "[]", "\u{feff}{}"] {
        assert_eq!(sample.with_head(text.as_bytes()), ["head:head.invalid"]);
    }
    let text = String::from_utf8(sample.head.clone()).unwrap();
    let duplicate = text.replacen('{', "{\"seq\":20,", 1);
    assert_eq!(
        sample.with_head(duplicate.as_bytes()),
        ["head:head.invalid"]
    );
    let unknown = text.replacen('{', "{\"x\":20,", 1);
    assert_eq!(sample.with_head(unknown.as_bytes()), ["head:head.invalid"]);
    // Padding is whitespace; something behind more of it than is read is not.
    let long = format!("{text}{}x", " ".repeat(70_000));
    assert_eq!(sample.with_head(long.as_bytes()), ["head:head.invalid"]);
    assert_eq!(
        sample.with_head(format!("{}\n", text.trim()).as_bytes()),
        [""; 0]
    );

    // Every bit of the head, its padding too.
    let sample = Sample::new("head-flips", 3);
    assert_eq!(sample.head.len(), 256);
    for at in 0..sample.head.len() {
        for bit in 0..8 {
            let mut head = sample.head.clone();
            head[at] ^= 1 << bit;
            fs::write(sample.paths().head, &head).unwrap();
            let report = verify_with(&sample.paths().log, &sample.key.public(), 1).unwrap();
            assert!(!report.intact, "byte {at} bit {bit} of the head");
        }
    }
}

/// An older head says only that events came after it: a crash leaves that, and so may a reader
/// who looks while agp writes.
#[test]
fn sound_events_beyond_the_head_are_counted_not_blamed() {
    let sample = Sample::new("beyond", 20);
    let events = support::events(&sample.paths().log);
    let hash = events[4]["hash"].as_str().unwrap();
    let old = head_text(&sample.key.signing(), 5, hash);
    fs::write(sample.paths().head, old).unwrap();
    let report = verify(&sample.paths().log, &sample.key.public());
    assert!(report.intact);
    assert_eq!((report.head_seq, report.beyond_head), (Some(5), 15));

    // And a cut behind an old head stays unseen: see "What it does not prove" in the format.
    let lines = sample.lines();
    assert_eq!(sample.with_log(&lines[..10].concat()), [""; 0]);
}

#[test]
fn another_keys_events_are_found() {
    let (key, other) = (Key::new(), Key::new());
    let (own, foreign) = (key.signing(), other.signing());
    let scratch = Scratch::new("foreign");
    let paths = scratch.paths();

    // One event in the middle, well chained, saying whose it is, saying otherwise, saying nothing.
    let own_id = json!(own.public().id());
    for (id, expected) in [
        (
            json!(foreign.public().id()),
            &["6:event.signature", "6:event.key_id"][..],
        ),
        (own_id, &["6:event.signature"]),
        (Value::Null, &["6:event.signature"]),
    ] {
        let mut forge = Forge::new();
        (0..5).for_each(|n| forge.push(&own, "a", &varied(n)));
        forge.push_as(&foreign, &id, "a", &varied(5));
        (6..10).for_each(|n| forge.push(&own, "a", &varied(n)));
        forge.write(&paths, &own);
        assert_eq!(short(&verify(&paths.log, own.public())), expected);
    }

    // Everything signed anew: nothing in it verifies.
    let mut forge = Forge::new();
    (0..5).for_each(|n| forge.push(&foreign, "a", &varied(n)));
    forge.write(&paths, &foreign);
    assert!(verify(&paths.log, foreign.public()).intact);
    let report = verify(&paths.log, own.public());
    assert_eq!(report.problem_count, 11);
    assert_eq!(
        short(&report).last().map(String::as_str),
        Some("head:head.signature")
    );
}

#[test]
fn reading_is_strict_about_lines() {
    let sample = Sample::new("strict", 3);
    let lines = sample.lines();
    let join = |parts: &[&[u8]]| sample.with_log(&parts.concat());
    let (a, b, c) = (lines[0], lines[1], lines[2]);

    assert_eq!(join(&[b"\xef\xbb\xbf", a, b, c]), ["1:line.not_json"]);
    assert_eq!(join(&[a, b"\n", b, c]), ["2:line.blank"]);
    assert_eq!(join(&[a, b, c, b"\n"]), ["4:line.blank"]);
    assert_eq!(join(&[a, b" \n", b, c]), ["2:line.not_json"]);
    assert_eq!(join(&[a, b, c, b"{}"]), ["4:line.torn"]);
    assert_eq!(join(&[a, b, c, b"{}\n"]), ["4:event.field_missing"]);
    assert_eq!(join(&[a, b, c, b"[]\n"]), ["4:line.not_json"]);
    assert_eq!(
        join(&[a, &b[..b.len() - 1], b"{}\n", c]),
        ["2:line.not_json"]
    );
    let cut = ["2:line.not_json", "head:head.truncated"];
    assert_eq!(join(&[a, &b[..b.len() - 1], c]), cut);
    // Lines end at \n alone.
    let unended = &b[..b.len() - 1];
    assert_eq!(join(&[a, unended, "\u{2028}".as_bytes(), c]), cut);
}

/// What is signed is the content, not its spelling: JSON's whitespace (a carriage return before
/// the newline too), the order of names, escapes and the spelling of numbers may differ.
#[test]
fn another_spelling_of_a_line_is_the_same_content() {
    let sample = Sample::new("spelling", 5);
    let crlf = String::from_utf8(sample.log.clone())
        .unwrap()
        .replace('\n', "\r\n");
    assert_eq!(sample.with_log(crlf.as_bytes()), [""; 0]);

    let spelled: String = support::events(&sample.paths().log)
        .iter()
        .map(|event| {
            let mut names: Vec<_> = event.iter().collect();
            names.reverse();
            let fields: Vec<_> = names
                .iter()
                .map(|(name, value)| format!(" \"{name}\" :\t{value}"))
                .collect();
            let line = format!("{{{}}}\n", fields.join(","));
            line.replace("0.1,", "1E-1,")
                .replace("größer", "gr\\u00F6ßer")
        })
        .collect();
    assert!(spelled.contains("1E-1") && spelled.contains("u00F6"));
    assert_eq!(sample.with_log(spelled.as_bytes()), [""; 0]);
}

#[test]
fn every_rule_of_the_envelope_has_its_code() {
    let key = Key::new();
    let scratch = Scratch::new("envelope");
    let paths = scratch.paths();
    let mut forge = Forge::new();
    forge.push(&key.signing(), "a", &json!({}));
    forge.write(&paths, &key.signing());
    let event: Value = serde_json::from_str(&forge.lines[0]).unwrap();
    let found = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut event = event.as_object().unwrap().clone();
        change(&mut event);
        fs::write(&paths.log, serde_json::to_string(&event).unwrap() + "\n").unwrap();
        short(&verify(&paths.log, &key.public()))[0].clone()
    };
    for name in event.as_object().unwrap().keys() {
        let missing = found(&|event| drop(event.remove(name)));
        assert_eq!(missing, "1:event.field_missing", "{name}");
        let wrong = found(&|event| drop(event.insert(name.clone(), json!(["x"]))));
        let code = if name == "v" {
            "1:event.version"
        } else {
            "1:event.field_invalid"
        };
        assert_eq!(wrong, code, "{name}");
    }
    for (name, value) in [
        ("seq", json!(0)),
        ("seq", json!(1.0)),
        ("seq", json!(9_007_199_254_740_992_u64)),
        ("ts", json!("2026-01-02T03:04:05Z")),
        ("hash", json!("A".repeat(64))),
        ("prevHash", json!("0")),
        ("signature", json!("A".repeat(88))),
        ("kind", json!("")),
        ("actor", json!("root")),
        ("tenant_id", json!("t")),
        ("correlation_id", json!(1)),
    ] {
        let wrong = found(&|event| drop(event.insert(name.into(), value.clone())));
        assert_eq!(wrong, "1:event.field_invalid", "{name} {value}");
    }
    // The two fields that only other writers add are known, and so are signed like the rest.
    let added = found(&|event| drop(event.insert("gsb_receipt_tip_hash".into(), Value::Null)));
    assert_eq!(added, "1:event.hash");
    let extra = found(&|event| drop(event.insert("extra".into(), Value::Null)));
    assert_eq!(extra, "1:event.field_unknown");
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

fn bulky(number: usize) -> Value {
    json!({"number": number, "text": "x".repeat(4000 + number * 37 % 900)})
}

/// Rotations in the first, a middle and the last chunk of a journal of many chunks, so that
/// chunks which were under way with the old key are checked again.
#[test]
fn a_rotation_reaches_the_chunks_behind_it() {
    let keys: Vec<Key> = (0..4).map(|_| Key::new()).collect();
    let scratch = Scratch::new("rotation-chunks");
    let paths = scratch.paths();
    let mut forge = Forge::new();
    let mut signer = 0;
    for number in 0..700 {
        if matches!(number, 3 | 350 | 690) {
            let next = keys[signer + 1].public().to_spki_base64();
            let key = keys[signer].signing();
            forge.push(&key, "key.rotated", &json!({"newPublicKey": next}));
            signer += 1;
        }
        forge.push(&keys[signer].signing(), "a", &bulky(number));
    }
    forge.write(&paths, &keys[signer].signing());
    let size = fs::metadata(&paths.log).unwrap().len();
    assert!(size > 10 * limits::VERIFY_CHUNK_BYTES as u64, "{size}");
    let report = verify(&paths.log, &keys[0].public());
    assert!(report.intact, "{:?}", short(&report));
    assert_eq!(report.keys.len(), 4);
}

#[test]
fn damage_in_several_chunks_is_placed_by_line() {
    let (scratch, key) = (Scratch::new("chunks"), Key::new());
    let paths = scratch.paths();
    let signing = key.signing();
    let mut forge = Forge::new();
    (0..600).for_each(|number| forge.push(&signing, "a", &bulky(number)));
    let mut expected = Vec::new();
    for line in [1, 56, 57, 58, 300, 599, 600] {
        let edited = forge.lines[line - 1].replace("xxx", "xyx");
        forge.lines[line - 1] = edited;
        expected.push(format!("{line}:event.hash"));
        expected.push(format!("{line}:event.signature"));
    }
    forge.lines[199].insert(0, '?');
    expected.insert(8, "200:line.not_json".into());
    forge.write(&paths, &signing);
    assert!(fs::metadata(&paths.log).unwrap().len() > 2 << 20);
    assert_eq!(short(&verify(&paths.log, &key.public())), expected);
}

#[test]
fn a_line_longer_than_1_mib_is_named_and_passed_over() {
    let sample = Sample::new("long", 3);
    let lines = sample.lines();
    let (a, b, c) = (lines[0], lines[1], lines[2]);
    let long = "x".repeat(limits::LINE_BYTES + 1) + "\n";
    let far = "x".repeat(3 * limits::LINE_BYTES) + "\n";
    for long in [long.as_bytes(), far.as_bytes()] {
        let found = sample.with_log(&[a, long, b, long, long, c].concat());
        assert_eq!(
            found,
            ["2:line.too_long", "4:line.too_long", "5:line.too_long"]
        );
        assert_eq!(
            sample.with_log(&[a, b, c, &long[..long.len() - 1]].concat()),
            ["4:line.too_long"]
        );
        // Short lines between two that are dropped.
        let found = sample.with_log(&[long, a, b, c, long].concat());
        assert_eq!(found, ["1:line.too_long", "5:line.too_long"]);
    }
    // A line of 1 MiB exactly is read: here it is the first event, padded.
    let mut padded = a.strip_suffix(b"\n").unwrap().to_vec();
    padded.resize(limits::LINE_BYTES, b' ');
    padded.push(b'\n');
    assert_eq!(sample.with_log(&[&padded, b, c].concat()), [""; 0]);
    padded.insert(0, b' ');
    assert_eq!(
        sample.with_log(&[&padded, b, c].concat()),
        ["1:line.too_long"]
    );
}

/// Memory does not grow with the journal: the peak of `agp-verify` on 4 MB and on 32 MB.
#[test]
fn memory_stays_flat() {
    let (scratch, key) = (Scratch::new("memory"), Key::new());
    let signing = key.signing();
    let public = scratch.dir().join("key.pub");
    fs::write(&public, key.public().to_pem()).unwrap();
    let peak = |count: usize| {
        let paths = Paths::of(&scratch.dir().join(format!("log-{count}")));
        let mut out = BufWriter::new(fs::File::create(&paths.log).unwrap());
        let mut forge = Forge::new();
        for number in 0..count {
            forge.push(&signing, "a", &bulky(number));
            writeln!(out, "{}", forge.lines.pop().unwrap()).unwrap();
        }
        out.flush().unwrap();
        let head = head_text(&signing, forge.seq, forge.hash.as_ref().unwrap());
        fs::write(&paths.head, head).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_agp-verify"))
            .arg(&paths.log)
            .arg("--key")
            .arg(&public)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut kib = 0_u64;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) {
                kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            }
            thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        kib
    };
    let (small, large) = (peak(800), peak(6_500));
    assert!(small > 0 && large > 0, "peaks {small} and {large} KiB");
    assert!(large < small + 4096, "peaks {small} and {large} KiB");
    assert!(large < 24 << 10, "peak {large} KiB");
}

/// Bulky batches, so that a write is visible in part while it is under way.
#[test]
fn a_journal_that_is_being_written_is_intact_at_every_moment() {
    let (scratch, key) = (Scratch::new("live"), Key::new());
    let paths = scratch.paths();
    support::write(&paths, &key, [json!({})]);
    let done = AtomicBool::new(false);
    let verified = thread::scope(|scope| {
        scope.spawn(|| {
            let (journal, _) = support::open(&paths, &key).unwrap();
            let handle = journal.handle();
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                let drafts = (0..8).map(|n| support::draft(bulky(n + number)));
                handle.append(drafts.collect()).unwrap();
                number += 8;
            }
        });
        let until = Instant::now() + Duration::from_secs(3);
        let mut verified = 0;
        while Instant::now() < until {
            let report = verify_with(&paths.log, &key.public(), 1).unwrap();
            if !report.intact {
                done.store(true, Ordering::Relaxed);
                panic!("{report:?}");
            }
            verified += 1;
        }
        done.store(true, Ordering::Relaxed);
        verified
    });
    assert!(verified > 3, "only {verified} verifications");
}

#[test]
fn a_detail_that_quotes_a_journal_cannot_steer_a_terminal() {
    let sample = Sample::new("printable", 2);
    let text = String::from_utf8(sample.log.clone()).unwrap();
    let evil = text.replacen('{', "{\"\\u001b[2J\\u009b\":1,", 1);
    sample.with_log(evil.as_bytes());
    let key = sample.scratch.dir().join("key.pub");
    fs::write(&key, sample.key.public().to_pem()).unwrap();
    let log = sample.paths().log;
    let output = agp_verify(&[log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("event.field_unknown"), "{shown}");
    assert!(
        shown
            .bytes()
            .all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic())
    );
}

fn format_document() -> String {
    fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/journal-format.md"
    ))
    .unwrap()
}

#[test]
fn the_format_document_lists_every_code_and_every_kind() {
    let text = format_document();
    let table = |heading: &str| -> Vec<String> {
        text.split(&format!("\n## {heading}\n"))
            .nth(1)
            .unwrap()
            .lines()
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(str::to_owned)
            .collect()
    };
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(table("Problem codes"), codes);
    let kinds: Vec<_> = agp::contracts::event::Kind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(table("Kinds"), kinds);
}

/// The fenced block of that name in the format document, which ends without a line's end.
fn quoted<'a>(document: &'a str, name: &str) -> &'a str {
    let start = format!("\n```{name}\n");
    let body = document.split(&start).nth(1).unwrap();
    body.split("\n```\n").next().unwrap()
}

#[test]
fn the_example_in_the_format_document_verifies() {
    let text = format_document();
    let scratch = Scratch::new("example");
    let paths = scratch.paths();
    let key = scratch.dir().join("key.pub");
    fs::write(&paths.log, quoted(&text, "journal").to_owned() + "\n").unwrap();
    fs::write(&paths.head, format!("{:256}", quoted(&text, "head"))).unwrap();
    fs::write(&key, quoted(&text, "key")).unwrap();
    let output = agp_verify(&[paths.log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim_end(), quoted(&text, "verdict"));
    assert_eq!(output.status.code(), Some(0));

    let signed = quoted(&text, "signed").as_bytes();
    let digest = ring::digest::digest(&ring::digest::SHA256, signed);
    let hash = data_encoding::HEXLOWER.encode(digest.as_ref());
    assert_eq!(support::events(&paths.log)[1]["hash"], json!(hash));
}
