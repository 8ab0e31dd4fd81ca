//! Keeps `docs/architecture.md` true: who imports whom, and what stands nowhere.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may import, besides itself.
const IMPORTS: &[(&str, &[&str])] = &[
    ("contracts", &[]),
    ("confine", &[]),
    ("tunnel", &[]),
    ("tools", &[]),
    ("jail", &["confine", "contracts", "tunnel"]),
    ("egress", &["confine", "contracts", "tunnel"]),
    ("journal", &["confine", "contracts"]),
    ("shell", &["contracts"]),
    ("reading", &["contracts", "shell"]),
    (
        "disk",
        &["confine", "contracts", "jail", "reading", "tools"],
    ),
    ("policy", &["contracts", "reading"]),
    ("view", &["contracts", "reading", "tools"]),
    ("channels", &["confine", "contracts", "view"]),
    ("gateway", &["confine", "contracts", "journal"]),
    ("hook", &["contracts", "gateway", "jail", "journal"]),
    (
        "governor",
        &[
            "contracts",
            "gateway",
            "journal",
            "policy",
            "reading",
            "view",
        ],
    ),
    ("intendants", &["confine", "contracts", "hook", "jail"]),
    (
        "sandbox",
        &[
            "confine",
            "contracts",
            "egress",
            "governor",
            "jail",
            "journal",
            "tools",
        ],
    ),
    ("report", &["contracts", "journal"]),
    (
        "session",
        &[
            "channels",
            "confine",
            "contracts",
            "disk",
            "egress",
            "gateway",
            "governor",
            "hook",
            "intendants",
            "jail",
            "journal",
            "policy",
            "reading",
            "report",
            "sandbox",
            "view",
        ],
    ),
];

/// Names of adapters: the governor, the policy and the journal know none of them.
const ADAPTERS: &[&str] = &["claude_code", "codex", "slack", "docker", "scripted"];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The source without its comments and without its unit tests.
fn code(path: &Path) -> String {
    if path.components().any(|part| part.as_os_str() == "tests") {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .to_owned();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first names behind `crate::`, also within braces.
fn imported(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            found.extend(list.split(&[',', '}'][..]).map(|part| name(part.trim())));
        } else {
            found.insert(name(rest));
        }
    }
    found.remove("");
    found
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::{alpha, beta::b};\nfn f() { crate::gamma::g(); }";
    assert_eq!(
        imported(code).into_iter().collect::<Vec<_>>(),
        ["alpha", "beta", "gamma"]
    );
}

#[test]
fn imports_go_one_way() {
    for (module, allowed) in IMPORTS {
        let files = sources(&root().join(module));
        assert!(!files.is_empty(), "no module {module}");
        for file in files {
            for name in imported(&code(&file)) {
                let fine = name == *module || allowed.contains(&name.as_str());
                assert!(fine, "{} imports {name}", file.display());
            }
        }
    }
}

#[test]
fn every_module_is_in_the_table() {
    for entry in fs::read_dir(root()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !matches!(name.as_str(), "bin" | "cli") {
            assert!(IMPORTS.iter().any(|(module, _)| *module == name), "{name}");
        }
    }
}

#[test]
fn every_file_says_its_job() {
    for file in sources(&root()) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} has no //! line",
            file.display()
        );
    }
}

#[test]
fn the_core_names_no_adapter() {
    for module in ["governor", "policy", "journal"] {
        for file in sources(&root().join(module)) {
            let code = code(&file).to_lowercase();
            for adapter in ADAPTERS {
                // The binding of a Slack approval and the shape of a Slack token are contract
                // words, not adapters.
                let code = code.replace("slack-", "").replace("slack_token", "");
                let named = code.contains(&format!("{adapter}::"))
                    || code.contains(&format!("\"{}\"", adapter.replace('_', "-")));
                assert!(!named, "{} names {adapter}", file.display());
            }
        }
    }
}

#[test]
fn only_the_places_that_must_start_processes() {
    let allowed = [
        "cli/doctor_confinement.rs",
        "jail/keeper.rs",
        "jail/process_tree.rs",
        "jail/container_init.rs",
        "jail/container_keeper.rs",
        "jail/leash.rs",
        "hook/login_renewal.rs",
        "jail/egress_relay.rs",
        "jail/command_shell.rs",
        "intendants/claude_code/login_process.rs",
        "intendants/process.rs",
        "intendants/confined_query.rs",
        "sandbox/process/keeper_client.rs",
    ];
    let files = sources(&root());
    let starts = |file: &&PathBuf| code(file).contains("Command::new(");
    let starting: Vec<&PathBuf> = files.iter().filter(starts).collect();
    for file in &starting {
        let known = allowed.iter().any(|allowed| file.ends_with(allowed));
        assert!(known, "{} starts a process", file.display());
    }
    for allowed in allowed {
        let still = starting.iter().any(|file| file.ends_with(allowed));
        assert!(still, "{allowed} starts none any more");
    }
}

/// A thread of the governor is started by `confine::start`, or enters its profile itself, or is under
/// that of the thread that starts it. The others are here, with the reason.
#[test]
fn a_thread_is_confined_where_it_is_started() {
    let unconfined = [
        // Tries the confinement; a session on a thread of its own, which enters the main thread's.
        ("confine/threads.rs", ""),
        ("cli/quickstart.rs", ""),
        ("cli/doctor_confinement.rs", ""),
        // Under the profile of the thread that takes connections.
        ("egress/mod.rs", "confine::start(Profile::Egress"),
        ("egress/resolver.rs", ""),
        // Verifiers, and what runs on the harness's side, are no part of a governor.
        ("journal/verify/mod.rs", ""),
        ("jail/container_keeper.rs", ""),
        ("hook/mcp_server.rs", ""),
        ("jail/egress_relay.rs", ""),
        ("tunnel/mod.rs", ""),
    ];
    let starts = [
        "thread::Builder",
        "thread::spawn",
        "spawn_scoped(",
        "scope.spawn(",
    ];
    for file in sources(&root()) {
        let code = code(&file);
        if !starts.iter().any(|start| code.contains(start)) {
            continue;
        }
        let known = unconfined.iter().find(|(name, _)| file.ends_with(name));
        let fine = match known {
            Some((_, needs)) => code.contains(needs),
            None => code.contains("confine::enter(") || code.contains("narrower.enter("),
        };
        assert!(fine, "{} starts a thread without a profile", file.display());
    }
}

#[test]
fn deciding_touches_nothing_outside() {
    // Loading reads one file; deciding is a function of policy and call.
    for file in [
        "policy/engine.rs",
        "policy/rules.rs",
        "governor/mediate.rs",
        "governor/events.rs",
    ] {
        let code = code(&root().join(file));
        for outside in [
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "SystemTime",
        ] {
            assert!(!code.contains(outside), "{file} uses {outside}");
        }
    }
}

/// What the last argument of a `Result<` is, which stands before this text.
fn error_type(arguments: &str) -> Option<&str> {
    let (mut depth, mut from, mut before) = (0, None, ' ');
    for (at, c) in arguments.char_indices() {
        let rest = arguments.get(at + 1..).unwrap_or_default();
        match c {
            '>' if before == '-' => {}
            '>' if depth == 0 => {
                let last = arguments.get(from?..at)?;
                return Some(last.trim().trim_end_matches(','));
            }
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 && !rest.trim_start().starts_with('>') => from = Some(at + 1),
            _ => {}
        }
        before = c;
    }
    None
}

/// A sentence is no error: nobody can tell it from another.
#[test]
fn an_error_has_a_type() {
    for (arguments, expected) in [
        ("u8, String> {", Some("String")),
        ("Vec<(u8, String)>, Error> {", Some("Error")),
        ("Box<dyn Fn() -> u8>,\n    String,\n> {", Some("String")),
        ("Self> {", None),
    ] {
        assert_eq!(error_type(arguments), expected);
    }
    for file in sources(&root()) {
        let code = code(&file);
        let mut results = code.split("Result<").skip(1);
        let sentence = results.any(|rest| error_type(rest) == Some("String"));
        assert!(!sentence, "{} has a Result<_, String>", file.display());
    }
}

/// A local is named for what it holds, not for what was done to get it.
#[test]
fn a_local_has_a_noun() {
    let participles = ["asked", "found", "own", "shown", "told"];
    for file in sources(&root()) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let bound = line
                .split("let ")
                .skip(1)
                .filter_map(|rest| rest.split_once('='));
            for (pattern, _) in bound {
                let mut names = pattern.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let odd = names.any(|name| participles.contains(&name));
                assert!(!odd, "{}: {line}", file.display());
            }
        }
    }
}

/// What a release is built without stands in one module, and the path of a call only names it.
#[test]
fn fault_injection_is_one_module() {
    for file in sources(&root()) {
        let is_its_own = file.ends_with("confine/mod.rs");
        let conditional = code(&file).contains("feature = \"inject\"");
        assert!(!conditional || is_its_own, "{}", file.display());
    }
}

/// What a panic does to a lock is decided in one place.
#[test]
fn a_mutex_is_locked_in_one_way() {
    // These are no mutexes: standard streams, and files.
    let others = [
        "stdin()",
        "stdin",
        "stdout()",
        "stderr()",
        "file",
        "outbox",
        "directory",
        "self",
        "store",
    ];
    for file in sources(&root()) {
        let code = code(&file);
        let is_its_own = file.ends_with("contracts/lock.rs");
        assert!(
            !code.contains("PoisonError") || is_its_own,
            "{}",
            file.display()
        );
        for (at, _) in code.match_indices(".lock()") {
            let before = code[..at].trim_end();
            let receiver = others.iter().any(|other| before.ends_with(other));
            assert!(
                receiver || is_its_own,
                "{} locks a mutex by itself",
                file.display()
            );
        }
    }
}

/// A file that no `mod` names would be compiled by nobody, and its tests would never run.
#[test]
fn every_file_of_tests_is_in_a_target() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let targets = fs::read_dir(&tests).unwrap().flatten();
    let targets = targets.map(|entry| entry.path());
    let mut seen = 0;
    for target in targets.filter(|path| path.join("main.rs").is_file()) {
        for file in sources(&target) {
            let directory = file.parent().unwrap();
            let (name, above) = match file.file_stem().unwrap().to_str().unwrap() {
                "main" => continue,
                "mod" => (directory.file_name().unwrap(), directory.parent().unwrap()),
                _ => (file.file_stem().unwrap(), directory),
            };
            let parents = ["mod.rs", "main.rs"].map(|parent| above.join(parent));
            let parent = parents.iter().find(|parent| parent.is_file()).unwrap();
            let line = format!("\nmod {};\n", name.to_str().unwrap());
            let named = fs::read_to_string(parent).unwrap().contains(&line);
            assert!(named, "{} is in no target", file.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}
