//! Holding lists of paths against a place: whether all of it is meant for certain, or something of it could be.

use super::List;
use super::path::Path;
use crate::reading::atoms::{PathText, Place};
use crate::reading::disk::Disk;
use crate::reading::pathname;
use crate::reading::paths::{join, normal};
use crate::reading::surroundings::Surroundings;

/// Where a path is looked at, and from.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Ground<'a> {
    pub(in crate::policy) around: &'a Surroundings,
    pub(in crate::policy) disk: &'a dyn Disk,
}

impl Ground<'_> {
    /// Where a known path lies for certain; `None` where somebody looked and could not say.
    fn place(&self, path: &str, place: &Place) -> Option<String> {
        if let Some(real) = &place.real {
            return Some(normal(real));
        }
        match self.disk.looks() {
            true => self.disk.resolve(path).map(|found| found.real),
            false => Some(normal(path)),
        }
    }
}

impl List<Path> {
    /// Whether all of a place is in the list for certain.
    pub(in crate::policy) fn certain(&self, place: &Place, on: Ground<'_>) -> bool {
        let (path, below) = match &place.path {
            PathText::Known(path) => (path, place.tree),
            PathText::Below(path) | PathText::Glob(path, _) => (path, true),
            PathText::Anywhere => return false,
        };
        let Some(real) = on.place(path, place) else {
            return false;
        };
        let holds = |path: &str, below: bool| {
            self.included.is_empty()
                || self.included.iter().any(|own| match below {
                    true => own.matches_all_below(path, on.around),
                    false => own.matches(path, on.around),
                })
        };
        // Names that a pattern matches now may be links to elsewhere.
        let matched = place.matches.iter();
        holds(&real, below)
            && matched
                .into_iter()
                .all(|path| holds(&normal(path), place.tree))
            && !self.excluded.iter().any(|own| could(own, place, on))
    }

    /// Whether something of a place could be in the list.
    pub(in crate::policy) fn could(&self, place: &Place, on: Ground<'_>) -> bool {
        let known = match &place.path {
            PathText::Known(path) if !place.tree => Some(path),
            _ => None,
        };
        match (known, self.excluded.is_empty()) {
            (Some(path), false) => {
                let real = on.place(path, place).unwrap_or_else(|| normal(path));
                let out = |own: &Path| own.matches(&real, on.around);
                self.has(|own| could(own, place, on), out)
            }
            // What a pattern's names are now was looked up.
            (None, false) if !place.matches.is_empty() && !place.tree => {
                place.matches.iter().any(|path| {
                    let path = normal(path);
                    let chosen = |own: &Path| own.matches(&path, on.around);
                    self.has(chosen, chosen)
                })
            }
            (None, false) if self.covers_whole(place, on) => false,
            (None, false) if place.tree => self.could_tree(place, on),
            _ => self.included.is_empty() || self.included.iter().any(|own| could(own, place, on)),
        }
    }

    /// Whether one exclusion takes all of a place out.
    fn covers_whole(&self, place: &Place, on: Ground<'_>) -> bool {
        let (PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _)) = &place.path
        else {
            return false;
        };
        let real = on.place(path, place);
        real.is_some_and(|real| {
            let mut excluded = self.excluded.iter();
            excluded.any(|own| own.matches_all_below(&real, on.around))
        })
    }

    /// A tree has something of the list where a file in it is that no exclusion takes out.
    fn could_tree(&self, place: &Place, on: Ground<'_>) -> bool {
        let PathText::Known(path) = &place.path else {
            return true;
        };
        let root = on.place(path, place).unwrap_or_else(|| normal(path));
        let itself = |own: &Path| own.matches(&root, on.around);
        if self.has(itself, itself) {
            return true;
        }
        match on.disk.below(&root, place.leaves_out_ignored) {
            Some(files) => files.iter().any(|file| {
                if !place.takes(file) {
                    return false;
                }
                let file = normal(&join(&root, file));
                let chosen = |own: &Path| own.matches(&file, on.around);
                self.has(chosen, chosen)
            }),
            None => {
                self.included.is_empty() || self.included.iter().any(|own| could(own, place, on))
            }
        }
    }
}

/// Whether something of a place could match.
pub(in crate::policy) fn could(own: &Path, place: &Place, on: Ground<'_>) -> bool {
    let around = on.around;
    let matched = |path: &String| match place.tree {
        true => own.could_below(&normal(path), around),
        false => own.matches(&normal(path), around),
    };
    if place.matches.iter().any(matched) {
        return true;
    }
    match &place.path {
        PathText::Anywhere => true,
        PathText::Below(path) => both(path, place, on, |path| own.could_below(path, around)),
        PathText::Glob(path, pattern) => {
            // What the names are now was looked up.
            place.matches.is_empty()
                && both(path, place, on, |path| {
                    own.could_glob(path, pattern, place.tree, around)
                })
        }
        PathText::Known(path) if place.tree => {
            both(path, place, on, |path| tree_has(own, path, place, on))
        }
        PathText::Known(path) => match on.place(path, place) {
            // It may lie anywhere.
            None => true,
            Some(real) => own.matches(&normal(path), around) || own.matches(&real, around),
        },
    }
}

/// As it was written, and where that leads.
fn both(path: &str, place: &Place, on: Ground<'_>, holds: impl Fn(&str) -> bool) -> bool {
    let written = normal(path);
    holds(&written)
        || on
            .place(path, place)
            .is_none_or(|real| real != written && holds(&real))
}

impl Place {
    /// Whether a file below a tree is one of those that are meant.
    fn takes(&self, file: &str) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| pathname::below_matches(only, file))
    }
}

/// Whether a tree has something that exists and matches.
fn tree_has(own: &Path, root: &str, place: &Place, on: Ground<'_>) -> bool {
    if !own.could_below(root, on.around) {
        return false;
    }
    let whole = own.matches(root, on.around) || own.matches_all_below(root, on.around);
    if whole && place.only.is_none() {
        return true;
    }
    // Where nobody looks, a name that could stand anywhere is not taken to stand here.
    if !on.disk.looks() {
        return !own.begins_anywhere();
    }
    // What is removed may be a directory's name, which no file's name says.
    match on.disk.below(root, place.leaves_out_ignored) {
        Some(files) => files.iter().any(|file| {
            if !place.takes(file) {
                return false;
            }
            let file = normal(&join(root, file));
            own.matches(&file, on.around) || own.names_above(&file, root, on.around)
        }),
        None => true,
    }
}

impl Path {
    /// Whether a directory between a root and a file below it matches.
    fn names_above(&self, file: &str, root: &str, around: &Surroundings) -> bool {
        let mut above = file;
        while let Some((next, _)) = above.rsplit_once('/') {
            if next.len() <= root.len() {
                return false;
            }
            if self.matches(next, around) {
                return true;
            }
            above = next;
        }
        false
    }
}
