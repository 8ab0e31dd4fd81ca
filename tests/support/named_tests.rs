//! The names of all tests below `tests/`, read from their sources: those written out, and those that a
//! column of the gate matrix plays.
#![allow(
    clippy::unwrap_used,
    reason = "test support: whatever fails here fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `(file, function)` of each, the file with its directory: `slack`, `gate_matrix::claude_hook`.
pub(crate) fn all(root: &Path) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    below(&root.join("tests"), "", &mut found);
    found
}

fn below(directory: &Path, prefix: &str, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.join("main.rs").is_file() {
            below(&path, &format!("{stem}::"), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let file = match stem {
                "main" => prefix.trim_end_matches(':').to_owned(),
                stem => format!("{prefix}{stem}"),
            };
            let names = written(&text).chain(played(&text));
            found.extend(names.map(|name| (file.clone(), name.to_owned())));
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
