//! Files that are run, texts of inner shells, and where they come from.

use std::rc::Rc;

use super::positional::Positional;
use super::program::{SHELLS, execute, obfuscation};
use super::simple::shown;
use super::state::{Dirs, Value};
use super::stream::Stream;
use super::task::Task;
use super::{BASH, BYTES_A_STEP, Walker, places};
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::reading::atoms::{AtomKind, Code, CodeClass, Danger, PathText, Place, Source};
use crate::reading::paths;
use crate::reading::word::Word;

/// Steps for each variable that another shell may not know.
const NAME_STEPS: usize = 8;
/// Ends of files below the home that prepare a shell for a toolchain, and do nothing besides.
const ACTIVATES: &[&str] = &[
    "/bin/activate",
    "/Scripts/activate",
    "/.cargo/env",
    "/.nvm/nvm.sh",
    "/etc/profile.d/conda.sh",
    "/.asdf/asdf.sh",
    "/.sdkman/bin/sdkman-init.sh",
    "/.ghcup/env",
    "/.deno/env",
    "/.local/bin/env",
];

/// What reads a file that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader<'a> {
    /// This shell; `.` is the shell at hand.
    Shell(&'a str),
    /// The kernel: what its first line names, and without such a line a shell.
    Kernel,
    /// An interpreter that starts what the first line names, where that is another: perl, ruby.
    FirstLine,
    /// An interpreter of another language.
    Other,
}

impl Reader<'_> {
    fn of_shell(shell: Option<&str>) -> Reader<'_> {
        shell.map_or(Reader::Other, Reader::Shell)
    }
}

impl Walker<'_> {
    /// The text of a shell within the shell, or of `eval` in this one.
    pub(super) fn shell_text(
        &mut self,
        text: &Word,
        arguments: Vec<Word>,
        shell: &str,
        dirs: Option<Dirs>,
        program: Option<usize>,
    ) {
        let Some(text) = text.known().map(str::to_owned) else {
            let taint = self.taint.clone();
            return self.unread_text(shell, &taint, program);
        };
        self.inner_text(&text, shell, arguments, dirs);
    }

    fn inner_text(&mut self, text: &str, shell: &str, arguments: Vec<Word>, dirs: Option<Dirs>) {
        if matches!(shell, "eval" | ".") {
            let shell = self.shell().to_owned();
            self.enter_inner(text, &shell);
            return;
        }
        if !self.may_enter() {
            return;
        }
        self.tasks.push(Task::Leave(self.scope()));
        self.child_shell();
        if let Some(dirs) = dirs {
            self.go(dirs);
        }
        let arguments = arguments.into_iter().skip(1).collect();
        self.state.set_positional(Some(Positional::of(arguments)));
        self.enter_inner(text, shell);
    }

    /// Another shell knows only what is exported.
    fn child_shell(&mut self) {
        let names = self.state.names();
        self.spend(NAME_STEPS * names.len());
        for name in names {
            let kept = self.state.variable(&name).is_some_and(|of| of.exported);
            if !kept {
                // It may have been in the environment before.
                self.state.assign(&name, Value::Any);
            }
        }
        if !self.functions_exported {
            self.state.forget_functions();
        }
        self.ifs = false;
    }

    /// A text that nobody knows is run.
    fn unread_text(&mut self, shell: &str, from: &Stream, program: Option<usize>) {
        self.unread(format!(
            "{shell} runs a text that is known only when the command runs"
        ));
        if let Some(command) = &from.network {
            let code = Code {
                class: CodeClass::Fetched,
                what: command.clone(),
            };
            self.push(
                AtomKind::Code(code),
                program,
                Source::Itself,
                vec![execute(command)],
            );
        }
        if let Some(decoder) = &from.decoded {
            let code = Code {
                class: CodeClass::Unknown,
                what: format!("what {decoder} makes readable"),
            };
            let danger = obfuscation(format!("runs what {decoder} makes readable"));
            self.push(AtomKind::Code(code), program, Source::Itself, vec![danger]);
        }
    }

    /// Standard input is a program.
    pub(super) fn input(
        &mut self,
        shell: Option<String>,
        what: String,
        dirs: Option<Dirs>,
        program: Option<usize>,
    ) {
        let feed = self.feed.clone();
        let used = feed.used.replace(true);
        if let Some(command) = &feed.network {
            let code = Code {
                class: CodeClass::Fetched,
                what: format!("{command} | {what}"),
            };
            self.push(
                AtomKind::Code(code),
                program,
                Source::Itself,
                vec![execute(command)],
            );
            return;
        }
        if let Some(file) = &feed.file
            && !used
        {
            let dirs = dirs.unwrap_or_else(|| self.dirs.clone());
            let reader = Reader::of_shell(shell.as_deref());
            return self.script_file(file, &dirs, reader, program, Source::Itself);
        }
        // Another command may have taken the beginning.
        let text = feed.text.as_deref().filter(|_| !used).and_then(Word::known);
        let Some(shell) = shell else {
            let class = match feed.text.is_some() || !feed.given {
                true => CodeClass::Inline,
                false => CodeClass::Unknown,
            };
            let dangers: Vec<Danger> = feed
                .decoded
                .iter()
                .map(|decoder| obfuscation(format!("runs what {decoder} makes readable")))
                .collect();
            self.push(
                AtomKind::Code(Code { class, what }),
                program,
                Source::Itself,
                dangers,
            );
            return;
        };
        match text {
            Some(text) if feed.decoded.is_none() => {
                let text = text.to_owned();
                self.inner_text(&text, &shell, Vec::new(), dirs);
                if shell != "." {
                    // Its arguments are not followed.
                    self.state.set_positional(None);
                }
                // What its commands read is what it leaves.
                self.feed = Rc::new(Stream::tainted_by(&feed));
            }
            _ => self.unread_text(&shell, &feed, program),
        }
    }

    /// `. FILE`.
    pub(super) fn source(&mut self, word: &Word, program: Option<usize>) {
        self.activated |= word
            .known()
            .is_some_and(|path| path.ends_with("/bin/activate"));
        if let Some(path) = word.known() {
            let places = places::places(&Word::text(path), &self.dirs);
            let known = |place: &PathText| match place {
                PathText::Known(path) => {
                    let path = paths::normal(path);
                    paths::within(&path, &self.at.home)
                        && !paths::within(&path, &self.at.repository)
                        && ACTIVATES.iter().any(|end| path.ends_with(end))
                        && self.class_of(place) == CodeClass::Unknown
                        && self.made_at(&path).is_none()
                }
                _ => false,
            };
            if !places.is_empty() && places.iter().all(known) && !self.at.home.is_empty() {
                return;
            }
        }
        let dirs = self.dirs.clone();
        // Its assignments and errors say what is in it.
        if self.process(word).is_none() {
            for place in self.files(word, &dirs) {
                let read = AtomKind::Read(Place::at(place));
                self.push(read, program, Source::Itself, Vec::new());
            }
        }
        self.script_file(word, &dirs, Reader::Shell("."), program, Source::Itself);
    }

    /// A file is run.
    pub(super) fn script_file(
        &mut self,
        word: &Word,
        dirs: &Dirs,
        reader: Reader<'_>,
        program: Option<usize>,
        source: Source,
    ) {
        let shell = match reader {
            Reader::Shell(shell) => Some(shell),
            _ => None,
        };
        if let Some(stream) = self.process(word) {
            if shell == Some(".") && stream.file.is_some() {
                // No program stands for it that needs an allow.
                self.unread("the shell runs what a program writes".to_owned());
            }
            let outer = std::mem::replace(&mut self.feed, Rc::new(stream));
            let what = program
                .and_then(|at| self.reading.atoms.get(at))
                .map(|atom| match &atom.kind {
                    AtomKind::Program(program) => super::program::sentence(&program.words),
                    _ => String::new(),
                });
            self.input(
                shell.map(str::to_owned),
                what.unwrap_or_default(),
                None,
                program,
            );
            self.feed = outer;
            return;
        }
        if matches!(word.known(), Some("/dev/stdin" | "/dev/fd/0")) {
            return self.input(shell.map(str::to_owned), shown(word), None, program);
        }
        for place in places::places(word, dirs) {
            self.run_file(&place, reader, program, source);
        }
    }

    fn run_file(
        &mut self,
        place: &PathText,
        reader: Reader<'_>,
        program: Option<usize>,
        source: Source,
    ) {
        let class = self.class_of(place);
        // A file from elsewhere turns its program.
        let source = match source {
            Source::Operand(word) if class == CodeClass::Unknown => Source::Option(word),
            source => source,
        };
        let what = match place {
            PathText::Known(path) => self.shorter(&paths::normal(path)),
            PathText::Below(path) => format!("a file below {}", self.shorter(path)),
            PathText::Glob(path, pattern) => format!("{}/{pattern}", self.shorter(path)),
            PathText::Anywhere => "a file that is not known".to_owned(),
        };
        let mut dangers = Vec::new();
        if let Some(command) = self.fetched_by(place) {
            dangers.push(execute(&command));
        }
        dangers.extend(self.decoded_at(place));
        self.push(
            AtomKind::Code(Code { class, what }),
            program,
            source,
            dangers,
        );
        if !matches!(reader, Reader::Other) {
            self.read_script(place, class, reader);
        }
    }

    /// What a shell, or the kernel, is to run.
    fn read_script(&mut self, place: &PathText, class: CodeClass, reader: Reader<'_>) {
        match place {
            PathText::Known(path) => {
                let path = paths::normal(path);
                self.note_ran(&path, reader);
                if class == CodeClass::Inline {
                    self.written_script(&path, reader);
                }
                if self.made_by_other_name(&path) {
                    self.unread_file(&path, reader);
                }
            }
            PathText::Below(_) | PathText::Glob(..) => {
                for path in self.made_among(place) {
                    self.written_script(&path, reader);
                }
            }
            PathText::Anywhere if matches!(reader, Reader::Shell(_)) => {
                self.unread("a shell runs a file that is not known".to_owned());
            }
            PathText::Anywhere => {}
        }
    }

    /// Once more, with what was written since.
    pub(super) fn run_again(&mut self, path: &str, reader: Reader<'_>) {
        self.written_script(path, reader);
        self.run();
    }

    /// A shell script that this session wrote is read as if it stood in the command.
    fn written_script(&mut self, path: &str, reader: Reader<'_>) {
        // A write may not have happened: every text that may be there is read.
        let mut held = self.texts_at(path);
        let on_disk =
            self.at.written.contains(path) || held.texts.is_empty() && self.made_at(path).is_none();
        if on_disk {
            held.files.push(path.to_owned());
        }
        if held.unread {
            self.unread_file(path, reader);
        }
        for file in held.files {
            match self.disk.script(&file) {
                Some(text) => held.texts.push(text),
                // No file, but a pipe that somebody fills.
                None if matches!(reader, Reader::Shell(_)) && self.may_lie_at(&file) => {
                    let path = self.shorter(path);
                    self.unread(format!("a shell runs {path}, which agp cannot read"));
                }
                None => {}
            }
        }
        held.texts.dedup();
        for text in held.texts {
            self.spend(text.len() / BYTES_A_STEP);
            self.one_script(path, &text, reader);
        }
    }

    /// Nobody knows what a shell finds in a file.
    fn unread_file(&mut self, path: &str, reader: Reader<'_>) {
        if matches!(reader, Reader::Shell(_) | Reader::Kernel) {
            let path = self.shorter(path);
            self.unread(format!(
                "{path} is run, and its text is known only when the command has written it"
            ));
        }
    }

    /// Whether somebody who looks cannot rule out that something lies at a path.
    fn may_lie_at(&self, path: &str) -> bool {
        let looked = || self.disk.resolve(path);
        self.disk.looks() && looked().is_none_or(|lies| lies.kind.is_some())
    }

    fn one_script(&mut self, path: &str, text: &str, reader: Reader<'_>) {
        let by = match reader {
            Reader::Shell(shell) => Some(shell.to_owned()),
            Reader::Kernel => first_line_shell(text),
            Reader::FirstLine if text.starts_with("#!") => first_line_shell(text),
            Reader::FirstLine | Reader::Other => None,
        };
        let Some(by) = by.filter(|by| SHELLS.contains(&by.as_str())) else {
            return;
        };
        if text.len() as u64 > limits::READ_SCRIPT_BYTES {
            let path = self.shorter(path);
            return self.unread(format!("{path} is longer than agp reads"));
        }
        let digest = Sha256::of(text.as_bytes()).to_string();
        let entry = (path.to_owned(), digest);
        if !self.reading.scripts.contains(&entry) {
            self.reading.scripts.push(entry);
        }
        self.inner_text(text, &by, Vec::new(), None);
        if by != "." {
            // Its arguments are not followed.
            self.state.set_positional(None);
        }
    }

    fn shorter(&self, path: &str) -> String {
        let below = path.strip_prefix(self.at.repository.as_str());
        match below.and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if !self.at.repository.is_empty() => rest.to_owned(),
            _ => path.to_owned(),
        }
    }
}

/// The shell that a script's first line names; without one the shell that starts it reads it itself.
fn first_line_shell(text: &str) -> Option<String> {
    let Some(line) = text.strip_prefix("#!") else {
        return Some(BASH.to_owned());
    };
    let line = line.lines().next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let name = first.rsplit('/').next()?;
    let name = match name {
        "env" => words.find(|word| !word.starts_with('-') && !word.contains('='))?,
        name => name,
    };
    SHELLS.contains(&name).then(|| name.to_owned())
}
