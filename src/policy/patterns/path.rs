//! Paths: `*` is a part of a name, `**` any number of names, and what a path is relative to.

use super::PatternError;
use super::name::Name;
use crate::contracts::secret;
use crate::reading::paths::{join, within};
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
    /// Its directories, normal. None where it is not known.
    pub(in crate::policy) fn directories(
        self,
        around: &Surroundings,
    ) -> impl Iterator<Item = &str> + Clone {
        let (one, more): (&str, &[&str]) = match self {
            Self::Root => ("/", &[]),
            Self::Repository => (&around.repository, &[]),
            Self::Home => (&around.home, &[]),
            Self::Temporary => (&around.temporary, &[]),
            Self::System => ("", &SYSTEM),
        };
        let one = Some(one).filter(|one| !one.is_empty());
        one.into_iter().chain(more.iter().copied())
    }
}

/// By what an index finds a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) enum Key<'a> {
    /// By what it begins with: nothing else is as sure.
    Prefix,
    /// Its last name.
    Name(&'a str),
    /// What its last name begins with.
    Beginning(String),
    /// What its last name ends with.
    Ending(String),
    /// A name in it.
    Part(&'a str),
    /// Nothing of it is certain.
    None,
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
        let mut directories = self.base.directories(around);
        let (Some(directory), None) = (directories.next(), directories.next()) else {
            return None;
        };
        let mut path = directory.to_owned();
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

    /// What is the surest sign of a path that it matches. For an index.
    pub(in crate::policy) fn key(&self) -> Key<'_> {
        let certain = |part: &Part| matches!(part, Part::One(name) if name.literal().is_some());
        let (last, before) = match self.parts.split_last() {
            Some((last, before)) => (last, before),
            None => return Key::Prefix,
        };
        let (base, prefix) = self.prefix();
        let begins = base != Base::Root || !prefix.is_empty();
        if begins && before.iter().all(certain) {
            return Key::Prefix;
        }
        if let Part::One(name) = last
            && let Some(name) = name.literal()
        {
            return Key::Name(name);
        }
        if begins {
            return Key::Prefix;
        }
        let mut literals = before.iter().filter_map(|part| match part {
            Part::One(name) => name.literal(),
            Part::Any => None,
        });
        if let Some(name) = literals.next() {
            return Key::Part(name);
        }
        let Part::One(name) = last else {
            return Key::None;
        };
        match (name.beginning(), name.ending()) {
            (beginning, _) if beginning.len() > 1 => Key::Beginning(beginning),
            (_, ending) if !ending.is_empty() => Key::Ending(ending),
            (beginning, _) if !beginning.is_empty() => Key::Beginning(beginning),
            _ => Key::None,
        }
    }

    /// Whether a name that it wants can stand at any depth.
    pub(in crate::policy) fn begins_anywhere(&self) -> bool {
        self.parts.first() == Some(&Part::Any)
    }

    /// The pattern of a name that it wants at any depth, where it wants no more.
    fn anywhere(&self) -> Option<&Name> {
        match self.parts.as_slice() {
            [Part::Any, Part::One(name)] if self.base == Base::Root => Some(name),
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
        if let Some(name) = self.anywhere() {
            let last = path.rsplit('/').next().filter(|last| !last.is_empty());
            return last.is_some_and(|last| name.matches(last));
        }
        let mut directories = self.base.directories(around);
        directories.any(|directory| {
            self.run(path, directory)
                .is_some_and(|states| states & self.end() != 0)
        })
    }

    /// Whether it matches this path and all that could ever lie below it.
    pub(in crate::policy) fn matches_all_below(&self, path: &str, around: &Surroundings) -> bool {
        if self.parts.last() != Some(&Part::Any) {
            return false;
        }
        let mut directories = self.base.directories(around);
        directories.any(|directory| {
            self.run(path, directory)
                .is_some_and(|states| states & (self.end() >> 1) != 0)
        })
    }

    /// Whether something below this path, or itself, could match.
    pub(in crate::policy) fn could_below(&self, path: &str, around: &Surroundings) -> bool {
        let mut directories = self.base.directories(around);
        directories.any(|directory| {
            within(directory, path) || self.run(path, directory).is_some_and(|states| states != 0)
        })
    }

    /// Whether a name that a shell's pattern can stand for could match.
    pub(super) fn could_glob(
        &self,
        directory: &str,
        pattern: &[(Name, bool)],
        below: bool,
        around: &Surroundings,
    ) -> bool {
        if let (Some(name), Some((shell, wild)), false) = (self.anywhere(), pattern.last(), below) {
            return !(*wild && name.begins_with('.')) && name.meets(shell);
        }
        let mut bases = self.base.directories(around);
        bases.any(|base| {
            let Some(mut states) = self.run(directory, base) else {
                // The pattern may lead into it.
                return within(base, directory);
            };
            for (shell, wild) in pattern {
                // A wildcard at the beginning stands for no dot.
                states = self.step(states, |own| {
                    !(*wild && own.begins_with('.')) && own.meets(shell)
                });
            }
            match below {
                true => states != 0,
                false => states & self.end() != 0,
            }
        })
    }
}
