//! Programs that reach other machines: what they send, where they write, what their options run.

use crate::reading::atoms::{Category, Danger, Role, Set};
use crate::reading::programs::classify::{display, joined};
use crate::reading::programs::parse::{Parsed, behind};
use crate::reading::programs::{Context, Invocation, UseKind};
use crate::reading::word::{Piece, Word};

/// Options of curl whose value is sent; with `@` it names a file.
const SENT: [&str; 5] = ["-d", "--data-binary", "--data-urlencode", "--json", "-F"];

/// What this machine is called.
const LOCAL: [&str; 5] = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "::1"];

/// A URL as `curl` takes it; `file:` reads a path.
fn url(word: &Word, at: usize, turns: bool, made: &mut Invocation) {
    let beginning = word.beginning();
    if let Some(path) = beginning
        .get(..5)
        .filter(|scheme| scheme.eq_ignore_ascii_case("file:"))
    {
        let slashes = beginning.get(path.len()..).unwrap_or_default();
        let host = slashes
            .strip_prefix("//")
            .map_or(0, |rest| rest.find('/').unwrap_or(rest.len()) + 2);
        made.read(
            &behind(word, path.len() + host),
            Some(at),
            true,
            false,
            false,
        );
        made.turn(at);
        return;
    }
    // Braces and brackets in a host stand for several.
    let rest = beginning
        .split_once("://")
        .map_or(beginning, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let several =
        host.contains('{') || host.contains('[') && !host.contains("]:") && !host.ends_with(']');
    made.role(at, Role::Url);
    made.host(if several { None } else { Some(word) }, Some(at), turns);
}

/// A file or value that is sent away.
fn sends(made: &mut Invocation, path: Option<&Word>, at: usize, away: bool) {
    if let Some(path) = path {
        made.read(path, Some(at), true, false, false);
    }
    if !away {
        return;
    }
    let category = Category::Exfiltration;
    match (path, made.uses.last_mut()) {
        (Some(path), Some(read)) if read.word == Some(at) => {
            let why = format!("sends {} to another machine", display(path));
            read.dangers.push(Danger { category, why });
        }
        (Some(_), _) => {}
        (None, _) => made.danger(
            category,
            "sends a value that nobody knows to another machine",
        ),
    }
}

/// Whether all hosts that are reached are this machine.
fn away(urls: &[(usize, Word)]) -> bool {
    let local = |(_, word): &(usize, Word)| {
        let rest = word.beginning();
        let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
        LOCAL.iter().any(|name| {
            let behind = rest.strip_prefix(name);
            behind.is_some_and(|behind| {
                behind.starts_with([':', '/', '?']) || behind.is_empty() && word.known().is_some()
            })
        })
    };
    urls.is_empty() || !urls.iter().all(local)
}

/// `curl`.
pub(super) fn curl(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let mut urls: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    urls.extend(parsed.values("--url").cloned());
    for (at, word) in &urls {
        url(word, *at, false, made);
    }
    if urls.is_empty() && parsed.has("-K") {
        made.host(None, None, true);
    }
    let away = away(&urls) || parsed.has("-K") || parsed.has("-x");
    for option in SENT {
        for (at, value) in parsed.values(option) {
            sent(option, value, *at, away, made);
        }
    }
    for option in ["--data-raw", "--form-string", "--url-query"] {
        for (at, value) in parsed.values(option) {
            let value_unknown = value.known().is_none();
            if value_unknown {
                sends(made, None, *at, away);
            }
            if option == "--url-query" {
                at_file(value, *at, away, made);
            }
        }
    }
    for (at, value) in parsed.values("-T") {
        if !matches!(value.known(), Some("-" | ".")) {
            sends(made, Some(value), *at, away);
        }
    }
    for option in ["-H", "--proxy-header", "-w", "--cookie"] {
        for (at, value) in parsed.values(option) {
            at_file(value, *at, away && option == "-H", made);
            if option == "-w" && (value.beginning().contains("%output{") || value.known().is_none())
            {
                made.write_turning(
                    &Word {
                        pieces: vec![Piece::Unknown],
                    },
                    Some(*at),
                    false,
                );
            }
        }
    }
    // `name@file`, `%name@file`; behind a `=` it is text.
    for (at, value) in parsed.values("--variable") {
        let name = value.beginning().split('=').next().unwrap_or_default();
        if let Some(place) = name.find('@') {
            sends(made, Some(&behind(value, place + 1)), *at, away);
        } else if value.known().is_none() && name.len() == value.beginning().len() {
            sends(
                made,
                Some(&Word {
                    pieces: vec![Piece::Unknown],
                }),
                *at,
                away,
            );
        }
    }
    for (at, value) in parsed.values("-b") {
        // Without a `=` it is a file.
        if !value.beginning().contains('=') {
            made.read(value, Some(*at), true, false, false);
        }
    }
    outputs(parsed, &urls, made);
    let input = [
        "-d",
        "--data-binary",
        "--data-urlencode",
        "--json",
        "-F",
        "-T",
    ];
    let reads_input = input.iter().any(|option| {
        parsed.values(option).any(|(_, value)| {
            let text = value.beginning();
            matches!(text, "@-" | "-") || text.ends_with("=@-") || text.ends_with("=<-")
        })
    });
    if away && reads_input {
        made.danger(
            Category::Exfiltration,
            "sends what it reads to another machine",
        );
    }
    let said = ["-H", "-A", "-u", "-b", "-e", "-X"];
    let mut words = said
        .iter()
        .flat_map(|option| parsed.values(option))
        .map(|(_, word)| word)
        .chain(urls.iter().map(|(_, word)| word));
    if away && words.any(|word| word.known().is_none()) {
        let why = "sends a value that nobody knows to another machine";
        made.danger(Category::Exfiltration, why);
    }
    let writes = |one: &crate::reading::programs::Use| matches!(one.kind, UseKind::Write { .. });
    let method = parsed
        .values("-X")
        .any(|(_, method)| !matches!(method.known(), Some("GET" | "HEAD")));
    let sends = ["--data-raw", "--form-string", "-T"].iter().chain(&SENT);
    if away && (method || sends.into_iter().any(|option| parsed.has(option))) {
        made.sets.clear();
    } else if !made.sets.is_empty() && made.uses.iter().any(writes) {
        made.sets = vec![Set::Files];
    }
}

fn sent(option: &str, value: &Word, at: usize, away: bool, made: &mut Invocation) {
    let beginning = value.beginning();
    if option == "-F" {
        // `name=@file;type=x`, `name=<file`.
        if let Some((name, rest)) = beginning.split_once('=')
            && rest.starts_with(['@', '<'])
        {
            let file = behind(value, name.len() + 2);
            let file = match file.known().and_then(|file| file.split_once([';', ','])) {
                Some((file, _)) => Word::text(file),
                None => file,
            };
            return sends(made, Some(&file), at, away);
        }
    } else if beginning.starts_with('@') {
        at_file(value, at, away, made);
        return;
    } else if option == "--data-urlencode"
        && let Some(place) = beginning.find('@')
        && !beginning.get(..place).unwrap_or_default().contains('=')
    {
        return sends(made, Some(&behind(value, place + 1)), at, away);
    }
    if value.known().is_none() {
        sends(made, None, at, away);
        if beginning.is_empty() {
            // It may begin with `@`.
            sends(
                made,
                Some(&Word {
                    pieces: vec![Piece::Unknown],
                }),
                at,
                away,
            );
        }
    }
}

/// `@file`.
fn at_file(value: &Word, at: usize, away: bool, made: &mut Invocation) {
    let beginning = value.beginning();
    if beginning.starts_with('@') && value.known() != Some("@-") {
        sends(made, Some(&behind(value, 1)), at, away);
    }
}

/// What `curl` writes: `-o`, `-O`, `--output-dir`.
fn outputs(parsed: &Parsed<'_>, urls: &[(usize, Word)], made: &mut Invocation) {
    let directory = parsed
        .values("--output-dir")
        .last()
        .map(|(_, directory)| directory.clone());
    let place = |name: &Word| match &directory {
        Some(directory) => joined(directory, name),
        None => name.clone(),
    };
    for (at, value) in parsed.values("-o") {
        if value.known() == Some("-") {
            continue;
        }
        // `#1` stands for what a brace of the URL became.
        let known = value.known().is_some_and(|name| !name.contains('#'));
        let path = if known || value.known().is_none() {
            place(value)
        } else {
            Word {
                pieces: vec![Piece::Unknown],
            }
        };
        made.write_turning(&path, Some(*at), false);
    }
    let given = parsed
        .given("-O")
        .chain(parsed.given("--remote-name-all"))
        .next();
    if let Some(option) = given {
        for (_, word) in urls {
            let name = match (word.known(), parsed.has("-J")) {
                (Some(url), false) => {
                    let url = url.split(['?', '#']).next().unwrap_or(url);
                    Word::text(url.rsplit('/').next().unwrap_or(url))
                }
                _ => Word {
                    pieces: vec![Piece::Text("./".to_owned()), Piece::Below],
                },
            };
            made.write_turning(&place(&name), Some(option.at), false);
        }
    }
}

/// `wget`.
pub(super) fn wget(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let urls: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, word) in &urls {
        url(word, *at, false, made);
    }
    if parsed.has("-i") || parsed.has("-H") {
        made.host(None, None, true);
    }
    let away = away(&urls);
    for option in ["--post-file", "--body-file"] {
        for (at, value) in parsed.values(option) {
            sends(made, Some(value), *at, away);
        }
    }
    for option in ["--post-data", "--body-data"] {
        for (at, value) in parsed.values(option) {
            if value.known().is_none() {
                sends(made, None, *at, away);
            }
        }
    }
    if parsed.has("--spider") {
        return;
    }
    let prefix = parsed.values("-P").last().map(|(_, prefix)| prefix.clone());
    if let Some((at, file)) = parsed.values("-O").last() {
        if file.known() != Some("-") {
            made.write_turning(file, Some(*at), false);
        }
        return;
    }
    if ["-r", "-m", "-p", "-i", "-x"]
        .iter()
        .any(|option| parsed.has(option))
    {
        made.write(&prefix.unwrap_or(Word::text(".")), None, true, false);
        return;
    }
    for (at, word) in &urls {
        let name = match (
            word.known(),
            parsed.has("--content-disposition") || parsed.has("--trust-server-names"),
        ) {
            (Some(url), false) => {
                let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
                let name = rest
                    .split_once('/')
                    .map_or("", |(_, path)| path.rsplit('/').next().unwrap_or(path));
                Word::text(if name.is_empty() { "index.html" } else { name })
            }
            _ => Word {
                pieces: vec![Piece::Text("./".to_owned()), Piece::Below],
            },
        };
        let path = match &prefix {
            Some(prefix) => joined(prefix, &name),
            None => name,
        };
        made.write(&path, Some(*at), false, false);
    }
    if away && urls.iter().any(|(_, word)| word.known().is_none()) {
        let why = "sends a value that nobody knows to another machine";
        made.danger(Category::Exfiltration, why);
    }
    let sends = [
        "--post-data",
        "--post-file",
        "--method",
        "--body-data",
        "--body-file",
    ];
    if sends.iter().any(|option| parsed.has(option)) {
        made.sets.clear();
    }
}
