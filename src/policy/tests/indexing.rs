//! The index leaves no rule out: every rule that speaks about a path is among those that are held against it.

use std::collections::BTreeSet;

use serde_json::{Map, json};

use super::disk::Files;
use super::{Conditions, Decision, Made, around, known, policy};
use crate::contracts::call::Actor;
use crate::policy::call::Asked;
use crate::policy::engine::{Cause, findings};
use crate::reading::atoms::{AtomKind, PathText, Place, Source};
use crate::reading::disk::{Disk, NoDisk};

const PATTERNS: [&str; 30] = [
    "**",
    "*",
    ".env",
    ".env.*",
    "*.pem",
    "*secret*",
    "k*",
    "key*",
    "a.rs",
    "src/a.rs",
    "src/*.rs",
    "src/**",
    "src/",
    "**/gen/*.rs",
    "**/gen/**",
    "*/gen/deep/**",
    "crates/*/keys.pem",
    "crates/*/*",
    "/etc/**",
    "/etc/pass*",
    "/*/passwd",
    "~/.ssh/**",
    "~/**/id_*",
    "${repo}",
    "${repo}/**",
    "${repo}/*/gen",
    "${tmp}/**",
    "${system}/**",
    "${system}/*/bin/*",
    "/r/src/gen/b.rs",
];

const DISK: Files = Files {
    files: &[
        "/r/src/a.rs",
        "/r/src/notes",
        "/r/src/gen/b.rs",
        "/r/src/gen/deep/key.pem",
        "/r/crates/x/keys.pem",
        "/r/.env",
        "/h/.ssh/id_rsa",
        "/etc/passwd",
    ],
    links: &[("/r/out", "/etc"), ("/r/link", "/r/src/gen")],
    lost: Some("/r/lost"),
    same: &[("/r/.env", "/r/src/notes")],
    ignored: &[],
};

/// Places of every kind at a path.
fn places(path: &str) -> Vec<Place> {
    let mut places = vec![
        known(path),
        Place {
            tree: true,
            ..known(path)
        },
        Place {
            tree: true,
            only: Some("*.rs".into()),
            ..known(path)
        },
        Place::at(PathText::Below(path.into())),
        Place::at(PathText::Anywhere),
        Place {
            other_names: true,
            ..known(path)
        },
    ];
    for pattern in ["*", "*.rs", "a*", "*/b.rs", ".*", "k[a-z]*"] {
        let glob = Place::at(PathText::Glob(path.into(), pattern.into()));
        let matches = vec!["/r/src/a.rs".into(), "/etc/passwd".into()];
        let tree = |place: &Place| Place {
            tree: true,
            ..place.clone()
        };
        let looked_up = Place {
            matches,
            ..glob.clone()
        };
        places.extend([tree(&glob), tree(&looked_up), glob, looked_up]);
    }
    places
}

#[test]
fn every_rule_that_speaks_about_a_path_is_found() {
    let mut rules = Vec::new();
    for (at, pattern) in PATTERNS.iter().enumerate() {
        rules.push(json!({"id": format!("d{at}"), "effect": "deny", "when": {"path": [pattern]}}));
        rules.push(json!({
            "id": format!("x{at}"), "effect": "require", "when": {"path": [pattern, "!/r/src/a.rs", "!gen"]}
        }));
        let one = json!({"id": format!("a{at}"), "effect": "allow", "when": {"path": [pattern]}});
        rules.push(one);
    }
    // So many that a tree is listed.
    for at in 0..40 {
        rules.push(json!({
            "id": format!("n{at}"), "effect": "deny", "when": {"path": [format!("none-{at}")]}
        }));
    }
    let policy = policy(&json!(rules));
    let (args, around, secrets) = (Map::new(), around(), BTreeSet::new());
    let mut compared = 0;
    for path in [
        "/",
        "/r",
        "/r/src",
        "/r/src/a.rs",
        "/r/.env",
        "/r/src/gen",
        "/r/link",
        "/r/link/deep",
        "/r/out",
        "/r/out/passwd",
        "/r/lost/x",
        "/etc",
        "/etc/passwd",
        "/h",
        "/h/.ssh/id_rsa",
        "/tmp/t",
        "/usr/local/bin/x",
        "/r/crates/x/keys.pem",
        "/r/src/../.env",
        "/r/src/notes",
    ] {
        for place in places(path) {
            for disk in [&NoDisk as &dyn Disk, &DISK] {
                let reading = Made::default()
                    .push(AtomKind::Read(place.clone()), None, Source::Tool)
                    .0;
                let at = Conditions {
                    tool: "Read",
                    args: &args,
                    actor: Actor::ClaudeProcess,
                    around: &around,
                    directory: Some("/r"),
                    branch: None,
                    confined: true,
                    today: None,
                    secrets: &secrets,
                    memory: None,
                    disk,
                };
                let explained = policy.explain(&reading, &at);
                let speaks: BTreeSet<usize> = (explained.atoms[0].rules.iter().enumerate())
                    .filter(|(_, rule)| rule.matches && rule.effect != Decision::Allow)
                    .map(|(at, _)| at)
                    .collect();
                let call = Asked::new(disk);
                let findings = findings(&policy.layers[0], &reading, &at, &call);
                let by_index: BTreeSet<usize> = findings
                    .iter()
                    .filter_map(|finding| match finding.cause {
                        Cause::Rule(at) if finding.decision != Decision::Allow => Some(at),
                        _ => None,
                    })
                    .collect();
                assert_eq!(by_index, speaks, "{place:?}");
                // Of allows, which speak where nothing else does, the index leaves none out either.
                let judge =
                    super::super::matching::Judge::new(&policy.layers[0], &reading, &at, &call);
                let mut candidates = Vec::new();
                judge.candidates(0, &reading.atoms[0], &mut candidates);
                for (at, rule) in explained.atoms[0].rules.iter().enumerate() {
                    assert!(
                        !rule.matches || candidates.contains(&at),
                        "{} {place:?}",
                        rule.id
                    );
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

/// Somebody looked, and could not say where it lies: no allow holds, every deny could.
#[test]
fn what_cannot_be_resolved_may_lie_anywhere() {
    let policy = policy(&json!([
        {"id": "all", "effect": "allow", "when": {"read": ["**"]}},
        {"id": "keys", "effect": "deny", "when": {"read": ["~/.ssh/**", "!x"]}},
    ]));
    let place = || AtomKind::Read(known("/r/lost/x"));
    let call = |disk| super::Asked {
        disk,
        ..super::touched("Read", place())
    };
    assert_eq!(call(&DISK).decision(&policy), Decision::Deny);
    assert_eq!(call(&NoDisk).decision(&policy), Decision::Allow);
}

/// Another name of the same file is the same file; what has none is not looked for.
#[test]
fn a_hard_link_of_what_a_rule_protects_is_protected() {
    let policy = policy(&json!([
        {"id": "all", "effect": "allow", "when": {"path": ["**"]}},
        {"id": "env", "effect": "deny", "when": {"path": [".env", "!x"]}},
        {"id": "rs", "effect": "require", "when": {"write": ["*.rs"]}},
    ]));
    let place = |path: &str, other_names| Place {
        other_names,
        ..known(path)
    };
    for (path, kind, expected) in [
        (
            "/r/src/notes",
            AtomKind::Read as fn(Place) -> AtomKind,
            Decision::Deny,
        ),
        ("/r/src/notes", AtomKind::Write, Decision::Deny),
        ("/r/.env", AtomKind::Read, Decision::Deny),
        // Of a file that is no protected one's, only a write is not allowed: another name may be anybody's.
        ("/r/src/gen/deep/key.pem", AtomKind::Read, Decision::Allow),
    ] {
        let call = super::Asked {
            disk: &DISK,
            ..super::touched("Read", kind(place(path, true)))
        };
        assert_eq!(call.decision(&policy), expected, "{path}");
    }
}
