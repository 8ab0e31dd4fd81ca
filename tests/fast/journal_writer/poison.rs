//! A journal that cannot be written any more takes nothing, and says so to everyone.

use super::*;

#[test]
fn a_journal_that_changes_under_its_writer_poisons_it() {
    // Cut.
    let home = Home::with_events("cut-live", 3);
    let journal = home.open().unwrap();
    let whole = fs::read(home.paths().log).unwrap();
    fs::write(home.paths().log, &whole[..whole.len() / 2]).unwrap();
    assert_poisoned(&journal, "was truncated");
    fs::write(home.paths().log, &whole).unwrap();
    assert_poisoned(&journal, "was truncated");
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
    let root = rustix::process::geteuid().is_root();
    let namespaces = if root { "-m" } else { "-rm" };
    let mut probe = Command::new("unshare");
    if !have("unshare -m", probe.args([namespaces, "true"])) {
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
        .child_under("unshare", &[namespaces, "sh", "-c", &mount], "fill-disk")
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
