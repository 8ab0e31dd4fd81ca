//! Compilers and debuggers whose words say more: response files, `protoc`'s outputs, `gdb`'s commands.

use super::handing_on::unknown_inner;
use crate::reading::atoms::{Role, Set};
use crate::reading::programs::parse::{Parsed, behind, may_be_option};
use crate::reading::programs::{Context, HandOn, Invocation, More};
use crate::reading::word::Word;

/// Commands of `gdb` that only look at the program, and let it run.
const LOOKS: [&str; 19] = [
    "run",
    "r",
    "start",
    "bt",
    "backtrace",
    "where",
    "quit",
    "q",
    "continue",
    "c",
    "next",
    "n",
    "step",
    "s",
    "finish",
    "up",
    "down",
    "list",
    "kill",
];

/// First words of such commands, whose other words are plain names and numbers.
const LOOKS_AT: [&str; 12] = [
    "info",
    "bt",
    "backtrace",
    "frame",
    "f",
    "break",
    "b",
    "tbreak",
    "list",
    "print",
    "p",
    "x",
];

/// Whole commands that many give.
const WHOLE: [&str; 6] = [
    "thread apply all bt",
    "thread apply all bt full",
    "thread apply all backtrace",
    "set pagination off",
    "set confirm off",
    "set width 0",
];

/// `gcc @FILE`: the file's words are the compiler's.
pub(super) fn response_files(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let files: Vec<(usize, Word)> = parsed
        .words
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, word)| word.beginning().starts_with('@') && word.known() != Some("@"))
        .map(|(at, word)| (at, behind(word, 1)))
        .collect();
    for (at, file) in files {
        made.read(&file, Some(at), false, false, false);
    }
}

/// `protoc --NAME_out=[PARAMETERS:]DIRECTORY`, for each plugin there is.
pub(super) fn protoc(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let unknown = parsed
        .options
        .iter()
        .filter(|given| given.option.is_none())
        .map(|given| given.at);
    for at in unknown.collect::<Vec<usize>>() {
        let Some(word) = parsed.words.get(at) else {
            continue;
        };
        let (name, value) = word.beginning().split_once('=').unwrap_or_default();
        let plugin = name.strip_prefix("--").unwrap_or_default();
        if plugin.ends_with("_opt") && !word.splits() {
            continue;
        }
        if !plugin.ends_with("_out") || word.splits() {
            made.turn(at);
            continue;
        }
        let parameters = value.rfind(':').map_or(0, |colon| colon + 1);
        made.write_turning(&behind(word, name.len() + 1 + parameters), Some(at), false);
    }
    response_files(parsed, context, made);
}

/// Whether a command of `gdb` only looks at the program, or lets it run.
fn looks(command: &str) -> bool {
    let plain = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.:*$->/".contains(&byte))
    };
    let mut words = command.split_whitespace();
    let first = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    WHOLE.contains(&command)
        || rest.is_empty() && LOOKS.contains(&first)
        || LOOKS_AT.iter().any(|name| {
            first == *name
                || first
                    .strip_prefix(name)
                    .is_some_and(|format| format.starts_with('/'))
        }) && rest.iter().all(|word| plain(word))
}

/// `gdb -batch -ex COMMAND --args PROGRAM`: what runs is the program, where each command only looks.
pub(super) fn gdb(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let words = &parsed.words;
    let mut at = 1;
    let mut program: Option<Vec<Word>> = None;
    while let Some(word) = words.get(at) {
        let text = word.known().unwrap_or_default();
        let name = text
            .strip_prefix('-')
            .map(|name| name.trim_start_matches('-'));
        match name {
            Some("batch" | "q" | "quiet" | "silent" | "nx" | "nh" | "n") => {}
            Some("ex" | "eval-command")
                if words.get(at + 1).and_then(Word::known).is_some_and(looks) =>
            {
                at += 1;
            }
            Some("args") => {
                program = words.get(at + 1..).map(<[Word]>::to_vec);
                break;
            }
            _ => break,
        }
        at += 1;
    }
    let known = |words: &Vec<Word>| {
        let first = words.first();
        first.is_some_and(|word| word.known().is_some_and(|path| path.contains('/')))
    };
    let Some(program) = program.filter(known) else {
        for (place, pair) in words.windows(2).enumerate() {
            if let [option, file] = pair
                && matches!(
                    option.known(),
                    Some("-x" | "--command" | "-command" | "-ix")
                )
            {
                made.read(file, Some(place + 1), true, false, false);
            }
        }
        for (place, word) in words.iter().enumerate().skip(1) {
            if may_be_option(word) {
                made.turn(place);
            }
        }
        unknown_inner(parsed, context, made);
        return;
    };
    for role in made.roles.iter_mut().skip(1).take(at) {
        *role = Role::Harmless;
    }
    for role in made.roles.iter_mut().skip(at + 1) {
        *role = Role::Inner;
    }
    made.sets = vec![Set::Build];
    made.hands_on.push(HandOn::Program {
        words: program,
        more: More::No,
        changed: false,
        assignments: Vec::new(),
        directory: None,
    });
}
