//! git: what its configuration, its options and its operands name.

use crate::reading::atoms::{Category, CodeClass, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation, More, UseKind};
use crate::reading::word::{Piece, Word};

/// Keys of the configuration that name no program, host or further file, whatever their value. `*` stands for one part or more.
const HARMLESS_KEYS: &[&str] = &[
    "advice.*",
    "apply.whitespace",
    "branch.*.merge",
    "branch.*.rebase",
    "branch.*.remote",
    "color.*",
    "column.*",
    "commit.gpgsign",
    "commit.verbose",
    "core.abbrev",
    "core.autocrlf",
    "core.bare",
    "core.compression",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.logallrefupdates",
    "core.longpaths",
    "core.precomposeunicode",
    "core.preloadindex",
    "core.quotepath",
    "core.safecrlf",
    "core.sharedrepository",
    "core.symlinks",
    "core.untrackedcache",
    "core.whitespace",
    "diff.algorithm",
    "diff.colormoved",
    "diff.context",
    "diff.mnemonicprefix",
    "diff.noprefix",
    "diff.renamelimit",
    "diff.renames",
    "diff.submodule",
    "diff.wserrorhighlight",
    "fetch.prune",
    "fetch.prunetags",
    "fetch.parallel",
    "feature.*",
    "format.pretty",
    "gc.auto",
    "help.autocorrect",
    "http.lowspeedlimit",
    "http.lowspeedtime",
    "http.postbuffer",
    "http.version",
    "i18n.*",
    "index.*",
    "init.defaultbranch",
    "log.*",
    "merge.conflictstyle",
    "merge.ff",
    "merge.renames",
    "pack.*",
    "pull.ff",
    "pull.rebase",
    "push.autosetupremote",
    "push.default",
    "push.followtags",
    "rebase.autosquash",
    "rebase.autostash",
    "rebase.updaterefs",
    "rerere.*",
    "status.*",
    "tag.gpgsign",
    "tag.sort",
    "user.email",
    "user.name",
    "user.signingkey",
    "versionsort.*",
    "branch.autosetuprebase",
    "branch.autosetupmerge",
    "branch.sort",
];

/// Programs that only show text, and values that name none.
const HARMLESS_PROGRAMS: [&str; 9] = [
    "",
    "cat",
    "less",
    "less -R",
    "less -FRX",
    "more",
    "true",
    ":",
    "false",
];

/// Keys whose value git gives to a shell.
const COMMAND_KEYS: [&str; 8] = [
    "core.pager",
    "core.editor",
    "sequence.editor",
    "core.sshcommand",
    "core.fsmonitor",
    "diff.external",
    "core.alternaterefscommand",
    "uploadpack.packobjectshook",
];
/// Ends of such keys: `diff.NAME.textconv`.
const COMMAND_ENDINGS: [&str; 7] = [
    ".textconv",
    ".command",
    ".clean",
    ".smudge",
    ".process",
    ".driver",
    ".cmd",
];

/// Hooks that even a command which only reads starts.
const HOOKS_OF_READS: [&str; 2] = ["post-index-change", "reference-transaction"];

/// What belongs to every subcommand.
pub(super) fn git(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    for (at, setting) in parsed.values("-c").filter(|(at, _)| is_global(parsed, *at)) {
        if !harmless_setting(setting) {
            made.turn(at.saturating_sub(1));
            made.turn(*at);
            let what = format!("git -c {}", display(setting));
            made.code(CodeClass::Inline, what, Some(*at), true);
            if let Some(text) = setting.known().and_then(command_of) {
                made.hands_on.push(HandOn::Shell {
                    text: Word::text(text),
                    arguments: Vec::new(),
                    other_shell: true,
                });
            }
        }
    }
    let configuration = context.git(made.directory.as_ref());
    if let Some(at) = parsed.unknown_subcommand {
        let name = parsed.words.get(at).and_then(Word::known);
        let alias = configuration.as_ref().and_then(|git| {
            git.aliases
                .iter()
                .find(|(alias, _)| Some(alias.as_str()) == name)
        });
        if let Some((alias, text)) = alias {
            made.uses
                .retain(|one| !matches!(one.kind, UseKind::Code { .. }));
            let what = format!("git {alias}, an alias");
            made.code(CodeClass::Repo, what, Some(at), false);
            run_alias(parsed, at, text, made);
        }
        return;
    }
    // Nothing is done: `git`, `git --version`.
    if parsed.entry.name == "git" {
        return;
    }
    let Some(configuration) = configuration else {
        made.code(
            CodeClass::Repo,
            "what the repository's git configuration names".to_owned(),
            None,
            false,
        );
        return;
    };
    let reads = parsed.entry.sets.contains(&Set::Reads);
    let hooks = configuration
        .hooks
        .iter()
        .filter(|hook| !reads || HOOKS_OF_READS.contains(&hook.as_str()));
    let names: Vec<&str> = configuration
        .programs
        .iter()
        .chain(hooks)
        .map(String::as_str)
        .collect();
    if !names.is_empty() {
        let what = format!("what the repository's git names: {}", names.join(", "));
        made.code(CodeClass::Repo, what, None, false);
    }
}

/// The command line that a setting `KEY=VALUE` has git give to a shell.
fn command_of(setting: &str) -> Option<&str> {
    let (key, value) = setting.split_once('=')?;
    let key = key.to_ascii_lowercase();
    let command = match key.as_str() {
        "credential.helper" => value.strip_prefix('!')?,
        key if key.starts_with("alias.") => value.strip_prefix('!')?,
        key if COMMAND_KEYS.contains(&key)
            || COMMAND_ENDINGS.iter().any(|end| key.ends_with(end)) =>
        {
            value
        }
        key if key.starts_with("pager.") => value,
        _ => return None,
    };
    // A single name is a file, which git looks up itself.
    command
        .contains(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c))
        .then_some(command)
}

/// What an alias stands for: behind a `!` the text of a shell, else a subcommand with words, each with those that
/// follow the alias.
fn run_alias(parsed: &Parsed<'_>, at: usize, text: &str, made: &mut Invocation) {
    let behind = parsed.words.get(at + 1..).unwrap_or_default();
    for role in made.roles.iter_mut().skip(at + 1) {
        *role = Role::Inner;
    }
    if let Some(text) = text.strip_prefix('!') {
        let given = match behind.is_empty() {
            true => "",
            false => " \"$@\"",
        };
        let mut arguments = vec![Word::text("git")];
        arguments.extend_from_slice(behind);
        made.hands_on.push(HandOn::Shell {
            text: Word::text(format!("{text}{given}")),
            arguments,
            other_shell: true,
        });
        return;
    }
    // git splits it as a shell does; quotes are left to nobody's reading.
    let mut words = vec![Word::text("git")];
    match text.contains(['\'', '"', '\\']) {
        true => words.push(Word {
            pieces: vec![Piece::Fields],
        }),
        false => words.extend(text.split_whitespace().map(Word::text)),
    }
    words.extend_from_slice(behind);
    made.hands_on.push(HandOn::Program {
        words,
        more: More::No,
        changed: false,
        assignments: Vec::new(),
        directory: None,
    });
}

/// A value of an option in front of the subcommand.
fn is_global(parsed: &Parsed<'_>, at: usize) -> bool {
    let subcommand = parsed
        .roles
        .iter()
        .position(|role| *role == Role::Subcommand);
    subcommand.is_none_or(|subcommand| at < subcommand)
}

fn harmless_setting(setting: &Word) -> bool {
    let beginning = setting.beginning();
    match beginning.split_once('=') {
        Some((key, value)) => {
            harmless_key(key) || setting.known().is_some() && harmless_value(key, value)
        }
        None => setting.known().is_some_and(harmless_key),
    }
}

fn harmless_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    HARMLESS_KEYS
        .iter()
        .any(|pattern| match pattern.split_once('*') {
            None => *pattern == key,
            Some((before, after)) => {
                key.len() > before.len() + after.len()
                    && key.starts_with(before)
                    && key.ends_with(after)
            }
        })
}

/// Keys that name a program, with a value that names none which does anything.
fn harmless_value(key: &str, value: &str) -> bool {
    match key.to_ascii_lowercase().as_str() {
        "core.pager" | "core.editor" | "sequence.editor" | "core.askpass" => {
            HARMLESS_PROGRAMS.contains(&value)
        }
        "core.fsmonitor" => matches!(value, "" | "false" | "true" | "0"),
        "core.hookspath" => value == "/dev/null",
        "credential.helper" | "diff.external" => value.is_empty(),
        "safe.directory" | "protocol.file.allow" => true,
        key if key.starts_with("pager.") => matches!(value, "false" | "" | "cat"),
        _ => false,
    }
}

/// The path that an operand of `git show`, `git diff`, ... names: `HEAD:path`, `:path`, a path itself.
fn path_of(word: &Word) -> Word {
    // Magic of a pathspec: `:(glob)x`, `:!x`, `:/x`.
    let beginning = word.beginning();
    if let Some(magic) = beginning.strip_prefix(":(")
        && let Some(end) = magic.find(')')
    {
        return behind(word, end + 3);
    }
    let last = word.pieces.len().saturating_sub(1);
    for (number, piece) in word.pieces.iter().enumerate() {
        let Piece::Text(text) = piece else {
            continue;
        };
        let Some(colon) = text.find(':') else {
            continue;
        };
        let rest = text.get(colon + 1..).unwrap_or_default();
        // `:0:path` names a stage of the index.
        let rest = rest
            .strip_prefix(['0', '1', '2', '3'])
            .and_then(|rest| rest.strip_prefix(':'))
            .unwrap_or(rest);
        let rest = rest.trim_start_matches(['!', '^', '/']);
        let mut pieces = Vec::new();
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        pieces.extend(word.pieces.iter().skip(number + 1).cloned());
        if pieces.is_empty() && number == last {
            pieces.push(Piece::Text(".".to_owned()));
        }
        return Word { pieces };
    }
    word.clone()
}

/// Options that make `git log` show what is in files.
const PATCHES: [&str; 11] = [
    "-p",
    "-U",
    "-L",
    "--cc",
    "-c",
    "--word-diff",
    "--color-words",
    "--patch-with-stat",
    "--patch-with-raw",
    "--binary",
    "-W",
];
/// Options that leave names and counts of a diff.
const NAMES: [&str; 9] = [
    "--stat",
    "--name-only",
    "--name-status",
    "--numstat",
    "--shortstat",
    "-s",
    "--summary",
    "--dirstat",
    "--raw",
];

/// `git diff`, `git log`, `git show`, `git blame`, ...: operands are revisions or paths whose text is printed.
pub(super) fn diff(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let patch = PATCHES.iter().any(|option| parsed.has(option));
    let names = NAMES.iter().any(|option| parsed.has(option)) && !patch;
    let shows = match parsed.entry.name.as_str() {
        "git log" | "git reflog" | "git whatchanged" | "git shortlog" | "git rev-list"
        | "git cherry" | "git show-branch" => patch,
        _ => !names,
    };
    // Of another repository it is its files that are shown.
    if shows && context.repository(made.directory.as_ref()) == Some(false) {
        made.read(&Word::text("."), None, false, false, false);
    }
    for (at, range) in parsed.values("-L") {
        if let Some((_, path)) = range.known().and_then(|range| range.rsplit_once(':')) {
            made.read(&Word::text(path), Some(*at), false, false, false);
        } else if range.known().is_none() {
            made.read(range, Some(*at), false, false, false);
        }
    }
    for (number, (at, word)) in parsed.operand_words().enumerate() {
        let object = word
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if text.contains(':')));
        if number >= parsed.before_end && !shows || !shows && !object {
            continue;
        }
        let outside = parsed.has("--no-index");
        let mut path = path_of(word);
        if number >= parsed.before_end
            && let Some(text) = path.known()
            && text.contains(['*', '?', '['])
        {
            // git expands it itself.
            path = Word {
                pieces: vec![Piece::Glob(text.to_owned())],
            };
        }
        made.read(&path, Some(at), false, true, !outside);
    }
}

/// `git cat-file`, `git grep`, `git archive`: operands that name objects.
pub(super) fn objects(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let grep = parsed.entry.name == "git grep";
    let archive = parsed.entry.name == "git archive";
    for (at, word) in parsed.operand_words() {
        let object = word
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if text.contains(':')));
        let text = word.known().unwrap_or_default();
        // A type, or a revision that is a commit.
        let kind = matches!(text, "blob" | "tree" | "commit" | "tag");
        if grep || kind {
            continue;
        }
        let whole = !object && !archive;
        let path = if whole {
            Word::text(".")
        } else {
            path_of(word)
        };
        made.read(&path, Some(at), false, true, true);
    }
    if archive && parsed.operands.len() < 2
        || parsed.has("--batch")
        || parsed.has("--batch-command")
    {
        made.read(&Word::text("."), None, false, true, true);
    }
}

/// `git checkout`, `git restore`: which operands are paths.
pub(super) fn checkout(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let restore = parsed.entry.name == "git restore";
    if restore && parsed.has("-S") && !parsed.has("-W") {
        return;
    }
    let new = ["-b", "-B", "--orphan"]
        .iter()
        .any(|option| parsed.has(option));
    if new && parsed.before_end == parsed.operands.len() {
        return;
    }
    let ended = parsed.roles.contains(&Role::End);
    let mut paths: Vec<(usize, Word)> = Vec::new();
    for (number, (at, word)) in parsed.operand_words().enumerate() {
        let path = restore
            || number >= parsed.before_end
            || !ended && (number > 0 || is_path(word, made.directory.as_ref(), context));
        if path {
            paths.push((at, path_of(word)));
        }
    }
    let listed = parsed.has("--pathspec-from-file");
    if listed {
        made.write(&Word::text("."), None, true, false);
    }
    for (at, path) in &paths {
        made.role(*at, Role::Path);
        made.write(path, Some(*at), true, false);
    }
    if !paths.is_empty() || listed || parsed.has("-p") {
        let what: Vec<String> = paths
            .iter()
            .take(3)
            .map(|(_, path)| display(path))
            .collect();
        made.danger(
            Category::Discard,
            format!(
                "throws away changes in {} that are not committed",
                what.join(", ")
            ),
        );
    }
}

/// Whether an operand of `git checkout` that may be a branch is a path.
fn is_path(word: &Word, directory: Option<&Word>, context: &dyn Context) -> bool {
    let Some(text) = word.known() else {
        // A pattern matches paths. Of another nobody knows.
        return word
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Glob(_)));
    };
    if text == "."
        || text == ".."
        || text.starts_with("./")
        || text.starts_with("../")
        || text.starts_with(['/', ':'])
        || text.contains(['*', '?'])
    {
        return true;
    }
    match (
        context.file(directory, text),
        context.directory(directory, text),
    ) {
        (None, _) | (_, None) => text.contains('.') && !text.contains(".."),
        (file, directory) => file == Some(true) || directory == Some(true),
    }
}

/// `git clean`.
pub(super) fn clean(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("-n") {
        return;
    }
    made.danger(Category::Discard, "removes files that git does not track");
    let paths: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, path) in paths {
        made.write(&path, Some(at), true, true);
    }
}

/// What stands for a remote: a name, a URL, a path.
fn remote(word: &Word) -> UseKind {
    let url = word
        .pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Text(text) if text.contains([':', '/'])))
        || word.beginning().starts_with('.');
    match (url, word.known()) {
        (true, _) => UseKind::Host(Some(word.clone())),
        (false, Some("")) => UseKind::Remote(None),
        (false, Some(_)) => UseKind::Remote(Some(word.clone())),
        (false, None) => UseKind::Host(None),
    }
}

/// A remote, URL or path; `ext::` and the like run a program.
fn put_remote(word: &Word, at: usize, writes: bool, made: &mut Invocation) {
    let beginning = word.beginning();
    if beginning.contains("::") {
        made.turn(at);
        // `ext::COMMAND` runs its words.
        made.code(CodeClass::Unknown, display(word), Some(at), true);
        return;
    }
    let path = beginning.starts_with(['/', '.']) || beginning.starts_with("file:");
    if path {
        let path = behind(
            word,
            if beginning.starts_with("file://") {
                "file://".len()
            } else {
                0
            },
        );
        made.role(at, Role::Path);
        match writes {
            true => made.write(&path, Some(at), true, false),
            false => made.read(&path, Some(at), false, true, false),
        }
        return;
    }
    made.role(at, Role::Url);
    made.push(remote(word), Some(at), false);
}

/// `git push`.
pub(super) fn push(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let mut rewrites = None;
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    match operands.first() {
        None if parsed.has("--repo") => {}
        None => made.push(UseKind::Remote(None), None, false),
        Some((at, word)) => put_remote(word, *at, true, made),
    }
    for (_, reference) in operands.iter().skip(1) {
        let beginning = reference.beginning();
        let known = reference.known().is_some();
        if beginning.starts_with('+')
            || beginning.starts_with(':') && reference.known() != Some(":")
            || !known && beginning.is_empty()
        {
            rewrites = Some(display(reference));
        }
    }
    if let Some(reference) = rewrites {
        made.danger(
            Category::History,
            format!("overwrites or deletes a branch of the remote: {reference}"),
        );
    }
}

/// `git fetch`, `git pull`, `git ls-remote`.
pub(super) fn remote_operand(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("--all") || parsed.has("--multiple") {
        made.host(None, None, false);
        return;
    }
    match parsed.operand(0) {
        None => made.push(UseKind::Remote(None), None, false),
        Some((at, word)) => put_remote(&word.clone(), at, false, made),
    }
}

/// `git add`: `--force` keeps what git ignores, and from then on shows it.
pub(super) fn add(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if !parsed.has("-f") || parsed.has("-n") {
        return;
    }
    let paths: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, path) in paths {
        made.role(at, Role::Path);
        made.read(&path, Some(at), false, true, false);
    }
}

/// `git clone`.
pub(super) fn clone(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let Some((at, from)) = parsed.operand(0) else {
        return;
    };
    let from = from.clone();
    put_remote(&from, at, false, made);
    // A name that is none of a remote's is a directory.
    for one in &mut made.uses {
        if let UseKind::Remote(Some(path)) = &one.kind {
            let path = path.clone();
            one.kind = UseKind::Read {
                path,
                tree: true,
                leaves_out_ignored: false,
            };
        }
    }
    match parsed.operand(1) {
        Some((at, directory)) => {
            made.role(at, Role::Path);
            made.write(&directory.clone(), Some(at), true, false);
        }
        None => {
            let name = from.known().map(|url| {
                let url = url.trim_end_matches('/').trim_end_matches(".git");
                url.rsplit(['/', ':']).next().unwrap_or(url).to_owned()
            });
            let directory = match name {
                Some(name) => Word::text(name),
                None => joined(
                    &Word::text("."),
                    &Word {
                        pieces: vec![Piece::Unknown],
                    },
                ),
            };
            made.write(&directory, None, true, false);
        }
    }
}

/// `git config`.
pub(super) fn config(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    let given = |options: &[&str]| options.iter().any(|option| parsed.has(option));
    let verb = operands
        .first()
        .and_then(|(_, word)| word.known())
        .unwrap_or_default();
    let (verb, key, value) = match verb {
        "get" | "list" | "set" | "unset" | "edit" | "rename-section" | "remove-section"
        | "get-color" => (verb, operands.get(1), operands.get(2)),
        _ => ("", operands.first(), operands.get(1)),
    };
    let asks = given(&[
        "--get",
        "--get-all",
        "--get-regexp",
        "--get-urlmatch",
        "--get-color",
        "--get-colorbool",
        "--list",
    ]) || matches!(verb, "get" | "list" | "get-color");
    let changes = given(&[
        "--unset",
        "--unset-all",
        "--add",
        "--replace-all",
        "--rename-section",
        "--remove-section",
        "--edit",
    ]) || matches!(
        verb,
        "set" | "unset" | "edit" | "rename-section" | "remove-section"
    );
    let unknown = operands.iter().any(|(_, word)| word.splits());
    if asks && !changes || !changes && value.is_none() && !unknown {
        made.sets = if made.roles.contains(&Role::Turning) {
            Vec::new()
        } else {
            vec![Set::Reads, Set::GitLocal]
        };
        return;
    }
    if given(&["--global", "--system"]) {
        // A home that is not known here.
        made.write(
            &Word {
                pieces: vec![Piece::Unknown],
            },
            None,
            false,
            false,
        );
    } else if let Some((at, file)) = parsed.values("--file").next() {
        made.write(&file.clone(), Some(*at), false, false);
    } else {
        made.sets = if made.roles.contains(&Role::Turning) {
            Vec::new()
        } else {
            vec![Set::GitLocal]
        };
    }
    let setting = key.map(|(_, key)| key);
    let removes = given(&["--unset", "--unset-all"]) || verb == "unset";
    let harmless = removes
        || setting.and_then(Word::known).is_some_and(|key| {
            harmless_key(key)
                || value
                    .and_then(|(_, value)| value.known())
                    .is_some_and(|value| harmless_value(key, value))
        });
    if !harmless {
        let key = setting.map_or("the configuration".to_owned(), display);
        made.danger(
            Category::Persistence,
            format!("sets {key}, which may name what git runs or reaches later"),
        );
    }
}

/// `git apply`, `git am`: a patch writes wherever it says.
pub(super) fn apply(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let shows = ["--stat", "--numstat", "--summary", "--check"]
        .iter()
        .any(|option| parsed.has(option))
        && !parsed.has("--apply");
    let steps = ["--abort", "--quit", "--show-current-patch"]
        .iter()
        .any(|option| parsed.has(option));
    if shows || steps {
        return;
    }
    let outside = parsed.has("--unsafe-paths");
    let place = match parsed.values("--directory").last() {
        Some((_, directory)) => directory.clone(),
        None => Word::text("."),
    };
    let place = if outside {
        Word {
            pieces: vec![Piece::Unknown],
        }
    } else {
        place
    };
    made.write(&place, None, true, false);
}

/// `git submodule foreach TEXT...`: a shell reads the words.
pub(super) fn foreach(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    super::shell::eval(parsed, context, made);
    for inner in &mut made.hands_on {
        if let HandOn::Shell { other_shell, .. } = inner {
            *other_shell = true;
        }
    }
}
