//! How rules combine, over readings made by hand.

use serde_json::json;

use super::{Allow, Asked, Deny, Made, Require, policy, touched, used, whole};
use crate::policy::{Policy, shipped};
use crate::reading::atoms::{AtomKind, Category, CodeClass, Source};

fn standard() -> Policy {
    Policy::parse(shipped("standard").unwrap().as_bytes()).unwrap()
}

#[test]
fn the_strictest_rule_of_the_strictest_atom_speaks() {
    let policy = policy(&json!([
        {"id": "all", "effect": "allow", "tool": "*", "priority": 100},
        {"id": "ask", "effect": "require", "when": {"command": ["git *"]}, "priority": 50},
        {"id": "no", "effect": "deny", "when": {"command": ["git push *"]}},
    ]));
    for (words, decision, rule) in [
        ("ls", Allow, "all"),
        ("git status", Require, "ask"),
        ("git push origin", Deny, "no"),
        ("/usr/bin/git push", Deny, "no"),
    ] {
        let ruling = Made::default().program(words).asked().of(&policy);
        assert_eq!(ruling.verdict.decision, decision, "{words}");
        assert_eq!(ruling.verdict.rule_id.as_deref(), Some(rule), "{words}");
    }
    let both = Made::default().program("ls").program("git push").asked();
    assert_eq!(both.decision(&policy), Deny);
}

#[test]
fn otherwise_holds_for_each_atom_that_no_rule_speaks_about() {
    let rules = json!([{"id": "ls", "effect": "allow", "when": {"command": ["ls *"]}}]);
    let other = || Made::default().program("ls").program("cat").asked();
    assert_eq!(other().decision(&policy(&rules)), Deny);
    let asking = whole(&json!({"otherwise": "require", "rules": rules}));
    let ruling = other().of(&asking);
    assert_eq!(ruling.verdict.decision, Require);
    assert_eq!(ruling.verdict.reason, "no rule speaks about running cat");
    assert_eq!(
        Made::default().program("ls").asked().decision(&asking),
        Allow
    );
}

#[test]
fn what_is_unread_is_as_the_policy_says() {
    let looking = json!([
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "rm", "effect": "require", "when": {"command": ["rm *"]}, "approvalsRequired": 2},
    ]);
    let unread = || Made::default().program("ls").unread().asked();
    for (setting, decision) in [("require", Require), ("deny", Deny), ("allow", Allow)] {
        let policy = whole(&json!({"unread": setting, "rules": looking}));
        assert_eq!(unread().decision(&policy), decision, "{setting}");
    }
    let ruling = unread().of(&policy(&looking));
    assert_eq!(
        ruling.terms.required,
        Some(2),
        "the most of any that could match"
    );
    assert!(!ruling.session_grant());
    // Only allows without when speak about the tool, and no danger is on.
    let plain = json!([{"id": "all", "effect": "allow", "tool": "*"}]);
    assert_eq!(unread().decision(&policy(&plain)), Allow);
    let danger = whole(&json!({"danger": {"delete": "require"}, "rules": plain}));
    assert_eq!(unread().decision(&danger), Require);
    assert_eq!(unread().decision(&policy(&json!([]))), Deny);
}

#[test]
fn several_requires_need_the_most_and_say_every_reason() {
    let policy = policy(&json!([
        {"id": "a", "effect": "require", "tool": "Bash", "approvalsRequired": 2, "reason": "shell",
         "sessionGrant": true, "approvers": ["@leads"]},
        {"id": "b", "effect": "require", "when": {"command": ["git *"]}, "approvalsRequired": 3, "reason": "git",
         "instead": "ask the user"},
    ]));
    let ruling = Made::default().program("git push").asked().of(&policy);
    assert_eq!(ruling.terms.required, Some(3));
    assert!(!ruling.session_grant(), "one rule offers none");
    assert_eq!(ruling.approvers, [["@leads".to_owned()]]);
    assert_eq!(
        ruling.verdict.reason,
        "shell; git: running git push (rule 'b'). Instead: ask the user"
    );
    let ls = Made::default().program("ls").asked().of(&policy);
    assert!(ls.session_grant());
}

#[test]
fn an_exclusion_holds_whatever_the_order_and_a_list_of_them_begins_with_everything() {
    let list = policy(&json!([
        {"id": "a", "effect": "allow", "when": {"command": ["!rm *", "*"]}},
        {"id": "w", "effect": "allow", "when": {"write": ["!secrets/**"]}},
    ]));
    let run = |words: &str| Made::default().program(words).asked().decision(&list);
    assert_eq!((run("ls"), run("rm x")), (Allow, Deny));
    let write = |path: &str| touched("Write", AtomKind::Write(super::known(path))).decision(&list);
    assert_eq!((write("/r/x"), write("/r/secrets/x")), (Allow, Deny));
}

#[test]
fn an_allow_by_command_covers_what_its_program_does_inside() {
    let policy = policy(
        &json!([{"id": "a", "effect": "allow", "when": {"command": ["tool *", "fetch https://x.example/*"]}}]),
    );
    let tool = || Made::default().program("tool /a");
    let by = Source::Operand(1);
    for (made, decision) in [
        (tool().read("/r/a", by), Allow),
        (tool().write("/tmp/a", by), Allow),
        (tool().write("/r/.git/hooks/x", by), Deny),
        (tool().read("/etc/passwd", by), Deny),
        (tool().read("/r/a", Source::Option(1)), Deny),
        (tool().write("/r/a", Source::Redirection), Deny),
        (tool().host("https://x.example/a", by), Deny),
        (tool().code(CodeClass::Repo, Source::Itself), Allow),
        (tool().code(CodeClass::Fetched, Source::Itself), Deny),
        (tool().code(CodeClass::Repo, Source::Environment), Deny),
        (tool().code(CodeClass::Repo, Source::Option(1)), Deny),
        (Made::default().program("tool !-o"), Deny),
        (
            Made::default()
                .program("fetch &https://x.example/a")
                .host("https://x.example/a", by),
            Allow,
        ),
        (
            Made::default()
                .program("fetch &https://x.example.evil/a")
                .host("https://x.example.evil/a", by),
            Deny,
        ),
    ] {
        let call = made.asked();
        assert_eq!(call.decision(&policy), decision, "{:?}", call.reading);
    }
}

#[test]
fn a_deny_about_paths_speaks_about_every_tool_and_an_allow_about_its_own() {
    let denied = policy(&json!([
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "env", "effect": "deny", "tool": "Read", "when": {"read": [".env"]}},
    ]));
    let allowed = policy(&json!([
        {"id": "env", "effect": "allow", "tool": "Read", "when": {"read": [".env"]}},
        {"id": "cat", "effect": "allow", "tool": "Read", "when": {"command": ["cat *"]}},
    ]));
    let cat = || Made::default().program("cat .env");
    let env = || cat().read("/r/.env", Source::Operand(1)).asked();
    assert_eq!(env().decision(&denied), Deny);
    assert_eq!(cat().asked().decision(&denied), Allow);
    assert_eq!(env().decision(&allowed), Deny);
}

#[test]
fn a_command_beside_a_path_means_a_program_with_such() {
    let policy = policy(&json!([
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "no", "effect": "deny", "when": {"command": ["cp *"], "path": ["/etc/**"]}},
    ]));
    let cp = |path: &str| {
        Made::default()
            .program("cp /x /y")
            .read("/r/x", Source::Operand(1))
            .write(path, Source::Operand(2))
    };
    assert_eq!(cp("/r/y").asked().decision(&policy), Allow);
    assert_eq!(cp("/etc/y").asked().decision(&policy), Deny);
}

#[test]
fn a_danger_only_tightens_and_an_allow_may_name_it_for_its_own_atoms() {
    let all = json!({"id": "all", "effect": "allow", "tool": "*"});
    let generated = json!({"id": "gen", "effect": "allow", "danger": ["delete"], "when": {"write": ["gen/**"]}});
    let on = whole(
        &json!({"danger": {"*": "require", "disk": "deny", "discard": "off"}, "rules": [all, generated]}),
    );
    let write = |path: &str, category| {
        Made::default()
            .program("rm x")
            .write(path, Source::Operand(1))
            .dangerous(category)
            .asked()
    };
    assert_eq!(write("/r/x", Category::Delete).decision(&on), Require);
    assert_eq!(write("/r/gen/x", Category::Delete).decision(&on), Allow);
    assert_eq!(write("/r/gen/x", Category::History).decision(&on), Require);
    assert_eq!(write("/r/x", Category::Disk).decision(&on), Deny);
    assert_eq!(write("/r/x", Category::Discard).decision(&on), Allow);
    let off = policy(&json!([all]));
    assert_eq!(write("/r/x", Category::Delete).decision(&off), Allow);
    assert_eq!(write("/r/x", Category::Tampering).decision(&off), Deny);
}

#[test]
fn what_touches_nothing_passes_where_some_command_may_do_something() {
    let looking = policy(&json!([{"id": "r", "effect": "allow", "when": {"command": ["@reads"]}}]));
    assert_eq!(
        used("Bash", json!({"command": "echo hi"})).decision(&looking),
        Allow
    );
    assert_eq!(used("Other", json!({})).decision(&looking), Deny);
    let other = policy(&json!([{"id": "r", "effect": "allow", "tool": "Read"}]));
    assert_eq!(
        used("Bash", json!({"command": "echo hi"})).decision(&other),
        Deny
    );
}

#[test]
fn this_machine_is_reached_by_the_web_alone() {
    let fetch = |url: &str| {
        let made = Made::default().program(&format!("curl &{url}"));
        made.host(url, Source::Operand(1))
            .asked()
            .decision(&standard())
    };
    for (url, decision) in [
        ("http://localhost:3000/x", Allow),
        ("http://127.0.0.1:8000/", Allow),
        ("http://[::1]/", Allow),
        ("gopher://localhost:6379/_x", Require),
        ("http://localhost.evil.example/", Require),
        ("http://10.0.0.1/", Require),
    ] {
        assert_eq!(fetch(url), decision, "{url}");
    }
}

#[test]
fn code_asks_where_commands_are_not_confined_and_the_reason_says_so() {
    let code = || {
        Made::default()
            .program_in("make", None, &[])
            .code(CodeClass::Repo, Source::Itself)
    };
    assert_eq!(code().asked().decision(&standard()), Allow);
    let ruling = Asked {
        confined: false,
        ..code().asked()
    }
    .of(&standard());
    assert_eq!(ruling.verdict.decision, Require);
    assert!(
        ruling
            .verdict
            .reason
            .contains("rule 'code' holds only where commands run in a sandbox"),
        "{}",
        ruling.verdict.reason
    );
}

#[test]
fn layers_only_tighten() {
    let layered = |managed: Option<&str>, repository: Option<&str>| {
        let main = br#"{"rules":[{"id":"all","effect":"allow","tool":"*"}]}"#;
        Policy::layered(
            managed.map(str::as_bytes),
            main,
            repository.map(str::as_bytes),
        )
    };
    let deny = r#"{"rules":[{"id":"no","effect":"deny","when":{"command":["rm *"]}}]}"#;
    let rm = || Made::default().program("rm x").asked();
    for (managed, repository, whose) in [
        (Some(deny), None, "machine"),
        (None, Some(deny), "repository"),
    ] {
        let policy = layered(managed, repository).unwrap();
        let ruling = rm().of(&policy);
        assert_eq!(ruling.verdict.decision, Deny);
        assert!(
            ruling.verdict.reason.contains(whose),
            "{}",
            ruling.verdict.reason
        );
        assert_eq!(
            Made::default().program("ls").asked().decision(&policy),
            Allow
        );
    }
    let allow = r#"{"rules":[{"id":"a","effect":"allow","tool":"*"}]}"#;
    assert!(layered(None, Some(allow)).is_err());
    assert!(layered(None, Some(r#"{"otherwise":"require","rules":[]}"#)).is_err());
}

#[test]
fn a_base_is_filled_in_and_rules_can_be_dropped() {
    let mine = json!({"base": "standard", "drop": ["env"], "rules": [{"id": "mine", "effect": "deny", "tool": "X"}]});
    let policy = whole(&mine);
    assert_eq!(policy.len(), standard().len());
    let text = policy.text().to_string();
    assert!(
        text.contains("\"mine\"") && text.contains("@build") && !text.contains("\"env\""),
        "{text}"
    );
    for (wrong, why) in [
        (json!({"base": "standrad"}), "unknown base"),
        (
            json!({"base": "standard", "drop": ["nothing"]}),
            "has no rule \"nothing\"",
        ),
        (
            json!({"base": "standard", "rules": [{"id": "env", "effect": "deny", "tool": "X"}]}),
            "drop it",
        ),
        (json!({"drop": ["x"], "rules": []}), "drop needs base"),
    ] {
        let said = super::refusal(&wrong);
        assert!(said.contains(why), "{said}");
    }
    for (name, text) in crate::policy::SHIPPED {
        assert!(Policy::parse(text.as_bytes()).is_ok(), "{name}");
    }
}
