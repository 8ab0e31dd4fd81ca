//! Programs: what the table says of them becomes atoms, and what they hand on is walked.

use super::Walker;
use super::places::{self, Listed};
use super::simple::shown;
use super::state::Dirs;
use super::stream::Stream;
use crate::reading::atoms::{
    AtomKind, Category, Code, Danger, Found, PathText, Program, Role, Source,
};
use crate::reading::disk::{Disk, FileKind, Git};
use crate::reading::paths;
use crate::reading::programs::{self, Context, HandOn, Invocation};
use crate::reading::word::{Piece, Word};

/// What the table asks about the place where a program runs.
struct Here<'a> {
    dirs: &'a Dirs,
    repository: &'a str,
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

    fn looks(&self) -> bool {
        self.disk.looks()
    }

    fn repository(&self, directory: Option<&Word>) -> Option<bool> {
        let directory = paths::normal(&self.one(directory)?);
        (!self.repository.is_empty()).then(|| paths::within(&directory, self.repository))
    }

    fn directory(&self, directory: Option<&Word>, path: &str) -> Option<bool> {
        Some(self.kind(directory, path)? == Some(FileKind::Directory))
    }

    fn file(&self, directory: Option<&Word>, path: &str) -> Option<bool> {
        Some(self.kind(directory, path)? == Some(FileKind::File))
    }
}

impl Walker<'_> {
    /// Names here, none of which is an option now: written so that none can be one.
    fn no_option(&self, word: &Word) -> Word {
        let sure = |glob: &str| match Listed::of(glob) {
            Some(listed) => listed.no_options,
            None => self.names_are_plain(word),
        };
        match word.pieces.first() {
            Some(Piece::Glob(glob)) if sure(glob) => {
                let mut pieces = vec![Piece::Text("./".to_owned())];
                pieces.extend(word.pieces.iter().cloned());
                Word { pieces }
            }
            _ => word.clone(),
        }
    }

    pub(super) fn program(&mut self, words: &[Word], open_ended: bool, dirs: &Dirs, depth: usize) {
        let Some(name) = words.first().and_then(Word::known).map(str::to_owned) else {
            self.leaf(Stream::tainted_by(&self.feed.clone()));
            return self.unknown_program(words);
        };
        if self.in_this_shell(&name, words, depth) {
            return;
        }
        self.spend(words.len());
        let here = Here {
            dirs,
            repository: &self.at.repository,
            disk: self.disk,
        };
        let no_options: Vec<Word> = words.iter().map(|word| self.no_option(word)).collect();
        let read = programs::read(&no_options, &here);
        let dirs = match &read.directory {
            Some(word) => places::directories(word, dirs, false),
            None => dirs.clone(),
        };
        let place = self.find_program(&name);
        let mut dangers = self.spelled_dangers(&name, &read.dangers);
        dangers.extend(self.printed_by(&name, words, &read.sets));
        if self.taint.parent && matches!(read.entry.as_deref(), Some("kill" | "pkill")) {
            dangers.push(Danger {
                category: Category::Tampering,
                why: "ends the process that started the shell".to_owned(),
            });
        }
        dangers.extend(self.sent(&read));
        let mut roles = read.roles.clone();
        roles.resize(words.len(), Role::Operand);
        let program = AtomKind::Program(Box::new(Program {
            words: words.iter().map(places::plain).collect(),
            roles,
            entry: read.entry.clone(),
            sets: read.sets.clone(),
            directories: dirs.names(),
            open_ended,
            fed: self.is_fed(),
            found: place.clone(),
        }));
        let at = match is_transparent(&read, words, &self.feed) {
            true => {
                self.mention(program, dangers);
                None
            }
            false => self.push(program, None, Source::Itself, dangers),
        };
        if self.first_program.is_none() {
            self.first_program = at;
        }
        if place == Found::WritablePath && self.path.is_some() {
            self.code_from_path(&name, at);
        }
        let mut written = self.output(words, &read, &dirs);
        let network = self.uses(&read, words, &dirs, at, &written);
        if network.is_some() {
            written.network = network;
        }
        self.leaf(written.clone());
        self.uses_input(&read);
        self.hand_on(read, words, &dirs, at, depth, written);
    }

    /// Whether what a program does may depend on more than its words and the place.
    fn is_fed(&self) -> bool {
        let nothing = self.feed.file.as_ref().and_then(Word::known) == Some("/dev/null");
        self.feed.given && !nothing || self.state.has_assigned()
    }

    /// A program may read its input, unless it only starts another.
    fn uses_input(&self, read: &Invocation) {
        let lists = matches!(read.entry.as_deref(), Some("xargs" | "parallel"));
        let elsewhere = |hand_on: &HandOn| matches!(hand_on, HandOn::Elsewhere);
        if lists || read.hands_on.is_empty() || read.hands_on.iter().any(elsewhere) {
            self.feed.used.set(true);
        }
    }

    /// A builtin that touches nothing outside the shell.
    pub(super) fn mention_builtin(&mut self, words: &[Word], dangers: Vec<Danger>) {
        let role = |at| match at {
            0 => Role::Program,
            _ => Role::Operand,
        };
        let program = Program {
            words: words.iter().map(places::plain).collect(),
            roles: (0..words.len()).map(role).collect(),
            entry: None,
            sets: Vec::new(),
            directories: self.dirs.names(),
            open_ended: false,
            fed: self.is_fed(),
            found: Found::Shell,
        };
        self.mention(AtomKind::Program(Box::new(program)), dangers);
    }

    /// Words of which no program is known: denies look at what is.
    pub(super) fn push_program(&mut self, words: &[Word], entry: Option<String>) {
        let roles = (0..words.len()).map(|at| match at {
            0 => Role::Program,
            _ => Role::Turning,
        });
        let program = Program {
            words: words.iter().map(places::plain).collect(),
            roles: roles.collect(),
            entry,
            sets: Vec::new(),
            directories: self.dirs.names(),
            open_ended: true,
            fed: true,
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
        self.spend(self.spelled.len());
        if self.spelled.iter().any(|text| name.contains(text.as_str())) {
            dangers.push(obfuscation(format!(
                "spells {name} in numbers of its letters"
            )));
        }
        dangers
    }

    /// What comes in by a pipe or from a file goes to what runs on the other machine.
    fn sent(&self, read: &Invocation) -> Option<Danger> {
        let nothing = self.feed.file.as_ref().and_then(Word::known) == Some("/dev/null");
        // Text that stands in the command is seen by who approves it.
        let hidden = self.feed.given && self.feed.text.is_none() && !nothing;
        (hidden && read.entry.as_deref() == Some("ssh")).then(|| Danger {
            category: Category::Exfiltration,
            why: "sends what it reads to another machine".to_owned(),
        })
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
        let path = self.path.as_deref().unwrap_or(&self.at.path);
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
        self.spend(4 * path.len());
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
}

/// Programs that read a file as the text of a shell.
pub(super) const SHELLS: &[&str] = &["bash", "sh", "dash", "ash", "zsh", "ksh", "mksh", "."];

/// A command for people.
pub(super) fn sentence(words: &[Word]) -> String {
    let words: Vec<String> = words.iter().take(4).map(shown).collect();
    words.join(" ")
}

/// A program that only runs another, and changes nothing of what that does.
fn is_transparent(read: &Invocation, words: &[Word], feed: &Stream) -> bool {
    let is_read = feed.network.is_none()
        && feed.decoded.is_none()
        && feed
            .text
            .as_deref()
            .is_some_and(|text| text.known().is_some());
    let plain = |hand_on: &HandOn| match hand_on {
        HandOn::Program { changed, .. } => !changed,
        HandOn::Shell { .. } | HandOn::Source(_) => true,
        // `echo ls | bash`, where all of the text is read.
        HandOn::Input { shell, .. } => *shell && is_read && words.len() == 1,
        HandOn::Elsewhere => false,
    };
    let lists = matches!(read.entry.as_deref(), Some("find" | "fd" | "fdfind"));
    !read.hands_on.is_empty()
        && read.hands_on.iter().all(plain)
        && read.uses.is_empty()
        && read.dangers.is_empty()
        && (!lists || read.sets.is_empty())
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
