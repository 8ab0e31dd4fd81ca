//! What a crash leaves is mended and said; everything else is refused.

use super::*;

#[test]
fn a_torn_tail_is_moved_aside_and_reported() {
    for torn in [1, 2, 100, 400, 3000] {
        let home = Home::with_events("torn", 5);
        let mut log = fs::read(home.paths().log).unwrap();
        let whole = log.clone();
        let mut next = log.split(|b| *b == b'\n').next().unwrap().repeat(10);
        next.truncate(torn);
        log.extend(&next);
        fs::write(home.paths().log, &log).unwrap();
        assert_eq!(support::short(&home.report()), ["6:line.torn"]);

        let (journal, opened) = open(&home.paths(), &home.key).unwrap();
        journal.close();
        let payload = opened.recovered.unwrap();
        assert_eq!(opened.seq, 5);
        assert_eq!(payload["tornBytes"], json!(torn));
        assert!(!payload.contains_key("rolledForwardTo"));
        assert_eq!(
            fs::read(payload["tornFile"].as_str().unwrap()).unwrap(),
            next
        );
        home.assert_intact(6);
        let last = events(&home.paths().log).pop().unwrap();
        assert_eq!(last["kind"], "journal.recovered");
        assert_eq!(last["payload"], Value::Object(payload));
        assert!(fs::read(home.paths().log).unwrap().starts_with(&whole));
    }
}

#[test]
fn a_first_line_that_is_torn_leaves_an_empty_journal() {
    let home = Home::new("torn-first");
    fs::write(home.paths().log, b"{\"v\":2,\"se").unwrap();
    let (journal, opened) = open(&home.paths(), &home.key).unwrap();
    journal.close();
    assert_eq!(opened.seq, 0);
    assert_eq!(home.torn_files(), [b"{\"v\":2,\"se"]);
    home.assert_intact(1);
}

#[test]
fn a_head_that_lags_rolls_forward_and_is_reported() {
    for covered in [1, 5, 19] {
        let home = Home::with_events("lag", 20);
        let events = events(&home.paths().log);
        let hash = events[covered - 1]["hash"].as_str().unwrap();
        let old = head_text(&home.key.signing(), covered as u64, hash);
        fs::write(home.paths().head, old).unwrap();
        let (journal, opened) = open(&home.paths(), &home.key).unwrap();
        journal.close();
        assert_eq!(opened.seq, 20);
        let expected = json!({"headSeq": covered, "rolledForwardTo": 20});
        assert_eq!(opened.recovered.map(Value::Object), Some(expected));
        home.assert_intact(21);
        // Once mended, there is nothing more to say.
        let (journal, opened) = open(&home.paths(), &home.key).unwrap();
        journal.close();
        assert_eq!((opened.seq, opened.recovered), (21, None));
    }
}

#[test]
fn both_at_once_are_reported_in_one_event() {
    let home = Home::with_events("both", 3);
    let events = events(&home.paths().log);
    let old = head_text(&home.key.signing(), 2, events[1]["hash"].as_str().unwrap());
    fs::write(home.paths().head, old).unwrap();
    let mut log = fs::read(home.paths().log).unwrap();
    log.extend(b"{\"to");
    fs::write(home.paths().log, log).unwrap();
    let (journal, opened) = open(&home.paths(), &home.key).unwrap();
    journal.close();
    let payload = opened.recovered.unwrap();
    assert_eq!(payload["tornBytes"], json!(4));
    assert_eq!(payload["headSeq"], json!(2));
    assert_eq!(payload["rolledForwardTo"], json!(3));
    home.assert_intact(4);
}

/// The first event is always written alone, so one event without a head is a crash; more is not.
#[test]
fn one_event_without_a_head_is_a_crash() {
    let home = Home::with_events("first", 1);
    fs::remove_file(home.paths().head).unwrap();
    let (journal, opened) = open(&home.paths(), &home.key).unwrap();
    journal.close();
    let expected = json!({"headSeq": 0, "rolledForwardTo": 1});
    assert_eq!(opened.recovered.map(Value::Object), Some(expected));
    home.assert_intact(2);
}

/// Also when many are asked for at once.
#[test]
fn the_first_event_is_covered_by_a_head_before_the_second_is_written() {
    let home = Home::new("first-alone");
    let journal = home.open().unwrap();
    let receipts = journal
        .handle()
        .append((0..20).map(numbered).collect())
        .unwrap();
    assert_eq!(receipts.len(), 20);
    journal.close();
    home.assert_intact(20);
    let stamps: BTreeSet<_> = events(&home.paths().log)
        .iter()
        .skip(1)
        .map(|event| event["ts"].to_string())
        .collect();
    assert_eq!(stamps.len(), 1, "the rest is one batch");
}

#[test]
fn a_writer_goes_on_behind_anothers_torn_line_and_reports_it() {
    let home = Home::with_events("torn-live", 3);
    let journal = home.open().unwrap();
    let mut log = fs::OpenOptions::new()
        .append(true)
        .open(home.paths().log)
        .unwrap();
    log.write_all(b"{\"left by a killed process").unwrap();
    let receipt = journal.handle().append_one(numbered(4)).unwrap();
    journal.close();
    assert_eq!(receipt.seq(), 5);
    home.assert_intact(5);
    let events = events(&home.paths().log);
    assert_eq!(events[3]["kind"], "journal.recovered");
    assert_eq!(events[3]["payload"]["tornBytes"], json!(26));
    assert_eq!(events[4]["payload"]["number"], json!(4));
    assert_eq!(home.torn_files(), [b"{\"left by a killed process"]);
}

#[test]
fn everything_else_is_refused_and_nothing_is_changed() {
    let lines = |home: &Home| -> Vec<String> {
        let text = fs::read_to_string(home.paths().log).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    };
    let put = |home: &Home, lines: &[String]| fs::write(home.paths().log, lines.concat()).unwrap();

    let home = Home::with_events("refuse-cut", 5);
    let all = lines(&home);
    put(&home, &all[..4]);
    assert_refused(&home, "names event 5: events were removed");
    put(&home, &[]);
    assert_refused(&home, "the journal is empty, but its head names event 5");
    fs::remove_file(home.paths().log).unwrap();
    assert_refused(&home, "the journal is missing, but its head exists");
    let mut cut = all.concat().into_bytes();
    cut.pop();
    fs::write(home.paths().log, &cut).unwrap();
    assert_refused(&home, "events were removed");

    let home = Home::with_events("refuse-head", 5);
    let head = fs::read(home.paths().head).unwrap();
    fs::remove_file(home.paths().head).unwrap();
    assert_refused(&home, "the head is missing");
    fs::write(home.paths().head, b"{}").unwrap();
    assert_refused(&home, "missing field");
    let other = Key::new();
    let events = events(&home.paths().log);
    let hash = |seq: usize| events[seq - 1]["hash"].as_str().unwrap();
    fs::write(home.paths().head, head_text(&other.signing(), 5, hash(5))).unwrap();
    assert_refused(&home, "the head's signature does not verify");
    let own = home.key.signing();
    fs::write(home.paths().head, head_text(&own, 6, hash(5))).unwrap();
    assert_refused(&home, "names event 6: events were removed");
    fs::write(home.paths().head, head_text(&own, 5, hash(4))).unwrap();
    assert_refused(&home, "event 5 does not match the head");
    fs::write(home.paths().head, head_text(&own, 3, hash(4))).unwrap();
    assert_refused(&home, "event 3 does not match the head");

    // An edit of the last event, and of one beyond the head.
    fs::write(home.paths().head, &head).unwrap();
    let mut edited = lines(&home);
    edited[4] = edited[4].replace("\"number\":5", "\"number\":6");
    put(&home, &edited);
    assert_refused(&home, "the last event is invalid: hash");
    let mut edited = all_of(&events);
    edited[3] = edited[3].replace("\"number\":4", "\"number\":6");
    put(&home, &edited);
    fs::write(home.paths().head, head_text(&own, 2, hash(2))).unwrap();
    assert_refused(&home, "hash does not match the content");
    edited.remove(3);
    put(&home, &edited);
    assert_refused(&home, "event 5 does not follow event 3");
    // A torn line does not excuse the rest.
    put(&home, &[edited.concat(), "{\"to".into()]);
    assert_refused(&home, "event 5 does not follow event 3");
    put(&home, &[all_of(&events).concat(), "\n".into()]);
    assert_refused(&home, "blank line");

    // Another key than the journal's.
    let home = Home {
        scratch: home.scratch,
        key: other,
    };
    put(&home, &all_of(&events));
    fs::write(home.paths().head, &head).unwrap();
    assert_refused(&home, "signature does not verify");

    // A link where a file should be.
    for name in ["audit.log", "audit.log.head"] {
        let home = Home::with_events("refuse-link", 2);
        let (file, moved) = (
            home.scratch.dir().join(name),
            home.scratch.dir().join("moved"),
        );
        fs::rename(&file, &moved).unwrap();
        symlink(&moved, &file).unwrap();
        assert_refused(&home, name);
    }
    let home = Home::new("refuse-dangling");
    symlink(home.scratch.dir().join("victim"), home.paths().log).unwrap();
    assert_refused(&home, "audit.log");
    assert!(!home.scratch.dir().join("victim").exists());
}
