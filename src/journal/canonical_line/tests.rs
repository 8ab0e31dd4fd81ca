//! Holds the reader of canonical lines against the reader of any line.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::contracts::limits;
use crate::journal::canonical;
use crate::journal::canonical_json::tests::Dice;
use crate::journal::line::Entry;

fn envelope(seq: u64, payload: &Value) -> Value {
    let prev = (seq > 1).then(|| "0123456789abcdef".repeat(4));
    json!({
        "actor": "session_owner", "approval_binding_type": null, "hash": "ab".repeat(32),
        "intendant_identity_uri": null, "kind": "call.decided", "on_behalf_of": "a \"b\" (uid 1)",
        "payload": payload, "prevHash": prev, "seq": seq, "signature": BASE64.encode(&[7; 64]),
        "signing_key_id": "00aa11bb22cc33dd", "tenant_id": null,
        "ts": "2026-01-02T03:04:05.678Z", "v": 2,
    })
}

/// A sound line with a text for payload, whatever that text is.
fn around(payload: &str) -> Vec<u8> {
    let line = String::from_utf8(canonical(&envelope(2, &json!({})))).unwrap();
    line.replace("\"payload\":{}", &format!("\"payload\":{payload}"))
        .into_bytes()
}

/// Whether the line was taken. What was taken, the other reader must read as the same.
fn taken(line: &[u8]) -> bool {
    let Some(fast) = Entry::from_canonical(line) else {
        return false;
    };
    let text = String::from_utf8_lossy(line);
    let slow = Entry::from_any(line).unwrap_or_else(|flaw| panic!("{flaw:?}: {text}"));
    // Asked for, so that the fields are compared too.
    assert_eq!(fast.payload(), slow.payload(), "{text}");
    assert!(fast == slow, "{text}");
    true
}

#[test]
fn generated_payloads_are_read_alike() {
    let mut count = 0;
    for seed in 1..20_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let payload: Map<_, _> = (0..dice.roll(4))
            .map(|at| (format!("name{at}"), dice.value(3)))
            .collect();
        let line = canonical(&envelope(seed, &Value::Object(payload)));
        count += u32::from(taken(&line));
        assert!(Entry::from_any(&line).is_ok());
    }
    assert!(
        count > 4000,
        "the scan must take many to be tested: {count}"
    );
}

#[test]
fn mutations_are_read_alike() {
    let mut lines = vec![
        around(r#"{"a":[1,-20,0,"\n\u001f\\"],"b":{"é":null,"€":"😀"},"c":true,"d":[],"e":{}}"#),
        around(r#"{"10":9007199254740991,"9":-9007199254740991,"a":false,"aa":"\"\b\t\f\r"}"#),
        canonical(&envelope(1, &json!({}))),
    ];
    let mut other = envelope(3, &json!({"k": [[{}]]}));
    other["approval_binding_type"] = json!("console");
    other["signing_key_id"] = Value::Null;
    other["on_behalf_of"] = Value::Null;
    lines.push(canonical(&other));
    let (mut took, mut left) = (0, 0);
    for line in lines {
        assert!(taken(&line), "{}", String::from_utf8_lossy(&line));
        let mut check = |mutated: &[u8]| *(if taken(mutated) { &mut took } else { &mut left }) += 1;
        for at in 0..line.len() {
            let (before, after) = line.split_at(at);
            for byte in 0..=255 {
                check(&[before, &[byte], &after[1..]].concat());
            }
            for byte in *b" \"\\,:{}[]0-19aefnu/\0\x7f\x80\n" {
                check(&[before, &[byte], after].concat());
            }
            check(&[before, &after[1..]].concat());
            check(before);
            let mut swapped = line.clone();
            swapped.swap(at, (at + 1) % line.len());
            check(&swapped);
        }
    }
    assert!(took > 10_000 && left > 100_000, "{took} {left}");
}

#[test]
fn only_canonical_json_is_taken() {
    for payload in [
        r#"{"a":9007199254740991,"b":-9007199254740991,"c":0,"d":[true,false,null]}"#,
        r#"{"":"\"\\\b\t\n\f\r\u0000\u0007\u000b\u000e\u000f\u001f/é"}"#,
        "{\"\u{7f}\":1,\"\u{d7ff}\":\"\u{7f}\u{2028}\u{e000}\u{10ffff}\"}",
    ] {
        assert!(taken(&around(payload)), "{payload}");
    }
    let refused: &[&[u8]] = &[
        b"",
        b"null",
        b"[]",
        b"\"\"",
        b"{ }",
        b"{\"a\": 1}",
        b"{\"a\":1 }",
        b"{\"a\":1}\n",
        b"{\"a\":[1, 2]}",
        b"{\"a\":[]]}",
        b"{\"a\":[1,]}",
        b"{\"a\":[,1]}",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\"}",
        b"{a:1}",
        b"{\"b\":1,\"a\":1}",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":1,\"\\u0061\":1}",
        b"{\"\\n\":1}",
        // In the order of their UTF-16, and of their UTF-8.
        "{\"\u{1f600}\":1,\"\u{fb33}\":2}".as_bytes(),
        "{\"\u{fb33}\":2,\"\u{1f600}\":1}".as_bytes(),
        br#"{"a":"\/"}"#,
        br#"{"a":"\u0041"}"#,
        br#"{"a":"\u001F"}"#,
        br#"{"a":"\u0008"}"#,
        br#"{"a":"\u0009"}"#,
        br#"{"a":"\u000a"}"#,
        br#"{"a":"\u000c"}"#,
        br#"{"a":"\u000d"}"#,
        br#"{"a":"\u0020"}"#,
        br#"{"a":"\u007f"}"#,
        br#"{"a":"\u0022"}"#,
        br#"{"a":"\u005c"}"#,
        br#"{"a":"\u00e9"}"#,
        br#"{"a":"\u2028"}"#,
        br#"{"a":"\ud83d\ude00"}"#,
        br#"{"a":"\ud800"}"#,
        br#"{"a":"\x"}"#,
        b"{\"a\":\"\t\"}",
        b"{\"a\":\"\0\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xe0\x80\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":\"\xf4\x90\x80\x80\"}",
        b"{\"a\":\"\xe2\x82\"}",
        b"{\"a\":\"\x80\"}",
        b"{\"a\":-0}",
        b"{\"a\":1.0}",
        b"{\"a\":1.5}",
        b"{\"a\":1e2}",
        b"{\"a\":1E2}",
        b"{\"a\":01}",
        b"{\"a\":00}",
        b"{\"a\":-01}",
        b"{\"a\":+1}",
        b"{\"a\":-}",
        b"{\"a\":}",
        b"{\"a\":9007199254740992}",
        b"{\"a\":-9007199254740992}",
        b"{\"a\":18446744073709551617}",
        b"{\"a\":True}",
        b"{\"a\":nul}",
        b"{\"a\":NaN}",
    ];
    let whole = around("{}");
    let at = whole.windows(2).position(|two| two == b"{}").unwrap();
    for payload in refused {
        let line = [&whole[..at], payload, &whole[at + 2..]].concat();
        assert!(!taken(&line), "{}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn only_the_known_envelope_is_taken() {
    let whole = String::from_utf8(around("{}")).unwrap();
    for (part, other) in [
        ("{\"actor\"", " {\"actor\""),
        ("\"v\":2}", "\"v\":2} "),
        ("\"v\":2}", "\"v\":2}}"),
        ("\"v\":2}", "\"v\":2,\"w\":1}"),
        ("\"v\":2}", "\"v\":3}"),
        ("\"v\":2}", "\"v\":\"2\"}"),
        ("\"v\":2}", "\"v\":2,\"v\":2}"),
        ("\"hash\"", "\"correlation_id\":null,\"hash\""),
        ("\"tenant_id\":null,", ""),
        ("\"tenant_id\":null", "\"tenant_id\":\"\""),
        ("session_owner", "session_owne"),
        ("session_owner", "session_\\u006fwner"),
        ("call.decided", ""),
        ("call.decided", "call\\ndecided"),
        ("00aa11bb22cc33dd", "\\n"),
        ("T03:04", "T24:04"),
        ("\"seq\":2", "\"seq\":0"),
        ("\"seq\":2", "\"seq\":-2"),
        ("\"seq\":2", "\"seq\":9007199254740992"),
        ("\"hash\":\"ab", "\"hash\":\"AB"),
        ("\"hash\":\"ab", "\"hash\":\""),
        ("\"prevHash\":\"01", "\"prevHash\":\""),
        ("abcdef", "ABCDEF"),
        ("\"signature\":\"Bw", "\"signature\":\""),
        ("Bw==\"", "Bx==\""),
        ("\"on_behalf_of\":\"a", "\"on_behalf_of\":\"\\/"),
    ] {
        assert!(whole.contains(part), "{part}");
        let line = whole.replace(part, other);
        assert!(!taken(line.as_bytes()), "{line}");
    }
    let mut value: Value = serde_json::from_str(&whole).unwrap();
    value["correlation_id"] = json!("c");
    let line = canonical(&value);
    assert!(!taken(&line) && Entry::parse(&line).is_ok());
}

#[test]
fn nesting_is_bounded_as_the_strict_reader_bounds_it() {
    // The envelope and the payload are two levels more.
    let arrays = |levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for levels in [1, limits::JSON_DEPTH - 2] {
        assert!(taken(&around(&arrays(levels))));
        assert!(taken(&around(&objects(levels + 1))));
    }
    for levels in [limits::JSON_DEPTH - 1, limits::JSON_DEPTH, 100_000] {
        for line in [arrays(levels), objects(levels + 1)].map(|text| around(&text)) {
            assert!(!taken(&line) && Entry::parse(&line).is_err());
        }
    }
}
