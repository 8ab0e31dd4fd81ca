//! What the table says that a program does, as atoms.

use super::Walker;
use super::places;
use super::program::{SHELLS, execute, sentence};
use super::state::Dirs;
use crate::reading::atoms::{AtomKind, Code, CodeClass, Host, PathText, Place, Source};
use crate::reading::programs::{Invocation, Use, UseKind};
use crate::reading::word::Word;
use crate::reading::{hosts, paths};

impl Walker<'_> {
    /// Paths, hosts and code. Gives the command that fetches, where one does.
    pub(super) fn uses(
        &mut self,
        read: &Invocation,
        words: &[Word],
        dirs: &Dirs,
        at: Option<usize>,
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
        for of in &read.uses {
            let source = match of.word {
                None => Source::Itself,
                Some(word) if of.turns => Source::Option(word),
                Some(word) => Source::Operand(word),
            };
            self.one_use(of, source, dirs, at, network.as_deref());
        }
        network
    }

    fn one_use(
        &mut self,
        of: &Use,
        source: Source,
        dirs: &Dirs,
        at: Option<usize>,
        network: Option<&str>,
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
                    self.push(AtomKind::Read(place), at, source, of.dangers.clone());
                }
            }
            UseKind::Write {
                path,
                tree,
                removes,
            } => {
                for place in self.files(path, dirs) {
                    if !removes {
                        self.note_made(place.clone(), *tree, network.map(str::to_owned), None);
                    }
                    let place = Place {
                        tree: *tree,
                        removes: *removes,
                        ..Place::at(place)
                    };
                    let place = if *removes { place } else { listed(place, path) };
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
                if class == CodeClass::Repo
                    && let Some(command) = self.fetched_directory(dirs)
                {
                    class = CodeClass::Fetched;
                    dangers.push(execute(&command));
                }
                let code = Code {
                    class,
                    what: what.clone(),
                };
                self.push(AtomKind::Code(code), at, source, dangers);
            }
            UseKind::Script(word) => {
                let entry = at
                    .and_then(|at| self.reading.atoms.get(at))
                    .and_then(|atom| match &atom.kind {
                        AtomKind::Program(program) => program.entry.clone(),
                        _ => None,
                    })
                    .unwrap_or_default();
                let foreign = of.word != Some(0) && is_foreign(&entry);
                let outer = std::mem::replace(&mut self.foreign, foreign);
                let shell = SHELLS.contains(&entry.as_str()).then_some(entry);
                self.script_file(word, dirs, shell.as_deref(), at, source);
                self.foreign = outer;
            }
        }
    }

    /// Files that a word names; descriptors and devices that keep nothing are none.
    fn files(&self, word: &Word, dirs: &Dirs) -> Vec<PathText> {
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
        let mut found = Vec::new();
        let names = dirs.names();
        for dir in &names {
            let Some(git) = self.disk.git(dir) else {
                return vec![unknown_host()];
            };
            let name = known.or(git.upstream.as_deref()).unwrap_or("origin");
            let urls = git.remotes.iter().filter(|(remote, _)| remote == name);
            for (_, url) in urls {
                let host = hosts::host(url);
                if !found.contains(&host) && url.contains(':') {
                    found.push(host);
                }
            }
        }
        if found.is_empty() {
            found.push(unknown_host());
        }
        found
    }
}

/// Programs that read the file that they run as a text of their own language, whatever its first line says.
const FOREIGN: &[&str] = &[
    "node", "nodejs", "deno", "bun", "php", "lua", "luajit", "Rscript", "julia", "elixir", "swift",
    "groovy", "tclsh", "guile", "racket", "awk", "gawk", "mawk", "sed", "gsed", "cmake", "ctest",
    "tsx", "ts-node", "java", "go run",
];

/// Whether a program takes no file for the text of a shell. ruby and perl run what the first line names.
fn is_foreign(entry: &str) -> bool {
    FOREIGN.contains(&entry) || entry.starts_with("python") || entry.starts_with("pypy")
}

/// A path that was listed: all files of the listing.
fn listed(place: Place, word: &Word) -> Place {
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
