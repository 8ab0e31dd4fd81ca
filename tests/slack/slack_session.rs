//! Whole sessions whose approvals are asked in Slack: `agp run`, its journal, and what is said in Slack
//! afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{session, slack, slack_world};

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use slack::{APP_TOKEN, BOT_TOKEN, Fault, SlackDouble, TEAM};
use slack_world::{ALICE, BOB, Governed, STRANGER, allow, deny};

fn outbox(world: &session::World) -> String {
    std::fs::read_to_string(world.agp_home().join("outbox.json")).unwrap()
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
    // Whoever watches the terminal sees what waits in Slack.
    let ran = ran.said(&[
        "ask   Bash echo one (require-Bash): Bash is require here",
        "approved Bash echo one (by alice (slack U0ALICE))",
        "1 allowed, 1 denied",
    ]);

    let granted = world.event("approval.granted");
    assert_eq!(granted["approval_binding_type"], "slack-nonce");
    assert_eq!(granted["on_behalf_of"], "alice (slack U0ALICE)");
    assert_eq!(granted["payload"]["team"], TEAM);
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
        "bob (slack U0BOB)"
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
            .contains("by alice (slack U0ALICE)")
    );
    assert!(
        double
            .closed_card(1)
            .text()
            .contains("by bob (slack U0BOB)")
    );
    let messages = double.messages();
    let opening = messages[0].text();
    let account = std::process::Command::new("id").arg("-un").output();
    let account = String::from_utf8(account.unwrap().stdout).unwrap();
    assert!(
        opening.contains("agp session") && opening.contains(account.trim()),
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
    assert_eq!(outbox(world), "{\"entries\":[]}");
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
    ran.said(&["1 allowed, 600 denied"]);
    let messages = double.messages();
    assert!(messages.len() < 30);
    // Many denials are one message, and the end comes behind the last of them.
    let many = messages.iter().filter(|message| message.said(" times") > 0);
    assert!(many.count() > 0);
    assert!(messages.last().unwrap().said("The session has ended.") > 0);
    assert_eq!(outbox(world), "{\"entries\":[]}");
    world.verifies();
}

#[test]
fn with_slack_gone_allowed_calls_go_on_and_required_ones_are_denied_with_the_cause() {
    let governed = Governed::by(
        SlackDouble::start(),
        &[("require", "Bash"), ("allow", "Read")],
    );
    let (world, double) = (&governed.world, &governed.double);
    double.fault_always("chat.postMessage", Some(Fault::Status(500)));
    let script = [
        json!({"tool": "Bash", "args": {"command": "echo one"}}).to_string(),
        json!({"tool": "Read", "args": {"file_path": "a"}}).to_string(),
    ];
    world.put("calls.jsonl", &script.join("\n"));
    let run = ["run", "--script", "calls.jsonl", "--sandbox", "recording"];
    let ran = governed.agp(&run).run().succeeded();
    ran.said(&["1 allowed, 1 denied"]);
    assert_eq!(world.event("tool_call.executed")["payload"]["tool"], "Read");
    let denied = world.event("approval.denied");
    let why = denied["payload"]["reason"].as_str().unwrap();
    assert!(why.contains("HTTP status 500"), "{why}");
    assert_eq!(denied["on_behalf_of"], Value::Null);

    double.fault_always("chat.postMessage", None);
    let ran = governed
        .play(&["echo one"], &["--approval-timeout", "3"])
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
    // Its button was still on somebody's screen: it is taken off again, and no other card's is.
    double.click(&click);
    double.wait("another edit", |double| {
        (double.card(0).said("Expired: the session ended") == 2).then_some(())
    });
    assert!(double.card(1).is_armed());
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
    assert_eq!(
        denied["payload"]["reason"],
        "the session ended before an answer"
    );
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
    let ran = live.finish().succeeded().said(&["1 allowed, 0 denied"]);
    // Another Slack is told of, loudly and on record.
    let url = governed.double.url();
    let from = format!("WARNING: AGP_SLACK_API_URL: approvals come from {url}");
    ran.complained(&[&from, "WARNING: SSL_CERT_FILE"]);
    let started = &governed.world.event("session.started")["payload"];
    assert_eq!(started["slackApi"], json!(url));
    assert_eq!(started["slackRoots"], "SSL_CERT_FILE");
    governed.world.verifies();
}

#[test]
fn an_approver_is_told_what_the_call_can_reach() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let double = &governed.double;
    for (number, (flags, shown)) in [
        (vec!["--egress", "full"], "process, full"),
        (vec![], "process, none"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = json!({"tool": "Bash", "args": {"command": "true"}}).to_string();
        governed.world.put("calls.jsonl", &line);
        let run = ["run", "--script", "calls.jsonl", "--sandbox", "process"];
        let live = governed.agp(&run).arguments(&flags).start();
        let text = double.card(number).text();
        assert!(text.contains(shown), "{text}");
        double.click(&deny(double, number, ALICE));
        live.finish().succeeded();
        let started = &governed.world.events("session.started")[number];
        let word = shown.split(' ').next_back().unwrap();
        assert_eq!(started["payload"]["egress"], word);
        // The pace is each process's own; the double counts them together.
        thread::sleep(Duration::from_secs(1));
    }
}
