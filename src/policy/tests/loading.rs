//! A policy is read whole or not at all.

use std::path::Path;

use crate::contracts::limits;
use crate::policy::{PROBLEM_CHARS, Policy, PolicyError};

#[test]
fn the_digest_is_of_the_exact_bytes() {
    let policy = Policy::parse(b"{\"rules\":[]}\n").unwrap();
    // printf '{"rules":[]}\n' | sha256sum
    assert_eq!(
        policy.digest().to_hex(),
        "5a5b52a3c1c7d9103184fb694520ce53371457515c948e10af19635d03c86f9e"
    );
    assert!(policy.is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let path = Path::new("/nonexistent/policy.json");
    let error = Policy::load(path).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read /nonexistent/policy.json: "),
        "{error}"
    );
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let bytes = vec![b' '; usize::try_from(limits::POLICY_BYTES).unwrap() + 1];
    assert!(matches!(Policy::parse(&bytes), Err(PolicyError::TooLarge)));
}

#[test]
fn a_problem_stays_on_one_short_line() {
    let text = format!("{{\"{}\\n\\u001b[2J\":1}}", "x".repeat(5000));
    let message = Policy::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(message.chars().count() < PROBLEM_CHARS + 40);
    let message = Policy::parse(br#"{"\n\u001b[2J":1}"#)
        .unwrap_err()
        .to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
}

#[test]
fn a_pattern_that_means_a_tool_is_no_misspelt_one() {
    let load = |tool: &str| {
        let text = format!(r#"{{"rules":[{{"id":"a","effect":"allow","tool":"{tool}"}}]}}"#);
        Policy::parse(text.as_bytes())
    };
    for tool in ["*Edit", "Edit*", "Edi*", "Edit"] {
        assert!(load(tool).is_ok(), "{tool}");
    }
    for tool in ["Edits", "edit"] {
        assert!(load(tool).is_err(), "{tool}");
    }
}
