//! Where a call's paths lead.

use crate::contracts::call::{ToolCall, WORKDIR};
use crate::contracts::limits;
use crate::contracts::view::Lead;
use crate::reading::atoms::{AtomKind, PathText, Place, Reading};
use crate::reading::surroundings::Surroundings;
use crate::reading::tools::patch;
use crate::reading::{known_tools, paths};
use serde_json::Value;

use super::changes;

/// Where a call is made.
pub(super) struct Where<'a> {
    /// `None` where nobody knows.
    pub(super) directory: Option<String>,
    repository: &'a str,
}

impl<'a> Where<'a> {
    pub(super) fn of(call: &ToolCall, around: &'a Surroundings) -> Self {
        let directory = match call.args.get(WORKDIR) {
            None | Some(Value::Null) => Some(around.directory.clone()),
            Some(Value::String(text)) => Some(paths::join(&around.directory, text)),
            Some(_) => None,
        };
        Self {
            directory,
            repository: &around.repository,
        }
    }

    /// A path as the call names it, from the root.
    pub(super) fn absolute(&self, path: &str) -> String {
        match &self.directory {
            Some(directory) => paths::join(directory, path),
            None => path.to_owned(),
        }
    }

    /// A path as people read it: from the repository's root where it lies below it.
    pub(super) fn short(&self, path: &str) -> String {
        let path = self.absolute(path);
        let below = path.strip_prefix(self.repository);
        let below = below.and_then(|rest| rest.strip_prefix('/'));
        let below = below.filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        below.map_or_else(|| path.clone(), str::to_owned)
    }

    /// The directory, where it is not the repository's root.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let directory = self.directory.as_ref()?;
        let same = self.repository.is_empty() || paths::normal(directory) == self.repository;
        (!same).then(|| self.short(directory))
    }
}

/// The paths that lead elsewhere than they say.
pub(super) fn leads(reading: &Reading, at: &Where<'_>) -> Vec<Lead> {
    let mut leads: Vec<Lead> = Vec::new();
    for atom in reading.atoms.iter().chain(&reading.mentioned) {
        let (AtomKind::Read(place) | AtomKind::Write(place)) = &atom.kind else {
            continue;
        };
        let (PathText::Known(path), Some(real)) = (&place.path, &place.real) else {
            continue;
        };
        let up = path.split('/').any(|name| name == "..");
        if up || place.other_names || paths::normal(path) != *real {
            let lead = Lead {
                path: at.short(path),
                real: at.short(real),
                other_names: place.other_names,
            };
            if !leads.contains(&lead) {
                leads.push(lead);
            }
        }
    }
    leads
}

/// A file that a call changes: its path as the call names it, from the root, and where that leads; `None` where that
/// is not certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the call names it.
    pub path: String,
    /// Without links.
    pub real: Option<String>,
}

/// The files that a call changes by its arguments; those of a command are not known so. At most
/// [`limits::PREVIEW_FILES`].
#[must_use]
pub fn targets(call: &ToolCall, reading: &Reading, around: &Surroundings) -> Vec<Target> {
    let at = Where::of(call, around);
    let text = |name: &str| call.args.get(name).and_then(Value::as_str);
    let written = || {
        reading.atoms.iter().filter_map(|atom| match &atom.kind {
            AtomKind::Write(place) => Some(place),
            _ => None,
        })
    };
    let name = match known_tools::plain(&call.tool) {
        "Write" | "Edit" | "MultiEdit" => "file_path",
        "NotebookEdit" => "notebook_path",
        "apply_patch" => {
            let patch = changes::patch_of(&call.args).and_then(|(_, text)| patch::changes(text));
            let mut targets: Vec<Target> = Vec::new();
            for change in patch.into_iter().flatten() {
                let path = at.absolute(&change.path);
                let known = targets.iter().any(|target| target.path == path);
                if known || targets.len() == limits::PREVIEW_FILES {
                    continue;
                }
                let named = written().filter(|place| names(place, &path));
                targets.push(Target {
                    real: one_place(named),
                    path,
                });
            }
            return targets;
        }
        _ => return Vec::new(),
    };
    // Tools differ in how they take a path's text: only where all lead to the same place it is certain.
    let target = text(name).map(|path| Target {
        path: at.absolute(path),
        real: one_place(written()),
    });
    target.into_iter().collect()
}

fn names(place: &Place, path: &str) -> bool {
    matches!(&place.path, PathText::Known(known) if paths::normal(known) == paths::normal(path))
}

fn one_place<'a>(mut places: impl Iterator<Item = &'a Place>) -> Option<String> {
    let first = places.next()?.real.as_ref()?;
    let same = places.all(|place| place.real.as_ref() == Some(first));
    same.then(|| first.clone())
}
