//! Approvals in Slack, against a double that is stricter than Slack: only the right person, once, for
//! exactly this call; and whatever the connection does, no call runs that nobody approved.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

#[path = "support/model.rs"]
mod model;
#[path = "support/session.rs"]
mod session;
#[path = "support/slack.rs"]
mod slack;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agp::channels::slack::{About, Around, Given, Reason, Rejection, Settings, SetupError, Slack};
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, ApprovalRequest, ApprovalTerms, Channel};
use agp::contracts::event::{ApprovalBinding, Draft, Kind};
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::verdict::{Decision, Verdict};
use agp::journal::{args_sha256, redact};
use model::{Call, ModelDouble, Turn};
use serde_json::{Map, Value, json};
use session::{Start, World, claude};
use slack::{APP_TOKEN, BOT_TOKEN, CHANNEL, Click, Fault, OWN_USER, SlackDouble, TEAM};
use tungstenite::{Bytes, Message};

const ALICE: &str = "U0ALICE";
const BOB: &str = "U0BOB";
const STRANGER: &str = "U0STRANGER";
const LONG: Duration = Duration::from_secs(60);

/// The channel, and what it told.
struct Asking {
    slack: Arc<Slack>,
    rejections: Arc<Mutex<Vec<Rejection>>>,
    warnings: Arc<Mutex<Vec<String>>>,
    outbox: PathBuf,
}

impl Asking {
    fn reasons(&self) -> Vec<Reason> {
        let all = self.rejections.lock().unwrap();
        all.iter().map(|rejection| rejection.reason).collect()
    }

    fn warned(&self, part: &str) -> bool {
        self.warnings
            .lock()
            .unwrap()
            .iter()
            .any(|warning| warning.contains(part))
    }

    fn request(&self, id: &str, command: &str, deadline: Duration) -> JoinHandle<Answer> {
        self.request_with(id, json!({ "command": command }), deadline)
    }

    fn request_with(&self, id: &str, args: Value, deadline: Duration) -> JoinHandle<Answer> {
        self.request_under(id, args, deadline, ApprovalTerms::default())
    }

    fn request_under(
        &self,
        id: &str,
        args: Value,
        deadline: Duration,
        terms: ApprovalTerms,
    ) -> JoinHandle<Answer> {
        let (slack, id) = (Arc::clone(&self.slack), id.to_owned());
        thread::spawn(move || {
            let call = ToolCall {
                id: MessageId::new(id).unwrap(),
                session: SessionId::new("s-1").unwrap(),
                tool: "Bash".into(),
                args: args.as_object().unwrap().clone(),
                actor: Actor::ClaudeProcess,
            };
            let verdict = Verdict {
                decision: Decision::Require,
                reason: "writes need a person".into(),
                rule_id: Some("ask-bash".into()),
                tier: None,
            };
            slack.ask(&ApprovalRequest {
                call: &call,
                verdict: &verdict,
                terms,
                args_sha256: args_sha256(&call.args),
                deadline,
            })
        })
    }

    /// Waits until as many clicks were rejected as there are reasons, and for these.
    #[track_caller]
    fn rejected(&self, reasons: &[Reason]) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.reasons().len() < reasons.len() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.reasons(), reasons);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.outbox.parent().unwrap());
    }
}

fn given(double: &SlackDouble, approvers: &[&str], required: u32) -> Given {
    Given {
        bot_token: Some(BOT_TOKEN.into()),
        app_token: Some(APP_TOKEN.into()),
        channel: Some(CHANNEL.into()),
        approvers: approvers.iter().map(|user| (*user).to_owned()).collect(),
        required: Some(required),
        api: Some(double.url()),
    }
}

fn started(given: Given) -> Result<Asking, SetupError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("agp-slack-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let outbox = directory.join("outbox.json");
    let rejections: Arc<Mutex<Vec<Rejection>>> = Arc::default();
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let (rejected, warned) = (Arc::clone(&rejections), Arc::clone(&warnings));
    let around = Around {
        about: About {
            session: "s-1".into(),
            sandbox: "recording".into(),
            egress: "none".into(),
        },
        who: "tester".into(),
        outbox: outbox.clone(),
        roots: None,
        is_live: Box::new(|_| false),
        redact: redact::redact_tokens,
        rejected: Box::new(move |rejection| rejected.lock().unwrap().push(rejection.clone())),
        warn: Box::new(move |text| warned.lock().unwrap().push(text.to_owned())),
    };
    let slack = Arc::new(Slack::start(&Settings::checked(given)?, around)?);
    Ok(Asking {
        slack,
        rejections,
        warnings,
        outbox,
    })
}

fn asking(double: &SlackDouble) -> Asking {
    started(given(double, &[ALICE, BOB], 1)).unwrap()
}

fn granted_by(user: &str) -> Answer {
    Answer::Granted {
        by: format!("slack:{TEAM}/{user}"),
        binding: ApprovalBinding::SlackNonce,
    }
}

fn denied_by(user: &str) -> Answer {
    Answer::Denied {
        by: format!("slack:{TEAM}/{user}"),
        binding: ApprovalBinding::SlackNonce,
    }
}

fn allow(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&double.card(at).button("allow").unwrap(), user)
}

fn deny(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&double.card(at).button("deny").unwrap(), user)
}

fn event(kind: Kind, id: &str, by: Option<&str>) -> Draft {
    let payload = Map::from_iter([("messageId".to_owned(), json!(id))]);
    Draft {
        on_behalf_of: by.map(|by| format!("slack:{TEAM}/{by}")),
        ..Draft::new(kind, payload)
    }
}

#[test]
fn an_approver_allows_and_another_denies_and_the_message_says_so_once_it_is_recorded() {
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
    let (m1, m2) = (of("│ command: ls"), of("rm x"));
    // Crosswise: the one asked last is answered first.
    double.click(&deny(&double, m2, BOB));
    assert_eq!(second.join().unwrap(), denied_by(BOB));
    assert!(
        double.card(m2).button("allow").is_some(),
        "nothing is said before it is recorded"
    );
    double.click(&allow(&double, m1, ALICE));
    assert_eq!(first.join().unwrap(), granted_by(ALICE));
    asking
        .slack
        .mirror(vec![event(Kind::ApprovalDenied, "m2", Some(BOB))]);
    let closed = double.closed_card(m2);
    assert!(
        closed.text().contains("*Denied* by <@U0BOB> at 2"),
        "{}",
        closed.text()
    );
    asking
        .slack
        .mirror(vec![event(Kind::ApprovalGranted, "m1", Some(ALICE))]);
    assert!(
        double
            .closed_card(m1)
            .text()
            .contains("*Approved* by <@U0ALICE>")
    );
    asking.rejected(&[]);
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
    assert!(
        told["text"]
            .as_str()
            .unwrap()
            .contains("not one of the approvers")
    );

    let id = double.click(&good);
    assert_eq!(one.join().unwrap(), granted_by(ALICE));
    double.click(&deny(&double, 1, BOB));
    assert_eq!(other.join().unwrap(), denied_by(BOB));
    // Once more, by double click and by replay.
    double.click(&good);
    double.deliver(0, &id, &good);
    reasons.extend([Reason::Decided, Reason::Replayed]);
    asking.rejected(&reasons);
    let about = asking.rejections.lock().unwrap().last().unwrap().clone();
    assert_eq!(about.message_id.unwrap().as_str(), "m1");
    assert_eq!(about.user, ALICE);
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
            .contains("1 of 2 approvals; the last by <@U0ALICE>")
            .then_some(card)
    });
    assert!(progress.button("allow").is_some());
    double.click(&allow(&double, 0, ALICE));
    asking.rejected(&[Reason::Voted]);
    assert!(!both.is_finished());
    double.click(&allow(&double, 0, BOB));
    let by = format!("slack:{TEAM}/{ALICE}, slack:{TEAM}/{BOB}");
    let binding = ApprovalBinding::SlackNonce;
    assert_eq!(both.join().unwrap(), Answer::Granted { by, binding });

    let refused = asking.request("m2", "deploy", LONG);
    double.click(&allow(&double, 1, ALICE));
    double.click(&deny(&double, 1, BOB));
    assert_eq!(refused.join().unwrap(), denied_by(BOB));
}

#[test]
fn an_approval_for_the_session_is_of_the_same_call_under_a_rule_that_has_it() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 1)).unwrap();
    let terms = ApprovalTerms {
        required: None,
        for_session: true,
    };
    let test = || json!({"command": "cargo test"});
    let first = asking.request_under("m1", test(), LONG, terms);
    double.click(&Click::of(
        &double.card(0).button("allow-session").unwrap(),
        ALICE,
    ));
    assert_eq!(first.join().unwrap(), granted_by(ALICE));
    let again = asking.request_under("m2", test(), LONG, terms);
    let by = format!("slack:{TEAM}/{ALICE}");
    let binding = ApprovalBinding::SlackSession;
    assert_eq!(again.join().unwrap(), Answer::Granted { by, binding });
    assert_eq!(double.cards().len(), 1);

    // Other arguments are asked about, and so is the same call under a rule that has no such thing,
    // where the button does not exist and a forged one does nothing.
    let other = asking.request_under("m3", json!({"command": "cargo test; x"}), LONG, terms);
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
    let twice = asking.request_under("m5", json!({"command": "cargo test; x"}), LONG, terms);
    double.click(&deny(&double, 3, ALICE));
    assert_eq!(twice.join().unwrap(), denied_by(ALICE));
    asking.slack.hang_up();
    let late = asking.request_under("m6", test(), LONG, terms);
    assert!(matches!(late.join().unwrap(), Answer::Unreachable(_)));
}

#[test]
fn a_rule_can_ask_for_more_people_than_the_configuration() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let terms = |people| ApprovalTerms {
        required: Some(people),
        for_session: false,
    };
    let both = asking.request_under("m1", json!({"command": "deploy"}), LONG, terms(2));
    double.click(&allow(&double, 0, BOB));
    double.wait("progress", |double| {
        double.card(0).text().contains("1 of 2").then_some(())
    });
    double.click(&allow(&double, 0, ALICE));
    assert!(matches!(both.join().unwrap(), Answer::Granted { .. }));
    let three = asking.request_under("m2", json!({"command": "deploy"}), LONG, terms(3));
    let Answer::Unreachable(why) = three.join().unwrap() else {
        panic!("two are not three");
    };
    assert!(
        why.contains("3 approvals, and slack.approvers are 2"),
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
    asking
        .slack
        .mirror(vec![event(Kind::ApprovalTimeout, "m1", None)]);
    assert!(
        double
            .closed_card(0)
            .text()
            .contains("*Expired*: nobody answered")
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

    let asked = asking.request("m2", &"x".repeat(300_000), LONG);
    let Answer::Unreachable(why) = asked.join().unwrap() else {
        panic!("it was asked in part");
    };
    assert!(why.contains("too long to be shown whole"), "{why}");
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
    assert!(asking.warned("the connection is lost"));
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
    assert!(asking.warned("a frame beyond 1 MiB") && asking.warned("cannot be read"));
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
    assert!(why.contains("switched off"), "{why}");
    assert!(asking.warned("switched off"));
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
        asking.warned("THEY GET SOME OF THE CLICKS").then_some(())
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
    while !asking.warned("nothing was heard on it") {
        assert!(Instant::now() < until, "it was not noticed");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_click_that_is_faster_than_slacks_own_answer_counts() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let pause = Duration::from_millis(500);
    double.fault("chat.postMessage", Fault::Late(pause));
    let asked = asking.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    let wrong = click
        .clone()
        .with("/container/message_ts", json!("1.1"))
        .with("/message/ts", json!("1.1"));
    // Both wait for the message's name, and are judged then.
    for click in [&wrong, &click] {
        let id = double.click(click);
        double.acked(&id);
    }
    assert!(!asked.is_finished());
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    asking.rejected(&[Reason::OtherMessage]);
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
    for (fault, cause) in [
        (Fault::Status(503), "HTTP status 503"),
        (Fault::Half, "cannot be reached"),
        (Fault::Code("not_in_channel"), "/invite"),
        (Fault::Code("token_revoked"), "token_revoked"),
        (Fault::Hang, "no answer within 10 s"),
    ] {
        double.fault_always("chat.postMessage", Some(fault));
        let Answer::Unreachable(why) = asking.request("m", "ls", LONG).join().unwrap() else {
            panic!("it was answered");
        };
        assert!(why.contains(cause), "{why}");
    }
    double.fault_always("chat.postMessage", None);
    // One that failed and was posted all the same has a twin; only the one agp knows of counts.
    double.fault("chat.postMessage", Fault::DoneButFailed);
    let asked = asking.request("m9", "ls", LONG);
    let twin = allow(&double, 0, ALICE);
    let known = allow(&double, 1, ALICE);
    thread::sleep(Duration::from_millis(200));
    double.click(&twin);
    asking.rejected(&[Reason::OtherMessage]);
    double.click(&known);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}

#[test]
fn a_session_does_not_start_on_a_slack_that_would_not_hold() {
    let double = SlackDouble::start();
    let refused = |given: Given| {
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
    double.say_bot(BOB);
    assert!(refused(good()).contains("U0BOB is a bot"));
    let mut gone = good();
    gone.api = Some("http://127.0.0.1:1/api".into());
    assert!(refused(gone).contains("cannot be reached"));
    assert_eq!(double.open_sockets(), 0);
}

#[test]
fn hanging_up_ends_every_question_and_says_goodbye() {
    let double = SlackDouble::start();
    let asking = asking(&double);
    let asked = asking.request("m1", "ls", LONG);
    double.card(0);
    asking.slack.hang_up();
    assert_eq!(
        asked.join().unwrap(),
        Answer::Unreachable("the session ended first".into())
    );
    let later = asking.request("m2", "ls", LONG).join().unwrap();
    assert!(matches!(later, Answer::Unreachable(_)));
    drop(asking);
    assert!(double.closed_card(0).text().contains("Expired"));
    double.wait("the Close frame", |double| {
        double.closed_by_agp(0).then_some(())
    });
}

/// A world whose approvals are asked in Slack.
struct Governed {
    world: World,
    double: SlackDouble,
}

impl Governed {
    fn by(double: SlackDouble, rules: &[(&str, &str)]) -> Self {
        let world = World::new();
        world.policy(rules);
        let config = json!({"slack": {"channel": CHANNEL, "approvers": [ALICE, BOB]}});
        std::fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
        Self { world, double }
    }

    fn agp(&self, arguments: &[&str]) -> Start {
        let agp = self.world.agp(arguments);
        agp.env("AGP_CHANNEL", "slack")
            .env("AGP_SLACK_API_URL", &self.double.url())
            .env("AGP_SLACK_BOT_TOKEN", BOT_TOKEN)
            .env("AGP_SLACK_APP_TOKEN", APP_TOKEN)
    }

    fn play(&self, commands: &[&str], arguments: &[&str]) -> Start {
        let line =
            |command: &&str| json!({"tool": "Bash", "args": {"command": command}}).to_string();
        let script: Vec<String> = commands.iter().map(line).collect();
        self.world.put("calls.jsonl", &script.join("\n"));
        let run = ["run", "--script", "calls.jsonl", "--sandbox", "recording"];
        self.agp(&run).arguments(arguments)
    }
}

#[test]
fn the_journal_says_who_decided_what_and_slack_is_told_afterwards() {
    let governed = Governed::by(
        SlackDouble::start(),
        &[("require", "Bash"), ("deny", "Read")],
    );
    let (world, double) = (&governed.world, &governed.double);
    let live = governed.play(&["echo one", "echo two"], &[]).start();
    double.click(&allow(double, 0, STRANGER));
    double.click(&allow(double, 0, ALICE));
    double.click(&deny(double, 1, BOB));
    let ran = live.finish().succeeded();
    let ran = ran.said(&["1 allowed, 1 denied"]);

    let granted = world.event("approval.granted");
    assert_eq!(granted["approval_binding_type"], "slack-nonce");
    assert_eq!(granted["on_behalf_of"], format!("slack:{TEAM}/{ALICE}"));
    assert_eq!(granted["actor"], "session_owner");
    let required = &world.events("tool_call.require")[0];
    assert_eq!(
        granted["payload"]["argsSha256"],
        required["payload"]["argsSha256"]
    );
    let executed = world.event("tool_call.executed");
    assert_eq!(
        granted["payload"]["argsSha256"],
        executed["payload"]["argsSha256"]
    );
    assert_eq!(
        world.event("approval.denied")["on_behalf_of"],
        format!("slack:{TEAM}/{BOB}")
    );
    let rejected = world.event("approval.rejected");
    assert_eq!(rejected["payload"]["reason"], "stranger");
    assert_eq!(rejected["payload"]["user"], STRANGER);
    assert_eq!(
        rejected["payload"]["messageId"],
        required["payload"]["messageId"]
    );
    assert_eq!(rejected["on_behalf_of"], Value::Null);
    let started = world.event("session.started");
    assert_eq!(started["payload"]["channel"], "slack");
    assert_eq!(started["payload"]["approvers"], json!([ALICE, BOB]));
    world.verifies();

    assert!(
        double
            .closed_card(0)
            .text()
            .contains("*Approved* by <@U0ALICE>")
    );
    assert!(
        double
            .closed_card(1)
            .text()
            .contains("*Denied* by <@U0BOB>")
    );
    let messages = double.messages();
    let opening = messages[0].text();
    assert!(
        opening.contains("agp session") && opening.contains("tester"),
        "{opening}"
    );
    assert_eq!(messages[1].message["thread_ts"], messages[0].ts.as_str());
    assert!(
        messages
            .last()
            .unwrap()
            .text()
            .contains("The session has ended.")
    );
    double.wait("the Close frame", |double| {
        double.closed_by_agp(0).then_some(())
    });
    let outbox = std::fs::read_to_string(world.agp_home().join("outbox.json")).unwrap();
    assert_eq!(outbox, "{\"entries\":[]}");
    for secret in [BOT_TOKEN, APP_TOKEN] {
        assert!(!world.journal_text().contains(secret) && !ran.err.contains(secret));
        assert!(
            messages
                .iter()
                .all(|message| !message.text().contains(secret))
        );
    }
}

#[test]
fn denials_of_the_policy_are_mirrored_and_need_nobody() {
    let governed = Governed::by(SlackDouble::start(), &[("deny", "Bash")]);
    governed.play(&["rm -rf <!channel>"], &[]).run().succeeded();
    let messages = governed.double.messages();
    let mut told = messages.iter().map(slack::Posted::text);
    let denial = told.find(|text| text.contains("denied by policy")).unwrap();
    assert!(denial.contains("deny-Bash"), "{denial}");
    assert_eq!(governed.world.kinds_of("call-1"), ["tool_call.deny"]);
    governed.world.verifies();
}

#[test]
fn a_flood_of_denials_delays_no_question_and_no_end() {
    let governed = Governed::by(
        SlackDouble::start(),
        &[("require", "Bash"), ("deny", "Read")],
    );
    let (world, double) = (&governed.world, &governed.double);
    let read = json!({"tool": "Read", "args": {"file_path": "a"}}).to_string();
    let mut script = vec![read; 600];
    script.push(json!({"tool": "Bash", "args": {"command": "echo one"}}).to_string());
    world.put("calls.jsonl", &script.join("\n"));
    let run = ["run", "--script", "calls.jsonl", "--sandbox", "recording"];
    let live = governed.agp(&run).start();
    double.click(&allow(double, 0, ALICE));
    let ran = live.finish().succeeded();
    ran.said(&["1 allowed, 600 denied"])
        .complained(&["messages were not sent"]);
    let messages = double.messages();
    assert!(messages.len() < 30);
    assert!(
        messages
            .iter()
            .any(|message| message.text().contains("The session has ended."))
    );
    let outbox = std::fs::read_to_string(world.agp_home().join("outbox.json")).unwrap();
    assert!(outbox.matches("\"text\":\"agp: A call was denied").count() <= 256);
    world.verifies();
}

#[test]
fn with_slack_gone_allowed_calls_go_on_and_required_ones_are_denied_with_the_cause() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    double.fault_always("chat.postMessage", Some(Fault::Status(500)));
    let ran = governed.play(&["echo one"], &[]).run().succeeded();
    ran.said(&["0 allowed, 1 denied"]);
    let denied = world.event("approval.denied");
    let why = denied["payload"]["reason"].as_str().unwrap();
    assert!(why.contains("HTTP status 500"), "{why}");
    assert_eq!(denied["on_behalf_of"], Value::Null);

    double.fault_always("chat.postMessage", None);
    let ran = governed
        .play(&["echo one"], &["--approval-timeout", "1"])
        .run();
    ran.succeeded().said(&["0 allowed, 1 denied"]);
    assert_eq!(world.events("approval.timeout").len(), 1);
    world.verifies();

    double.fault("auth.test", Fault::Code("invalid_auth"));
    let ran = governed.play(&["echo one"], &[]).run();
    ran.exited(1)
        .complained(&["invalid_auth", "docs/slack-setup.md"]);
    assert_eq!(world.events("session.refused").len(), 1);
}

#[test]
fn after_a_crash_the_next_start_marks_what_was_left_open_as_expired() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let live = governed.play(&["echo one"], &[]).start();
    let click = allow(double, 0, ALICE);
    // The card is in the outbox a moment after it is in the channel.
    let outbox = world.agp_home().join("outbox.json");
    double.wait("the outbox", |_| {
        let text = std::fs::read_to_string(&outbox).unwrap_or_default();
        text.contains(&double.card(0).ts).then_some(())
    });
    session::Process::of(world.lease().pid).unwrap().kill("-9");
    drop(live);
    // The pace is each process's own; the double counts them together.
    thread::sleep(Duration::from_secs(1));
    let live = governed.play(&["echo two"], &[]).start();
    assert!(
        double
            .closed_card(0)
            .text()
            .contains("Expired: the session ended")
    );
    // Its button was still on somebody's screen.
    double.click(&click);
    double.click(&allow(double, 1, ALICE));
    live.finish().succeeded().said(&["1 allowed, 0 denied"]);
    assert_eq!(
        world.event("approval.rejected")["payload"]["reason"],
        "unknown-nonce"
    );
    world.verifies();
}

#[test]
fn a_signal_ends_the_wait_on_the_record_and_in_slack() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let live = governed.play(&["echo one"], &[]).start();
    let click = allow(double, 0, ALICE);
    session::Process::of(world.lease().pid)
        .unwrap()
        .kill("-TERM");
    live.finish().exited(4);
    assert!(double.closed_card(0).text().contains("*Expired*"));
    double.wait("the Close frame", |double| {
        double.closed_by_agp(0).then_some(())
    });
    let denied = world.event("approval.denied");
    assert_eq!(denied["payload"]["reason"], "the session ended first");
    assert_eq!(world.events("tool_call.executed").len(), 0);
    // The pace is each process's own; the double counts them together.
    thread::sleep(Duration::from_secs(1));
    // The next session knows nothing of that request.
    let live = governed.play(&["echo two"], &[]).start();
    let next = allow(double, 1, BOB);
    double.click(&click);
    double.click(&next);
    live.finish().succeeded();
    assert_eq!(
        world.event("approval.rejected")["payload"]["reason"],
        "unknown-nonce"
    );
    world.verifies();
}

#[test]
fn over_tls_with_a_root_of_ones_own_and_with_no_other() {
    let (double, root) = SlackDouble::start_tls();
    let governed = Governed::by(double, &[("require", "Bash")]);
    let file = governed.world.root().join("root.pem");
    std::fs::write(&file, root).unwrap();
    let stranger = governed.play(&["echo one"], &[]).run();
    stranger.exited(1).complained(&["slack", "certificate"]);
    let trusting = governed.play(&["echo one"], &[]);
    let live = trusting
        .env("SSL_CERT_FILE", file.to_str().unwrap())
        .start();
    governed.double.click(&allow(&governed.double, 0, ALICE));
    live.finish().succeeded().said(&["1 allowed, 0 denied"]);
    governed.world.verifies();
}

#[test]
fn the_doctor_tries_slack_and_says_what_to_mend() {
    let governed = Governed::by(SlackDouble::start(), &[]);
    let doctor = || governed.agp(&["doctor", "--check", "slack"]);
    let ran = doctor().run().succeeded();
    ran.said(&[
        "app A0AGP in team T0TEAM",
        "1 of 2 approvers",
        "socket opened",
    ]);
    governed.double.say_connections(2);
    doctor().run().exited(1).said(&["other connection"]);
    governed
        .double
        .fault("conversations.info", Fault::Code("channel_not_found"));
    doctor()
        .run()
        .exited(1)
        .said(&["channel_not_found", "invite"]);
    let swapped = doctor().env("AGP_SLACK_APP_TOKEN", BOT_TOKEN).run();
    swapped.exited(1).said(&["begins with xapp-"]);
    let elsewhere = doctor()
        .env("AGP_SLACK_API_URL", "http://slack.com/api")
        .run();
    elsewhere.exited(1).said(&["neither https nor a loopback"]);
    std::fs::write(
        governed.world.agp_home().join("config.json"),
        "{\"slack\":{\"channel\":\"C1\"}}",
    )
    .unwrap();
    doctor().run().exited(1).said(&["nobody could approve"]);
    let file = governed.world.agp_home().join("config.json");
    let tokens = json!({"slack": {
        "channel": CHANNEL, "approvers": [ALICE], "botToken": BOT_TOKEN, "appToken": APP_TOKEN,
    }});
    std::fs::write(&file, tokens.to_string()).unwrap();
    let from_file = || {
        let doctor = doctor().without("AGP_SLACK_BOT_TOKEN");
        doctor.without("AGP_SLACK_APP_TOKEN").run()
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    from_file()
        .exited(1)
        .said(&["can be read by others", "chmod 600"]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    from_file().exited(1).said(&["other connection"]);
    let auto = governed
        .play(&["x"], &[])
        .env("AGP_AUTO_APPROVE", "1")
        .run();
    auto.exited(2).complained(&["in Slack people approve"]);
    let manifest = governed.agp(&["slack", "manifest"]).run().succeeded();
    let manifest: Value = serde_json::from_str(&manifest.out).unwrap();
    assert_eq!(manifest["settings"]["socket_mode_enabled"], true);
}

#[test]
fn claude_code_waits_in_its_hook_while_a_person_clicks() {
    let Some(claude) = claude() else {
        return;
    };
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let bash = |id: &str, command: &str| Call {
        id: Some(id.to_owned()),
        ..Call::new("Bash", json!({"command": command}))
    };
    let model = ModelDouble::start(vec![
        Turn::Calls(vec![bash("toolu_yes", "touch made")]),
        Turn::Calls(vec![bash("toolu_no", "touch not-made")]),
    ]);
    let repo = world.repo();
    let live = governed
        .agp(&[
            "run",
            "--intendant",
            "claude-code",
            "--no-probe",
            "--task",
            "go",
        ])
        .arguments(&["--repo", repo.to_str().unwrap()])
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap())
        .start();
    let yes = allow(double, 0, ALICE);
    assert_eq!(world.get("made"), None);
    double.click(&yes);
    double.click(&deny(double, 1, BOB));
    live.finish().succeeded();
    assert!(world.get("made").is_some());
    assert_eq!(world.get("not-made"), None);
    let kinds = [
        "tool_call.require",
        "approval.granted",
        "gate.allow",
        "tool_call.result",
    ];
    assert_eq!(world.kinds_of("toolu_yes"), kinds);
    let kinds = ["tool_call.require", "approval.denied", "gate.deny"];
    assert_eq!(world.kinds_of("toolu_no"), kinds);
    let refused = model.result_of("toolu_no").unwrap();
    assert!(
        refused.is_error && refused.text.contains(BOB),
        "{}",
        refused.text
    );
    world.verifies();
}
