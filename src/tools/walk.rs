//! The files below a directory, without version control's own and what `.gitignore` leaves out.
//! Links are not followed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ignore::Ignored;

/// Directories deep.
const DEPTH: usize = 128;
/// Directories of version control systems.
const CONTROL: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

/// Calls `each` with every file, in the order of names, until it breaks.
pub(super) fn files(root: &Path, each: &mut dyn FnMut(&Path) -> ControlFlow<()>) {
    let mut ignored = Ignored::default();
    // What the directories above say holds here too, up to the repository's root.
    let mut above: Vec<&Path> = root.ancestors().skip(1).collect();
    if root.join(".git").exists() {
        above.clear();
    }
    if let Some(top) = above.iter().position(|path| path.join(".git").exists()) {
        for path in above.iter().take(top + 1).rev() {
            ignored = ignored.and_of(path);
        }
    }
    let _ = below(root, &ignored, DEPTH, each);
}

fn below(
    directory: &Path,
    ignored: &Ignored,
    depth: usize,
    each: &mut dyn FnMut(&Path) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Ok(entries) = fs::read_dir(directory) else {
        // What cannot be entered is not searched, as with any search tool.
        return ControlFlow::Continue(());
    };
    let ignored = ignored.and_of(directory);
    let mut entries: Vec<fs::DirEntry> = entries.flatten().collect();
    entries.sort_by_cached_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        if ignored.covers(&path, kind.is_dir()) {
            continue;
        }
        if kind.is_file() {
            each(&path)?;
        } else if kind.is_dir()
            && depth > 0
            && !CONTROL.iter().any(|name| entry.file_name() == *name)
        {
            below(&path, &ignored, depth - 1, each)?;
        }
    }
    ControlFlow::Continue(())
}

/// Sorts files by the time of their last change, the newest first.
pub(super) fn newest_first(files: &mut [PathBuf]) {
    files.sort_by_cached_key(|path| {
        let changed = path.metadata().and_then(|meta| meta.modified());
        std::cmp::Reverse(changed.unwrap_or(SystemTime::UNIX_EPOCH))
    });
}
