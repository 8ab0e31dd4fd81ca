//! Programs that hand their words on in a way of their own.

use crate::reading::atoms::{Category, Role};
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation, More};
use crate::reading::word::{Piece, Word};

fn program(words: Vec<Word>, more: More) -> HandOn {
    HandOn::Program {
        words,
        more,
        changed: false,
        assignments: Vec::new(),
        directory: None,
    }
}

fn inner(parsed: &Parsed<'_>, from: usize, made: &mut Invocation) -> Vec<Word> {
    for (at, _) in parsed.operand_words().skip(from) {
        if let Some(place) = made.roles.get_mut(at) {
            *place = Role::Inner;
        }
    }
    parsed
        .operand_words()
        .skip(from)
        .map(|(_, word)| word.clone())
        .collect()
}

/// An option in front that is not known may have taken the inner command's first word.
fn unsure(parsed: &Parsed<'_>) -> bool {
    parsed.unsure.is_some()
}

/// `flock FILE COMMAND`, `flock FILE -c TEXT`.
pub(super) fn flock(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    for one in &mut made.hands_on {
        if let HandOn::Program { words, .. } = one
            && let [option, text, ..] = words.as_slice()
            && matches!(option.known(), Some("-c" | "--command"))
        {
            *one = HandOn::Shell {
                text: text.clone(),
                arguments: Vec::new(),
                other_shell: true,
            };
        }
    }
    for (_, text) in parsed.values("-c") {
        made.hands_on.push(HandOn::Shell {
            text: text.clone(),
            arguments: Vec::new(),
            other_shell: true,
        });
    }
}

/// `watch WORD...`: a shell reads the words, with `-x` it does not.
pub(super) fn shell_words(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    if unsure(parsed) {
        made.hands_on.push(program(
            vec![Word {
                pieces: vec![Piece::Unknown],
            }],
            More::Any,
        ));
    } else if parsed.has("-x") {
        let words = inner(parsed, 0, made);
        made.hands_on.push(program(words, More::No));
    } else {
        super::shell::eval(parsed, context, made);
        for one in &mut made.hands_on {
            if let HandOn::Shell { other_shell, .. } = one {
                *other_shell = true;
            }
        }
    }
}

/// `parallel COMMAND ::: a b`: a shell reads what is put together.
pub(super) fn parallel(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let words = inner(parsed, 0, made);
    let separators = [":::", "::::", ":::+", "::::+"];
    let mut words: Vec<Word> = words
        .into_iter()
        .take_while(|word| !word.known().is_some_and(|text| separators.contains(&text)))
        .collect();
    if unsure(parsed) || words.is_empty() {
        words.insert(
            0,
            Word {
                pieces: vec![Piece::Unknown],
            },
        );
    }
    let words = words
        .iter()
        .map(|word| super::shell::replace(word, "{}"))
        .collect();
    made.hands_on.push(program(words, More::Any));
}

/// `entr COMMAND`: with `-s` a shell's text.
pub(super) fn entr(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    if parsed.has("-s") {
        super::shell::eval(parsed, context, made);
        return;
    }
    let mut words = inner(parsed, 0, made);
    if unsure(parsed) {
        words.insert(
            0,
            Word {
                pieces: vec![Piece::Unknown],
            },
        );
    }
    let words: Vec<Word> = words
        .iter()
        .map(|word| super::shell::replace(word, "/_"))
        .collect();
    if !words.is_empty() {
        made.hands_on.push(program(words, More::No));
    }
}

/// `busybox APPLET WORD...`.
pub(super) fn busybox(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let prints = parsed
        .operand(0)
        .is_some_and(|(_, word)| matches!(word.known(), Some("--list" | "--help" | "--list-full")));
    if prints {
        made.hands_on.clear();
    }
}

/// `crontab`.
pub(super) fn crontab(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("-l") && parsed.operands.is_empty() {
        made.sets = vec![crate::reading::atoms::Set::Reads];
        return;
    }
    made.danger(
        Category::Persistence,
        "changes what runs by the clock from now on",
    );
}

/// `kill`, `pkill`, `killall`: with signal 0 or `-l` nothing is ended. That of all, or of the first process, ends more.
pub(super) fn kill(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let all = parsed
        .operand_words()
        .skip(1)
        .any(|(_, word)| matches!(word.known(), Some("-1" | "1")))
        || parsed.operand_words().count() == 1
            && parsed
                .operand(0)
                .is_some_and(|(_, word)| word.known() == Some("1"));
    let matching = parsed.entry.name != "kill"
        && parsed
            .operand_words()
            .any(|(_, word)| matches!(word.known(), Some("-u" | "-U" | "-v" | ".*" | ".")));
    if all || matching {
        made.danger(
            Category::Privilege,
            "ends processes that are not the session's own",
        );
    }
}
