//! Messages are in plain English: private words and crooked plurals do not come back.
#![allow(
    clippy::unwrap_used,
    reason = "a source file that cannot be read fails the test"
)]

use std::fs;
use std::path::Path;

/// Phrases of messages that have a plain one in their place.
const NOT_SAID: [&str; 11] = [
    "to mend it",
    "nobody could be asked",
    "nobody looking",
    "the probe proves nothing",
    "its end was looked at",
    "cannot be had",
    "was tried first",
    "is had",
    "is no command to name",
    "connection(s)",
    "minted",
];

fn check(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let spoken = line.contains('"') && !line.trim_start().starts_with("//");
                for phrase in NOT_SAID {
                    if spoken && line.contains(phrase) {
                        found.push(format!("{}:{}: {phrase}", path.display(), number + 1));
                    }
                }
            }
        }
    }
}

#[test]
fn messages_have_plain_words_and_right_plurals() {
    let mut found = Vec::new();
    check(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}
