//! Approvals in Slack over connections that fail, stall, lie or end: no call runs that nobody approved, no click
//! is lost that could be had, and the journal says what became of each request.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{asking, slack};

use std::thread;
use std::time::{Duration, Instant};

use agp::channels::slack::{Reason, UncheckedConfig};
use agp::contracts::channel::{Answer, Channel};
use asking::{ALICE, BOB, LONG, allow, asking, given, granted_by, started};
use serde_json::json;
use slack::{Fault, SlackDouble};
use tungstenite::{Bytes, Message};

#[test]
fn a_refresh_loses_no_click() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let (one, two) = (
        asking.request("m1", "one", LONG),
        asking.request("m2", "two", LONG),
    );
    let (first, second) = (allow(&double, 0, ALICE), allow(&double, 1, ALICE));
    for reason in ["warning", "refresh_requested"] {
        double.disconnect(double.sockets() - 1, reason);
    }
    // In flight on the old connection, and one on the new.
    double.click_on(0, &first);
    double.wait("the new connection", |double| {
        (double.sockets() >= 2).then_some(())
    });
    double.wait("the old one's close", |double| {
        double.closed_by_agp(0).then_some(())
    });
    double.click(&second);
    assert_eq!(one.join().unwrap(), granted_by(ALICE));
    assert_eq!(two.join().unwrap(), granted_by(ALICE));
    double.wait("one connection", |double| {
        (double.open_sockets() == 1).then_some(())
    });
    assert!(!asking.warned("other connection"));
}

#[test]
fn a_lost_connection_is_opened_again_and_the_wait_goes_on() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    double.fault("apps.connections.open", Fault::Status(500));
    double.cut(0);
    double.wait("a second connection", |double| {
        (double.sockets() == 2).then_some(())
    });
    assert!(asking.warned("lost the connection"));
    double.half_close(1);
    double.wait("a third connection", |double| {
        (double.sockets() == 3).then_some(())
    });
    double.click(&click);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}

#[test]
fn hostile_frames_cost_a_connection_at_most() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    for text in [
        "{",
        "",
        "[]",
        "{\"type\":\"hello\",\"type\":\"x\"}",
        "{\"type\":\"news\"}",
        "{\"envelope_id\":7}",
    ] {
        double.send(0, text);
    }
    double.send_raw(0, Message::binary(Bytes::from_static(&[0, 159, 146, 150])));
    double.send_raw(0, Message::text("x".repeat(2 << 20)));
    double.wait("another connection", |double| {
        (double.sockets() == 2).then_some(())
    });
    assert!(
        asking.warned("a frame larger than 1 MiB") && asking.warned("received an invalid frame")
    );
    double.click(&click);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}

#[test]
fn when_socket_mode_is_switched_off_nobody_is_left_waiting() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    double.card(0);
    double.disconnect(0, "link_disabled");
    let Answer::Unreachable(why) = asked.join().unwrap() else {
        panic!("it was answered");
    };
    assert!(why.contains("Socket Mode is disabled"), "{why}");
    assert!(asking.warned("Socket Mode is disabled"));
    let later = asking.request("m2", "ls", LONG);
    assert!(matches!(later.join().unwrap(), Answer::Unreachable(_)));
    assert_eq!(double.sockets(), 1);
}

#[test]
fn too_many_connections_close_first() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    double.say_connections(3);
    double.disconnect(0, "too_many_websockets");
    double.wait("the close", |double| double.closed_by_agp(0).then_some(()));
    double.wait("another connection", |double| {
        (double.sockets() == 2).then_some(())
    });
    double.wait("the warning", |_| {
        asking.warned("SOME CLICKS GO THERE").then_some(())
    });
    let asked = asking.request("m1", "ls", LONG);
    double.click(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}

#[test]
fn a_silent_connection_is_taken_for_dead() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    double.mute();
    let until = Instant::now() + Duration::from_secs(50);
    while !asking.warned("it was silent too long") {
        assert!(Instant::now() < until, "it was not noticed");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn rate_limits_are_honoured_and_a_request_that_cannot_be_posted_is_denied_at_once() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    for _ in 0..3 {
        double.fault("chat.postMessage", Fault::RateLimited(1));
    }
    let asked = asking.request("m1", "ls", LONG);
    double.click(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    assert_eq!(double.calls("chat.postMessage"), 4);

    double.fault("chat.postMessage", Fault::RateLimited(300));
    let begun = Instant::now();
    let Answer::Unreachable(why) = asking.request("m2", "ls", LONG).join().unwrap() else {
        panic!("it was answered");
    };
    assert!(why.contains("rate limit"), "{why}");
    assert!(begun.elapsed() < LONG / 2);
}

#[test]
fn a_failing_slack_denies_with_the_cause() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    for (number, (fault, cause)) in [
        (Fault::Status(503), "HTTP status 503"),
        (Fault::Half, "cannot reach Slack"),
        (Fault::Code("not_in_channel"), "/invite"),
        (Fault::Code("token_revoked"), "token_revoked"),
        (Fault::Hang, "Slack did not answer within 10 s"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("m{number}");
        double.fault_always("chat.postMessage", Some(fault));
        let Answer::Unreachable(why) = asking.request(&id, "ls", LONG).join().unwrap() else {
            panic!("it was answered");
        };
        assert!(why.contains(cause), "{why}");
    }
    double.fault_always("chat.postMessage", None);
    // One that failed and was posted all the same has a twin; only the one agp knows of gets buttons.
    let before = double.messages().len();
    double.fault("chat.postMessage", Fault::DoneButFailed);
    let asked = asking.request("m9", "ls", LONG);
    let known = allow(&double, 0, ALICE);
    let twin = double.messages()[before].ts.clone();
    let forged = known
        .clone()
        .with("/container/message_ts", json!(twin))
        .with("/message/ts", json!(twin));
    double.click(&forged);
    asking.rejected(&[Reason::OtherMessage]);
    double.click(&known);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    double.closed_card(0);
    let standing = double.messages().split_off(before);
    assert_eq!(standing.len(), 2);
    assert!(!standing[0].was_armed() && standing[0].edits.is_empty());
}

#[test]
fn a_session_does_not_start_on_a_slack_that_would_not_hold() {
    let double = SlackDouble::start();
    let refused = |given: UncheckedConfig| {
        let error = started(given).err().unwrap();
        format!("{} / {}", error.problem, error.mend)
    };
    let good = || given(&double, &[ALICE, BOB], 1);
    let mut swapped = good();
    swapped.bot_token = Some("xoxb-another".into());
    assert!(refused(swapped).contains("invalid_auth"));
    double.fault("apps.connections.open", Fault::Code("missing_scope"));
    assert!(refused(good()).contains("missing_scope"));
    double.fault("apps.connections.open", Fault::Status(502));
    assert!(refused(good()).contains("502"));
    double.say_scopes("channels:read, users:read");
    assert!(refused(good()).contains("chat:write"));
    double.say_scopes("chat:write,users:read");
    double.say_user(BOB, json!({"is_bot": true}));
    assert!(refused(good()).contains("U0BOB is a bot"));
    let mut gone = good();
    gone.api = Some("http://127.0.0.1:1/api".into());
    assert!(refused(gone).contains("cannot reach Slack"));
    // The double hears of a closed connection a moment later.
    double.wait("the end of every socket", |double| {
        (double.open_sockets() == 0).then_some(())
    });
}

#[test]
fn hanging_up_ends_every_question_and_says_goodbye() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    double.card(0);
    asking.slack().hang_up();
    assert_eq!(
        asked.join().unwrap(),
        Answer::Unreachable("the session ended before an answer".into())
    );
    let later = asking.request("m2", "ls", LONG).join().unwrap();
    assert!(matches!(later, Answer::Unreachable(_)));
    // The directory goes with it; what Slack shows stays.
    drop(asking);
    assert!(double.closed_card(0).text().contains("Expired"));
    double.wait("the Close frame", |double| {
        double.closed_by_agp(0).then_some(())
    });
}

#[test]
fn a_refresh_leaves_one_connection_and_does_not_begin_again() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    double.disconnect(0, "refresh_requested");
    double.wait("the old one's end", |double| {
        (double.sockets() == 2 && double.open_sockets() == 1).then_some(())
    });
    // The end of the old connection is no loss: nothing is opened in its place.
    thread::sleep(Duration::from_secs(4));
    assert_eq!((double.sockets(), double.open_sockets()), (2, 1));
    assert!(!asking.warned("lost the connection"));
    let asked = asking.request("m1", "ls", LONG);
    double.click(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}
