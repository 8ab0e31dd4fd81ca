//! Interpreters: which of their words is code, a file of code, or a module.

use crate::reading::atoms::{CodeClass, Role, Set};
use crate::reading::programs::parse::Parsed;
use crate::reading::programs::table::TABLE;
use crate::reading::programs::{Context, HandOn, Invocation, More, UseKind};
use crate::reading::word::Word;

/// Modules of Python that are the program of this name.
const MODULES: [(&str, &str); 28] = [
    ("pip", "pip"),
    ("pip3", "pip"),
    ("pipx", "pipx"),
    ("uv", "uv"),
    ("poetry", "poetry"),
    ("pdm", "pdm"),
    ("hatch", "hatch"),
    ("pipenv", "pipenv"),
    ("virtualenv", "virtualenv"),
    ("twine", "twine"),
    ("build", "pyproject-build"),
    ("tox", "tox"),
    ("nox", "nox"),
    ("pytest", "pytest"),
    ("py.test", "pytest"),
    ("coverage", "coverage"),
    ("mypy", "mypy"),
    ("ruff", "ruff"),
    ("black", "black"),
    ("isort", "isort"),
    ("flake8", "flake8"),
    ("pylint", "pylint"),
    ("pre_commit", "pre-commit"),
    ("django", "django-admin"),
    ("conda", "conda"),
    ("awscli", "aws"),
    ("ansible", "ansible"),
    ("yt_dlp", "yt-dlp"),
];

/// Modules of Python's own whose operands are files that they read, and print.
const READING_MODULES: [&str; 8] = [
    "json.tool",
    "tokenize",
    "ast",
    "dis",
    "base64",
    "quopri",
    "symtable",
    "pickletools",
];

/// Programs among these that reach other machines, whether the table knows them or not.
const REACHING_PROGRAMS: [&str; 11] = [
    "pip", "pipx", "uv", "poetry", "pdm", "hatch", "pipenv", "twine", "conda", "aws", "yt-dlp",
];

/// Modules of Python's own that reach whatever their operands say.
const REACHING_MODULES: [&str; 6] = [
    "webbrowser",
    "smtplib",
    "ftplib",
    "telnetlib",
    "nntplib",
    "poplib",
];

/// Settings of PHP that load no code.
const PHP_SETTINGS: [&str; 12] = [
    "memory_limit",
    "error_reporting",
    "display_errors",
    "display_startup_errors",
    "max_execution_time",
    "xdebug.mode",
    "zend.assertions",
    "date.timezone",
    "short_open_tag",
    "log_errors",
    "pcov.enabled",
    "opcache.enable_cli",
];

/// It prints something about itself, and runs nothing.
fn prints(parsed: &Parsed<'_>, made: &mut Invocation, options: &[&str]) -> bool {
    let prints = options.iter().any(|option| parsed.has(option))
        && parsed.operands.is_empty()
        && made.uses.is_empty();
    if prints && made.sets == [Set::Build] {
        made.sets = vec![Set::Reads];
    }
    prints
}

/// Code stands in the command. Then it is no build but what that code is.
fn has_code(made: &mut Invocation) -> bool {
    let code = |kind: &UseKind| matches!(kind, UseKind::Code { .. } | UseKind::Script(_));
    let has = made
        .uses
        .iter()
        .any(|one| one.word.is_some() && code(&one.kind));
    if has {
        made.sets.retain(|set| *set != Set::Build);
    }
    has
}

/// The first operand is a file that is run; without one, standard input is.
fn file_or_input(parsed: &Parsed<'_>, made: &mut Invocation) {
    made.sets.retain(|set| *set != Set::Build);
    match parsed.operand(0) {
        Some((at, script)) if script.known() != Some("-") => {
            let script = script.clone();
            made.role(at, Role::Path);
            made.push(UseKind::Script(script), Some(at), false);
        }
        _ => made.hands_on.push(HandOn::Input {
            shell: false,
            what: parsed.entry.name.clone(),
        }),
    }
}

/// Code, a file, or standard input.
pub(super) fn interpreter(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if !prints(parsed, made, &["--version", "--help", "-v"]) && !has_code(made) {
        file_or_input(parsed, made);
    }
}

/// `python`.
pub(super) fn python(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if prints(parsed, made, &["--version", "--help", "--help-all"]) {
        return;
    }
    // The category of a warning is a class, whose module is loaded.
    let warnings: Vec<(usize, Word)> = parsed.values("-W").cloned().collect();
    for (at, filter) in warnings {
        let loads = filter.known().is_none_or(|text| {
            text.split(':')
                .nth(2)
                .is_some_and(|class| class.contains('.'))
        });
        if loads {
            made.turn(at);
        }
    }
    let module = parsed.values("-m").last().cloned();
    match module {
        Some((at, module)) => run_module(parsed, at, &module, made),
        None if has_code(made) => {}
        None => file_or_input(parsed, made),
    }
}

/// `python -m MODULE`. The directory is looked in first, so that it may be the repository's code whatever its name.
fn run_module(parsed: &Parsed<'_>, at: usize, module: &Word, made: &mut Invocation) {
    let Some(name) = module.known() else {
        made.turn(at);
        made.code(
            CodeClass::Unknown,
            "a Python module whose name is not known".to_owned(),
            Some(at),
            true,
        );
        return;
    };
    made.code(CodeClass::Repo, format!("python -m {name}"), None, false);
    if REACHING_MODULES.contains(&name) {
        made.host(None, Some(at), false);
    }
    if READING_MODULES.contains(&name) {
        for (at, word) in parsed.operand_words() {
            if word.known().is_none_or(|text| !text.starts_with('-')) {
                made.role(at, Role::Path);
                made.read(word, Some(at), false, false, false);
            }
        }
        // `json.tool IN OUT`.
        if name == "json.tool"
            && let Some((at, out)) = parsed
                .operand_words()
                .filter(|(_, word)| !word.beginning().starts_with('-'))
                .nth(1)
        {
            made.write(out, Some(at), false, false);
        }
    }
    if name == "venv" {
        for (at, word) in parsed.operand_words() {
            if !word.beginning().starts_with('-') {
                made.role(at, Role::Path);
                made.write(word, Some(at), true, false);
            }
        }
    }
    let program = MODULES.iter().find(|(module, _)| *module == name);
    if let Some((_, program)) = program
        && (TABLE.program(program).is_some() || REACHING_PROGRAMS.contains(program))
    {
        let mut words = vec![Word::text(*program)];
        for (at, word) in parsed.operand_words() {
            words.push(word.clone());
            if let Some(role) = made.roles.get_mut(at) {
                *role = Role::Inner;
            }
        }
        made.hands_on.push(HandOn::Program {
            words,
            more: More::No,
            changed: false,
            assignments: Vec::new(),
            directory: None,
        });
    }
}

/// `node`.
pub(super) fn node(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if prints(parsed, made, &["--version", "--help"]) {
        return;
    }
    let coded = has_code(made);
    for option in ["-r", "--import", "--loader", "--experimental-loader"] {
        let values: Vec<(usize, Word)> = parsed.values(option).cloned().collect();
        for (at, module) in values {
            let text = module.beginning();
            let package = module.known().is_some() && !text.starts_with(['.', '/']);
            if package && !text.contains(':') {
                let what = format!("node {option} {text}");
                made.code(CodeClass::Repo, what, Some(at), false);
            } else if package {
                // `data:` is code, `https:` another machine's.
                made.code(
                    CodeClass::Unknown,
                    format!("node {option} {text}"),
                    Some(at),
                    true,
                );
                made.turn(at);
            } else {
                made.push(UseKind::Script(module), Some(at), false);
            }
        }
    }
    if parsed.has("--check") {
        for (at, word) in parsed.operand_words().take(1) {
            made.role(at, Role::Path);
            made.read(word, Some(at), false, false, false);
        }
    } else if parsed.has("--test") {
        made.code(CodeClass::Repo, "node --test".to_owned(), None, false);
    } else if !coded {
        let inspects = parsed
            .operand(0)
            .is_some_and(|(_, word)| word.known() == Some("inspect"));
        if inspects {
            made.code(CodeClass::Repo, "node inspect".to_owned(), None, false);
        } else {
            file_or_input(parsed, made);
        }
    }
}

/// `perl`, `ruby`: with `-n` and `-p` the operands are files that are read, with `-i` changed.
pub(super) fn perl(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    if prints(parsed, made, &["-v", "-V", "-h", "--version", "--help"]) {
        return;
    }
    if !has_code(made) {
        file_or_input(parsed, made);
        return;
    }
    for option in ["-M", "-m", "-r", "-d"] {
        let values: Vec<(usize, Word)> = parsed.values(option).cloned().collect();
        for (at, module) in values {
            // Modules' own arguments are code as well.
            if module.known().is_none() {
                made.turn(at);
            }
        }
    }
    if !parsed.has("-n") && !parsed.has("-p") {
        return;
    }
    let files: Vec<(usize, Word)> = parsed
        .operand_words()
        .map(|(at, word)| (at, word.clone()))
        .collect();
    for (at, file) in &files {
        made.role(*at, Role::Path);
        made.read(file, Some(*at), false, false, false);
        if parsed.has("-i") {
            made.write(file, Some(*at), false, false);
        }
    }
    super::sed::backups(parsed, &files, made);
}

/// `php`.
pub(super) fn php(parsed: &Parsed<'_>, _: &dyn Context, made: &mut Invocation) {
    let about = ["--version", "--help", "--info", "--modules", "--ini"];
    if prints(parsed, made, &about) {
        return;
    }
    let settings: Vec<(usize, Word)> = parsed.values("-d").cloned().collect();
    for (at, setting) in settings {
        let name = setting.beginning().split('=').next().unwrap_or_default();
        let whole = setting.known().is_some() || name.len() < setting.beginning().len();
        if !whole || !PHP_SETTINGS.contains(&name) {
            made.turn(at);
        }
    }
    if parsed.has("-S") {
        made.code(CodeClass::Repo, "php -S".to_owned(), None, false);
    } else if ["-l", "-s", "-w"].iter().any(|option| parsed.has(option)) {
        for (at, word) in parsed.operand_words() {
            made.role(at, Role::Path);
            made.read(word, Some(at), false, false, false);
        }
    } else if !has_code(made) {
        file_or_input(parsed, made);
    }
}
