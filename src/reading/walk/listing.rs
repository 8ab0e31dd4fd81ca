//! Paths that a program lists, which another takes: from a pipe, a substitution, a loop, `-exec`.

use super::Walker;
use super::hand_on::below;
use super::places::{self, Listed};
use super::searching::{by_ripgrep, included, kept, roots};
use super::state::Dir;
use crate::reading::programs::{Invocation, UseKind};
use crate::reading::word::{Piece, Word};

/// Files that no path shows whose last name begins with a dot.
pub(super) const VISIBLE: &str = "*/[!.]*";
/// Subcommands of git that list files where they are asked for names alone.
const NAMES_ONLY: &[&str] = &[
    "diff",
    "show",
    "diff-tree",
    "log",
    "diff-index",
    "diff-files",
];
/// Options of `git ls-files` that list more than git keeps, or other things than names.
const LS_FILES_MORE: &[&str] = &[
    "-s",
    "--stage",
    "-t",
    "-v",
    "-f",
    "-u",
    "--eol",
    "--debug",
    "--format",
    "-o",
    "--others",
    "-i",
    "--ignored",
    "-k",
    "--killed",
    "--directory",
    "--full-name",
];

impl Walker<'_> {
    /// Paths that a program lists, one a line.
    pub(super) fn listing(
        &self,
        name: &str,
        arguments: &[Word],
        read: &Invocation,
    ) -> Option<Vec<Word>> {
        if !read.hands_on.is_empty() {
            return None;
        }
        match name {
            "find" => found_paths(arguments),
            "ls" => {
                let mut words = names(arguments, |word| self.names_are_plain(word))?;
                if let [one] = words.as_mut_slice() {
                    *one = self.no_options_in(one);
                }
                Some(words)
            }
            "git" => {
                let word = git(arguments)?.word();
                let here = match self.dirs.one() {
                    Some(Dir::At(dir)) => dir.as_str(),
                    _ => "",
                };
                Some(vec![
                    match names_what_lies_here(arguments, here == self.at.repository) {
                        true => self.no_options_in(&word),
                        false => word,
                    },
                ])
            }
            "rg" | "grep" => {
                let lists = |word: &Word| {
                    word.known().is_some_and(|text| {
                        matches!(
                            text,
                            "--files" | "--files-with-matches" | "--files-without-match"
                        ) || (is_letters(text) && text.contains(['l', 'L']))
                    })
                };
                if !arguments.iter().any(lists) {
                    return None;
                }
                let listed = match name {
                    "rg" if !has(arguments, &["--no-ignore"]) => {
                        by_ripgrep(arguments, true).unwrap_or_default()
                    }
                    "rg" => Listed::default(),
                    _ => Listed {
                        only: included(arguments),
                        ..Listed::default()
                    },
                };
                let searched = searched_paths(read);
                let known = |word: &Word| word.known().is_some();
                let known = arguments.iter().all(known);
                if !searched.is_empty() && known {
                    return Some(
                        searched
                            .iter()
                            .flat_map(|path| [path.clone(), below(path, &listed)])
                            .collect(),
                    );
                }
                if name == "grep" && lists_its_files(arguments, &searched) {
                    return Some(searched);
                }
                let mut words = roots(arguments, &listed)?;
                let separator = |word: &Word| word.beginning().starts_with("--path");
                if let [one] = words.as_mut_slice()
                    && known
                    && !arguments.iter().any(separator)
                {
                    *one = self.no_options_in(one);
                }
                Some(words)
            }
            "fd" | "fdfind" => {
                if arguments.iter().any(|word| {
                    word.known()
                        .is_some_and(|text| matches!(text, "-l" | "--list-details" | "--format"))
                }) {
                    return None;
                }
                let listed = kept(
                    arguments,
                    &["-u", "-H", "-I"],
                    &["--no-ignore", "--unres", "--hid"],
                );
                roots(arguments, &listed)
            }
            _ => None,
        }
    }
}

impl Walker<'_> {
    /// A listing of what lies here, as one of which no path becomes an option: no name begins with `-`, and `xargs`
    /// makes none of a blank or a quote in one. Only before anything was written.
    fn no_options_in(&self, word: &Word) -> Word {
        let all = Word {
            pieces: vec![Piece::Glob("*".to_owned())],
        };
        let (Some(listed), Some(Dir::At(dir)), true) = (
            places::listing(word),
            self.dirs.one(),
            self.names_are_plain(&all),
        ) else {
            return word.clone();
        };
        let plain = |path: &String| {
            let parts = [" -", "\t-", "\n-", "'-", "\"-", "\\-"];
            !parts.iter().any(|part| path.contains(part))
        };
        let files = self.disk.below(dir, listed.leaves_out_ignored);
        match files.is_some_and(|files| files.iter().all(plain)) {
            true => Listed {
                no_options: true,
                ..listed
            }
            .word(),
            false => word.clone(),
        }
    }
}

/// Whether all names that git lists are of files that lie here: none of another commit's, nor of elsewhere.
fn names_what_lies_here(arguments: &[Word], at_top: bool) -> bool {
    let mut words = arguments.iter().filter_map(Word::known);
    let is_diff = match words.next() {
        Some("ls-files" | "grep") => false,
        Some("diff") => at_top,
        _ => return false,
    };
    let before_end = words.take_while(|text| *text != "--");
    let plain = |text: &str| {
        matches!(
            text,
            "--name-only" | "--cached" | "--staged" | "-z" | "HEAD"
        ) || text.starts_with("--diff-filter=")
    };
    let mut others = before_end.filter(|text| !plain(text));
    match is_diff {
        true => others.next().is_none(),
        false => arguments.first().and_then(Word::known) != Some("diff"),
    }
}

/// Whether `grep -l` lists of its files, which are no directories to it, and none of which is an option.
fn lists_its_files(arguments: &[Word], searched: &[Word]) -> bool {
    let recursive = |word: &Word| {
        word.known().is_some_and(|text| {
            is_letters(text) && text.contains(['r', 'R', 'd'])
                || text.starts_with("--r")
                || text.starts_with("--d")
        })
    };
    let listed = |word: &Word| match word.known() {
        Some(_) => true,
        None => !word.pieces.iter().any(is_unknown),
    };
    !searched.is_empty()
        && arguments.iter().all(listed)
        && !arguments.iter().any(recursive)
        && searched
            .iter()
            .all(|word| !matches!(word.beginning().chars().next(), None | Some('-')))
}

/// The files and directories that a search is told of.
fn searched_paths(read: &Invocation) -> Vec<Word> {
    let mut paths = Vec::new();
    for of in &read.uses {
        if let (UseKind::Read { path, .. }, false, Some(_)) = (&of.kind, of.turns, of.word) {
            if path.beginning().starts_with('-') {
                return Vec::new();
            }
            paths.push(path.clone());
        }
    }
    paths
}

/// What `find` lists.
fn found_paths(arguments: &[Word]) -> Option<Vec<Word>> {
    if arguments.iter().any(|word| {
        word.known().is_some_and(|text| {
            (text.contains("print") && text != "-print" && text != "-print0")
                || matches!(text, "-ls" | "-fls" | "-delete")
        })
    }) {
        return None;
    }
    let listed = names_of_find(arguments);
    let begins = |word: &&Word| {
        word.known()
            .is_none_or(|text| !text.starts_with(['-', '(', '!']) && text != ",")
    };
    let options = |word: &&Word| matches!(word.known(), Some("-H" | "-L" | "-P"));
    let roots: Vec<&Word> = arguments
        .iter()
        .skip_while(options)
        .take_while(begins)
        .collect();
    if roots.is_empty() {
        return Some(vec![below(&Word::text("."), &listed)]);
    }
    let certain = |word: &&Word| !word.pieces.iter().any(is_unknown);
    roots
        .iter()
        .all(certain)
        .then(|| roots.iter().map(|word| below(word, &listed)).collect())
}

/// The names that a `find` asks for: `-name A`, or `-name A -o -name B` and no other `-o`.
pub(super) fn names_of_find(arguments: &[Word]) -> Listed {
    let any = Listed::default();
    let text = |at: usize| arguments.get(at).and_then(Word::known);
    let is_or = |at: usize| matches!(text(at), Some("-o" | "-or"));
    let Some(first) = arguments
        .iter()
        .position(|word| word.known() == Some("-name"))
    else {
        return any;
    };
    // What stands before may negate it.
    let mut before = first;
    while before > 0 && text(before - 1) == Some("(") {
        before -= 1;
    }
    if before > 0 && matches!(text(before - 1), Some("!" | "-not")) {
        return any;
    }
    let mut patterns = Vec::new();
    let mut at = first;
    loop {
        match text(at + 1) {
            Some(pattern)
                if !pattern.is_empty() && !pattern.contains(['{', '}', ',', '\\', '/']) =>
            {
                patterns.push(pattern);
            }
            _ => return any,
        }
        at += 2;
        if is_or(at) && text(at + 1) == Some("-name") {
            at += 1;
        } else {
            break;
        }
    }
    let unknown = |word: &Word| word.known().is_none();
    let rest = arguments.get(at..).unwrap_or_default();
    let other = |word: &Word| matches!(word.known(), Some("-o" | "-or" | ","));
    if arguments.iter().take(first).any(other)
        || rest.iter().any(other)
        || arguments.iter().any(unknown)
    {
        return any;
    }
    Listed {
        only: Some(match patterns.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("{{{}}}", several.join(",")),
        }),
        ..any
    }
}

/// What `ls` lists.
fn names(arguments: &[Word], is_plain: impl Fn(&Word) -> bool) -> Option<Vec<Word>> {
    // A name that a pattern matches may be an option.
    let all = |word: &Word| match word.known() {
        Some(text) => {
            (is_letters(text) && text.contains(['a', 'A', 'f'])) || text.starts_with("--a")
        }
        None => word.beginning().is_empty() && !is_plain(word),
    };
    let hidden = arguments.iter().any(all);
    let listed = Listed {
        only: (!hidden).then(|| VISIBLE.to_owned()),
        ..Listed::default()
    };
    let mut words = vec![listed.word()];
    let dots = |text: &str| (is_letters(text) && text.contains(['a', 'f'])) || text == "--all";
    if arguments.iter().filter_map(Word::known).any(dots) {
        words.push(Word::text(".."));
    }
    for word in arguments {
        match (word.known(), word.pieces.as_slice()) {
            (Some(text), _) if text.starts_with('-') => {
                if text.starts_with("--") || text.contains(['l', 's', 'i', 'F', 'p', 'Q', 'm']) {
                    return None;
                }
            }
            (Some(_), _) => words.push(word.clone()),
            // It matches names here that begin with no dot.
            (None, [Piece::Glob(glob), ..]) if glob.starts_with('*') && is_name_here(word) => {}
            (None, pieces) if !pieces.iter().any(is_unknown) => words.push(word.clone()),
            _ => return None,
        }
    }
    Some(words)
}

fn is_unknown(piece: &Piece) -> bool {
    matches!(piece, Piece::Unknown | Piece::Below | Piece::Fields)
}

/// Whether a word is a pattern of names in the directory at hand.
fn is_name_here(word: &Word) -> bool {
    word.pieces.iter().all(|piece| match piece {
        Piece::Text(text) | Piece::Glob(text) => !text.contains('/'),
        Piece::Unknown | Piece::Below | Piece::Fields => false,
    })
}

/// What git lists: files that it keeps.
fn git(arguments: &[Word]) -> Option<Listed> {
    let above = |word: &Word| {
        word.known()
            .is_none_or(|text| text.split('/').any(|name| name == ".."))
    };
    if arguments.iter().any(above) {
        return None;
    }
    let (listed, operands) = match arguments.first()?.known()? {
        "ls-files" => (!has(arguments, LS_FILES_MORE), true),
        "grep" => {
            let lists = |word: &Word| {
                word.known()
                    .is_some_and(|text| is_letters(text) && text.contains(['l', 'L']))
            };
            let long = [
                "--files-with-matches",
                "--files-without-match",
                "--name-only",
            ];
            let other = ["--no-index", "--untracked", "-O", "--open-files-in-pager"];
            let lists = arguments.iter().any(lists) || has(arguments, &long);
            (lists && !has(arguments, &other), false)
        }
        name if NAMES_ONLY.contains(&name) => {
            let names = has(arguments, &["--name-only"]);
            (names && !has(arguments, &["--no-index"]), false)
        }
        _ => (false, false),
    };
    let letters = |word: &Word| {
        word.known()
            .is_some_and(|text| is_letters(text) && text.contains(['o', 'i', 's', 't', 'k', 'u']))
    };
    if !listed || (operands && arguments.iter().any(letters)) {
        return None;
    }
    Some(Listed {
        leaves_out_ignored: true,
        only: if operands { pathspecs(arguments) } else { None },
        no_options: false,
    })
}

/// The ending that all files have which a single pathspec with a `*` matches: the `*` takes a `/`, too.
fn pathspecs(arguments: &[Word]) -> Option<String> {
    let mut operands = arguments
        .iter()
        .skip(1)
        .filter_map(Word::known)
        .filter(|text| !text.starts_with('-'));
    let (one, more) = (operands.next()?, operands.next());
    let (_, ending) = one.rsplit_once('*')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (more.is_none() && !one.starts_with(':') && !ending.is_empty() && ending.chars().all(plain))
        .then(|| format!("*{ending}"))
}

pub(super) fn is_letters(text: &str) -> bool {
    text.starts_with('-') && !text.starts_with("--")
}

fn has(words: &[Word], options: &[&str]) -> bool {
    words.iter().any(|word| {
        word.known()
            .is_some_and(|text| options.contains(&text.split('=').next().unwrap_or_default()))
    })
}
