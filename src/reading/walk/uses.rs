//! What the table says that a program does, as atoms.

use super::Walker;
use super::listing;
use super::made::Contents;
use super::places;
use super::program::{SHELLS, execute, sentence};
use super::scripts::Reader;
use super::searching;
use super::state::Dirs;
use super::stream::Stream;
use crate::reading::atoms::{AtomKind, Code, CodeClass, Host, PathText, Place, Source};
use crate::reading::disk::FileKind;
use crate::reading::programs::{Invocation, Use, UseKind};
use crate::reading::word::Word;
use crate::reading::{hosts, pathname, paths};

/// Interpreters that start what the first line of a file names, where that is another.
const FIRST_LINE: &[&str] = &["perl", "ruby"];

/// Names that are looked at for links.
const LINKED: usize = crate::contracts::limits::DISK_NAMES;

/// What a use comes from.
struct From<'a> {
    entry: Option<&'a str>,
    words: &'a [Word],
    /// The command that fetches what the program reads.
    network: Option<&'a str>,
    /// It reads a file from where nobody has looked.
    foreign: bool,
    /// What it puts into the files that it writes; `None` where it leaves what is in them.
    contents: Option<Contents>,
    /// The command that fetched the directory where it runs, or what its words name there.
    fetched: Option<String>,
}

impl From<'_> {
    /// The word that makes the use says all of it.
    fn is_known(&self, of: &Use) -> bool {
        let word = of.word.and_then(|at| self.words.get(at));
        word.is_none_or(|word| word.known().is_some())
    }
}

impl Walker<'_> {
    /// Paths, hosts and code. Gives the command that fetches, where one does.
    pub(super) fn uses(
        &mut self,
        read: &Invocation,
        words: &[Word],
        dirs: &Dirs,
        at: Option<usize>,
        written: &Stream,
    ) -> Option<String> {
        let mut network = self.feed.network.clone();
        let fetches = |of: &Use| matches!(of.kind, UseKind::Host(_) | UseKind::Remote(_));
        if read.uses.iter().any(fetches) {
            network = Some(sentence(words));
        }
        for of in &read.uses {
            if let UseKind::Read { path, .. } = &of.kind
                && network.is_none()
            {
                network = places::places(path, dirs)
                    .iter()
                    .find_map(|place| self.fetched_by(place));
            }
        }
        let from = From {
            entry: read.entry.as_deref(),
            words,
            network: network.as_deref(),
            foreign: self.reads_foreign(read, dirs),
            contents: match read.uses.iter().any(writes) {
                true => self.written_contents(read, words, dirs, written),
                false => None,
            },
            fetched: self
                .fetched_directory(dirs)
                .or_else(|| self.fetched_operand(read, words, dirs)),
        };
        for of in &read.uses {
            let source = match of.word {
                None => Source::Itself,
                Some(word) if of.turns => Source::Option(word),
                Some(word) => Source::Operand(word),
            };
            self.one_use(of, &from, source, dirs, at);
        }
        network
    }

    fn one_use(
        &mut self,
        of: &Use,
        from: &From<'_>,
        source: Source,
        dirs: &Dirs,
        at: Option<usize>,
    ) {
        match &of.kind {
            UseKind::Read {
                path,
                tree,
                leaves_out_ignored,
            } => {
                for place in self.files(path, dirs) {
                    let place = Place {
                        tree: *tree,
                        leaves_out_ignored: *leaves_out_ignored,
                        ..Place::at(place)
                    };
                    let place = listed(place, path);
                    let follows = searching::follows_links(from.entry, from.words);
                    let place = match places::listing(path).is_some() || follows {
                        true => {
                            for link in self.links(&place, *tree) {
                                self.push(AtomKind::Read(link), at, source, of.dangers.clone());
                            }
                            place
                        }
                        false => place,
                    };
                    let place = self.searched(place, from);
                    self.push(AtomKind::Read(place), at, source, of.dangers.clone());
                }
            }
            UseKind::Write {
                path,
                tree,
                removes,
            } => {
                for place in self.files(path, dirs) {
                    if !removes && let Some(contents) = &from.contents {
                        let copies = matches!(contents, Contents::Copy(_));
                        match from.network {
                            None if from.foreign => self.note_foreign(place.clone(), *tree),
                            network => {
                                let network = network.map(str::to_owned);
                                let tree = *tree || copies;
                                self.note_made(place.clone(), tree, network, contents.clone());
                            }
                        }
                        if from.entry == Some("ln") && !of.turns {
                            self.note_link(&place);
                        }
                    }
                    let place = Place {
                        tree: *tree,
                        removes: *removes,
                        ..Place::at(place)
                    };
                    let mut place = listed(place, path);
                    if of.turns && *removes && from.entry == Some("find") {
                        let arguments = from.words.get(1..).unwrap_or_default();
                        place.only = listing::names_of_find(arguments).only;
                    }
                    self.push(AtomKind::Write(place), at, source, of.dangers.clone());
                }
            }
            UseKind::Host(word) => {
                let host = match word.as_ref() {
                    Some(word) => match word.known() {
                        Some(text) => hosts::host(text),
                        None => begun_host(word.beginning()),
                    },
                    None => unknown_host(),
                };
                self.push(AtomKind::Host(host), at, source, of.dangers.clone());
            }
            UseKind::Remote(word) => {
                for host in self.remote(word.as_ref(), dirs) {
                    self.push(AtomKind::Host(host), at, source, of.dangers.clone());
                }
            }
            UseKind::Code { class, what } => {
                let mut dangers = of.dangers.clone();
                let mut class = *class;
                let fetched = match class {
                    CodeClass::Repo => from.fetched.clone(),
                    // `python3 -c "$(curl ...)"`.
                    CodeClass::Unknown if !from.is_known(of) => self.taint.network.clone(),
                    _ => None,
                };
                if let Some(command) = fetched {
                    class = CodeClass::Fetched;
                    dangers.push(execute(&command));
                }
                // What stands elsewhere is not the repository's, whatever runs it.
                let mut source = source;
                if class == CodeClass::Repo {
                    class = self.class_in(dirs);
                    if class == CodeClass::Unknown {
                        source = Source::Environment;
                    }
                }
                let code = Code {
                    class,
                    what: what.clone(),
                };
                self.push(AtomKind::Code(code), at, source, dangers);
            }
            UseKind::Script(word) => {
                let entry = from.entry.unwrap_or_default();
                let reader = match of.word {
                    Some(0) => Reader::Kernel,
                    _ if SHELLS.contains(&entry) => Reader::Shell(entry),
                    _ if FIRST_LINE.contains(&entry) => Reader::FirstLine,
                    _ => Reader::Other,
                };
                self.script_file(word, dirs, reader, at, source);
            }
        }
    }

    /// Whether a program that writes reads a file that is neither the repository's nor the session's.
    fn reads_foreign(&self, read: &Invocation, dirs: &Dirs) -> bool {
        if !read.uses.iter().any(writes) {
            return false;
        }
        read.uses.iter().any(|of| match &of.kind {
            UseKind::Read { path, .. } => self.is_foreign_word(path, dirs),
            _ => false,
        })
    }

    /// The command that fetched what a word names, of a program that runs what lies where it is told: `make -f`,
    /// `pip install -e`.
    fn fetched_operand(&self, read: &Invocation, words: &[Word], dirs: &Dirs) -> Option<String> {
        let entry = read.entry.as_deref().unwrap_or_default();
        let runs = |of: &Use| matches!(of.kind, UseKind::Code { .. });
        // What git runs is named in its configuration, which it does not fetch.
        if entry.starts_with("git") || !read.uses.iter().any(runs) {
            return None;
        }
        words.iter().skip(1).find_map(|word| {
            let value = match word.known().and_then(|text| text.split_once('=')) {
                Some((_, value)) => Word::text(value),
                None => word.clone(),
            };
            self.fetched_in(&value)
                .or_else(|| (dirs != &self.dirs).then(|| self.fetched_at(&value, dirs))?)
        })
    }

    /// The command that fetched what a word names.
    pub(super) fn fetched_in(&self, word: &Word) -> Option<String> {
        self.fetched_at(word, &self.dirs)
    }

    fn fetched_at(&self, word: &Word, dirs: &Dirs) -> Option<String> {
        if !self.has_fetched() {
            return None;
        }
        let places = places::places(word, dirs);
        let known = |place: &&PathText| matches!(place, PathText::Known(_));
        places
            .iter()
            .filter(known)
            .find_map(|place| self.fetched_by(place))
    }

    /// A directory that `grep` or `rg` searches: only the files that they look into.
    fn searched(&self, place: Place, from: &From<'_>) -> Place {
        let arguments = from.words.get(1..).unwrap_or_default();
        let (PathText::Known(path), true, None) = (&place.path, place.tree, &place.only) else {
            return place;
        };
        let Some(listed) = searching::searched(from.entry, arguments, place.leaves_out_ignored)
        else {
            return place;
        };
        // A file that is named is searched, whatever its name is.
        let end = self.disk.resolve(path).and_then(|end| end.kind);
        match end == Some(FileKind::Directory) {
            true => Place {
                leaves_out_ignored: listed.leaves_out_ignored,
                only: listed.only,
                ..place
            },
            false => place,
        }
    }

    /// Where links lead whose names are among those of a tree: no tree has them.
    pub(super) fn links(&self, place: &Place, below: bool) -> Vec<Place> {
        let (PathText::Known(path), true, true) = (&place.path, place.tree, self.disk.looks())
        else {
            return Vec::new();
        };
        let anywhere = || vec![Place::at(PathText::Anywhere)];
        let Some(root) = self.disk.resolve(path) else {
            return anywhere();
        };
        if root.kind != Some(FileKind::Directory) {
            return Vec::new();
        }
        let whole = place.only.is_none() && !place.leaves_out_ignored;
        let taken = |path: &str| {
            let name = path.get(root.real.len() + 1..).unwrap_or(path);
            let only = place.only.as_ref();
            only.is_none_or(|only| pathname::below_matches(only, name))
        };
        let mut leading = Vec::new();
        let mut rest = vec![root.real.clone()];
        let mut looked = 0;
        while let Some(directory) = rest.pop() {
            let Some(names) = self.disk.names(&directory) else {
                return anywhere();
            };
            for name in names {
                let path = paths::join(&directory, &name);
                let ignored = || name == ".git" || self.disk.ignored(&path) == Some(true);
                looked += 1;
                if looked > LINKED {
                    return anywhere();
                }
                let Some(end) = self.disk.resolve(&path) else {
                    // A link that nobody can follow.
                    if below || taken(&path) {
                        return anywhere();
                    }
                    continue;
                };
                let is_directory = end.kind == Some(FileKind::Directory);
                if end.real == path {
                    if is_directory && !(place.leaves_out_ignored && ignored()) {
                        rest.push(path);
                    }
                } else if (if is_directory { below } else { taken(&path) })
                    && !(whole && paths::within(&end.real, &root.real))
                {
                    leading.push(Place {
                        tree: is_directory && below,
                        ..Place::at(PathText::Known(end.real))
                    });
                }
            }
        }
        leading
    }

    /// Files that a word names; descriptors and devices that keep nothing are none.
    pub(super) fn files(&self, word: &Word, dirs: &Dirs) -> Vec<PathText> {
        let file = |place: &PathText| match place {
            PathText::Known(path) => !places::is_no_file(&paths::normal(path)),
            _ => true,
        };
        let mut places = places::places(word, dirs);
        places.retain(file);
        places
    }

    /// Hosts of a remote of git's.
    fn remote(&self, word: Option<&Word>, dirs: &Dirs) -> Vec<Host> {
        let known = word.and_then(Word::known);
        if let Some(text) = known
            && text.contains(['/', ':', '@'])
        {
            return match text.contains(':') {
                true => vec![hosts::host(text)],
                // A directory.
                false => Vec::new(),
            };
        }
        if word.is_some() && known.is_none() {
            return vec![unknown_host()];
        }
        let mut places = Vec::new();
        let names = dirs.names();
        for dir in &names {
            let Some(git) = self.disk.git(dir) else {
                return vec![unknown_host()];
            };
            let name = known.or(git.upstream.as_deref()).unwrap_or("origin");
            let urls = git.remotes.iter().filter(|(remote, _)| remote == name);
            for (_, url) in urls {
                let host = hosts::host(url);
                if !places.contains(&host) && url.contains(':') {
                    places.push(host);
                }
            }
        }
        if places.is_empty() {
            places.push(unknown_host());
        }
        places
    }
}

/// A file is made or changed.
fn writes(of: &Use) -> bool {
    matches!(of.kind, UseKind::Write { removes: false, .. })
}

/// A path that was listed: all files of the listing.
pub(super) fn listed(place: Place, word: &Word) -> Place {
    match (&place.path, places::listing(word)) {
        (PathText::Below(directory), Some(listed)) => Place {
            path: PathText::Known(directory.clone()),
            tree: true,
            leaves_out_ignored: listed.leaves_out_ignored,
            only: listed.only,
            ..place
        },
        _ => place,
    }
}

/// The host of a URL that is cut: only where its name is certain to have ended.
fn begun_host(beginning: &str) -> Host {
    let ended = beginning
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/') && !rest.contains('@'));
    match ended {
        true => Host {
            path: None,
            ..hosts::host(beginning)
        },
        false => unknown_host(),
    }
}

fn unknown_host() -> Host {
    Host {
        name: None,
        scheme: None,
        port: None,
        path: None,
    }
}
