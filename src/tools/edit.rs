//! `Edit` and `MultiEdit`: exact strings replaced.

use std::path::Path;

use serde::Deserialize;

use super::{Answer, text, write};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    old_string: String,
    new_string: String,
    #[serde(default)]
    replace_all: bool,
}

pub(super) fn edit(asked: &Asked, directory: &Path) -> Answer {
    let change = Change {
        old_string: asked.old_string.clone(),
        new_string: asked.new_string.clone(),
        replace_all: asked.replace_all,
    };
    answer(apply(&asked.file_path, &[change], directory).map(|path| {
        if asked.replace_all {
            format!("The file {path} has been updated. All occurrences were successfully replaced.")
        } else {
            format!("The file {path} has been updated successfully.")
        }
    }))
}

pub(super) fn multi_edit(asked: &AskedMany, directory: &Path) -> Answer {
    if asked.edits.is_empty() {
        return Answer::failed("No changes to make: there are no edits.");
    }
    let applied = apply(&asked.file_path, &asked.edits, directory);
    answer(applied.map(|path| format!("Applied {} edits to {path}", asked.edits.len())))
}

fn answer(outcome: Result<String, String>) -> Answer {
    match outcome {
        Ok(said) => Answer::done(said),
        Err(problem) => Answer::failed(problem),
    }
}

/// Applies all changes or none.
fn apply(file: &str, changes: &[Change], directory: &Path) -> Result<String, String> {
    let path = text::at(directory, file);
    let creates = changes
        .first()
        .is_some_and(|first| first.old_string.is_empty());
    let mut content = if creates && !path.exists() {
        String::new()
    } else {
        text::read_exactly(&path, directory)?
    };
    for change in changes {
        content = changed(&content, change)?;
    }
    write::put(&path, &content).map_err(|error| text::failed(&path, directory, &error))?;
    Ok(path.display().to_string())
}

fn changed(content: &str, change: &Change) -> Result<String, String> {
    let Change {
        old_string: old,
        new_string: new,
        replace_all,
    } = change;
    if old == new {
        return Err(
            "No changes to make: old_string and new_string are exactly the same.".to_owned(),
        );
    }
    if old.is_empty() {
        return if content.is_empty() {
            Ok(new.clone())
        } else {
            Err("Cannot create new file - file already exists.".to_owned())
        };
    }
    match (content.matches(old.as_str()).count(), replace_all) {
        (0, _) => Err(format!(
            "String to replace not found in file.\nString: {old}"
        )),
        (1, _) | (_, true) => Ok(content.replace(old.as_str(), new)),
        (found, false) => Err(format!(
            "Found {found} matches of the string to replace, but replace_all is false. To replace \
             all occurrences, set replace_all to true. To replace only one occurrence, please \
             provide more context to uniquely identify the instance.\nString: {old}"
        )),
    }
}
