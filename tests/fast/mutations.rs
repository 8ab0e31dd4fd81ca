//! Holds the table of mutations to the tree, so that it cannot rot unseen: each row's line stands once in
//! its file, and its test exists. `tests/mutations/run` plays the rows.
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use crate::support::named_tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Fewer would be a table that somebody emptied.
const AT_LEAST: usize = 200;

#[test]
fn each_row_is_about_a_line_and_a_test_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("tests/mutations/table.toml")).unwrap();
    let table: toml::Table = table.parse().unwrap();
    let rows = table["row"].as_array().unwrap();
    assert!(rows.len() >= AT_LEAST);
    let tests = named_tests::all(root);
    let mut told = BTreeSet::new();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap();
        let (file, why) = (text("file"), text("why"));
        let source = fs::read_to_string(root.join(file)).unwrap();
        let times = source.matches(text("from")).count();
        assert_eq!(times, 1, "{file}: {why}: the line is there so often");
        assert_ne!(text("from"), text("to"), "{file}: {why}");
        assert!(told.insert(why), "twice: {why}");
        let (target, test) = text("test").split_once(' ').unwrap();
        let there = match target {
            "lib" => is_unit_test(root, test),
            "doc" => is_example(root, test),
            target => {
                let path = format!("{target}::{test}");
                let (module, name) = path.rsplit_once("::").unwrap();
                tests.contains(&(module.to_owned(), name.to_owned()))
            }
        };
        assert!(there, "{file}: {why}: there is no test {target} {test}");
    }
}

/// Whether one of the files that a module can lie in has the test.
fn is_unit_test(root: &Path, test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap();
    let module = module.trim_end_matches("::tests").replace("::", "/");
    let places = [".rs", "/mod.rs", "/tests.rs"].map(|end| format!("src/{module}{end}"));
    places.iter().any(|place| {
        let source = fs::read_to_string(root.join(place)).unwrap_or_default();
        source.contains(&format!("fn {name}()"))
    })
}

/// An example by its file, as rustdoc names it.
fn is_example(root: &Path, test: &str) -> bool {
    let file = test.split(" - ").next().unwrap();
    let source = fs::read_to_string(root.join(file)).unwrap_or_default();
    source.contains("/// ```compile_fail")
}
