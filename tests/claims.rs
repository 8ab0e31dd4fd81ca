//! Every test that SECURITY.md names exists: a promise whose test was renamed away is a promise
//! that nobody keeps.
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `file::function` of every test below `tests/`.
fn tests() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root("tests")).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        for (_, after) in text
            .match_indices("#[test]\nfn ")
            .map(|(at, mark)| text.split_at(at + mark.len()))
        {
            let name = after.split('(').next().unwrap_or_default();
            found.insert((file.clone(), name.to_owned()));
        }
    }
    found
}

#[test]
fn every_test_that_security_names_exists() {
    let tests = tests();
    let files: BTreeSet<&str> = tests.iter().map(|(file, _)| file.as_str()).collect();
    let text = fs::read_to_string(root("SECURITY.md")).unwrap();
    let mut named = 0;
    let mut file = "";
    // What stands between backquotes is every second part.
    for quoted in text.split('`').skip(1).step_by(2) {
        let Some((before, name)) = quoted.rsplit_once("::") else {
            continue;
        };
        if before != "…" {
            file = before;
        }
        if files.contains(file) {
            named += 1;
            let key = (file.to_owned(), name.to_owned());
            assert!(tests.contains(&key), "SECURITY.md names {file}::{name}");
        } else {
            let module = root("src").join(quoted.replace("::", "/"));
            let there = module.is_dir() || module.with_extension("rs").is_file();
            assert!(there, "SECURITY.md names {quoted}");
        }
    }
    assert!(named >= 20, "only {named} tests are named");
}
