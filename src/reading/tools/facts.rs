//! What the arguments of a tool are: paths, hosts, commands, code.

use serde_json::{Map, Value};

use super::super::atoms::{
    Atom, AtomKind, Category, Code, CodeClass, Danger, Host, PathText, Place, Reading, Source,
};
use super::super::disk::Disk;
use super::super::surroundings::Surroundings;
use super::super::{hosts, paths, walk};
use super::{DeclaredTool, patch, pointer};
use crate::contracts::call::WORKDIR;
use crate::contracts::limits;

/// What begins the part of a pattern that is no fixed path.
const WILD: [char; 7] = ['*', '?', '[', '{', '(', '\\', '!'];

/// The facts of one call, as they are found.
pub(super) struct Facts<'a> {
    pub(super) args: &'a Map<String, Value>,
    at: &'a Surroundings,
    disk: &'a dyn Disk,
    /// Where the call runs; `None` where nobody knows.
    directory: Option<String>,
    pub(super) reading: Reading,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        args: &'a Map<String, Value>,
        at: &'a Surroundings,
        disk: &'a dyn Disk,
    ) -> Self {
        let directory = match args.get(WORKDIR) {
            None | Some(Value::Null) => Some(at.directory.clone()),
            Some(Value::String(text)) => Some(paths::join(&at.directory, text)),
            Some(_) => None,
        };
        Self {
            args,
            at,
            disk,
            directory,
            reading: Reading::default(),
        }
    }

    /// The values of an argument by its name or pointer; one that is `null` is not there.
    fn values(&self, name: &str) -> Vec<&'a Value> {
        let mut values = pointer::values(self.args, name);
        values.retain(|value| !value.is_null());
        values
    }

    fn push(&mut self, kind: AtomKind) {
        self.push_dangerous(kind, Vec::new());
    }

    fn push_dangerous(&mut self, kind: AtomKind, dangers: Vec<Danger>) {
        if self.reading.atoms.len() < limits::CALL_ATOMS {
            self.reading.atoms.push(Atom {
                kind,
                program: None,
                source: Source::Tool,
                dangers,
            });
        } else if self.reading.unread.is_empty() {
            self.unread("it does more than is read of one call");
        }
    }

    pub(super) fn unread(&mut self, why: &str) {
        self.reading.unread.push(why.to_owned());
    }

    /// Paths that are read, by the name of an argument.
    pub(super) fn reads(&mut self, name: &str) {
        for value in self.values(name) {
            for path in self.places(value) {
                self.push(AtomKind::Read(path));
            }
        }
    }

    /// Paths that are written.
    pub(super) fn writes(&mut self, name: &str) {
        for value in self.values(name) {
            for path in self.places(value) {
                self.push(AtomKind::Write(path));
            }
        }
    }

    /// URLs or hosts that are reached.
    pub(super) fn hosts(&mut self, name: &str) {
        for value in self.values(name) {
            let host = value
                .as_str()
                .map_or_else(unknown_host, |text| hosts::host(text.trim()));
            self.push(AtomKind::Host(host));
        }
    }

    /// A host that the call does not name.
    pub(super) fn any_host(&mut self) {
        self.push(AtomKind::Host(unknown_host()));
    }

    /// Code that stands in the call itself.
    pub(super) fn code(&mut self, what: &str) {
        self.push(AtomKind::Code(Code {
            class: CodeClass::Inline,
            what: what.to_owned(),
        }));
    }

    /// The argument of a tool that runs commands.
    pub(super) fn command(&mut self) {
        let mut values = self.values("command");
        values.extend(self.values("cmd"));
        if let [value] = values.as_slice() {
            self.runs(value);
        } else if !values.is_empty() {
            self.unread("it has more than one command");
        } else if !self.args.contains_key("ws") {
            self.unread("it has no command");
        }
    }

    /// A command: a text, or the words of one.
    fn runs(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(words) => words
                .iter()
                .map(|word| word.as_str().map(quoted))
                .collect::<Option<Vec<_>>>()
                .map(|words| words.join(" ")),
            _ => None,
        };
        let Some(text) = text else {
            self.unread("its command is no text");
            return;
        };
        if self.directory.is_none() {
            self.unread("where it runs is not known");
        }
        let there = self.surroundings();
        let read = walk::command(&text, &there, self.disk);
        self.append(read);
    }

    /// The surroundings of a command of this call.
    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            directory: self.directory.clone().unwrap_or_default(),
            ..self.at.clone()
        }
    }

    /// What a command string would do, should it be one.
    pub(super) fn could_run(&self, text: &str) -> Vec<Atom> {
        let mut reading = walk::command(text, &self.surroundings(), self.disk);
        reading.atoms.append(&mut reading.mentioned);
        reading.atoms
    }

    /// Puts what a command does behind what is there.
    fn append(&mut self, other: Reading) {
        let by = self.reading.atoms.len();
        let moved = other.atoms.into_iter().map(|mut atom| {
            atom.program = atom.program.map(|program| program + by);
            atom
        });
        self.reading.atoms.extend(moved);
        self.reading.mentioned.extend(other.mentioned);
        self.reading.unread.extend(other.unread);
        self.reading
            .misplaced_secrets
            .extend(other.misplaced_secrets);
        self.reading.scripts.extend(other.scripts);
    }

    /// The files of a patch; more than one argument that could be one are all of them.
    pub(super) fn patch(&mut self) {
        let names = ["command", "/command/*", "input", "patch"];
        let values: Vec<&Value> = names.iter().flat_map(|name| self.values(name)).collect();
        let texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        let mut any = false;
        for text in texts.into_iter().filter(|text| *text != "apply_patch") {
            any = true;
            let Some(changes) = patch::changes(text) else {
                self.unread("its patch cannot be read");
                continue;
            };
            for change in changes {
                for place in self.places_of(&change.path) {
                    let removes = change.removes;
                    self.push(AtomKind::Write(Place { removes, ..place }));
                }
            }
        }
        if !any {
            self.unread("it has no patch");
        }
    }

    /// A search by names: it reads the directory in which its pattern begins.
    pub(super) fn lists(&mut self) {
        let pattern = self
            .args
            .get("pattern")
            .and_then(Value::as_str)
            .unwrap_or("");
        let fixed = pattern.find(WILD).and_then(|at| pattern.get(..at));
        let (directory, rest) = match fixed.unwrap_or(pattern).rfind('/') {
            Some(at) => pattern.split_at_checked(at + 1).unwrap_or((pattern, "")),
            None => ("", pattern),
        };
        // Behind a wildcard the way may lead up again.
        let leaves = rest
            .split(['/', ',', '{', '}', '|', '(', ')'])
            .any(|name| name == "..");
        for root in self.roots() {
            let place = match &root.path {
                _ if leaves => Place::at(PathText::Anywhere),
                PathText::Known(root) => Place::at(PathText::Known(paths::join(root, directory))),
                _ => root,
            };
            self.push(AtomKind::Read(place));
        }
    }

    /// The names in one directory.
    pub(super) fn lists_directory(&mut self) {
        for root in self.roots() {
            self.push(AtomKind::Read(root));
        }
    }

    /// A search in files: all below its directory but what git ignores. A pattern of names takes what it ignores in
    /// again.
    pub(super) fn searches(&mut self) {
        let glob = match self.args.get("glob") {
            None | Some(Value::Null) => None,
            Some(Value::String(glob)) => {
                (!glob.trim_start().starts_with('!')).then(|| glob.clone())
            }
            Some(_) => Some("*".to_owned()),
        };
        for root in self.roots() {
            let filtered = glob.is_some();
            self.push(AtomKind::Read(Place {
                tree: true,
                leaves_out_ignored: !filtered,
                only: glob.clone(),
                ..root
            }));
        }
    }

    /// Where a search begins.
    fn roots(&self) -> Vec<Place> {
        match self.values("path").first() {
            Some(path) => self.places(path),
            None => vec![Place::at(self.from(""))],
        }
    }

    /// An agent of its own: its calls are decided by themselves, what the harness runs for it is not.
    pub(super) fn agent(&mut self) {
        match self.args.get("isolation").and_then(Value::as_str) {
            Some("worktree") => self.worktree(),
            Some(_) => self.any_host(),
            None if self
                .args
                .get("isolation")
                .is_some_and(|asked| !asked.is_null()) =>
            {
                self.any_host();
            }
            None => {}
        }
    }

    /// The harness runs its own git in the repository, and with it what the repository's configuration names.
    pub(super) fn worktree(&mut self) {
        self.push(AtomKind::Code(Code {
            class: CodeClass::Repo,
            what: "git, for a worktree of the repository's".to_owned(),
        }));
        // A branch and the list of worktrees: nothing of it is in a sandbox.
        let list = paths::join(&self.at.repository, ".git/worktrees");
        self.push(AtomKind::Write(Place {
            tree: true,
            ..Place::at(PathText::Known(list))
        }));
        self.writes("path");
        if self.args.get("discard_changes").and_then(Value::as_bool) == Some(true) {
            let discard = Danger {
                category: Category::Discard,
                why: "throws away the changes in a worktree".to_owned(),
            };
            let root = Place::at(PathText::Anywhere);
            self.push_dangerous(AtomKind::Write(root), vec![discard]);
        }
    }

    /// A prompt for later; where it is to last, a file of the repository's.
    pub(super) fn scheduled(&mut self) {
        let durable = self
            .args
            .get("durable")
            .is_some_and(|durable| *durable != Value::Bool(false));
        if durable {
            let file = paths::join(&self.at.repository, ".claude/scheduled_tasks.json");
            self.push(AtomKind::Write(Place::at(PathText::Known(file))));
        }
    }

    /// What a policy says of this tool.
    pub(super) fn declared(&mut self, tool: &DeclaredTool) {
        for pointer in &tool.read {
            self.required(pointer, AtomKind::Read);
        }
        for pointer in &tool.write {
            self.required(pointer, AtomKind::Write);
        }
        for pointer in &tool.host {
            match self.values(pointer).is_empty() {
                true => self.any_host(),
                false => self.hosts(pointer),
            }
        }
        for pointer in &tool.command {
            let values = self.values(pointer);
            if values.is_empty() {
                self.unread("the argument that is declared as its command is not there");
            }
            for value in values {
                self.runs(value);
            }
        }
    }

    /// Paths of a declared argument; where it is not there, the tool may take any.
    fn required(&mut self, pointer: &str, kind: fn(Place) -> AtomKind) {
        let values = self.values(pointer);
        let places: Vec<Place> = match values.is_empty() {
            true => vec![Place::at(PathText::Anywhere)],
            false => values.iter().flat_map(|value| self.places(value)).collect(),
        };
        for place in places {
            // A directory may be meant with all below it.
            self.push(kind(Place {
                tree: true,
                ..place
            }));
        }
    }

    /// The places that an argument may name.
    fn places(&self, value: &Value) -> Vec<Place> {
        match value {
            Value::String(text) => self.places_of(text),
            Value::Array(items) => {
                let texts = items.iter().map(|item| match item {
                    Value::String(text) => self.places_of(text),
                    _ => vec![Place::at(PathText::Anywhere)],
                });
                texts.flatten().collect()
            }
            _ => vec![Place::at(PathText::Anywhere)],
        }
    }

    /// The places that a text may name: tools differ in whether they take white space away, know `~`, and take
    /// `..` for the name before it.
    pub(super) fn places_of(&self, text: &str) -> Vec<Place> {
        if text.contains('\0') || text.len() > paths::PATH_BYTES {
            return vec![Place::at(PathText::Anywhere)];
        }
        let bare = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let mut paths_named: Vec<PathText> = Vec::new();
        for text in [bare, text] {
            paths_named.push(self.from(text));
            if text == "~" || text.starts_with("~/") {
                let rest = text.trim_start_matches('~').trim_start_matches('/');
                paths_named.push(PathText::Known(paths::join(&self.at.home, rest)));
            }
        }
        let plain: Vec<PathText> = paths_named
            .iter()
            .filter_map(|path| match path {
                PathText::Known(path) if path.split('/').any(|name| name == "..") => {
                    Some(PathText::Known(paths::normal(path)))
                }
                _ => None,
            })
            .collect();
        paths_named.extend(plain);
        let mut places: Vec<Place> = Vec::new();
        for path in paths_named {
            if !places.iter().any(|known| self.same(&known.path, &path)) {
                places.push(Place::at(path));
            }
        }
        places
    }

    /// Whether two paths are one for certain.
    fn same(&self, a: &PathText, b: &PathText) -> bool {
        match (a, b) {
            (PathText::Known(a), PathText::Known(b)) if a != b => {
                if paths::normal(a) != paths::normal(b) {
                    return false;
                }
                let ups = a.contains("..") || b.contains("..");
                let real = |path: &str| self.disk.resolve(path).map(|place| place.real);
                !ups || !self.disk.looks() || real(a).is_some_and(|a| real(b) == Some(a))
            }
            _ => a == b,
        }
    }

    /// A path from the call's directory.
    fn from(&self, text: &str) -> PathText {
        match &self.directory {
            Some(directory) => PathText::Known(paths::join(directory, text)),
            None if text.starts_with('/') => PathText::Known(text.to_owned()),
            None => PathText::Anywhere,
        }
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

/// A word in single quotes.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
