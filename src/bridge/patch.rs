//! The paths that a patch names, in the format of Codex's `apply_patch` tool.
//!
//! Read strictly: a line that this reader does not understand where the format has a header makes
//! the whole patch one that nobody can decide about, and so a deny.

use crate::contracts::limits;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
/// Headers that open a file's part.
const FILES: [&str; 3] = ["*** Add File: ", "*** Update File: ", "*** Delete File: "];
const MOVE: &str = "*** Move to: ";
/// Marks the end of a file inside an update.
const END_OF_FILE: &str = "*** End of File";

/// Every path that `patch` adds, updates, deletes or moves to, in its order, each once.
///
/// # Errors
/// What is not understood.
pub fn paths(patch: &str) -> Result<Vec<String>, String> {
    let mut lines = patch.trim().lines().map(|line| line.trim_end_matches('\r'));
    if lines.next() != Some(BEGIN) {
        return Err(format!("a patch begins with {BEGIN:?}"));
    }
    let mut found: Vec<String> = Vec::new();
    let mut part = Part::None;
    let mut ended = false;
    for line in lines {
        if ended {
            return Err(format!("a patch ends with {END:?}"));
        }
        if line == END {
            ended = true;
            continue;
        }
        let header = FILES.iter().find_map(|header| line.strip_prefix(header));
        let path = if let Some(path) = header {
            part = Part::of(line);
            path
        } else if let Some(path) = line.strip_prefix(MOVE) {
            if part != Part::Updated {
                return Err("a patch moves only a file that it updates".into());
            }
            path
        } else {
            part.takes(line)?;
            continue;
        };
        if path.is_empty() || path.trim() != path || path.chars().any(char::is_control) {
            return Err("a patch names a path that is empty or not plain text".into());
        }
        if !found.iter().any(|known| known == path) {
            found.push(path.to_owned());
        }
        if found.len() > limits::PATCH_PATHS {
            return Err(format!(
                "a patch names at most {} paths",
                limits::PATCH_PATHS
            ));
        }
    }
    match (ended, found.is_empty()) {
        (false, _) => Err(format!("a patch ends with {END:?}")),
        (true, true) => Err("a patch names no path".into()),
        (true, false) => Ok(found),
    }
}

/// The part of a patch that the reader is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Added,
    Updated,
    Deleted,
}

impl Part {
    fn of(header: &str) -> Self {
        match header.split(' ').nth(1) {
            Some("Add") => Self::Added,
            Some("Update") => Self::Updated,
            _ => Self::Deleted,
        }
    }

    /// Whether a line that is no header may stand here.
    fn takes(self, line: &str) -> Result<(), String> {
        let known = match self {
            Self::Added => line.starts_with('+'),
            // A header behind white space would be one to a more lenient reader.
            Self::Updated => {
                let header = line.starts_with(' ') && line.trim_start().starts_with("***");
                line.is_empty()
                    || line == END_OF_FILE
                    || line.starts_with("@@")
                    || (line.starts_with([' ', '+', '-']) && !header)
            }
            Self::None | Self::Deleted => false,
        };
        if known {
            Ok(())
        } else {
            Err("a patch has a line that is not understood".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    #[test]
    fn every_path_is_found() {
        let body = "*** Add File: a.txt\n+one\n+*** Add File: not-this\n\
            *** Update File: dir/b.txt\n*** Move to: c d.txt\n@@ fn x()\n-old\n+new\n same\n\
            *** End of File\n*** Delete File: /etc/e";
        assert_eq!(
            paths(&patch(body)).unwrap(),
            ["a.txt", "dir/b.txt", "c d.txt", "/etc/e"]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let inside = [
            "",
            "*** Add File: ",
            "*** Add File: a\nno plus",
            "*** Add File: a\n+x\n*** Move to: b",
            "*** Delete File: a\n+x",
            "*** Rename File: a",
            "*** Environment ID: x\n*** Add File: a\n+x",
            " *** Add File: a\n+x",
            "*** Update File: a\n@@\n x\n *** Delete File: b",
            "*** Update File: a\n@@\n*** Frobnicate: b",
            "*** Add File: a\u{7}\n+x",
        ];
        for body in inside {
            assert!(paths(&patch(body)).is_err(), "{body:?}");
        }
        for whole in [
            "",
            BEGIN,
            "*** Add File: a\n+x",
            "x\n*** Begin Patch\n*** End Patch",
        ] {
            assert!(paths(whole).is_err(), "{whole:?}");
        }
        let behind = format!("{}more\n", patch("*** Add File: a\n+x"));
        assert!(paths(&behind).is_err());
        let many: String = (0..=limits::PATCH_PATHS)
            .map(|n| format!("*** Delete File: {n}\n"))
            .collect();
        assert!(paths(&patch(many.trim_end())).is_err());
    }
}
