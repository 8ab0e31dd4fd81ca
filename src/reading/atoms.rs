//! The atoms that a call is read into. A call always has one at least.

use super::word::Word;

/// What a call would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// In the order in which they stand in the call. At most [`crate::contracts::limits::CALL_ATOMS`].
    pub atoms: Vec<Atom>,
    /// What needs no allow, and no allow covers; denies, requires and dangers look at it. What the string arguments of
    /// an MCP or unknown tool could stand for: a path read and written, a host, a command. And of a command, with
    /// [`Source::Itself`], programs that only start another and builtins that touch nothing outside the shell.
    /// [`Atom::program`] is a position among these.
    pub mentioned: Vec<Atom>,
    /// Which program runs here is not known. Sentences for people.
    pub unread: Vec<String>,
    /// Names of secrets that stand in a redirection, here-document, assignment or another place where no
    /// rule may allow one.
    pub misplaced_secrets: Vec<String>,
    /// Scripts that were read as if they stood in the command: path and hex SHA-256.
    pub scripts: Vec<(String, String)>,
}

/// One thing that a call would do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Atom {
    /// What.
    pub kind: AtomKind,
    /// The program that it comes from: a position in [`Reading::atoms`]. `None` of a tool's own.
    pub program: Option<usize>,
    /// What in that program makes it.
    pub source: Source,
    /// What is dangerous about it.
    pub dangers: Vec<Danger>,
}

/// The kinds of atoms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AtomKind {
    /// A program would run.
    Program(Box<Program>),
    /// A path would be read.
    Read(Place),
    /// A path would be made, changed or removed.
    Write(Place),
    /// A host would be reached.
    Host(Host),
    /// Code that nobody read would run.
    Code(Code),
    /// Another use of the tool; only where the call has no other atom.
    Use,
}

/// Where in its program an atom stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An operand: a position in the program's words.
    Operand(usize),
    /// An option or its value, which turns the program into something else: a position in the program's words.
    Option(usize),
    /// What the program does in any case: `make` runs the repository's code, `cargo fetch` reaches a registry.
    Itself,
    /// A redirection of the program.
    Redirection,
    /// An assignment before it, or its environment.
    Environment,
    /// The tool's argument; there is no program.
    Tool,
}

/// A program and its words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// The program as written, and its arguments.
    pub words: Vec<Word>,
    /// What the table of programs takes each word for; as long as `words`.
    pub roles: Vec<Role>,
    /// The entry of the table, such as `git push`; `None` where the table has none.
    pub entry: Option<String>,
    /// The named sets that this call of it belongs to; an option that turns the program takes it out.
    pub sets: Vec<Set>,
    /// Where it would run: every directory that is possible, absolute; empty where nobody knows.
    pub directories: Vec<String>,
    /// Further words that are not known follow: `xargs`, `find -exec ... +`.
    pub open_ended: bool,
    /// The command may give it what its words do not say: input by a pipe, a file or a text, or a variable.
    pub fed: bool,
    /// Where the program was found.
    pub found: Found,
}

/// Where a program lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Found {
    /// A bare name, looked up in PATH directories that the session cannot write; also where nobody looked.
    Path,
    /// A bare name, but a directory that the session can write comes first in PATH, or has it.
    WritablePath,
    /// Builtins and functions of the shell.
    Shell,
    /// Written with a `/`: the path, absolute and resolved.
    At(String),
}

/// What a word is to its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The program.
    Program,
    /// An option in front of a subcommand, or its value: patterns leave it out.
    Global,
    /// A subcommand.
    Subcommand,
    /// An option that the table calls harmless.
    Harmless,
    /// An option that turns the program, or that the table does not know.
    Turning,
    /// The value of the option before it.
    Value,
    /// `--`.
    End,
    /// An operand that is a path.
    Path,
    /// An operand that is a URL or host.
    Url,
    /// Any other operand.
    Operand,
    /// A word of an inner command, which is a program of its own.
    Inner,
}

/// The named sets of commands (`@reads`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Set {
    /// Reads and prints.
    Reads,
    /// Makes, moves, changes and removes files.
    Files,
    /// git that reaches no other host and takes no published history back.
    GitLocal,
    /// Builds and tests the repository.
    Build,
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// As it was read.
    pub path: PathText,
    /// It and all below it.
    pub tree: bool,
    /// Of a tree: what git ignores is left out (`rg`, `git grep`).
    pub leaves_out_ignored: bool,
    /// Of a tree: only files whose path below it matches this pattern, as `rg --glob` takes it
    /// ([`super::pathname::below_matches`]).
    pub only: Option<String>,
    /// Of a write: it is removed.
    pub removes: bool,
    /// Where it leads, all links followed; `None` where nobody looked or could. Set by [`super::disk::Disk`].
    pub real: Option<String>,
    /// Of a pathname pattern: where each name leads that it matches now. Set with `real`.
    pub matches: Vec<String>,
    /// The file has other names (hard links).
    pub other_names: bool,
    /// Of a path that is known: whether something lies there now; `None` where nobody looked.
    pub exists: Option<bool>,
}

/// A path as far as it is known. Absolute, not normalized: `..` after a link is the file system's to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathText {
    /// All of it.
    Known(String),
    /// It begins with this directory, and lies somewhere below: nothing that is not known in it can be `..`. A name may
    /// be cut: `src/a*` is below `src`.
    Below(String),
    /// Names below a directory that a pathname pattern can match: directory and pattern.
    Glob(String, String),
    /// Anywhere.
    Anywhere,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name or address in lower case; `None` where nobody knows.
    pub name: Option<String>,
    /// Of a URL.
    pub scheme: Option<String>,
    /// Where given.
    pub port: Option<u16>,
    /// Of a URL, from its `/`.
    pub path: Option<String>,
}

/// Code that nobody read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code {
    /// Where it comes from.
    pub class: CodeClass,
    /// What it is, for people: `make test`, `scripts/build.py`.
    pub what: String,
}

/// Where code comes from, the least trusted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodeClass {
    /// The repository: make, npm run, cargo test, a script, a hook, an alias of its.
    Repo,
    /// The command itself, or a file that this session wrote: `python -c`.
    Inline,
    /// A program that is not in the table.
    Unknown,
    /// The network: `npx` of what is not installed, a downloaded file, install scripts.
    Fetched,
}

/// A danger, and why in an approver's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Danger {
    /// The category that a policy names.
    pub category: Category,
    /// What would happen, without a full stop: `removes src and all below it`.
    pub why: String,
}

/// The categories of danger, by the names that a policy gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Recursive or bulk removal of what git does not ignore and this session did not make.
    Delete,
    /// Writes to devices, disks, file systems, partitions.
    Disk,
    /// sudo, setuid, capabilities, ownership.
    Privilege,
    /// Published history is rewritten: force push.
    History,
    /// Work that stands nowhere else is thrown away: `reset --hard`, `clean -f`, `stash drop`.
    Discard,
    /// Text from the network is run.
    Execute,
    /// Credentials are read.
    Credentials,
    /// Data is sent away.
    Exfiltration,
    /// Something will run later: shell start-up, cron, systemd, git hooks, editor and agent settings.
    Persistence,
    /// Unknown runners, look-alike package names, registry changes.
    SupplyChain,
    /// The command hides what it does.
    Obfuscation,
    /// A container is left or given rights.
    Container,
    /// agp, its policy, its hooks. Always denied.
    Tampering,
}
