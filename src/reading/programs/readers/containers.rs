//! `docker`, `podman`: what of this machine a container gets, and what runs in it.

use crate::reading::atoms::{Category, Role};
use crate::reading::programs::classify::display;
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation};
use crate::reading::word::{Piece, Word};

/// Directories of the machine's own: a container that has one can change the machine, or read its secrets.
const MACHINE: [&str; 14] = [
    "/etc", "/root", "/boot", "/proc", "/sys", "/dev", "/run", "/var", "/usr", "/bin", "/sbin",
    "/lib", "/home", "/opt",
];

/// Below these, a container that has a directory has no more than the session.
const PLAIN: [&str; 3] = ["/home/", "/opt/", "/var/tmp/"];

/// Options that with this value share a part of the machine.
const SHARED: [&str; 6] = [
    "--pid",
    "--network",
    "--ipc",
    "--userns",
    "--uts",
    "--cgroupns",
];

/// `docker run`, `create`, `exec`, `compose run`.
pub(super) fn run(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    rights(parsed, made);
    let volumes: Vec<(usize, Word)> = parsed.values("-v").cloned().collect();
    for (at, volume) in volumes {
        let (source, options) = match volume.known() {
            Some(text) => {
                let mut parts = text.split(':');
                let source = Word::text(parts.next().unwrap_or_default());
                (source, parts.nth(1).unwrap_or_default().to_owned())
            }
            None => (before(&volume, ':'), String::new()),
        };
        mount(&source, at, options.split(',').any(|one| one == "ro"), made);
    }
    let mounts: Vec<(usize, Word)> = parsed.values("--mount").cloned().collect();
    for (at, given) in mounts {
        let Some(text) = given.known() else {
            mount(&unknown(), at, false, made);
            continue;
        };
        let parts: Vec<&str> = text.split(',').collect();
        let value = |names: [&str; 2]| {
            parts
                .iter()
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| names.contains(name))
                .map(|(_, value)| value)
        };
        if value(["type", "type"]) == Some("bind")
            && let Some(source) = value(["src", "source"])
        {
            let reads = parts
                .iter()
                .any(|part| matches!(*part, "ro" | "readonly" | "ro=true"));
            mount(&Word::text(source), at, reads, made);
        }
    }
    // The image or container, then what runs in it.
    for (at, _) in parsed.operand_words().skip(1) {
        if let Some(role) = made.roles.get_mut(at) {
            *role = Role::Inner;
        }
    }
    if parsed.operands.len() > 1 || parsed.has("--entrypoint") {
        made.hands_on.push(HandOn::Elsewhere);
    }
}

fn unknown() -> Word {
    Word {
        pieces: vec![Piece::Unknown],
    }
}

/// A word up to a letter in one of its texts.
fn before(word: &Word, letter: char) -> Word {
    let mut pieces = Vec::new();
    for piece in &word.pieces {
        match piece {
            Piece::Text(text) => match text.split_once(letter) {
                Some((text, _)) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(text.to_owned()));
                    }
                    break;
                }
                None => pieces.push(piece.clone()),
            },
            other => pieces.push(other.clone()),
        }
    }
    Word { pieces }
}

/// Rights that a container usually has not.
fn rights(parsed: &Parsed<'_>, made: &mut Invocation) {
    if parsed.has("--privileged") {
        made.danger(
            Category::Container,
            "gives a container all rights of this machine",
        );
    }
    for option in [
        "--cap-add",
        "--device",
        "--device-cgroup-rule",
        "--volumes-from",
    ] {
        for (_, value) in parsed.values(option) {
            let why = format!("gives a container {option} {}", display(value));
            made.danger(Category::Container, why);
        }
    }
    for option in SHARED {
        for (_, value) in parsed.values(option) {
            if value
                .known()
                .is_none_or(|value| value == "host" || value.starts_with("container:"))
            {
                let name = option.trim_start_matches('-');
                let why = format!("shares the {name} namespace with a container");
                made.danger(Category::Container, why);
            }
        }
    }
    for (_, value) in parsed.values("--security-opt") {
        if value
            .known()
            .is_none_or(|value| !value.starts_with("no-new-privileges"))
        {
            let why = format!("takes protection from a container: {}", display(value));
            made.danger(Category::Container, why);
        }
    }
}

/// A directory or file of this machine that a container gets. A name without a `/` is a volume.
fn mount(source: &Word, at: usize, reads: bool, made: &mut Invocation) {
    let beginning = source.beginning();
    let volume = source
        .known()
        .is_some_and(|text| !text.contains('/') && !text.starts_with(['.', '~']));
    if volume {
        return;
    }
    made.read(source, Some(at), false, true, false);
    if !reads {
        made.write(source, Some(at), true, false);
    }
    let path = beginning.trim_end_matches(['/', '.']);
    let below = |directory: &str| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let anywhere = source.known().is_none() && beginning.is_empty();
    let machine = anywhere
        || path.is_empty() && beginning.starts_with('/')
        || MACHINE.iter().any(|directory| below(directory))
            && !PLAIN.iter().any(|plain| {
                path.strip_prefix(plain)
                    .is_some_and(|rest| rest.contains('/'))
            })
        || beginning.contains("..")
        || path.ends_with(".sock");
    if machine {
        let why = format!("gives a container {} of this machine", display(source));
        made.danger(Category::Container, why);
    }
}

/// `docker build`: its steps run with the daemon's rights, the context goes there.
pub(super) fn build(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    rights(parsed, made);
    made.host(None, None, false);
    if parsed.values("--allow").next().is_some() {
        made.danger(
            Category::Container,
            "gives the steps of a build more rights",
        );
    }
    let secrets: Vec<(usize, Word)> = parsed.values("--secret").cloned().collect();
    for (at, secret) in secrets {
        let file = secret.known().and_then(|text| {
            text.split(',')
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| matches!(*name, "src" | "source"))
                .map(|(_, file)| Word::text(file))
        });
        match (file, secret.known()) {
            (Some(file), _) => made.read(&file, Some(at), false, false, false),
            (None, Some(_)) => {}
            (None, None) => made.read(&unknown(), Some(at), false, false, false),
        }
    }
    let outputs: Vec<(usize, Word)> = parsed.values("-o").cloned().collect();
    for (at, output) in outputs {
        let place = output.known().and_then(|text| match text.contains('=') {
            false => Some(text),
            true => text
                .split(',')
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| *name == "dest")
                .map(|(_, place)| place),
        });
        let place = place.map_or_else(unknown, Word::text);
        made.write(&place, Some(at), true, false);
    }
    if let Some((at, context)) = parsed.operand(0) {
        let context = context.clone();
        let remote = context.beginning().contains("://") || context.beginning().starts_with("git@");
        if remote {
            made.role(at, Role::Url);
            made.host(Some(&context), Some(at), false);
        } else if context.known() != Some("-") {
            made.role(at, Role::Path);
            made.read(&context, Some(at), false, true, true);
        }
    }
}

/// `docker cp FROM TO`: one of them is `CONTAINER:PATH`.
pub(super) fn copy(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    for (number, (at, word)) in parsed.operand_words().enumerate() {
        let beginning = word.beginning();
        let inside = beginning
            .split_once(':')
            .is_some_and(|(name, _)| !name.contains('/') && !name.starts_with('.'));
        if inside || word.known() == Some("-") {
            continue;
        }
        made.role(at, Role::Path);
        match number {
            0 => made.read(&behind(word, 0), Some(at), false, true, false),
            _ => made.write(&behind(word, 0), Some(at), true, false),
        }
    }
}
