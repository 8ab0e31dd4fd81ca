//! What the tools that change files do to them.

use serde_json::{Map, Value};

use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::view::{LineKind, ViewBlock, ViewLine};
use crate::tools::edit::{self, Change};
use crate::tools::tool_error::ToolError;

use super::arguments::Arguments;
use super::before::{Before, ChangedFile};
use super::diff::{diff, whole};
use super::places::Where;
use super::room::{Room, note};
use super::{notebook, patch};

/// What a call does to files, as far as its tool is known to change them.
pub(super) struct Changes<'a> {
    pub(super) at: &'a Where<'a>,
    pub(super) files: &'a [ChangedFile],
    pub(super) room: &'a mut Room,
}

/// The argument that is a patch, and its text.
pub(super) fn patch_of(args: &Map<String, Value>) -> Option<(&'static str, &str)> {
    let mut patches = ["command", "input", "patch"]
        .into_iter()
        .filter_map(|name| {
            let text = match args.get(name)? {
                Value::String(text) => text,
                Value::Array(words) => match words.as_slice() {
                    [Value::String(program), Value::String(text)] if program == "apply_patch" => {
                        text
                    }
                    _ => return None,
                },
                _ => return None,
            };
            Some((name, text.as_str()))
        });
    let only = patches.next();
    only.filter(|_| patches.next().is_none())
}

impl Changes<'_> {
    /// The blocks, and what they show is taken from the arguments. None where the arguments are not the tool's.
    pub(super) fn blocks(
        &mut self,
        tool: &str,
        args: &mut Arguments<'_>,
        all: &Map<String, Value>,
    ) -> Vec<ViewBlock> {
        match tool {
            "Write" => {
                let (Some(path), Some(content)) = (args.text("file_path"), args.text("content"))
                else {
                    return Vec::new();
                };
                args.shown(&["file_path", "content"]);
                vec![self.writes(path, content)]
            }
            "Edit" => {
                let path = args.text("file_path");
                let (Some(path), Some(change)) = (path, change_of(&|name| args.value(name))) else {
                    return Vec::new();
                };
                args.shown(&["file_path", "old_string", "new_string", "replace_all"]);
                vec![self.edits(path, &[change])]
            }
            "MultiEdit" => {
                let edits = args.value("edits").and_then(Value::as_array);
                let edits = edits.and_then(|edits| edits.iter().map(edit_of).collect());
                let (Some(path), Some(edits)) = (args.text("file_path"), edits) else {
                    return Vec::new();
                };
                let edits: Vec<Change> = edits;
                args.shown(&["file_path", "edits"]);
                vec![self.edits(path, &edits)]
            }
            "NotebookEdit" => notebook::blocks(self, args),
            "apply_patch" => {
                let Some((name, text)) = patch_of(all) else {
                    return Vec::new();
                };
                let blocks = patch::blocks(self, text);
                if !blocks.is_empty() {
                    args.shown(&[name]);
                }
                blocks
            }
            _ => Vec::new(),
        }
    }

    /// The file as it is.
    pub(super) fn before(&self, path: &str) -> Option<&Before> {
        let path = self.at.absolute(path);
        let mut files = self.files.iter();
        files
            .find(|file| file.path == path)
            .map(|file| &file.before)
    }

    /// A block about a file.
    pub(super) fn block(&self, heading: &str, path: &str, lines: Vec<ViewLine>) -> ViewBlock {
        ViewBlock {
            heading: heading.to_owned(),
            subject: Some(self.at.short(path)),
            lines,
        }
    }

    /// A file gets this content, whatever it had.
    pub(super) fn writes(&mut self, path: &str, content: &str) -> ViewBlock {
        let (heading, lines) = match self.before(path).cloned() {
            Some(Before::Text { text, .. }) => {
                let mut lines = diff(&text, content, self.room);
                if content.is_empty() && !text.is_empty() {
                    lines.insert(0, note("The file becomes empty."));
                }
                ("changes", lines)
            }
            Some(Before::Nothing) => ("creates", whole(LineKind::Added, content, self.room)),
            other => {
                let mut lines = vec![not_shown(other.as_ref())];
                lines.extend(whole(LineKind::Added, content, self.room));
                ("writes", lines)
            }
        };
        self.block(heading, path, lines)
    }

    /// Texts in a file are replaced.
    fn edits(&mut self, path: &str, changes: &[Change]) -> ViewBlock {
        let begins = changes
            .first()
            .is_some_and(|first| first.old_string.is_empty());
        let (heading, why) = match self.before(path).cloned() {
            Some(Before::Text { text, .. }) => match edited(&text, changes) {
                Ok(new) => {
                    let mut lines = Vec::new();
                    if changes.iter().any(|change| change.replace_all) {
                        lines.push(note("Every occurrence of the old text is replaced."));
                    }
                    lines.extend(diff(&text, &new, self.room));
                    return self.block("changes", path, lines);
                }
                Err(why) => ("changes", why),
            },
            Some(Before::Nothing) if begins => match edited("", changes) {
                Ok(new) => {
                    let lines = whole(LineKind::Added, &new, self.room);
                    return self.block("creates", path, lines);
                }
                Err(why) => ("creates", why),
            },
            Some(Before::Nothing) => ("changes", note("There is no such file: the edit fails.")),
            other => ("changes", not_shown(other.as_ref())),
        };
        let mut lines = vec![why];
        for (at, change) in changes.iter().enumerate() {
            lines.extend(self.replaced(at, changes.len(), change));
        }
        self.block(heading, path, lines)
    }

    /// An edit by its texts alone.
    fn replaced(&mut self, at: usize, edits: usize, change: &Change) -> Vec<ViewLine> {
        let which = match edits {
            1 => "The edit".to_owned(),
            edits => format!("Edit {} of {edits}", at + 1),
        };
        let occurrences = match change.replace_all {
            true => "every occurrence of this text",
            false => "this text",
        };
        let mut lines = vec![note(&format!("{which} replaces {occurrences}:"))];
        if change.old_string.is_empty() {
            lines.push(note("Empty: the file is created."));
        }
        lines.extend(self.room.text(LineKind::Removed, &change.old_string));
        lines.push(note(match change.new_string.is_empty() {
            true => "with nothing.",
            false => "with:",
        }));
        lines.extend(self.room.text(LineKind::Added, &change.new_string));
        lines
    }
}

/// Why a file is not shown as it is.
pub(super) fn not_shown(before: Option<&Before>) -> ViewLine {
    match before {
        Some(Before::Hidden { why, .. }) => {
            note(&format!("agp does not show the file as it is: {why}."))
        }
        _ => note("agp does not show the file as it is: it was not read."),
    }
}

/// A text with its edits, or why agp cannot say what becomes of it.
fn edited(text: &str, changes: &[Change]) -> Result<String, ViewLine> {
    if !is_bounded(text, changes) {
        return Err(note(
            "The edits could come to too much to work out the file: each is shown by its texts.",
        ));
    }
    edit::all_changed(text.to_owned(), changes).map_err(|problem| fails(&problem))
}

/// Whether the edits of a text can be worked out within bounds.
fn is_bounded(text: &str, changes: &[Change]) -> bool {
    let mut bytes = text.len();
    for change in changes {
        let times = match change.replace_all {
            true => bytes / change.old_string.len().max(1) + 1,
            false => 1,
        };
        // With line ends of two characters.
        let more = times.saturating_mul(2 * change.new_string.len());
        bytes = bytes.saturating_add(more);
        if bytes > limits::EDITED_BYTES {
            return false;
        }
    }
    bytes.saturating_mul(changes.len()) <= limits::EDITS_SEARCHED_BYTES
}

/// Why an edit fails. A harness may match more loosely than agp.
fn fails(problem: &ToolError) -> ViewLine {
    note(&match problem {
        ToolError::SameText => "Old and new text are the same: the edit fails.".to_owned(),
        ToolError::Exists => "The old text is empty, but the file is not: the edit fails.".to_owned(),
        ToolError::NotInFile(_) => {
            "The old text is not exactly in the file: the edit fails, or the harness matches it loosely."
                .to_owned()
        }
        ToolError::Ambiguous(times, _) => {
            let times = count(*times, "time");
            format!("The old text is in the file {times}: the edit fails.")
        }
        _ => "The file cannot be edited: the edit fails.".to_owned(),
    })
}

fn edit_of(edit: &Value) -> Option<Change> {
    let edit = edit.as_object()?;
    let names = ["old_string", "new_string", "replace_all"];
    let known = edit.keys().all(|name| names.contains(&name.as_str()));
    change_of(&|name| edit.get(name)).filter(|_| known)
}

fn change_of<'a>(value: &dyn Fn(&str) -> Option<&'a Value>) -> Option<Change> {
    let text = |name| value(name).and_then(Value::as_str).map(str::to_owned);
    Some(Change {
        old_string: text("old_string")?,
        new_string: text("new_string")?,
        replace_all: match value("replace_all") {
            None => false,
            Some(all) => all.as_bool()?,
        },
    })
}
