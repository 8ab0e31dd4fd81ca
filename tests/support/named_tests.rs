//! The names of all tests below `tests/`, read from their sources: those written out, and those that a
//! column of the gate matrix plays.
#![allow(
    clippy::unwrap_used,
    reason = "test support: whatever fails here fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// `(module, function)` of each, as `cargo test module::function` has them: `slack`,
/// `gate_matrix::claude_hook`. In which target a module is does not show: each name is in one only.
pub(crate) fn all(root: &Path) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for target in entries(&root.join("tests")) {
        if target.join("main.rs").is_file() {
            for path in entries(&target) {
                module(&path, "", &mut found);
            }
        } else if target.is_file() {
            module(&target, "", &mut found);
        }
    }
    found
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path())
}

fn module(path: &Path, prefix: &str, found: &mut BTreeSet<(String, String)>) {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let name = match stem {
        "mod" | "main" => prefix.trim_end_matches(':').to_owned(),
        stem => format!("{prefix}{stem}"),
    };
    if path.join("mod.rs").is_file() {
        for path in entries(path) {
            module(&path, &format!("{stem}::"), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        for test in written(&text).chain(played(&text)) {
            let once = found.insert((name.clone(), test.to_owned()));
            assert!(once, "{name}::{test} is there twice");
        }
    }
}

fn written(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("#[test]\nfn ").skip(1);
    after.map(|after| after.split('(').next().unwrap_or_default())
}

/// Those of `play!(Column: module { case, case } ...)`.
fn played(text: &str) -> impl Iterator<Item = &str> {
    let calls = text.split("\nplay!(").skip(1);
    let modules = calls.flat_map(|call| {
        let call = call.split(");").next().unwrap_or_default();
        call.split('{').skip(1)
    });
    modules.flat_map(|module| {
        let cases = module.split('}').next().unwrap_or_default();
        cases
            .split(',')
            .map(str::trim)
            .filter(|case| !case.is_empty())
    })
}
