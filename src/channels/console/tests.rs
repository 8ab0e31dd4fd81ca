//! The console with a terminal that is a pipe: what is typed there, and what becomes of the questions.

use serde_json::{Map, Value, json};

use super::*;
use crate::contracts::approver::ApproverList;
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::verdict::{Decision, Verdict};
use crate::contracts::view::{CallView, LineKind, ViewBlock, ViewLine};

fn account(name: &str) -> Approver {
    Approver::Account(name.to_owned())
}

fn asking(tool: &str, args: &Value) -> Asking {
    let call = ToolCall {
        id: MessageId::new("m1").unwrap(),
        session: SessionId::new("s1").unwrap(),
        tool: tool.into(),
        args: args.as_object().unwrap_or(&Map::new()).clone(),
        actor: Actor::ClaudeProcess,
    };
    let verdict = Verdict {
        decision: Decision::Require,
        reason: "writes need a person".into(),
        rule_id: Some("ask-writes".into()),
        tier: None,
    };
    let lines = args["command"].as_str().unwrap_or_default().split('\n');
    let lines = lines.map(|text| ViewLine {
        kind: LineKind::Command,
        number: None,
        text: text.to_owned(),
    });
    let view = CallView {
        tool: tool.into(),
        blocks: vec![ViewBlock {
            heading: "runs".into(),
            subject: None,
            lines: lines.collect(),
        }],
        ..CallView::default()
    };
    Asking {
        deadline: Duration::from_millis(300),
        queue: Duration::from_millis(300),
        view,
        ..Asking::about(call, verdict)
    }
}

/// What a channel answers.
fn ask(channel: &dyn Channel, asking: &Asking) -> Answer {
    let question = Arc::new(Question::new(asking.clone(), 1));
    if let Err(why) = channel.show(&question) {
        question.gives_up(&why);
    }
    let answer = question.wait();
    channel.over(&question, &answer);
    answer
}

fn console(terminal: Terminal) -> Console {
    let operator = "somebody".to_owned();
    Console::start(Arc::new(terminal), operator, account("somebody"), false).unwrap()
}

/// What comes of a question about this command, when somebody types this.
fn answered(command: &str, typed: &str, stays: bool) -> Answer {
    answered_within(Duration::from_secs(60), command, typed, stays)
}

/// That nothing comes of it.
fn is_unanswered(command: &str, typed: &str) -> bool {
    answered_within(Duration::from_millis(100), command, typed, true) == Answer::TimedOut
}

fn answered_within(deadline: Duration, command: &str, typed: &str, stays: bool) -> Answer {
    let (terminal, _typist) = Terminal::typing(typed, stays);
    let asking = Asking {
        deadline,
        ..asking("Bash", &json!({ "command": command }))
    };
    ask(&console(terminal), &asking)
}

#[test]
fn a_yes_is_a_yes_to_all_of_it_and_nothing_else_is_one() {
    for yes in ["y\n", "YES\n"] {
        let answer = answered("ls", yes, true);
        assert!(matches!(answer, Answer::Granted { .. }), "{yes:?}");
    }
    for (no, expected) in [
        ("n\n", None),
        ("No\n", None),
        ("n use staging\n", Some("use staging")),
    ] {
        let answer = answered("ls", no, true);
        let Answer::Denied { by, reason, .. } = answer else {
            panic!("{no:?}: {answer:?}");
        };
        assert_eq!((by.as_str(), reason.as_deref()), ("somebody", expected));
    }
    // An empty line is no answer, nor is a line that is not finished.
    // More than the word is no answer, at whatever byte it is cut.
    let long = [1, 62, 63, 64, 65, 1087, 1088, 4095, 4096, 9000];
    let long = long.map(|more| format!("y{}no\n", " ".repeat(more)));
    let padded = ["  y\n", "y \n", "y\t\n", "y\r\n", "y\0\n", "y\u{a0}\n"];
    let nothing = ["", "\n", "maybe\n", "yess\n", "d\n", "y"];
    // What comes of a long line with the last read is none either.
    let late = [1088, 4096, 8192].map(|more| format!("{}y\n", "x".repeat(more)));
    let long = long.iter().chain(&late).map(String::as_str);
    for nothing in nothing.into_iter().chain(padded).chain(long) {
        assert!(is_unanswered("ls", nothing), "{nothing:?}");
    }
    let unseen = "x".repeat(30_000);
    assert!(is_unanswered(&unseen, "y\n"), "not seen");
    for left in ["", "y"] {
        let answer = answered("ls", left, false);
        assert_eq!(answer, Answer::Unreachable(CLOSED.into()), "{left:?}");
    }
}

#[test]
fn a_terminal_that_was_closed_is_not_asked_again() {
    let (terminal, _) = Terminal::typing("", false);
    let console = console(terminal);
    let asking = asking("Bash", &json!({"command": "ls"}));
    for _ in 0..2 {
        assert_eq!(ask(&console, &asking), Answer::Unreachable(CLOSED.into()));
    }
}

#[test]
fn a_session_that_is_over_asks_nobody() {
    let (terminal, _typist) = Terminal::typing("y\n", true);
    let console = console(terminal);
    console.hang_up();
    let asking = asking("Bash", &json!({"command": "ls"}));
    let answer = ask(&console, &asking);
    assert!(!matches!(answer, Answer::Granted { .. }), "{answer:?}");
}

#[test]
fn an_answer_from_elsewhere_leaves_the_terminal_to_the_next_question() {
    let (terminal, typist) = Terminal::typing("", true);
    let console = console(terminal);
    let question = |number| {
        let asking = Asking {
            number,
            deadline: Duration::from_secs(60),
            ..asking("Bash", &json!({"command": "ls"}))
        };
        Arc::new(Question::new(asking, 2))
    };
    let (first, second) = (question(1), question(2));
    console.show(&first).unwrap();
    console.show(&second).unwrap();
    assert!(first.settle(Answer::TimedOut));
    console.over(&first, &Answer::TimedOut);
    // The thread takes that first: what is typed from now on is for the second.
    while !locked(&console.inbox.state).new.is_empty() {
        std::thread::yield_now();
    }
    typist.as_ref().unwrap().write_all(b"y\n").unwrap();
    assert!(matches!(second.wait(), Answer::Granted { .. }));
    assert_eq!(first.answer(), Some(Answer::TimedOut));
}

#[test]
fn nobody_approves_automatically_for_two() {
    let mut request = asking("Write", &json!({}));
    request.terms.required = Some(2);
    let auto = AutoApprove::new(Arc::new(Terminal::unattended("nobody is there")));
    assert!(matches!(ask(&auto, &request), Answer::Unreachable(_)));
    assert!(too_few(&request, &[]).unwrap().contains("2 approvers"));
    // A rule that names people, or groups, is not met by whoever sits there.
    request.terms.required = None;
    request.approvers = vec![ApproverList {
        names: vec!["@leads".to_owned()],
        people: vec![account("alice")],
    }];
    assert_eq!(too_few(&request, &[account("alice")]), None);
    assert!(too_few(&request, &[account("bob")]).is_some());
    assert!(matches!(ask(&auto, &request), Answer::Unreachable(why) if why.contains("@leads")));
}

#[test]
fn without_a_terminal_nobody_approves() {
    let console = console(Terminal::unattended("nobody is there"));
    let answer = ask(&console, &asking("Write", &json!({})));
    assert_eq!(answer, Answer::Unreachable("nobody is there".into()));
}
