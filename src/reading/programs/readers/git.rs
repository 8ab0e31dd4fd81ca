//! git: what its configuration, its options and its operands name.

use crate::reading::atoms::{Category, CodeClass, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation, More, UseKind};
use crate::reading::word::{Piece, Word};

use super::git_settings::{command_of, harmless_setting};

/// Hooks that even a command which only reads starts.
const HOOKS_OF_READS: [&str; 2] = ["post-index-change", "reference-transaction"];

/// What belongs to every subcommand.
pub(super) fn git(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    for (at, setting) in parsed.values("-c").filter(|(at, _)| is_global(parsed, *at)) {
        if !harmless_setting(setting) {
            // Its own option's word, where the value is not in it: never the program's.
            made.turn(at.saturating_sub(1).max(1));
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
        } else if configuration.is_none() && context.looks() {
            // An alias may stand for anything, and nobody can say for what.
            made.hands_on.push(HandOn::Shell {
                text: Word {
                    pieces: vec![Piece::Unknown],
                },
                arguments: Vec::new(),
                other_shell: true,
            });
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
pub(super) fn push(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let diversions = context.git(made.directory.as_ref());
    let diversions = diversions.map_or_else(Vec::new, |git| git.diversions);
    if !diversions.is_empty() {
        made.danger(
            Category::History,
            format!(
                "git's configuration decides which branches it changes: {}",
                diversions.join(", ")
            ),
        );
    }
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
