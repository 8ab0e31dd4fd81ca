//! Which rules of many could speak about a path: by what its name is, by what it begins with, or by a name in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::index::{Rules, put};
use super::patterns::List;
use super::patterns::path::{Base, Key, Path};
use super::patterns::place::{Ground, Spot};
use crate::reading::atoms::PathText;
use crate::reading::paths::{join, normal, within};
use crate::reading::surroundings::Surroundings;

const BASES: [Base; 5] = [
    Base::Root,
    Base::Repository,
    Base::Home,
    Base::Temporary,
    Base::System,
];

/// A tree is listed where more patterns than these could be about something below it.
const UNLISTED: usize = 32;

/// What begins so, by what that is relative to.
type Prefixes = BTreeMap<Base, BTreeMap<String, Rules>>;

/// Rules by the patterns of paths that they have.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    /// By the one name that a path has at its end.
    names: HashMap<String, Rules>,
    /// By what that name begins with, and how long such beginnings are.
    beginnings: HashMap<String, Rules>,
    beginning_lengths: BTreeSet<usize>,
    /// By what that name ends with.
    endings: HashMap<String, Rules>,
    ending_lengths: BTreeSet<usize>,
    /// By a name that a path has somewhere.
    parts: HashMap<String, Rules>,
    /// By all that is certain of what a path begins with.
    prefixes: Prefixes,
    /// What none of these finds.
    any: Rules,
    /// For trees: all but those of `prefixes` once more, by what they begin with.
    below: Prefixes,
    /// The same for those that begin with any directory.
    anywhere: Rules,
}

impl Paths {
    pub(super) fn add(&mut self, at: usize, paths: &List<Path>) {
        if paths.included.is_empty() {
            put(&mut self.any, at);
        }
        for path in &paths.included {
            self.add_one(at, path);
        }
    }

    fn add_one(&mut self, at: usize, path: &Path) {
        let (base, prefix) = path.prefix();
        let rules = match path.key() {
            Key::Prefix => {
                let of_base = self.prefixes.entry(base).or_default();
                return put(of_base.entry(prefix).or_default(), at);
            }
            Key::Name(name) => self.names.entry(name.to_owned()).or_default(),
            Key::Beginning(text) => {
                self.beginning_lengths.insert(text.len());
                self.beginnings.entry(text).or_default()
            }
            Key::Ending(text) => {
                self.ending_lengths.insert(text.len());
                self.endings.entry(text).or_default()
            }
            Key::Part(name) => self.parts.entry(name.to_owned()).or_default(),
            Key::None => &mut self.any,
        };
        put(rules, at);
        match path.begins_anywhere() && base == Base::Root {
            true => put(&mut self.anywhere, at),
            false => {
                let of_base = self.below.entry(base).or_default();
                put(of_base.entry(prefix).or_default(), at);
            }
        }
    }

    /// Rules about this path.
    pub(super) fn of(&self, spot: &Spot<'_>, on: Ground<'_>, into: &mut Rules) {
        if spot.may_be_anywhere() {
            return self.all(into);
        }
        for path in spot.paths() {
            self.of_path(path, on.around, into);
        }
        for path in &spot.aliases {
            self.of_path(path, on.around, into);
        }
        let tree = spot.place.tree;
        for path in &spot.matches {
            self.of_path(path, on.around, into);
            if tree {
                self.of_tree(path, on.around, into);
                into.extend(&self.anywhere);
            }
        }
        if !spot.is_open() {
            return;
        }
        let known = matches!(spot.place.path, PathText::Known(_));
        for path in spot.paths() {
            let mut open = Rules::new();
            self.of_tree(path, on.around, &mut open);
            match known && !on.disk.looks() {
                // What could stand anywhere is not taken to stand here.
                true => {}
                false => open.extend(&self.anywhere),
            }
            if known && on.disk.looks() && open.len() > UNLISTED {
                let files = on.disk.below(path, spot.place.leaves_out_ignored);
                if let Some(files) = files {
                    self.of_files(path, &files, on.around, into);
                    continue;
                }
            }
            into.extend(open);
        }
    }

    fn all(&self, into: &mut Rules) {
        into.extend(&self.any);
        into.extend(&self.anywhere);
        for of_base in self.prefixes.values().chain(self.below.values()) {
            into.extend(of_base.values().flatten());
        }
    }

    /// Rules about one path, which is normal, and about all that lies below it whatever it is.
    fn of_path(&self, path: &str, around: &Surroundings, into: &mut Rules) {
        into.extend(&self.any);
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut get = |rules: &HashMap<String, Rules>, text: Option<&str>| {
            let rules = text.and_then(|text| rules.get(text));
            into.extend(rules.into_iter().flatten());
        };
        get(&self.names, Some(name));
        for length in &self.beginning_lengths {
            get(&self.beginnings, name.get(..*length));
        }
        for length in &self.ending_lengths {
            let from = name.len().checked_sub(*length);
            get(&self.endings, from.and_then(|from| name.get(from..)));
        }
        if !self.parts.is_empty() {
            for name in path.split('/') {
                get(&self.parts, Some(name));
            }
        }
        for base in BASES {
            let Some(of_base) = self.prefixes.get(&base) else {
                continue;
            };
            for directory in base.directories(around) {
                if !within(path, directory) {
                    continue;
                }
                let mut above = behind(path, directory);
                loop {
                    into.extend(of_base.get(above).into_iter().flatten());
                    match above.rsplit_once('/') {
                        Some((next, _)) => above = next,
                        None => break,
                    }
                }
            }
        }
    }

    /// Rules with a certain beginning that could be about something below a path.
    fn of_tree(&self, path: &str, around: &Surroundings, into: &mut Rules) {
        for prefixes in [&self.prefixes, &self.below] {
            for (base, of_base) in prefixes {
                for directory in base.directories(around) {
                    if within(directory, path) {
                        into.extend(of_base.values().flatten());
                        continue;
                    }
                    if !within(path, directory) {
                        continue;
                    }
                    let rest = behind(path, directory);
                    let below = format!("{rest}/");
                    let range = of_base.range(below.clone()..);
                    let range = range.take_while(|(prefix, _)| prefix.starts_with(&below));
                    into.extend(range.flat_map(|(_, rules)| rules));
                    // What is certain may end above it.
                    let mut above = rest;
                    loop {
                        into.extend(of_base.get(above).into_iter().flatten());
                        match above.rsplit_once('/') {
                            Some((next, _)) => above = next,
                            None => break,
                        }
                    }
                }
            }
        }
    }

    /// Rules about files below a root, and about the directories in between.
    fn of_files(&self, root: &str, files: &[String], around: &Surroundings, into: &mut Rules) {
        let mut directories = BTreeSet::new();
        for file in files {
            let file = normal(&join(root, file));
            self.of_path(&file, around, into);
            let mut above = file.as_str();
            while let Some((next, _)) = above.rsplit_once('/') {
                if next.len() <= root.len() || !directories.insert(next.to_owned()) {
                    break;
                }
                self.of_path(next, around, into);
                above = next;
            }
        }
    }
}

/// What stands behind a directory that a path lies in, with its `/`; nothing where it is that.
fn behind<'a>(path: &'a str, directory: &str) -> &'a str {
    let rest = path.get(directory.trim_end_matches('/').len()..);
    rest.unwrap_or_default().trim_end_matches('/')
}
