//! Each entry with the rule that it becomes, and what cannot be said.
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::policy::Policy;

fn imported(text: &str) -> Imported {
    let imported = import(text).unwrap();
    let policy = json!({ "rules": imported.rules }).to_string();
    assert_eq!(
        Policy::parse(policy.as_bytes()).unwrap().len(),
        imported.rules.len(),
        "{policy}"
    );
    imported
}

fn short(rule: &Value) -> String {
    let effect = rule["effect"].as_str().unwrap();
    match rule.get("when") {
        Some(when) => format!("{effect} {when}"),
        None => format!("{effect} {}", rule["tool"]),
    }
}

#[test]
fn claude_codes_permissions_become_rules() {
    for (list, entry, rule) in [
        (
            "allow",
            "Bash(git push:*)",
            r#"allow {"command":["git push *"]}"#,
        ),
        (
            "deny",
            "Bash(npm run test *)",
            r#"deny {"command":["npm run test *"]}"#,
        ),
        ("ask", "Bash(make)", r#"require {"command":["make"]}"#),
        ("allow", "Bash", r#"allow "Bash""#),
        ("allow", "Bash(*)", r#"allow "Bash""#),
        ("deny", "Read(./.env)", r#"deny {"read":["${repo}/.env"]}"#),
        ("deny", "Read(.env)", r#"deny {"read":[".env"]}"#),
        ("deny", "Read(//etc/**)", r#"deny {"read":["/etc/**"]}"#),
        ("deny", "Read(~/.ssh/**)", r#"deny {"read":["~/.ssh/**"]}"#),
        (
            "allow",
            "Edit(/src/**)",
            r#"allow {"write":["${repo}/src/**"]}"#,
        ),
        ("deny", "Edit(secrets/)", r#"deny {"write":["secrets/**"]}"#),
        (
            "allow",
            "WebFetch(domain:Docs.RS)",
            r#"allow {"host":["docs.rs"]}"#,
        ),
        ("allow", "mcp__github", r#"allow "mcp__github__*""#),
        (
            "deny",
            "mcp__github__delete_repo",
            r#"deny "mcp__github__delete_repo""#,
        ),
    ] {
        let text = json!({"permissions": {list: [entry]}}).to_string();
        let imported = imported(&text);
        assert_eq!(
            imported.rules.iter().map(short).collect::<Vec<_>>(),
            [rule],
            "{entry}"
        );
        assert!(imported.left_out.is_empty(), "{:?}", imported.left_out);
    }
}

#[test]
fn what_cannot_be_said_is_named() {
    for entry in [
        "Bash(a && b)",
        "Bash(",
        "WebFetch(domain:a b)",
        "Agent(x)",
        "Skill(x)",
        "",
        "Read(a\u{7}b)",
    ] {
        let text = json!({"permissions": {"allow": [entry]}}).to_string();
        let imported = imported(&text);
        assert_eq!(
            (imported.rules.len(), imported.left_out.len()),
            (0, 1),
            "{entry}"
        );
    }
    let text = r#"{"permissions":{"defaultMode":"acceptEdits","additionalDirectories":["/x"],"allow":"Bash"}}"#;
    assert_eq!(imported(text).left_out.len(), 3);
    assert!(import("{}").is_err());
    assert!(import("{\"permissions\":{},\"permissions\":{}}").is_err());
}

#[test]
fn one_entry_twice_has_two_names() {
    let text = r#"{"permissions":{"allow":["Bash(a b)","Bash(a  b)"]}}"#;
    let rules = imported(text).rules;
    assert_ne!(rules[0]["id"], rules[1]["id"]);
}

#[test]
fn codexs_prefix_rules_become_rules() {
    let text = r#"
        # comment
        prefix_rule(pattern = ["git", ["push", "fetch"]], decision = "prompt",
            justification = "talks to the remote", match = [["git", "push"]], not_match = ["git pull"])
        prefix_rule(pattern=["rm", "-rf"], decision="forbidden")
        prefix_rule(pattern=['ls'],)
        other_rule(x = "y")
    "#;
    let imported = imported(text);
    assert_eq!(
        imported.rules.iter().map(short).collect::<Vec<_>>(),
        [
            r#"require {"command":["git push *","git fetch *"]}"#,
            r#"deny {"command":["rm -rf *"]}"#,
            r#"allow {"command":["ls *"]}"#,
        ]
    );
    assert_eq!(imported.rules[0]["reason"], "talks to the remote");
    assert_eq!(imported.left_out, ["other_rule: only prefix_rule is known"]);
    for bad in [
        "prefix_rule(",
        "x",
        "\"a",
        "prefix_rule(pattern=[1])",
        "def f(): pass",
    ] {
        assert!(import(bad).is_err(), "{bad}");
    }
    assert_eq!(self::imported("prefix_rule(pattern=[])").left_out.len(), 1);
}
