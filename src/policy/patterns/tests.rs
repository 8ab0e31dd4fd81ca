//! What other programs' rules look like is answered with the rule to write.

use crate::policy::Policy;

#[test]
fn foreign_syntax_is_an_error_with_the_rule_to_write() {
    for (tool, instead) in [
        ("Bash(git push:*)", r#""when": {"command": ["git push *"]}"#),
        (
            "Bash(npm run test)",
            r#""when": {"command": ["npm run test"]}"#,
        ),
        ("Bash(*)", r#""tool": "Bash""#),
        ("Read(./.env)", r#""when": {"read": ["${repo}/.env"]}"#),
        ("Read(//etc/x)", r#""when": {"read": ["/etc/x"]}"#),
        ("Edit(src/**)", r#""when": {"write": ["src/**"]}"#),
        (
            "WebFetch(domain:example.com)",
            r#""when": {"host": ["example.com"]}"#,
        ),
        ("bash", "write \"Bash\""),
    ] {
        let text =
            serde_json::json!({"rules": [{"id": "a", "effect": "deny", "tool": tool}]}).to_string();
        let said = Policy::parse(text.as_bytes())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("line 1 column ") && said.contains(instead),
            "{said}"
        );
    }
}
