//! Views of calls, as a person reads them.

mod paths;

use serde_json::{Value, json};

use super::before::{Before, ChangedFile};
use super::*;
use crate::contracts::call::Actor;
use crate::contracts::ids::{MessageId, SessionId};
use crate::reading::disk::Disk;
use crate::reading::tools;

fn around() -> Surroundings {
    Surroundings {
        directory: "/repo".into(),
        repository: "/repo".into(),
        home: "/home/alice".into(),
        temporary: "/tmp".into(),
        ..Surroundings::default()
    }
}

fn call(tool: &str, args: Value) -> ToolCall {
    let Value::Object(args) = args else {
        panic!("{args}")
    };
    ToolCall {
        id: MessageId::new("m1").unwrap(),
        session: SessionId::new("s-1").unwrap(),
        tool: tool.into(),
        args,
        actor: Actor::ClaudeProcess,
    }
}

fn text(path: &str, text: &str) -> ChangedFile {
    ChangedFile {
        path: path.into(),
        before: Before::Text {
            text: text.into(),
            sha256: Sha256::of(text.as_bytes()),
        },
    }
}

fn file(path: &str, before: Before) -> ChangedFile {
    let path = path.into();
    ChangedFile { path, before }
}

fn view_at(tool: &str, args: Value, files: &[ChangedFile], disk: &dyn Disk) -> CallView {
    let call = call(tool, args);
    let reading = tools::read(tool, &call.args, &around(), disk, &tools::Declared::new());
    of(&ViewRequest {
        call: &call,
        verdict: &Verdict::refused("because"),
        atoms: &["writing src/a".to_owned()],
        reading: Some(&reading),
        around: &around(),
        files,
        origin: &Origin::default(),
        args_sha256: Sha256([0; 32]),
        reading_sha256: Sha256([1; 32]),
    })
}

fn view(tool: &str, args: Value, files: &[ChangedFile]) -> CallView {
    view_at(tool, args, files, &crate::reading::disk::NoDisk)
}

/// A view as plain lines.
fn lines(view: &CallView) -> Vec<String> {
    let mut lines = Vec::new();
    for block in &view.blocks {
        let subject = block.subject.as_deref().unwrap_or_default();
        lines.push(format!("{} {subject}", block.heading).trim_end().to_owned());
        for line in drawn(block) {
            let bar = match line.kind {
                crate::contracts::view::LineKind::Note => "",
                _ => "| ",
            };
            lines.push(format!("{bar}{}{}", line.mark, line.text));
        }
    }
    lines
}

#[track_caller]
fn shows(tool: &str, args: Value, files: &[ChangedFile], expected: &[&str]) {
    assert_eq!(lines(&view(tool, args, files)), expected);
}

#[test]
fn a_command_stands_in_its_real_lines_and_the_agent_s_words_apart() {
    let command = "cat > a <<'E'\nrm \\\n\t-rf ~\nE\nls";
    let args =
        json!({"description": "List\nfiles", "command": command, "timeout": 5, "workdir": "sub"});
    let view = view("Bash", args, &[]);
    let expected = [
        "runs",
        "| cat > a <<'E'",
        "| rm \\",
        "| ⇥-rf ~",
        "| E",
        "| ls",
        "argument as JSON timeout",
        "| 5",
    ];
    assert_eq!(lines(&view), expected);
    assert_eq!(view.description.as_deref(), Some("List\nfiles"));
    assert_eq!(view.directory.as_deref(), Some("sub"));
    assert_eq!(view.atoms, ["writing src/a"]);
    assert_eq!(view.reason, "because");
}

#[test]
fn words_of_a_command_stand_as_a_shell_takes_them() {
    let args = json!({"command": ["bash", "-lc", "echo 'a'\nls"]});
    shows(
        "shell",
        args,
        &[],
        &["runs", "| bash -lc 'echo '\\''a'\\''", "| ls'"],
    );
    // Words that are none are shown as they came.
    let args = json!({"command": ["bash", 1]});
    let expected = [
        "argument as JSON command",
        "| [",
        "|   \"bash\",",
        "|   1",
        "| ]",
    ];
    shows("shell", args, &[], &expected);
}

#[test]
fn the_directory_is_said_where_it_is_not_the_root() {
    for (workdir, expected) in [
        (json!("/repo"), None),
        (json!("."), None),
        (json!("sub/../"), None),
        (json!("/repo/sub"), Some("sub")),
        (json!("/tmp"), Some("/tmp")),
        (json!(".."), Some("..")),
    ] {
        let view = view("Bash", json!({"command": "ls", "workdir": workdir}), &[]);
        assert_eq!(view.directory.as_deref(), expected, "{workdir}");
        assert_eq!(view.blocks.len(), 1);
    }
    let view = view("Bash", json!({"command": "ls", "workdir": 1}), &[]);
    assert_eq!(view.directory, None);
    assert_eq!(view.blocks.len(), 2);
}

#[test]
fn an_edit_is_a_diff_of_the_file_as_it_is() {
    let before = text("/repo/src/a", "one\ntwo\nthree\n");
    let edit = |old: &str, new: &str| json!({"file_path": "/repo/src/a", "old_string": old, "new_string": new});
    let file = std::slice::from_ref(&before);
    let expected = [
        "changes src/a",
        "| 1   one",
        "| 2 - two",
        "| 2 + 2",
        "| 3   three",
    ];
    shows(
        "Edit",
        edit("wo", "wo").clone(),
        file,
        &[
            "changes src/a",
            "Old and new text are the same: the edit fails.",
            "The edit replaces this text:",
            "| - wo",
            "with:",
            "| + wo",
        ],
    );
    shows("Edit", edit("two", "2"), file, &expected);
    shows("mcp__agp__Edit", edit("two", "2"), file, &expected);
    shows(
        "Edit",
        edit("four", ""),
        file,
        &[
            "changes src/a",
            "The old text is not exactly in the file: the edit fails, or the harness matches it loosely.",
            "The edit replaces this text:",
            "| - four",
            "with nothing.",
        ],
    );
    shows(
        "Edit",
        edit("o", "0"),
        file,
        &[
            "changes src/a",
            "The old text is in the file 2 times: the edit fails.",
            "The edit replaces this text:",
            "| - o",
            "with:",
            "| + 0",
        ],
    );
    let mut all = edit("o", "0");
    all["replace_all"] = json!(true);
    shows(
        "Edit",
        all,
        file,
        &[
            "changes src/a",
            "Every occurrence of the old text is replaced.",
            "| 1 - one",
            "| 2 - two",
            "| 1 + 0ne",
            "| 2 + tw0",
            "| 3   three",
        ],
    );
    let edits = json!([
        {"old_string": "one", "new_string": "1"}, {"old_string": "three\n", "new_string": "3"}]);
    shows(
        "MultiEdit",
        json!({"file_path": "src/a", "edits": edits}),
        file,
        &[
            "changes src/a",
            "| 1 - one",
            "| 1 + 1",
            "| 2   two",
            "| 3 - three",
            "| 3 + 3",
            "No newline at the end of the file.",
        ],
    );
}

#[test]
fn what_is_not_shown_is_said_with_why_and_the_new_text_stands_whole() {
    let hidden = file("/repo/a", Before::hidden("it is longer than 1 MiB"));
    let nothing = file("/repo/a", Before::Nothing);
    let why = "agp does not show the file as it is: it is longer than 1 MiB.";
    let unread = "agp does not show the file as it is: it was not read.";
    let write = json!({"file_path": "a", "content": "x\ny"});
    let end = "No newline at the end of the file.";
    for (files, expected) in [
        (vec![], vec!["writes a", unread, "| 1 + x", "| 2 + y", end]),
        (
            vec![hidden.clone()],
            vec!["writes a", why, "| 1 + x", "| 2 + y", end],
        ),
        (
            vec![nothing.clone()],
            vec!["creates a", "| 1 + x", "| 2 + y", end],
        ),
        (
            vec![text("/repo/a", "x\n")],
            vec!["changes a", "| 1   x", "| 2 + y", end],
        ),
        (
            vec![text("/repo/a", "x\ny")],
            vec!["changes a", "The file stays as it is."],
        ),
    ] {
        shows("Write", write.clone(), &files, &expected);
    }
    let edits = json!([
        {"old_string": "", "new_string": "x\n"}, {"old_string": "x", "new_string": "", "replace_all": true}]);
    let edit = json!({"file_path": "a", "edits": edits, "extra": ""});
    shows(
        "MultiEdit",
        edit.clone(),
        &[hidden],
        &[
            "changes a",
            why,
            "Edit 1 of 2 replaces this text:",
            "Empty: the file is created.",
            "with:",
            "| + x",
            "| + ",
            "Edit 2 of 2 replaces every occurrence of this text:",
            "| - x",
            "with nothing.",
            "argument extra",
            "Empty.",
        ],
    );
    shows(
        "MultiEdit",
        edit,
        &[nothing],
        &[
            "creates a",
            "The file is empty.",
            "argument extra",
            "Empty.",
        ],
    );
    let write = json!({"file_path": "a", "content": ""});
    shows(
        "Write",
        write,
        &[text("/repo/a", "x\n")],
        &["changes a", "The file becomes empty.", "| 1 - x"],
    );
}

#[test]
fn arguments_that_are_not_the_tool_s_are_shown_as_they_came() {
    let args = json!({"file_path": "a", "old_string": 1, "new_string": "x"});
    shows(
        "Edit",
        args,
        &[],
        &[
            "argument file_path",
            "| a",
            "argument new_string",
            "| x",
            "argument as JSON old_string",
            "| 1",
        ],
    );
    // To a tool that agp does not know a description is no mere word.
    let args = json!({"description": "x", "url": "https://a", "z": {"b": "c\nd"}});
    shows(
        "mcp__x__y",
        args,
        &[],
        &[
            "argument url",
            "| https://a",
            "argument description",
            "| x",
            "argument as JSON z",
            "| {",
            "|   \"b\": \"c\\nd\"",
            "| }",
        ],
    );
}

#[test]
fn a_patch_has_the_numbers_of_the_file_as_it_is() {
    let old: String = (1..=12).map(|line| format!("line {line}\n")).collect();
    let patch = "*** Begin Patch\n*** Update File: src/a\n@@ line 2\n line 3\n-line 4\n+four\n+4\n line 5\n\
                 @@\n-line 9\n@@\n-none\n+x\n*** Move to: src/b\n*** Add File: c\n+new\n*** Delete File: d\n*** End Patch";
    let files = [
        text("/repo/src/a", &old),
        file("/repo/c", Before::Nothing),
        text("/repo/d", "old\n"),
    ];
    shows(
        "apply_patch",
        json!({"command": patch}),
        &files,
        &[
            "changes src/a",
            "| \u{20}   @@ line 2",
            "| 3   line 3",
            "| 4 - line 4",
            "| 4 + four",
            "| 5 + 4",
            "| 5   line 5",
            "| \u{20}   @@",
            "| 9 - line 9",
            "The next lines do not stand like this in the file as it is.",
            "| \u{20}   @@",
            "| \u{20} - none",
            "| \u{20} + x",
            "moves it to src/b",
            "creates c",
            "| 1 + new",
            "deletes d",
            "| 1 - old",
        ],
    );
    // A change at the file's end is not where the same lines stand first.
    let patch = "*** Begin Patch\n*** Update File: src/a\n@@\n-b\n+c\n*** End of File\n*** Move to: d\n*** End Patch";
    shows(
        "apply_patch",
        json!({"command": patch}),
        &[text("/repo/src/a", "b\na\nb\n"), text("/repo/d", "old\n")],
        &[
            "changes src/a",
            "| \u{20}   @@",
            "| 3 - b",
            "| 3 + c",
            "| \u{20}   *** End of File",
            "moves it to d",
            "A file is there already: it is replaced.",
        ],
    );
    // What is no patch is a text.
    shows(
        "apply_patch",
        json!({"input": "*** x"}),
        &[],
        &["argument input", "| *** x"],
    );
}

#[test]
fn a_cell_of_a_notebook_is_compared_with_what_it_was() {
    let notebook = json!({"cells": [
        {"id": "c1", "source": ["a\n", "b"]}, {"source": "c\n"}]});
    let files = [text("/repo/n.ipynb", &notebook.to_string())];
    let edit = |more: Value| {
        let mut args = json!({"notebook_path": "/repo/n.ipynb", "new_source": "a\nc"});
        let more = more.as_object().unwrap().clone();
        args.as_object_mut().unwrap().extend(more);
        args
    };
    shows(
        "NotebookEdit",
        edit(json!({"cell_id": "c1"})),
        &files,
        &[
            "changes a cell of n.ipynb",
            "| 1   a",
            "| 2 - b",
            "No newline at the end of the file.",
            "| 2 + c",
            "No newline at the end of the file.",
            "argument cell_id",
            "| c1",
        ],
    );
    let none = "The notebook as it is has no such cell that agp can read.";
    shows(
        "NotebookEdit",
        edit(json!({"cell_id": "c9"})),
        &files,
        &[
            "changes a cell of n.ipynb",
            none,
            "| + a",
            "| + c",
            "argument cell_id",
            "| c9",
        ],
    );
    let view = view(
        "NotebookEdit",
        edit(json!({"cell_id": "cell-1", "edit_mode": "delete"})),
        &files,
    );
    assert_eq!(lines(&view)[..2], ["deletes a cell of n.ipynb", "| 1 - c"]);
}
