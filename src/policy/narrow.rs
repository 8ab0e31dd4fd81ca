//! What exactly an atom is, and the narrow pattern around it: the last name of a path, or of a program's last operand,
//! is opened, and nothing else. Where anything is uncertain there is no pattern.

use std::fmt::Write as _;

use super::matching::Judge;
use super::patterns::List;
use super::patterns::command::Command;
use super::patterns::host::Host as HostPattern;
use super::patterns::path::Path;
use crate::contracts::limits;
use crate::reading::atoms::{
    Atom, AtomKind, CodeClass, Host, PathText, Place, Program, Reading, Role, Set, Source,
};
use crate::reading::disk::Disk;
use crate::reading::word::Word;

/// What exactly an atom is.
#[derive(Debug)]
pub(super) struct Exact {
    /// Equal only for what does the same, as far as the reading knows.
    pub(super) shape: String,
    /// More decides what it does than its shape says: only the identical call is the same.
    pub(super) identical: bool,
    /// Something of it is known only when the call runs.
    pub(super) unknown: bool,
}

impl Exact {
    /// The call as a whole.
    pub(super) const CALL: Self = Self {
        shape: String::new(),
        identical: true,
        unknown: false,
    };
}

/// One name in a word of a program, which a pattern opens.
#[derive(Clone, Copy)]
struct Opened<'a> {
    word: usize,
    name: &'a str,
}

/// Stands for the name in a shape: no name has a `/`.
const OPEN: &str = "/*";

/// Programs of git that change neither where it pushes nor what.
const QUIET_GIT: [&str; 2] = ["git add", "git commit"];

/// What exactly an atom of the reading is; `None` where nothing is known but the call.
pub(super) fn exact(
    reading: &Reading,
    position: usize,
    atom: &Atom,
    disk: &dyn Disk,
) -> Option<Exact> {
    let of_family = |program: usize, more: String| {
        let family = Family::new(reading, program)?;
        Some(Exact {
            shape: format!("{more}{}", family.shape(None, disk)?),
            identical: family.unknown() || family.is_more(),
            unknown: family.unknown(),
        })
    };
    match &atom.kind {
        AtomKind::Program(_) => of_family(position, String::new()),
        AtomKind::Code(code) => of_family(atom.program?, format!("{code:?} ")),
        AtomKind::Read(place) | AtomKind::Write(place) => {
            let known = matches!(place.path, PathText::Known(_));
            Some(Exact {
                shape: format!("{} {}", verb(atom), place_shape(place, None)?),
                identical: !known,
                unknown: !known,
            })
        }
        AtomKind::Host(host) => Some(Exact {
            shape: format!("{host:?}"),
            identical: host.name.is_none(),
            unknown: host.name.is_none(),
        }),
        AtomKind::Use => None,
    }
}

/// The narrow pattern around an atom, in words, and what is equal for all that it means.
pub(super) fn pattern(judge: &Judge<'_>, position: usize, atom: &Atom) -> Option<(String, String)> {
    match &atom.kind {
        AtomKind::Program(_) => command(judge, position),
        AtomKind::Read(place) | AtomKind::Write(place) => path(judge, position, atom, place),
        AtomKind::Host(host) => whole_host(host),
        AtomKind::Code(_) | AtomKind::Use => None,
    }
}

/// A program with all that comes of it.
struct Family<'a> {
    reading: &'a Reading,
    position: usize,
    program: &'a Program,
}

impl<'a> Family<'a> {
    fn new(reading: &'a Reading, position: usize) -> Option<Self> {
        match &reading.atoms.get(position)?.kind {
            AtomKind::Program(program) => Some(Self {
                reading,
                position,
                program,
            }),
            _ => None,
        }
    }

    fn atoms(&self) -> impl Iterator<Item = &'a Atom> {
        let position = Some(self.position);
        let atoms = self.reading.atoms.iter();
        atoms.filter(move |atom| atom.program == position)
    }

    fn is_git(&self) -> bool {
        let entry = self.program.entry.as_deref();
        entry.is_some_and(|entry| entry == "git" || entry.starts_with("git "))
    }

    /// Whether something of its words or its place is known only when it runs.
    fn unknown(&self) -> bool {
        self.program.open_ended
            || self.program.directories.len() != 1
            || self.program.words.iter().any(|word| word.known().is_none())
    }

    /// Whether more than words and place decides what it does.
    fn is_more(&self) -> bool {
        let inline = |atom: &Atom| matches!(&atom.kind, AtomKind::Code(code) if code.class == CodeClass::Inline);
        self.program.fed || self.atoms().any(inline) || self.turned_by_others()
    }

    /// What runs before it in the same call may change where git's remotes lead or what is checked out. What an earlier
    /// call changed was read.
    fn turned_by_others(&self) -> bool {
        let host = |atom: &Atom| matches!(atom.kind, AtomKind::Host(_));
        if !self.is_git() || !self.atoms().any(host) {
            return false;
        }
        let atoms = self.reading.atoms.iter().enumerate();
        let mut others =
            atoms.filter(|(at, atom)| *at != self.position && atom.program != Some(self.position));
        others.any(|(_, atom)| match &atom.kind {
            AtomKind::Code(_) => true,
            AtomKind::Write(place) => touches_git(place),
            AtomKind::Program(program) => {
                let entry = program.entry.as_deref().unwrap_or_default();
                let git = entry == "git" || entry.starts_with("git ");
                git && !QUIET_GIT.contains(&entry) && !program.sets.contains(&Set::Reads)
            }
            AtomKind::Read(_) | AtomKind::Host(_) | AtomKind::Use => false,
        })
    }

    /// Equal only for the same; with a name opened, for all that differ in it alone. `None` where that name stands in
    /// more than is certain.
    fn shape(&self, opened: Option<Opened<'_>>, disk: &dyn Disk) -> Option<String> {
        let program = self.program;
        let mut shape = String::new();
        for (at, word) in program.words.iter().enumerate() {
            let opened = opened.filter(|opened| opened.word == at);
            // Writing to a String cannot fail.
            let _ = match (opened, word.known()) {
                (Some(opened), Some(text)) => write!(shape, "{:?} ", open(text, opened.name)?),
                (Some(_), None) => return None,
                (None, _) => write!(shape, "{:?} ", word.pieces),
            };
        }
        let _ = write!(
            shape,
            "{:?} {:?} {:?} {:?} {} {}",
            program.roles,
            program.entry,
            program.directories,
            program.found,
            program.open_ended,
            program.fed
        );
        for atom in self.atoms() {
            let _ = write!(shape, "; {:?} ", atom.source);
            let of_word = opened.filter(|opened| {
                matches!(atom.source, Source::Operand(word) | Source::Option(word) if word == opened.word)
            });
            match (&atom.kind, of_word) {
                (AtomKind::Read(place) | AtomKind::Write(place), opened) => {
                    let name = opened.map(|opened| opened.name);
                    let _ = write!(shape, "{} {}", verb(atom), place_shape(place, name)?);
                }
                (AtomKind::Host(host), Some(opened)) => {
                    let path = open(host.path.as_deref()?, opened.name)?;
                    let _ = write!(
                        shape,
                        "{:?} {:?} {:?} {path}",
                        host.name, host.scheme, host.port
                    );
                }
                // What a script of another name does is another thing.
                (AtomKind::Code(_), Some(_)) => return None,
                (kind, _) => {
                    let _ = write!(shape, "{kind:?}");
                }
            }
            let _ = write!(shape, " {:?}", categories(atom));
        }
        if self.is_git() {
            self.git(&mut shape, disk);
        }
        Some(shape)
    }

    /// Where git's remotes lead, and what is checked out where the words do not say what is meant.
    fn git(&self, shape: &mut String, disk: &dyn Disk) {
        let directory = self.program.directories.first();
        let Some(git) = directory.and_then(|directory| disk.git(directory)) else {
            return;
        };
        let operands = self.operands().count();
        let by_place = |text: &str| text.contains("HEAD") || text.contains('@');
        let named = operands > 1 && !self.operands().any(|(_, text)| by_place(text));
        // Writing to a String cannot fail.
        let _ = write!(shape, "; {:?} {:?}", git.remotes, git.diversions);
        if !named {
            let _ = write!(shape, " {:?} {:?}", git.branch, git.upstream);
        }
    }

    /// Its operands whose text is known, by their positions.
    fn operands(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let words = self.program.words.iter().enumerate();
        words.filter_map(|(at, word)| {
            let role = self.program.roles.get(at)?;
            let operand = matches!(role, Role::Operand | Role::Path | Role::Url);
            let text = word.known()?;
            (operand && !text.starts_with('-')).then_some((at, text))
        })
    }
}

/// The pattern of a program's words with the last name of its last operand open.
fn command(judge: &Judge<'_>, position: usize) -> Option<(String, String)> {
    let family = Family::new(judge.reading, position)?;
    // What it hands on has words of its own.
    let inner = family.program.roles.contains(&Role::Inner);
    let code =
        |atom: &Atom| matches!(&atom.kind, AtomKind::Code(code) if code.class != CodeClass::Repo);
    if inner || family.atoms().any(code) {
        return None;
    }
    let (at, text) = family.operands().last()?;
    let before = at
        .checked_sub(1)
        .and_then(|at| family.program.words.get(at));
    // Nobody knows which options of such a program have a value.
    let value = family.program.entry.is_none() && before.is_some_and(is_option);
    let (directory, name) = text.rsplit_once('/')?;
    let narrow = is_plain_name(name) && is_plain_directory(directory) && !value;
    if !narrow {
        return None;
    }
    let words = family.program.words.iter().enumerate();
    let words = words.map(|(word, own)| match word == at {
        true => Some(format!("{directory}{OPEN}")),
        false => quoted(own.known()?),
    });
    let pattern = words.collect::<Option<Vec<String>>>()?.join(" ");
    let list = List {
        included: vec![Command::parse(&pattern).ok()?],
        excluded: Vec::new(),
    };
    list.certain(judge.view(position)?)?;
    let shape = family.shape(Some(Opened { word: at, name }), judge.on.disk)?;
    Some((format!("running {pattern}"), format!("{pattern} {shape}")))
}

/// The pattern of a file's directory, where that lies below the repository's or the temporary one's top.
fn path(
    judge: &Judge<'_>,
    position: usize,
    atom: &Atom,
    place: &Place,
) -> Option<(String, String)> {
    let spot = judge.spot(position)?;
    let written = spot.written.as_deref()?;
    let itself = spot.real.as_deref() == Some(written) && !spot.is_open();
    let (directory, name) = written.rsplit_once('/')?;
    if !itself || !is_plain_name(name) {
        return None;
    }
    let shape = place_shape(place, Some(name))?;
    let around = judge.at.around;
    let roots = [("", &around.repository), ("${tmp}/", &around.temporary)];
    let (root, directory) = roots.into_iter().find_map(|(root, top)| {
        let below = directory.strip_prefix(top.as_str())?.strip_prefix('/')?;
        (!top.is_empty()).then_some((root, below))
    })?;
    if !is_plain_directory(directory) {
        return None;
    }
    let pattern = format!("{root}{directory}{OPEN}");
    let list = List {
        included: vec![Path::parse(&pattern).ok()?],
        excluded: Vec::new(),
    };
    let what = match (&atom.kind, place.removes) {
        (AtomKind::Write(_), false) => format!("writing {pattern}, whatever the content"),
        (AtomKind::Write(_), true) => format!("removing {pattern}"),
        _ => format!("reading {pattern}"),
    };
    let certain = list.certain(spot, judge.on);
    certain.then(|| (what, format!("{} {pattern} {shape}", verb(atom))))
}

/// The host itself, whatever is asked of it.
fn whole_host(host: &Host) -> Option<(String, String)> {
    let name = host.name.as_deref()?;
    let pattern = match host.port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    let certain = HostPattern::parse(&pattern).ok()?.certain(host);
    let shape = format!("{pattern} {:?}", host.scheme);
    certain.then(|| (format!("reaching {pattern}"), shape))
}

/// A path; with its last name open where that is given, and only where it is certain.
fn place_shape(place: &Place, name: Option<&str>) -> Option<String> {
    let Some(name) = name else {
        // Whether it is there changes by the call itself.
        let Place {
            path,
            tree,
            leaves_out_ignored,
            only,
            removes,
            real,
            matches,
            other_names,
            exists: _,
        } = place;
        return Some(format!(
            "{path:?} {tree} {leaves_out_ignored} {only:?} {removes} {real:?} {matches:?} {other_names}"
        ));
    };
    let PathText::Known(path) = &place.path else {
        return None;
    };
    if place.tree || place.other_names {
        return None;
    }
    let real = match &place.real {
        Some(real) => open(real, name)?,
        None => String::new(),
    };
    Some(format!("{} {real} {}", open(path, name)?, place.removes))
}

/// A text whose last name is this one, with that name open.
fn open(text: &str, name: &str) -> Option<String> {
    let directory = text.strip_suffix(name)?.strip_suffix('/')?;
    Some(format!("{directory}{OPEN}"))
}

fn verb(atom: &Atom) -> &'static str {
    match &atom.kind {
        AtomKind::Write(_) => "write",
        _ => "read",
    }
}

fn categories(atom: &Atom) -> Vec<crate::reading::atoms::Category> {
    atom.dangers.iter().map(|danger| danger.category).collect()
}

fn is_option(word: &Word) -> bool {
    word.beginning().starts_with('-')
}

/// A name that is nothing but a name to whatever reads it: no option, no hidden file, no `..`, no part of a refspec.
fn is_plain_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(letter)
        && !name.contains("..")
}

/// The directory of a pattern: no wildcard, nothing that leads up, nothing of git's own.
fn is_plain_directory(directory: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    let rest = match directory.split_once("://") {
        // A host's whole top is more than a name.
        Some((_, rest)) if !rest.contains('/') => return false,
        Some((_, rest)) => rest,
        // `main:release/x`: a refspec.
        None if directory.contains(':') => return false,
        None => directory,
    };
    let name = |name: &str| !matches!(name, "" | "." | ".." | ".git");
    let mut names = rest
        .strip_prefix("./")
        .unwrap_or(rest)
        .split('/')
        .peekable();
    // `/` of an absolute path.
    names.next_if_eq(&"");
    directory.chars().all(letter)
        && !directory.starts_with('-')
        && names.peek().is_some()
        && names.all(name)
}

/// A word as a pattern writes it; `None` where it cannot.
fn quoted(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Some(text.to_owned());
    }
    let never = |c: char| c == '\'' || c.is_control();
    let fits = text.len() <= limits::GRANT_WORDS && !text.contains(never);
    fits.then(|| format!("'{text}'"))
}

/// Whether something of a written place may be git's own.
fn touches_git(place: &Place) -> bool {
    let git = |path: &str| {
        let mut names = path.split('/');
        names.any(|name| name == ".git" || name == ".gitconfig" || name == "git")
    };
    let real = place.real.as_deref().is_some_and(git);
    real || match &place.path {
        PathText::Known(path) => place.tree || git(path),
        PathText::Below(_) | PathText::Glob(..) | PathText::Anywhere => true,
    }
}
