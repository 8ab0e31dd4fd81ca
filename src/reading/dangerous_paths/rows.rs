//! The rows of the table as they are looked up: by a name that a path must have.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::table::{self, DangerousPaths, FIXTURES};
use crate::reading::pathname;
use crate::reading::paths;
use crate::reading::surroundings::Surroundings;

/// The rows, once for all.
pub(super) static ROWS: LazyLock<Rows> = LazyLock::new(Rows::new);

/// Where a row begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Root,
    Home,
    Anywhere,
}

/// One path of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) group: &'static DangerousPaths,
    path: &'static str,
    anchor: Anchor,
    /// In lower case.
    parts: Vec<String>,
    /// All below it, too.
    below: bool,
}

/// All rows, in the table's order.
pub(super) struct Rows {
    rows: Vec<Row>,
    /// Positions by the last name of a row that is no pattern.
    by_name: HashMap<String, Vec<usize>>,
    /// Those that have no such name.
    patterns: Vec<usize>,
}

/// The names of a path. Some file systems do not tell upper case from lower: these are in lower case.
pub(super) struct Names {
    text: String,
    /// Where each begins and ends in `text`.
    at: Vec<(usize, usize)>,
    /// One is a pathname pattern.
    pattern: bool,
}

/// What of the surroundings a row needs.
pub(super) struct Here {
    home: Names,
    repository: Names,
}

impl Names {
    pub(super) fn of(path: &str) -> Self {
        let text = path.to_ascii_lowercase();
        let mut at = Vec::new();
        let mut from = 0;
        for name in text.split('/') {
            if !name.is_empty() {
                at.push((from, from + name.len()));
            }
            from += name.len() + 1;
        }
        let pattern = text.contains(['*', '?', '[']);
        Self { text, at, pattern }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.at
            .iter()
            .map(|(from, to)| self.text.get(*from..*to).unwrap_or(""))
    }

    fn len(&self) -> usize {
        self.at.len()
    }

    fn within(&self, directory: &Self) -> bool {
        directory.len() <= self.len() && directory.iter().zip(self.iter()).all(|(a, b)| a == b)
    }
}

impl Here {
    pub(super) fn new(at: &Surroundings) -> Self {
        Self {
            home: Names::of(&at.home),
            repository: Names::of(&at.repository),
        }
    }
}

impl Rows {
    fn new() -> Self {
        let mut rows = Vec::new();
        for group in table::all() {
            rows.extend(group.paths.iter().map(|path| Row::of(group, path)));
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut patterns = Vec::new();
        for (position, row) in rows.iter().enumerate() {
            match row.parts.iter().rev().find(|part| !part.contains('*')) {
                Some(name) => by_name.entry(name.clone()).or_default().push(position),
                None => patterns.push(position),
            }
        }
        Self {
            rows,
            by_name,
            patterns,
        }
    }

    /// The rows that could fit, in the table's order.
    pub(super) fn candidates(&self, names: &Names, tree: bool) -> Vec<&Row> {
        // A pattern has other names, a tree fewer.
        if tree || names.pattern {
            return self.rows.iter().collect();
        }
        let named = names.iter().filter_map(|name| self.by_name.get(name));
        let mut positions: Vec<usize> = named.flatten().chain(&self.patterns).copied().collect();
        positions.sort_unstable();
        positions.dedup();
        positions
            .iter()
            .filter_map(|at| self.rows.get(*at))
            .collect()
    }
}

impl Row {
    fn of(group: &'static DangerousPaths, path: &'static str) -> Self {
        let (anchor, rest) = match (path.strip_prefix("~/"), path.strip_prefix('/')) {
            (Some(rest), _) => (Anchor::Home, rest),
            (None, Some(rest)) => (Anchor::Root, rest),
            (None, None) => (Anchor::Anywhere, path),
        };
        let parts = rest.split('/').filter(|part| !part.is_empty());
        Self {
            group,
            path,
            anchor,
            parts: parts.map(str::to_ascii_lowercase).collect(),
            below: path.ends_with('/'),
        }
    }

    /// Whether a path is this row's, or a tree around it. A tree around a name at any depth does not count: nobody
    /// knows whether it is there.
    pub(super) fn fits(&self, names: &Names, tree: bool, here: &Here) -> bool {
        match self.anchor {
            Anchor::Root => {
                // Root's files are those that the session works on.
                let only_root = |names: &Names| names.iter().next() == Some("root");
                let root =
                    self.parts.len() == 1 && self.parts.first().is_some_and(|part| part == "root");
                !(root && (only_root(&here.home) || only_root(&here.repository)))
                    && self.begins(names, 0, tree)
            }
            Anchor::Home => {
                // A repository around the home is worked in all the time.
                let around = tree
                    && here.home.len() > 0
                    && here.home.within(names)
                    && !here.home.within(&here.repository);
                let inside = here.home.len() > 0 && names.within(&here.home);
                around
                    || inside && self.begins(names, here.home.len(), tree)
                    || others_home(names).is_some_and(|from| self.begins(names, from, false))
            }
            Anchor::Anywhere => self.stands_in(names, here),
        }
    }

    /// Where it lies, absolute, as far as it is no pattern; `None` of one that may stand anywhere.
    pub(super) fn beginning(&self, home: &str) -> Option<String> {
        let (above, rest) = match self.anchor {
            Anchor::Root => ("/", self.path),
            Anchor::Home => (home, self.path.strip_prefix('~')?),
            Anchor::Anywhere => return None,
        };
        let parts = rest.split('/').filter(|part| !part.is_empty());
        let known: Vec<&str> = parts.take_while(|part| !part.contains('*')).collect();
        Some(paths::join(above, &known.join("/")))
    }

    /// Whether the names from there on begin with this row: are it, lie below where that counts, or are a tree
    /// around it.
    fn begins(&self, names: &Names, from: usize, tree: bool) -> bool {
        let mut rest = names.iter().skip(from);
        for part in &self.parts {
            match rest.next() {
                // A pattern in a command stands for what it could match.
                Some(name) if part_fits(part, name) || names.pattern && could_be(name, part) => {}
                Some(_) => return false,
                None => return tree,
            }
        }
        self.below || rest.next().is_none()
    }

    /// Whether the row stands at the end of the names, or anywhere where all below it counts.
    fn stands_in(&self, names: &Names, here: &Here) -> bool {
        let keys = self
            .parts
            .first()
            .is_some_and(|part| part.starts_with('*') || part.starts_with("id_"));
        // Tests have keys, too.
        if keys && names.within(&here.repository) {
            let mut below = names.iter().skip(here.repository.len());
            if below.any(|name| FIXTURES.contains(&name)) {
                return false;
            }
        }
        let Some(last) = names.len().checked_sub(self.parts.len()) else {
            return false;
        };
        let first = if self.below { 0 } else { last };
        (first..=last).any(|from| {
            let window = || self.parts.iter().zip(names.iter().skip(from));
            let fits = |part: &str, name: &str| {
                // Where nothing but wildcards stands it could be any name.
                part_fits(part, name) || !name.starts_with(['*', '?', '[']) && could_be(name, part)
            };
            window().all(|(part, name)| fits(part, name))
                && window().any(|(part, name)| part_fits(part, name))
        })
    }
}

fn part_fits(part: &str, name: &str) -> bool {
    part == name || part.contains('*') && pathname::name_matches(part, name)
}

fn could_be(pattern: &str, name: &str) -> bool {
    pattern.contains(['*', '?', '[']) && pathname::name_matches(pattern, name)
}

/// How many names stand before what lies in the home of any user.
fn others_home(names: &Names) -> Option<usize> {
    match names.iter().next() {
        Some("root") => Some(1),
        Some("home" | "users") if names.len() > 2 => Some(2),
        _ => None,
    }
}
