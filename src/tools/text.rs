//! Files as text: read whole within a bound, or refused in words a model understands.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet};
use rustix::fs::OFlags;

use super::tool_error::ToolError;

/// Bytes of a file that a tool reads: an editor's worth, far below the sandbox's memory.
pub(super) const FILE_BYTES: u64 = 32 << 20;
/// Bytes at a file's beginning among which a NUL tells that it is no text.
const LOOKED_AT: usize = 8192;

/// Bytes of a glob: a longer one may nest deeper than can be compiled.
const GLOB_BYTES: usize = 1024;

/// A glob that a model gives.
pub(super) fn glob(pattern: &str) -> Result<GlobSet, ToolError> {
    if pattern.len() > GLOB_BYTES {
        return Err(ToolError::LongGlob(GLOB_BYTES));
    }
    // A set says so where one cannot be compiled; a matcher panics.
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.and_then(|glob| GlobSet::builder().add(glob).build())
        .map_err(ToolError::Glob)
}

/// A file's content within a bound, if it is a regular file and no link, as git reads its rules.
pub(super) fn unlinked(path: &Path, bytes: usize) -> Option<Vec<u8>> {
    // Were it a pipe, opening it would wait.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).ok()?;
    let length = file
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)?
        .len();
    let bound = u64::try_from(bytes).ok().filter(|bound| length <= *bound)?;
    let mut text = Vec::new();
    file.take(bound).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Whether every line ends in two characters, which a model need not know of.
pub(crate) fn ends_in_two(content: &str) -> bool {
    let two = content.matches("\r\n").count();
    two > 0 && two == content.matches('\n').count()
}

/// A path as a model gives it, from `directory` where it is relative, without the `.` in it that would be
/// in every answer.
pub(super) fn at(directory: &Path, path: &str) -> PathBuf {
    directory.join(path).components().collect()
}

/// Bytes that a search reads at a time: most files of a repository are smaller.
const READ_BYTES: usize = 64 << 10;

/// A buffer through which a search reads one file after the other.
#[derive(Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// A file's content, if it is text and no longer than [`FILE_BYTES`]; of a binary file, only
    /// its beginning is read.
    pub(super) fn text_of(&mut self, path: &Path) -> Option<&[u8]> {
        // Were it a pipe by now, opening it would wait.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .custom_flags(nonblocking)
            .open(path)
            .ok()?;
        let mut filled = 0;
        loop {
            if self.0.len() < filled + READ_BYTES {
                self.0.resize(filled + READ_BYTES, 0);
            }
            let got = file.read(self.0.get_mut(filled..)?).ok()?;
            let beginning = self
                .0
                .get(filled.min(LOOKED_AT)..(filled + got).min(LOOKED_AT));
            if beginning?.contains(&0) {
                return None;
            }
            filled += got;
            if filled as u64 > FILE_BYTES {
                return None;
            }
            if got == 0 {
                return self.0.get(..filled);
            }
        }
    }
}

/// Reads a text file.
pub(super) fn read(path: &Path, directory: &Path) -> Result<String, ToolError> {
    let bytes = bytes(path).map_err(|error| ToolError::of_file(path, directory, error))?;
    if bytes.iter().take(LOOKED_AT).any(|byte| *byte == 0) {
        return Err(ToolError::Binary(path.to_owned()));
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()))
}

/// Reads a file that will be written back: it must be UTF-8, or writing would change the rest.
pub(super) fn read_exactly(path: &Path, directory: &Path) -> Result<String, ToolError> {
    let bytes = bytes(path).map_err(|error| ToolError::of_file(path, directory, error))?;
    String::from_utf8(bytes).map_err(|_| ToolError::NotUtf8(path.to_owned()))
}

/// A file's content, if it is a regular file and no longer than [`FILE_BYTES`].
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe or device would block, or never end.
    if !path.metadata()?.is_file() {
        let what = if path.is_dir() {
            io::ErrorKind::IsADirectory.into()
        } else {
            io::Error::other("not a regular file")
        };
        return Err(what);
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::other(format!(
            "larger than {} MiB; read it in parts with Bash",
            FILE_BYTES >> 20
        )));
    }
    Ok(bytes)
}
