//! Each rule of the ledger by itself.

use serde_json::{Map, Value, json};

use super::stream_account::OTHER;
use super::*;
use crate::contracts::intendant::Came;

const ARGS: Sha256 = Sha256([1; 32]);
const ASKED: Args = Args {
    decided: Sha256([3; 32]),
    given: ARGS,
};
const OK: Told = Told {
    ok: true,
    output: Sha256([7; 32]),
    comparable: true,
};

/// Whose word a report is, where commands cannot give it.
const UNFOLLOWED: Word = Word {
    followed: false,
    apart: true,
};
const FOLLOWED: Word = Word {
    followed: true,
    ..UNFOLLOWED
};

fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

fn outline(command: &str) -> Outline {
    let args: Map<String, Value> = json!({"command": command}).as_object().unwrap().clone();
    Outline::of("Bash", &args)
}

fn ask(ledger: &Ledger, name: &str) {
    ledger.ask(&id(name), ASKED, outline(name)).unwrap();
}

/// A call that asks, is decided, and is shown as it asked.
fn decided(ledger: &Ledger, name: &str, allowed: bool) {
    ask(ledger, name);
    ledger.decide(&id(name), allowed);
    assert_eq!(ledger.attempted(name, Some(outline(name)), false), None);
}

fn found(ledger: &Ledger, name: &str, came: Came) -> Option<Finding> {
    ledger.returned(name, came, None, false).0
}

fn bypass(finding: Option<Finding>) -> &'static str {
    match finding {
        Some(Finding::Bypassed(how)) => how,
        other => panic!("{other:?}"),
    }
}

fn odd(finding: Option<Finding>) -> &'static str {
    match finding {
        Some(Finding::Odd(how)) => how,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_asks_once() {
    let ledger = Ledger::default();
    ask(&ledger, "a");
    assert!(ledger.ask(&id("a"), ASKED, outline("a")).is_err());
    ledger.decide(&id("a"), true);
    assert!(ledger.ask(&id("a"), ASKED, outline("a")).is_err());
    assert_eq!(ledger.refuse_replay(&id("a")), 1);
    assert_eq!(ledger.refuse_replay(&id("a")), 2);
    let census = ledger.census();
    assert_eq!((census.decided, census.allowed, census.denied), (3, 1, 2));
}

#[test]
fn a_report_stands_or_falls_with_the_decision_before_it() {
    let ledger = Ledger::default();
    let report = |name: &str, ok| ledger.report(&id(name), ARGS, Told { ok, ..OK }, UNFOLLOWED);
    let how = |standing| match standing {
        Standing::Bypassed(how) => how,
        other => panic!("{other:?}"),
    };
    assert_eq!(how(report("never", true)), "ran without asking");
    ask(&ledger, "a");
    assert_eq!(how(report("a", true)), "ran before the decision");
    ledger.decide(&id("a"), true);
    assert_eq!(report("a", true), Standing::Allowed(ASKED.decided));
    ask(&ledger, "d");
    ledger.decide(&id("d"), false);
    assert_eq!(report("d", false), Standing::DeniedAndFailed);
    assert_eq!(how(report("d", true)), "ran although agp denied it");
    assert_eq!(ledger.census().bypassed, 3);
}

#[test]
fn a_report_alone_is_no_bypass_where_the_harness_is_followed() {
    let ledger = Ledger::default();
    let report = |name: &str| ledger.report(&id(name), ARGS, OK, FOLLOWED);
    let claimed = |standing| matches!(standing, Standing::Claimed(_));
    assert!(claimed(report("never")));
    ask(&ledger, "d");
    assert!(claimed(report("d")), "not decided yet");
    ledger.decide(&id("d"), false);
    assert!(claimed(report("d")));
    decided(&ledger, "a", true);
    assert_eq!(report("a"), Standing::Allowed(ASKED.decided));
    // What the harness is given to run stands in no line of its account: it stands in this alone.
    let other = ledger.report(&id("a"), Sha256([2; 32]), OK, FOLLOWED);
    assert!(matches!(other, Standing::Bypassed(_)));
    assert_eq!(ledger.census().bypassed, 1);
}

#[test]
fn a_report_of_other_arguments_is_a_bypass_also_behind_another_report() {
    let ledger = Ledger::default();
    decided(&ledger, "a", true);
    let other = Sha256([2; 32]);
    let how = Standing::Bypassed("was reported with different arguments than agp decided");
    assert_eq!(ledger.report(&id("a"), other, OK, UNFOLLOWED), how);
    assert_eq!(
        ledger.report(&id("a"), ARGS, OK, UNFOLLOWED),
        Standing::Allowed(ASKED.decided)
    );
    assert_eq!(ledger.report(&id("a"), other, OK, UNFOLLOWED), how);
    // Of what agp itself has added the harness knows nothing.
    assert_eq!(ledger.report(&id("a"), ASKED.decided, OK, UNFOLLOWED), how);
}

#[test]
fn where_commands_can_report_a_report_is_no_bypass_and_nothing_more_runs() {
    let ledger = Ledger::default();
    let commands = |followed| Word {
        followed,
        apart: false,
    };
    let report = |name: &str, args, followed| {
        let standing = ledger.report(&id(name), args, OK, commands(followed));
        matches!(standing, Standing::Unproven(_))
    };
    assert!(report("never", ARGS, false));
    ask(&ledger, "d");
    assert!(report("d", ARGS, false), "not decided yet");
    ledger.decide(&id("d"), false);
    assert!(report("d", ARGS, false));
    decided(&ledger, "a", true);
    for followed in [false, true] {
        assert!(report("a", Sha256([2; 32]), followed));
    }
    assert_eq!(ledger.census().bypassed, 0);
    // What it says of a call that was let through as it was decided it may be.
    let honest = ledger.report(&id("a"), ARGS, OK, commands(true));
    assert_eq!(honest, Standing::Allowed(ASKED.decided));
    // Where the harness's own account is followed, that shows what ran.
    let claimed = ledger.report(&id("never"), ARGS, OK, commands(true));
    assert!(matches!(claimed, Standing::Claimed(_)));
}

#[test]
fn a_second_report_repeats_or_contradicts_the_first() {
    let ledger = Ledger::default();
    decided(&ledger, "a", true);
    let report = |told| ledger.report(&id("a"), ARGS, told, UNFOLLOWED);
    assert_eq!(report(OK), Standing::Allowed(ASKED.decided));
    assert_eq!(report(OK), Standing::Repeated);
    assert_eq!(report(Told { ok: false, ..OK }), Standing::Contradicted);
    let output = Sha256([8; 32]);
    assert_eq!(report(Told { output, ..OK }), Standing::Contradicted);
    let long = Told {
        output,
        comparable: false,
        ..OK
    };
    assert_eq!(report(long), Standing::Repeated, "nobody can tell");
}

#[test]
fn what_the_stream_shows_outweighs_a_report() {
    let forged = Told {
        output: Sha256([9; 32]),
        ..OK
    };
    for (reported, contradicts) in [
        (None, Some(false)),
        (Some(OK), None),
        (Some(forged), Some(true)),
    ] {
        let ledger = Ledger::default();
        decided(&ledger, "a", true);
        if let Some(reported) = reported {
            ledger.report(&id("a"), ARGS, reported, UNFOLLOWED);
        }
        let (finding, account) = ledger.returned("a", Came::Ran, Some(OK), false);
        assert_eq!(finding, None);
        assert_eq!(
            account.as_ref().map(|account| account.contradicts),
            contradicts
        );
        if let Some(account) = account {
            assert_eq!(
                (account.decided, account.tool.as_str()),
                (ASKED.decided, "Bash")
            );
        }
        // A report that comes later is held against what the stream has shown.
        assert_eq!(
            ledger.report(&id("a"), ARGS, OK, UNFOLLOWED),
            Standing::Confirmed
        );
        assert_eq!(
            ledger.report(&id("a"), ARGS, forged, UNFOLLOWED),
            Standing::Contradicted
        );
    }
}

#[test]
fn agp_knows_the_results_of_what_it_runs_itself() {
    let ledger = Ledger::default();
    decided(&ledger, "a", true);
    assert_eq!(
        ledger.returned("a", Came::Ran, Some(OK), true),
        (None, None)
    );
}

#[test]
fn one_decision_covers_one_run() {
    let ledger = Ledger::default();
    decided(&ledger, "a", true);
    assert_eq!(found(&ledger, "a", Came::Ran), None);
    let twice = "returned two results for one decision";
    assert_eq!(bypass(found(&ledger, "a", Came::Ran)), twice);
    assert_eq!(ledger.census().bypassed, 1);
}

#[test]
fn what_ran_was_allowed_before() {
    let ledger = Ledger::default();
    decided(&ledger, "d", false);
    assert_eq!(
        bypass(found(&ledger, "d", Came::Ran)),
        "returned a result although agp denied it"
    );
    ask(&ledger, "u");
    assert_eq!(
        bypass(found(&ledger, "u", Came::Ran)),
        "returned a result before the decision"
    );
    for never in ["never", "never asked"] {
        assert_eq!(
            bypass(found(&ledger, never, Came::Ran)),
            "returned a result without asking"
        );
    }
}

#[test]
fn agps_own_refusals_come_back_and_are_no_bypass() {
    let ledger = Ledger::default();
    decided(&ledger, "d", false);
    assert_eq!(ledger.returned("d", Came::Ran, None, true), (None, None));
    ask(&ledger, "u");
    bypass(ledger.returned("u", Came::Ran, None, true).0);
    decided(&ledger, "a", true);
    ledger.refuse_replay(&id("a"));
    for _ in ["the call", "its replay"] {
        assert_eq!(ledger.returned("a", Came::Ran, None, true).0, None);
    }
    bypass(ledger.returned("a", Came::Ran, None, true).0);
    // Where the harness runs the calls, a replay is blocked, and has not run.
    decided(&ledger, "b", true);
    ledger.refuse_replay(&id("b"));
    assert_eq!(found(&ledger, "b", Came::Ran), None);
    assert_eq!(
        ledger.returned("b", Came::Blocked, Some(OK), false),
        (None, None)
    );
    bypass(found(&ledger, "b", Came::Ran));
}

#[test]
fn what_is_shown_as_another_call_than_was_let_through_ends_the_session_and_is_a_bypass_once_it_ran()
{
    let ledger = Ledger::default();
    for (name, came, bypassed) in [
        ("ran", Came::Ran, 1),
        ("blocked", Came::Blocked, 0),
        ("stopped", Came::Stopped, 0),
        ("refused", Came::Refused, 0),
    ] {
        let before = ledger.census().bypassed;
        ask(&ledger, name);
        ledger.decide(&id(name), true);
        let unlike = ledger.attempted(name, Some(outline("evil")), false);
        assert_eq!(unlike, Some(Unlike(OTHER)));
        assert_eq!(ledger.census().bypassed, before, "{name}: nothing ran yet");
        let finding = found(&ledger, name, came);
        assert_eq!(
            matches!(finding, Some(Finding::Bypassed(OTHER))),
            bypassed == 1,
            "{finding:?}"
        );
        assert_eq!(ledger.census().bypassed, before + bypassed, "{name}");
    }
}

#[test]
fn what_is_shown_while_it_is_decided_is_held_to_the_decision() {
    let ledger = Ledger::default();
    // What was denied, or asks yet, may never run.
    ask(&ledger, "u");
    assert_eq!(ledger.attempted("u", Some(outline("evil")), false), None);
    assert!(ledger.differs(&id("u")));
    ledger.decide(&id("u"), true);
    assert_eq!(ledger.let_through(&id("u")), Some(Unlike(OTHER)));
    assert_eq!(ledger.census().bypassed, 0);
    assert_eq!(bypass(found(&ledger, "u", Came::Ran)), OTHER);
    ask(&ledger, "d");
    ledger.decide(&id("d"), false);
    assert_eq!(ledger.attempted("d", Some(outline("evil")), false), None);
    assert_eq!(found(&ledger, "d", Came::Blocked), None);
    // agp ran what it decided.
    ask(&ledger, "m");
    ledger.decide(&id("m"), true);
    assert_eq!(ledger.attempted("m", Some(outline("evil")), true), None);
    let oddity = ledger.returned("m", Came::Ran, None, true).0;
    assert_eq!(
        odd(oddity),
        "differs from the call that agp decided and ran"
    );
}

#[test]
fn a_call_is_held_to_what_was_shown_before_it_asks() {
    let ledger = Ledger::default();
    assert_eq!(ledger.attempted("a", Some(outline("evil")), false), None);
    ask(&ledger, "a");
    assert!(ledger.differs(&id("a")));
    ledger.decide(&id("a"), true);
    assert_eq!(bypass(found(&ledger, "a", Came::Ran)), OTHER);
    // What is not known is not held against it.
    assert_eq!(ledger.attempted("b", None, false), None);
    ask(&ledger, "b");
    assert!(!ledger.differs(&id("b")));
    ledger.decide(&id("b"), true);
    assert_eq!(found(&ledger, "b", Came::Ran), None);
    assert!(!ledger.differs(&id("never.shown")));
}

#[test]
fn of_two_calls_under_one_id_the_one_that_was_decided_ran() {
    let ledger = Ledger::default();
    decided(&ledger, "a", true);
    assert_eq!(ledger.attempted("a", Some(outline("other")), false), None);
    ledger.refuse_replay(&id("a"));
    assert_eq!(found(&ledger, "a", Came::Blocked), None);
    assert_eq!(found(&ledger, "a", Came::Ran), None);
    // Where the first has come back, what comes back is the other.
    decided(&ledger, "b", true);
    assert_eq!(found(&ledger, "b", Came::Ran), None);
    assert_eq!(ledger.attempted("b", Some(outline("other")), false), None);
    bypass(found(&ledger, "b", Came::Ran));
    decided(&ledger, "c", true);
    assert_eq!(ledger.attempted("c", Some(outline("other")), false), None);
    let both = odd(found(&ledger, "c", Came::Ran));
    assert_eq!(both, "returned a result while others used its ID");
}

#[test]
fn what_did_not_run_is_no_bypass_and_leaves_a_mark_where_nobody_was_asked() {
    let ledger = Ledger::default();
    for (came, mark) in [
        (Came::Refused, None),
        (Came::Blocked, Some("was blocked before the decision")),
        (Came::Stopped, Some("was stopped before the decision")),
    ] {
        ledger.attempted("x", Some(outline("x")), false);
        assert_eq!(ledger.census().seen, 1);
        assert_eq!(
            found(&ledger, "x", came),
            mark.map(Finding::Odd),
            "{came:?}"
        );
        assert_eq!(ledger.census().seen, 0, "over before anybody was asked");
    }
    assert_eq!(ledger.unaccounted(), (vec![], vec![]));
    decided(&ledger, "d", false);
    assert_eq!(found(&ledger, "d", Came::Blocked), None);
    decided(&ledger, "a", true);
    let (finding, account) = ledger.returned("a", Came::Blocked, Some(OK), false);
    assert_eq!(odd(finding), "was blocked although agp allowed it");
    assert!(account.is_some(), "the record has an end of it");
    decided(&ledger, "s", true);
    let (finding, account) = ledger.returned("s", Came::Stopped, Some(OK), false);
    assert!(finding.is_none() && account.is_some());
    assert_eq!(ledger.census().bypassed, 0);
}

#[test]
fn a_missing_result_is_told_from_a_missing_call() {
    let ledger = Ledger::default();
    decided(&ledger, "seen.and.decided", true);
    ledger.attempted("seen.alone", Some(outline("x")), false);
    ledger.attempted("first", Some(outline("first")), false);
    ask(&ledger, "first");
    ledger.decide(&id("first"), true);
    ask(&ledger, "denied.alone");
    ledger.decide(&id("denied.alone"), false);
    ask(&ledger, "allowed.alone");
    ledger.decide(&id("allowed.alone"), true);
    let (open, unseen) = ledger.unaccounted();
    assert_eq!(open, [id("seen.alone")]);
    assert_eq!(unseen, [id("allowed.alone")]);
}
