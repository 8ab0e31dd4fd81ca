//! What `.gitignore` files leave out, as far as a search needs it: later lines and deeper files
//! win, `!` takes back, a slash anchors, a slash at the end means directories.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::text;

/// Bytes of a `.gitignore` that are read.
const FILE_BYTES: usize = 1 << 20;
/// Rules that hold in one directory, those from above included: each is a compiled expression of
/// some kilobytes, and is tried on every entry. Real trees have hundreds.
const RULES: usize = 10_000;
/// Bytes of one rule: a longer one may be no expression that can be compiled, and compiling panics.
const RULE_BYTES: usize = 1024;

/// The rules that hold in one directory, those of the directories above first.
#[derive(Clone, Default)]
pub(crate) struct Ignored {
    rules: Vec<IgnoreRule>,
}

#[derive(Clone)]
struct IgnoreRule {
    /// The directory of the file that says so.
    base: PathBuf,
    glob: GlobMatcher,
    anchored: bool,
    directories: bool,
    takes_back: bool,
}

impl Ignored {
    /// These rules and those of the `.gitignore` in `directory`.
    pub(super) fn and_of(&self, directory: &Path) -> Self {
        let text = text::unlinked(&directory.join(".gitignore"), FILE_BYTES);
        self.and(directory, &text.unwrap_or_default())
    }

    /// These rules and those of a text in `directory`.
    pub(crate) fn and(&self, directory: &Path, text: &[u8]) -> Self {
        let mut all = self.clone();
        if text.len() <= FILE_BYTES {
            let text = String::from_utf8_lossy(text);
            let rules = text.lines().filter_map(|line| rule(directory, line));
            all.rules
                .extend(rules.take(RULES.saturating_sub(self.rules.len())));
        }
        all
    }

    /// Whether an entry is left out.
    pub(crate) fn covers(&self, path: &Path, is_directory: bool) -> bool {
        let deciding = self.rules.iter().rev().find(|rule| {
            (is_directory || !rule.directories)
                && if rule.anchored {
                    path.strip_prefix(&rule.base)
                        .is_ok_and(|below| rule.glob.is_match(below))
                } else {
                    path.file_name()
                        .is_some_and(|name| rule.glob.is_match(Path::new(name)))
                }
        });
        deciding.is_some_and(|rule| !rule.takes_back)
    }
}

fn rule(base: &Path, line: &str) -> Option<IgnoreRule> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (takes_back, line) = line
        .strip_prefix('!')
        .map_or((false, line), |rest| (true, rest));
    let (directories, line) = line
        .strip_suffix('/')
        .map_or((false, line), |rest| (true, rest));
    let anchored = line.contains('/');
    let line = line.strip_prefix('/').unwrap_or(line);
    let braces = line.contains(['{', '}']);
    let (line, anchored) = match (line.len() > RULE_BYTES, braces, takes_back) {
        // It may take anything back: git and others differ in what braces are.
        (true, _, true) | (_, true, true) => ("*".to_owned(), false),
        (true, ..) => return None,
        // To git they are themselves.
        (_, true, _) => (line.replace('{', "\\{").replace('}', "\\}"), anchored),
        _ => (line.to_owned(), anchored),
    };
    let glob = GlobBuilder::new(&line)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .ok()?;
    Some(IgnoreRule {
        base: base.to_owned(),
        glob: glob.compile_matcher(),
        anchored,
        directories,
        takes_back,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_no_expression_leaves_nothing_out() {
        let base = Path::new("/repo");
        let nested = |depth: usize| "{".repeat(depth) + "a" + &"}".repeat(depth);
        for rule in [nested(300), "?".repeat(400_000), "*".repeat(500_000)] {
            let all = Ignored::default().and(base, format!("a\n{rule}\n").as_bytes());
            assert!(all.covers(Path::new("/repo/a"), false));
            assert!(!all.covers(Path::new("/repo/b"), false));
            // It may take anything back.
            let all = all.and(base, format!("!{rule}\n").as_bytes());
            assert!(!all.covers(Path::new("/repo/a"), false));
        }
        for rule in ["[".repeat(RULE_BYTES), "?".repeat(RULE_BYTES)] {
            let _ = Ignored::default().and(base, rule.as_bytes());
        }
    }

    #[test]
    fn braces_are_themselves_as_to_git() {
        let all = Ignored::default().and(Path::new("/repo"), b"{a,b}\n");
        assert!(!all.covers(Path::new("/repo/a"), true));
        assert!(all.covers(Path::new("/repo/{a,b}"), true));
    }

    #[test]
    fn a_file_of_more_rules_than_any_has_costs_no_more() {
        let text = "*.o\n".repeat(RULES + 9);
        let base = Path::new("/repo");
        let all = Ignored::default().and(base, text.as_bytes());
        assert_eq!(all.rules.len(), RULES);
        let below = all.and(&base.join("a"), b"!*.o\n");
        assert!(below.covers(Path::new("/repo/a/x.o"), false));
    }
}
