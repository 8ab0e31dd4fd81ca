//! Programs that read and print, whose words say more: `less`, `man`, `ps`, `printenv`, `jq`.

use crate::reading::atoms::Role;
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, Invocation};

/// Parts of the names of variables that hold secrets.
const SECRET: [&str; 7] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "CREDENTIAL",
    "AUTH",
    "PRIVATE",
];

/// `less +COMMAND`, `more +COMMAND`: only a place in the file is harmless.
pub(super) fn less(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let commands: Vec<usize> = parsed
        .operand_words()
        .filter(|(_, word)| {
            let text = word.beginning();
            let place = text.strip_prefix('+').is_none_or(|command| {
                let number = command.bytes().all(|byte| byte.is_ascii_digit());
                word.known().is_some() && (number || matches!(command, "F" | "G" | "g"))
            });
            !place
        })
        .map(|(at, _)| at)
        .collect();
    for at in commands {
        made.turn(at);
    }
}

/// `man ./FILE` prints a file.
pub(super) fn man(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    for (at, word) in parsed.operand_words() {
        if parsed.has("-l") || word.known().is_none_or(|text| text.contains('/')) {
            made.role(at, Role::Path);
            made.read(word, Some(at), false, false, false);
        }
    }
}

/// `ps e` prints the environment of processes.
pub(super) fn ps(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let environment: Vec<usize> = parsed
        .operand_words()
        .filter(|(_, word)| {
            let text = word.beginning();
            let letters = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
            letters && text.contains('e') || text.is_empty() || text.starts_with("-E")
        })
        .map(|(at, _)| at)
        .collect();
    // The first word alone is of BSD's letters; what follows `-o`, `-C`, `-u` is a value.
    if let Some(at) = environment.into_iter().find(|at| *at == 1) {
        made.turn(at);
    }
}

/// Whether a variable's name says that it holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// `printenv`: all variables, or secret ones.
pub(super) fn printenv(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let secret = |text: Option<&str>| text.is_none_or(is_secret);
    if parsed.operands.is_empty() || parsed.operand_words().any(|(_, word)| secret(word.known())) {
        made.sets.clear();
    }
}

/// `jq`: `env` and `$ENV` are every variable.
pub(super) fn jq(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let Some((_, filter)) = parsed.operand(0) else {
        return;
    };
    let words = |text: &str| {
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '.')
            .any(|word| {
                word == "env"
                    || word == "ENV"
                    || word.starts_with("env.")
                    || word.starts_with("ENV.")
            })
    };
    let names = filter.known().is_none_or(words);
    if names && !parsed.has("-f") {
        made.sets.clear();
    }
}
