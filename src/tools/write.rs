//! `Write`: a whole file.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::read_state::ReadState;
use super::tool_error::ToolError;
use super::{Answer, text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteArguments {
    file_path: String,
    content: String,
}

/// The refusal of a file that somebody else has changed.
const UNSEEN: &str = "File has been modified since read, either by the user or by a linter. Read it \
    again before attempting to write it.";

pub(super) fn write(arguments: &WriteArguments, directory: &Path, seen: &ReadState) -> Answer {
    let path = text::at(directory, &arguments.file_path);
    let name = path.display();
    if path.is_dir() {
        return Answer::failed(format!(
            "{name} is a directory, not a file. To create a file inside it, include the file name in \
             file_path."
        ));
    }
    // What cannot be read is not known either.
    let there = text::bytes(&path).unwrap_or_default();
    if !there.is_empty() && seen.is_current(&path, &there) == Some(false) {
        return Answer::failed(UNSEEN);
    }
    let updates = path.exists();
    if let Err(error) = put(&path, &arguments.content) {
        return Answer::failed(ToolError::of_file(&path, directory, error));
    }
    seen.put(&path, arguments.content.as_bytes());
    Answer::done(match updates {
        true => format!("The file {name} has been updated successfully."),
        false => format!("File created successfully at: {name}"),
    })
}

/// Writes a file, and the directories above it.
pub(super) fn put(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    fs::write(path, content)
}
