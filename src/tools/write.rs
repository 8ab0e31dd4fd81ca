//! `Write`: a whole file.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Answer, text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    file_path: String,
    content: String,
}

pub(super) fn write(asked: &Asked, directory: &Path) -> Answer {
    let path = text::at(directory, &asked.file_path);
    let there = path.exists();
    match put(&path, &asked.content) {
        Err(error) => Answer::failed(text::failed(&path, directory, &error)),
        Ok(()) if there => Answer::done(format!(
            "The file {} has been updated successfully.",
            path.display()
        )),
        Ok(()) => Answer::done(format!("File created successfully at: {}", path.display())),
    }
}

/// Writes a file, and the directories above it.
pub(super) fn put(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    fs::write(path, content)
}
