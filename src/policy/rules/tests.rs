//! Rules are read whole and strictly, and a fault names its place.

use crate::contracts::limits;
use crate::policy::Policy;

fn refusal(text: &str) -> String {
    Policy::parse(text.as_bytes()).expect_err(text).to_string()
}

/// A policy of three lines whose rule on line 2 has these fields.
fn rule(fields: &str) -> String {
    format!("{{\"rules\":[\n  {{{fields}}}\n]}}")
}

#[test]
fn a_whole_rule_is_read() {
    let text = rule(
        r#""id":"a","effect":"require","tool":"mcp__*","actor":"claude_process","tier":"t","priority":-3,"reason":"r""#,
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let rule = &policy.rules()[0];
    assert_eq!((rule.id.as_str(), rule.priority), ("a", -3));
    assert_eq!(rule.tools().collect::<Vec<_>>(), ["mcp__*"]);
    assert_eq!(rule.tier.as_deref(), Some("t"));
    assert_eq!(rule.reason.as_deref(), Some("r"));
}

#[test]
fn a_fault_is_reported_at_its_line_and_column() {
    let long = "n".repeat(limits::RULE_NAME_BYTES + 1);
    // The caret stands where reading should stop.
    for (marked, problem) in [
        (
            r#""effect":"permit"^,"tool":"*""#,
            r#"invalid value: string "permit", expected effect to be one of allow deny require"#,
        ),
        (r#""id":"a","efect"^:"allow""#, "unknown field `efect`"),
        (r#""id":"a","when":{}^"#, "missing field `command`"),
        (r#""when":{"paths"^:["a"]}"#, "unknown field `paths`"),
        (r#""when":^["a"]"#, "invalid type: sequence"),
        (r#""when":{"command":"a"^}"#, "invalid type: string"),
        (r#""when":{"command":[]^}"#, "invalid length 0"),
        (
            r#""when":{"command":["a;b"]^}"#,
            "\"a;b\" is an unsupported pattern: use one program and its arguments",
        ),
        (
            r#""when":{"command":["* x"]^}"#,
            "\"* x\" is an unsupported pattern: the program name cannot contain *",
        ),
        (r#""id":""^,"effect":"allow""#, "invalid length 0"),
        (r#""id":7^,"tool":"*""#, "invalid type: integer `7`"),
        (r#""tool":"a\u0007"^"#, "tool has a control character"),
        (r#""id":"a","tier":null^"#, "invalid type: null"),
        (r#""priority":1.0^"#, "invalid type: floating point"),
        (r#""effect":^{"allow":null}"#, "invalid type: map"),
        (&format!(r#""id":"{long}"^"#), "invalid length 129"),
        (
            r#""approvalsRequired":0^"#,
            "invalid value: integer `0`, expected approvalsRequired from 1 to 100",
        ),
        (r#""approvalsRequired":-1^"#, "invalid type: integer `-1`"),
        (
            r#""sessionGrant":"yes"^"#,
            "invalid value: string \"yes\", expected sessionGrant as true, false or \"pattern\"",
        ),
        (r#""sessionGrant":null^"#, "invalid type: null"),
        (r#""sessionGrant":1^"#, "invalid type: integer `1`"),
        (r#""secrets":"A"^"#, "invalid type: string"),
        (r#""secrets":["a"]^"#, "\"a\" is not a secret name"),
        (r#""secrets":[7^]"#, "invalid type: integer `7`"),
    ] {
        let column = 3 + marked.find('^').unwrap();
        let fields = marked.replace('^', "");
        let message = refusal(&rule(&fields));
        let expected = format!("line 2 column {column}: {problem}");
        assert!(message.starts_with(&expected), "{message}\n{expected}");
    }
    for nobody in ["alice", "@a b", "user:", "@", "u0alice"] {
        let approvers =
            format!(r#""id":"a","effect":"require","tool":"x","approvers":["{nobody}"]"#);
        let expected = format!("{nobody:?} is no approver: write U0ALICE, user:alice or @group");
        assert!(refusal(&rule(&approvers)).contains(&expected), "{nobody}");
    }
    let allowing = rule(r#""id":"a","effect":"allow","tool":"x","sessionGrant":true"#);
    assert!(refusal(&allowing).contains("need effect \"require\""));
    // What is missing is missed at the end of the rule.
    assert_eq!(
        refusal(&rule(r#""id":"a","effect":"allow""#)),
        "line 2 column 29: missing field `tool`"
    );
    assert_eq!(
        refusal(&rule(r#""id":"a","id":"b""#)),
        "line 2 column 16: duplicate name \"id\""
    );
}

#[test]
fn a_duplicate_id_is_reported_where_it_is_repeated() {
    let text = r#"{"rules":[
        {"id":"a","effect":"allow","tool":"x"},
        {"id":"b","effect":"allow","tool":"x"},
        {"effect":"deny",
         "id":"a",
         "tool":"y"}
    ]}"#;
    assert_eq!(refusal(text), "line 5 column 17: duplicate rule id \"a\"");
}

#[test]
fn other_shapes_than_the_documented_one_are_refused() {
    assert!(refusal("").starts_with("the file is empty"));
    for text in [
        "{}",
        "[[]]",
        "{\"rules\":{}}",
        "{\"rules\":null}",
        "{\"rules\":[],\"dangers\":{}}",
        "{\"rules\":[]}{}",
        "\u{feff}{\"rules\":[]}",
        "{\"rules\":[],\"rules\":[]}",
        "{\"rules\":[[\"a\",\"allow\",\"*\"]]}",
    ] {
        assert!(refusal(text).starts_with("line 1 column "), "{text}");
    }
}

#[test]
fn the_number_of_rules_is_bounded() {
    let policy = |count: usize| {
        let rules: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"id":"{n}","effect":"deny","tool":"*"}}"#))
            .collect();
        format!("{{\"rules\":[{}]}}", rules.join(",\n"))
    };
    let most = Policy::parse(policy(limits::POLICY_RULES).as_bytes()).unwrap();
    assert_eq!(most.len(), limits::POLICY_RULES);
    let message = refusal(&policy(limits::POLICY_RULES + 1));
    assert!(message.starts_with("line 10001 "), "{message}");
}
