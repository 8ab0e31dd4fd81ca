//! Claims are held to what shows them: every test, module, file and fuzz target that the README,
//! `SECURITY.md` or a page of `docs/` names exists, every line of the threat model names one, and no
//! page uses a word that no test could keep.
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use crate::support::named_tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What no software keeps. Whoever needs one of these describes what was tried instead.
const TOO_STRONG: [&str; 16] = [
    "guarantee",
    "impossible",
    "unbreakable",
    "unhackable",
    "tamper-proof",
    "tamperproof",
    "bulletproof",
    "bullet-proof",
    "foolproof",
    "airtight",
    "military-grade",
    "bank-grade",
    "100 %",
    "100%",
    "perfectly",
    "completely secure",
];

/// Where a quoted path may lead.
const ROOTS: [&str; 9] = [
    "audits/",
    "bench/",
    "benches/",
    "docs/",
    "fuzz/",
    "src/",
    "tests/",
    ".ci/",
    "deny.toml",
];

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The pages that are read by people who decide whether to trust agp.
fn pages() -> Vec<(String, String)> {
    let below = fs::read_dir(root("docs")).unwrap().flatten();
    let below = below.map(|entry| entry.path());
    let mut pages: Vec<PathBuf> = below
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend(
        [
            "README.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
        ]
        .map(root),
    );
    let named = pages.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// What stands between backquotes is every second part; code blocks are no prose.
fn quoted(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let quoted = prose.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// What a quoted text names, if it is something that shows a claim.
enum Named {
    Nothing,
    There,
    Missing,
}

struct Known {
    tests: BTreeSet<(String, String)>,
    /// The last file that was named: `…::name` goes on in it.
    file: String,
}

impl Known {
    fn new() -> Self {
        let tests = named_tests::all(&root(""));
        let file = String::new();
        Self { tests, file }
    }

    fn look_up(&mut self, quoted: &str) -> Named {
        let there = |is: bool| if is { Named::There } else { Named::Missing };
        let path = quoted.split(' ').next().unwrap_or_default();
        if ROOTS.iter().any(|root| path.starts_with(root)) {
            let pattern = path.contains(['*', '<', '{']);
            return there(pattern || root(path.trim_end_matches('/')).exists());
        }
        if let Some((before, name)) = quoted.rsplit_once("::") {
            let begins = self.tests.iter().any(|(file, _)| file == before);
            if begins {
                before.clone_into(&mut self.file);
            }
            if begins || before == "…" {
                let key = (self.file.clone(), name.to_owned());
                return there(self.tests.contains(&key));
            }
            let module = root("src").join(quoted.replace("::", "/"));
            let tested = [module.with_extension("rs"), module.join("mod.rs")];
            let tested = tested
                .iter()
                .filter_map(|file| fs::read_to_string(file).ok());
            return match tested.map(|text| text.contains("#[cfg(test)]")).next() {
                Some(tested) => there(tested),
                None if module.is_dir() => Named::There,
                None => Named::Nothing,
            };
        }
        match root("fuzz/targets")
            .join(quoted)
            .with_extension("rs")
            .is_file()
        {
            true => Named::There,
            false => Named::Nothing,
        }
    }
}

#[test]
fn everything_that_is_named_exists() {
    let mut named = 0;
    for (page, text) in pages() {
        // What was true of an older version may have been renamed since.
        if page == "CHANGELOG.md" {
            continue;
        }
        let mut known = Known::new();
        for quoted in quoted(&text) {
            match known.look_up(&quoted) {
                Named::Missing => panic!("{page} names {quoted}"),
                Named::There => named += 1,
                Named::Nothing => {}
            }
        }
    }
    assert!(named >= 200, "only {named} are named");
}

/// Rows of the tables whose first column is a claim, with what shows it.
fn claims(text: &str) -> Vec<(String, String)> {
    let mut claims = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            inside = false;
            continue;
        };
        let (claim, shown) = row.split_once(" | ").unwrap_or((row, ""));
        if inside && !claim.starts_with("---") {
            claims.push((claim.to_owned(), shown.to_owned()));
        }
        inside |= claim == "claim";
    }
    claims
}

#[test]
fn every_claim_of_the_threat_model_is_shown_by_something() {
    let text = fs::read_to_string(root("docs/threat-model.md")).unwrap();
    let claims = claims(&text);
    assert!(claims.len() >= 60, "only {} claims", claims.len());
    let mut known = Known::new();
    for (claim, shown) in &claims {
        let mut shown = quoted(shown).into_iter();
        let something = shown.any(|quoted| matches!(known.look_up(&quoted), Named::There));
        assert!(something, "nothing shows: {claim}");
    }
    let once: BTreeSet<&String> = claims.iter().map(|(claim, _)| claim).collect();
    assert_eq!(once.len(), claims.len(), "a claim stands twice");
}

#[test]
fn the_security_page_leads_to_the_claims_and_repeats_none() {
    let page = fs::read_to_string(root("SECURITY.md")).unwrap();
    assert!(page.contains("(docs/threat-model.md)"));
    let model = fs::read_to_string(root("docs/threat-model.md")).unwrap();
    for (claim, _) in claims(&model) {
        assert!(!page.contains(&claim), "SECURITY.md repeats: {claim}");
    }
}

#[test]
fn no_page_uses_a_word_that_no_test_could_keep() {
    for (page, text) in pages() {
        let text = text.to_lowercase();
        for word in TOO_STRONG {
            assert!(!text.contains(word), "{page} says {word:?}");
        }
    }
}

/// The text of every source file, without what is for its tests.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let own = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            found.push(own.to_owned());
        }
    }
}

#[test]
fn every_variable_and_every_warning_is_on_the_page_of_switches() {
    let page = fs::read_to_string(root("docs/switches.md")).unwrap();
    let mut all = Vec::new();
    sources(&root("src"), &mut all);
    let (mut variables, mut warnings) = (BTreeSet::new(), BTreeSet::new());
    for text in &all {
        for part in text.split("\"AGP_").skip(1) {
            let is_name = |c: &char| c.is_ascii_uppercase() || *c == '_';
            variables.insert(format!(
                "AGP_{}",
                part.chars().take_while(is_name).collect::<String>()
            ));
        }
        for part in text.split("WARNING: ").skip(1) {
            // The switch that it names, which is its first word.
            let first = part.split([':', '=', ' ', '"']).next().unwrap();
            if first.starts_with("AGP_") || first.starts_with("--") || first.starts_with("SSL_") {
                warnings.insert(format!("WARNING: {first}"));
            }
        }
    }
    // Of the flags, each is on some page; those that weaken something, on this one.
    let asked = fs::read_to_string(root("src/session/options.rs")).unwrap();
    let flags = asked.split("pub(crate) struct Run {").nth(1).unwrap();
    let flags = flags.split("\n}").next().unwrap();
    for line in flags
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) "))
    {
        let name = line.split(':').next().unwrap().replace('_', "-");
        let flag = format!("--{name}");
        let said = pages().iter().any(|(_, text)| text.contains(&flag));
        assert!(said, "no page has {flag}");
    }
    assert!(
        variables.len() > 15 && warnings.len() > 5,
        "{variables:?} {warnings:?}"
    );
    for name in variables.iter().chain(&warnings) {
        assert!(
            page.contains(name.as_str()),
            "docs/switches.md has no {name}"
        );
    }
}

#[test]
fn the_justfile_runs_what_the_page_says() {
    let page = fs::read_to_string(root("CONTRIBUTING.md")).unwrap();
    let justfile = fs::read_to_string(root("justfile")).unwrap();
    let mut recipes = 0;
    for line in justfile.lines().filter(|line| !line.starts_with('#')) {
        let named = if let Some(command) = line.strip_prefix("    ") {
            let command = command.split(" {{").next().unwrap();
            page.contains(&format!("`{command}"))
        } else if let Some((name, _)) = line.split_once(':') {
            recipes += 1;
            let name = name.split(' ').next().unwrap();
            page.contains(&format!("| `just {name}"))
        } else {
            line.is_empty()
        };
        assert!(named, "CONTRIBUTING.md does not have: {line}");
    }
    assert_eq!(recipes, 6);
}
