//! Holds the picture in `docs/architecture.md`, and the table in `src/session/run.rs`, to the threads and
//! processes that the sources name.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agp::confine::Profile;

/// What fits on two screens.
const TWO_SCREENS: usize = 112;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Each source below `directory`, without its unit tests.
fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            found.push((path, code.to_owned()));
        }
    }
}

/// The names of threads below `src`: those of the profiles, and those given where a thread is started.
fn threads(counts: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let profiles = Profile::ALL.map(|profile| profile.terms().thread.to_owned());
    let mut names = BTreeSet::from(profiles);
    let mut all = Vec::new();
    sources(&root("src"), &mut all);
    for (path, text) in &all {
        let within = path.strip_prefix(root("src")).unwrap();
        if counts(within.to_str().unwrap()) {
            let given = text.split(".name(\"").skip(1);
            let given = given.filter_map(|rest| rest.split_once("\".into())"));
            names.extend(given.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// The commands of `agp-bridge`.
fn processes() -> BTreeSet<String> {
    let text = fs::read_to_string(root("src/cli/internal.rs")).unwrap();
    let arms = text.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
        rest.starts_with("Some(").then(|| name.to_owned())
    });
    arms.collect()
}

/// The names before the first wide gap of a line.
fn listed(line: &str) -> impl Iterator<Item = &str> {
    let names = line.split("  ").next().unwrap();
    names
        .split([',', ' ', '(', ')'])
        .filter(|name| !name.is_empty())
}

fn picture(page: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (_, rest) = page.split_once("```text\n").unwrap();
    let (picture, _) = rest.split_once("```").unwrap();
    let (mut threads, mut processes) = (BTreeSet::new(), BTreeSet::new());
    for line in picture.lines().map(str::trim_start) {
        if let Some(names) = line.strip_prefix("- ") {
            threads.extend(listed(names).map(str::to_owned));
        } else if let Some(names) = line.strip_prefix("agp-bridge ") {
            processes.extend(listed(names).map(str::to_owned));
        }
    }
    (threads, processes)
}

#[test]
fn the_picture_has_every_thread_and_every_process() {
    let page = fs::read_to_string(root("docs/architecture.md")).unwrap();
    let (shown, started) = picture(&page);
    let named = threads(|_| true);
    assert!(named.len() > 25, "{named:?}");
    assert_eq!(shown, named);
    let named = processes();
    assert!(named.len() > 12, "{named:?}");
    // A relay beside a command starts itself again under this name.
    assert!(page.contains("as relaying"));
    let started: BTreeSet<String> = started.into_iter().chain(["relaying".into()]).collect();
    assert_eq!(started, named);
}

#[test]
fn the_table_of_the_session_has_every_thread_of_agp() {
    let text = fs::read_to_string(root("src/session/run.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let first = rows.filter_map(|row| row.split(" | ").next()).skip(2);
    let tabled: BTreeSet<String> = first
        .flat_map(|names| names.split(" (").next().unwrap().split(", "))
        .map(str::to_owned)
        .collect();
    let outside = |path: &str| !path.starts_with("jail") && !path.starts_with("hook");
    assert_eq!(tabled, threads(outside));
}

#[test]
fn the_page_fits_on_two_screens_and_has_every_module() {
    let page = fs::read_to_string(root("docs/architecture.md")).unwrap();
    assert!(page.lines().count() <= TWO_SCREENS);
    for entry in fs::read_dir(root("src")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && name != "bin" {
            assert!(page.contains(&format!("\n| `{name}` | ")), "{name}");
        }
    }
}
