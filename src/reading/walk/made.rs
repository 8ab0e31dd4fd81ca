//! Files that this command writes, and what is in them.

use super::program::obfuscation;
use super::scripts::Reader;
use super::state::Dirs;
use super::stream::Stream;
use super::{Made, Walker};
use crate::contracts::limits;
use crate::reading::atoms::{CodeClass, Danger, PathText, Set};
use crate::reading::pathname;
use crate::reading::paths;
use crate::reading::programs::{Invocation, UseKind};
use crate::reading::word::Word;

/// Files that this command has written, which are looked through in one step.
const MADE_A_STEP: usize = 4;
/// Files from which one may have been copied, one from the other.
const COPIES: usize = 16;
/// Programs that write nothing into a file.
const LEAVE_TEXT: &[&str] = &["chmod", "chown", "setfacl", "touch", "mkdir"];
/// Programs that copy files as they are.
const COPY: &[&str] = &["cp", "mv", "ln", "install", "rsync", "git mv"];
/// Programs that take files out of an archive.
const UNPACK: &[&str] = &["tar", "unzip"];
/// What git takes from its own objects.
const CHECK_OUT: &[&str] = &[
    "git add",
    "git checkout",
    "git checkout-index",
    "git cherry-pick",
    "git clone",
    "git commit",
    "git init",
    "git merge",
    "git pull",
    "git read-tree",
    "git rebase",
    "git reset",
    "git restore",
    "git revert",
    "git rm",
    "git stash",
    "git submodule",
    "git switch",
    "git worktree",
];

/// What is in a file that this command writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    /// All of it stands in the command.
    Text(String),
    /// What lies at these places; of a tree, by the same names below it.
    Copy(Vec<PathText>),
    /// Code that a compiler, a package manager or git puts there.
    Built,
    /// Nobody has read it. Where a decoder makes it readable, its name.
    Unread(Option<String>),
}

/// What may be in a file.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Texts that stand in the command.
    pub(super) texts: Vec<String>,
    /// Files whose texts the disk has.
    pub(super) files: Vec<String>,
    /// Something else, too.
    pub(super) unread: bool,
}

/// A file that a shell has run, or the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    path: String,
    /// The shell.
    shell: Option<String>,
    /// How many files the command had written by then.
    made: usize,
}

impl Walker<'_> {
    /// What a redirection puts into a file.
    pub(super) fn redirected_contents(&self, product: &Stream, alone: bool) -> Contents {
        let text = product.text.as_deref().and_then(Word::known);
        match text {
            // A trap may write besides.
            Some(text) if alone && product.decoded.is_none() && self.traps.is_empty() => {
                Contents::Text(text.to_owned())
            }
            _ if alone && product.file.is_some() => match product.file.as_ref() {
                Some(file) => Contents::Copy(self.files(file, &self.dirs)),
                None => Contents::Unread(None),
            },
            _ => Contents::Unread(product.decoded.clone()),
        }
    }

    /// What a program puts into the files that it writes; `None` where it leaves what is in them.
    pub(super) fn written_contents(
        &self,
        read: &Invocation,
        words: &[Word],
        dirs: &Dirs,
        written: &Stream,
    ) -> Option<Contents> {
        let entry = read.entry.as_deref().unwrap_or_default();
        let decoder = || {
            written
                .decoded
                .clone()
                .or_else(|| self.feed.decoded.clone())
        };
        let sources = || -> Vec<PathText> {
            let reads = read.uses.iter().filter_map(|of| match &of.kind {
                UseKind::Read { path, .. } => Some(path),
                _ => None,
            });
            reads.flat_map(|path| self.files(path, dirs)).collect()
        };
        let is_git = CHECK_OUT.iter().any(|name| {
            entry
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        match entry {
            _ if LEAVE_TEXT.contains(&entry) => None,
            "tee" if words.len() == 2 => Some(self.redirected_contents(written, true)),
            _ if COPY.contains(&entry) => Some(Contents::Copy(sources())),
            _ if UNPACK.contains(&entry) && !self.feed.given => {
                let written = |place: &PathText| self.holds_unread(place);
                Some(match sources().iter().any(written) {
                    true => Contents::Unread(decoder()),
                    false => Contents::Built,
                })
            }
            _ if is_git || read.sets.contains(&Set::Build) => Some(Contents::Built),
            _ => Some(Contents::Unread(decoder())),
        }
    }

    /// Whether something that the session or the command has written lies at a place, or below it.
    fn holds_unread(&self, place: &PathText) -> bool {
        let directory = match place {
            PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _) => {
                paths::normal(path)
            }
            PathText::Anywhere => "/".to_owned(),
        };
        self.spend(self.made.len() / MADE_A_STEP + self.at.written.len());
        self.at
            .written
            .iter()
            .any(|file| paths::within(file, &directory))
            || self
                .made
                .iter()
                .any(|made| made.contents != Contents::Built && (made.touches(&directory)))
    }

    /// What may be in a file that this command has written.
    pub(super) fn texts_at(&self, path: &str) -> Texts {
        let mut all = Texts::default();
        let mut places = vec![path.to_owned()];
        let mut at = 0;
        while let Some(place) = places.get(at).cloned() {
            if at > 0 && self.at.written.contains(&place) {
                all.files.push(place.clone());
            }
            at += 1;
            self.spend(self.made.len());
            for made in self.made.iter().filter(|made| made.covers(&place)) {
                match &made.contents {
                    Contents::Text(text) => all.texts.push(text.clone()),
                    Contents::Built => {}
                    Contents::Unread(_) => all.unread = true,
                    Contents::Copy(sources) => {
                        for source in sources {
                            match made.copied_from(source, &place) {
                                Some(names) => {
                                    for name in names {
                                        if !places.contains(&name) {
                                            places.push(name);
                                        }
                                    }
                                }
                                None => all.unread |= self.holds_unread(source),
                            }
                        }
                    }
                }
            }
            if places.len() > COPIES {
                all.unread = true;
                break;
            }
        }
        all.texts.dedup();
        all
    }

    /// What this command may have put where a shell runs some file: names that a pattern matches, or any.
    pub(super) fn made_among(&self, place: &PathText) -> Vec<String> {
        let taken = |made: &&Made| match (place, &made.place) {
            (PathText::Glob(directory, pattern), PathText::Known(path)) if !made.tree => {
                let directory = paths::normal(directory);
                let below = path.strip_prefix(&directory);
                let below = below.and_then(|rest| rest.strip_prefix('/'));
                below.is_some_and(|name| pathname::below_matches(pattern, name))
            }
            (PathText::Below(directory) | PathText::Glob(directory, _), _) => {
                made.touches(&paths::normal(directory))
            }
            _ => false,
        };
        let path = |made: &Made| match &made.place {
            PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _) => path.clone(),
            PathText::Anywhere => "/".to_owned(),
        };
        self.spend(self.made.len());
        self.made.iter().filter(taken).map(path).collect()
    }

    /// A decoder has made what lies at a place readable.
    pub(super) fn decoded_at(&self, place: &PathText) -> Option<Danger> {
        let PathText::Known(path) = place else {
            return None;
        };
        let path = paths::normal(path);
        self.spend(self.made.len() / MADE_A_STEP);
        self.made.iter().find_map(|made| match &made.contents {
            Contents::Unread(Some(decoder)) if made.covers(&path) => {
                Some(obfuscation(format!("runs what {decoder} makes readable")))
            }
            _ => None,
        })
    }

    /// A shell runs a file, which may be written later: by a loop, or in the background.
    pub(super) fn note_ran(&mut self, path: &str, reader: Reader<'_>) {
        let shell = match reader {
            Reader::Shell(shell) => Some(shell.to_owned()),
            Reader::Kernel => None,
            Reader::FirstLine | Reader::Other => return,
        };
        self.spend(self.ran.len() / MADE_A_STEP);
        let same = |ran: &Ran| ran.path == path && ran.shell == shell;
        if self.ran.iter().any(same) {
            return;
        }
        if self.ran.len() >= limits::CALL_ATOMS {
            return self.unread("the command runs more files than are read".to_owned());
        }
        let (path, made) = (path.to_owned(), self.made.len());
        self.ran.push(Ran { path, shell, made });
    }

    /// Reads what was written into files after the command that runs them.
    pub(super) fn written_later(&mut self) {
        while let Some(ran) = self.ran.pop() {
            let later = self.made.get(ran.made..).unwrap_or_default();
            self.spend(self.made.len() / MADE_A_STEP);
            let plain =
                |made: &&Made| made.contents != Contents::Built && made.place != PathText::Anywhere;
            if !later
                .iter()
                .filter(plain)
                .any(|made| made.covers(&ran.path))
                || self.is_spent()
            {
                continue;
            }
            let reader = match &ran.shell {
                Some(shell) => Reader::Shell(shell),
                None => Reader::Kernel,
            };
            self.run_again(&ran.path, reader);
        }
    }

    /// A file that this command has written.
    pub(super) fn note_made(
        &mut self,
        place: PathText,
        tree: bool,
        network: Option<String>,
        contents: Contents,
    ) {
        self.through_link(&place);
        let place = match place {
            PathText::Known(path) => PathText::Known(paths::normal(&path)),
            PathText::Below(path) => PathText::Below(paths::normal(&path)),
            PathText::Glob(path, pattern) => PathText::Glob(paths::normal(&path), pattern),
            PathText::Anywhere => PathText::Anywhere,
        };
        self.keep_made(Made {
            place,
            tree,
            network,
            contents,
            foreign: false,
        });
    }

    /// Whether this command has written a file by another of its names.
    pub(super) fn made_by_other_name(&self, path: &str) -> bool {
        if self.made.is_empty() || !self.disk.looks() {
            return false;
        }
        let Some(lies) = self.disk.resolve(path) else {
            return false;
        };
        let same = |made: &Made| match &made.place {
            PathText::Known(other) if other != path && made.contents != Contents::Built => {
                self.disk.resolve(other).is_some_and(|other| {
                    other.real == lies.real
                        || other.identity.is_some() && other.identity == lies.identity
                })
            }
            _ => false,
        };
        self.made.iter().any(same)
    }

    /// A write through a link that this command has made may be to any file.
    fn through_link(&mut self, place: &PathText) {
        let PathText::Known(path) = place else {
            return;
        };
        let path = paths::normal(path);
        self.spend(self.links.len());
        if self.links.iter().any(|link| paths::within(&path, link)) {
            self.keep_made(Made {
                place: PathText::Anywhere,
                tree: true,
                network: None,
                contents: Contents::Unread(None),
                foreign: false,
            });
        }
    }

    /// `ln` has made another name.
    pub(super) fn note_link(&mut self, place: &PathText) {
        if let PathText::Known(path) = place {
            let path = paths::normal(path);
            if self.links.len() < limits::CALL_ATOMS && !self.links.contains(&path) {
                self.links.push(path);
            }
        }
    }

    /// A file that this command fills with what nobody has read.
    pub(super) fn note_foreign(&mut self, place: PathText, tree: bool) {
        self.note_made(place, tree, None, Contents::Unread(None));
        if let Some(made) = self.made.last_mut() {
            made.foreign = true;
        }
    }

    fn keep_made(&mut self, made: Made) {
        self.spend(self.made.len() / MADE_A_STEP);
        self.made.retain(|other| *other != made);
        if self.made.len() < limits::CALL_ATOMS {
            self.made.push(made);
        } else {
            self.unread("the command writes more files than are read".to_owned());
        }
    }

    /// What this command has written at a path.
    pub(super) fn made_at(&self, path: &str) -> Option<&Made> {
        self.spend(self.made.len() / MADE_A_STEP);
        self.made.iter().rev().find(|made| made.covers(path))
    }

    /// Whether this command may have filled a file with what nobody has read.
    pub(super) fn is_foreign(&self, path: &str) -> bool {
        self.spend(self.made.len() / MADE_A_STEP);
        self.made
            .iter()
            .any(|made| made.foreign && made.covers(path))
    }

    /// Anything that this command has written comes from the network.
    pub(super) fn has_fetched(&self) -> bool {
        self.made.iter().any(|made| made.network.is_some())
    }

    /// The command that fetched what lies at a place.
    pub(super) fn fetched_by(&self, place: &PathText) -> Option<String> {
        if self.made.is_empty() {
            return None;
        }
        self.spend(self.made.len() / MADE_A_STEP);
        let (path, whole) = match place {
            PathText::Known(path) => (paths::normal(path), true),
            PathText::Below(path) | PathText::Glob(path, _) => (paths::normal(path), false),
            PathText::Anywhere => ("/".to_owned(), false),
        };
        let fetched = |made: &&Made| {
            made.network.is_some()
                && match whole {
                    true => made.covers(&path),
                    false => made.touches(&path),
                }
        };
        self.made.iter().rev().find(fetched)?.network.clone()
    }

    /// The command that fetched the directory where a program runs.
    pub(super) fn fetched_directory(&self, dirs: &Dirs) -> Option<String> {
        dirs.names()
            .into_iter()
            .find_map(|dir| self.fetched_by(&PathText::Known(dir)))
    }

    /// Whether what a word names is neither the repository's nor the session's.
    pub(super) fn is_foreign_word(&self, word: &Word, dirs: &Dirs) -> bool {
        let foreign = |place: &PathText| self.class_of(place) >= CodeClass::Unknown;
        self.files(word, dirs).iter().any(foreign)
    }
}

impl Made {
    pub(super) fn covers(&self, path: &str) -> bool {
        match &self.place {
            PathText::Known(made) => made == path || (self.tree && paths::within(path, made)),
            PathText::Glob(made, pattern) if !pattern.contains('/') => {
                let rest = path.strip_prefix(made.as_str());
                let name = rest.and_then(|rest| rest.trim_start_matches('/').split('/').next());
                name.is_some_and(|name| pathname::name_matches(pattern, name))
            }
            PathText::Below(made) | PathText::Glob(made, _) => paths::within(path, made),
            PathText::Anywhere => true,
        }
    }

    fn touches(&self, directory: &str) -> bool {
        match &self.place {
            PathText::Known(made) | PathText::Below(made) | PathText::Glob(made, _) => {
                paths::within(made, directory) || paths::within(directory, made)
            }
            PathText::Anywhere => true,
        }
    }

    /// The files from which one of the copies may have been made; `None` where that is not known.
    fn copied_from(&self, source: &PathText, copy: &str) -> Option<Vec<String>> {
        let PathText::Known(made) = &self.place else {
            return None;
        };
        let rest = copy.strip_prefix(made.as_str())?.trim_start_matches('/');
        match source {
            PathText::Known(source) => {
                let source = paths::normal(source);
                let name = source.rsplit('/').next().unwrap_or_default();
                let mut files = vec![source.clone()];
                if !rest.is_empty() {
                    files.push(paths::join(&source, rest));
                    let below = rest
                        .strip_prefix(name)
                        .and_then(|rest| rest.strip_prefix('/'));
                    files.extend(below.map(|below| paths::join(&source, below)));
                }
                Some(files)
            }
            PathText::Glob(directory, pattern) if !pattern.contains('/') && !rest.is_empty() => {
                Some(vec![paths::join(&paths::normal(directory), rest)])
            }
            _ => None,
        }
    }
}
