//! Package managers and runners: which of their words name what the repository has, and which what comes from elsewhere.

use crate::reading::atoms::{Category, CodeClass, Role};
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::{Context, HandOn, Invocation, More, UseKind};
use crate::reading::word::Word;

/// Ends of the names of packages that lie in a file.
const FILES: [&str; 5] = [".tgz", ".whl", ".tar.gz", ".zip", ".gem"];

/// What package managers call the hosts of git's repositories by.
const FORGES: [(&str, &str); 4] = [
    ("github:", "github.com"),
    ("gitlab:", "gitlab.com"),
    ("bitbucket:", "bitbucket.org"),
    ("gist:", "gist.github.com"),
];

/// Package managers to which `a/b` is a repository on GitHub.
const SHORT: [&str; 4] = ["npm", "pnpm", "yarn", "bun"];

/// Options that name a file of packages, or a package that is worked on.
const LISTS: [&str; 3] = ["-r", "-c", "-e"];

fn is_path(text: &str) -> bool {
    let begins = ["./", "../", "/", "~", "file:", "link:", "workspace:"];
    matches!(text, "." | "..")
        || text.starts_with(".[")
        || begins.iter().any(|one| text.starts_with(one))
        || !text.contains("://") && FILES.iter().any(|end| text.ends_with(end))
}

/// The path of `./x[extra]`.
fn path_of(text: &str) -> &str {
    let text = text.split('[').next().unwrap_or(text);
    text.trim_start_matches("file:")
        .trim_start_matches("link:")
        .trim_start_matches("workspace:")
}

/// The host of a package that comes from a URL; `Some(None)` where nobody knows which.
fn host_of(program: &str, text: &str) -> Option<Option<Word>> {
    if let Some((before, _)) = text.split_once("://") {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '-';
        let start = before.trim_end_matches(letters).len();
        let url = text.get(start..).unwrap_or(text);
        let url = url.strip_prefix("git+").unwrap_or(url);
        return Some(Some(Word::text(url)));
    }
    for (name, host) in FORGES {
        if text.contains(name) {
            return Some(Some(Word::text(host)));
        }
    }
    let short = SHORT.contains(&program) && text.contains('/') && !text.starts_with('@');
    if short && !text.contains(':') {
        return Some(Some(Word::text("github.com")));
    }
    let scoped = ["npm:", "jsr:"].iter().any(|one| text.starts_with(one));
    (text.contains(':') && !scoped || text.starts_with("git@")).then_some(None)
}

fn fetched(at: usize, word: &Word, host: Option<Option<Word>>, made: &mut Invocation) {
    let name = super::super::classify::display(word);
    let why = match &host {
        None => format!("takes {name} from a registry, which the repository does not name"),
        Some(_) => format!("takes {name} from somewhere else than a registry"),
    };
    if let Some(host) = host {
        made.host(host.as_ref(), Some(at), false);
    }
    made.code(CodeClass::Fetched, name, Some(at), false);
    made.danger(Category::SupplyChain, why);
}

fn program<'a>(parsed: &'a Parsed<'_>) -> &'a str {
    parsed.entry.name.split(' ').next().unwrap_or_default()
}

/// `npm install NAME`, `cargo add NAME`, `pip install NAME`: a name is new to the repository, a path lies in it.
pub(super) fn packages(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let listed: Vec<(usize, Word)> = LISTS
        .iter()
        .flat_map(|option| parsed.values(option))
        .filter(|(_, word)| word.known().is_none_or(|text| text.contains("://")))
        .cloned()
        .collect();
    for (at, word) in listed {
        let url = host_of(program(parsed), word.known().unwrap_or_default());
        fetched(at, &word, Some(url.flatten()), made);
    }
    let operands: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, word) in operands {
        match word.known() {
            Some(text) if is_path(text) => {
                made.read(&Word::text(path_of(text)), Some(at), false, false, false);
                made.role(at, Role::Path);
                made.code(CodeClass::Repo, text.to_owned(), Some(at), false);
            }
            Some(text) => fetched(at, &word, host_of(program(parsed), text), made),
            None => fetched(at, &word, Some(None), made),
        }
    }
}

fn hand_on(parsed: &Parsed<'_>, from: usize, made: &mut Invocation) {
    let mut words: Vec<Word> = Vec::new();
    for (at, word) in parsed.operand_words().skip(from) {
        if let Some(place) = made.roles.get_mut(at) {
            *place = Role::Inner;
        }
        words.push(word.clone());
    }
    if words.is_empty() {
        return;
    }
    made.hands_on.push(HandOn::Program {
        words,
        more: More::No,
        changed: false,
        assignments: Vec::new(),
        directory: made.directory.clone(),
    });
}

/// `npx NAME`, `pnpm dlx NAME`, `npm init NAME`: what is installed in the repository, or comes from the registry.
pub(super) fn runner(parsed: &Parsed<'_>, context: &dyn Context, made: &mut Invocation) {
    let last = parsed.entry.name.rsplit(' ').next().unwrap_or_default();
    let packages: Vec<(usize, Word)> = parsed.values("--package").cloned().collect();
    for (at, word) in &packages {
        let url = word.known().and_then(|text| host_of("npm", text));
        fetched(*at, word, url, made);
    }
    let Some((at, word)) = parsed.operand(0).map(|(at, word)| (at, word.clone())) else {
        return;
    };
    let Some(text) = word.known().filter(|_| parsed.unsure.is_none()) else {
        fetched(at, &word, Some(None), made);
        return;
    };
    let always = matches!(last, "dlx" | "create" | "init" | "innit");
    let local = format!("node_modules/.bin/{text}");
    let installed = !text.contains(['/', ':', '@'])
        && context.file(made.directory.as_ref(), &local) == Some(true);
    let here = matches!(last, "exec") && program(parsed) != "npm";
    if always || !packages.is_empty() || !(installed || here || parsed.has("--no-install")) {
        let url = host_of("npm", text).filter(|_| !text.starts_with('@'));
        if packages.is_empty() {
            fetched(at, &word, url, made);
        } else {
            made.code(CodeClass::Fetched, text.to_owned(), Some(at), false);
        }
        return;
    }
    if installed || parsed.has("--no-install") {
        made.code(CodeClass::Repo, local, None, false);
        if super::super::table::TABLE.program(text).is_none() {
            return;
        }
    }
    hand_on(parsed, 0, made);
}

/// `uv run`, `poetry run`, `bundle exec`: a program of the repository's environment, or a script.
pub(super) fn environment(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    for option in ["--with", "--with-editable", "--with-requirements"] {
        let named: Vec<(usize, Word)> = parsed.values(option).cloned().collect();
        for (at, word) in named {
            let url = word.known().and_then(|text| host_of("uv", text));
            fetched(at, &word, url, made);
        }
    }
    let module = parsed.values("-m").next().cloned();
    if let Some((_, module)) = module {
        let mut words = vec![Word::text("python"), Word::text("-m"), module];
        for (at, word) in parsed.operand_words() {
            if let Some(place) = made.roles.get_mut(at) {
                *place = Role::Inner;
            }
            words.push(word.clone());
        }
        made.hands_on.push(HandOn::Program {
            words,
            more: More::No,
            changed: false,
            assignments: Vec::new(),
            directory: made.directory.clone(),
        });
        return;
    }
    let Some((at, word)) = parsed.operand(0) else {
        return;
    };
    if word.known().is_some_and(|text| text.contains("://")) {
        let word = word.clone();
        fetched(at, &word, Some(Some(word.clone())), made);
    } else if word.known().is_some_and(|text| text.ends_with(".py")) || parsed.has("-s") {
        made.push(UseKind::Script(word.clone()), Some(at), false);
        made.role(at, Role::Path);
    } else {
        hand_on(parsed, 0, made);
    }
}

/// `go run ./cmd/x`, `go run example.com/x@latest`; `deno run FILE`, `deno run https://example.com/x.ts`.
pub(super) fn run(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let Some((at, word)) = parsed.operand(0).map(|(at, word)| (at, word.clone())) else {
        return;
    };
    let Some(text) = word.known() else {
        fetched(at, &word, Some(None), made);
        return;
    };
    let elsewhere = text.contains("://") || text.contains('@') || text.contains(':');
    if elsewhere && !is_path(text) {
        let url = text.contains("://").then(|| Some(word.clone()));
        fetched(at, &word, url, made);
        return;
    }
    if text.contains('/') || text.contains('.') {
        let path = Word::text(text.trim_end_matches("/..."));
        made.read(&path, Some(at), false, false, false);
        made.role(at, Role::Path);
    }
}

/// `npm config get KEY`: some keys are secret.
pub(super) fn npm_setting(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let secret = |word: &Word| {
        word.known()
            .is_none_or(|text| text.contains("_auth") || text.contains("_password"))
    };
    if parsed.operand_words().any(|(_, word)| secret(word)) {
        made.sets.clear();
        made.danger(
            Category::Credentials,
            "prints a key for a registry that npm keeps",
        );
    }
}

/// `kubectl get secret`: what it prints is secret.
pub(super) fn cluster(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let secret = |word: &Word| {
        let kind = word
            .beginning()
            .split(['/', '.'])
            .next()
            .unwrap_or_default();
        kind.split(',')
            .any(|kind| matches!(kind, "secret" | "secrets"))
    };
    if parsed.entry.name.ends_with(" get") && parsed.operand_words().any(|(_, word)| secret(word)) {
        made.danger(Category::Credentials, "prints secrets of a cluster");
    }
}
