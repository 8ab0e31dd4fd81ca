//! Messages and documents are in plain English: private words and crooked plurals do not come back.
#![allow(
    clippy::unwrap_used,
    reason = "a source file that cannot be read fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases that have a plain one in their place, in lower case.
const NOT_SAID: [&str; 34] = [
    "the gate was tried first",
    "left no trace",
    "to mend it",
    "cannot meet the daemon",
    "its end was looked at",
    "proves all",
    "attempts were made",
    "as they must be",
    "nobody's answer is",
    "this is a part only",
    "those who have opened it",
    "what runs has it",
    "this was not said when it happened",
    "the journal has all",
    "is whoever its certificates",
    "would have the other",
    "which nothing that runs for an agent may have",
    "could not stand inside",
    "there seems to be no login",
    "may try without end",
    "nobody looking",
    "nobody could be asked",
    "refused by uid",
    "the probe proves nothing",
    "have its directory be yours",
    "is no command to name",
    "the policy let the last command run",
    "looked into from inside before",
    "a network with nothing in it",
    "is told of and where it is on record",
    "cannot be had",
    "is had",
    "connection(s)",
    "minted",
];

/// Nouns that are counted.
const COUNTED: [&str; 38] = [
    "anomalies",
    "approvals",
    "approvers",
    "arguments",
    "attempts",
    "bytes",
    "calls",
    "characters",
    "checks",
    "clicks",
    "commands",
    "connections",
    "directories",
    "edits",
    "entries",
    "errors",
    "events",
    "files",
    "hits",
    "hosts",
    "keys",
    "levels",
    "lines",
    "messages",
    "microseconds",
    "names",
    "operations",
    "paths",
    "problems",
    "processes",
    "rules",
    "seconds",
    "secrets",
    "sessions",
    "sockets",
    "threads",
    "values",
    "warnings",
];

/// Every text file of these, with the lines of it that people read.
fn lines() -> Vec<(PathBuf, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("SECURITY.md")];
    for directory in ["src", "docs"] {
        below(&root.join(directory), &mut files);
    }
    let mut lines = Vec::new();
    for path in files {
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        // What is measured or drawn is no text.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if !is_source || !line.trim_start().starts_with("// ") {
                lines.push((path.clone(), number + 1, line.to_owned()));
            }
        }
    }
    assert!(lines.len() > 10_000, "{} lines", lines.len());
    lines
}

fn below(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => below(&path, files),
            false => files.push(path),
        }
    }
}

#[test]
fn messages_and_documents_have_plain_words() {
    let mut found = Vec::new();
    for (path, number, line) in lines() {
        let line = line.to_lowercase();
        for phrase in NOT_SAID.iter().filter(|phrase| line.contains(**phrase)) {
            found.push(format!("{}:{number}: {phrase}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether a number stands before a noun that is right for several things only.
fn crooked(line: &str) -> bool {
    line.split("} ").skip(1).any(|after| {
        // A noun before a colon is a label.
        let mut words = after
            .split_whitespace()
            .map(|word| word.trim_end_matches(|c: char| !c.is_ascii_lowercase() && c != ':'));
        let first = words.next().unwrap_or_default();
        let noun = match first {
            "more" | "other" | "total" | "pending" => words.next().unwrap_or_default(),
            _ => first,
        };
        COUNTED.contains(&noun)
    })
}

#[test]
fn every_message_with_a_number_is_right_for_one() {
    for (line, is_crooked) in [
        (r#"format!("there are {} approvers", all.len())"#, true),
        (r#"format!("more than {sockets} sockets")"#, true),
        (r#"format!("[{missing} more bytes not shown]")"#, true),
        (
            r#"format!("more than {}", count(limits::SOCKETS, "socket"))"#,
            false,
        ),
        (r#"format!("{path} files a claim")"#, true),
        (r#"format!("{path} is not a file")"#, false),
        (r#"format!("{name} files: {list}")"#, false),
    ] {
        assert_eq!(crooked(line), is_crooked, "{line}");
    }
    let mut found = Vec::new();
    for (path, number, line) in lines() {
        // The engine's bounds are far above one; a tool's answer is what its model knows, word for word.
        let exempt = ["src/policy/", "src/tools/", "docs/"];
        let exempt = exempt
            .iter()
            .any(|part| path.to_string_lossy().contains(part));
        if !exempt && crooked(&line) && !line.contains("assert") {
            found.push(format!("{}:{number}: {}", path.display(), line.trim()));
        }
    }
    assert!(
        found.is_empty(),
        "use contracts::plural::count\n{}",
        found.join("\n")
    );
}
