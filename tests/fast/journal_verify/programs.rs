//! `agp-verify` and `agp verify`, by what they print and their exit codes.

use super::*;

#[test]
fn agp_verify_says_so_in_text_in_json_and_by_its_exit_code() {
    for (name, events, problems) in EXPECTED {
        let (log, _, key) = fixture(name);
        let (log, key) = (log.to_str().unwrap(), key.to_str().unwrap());

        let text = agp_verify(&[log, "--key", key]);
        let shown = String::from_utf8(text.stdout).unwrap();
        assert_eq!(text.status.code(), Some(i32::from(!problems.is_empty())));
        let first = shown.lines().next().unwrap();
        if problems.is_empty() {
            let hash = "cc7f79af4415d7b616e5bc67e49790bf47a9d98ef3e24f8bcaac22f8d7eb82db";
            assert_eq!(
                shown,
                format!("OK: 11 events, key 4c7cef085671f9c6\nlast 11 {hash}\n")
            );
        } else {
            let plural = if problems.len() == 1 { "" } else { "s" };
            let count = problems.len();
            assert_eq!(
                first,
                format!("FAIL: {count} problem{plural} in {events} events")
            );
            assert_eq!(shown.lines().count(), count + 1, "{name}");
        }

        let output = agp_verify(&["--json", log, "--key", key]);
        assert_eq!(output.status.code(), text.status.code(), "{name}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["intact"], json!(problems.is_empty()), "{name}");
        assert_eq!(report["events"], json!(events), "{name}");
        assert_eq!(report["problemCount"], json!(problems.len()), "{name}");
        let mut names: Vec<_> = report.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(
            names,
            [
                "beyondHead",
                "events",
                "headSeq",
                "intact",
                "keys",
                "lastHash",
                "lastSeq",
                "problemCount",
                "problems"
            ]
        );
        for problem in report["problems"].as_array().unwrap() {
            let mut names: Vec<_> = problem.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["code", "detail", "line", "seq"], "{name}");
        }
    }
}

#[test]
fn agp_verify_exits_2_when_it_could_not_check() {
    let scratch = Scratch::new("exit2");
    let (log, _, key) = fixture("valid");
    let (log, key) = (log.to_str().unwrap(), key.to_str().unwrap());
    let garbage = scratch.dir().join("garbage.pub");
    fs::write(
        &garbage,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let garbage = garbage.to_str().unwrap();
    let here = scratch.dir().to_str().unwrap();
    for arguments in [
        &["/nonexistent/audit.log", "--key", key][..],
        &[log, "--key", "/nonexistent/key.pub"],
        &[log, "--key", garbage],
        &[log, "--key", "/dev/null"],
        &[here, "--key", key],
        &[log],
        &["--key", key],
        &[log, log, "--key", key],
        &[log, "--key", key, "--lenient"],
        &[],
    ] {
        let output = agp_verify(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(agp_verify(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_detail_that_quotes_a_journal_cannot_steer_a_terminal() {
    let sample = Sample::new("printable", 2);
    let text = String::from_utf8(sample.log.clone()).unwrap();
    let evil = text.replacen('{', "{\"\\u001b[2J\\u009b\":1,", 1);
    sample.with_log(evil.as_bytes());
    let key = sample.scratch.dir().join("key.pub");
    fs::write(&key, sample.key.public().to_pem()).unwrap();
    let log = sample.paths().log;
    let output = agp_verify(&[log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("event.field_unknown"), "{shown}");
    assert!(
        shown
            .bytes()
            .all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic())
    );
}
