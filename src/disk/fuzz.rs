//! What must hold of what a repository says about itself to git.
#![allow(
    clippy::expect_used,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use super::git_config;

/// A file of configuration: comments and blank lines change nothing, what is refused stays so with more behind it in
/// the same section, and every name is one that git knows.
pub(crate) fn git_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = git_config::entries(&text);
    if let Some(entries) = &read {
        for entry in entries {
            let name = |text: &str| {
                text.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
            };
            // `[.x]` has no section, as git reads it.
            assert!(name(&entry.section));
            assert!(entry.key.starts_with(|c: char| c.is_ascii_lowercase()) && name(&entry.key));
            let _ = git_config::names_program(entry);
        }
        let with = format!("{text}\n# a comment\n\n[agp]\nlast = 1\n");
        // A continued last line takes the next one in.
        if !text.trim_end_matches('\r').ends_with('\\') {
            let more = git_config::entries(&with).expect("a whole file stays whole");
            assert_eq!(more.get(..entries.len()), Some(entries.as_slice()));
            assert_eq!(more.len(), entries.len() + 1);
        }
    }
    let commented: String = text.lines().map(|line| format!("#{line}\n")).collect();
    assert_eq!(git_config::entries(&commented), Some(Vec::new()));
}
