//! `Glob`: files by the pattern of their path.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Answer, text, walk};

/// Paths shown.
const SHOWN: usize = 100;
/// Paths collected before the newest are chosen.
const COLLECTED: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobArguments {
    pattern: String,
    path: Option<String>,
}

pub(super) fn glob(arguments: &GlobArguments, directory: &Path) -> Answer {
    let root = text::at(directory, arguments.path.as_deref().unwrap_or(""));
    if !root.is_dir() {
        return Answer::failed(format!("Directory does not exist: {}", root.display()));
    }
    let pattern = arguments
        .pattern
        .strip_prefix("./")
        .unwrap_or(&arguments.pattern);
    let matcher = match text::glob(pattern) {
        Ok(matcher) => matcher,
        Err(error) => return Answer::failed(error),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    walk::files(&root, &mut |path| {
        let below = path.strip_prefix(&root).unwrap_or(path);
        if matcher.is_match(below) || matcher.is_match(path) {
            paths.push(path.to_owned());
        }
        if paths.len() < COLLECTED {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if paths.is_empty() {
        return Answer::done("No files found");
    }
    walk::newest_first(&mut paths);
    let listed = paths.iter().take(SHOWN);
    let mut lines: Vec<String> = listed.map(|path| path.display().to_string()).collect();
    if paths.len() > SHOWN {
        lines.push(
            "(Results are truncated. Consider using a more specific path or pattern.)".into(),
        );
    }
    Answer::done(lines.join("\n"))
}
