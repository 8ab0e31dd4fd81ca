//! Programs that read a shell's text, or hand their words on.

use crate::reading::atoms::Role;
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation, UseKind};
use crate::reading::word::{Piece, Word};

/// Options that leave what a text runs and reads as it stands there.
const PLAIN: &[&str] = &[
    "allexport",
    "errexit",
    "errtrace",
    "extglob",
    "failglob",
    "functrace",
    "globstar",
    "inherit_errexit",
    "noclobber",
    "noexec",
    "noglob",
    "nounset",
    "nullglob",
    "pipefail",
    "verbose",
    "xtrace",
];

/// `bash`, `sh`, `dash`, `zsh`, ...: `-c TEXT`, a file, or standard input.
pub(super) fn shell(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let other_shell = parsed.entry.name != "bash";
    if parsed.has("--version") || parsed.has("--help") {
        return;
    }
    // A `-` in front ends the options.
    let dash =
        |(number, (_, word)): &(usize, (usize, &Word))| *number == 0 && word.known() == Some("-");
    let operands = parsed.operand_words().enumerate().skip_while(dash);
    let mut operands = operands.map(|(_, (at, word))| (at, word.clone()));
    let what = parsed.entry.name.clone();
    // A word that is none, or an option, leaves open which one is the text.
    let unsure = parsed.unsure.is_some()
        || parsed.has("-k")
        || (["-O", "+O", "-o", "+o"].iter())
            .flat_map(|option| parsed.values(option))
            .any(|(_, value)| !value.known().is_some_and(|name| PLAIN.contains(&name)))
        || parsed.operand(0).is_some_and(|(_, word)| word.splits())
        || (parsed.options.iter()).any(|given| {
            given
                .value
                .as_ref()
                .is_some_and(|(_, value)| value.splits())
        });
    if unsure {
        let text = Word {
            pieces: vec![Piece::Unknown],
        };
        made.hands_on.push(HandOn::Shell {
            text,
            arguments: Vec::new(),
            other_shell,
        });
        return;
    }
    if parsed.has("-c") {
        let Some((at, text)) = operands.next() else {
            return;
        };
        set(made, at, Role::Inner);
        let arguments = operands.map(|(_, word)| word).collect();
        made.hands_on.push(HandOn::Shell {
            text,
            arguments,
            other_shell,
        });
        return;
    }
    match operands.next() {
        Some((at, script)) if !parsed.has("-s") => {
            made.role(at, Role::Path);
            made.push(UseKind::Script(script), Some(at), false);
        }
        _ => made.hands_on.push(HandOn::Input { shell: true, what }),
    }
}

/// `. FILE`, `source FILE`.
pub(super) fn source(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if let Some((at, file)) = parsed.operand(0) {
        made.role(at, Role::Path);
        made.hands_on.push(HandOn::Source(file.clone()));
    }
}

/// `eval WORD...`: the words with spaces between them.
pub(super) fn eval(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, word) in parsed.operand_words() {
        set(made, at, Role::Inner);
        if !pieces.is_empty() {
            text(&mut pieces, " ");
        }
        for piece in &word.pieces {
            match piece {
                Piece::Text(known) => text(&mut pieces, known),
                // The names that it matches are not followed.
                Piece::Glob(_) => pieces.push(Piece::Unknown),
                other => pieces.push(other.clone()),
            }
        }
    }
    if !pieces.is_empty() {
        let arguments = Vec::new();
        let text = Word { pieces };
        made.hands_on.push(HandOn::Shell {
            text,
            arguments,
            other_shell: false,
        });
    }
}

/// `xargs`: with `-I` the words come anywhere in those of the inner command.
pub(super) fn xargs(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let replaced = (parsed
        .values("-I")
        .chain(parsed.values("-i"))
        .chain(parsed.values("-J"))
        .last())
    .and_then(|(_, value)| value.known())
    .map(str::to_owned)
    .or_else(|| parsed.has("-i").then(|| "{}".to_owned()));
    let Some(replaced) = replaced.filter(|replaced| !replaced.is_empty()) else {
        return;
    };
    for inner in &mut made.hands_on {
        if let HandOn::Program { words, more, .. } = inner {
            for word in words.iter_mut() {
                *word = replace(word, &replaced);
            }
            *more = crate::reading::programs::More::No;
        }
    }
}

/// A word in which something unknown, within one word, stands for each `mark`.
pub(super) fn replace(word: &Word, mark: &str) -> Word {
    let mut pieces = Vec::new();
    for piece in &word.pieces {
        let Piece::Text(known) = piece else {
            pieces.push(piece.clone());
            continue;
        };
        for (number, part) in known.split(mark).enumerate() {
            if number > 0 {
                pieces.push(Piece::Unknown);
            }
            if !part.is_empty() {
                text(&mut pieces, part);
            }
        }
    }
    Word { pieces }
}

fn text(pieces: &mut Vec<Piece>, more: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(more),
        _ => pieces.push(Piece::Text(more.to_owned())),
    }
}

fn set(made: &mut Invocation, at: usize, role: Role) {
    if let Some(place) = made.roles.get_mut(at) {
        *place = role;
    }
}
