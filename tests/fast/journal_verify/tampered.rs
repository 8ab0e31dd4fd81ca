//! Everything that can be done to a journal is found.

use super::*;

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

/// Behind the head there is nothing else that says what it was: no later event names it, and the
/// signature is over the content alone.
#[test]
fn the_last_events_hash_is_of_its_content() {
    let sample = Sample::new("last-hash", 3);
    let events = support::events(&sample.paths().log);
    let hash = |seq: usize| events[seq - 1]["hash"].as_str().unwrap();
    let old = head_text(&sample.key.signing(), 2, hash(2));
    fs::write(sample.paths().head, old).unwrap();
    assert_eq!(sample.with_log(&sample.log), [""; 0]);
    let text = String::from_utf8(sample.log.clone()).unwrap();
    let other = text.replace(hash(3), hash(1));
    assert_eq!(sample.with_log(other.as_bytes()), ["3:event.hash"]);
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
