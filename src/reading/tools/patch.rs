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

/// What a header does to the file that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// It is made.
    Add,
    /// Lines of it are changed.
    Update,
    /// It is removed.
    Delete,
    /// The file of the header before is moved there.
    Move,
}

/// A header, and the lines below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// What is done.
    pub header: Header,
    /// To which file.
    pub path: &'a str,
    /// Without their newlines, as they stand in the patch.
    pub lines: Vec<&'a str>,
}

const HEADERS: [(&str, Header); 4] = [
    ("*** Add File:", Header::Add),
    ("*** Update File:", Header::Update),
    ("*** Delete File:", Header::Delete),
    ("*** Move to:", Header::Move),
];
const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
/// Says of the lines before it that the file ends with them.
pub const END_OF_FILE: &str = "*** End of File";
/// Lines of a patch that name no file.
const OTHERS: [&str; 2] = [END_OF_FILE, "*** Environment ID:"];
/// What a line of a change begins with.
const CHANGE: [char; 4] = ['+', '-', ' ', '@'];

/// What a patch changes, in its order; `None` where it is none. Both ends of a move are there.
#[must_use]
pub fn changes(text: &str) -> Option<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for Part { header, path, .. } in parts(text)?.1 {
        if header == Header::Move {
            changes.last_mut()?.removes = true;
        }
        changes.push(Change {
            path: path.to_owned(),
            removes: header == Header::Delete,
        });
    }
    Some(changes)
}

/// The lines of a patch before its first header, and its headers; `None` where it is none.
#[must_use]
pub fn parts(text: &str) -> Option<(Vec<&str>, Vec<Part<'_>>)> {
    let mut lines = document(text).split('\n');
    if lines.next()?.trim() != BEGIN {
        return None;
    }
    let (mut before, mut parts): (Vec<&str>, Vec<Part<'_>>) = (Vec::new(), Vec::new());
    let mut ended = false;
    for line in lines {
        let bare = line.trim();
        let header = (!line.starts_with(['+', '-']))
            .then_some(())
            .and_then(|()| {
                let mut headers = HEADERS.iter();
                headers.find_map(|(text, header)| {
                    bare.strip_prefix(text).map(|path| (path.trim(), *header))
                })
            });
        if ended {
            // Nothing stands behind the end.
            if !bare.is_empty() {
                return None;
            }
        } else if let Some((path, header)) = header {
            let nothing_to_move = header == Header::Move && parts.is_empty();
            if path.is_empty() || path.contains('\0') || nothing_to_move {
                return None;
            }
            parts.push(Part {
                header,
                path,
                lines: Vec::new(),
            });
        } else if bare == END {
            ended = true;
        } else if bare.is_empty()
            || line.starts_with(CHANGE)
            || OTHERS.iter().any(|other| bare.starts_with(other))
        {
            let last = parts.last_mut();
            last.map_or(&mut before, |part| &mut part.lines).push(line);
        } else {
            return None;
        }
    }
    (ended && !parts.is_empty()).then_some((before, parts))
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
