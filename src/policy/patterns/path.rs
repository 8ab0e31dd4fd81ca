//! Paths: `*` is a part of a name, `**` any number of names, and what a path is relative to.

use super::name::Name;
use super::{List, PatternError};
use crate::contracts::secret;
use crate::reading::atoms::{PathText, Place};
use crate::reading::disk::Disk;
use crate::reading::pathname;
use crate::reading::paths::{join, normal, within};
use crate::reading::surroundings::Surroundings;

/// What `${system}` is: directories that only root writes. Nothing of a person's lies in them.
pub(in crate::policy) const SYSTEM: [&str; 25] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/snap",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system",
    "/sys/fs/cgroup",
];

/// Names of a pattern at most: states fit the bits of a word.
const NAMES: usize = 62;

/// What a pattern is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::policy) enum Base {
    Root,
    Repository,
    Home,
    Temporary,
    System,
}

impl Base {
    /// Its directories, normal. Empty where it is not known.
    pub(in crate::policy) fn directories(self, around: &Surroundings) -> Vec<&str> {
        let known = |directory: &'static str| vec![directory];
        let given = |directory| match directory {
            "" => Vec::new(),
            directory => vec![directory],
        };
        match self {
            Self::Root => known("/"),
            Self::Repository => given(around.repository.as_str()),
            Self::Home => given(around.home.as_str()),
            Self::Temporary => given(around.temporary.as_str()),
            Self::System => SYSTEM.to_vec(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`: any number of names, none too.
    Any,
    One(Name),
}

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Path {
    text: String,
    base: Base,
    parts: Vec<Part>,
}

/// The states that a pattern can be in: a bit each, the last one is the end.
type States = u64;

impl Path {
    /// Reads one.
    ///
    /// # Errors
    /// What makes it no pattern, and what to write instead.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |wrong| PatternError::Path(text.to_owned(), wrong);
        if !secret::placeholders(text).is_empty() {
            return Err(error("a path cannot name a secret"));
        }
        let (base, rest) = if let Some(rest) = text.strip_prefix("${") {
            let Some((name, rest)) = rest.split_once('}') else {
                return Err(error("${ has no }"));
            };
            let base = match name {
                "repo" => Base::Repository,
                "home" => Base::Home,
                "tmp" => Base::Temporary,
                "system" => Base::System,
                _ => {
                    return Err(error("use ${repo}, ${home}, ${tmp} or ${system}"));
                }
            };
            if !rest.is_empty() && !rest.starts_with('/') {
                return Err(error("write a / behind the }"));
            }
            (base, rest)
        } else if text == "~" || text.starts_with("~/") {
            (Base::Home, text.trim_start_matches('~'))
        } else if text.starts_with('~') {
            return Err(error("write the home of another user as a path"));
        } else if text.starts_with('/') {
            (Base::Root, text)
        } else if text.contains('/') {
            (Base::Repository, text)
        } else {
            (Base::Root, text)
        };
        if rest.contains("${") {
            return Err(error("${...} can only stand at the beginning"));
        }
        let mut parts = Vec::new();
        if base == Base::Root && !text.contains('/') {
            parts.push(Part::Any);
        }
        for name in rest.split('/') {
            match name {
                "" | "." => {}
                ".." => return Err(error("a pattern cannot have ..")),
                "**" if parts.last() == Some(&Part::Any) => {}
                "**" => parts.push(Part::Any),
                name => parts.push(Part::One(Name::new(name))),
            }
        }
        // `d/` is `d` and all below.
        if text.len() > 1 && text.ends_with('/') {
            parts.push(Part::Any);
        }
        let whole = parts.is_empty() && rest.is_empty() && text.is_empty();
        if whole {
            return Err(error("an empty path: write a name, or ** for every path"));
        }
        if parts.len() > NAMES {
            return Err(error("it has too many names"));
        }
        Ok(Self {
            text: text.to_owned(),
            base,
            parts,
        })
    }

    /// All below what a pattern can be relative to.
    pub(in crate::policy) fn all_below(base: Base) -> Self {
        Self {
            text: "**".to_owned(),
            base,
            parts: vec![Part::Any],
        }
    }

    /// Whether it says where it begins: `/`, `~`, `${...}`.
    pub(in crate::policy) fn is_rooted(&self) -> bool {
        self.text.starts_with(['/', '~', '$'])
    }

    /// A path without any wildcard, for a mask of the sandbox's. With whether all below it is meant, too.
    pub(in crate::policy) fn literal(&self, around: &Surroundings) -> Option<(String, bool)> {
        let (parts, below) = match self.parts.split_last() {
            Some((Part::Any, parts)) => (parts, true),
            _ => (self.parts.as_slice(), false),
        };
        let directories = self.base.directories(around);
        let [directory] = directories.as_slice() else {
            return None;
        };
        let mut path = (*directory).to_owned();
        for part in parts {
            let Part::One(name) = part else { return None };
            path = join(&path, name.literal()?);
        }
        (path != "/").then_some((path, below))
    }

    /// What it begins with for certain: what it is relative to, and names below that. For an index.
    pub(in crate::policy) fn prefix(&self) -> (Base, String) {
        let mut prefix = String::new();
        for part in &self.parts {
            let Part::One(name) = part else { break };
            let Some(name) = name.literal() else { break };
            prefix.push('/');
            prefix.push_str(name);
        }
        (self.base, prefix)
    }

    /// The one name that it wants at any depth.
    pub(in crate::policy) fn name_alone(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Any, Part::One(name)] if self.base == Base::Root => name.literal(),
            _ => None,
        }
    }

    fn end(&self) -> States {
        1 << self.parts.len()
    }

    /// `**` stands for no names, too.
    fn closed(&self, mut states: States) -> States {
        for (at, part) in self.parts.iter().enumerate() {
            if *part == Part::Any && states & (1 << at) != 0 {
                states |= 1 << (at + 1);
            }
        }
        states
    }

    fn step(&self, states: States, takes: impl Fn(&Name) -> bool) -> States {
        let mut next = 0;
        for (at, part) in self.parts.iter().enumerate() {
            if states & (1 << at) == 0 {
                continue;
            }
            match part {
                Part::Any => next |= 1 << at,
                Part::One(name) if takes(name) => next |= 1 << (at + 1),
                Part::One(_) => {}
            }
        }
        self.closed(next)
    }

    /// The states after the names of `path`, which is normal, below a directory.
    fn run(&self, path: &str, directory: &str) -> Option<States> {
        if !within(path, directory) {
            return None;
        }
        let rest = path.get(directory.trim_end_matches('/').len()..)?;
        let mut states = self.closed(1);
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            states = self.step(states, |own| own.matches(name));
        }
        Some(states)
    }

    /// Whether it matches this path, which is normal.
    pub(in crate::policy) fn matches(&self, path: &str, around: &Surroundings) -> bool {
        let directories = self.base.directories(around);
        directories.iter().any(|directory| {
            self.run(path, directory)
                .is_some_and(|states| states & self.end() != 0)
        })
    }

    /// Whether it matches this path and all that could ever lie below it.
    pub(in crate::policy) fn matches_all_below(&self, path: &str, around: &Surroundings) -> bool {
        if self.parts.last() != Some(&Part::Any) {
            return false;
        }
        let directories = self.base.directories(around);
        directories.iter().any(|directory| {
            self.run(path, directory)
                .is_some_and(|states| states & (self.end() >> 1) != 0)
        })
    }

    /// Whether something below this path, or itself, could match.
    pub(in crate::policy) fn could_below(&self, path: &str, around: &Surroundings) -> bool {
        let directories = self.base.directories(around);
        directories.iter().any(|directory| {
            within(directory, path) || self.run(path, directory).is_some_and(|states| states != 0)
        })
    }

    /// Whether a name that a shell's pattern can stand for could match.
    fn could_glob(
        &self,
        directory: &str,
        pattern: &str,
        below: bool,
        around: &Surroundings,
    ) -> bool {
        let bases = self.base.directories(around);
        bases.iter().any(|base| {
            let Some(mut states) = self.run(directory, base) else {
                // The pattern may lead into it.
                return within(base, directory);
            };
            for name in pattern.split('/').filter(|name| !name.is_empty()) {
                let shell = Name::of_shell(name);
                // A wildcard at the beginning stands for no dot.
                let hidden = name.starts_with(['*', '?', '[']);
                states = self.step(states, |own| {
                    let dot = own.begins_with('.');
                    !(hidden && dot) && own.meets(&shell)
                });
            }
            match below {
                true => states != 0,
                false => states & self.end() != 0,
            }
        })
    }
}

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
        return own.parts.first() != Some(&Part::Any);
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
