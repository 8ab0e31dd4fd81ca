//! An independent verifier, written from the format document alone, agrees with ours.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
use crate::support::journal as support;

use std::fs;
use std::path::Path;
use std::process::Command;

use agp::contracts::limits;
use agp::journal::key::PublicKey;
use serde_json::{Value, json};
use support::{Forge, Key, Scratch, have, head_text, record, rotation_to, verify};

fn python() -> Command {
    Command::new("python3")
}

/// Both verdicts on a journal, which must be the same.
fn intact(log: &Path, key: &Path) -> bool {
    let public = PublicKey::from_pem(&fs::read_to_string(key).unwrap()).unwrap();
    let report = verify(log, &public);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_journal.py");
    let output = python().arg(script).arg(log).arg(key).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = if report.intact {
        let hash = report.last_hash.clone().unwrap();
        assert_eq!(said, format!("OK {} events, last {hash}\n", report.events));
        0
    } else {
        assert!(said.starts_with("FAIL "), "{said}");
        1
    };
    assert_eq!(output.status.code(), Some(expected), "{said} {report:?}");
    report.intact
}

#[test]
fn it_judges_every_fixture_as_we_do() {
    if !have("python3", python().arg("--version")) {
        return;
    }
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-v2");
    for entry in fs::read_dir(fixtures).unwrap() {
        let dir = entry.unwrap().path();
        let verdict = intact(&dir.join("audit.log"), &dir.join("journal-ed25519.pub"));
        assert_eq!(verdict, dir.ends_with("valid"), "{}", dir.display());
    }
}

/// Payloads for the corners of canonical JSON.
fn corners() -> Vec<Value> {
    let bits = |bits: &[u64]| -> Value { bits.iter().map(|b| json!(f64::from_bits(*b))).collect() };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let random: Vec<u64> = (0..400)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        })
        .filter(|bits| f64::from_bits(*bits).is_finite())
        .collect();
    vec![
        json!({"doubles": bits(&random)}),
        json!({"doubles": [0.0, -0.0, 1e21, 1e20, 1e-6, 1e-7, 123e-7, 5e-324, f64::MAX, 1.5e300]}),
        json!({"integers": [u64::MAX, i64::MIN, 1_u64 << 53, (1_u64 << 53) + 1, -1, 0]}),
        json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "😀": 5, "\u{80}": 6, "ö": 7}),
        json!({"text": (0..0x180_u32).filter_map(char::from_u32).collect::<String>()}),
        json!({"text": "\u{2028}\u{2029}\u{feff}\u{ffff}\u{10ffff}\"\\/"}),
        json!({"": {"": [[], {}, [[{}]]]}, "a": null}),
    ]
}

#[test]
fn it_verifies_our_journals_across_a_rotation() {
    if !have("python3", python().arg("--version")) {
        return;
    }
    let (scratch, first, second) = (Scratch::new("python"), Key::new(), Key::new());
    let (paths, key) = (scratch.paths(), scratch.dir().join("key.pub"));
    fs::write(&key, first.public().to_pem()).unwrap();
    support::write(&paths, &first, corners());
    assert!(intact(&paths.log, &key));

    let (journal, _) = support::open(&paths, &first).unwrap();
    record(&journal, rotation_to(&second.public()));
    journal.close();
    assert!(intact(&paths.log, &key));
    let (journal, _) = support::open_after(&paths, &second, &[first.public()]).unwrap();
    for payload in corners() {
        record(&journal, support::draft(payload));
    }
    journal.close();
    assert!(intact(&paths.log, &key));
    fs::write(&key, second.public().to_pem()).unwrap();
    assert!(!intact(&paths.log, &key));
}

/// Where two readers could disagree: each case, and whether it is a journal.
#[test]
fn it_reads_as_strictly_as_we_do() {
    if !have("python3", python().arg("--version")) {
        return;
    }
    let (scratch, key) = (Scratch::new("python-strict"), Key::new());
    let (paths, public) = (scratch.paths(), scratch.dir().join("key.pub"));
    fs::write(&public, key.public().to_pem()).unwrap();
    let signing = key.signing();
    let mut forge = Forge::new();
    forge.push(&signing, "a", &json!({"n": 1.5, "t": "x"}));
    forge.write(&paths, &signing);
    let line = forge.lines[0].clone();
    let head = fs::read_to_string(&paths.head).unwrap();
    let nested = |levels: usize| {
        let mut forge = Forge::new();
        let value = (1..levels).fold(json!([]), |inner, _| json!([inner]));
        forge.push(&signing, "a", &json!({"v": value}));
        let head = head_text(&signing, 1, forge.hash.as_ref().unwrap());
        (forge.lines[0].clone(), head)
    };
    let signature = line.split("\"signature\":\"").nth(1).unwrap();
    let last = signature.as_bytes()[85] as char;
    let bent = char::from(last as u8 + 1);
    let unpadded = line.replace("==\"", "\"");
    let with = |from: &str, to: &str| {
        assert!(line.contains(from), "{from}");
        line.replace(from, to)
    };
    let fill = |bytes: usize| format!("{line}{}", " ".repeat(bytes - line.len()));
    let mut cases = vec![
        (line.clone(), true),
        (format!(" {line}\r"), true),
        (format!("\u{b}{line}"), false),
        (format!("\u{a0}{line}"), false),
        (format!("\u{feff}{line}"), false),
        (format!("{line}\u{0}"), false),
        (format!("{line} {line}"), false),
        (format!("{line}\n"), false),
        (fill(limits::LINE_BYTES), true),
        (fill(limits::LINE_BYTES + 1), false),
        (with("1.5", "15e-1"), true),
        (with("1.5", "1.50"), true),
        (with("1.5", "01.5"), false),
        (with("1.5", "+1.5"), false),
        (with("1.5", "1.5e999"), false),
        (with("1.5", "NaN"), false),
        (with("1.5", "-Infinity"), false),
        (with("1.5", &"9".repeat(400)), false),
        (with("\"x\"", "\"\\u0078\""), true),
        (with("\"x\"", "\"\\ud800\""), false),
        (with("\"x\"", "\"\t\""), false),
        (with("\"x\"", "\"x\",\"t\":\"x\""), false),
        (with("\"x\"", "\"x\",\"\\u0074\":\"x\""), false),
        (with("\"x\"", "\"x\","), false),
        (with("\"seq\":1", "\"seq\":1.0"), false),
        (with("\"seq\":1", "\"seq\":1e0"), false),
        (with("\"seq\":1", "\"seq\":true"), false),
        (with("\"v\":2", "\"v\":2.0"), false),
        (with("\"tenant_id\":null", "\"tenant_id\":false"), false),
        (with("==\"", "=\""), false),
        (with(&format!("{last}==\""), &format!("{bent}==\"")), false),
        (unpadded, false),
    ];
    cases.push((with("\"hash\":\"", "\"hash\": \""), true));
    for (text, expected) in cases {
        fs::write(&paths.log, text.clone() + "\n").unwrap();
        let shown = &text[..text.len().min(2000)];
        assert_eq!(intact(&paths.log, &public), expected, "{shown}");
    }
    for (text, expected) in [
        (line.clone() + "\n", true),
        (line.clone(), false),
        (String::new(), false),
    ] {
        fs::write(&paths.log, text).unwrap();
        assert_eq!(intact(&paths.log, &public), expected);
    }
    fs::write(&paths.log, line.clone() + "\n").unwrap();
    for (text, expected) in [
        (format!(" {head}\n"), true),
        (head.clone() + &" ".repeat(64 << 10), false),
        (format!("{head}x"), false),
        (head.replace("\"seq\":1", "\"seq\":1.0"), false),
        (head.replace("\"seq\":1", "\"seq\":2"), false),
        (head.replacen('{', "{\"x\":1,", 1), false),
        (head.replacen('{', "{\"seq\":1,", 1), false),
    ] {
        fs::write(&paths.head, &text).unwrap();
        assert_eq!(intact(&paths.log, &public), expected, "{text}");
    }
    for (levels, expected) in [(125, true), (126, false), (5000, false)] {
        if levels > 1000 {
            // Deeper than can be built as a value here.
            let deep = "[".repeat(levels) + &"]".repeat(levels);
            fs::write(&paths.log, with("1.5", &deep) + "\n").unwrap();
        } else {
            let (line, head) = nested(levels);
            fs::write(&paths.log, line + "\n").unwrap();
            fs::write(&paths.head, head).unwrap();
        }
        assert_eq!(intact(&paths.log, &public), expected, "{levels} levels");
    }
    fs::remove_file(&paths.head).unwrap();
    assert!(!intact(&paths.log, &public));
}
