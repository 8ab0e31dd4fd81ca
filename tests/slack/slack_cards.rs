//! What Slack shows of a call: cards, notifications and modals of many views, against Block Kit's limits as the double
//! keeps them, and as a phone shows them (`tests/fixtures/slack-cards`).
//!
//! To write the renderings anew: `AGP_WRITE_DOCS=1 cargo test --test slack slack_cards`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{asking, slack, slack_phone};

use std::fs;
use std::path::Path;
use std::sync::Arc;

use agp::channels::slack::{Reason, UncheckedConfig};
use agp::contracts::approver::{Approver, ApproverList};
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, ApprovalTerms, Channel, GrantOffer, Scope};
use agp::contracts::event::{Draft, Kind};
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use agp::contracts::question::{self, Question};
use agp::contracts::verdict::{Decision, Verdict};
use agp::contracts::view::{CallView, Lead, LineKind, Origin, ViewBlock, ViewLine};
use asking::{ALICE, Asking, BOB, LONG, STRANGER, allow, deny, given, person, started};
use serde_json::{Map, Value, json};
use slack::{Click, Posted, SlackDouble};

fn line(kind: LineKind, number: Option<u64>, text: &str) -> ViewLine {
    ViewLine {
        kind,
        number,
        text: text.to_owned(),
    }
}

fn block(heading: &str, subject: Option<&str>, lines: Vec<ViewLine>) -> ViewBlock {
    ViewBlock {
        heading: heading.to_owned(),
        subject: subject.map(str::to_owned),
        lines,
    }
}

fn command(text: &str) -> CallView {
    let lines = text.split('\n');
    let lines = lines.map(|text| line(LineKind::Command, None, text));
    view("Bash", vec![block("runs", None, lines.collect())])
}

fn view(tool: &str, blocks: Vec<ViewBlock>) -> CallView {
    CallView {
        tool: tool.to_owned(),
        blocks,
        rule: Some("push".into()),
        reason: "pushes need a person".into(),
        atoms: vec!["pushes to origin/main".into()],
        origin: Origin {
            session: "s-1".into(),
            harness: "Claude Code 2.1.332".into(),
            task: Some("Fix the flaky test, then push".into()),
            repository: "/srv/shop".into(),
            host: "buildhost".into(),
            user: "alice".into(),
        },
        details: vec![("call".into(), "m-1".into())],
        ..CallView::default()
    }
}

/// An edit of so many lines, in one hunk.
fn edit(lines: u64) -> CallView {
    let mut all = vec![line(LineKind::Note, None, "11 unchanged lines")];
    for number in 12..12 + lines {
        all.push(line(
            LineKind::Removed,
            Some(number),
            &format!("    let old_{number} = 1;"),
        ));
    }
    for number in 12..12 + lines {
        all.push(line(
            LineKind::Added,
            Some(number),
            &format!("    let new_{number} = 2;"),
        ));
    }
    all.push(line(LineKind::Context, Some(12 + lines), "}"));
    let mut edit = view("Edit", vec![block("changes", Some("src/main.rs"), all)]);
    edit.atoms = vec!["writes src/main.rs".into()];
    edit
}

fn hostile() -> CallView {
    let tricks = "```\n*Allow* <!channel> <@U1> <https://x.example|safe> &lt; \u{202e}evil\u{200b}\n╭ why\n│ nothing `to` see _here_ ~at~ all";
    let mut view = command(tricks);
    view.blocks.push(block(
        "argument",
        Some("<!here>\n╭ task ```"),
        vec![line(LineKind::Text, None, tricks)],
    ));
    view.tool = "mcp__x__\u{202e}y<!here>".into();
    view.description = Some(format!("Harmless.\n{tricks}"));
    view.directory = Some(tricks.into());
    view.atoms = vec![tricks.into()];
    view.rule = Some("<!here>`".into());
    view.reason = tricks.into();
    view.leads = vec![Lead {
        path: tricks.into(),
        real: "/etc/<passwd>".into(),
        other_names: true,
    }];
    view.origin = Origin {
        session: "s-1".into(),
        harness: tricks.into(),
        task: Some(tricks.into()),
        repository: format!("/srv/{tricks}"),
        host: "<!here>".into(),
        user: "<@U1>".into(),
    };
    view.details = vec![(tricks.into(), tricks.into())];
    view
}

fn many_leads() -> CallView {
    let mut view = command("cat a");
    let lead = |number: usize| Lead {
        path: format!("a/{number}"),
        real: format!("/elsewhere/{number}"),
        other_names: number == 0,
    };
    view.leads = (0..50).map(lead).collect();
    view.directory = Some("packages/api".into());
    view.description = Some("Shows the file.\nNothing else.".into());
    view
}

fn long_task() -> CallView {
    let mut view = command("make release");
    view.origin.task = Some("Release it. ".repeat(2000));
    view.origin.repository = "/srv/".repeat(300);
    view.origin.host = "h".repeat(500);
    view.origin.user = "u".repeat(500);
    view.tool = "T".repeat(500);
    view.reason = "because ".repeat(500);
    view
}

const HEREDOC: &str = "cat > deploy.sh <<'EOF'\n#!/bin/sh\nset -e\nrsync -a build/ web:/srv/www/\nEOF\nsh deploy.sh && git push origin main";

/// Every case: its name, and whether Slack shows all of it in the message, in the modal, or not at all.
fn cases() -> Vec<(&'static str, CallView, Shows)> {
    let long_argument = view(
        "Write",
        vec![block(
            "argument",
            Some("content"),
            vec![line(LineKind::Text, None, &"x".repeat(4 << 20))],
        )],
    );
    vec![
        ("command", command("git push origin main"), Shows::All),
        ("heredoc", command(HEREDOC), Shows::All),
        ("edit", edit(3), Shows::All),
        ("diff-300", edit(300), Shows::InDetails),
        ("argument-4-MiB", long_argument, Shows::Part),
        ("hostile", hostile(), Shows::All),
        ("50-leads", many_leads(), Shows::InDetails),
        ("long-task", long_task(), Shows::InDetails),
        ("nothing", view("TodoRead", Vec::new()), Shows::All),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    All,
    InDetails,
    Part,
}

fn ask(asking: &Asking, view: CallView, offer: Option<GrantOffer>) -> Arc<Question> {
    ask_listed(asking, view, offer, Vec::new())
}

fn ask_listed(
    asking: &Asking,
    view: CallView,
    offer: Option<GrantOffer>,
    approvers: Vec<ApproverList>,
) -> Arc<Question> {
    let call = ToolCall {
        id: MessageId::new("m-1").unwrap(),
        session: SessionId::new("s-1").unwrap(),
        tool: view.tool.clone(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    };
    let verdict = Verdict {
        decision: Decision::Require,
        ..Verdict::refused("because")
    };
    let question = Arc::new(Question::new(
        question::Asking {
            number: 1,
            call: Arc::new(call),
            verdict,
            terms: ApprovalTerms::default(),
            approvers,
            offer,
            view,
            args_sha256: Sha256([7; 32]),
            reading_sha256: Sha256([7; 32]),
            deadline: LONG,
            queue: LONG,
        },
        1,
    ));
    asking.slack().show(&question).unwrap();
    question
}

/// Compares with what is stored, or stores it.
fn stored(name: &str, rendering: &str) {
    let file = format!("tests/fixtures/slack-cards/{name}.txt");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("AGP_WRITE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, rendering).unwrap();
    }
    let before = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        before == rendering,
        "{} is not what is shown now:\n{rendering}",
        file.display()
    );
}

/// The notification, and the card: a page of a phone of it.
fn rendering(card: &Posted) -> String {
    let text = |of: &Value| slack_phone::shown(of["text"].as_str().unwrap());
    let mut text_rows = format!("notification: {}", text(&card.message));
    if text(card.now()) != text(&card.message) {
        text_rows.push_str(&format!("\ntext now: {}", text(card.now())));
    }
    let card = page(slack_phone::rows(&card.now()["blocks"]));
    format!("{text_rows}\n\n{card}")
}

/// The first rows and the last ones.
fn page(mut rows: Vec<String>) -> String {
    const ROWS: usize = 60;
    let more = rows.len().saturating_sub(ROWS);
    if more > 0 {
        let end = rows.split_off(rows.len() - ROWS / 2);
        rows.truncate(ROWS / 2);
        rows.push(format!("[{more} more rows]"));
        rows.extend(end);
    }
    rows.join("\n") + "\n"
}

#[test]
fn every_card_is_one_that_slack_takes_and_looks_as_it_is_stored() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 1)).unwrap();
    for (at, (name, view, shows)) in cases().into_iter().enumerate() {
        let tool = view.tool.clone();
        let question = ask(&asking, view, None);
        // The double refuses what Slack refuses, and what is live or hidden.
        let card = double.card(at);
        let rows = slack_phone::rows(&card.now()["blocks"]);
        stored(name, &rendering(&card));
        // What runs begins within the first rows of a phone, whatever the tool is called.
        let begins = rows.iter().position(|row| row == "┌").unwrap();
        assert!(begins <= 4, "{tool}: {begins}");
        let buttons = ["allow", "details"].map(|action| card.button(action).is_some());
        assert_eq!(buttons, [shows != Shows::Part; 2], "{name}");
        // What the phone rings for stands in the first post, in a block and in the text.
        let first = &card.message;
        for mention in ["<@U0ALICE>", "<@U0BOB>"] {
            assert!(first["text"].as_str().unwrap().contains(mention), "{name}");
            assert!(first["blocks"].to_string().contains(mention), "{name}");
        }
        if shows != Shows::All {
            // An id and a digest are for whoever looks closer.
            assert!(!card.text().contains("m-1"), "{name}");
        }
        if shows == Shows::Part {
            assert!(card.text().contains("agp attend s-1"), "{name}");
            double.click(&deny(&double, at, ALICE));
            let denied = double.wait("a no", |_| question.answer());
            assert!(matches!(denied, Answer::Denied { .. }), "{name}");
            continue;
        }
        let before = double.views().len();
        if shows == Shows::InDetails {
            double.click(&allow(&double, at, BOB));
            asking.rejected(&vec![Reason::NotSeen; before + 1]);
            double.click(&Click::of(&card.button("details").unwrap(), BOB));
            let modal = double.wait("a modal", |double| double.views().get(before).cloned());
            assert!(modal.to_string().contains("m-1"), "{name}");
            if name == "50-leads" {
                stored("details", &page(slack_phone::rows(&modal["blocks"])));
            }
        }
        double.click(&allow(&double, at, BOB));
        let answer = double.wait("a yes", |_| question.answer());
        assert!(
            matches!(answer, Answer::Granted { by, .. } if by == person(BOB)),
            "{name}"
        );
    }
}

/// The journal has what came of the only call.
fn recorded(asking: &Asking, kind: Kind, by: Option<&str>, reason: Option<&str>) {
    let payload = json!({"messageId": "m-1", "decidedBy": by, "reason": reason});
    let Value::Object(payload) = payload else {
        panic!("an object");
    };
    asking.slack().mirror(vec![Draft {
        on_behalf_of: by.map(str::to_owned),
        ..Draft::new(kind, payload)
    }]);
}

#[test]
fn afterwards_the_first_line_says_who_and_when() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 2)).unwrap();
    // The session first, which the others are answers to.
    let started = json!({
        "harness": {"name": "claude-code", "version": "2.1.332"}, "policySha256": "00ff",
    });
    let Value::Object(started) = started else {
        panic!("an object");
    };
    asking
        .slack()
        .mirror(vec![Draft::new(Kind::SessionStarted, started)]);
    let session = double.wait("the session", |double| double.messages().first().cloned());
    stored("session", &rendering(&session));

    let question = ask(&asking, command("git push origin main"), None);
    double.click(&allow(&double, 0, ALICE));
    let one = double.wait("progress", |double| {
        let card = double.card(0);
        card.text().contains("1 of 2 approvals").then_some(card)
    });
    stored("one-of-two", &rendering(&one));
    double.click(&allow(&double, 0, BOB));
    let answer = double.wait("a yes", |_| question.answer());
    assert!(matches!(answer, Answer::Granted { .. }));
    let both = format!("{}, {}", person(ALICE), person(BOB));
    recorded(&asking, Kind::ApprovalGranted, Some(&both), None);
    stored("approved", &rendering(&double.closed_card(0)));

    let denied = ask(&asking, command("git push origin main"), None);
    let with_reason = double.card(1).button("deny-with-reason").unwrap();
    double.click(&Click::of(&with_reason, BOB));
    let form = double.wait("a form", |double| double.views().first().cloned());
    stored("reason", &page(slack_phone::rows(&form["blocks"])));
    double.click(&Click::sent(&form, BOB, "not on Fridays"));
    let answer = double.wait("a no", |_| denied.answer());
    let reason = Some("not on Fridays");
    assert!(matches!(answer, Answer::Denied { reason: said, .. } if said.as_deref() == reason));
    recorded(&asking, Kind::ApprovalDenied, Some(&person(BOB)), reason);
    stored("denied", &rendering(&double.closed_card(1)));
}

#[test]
fn what_a_grant_covers_stands_word_for_word_above_its_button() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE], 1)).unwrap();
    let offer = |exact: &str, pattern: Option<&str>| {
        Some(GrantOffer {
            exact: exact.to_owned(),
            pattern: pattern.map(str::to_owned),
        })
    };
    let login = command("git push origin feature/login");
    let words = "running git push origin feature/login";
    let pattern = "running git push origin feature/*";
    let question = ask(&asking, login.clone(), offer(words, Some(pattern)));
    let card = double.card(0);
    stored("offer", &rendering(&card));
    assert!(card.button("allow-session").is_some());
    double.click(&Click::of(&card.button("allow-pattern").unwrap(), ALICE));
    let answer = double.wait("a yes", |_| question.answer());
    let for_pattern = Scope::Session {
        pattern: true,
        minutes: None,
    };
    assert!(matches!(answer, Answer::Granted { scope, .. } if scope == for_pattern));
    // What cannot be said whole is not offered.
    let _long = ask(&asking, login, offer(&"x".repeat(10_000), None));
    assert!(double.card(1).button("allow-session").is_none());
}

#[test]
fn phones_ring_for_whom_the_configuration_says() {
    for (mention, part) in [("channel", Some("@channel")), ("none", None)] {
        let double = SlackDouble::start();
        double.let_mention_the_channel();
        let given = UncheckedConfig {
            mention: Some(mention.into()),
            ..given(&double, &[ALICE, BOB], 1)
        };
        let asking = started(given).unwrap();
        let _question = ask(&asking, command("ls"), None);
        let first = double.card(0).message;
        for said in [first["text"].to_string(), first["blocks"].to_string()] {
            assert!(!said.contains("<@"), "{said}");
            assert_eq!(part.is_some(), said.contains("@channel"), "{said}");
        }
    }
}

#[test]
fn only_those_are_mentioned_whose_yes_counts() {
    let double = SlackDouble::start();
    let asking = started(given(&double, &[ALICE, BOB], 1)).unwrap();
    let leads = ApproverList {
        names: vec!["@leads".into()],
        people: vec![
            Approver::Slack(BOB.into()),
            Approver::Account("carol".into()),
        ],
    };
    let _question = ask_listed(&asking, command("ls"), None, vec![leads]);
    let text = double.card(0).message["text"].to_string();
    let blocks = double.card(0).text();
    let listed = "╭ somebody of these must approve\\n│ @leads";
    assert!(blocks.contains(listed), "{blocks}");
    assert!(
        text.contains("<@U0BOB>") && !text.contains("<@U0ALICE>"),
        "{text}"
    );
    double.click(&allow(&double, 0, STRANGER));
    asking.rejected(&[Reason::Stranger]);
}
