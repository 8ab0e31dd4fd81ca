//! Programs that hand their words on in a way of their own.

use crate::reading::atoms::{Category, CodeClass, Role};
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
    if names_agp(parsed) {
        made.danger(Category::Tampering, "ends agp");
    }
    if all || matching {
        made.danger(
            Category::Privilege,
            "ends processes that are not the session's own",
        );
    }
}

fn names_agp(parsed: &Parsed<'_>) -> bool {
    let of = |text: &str| {
        let name = text.trim_start_matches('^').trim_end_matches('$');
        name == "agp" || name.starts_with("agp ") || name.ends_with("/agp")
    };
    parsed
        .operand_words()
        .any(|(_, word)| word.known().is_some_and(of))
}

/// `pgrep`, `pidof`: the numbers of agp's processes are good for nothing but to end them.
pub(super) fn pgrep(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if names_agp(parsed) {
        made.danger(Category::Tampering, "looks for the processes of agp");
    }
}

/// Programs whose words are a command's in a way that is not followed: which program runs, nobody knows.
pub(super) fn unknown_inner(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.words.len() < 2 {
        return;
    }
    let mut words = vec![Word {
        pieces: vec![Piece::Fields],
    }];
    words.extend(parsed.words.iter().skip(1).cloned());
    let mut hand_on = program(words, More::Any);
    if let HandOn::Program { changed, .. } = &mut hand_on {
        *changed = true;
    }
    made.hands_on.push(hand_on);
}

/// `env -S TEXT`: the text is split into words of `env` itself.
pub(super) fn env(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let Some((at, text)) = parsed.values("-S").last() else {
        // Alone it prints every variable, secrets too.
        if made.hands_on.is_empty() && !parsed.has("--help") && !parsed.has("--version") {
            made.sets.clear();
        }
        return;
    };
    made.hands_on.clear();
    let plain = text
        .known()
        .filter(|text| !text.contains(['\'', '"', '\\', '$', '#']));
    let mut words = vec![Word::text("env")];
    match plain {
        Some(text) => words.extend(text.split_whitespace().map(Word::text)),
        None => words.push(Word {
            pieces: vec![Piece::Fields],
        }),
    }
    words.extend(parsed.words.iter().skip(at + 1).cloned());
    for role in made.roles.iter_mut().skip(at + 1) {
        *role = Role::Inner;
    }
    let mut inner = program(words, More::No);
    if let HandOn::Program { directory, .. } = &mut inner {
        *directory = made.directory.take();
    }
    made.hands_on.push(inner);
}

/// `chrt`: newer ones need no priority, and then the first word is the command.
pub(super) fn chrt(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let priority = parsed.operand(0).and_then(|(_, word)| word.known());
    let number = priority
        .is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    if !number && let Some((at, _)) = parsed.operand(0) {
        made.hands_on.clear();
        let words = parsed.words.get(at..).unwrap_or_default().to_vec();
        made.hands_on.push(program(words, More::No));
    }
}

/// `strace -o '|COMMAND'` runs it.
pub(super) fn strace(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let outputs: Vec<(usize, Word)> = parsed.values("-o").cloned().collect();
    for (at, output) in outputs {
        let path = !output.beginning().is_empty() && !output.beginning().starts_with(['|', '!']);
        if !path {
            made.turn(at);
            made.hands_on.push(HandOn::Shell {
                text: super::super::parse::behind(&output, 1),
                arguments: Vec::new(),
                other_shell: true,
            });
        }
    }
}

/// Editors: an option may be a command of theirs.
pub(super) fn editor(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if made.roles.contains(&Role::Turning) {
        let what = format!("commands of {}", parsed.entry.name);
        made.code(CodeClass::Unknown, what, None, false);
    }
}
