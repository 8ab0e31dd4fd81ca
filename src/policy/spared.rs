//! What a removal does not lose: what git ignores, what this session made, and names that do not exist.

use super::call::Conditions;
use crate::reading::atoms::{Atom, AtomKind, PathText, Place, Program, Reading, Source};
use crate::reading::disk::Disk;
use crate::reading::pathname;
use crate::reading::paths::{join, normal, within};

/// Programs whose writes bring nothing that is lost elsewhere: what they make is the session's.
const MAKERS: [&str; 6] = ["mkdir", "touch", "tee", "cp", "install", "mktemp"];

/// Whether a write brings nothing that stands nowhere else. A move does.
pub(super) fn only_makes(reading: &Reading, atom: &Atom) -> bool {
    if matches!(atom.source, Source::Redirection | Source::Tool) {
        return true;
    }
    let program = atom.program.and_then(|at| reading.atoms.get(at));
    let entry = program.and_then(|program| match &program.kind {
        AtomKind::Program(program) => entry(program),
        _ => None,
    });
    entry.is_some_and(|entry| MAKERS.contains(&entry))
}

fn entry(program: &Program) -> Option<&str> {
    program.entry.as_deref()
}

/// Whether a call makes files.
fn writes(reading: &Reading) -> bool {
    reading.atoms.iter().any(|atom| match &atom.kind {
        AtomKind::Write(place) => !place.removes,
        AtomKind::Code(_) => true,
        _ => false,
    })
}

/// Whether nothing is lost by a removal.
pub(super) fn is_spared(
    reading: &Reading,
    place: &Place,
    at: &Conditions<'_>,
    disk: &dyn Disk,
) -> bool {
    if !disk.looks() || !place.removes {
        return false;
    }
    let paths = match &place.path {
        PathText::Known(path) => {
            let root = place.real.clone().unwrap_or_else(|| normal(path));
            match &place.only {
                None => vec![root],
                Some(only) => match disk.below(&root, place.leaves_out_ignored) {
                    Some(files) => {
                        let files = files
                            .iter()
                            .filter(|file| pathname::below_matches(only, file));
                        files.map(|file| normal(&join(&root, file))).collect()
                    }
                    None => return false,
                },
            }
        }
        PathText::Glob(..) if !place.matches.is_empty() => place.matches.clone(),
        // It matches nothing.
        PathText::Glob(directory, pattern)
            if !pattern.contains('/') && disk.names(directory).is_some() =>
        {
            return !writes(reading);
        }
        _ => return false,
    };
    let trusted = !changes_ignored(reading, at);
    paths.iter().all(|path| {
        let made = at.memory.is_some_and(|memory| memory.made(path));
        made || (trusted && disk.ignored(path) == Some(true))
            || is_absent(reading, path, disk)
            || all_made(path, at, disk)
    })
}

/// Whether all files of a directory, and some, were made by this session.
fn all_made(path: &str, at: &Conditions<'_>, disk: &dyn Disk) -> bool {
    let Some(memory) = at.memory else {
        return false;
    };
    let git = disk.resolve(&join(path, ".git"));
    if git.is_none_or(|git| git.kind.is_some()) {
        return false;
    }
    let files = disk.below(path, false).unwrap_or_default();
    !files.is_empty()
        && files
            .iter()
            .all(|file| memory.made(&normal(&join(path, file))))
}

/// Whether this session or this call changes what git ignores.
fn changes_ignored(reading: &Reading, at: &Conditions<'_>) -> bool {
    let says = |path: &str| path.ends_with("/.gitignore") || path.ends_with("/.git/info/exclude");
    let before = at
        .memory
        .is_some_and(|memory| memory.written().iter().any(|path| says(path)));
    before
        || reading.atoms.iter().any(|atom| match &atom.kind {
            AtomKind::Write(place) if !place.removes => match &place.path {
                PathText::Known(path) => says(&normal(path)),
                PathText::Glob(_, pattern) => pattern.contains(['*', '?', '[', '.']),
                PathText::Below(_) | PathText::Anywhere => true,
            },
            _ => false,
        })
}

/// Whether nothing lies at a path, and nothing is moved there before.
fn is_absent(reading: &Reading, path: &str, disk: &dyn Disk) -> bool {
    if disk.resolve(path).is_none_or(|found| found.kind.is_some()) {
        return false;
    }
    reading.atoms.iter().all(|atom| match &atom.kind {
        AtomKind::Write(place) if !place.removes => {
            let (PathText::Known(other) | PathText::Below(other) | PathText::Glob(other, _)) =
                &place.path
            else {
                return false;
            };
            let other = place.real.clone().unwrap_or_else(|| normal(other));
            only_makes(reading, atom) || !(within(&other, path) || within(path, &other))
        }
        _ => true,
    })
}
