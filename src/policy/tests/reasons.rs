//! What a reason says first, and what it names.

use super::disk::Files;
use super::*;

#[test]
fn a_question_says_what_is_dangerous_before_the_rules() {
    let rules = json!([
        {"id": "ci", "effect": "require", "when": {"write": [".github/**"]}, "reason": "changes what CI runs"},
        {"id": "lock", "effect": "deny", "when": {"write": ["lock"]}}
    ]);
    let policy = whole(&json!({"danger": {"*": "require"}, "rules": rules}));
    let made = || Made::default().program("rm");
    let call = made().write("/r/.github/x", Source::Operand(1));
    let verdict = call.dangerous(Category::Delete).asked().of(&policy).verdict;
    assert_eq!(verdict.decision, Deny, "the program is not allowed");
    let policy =
        whole(&json!({"otherwise": "require", "danger": {"*": "require"}, "rules": rules}));
    let call = made().write("/r/.github/x", Source::Operand(1));
    let verdict = call.dangerous(Category::Delete).asked().of(&policy).verdict;
    assert_eq!(verdict.decision, Require);
    assert!(
        verdict
            .reason
            .starts_with("does Delete (danger: delete); changes what CI runs: "),
        "{}",
        verdict.reason
    );
    assert_eq!(verdict.rule_id.as_deref(), Some("ci"));
}

#[test]
fn a_deny_of_a_tree_names_the_file_for_which_it_holds() {
    let policy = policy(&json!([
        {"id": "env", "effect": "deny", "when": {"read": [".env", ".env.*", "!.env.example"]}},
        {"id": "all", "effect": "allow", "tool": "Bash"}
    ]));
    let tree = |path: &str, files: &'static [&'static str]| {
        let place = Place {
            tree: true,
            ..known(path)
        };
        let made = Made::default().program("grep");
        let reading = made.push(AtomKind::Read(place), Some(0), Source::Itself);
        let disk = Files {
            files,
            ..Files::default()
        };
        let call = Asked {
            disk: &disk,
            ..bash(reading.0)
        };
        call.of(&policy).verdict.reason
    };
    let files = &[
        "/r/.env.example",
        "/r/src/a",
        "/r/src/.env",
        "/x/.env.local",
    ];
    assert_eq!(
        tree("/r", files),
        "rule 'env' denies reading src/.env (below .)"
    );
    assert_eq!(
        tree("/r/src", files),
        "rule 'env' denies reading .env (below src)"
    );
    assert_eq!(
        tree("/x", files),
        "rule 'env' denies reading .env.local (below /x)"
    );
    assert_eq!(tree("/r", &["/r/.env.example"]), "rule 'all' allows Bash");
}

#[test]
fn a_path_that_is_not_known_is_told_with_the_command_that_it_stands_in() {
    let policy = policy(&json!([
        {"id": "env", "effect": "deny", "when": {"read": [".env"]}}
    ]));
    let made = Made::default().program("cat ?");
    let anywhere = Place::at(PathText::Anywhere);
    let reading = made.push(AtomKind::Read(anywhere), Some(0), Source::Operand(1));
    let reason = reading.asked().of(&policy).verdict.reason;
    assert!(
        reason.contains("'env' denies reading a path that is not known, in `cat …`"),
        "{reason}"
    );
}
