//! Where code comes from: the repository, this command, another place.

use super::state::{Dir, Dirs};
use super::{Made, Walker};
use crate::reading::atoms::{CodeClass, PathText};
use crate::reading::paths;

impl Walker<'_> {
    /// Where the code in a file comes from.
    pub(super) fn class_of(&self, place: &PathText) -> CodeClass {
        if self.fetched_by(place).is_some() {
            return CodeClass::Fetched;
        }
        let path = match place {
            PathText::Known(path) => paths::normal(path),
            PathText::Below(path) | PathText::Glob(path, _) => {
                let path = paths::normal(path);
                let written = |file: &String| paths::within(file, &path);
                let repo = !self.at.repository.is_empty()
                    && paths::within(&path, &self.at.repository)
                    && !self.at.fetched.iter().any(written);
                return if repo {
                    CodeClass::Repo
                } else {
                    CodeClass::Unknown
                };
            }
            PathText::Anywhere => return CodeClass::Unknown,
        };
        let real = match self.disk.resolve(&path) {
            Some(resolved) => resolved.real,
            None => path.clone(),
        };
        if self.at.fetched.contains(&real) {
            return CodeClass::Fetched;
        }
        if self.is_foreign(&path) {
            return CodeClass::Unknown;
        }
        if self.made_at(&path).is_some() || self.at.written.contains(&real) {
            return CodeClass::Inline;
        }
        // `.venv/bin/python`: the system's own, which takes packages from beside the link.
        let python = |path: &str| {
            let name = path.rsplit('/').next();
            name.is_some_and(|name| name.starts_with("python"))
        };
        let here = |path: &str| paths::within(path, &self.at.repository);
        let written = here(&real) || paths::within(&real, &self.at.temporary);
        if !self.at.repository.is_empty()
            && here(&path)
            && python(&path)
            && python(&real)
            && !written
        {
            return CodeClass::Repo;
        }
        match !self.at.repository.is_empty() && paths::within(&real, &self.at.repository) {
            true => CodeClass::Repo,
            false => CodeClass::Unknown,
        }
    }

    /// Where the code in the directories comes from where a program runs: the least trusted of them.
    pub(super) fn class_in(&self, dirs: &Dirs) -> CodeClass {
        let repository = &self.at.repository;
        let Some(dirs) = dirs.0.as_ref().filter(|_| !repository.is_empty()) else {
            return match repository.is_empty() {
                true => CodeClass::Repo,
                false => CodeClass::Unknown,
            };
        };
        let class = |dir: &Dir| match dir {
            Dir::At(path) if path == repository => CodeClass::Repo,
            Dir::At(path) => self.class_of_directory(path),
            Dir::Below(path) => self.class_of(&PathText::Below(path.clone())),
        };
        let classes = dirs.iter().map(class);
        classes.max().unwrap_or(CodeClass::Repo)
    }

    fn class_of_directory(&self, path: &str) -> CodeClass {
        let path = paths::normal(path);
        let class = self.class_of(&PathText::Known(path.clone()));
        let real = match self.disk.resolve(&path) {
            Some(resolved) => resolved.real,
            None => path.clone(),
        };
        match class {
            CodeClass::Fetched => return class,
            _ if paths::within(&real, &self.at.repository) => return CodeClass::Repo,
            _ => {}
        }
        // A directory that was made may have been there: only what was written in it is the session's.
        let below = |file: &str| file != path && paths::within(file, &path);
        let made = |made: &Made| match &made.place {
            PathText::Known(file) => below(&paths::normal(file)) || made.tree && made.covers(&path),
            _ => false,
        };
        match self.made.iter().any(made) || self.at.written.iter().any(|file| below(file)) {
            true => CodeClass::Inline,
            false => CodeClass::Unknown,
        }
    }
}
