//! The write-ahead log: a machine that goes down at any moment loses nothing that was acknowledged,
//! and nothing gets into the journal from there that the key did not sign.
//!
//! A power cut is made of real files: what was synced stays, of the rest any part may be gone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
use crate::support::journal as support;

use std::collections::BTreeMap;
use std::fs;

use agp::journal::{Journal, OpenError, OpenedJournal, Paths};
use serde_json::json;
use support::{Key, Scratch, draft, events, head_text, numbered, open, record, verify};

/// Bytes of the write-ahead log before its lines.
const HEADER: usize = 512;

/// The three files at one moment.
#[derive(Clone)]
struct Disk {
    log: Vec<u8>,
    head: Vec<u8>,
    wal: Vec<u8>,
}

impl Disk {
    fn of(paths: &Paths) -> Self {
        Self {
            log: fs::read(&paths.log).unwrap(),
            head: fs::read(&paths.head).unwrap(),
            wal: fs::read(&paths.wal).unwrap(),
        }
    }

    /// Up to where the log was synced, as the write-ahead log says.
    fn base(&self) -> usize {
        let header = std::str::from_utf8(&self.wal[..HEADER]).unwrap();
        header.split_whitespace().last().unwrap().parse().unwrap()
    }

    /// What a machine that went down finds: these files, nothing else.
    fn opened(&self, key: &Key) -> (Scratch, Result<(Journal, OpenedJournal), OpenError>) {
        let scratch = Scratch::new("power");
        let paths = scratch.paths();
        fs::write(&paths.log, &self.log).unwrap();
        fs::write(&paths.head, &self.head).unwrap();
        fs::write(&paths.wal, &self.wal).unwrap();
        let opened = open(&paths, key);
        (scratch, opened)
    }

    /// All of these events are in the journal after opening, and it is intact.
    fn assert_holds(&self, key: &Key, hashes: &[String], why: &str) -> OpenedJournal {
        let (scratch, opened) = self.opened(key);
        let (journal, opened) = opened.unwrap_or_else(|error| panic!("{why}: {error}"));
        journal.close();
        let there = hashes_in(&scratch.paths());
        assert!(there.starts_with(hashes), "{why}: {} events", there.len());
        let report = verify(&scratch.paths().log, &key.public());
        assert!(report.intact, "{why}: {report:?}");
        opened
    }

    /// Offset in the log of each line.
    fn lines(&self) -> Vec<usize> {
        let ends = self.log.iter().enumerate().filter(|(_, b)| **b == b'\n');
        [0].into_iter().chain(ends.map(|(at, _)| at + 1)).collect()
    }
}

fn hashes_in(paths: &Paths) -> Vec<String> {
    let hash = |event: &serde_json::Map<String, serde_json::Value>| event["hash"].to_string();
    events(&paths.log).iter().map(hash).collect()
}

/// A journal that is being written, its key, and the files as they were after so many events.
struct Live {
    scratch: Scratch,
    key: Key,
    journal: Journal,
}

impl Live {
    fn with_events(count: usize) -> Self {
        let (scratch, key) = (Scratch::new("power-live"), Key::new());
        let (journal, _) = open(&scratch.paths(), &key).unwrap();
        let live = Self {
            scratch,
            key,
            journal,
        };
        live.append(count);
        live
    }

    fn append(&self, count: usize) {
        for number in 0..count {
            record(&self.journal, numbered(number));
        }
    }

    fn disk(&self) -> Disk {
        Disk::of(&self.scratch.paths())
    }

    fn hashes(&self) -> Vec<String> {
        hashes_in(&self.scratch.paths())
    }
}

#[test]
fn whatever_part_of_the_log_a_power_cut_takes_nothing_acknowledged_is_lost() {
    let live = Live::with_events(9);
    let (disk, hashes) = (live.disk(), live.hashes());
    let (base, lines) = (disk.base(), disk.lines());
    assert!(base < disk.log.len(), "the log's end is not synced");
    assert_eq!(lines.iter().filter(|at| **at > base).count(), 7);
    let first = events(&live.scratch.paths().log)[0].clone();
    let old_head = head_text(&live.key.signing(), 1, first["hash"].as_str().unwrap());

    // The end of the log is gone from any byte on; the head is the newest, or an old one.
    for cut in (base..=disk.log.len()).step_by(149).chain(lines.clone()) {
        let mut found = disk.clone();
        found.log.truncate(cut.max(base));
        let why = format!("cut at {cut} of {}", disk.log.len());
        let opened = found.assert_holds(&live.key, &hashes, &why);
        let lost = cut.max(base) < disk.log.len();
        let told = opened.recovered.unwrap_or_default();
        assert_eq!(told.contains_key("replayedTo"), lost, "{why}: {told:?}");
        found.head = old_head.clone().into_bytes();
        found.assert_holds(&live.key, &hashes, &format!("{why}, old head"));
    }
    // A hole in its place, of the size of a line or of all.
    for window in lines.windows(2).filter(|window| window[0] >= base) {
        for end in [window[1], disk.log.len()] {
            let mut found = disk.clone();
            found.log[window[0]..end].fill(0);
            let why = format!("zeros from {} to {end}", window[0]);
            found.assert_holds(&live.key, &hashes, &why);
        }
    }
    live.journal.close();
}

#[test]
fn a_write_ahead_log_that_is_full_begins_anew_and_covers_the_rest() {
    let live = Live::with_events(2);
    let mut bases = BTreeMap::new();
    for number in 0..130 {
        let text = "x".repeat(20_000);
        record(
            &live.journal,
            draft(json!({"number": number, "text": text})),
        );
        let disk = live.disk();
        let anew = bases
            .last_key_value()
            .is_none_or(|(base, _)| *base < disk.base());
        if number % 31 == 0 || anew {
            let mut cut = disk.clone();
            cut.log.truncate(disk.base());
            cut.assert_holds(&live.key, &live.hashes(), &format!("event {number}"));
        }
        bases.insert(disk.base(), number);
    }
    assert!(bases.len() > 2, "it was never full: {bases:?}");
    live.journal.close();
}

/// An event that has no room there is synced in the log.
#[test]
fn an_event_larger_than_its_room_is_durable_in_the_log() {
    let live = Live::with_events(3);
    for kilobytes in [700, 700, 1] {
        let text = "x".repeat(kilobytes << 10);
        record(&live.journal, draft(json!({"text": text})));
        let mut disk = live.disk();
        disk.log.truncate(disk.base());
        disk.assert_holds(&live.key, &live.hashes(), "after a large event");
    }
    live.journal.close();
}

#[test]
fn a_journal_that_was_closed_needs_no_other_file() {
    let live = Live::with_events(5);
    live.journal.close();
    let disk = Disk::of(&live.scratch.paths());
    assert_eq!(disk.base(), disk.log.len());
    // So a cut of it is found, and not mended.
    let mut cut = disk.clone();
    cut.log.truncate(disk.lines()[3]);
    let (scratch, opened) = cut.opened(&live.key);
    let error = opened.map(drop).unwrap_err().to_string();
    assert!(error.contains("events were removed"), "{error}");
    assert_eq!(fs::read(scratch.paths().log).unwrap(), cut.log);
}

/// Every byte of it changed, with the log whole and with the log cut: no event appears that was not
/// there, and what opens verifies.
#[test]
fn nothing_that_the_key_did_not_sign_comes_out_of_it() {
    let live = Live::with_events(4);
    let (disk, hashes) = (live.disk(), live.hashes());
    let used = HEADER + disk.log.len() - disk.base();
    for at in (0..60).step_by(4).chain((HEADER..used + 20).step_by(11)) {
        for keep in [disk.base(), disk.log.len()] {
            let mut found = disk.clone();
            found.wal[at] ^= 1;
            found.log.truncate(keep);
            let (scratch, opened) = found.opened(&live.key);
            match opened {
                Ok((journal, _)) => {
                    journal.close();
                    let paths = scratch.paths();
                    assert!(verify(&paths.log, &live.key.public()).intact, "byte {at}");
                    let there = hashes_in(&paths);
                    let known = there.iter().zip(&hashes).all(|(a, b)| a == b);
                    assert!(known, "byte {at}");
                }
                // What only the spoiled file had is gone, and the head tells.
                Err(_) if keep < disk.log.len() => {
                    assert_eq!(fs::read(scratch.paths().log).unwrap(), found.log);
                }
                Err(error) => panic!("byte {at}, log whole: {error}"),
            }
        }
    }
    live.journal.close();
}

/// The same key wrote two histories: no crash leaves that.
#[test]
fn another_history_in_it_refuses_the_start() {
    let live = Live::with_events(3);
    let before = live.disk();
    live.append(1);
    let one = live.disk();
    live.journal.close();
    let (scratch, opened) = before.opened(&live.key);
    let (journal, _) = opened.unwrap();
    record(&journal, draft(json!({"another": true})));
    let mut other = Disk::of(&scratch.paths());
    journal.close();

    other.wal = one.wal;
    let (scratch, opened) = other.opened(&live.key);
    let error = opened.map(drop).unwrap_err().to_string();
    assert!(
        error.contains("its event 4 differs from the log"),
        "{error}"
    );
    assert_eq!(fs::read(scratch.paths().log).unwrap(), other.log);
}

/// Of another journal, under the same key even: nothing of it continues this one.
#[test]
fn one_of_another_journal_changes_nothing() {
    let (live, other) = (Live::with_events(6), Live::with_events(9));
    let scratch = Scratch::new("power-same-key");
    support::write(
        &scratch.paths(),
        &live.key,
        (0..9).map(|n| json!({"other": n})),
    );
    let mut disk = live.disk();
    for wal in [
        Disk::of(&scratch.paths()).wal,
        other.disk().wal,
        vec![0; disk.wal.len()],
        Vec::new(),
    ] {
        disk.wal = wal;
        disk.assert_holds(&live.key, &live.hashes(), "another's");
    }
    live.journal.close();
    other.journal.close();
}

/// Whoever takes it away takes nothing that was acknowledged: the log is synced then, and another
/// one is made.
#[test]
fn one_that_is_taken_away_is_made_anew() {
    let live = Live::with_events(5);
    let paths = live.scratch.paths();
    fs::remove_file(&paths.wal).unwrap();
    live.append(2);
    let disk = live.disk();
    assert!(disk.base() >= disk.lines()[6], "the log was not synced");
    let mut cut = disk.clone();
    cut.log.truncate(disk.base());
    cut.assert_holds(&live.key, &live.hashes(), "made anew");
    live.journal.close();
}

/// A link in its place is somebody's trap: it is not written through.
#[test]
fn a_link_in_its_place_is_not_followed() {
    let live = Live::with_events(3);
    let paths = live.scratch.paths();
    let target = live.scratch.dir().join("target");
    fs::write(&target, "somebody's").unwrap();
    fs::remove_file(&paths.wal).unwrap();
    std::os::unix::fs::symlink(&target, &paths.wal).unwrap();
    live.append(3);
    assert_eq!(fs::read(&target).unwrap(), b"somebody's");
    live.journal.close();
    let error = open(&paths, &live.key).map(drop).unwrap_err().to_string();
    assert!(error.contains("audit.log.wal"), "{error}");
}

/// The key's last event goes into the log at once: nothing could continue it from elsewhere.
#[test]
fn a_rotation_is_durable_in_the_log() {
    let live = Live::with_events(4);
    let next = Key::new();
    record(&live.journal, support::rotation_to(&next.public()));
    let mut disk = live.disk();
    disk.log.truncate(disk.base());
    let (scratch, paths) = (Scratch::new("power-rotated"), live.scratch.paths());
    let moved = scratch.paths();
    fs::write(&moved.log, &disk.log).unwrap();
    fs::write(&moved.head, &disk.head).unwrap();
    fs::write(&moved.wal, &disk.wal).unwrap();
    let (journal, opened) = support::open_after(&moved, &next, &[live.key.public()]).unwrap();
    assert_eq!(opened.seq, 5);
    record(&journal, numbered(1));
    journal.close();
    assert!(hashes_in(&moved).starts_with(&hashes_in(&paths)));
    assert!(verify(&moved.log, &live.key.public()).intact);
    live.journal.close();
}

/// Two writers, one of which dies between the log and the write-ahead log: the other sees the gap.
#[test]
fn a_gap_that_a_dead_writer_left_is_closed_by_the_next_one() {
    let live = Live::with_events(3);
    let paths = live.scratch.paths();
    let (second, _) = open(&paths, &live.key).unwrap();
    for round in 0..4 {
        let before = live.disk();
        record(&second, numbered(round));
        // As if it had died before the second write.
        fs::write(&paths.wal, &before.wal).unwrap();
        live.append(2);
        let mut disk = live.disk();
        disk.log.truncate(disk.base());
        disk.assert_holds(&live.key, &live.hashes(), &format!("round {round}"));
    }
    second.close();
    live.journal.close();
}

/// Writers that take turns cover for each other.
#[test]
fn several_writers_share_it() {
    let live = Live::with_events(3);
    let (second, _) = open(&live.scratch.paths(), &live.key).unwrap();
    for round in 0..30 {
        live.append(1);
        record(&second, numbered(round));
        if round % 5 == 0 {
            let mut disk = live.disk();
            disk.log.truncate(disk.base());
            disk.assert_holds(&live.key, &live.hashes(), &format!("round {round}"));
        }
    }
    second.close();
    live.append(2);
    let mut disk = live.disk();
    disk.log.truncate(disk.base());
    disk.assert_holds(&live.key, &live.hashes(), "after one has closed");
    live.journal.close();
}
