//! What searches look into and list: `grep`, `rg`, `fd`.

use super::hand_on::below;
use super::listing::{VISIBLE, is_letters};
use super::places::{self, Listed};
use crate::reading::word::{Piece, Word};

/// What `grep --include` takes.
pub(super) fn included(arguments: &[Word]) -> Option<String> {
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
            ..Listed::default()
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
pub(super) fn by_ripgrep(arguments: &[Word], leaves: bool) -> Option<Listed> {
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
            ..Listed::default()
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
        ..Listed::default()
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
pub(super) fn kept(arguments: &[Word], letters: &[&str], long: &[&str]) -> Listed {
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
            ..Listed::default()
        },
    }
}

/// Every operand of a search may be where it begins; without one it is here.
pub(super) fn roots(arguments: &[Word], listed: &Listed) -> Option<Vec<Word>> {
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
