//! What must hold of what a model asks of the tools, and of what a repository says about itself.
//! No tool is run here: the paths in an input may be any.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::path::Path;

use serde_json::{Map, Value, json};

use super::ignore::Ignored;
use super::{edit, glob, grep, read, write};

/// Arguments are taken only if they are of the tool's shape, and a field of another name is refused.
pub(crate) fn arguments(data: &[u8]) {
    let Ok(Value::Object(args)) = serde_json::from_slice(data) else {
        return;
    };
    let taken = |args: &Map<String, Value>| {
        let args = || args.clone();
        [
            super::arguments::<read::ReadArguments>(args()).is_ok(),
            super::arguments::<write::WriteArguments>(args()).is_ok(),
            super::arguments::<edit::EditArguments>(args()).is_ok(),
            super::arguments::<edit::AskedMany>(args()).is_ok(),
            super::arguments::<glob::GlobArguments>(args()).is_ok(),
            super::arguments::<grep::GrepArguments>(args()).is_ok(),
        ]
    };
    let text = |name: &str| args.get(name).is_some_and(Value::is_string);
    let [reads, writes, edits, edits_many, globs, greps] = taken(&args);
    assert!(!(reads || writes || edits || edits_many) || text("file_path"));
    assert!(!(globs || greps) || text("pattern"));
    let mut more = args.clone();
    more.insert("of another name".into(), Value::Null);
    assert_eq!(taken(&more), [false; 6]);
    // An expression that is too large is refused; none is slow to refuse.
    if let Ok(search) = super::arguments::<grep::GrepArguments>(args) {
        let _ = grep::expression(&search);
    }
}

/// An edit changes what it was asked to, once or everywhere, and nothing else.
pub(crate) fn edit(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let (old, new) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let content = parts.next().unwrap_or("");
    for all in [false, true] {
        let change = json!({"old_string": old, "new_string": new, "replace_all": all});
        let change: edit::Change = serde_json::from_value(change).expect("a change");
        let matches = if old.is_empty() {
            0
        } else {
            content.matches(old).count()
        };
        match edit::changed(content, &change) {
            Err(_) => assert!(old == new || matches == 0 || (matches > 1 && !all)),
            Ok(changed) if old.is_empty() => assert!(content.is_empty() && changed == new),
            Ok(changed) => {
                assert!(matches == 1 || all);
                let ended = format!("{old}\n");
                let line = new.is_empty() && content.contains(&ended);
                let parts: Vec<&str> = content.split(if line { &ended } else { old }).collect();
                assert_eq!(changed, parts.join(new));
            }
        }
    }
}

/// Comments leave nothing out, what is taken back is not left out, and no line is slow.
pub(crate) fn gitignore(data: &[u8]) {
    let base = Path::new("/repo");
    let paths = [
        "a",
        "a/b.txt",
        "target",
        "src/lib.rs",
        "node_modules/x/y",
        "[a]",
        "\\",
    ];
    let covered = |text: &[u8]| {
        let ignored = Ignored::default().and(base, text);
        let covers = |path: &&str| {
            let path = base.join(path);
            [ignored.covers(&path, false), ignored.covers(&path, true)]
        };
        paths.iter().map(covers).collect::<Vec<_>>()
    };
    let nothing = vec![[false, false]; paths.len()];
    let all = covered(data);
    let text = String::from_utf8_lossy(data);
    let with = |sign: &str| -> String {
        let lines = text
            .lines()
            .map(|line| format!("{sign}{}\n", line.trim_start_matches('!')));
        lines.collect()
    };
    assert_eq!(covered(with("#").as_bytes()), nothing);
    assert_eq!(covered(with("!").as_bytes()), nothing);
    // The last word counts.
    let taken_back = [data, b"\n!*\n!**/*\n"].concat();
    assert_eq!(covered(&taken_back), nothing);
    assert_eq!(covered(&[data, b"\n# a word\n\n"].concat()), all);
}
