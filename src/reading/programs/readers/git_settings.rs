//! git's configuration: which keys name a program, and what `git config` sets.

use crate::reading::atoms::{Category, Role, Set};
use crate::reading::programs::classify::display;
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, Invocation};
use crate::reading::word::{Piece, Word};

/// Keys of the configuration that name no program, host or further file, whatever their value. `*` stands for one part or more.
const HARMLESS_KEYS: &[&str] = &[
    "advice.*",
    "apply.whitespace",
    "branch.*.merge",
    "branch.*.rebase",
    "branch.*.remote",
    "color.*",
    "column.*",
    "commit.gpgsign",
    "commit.verbose",
    "core.abbrev",
    "core.autocrlf",
    "core.bare",
    "core.compression",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.logallrefupdates",
    "core.longpaths",
    "core.precomposeunicode",
    "core.preloadindex",
    "core.quotepath",
    "core.safecrlf",
    "core.sharedrepository",
    "core.symlinks",
    "core.untrackedcache",
    "core.whitespace",
    "diff.algorithm",
    "diff.colormoved",
    "diff.context",
    "diff.mnemonicprefix",
    "diff.noprefix",
    "diff.renamelimit",
    "diff.renames",
    "diff.submodule",
    "diff.wserrorhighlight",
    "fetch.prune",
    "fetch.prunetags",
    "fetch.parallel",
    "feature.*",
    "format.pretty",
    "gc.auto",
    "help.autocorrect",
    "http.lowspeedlimit",
    "http.lowspeedtime",
    "http.postbuffer",
    "http.version",
    "i18n.*",
    "index.*",
    "init.defaultbranch",
    "log.*",
    "merge.conflictstyle",
    "merge.ff",
    "merge.renames",
    "pack.*",
    "pull.ff",
    "pull.rebase",
    "push.autosetupremote",
    "push.default",
    "push.followtags",
    "rebase.autosquash",
    "rebase.autostash",
    "rebase.updaterefs",
    "rerere.*",
    "status.*",
    "tag.gpgsign",
    "tag.sort",
    "user.email",
    "user.name",
    "user.signingkey",
    "versionsort.*",
    "branch.autosetuprebase",
    "branch.autosetupmerge",
    "branch.sort",
];

/// Programs that only show text, and values that name none.
const HARMLESS_PROGRAMS: [&str; 9] = [
    "",
    "cat",
    "less",
    "less -R",
    "less -FRX",
    "more",
    "true",
    ":",
    "false",
];

/// Keys whose value git gives to a shell.
const COMMAND_KEYS: [&str; 8] = [
    "core.pager",
    "core.editor",
    "sequence.editor",
    "core.sshcommand",
    "core.fsmonitor",
    "diff.external",
    "core.alternaterefscommand",
    "uploadpack.packobjectshook",
];

/// Ends of such keys: `diff.NAME.textconv`.
const COMMAND_ENDINGS: [&str; 7] = [
    ".textconv",
    ".command",
    ".clean",
    ".smudge",
    ".process",
    ".driver",
    ".cmd",
];

/// The command line that a setting `KEY=VALUE` has git give to a shell.
pub(super) fn command_of(setting: &str) -> Option<&str> {
    let (key, value) = setting.split_once('=')?;
    let key = key.to_ascii_lowercase();
    let command = match key.as_str() {
        "credential.helper" => value.strip_prefix('!')?,
        key if key.starts_with("alias.") => value.strip_prefix('!')?,
        key if COMMAND_KEYS.contains(&key)
            || COMMAND_ENDINGS.iter().any(|end| key.ends_with(end)) =>
        {
            value
        }
        key if key.starts_with("pager.") => value,
        _ => return None,
    };
    // A single name is a file, which git looks up itself.
    command
        .contains(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c))
        .then_some(command)
}

pub(super) fn harmless_setting(setting: &Word) -> bool {
    let beginning = setting.beginning();
    match beginning.split_once('=') {
        Some((key, value)) => {
            harmless_key(key) || setting.known().is_some() && harmless_value(key, value)
        }
        None => setting.known().is_some_and(harmless_key),
    }
}

pub(super) fn harmless_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    HARMLESS_KEYS
        .iter()
        .any(|pattern| match pattern.split_once('*') {
            None => *pattern == key,
            Some((before, after)) => {
                key.len() > before.len() + after.len()
                    && key.starts_with(before)
                    && key.ends_with(after)
            }
        })
}

/// Keys that name a program, with a value that names none which does anything.
pub(super) fn harmless_value(key: &str, value: &str) -> bool {
    match key.to_ascii_lowercase().as_str() {
        "core.pager" | "core.editor" | "sequence.editor" | "core.askpass" => {
            HARMLESS_PROGRAMS.contains(&value)
        }
        "core.fsmonitor" => matches!(value, "" | "false" | "true" | "0"),
        "core.hookspath" => value == "/dev/null",
        "credential.helper" | "diff.external" => value.is_empty(),
        "safe.directory" | "protocol.file.allow" => true,
        key if key.starts_with("pager.") => matches!(value, "false" | "" | "cat"),
        _ => false,
    }
}

/// `git config`.
pub(super) fn config(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    let given = |options: &[&str]| options.iter().any(|option| parsed.has(option));
    let verb = operands
        .first()
        .and_then(|(_, word)| word.known())
        .unwrap_or_default();
    let (verb, key, value) = match verb {
        "get" | "list" | "set" | "unset" | "edit" | "rename-section" | "remove-section"
        | "get-color" => (verb, operands.get(1), operands.get(2)),
        _ => ("", operands.first(), operands.get(1)),
    };
    let asks = given(&[
        "--get",
        "--get-all",
        "--get-regexp",
        "--get-urlmatch",
        "--get-color",
        "--get-colorbool",
        "--list",
    ]) || matches!(verb, "get" | "list" | "get-color");
    let changes = given(&[
        "--unset",
        "--unset-all",
        "--add",
        "--replace-all",
        "--rename-section",
        "--remove-section",
        "--edit",
    ]) || matches!(
        verb,
        "set" | "unset" | "edit" | "rename-section" | "remove-section"
    );
    let unknown = operands.iter().any(|(_, word)| word.splits());
    if asks && !changes || !changes && value.is_none() && !unknown {
        made.sets = if made.roles.contains(&Role::Turning) {
            Vec::new()
        } else {
            vec![Set::Reads, Set::GitLocal]
        };
        return;
    }
    if given(&["--global", "--system"]) {
        // A home that is not known here.
        made.write(
            &Word {
                pieces: vec![Piece::Unknown],
            },
            None,
            false,
            false,
        );
    } else if let Some((at, file)) = parsed.values("--file").next() {
        made.write(&file.clone(), Some(*at), false, false);
    } else {
        made.sets = if made.roles.contains(&Role::Turning) {
            Vec::new()
        } else {
            vec![Set::GitLocal]
        };
    }
    let setting = key.map(|(_, key)| key);
    let removes = given(&["--unset", "--unset-all"]) || verb == "unset";
    let harmless = removes
        || setting.and_then(Word::known).is_some_and(|key| {
            harmless_key(key)
                || value
                    .and_then(|(_, value)| value.known())
                    .is_some_and(|value| harmless_value(key, value))
        });
    if !harmless {
        let key = setting.map_or("the configuration".to_owned(), display);
        made.danger(
            Category::Persistence,
            format!("sets {key}, which may name what git runs or reaches later"),
        );
    }
}
