//! The files that a patch of Codex's `apply_patch` names.
//!
//! Whatever could be a header is taken for one: also a line of context that reads like it. A line that could be
//! no part of a patch makes it unread.

/// One file of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As the patch names it.
    pub path: String,
    /// It is removed, or moved away.
    pub removes: bool,
}

/// Headers that name a file, each with whether it removes one.
const HEADERS: [(&str, bool); 4] = [
    ("*** Add File:", false),
    ("*** Update File:", false),
    ("*** Delete File:", true),
    ("*** Move to:", false),
];
const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
/// Lines of a patch that name no file.
const OTHERS: [&str; 2] = ["*** End of File", "*** Environment ID:"];
/// What a line of a change begins with.
const CHANGE: [char; 4] = ['+', '-', ' ', '@'];

/// What a patch changes, in its order; `None` where it is none. Both ends of a move are there.
#[must_use]
pub fn changes(text: &str) -> Option<Vec<Change>> {
    let mut lines = document(text).lines().peekable();
    if lines.next()?.trim() != BEGIN {
        return None;
    }
    let mut changes: Vec<Change> = Vec::new();
    let mut ended = false;
    for line in lines {
        let bare = line.trim();
        let header = (!line.starts_with(['+', '-']))
            .then_some(())
            .and_then(|()| {
                let mut headers = HEADERS.iter();
                headers.find_map(|(header, removes)| {
                    bare.strip_prefix(header)
                        .map(|path| (path.trim(), *header, *removes))
                })
            });
        if ended {
            // Nothing stands behind the end.
            if !bare.is_empty() {
                return None;
            }
        } else if let Some((path, header, removes)) = header {
            if path.is_empty() || path.contains('\0') {
                return None;
            }
            if header == "*** Move to:" {
                changes.last_mut()?.removes = true;
            }
            changes.push(Change {
                path: path.to_owned(),
                removes,
            });
        } else if bare == END {
            ended = true;
        } else if !(bare.is_empty()
            || line.starts_with(CHANGE)
            || OTHERS.iter().any(|other| bare.starts_with(other)))
        {
            return None;
        }
    }
    (ended && !changes.is_empty()).then_some(changes)
}

/// The patch without the here-document that models put around it.
fn document(text: &str) -> &str {
    let text = text.trim();
    for opening in ["<<EOF\n", "<<'EOF'\n", "<<\"EOF\"\n"] {
        let inner = text.strip_prefix(opening);
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix("EOF")) {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, bool)>> {
        let changes = changes(text)?.into_iter();
        Some(
            changes
                .map(|change| (change.path, change.removes))
                .collect(),
        )
    }

    #[test]
    fn all_files_of_a_patch_are_named() {
        let text = "*** Begin Patch\n*** Add File: a b.txt\n+*** Delete File: text\n+\n*** Update File: src/x.rs\n\
                    *** Move to: src/y.rs\n@@ fn f()\n context\n-old\n+new\n*** End of File\n\
                    *** Delete File: z\n*** End Patch\n";
        let expected = [
            ("a b.txt", false),
            ("src/x.rs", true),
            ("src/y.rs", false),
            ("z", true),
        ];
        let expected: Vec<_> = expected
            .map(|(path, removes)| (path.to_owned(), removes))
            .into();
        assert_eq!(read(text), Some(expected.clone()));
        assert_eq!(
            read(&format!("\n  <<'EOF'\n{text}EOF")),
            Some(expected.clone())
        );
        assert_eq!(read(&text.replace('\n', "\r\n")), Some(expected));
    }

    #[test]
    fn whatever_could_be_a_header_is_one() {
        for line in [
            "  *** Update File: .git/hooks/pre-commit",
            "\t*** Update File: .git/hooks/pre-commit \t",
            "*** Update File:.git/hooks/pre-commit",
        ] {
            let text =
                format!("*** Begin Patch\n*** Add File: a\n+x\n{line}\n@@\n-a\n+b\n*** End Patch");
            let paths: Vec<_> = changes(&text)
                .unwrap()
                .into_iter()
                .map(|change| change.path)
                .collect();
            assert_eq!(paths, ["a", ".git/hooks/pre-commit"], "{line:?}");
        }
    }

    #[test]
    fn what_is_no_patch_is_unread() {
        for text in [
            "",
            "x",
            "*** Begin Patch\n*** End Patch",
            "*** Begin Patch\n*** Add File: a\n+x",
            "*** Add File: a\n+x\n*** End Patch",
            "*** Begin Patch\n*** Add File:\n+x\n*** End Patch",
            "*** Begin Patch\n*** Move to: a\n*** End Patch",
            "*** Begin Patch\n*** Copy File: a\n+x\n*** End Patch",
            "*** Begin Patch\n*** Add File: a\n+x\nfoo\n*** End Patch",
            "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\n*** Begin Patch\n*** Add File: b\n+x\n*** End Patch",
        ] {
            assert_eq!(changes(text), None, "{text:?}");
        }
    }
}
