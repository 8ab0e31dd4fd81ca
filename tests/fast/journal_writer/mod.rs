//! The writer: concurrent appends, crashes at every moment, recovery, and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[allow(dead_code, reason = "each test file uses a part")]
use crate::support::journal as support;

mod appends;
mod keys;
mod poison;
mod recovery;

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
        command.args([
            "--exact",
            "journal_writer::child",
            "--nocapture",
            "--test-threads=1",
        ]);
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

/// Opening refuses, says what is wrong, and changes nothing on disk.
fn assert_refused(home: &Home, why: &str) {
    let before = home.files();
    let error = home.open().unwrap_err();
    assert!(error.to_string().contains(why), "{error} is not {why:?}");
    assert_eq!(home.files(), before, "{error}: something was changed");
}

fn all_of(events: &[serde_json::Map<String, Value>]) -> Vec<String> {
    let line = |event| serde_json::to_string(event).unwrap() + "\n";
    events.iter().map(line).collect()
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
