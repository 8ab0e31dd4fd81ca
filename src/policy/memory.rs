//! What a session did so far, as far as it tightens what comes. It is fed with calls that were allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::contracts::limits;
use crate::reading::atoms::{
    Atom, AtomKind, Category, CodeClass, Danger, Found, Host, PathText, Place, Reading, Source,
};
use crate::reading::paths::{above_fresh, normal, within};

/// A session's memory. Bounded; what does not fit is remembered as "there was more".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Files that calls wrote, by where they lie.
    written: BTreeSet<String>,
    /// Files and directories that were not there before calls made them.
    made: BTreeSet<String>,
    /// Files and trees that came from the network, with whether all below is meant.
    fetched: BTreeMap<String, bool>,
    /// A path that bears secrets was read.
    secrets_read: Option<String>,
    /// Hosts that allowed calls name.
    hosts: BTreeSet<String>,
    /// Those that were reached since.
    reached: BTreeSet<String>,
    /// More came from the network than is remembered, or nobody knows where to: any file may have.
    full: bool,
}

impl Memory {
    /// Files that this session wrote, by their real paths. What came from the network is not among them.
    #[must_use]
    pub fn written(&self) -> &BTreeSet<String> {
        &self.written
    }

    /// Whether this session made what lies at a path, or a directory that it lies in.
    pub(super) fn made(&self, path: &str) -> bool {
        let mut above = path;
        loop {
            if self.made.contains(above) {
                return true;
            }
            match above.rsplit_once('/') {
                Some((next, _)) => above = next,
                None => return false,
            }
        }
    }

    /// A write makes what was not there; what is brought from elsewhere is no longer the session's alone.
    fn makes(&mut self, place: &Place, only_makes: bool) {
        let path = match (&place.real, &place.path) {
            (Some(path), _) | (None, PathText::Known(path) | PathText::Below(path)) => normal(path),
            _ => return self.made.clear(),
        };
        if place.removes {
            self.made.remove(&path);
        } else if !only_makes {
            self.made
                .retain(|made| !within(&path, made) && !within(made, &path));
        } else if place.exists == Some(false)
            && matches!(place.path, PathText::Known(_))
            && self.made.len() < limits::MEMORY_PATHS
        {
            self.made.insert(path);
        }
    }

    /// Whether a call that was allowed names this host, in lower case.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// Files that came from the network in this session, by their real paths.
    #[must_use]
    pub fn fetched(&self) -> BTreeSet<String> {
        self.fetched.keys().cloned().collect()
    }

    /// Takes note of a call that is let through.
    pub fn record(&mut self, reading: &Reading) {
        let downloads = reading.atoms.iter().any(brings);
        for atom in &reading.atoms {
            match &atom.kind {
                AtomKind::Write(place) => {
                    self.makes(
                        place,
                        super::spared::only_makes(reading, atom) && !downloads,
                    );
                    self.wrote(place, downloads && atom.source != Source::Itself);
                }
                AtomKind::Read(place) => {
                    let bears = |danger: &Danger| danger.category == Category::Credentials;
                    if self.secrets_read.is_none() && atom.dangers.iter().any(bears) {
                        self.secrets_read = Some(shown(place));
                    }
                }
                _ => {}
            }
        }
        let hosts = reading.atoms.iter().filter_map(|atom| match &atom.kind {
            AtomKind::Host(Host {
                name: Some(name), ..
            }) => Some(name),
            _ => None,
        });
        for host in hosts {
            if self.hosts.len() < limits::MEMORY_PATHS {
                self.hosts.insert(host.clone());
            }
            // Hosts of the same call count: it read and sent in one.
            if self.secrets_read.is_some() && self.reached.len() < limits::MEMORY_PATHS {
                self.reached.insert(host.clone());
            }
        }
    }

    fn wrote(&mut self, place: &Place, fetched: bool) {
        let mut paths = match (&place.real, &place.path) {
            (Some(real), PathText::Known(_)) => vec![normal(real)],
            (None, PathText::Known(path)) => vec![normal(path)],
            _ => place.matches.iter().map(|path| normal(path)).collect(),
        };
        if paths.is_empty() && fetched {
            // Where it came to lie is not known: below a directory, or anywhere.
            match &place.path {
                PathText::Below(path) | PathText::Glob(path, _) => {
                    self.put_fetched(normal(path), true);
                }
                _ => self.full = true,
            }
        }
        for path in paths.drain(..) {
            if fetched && let Some(directory) = above_fresh(&path) {
                // Its name is not known.
                self.put_fetched(directory.to_owned(), true);
            }
            if place.removes {
                self.written.remove(&path);
                self.fetched.remove(&path);
            } else if fetched {
                self.written.remove(&path);
                // A tool that writes below where it is told to, too: a checkout, an archive.
                self.put_fetched(path, true);
            } else if !self.fetched.contains_key(&path) && self.written.len() < limits::MEMORY_PATHS
            {
                self.written.insert(path);
            }
        }
    }

    fn put_fetched(&mut self, path: String, below: bool) {
        match self.fetched.len() < limits::MEMORY_PATHS {
            true => drop(self.fetched.insert(path, below)),
            false => self.full = true,
        }
    }

    /// What of these came from the network: itself, or something above it.
    fn came(&self, path: &str) -> bool {
        let path = normal(path);
        let mut above = path.as_str();
        if self.full || self.fetched.contains_key(above) {
            return true;
        }
        while let Some((next, _)) = above.rsplit_once('/') {
            if self.fetched.get(next) == Some(&true) {
                return true;
            }
            above = next;
        }
        false
    }

    /// What is dangerous about a call because of what came before it, with the atom's position. `named` says whether
    /// a rule names a host by itself.
    pub(super) fn dangers(
        &self,
        reading: &Reading,
        named: impl Fn(&Host) -> bool,
    ) -> Vec<(usize, Danger)> {
        let mut dangers = Vec::new();
        for (at, atom) in reading.atoms.iter().enumerate() {
            if let Some(path) = self.runs_fetched(reading, atom) {
                dangers.push((
                    at,
                    Danger {
                        category: Category::Execute,
                        why: format!("runs {path}, which came from the network in this session"),
                    },
                ));
            }
            let (AtomKind::Host(host), Some(secret)) = (&atom.kind, &self.secrets_read) else {
                continue;
            };
            let known = host
                .name
                .as_ref()
                .is_some_and(|name| self.reached.contains(name));
            if !known && !named(host) {
                let name = host.name.as_deref().unwrap_or("a host that nobody knows");
                dangers.push((
                    at,
                    Danger {
                        category: Category::Exfiltration,
                        why: format!("reaches {name} for the first time since {secret} was read"),
                    },
                ));
            }
        }
        dangers
    }

    /// The file from the network that an atom runs.
    fn runs_fetched(&self, reading: &Reading, atom: &Atom) -> Option<String> {
        let came = |path: &str| self.came(path).then(|| path.to_owned());
        match &atom.kind {
            AtomKind::Program(program) => match &program.found {
                Found::At(real) => came(real),
                _ => None,
            },
            AtomKind::Code(code) if code.class != CodeClass::Unknown => {
                let same = reading.atoms.iter().filter(|other| {
                    other.program == atom.program
                        && other.source == atom.source
                        && matches!(other.source, Source::Operand(_) | Source::Option(_))
                });
                same.filter_map(|other| match &other.kind {
                    AtomKind::Read(place) => match (&place.real, &place.path) {
                        (Some(real), _) => came(real),
                        (None, PathText::Known(path)) => came(path),
                        _ => None,
                    },
                    _ => None,
                })
                .next()
            }
            _ => None,
        }
    }
}

/// Whether an atom brings what somebody named from the network; what a build fetches by itself is its registry's.
fn brings(atom: &Atom) -> bool {
    matches!(atom.kind, AtomKind::Host(_))
        && atom.program.is_some()
        && atom.source != Source::Itself
}

fn shown(place: &Place) -> String {
    match &place.path {
        PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _) => path.clone(),
        PathText::Anywhere => "a path that nobody knows".to_owned(),
    }
}
