//! Conditions beside the atoms, what a session did before, and what is spared, over readings made by hand.

use serde_json::{Value, json};

use super::disk::Files;
use super::{
    Allow, Asked, Decision, Deny, Made, Memory, Require, known, policy, touched, used, whole,
};
use crate::policy::Policy;
use crate::reading::atoms::{AtomKind, Category, CodeClass, PathText, Place, Source};
use crate::reading::hosts;

/// A policy that allows every use of Bash where a condition holds.
fn allowing(condition: &Value) -> Policy {
    let mut rule = json!({"id": "a", "effect": "allow", "tool": "Bash"});
    rule.as_object_mut()
        .unwrap()
        .extend(condition.as_object().unwrap().clone());
    policy(&json!([rule]))
}

fn ls<'a>() -> Asked<'a> {
    Made::default().program("ls").asked()
}

#[test]
fn an_allow_holds_on_its_last_day_and_not_where_nobody_looked() {
    let policy = allowing(&json!({"until": "2026-11-29"}));
    for (today, decision) in [
        (Some("2026-11-28"), Allow),
        (Some("2026-11-29"), Allow),
        (Some("2026-11-30"), Deny),
        (None, Deny),
    ] {
        assert_eq!(
            Asked { today, ..ls() }.decision(&policy),
            decision,
            "{today:?}"
        );
    }
}

/// What is not known satisfies no allow and every deny.
#[test]
fn a_branch_a_directory_and_confinement_are_conditions() {
    let deny = |when: Value| {
        policy(&json!([
            {"id": "all", "effect": "allow", "tool": "*"},
            {"id": "no", "effect": "deny", "tool": "Bash", "when": when},
        ]))
    };
    for (branch, matches) in [
        (Some("main"), true),
        (Some("main-2"), false),
        (Some("release/1"), true),
    ] {
        let when = json!({"branch": ["main", "release/*"]});
        let call = || Asked { branch, ..ls() };
        let allow = allowing(&json!({"when": when}));
        assert_eq!(call().decision(&allow) == Allow, matches, "{branch:?}");
        assert_eq!(call().decision(&deny(when)) == Deny, matches, "{branch:?}");
    }
    for (directory, matches) in [
        (Some("/r/src/a"), true),
        (Some("/r"), false),
        (Some("/r/src/../x"), false),
    ] {
        let when = json!({"directory": ["src/**"]});
        let call = || Asked { directory, ..ls() };
        let allow = allowing(&json!({"when": when}));
        assert_eq!(call().decision(&allow) == Allow, matches, "{directory:?}");
        assert_eq!(
            call().decision(&deny(when)) == Deny,
            matches,
            "{directory:?}"
        );
    }
    let unknown = || Asked {
        branch: None,
        directory: None,
        ..ls()
    };
    for when in [
        json!({"branch": ["main"]}),
        json!({"directory": ["src/**"]}),
    ] {
        assert_eq!(unknown().decision(&allowing(&json!({"when": when}))), Deny);
        assert_eq!(unknown().decision(&deny(when)), Deny);
    }
    for (confined, decision) in [(true, Allow), (false, Deny)] {
        let allow = allowing(&json!({"when": {"confined": true}}));
        assert_eq!(Asked { confined, ..ls() }.decision(&allow), decision);
    }
}

#[test]
fn arguments_are_chosen_by_pointer_all_for_an_allow_and_any_for_a_deny() {
    let rule = |effect: &str, values: Value| {
        policy(&json!([
            {"id": "all", "effect": if effect == "deny" { "allow" } else { "deny" }, "tool": "Other"},
            {"id": "all2", "effect": "allow", "tool": if effect == "deny" { "*" } else { "Nothing" }},
            {"id": "r", "effect": effect, "tool": "mcp__a__b", "when": {"args": values}},
        ]))
    };
    for (pattern, args, allow, deny) in [
        (json!({"/p": ["x*"]}), json!({"p": "x1"}), Allow, Deny),
        (json!({"/p": ["x*"]}), json!({"p": "y"}), Deny, Allow),
        (json!({"/p": ["x*"]}), json!({}), Deny, Allow),
        (
            json!({"/p": ["x*"]}),
            json!({"p": ["x1", "x2"]}),
            Allow,
            Deny,
        ),
        (json!({"/p": ["x*"]}), json!({"p": ["x1", "y"]}), Deny, Deny),
        (json!({"/p": ["x*"]}), json!({"p": [{}]}), Deny, Deny),
        (json!({"/p": [1, true]}), json!({"p": 1}), Allow, Deny),
        (
            json!({"/*/q": ["x"]}),
            json!({"a": {"q": "x"}, "b": {"q": "x"}}),
            Allow,
            Deny,
        ),
        (
            json!({"/*/q": ["x"]}),
            json!({"a": {"q": "x"}, "b": {"q": "y"}}),
            Deny,
            Deny,
        ),
        (json!({"/p": ["*", "!x"]}), json!({"p": "x"}), Deny, Allow),
    ] {
        for (effect, decision) in [("allow", allow), ("deny", deny)] {
            let call = used("mcp__a__b", args.clone());
            let policy = rule(effect, pattern.clone());
            assert_eq!(
                call.decision(&policy),
                decision,
                "{effect} {pattern} {args}"
            );
        }
    }
}

/// Each program of a call that uses a secret must be allowed by a rule that names it.
#[test]
fn a_secret_is_allowed_by_name_alone() {
    let rules = |secrets: Value| {
        policy(&json!([
            {"id": "sh", "effect": "allow", "when": {"command": ["ls"]}},
            {"id": "d", "effect": "allow", "when": {"command": ["deploy {{secret:API}} *"]}, "secrets": secrets},
        ]))
    };
    let call = |words: &'static str| Asked {
        secrets: &["API"],
        args: json!({"command": words}),
        ..Made::default().program(words).asked()
    };
    let of = |words, secrets| call(words).decision(&rules(secrets));
    assert_eq!(of("deploy {{secret:API}} prod", json!(["API"])), Allow);
    assert_eq!(of("deploy {{secret:API}} prod", json!(["*"])), Allow);
    assert_eq!(of("deploy {{secret:API}} prod", json!(["OTHER"])), Deny);
    assert_eq!(of("deploy prod {{secret:API}}", json!(["API"])), Deny);
    assert_eq!(of("ls", json!(["API"])), Deny);
}

fn touch(kind: AtomKind) -> crate::reading::atoms::Reading {
    touched("Write", kind).reading
}

#[test]
fn what_was_fetched_to_a_name_of_mktemps_may_lie_anywhere_beside_it() {
    let mut memory = Memory::default();
    let fetched = Made::default()
        .program("curl https://x.example/")
        .push(
            AtomKind::Host(hosts::host("https://x.example/")),
            Some(0),
            Source::Operand(1),
        )
        .push(
            AtomKind::Write(known("/t/s/tmp.XXXXXXXXXX0/x")),
            None,
            Source::Redirection,
        );
    memory.record(&fetched.0);
    assert!(memory.fetched().contains("/t/s"), "{:?}", memory.fetched());
}

#[test]
fn a_host_is_new_after_a_secret_bearing_path_was_read_until_it_was_allowed() {
    let policy = whole(&json!({"danger": {"exfiltration": "require"}, "rules": [
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "named", "effect": "allow", "when": {"host": ["known.example"]}},
    ]}));
    let host = |name: &str| touched("WebFetch", AtomKind::Host(hosts::host(name)));
    let decision = |memory: &Memory, name| {
        let memory = Some(memory);
        Asked {
            memory,
            ..host(name)
        }
        .decision(&policy)
    };
    let mut memory = Memory::default();
    assert_eq!(decision(&memory, "https://new.example/"), Allow);
    let secret = Made::default().push(AtomKind::Read(known("/h/.ssh/id")), None, Source::Tool);
    memory.record(&secret.dangerous(Category::Credentials).0);
    assert_eq!(decision(&memory, "https://new.example/"), Require);
    assert_eq!(decision(&memory, "https://known.example/"), Allow);
    memory.record(&host("https://new.example/").reading);
    assert_eq!(decision(&memory, "https://new.example/"), Allow);
    assert_eq!(decision(&memory, "https://other.example/"), Require);
}

#[test]
fn what_a_session_wrote_is_known_until_it_is_removed() {
    let mut memory = Memory::default();
    memory.record(&touch(AtomKind::Write(known("/r/./a.sh"))));
    assert!(memory.written().contains("/r/a.sh"));
    let place = Place {
        removes: true,
        ..known("/r/a.sh")
    };
    memory.record(&touch(AtomKind::Write(place)));
    assert!(memory.written().is_empty());
}

/// A removal loses nothing where this session made it, git ignores it, or nothing is there.
#[test]
fn a_removal_is_spared_where_nothing_is_lost() {
    let policy = whole(&json!({"danger": {"delete": "require"}, "rules": [
        {"id": "all", "effect": "allow", "tool": "*"},
    ]}));
    let disk = Files {
        files: &["/r/src/a.rs", "/r/target/x", "/r/made/y"],
        ignored: &["/r/target"],
        ..Files::default()
    };
    let mut memory = Memory::default();
    let made = Place {
        exists: Some(false),
        ..known("/r/made")
    };
    memory.record(&touch(AtomKind::Write(made)));
    let removal = |path: PathText| {
        let place = Place {
            tree: true,
            removes: true,
            ..Place::at(path)
        };
        Made::default()
            .program("rm")
            .push(AtomKind::Write(place), Some(0), Source::Operand(1))
            .dangerous(Category::Delete)
    };
    let decision = |path: &str, memory: Option<&Memory>| -> Decision {
        let made = removal(PathText::Known(path.into()));
        let call = Asked {
            memory,
            disk: &disk,
            ..made.asked()
        };
        call.decision(&policy)
    };
    assert_eq!(decision("/r/src", Some(&memory)), Require);
    assert_eq!(decision("/r/target", Some(&memory)), Allow);
    assert_eq!(decision("/r/nothing", Some(&memory)), Allow);
    assert_eq!(decision("/r/made", Some(&memory)), Allow);
    assert_eq!(decision("/r/made", None), Require);
    // Which paths is not known, or nobody looks.
    let below = removal(PathText::Below("/r/target".into()));
    assert_eq!(
        Asked {
            disk: &disk,
            ..below.asked()
        }
        .decision(&policy),
        Require
    );
    let unlooked = removal(PathText::Known("/r/target".into()));
    assert_eq!(unlooked.asked().decision(&policy), Require);
    // Where the session wrote what git ignores, that is no longer believed.
    memory.record(&touch(AtomKind::Write(known("/r/.gitignore"))));
    assert_eq!(decision("/r/target", Some(&memory)), Require);
}

/// The sandbox and the proxy hold what needs no reading of commands, and no more.
#[test]
fn only_what_always_holds_is_the_sandboxes() {
    let rule = |id: &str, rest: Value| {
        let mut rule = json!({"id": id, "effect": "deny"});
        rule.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        rule
    };
    let withheld = policy(&json!([
        rule("env", json!({"when": {"read": ["/r/.env", "*.pem"]}})),
        rule("ci", json!({"when": {"write": [".github/**"]}})),
        rule(
            "keys",
            json!({"when": {"path": ["~/.ssh/**", "!~/.ssh/known_hosts"]}})
        ),
        rule(
            "cat",
            json!({"when": {"command": ["cat *"], "read": ["/r/b"]}})
        ),
        rule(
            "main",
            json!({"when": {"read": ["/r/c"], "branch": ["main"]}})
        ),
        rule(
            "mcp",
            json!({"tool": "mcp__a__b", "when": {"read": ["/r/d"]}})
        ),
    ]))
    .withheld(&super::around());
    let held: Vec<(&str, &str, bool)> = withheld
        .iter()
        .map(|one| (one.rule.as_str(), one.path.as_str(), one.hidden))
        .collect();
    assert_eq!(
        held,
        [("env", "/r/.env", true), ("ci", "/r/.github", false)]
    );
    let hosts_of = policy(&json!([
        {"id": "reg", "effect": "allow", "when": {"host": ["*.example.com"]}},
        {"id": "one", "effect": "deny", "when": {"host": ["bad.example.com"]}},
        {"id": "curl", "effect": "allow", "when": {"command": ["curl *"], "host": ["other.example"]}},
        {"id": "soon", "effect": "allow", "until": "2030-01-01", "when": {"host": ["late.example"]}},
    ]));
    for (name, expected) in [
        ("https://a.example.com", Some((Allow, Some("reg")))),
        ("https://bad.example.com", Some((Deny, Some("one")))),
        ("https://other.example", None),
        ("https://late.example", None),
    ] {
        assert_eq!(hosts_of.egress(&hosts::host(name)), expected, "{name}");
    }
}

/// Code of a class that an allow names for confined commands alone.
#[test]
fn code_is_allowed_by_class_where_it_is_confined() {
    let policy = policy(&json!([
        {"id": "sh", "effect": "allow", "when": {"command": ["make *"]}},
        {"id": "code", "effect": "allow", "when": {"code": ["repo"], "confined": true}},
    ]));
    let decision = |class, confined| {
        let made = Made::default().program_in("tool", None, &[]);
        let reading = made.code(class, Source::Itself).0;
        Asked {
            confined,
            ..super::bash(reading)
        }
        .decision(&policy)
    };
    assert_eq!(decision(CodeClass::Repo, true), Allow);
    assert_eq!(decision(CodeClass::Repo, false), Deny);
    assert_eq!(decision(CodeClass::Fetched, true), Deny);
}
