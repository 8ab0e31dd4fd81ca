//! The writer: concurrent appends, crashes at every moment, recovery, and what it refuses.

#![cfg(feature = "agp")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use agp::contracts::limits;
use agp::journal::verify::Report;
use agp::journal::{AppendError, Journal, OpenError, Paths};
use serde_json::{Value, json};
use support::{
    Forge, Key, Scratch, draft, events, have, head_text, numbered, open, open_after, record,
    rotation_to, verify,
};

/// A journal's directory with its key in a file, so that another process can open it.
struct Home {
    scratch: Scratch,
    key: Key,
}

impl Home {
    fn new(name: &str) -> Self {
        let (scratch, key) = (Scratch::new(name), Key::new());
        fs::write(scratch.dir().join("key"), key.pem()).unwrap();
        Self { scratch, key }
    }

    fn with_events(name: &str, count: usize) -> Self {
        let home = Self::new(name);
        let payloads = (1..=count).map(|number| json!({"number": number}));
        support::write(&home.paths(), &home.key, payloads);
        home
    }

    fn paths(&self) -> Paths {
        self.scratch.paths()
    }

    fn open(&self) -> Result<Journal, OpenError> {
        open(&self.paths(), &self.key).map(|(journal, _)| journal)
    }

    fn report(&self) -> Report {
        verify(&self.paths().log, &self.key.public())
    }

    fn assert_intact(&self, events: usize) {
        let report = self.report();
        assert!(report.intact, "{report:?}");
        assert_eq!(report.events, events as u64);
        assert_eq!(report.head_seq, report.last_seq);
    }

    /// Everything in the directory, by name.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fs::read_dir(self.scratch.dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
            .collect()
    }

    fn torn_files(&self) -> Vec<Vec<u8>> {
        let torn = |(path, bytes): (PathBuf, _)| path.to_str()?.contains(".torn-").then_some(bytes);
        self.files().into_iter().filter_map(torn).collect()
    }

    /// This program again, as the child of another test: see [`child`].
    fn child(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        command
            .env("AGP_TEST_ROLE", role)
            .env("AGP_TEST_HOME", self.scratch.dir());
        command
    }

    /// The same, started by another program.
    fn child_under(&self, wrapper: &str, arguments: &[&str], role: &str) -> Command {
        let plain = self.child(role);
        let mut command = Command::new(wrapper);
        command
            .args(arguments)
            .arg(plain.get_program())
            .args(plain.get_args());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap());
        }
        command
    }
}

/// What the re-executed test program does, by role. As a test of its own it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var("AGP_TEST_ROLE") else {
        return;
    };
    let home = PathBuf::from(std::env::var("AGP_TEST_HOME").unwrap());
    let key = Key::from_file(&home.join("key"));
    match role.as_str() {
        "append-50" => append_and_say(&Paths::of(&home.join("audit.log")), &key, 50, 40),
        "append-forever" => {
            append_and_say(&Paths::of(&home.join("audit.log")), &key, usize::MAX, 3000);
        }
        "fill-disk" => {
            let full = home.join("full");
            append_and_say(&Paths::of(&full.join("audit.log")), &key, usize::MAX, 3000);
            for entry in fs::read_dir(&full).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, home.join(path.file_name().unwrap())).unwrap();
            }
        }
        "append-by-threads" => {
            let (journal, _) = open(&Paths::of(&home.join("audit.log")), &key).unwrap();
            thread::scope(|scope| {
                for _ in 0..4 {
                    let handle = journal.handle();
                    scope.spawn(move || {
                        for number in 0..25 {
                            let receipt = handle.append_one(numbered(number)).unwrap();
                            let (seq, hash) = (receipt.seq(), receipt.hash());
                            // In one write: other threads say theirs meanwhile.
                            let said = format!("ack {seq} {hash}\n");
                            std::io::stderr().write_all(said.as_bytes()).unwrap();
                        }
                    });
                }
            });
            journal.close();
        }
        other => panic!("no role {other}"),
    }
}

/// Appends until it fails, telling each receipt on standard error; after a failure, tries ten
/// times more.
fn append_and_say(paths: &Paths, key: &Key, count: usize, size: usize) {
    let (journal, _) = open(paths, key).unwrap();
    let handle = journal.handle();
    let mut err = std::io::stderr();
    let mut failures = 0;
    for number in 0..count {
        let text = "x".repeat(size + number % 100);
        match handle.append_one(draft(json!({"pid": std::process::id(), "text": text}))) {
            Ok(receipt) => {
                assert_eq!(failures, 0, "an append succeeded after one had failed");
                writeln!(err, "ack {} {}", receipt.seq(), receipt.hash()).unwrap();
            }
            Err(error) => {
                assert!(matches!(error, AppendError::Poisoned(_)), "{error}");
                assert!(journal.fault().is_some());
                writeln!(err, "refused {error}").unwrap();
                failures += 1;
                if failures == 10 {
                    return;
                }
            }
        }
    }
}

/// The receipts in a child's output; a last line that a kill cut short is none.
fn receipts(output: &str) -> BTreeMap<u64, String> {
    output
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.strip_prefix("ack "))
        .map(|line| {
            let (seq, hash) = line.split_once(' ').unwrap();
            (seq.parse().unwrap(), hash.to_owned())
        })
        .collect()
}

/// Every receipt is an event of the log, with that hash.
fn assert_recorded(log: &Path, receipts: &BTreeMap<u64, String>) {
    let events = events(log);
    for (seq, hash) in receipts {
        let event = &events[usize::try_from(*seq).unwrap() - 1];
        assert_eq!(event["hash"], json!(hash), "event {seq}");
    }
}

#[test]
fn many_threads_append_and_each_event_is_there_once() {
    let home = Home::new("threads");
    let journal = home.open().unwrap();
    let said: BTreeMap<u64, (String, usize)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let handle = journal.handle();
                scope.spawn(move || {
                    let mut said = Vec::new();
                    for number in 0..50 {
                        let tag = worker * 1000 + number;
                        // Now and then several together: they stay together.
                        let count = if number % 10 == 9 { 3 } else { 1 };
                        let drafts = (0..count).map(|_| numbered(tag)).collect();
                        let receipts = handle.append(drafts).unwrap();
                        assert_eq!(receipts.len(), count);
                        let first = receipts[0].seq();
                        for (at, receipt) in receipts.iter().enumerate() {
                            assert_eq!(receipt.seq(), first + at as u64);
                            said.push((receipt.seq(), (receipt.hash().to_hex(), tag)));
                        }
                    }
                    said
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    journal.close();
    assert_eq!(said.len(), 8 * 60);
    home.assert_intact(said.len());
    for (event, (seq, (hash, tag))) in events(&home.paths().log).iter().zip(said) {
        assert_eq!(event["seq"], json!(seq));
        assert_eq!(event["hash"], json!(hash));
        assert_eq!(event["payload"]["number"], json!(tag));
    }
}

#[test]
fn many_processes_append_to_one_journal() {
    assert_processes_append("processes", "append-50", 4, 50);
}

/// A process whose threads never let up leaves others their turn.
#[test]
fn many_processes_append_by_many_threads() {
    assert_processes_append("processes-threads", "append-by-threads", 3, 100);
}

fn assert_processes_append(name: &str, role: &str, processes: usize, each: usize) {
    let home = Home::new(name);
    let children: Vec<Child> = (0..processes)
        .map(|_| {
            home.child(role)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut seen = BTreeSet::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let receipts = receipts(&text);
        assert_eq!(receipts.len(), each);
        assert_recorded(&home.paths().log, &receipts);
        seen.extend(receipts.into_keys());
    }
    let all = processes * each;
    assert_eq!(seen, (1..=all as u64).collect());
    home.assert_intact(all);
}

/// Kills a process that appends, again and again at other moments. What it was told is recorded
/// is there afterwards, and the journal opens and verifies.
#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let home = Home::new("kill");
    let mut recovered = 0;
    for round in 0..12_u64 {
        let mut child = home
            .child("append-forever")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        err.read_line(&mut first).unwrap();
        assert!(first.starts_with("ack "), "{first}");
        thread::sleep(Duration::from_micros(round * 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        let rest: Vec<u8> = {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut err, &mut bytes).unwrap();
            bytes
        };
        let acknowledged = receipts(&(first + &String::from_utf8(rest).unwrap()));

        let (journal, opened) = open(&home.paths(), &home.key).unwrap();
        journal.close();
        assert!(opened.seq >= *acknowledged.keys().next_back().unwrap());
        recovered += u64::from(opened.recovered.is_some());
        let report = home.report();
        assert!(report.intact, "{report:?}");
        assert_eq!(report.last_seq, report.head_seq);
        assert_recorded(&home.paths().log, &acknowledged);
    }
    let said = events(&home.paths().log)
        .iter()
        .filter(|event| event["kind"] == "journal.recovered")
        .count() as u64;
    assert_eq!(said, recovered);
}

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

/// Opening refuses, says what is wrong, and changes nothing on disk.
fn assert_refused(home: &Home, why: &str) {
    let before = home.files();
    let error = home.open().unwrap_err();
    assert!(error.to_string().contains(why), "{error} is not {why:?}");
    assert_eq!(home.files(), before, "{error}: something was changed");
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
    assert_refused(&home, "names event 5: events were cut off");
    put(&home, &[]);
    assert_refused(&home, "it is empty, but its head names event 5");
    fs::remove_file(home.paths().log).unwrap();
    assert_refused(&home, "it is gone, but its head is still there");
    let mut cut = all.concat().into_bytes();
    cut.pop();
    fs::write(home.paths().log, &cut).unwrap();
    assert_refused(&home, "events were cut off");

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
    assert_refused(&home, "names event 6: events were cut off");
    fs::write(home.paths().head, head_text(&own, 5, hash(4))).unwrap();
    assert_refused(&home, "event 5 is not the one its head names");
    fs::write(home.paths().head, head_text(&own, 3, hash(4))).unwrap();
    assert_refused(&home, "event 3 is not the one its head names");

    // An edit of the last event, and of one beyond the head.
    fs::write(home.paths().head, &head).unwrap();
    let mut edited = lines(&home);
    edited[4] = edited[4].replace("\"number\":5", "\"number\":6");
    put(&home, &edited);
    assert_refused(&home, "its last event is wrong: hash");
    let mut edited = all_of(&events);
    edited[3] = edited[3].replace("\"number\":4", "\"number\":6");
    put(&home, &edited);
    fs::write(home.paths().head, head_text(&own, 2, hash(2))).unwrap();
    assert_refused(&home, "hash is not the digest of the content");
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

fn all_of(events: &[serde_json::Map<String, Value>]) -> Vec<String> {
    let line = |event| serde_json::to_string(event).unwrap() + "\n";
    events.iter().map(line).collect()
}

#[test]
fn an_event_that_fits_no_line_is_refused_alone() {
    let home = Home::new("too-long");
    let journal = home.open().unwrap();
    let handle = journal.handle();
    let _ = handle.append_one(numbered(1)).unwrap();
    let long = |bytes: usize| draft(json!({"text": "x".repeat(bytes)}));
    let refused = Err(AppendError::TooLong);
    assert_eq!(handle.append_one(long(limits::LINE_BYTES)), refused);
    // All or none of those asked for together.
    let drafts = vec![numbered(2), long(limits::LINE_BYTES)];
    assert_eq!(handle.append(drafts), Err(AppendError::TooLong));
    let mut by = numbered(2);
    by.on_behalf_of = Some("\u{1}".repeat(limits::LINE_BYTES / 6));
    assert_eq!(handle.append_one(by), refused);
    // Nested deeper than readers go.
    let nested = |depth| (1..depth).fold(json!({}), |inner, _| json!([inner]));
    let deep = |depth| draft(json!({"args": nested(depth)}));
    assert_eq!(handle.append_one(deep(126)), refused);
    assert_eq!(journal.fault(), None);
    // What just fits is recorded, and can be read.
    let _ = handle.append_one(deep(125)).unwrap();
    let _ = handle.append_one(long(limits::LINE_BYTES - 4096)).unwrap();
    drop(handle);
    journal.close();
    home.assert_intact(3);
    home.open().unwrap().close();
}

/// Poisoned: an append fails, and so does every later one, also after the cause is gone.
fn assert_poisoned(journal: &Journal, why: &str) {
    let handle = journal.handle();
    for _ in 0..3 {
        match handle.append_one(numbered(0)) {
            Err(AppendError::Poisoned(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(journal.fault().unwrap().contains(why));
}

#[test]
fn a_journal_that_changes_under_its_writer_poisons_it() {
    // Cut.
    let home = Home::with_events("cut-live", 3);
    let journal = home.open().unwrap();
    let whole = fs::read(home.paths().log).unwrap();
    fs::write(home.paths().log, &whole[..whole.len() / 2]).unwrap();
    assert_poisoned(&journal, "was cut");
    fs::write(home.paths().log, &whole).unwrap();
    assert_poisoned(&journal, "was cut");
    assert_eq!(fs::read(home.paths().log).unwrap(), whole);

    // Replaced by another file, even an equal one; removed.
    let journal = home.open().unwrap();
    let moved = home.scratch.dir().join("moved");
    fs::rename(home.paths().log, &moved).unwrap();
    fs::copy(&moved, home.paths().log).unwrap();
    assert_poisoned(&journal, "was replaced");
    let journal = home.open().unwrap();
    fs::remove_file(home.paths().log).unwrap();
    assert_poisoned(&journal, "audit.log");

    // Something that is no event, or an event of another key's, appended by somebody else.
    let stranger = Key::new();
    let mut forged = Forge::new();
    forged.push(&stranger.signing(), "a", &json!({}));
    for line in ["{}", forged.lines[0].as_str()] {
        let home = Home::with_events("append-live", 3);
        let journal = home.open().unwrap();
        let before = fs::read(home.paths().log).unwrap();
        let after = [&before, line.as_bytes(), b"\n"].concat();
        fs::write(home.paths().log, &after).unwrap();
        assert_poisoned(&journal, "after event 3");
        assert_eq!(fs::read(home.paths().log).unwrap(), after);
    }
}

/// Every thread is told, also those whose events were waiting, and none is told otherwise later.
#[test]
fn threads_that_append_are_all_told_of_the_poison() {
    let home = Home::with_events("poison-threads", 3);
    let journal = home.open().unwrap();
    let said: BTreeSet<u64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|number| {
                let handle = journal.handle();
                scope.spawn(move || {
                    let mut said = Vec::new();
                    let error = loop {
                        match handle.append_one(numbered(number)) {
                            Ok(receipt) => said.push(receipt.seq()),
                            Err(error) => break error,
                        }
                    };
                    assert!(matches!(error, AppendError::Poisoned(_)), "{error}");
                    assert_eq!(handle.append_one(numbered(number)), Err(error));
                    said
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        fs::rename(home.paths().log, home.scratch.dir().join("moved")).unwrap();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert!(journal.fault().is_some());
    journal.close();
    fs::rename(home.scratch.dir().join("moved"), home.paths().log).unwrap();
    // What was said to be recorded is, and nothing that came after the failure.
    assert_eq!(said, (4..4 + said.len() as u64).collect());
    home.assert_intact(3 + said.len());
}

#[test]
fn a_journal_that_is_poisoned_at_its_door_is_whole_and_takes_nothing_more() {
    let home = Home::new("door");
    let journal = home.open().unwrap();
    let handle = journal.handle();
    for number in 0..5 {
        drop(handle.append_one(numbered(number)).unwrap());
    }
    let another = journal.handle();
    another.poison("a thread panicked");
    another.poison("and another");
    for handle in [&handle, &another, &journal.handle()] {
        let refused = handle.append_one(numbered(9)).unwrap_err();
        assert_eq!(refused, AppendError::Poisoned("a thread panicked".into()));
    }
    journal.close();
    assert_eq!(events(&home.paths().log).len(), 5);
    assert!(home.report().intact);
    home.open().unwrap().close();
}

#[test]
fn a_full_disk_poisons_the_journal() {
    if !have("unshare -m", Command::new("unshare").args(["-m", "true"])) {
        return;
    }
    let home = Home::new("full");
    let full = home.scratch.dir().join("full");
    fs::create_dir(&full).unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64k none '{}' && exec \"$0\" \"$@\"",
        full.display()
    );
    let output = home
        .child_under("unshare", &["-m", "sh", "-c", &mount], "fill-disk")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let acknowledged = receipts(&text);
    assert!(acknowledged.len() > 5, "{text}");
    assert_eq!(text.matches("refused ").count(), 10, "{text}");
    assert!(text.contains("No space left on device"), "{text}");

    // What the disk held opens elsewhere: the write that did not fit is a torn line.
    assert_recorded_up_to(&home, &acknowledged);
}

/// After a crash, everything acknowledged is there, and the journal is whole again.
fn assert_recorded_up_to(home: &Home, acknowledged: &BTreeMap<u64, String>) {
    let (journal, opened) = open(&home.paths(), &home.key).unwrap();
    journal.close();
    assert!(opened.seq >= acknowledged.len() as u64);
    assert_recorded(&home.paths().log, acknowledged);
    let report = home.report();
    assert!(report.intact, "{report:?}");
}

/// The third fdatasync fails, and would succeed if it were tried again: it is not.
#[test]
fn a_failed_sync_is_never_retried() {
    if !have("strace", Command::new("strace").args(["-f", "true"])) {
        return;
    }
    let home = Home::new("eio");
    let trace = home.scratch.dir().join("trace");
    for (when, synced) in [("3", 3), ("3+", 3)] {
        let _ = fs::remove_file(home.paths().log);
        let _ = fs::remove_file(home.paths().head);
        let inject = format!("inject=fdatasync:error=EIO:when={when}");
        let arguments = [
            "-f",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=fdatasync",
            "-e",
            &inject,
        ];
        let output = home
            .child_under("strace", &arguments, "append-forever")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        assert_eq!(receipts(&text).len(), synced - 1, "{text}");
        assert_eq!(text.matches("refused ").count(), 10, "{text}");
        assert!(text.contains("fdatasync failed: "), "{text}");
        let calls = fs::read_to_string(&trace).unwrap();
        let count = calls.lines().filter(|l| l.contains("fdatasync(")).count();
        assert_eq!(count, synced, "{calls}");
        assert_recorded_up_to(&home, &receipts(&text));
    }
}

#[test]
fn a_rotated_journal_is_the_new_keys_alone() {
    let home = Home::with_events("rotate", 3);
    let (old, next) = (home.key.public(), Key::new());
    let journal = home.open().unwrap();
    let handle = journal.handle();
    let _ = handle.append_one(rotation_to(&next.public())).unwrap();
    // The old key has signed its last event, in this process and in any other.
    assert!(matches!(
        handle.append_one(numbered(0)),
        Err(AppendError::Poisoned(_))
    ));
    drop(handle);
    journal.close();
    home.assert_intact(4);
    assert_refused(&home, "hands the journal over to another key");

    let (journal, opened) = open_after(&home.paths(), &next, std::slice::from_ref(&old)).unwrap();
    assert_eq!((opened.seq, opened.recovered), (4, None));
    record(&journal, numbered(5));
    journal.close();
    home.assert_intact(5);
    assert_eq!(home.report().keys, [old.id(), next.public().id()]);
    // From here on the old key is not needed to open.
    open(&home.paths(), &next).unwrap().0.close();
    assert_refused(&home, "signature does not verify");
}

/// The head is not synced: after a power cut it may name an event before the rotation.
#[test]
fn a_head_that_lags_behind_a_rotation_rolls_forward() {
    let home = Home::with_events("rotate-lag", 3);
    let (old, next, other) = (home.key.public(), Key::new(), Key::new());
    let head = fs::read(home.paths().head).unwrap();
    let journal = home.open().unwrap();
    record(&journal, rotation_to(&next.public()));
    journal.close();
    fs::write(home.paths().head, &head).unwrap();
    let (log, retired) = (
        fs::read(home.paths().log).unwrap(),
        std::slice::from_ref(&old),
    );

    let refused = open_after(&home.paths(), &other, retired).unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    assert_refused(&home, "hands the journal over to another key");
    assert_eq!(fs::read(home.paths().log).unwrap(), log);

    let (journal, opened) = open_after(&home.paths(), &next, retired).unwrap();
    let expected = json!({"headSeq": 3, "rolledForwardTo": 4});
    assert_eq!(opened.recovered.map(Value::Object), Some(expected));
    record(&journal, numbered(6));
    journal.close();
    home.assert_intact(6);

    // The same with events of the new key beyond the rotation.
    fs::write(home.paths().head, &head).unwrap();
    let (journal, opened) = open_after(&home.paths(), &next, retired).unwrap();
    journal.close();
    let expected = json!({"headSeq": 3, "rolledForwardTo": 6});
    assert_eq!(opened.recovered.map(Value::Object), Some(expected));
    home.assert_intact(7);
}

#[test]
fn another_processes_rotation_stops_a_writer() {
    let home = Home::with_events("rotate-live", 3);
    let (here, there) = (home.open().unwrap(), home.open().unwrap());
    record(&there, rotation_to(&Key::new().public()));
    there.close();
    let before = fs::read(home.paths().log).unwrap();
    assert_poisoned(&here, "rotated the signing key");
    assert_eq!(fs::read(home.paths().log).unwrap(), before);
}

#[test]
fn openssl_reads_both_key_files_and_verifies_an_event() {
    let openssl = || Command::new("openssl");
    if !have("openssl", openssl().arg("version")) {
        return;
    }
    let home = Home::with_events("openssl", 2);
    let at = |name: &str| home.scratch.dir().join(name);
    fs::write(at("pub"), home.key.public().to_pem()).unwrap();
    let derived = openssl()
        .args(["pkey", "-pubout", "-in"])
        .arg(at("key"))
        .output()
        .unwrap();
    assert!(derived.status.success(), "{derived:?}");
    assert_eq!(
        String::from_utf8(derived.stdout).unwrap(),
        home.key.public().to_pem()
    );

    let mut event = events(&home.paths().log).pop().unwrap();
    let text = |value: Option<Value>| value.unwrap().as_str().unwrap().to_owned();
    event.remove("hash");
    let signature = text(event.remove("signature"));
    let mut signed = text(event.get("prevHash").cloned()).into_bytes();
    signed.extend(agp::journal::canonical(&Value::Object(event)));
    let raw = data_encoding::BASE64.decode(signature.as_bytes()).unwrap();
    fs::write(at("signature"), raw).unwrap();
    let verify = |name: &str, message: &[u8]| {
        fs::write(at(name), message).unwrap();
        openssl()
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(at("pub"))
            .arg("-sigfile")
            .arg(at("signature"))
            .arg("-in")
            .arg(at(name))
            .output()
            .unwrap()
    };
    let good = verify("signed", &signed);
    assert!(good.status.success(), "{good:?}");
    signed[70] ^= 1;
    assert!(!verify("edited", &signed).status.success());
}

#[test]
fn the_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with_events("mode", 2);
    for path in [home.paths().log, home.paths().head] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let (line, head) = (
        fs::read_to_string(home.paths().log).unwrap(),
        fs::read_to_string(home.paths().head).unwrap(),
    );
    // Lines are canonical, the head fills its 256 bytes.
    for line in line.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(agp::journal::canonical(&event), line.as_bytes());
    }
    assert_eq!(head.len(), 256);
    assert!(head.trim_end().ends_with("\"}"));
}
