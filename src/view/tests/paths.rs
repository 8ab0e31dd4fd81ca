//! Where paths lead, and what very large calls come to.

use super::*;
use crate::contracts::view::Lead;
use crate::reading::disk::{FileKind, Git, Resolved};

/// A disk with one link, one hard link, and all else in its place.
struct Links;

impl Disk for Links {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let normal = crate::reading::paths::normal(path);
        Some(Resolved {
            real: normal.replace("/repo/link", "/etc"),
            kind: Some(FileKind::File),
            other_names: normal == "/repo/hard",
            identity: None,
        })
    }
    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn below(&self, _: &str, _: bool) -> Option<Vec<String>> {
        None
    }
    fn script(&self, _: &str) -> Option<String> {
        None
    }
    fn git(&self, _: &str) -> Option<Git> {
        None
    }
    fn ignored(&self, _: &str) -> Option<bool> {
        None
    }
}

#[test]
fn a_path_that_leads_elsewhere_says_where() {
    let command = json!({"command": "cat link/passwd ./src/a src/a > hard; cat ../x"});
    let view = view_at("Bash", command, &[], &Links);
    let lead = |path: &str, real: &str, other_names| Lead {
        path: path.into(),
        real: real.into(),
        other_names,
    };
    let expected = [
        lead("link/passwd", "/etc/passwd", false),
        lead("hard", "hard", true),
        lead("../x", "/x", false),
    ];
    assert_eq!(view.leads.len(), 3, "{:?}", view.leads);
    for lead in expected {
        assert!(view.leads.contains(&lead), "{lead:?}: {:?}", view.leads);
    }
}

#[test]
fn the_file_that_is_read_is_the_one_that_the_call_changes() {
    let targets = |tool: &str, args: Value| {
        let call = call(tool, args);
        let reading = tools::read(tool, &call.args, &around(), &Links, &tools::Declared::new());
        places::targets(&call, &reading, &around())
    };
    let target = |path: &str, real: Option<&str>| places::Target {
        path: path.into(),
        real: real.map(str::to_owned),
    };
    for (tool, args, expected) in [
        (
            "Write",
            json!({"file_path": "a"}),
            vec![target("/repo/a", Some("/repo/a"))],
        ),
        (
            "Edit",
            json!({"file_path": "/repo/link/x"}),
            vec![target("/repo/link/x", Some("/etc/x"))],
        ),
        // One tool trims it, another does not.
        (
            "Edit",
            json!({"file_path": " a"}),
            vec![target("/repo/ a", None)],
        ),
        (
            "Edit",
            json!({"file_path": "a", "workdir": "/w"}),
            vec![target("/w/a", Some("/w/a"))],
        ),
        ("Bash", json!({"command": "cat > a"}), vec![]),
        (
            "apply_patch",
            json!({"command": "*** Begin Patch\n*** Add File: b\n+x\n*** Delete File: link/c\n*** End Patch"}),
            vec![
                target("/repo/b", Some("/repo/b")),
                target("/repo/link/c", Some("/etc/c")),
            ],
        ),
    ] {
        assert_eq!(targets(tool, args.clone()), expected, "{tool} {args}");
    }
}

#[test]
fn millions_of_lines_take_no_more_room_than_their_bytes() {
    let args = json!({"file_path": "a", "content": "\n".repeat(3_000_000)});
    let view = view("Write", args, &[file("/repo/a", Before::Nothing)]);
    assert!(view.line_count() < crate::contracts::limits::VIEW_LINES + 10);
    let last = view.blocks[0].lines.last().unwrap();
    assert!(last.text.len() > 2_800_000);
}

#[test]
fn an_edit_that_would_fill_the_memory_is_shown_by_its_texts() {
    let files = [text("/repo/a", &"a".repeat(1 << 20))];
    let new = "b".repeat(1 << 20);
    let args = json!({"file_path": "a", "old_string": "a", "new_string": new, "replace_all": true});
    let all = lines(&view("Edit", args, &files));
    let note = "The edits could come to too much to work out the file: each is shown by its texts.";
    assert_eq!(all[..2], ["changes a", note]);
    assert_eq!(all[5], format!("| + {new}"));
    let edits = vec![json!({"old_string": "x", "new_string": "y"}); 1000];
    let all = lines(&view(
        "MultiEdit",
        json!({"file_path": "a", "edits": edits}),
        &files,
    ));
    assert_eq!(all[1], note);
    assert_eq!(all.len(), 2 + 4 * 1000);
}

#[test]
fn a_patch_of_very_many_files_is_a_text() {
    let files = "*** Delete File: a\n".repeat(crate::contracts::limits::PATCH_FILES + 1);
    let patch = format!("*** Begin Patch\n{files}*** End Patch");
    let view = view("apply_patch", json!({"input": patch}), &[]);
    assert_eq!(view.blocks.len(), 1);
    assert_eq!(view.blocks[0].heading, "argument");
}
