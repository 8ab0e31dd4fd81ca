//! Texts of paths: joined to a directory, and normalized by their names alone.

use super::atoms::{PathText, Place};

/// Bytes of a path at most (`PATH_MAX`): the kernel takes none that is longer.
pub const PATH_BYTES: usize = 4096;

/// A path without `.`, `..`, empty names and a `/` at its end, by its names alone: a link before a `..` is not
/// followed. What is not absolute is taken from `/`.
#[must_use]
pub fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for name in names {
        normal.push('/');
        normal.push_str(name);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}

/// What stands in the name of a file that `mktemp` makes for letters that nobody knows yet.
const FRESH: &str = "XXXXXX";

/// A name for what `mktemp` makes of a template, the nth of a command; `None` where it may not take the template.
#[must_use]
pub fn fresh(template: &str, nth: usize) -> Option<String> {
    let end = template.rfind(FRESH)? + FRESH.len();
    let (before, after) = (template.get(..end)?, template.get(end..)?);
    Some(format!("{before}{nth}{after}"))
}

/// The directory where `mktemp` made what a path is or lies in, where the path says so.
#[must_use]
pub fn above_fresh(path: &str) -> Option<&str> {
    let (before, _) = path.split_once(FRESH)?;
    Some(before.rsplit_once('/')?.0)
}

/// A path from a directory; one that is absolute already stays as it is. Not normalized.
#[must_use]
pub fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    if path.is_empty() {
        return directory.to_owned();
    }
    format!("{}/{path}", directory.trim_end_matches('/'))
}

/// Whether a path is this directory or lies below it. Both are normal.
#[must_use]
pub fn within(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Place {
    /// A path of which nothing more is known yet.
    #[must_use]
    pub fn at(path: PathText) -> Self {
        Self {
            path,
            tree: false,
            leaves_out_ignored: false,
            only: None,
            removes: false,
            real: None,
            matches: Vec::new(),
            other_names: false,
            exists: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_normalized_by_its_names() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b"),
            ("/a/./b/.", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/b/../../..", "/"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_lies_within_a_directory_by_whole_names() {
        assert_eq!(join("/a/", "b"), "/a/b");
        assert_eq!(join("/", "b"), "/b");
        assert_eq!(join("/a", "/b"), "/b");
        assert_eq!(join("/a", ""), "/a");
        for (path, directory, expected) in [
            ("/a/b", "/a", true),
            ("/a", "/a", true),
            ("/ab", "/a", false),
            ("/a", "/", true),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(within(path, directory), expected, "{path} {directory}");
        }
    }
}
