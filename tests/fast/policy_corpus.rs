//! The corpus in `tests/policy`, run by the code of `agp policy test`.
#![allow(
    clippy::unwrap_used,
    reason = "a file of cases that cannot be read fails the test"
)]

use std::fs;
use std::path::Path;

use agp::cli::policy::cases;

/// Cases that the issue asks for.
const LEAST: usize = 800;

#[test]
fn every_case_of_the_corpus_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    files.sort();
    let (mut count, mut failing) = (0, Vec::new());
    for file in files {
        let report = cases::run(&file).unwrap_or_else(|problem| panic!("{problem}"));
        count += report.cases;
        failing.extend(report.failing.iter().map(ToString::to_string));
    }
    assert!(count >= LEAST, "{count}");
    assert!(
        failing.is_empty(),
        "{} of {count} cases fail:\n{}",
        failing.len(),
        failing.join("\n")
    );
}
