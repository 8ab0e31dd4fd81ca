//! Programs: what the table says of them becomes atoms, and what they hand on is walked.

use super::Walker;
use super::places;
use super::simple::shown;
use super::state::{Dirs, Value};
use super::stream::Stream;
use super::task::Task;
use crate::contracts::limits;
use crate::reading::atoms::{
    AtomKind, Category, Code, CodeClass, Danger, Found, Host, PathText, Place, Program, Role,
    Source,
};
use crate::reading::disk::{Disk, FileKind, Git};
use crate::reading::programs::{self, Context, HandOn, Invocation, More, Use, UseKind};
use crate::reading::word::{Piece, Word};
use crate::reading::{hosts, paths};

/// A program that is to be started, or what one hands on.
#[derive(Debug)]
pub(super) struct Start {
    kind: Kind,
    /// Wrappers around it.
    depth: usize,
    /// Where it runs, where that is not where the shell is.
    dirs: Option<Dirs>,
    /// The program that hands it on, where that is an atom.
    program: Option<usize>,
    assignments: Vec<(String, Word)>,
}

#[derive(Debug)]
enum Kind {
    Program {
        words: Vec<Word>,
        open_ended: bool,
    },
    Shell {
        text: Word,
        arguments: Vec<Word>,
        shell: String,
    },
    Input {
        shell: Option<String>,
        what: String,
    },
    Source(Word),
}

impl Start {
    pub(super) fn of(words: Vec<Word>) -> Self {
        Self {
            kind: Kind::Program {
                words,
                open_ended: false,
            },
            depth: 0,
            dirs: None,
            program: None,
            assignments: Vec::new(),
        }
    }
}

/// What the table asks about the place where a program runs.
struct Here<'a> {
    dirs: &'a Dirs,
    disk: &'a dyn Disk,
}

impl Here<'_> {
    fn one(&self, directory: Option<&Word>) -> Option<String> {
        let dirs = match directory {
            Some(word) => places::directories(word, self.dirs, false),
            None => self.dirs.clone(),
        };
        match dirs.names().as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    fn kind(&self, directory: Option<&Word>, path: &str) -> Option<Option<FileKind>> {
        let path = places::join(&self.one(directory)?, path);
        Some(self.disk.resolve(&path)?.kind)
    }
}

impl Context for Here<'_> {
    fn git(&self, directory: Option<&Word>) -> Option<Git> {
        self.disk.git(&self.one(directory)?)
    }

    fn directory(&self, directory: Option<&Word>, path: &str) -> Option<bool> {
        Some(self.kind(directory, path)? == Some(FileKind::Directory))
    }

    fn file(&self, directory: Option<&Word>, path: &str) -> Option<bool> {
        Some(self.kind(directory, path)? == Some(FileKind::File))
    }
}

impl Walker<'_> {
    pub(super) fn start(&mut self, start: Start) {
        if start.depth > limits::INNER_SHELLS {
            return self.unread("programs run programs deeper than is read".to_owned());
        }
        if !start.assignments.is_empty() {
            self.tasks.push(Task::Leave(self.scope()));
            for (name, word) in start.assignments {
                self.no_secret_in(&word);
                let value = Value::of(word);
                for (kind, dangers) in self.effects(&name, &value) {
                    self.push(kind, start.program, Source::Environment, dangers);
                }
                self.state.assign(&name, value);
                self.export(&name);
            }
        }
        match start.kind {
            Kind::Program { words, open_ended } => {
                let dirs = start.dirs.unwrap_or_else(|| self.dirs.clone());
                self.program(words, open_ended, &dirs, start.depth);
            }
            Kind::Shell {
                text,
                arguments,
                shell,
            } => self.shell_text(&text, arguments, &shell, start.dirs, start.program),
            Kind::Input { shell, what } => self.input(shell, what, start.dirs, start.program),
            Kind::Source(word) => self.source(&word, start.program),
        }
    }

    fn program(&mut self, words: Vec<Word>, open_ended: bool, dirs: &Dirs, depth: usize) {
        let Some(name) = words.first().and_then(Word::known).map(str::to_owned) else {
            self.leaf(Stream::tainted_by(&self.feed.clone()));
            return self.unknown_program(&words);
        };
        if self.in_this_shell(&name, &words, depth) {
            return;
        }
        self.steps += words.len();
        let here = Here {
            dirs,
            disk: self.disk,
        };
        let read = programs::read(&words, &here);
        let dirs = match &read.directory {
            Some(word) => places::directories(word, dirs, false),
            None => dirs.clone(),
        };
        let found = self.find_program(&name);
        let transparent = is_transparent(&read);
        let at = if transparent {
            None
        } else {
            let dangers = self.spelled_dangers(&name, &read.dangers);
            let mut roles = read.roles.clone();
            roles.resize(words.len(), Role::Operand);
            let program = Program {
                words: words.clone(),
                roles,
                entry: read.entry.clone(),
                sets: read.sets.clone(),
                directories: dirs.names(),
                open_ended,
                found: found.clone(),
            };
            self.push(
                AtomKind::Program(Box::new(program)),
                None,
                Source::Itself,
                dangers,
            )
        };
        if self.first_program.is_none() {
            self.first_program = at;
        }
        if found == Found::WritablePath && self.path.is_some() {
            self.code_from_path(&name, at);
        }
        let network = self.uses(&read, &words, &dirs, at);
        let mut written = self.output(&words, &read, &dirs);
        if network.is_some() {
            written.network = network;
        }
        self.leaf(written.clone());
        self.hand_on(read, &words, &dirs, at, depth, written);
    }

    /// `command`, `builtin`, `exec`: the words behind are started by this very shell.
    fn in_this_shell(&mut self, name: &str, words: &[Word], depth: usize) -> bool {
        if !matches!(name, "command" | "builtin" | "exec") {
            return false;
        }
        let mut at = 1;
        while let Some(word) = words.get(at) {
            match word.known() {
                Some("--") => {
                    at += 1;
                    break;
                }
                Some("-v" | "-V" | "-pv" | "-pV" | "-vp") if name == "command" => {
                    self.leaf(Stream::default());
                    return true;
                }
                Some("-p") if name == "command" => at += 1,
                Some("-a") if name == "exec" => at += 2,
                Some("-c" | "-l" | "-cl" | "-lc") if name == "exec" => at += 1,
                Some(text) if text.starts_with('-') => {
                    self.unread(format!("{name} {text} is not read"));
                    return true;
                }
                _ => break,
            }
        }
        let rest = words.get(at..).unwrap_or_default().to_vec();
        let Some(first) = rest.first() else {
            self.leaf(Stream::of(Word::default()));
            return true;
        };
        match first.known().map(str::to_owned) {
            Some(inner) if name != "exec" => self.command_word(&inner, rest),
            Some(_) => self.tasks.push(Task::Start(Box::new(Start {
                depth: depth + 1,
                ..Start::of(rest)
            }))),
            None => self.unknown_program(&rest),
        }
        true
    }

    /// Words of which no program is known: denies look at what is.
    pub(super) fn push_program(&mut self, words: &[Word], entry: Option<String>) {
        let roles = (0..words.len()).map(|at| match at {
            0 => Role::Program,
            _ => Role::Turning,
        });
        let program = Program {
            words: words.to_vec(),
            roles: roles.collect(),
            entry,
            sets: Vec::new(),
            directories: self.dirs.names(),
            open_ended: true,
            found: Found::WritablePath,
        };
        let dangers = match &self.taint.decoded {
            Some(decoder) => vec![obfuscation(format!(
                "runs a program whose name {decoder} makes"
            ))],
            None => Vec::new(),
        };
        let at = self.push(
            AtomKind::Program(Box::new(program)),
            None,
            Source::Itself,
            dangers,
        );
        if self.first_program.is_none() {
            self.first_program = at;
        }
    }

    fn spelled_dangers(&self, name: &str, dangers: &[Danger]) -> Vec<Danger> {
        let mut dangers = dangers.to_vec();
        if self.spelled.iter().any(|text| name.contains(text.as_str())) {
            dangers.push(obfuscation(format!(
                "spells {name} in numbers of its letters"
            )));
        }
        dangers
    }

    /// Where a program lies.
    fn find_program(&self, name: &str) -> Found {
        if name.contains('/') {
            let places = places::places(&Word::text(name), &self.dirs);
            let path = match places.as_slice() {
                [PathText::Known(path)] => path.clone(),
                _ => name.to_owned(),
            };
            let real = self.disk.resolve(&path).map(|resolved| resolved.real);
            return Found::At(real.unwrap_or_else(|| paths::normal(&path)));
        }
        let path = self.path.as_ref().unwrap_or(&self.at.path);
        if path.iter().all(|(_, writable)| !writable) {
            return Found::Path;
        }
        for (directory, writable) in path {
            if *writable {
                return Found::WritablePath;
            }
            let file = places::join(directory, name);
            let there = self.disk.resolve(&file).map(|resolved| resolved.kind);
            if there == Some(Some(FileKind::File)) {
                return Found::Path;
            }
        }
        Found::Path
    }

    /// The command's own PATH finds programs where the session can write.
    fn code_from_path(&mut self, name: &str, at: Option<usize>) {
        let path = self.path.clone().unwrap_or_default();
        for (directory, _) in path.iter().filter(|(_, writable)| *writable) {
            let file = places::join(directory, name);
            let there = self.disk.resolve(&file).map(|resolved| resolved.kind);
            if there == Some(None) {
                continue;
            }
            let class = self.class_of(&PathText::Known(file.clone()));
            let code = Code { class, what: file };
            self.push(AtomKind::Code(code), at, Source::Environment, Vec::new());
        }
    }

    /// Paths, hosts and code. Gives the command that fetches, where one does.
    fn uses(
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
                let shell = at
                    .and_then(|at| self.reading.atoms.get(at))
                    .and_then(|atom| match &atom.kind {
                        AtomKind::Program(program) => program.entry.clone(),
                        _ => None,
                    })
                    .filter(|entry| SHELLS.contains(&entry.as_str()));
                self.script_file(word, dirs, shell.as_deref(), at, source);
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

    /// What a program hands on, each in its turn.
    fn hand_on(
        &mut self,
        read: Invocation,
        words: &[Word],
        dirs: &Dirs,
        at: Option<usize>,
        depth: usize,
        written: Stream,
    ) {
        if read.hands_on.is_empty() {
            return;
        }
        let entry = read.entry.clone().unwrap_or_default();
        let mut starts = Vec::new();
        for hand_on in read.hands_on {
            let mut start = Start {
                kind: Kind::Source(Word::default()),
                depth: depth + 1,
                dirs: (dirs != &self.dirs).then(|| dirs.clone()),
                program: at,
                assignments: Vec::new(),
            };
            start.kind = match hand_on {
                HandOn::Program {
                    words: inner,
                    more,
                    assignments,
                    directory,
                    ..
                } => {
                    if let Some(word) = directory {
                        start.dirs = Some(places::directories(&word, dirs, false));
                    }
                    start.assignments = assignments;
                    let (words, open_ended) = self.more_words(words, inner, more, &entry);
                    Kind::Program { words, open_ended }
                }
                HandOn::Shell {
                    text, arguments, ..
                } => Kind::Shell {
                    text,
                    arguments,
                    shell: entry.clone(),
                },
                HandOn::Input { shell, what } => Kind::Input {
                    shell: shell.then(|| entry.clone()),
                    what,
                },
                HandOn::Source(word) => Kind::Source(word),
                HandOn::Elsewhere => {
                    let name = words.first().map(shown).unwrap_or_default();
                    self.unread(format!(
                        "{name} runs a command elsewhere, which is not read"
                    ));
                    continue;
                }
            };
            starts.push(Task::Start(Box::new(start)));
        }
        // What they write is only known by where it comes from.
        let many = starts.len() > 1 || entry == "xargs" || entry == "find";
        if many {
            self.tasks.push(Task::Taint(Box::new(written)));
        } else {
            // The inner program writes instead.
            self.leaves = self.leaves.saturating_sub(1);
        }
        self.tasks.extend(starts.into_iter().rev());
    }

    /// Words that follow those of an inner command: paths that were listed, or any.
    fn more_words(
        &self,
        outer: &[Word],
        mut inner: Vec<Word>,
        more: More,
        entry: &str,
    ) -> (Vec<Word>, bool) {
        let fed = match entry {
            "xargs" => self.fed_words(),
            _ => None,
        };
        match more {
            More::Below(word) => {
                inner.push(below(&word));
                (inner, false)
            }
            More::Any => match fed {
                Some(words) => {
                    inner.extend(words);
                    (inner, false)
                }
                None => (inner, true),
            },
            More::No => {
                if let Some([listed]) = fed.as_deref()
                    && let Some(mark) = replaced(outer)
                {
                    let tail = outer.len().saturating_sub(inner.len());
                    let words = outer.get(tail..).unwrap_or_default();
                    inner = words
                        .iter()
                        .map(|word| replace(word, &mark, listed))
                        .collect();
                }
                (inner, false)
            }
        }
    }

    /// What `xargs` reads, where that is known.
    fn fed_words(&self) -> Option<Vec<Word>> {
        if let Some(listing) = &self.feed.listing {
            return Some(listing.clone());
        }
        let text = self.feed.text.as_ref()?.known()?;
        if text.contains(['\'', '"', '\\', '\0']) {
            return None;
        }
        Some(text.split_whitespace().map(Word::text).collect())
    }
}

/// Programs that read a file as the text of a shell.
pub(super) const SHELLS: &[&str] = &["bash", "sh", "dash", "ash", "zsh", "ksh", "mksh", "."];

/// A program that only runs another, and changes nothing of what that does.
fn is_transparent(read: &Invocation) -> bool {
    let plain = |hand_on: &HandOn| match hand_on {
        HandOn::Program { changed, .. } => !changed,
        HandOn::Shell { .. } | HandOn::Source(_) => true,
        HandOn::Input { .. } | HandOn::Elsewhere => false,
    };
    let lists = matches!(read.entry.as_deref(), Some("find" | "fd" | "fdfind"));
    !read.hands_on.is_empty()
        && read.hands_on.iter().all(plain)
        && read.uses.is_empty()
        && read.dangers.is_empty()
        && !(lists && !read.sets.is_empty())
}

/// Paths below a directory, as words.
pub(super) fn below(word: &Word) -> Word {
    let mut pieces = word.pieces.clone();
    match pieces.last_mut() {
        Some(Piece::Text(text)) if text.ends_with('/') => {}
        Some(Piece::Text(text)) => text.push('/'),
        Some(_) => pieces.push(Piece::Text("/".to_owned())),
        None => {}
    }
    pieces.push(Piece::Glob(places::LISTED.to_owned()));
    Word { pieces }
}

/// What `xargs -I` replaces.
fn replaced(words: &[Word]) -> Option<String> {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.known()?;
        if text == "-I" {
            return words.next()?.known().map(str::to_owned);
        }
        if let Some(mark) = text.strip_prefix("-I") {
            return Some(mark.to_owned());
        }
        if text == "-i" {
            return Some("{}".to_owned());
        }
    }
    None
}

fn replace(word: &Word, mark: &str, by: &Word) -> Word {
    let mut pieces = Vec::new();
    for piece in &word.pieces {
        let Piece::Text(text) = piece else {
            pieces.push(piece.clone());
            continue;
        };
        for (number, part) in text.split(mark).enumerate() {
            if number > 0 {
                pieces.extend(by.pieces.iter().cloned());
            }
            if !part.is_empty() {
                pieces.push(Piece::Text(part.to_owned()));
            }
        }
    }
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    Word { pieces: joined }
}

/// A command for people.
pub(super) fn sentence(words: &[Word]) -> String {
    let words: Vec<String> = words.iter().take(4).map(shown).collect();
    words.join(" ")
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

pub(super) fn obfuscation(why: String) -> Danger {
    Danger {
        category: Category::Obfuscation,
        why,
    }
}

pub(super) fn execute(command: &str) -> Danger {
    Danger {
        category: Category::Execute,
        why: format!("runs what `{command}` fetches"),
    }
}
