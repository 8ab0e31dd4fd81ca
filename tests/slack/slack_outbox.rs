//! A card is posted without buttons, made durable, and then armed: what is lost, what fails and what is forged in
//! between decides nothing, leaves no buttons behind, and keeps no order upside down.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{asking, slack};

use std::fs;
use std::time::Duration;

use agp::channels::slack::Reason;
use agp::contracts::channel::{Answer, Channel};
use agp::contracts::event::{Draft, Kind};
use asking::{
    ALICE, Asking, BOB, LIVE, LONG, STRANGER, allow, asking, denied_by, deny, directory, given,
    granted_by, started_in,
};
use serde_json::{Value, json};
use slack::{Click, Fault, Moment, OWN_USER, SlackDouble};

fn unreachable(answer: Answer) -> String {
    match answer {
        Answer::Unreachable(why) => why,
        other => panic!("{other:?}"),
    }
}

fn entries(asking: &Asking) -> Vec<Value> {
    let text = fs::read_to_string(asking.outbox()).unwrap();
    let outbox: Value = serde_json::from_str(&text).unwrap();
    outbox["entries"].as_array().unwrap().clone()
}

#[test]
fn a_card_has_no_buttons_before_the_outbox_has_it() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let outbox = asking.outbox();
    // What the outbox has when the buttons are asked for, and whether the message has any.
    let (seen, saw) = std::sync::mpsc::channel();
    double.at(
        "chat.update",
        &["\"type\":\"actions\""],
        Moment::Doing,
        move || {
            seen.send(fs::read_to_string(&outbox).unwrap()).unwrap();
        },
    );
    let asked = asking.request("m1", "ls", LONG);
    let kept = saw.recv().unwrap();
    let card = double.card(0);
    assert!(kept.contains(&card.ts), "{kept}");
    let first = card.message.to_string();
    assert!(
        first.contains("Preparing the buttons") && first.contains("│ ls"),
        "{first}"
    );
    let click = allow(&double, 0, ALICE);
    let nonce = click.0["actions"][0]["value"].as_str().unwrap();
    assert!(!first.contains(nonce));
    double.click(&click);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    double.closed_card(0);
    double.wait("an empty outbox", |_| {
        entries(&asking).is_empty().then_some(())
    });
}

#[test]
fn a_post_whose_answer_is_lost_is_posted_anew_and_one_copy_is_armed() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    for (number, lost) in [
        Fault::DoneButFailed,
        Fault::Code("fatal_error"),
        Fault::Half,
        Fault::Late(Duration::from_secs(11)),
    ]
    .into_iter()
    .enumerate()
    {
        let before = double.messages().len();
        double.fault("chat.postMessage", lost);
        let asked = asking.request(&format!("m{number}"), "ls", LONG);
        double.click(&allow(&double, number, ALICE));
        assert_eq!(asked.join().unwrap(), granted_by(ALICE));
        double.closed_card(number);
        let copies = double.messages().split_off(before);
        assert!(copies.len() <= 2);
        assert_eq!(copies.iter().filter(|copy| copy.was_armed()).count(), 1);
    }
    assert!(double.armed().is_empty());
}

#[test]
fn a_post_that_is_lost_twice_leaves_two_copies_that_can_do_nothing_and_is_denied() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    double.fault_always("chat.postMessage", Some(Fault::DoneButFailed));
    let asked = asking.request("m1", "ls", LONG);
    let why = unreachable(asked.join().unwrap());
    assert!(why.contains("cannot post the request"), "{why}");
    assert_eq!(double.messages().len(), 2);
    assert!(double.cards().is_empty());
    asking.rejected(&[]);
}

#[test]
fn buttons_whose_answer_is_lost_are_asked_for_again_on_the_same_card() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    double.fault("chat.update", Fault::DoneButFailed);
    double.fault("chat.update", Fault::Status(502));
    let asked = asking.request("m1", "ls", LONG);
    double.click(&deny(&double, 0, BOB));
    assert_eq!(asked.join().unwrap(), denied_by(BOB));
    double.closed_card(0);
    assert_eq!((double.cards().len(), double.messages().len()), (1, 1));
    // Refused for good: there is nothing to click on, and the call is denied at once.
    double.fault("chat.update", Fault::Code("cant_update_message"));
    let why = unreachable(asking.request("m2", "ls", LONG).join().unwrap());
    assert!(why.contains("cannot add the buttons"), "{why}");
    assert_eq!(double.cards().len(), 1);
}

#[test]
fn what_the_outbox_cannot_keep_gets_no_buttons() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    fs::write(asking.outbox(), "{").unwrap();
    let why = unreachable(asking.request("m1", "ls", LONG).join().unwrap());
    assert!(why.contains("cannot keep the request"), "{why}");
    assert!(asking.warned("outbox.json"));
    let said = double.wait("the end", |double| {
        let messages = double.messages();
        (messages[0].said("nobody could answer") == 1).then_some(messages)
    });
    assert!(!said[0].was_armed());
}

/// A click on a card of `ts`, that names this home and another session.
fn stale(of: &Click, ts: &str) -> Click {
    let nonce = "f".repeat(32);
    of.clone()
        .with("/container/message_ts", json!(ts))
        .with("/message/ts", json!(ts))
        .with("/actions/0/value", json!(nonce))
        .with(
            "/actions/0/block_id",
            json!(format!("agp.home.s-long-over.{nonce}")),
        )
}

#[test]
fn a_click_on_a_card_of_a_session_long_over_takes_its_buttons_off() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    let own = allow(&double, 0, ALICE);
    // Cards that no outbox has, each by the bot's own hand.
    let cards: Vec<String> = (0..4)
        .map(|number| double.plant(&format!("stale-{number}")))
        .collect();
    let is_armed = |at: usize| {
        let all = double.armed();
        all.iter().any(|card| card.ts == cards[at])
    };
    // Whoever else posted it, in another channel, of another home, of a session that runs: not to be changed.
    for (number, click) in [
        stale(&own, &cards[0]).with("/message/user", json!("U0OTHER")),
        stale(&own, &cards[0])
            .with("/container/channel_id", json!("C0OTHER"))
            .with("/channel/id", json!("C0OTHER")),
        stale(&own, &cards[0]).with(
            "/actions/0/block_id",
            json!(format!("agp.elsewhere.s-1.{}", "f".repeat(32))),
        ),
        stale(&own, &cards[0]).with(
            "/actions/0/block_id",
            json!(format!("agp.home.{LIVE}.{}", "f".repeat(32))),
        ),
        stale(&own, &cards[1]),
        stale(&own, &cards[2]).with("/user/id", json!(STRANGER)),
    ]
    .iter()
    .enumerate()
    {
        double.click(click);
        let reasons = [Reason::UnknownNonce, Reason::Stranger];
        let expected: Vec<Reason> = (0..=number)
            .map(|at| reasons[usize::from(at == 5)])
            .collect();
        asking.rejected(&expected);
    }
    double.wait("two cards without buttons", |_| {
        (!is_armed(1) && !is_armed(2)).then_some(())
    });
    let over = double
        .messages()
        .into_iter()
        .find(|card| card.ts == cards[1]);
    assert_eq!(over.unwrap().said("Expired: the session ended"), 1);
    assert!(is_armed(0) && is_armed(3));
    // The card that is waited for has its buttons still, whatever is clicked elsewhere.
    double.click(&own);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    assert_eq!(own.0["message"]["user"], OWN_USER);
}

fn denial(reason: &str) -> Vec<Draft> {
    let payload = json!({"tool": "Bash", "ruleId": "deny-bash", "reason": reason});
    vec![Draft::new(
        Kind::ToolCallDeny,
        payload.as_object().unwrap().clone(),
    )]
}

fn ended() -> Vec<Draft> {
    let payload = json!({"end": "success"});
    vec![Draft::new(
        Kind::SessionEnded,
        payload.as_object().unwrap().clone(),
    )]
}

#[test]
fn the_end_is_said_behind_every_denial_whatever_slack_limits() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    double.card(0);
    // The edit that says "Denied" has to wait, and nothing else would.
    double.fault("chat.update", Fault::RateLimited(3));
    double.click(&deny(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), denied_by(ALICE));
    asking.slack().mirror(denial("one"));
    asking.slack().mirror(denial("two"));
    asking.slack().mirror(ended());
    // The end of the session waits for what is still to be said.
    drop(asking);
    let messages = double.messages();
    let at = |part: &str| {
        let found = messages.iter().find(|message| message.said(part) > 0);
        found.unwrap_or_else(|| panic!("{part}: {messages:#?}")).at
    };
    assert!(at("denied by policy") < at("The session has ended."));
    assert_eq!(
        messages
            .iter()
            .filter(|message| message.said("(2 times)") > 0)
            .count(),
        1
    );
    let edited = double.edited(&double.cards()[0].ts);
    assert!(edited < at("denied by policy"), "the edit came first");
}

#[test]
fn what_was_left_is_said_by_the_next_start_in_its_order() {
    let double = SlackDouble::start();
    let directory = directory();
    let start = || started_in(&directory, given(&double, &[ALICE, BOB], 1)).unwrap();
    let first = start();
    let asked = first.request("m1", "ls", LONG);
    let click = deny(&double, 0, ALICE);
    for method in ["chat.update", "chat.postMessage"] {
        double.fault_always(method, Some(Fault::RateLimited(600)));
    }
    double.click(&click);
    assert_eq!(asked.join().unwrap(), denied_by(ALICE));
    first.slack().mirror(denial("one"));
    first.slack().mirror(ended());
    // Nothing can be said in time: the end does not wait for it.
    let _ = first.end();
    for method in ["chat.update", "chat.postMessage"] {
        double.fault_always(method, None);
    }
    assert_eq!(double.armed().len(), 1);
    let second = start();
    double.wait("all of it", |_| entries(&second).is_empty().then_some(()));
    assert!(double.armed().is_empty());
    let messages = double.messages();
    let at = |part: &str| {
        let all = messages.iter().filter(|message| message.said(part) > 0);
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), 1, "{part}");
        all[0].at
    };
    assert!(double.edited(&double.cards()[0].ts) < at("denied by policy"));
    assert!(at("denied by policy") < at("The session has ended."));
    drop(second);
}

#[test]
fn an_installation_for_a_whole_organisation_is_refused_with_words() {
    let double = SlackDouble::start();
    for identity in [
        json!({"is_enterprise_install": true}),
        json!({"team_id": "E0ORG"}),
    ] {
        double.say_identity(identity);
        let error = asking::started(given(&double, &[ALICE], 1)).err().unwrap();
        assert!(error.problem.contains("Enterprise Grid"), "{error:?}");
        assert!(error.mend.contains("one workspace"), "{error:?}");
    }
    assert_eq!(double.sockets(), 0);
}
