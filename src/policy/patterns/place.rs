//! Holding lists of paths against a place: whether all of it is meant for certain, or something of it could be.

use super::List;
use super::name::Name;
use super::path::Path;
use crate::reading::atoms::{PathText, Place};
use crate::reading::disk::Disk;
use crate::reading::pathname;
use crate::reading::paths::{join, normal, within};
use crate::reading::surroundings::Surroundings;

/// Where a path is looked at, and from.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Ground<'a> {
    pub(in crate::policy) around: &'a Surroundings,
    pub(in crate::policy) disk: &'a dyn Disk,
}

/// A place, prepared to be held against many patterns.
pub(in crate::policy) struct Spot<'a> {
    pub(in crate::policy) place: &'a Place,
    /// The known part of the path as it was read, normal; `None` where nothing is known.
    pub(in crate::policy) written: Option<String>,
    /// Where that lies; `None` where somebody looked and could not say, or nothing is known.
    pub(in crate::policy) real: Option<String>,
    /// Where each name leads that a pathname pattern matches now, normal.
    pub(in crate::policy) matches: Vec<String>,
    /// Other names of the same file (hard links), as far as they were found.
    pub(in crate::policy) aliases: Vec<String>,
    /// The names of a pathname pattern, with whether they begin with a wildcard, which stands for no dot.
    glob: Vec<(Name, bool)>,
}

impl<'a> Spot<'a> {
    pub(in crate::policy) fn new(place: &'a Place, on: Ground<'_>) -> Self {
        let disk = on.disk;
        let (path, pattern) = match &place.path {
            PathText::Known(path) | PathText::Below(path) => (Some(path), ""),
            PathText::Glob(path, pattern) => (Some(path), pattern.as_str()),
            PathText::Anywhere => (None, ""),
        };
        let written = path.map(|path| normal(path));
        let real = match (path, &place.real) {
            (None, _) => None,
            (Some(_), Some(real)) => Some(normal(real)),
            (Some(path), None) if disk.looks() => disk.resolve(path).map(|resolved| resolved.real),
            (Some(_), None) => written.clone(),
        };
        let names = pattern.split('/').filter(|name| !name.is_empty());
        let matches: Vec<String> = place.matches.iter().map(|path| normal(path)).collect();
        let files = match &real {
            // A name that is removed leaves the others.
            Some(_) if place.removes => Vec::new(),
            Some(real) if place.tree => linked(place, real, &matches, on),
            Some(real) if place.other_names && matches.is_empty() => vec![real.clone()],
            Some(_) if place.other_names => matches.clone(),
            _ => Vec::new(),
        };
        // Where nobody can say which other names there are, it may be any file.
        let (aliases, real, matches) = match aliases(&files, on) {
            Some(aliases) => (aliases, real, matches),
            None => (Vec::new(), None, Vec::new()),
        };
        Self {
            aliases,
            place,
            written,
            real,
            matches,
            glob: names
                .map(|name| (Name::of_shell(name), name.starts_with(['*', '?', '['])))
                .collect(),
        }
    }

    /// Whether more than one path is meant.
    pub(in crate::policy) fn is_open(&self) -> bool {
        self.place.tree || !matches!(self.place.path, PathText::Known(_))
    }

    /// Whether it may lie anywhere.
    pub(in crate::policy) fn may_be_anywhere(&self) -> bool {
        self.written.is_none() || self.real.is_none()
    }

    /// What was written and where that lies.
    pub(in crate::policy) fn paths(&self) -> impl Iterator<Item = &str> {
        let real = self.real.as_ref().filter(|_| self.real != self.written);
        self.written.iter().chain(real).map(String::as_str)
    }

    /// As it was written, and where that leads; what may lie anywhere holds always.
    fn either(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.real.is_none() || self.paths().any(holds)
    }

    /// The root of a tree.
    fn root(&self) -> &str {
        let root = self.real.as_ref().or(self.written.as_ref());
        root.map_or("/", String::as_str)
    }
}

/// Files of a tree that have other names. Where they cannot be listed, the tree is taken for whatever could be in it.
fn linked(place: &Place, real: &str, matches: &[String], on: Ground<'_>) -> Vec<String> {
    let roots: &[String] = match (&place.path, matches) {
        (PathText::Known(_), []) => &[real.to_owned()],
        (_, matches) => matches,
    };
    let of_root = |root: &String| {
        let files = on.disk.linked(root, place.leaves_out_ignored);
        let taken = files.into_iter().flatten().filter(|file| place.takes(file));
        taken.map(|file| join(root, &file)).collect::<Vec<_>>()
    };
    roots.iter().flat_map(of_root).collect()
}

/// Other names of files: in the repository as far as it is looked through, else beside them; at the top of the home and
/// where it keeps keys. `None` where there may be more: the budget is spent, or a file that git does not ignore has names
/// behind those that are looked at.
fn aliases(files: &[String], on: Ground<'_>) -> Option<Vec<String>> {
    let identity = |path: &str| on.disk.resolve(path).and_then(|resolved| resolved.identity);
    let linked = files.iter().filter_map(|real| {
        let resolved = on.disk.resolve(real)?;
        Some((real, resolved.identity.filter(|_| resolved.other_names)?))
    });
    let linked: Vec<(&String, (u64, u64))> = linked.collect();
    if linked.is_empty() {
        return (files.is_empty() || !on.disk.spent()).then(Vec::new);
    }
    let around = on.around;
    let keys = join(&around.home, ".ssh");
    let mut directories = vec![around.home.as_str(), &keys];
    let listed = on.disk.inodes(&around.repository).unwrap_or_default();
    if !listed.whole {
        // A package manager's store and a build's files have many names, none of which a person has written.
        let kept = |(real, _): &(&String, _)| on.disk.ignored(real) != Some(true);
        let within = |(real, _): &(&String, _)| within(real, &around.repository);
        if linked.iter().any(|file| within(file) && kept(file)) {
            return None;
        }
        for (real, _) in &linked {
            let above = real.rsplit_once('/').map_or("/", |(above, _)| above);
            if !directories.contains(&above) {
                directories.push(above);
            }
        }
    }
    let inode = |number: u64| linked.iter().any(|(_, (_, inode))| *inode == number);
    let inside = listed.names.iter().filter(|(_, number)| inode(*number));
    let mut paths: Vec<String> = inside
        .map(|(name, _)| join(&around.repository, name))
        .collect();
    for directory in directories {
        let names = on.disk.names(directory).into_iter().flatten();
        paths.extend(names.map(|name| join(directory, &name)));
    }
    paths.retain(|path| {
        let same = |file| linked.iter().any(|(_, linked)| *linked == file);
        !files.contains(path) && identity(path).is_some_and(same)
    });
    (!on.disk.spent()).then_some(paths)
}

impl List<Path> {
    /// Whether all of a place is in the list for certain.
    pub(in crate::policy) fn certain(&self, spot: &Spot<'_>, on: Ground<'_>) -> bool {
        let Some(real) = &spot.real else { return false };
        let holds = |path: &str, below: bool| {
            self.included.is_empty()
                || self.included.iter().any(|own| match below {
                    true => own.matches_all_below(path, on.around),
                    false => own.matches(path, on.around),
                })
        };
        // Names that a pattern matches now may be links to elsewhere.
        let mut matched = spot.matches.iter();
        holds(real, spot.is_open())
            && matched.all(|path| holds(path, spot.place.tree))
            && !self.excluded.iter().any(|own| could(own, spot, on))
    }

    /// Whether something of a place could be in the list.
    pub(in crate::policy) fn could(&self, spot: &Spot<'_>, on: Ground<'_>) -> bool {
        let by_alias = |path: &String| {
            let chosen = |own: &Path| own.matches(path, on.around);
            self.has(chosen, chosen)
        };
        spot.aliases.iter().any(by_alias) || self.could_itself(spot, on)
    }

    /// Of a tree that is not in the list as a whole: the first file in it that is, relative to the tree.
    pub(in crate::policy) fn file_in_tree(
        &self,
        spot: &Spot<'_>,
        on: Ground<'_>,
    ) -> Option<String> {
        let (place, root) = (spot.place, spot.root());
        let whole = |own: &Path| own.matches(root, on.around);
        if !matches!(place.path, PathText::Known(_)) || self.has(whole, whole) {
            return None;
        }
        let files = on.disk.below(root, place.leaves_out_ignored)?;
        let by_name = files.into_iter().find(|file| {
            let path = normal(&join(root, file));
            let itself = |own: &Path| own.matches(&path, on.around);
            let chosen = |own: &Path| itself(own) || own.names_above(&path, root, on.around);
            place.takes(file) && self.has(chosen, itself)
        });
        by_name.or_else(|| {
            let identity = |path: &str| on.disk.resolve(path)?.identity;
            let alias = spot.aliases.iter().find(|path| {
                let chosen = |own: &Path| own.matches(path, on.around);
                self.has(chosen, chosen)
            })?;
            let other = identity(alias)?;
            let mut files = linked(place, root, &spot.matches, on).into_iter();
            let file = files.find(|file| identity(file) == Some(other))?;
            let file = file.strip_prefix(root)?.trim_start_matches('/');
            let name = alias.rsplit('/').next().unwrap_or(alias);
            Some(format!("{file}, another name of {name}"))
        })
    }

    /// The same by the names that the call gives it.
    fn could_itself(&self, spot: &Spot<'_>, on: Ground<'_>) -> bool {
        let place = spot.place;
        match (spot.is_open(), self.excluded.is_empty()) {
            (false, false) => {
                let real = spot.real.as_ref();
                let out = |own: &Path| real.is_some_and(|real| own.matches(real, on.around));
                self.has(|own| could(own, spot, on), out)
            }
            // What a pattern's names are now was looked up.
            (true, false) if !spot.matches.is_empty() && !place.tree => {
                spot.matches.iter().any(|path| {
                    let chosen = |own: &Path| own.matches(path, on.around);
                    self.has(chosen, chosen)
                })
            }
            (true, false) if self.covers_whole(spot, on) => false,
            (true, false) if place.tree => self.could_tree(spot, on),
            _ => self.included.is_empty() || self.included.iter().any(|own| could(own, spot, on)),
        }
    }

    /// Whether one exclusion takes all of a place out.
    fn covers_whole(&self, spot: &Spot<'_>, on: Ground<'_>) -> bool {
        spot.real.as_ref().is_some_and(|real| {
            let mut excluded = self.excluded.iter();
            excluded.any(|own| own.matches_all_below(real, on.around))
        })
    }

    /// A tree has something of the list where a file in it is that no exclusion takes out.
    fn could_tree(&self, spot: &Spot<'_>, on: Ground<'_>) -> bool {
        let place = spot.place;
        let could_included =
            || self.included.is_empty() || self.included.iter().any(|own| could(own, spot, on));
        let root = spot.root();
        let roots = match &place.path {
            PathText::Known(_) => vec![root],
            // What a pattern's names are now was looked up.
            PathText::Glob(..) => spot.matches.iter().map(String::as_str).collect(),
            PathText::Below(_) | PathText::Anywhere => Vec::new(),
        };
        if roots.is_empty() {
            return could_included();
        }
        roots.into_iter().any(|root| {
            let itself = |own: &Path| own.matches(root, on.around);
            if self.has(itself, itself) {
                return true;
            }
            match on.disk.below(root, place.leaves_out_ignored) {
                Some(files) => files.iter().any(|file| {
                    if !place.takes(file) {
                        return false;
                    }
                    let file = normal(&join(root, file));
                    let chosen = |own: &Path| own.matches(&file, on.around);
                    self.has(chosen, chosen)
                }),
                None => could_included(),
            }
        })
    }
}

/// Whether something of a place could match.
pub(in crate::policy) fn could(own: &Path, spot: &Spot<'_>, on: Ground<'_>) -> bool {
    let (place, around) = (spot.place, on.around);
    let matched = |path: &String| match place.tree {
        true => tree_has(own, path, place, on),
        false => own.matches(path, around),
    };
    if spot.matches.iter().any(matched) {
        return true;
    }
    match &place.path {
        PathText::Anywhere => true,
        PathText::Below(_) => spot.either(|path| own.could_below(path, around)),
        // What the names are now was looked up.
        PathText::Glob(..) => {
            spot.matches.is_empty()
                && spot.either(|path| own.could_glob(path, &spot.glob, place.tree, around))
        }
        PathText::Known(_) if place.tree => spot.either(|path| tree_has(own, path, place, on)),
        PathText::Known(_) => spot.either(|path| own.matches(path, around)),
    }
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
