//! git: which operands are paths, whose text is printed or thrown away.

use crate::reading::atoms::{Category, Role};
use crate::reading::programs::classify::display;
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, Invocation};
use crate::reading::word::{Piece, Word};

/// The path that an operand of `git show`, `git diff`, ... names: `HEAD:path`, `:path`, a path itself.
pub(super) fn path_of(word: &Word) -> Word {
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
        if !shows && (number >= parsed.before_end || !object) {
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
