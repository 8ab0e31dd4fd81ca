//! ssh, and what copies by it: scp, rsync.

use crate::reading::atoms::{Category, CodeClass, Danger, Role};
use crate::reading::programs::classify::display;
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, HandOn, Invocation, UseKind};
use crate::reading::word::Word;

/// Keys of ssh's configuration that run nothing and send nothing elsewhere.
const SSH_KEYS: &[&str] = &[
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "checkhostip",
    "ciphers",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpersist",
    "escapechar",
    "exitonforwardfailure",
    "forwardagent",
    "gatewayports",
    "globalknownhostsfile",
    "hashknownhosts",
    "hostkeyalgorithms",
    "identitiesonly",
    "ipqos",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "loglevel",
    "macs",
    "numberofpasswordprompts",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "pubkeyauthentication",
    "rekeylimit",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "tcpkeepalive",
    "user",
    "verifyhostkeydns",
    "visualhostkey",
    "stdinnull",
];

/// `-o Key=value`, `-oKey value`.
fn ssh_options(parsed: &Parsed<'_>, made: &mut Invocation) {
    let values: Vec<(usize, Word)> = parsed.values("-o").cloned().collect();
    for (at, value) in values {
        let beginning = value.beginning().to_ascii_lowercase();
        let key = beginning.split(['=', ' ', '\t']).next().unwrap_or_default();
        let ended = key.len() < beginning.len() || value.known().is_some();
        let rest = || {
            behind(
                &value,
                value
                    .beginning()
                    .find(['=', ' '])
                    .map_or(0, |place| place + 1),
            )
        };
        match key {
            key if ended && SSH_KEYS.contains(&key) => {}
            "userknownhostsfile" if ended => made.write_turning(&rest(), Some(at), false),
            "identityfile" | "certificatefile" if ended => {
                made.read(&rest(), Some(at), true, false, false);
            }
            _ => {
                made.turn(at);
                made.code(
                    CodeClass::Inline,
                    format!("ssh -o {}", display(&value)),
                    Some(at),
                    true,
                );
            }
        }
    }
}

/// `ssh`, `sftp`.
pub(super) fn ssh(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    ssh_options(parsed, made);
    let Some((at, host)) = parsed.operand(0) else {
        return;
    };
    made.role(at, Role::Url);
    made.host(Some(&host.clone()), Some(at), false);
    if parsed.operands.len() > 1 || parsed.entry.name == "sftp" {
        made.hands_on.push(HandOn::Elsewhere);
    }
}

/// Whether an operand is `host:path`, and where its `:` is.
fn remote(word: &Word) -> Option<bool> {
    let beginning = word.beginning();
    if beginning.starts_with(['/', '.']) {
        return Some(false);
    }
    let colon = beginning.find(':');
    let slash = beginning.find('/');
    match (colon, slash) {
        (Some(colon), Some(slash)) => Some(colon < slash || beginning.contains("://")),
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (None, None) => word.known().map(|_| false),
    }
}

/// Sources and a destination, each here or on another machine.
fn copies(
    parsed: &Parsed<'_>,
    context: &dyn Context,
    tree: bool,
    dry: bool,
    made: &mut Invocation,
) {
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    let Some(((last, destination), sources)) = operands.split_last() else {
        return;
    };
    let out = remote(destination);
    for (at, source) in sources {
        match remote(source) {
            Some(true) => {
                made.role(*at, Role::Url);
                made.host(Some(source), Some(*at), false);
            }
            here => {
                made.role(*at, Role::Path);
                if here.is_none() {
                    made.host(None, Some(*at), false);
                }
                made.read(source, Some(*at), false, tree, false);
                let category = Category::Exfiltration;
                if out != Some(false)
                    && let Some(read) = made.uses.last_mut()
                {
                    let why = format!("sends {} to another machine", display(source));
                    read.dangers.push(Danger { category, why });
                }
            }
        }
    }
    if out != Some(false) {
        made.role(*last, Role::Url);
        made.host(out.map(|_| destination), Some(*last), false);
    }
    if out != Some(true) && !sources.is_empty() && !dry {
        made.role(*last, Role::Path);
        let certain = destination.known().is_some_and(|path| !path.ends_with('/')) && !tree;
        let directory = destination
            .known()
            .and_then(|path| context.directory(None, path));
        made.write(
            destination,
            Some(*last),
            tree || !certain || directory != Some(false),
            false,
        );
    }
}

/// `scp`.
pub(super) fn scp(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    ssh_options(parsed, made);
    copies(parsed, context, parsed.has("-r"), false, made);
}

/// `rsync`.
pub(super) fn rsync(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let values: Vec<(usize, Word)> = parsed.values("-e").cloned().collect();
    for (at, value) in values {
        let plain = value.known().is_some_and(|value| {
            let mut words = value.split(' ');
            let rest: Vec<&str> = words.by_ref().skip(1).collect();
            value.split(' ').next() == Some("ssh")
                && rest.iter().all(|word| {
                    word.starts_with("-p") || word.chars().all(|letter| letter.is_ascii_digit())
                })
        });
        if !plain {
            made.turn(at);
            made.code(
                CodeClass::Inline,
                format!("rsync -e {}", display(&value)),
                Some(at),
                true,
            );
        }
    }
    let dry = parsed.has("-n") || parsed.has("--list-only");
    copies(parsed, context, true, dry, made);
    let removes = [
        "--del",
        "--delete",
        "--delete-before",
        "--delete-during",
        "--delete-delay",
        "--delete-after",
        "--delete-excluded",
    ];
    if removes.iter().any(|option| parsed.has(option)) && !dry {
        for one in &mut made.uses {
            if let UseKind::Write { path, removes, .. } = &mut one.kind {
                *removes = true;
                let why = format!("removes from {} what is not in the source", display(path));
                one.dangers.push(Danger {
                    category: Category::Delete,
                    why,
                });
            }
        }
    }
    // What another machine gets or gives is no work on files alone.
    let reaches = |one: &crate::reading::programs::Use| matches!(one.kind, UseKind::Host(_));
    if made.uses.iter().any(reaches) {
        made.sets.clear();
    }
    if parsed.has("--remove-source-files") && !dry {
        let sources: Vec<(Option<usize>, Word)> = made
            .uses
            .iter()
            .filter_map(|one| match &one.kind {
                UseKind::Read { path, .. } if !one.turns => Some((one.word, path.clone())),
                _ => None,
            })
            .collect();
        for (at, path) in sources {
            made.write(&path, at, true, true);
        }
    }
}
