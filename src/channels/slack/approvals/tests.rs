//! Each thing that a click is held against, by itself: no Slack, no connection, no clock but the request's.

use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::channels::slack::card::{Offers, Text};
use crate::contracts::approver::{Approver, ApproverList};
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::channel::{Answer, Scope};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::ids::SessionId;
use crate::contracts::question::Asking;
use crate::contracts::verdict::Verdict;

/// How a click of U1's on the request differs.
type Change = fn(&mut Click);

fn approvals() -> Approvals {
    Approvals::new(Authority {
        team: "T1".into(),
        own_user: "U0".into(),
        app: "A1".into(),
        channel: "C1".into(),
        home: "h1".into(),
        approvers: ["U0", "U1", "U2"].map(str::to_owned).into(),
        required: 1,
    })
}

fn question(deadline: Duration) -> Arc<Question> {
    let call = ToolCall {
        id: MessageId::new("t1").unwrap(),
        session: SessionId::new("s1").unwrap(),
        tool: "Bash".into(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    };
    let asking = Asking {
        deadline,
        queue: Duration::ZERO,
        ..Asking::about(call, Verdict::refused("because"))
    };
    Arc::new(Question::new(asking, 1))
}

fn request(nonce: &str) -> NewRequest {
    NewRequest {
        nonce: nonce.into(),
        block: format!("block-{nonce}"),
        question: question(Duration::from_secs(60)),
        modal: Some(Value::Null),
        text: Text::default(),
        offers: Offers::default(),
        blocks: Value::Null,
        body: Value::Null,
        partial: false,
        required: 1,
    }
}

/// Opens it, and has it stand in Slack with its buttons.
fn open(approvals: &Approvals, request: NewRequest) -> Arc<Question> {
    let nonce = request.nonce.clone();
    let ended = Arc::clone(&request.question);
    approvals.open(request).unwrap();
    let posted = Posted {
        channel: "C1".into(),
        ts: nonce.clone(),
    };
    assert_eq!(approvals.posted(&nonce, posted), Ok(()));
    assert!(approvals.arming(&nonce).is_some());
    assert_eq!(approvals.armed(&nonce), Vec::new());
    ended
}

fn click(nonce: &str, user: &str, action: &str) -> Click {
    Click {
        envelope: format!("{nonce}-{user}-{action}"),
        app: "A1".into(),
        user: user.into(),
        name: user.to_lowercase(),
        team: "T1".into(),
        is_bot: false,
        channel: "C1".into(),
        message: nonce.into(),
        author: "U0".into(),
        block: format!("block-{nonce}"),
        action: action.into(),
        value: nonce.into(),
        trigger: String::new(),
        form: None,
    }
}

/// A form that was opened from the request's card.
fn form(nonce: &str, user: &str, text: &str) -> Click {
    Click {
        channel: String::new(),
        message: String::new(),
        form: Some(text.into()),
        ..click(nonce, user, "send-reason")
    }
}

fn rejected(effect: Effect) -> Reason {
    match effect {
        Effect::Rejected(rejection) => rejection.reason,
        other => panic!("{other:?}"),
    }
}

fn decided(effect: &Effect) -> bool {
    matches!(effect, Effect::Decided { .. })
}

fn answer(ended: &Question) -> Answer {
    ended.answer().unwrap()
}

#[test]
fn an_allow_is_an_approvers_own_on_this_very_request() {
    let changes: [(Change, Reason); 11] = [
        (|click| click.app = "A2".into(), Reason::OtherApp),
        (|click| click.team = "T2".into(), Reason::OtherTeam),
        (|click| click.is_bot = true, Reason::Bot),
        // agp's own, though it is on the list.
        (|click| click.user = "U0".into(), Reason::Bot),
        (|click| click.user = "U9".into(), Reason::Stranger),
        (|click| click.value = "n9".into(), Reason::UnknownNonce),
        (|click| click.channel = "C2".into(), Reason::OtherChannel),
        (|click| click.message = "n2".into(), Reason::OtherMessage),
        (|click| click.block = "block-n2".into(), Reason::OtherBlock),
        (
            |click| click.action = "allowed".into(),
            Reason::UnknownAction,
        ),
        (
            |click| click.action = "allow-session".into(),
            Reason::UnknownAction,
        ),
    ];
    for (change, reason) in changes {
        let approvals = approvals();
        let ended = open(&approvals, request("n1"));
        let _other = open(&approvals, request("n2"));
        let mut changed = click("n1", "U1", "allow");
        change(&mut changed);
        assert_eq!(rejected(approvals.click(&changed)), reason);
        assert!(ended.answer().is_none(), "{reason:?} decides nothing");
        // It burns nothing either.
        let valid = Click {
            envelope: "another".into(),
            ..click("n1", "U1", "allow")
        };
        assert!(decided(&approvals.click(&valid)), "{reason:?}");
        assert!(matches!(answer(&ended), Answer::Granted { by, .. } if by == "u1 (slack U1)"));
        assert!(approvals.is_open("n2"));
    }
}

#[test]
fn a_form_that_is_sent_denies_with_its_reason_and_is_judged_like_a_click() {
    let changes: [(Change, Reason); 9] = [
        (|form| form.app = "A2".into(), Reason::OtherApp),
        (|form| form.team = "T2".into(), Reason::OtherTeam),
        (|form| form.is_bot = true, Reason::Bot),
        (|form| form.user = "U9".into(), Reason::Stranger),
        (|form| form.value = "n9".into(), Reason::UnknownNonce),
        (|form| form.block = "block-n2".into(), Reason::OtherBlock),
        // A form allows nothing, and no button sends one.
        (|form| form.action = "allow".into(), Reason::UnknownAction),
        (|form| form.action = "deny".into(), Reason::UnknownAction),
        (|form| form.form = None, Reason::UnknownAction),
    ];
    for (change, reason) in changes {
        let approvals = approvals();
        let ended = open(&approvals, request("n1"));
        let _other = open(&approvals, request("n2"));
        let mut changed = form("n1", "U1", "no");
        change(&mut changed);
        assert_eq!(rejected(approvals.click(&changed)), reason);
        assert!(ended.answer().is_none(), "{reason:?} decides nothing");
    }
    let approvals = approvals();
    let ended = open(&approvals, request("n1"));
    let other = open(&approvals, request("n2"));
    let asks = approvals.click(&click("n1", "U1", "deny-with-reason"));
    let Effect::Form { view } = asks else {
        panic!("{asks:?}");
    };
    assert_eq!(view["private_metadata"], "block-n1/n1");
    assert!(ended.answer().is_none(), "it denies when it is sent");
    let sent = form("n1", "U1", "not on\nFridays");
    assert!(decided(&approvals.click(&sent)));
    let denied = Answer::Denied {
        by: "u1 (slack U1)".into(),
        binding: ApprovalBinding::SlackNonce,
        reason: Some("not on Fridays".into()),
    };
    assert_eq!(answer(&ended), denied);
    // The same delivery again, and the same form again.
    assert_eq!(rejected(approvals.click(&sent)), Reason::Replayed);
    let again = Click {
        envelope: "again".into(),
        ..sent
    };
    assert_eq!(rejected(approvals.click(&again)), Reason::Decided);
    // Without a word it is a refusal all the same.
    assert!(decided(&approvals.click(&form("n2", "U2", " "))));
    assert!(matches!(
        answer(&other),
        Answer::Denied { reason: None, .. }
    ));
}

#[test]
fn a_click_counts_once_the_buttons_are_on_their_way_and_no_sooner() {
    let approvals = approvals();
    let asking = Asking {
        queue: Duration::from_secs(600),
        ..question(Duration::from_secs(60)).asking().clone()
    };
    let question = Arc::new(Question::new(asking, 1));
    let request = NewRequest {
        question: Arc::clone(&question),
        ..request("n1")
    };
    approvals.open(request).unwrap();
    let forged = |envelope: &str| Click {
        envelope: envelope.into(),
        ..click("n1", "U1", "allow")
    };
    // Before it is posted, and while it stands there without buttons.
    assert_eq!(rejected(approvals.click(&forged("e1"))), Reason::NotArmed);
    let posted = Posted {
        channel: "C1".into(),
        ts: "n1".into(),
    };
    assert_eq!(approvals.posted("n1", posted), Ok(()));
    assert_eq!(rejected(approvals.click(&forged("e2"))), Reason::NotArmed);
    // Slack shows the buttons before it says so.
    assert!(approvals.arming("n1").is_some());
    assert_eq!(approvals.click(&forged("e3")), Effect::Parked);
    assert_eq!(question.answer(), None);
    // Nobody could see it before, and its time has not begun.
    assert!(question.left() > question.asking().deadline);
    let early = approvals.armed("n1");
    assert!(question.left() <= question.asking().deadline);
    assert_eq!(early, [forged("e3")]);
    assert!(decided(&approvals.late(&early[0])));
    assert!(matches!(answer(&question), Answer::Granted { .. }));
    // One that is over gets none.
    assert!(approvals.arming("n1").is_none());
}

#[test]
fn only_a_card_of_this_home_by_this_bot_in_this_channel_is_ones_own() {
    let authority = approvals().authority.clone();
    let stale = Click {
        block: "agp.h1.s-9.ff".into(),
        ..click("n9", "U9", "allow")
    };
    let card = authority.own_card(&stale).unwrap();
    assert_eq!(
        (card.session.as_str(), card.posted.ts.as_str()),
        ("s-9", "n9")
    );
    let changes: [Change; 6] = [
        |click| click.app = "A2".into(),
        |click| click.author = "U1".into(),
        |click| click.channel = "C2".into(),
        |click| click.block = "agp.h2.s-9.ff".into(),
        |click| click.block = "block-n9".into(),
        |click| click.message = String::new(),
    ];
    for change in changes {
        let mut other = stale.clone();
        change(&mut other);
        assert_eq!(authority.own_card(&other), None, "{other:?}");
    }
}

#[test]
fn a_click_at_the_deadline_is_too_late_though_nobody_has_closed_the_request() {
    let approvals = approvals();
    let over = NewRequest {
        question: question(Duration::ZERO),
        ..request("n1")
    };
    let ended = open(&approvals, over);
    for action in ["allow", "deny"] {
        let late = click("n1", "U1", action);
        assert_eq!(rejected(approvals.click(&late)), Reason::Expired);
    }
    assert_eq!(
        rejected(approvals.click(&form("n1", "U1", "no"))),
        Reason::Expired
    );
    assert!(ended.answer().is_none());
}

#[test]
fn a_request_is_decided_once() {
    let approvals = approvals();
    let ended = open(&approvals, request("n1"));
    let other = open(&approvals, request("n2"));
    assert!(decided(&approvals.click(&click("n1", "U1", "deny"))));
    assert!(matches!(answer(&ended), Answer::Denied { .. }));
    let second = approvals.click(&click("n1", "U2", "allow"));
    assert_eq!(rejected(second), Reason::Decided);
    assert!(approvals.expire(&ended).is_none(), "it is over already");
    assert!(other.answer().is_none() && approvals.is_open("n2"));
    // The same envelope again is no second click, whatever it would decide.
    let again = Click {
        envelope: "n1-U1-deny".into(),
        ..click("n2", "U1", "allow")
    };
    assert_eq!(rejected(approvals.click(&again)), Reason::Replayed);
}

#[test]
fn as_many_different_people_as_are_required_and_one_refusal_is_enough() {
    let of_two = |nonce: &str| NewRequest {
        required: 2,
        ..request(nonce)
    };
    let approvals = approvals();
    let ended = open(&approvals, of_two("n1"));
    let progress = approvals.click(&click("n1", "U1", "allow"));
    let Effect::Progress { outcome, .. } = progress else {
        panic!("{progress:?}");
    };
    assert_eq!(
        outcome.text(""),
        "1 of 2 approvals; the last by u1 (slack U1)"
    );
    let twice = Click {
        envelope: "twice".into(),
        ..click("n1", "U1", "allow")
    };
    assert_eq!(rejected(approvals.click(&twice)), Reason::Voted);
    assert!(ended.answer().is_none());
    assert!(decided(&approvals.click(&click("n1", "U2", "allow"))));
    let by = match answer(&ended) {
        Answer::Granted { by, .. } => by,
        other => panic!("{other:?}"),
    };
    assert_eq!(by, "u1 (slack U1), u2 (slack U2)");

    let ended = open(&approvals, of_two("n2"));
    approvals.click(&click("n2", "U1", "allow"));
    assert!(decided(&approvals.click(&click("n2", "U2", "deny"))));
    assert!(matches!(answer(&ended), Answer::Denied { by, .. } if by == "u2 (slack U2)"));
}

#[test]
fn what_is_shown_in_part_is_allowed_by_those_who_have_opened_the_rest() {
    let approvals = approvals();
    let part = NewRequest {
        partial: true,
        ..request("n1")
    };
    let ended = open(&approvals, part);
    assert!(approvals.looked("n1", "U2", true).is_empty());
    let unseen = approvals.click(&click("n1", "U1", "allow"));
    assert_eq!(rejected(unseen), Reason::NotSeen);
    assert!(ended.answer().is_none());
    assert!(decided(&approvals.click(&click("n1", "U2", "allow"))));
}

#[test]
fn nothing_opens_once_the_session_is_over() {
    let approvals = approvals();
    approvals.hang_up(&Ended::SessionOver);
    let late = approvals.open(request("n3")).unwrap_err();
    assert!(late.to_string().contains("the session ended"));
}

#[test]
fn where_rules_list_who_may_approve_somebody_of_each_list_must() {
    let list = |name: &str, people: &[&str]| ApproverList {
        names: vec![name.to_owned()],
        people: people
            .iter()
            .map(|user| Approver::Slack((*user).to_owned()))
            .collect(),
    };
    let listed = |lists: Vec<ApproverList>| {
        let mut asking = question(Duration::from_secs(60)).asking().clone();
        asking.approvers = lists;
        NewRequest {
            question: Arc::new(Question::new(asking, 1)),
            ..request("n1")
        }
    };
    let approvals = approvals();
    let ended = open(&approvals, listed(vec![list("@leads", &["U2", "U7"])]));
    // In no list, and no approver.
    let stranger = click("n1", "U6", "allow");
    assert_eq!(rejected(approvals.click(&stranger)), Reason::Stranger);
    // An approver in no list: one of those who must be different, and not enough.
    let other = approvals.click(&click("n1", "U1", "allow"));
    assert!(matches!(other, Effect::Progress { .. }), "{other:?}");
    assert!(ended.answer().is_none());
    // Whom the list has need be no approver otherwise, and is none elsewhere.
    let _elsewhere = open(&approvals, request("n2"));
    let elsewhere = click("n2", "U7", "allow");
    assert_eq!(rejected(approvals.click(&elsewhere)), Reason::Stranger);
    assert!(decided(&approvals.click(&click("n1", "U7", "allow"))));
    let both = "u1 (slack U1), u7 (slack U7)";
    assert!(matches!(answer(&ended), Answer::Granted { by, .. } if by == both));

    // One who is in both lists is enough, where one person is.
    let approvals = self::approvals();
    let both = vec![list("@leads", &["U2"]), list("@ops", &["U2", "U9"])];
    let _ended = open(&approvals, listed(both));
    assert!(decided(&approvals.click(&click("n1", "U2", "allow"))));

    // One of each, though the rules want one approval.
    let approvals = self::approvals();
    let both = vec![list("@leads", &["U2"]), list("@ops", &["U1", "U9"])];
    let ended = open(&approvals, listed(both));
    let progress = approvals.click(&click("n1", "U2", "allow"));
    let Effect::Progress { outcome, .. } = progress else {
        panic!("{progress:?}");
    };
    let text = "1 approval; @ops must approve, too; the last by u2 (slack U2)";
    assert_eq!(outcome.text(""), text);
    assert!(decided(&approvals.click(&click("n1", "U1", "allow"))));
    assert!(matches!(answer(&ended), Answer::Granted { .. }));

    // Whoever approves elsewhere can refuse.
    let approvals = self::approvals();
    let ended = open(&approvals, listed(vec![list("@leads", &["U2"])]));
    assert!(decided(&approvals.click(&click("n1", "U1", "deny"))));
    assert!(matches!(answer(&ended), Answer::Denied { .. }));
}

#[test]
fn what_slack_cannot_show_whole_is_denied_there_and_never_allowed() {
    let approvals = approvals();
    let too_long = NewRequest {
        modal: None,
        offers: Offers {
            exact: true,
            pattern: true,
        },
        ..request("n1")
    };
    let ended = open(&approvals, too_long);
    assert!(approvals.looked("n1", "U1", true).is_empty());
    for action in ["allow", "allow-session", "allow-pattern", "details"] {
        let forged = click("n1", "U1", action);
        assert_eq!(rejected(approvals.click(&forged)), Reason::TooLong);
    }
    assert!(ended.answer().is_none());
    assert!(decided(&approvals.click(&click("n1", "U1", "deny"))));
}

#[test]
fn a_grant_reaches_as_far_as_all_meant_it_and_is_one_that_was_offered() {
    let offering = |exact, pattern| NewRequest {
        offers: Offers { exact, pattern },
        required: 2,
        ..request("n1")
    };
    for (offers, clicks, pattern) in [
        ((true, true), ["allow-pattern", "allow-pattern"], Some(true)),
        (
            (true, true),
            ["allow-pattern", "allow-session"],
            Some(false),
        ),
        ((true, true), ["allow-session", "allow"], None),
    ] {
        let approvals = approvals();
        let ended = open(&approvals, offering(offers.0, offers.1));
        approvals.click(&click("n1", "U1", clicks[0]));
        assert!(decided(&approvals.click(&click("n1", "U2", clicks[1]))));
        let expected = match pattern {
            None => Scope::Once,
            Some(pattern) => Scope::Session {
                pattern,
                minutes: None,
            },
        };
        assert!(
            matches!(answer(&ended), Answer::Granted { scope, .. } if scope == expected),
            "{clicks:?}"
        );
    }
    for (exact, pattern, action) in [
        (false, false, "allow-session"),
        (false, false, "allow-pattern"),
        (true, false, "allow-pattern"),
    ] {
        let approvals = approvals();
        let _ended = open(&approvals, offering(exact, pattern));
        let forged = click("n1", "U1", action);
        assert_eq!(rejected(approvals.click(&forged)), Reason::UnknownAction);
    }
}

#[test]
fn no_vote_at_all_is_no_approval() {
    let none = Ended::Voted(Vec::new()).into_answer();
    assert!(matches!(none, Answer::Unreachable(_)));
}
