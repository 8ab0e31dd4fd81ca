//! What must hold of a view, whatever a call and the files that it changes are.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use serde_json::{Map, Value, json};

use super::before::{Before, ChangedFile};
use super::diff::split;
use super::escape::unescaped;
use super::{ViewRequest, drawn};
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::ids::{MessageId, SessionId, Sha256};
use crate::contracts::verdict::Verdict;
use crate::contracts::view::{CallView, LineKind, Origin, ViewBlock, ViewLine};
use crate::reading::surroundings::Surroundings;
use crate::reading::tools::patch;
use crate::tools::edit::{self, Change};

/// Stands between the texts of an input.
const BETWEEN: &str = "\u{1f}";
const PATH: &str = "src/a";

/// Whether a terminal acts on a character, or nobody sees it; the little that every reader agrees
/// on, apart from the table under test.
pub(crate) fn acts_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe0fff)
}

/// A call whose texts, and the file that it changes, are the input's.
pub(crate) fn call_view(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut texts = text.split(BETWEEN);
    let mut next = || texts.next().unwrap_or_default().to_owned();
    let (old, first, second) = (next(), next(), next());
    let all = first.len() % 2 == 0;

    let view = seen(
        "Bash",
        json!({"command": first, "env": {first.clone(): second}}),
        None,
    );
    assert_eq!(joined(&view.blocks, "runs"), first);
    let env: Value = serde_json::from_str(&joined(&view.blocks, "argument as JSON")).expect("JSON");
    assert_eq!(env, json!({ first.clone(): second }));

    let view = seen("mcp__x__y", json!({"description": first}), None);
    assert_eq!(joined(&view.blocks, "argument"), first.clone());

    let write = json!({"file_path": PATH, "content": first});
    let view = seen("Write", write.clone(), Some(&old));
    assert_eq!(rebuilt(&old, the_block(&view)), first);
    let view = seen("Write", write, None);
    assert_eq!(rebuilt("", the_block(&view)), first);

    let edit =
        json!({"file_path": PATH, "old_string": first, "new_string": second, "replace_all": all});
    let change = Change {
        old_string: first.clone(),
        new_string: second.clone(),
        replace_all: all,
    };
    let view = seen("Edit", edit.clone(), Some(&old));
    match edit::all_changed(old.clone(), &[change]) {
        Ok(new) => assert_eq!(rebuilt(&old, the_block(&view)), new),
        Err(_) => is_replaced(the_block(&view), &first, &second),
    }
    is_replaced(the_block(&seen("Edit", edit, None)), &first, &second);

    let patch = format!("*** Begin Patch\n*** Update File: {PATH}\n{first}\n*** End Patch");
    let view = seen("apply_patch", json!({"input": patch}), Some(&old));
    match patch::parts(&patch) {
        Some((_, parts)) if parts.len() == 1 => {
            let lines = the_block(&view).iter().filter_map(patch_line);
            let mut expected = parts.into_iter().flat_map(|part| part.lines);
            for line in lines {
                let expected = expected.next().expect("a line of the patch");
                assert_eq!(line, if expected.is_empty() { " " } else { expected });
            }
            assert_eq!(expected.next(), None);
        }
        Some(_) => {}
        None => assert_eq!(joined(&view.blocks, "argument"), patch),
    }

    seen(
        "NotebookEdit",
        json!({"notebook_path": PATH, "new_source": first, "cell_id": second}),
        Some(&old),
    );
}

/// A line as it stands in a patch.
fn patch_line(line: &ViewLine) -> Option<String> {
    let sign = match line.kind {
        LineKind::Added => "+",
        LineKind::Removed => "-",
        LineKind::Context => " ",
        LineKind::Note => return None,
        LineKind::Text | LineKind::Command => "",
    };
    Some(format!("{sign}{}", line.text))
}

/// The view of a call, which is checked.
fn seen(tool: &str, args: Value, old: Option<&str>) -> CallView {
    let args: Map<String, Value> = match args {
        Value::Object(args) => args,
        other => panic!("{other}"),
    };
    let call = ToolCall {
        id: MessageId::new("m1").expect("an id"),
        session: SessionId::new("s-1").expect("an id"),
        tool: tool.to_owned(),
        args,
        actor: Actor::ClaudeProcess,
    };
    let around = Surroundings {
        directory: "/repo".into(),
        repository: "/repo".into(),
        ..Surroundings::default()
    };
    let files = old.map(|text| ChangedFile {
        path: format!("/repo/{PATH}"),
        before: Before::Text {
            text: text.to_owned(),
            sha256: Sha256::of(text.as_bytes()),
        },
    });
    let view = super::of(&ViewRequest {
        call: &call,
        verdict: &Verdict::refused("because"),
        atoms: &[],
        reading: None,
        around: &around,
        files: files.as_slice(),
        origin: &Origin::default(),
        args_sha256: Sha256([0; 32]),
        reading_sha256: Sha256([0; 32]),
    });
    for block in &view.blocks {
        for (line, drawn) in block.lines.iter().zip(drawn(block)) {
            assert!(!drawn.text.contains(acts_or_hides), "{:?}", drawn.text);
            assert_eq!(unescaped(&drawn.text).as_ref(), Some(&line.text));
        }
    }
    let again: CallView = serde_json::from_slice(&view.canonical()).expect("JSON");
    assert_eq!(again.sha256(), view.sha256());
    view
}

fn the_block(view: &CallView) -> &[ViewLine] {
    match view.blocks.as_slice() {
        [block] => &block.lines,
        other => panic!("{other:?}"),
    }
}

/// The text of the first block under a heading.
fn joined(blocks: &[ViewBlock], heading: &str) -> String {
    let mut blocks = blocks.iter();
    let block = blocks.find(|block| block.heading == heading);
    let lines = block.map_or(&[][..], |block| &block.lines).iter();
    let texts = lines.filter(|line| line.kind != LineKind::Note);
    let texts: Vec<&str> = texts.map(|line| line.text.as_str()).collect();
    texts.join("\n")
}

/// An edit that is shown by its texts alone has both of them whole.
fn is_replaced(lines: &[ViewLine], old: &str, new: &str) {
    for (kind, text) in [(LineKind::Removed, old), (LineKind::Added, new)] {
        let texts = lines.iter().filter(|line| line.kind == kind);
        let texts: Vec<&str> = texts.map(|line| line.text.as_str()).collect();
        assert_eq!(texts.join("\n"), text);
    }
}

/// What a file becomes, by the file as it is and by what is shown alone.
fn rebuilt(old: &str, lines: &[ViewLine]) -> String {
    let says = |note: &str| {
        let mut notes = lines.iter().filter(|line| line.kind == LineKind::Note);
        notes.any(|line| line.text == note)
    };
    let two = says("Every line ends in CR LF.");
    let old = match two {
        true => old.replace("\r\n", "\n"),
        false => old.to_owned(),
    };
    let old = split(&old);
    let mut new = String::new();
    let mut at = 0;
    for (place, line) in lines.iter().enumerate() {
        let bare = lines.get(place + 1).is_some_and(|next| {
            next.text == "No newline at the end of the file." && next.kind == LineKind::Note
        });
        let end = if bare { "" } else { "\n" };
        let text = format!("{}{end}", line.text);
        let number = usize::try_from(line.number.unwrap_or_default()).expect("a number");
        match line.kind {
            LineKind::Note => continue,
            LineKind::Added => {
                assert_eq!(split(&new).len() + 1, number);
                new.push_str(&text);
            }
            LineKind::Context | LineKind::Removed => {
                new.extend(old.get(at..number - 1).unwrap_or_default().iter().copied());
                at = number - 1 + split(&text).len();
                assert_eq!(
                    old.get(number - 1..at).map(|part| part.concat()),
                    Some(text.clone())
                );
                if line.kind == LineKind::Context {
                    new.push_str(&text);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    new.extend(old.get(at..).unwrap_or_default().iter().copied());
    match two {
        true => new.replace('\n', "\r\n"),
        false => new,
    }
}
