//! When a grant is offered, what it never changes, and when it ends.

use super::*;

#[test]
fn what_is_asked_three_times_in_the_same_words_is_offered_and_given_by_nobody() {
    // No rule speaks about it.
    for (command, offered) in [
        ("deploy x", true),
        ("git push --force origin x/y", false),
        ("npm publish", false),
        ("deploy \"$X\"", false),
        ("$X deploy", false),
    ] {
        let grants = Grants::new(clocks);
        let call = bash(command);
        assert_eq!(call.0.verdict.decision, Decision::Require, "{command}");
        let offers: Vec<bool> = (0..5)
            .map(|_| ask(&grants, &call, Scope::Once).is_some())
            .collect();
        assert_eq!(
            offers,
            [false, false, offered, offered, offered],
            "{command}"
        );
        // It is offered, and nothing more.
        assert!(!answers(&grants, &call), "{command}");
        assert_eq!(grants.list(), []);
        ask(&grants, &call, EXACT);
        assert_eq!(answers(&grants, &call), offered, "{command}");
        assert!(!answers(&grants, &bash("deploy y")));
    }
    // Different ones are not added up.
    let grants = Grants::new(clocks);
    for command in ["deploy a", "deploy b", "deploy c"] {
        assert_eq!(ask(&grants, &bash(command), EXACT), None);
    }
}

#[test]
fn no_grant_makes_an_allow_of_a_deny_and_a_rule_that_comes_later_asks() {
    let grants = granted("git push origin feature/login", PATTERN);
    let push = json!({"command": "git push origin feature/login"});
    let under = |more: &[Value]| call(&policy(more), &HERE, "Bash", &push);
    assert!(answers(&grants, &under(&[])));
    let denies = json!({"id": "freeze", "effect": "deny", "when": {"command": ["git push *"]}});
    let (ruling, digests) = under(&[denies]);
    assert_eq!(ruling.verdict.decision, Decision::Deny);
    assert_eq!(ruling.questions, []);
    assert!(!grants.standing(&ruling.questions, digests).is_answered());
    for more in [
        json!({"id": "b", "effect": "require", "when": {"command": ["git push *"]}}),
        json!({"id": "b", "effect": "require", "when": {"host": ["github.com"]}}),
        json!({"id": "b", "effect": "require", "tool": "Bash", "sessionGrant": true}),
    ] {
        assert!(
            !answers(&grants, &under(std::slice::from_ref(&more))),
            "{more}"
        );
    }
    let repository = json!({"rules": [{"id": "push", "effect": "require", "when": {"command": ["git push *"]}}]});
    let text = json!({"otherwise": "require", "rules": rules()}).to_string();
    let layered = Policy::layered(
        None,
        text.as_bytes(),
        Some(repository.to_string().as_bytes()),
    );
    assert!(!answers(
        &grants,
        &call(&layered.unwrap(), &HERE, "Bash", &push)
    ));
}

#[test]
fn what_an_answer_needs_is_what_the_open_questions_need() {
    let two = json!({"id": "two", "effect": "require", "when": {"write": ["ops/**"]},
        "approvalsRequired": 2, "approvers": ["@leads"], "sessionGrant": true});
    let under = |command: &str| {
        call(
            &policy(std::slice::from_ref(&two)),
            &HERE,
            "Bash",
            &json!({"command": command}),
        )
    };
    let grants = Grants::new(clocks);
    ask(&grants, &under("echo x > ops/a"), EXACT);
    let (ruling, digests) = under("echo x > ops/a; git push origin main");
    let standing = grants.standing(&ruling.questions, digests);
    assert_eq!(standing.open.len(), 1, "{standing:?}");
    assert_eq!(
        (standing.open[0].required, standing.open[0].approvers.len()),
        (None, 0)
    );
    assert_eq!(standing.who(), "alice (g1)");
    let (ruling, digests) = under("echo x > ops/b; git push origin main");
    let standing = grants.standing(&ruling.questions, digests);
    let most = standing
        .open
        .iter()
        .filter_map(|question| question.required)
        .max();
    assert_eq!((standing.open.len(), most), (2, Some(2)));
}

/// Seconds that a test lets pass, and those for which the machine slept.
static PASSED: AtomicU64 = AtomicU64::new(0);
static SLEPT: AtomicU64 = AtomicU64::new(0);

fn clock() -> (Instant, SystemTime) {
    static START: OnceLock<(Instant, SystemTime)> = OnceLock::new();
    let (start, wall) = *START.get_or_init(clocks);
    let passed = Duration::from_secs(PASSED.load(Ordering::SeqCst));
    let slept = Duration::from_secs(SLEPT.load(Ordering::SeqCst));
    (start + passed, wall + passed + slept)
}

#[test]
fn a_grant_ends_when_its_minutes_are_over_or_somebody_takes_it_back() {
    let grants = Grants::new(clock);
    let push = bash("git push origin feature/login");
    let minutes = |minutes| Scope::Session {
        pattern: false,
        minutes: Some(minutes),
    };
    for wrong in [0, limits::GRANT_MINUTES + 1] {
        ask(&grants, &push, minutes(wrong));
        assert_eq!(grants.list(), [], "{wrong} minutes");
    }
    ask(&grants, &push, minutes(10));
    assert!(answers(&grants, &push));
    PASSED.store(599, Ordering::SeqCst);
    assert!(answers(&grants, &push));
    // A machine that slept has not stopped the time.
    SLEPT.store(1, Ordering::SeqCst);
    assert!(!answers(&grants, &push));
    assert_eq!(grants.list()[0].state, GrantState::Expired);
    assert_eq!(grants.revoke("g1"), None, "it is over");
    ask(&grants, &push, EXACT);
    assert!(answers(&grants, &push));
    let revoked = grants.revoke("g2").unwrap();
    assert_eq!(
        (revoked.id.as_str(), revoked.state),
        ("g2", GrantState::Revoked)
    );
    assert!(!answers(&grants, &push));
    assert_eq!(grants.revoke("g2"), None);
    assert_eq!(grants.revoke("g9"), None);
}

#[test]
fn nothing_is_granted_that_was_not_offered() {
    let grants = Grants::new(clocks);
    let push = bash("git push origin main");
    // No pattern is certain.
    ask(&grants, &push, PATTERN);
    assert_eq!(grants.list(), []);
    let (ruling, digests) = &push;
    let standing = grants.standing(&ruling.questions, *digests);
    assert!(grants.given(&standing, None, ALICE, EXACT).is_empty());
    // There is an end to them.
    for number in 0..limits::GRANTS + 8 {
        ask(&grants, &bash(&format!("git push origin b{number}")), EXACT);
    }
    assert_eq!(grants.list().len(), limits::GRANTS);
    assert_eq!(ask(&grants, &bash("git push origin more"), EXACT), None);
}
