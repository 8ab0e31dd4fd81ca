//! `find`, `fd`: what they do with what they find.

use crate::reading::atoms::{Category, Danger, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, may_be_option};
use crate::reading::programs::{Context, HandOn, Invocation, More, Use, UseKind};
use crate::reading::word::{Piece, Word};

/// Directories that are searched whose names an inner command gets; of more, nobody says below which a path lies.
const STARTS: usize = 8;

/// Tests and actions without an argument that only look.
const ALONE: &[&str] = &[
    "-print",
    "-print0",
    "-ls",
    "-prune",
    "-quit",
    "-empty",
    "-readable",
    "-writable",
    "-executable",
    "-true",
    "-false",
    "-not",
    "-a",
    "-and",
    "-o",
    "-or",
    "-depth",
    "-d",
    "-mount",
    "-xdev",
    "-daystart",
    "-follow",
    "-noleaf",
    "-nouser",
    "-nogroup",
    "-ignore_readdir_race",
    "-noignore_readdir_race",
    "-warn",
    "-nowarn",
    "-H",
    "-L",
    "-P",
    "-E",
    "-X",
    "-s",
    "-x",
    "-version",
    "--version",
    "-help",
    "--help",
    "(",
    ")",
    "!",
    ",",
];
/// With one argument.
const WITH_ONE: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-regex",
    "-iregex",
    "-regextype",
    "-lname",
    "-ilname",
    "-type",
    "-xtype",
    "-size",
    "-mtime",
    "-mmin",
    "-atime",
    "-amin",
    "-ctime",
    "-cmin",
    "-newer",
    "-anewer",
    "-cnewer",
    "-samefile",
    "-inum",
    "-links",
    "-perm",
    "-user",
    "-group",
    "-uid",
    "-gid",
    "-used",
    "-maxdepth",
    "-mindepth",
    "-fstype",
    "-context",
    "-printf",
    "-D",
];

/// `find`.
pub(super) fn find(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let words = parsed.words;
    let mut starts: Vec<Word> = Vec::new();
    let mut at = 1;
    let mut expression = false;
    let mut deletes = None;
    let mut sets = vec![Set::Reads];
    // Inner commands: position, words, one call for all, in the directory of what was found.
    let mut inner: Vec<(usize, bool, bool)> = Vec::new();
    while let Some(word) = words.get(at) {
        let Some(text) = word.known() else {
            // It may be an action, or bring one.
            let option = may_be_option(word);
            set(made, at, if option { Role::Turning } else { Role::Path });
            starts.push(word.clone());
            at += 1;
            continue;
        };
        let leads =
            text.starts_with('-') && text.len() > 1 || matches!(text, "(" | ")" | "!" | ",");
        if !leads {
            set(
                made,
                at,
                if expression {
                    Role::Turning
                } else {
                    Role::Path
                },
            );
            starts.push(word.clone());
            at += 1;
            continue;
        }
        expression |= !matches!(text, "-H" | "-L" | "-P" | "-D");
        set(made, at, Role::Harmless);
        let value = words.get(at + 1);
        let splits = value.is_some_and(|value| value.pieces.contains(&Piece::Fields));
        match text {
            text if ALONE.contains(&text) => at += 1,
            text if WITH_ONE.contains(&text) || text.starts_with("-newer") && text.len() == 8 => {
                set(
                    made,
                    at + 1,
                    if splits { Role::Turning } else { Role::Value },
                );
                at += 2;
            }
            text if text.starts_with("-O") => at += 1,
            "-files0-from" => {
                set(made, at + 1, Role::Value);
                if let Some(file) = value {
                    made.read(file, Some(at + 1), true, false, false);
                }
                starts.push(Word {
                    pieces: vec![Piece::Unknown],
                });
                at += 2;
            }
            "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                set(made, at + 1, Role::Value);
                if let Some(file) = value {
                    made.write_turning(file, Some(at + 1), false);
                }
                sets = vec![Set::Files];
                at += 2;
                if text == "-fprintf" {
                    set(made, at, Role::Value);
                    at += 1;
                }
            }
            "-delete" => {
                deletes = Some(at);
                sets = vec![Set::Files];
                at += 1;
            }
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let start = at + 1;
                let mut end = start;
                let mut batch = false;
                while let Some(word) = words.get(end) {
                    let before = words.get(end.saturating_sub(1)).and_then(Word::known);
                    batch = word.known() == Some("+") && before == Some("{}");
                    if word.known() == Some(";") || batch {
                        break;
                    }
                    set(made, end, Role::Inner);
                    end += 1;
                }
                set(made, end, Role::Harmless);
                inner.push((start, batch, text.ends_with("dir")));
                at = end + 1;
            }
            _ => {
                set(made, at, Role::Turning);
                at += 1;
            }
        }
    }
    if starts.is_empty() {
        starts.push(Word::text("."));
    }
    if let Some(at) = deletes {
        for start in &starts {
            let why = format!("removes what it finds below {}", display(start));
            let kind = UseKind::Write {
                path: start.clone(),
                tree: true,
                removes: true,
            };
            let dangers = vec![Danger {
                category: Category::Delete,
                why,
            }];
            made.uses.push(Use {
                kind,
                word: Some(at),
                turns: true,
                dangers,
            });
        }
    }
    for (start, batch, in_directory) in inner {
        hand_on(
            words.get(start..).unwrap_or_default(),
            batch,
            in_directory,
            &starts,
            made,
        );
    }
    made.sets = if made.roles.contains(&Role::Turning) {
        Vec::new()
    } else {
        sets
    };
}

/// The inner command of `-exec`, which ends at `;` or `+`.
fn hand_on(
    words: &[Word],
    batch: bool,
    in_directory: bool,
    starts: &[Word],
    made: &mut Invocation,
) {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        let placed = batch
            && word.known() == Some("+")
            && count > 0
            && words.get(count - 1).and_then(Word::known) == Some("{}");
        if word.known() == Some(";") || placed {
            break;
        }
        count += 1;
    }
    let words = words.get(..count).unwrap_or_default();
    let unknown = [Word {
        pieces: vec![Piece::Unknown],
    }];
    let starts = if starts.len() > STARTS || starts.iter().any(may_be_option) {
        &unknown
    } else {
        starts
    };
    for start in starts {
        let below = joined(
            start,
            &Word {
                pieces: vec![Piece::Unknown],
            },
        );
        let below = if start.known().is_none() && start.beginning().is_empty() {
            start.clone()
        } else {
            below
        };
        let stands = if in_directory {
            joined(
                &Word::text("."),
                &Word {
                    pieces: vec![Piece::Unknown],
                },
            )
        } else {
            below.clone()
        };
        let mut filled: Vec<Word> = words.iter().map(|word| fill(word, &stands)).collect();
        let more = match batch {
            true => {
                filled.pop();
                More::Below(if in_directory {
                    Word::text(".")
                } else {
                    start.clone()
                })
            }
            false => More::No,
        };
        if filled.is_empty() {
            continue;
        }
        made.hands_on.push(HandOn::Program {
            words: filled,
            more,
            changed: false,
            assignments: Vec::new(),
            directory: in_directory.then(|| below.clone()),
        });
    }
}

/// A word with a path for each `{}`.
fn fill(word: &Word, path: &Word) -> Word {
    if !word
        .pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Text(text) if text.contains("{}")))
    {
        return word.clone();
    }
    if word.known() == Some("{}") {
        return path.clone();
    }
    // Only at the beginning does the path say where the whole lies.
    let begins = word.beginning().starts_with("{}");
    let filled = super::shell::replace(word, "{}");
    match begins {
        true => Word {
            pieces: path
                .pieces
                .iter()
                .cloned()
                .chain(filled.pieces.into_iter().skip(1))
                .collect(),
        },
        false => filled,
    }
}

/// `fd`: `-x` and `-X` run what follows, up to `;`.
pub(super) fn fd(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    for batch in [false, true] {
        let option = if batch { "-X" } else { "-x" };
        let Some((at, _)) = parsed.values(option).next() else {
            continue;
        };
        let words = parsed.words.get(*at..).unwrap_or_default();
        for (number, _) in words.iter().enumerate() {
            set(made, at + number, Role::Inner);
        }
        let mut words: Vec<Word> = words
            .iter()
            .take_while(|word| word.known() != Some(";"))
            .cloned()
            .collect();
        let attached = parsed
            .words
            .get(*at)
            .is_some_and(|word| word.beginning().starts_with('-'));
        if attached {
            words.insert(
                0,
                Word {
                    pieces: vec![Piece::Unknown],
                },
            );
        }
        let placed = words.iter().any(|word| {
            word.pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Text(text) if text.contains('{')))
        });
        let words = words.iter().map(|word| {
            let marks = ["{//}", "{/.}", "{/}", "{.}", "{}"];
            marks.iter().fold(word.clone(), |word, mark| {
                super::shell::replace(&word, mark)
            })
        });
        // Below the directories that are searched; of several, nobody says which.
        let mut starts = parsed.operand_words().skip(1).map(|(_, word)| word.clone());
        let below = match (starts.next(), starts.next()) {
            _ if parsed.has("--search-path") || parsed.has("--base-directory") => None,
            (None, _) => Some(Word::text(".")),
            (Some(one), None) if !may_be_option(&one) => Some(one),
            _ => None,
        };
        let mut words: Vec<Word> = words.collect();
        let mut more = More::No;
        if !placed {
            match below {
                Some(below) => more = More::Below(below),
                None => words.push(Word {
                    pieces: vec![Piece::Unknown],
                }),
            }
        }
        made.hands_on.push(HandOn::Program {
            words,
            more,
            changed: false,
            assignments: Vec::new(),
            directory: None,
        });
        if !made.roles.contains(&Role::Turning) {
            made.sets = vec![Set::Reads];
        }
    }
}

fn set(made: &mut Invocation, at: usize, role: Role) {
    if let Some(place) = made.roles.get_mut(at) {
        *place = role;
    }
}
