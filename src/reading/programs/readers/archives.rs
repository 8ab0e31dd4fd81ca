//! `tar`: where it writes, and what its options run.

use crate::reading::atoms::{Category, CodeClass, Danger, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation, UseKind};
use crate::reading::word::{Piece, Word};

/// Actions at a checkpoint that only print.
const HARMLESS_ACTIONS: [&str; 5] = ["dot", "bell", "ttyout", "echo", "sleep"];

/// `tar`.
pub(super) fn tar(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let has = |option: &str| parsed.has(option);
    let lists = has("-t") && !has("-x") && !has("-c");
    let makes = ["-c", "-r", "-u", "-A", "--delete"]
        .iter()
        .any(|option| has(option));
    let extracts = has("-x") || !lists && !makes && !has("-d");
    actions(parsed, made);
    archives(parsed, makes, made);
    for (at, list) in parsed.values("-T").cloned().collect::<Vec<_>>() {
        if list.known() != Some("-") {
            made.read(&list, Some(at), true, false, false);
        }
        if makes {
            // Whatever the list names.
            made.read(
                &Word {
                    pieces: vec![Piece::Unknown],
                },
                Some(at),
                true,
                true,
                false,
            );
        }
        // Lines of it may be options, unless they are taken as they stand.
        if !has("--verbatim-files-from") && !has("--null") {
            made.turn(at);
        }
    }
    if makes {
        for (at, word) in parsed.operand_words() {
            let path = joined(&directory(parsed, Some(at)).unwrap_or_default(), word);
            let path = if path.pieces.is_empty() {
                word.clone()
            } else {
                path
            };
            made.role(at, Role::Path);
            // Another archive, with `@`.
            let path = if path.beginning().starts_with('@') {
                behind(&path, 1)
            } else {
                path
            };
            made.read(&path, Some(at), false, true, false);
            if has("--remove-files") {
                let why = format!("removes {} and all below it", display(&path));
                made.write(&path, Some(at), true, true);
                if let Some(one) = made.uses.last_mut() {
                    one.dangers.push(Danger {
                        category: Category::Delete,
                        why,
                    });
                }
            }
        }
    }
    if extracts && !has("-O") && !has("--to-command") {
        let place = directory(parsed, None).unwrap_or_else(|| Word::text("."));
        let place = match parsed.values("--one-top-level").last() {
            Some((_, name)) => joined(&place, name),
            None => place,
        };
        let place = if has("-P") {
            Word {
                pieces: vec![Piece::Unknown],
            }
        } else {
            place
        };
        made.write(&place, None, true, false);
    }
    made.sets = match (made.roles.contains(&Role::Turning), lists) {
        (true, _) => Vec::new(),
        (false, true) => vec![Set::Reads],
        (false, false) => vec![Set::Files],
    };
}

/// The directory that `-C` has changed to before a position, or at the end.
fn directory(parsed: &Parsed<'_>, before: Option<usize>) -> Option<Word> {
    let values = parsed
        .values("-C")
        .filter(|(at, _)| before.is_none_or(|before| *at < before));
    values
        .map(|(_, value)| value.clone())
        .reduce(|all, next| joined(&all, &next))
}

fn actions(parsed: &Parsed<'_>, made: &mut Invocation) {
    for (at, action) in parsed
        .values("--checkpoint-action")
        .cloned()
        .collect::<Vec<_>>()
    {
        let kind = action.beginning().split('=').next().unwrap_or_default();
        let harmless = HARMLESS_ACTIONS.contains(&kind)
            && (action.known().is_some() || kind.len() < action.beginning().len());
        if !harmless {
            made.code(
                CodeClass::Inline,
                format!("tar --checkpoint-action={}", display(&action)),
                Some(at),
                true,
            );
        }
        // GNU tar gives it to the system's shell.
        if kind == "exec" && action.beginning().len() > kind.len() {
            made.hands_on.push(HandOn::Shell {
                text: behind(&action, kind.len() + 1),
                arguments: Vec::new(),
                other_shell: true,
            });
        }
    }
}

/// `-f`: an archive here, or `host:path`.
fn archives(parsed: &Parsed<'_>, makes: bool, made: &mut Invocation) {
    for (at, archive) in parsed.values("-f").cloned().collect::<Vec<_>>() {
        let beginning = archive.beginning();
        if archive.known() == Some("-") {
            continue;
        }
        let remote = beginning
            .split_once(':')
            .is_some_and(|(host, _)| !host.contains('/'))
            && !parsed.has("--force-local");
        if remote {
            made.turn(at);
            made.push(UseKind::Host(Some(archive.clone())), Some(at), true);
        } else if makes {
            made.write(&archive, Some(at), false, false);
        } else {
            made.read(&archive, Some(at), false, false, false);
        }
    }
}
