//! Paths that a program lists, which another takes: from a pipe, a substitution, a loop, `-exec`.

use super::Walker;
use super::hand_on::below;
use super::places::{self, Listed};
use crate::reading::programs::{Invocation, UseKind};
use crate::reading::word::{Piece, Word};

/// Files that no path shows whose last name begins with a dot.
const VISIBLE: &str = "*/[!.]*";
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
            "ls" => names(arguments, |word| self.names_are_plain(word)),
            "git" => git(arguments).map(|listed| vec![listed.word()]),
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
                match !searched.is_empty() && arguments.iter().all(known) {
                    true => Some(
                        searched
                            .iter()
                            .flat_map(|path| [path.clone(), below(path, &listed)])
                            .collect(),
                    ),
                    false => roots(arguments, &listed),
                }
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
    if arguments.iter().any(|word| word.known().is_none()) {
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

/// What `grep --include` takes.
fn included(arguments: &[Word]) -> Option<String> {
    let mut patterns = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        match word.known() {
            Some("--") => break,
            Some("--include") => patterns.push(arguments.next()?.known()?),
            Some(text) => patterns.extend(text.strip_prefix("--include=")),
            None => {}
        }
    }
    any_of(&patterns)
}

/// A pattern of names that matches what any of these does.
fn any_of(patterns: &[&str]) -> Option<String> {
    let plain = |pattern: &&str| !pattern.contains(['{', '}', ',', '\\', '/']);
    match patterns {
        [one] => plain(one).then(|| (*one).to_owned()),
        [] => None,
        several => several
            .iter()
            .all(plain)
            .then(|| format!("{{{}}}", several.join(","))),
    }
}

/// The files of a directory that `grep -r` or `rg` look into; `None`: all that the table says.
pub(super) fn searched(entry: Option<&str>, arguments: &[Word], leaves: bool) -> Option<Listed> {
    match entry? {
        "grep" => Some(Listed {
            leaves_out_ignored: leaves,
            only: Some(included(arguments)?),
        }),
        "rg" => by_ripgrep(arguments, leaves),
        _ => None,
    }
}

/// Whether a search looks into what links lead to: `grep -R`, `rg -L`.
pub(super) fn follows_links(entry: Option<&str>, words: &[Word]) -> bool {
    let (letter, long) = match entry {
        Some("grep") => ('R', "--d"),
        Some("rg") => ('L', "--fo"),
        _ => return false,
    };
    words.iter().skip(1).any(|word| match word.known() {
        Some(text) => is_letters(text) && text.contains(letter) || text.starts_with(long),
        None => false,
    })
}

/// Short options of `rg` that have a value.
const RG_VALUES: &str = "ABCEMTdefjmrt";

/// `rg` looks into no hidden file, but into those that a `--glob` names, hidden and ignored or not.
fn by_ripgrep(arguments: &[Word], leaves: bool) -> Option<Listed> {
    let mut globs = Vec::new();
    let (mut hidden, mut exact) = (false, true);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.known() else {
            // It may be any of those options.
            if word.beginning().is_empty() || word.beginning().starts_with('-') {
                return None;
            }
            continue;
        };
        if text == "--" {
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            hidden |= long.starts_with("hid") || long.starts_with("unr");
            exact &= !long.starts_with("glob-") && !long.starts_with("ig");
            match long.split_once('=') {
                Some(("glob" | "iglob", glob)) => globs.push(glob),
                None if matches!(long, "glob" | "iglob") => globs.push(words.next()?.known()?),
                _ => {}
            }
        } else if let Some(short) = text.strip_prefix('-') {
            let ends = |c: char| c == 'g' || RG_VALUES.contains(c);
            let (flags, rest) = short.split_at(short.find(ends).unwrap_or(short.len()));
            hidden |= flags.contains(['.', 'u']);
            match rest.strip_prefix('g') {
                Some("") => globs.push(words.next()?.known()?),
                Some(glob) => globs.push(glob.strip_prefix('=').unwrap_or(glob)),
                None if rest.len() == 1 => drop(words.next()),
                None => {}
            }
        }
    }
    globs.retain(|glob| !glob.starts_with('!'));
    if globs.is_empty() {
        return (!hidden).then(|| Listed {
            leaves_out_ignored: leaves,
            only: Some(VISIBLE.to_owned()),
        });
    }
    let source = |glob: &&str| {
        let ending = glob.rsplit_once('.').map(|(_, ending)| ending);
        ending.is_some_and(|ending| {
            let mut endings = ending.trim_matches(['{', '}']).split(',');
            endings.all(|ending| places::SOURCES.contains(&ending))
        })
    };
    let only = match globs.as_slice() {
        [one] => Some((*one).to_owned()),
        several => any_of(several),
    };
    Some(Listed {
        leaves_out_ignored: leaves && globs.iter().all(source),
        only: only.filter(|_| exact),
    })
}

/// What `fd` finds.
pub(super) fn found_by_fd(arguments: &[Word]) -> Listed {
    let listed = kept(
        arguments,
        &["-u", "-H", "-I"],
        &["--no-ignore", "--unres", "--hid"],
    );
    let mut endings = Vec::new();
    let mut words = arguments.iter().filter_map(Word::known);
    while let Some(text) = words.next() {
        match text {
            "-e" | "--extension" => endings.extend(words.next()),
            // What follows is the inner command.
            "-x" | "-X" | "--exec" | "--exec-batch" => break,
            _ => {}
        }
    }
    match endings.as_slice() {
        [one] if one.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Listed {
            only: Some(format!("*.{one}")),
            ..listed
        },
        _ => listed,
    }
}

/// What `rg` and `fd` list: no ignored and no hidden file, unless an option asks for them.
fn kept(arguments: &[Word], letters: &[&str], long: &[&str]) -> Listed {
    let more = |word: &Word| {
        word.known().is_none_or(|text| {
            let short = |of: &&str| text.contains(of.trim_start_matches('-'));
            (is_letters(text) && letters.iter().any(short))
                || long.iter().any(|of| text.starts_with(of))
        })
    };
    // What is not known may be such an option.
    match arguments.iter().any(more) {
        true => Listed::default(),
        false => Listed {
            leaves_out_ignored: true,
            only: Some(VISIBLE.to_owned()),
        },
    }
}

/// Every operand of a search may be where it begins; without one it is here.
fn roots(arguments: &[Word], listed: &Listed) -> Option<Vec<Word>> {
    let mut words = vec![listed.word()];
    for word in arguments {
        match word.known() {
            Some(text) if text.starts_with('-') => {}
            // A pattern that is no path leads to no file.
            Some(text) if text.starts_with('/') || text.split('/').any(|name| name == "..") => {
                words.push(below(word, listed));
            }
            // A file that is named is searched, ignored and hidden or not.
            Some(text)
                if text
                    .split('/')
                    .any(|name| name.starts_with('.') && name != ".") =>
            {
                words.push(word.clone());
                words.push(below(word, &Listed::default()));
            }
            Some(_) => {}
            None if matches!(word.pieces.first(), Some(Piece::Text(text)) if !text.starts_with('/'))
                && !places::climbs(word)
                && !word.pieces.contains(&Piece::Fields) => {}
            None => return None,
        }
    }
    Some(words)
}

fn is_letters(text: &str) -> bool {
    text.starts_with('-') && !text.starts_with("--")
}

fn has(words: &[Word], options: &[&str]) -> bool {
    words.iter().any(|word| {
        word.known()
            .is_some_and(|text| options.contains(&text.split('=').next().unwrap_or_default()))
    })
}
