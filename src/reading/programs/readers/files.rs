//! Programs about files whose words say more than options and operands: `ln`, `dd`, `chmod`, archives, `patch`.

use crate::reading::atoms::{Category, CodeClass, Danger, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation, UseKind};
use crate::reading::word::{Piece, Word};

fn unknown() -> Word {
    Word {
        pieces: vec![Piece::Unknown],
    }
}

/// `ln`: what a link leads to can be read and changed by its name, from now on.
pub(super) fn ln(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    let directory = parsed.values("-t").last().map(|(_, word)| word.clone());
    let (targets, link) = match (operands.as_slice(), &directory) {
        (all, Some(directory)) => (all, Some(directory.clone())),
        ([_], None) => (operands.as_slice(), None),
        ([targets @ .., (at, last)], None) => {
            made.role(*at, Role::Path);
            (targets, Some(last.clone()))
        }
        ([], None) => return,
    };
    let name = link.clone().unwrap_or_else(|| Word::text("."));
    let inside = directory.is_some()
        || link.is_none()
        || targets.len() > 1
        || !parsed.has("-T")
            && name
                .known()
                .and_then(|path| context.directory(made.directory.as_ref(), path))
                != Some(false);
    for (at, target) in targets {
        made.role(*at, Role::Path);
        let file = target.known().map(|path| {
            path.trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or(path)
        });
        let file = file.map_or_else(unknown, Word::text);
        let mut places = Vec::new();
        if inside {
            places.push((joined(&name, &file), Some(name.clone())));
        }
        if link.is_some()
            && directory.is_none()
            && targets.len() == 1
            && !name.known().is_some_and(|path| path.ends_with('/'))
        {
            let parent = name
                .known()
                .map(|path| path.rsplit_once('/').map_or(".", |(parent, _)| parent));
            places.push((name.clone(), parent.map(Word::text)));
        }
        for (place, parent) in places {
            made.write(&place, Some(*at), false, false);
            // A symbolic link's target is relative to the link's own directory.
            let reached = match (parsed.has("-s") && !parsed.has("-r"), parent) {
                (false, _) => target.clone(),
                (true, Some(parent)) if parent.known() == Some(".") => target.clone(),
                (true, Some(parent)) => joined(&parent, target),
                (true, None) => unknown(),
            };
            // Only a directory has something below it.
            let tree = reached
                .known()
                .and_then(|path| context.directory(made.directory.as_ref(), path))
                != Some(false);
            made.read(&reached, Some(*at), false, tree, false);
            made.write(&reached, Some(*at), true, false);
        }
    }
}

/// `split`, `csplit`: the files that they write have a beginning of their names in common.
pub(super) fn split(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let prefix = match parsed.entry.name.as_str() {
        "csplit" => parsed.values("-f").last().map(|(at, word)| (*at, word)),
        _ => parsed.operand(1),
    };
    let (at, mut name) = match prefix {
        Some((at, word)) => (Some(at), word.clone()),
        None => (None, Word::text("x")),
    };
    if let Some(at) = at {
        made.role(at, Role::Path);
    }
    name.pieces.push(Piece::Glob("*".to_owned()));
    made.write(&name, at, false, false);
}

/// `install -d` makes directories.
pub(super) fn install(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("-d") {
        let operands: Vec<(usize, Word)> = parsed
            .operand_words()
            .map(|(at, word)| (at, word.clone()))
            .collect();
        made.uses.retain(|one| one.turns);
        for (at, word) in operands {
            made.write(&word, Some(at), false, false);
        }
    }
    let owner = |option: &str| parsed.values(option).next().is_some();
    let mode = parsed.values("-m").any(|(_, mode)| sets_id(mode));
    if owner("-o") || owner("-g") || mode {
        made.danger(
            Category::Privilege,
            "installs a file with another owner, or that runs with its owner's rights",
        );
    }
}

/// A mode that lets a file run with its owner's or group's rights; of an unknown one, nobody knows.
fn sets_id(mode: &Word) -> bool {
    let Some(text) = mode.known() else {
        return mode.beginning().is_empty();
    };
    let digits = text.trim_start_matches(['+', '-', '=']);
    if !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit()) {
        // The fourth digit from the end: 4 and 2 are set-user-ID and set-group-ID.
        let special = digits
            .chars()
            .rev()
            .nth(3)
            .and_then(|digit| digit.to_digit(8))
            .unwrap_or(0);
        return special & 6 != 0;
    }
    text.split(',').any(|clause| {
        clause
            .split_once(['+', '='])
            .is_some_and(|(_, rights)| rights.contains('s'))
    })
}

/// `chmod`.
pub(super) fn chmod(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if !parsed.has("--reference") && parsed.operand(0).is_some_and(|(_, mode)| sets_id(mode)) {
        made.danger(
            Category::Privilege,
            "lets a file run with its owner's or group's rights",
        );
    }
    // `-x`, `-w` and the like are modes, not options, and then every operand is a file.
    if ["-r", "-w", "-x", "-X", "-s", "-t"]
        .iter()
        .any(|mode| parsed.has(mode))
        && let Some((at, first)) = parsed.operand(0)
    {
        let first = first.clone();
        made.write(&first, Some(at), parsed.has("-R"), false);
    }
}

/// `chown`: the words say to whom.
pub(super) fn chown(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if let Some((_, owner)) = parsed.operand(0)
        && let Some(danger) = made
            .dangers
            .iter_mut()
            .find(|danger| danger.category == Category::Privilege)
    {
        danger.why = format!("gives files to {}", display(owner));
    }
}

/// `dd if=A of=B`.
pub(super) fn dd(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let mut sets = vec![Set::Reads];
    for (at, word) in parsed.operand_words() {
        let beginning = word.beginning();
        let value = |name: &str| {
            beginning
                .starts_with(name)
                .then(|| behind(word, name.len()))
        };
        if let Some(path) = value("if=") {
            made.role(at, Role::Path);
            made.read(&path, Some(at), false, false, false);
        } else if let Some(path) = value("of=") {
            made.role(at, Role::Path);
            made.write(&path, Some(at), false, false);
            let device = path.beginning().starts_with("/dev/");
            if device && let Some(one) = made.uses.last_mut().filter(|one| one.word == Some(at)) {
                let why = format!("overwrites the device {}", display(&path));
                one.dangers.push(Danger {
                    category: Category::Disk,
                    why,
                });
            }
            sets = vec![Set::Files];
        } else if !beginning.contains('=') && word.known().is_none() {
            made.turn(at);
            made.write(&unknown(), Some(at), false, false);
        }
    }
    made.sets = if made.roles.contains(&Role::Turning) {
        Vec::new()
    } else {
        sets
    };
}

/// `gzip` and the like: with `-c`, `-l`, `-t` files are read, else replaced by others beside them.
pub(super) fn compressed(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let prints = ["-c", "-l", "-t"].iter().any(|option| parsed.has(option));
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, word) in operands {
        if prints {
            made.read(&word, Some(at), false, parsed.has("-r"), false);
            continue;
        }
        if let Some(beside) = beside(parsed, &word) {
            made.write(&Word::text(beside), Some(at), false, false);
            continue;
        }
        // What comes of it lies beside it, under a name that begins with its own.
        let known = word.known().map(|path| {
            path.rsplit_once('/')
                .map_or("", |(directory, _)| directory)
                .to_owned()
        });
        let beside = match known {
            Some(directory) if directory.is_empty() => joined(&Word::text("."), &unknown()),
            Some(directory) => joined(&Word::text(directory), &unknown()),
            None => word.clone(),
        };
        made.write(&beside, Some(at), false, false);
    }
    if prints && made.sets == [Set::Files] {
        made.sets = vec![Set::Reads];
    }
}

/// The file that comes of a file, where its name is certain.
fn beside(parsed: &Parsed<'_>, word: &Word) -> Option<String> {
    if parsed.has("-S") || parsed.has("-N") || parsed.has("-r") {
        return None;
    }
    let (ending, expands) = match parsed.entry.name.as_str() {
        "gzip" | "pigz" => (".gz", false),
        "bzip2" => (".bz2", false),
        "xz" => (".xz", false),
        "zstd" => (".zst", false),
        "gunzip" => (".gz", true),
        "bunzip2" => (".bz2", true),
        "unxz" => (".xz", true),
        "unzstd" => (".zst", true),
        _ => return None,
    };
    let path = word.known()?;
    match expands || parsed.has("-d") {
        true => path.strip_suffix(ending).map(str::to_owned),
        false => Some(format!("{path}{ending}")),
    }
}

/// `rm`: paths that were found or listed are many.
pub(super) fn rm(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("-r") {
        return;
    }
    let many = |piece: &Piece| match piece {
        Piece::Glob(glob) => glob.starts_with("**"),
        Piece::Fields => true,
        _ => false,
    };
    for one in &mut made.uses {
        if let UseKind::Write { path, .. } = &one.kind
            && path.pieces.iter().any(many)
        {
            one.dangers.push(Danger {
                category: Category::Delete,
                why: format!("removes every file of {}", display(path)),
            });
        }
    }
}

/// `mv FILE /dev/null` is no move.
pub(super) fn mv(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let last = parsed.operand_words().last();
    if let Some((at, word)) = last
        && word.beginning().starts_with("/dev/")
    {
        made.turn(at);
    }
}

/// `unzip`.
pub(super) fn unzip(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let prints = ["-l", "-t", "-v", "-Z", "-p", "-c", "-z"]
        .iter()
        .any(|option| parsed.has(option));
    if prints {
        if made.sets == [Set::Files] {
            made.sets = vec![Set::Reads];
        }
        return;
    }
    let place = parsed
        .values("-d")
        .last()
        .map_or_else(|| Word::text("."), |(_, place)| place.clone());
    made.write(&place, None, true, false);
}

/// `patch`: without a file, it writes wherever the patch says.
pub(super) fn patch(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.has("--dry-run") {
        made.uses
            .retain(|one| !matches!(one.kind, UseKind::Write { .. }));
        return;
    }
    if parsed.operands.is_empty() && !parsed.has("-o") {
        made.write(&Word::text("."), None, true, false);
    }
}

/// `script`: a shell in it, recorded to a file.
pub(super) fn script(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if parsed.operands.is_empty() && !parsed.has("-O") {
        made.write(&Word::text("typescript"), None, false, false);
    }
    if !parsed.has("-c") {
        let what = "script".to_owned();
        made.hands_on.push(HandOn::Input { shell: true, what });
    }
}

/// `ssh-keygen -f FILE`.
pub(super) fn ssh_keygen(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let reads = ["-l", "-y", "-e", "-F", "-B"]
        .iter()
        .any(|option| parsed.has(option));
    let files: Vec<(usize, Word)> = parsed.values("-f").cloned().collect();
    for (at, file) in files {
        match reads {
            true => made.read(&file, Some(at), false, false, false),
            false => {
                made.write(&file, Some(at), false, false);
                let public = Word {
                    pieces: file
                        .pieces
                        .into_iter()
                        .chain([Piece::Text(".pub".to_owned())])
                        .collect(),
                };
                made.write(&public, Some(at), false, false);
            }
        }
    }
    if !reads && !parsed.has("-f") {
        made.danger(
            Category::Credentials,
            "makes or changes keys in their usual place",
        );
    }
}

/// `yq`: `load` reads another file.
pub(super) fn loads(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    // `yq FILE` prints the file.
    if let (Some((at, text)), None, "yq") = (
        parsed.operand(0),
        parsed.operand(1),
        parsed.entry.name.as_str(),
    ) && text
        .known()
        .is_none_or(|path| context.file(made.directory.as_ref(), path) != Some(false))
    {
        let file = text.clone();
        made.read(&file, Some(at), false, false, false);
    }
    if parsed.has("-i") && made.sets == [Set::Reads] {
        made.sets = vec![Set::Files];
    }
    if let Some((at, text)) = parsed.operand(0)
        && text.known().is_none_or(|text| text.contains("load"))
    {
        made.read(&unknown(), Some(at), true, false, false);
    }
}

/// Variables of make that name programs, or more text of a makefile.
const MAKE_PROGRAMS: [&str; 6] = [
    "SHELL",
    ".SHELLFLAGS",
    "MAKE",
    "MAKEFLAGS",
    "MAKEFILES",
    "GNUMAKEFLAGS",
];

/// `make`: a variable that the words set may name the shell, or run a program where it is expanded.
pub(super) fn make(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    // Rules that come in by a pipe or a descriptor are not the repository's.
    let handed = |path: &str| path.starts_with("/dev/") || path.starts_with("/proc/");
    let mut files = parsed
        .values("-f")
        .filter_map(|(at, file)| Some((*at, file.known()?)));
    if let Some((at, file)) = files.find(|(_, file)| *file == "-" || handed(file)) {
        made.sets.clear();
        if matches!(file, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") {
            made.uses.retain(|one| one.word != Some(at));
            made.hands_on.push(HandOn::Input {
                shell: false,
                what: parsed.entry.name.clone(),
            });
        }
    }
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, word) in operands {
        let Some((name, value)) = word.beginning().split_once('=') else {
            continue;
        };
        let name = name.trim_end_matches([':', '?', '+', '!']);
        let runs = |text: &str| text.contains("$(") || text.contains("${") || text.contains('`');
        if MAKE_PROGRAMS.contains(&name)
            || runs(value)
            || word.known().is_none() && value.ends_with('$')
        {
            made.turn(at);
            made.code(CodeClass::Inline, display(&word), Some(at), true);
        }
    }
}
