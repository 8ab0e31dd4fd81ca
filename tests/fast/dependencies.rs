//! `docs/dependencies.md` says why each crate of `Cargo.toml` is there, and what comes with it.
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Names in the manifest's tables of dependencies.
fn named() -> BTreeSet<String> {
    let manifest: toml::Table = fs::read_to_string(root("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(toml::Table::keys)
        .cloned()
        .collect()
}

/// The page's rows: the crate, why, and how many it brings.
fn explained() -> BTreeMap<String, (String, String)> {
    let page = fs::read_to_string(root("docs/dependencies.md")).unwrap();
    let (page, _) = page.split_once("## How they are kept").unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`').to_owned();
        Some((name, (cells.next()?.to_owned(), cells.next()?.to_owned())))
    });
    rows.collect()
}

/// How many crates stand below one.
fn brings(name: &str) -> usize {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--package", name])
        .current_dir(root(""))
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    let words = text.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next(), words.next())
    });
    words.collect::<BTreeSet<_>>().len().saturating_sub(1)
}

#[test]
fn every_direct_dependency_is_explained_and_no_other() {
    let explained = explained();
    let names: BTreeSet<String> = explained.keys().cloned().collect();
    assert_eq!(names, named());
    for (name, (why, _)) in explained {
        assert!(why.len() > 10, "{name}: {why}");
    }
}

#[test]
fn what_each_brings_is_what_cargo_says() {
    for (name, (_, said)) in explained() {
        if let Ok(said) = said.parse::<usize>() {
            assert_eq!(brings(&name), said, "{name}");
        }
    }
}
