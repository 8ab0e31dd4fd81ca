//! Why a tool did not do what it was asked, in words that a model knows from its harness's own tools.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::grep::TYPES;

/// Why a tool did not do what it was asked.
#[derive(Debug)]
pub(crate) enum ToolError {
    /// There is no such tool.
    NoTool(String),
    /// The arguments are not the tool's.
    Arguments(serde_json::Error),
    /// The pattern is no regular expression.
    Expression(regex::Error),
    /// The glob is none.
    Glob(globset::Error),
    /// The glob is longer than so many bytes.
    LongGlob(usize),
    /// There is no such type of files.
    Type(String),
    /// A file cannot be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// Where relative paths start.
        directory: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is no text.
    Binary(PathBuf),
    /// The file is to be written back, and is not UTF-8.
    NotUtf8(PathBuf),
    /// An edit changes nothing.
    SameText,
    /// An edit would create a file that exists.
    Exists,
    /// The text to replace is not in the file.
    NotInFile(String),
    /// The text to replace is in the file so many times.
    Ambiguous(usize, String),
}

impl ToolError {
    pub(super) fn of_file(path: &Path, directory: &Path, error: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            directory: directory.to_owned(),
            error,
        }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTool(name) => write!(f, "No such tool available: {name}"),
            Self::Arguments(error) => write!(f, "InputValidationError: {error}"),
            Self::Expression(error) => write!(f, "Invalid regular expression: {error}"),
            Self::Glob(error) => write!(f, "Invalid glob pattern: {error}"),
            Self::LongGlob(bytes) => {
                write!(f, "Invalid glob pattern: it is longer than {bytes} bytes")
            }
            Self::Type(name) => {
                let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
                write!(f, "Unknown type {name}; known: {}", known.join(" "))
            }
            Self::File {
                path,
                directory,
                error,
            } => {
                let path = path.display();
                match error.kind() {
                    io::ErrorKind::NotFound => write!(
                        f,
                        "File does not exist. Note: your current working directory is {}.",
                        directory.display()
                    ),
                    io::ErrorKind::IsADirectory => {
                        write!(f, "EISDIR: illegal operation on a directory, read '{path}'")
                    }
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        "EACCES: permission denied, '{path}' (the sandbox or its rights do not let \
                        it)"
                    ),
                    _ => write!(f, "{path}: {error}"),
                }
            }
            Self::Binary(path) => write!(
                f,
                "This tool cannot read binary files. {} appears to be one.",
                path.display()
            ),
            Self::NotUtf8(path) => {
                write!(
                    f,
                    "{} is not UTF-8 text; it was not changed",
                    path.display()
                )
            }
            Self::SameText => {
                f.write_str("No changes to make: old_string and new_string are exactly the same.")
            }
            Self::Exists => f.write_str("Cannot create new file - file already exists."),
            Self::NotInFile(text) => {
                write!(f, "String to replace not found in file.\nString: {text}")
            }
            Self::Ambiguous(count, text) => write!(
                f,
                "Found {count} matches of the string to replace, but replace_all is false. To \
                replace all occurrences, set replace_all to true. To replace only one occurrence, \
                please provide more context to uniquely identify the instance.\nString: {text}"
            ),
        }
    }
}
