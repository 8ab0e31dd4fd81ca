//! Approvals in Slack, against a double that is stricter than Slack: only the right person, once, for
//! exactly this call. Each answer is what the journal says of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{asking, slack};

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use agp::channels::slack::Reason;
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, ApprovalTerms, Channel, Scope};
use agp::contracts::event::{ApprovalBinding, Draft, Kind};
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::question;
use agp::contracts::verdict::{Decision, Verdict};
use agp::contracts::view::CallView;
use agp::journal::args_sha256;
use asking::{
    ALICE, Asking, BOB, LONG, Rule, STRANGER, allow, asking, denied_by, deny, given, granted_by,
    person, started,
};
use serde_json::{Map, json};
use slack::{Click, Fault, OWN_USER, SlackDouble, TEAM};

#[test]
fn an_approver_allows_and_another_denies_and_the_messages_say_so() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let (first, second) = (
        asking.request("m1", "ls", LONG),
        asking.request("m2", "rm x", LONG),
    );
    let of = |part: &str| {
        (0..2)
            .find(|at| double.card(*at).text().contains(part))
            .unwrap()
    };
    let (m1, m2) = (of("│ ls"), of("rm x"));
    // Crosswise: the one asked last is answered first.
    double.click(&deny(&double, m2, BOB));
    assert_eq!(second.join().unwrap(), denied_by(BOB));
    double.click(&allow(&double, m1, ALICE));
    assert_eq!(first.join().unwrap(), granted_by(ALICE));
    let closed = double.closed_card(m2);
    assert!(
        closed.text().contains("by bob (slack U0BOB)"),
        "{}",
        closed.text()
    );
    assert!(
        double
            .closed_card(m1)
            .text()
            .contains("by alice (slack U0ALICE)")
    );
    asking.rejected(&[]);
}

/// Asks the channel alone: nobody records what it answers.
fn ask_unrecorded(asking: &Asking) -> thread::JoinHandle<Answer> {
    let slack = Arc::clone(asking.slack());
    thread::spawn(move || {
        let call = ToolCall {
            id: MessageId::new("m1").unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: Map::new(),
            actor: Actor::ClaudeProcess,
        };
        let verdict = Verdict {
            decision: Decision::Require,
            reason: "writes need a person".into(),
            rule_id: Some("ask-bash".into()),
            tier: None,
        };
        let digest = args_sha256(&call.args);
        let question = Arc::new(question::Question::new(
            question::Asking {
                number: 1,
                call: Arc::new(call),
                verdict,
                terms: ApprovalTerms::default(),
                approvers: Vec::new(),
                offer: None,
                view: CallView::default(),
                args_sha256: digest,
                reading_sha256: digest,
                deadline: LONG,
                queue: LONG,
            },
            1,
        ));
        slack.show(&question).unwrap();
        question.wait()
    })
}

#[test]
fn a_message_says_how_it_ended_no_sooner_than_the_journal() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = ask_unrecorded(&asking);
    double.click(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    // Two edits could have been made by now.
    thread::sleep(Duration::from_secs(2));
    assert!(double.card(0).button("allow").is_some());
    let payload = Map::from_iter([("messageId".to_owned(), json!("m1"))]);
    asking.slack().mirror(vec![Draft {
        on_behalf_of: Some(person(ALICE)),
        ..Draft::new(Kind::ApprovalGranted, payload)
    }]);
    assert!(
        double
            .closed_card(0)
            .text()
            .contains("by alice (slack U0ALICE)")
    );
}

#[test]
fn a_click_that_is_not_the_approvers_own_on_this_very_request_is_rejected_and_burns_nothing() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let one = asking.request("m1", "one", LONG);
    double.card(0);
    let other = asking.request("m2", "two", LONG);
    let other_value = double.card(1).button("allow").unwrap().value;
    let good = allow(&double, 0, ALICE);
    let cases = [
        (
            good.clone().with("/user/id", json!(STRANGER)),
            Reason::Stranger,
        ),
        (
            good.clone().with("/user/team_id", json!("T0OTHER")),
            Reason::OtherTeam,
        ),
        (
            good.clone().with(
                "/user",
                json!({"id": ALICE, "team_id": TEAM, "is_bot": true}),
            ),
            Reason::Bot,
        ),
        (good.clone().with("/user/id", json!(OWN_USER)), Reason::Bot),
        (good.clone().with("/user/id", json!("B0BOT")), Reason::Bot),
        (
            good.clone().with("/api_app_id", json!("A0OTHER")),
            Reason::OtherApp,
        ),
        (
            good.clone().with("/actions/0/value", json!(other_value)),
            Reason::OtherMessage,
        ),
        (
            good.clone().with("/actions/0/value", json!("0".repeat(32))),
            Reason::UnknownNonce,
        ),
        (
            good.clone().with("/actions/0/value", json!("")),
            Reason::UnknownNonce,
        ),
        (
            good.clone().with("/actions/0/block_id", json!("b")),
            Reason::OtherBlock,
        ),
        (
            good.clone().with("/actions/0/action_id", json!("approve")),
            Reason::UnknownAction,
        ),
        (
            good.clone()
                .with("/container/channel_id", json!("C0OTHER"))
                .with("/channel/id", json!("C0OTHER")),
            Reason::OtherChannel,
        ),
        (
            good.clone().with("/channel/id", json!("C0OTHER")),
            Reason::OtherChannel,
        ),
        (
            good.clone()
                .with("/container/message_ts", json!("1.1"))
                .with("/message/ts", json!("1.1")),
            Reason::OtherMessage,
        ),
    ];
    let mut reasons = Vec::new();
    for (click, reason) in &cases {
        let id = double.click(click);
        double.acked(&id);
        reasons.push(*reason);
        asking.rejected(&reasons);
    }
    assert!(!one.is_finished() && !other.is_finished());
    // Told in a whisper, in agp's own words.
    let told = double.wait("a whisper", |double| double.ephemerals().first().cloned());
    assert_eq!(told["user"], STRANGER);
    assert!(told["text"].as_str().unwrap().contains("not an approver"));

    let id = double.click(&good);
    assert_eq!(one.join().unwrap(), granted_by(ALICE));
    double.click(&deny(&double, 1, BOB));
    assert_eq!(other.join().unwrap(), denied_by(BOB));
    // Once more, by double click and by replay.
    double.click(&good);
    double.deliver(0, &id, &good);
    reasons.extend([Reason::Decided, Reason::Replayed]);
    asking.rejected(&reasons);
    let recorded = asking.events("approval.rejected");
    for (event, (click, _)) in recorded.iter().zip(&cases) {
        let user = &click.0["user"]["id"];
        assert_eq!(&event["payload"]["user"], user, "who tried");
    }
    let of = |at: usize, part: &str| recorded[at]["payload"][part].clone();
    let last = recorded.len() - 1;
    assert_eq!(of(last, "messageId"), "m1");
    assert_eq!(
        of(last, "argsSha256"),
        asking.events("tool_call.require")[0]["payload"]["argsSha256"]
    );
    assert_eq!(
        (of(1, "team"), of(1, "user")),
        (json!("T0OTHER"), json!(ALICE))
    );
    assert_eq!(
        of(6, "messageId"),
        "m2",
        "another request's nonce names that request"
    );
}

#[test]
fn a_quorum_is_of_different_people_and_one_deny_denies() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 2)).unwrap();
    let both = asking.request("m1", "deploy", LONG);
    double.click(&allow(&double, 0, ALICE));
    let progress = double.wait("progress", |double| {
        let card = double.card(0);
        card.text()
            .contains("by alice (slack U0ALICE)")
            .then_some(card)
    });
    assert!(progress.button("allow").is_some());
    let text = progress.now()["text"].as_str().unwrap();
    assert!(
        text.starts_with("1 of 2 approvals; the last by alice"),
        "{text}"
    );
    double.click(&allow(&double, 0, ALICE));
    asking.rejected(&[Reason::Voted]);
    assert!(!both.is_finished());
    double.click(&allow(&double, 0, BOB));
    let by = format!("{}, {}", person(ALICE), person(BOB));
    let binding = ApprovalBinding::SlackNonce;
    assert_eq!(
        both.join().unwrap(),
        Answer::Granted {
            by,
            binding,
            scope: Scope::Once
        }
    );

    let refused = asking.request("m2", "deploy", LONG);
    double.click(&allow(&double, 1, ALICE));
    double.click(&deny(&double, 1, BOB));
    assert_eq!(refused.join().unwrap(), denied_by(BOB));
}

#[test]
fn an_approval_for_the_session_is_of_the_same_call_under_a_rule_that_has_it() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 1)).unwrap();
    let terms = Rule {
        for_session: true,
        ..Rule::default()
    };
    let test = || json!({"command": "cargo test"});
    let first = asking.request_under("m1", test(), terms);
    double.click(&Click::of(
        &double.card(0).button("allow-session").unwrap(),
        ALICE,
    ));
    assert_eq!(first.join().unwrap(), granted_by(ALICE));
    let again = asking.request_under("m2", test(), terms);
    let by = person(ALICE);
    let binding = ApprovalBinding::SessionGrant;
    assert_eq!(
        again.join().unwrap(),
        Answer::Granted {
            by,
            binding,
            scope: Scope::Once
        }
    );
    assert_eq!(double.cards().len(), 1);
    let granted = asking.events("approval.granted");
    let given = json!([{
        "id": "g1", "rule": "ask-bash", "covers": "exactly this call of Bash", "until": null,
    }]);
    assert_eq!(granted[0]["payload"]["givesGrants"], given);
    assert_eq!(granted[1]["payload"]["usesGrants"], json!(["g1"]));

    // Other arguments are asked about, and so is the same call under a rule that has no such thing,
    // where the button does not exist and a forged one does nothing.
    let other = asking.request_under("m3", json!({"command": "cargo test; x"}), terms);
    double.click(&allow(&double, 1, BOB));
    assert_eq!(other.join().unwrap(), granted_by(BOB));
    let once = asking.request("m4", "cargo test", LONG);
    assert!(double.card(2).button("allow-session").is_none());
    let forged = allow(&double, 2, ALICE).with("/actions/0/action_id", json!("allow-session"));
    double.click(&forged);
    asking.rejected(&[Reason::UnknownAction]);
    double.click(&deny(&double, 2, ALICE));
    assert_eq!(once.join().unwrap(), denied_by(ALICE));
    // An approval for once stays one.
    let twice = asking.request_under("m5", json!({"command": "cargo test; x"}), terms);
    double.click(&deny(&double, 3, ALICE));
    assert_eq!(twice.join().unwrap(), denied_by(ALICE));
    asking.hang_up();
    let late = asking.request_under("m6", test(), terms);
    assert!(matches!(late.join().unwrap(), Answer::Unreachable(_)));
}

#[test]
fn a_rule_names_who_approves_and_each_of_its_groups_has_one_of_them() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let named = |approvers| Rule {
        approvers,
        ..Rule::default()
    };
    // Alice may approve in general, and is in no list of this rule: hers alone is not enough.
    let leads = asking.request_under("m1", json!({"command": "deploy"}), named(&["@leads"]));
    double.click(&allow(&double, 0, ALICE));
    double.wait("whom it waits for", |double| {
        let text = double.card(0).text();
        text.contains("@leads must approve, too").then_some(())
    });
    double.click(&allow(&double, 0, BOB));
    let both = format!("{}, {}", person(ALICE), person(BOB));
    assert!(matches!(leads.join().unwrap(), Answer::Granted { by, .. } if by == both));
    // Who is in a list of the rule need be in no other.
    let owners = asking.request_under("m2", json!({"command": "deploy"}), named(&["@owners"]));
    double.click(&allow(&double, 1, STRANGER));
    assert_eq!(owners.join().unwrap(), granted_by(STRANGER));
    let elsewhere = asking.request_under("m3", json!({"command": "deploy"}), named(&["@leads"]));
    double.click(&allow(&double, 2, STRANGER));
    asking.rejected(&[Reason::Stranger]);
    double.click(&deny(&double, 2, BOB));
    assert_eq!(elsewhere.join().unwrap(), denied_by(BOB));
    // Nobody of this list can be asked in Slack.
    let account = asking.request_under("m4", json!({"command": "deploy"}), named(&["user:alice"]));
    let Answer::Unreachable(why) = account.join().unwrap() else {
        panic!("an account is nobody in Slack");
    };
    assert!(why.contains("user:alice"), "{why}");
    assert_eq!(double.cards().len(), 3);
}

#[test]
fn whoever_denies_can_say_why_and_the_journal_has_it() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "git push", LONG);
    let with_reason = double.card(0).button("deny-with-reason").unwrap();
    let clicked = Instant::now();
    double.click(&Click::of(&with_reason, ALICE));
    let form = double.wait("a form", |double| double.views().first().cloned());
    assert!(clicked.elapsed() < Duration::from_secs(2));
    assert!(!asked.is_finished());
    // Whoever may not approve may not deny either, and nobody does so with another card's name.
    double.click(&Click::sent(&form, STRANGER, "no"));
    let other = Click::sent(&form, BOB, "no").with("/view/private_metadata", json!("x/y"));
    double.click(&other);
    asking.rejected(&[Reason::Stranger, Reason::UnknownNonce]);
    let sent = Click::sent(&form, ALICE, "not on Fridays,\n<!here>");
    let id = double.click(&sent);
    let denied = Answer::Denied {
        by: person(ALICE),
        binding: ApprovalBinding::SlackNonce,
        reason: Some("not on Fridays, <!here>".into()),
    };
    assert_eq!(asked.join().unwrap(), denied);
    double.deliver(0, &id, &sent);
    double.click(&sent);
    asking.rejected(&[
        Reason::Stranger,
        Reason::UnknownNonce,
        Reason::Replayed,
        Reason::Decided,
    ]);
    double.closed_card(0);
}

#[test]
fn a_form_that_did_not_open_denies_nothing_and_allows_nothing() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", &"echo hi; ".repeat(1000), LONG);
    let card = double.card(0);
    let with_reason = card.button("deny-with-reason").unwrap();
    double.fault("views.open", Fault::Code("expired_trigger_id"));
    double.click(&Click::of(&with_reason, ALICE));
    let told = double.wait("a whisper", |double| double.ephemerals().first().cloned());
    assert!(told["text"].as_str().unwrap().contains("Click again"));
    // One that did open is not the whole of the call.
    double.click(&Click::of(&with_reason, ALICE));
    double.wait("a form", |double| double.views().first().map(drop));
    double.click(&allow(&double, 0, ALICE));
    asking.rejected(&[Reason::NotSeen]);
    double.click(&deny(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), denied_by(ALICE));
}

#[test]
fn a_rule_can_ask_for_more_people_than_the_configuration() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let terms = |people| Rule {
        required: Some(people),
        ..Rule::default()
    };
    let both = asking.request_under("m1", json!({"command": "deploy"}), terms(2));
    double.click(&allow(&double, 0, BOB));
    double.wait("progress", |double| {
        double.card(0).text().contains("1 of 2").then_some(())
    });
    double.click(&allow(&double, 0, ALICE));
    assert!(matches!(both.join().unwrap(), Answer::Granted { .. }));
    let three = asking.request_under("m2", json!({"command": "deploy"}), terms(3));
    let Answer::Unreachable(why) = three.join().unwrap() else {
        panic!("two are not three");
    };
    assert!(
        why.contains("3 approvals, but slack.approvers lists 2"),
        "{why}"
    );
}

#[test]
fn nobody_in_time_is_no_refusal_and_a_late_click_is_rejected() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", Duration::from_secs(2));
    let late = allow(&double, 0, ALICE);
    assert_eq!(asked.join().unwrap(), Answer::TimedOut);
    double.click(&late);
    asking.rejected(&[Reason::Expired]);
    assert!(
        double
            .closed_card(0)
            .text()
            .contains("*Expired*: no answer")
    );
}

#[test]
fn a_part_of_a_call_is_not_approved_before_all_of_it_was_opened() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let token = "xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx";
    let command = format!(
        "{}; tail-of-it <!here> ``` {token}",
        "echo hi; ".repeat(1000)
    );
    let asked = asking.request("m1", &command, LONG);
    let card = double.card(0);
    assert!(!card.text().contains("tail-of-it"));
    double.click(&allow(&double, 0, ALICE));
    asking.rejected(&[Reason::NotSeen]);
    double.click(&Click::of(&card.button("details").unwrap(), ALICE));
    let view = double
        .wait("a modal", |double| double.views().first().cloned())
        .to_string();
    assert!(view.contains("tail-of-it &lt;!here&gt;"), "{view}");
    assert!(!view.contains(token));
    // What one has seen, another has not.
    double.click(&allow(&double, 0, BOB));
    asking.rejected(&[Reason::NotSeen, Reason::NotSeen]);
    double.click(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));

    // What Slack cannot show whole nobody can allow there. Whoever is at a terminal can, and anybody can deny.
    let asked = asking.request("m2", &"x".repeat(300_000), LONG);
    let card = double.card(1);
    assert!(card.text().contains("agp attend s-1"), "{}", card.text());
    for action in ["allow", "details"] {
        assert!(card.button(action).is_none());
        let forged = deny(&double, 1, ALICE).with("/actions/0/action_id", json!(action));
        double.click(&forged);
    }
    let (not_seen, too_long) = (Reason::NotSeen, Reason::TooLong);
    asking.rejected(&[not_seen, not_seen, too_long, too_long]);
    assert!(!asked.is_finished());
    double.click(&deny(&double, 1, ALICE));
    assert_eq!(asked.join().unwrap(), denied_by(ALICE));
}

#[test]
fn what_the_agent_says_is_never_live_in_slack() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let args = json!({
        "command": "```\n*Allow* <!channel> <@U1> <https://x.example|safe> &lt; \u{202e}evil\u{200b}",
        "<!here>\nrule": ["`x`", "\u{2066}"],
        "empty": "",
    });
    let asked = asking.request_with("m1", args, LONG);
    // The double refuses what is live or hidden.
    let text = double.card(0).text();
    for part in [
        "&lt;!channel&gt;",
        "\\\\u{202e}evil\\\\u{200b}",
        "\\\\u{60}x",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    double.click(&deny(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), denied_by(ALICE));
}

#[test]
fn a_click_that_is_faster_than_slacks_own_answer_counts() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let pause = Duration::from_millis(500);
    double.fault("chat.update", Fault::Late(pause));
    let asked = asking.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    let wrong = click
        .clone()
        .with("/container/message_ts", json!("1.1"))
        .with("/message/ts", json!("1.1"));
    // Both wait for Slack to say that the buttons are there, and are judged then.
    for click in [&wrong, &click] {
        let id = double.click(click);
        double.acked(&id);
    }
    assert!(!asked.is_finished());
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    asking.rejected(&[Reason::OtherMessage]);
}
