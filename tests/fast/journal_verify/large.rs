//! Journals of many chunks: rotations across them, damage placed by line, flat memory.

use super::*;

fn bulky(number: usize) -> Value {
    json!({"number": number, "text": "x".repeat(4000 + number * 37 % 900)})
}

/// Rotations in the first, a middle and the last chunk of a journal of many chunks, so that
/// chunks which were under way with the old key are checked again.
#[test]
fn a_rotation_reaches_the_chunks_behind_it() {
    let keys: Vec<Key> = (0..4).map(|_| Key::new()).collect();
    let scratch = Scratch::new("rotation-chunks");
    let paths = scratch.paths();
    let mut forge = Forge::new();
    let mut signer = 0;
    for number in 0..700 {
        if matches!(number, 3 | 350 | 690) {
            let next = keys[signer + 1].public().to_spki_base64();
            let key = keys[signer].signing();
            forge.push(&key, "key.rotated", &json!({"newPublicKey": next}));
            signer += 1;
        }
        forge.push(&keys[signer].signing(), "a", &bulky(number));
    }
    forge.write(&paths, &keys[signer].signing());
    let size = fs::metadata(&paths.log).unwrap().len();
    assert!(size > 10 * limits::VERIFY_CHUNK_BYTES as u64, "{size}");
    let report = verify(&paths.log, &keys[0].public());
    assert!(report.intact, "{:?}", short(&report));
    assert_eq!(report.keys.len(), 4);
}

#[test]
fn damage_in_several_chunks_is_placed_by_line() {
    let (scratch, key) = (Scratch::new("chunks"), Key::new());
    let paths = scratch.paths();
    let signing = key.signing();
    let mut forge = Forge::new();
    (0..600).for_each(|number| forge.push(&signing, "a", &bulky(number)));
    let mut expected = Vec::new();
    for line in [1, 56, 57, 58, 300, 599, 600] {
        let edited = forge.lines[line - 1].replace("xxx", "xyx");
        forge.lines[line - 1] = edited;
        expected.push(format!("{line}:event.hash"));
        expected.push(format!("{line}:event.signature"));
    }
    forge.lines[199].insert(0, '?');
    expected.insert(8, "200:line.not_json".into());
    forge.write(&paths, &signing);
    assert!(fs::metadata(&paths.log).unwrap().len() > 2 << 20);
    assert_eq!(short(&verify(&paths.log, &key.public())), expected);
}

/// Wherever the chunks are cut: what is missing there is missed by nobody within one.
#[test]
fn a_line_that_is_missing_between_two_chunks_is_found() {
    let (scratch, key) = (Scratch::new("between"), Key::new());
    let paths = scratch.paths();
    let signing = key.signing();
    let quarter = json!({"text": "x".repeat(limits::VERIFY_CHUNK_BYTES / 4)});
    let mut forge = Forge::new();
    (0..10).for_each(|_| forge.push(&signing, "a", &quarter));
    forge.write(&paths, &signing);
    assert!(verify(&paths.log, &key.public()).intact);
    for line in 1..10 {
        let missing = forge.lines.remove(line - 1);
        fs::write(&paths.log, forge.lines.join("\n") + "\n").unwrap();
        let found = short(&verify(&paths.log, &key.public()));
        let expected = [
            format!("{line}:chain.seq"),
            format!("{line}:chain.prev_hash"),
        ];
        assert_eq!(found, expected);
        forge.lines.insert(line - 1, missing);
    }
}

#[test]
fn a_line_longer_than_1_mib_is_named_and_passed_over() {
    let sample = Sample::new("long", 3);
    let lines = sample.lines();
    let (a, b, c) = (lines[0], lines[1], lines[2]);
    let long = "x".repeat(limits::LINE_BYTES + 1) + "\n";
    let far = "x".repeat(3 * limits::LINE_BYTES) + "\n";
    for long in [long.as_bytes(), far.as_bytes()] {
        let found = sample.with_log(&[a, long, b, long, long, c].concat());
        assert_eq!(
            found,
            ["2:line.too_long", "4:line.too_long", "5:line.too_long"]
        );
        assert_eq!(
            sample.with_log(&[a, b, c, &long[..long.len() - 1]].concat()),
            ["4:line.too_long"]
        );
        // Short lines between two that are dropped.
        let found = sample.with_log(&[long, a, b, c, long].concat());
        assert_eq!(found, ["1:line.too_long", "5:line.too_long"]);
    }
    // A line of 1 MiB exactly is read: here it is the first event, padded.
    let mut padded = a.strip_suffix(b"\n").unwrap().to_vec();
    padded.resize(limits::LINE_BYTES, b' ');
    padded.push(b'\n');
    assert_eq!(sample.with_log(&[&padded, b, c].concat()), [""; 0]);
    padded.insert(0, b' ');
    assert_eq!(
        sample.with_log(&[&padded, b, c].concat()),
        ["1:line.too_long"]
    );
}

/// Memory does not grow with the journal: the peak of `agp-verify` on 4 MB and on 32 MB.
#[test]
fn memory_stays_flat() {
    let (scratch, key) = (Scratch::new("memory"), Key::new());
    let signing = key.signing();
    let public = scratch.dir().join("key.pub");
    fs::write(&public, key.public().to_pem()).unwrap();
    let peak = |count: usize| {
        let paths = Paths::of(&scratch.dir().join(format!("log-{count}")));
        let mut out = BufWriter::new(fs::File::create(&paths.log).unwrap());
        let mut forge = Forge::new();
        for number in 0..count {
            forge.push(&signing, "a", &bulky(number));
            writeln!(out, "{}", forge.lines.pop().unwrap()).unwrap();
        }
        out.flush().unwrap();
        let head = head_text(&signing, forge.seq, forge.hash.as_ref().unwrap());
        fs::write(&paths.head, head).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_agp-verify"))
            .arg(&paths.log)
            .arg("--key")
            .arg(&public)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut kib = 0_u64;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) {
                kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            }
            thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        kib
    };
    let (small, large) = (peak(800), peak(6_500));
    assert!(small > 0 && large > 0, "peaks {small} and {large} KiB");
    assert!(large < small + 4096, "peaks {small} and {large} KiB");
    assert!(large < 24 << 10, "peak {large} KiB");
}

/// Bulky batches, so that a write is visible in part while it is under way.
#[test]
fn a_journal_that_is_being_written_is_intact_at_every_moment() {
    let (scratch, key) = (Scratch::new("live"), Key::new());
    let paths = scratch.paths();
    support::write(&paths, &key, [json!({})]);
    let done = AtomicBool::new(false);
    let verified = thread::scope(|scope| {
        scope.spawn(|| {
            let (journal, _) = support::open(&paths, &key).unwrap();
            let handle = journal.handle();
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                let drafts = (0..8).map(|n| support::draft(bulky(n + number)));
                handle.append(drafts.collect()).unwrap();
                number += 8;
            }
        });
        let until = Instant::now() + Duration::from_secs(3);
        let mut verified = 0;
        while Instant::now() < until {
            let report = verify_with(&paths.log, &key.public(), 1).unwrap();
            if !report.intact {
                done.store(true, Ordering::Relaxed);
                panic!("{report:?}");
            }
            verified += 1;
        }
        done.store(true, Ordering::Relaxed);
        verified
    });
    assert!(verified > 3, "only {verified} verifications");
}
