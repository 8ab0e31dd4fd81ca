//! A call in outline: enough to tell whether what a harness shows of it is what was decided about, and
//! small, so that a session's calls can be kept.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::journal;

/// Arguments that are a path: a harness makes it absolute before it asks, and shows it as the model gave it.
const PATHS: [&str; 3] = ["file_path", "notebook_path", "path"];
/// Bytes of a path that is kept as it is (`PATH_MAX`).
const PATH_BYTES: usize = 4096;

/// A call's tool and, of each of its arguments, what tells it from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline {
    tool: String,
    args: BTreeMap<String, Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Path(String),
    Digest(Sha256),
}

impl Outline {
    pub(super) fn of(tool: &str, args: &Map<String, Value>) -> Self {
        let all = || Part::Digest(journal::args_sha256(args));
        let args = if args.len() > limits::OUTLINE_ARGS {
            BTreeMap::from_iter([(String::new(), all())])
        } else {
            let parts = args.iter();
            parts
                .map(|(name, value)| (name.clone(), Part::of(name, value)))
                .collect()
        };
        Self {
            tool: tool.to_owned(),
            args,
        }
    }

    pub(super) fn tool(&self) -> &str {
        &self.tool
    }

    /// Whether what is shown of a call is what was decided about: the same tool, and every argument that is
    /// shown. The decision may have been about more: a harness fills in what the model left out. A path may be
    /// shown from the directory that the call ran in, which lies in the session's.
    pub(super) fn covers(&self, shown: &Self, directory: Option<&Path>) -> bool {
        let covered = |(name, shown): (&String, &Part)| match (self.args.get(name), shown) {
            (Some(Part::Path(decided)), Part::Path(shown)) => same_path(decided, shown, directory),
            (decided, shown) => decided == Some(shown),
        };
        self.tool == shown.tool && shown.args.iter().all(covered)
    }
}

impl Part {
    fn of(name: &str, value: &Value) -> Self {
        match value {
            Value::String(path) if PATHS.contains(&name) && path.len() <= PATH_BYTES => {
                Self::Path(path.clone())
            }
            value => Self::Digest(Sha256::of(&journal::canonical(&spelt(value)))),
        }
    }
}

/// A value with its booleans and numbers as text: harnesses take `"true"` for `true`, and show either.
fn spelt(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        Value::Array(items) => items.iter().map(spelt).collect(),
        Value::Object(map) => {
            let map = map.iter().map(|(name, value)| (name.clone(), spelt(value)));
            Value::Object(map.collect())
        }
        Value::Null | Value::String(_) => value.clone(),
    }
}

fn same_path(decided: &str, shown: &str, directory: Option<&Path>) -> bool {
    if decided == shown {
        return true;
    }
    let decided = plain(Path::new(decided));
    let Some(directory) = directory.filter(|_| Path::new(shown).is_relative()) else {
        return decided == plain(Path::new(shown));
    };
    if decided == plain(&directory.join(shown)) {
        return true;
    }
    // A command can have moved the harness to a directory below.
    let rest = plain(Path::new(shown));
    let named = rest.components().next().is_some();
    named && decided.starts_with(directory) && decided.ends_with(rest)
}

/// A path without `.` and, where a name stands before it, `..`; what leads above its beginning is left out.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outline(tool: &str, args: &Value) -> Outline {
        Outline::of(tool, args.as_object().unwrap())
    }

    fn covers(decided: &(&str, Value), shown: &(&str, Value)) -> bool {
        let seen = outline(shown.0, &shown.1);
        outline(decided.0, &decided.1).covers(&seen, Some(Path::new("/repo")))
    }

    #[test]
    fn another_tool_or_argument_is_another_call() {
        let read = || ("Read", json!({"file_path": "/repo/README.md"}));
        assert!(covers(&read(), &read()));
        for shown in [
            ("Bash", json!({"command": "x"})),
            ("Write", json!({"file_path": "/repo/README.md"})),
            ("Read", json!({"file_path": "/repo/README.md", "limit": 1})),
            ("Read", json!({"file_path": "/repo/other"})),
        ] {
            assert!(!covers(&read(), &shown), "{shown:?}");
        }
        let bash = |command: &str| ("Bash", json!({"command": command}));
        assert!(!covers(&bash("touch a"), &bash("touch b")));
        assert!(!covers(&("Bash", json!({})), &bash("touch b")));
    }

    #[test]
    fn what_the_harness_fills_in_or_spells_out_is_the_same_call() {
        let decided = json!({"query": "x", "max_results": 5});
        assert!(covers(
            &("ToolSearch", decided),
            &("ToolSearch", json!({"query": "x"}))
        ));
        let decided = json!({"-n": true, "limit": 3, "of": [{"a": false}]});
        let seen = json!({"-n": "true", "limit": "3", "of": [{"a": "false"}]});
        assert!(covers(&("Grep", decided.clone()), &("Grep", seen)));
        assert!(!covers(
            &("Grep", decided),
            &("Grep", json!({"-n": "false"}))
        ));
    }

    #[test]
    fn a_path_is_the_same_however_it_is_shown() {
        let same = |decided: &str, shown: &str| {
            let path = |path: &str| ("Read", json!({"file_path": path}));
            covers(&path(decided), &path(shown))
        };
        for (decided, shown) in [
            ("/repo/a", "a"),
            ("/repo/a", "./sub/../a"),
            ("/repo/a", "/repo/sub/../a"),
            ("/repo/sub/a", "a"),
            ("/repo/a", "../a"),
            ("/a", "../a"),
            (".", "."),
        ] {
            assert!(same(decided, shown), "{decided} {shown}");
        }
        for (decided, shown) in [
            ("/repo/a", "b"),
            ("/repo/a", "/etc/a"),
            ("/etc/a", "a"),
            ("/repository/a", "a"),
            ("/repo/a", "sub/a"),
            ("/repo/ba", "a"),
            ("/repo/a", ".."),
            ("/repo/a", "../../etc/a"),
        ] {
            assert!(!same(decided, shown), "{decided} {shown}");
        }
    }

    #[test]
    fn however_many_arguments_there_are_an_outline_is_small() {
        let many = |last: u32| {
            let args = (0..100).map(|at| (at.to_string(), json!(at * last)));
            Outline::of("X", &args.collect())
        };
        assert_eq!(many(1).args.len(), 1);
        assert!(many(1).covers(&many(1), None) && !many(1).covers(&many(2), None));
    }
}
