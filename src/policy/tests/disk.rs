//! A small disk in memory.

use crate::reading::disk::{Disk, FileKind, Git, Resolved};
use crate::reading::paths::{normal, within};

/// Files; directories are where files are. Links lead from one path to another. What lies below `lost` is not known.
#[derive(Default)]
pub(super) struct Files {
    pub(super) files: &'static [&'static str],
    pub(super) links: &'static [(&'static str, &'static str)],
    pub(super) lost: Option<&'static str>,
    /// What git ignores, with all below.
    pub(super) ignored: &'static [&'static str],
    /// Files of which the second is another name of the first.
    pub(super) same: &'static [(&'static str, &'static str)],
}

impl Files {
    fn real(&self, path: &str) -> String {
        let path = normal(path);
        let link = self.links.iter().find(|(from, _)| within(&path, from));
        match link {
            Some((from, to)) => format!("{to}{}", path.get(from.len()..).unwrap_or_default()),
            None => path,
        }
    }
}

impl Files {
    fn identity(&self, path: &str) -> Option<(u64, u64)> {
        let first = self.same.iter().find(|(_, other)| *other == path);
        let path = first.map_or(path, |(first, _)| first);
        let at = self.files.iter().position(|file| *file == path)?;
        Some((1, u64::try_from(at).ok()?))
    }
}

impl Disk for Files {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let real = self.real(path);
        if self.lost.is_some_and(|lost| within(&real, lost)) {
            return None;
        }
        let file = real.clone();
        let kind = match self.files.iter().find(|file| within(file, &real)) {
            Some(file) if **file == real => Some(FileKind::File),
            Some(_) => Some(FileKind::Directory),
            None => None,
        };
        Some(Resolved {
            real,
            kind,
            other_names: self.same.iter().any(|(a, b)| [*a, *b].contains(&&*file)),
            identity: self.identity(&file),
        })
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        let below = self.below(directory, false)?.into_iter();
        Some(below.filter(|name| !name.contains('/')).collect())
    }

    fn below(&self, directory: &str, _: bool) -> Option<Vec<String>> {
        let directory = self.real(directory);
        let below = self.files.iter().filter(|file| within(file, &directory));
        let rest = below.filter_map(|file| file.get(directory.len() + 1..));
        Some(rest.map(str::to_owned).collect())
    }

    fn script(&self, _: &str) -> Option<String> {
        None
    }

    fn git(&self, _: &str) -> Option<Git> {
        None
    }

    fn ignored(&self, path: &str) -> Option<bool> {
        Some(self.ignored.iter().any(|ignored| within(path, ignored)))
    }
}
