//! What must hold of the journal, its head, its keys and what is kept out of it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::fmt::Write as _;
use std::fs::OpenOptions;

use serde_json::{Map, Value, json};

use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::Sha256;
use crate::contracts::{limits, strict_json};

use super::Paths;
use super::canonical_json;
use super::envelope::Sealed;
use super::head::Head;
use super::key::{PublicKey, SigningKey};
use super::line::Entry;
use super::redact::{self, Screen, Secret};
use super::wal::Wal;
use super::wal_replay::replay;

pub(crate) use super::verify::fuzz::file;

/// A journal that another implementation wrote, and its key.
const JOURNAL: &str = include_str!("../../tests/fixtures/journal-v2/valid/audit.log");
const JOURNAL_KEY: &str = include_str!("../../tests/fixtures/journal-v2/valid/journal-ed25519.pub");

/// A key for tests: what it signs proves nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
    -----END PRIVATE KEY-----\n";

fn key() -> SigningKey {
    SigningKey::from_pem(KEY).expect("a key")
}

/// What canonical JSON is, written down a second time after RFC 8785.
fn reference(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&ecmascript(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                reference(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<u16>>());
            out.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                quoted(name, out);
                out.push(':');
                reference(value, out);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let short = ["\"\"", "\\\\", "\u{8}b", "\tt", "\nn", "\u{c}f", "\rr"]
            .iter()
            .find(|pair| pair.starts_with(c));
        match short {
            Some(pair) => out.extend(['\\', pair.chars().next_back().unwrap_or(c)]),
            None if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            None => out.push(c),
        }
    }
    out.push('"');
}

/// ECMA-262, `Number::toString` for radix 10. Rust gives the shortest digits and the exponent.
fn ecmascript(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{:e}", number.abs());
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    let mut digits = digits.replace('.', "");
    // Of two that are equally short and equally near, ECMAScript takes the even one; Rust does not.
    let exact = format!("{:.770e}", number.abs());
    let exact = exact.split('e').next().unwrap_or_default().replace('.', "");
    if let Some(even) = exact.trim_end_matches('0').strip_suffix('5')
        && even.len() == digits.len()
        && even.ends_with(['0', '2', '4', '6', '8'])
    {
        even.clone_into(&mut digits);
    }
    let exponent: i32 = exponent.parse().expect("a number");
    let count = i32::try_from(digits.len()).expect("few digits");
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let point = |at: i32| digits.split_at(usize::try_from(at).expect("inside"));
    let whole = match exponent + 1 {
        n @ 1..=21 if count <= n => format!("{digits}{}", zeros(n - count)),
        n @ 1..=21 => format!("{}.{}", point(n).0, point(n).1),
        n @ -5..=0 => format!("0.{}{digits}", zeros(-n)),
        _ => {
            let sign = if exponent < 0 { "" } else { "+" };
            let fraction = if count > 1 { "." } else { "" };
            format!("{}{fraction}{}e{sign}{exponent}", point(1).0, point(1).1)
        }
    };
    if number < 0.0 {
        format!("-{whole}")
    } else {
        whole
    }
}

/// The fast way, the canonicalizer and the reference agree, and the canonical form of the canonical
/// form is itself.
pub(crate) fn canonical_json(data: &[u8]) {
    let Ok(value) = strict_json::from_slice(data) else {
        return;
    };
    let ours = canonical_json::canonical(&value);
    let theirs = serde_json_canonicalizer::to_vec(&value).expect("a value can be written");
    let text = String::from_utf8_lossy(&ours);
    assert_eq!(text, String::from_utf8_lossy(&theirs));
    let mut reference = String::new();
    self::reference(&value, &mut reference);
    assert_eq!(text, reference);
    let again = strict_json::from_slice(&ours).expect("canonical JSON is strict");
    assert_eq!(canonical_json::canonical(&again), ours);
    if let Value::Object(args) = &value {
        assert_eq!(canonical_json::args_sha256(args), Sha256::of(&ours));
    }
}

/// What the fast reader of a line takes, the strict one reads as the same.
pub(crate) fn line(data: &[u8]) {
    read_alike(data);
    // And with the bytes as the payload of a line that is otherwise sound.
    let before = r#"{"actor":"session_owner","approval_binding_type":null,"hash":"0000000000000000000000000000000000000000000000000000000000000000","intendant_identity_uri":null,"kind":"k","on_behalf_of":null,"payload":"#;
    let after = r#","prevHash":null,"seq":1,"signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","signing_key_id":null,"tenant_id":null,"ts":"2026-01-02T03:04:05.678Z","v":2}"#;
    read_alike(&[before.as_bytes(), data, after.as_bytes()].concat());
}

fn read_alike(line: &[u8]) {
    let fast = Entry::from_canonical(line);
    let slow = Entry::from_any(line);
    if let Some(fast) = fast {
        let slow = slow.expect("what the fast reader takes is sound");
        // Asked for, so that the fields are compared too.
        assert_eq!(fast.payload(), slow.payload());
        assert!(fast == slow);
    }
}

/// An event with any payload verifies as it was written; with any bit of it changed it is another
/// content, which does not, or the same.
pub(crate) fn written(data: &[u8]) {
    let key = key();
    let kind = Kind::ALL[usize::from(data.first().copied().unwrap_or(0)) % Kind::ALL.len()];
    let text = String::from_utf8_lossy(data.get(1..).unwrap_or_default());
    let payload = match strict_json::from_slice(text.as_bytes()) {
        Ok(Value::Object(payload)) => payload,
        _ => Map::from_iter([("text".to_owned(), json!(text))]),
    };
    let mut draft = Draft::new(kind, payload.clone());
    draft.on_behalf_of = text.lines().next().map(str::to_owned);
    let Some(sealed) = Sealed::new(draft.clone()) else {
        let deep = !strict_json::nests_within(&Value::Object(payload), limits::JSON_DEPTH - 1);
        assert!(deep || data.len() > limits::LINE_BYTES / 8);
        return;
    };
    let prev = data.len().is_multiple_of(2).then(|| Sha256::of(data));
    let id = key.public().id();
    let chained = sealed.chain(7, prev, "2026-01-02T03:04:05.678Z", id);
    let mut line = Vec::new();
    chained.write_line(&key.sign(&chained.signed), &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    let entry = Entry::parse(&line).expect("what is written can be read");
    assert_eq!(entry.check_content(key.public()), []);
    assert_eq!((entry.seq, entry.prev), (7, prev));
    // Numbers come back as doubles, which is what the canonical form says of them.
    let same = |payload: &Map<String, Value>| canonical_json::canonical_object(payload);
    assert_eq!(entry.payload().map(same), Some(same(&draft.payload)));
    assert_eq!(entry.text("on_behalf_of"), draft.on_behalf_of.as_deref());
    let chosen = Sha256::of(data).0;
    let at = usize::from(u16::from_le_bytes([chosen[0], chosen[1]])) % line.len();
    line[at] ^= 1 << (chosen[2] % 8);
    if let Ok(changed) = Entry::parse(&line) {
        assert!(changed == entry || !changed.check_content(key.public()).is_empty());
    }
}

/// A head is read as it was written, and no bytes pass for one that a key signed which nobody has.
pub(crate) fn head(data: &[u8]) {
    if let Ok((head, signature)) = Head::parse(data) {
        let again = Head::parse(head.to_text(&signature).as_bytes());
        assert_eq!(again, Ok((head, signature)));
    }
    assert!(Head::read(data, &PublicKey::from_raw([7; 32])).is_err());
    let key = key();
    let (seq, hash) = (data.len() as u64, Sha256::of(data));
    let head = Head { seq, hash };
    let text = head.to_text(&key.sign(&head.signed_bytes()));
    assert_eq!(Head::read(text.as_bytes(), key.public()), Ok(head));
    let other = Head {
        seq,
        hash: Sha256([0; 32]),
    };
    let forged = other.to_text(&key.sign(&head.signed_bytes()));
    assert!(Head::read(forged.as_bytes(), key.public()).is_err());
}

/// Whatever stands in the write-ahead log, the log gets nothing from it that the key did not sign.
pub(crate) fn ahead(data: &[u8]) {
    // The first byte says how much of the journal the log has; the rest is the file beside it.
    let (kept, ahead) = data.split_first().unwrap_or((&0, &[]));
    let lines: Vec<&str> = JOURNAL.split_inclusive('\n').take(6).collect();
    let kept: String = lines.iter().take(usize::from(*kept % 7)).copied().collect();
    let directory = std::env::temp_dir().join(format!("agp-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let paths = Paths::of(&directory.join("audit.log"));
    std::fs::write(&paths.log, &kept).expect("a log");
    let wal = Wal::holding(&paths.wal, ahead).expect("a write-ahead log");
    let options = OpenOptions::new().read(true).write(true).open(&paths.log);
    let key = PublicKey::from_pem(JOURNAL_KEY).expect("a key");
    let replayed = replay(&options.expect("a log"), &paths, &wal, &key, 1);
    let after = std::fs::read_to_string(&paths.log).expect("text");
    if !matches!(replayed, Ok(Some(_))) {
        assert_eq!(after, kept);
        return;
    }
    let entries = |text: &str| {
        let lines = text.lines().map(|line| Entry::parse(line.as_bytes()));
        lines.collect::<Result<Vec<Entry>, _>>()
    };
    let all = entries(&lines.concat()).expect("events");
    let after = entries(&after).expect("events");
    assert!(all.starts_with(&after), "an event that nobody signed");
}

/// A key that is read is read again from what is written of it.
pub(crate) fn key_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = PublicKey::from_pem(&text) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        let named = PublicKey::from_spki_base64(&key.to_spki_base64());
        assert_eq!(named, Ok(key.clone()));
        assert!(!key.verifies(data, &[0; 64]));
    }
    if let Ok(key) = SigningKey::from_pem(&text) {
        let signature = key.sign(data);
        assert!(key.public().verifies(data, &signature));
        assert!(PublicKey::from_pem(&text).is_err());
    }
}

/// Redacting again changes nothing, loses no value, and what goes into the journal is bounded.
pub(crate) fn redaction(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let args = match strict_json::from_slice(text.as_bytes()) {
        Ok(Value::Object(args)) => args,
        _ => Map::from_iter([("command".to_owned(), json!(text))]),
    };
    let mut once = args.clone();
    redact::redact_tokens(&mut once);
    assert_eq!(once.len(), args.len());
    let mut twice = once.clone();
    redact::redact_tokens(&mut twice);
    assert_eq!(twice, once);
    let kept = redact::journaled_args(&args).to_string();
    assert!(kept.len() <= limits::JOURNALED_ARGS_BYTES.max(64));
}

/// A secret is found wherever it stands in a text.
pub(crate) fn secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (secret, around) = text.split_once('\n').unwrap_or((&text, ""));
    let screen = Screen::new(&[Secret::new("S", secret)]);
    if !screen.ignored().is_empty() {
        return;
    }
    for shown in [
        format!("{around}{secret}"),
        format!("{secret}{around}"),
        format!("{around}{}{around}", secret.trim()),
        data_encoding::BASE64.encode(format!("{around}{}", secret.trim()).as_bytes()),
        data_encoding::HEXLOWER.encode(format!("{}{around}", secret.trim()).as_bytes()),
    ] {
        let payload = Map::from_iter([("x".to_owned(), json!([{"y": shown}]))]);
        assert_eq!(screen.secret_in(&payload), Some("S"), "{shown:?}");
    }
}
