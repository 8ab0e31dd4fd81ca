//! Many at once, from threads and processes; what is acknowledged stays, whoever is killed.

use super::*;

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
