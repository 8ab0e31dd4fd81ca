//! What an allow by a command covers of what its program does.

use super::matching::Judge;
use super::patterns::matching::Written;
use crate::reading::atoms::{Atom, AtomKind, CodeClass, PathText, Place, Source};
use crate::reading::paths::{normal, within};

impl Judge<'_> {
    /// Whether an allow by a command covers an atom of its program's.
    pub(super) fn covers(
        &self,
        program: usize,
        position: usize,
        atom: &Atom,
        written: &[Written],
    ) -> bool {
        let word = |at: usize| written.get(at).copied().unwrap_or(Written::No);
        let how = match atom.source {
            Source::Redirection | Source::Environment | Source::Tool => return false,
            Source::Itself => Written::No,
            Source::Operand(at) | Source::Option(at) => word(at),
        };
        let turns = matches!(atom.source, Source::Option(_));
        match &atom.kind {
            AtomKind::Code(code) => {
                code.class != CodeClass::Fetched && (!turns || how == Written::Whole)
            }
            AtomKind::Host(_) => how >= Written::Beginning,
            AtomKind::Read(_) => {
                how == Written::Whole
                    || (how == Written::Beginning || !turns) && self.is_covered(position, how)
            }
            AtomKind::Write(place) => {
                let git = self.runs_git(program);
                let kept = !git && self.in_git(place);
                how == Written::Whole
                    || (how == Written::Beginning || !turns)
                        && !kept
                        && !place.other_names_written()
                        && self.is_covered(position, how)
            }
            AtomKind::Program(_) | AtomKind::Use => false,
        }
    }

    fn is_covered(&self, position: usize, how: Written) -> bool {
        let inside = |spot| self.inside.certain(spot, self.on);
        how == Written::Beginning || self.spot(position).is_some_and(inside)
    }

    fn runs_git(&self, program: usize) -> bool {
        let atom = self.reading.atoms.get(program);
        matches!(atom.map(|atom| &atom.kind), Some(AtomKind::Program(program))
            if program.entry.as_deref().is_some_and(|entry| entry == "git" || entry.starts_with("git ")))
    }

    /// Whether a place is below a `.git`, or the repository's is removed with it.
    fn in_git(&self, place: &Place) -> bool {
        let below = |path: &str| normal(path).split('/').any(|name| name == ".git");
        let written = match &place.path {
            PathText::Known(path) | PathText::Below(path) => below(path),
            PathText::Glob(path, pattern) => below(path) || pattern.contains(".git"),
            PathText::Anywhere => true,
        };
        let root = place.tree && place.removes && place.only.is_none() && self.inside_root(place);
        root || written
            || place.real.as_deref().is_some_and(below)
            || place.matches.iter().any(|path| below(path))
    }

    /// Whether a tree has the whole repository in it.
    fn inside_root(&self, place: &Place) -> bool {
        let repository = &self.at.around.repository;
        let has = |path: &str| within(repository, &normal(path));
        let known = match &place.path {
            PathText::Known(path) => has(path),
            _ => false,
        };
        known || place.real.as_deref().is_some_and(has)
    }
}

impl Place {
    /// A file is changed in place that has other names.
    fn other_names_written(&self) -> bool {
        self.other_names && !self.removes
    }
}
