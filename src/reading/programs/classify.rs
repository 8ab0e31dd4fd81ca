//! What a program's words make it do, by the table alone.

use crate::reading::atoms::{self, CodeClass, Danger};
use crate::reading::word::{Piece, Word};

use super::notation::{Effect, Role};
use super::parse::{Given, Parsed, may_be_option};
use super::schema::Of;
use super::{Context, HandOn, Invocation, More, UseKind};

/// What options change about the operands.
#[derive(Debug, Default)]
struct Changes {
    tree: bool,
    in_place: bool,
    names: bool,
    skip_first: bool,
    skip_last: bool,
    no_ignore: bool,
    print: bool,
    dry: bool,
}

/// Reads what the table says of these words.
pub(super) fn classify(parsed: &Parsed<'_>, context: &dyn Context) -> Invocation {
    let entry = parsed.entry;
    let mut made = Invocation {
        entry: Some(entry.name.clone()),
        roles: parsed.roles.clone(),
        ..Invocation::default()
    };
    let changes = options(parsed, &mut made);
    if let Some(at) = parsed.unknown_subcommand {
        unknown_subcommand(parsed, at, &mut made);
        return made;
    }
    operands(parsed, &changes, context, &mut made);
    if !changes.print {
        itself(parsed, &mut made);
    }
    let turned = made.roles.contains(&atoms::Role::Turning);
    if !turned {
        made.sets.clone_from(&entry.sets);
        let writes = |given: &Given<'_>| given.option.is_some_and(|option| option.writes);
        if parsed.options.iter().any(writes) {
            for set in &mut made.sets {
                if *set == atoms::Set::Reads {
                    *set = atoms::Set::Files;
                }
            }
        }
    }
    made
}

fn unknown_subcommand(parsed: &Parsed<'_>, at: usize, made: &mut Invocation) {
    let word = parsed.words.get(at).cloned().unwrap_or_default();
    let what = format!("{} {}", parsed.entry.name, display(&word));
    let class = match word.known() {
        Some(_) => parsed.entry.otherwise,
        None => {
            made.host(None, Some(at), true);
            CodeClass::Unknown
        }
    };
    made.code(class, what, Some(at), false);
}

/// What options do by themselves.
fn options(parsed: &Parsed<'_>, made: &mut Invocation) -> Changes {
    let mut changes = Changes::default();
    for given in &parsed.options {
        let Some(option) = given.option else {
            continue;
        };
        if let Some((at, value)) = &given.value {
            let what = || format!("{} {}", option.name(), display(value));
            made.value(option.role, value, *at, option.turns, what);
        }
        for effect in &option.effects {
            match effect {
                Effect::Tree => changes.tree = true,
                Effect::InPlace => changes.in_place = true,
                Effect::Names => changes.names = true,
                Effect::SkipFirst => changes.skip_first = true,
                Effect::SkipLast => changes.skip_last = true,
                Effect::NoIgnore => changes.no_ignore = true,
                Effect::End => {}
                Effect::Print => changes.print = true,
                Effect::Dry => changes.dry = true,
                Effect::Input => made.hands_on.push(HandOn::Input {
                    shell: true,
                    what: parsed.entry.name.clone(),
                }),
                Effect::Code(class) => {
                    let what = format!("{} {}", parsed.entry.name, option.name());
                    made.code(*class, what, Some(given.at), option.turns);
                }
                Effect::AnyHost => made.host(None, Some(given.at), option.turns),
            }
        }
    }
    changes
}

/// What operands are, by their positions.
fn operands(parsed: &Parsed<'_>, changes: &Changes, context: &dyn Context, made: &mut Invocation) {
    let entry = parsed.entry;
    let skipped = usize::from(changes.skip_first);
    let first = entry.operands.first.get(skipped..).unwrap_or_default();
    let many = entry.operands.many;
    let last = if changes.skip_last {
        &[]
    } else {
        entry.operands.last.as_slice()
    };
    // Where there are too few, none is the last.
    let count = parsed.operands.len();
    let needed = first.len() + usize::from(many.is_some()) + last.len();
    let behind = if count < needed {
        count
    } else {
        count - last.len()
    };
    let mut sources: Vec<&Word> = Vec::new();
    let mut paths = 0;
    // A word that may be none, or several, moves all that follow.
    let mut moved = false;
    for (number, (at, word)) in parsed.operand_words().enumerate() {
        let end = number.checked_sub(behind).and_then(|end| last.get(end));
        let role = first.get(number).or(end).copied().or(many);
        let possible = moved && role == Some(Role::Text);
        moved |= word.splits() || made.roles.get(at) == Some(&atoms::Role::Turning);
        match role {
            Some(Role::Assignment | Role::Command) => {
                hand_on(parsed, number, made);
                break;
            }
            Some(_) if possible => {
                let role = many.unwrap_or(Role::Text);
                paths += usize::from(operand(
                    role,
                    at,
                    word,
                    changes,
                    entry.leaves_out_ignored,
                    made,
                ));
            }
            Some(Role::Into) => {
                into(word, at, &sources, changes, context, made);
                paths += 1;
            }
            Some(role) => {
                if matches!(
                    role,
                    Role::Read | Role::Tree | Role::Move | Role::Name | Role::Change
                ) {
                    sources.push(word);
                }
                paths += usize::from(operand(
                    role,
                    at,
                    word,
                    changes,
                    entry.leaves_out_ignored,
                    made,
                ));
            }
            None => made.role(at, atoms::Role::Turning),
        }
    }
    for given in &parsed.options {
        if let (Some(option), Some((at, value))) = (given.option, &given.value)
            && option.role == Role::Into
        {
            into(value, *at, &sources, changes, context, made);
        }
    }
    if paths == 0
        && let Some(role) = entry.without
        && (role != Role::Read || changes.tree)
    {
        let role = if role == Role::Read { Role::Tree } else { role };
        let before = made.uses.len();
        operand(
            role,
            usize::MAX,
            &Word::text("."),
            changes,
            entry.leaves_out_ignored,
            made,
        );
        for made in made.uses.iter_mut().skip(before) {
            made.word = None;
        }
    }
}

/// One operand; whether it is a path.
fn operand(
    role: Role,
    at: usize,
    word: &Word,
    changes: &Changes,
    leaves_out_ignored: bool,
    made: &mut Invocation,
) -> bool {
    let role = match role {
        Role::Read if changes.tree => Role::Tree,
        Role::Write if changes.tree => Role::WriteTree,
        Role::Remove if changes.tree => Role::RemoveTree,
        role => role,
    };
    let reads = matches!(role, Role::Read | Role::Tree | Role::Change);
    let writes = matches!(
        role,
        Role::Write | Role::WriteTree | Role::Remove | Role::RemoveTree | Role::Change
    );
    let role = match role {
        _ if reads && changes.names || writes && changes.dry => Role::Name,
        Role::Move if changes.dry => Role::Name,
        Role::Tree if changes.in_place => {
            made.read(word, Some(at), false, true, false);
            Role::WriteTree
        }
        Role::Read if changes.in_place => Role::Change,
        role => role,
    };
    let ignored = leaves_out_ignored && !changes.no_ignore;
    let before = made.uses.len();
    made.value_of(role, word, at, false, || display(word));
    if ignored {
        for made in made.uses.iter_mut().skip(before) {
            if let UseKind::Read {
                tree: true,
                leaves_out_ignored,
                ..
            } = &mut made.kind
            {
                *leaves_out_ignored = true;
            }
        }
    }
    let path = !matches!(
        role,
        Role::Text | Role::Host | Role::Remote | Role::Shell | Role::Code(_)
    );
    if path {
        made.role(at, atoms::Role::Path);
    } else if matches!(role, Role::Host) {
        made.role(at, atoms::Role::Url);
    }
    path
}

/// Writes to a path, or below it under the names of what is put there.
fn into(
    word: &Word,
    at: usize,
    sources: &[&Word],
    changes: &Changes,
    context: &dyn Context,
    made: &mut Invocation,
) {
    made.role(at, atoms::Role::Path);
    if changes.dry {
        return;
    }
    let place = word
        .known()
        .map(|path| context.directory(made.directory.as_ref(), path));
    let certain = word
        .known()
        .is_some_and(|path| path.ends_with('/') || path == "." || path == "..");
    let directory = place.flatten();
    if !certain && directory != Some(true) {
        made.write(word, Some(at), changes.tree, false);
    }
    if !certain && directory == Some(false) {
        return;
    }
    for source in sources {
        let below = match last_part(source) {
            Some(name) => joined(word, &name),
            // What ends in `..` goes into the directory itself.
            None => joined(
                word,
                &Word {
                    pieces: vec![Piece::Below],
                },
            ),
        };
        made.write(&below, Some(at), changes.tree, false);
    }
    if sources.is_empty() {
        made.write(word, Some(at), true, false);
    }
}

/// The last part of a path, where it is known which one it is.
fn last_part(path: &Word) -> Option<Word> {
    if let Some(text) = path.known() {
        let text = text.trim_end_matches('/');
        let name = text.rsplit('/').next().unwrap_or(text);
        // `.` and `..` bring what is in them.
        return (!matches!(name, "" | "." | "..")).then(|| Word::text(name));
    }
    None
}

/// A path below a directory.
pub(super) fn joined(directory: &Word, path: &Word) -> Word {
    if path.beginning().starts_with('/') {
        return path.clone();
    }
    let mut pieces = directory.pieces.clone();
    let slash = match pieces.last() {
        Some(Piece::Text(text)) => !text.ends_with('/'),
        Some(_) => true,
        None => false,
    };
    if slash {
        push_text(&mut pieces, "/");
    }
    for piece in &path.pieces {
        match piece {
            Piece::Text(text) => push_text(&mut pieces, text),
            other => pieces.push(other.clone()),
        }
    }
    Word { pieces }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The inner command, from the operand with this number on.
fn hand_on(parsed: &Parsed<'_>, number: usize, made: &mut Invocation) {
    let entry = parsed.entry;
    let mut assignments = Vec::new();
    let mut start = None;
    let assigns = entry.operands.first.contains(&Role::Assignment)
        || entry.operands.many == Some(Role::Assignment);
    for (at, word) in parsed.operand_words().skip(number) {
        if assigns && let Some((name, _)) = word.beginning().split_once('=') {
            assignments.push((name.to_owned(), behind_equals(word)));
            continue;
        }
        start = Some(at);
        break;
    }
    // What stands before the inner command may be more words, or fewer, than are written.
    let unsure = parsed.words.iter().enumerate().skip(1).find(|(at, word)| {
        start.is_none_or(|start| *at < start)
            && (parsed.unsure == Some(*at)
                || word.splits()
                || made.roles.get(*at) == Some(&atoms::Role::Turning)
                    && may_be_option(word)
                    && word.known().is_none())
    });
    let mut words: Vec<Word> = start
        .and_then(|start| parsed.words.get(start..))
        .unwrap_or_default()
        .to_vec();
    if let Some(start) = start {
        for role in made.roles.iter_mut().skip(start) {
            *role = atoms::Role::Inner;
        }
    }
    if unsure.is_some() {
        words.insert(
            0,
            Word {
                pieces: vec![Piece::Fields],
            },
        );
    }
    if words.is_empty() {
        return;
    }
    made.hands_on.push(HandOn::Program {
        words,
        more: if entry.more { More::Any } else { More::No },
        changed: entry.changed,
        assignments,
        directory: made.directory.take(),
    });
}

fn behind_equals(word: &Word) -> Word {
    let bytes = word.beginning().find('=').map_or(0, |equals| equals + 1);
    super::parse::behind(word, bytes)
}

/// What the program does whatever its words are.
fn itself(parsed: &Parsed<'_>, made: &mut Invocation) {
    let entry = parsed.entry;
    if let Some(class) = entry.code {
        made.code(class, entry.name.clone(), None, false);
    }
    for host in &entry.hosts {
        let host = (host != "*").then(|| Word::text(host.as_str()));
        made.host(host.as_ref(), None, false);
    }
    for (danger, with, of) in &entry.dangers {
        if !with.is_empty() && !with.iter().any(|with| parsed.has(with)) {
            continue;
        }
        match of {
            Of::Whole => made.dangers.push(danger.clone()),
            Of::Operands => {
                for one in &mut made.uses {
                    if let UseKind::Write { path, .. } = &one.kind {
                        let why = danger.why.replace("{}", &display(path));
                        let category = danger.category;
                        one.dangers.push(Danger { category, why });
                    }
                }
            }
        }
    }
}

/// A word for people: what is not known is `…`.
pub(super) fn display(word: &Word) -> String {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Text(known) => text.push_str(known),
            Piece::Glob(glob) => text.push_str(glob),
            Piece::Unknown | Piece::Below | Piece::Fields => text.push('…'),
        }
    }
    text
}
