//! `Edit` and `MultiEdit`: exact strings replaced.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::read_state::ReadState;
use super::tool_error::ToolError;
use super::{Answer, text, write};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditArguments {
    file_path: String,
    old_string: String,
    new_string: String,
    #[serde(default)]
    replace_all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedMany {
    file_path: String,
    edits: Vec<Change>,
}

/// One text replaced by another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) old_string: String,
    pub(crate) new_string: String,
    #[serde(default)]
    pub(crate) replace_all: bool,
}

pub(super) fn edit(arguments: &EditArguments, directory: &Path, seen: &ReadState) -> Answer {
    let change = Change {
        old_string: arguments.old_string.clone(),
        new_string: arguments.new_string.clone(),
        replace_all: arguments.replace_all,
    };
    let applied = apply(&arguments.file_path, &[change], directory, seen);
    answer(applied.map(|path| format!("The file {path} has been updated successfully.")))
}

pub(super) fn multi_edit(arguments: &AskedMany, directory: &Path, seen: &ReadState) -> Answer {
    if arguments.edits.is_empty() {
        return Answer::failed("No changes to make: there are no edits.");
    }
    let applied = apply(&arguments.file_path, &arguments.edits, directory, seen);
    let edits = match arguments.edits.len() {
        1 => "1 edit".to_owned(),
        several => format!("{several} edits"),
    };
    answer(applied.map(|path| format!("Applied {edits} to {path}")))
}

fn answer(outcome: Result<String, ToolError>) -> Answer {
    match outcome {
        Ok(said) => Answer::done(said),
        Err(problem) => Answer::failed(problem),
    }
}

/// Applies all changes or none, and gives the path.
fn apply(
    file: &str,
    changes: &[Change],
    directory: &Path,
    seen: &ReadState,
) -> Result<String, ToolError> {
    let path = text::at(directory, file);
    let creates = changes
        .first()
        .is_some_and(|first| first.old_string.is_empty());
    let made = creates && !path.exists();
    let before = match made {
        true => String::new(),
        false => text::read_exactly(&path, directory)?,
    };
    let known = made || seen.is_current(&path, before.as_bytes()) == Some(true);
    let content = all_changed(before, changes)?;
    write::put(&path, &content).map_err(|error| ToolError::of_file(&path, directory, error))?;
    // What somebody else has changed besides, the model does not know.
    if known {
        seen.put(&path, content.as_bytes());
    }
    Ok(path.display().to_string())
}

/// The content with all changes made. A model gives line ends of one character; where the file's
/// have two throughout, so have the changes.
pub(crate) fn all_changed(before: String, changes: &[Change]) -> Result<String, ToolError> {
    let two = text::ends_in_two(&before);
    let one = |text: &str| text.replace("\r\n", "\n");
    let mut content = if two { one(&before) } else { before };
    for change in changes {
        content = if two {
            let alike = Change {
                old_string: one(&change.old_string),
                new_string: one(&change.new_string),
                ..*change
            };
            changed(&content, &alike)?
        } else {
            changed(&content, change)?
        };
    }
    Ok(if two {
        content.replace('\n', "\r\n")
    } else {
        content
    })
}

pub(super) fn changed(content: &str, change: &Change) -> Result<String, ToolError> {
    let Change {
        old_string: old,
        new_string: new,
        replace_all,
    } = change;
    if old == new {
        return Err(ToolError::SameText);
    }
    if old.is_empty() {
        return if content.is_empty() {
            Ok(new.clone())
        } else {
            Err(ToolError::Exists)
        };
    }
    match (content.matches(old.as_str()).count(), replace_all) {
        (0, _) => Err(ToolError::NotInFile(old.clone())),
        (1, _) | (_, true) => Ok(content.replace(taken(content, change).as_ref(), new)),
        (count, false) => Err(ToolError::Ambiguous(count, old.clone())),
    }
}

/// What is taken out for the new text. As Claude Code's own tool does it: where nothing comes in its place, the end of
/// the line goes, too.
fn taken<'a>(content: &str, change: &'a Change) -> Cow<'a, str> {
    let old = &change.old_string;
    let ended = format!("{old}\n");
    match change.new_string.is_empty() && !old.ends_with('\n') && content.contains(&ended) {
        true => Cow::Owned(ended),
        false => Cow::Borrowed(old),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_goes_with_the_end_of_its_line() {
        let change = |old: &str, new: &str, replace_all| Change {
            old_string: old.to_owned(),
            new_string: new.to_owned(),
            replace_all,
        };
        for (content, change, expected) in [
            (
                "a\n# KEEP\ncheck\n",
                change("KEEP", "", false),
                "a\n# check\n",
            ),
            ("a\nb\n", change("b", "", false), "a\n"),
            ("a\nb", change("b", "", false), "a\n"),
            ("a\nb\n", change("a\n", "", false), "b\n"),
            ("ab\n", change("a", "", false), "b\n"),
            ("x\nxy\n", change("x", "", true), "xy\n"),
            ("a\nb\n", change("b", "c", false), "a\nc\n"),
        ] {
            assert_eq!(changed(content, &change).unwrap(), expected, "{content:?}");
        }
        let two = all_changed("a\r\nb\r\n".into(), &[change("a", "", false)]);
        assert_eq!(two.unwrap(), "b\r\n");
    }
}
