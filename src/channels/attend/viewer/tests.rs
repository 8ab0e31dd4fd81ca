//! What whoever attends sees, and what goes back to which session.

use super::*;
use crate::channels::screen::ScreenQuestion;
use crate::contracts::channel::Scope;
use crate::contracts::view::{CallView, LineKind, ViewBlock, ViewLine};

fn question(number: u64, command: &str) -> SessionMessage {
    let view = CallView {
        tool: "Bash".into(),
        blocks: vec![ViewBlock {
            heading: "runs".into(),
            subject: None,
            lines: vec![ViewLine {
                kind: LineKind::Command,
                number: None,
                text: command.into(),
            }],
        }],
        ..CallView::default()
    };
    SessionMessage::Question(Box::new(PutQuestion {
        question: ScreenQuestion {
            number,
            view,
            offer: None,
        },
        nonce: Some(format!("nonce {command}")),
        seconds_left: 900,
        seconds_once_seen: 300,
        elsewhere: Vec::new(),
    }))
}

fn texts(effects: &[Effect]) -> String {
    let texts = effects.iter().filter_map(|effect| match effect {
        Effect::Question(text) | Effect::Line(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn said(effects: &[Effect]) -> Option<(String, GivenAnswer)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Say(session, AttendantMessage::Answer(answer)) => {
            Some((session.clone(), answer.clone()))
        }
        _ => None,
    })
}

#[test]
fn questions_of_two_sessions_have_numbers_of_their_own_and_go_back_to_whose_they_are() {
    let now = Instant::now();
    let mut viewer = Viewer::new(Look::PLAIN, now);
    let first = viewer.heard("s-1", question(1, "make one"), now);
    assert!(texts(&first).contains("make one"), "{first:?}");
    let _ = viewer.heard("s-2", question(1, "make two"), now);
    let (session, answer) = said(&viewer.typed("2 n not now")).unwrap();
    assert_eq!((session.as_str(), answer.number), ("s-2", 1));
    assert_eq!(answer.nonce, "nonce make two");
    let reason = Some("not now".to_owned());
    assert_eq!(answer.verdict, Said::Deny { reason });
    let _ = viewer.heard("s-2", SessionMessage::Taken { number: 1 }, now);
    let (session, answer) = said(&viewer.typed("y")).unwrap();
    assert_eq!((session.as_str(), answer.number), ("s-1", 1));
    assert_eq!(answer.verdict, Said::Approve(Scope::Once));
    let effects = viewer.heard("s-1", SessionMessage::Taken { number: 1 }, now);
    assert!(effects.contains(&Effect::Resume) && !viewer.asks());
    // What is told of it afterwards concerns nobody here.
    let words = "approved by alice".to_owned();
    let settled = SessionMessage::Settled { number: 1, words };
    assert_eq!(viewer.heard("s-1", settled, now), []);
}

#[test]
fn who_was_asked_too_is_told_and_the_question_leaves() {
    let now = Instant::now();
    for message in [
        SessionMessage::Settled {
            number: 1,
            words: "denied by alice".into(),
        },
        SessionMessage::Rejected {
            number: Some(1),
            words: "this question is already decided".into(),
        },
        SessionMessage::Ended {
            words: "the session ended".into(),
        },
    ] {
        let mut viewer = Viewer::new(Look::PLAIN, now);
        let _ = viewer.heard("s-1", question(1, "make one"), now);
        let effects = viewer.heard("s-1", message, now);
        assert!(texts(&effects).contains("Question 1: "), "{effects:?}");
        assert!(effects.contains(&Effect::Resume) && !viewer.asks());
        assert_eq!(said(&viewer.typed("y")), None);
    }
}

#[test]
fn an_answer_is_about_the_view_that_came() {
    let now = Instant::now();
    let mut viewer = Viewer::new(Look::PLAIN, now);
    let message = question(1, "make one");
    let SessionMessage::Question(put) = &message else {
        panic!("{message:?}");
    };
    let digest = put.question.view.sha256();
    let _ = viewer.heard("s-1", message, now);
    let (_, answer) = said(&viewer.typed("y")).unwrap();
    assert_eq!(answer.view_sha256, digest);
}

#[test]
fn lines_say_whose_they_are_where_that_changes_and_nothing_in_them_acts() {
    let now = Instant::now();
    let mut viewer = Viewer::new(Look::PLAIN, now);
    let mut effects = Vec::new();
    for (session, text) in [
        ("s-1", "allow Bash ls"),
        ("s-1", r"deny Bash rm \u{1b}"),
        ("s-2", "allow\u{1b}[2J"),
        ("s-1", "x"),
    ] {
        let line = SessionMessage::Line { text: text.into() };
        effects.extend(viewer.heard(session, line, now));
    }
    let lines = [
        "s-1:",
        "allow Bash ls",
        r"deny Bash rm \u{1b}",
        "s-2:",
        r"allow\u{1b}[2J",
        "s-1:",
        "x",
    ];
    assert_eq!(effects, lines.map(|line| Effect::Line(line.into())));
}

#[test]
fn grants_are_listed_and_taken_back_with_and_without_a_question() {
    let now = Instant::now();
    let mut viewer = Viewer::new(Look::PLAIN, now);
    let hello = |session: &str| SessionMessage::Hello {
        protocol: 1,
        origin: Origin {
            session: session.into(),
            ..Origin::default()
        },
        since: "2026-11-29T13:00:00.000Z".into(),
    };
    let _ = viewer.heard("s-1", hello("s-1"), now);
    let ask = |session: &str| Effect::Say(session.into(), AttendantMessage::Grants {});
    assert_eq!(viewer.typed("g"), [ask("s-1")]);
    assert_eq!(viewer.typed("revoke g1"), [revoke("s-1", "g1")]);
    let grant = |id: &str, state| Grant {
        id: id.into(),
        rule: Some("publish".into()),
        covers: "running git push \u{1b}[2J".into(),
        by: "alice (slack U0ALICE)".into(),
        channel: "slack".into(),
        since: "2026-11-29T13:00:00.000Z".into(),
        until: None,
        state,
    };
    let grants = SessionMessage::Grants {
        grants: vec![
            grant("g1", GrantState::Live),
            grant("g2", GrantState::Revoked),
        ],
    };
    let lines = [
        "s-1: 2 grants",
        "g1 live, by alice (slack U0ALICE), until the session ends; revoke g1",
        "      │ running git push \\u{1b}[2J",
        "g2 revoked, by alice (slack U0ALICE)",
        "      │ running git push \\u{1b}[2J",
    ];
    let effects = viewer.heard("s-1", grants.clone(), now);
    assert_eq!(effects, lines.map(|line| Effect::Line(line.into())));
    // While a question stands they come at once, and its prompt again.
    let _ = viewer.heard("s-1", question(1, "make one"), now);
    let text = texts(&viewer.heard("s-1", grants, now));
    let [listed, prompt] = [lines[4], "Allow this call once?"].map(|part| text.find(part).unwrap());
    assert!(listed < prompt && !text.contains("y: yes"), "{text}");
    let hint = texts(&viewer.typed("what"));
    let hint = hint.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        hint.contains("g: grants. revoke ID: take one back."),
        "{hint}"
    );
    // Of several sessions one has to be named.
    let _ = viewer.heard("s-2", hello("s-2"), now);
    assert_eq!(viewer.typed("g"), [ask("s-1"), ask("s-2")]);
    assert!(texts(&viewer.typed("revoke g1")).contains("the session"));
    assert_eq!(viewer.typed("revoke s-2 g1"), [revoke("s-2", "g1")]);
    let _ = viewer.gone("s-2");
    assert_eq!(viewer.typed("revoke g1"), [revoke("s-1", "g1")]);
}

#[test]
fn a_session_is_told_which_questions_stood_on_the_screen_and_time_runs_from_then() {
    let now = Instant::now();
    let mut viewer = Viewer::new(Look::PLAIN, now);
    let seen = |effects: &[Effect]| -> Vec<(String, u64)> {
        let seen = effects.iter().filter_map(|effect| match effect {
            Effect::Say(session, AttendantMessage::Seen { number }) => {
                Some((session.clone(), *number))
            }
            _ => None,
        });
        seen.collect()
    };
    let mut numbers = seen(&viewer.heard("s-1", question(1, "make"), now));
    assert_eq!(numbers, [("s-1".to_owned(), 1)]);
    for number in 1..=20 {
        numbers.extend(seen(&viewer.heard("s-2", question(number, "make"), now)));
    }
    assert!(numbers.len() < 12, "{numbers:?}");
    // By the numbers that the session gave them, once each.
    let later = now + Duration::from_secs(200);
    let _ = viewer.passed(later, Look::PLAIN);
    let effects = viewer.typed("l");
    numbers.extend(seen(&effects));
    let expected: Vec<(String, u64)> = [("s-1".to_owned(), 1)]
        .into_iter()
        .chain((1..=20).map(|number| ("s-2".to_owned(), number)))
        .collect();
    assert_eq!(numbers, expected);
    let text = texts(&effects);
    assert!(
        text.contains("\n21    5:00 │") && text.starts_with("1     1:40 │"),
        "{text}"
    );
    let _ = viewer.passed(later + Duration::from_secs(100), Look::PLAIN);
    let text = texts(&viewer.typed("l"));
    assert!(text.contains("\n21    3:20 │"), "{text}");
}
