//! Which paths and hosts of a reading are dangerous by themselves.

mod credentials;
mod machine;
mod persistence;
mod rows;
mod table;

pub use table::{DangerousPaths, FIXTURES, METADATA_HOSTS, Use, all};

use rows::{Names, ROWS, Row};

use super::atoms::{AtomKind, Category, Danger, PathText, Place, Reading};
use super::disk::{Disk, FileKind};
use super::pathname;
use super::paths;
use super::surroundings::Surroundings;

/// Makes the table, where nobody waits for it yet.
pub(crate) fn warm() {
    std::sync::LazyLock::force(&ROWS);
}

/// Marks the atoms of a reading whose path or host is dangerous. Paths have been followed before.
pub fn mark(reading: &mut Reading, at: &Surroundings, disk: &dyn Disk) {
    for atom in reading.atoms.iter_mut().chain(&mut reading.mentioned) {
        let dangers = match &atom.kind {
            AtomKind::Read(place) => of_place(place, Use::Read, at, disk),
            AtomKind::Write(place) => of_place(place, Use::Write, at, disk),
            AtomKind::Host(host) => {
                let name = host.name.as_deref().unwrap_or("");
                let metadata = METADATA_HOSTS.contains(&name);
                metadata
                    .then(|| Danger {
                        category: Category::Credentials,
                        why: format!("asks {name} for the credentials of this machine"),
                    })
                    .into_iter()
                    .collect()
            }
            AtomKind::Program(_) | AtomKind::Code(_) | AtomKind::Use => Vec::new(),
        };
        for danger in dangers {
            if !atom
                .dangers
                .iter()
                .any(|known| known.category == danger.category)
            {
                atom.dangers.push(danger);
            }
        }
    }
}

/// What is dangerous about a use of a place, one danger a category at most.
#[must_use]
pub fn of_place(place: &Place, used: Use, at: &Surroundings, disk: &dyn Disk) -> Vec<Danger> {
    // Both as it is written and where it leads: a link out of a dangerous directory is in it all the same.
    let mut texts: Vec<String> = Vec::new();
    let mut tree = place.tree;
    match &place.path {
        PathText::Known(path) => texts.push(paths::normal(path)),
        PathText::Below(directory) => {
            // The root alone says nothing.
            tree |= paths::normal(directory) != "/";
            texts.push(paths::normal(directory));
        }
        PathText::Glob(directory, pattern) => {
            texts.push(paths::normal(directory));
            // A pattern of known beginning stands for what it could match there.
            texts.push(paths::join(directory, pattern));
        }
        PathText::Anywhere => {}
    }
    texts.extend(
        place
            .real
            .clone()
            .filter(|_| place.path != PathText::Anywhere),
    );
    texts.extend(place.matches.iter().cloned());
    let mut dangers: Vec<Danger> = Vec::new();
    // agp's directory in the home is nobody's to read, as its keys and journals lie there; the repository's is.
    let concerns = |protected: &&String| {
        let file = || is_file(protected, disk);
        used == Use::Write
            || paths::within(protected, &at.home)
                && !paths::within(protected, &at.repository)
                && !file()
    };
    if used != Use::Any && !at.agp.is_empty() {
        // What is not there is not changed with a tree that could hold it. Where nobody looked, it may be there.
        let meant = |protected: &str, text: &str| {
            let Some(only) = &place.only else { return true };
            let below = disk.below(protected, false);
            let mut files = below
                .iter()
                .flatten()
                .map(|file| paths::join(protected, file));
            let takes = |path: &str| {
                let below = path.strip_prefix(text).unwrap_or(path);
                pathname::below_matches(only, below.trim_start_matches('/'))
            };
            takes(protected)
                || below.is_none() && !is_file(protected, disk)
                || files.any(|file| takes(&file))
        };
        let theirs = texts.iter().find_map(|text| {
            let within = |protected: &&String| {
                paths::within(text, protected)
                    || tree
                        && paths::within(protected, text)
                        && may_be_there(protected, disk)
                        && meant(protected, text)
            };
            at.agp
                .iter()
                .find(|protected| within(protected) && concerns(protected))
        });
        if let Some(path) = theirs {
            let how = match used {
                Use::Write => "changes",
                Use::Read | Use::Any => "reads",
            };
            dangers.push(Danger {
                category: Category::Tampering,
                why: format!("{how} agp's own files: {path}"),
            });
        }
    }
    let here = rows::Here::new(at);
    for text in &texts {
        let names = Names::of(text);
        for row in ROWS.candidates(&names, tree) {
            let Row { group, .. } = row;
            let other = group.when != used && group.when != Use::Any;
            let known = dangers
                .iter()
                .any(|danger| danger.category == group.category);
            let gone = group.category == Category::Persistence && place.removes;
            // Around a tree only what is there counts.
            let there = || {
                let begins = row.beginning(&at.home);
                begins.is_none_or(|path| may_be_there(&path, disk))
            };
            let fits = || {
                row.fits(&names, false, &here) || tree && row.fits(&names, true, &here) && there()
            };
            if !other && !known && !gone && fits() {
                dangers.push(Danger {
                    category: group.category,
                    why: format!("{}: {text}", group.why),
                });
            }
        }
    }
    dangers
}

fn is_file(path: &str, disk: &dyn Disk) -> bool {
    let lies = disk.resolve(path);
    lies.is_some_and(|of| of.kind == Some(FileKind::File))
}

/// What nobody looked for may be there.
fn may_be_there(path: &str, disk: &dyn Disk) -> bool {
    disk.resolve(path).is_none_or(|place| place.kind.is_some())
}

#[cfg(test)]
mod tests;
