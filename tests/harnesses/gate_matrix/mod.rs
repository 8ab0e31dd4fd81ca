//! The matrix of `docs/gate-proof.md`: the real harnesses in their modes. A hostile repository, a hook
//! or a server that is spoiled mid-session, a governor that stands still, calls of every bad kind. In
//! each case nothing runs undecided, or it is found, journaled as `gate.bypassed` and ends the session.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, governed, model, named_git, named_tests, responses, session};

/// Plays cases of these modules in a column.
macro_rules! play {
    ($column:ty: $($module:ident { $($case:ident),+ $(,)? })+) => {$($(
        #[test]
        fn $case() {
            crate::gate_matrix::$module::$case::<$column>();
        }
    )+)+};
}

mod claude_agents;
mod claude_honest;
mod claude_hook;
mod claude_inside;
mod claude_mediated;
mod codex_honest;
mod codex_mediated;
mod column;
mod governor;
mod hook;
mod mediated;
mod named;
mod older;
mod on_claude;
mod on_codex;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_proof_names_the_pinned_versions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/gate-proof.md")).unwrap();
    let pins = fs::read_to_string(root.join("tests/harness-versions")).unwrap();
    let head = text.split("\n## ").next().unwrap();
    let versions = pins.lines().filter_map(|line| line.split_once('='));
    for (_, version) in versions {
        assert!(head.contains(version), "docs/gate-proof.md: {version}");
    }
}

#[test]
fn the_proof_names_tests_that_exist_and_all_of_these() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/gate-proof.md")).unwrap();
    let tests = named_tests::all(root);
    let mut named = BTreeSet::new();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    for row in rows.filter(|row| !row.starts_with("| case ") && !row.starts_with("| --- ")) {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next();
        let quoted: Vec<&str> = last.unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!quoted.is_empty(), "no test in {row}");
        for name in quoted {
            let (file, function) = name.rsplit_once("::").unwrap();
            let there = tests.contains(&(file.to_owned(), function.to_owned()));
            assert!(there, "docs/gate-proof.md names {name}");
            named.insert(name.to_owned());
        }
    }
    let columns = [
        ("claude_hook", 20),
        ("claude_mediated", 20),
        ("codex_mediated", 20),
        ("codex_honest", 1),
    ];
    for (column, least) in columns {
        let column = format!("gate_matrix::{column}");
        let own = tests.iter().filter(|(file, _)| *file == column);
        assert!(own.clone().count() >= least, "{column}");
        for (file, function) in own {
            let known = named.contains(&format!("{file}::{function}"));
            assert!(known, "docs/gate-proof.md does not name {file}::{function}");
        }
    }
}
