//! The screen in tables, and what holds of every drawing.

use std::time::Duration;

use super::row::width;
use super::*;
use crate::contracts::view::{Lead, LineKind, Origin, ViewBlock, ViewLine};
use crate::view::escape::unescaped;

const LEFT: Duration = Duration::from_secs(298);
/// Stands in everything that agp did not write, and in nothing that it did.
const FOREIGN: char = 'Z';

fn lines(kind: LineKind, text: &str) -> Vec<ViewLine> {
    let lines = text.split('\n').map(|text| ViewLine {
        kind,
        number: None,
        text: text.to_owned(),
    });
    lines.collect()
}

fn command(text: &str) -> CallView {
    CallView {
        tool: "Bash".into(),
        blocks: vec![ViewBlock {
            heading: "runs".into(),
            subject: None,
            lines: lines(LineKind::Command, text),
        }],
        reason: "pushes need a person".into(),
        rule: Some("ask-push".into()),
        origin: Origin {
            session: "s-1".into(),
            harness: "claude-code".into(),
            task: Some("Ship it".into()),
            repository: "/srv/shop".into(),
            host: "build-1".into(),
            user: "alice".into(),
        },
        ..CallView::default()
    }
}

fn question(number: u64, view: CallView) -> ScreenQuestion {
    ScreenQuestion {
        number,
        view,
        offer: None,
    }
}

fn sized(columns: usize, rows: usize) -> Look {
    Look {
        columns,
        rows,
        ..Look::PLAIN
    }
}

/// A screen with these commands waiting, from number 1.
fn waiting(commands: &[&str]) -> Screen {
    let mut screen = Screen::new(Look::PLAIN);
    for (number, text) in (1..).zip(commands) {
        let _ = screen.add(question(number, command(text)), LEFT);
    }
    screen
}

fn offering(pattern: Option<&str>) -> Screen {
    let mut screen = Screen::new(Look::PLAIN);
    let offer = GrantOffer {
        exact: "running git push origin feature/login".into(),
        pattern: pattern.map(str::to_owned),
    };
    let _ = screen.add(
        ScreenQuestion {
            offer: Some(offer),
            ..question(1, command("git push origin feature/login"))
        },
        LEFT,
    );
    screen
}

#[test]
fn a_question_says_what_runs_where_and_what_happens_without_an_answer() {
    let mut screen = Screen::new(Look::PLAIN);
    let drawn = screen.add(question(1, command("git push origin main")), LEFT);
    let expected = "\
Approval needed · question 1 · 4:58 left, no answer means Deny
Bash runs
│ git push origin main
reason     │ pushes need a person
rule       │ ask-push
task       │ Ship it
repository │ /srv/shop
session    │ alice at build-1, claude-code, s-1
Allow this call once? [y]es, [n]o, [d]etails: ";
    assert_eq!(drawn.text, expected);
    assert!(drawn.flush && drawn.seen == [1] && drawn.answer.is_none());
}

#[test]
fn the_words_answer_and_nothing_else_does() {
    let answer = |line: &str| waiting(&["ls", "pwd"]).typed(line).answer;
    let deny = |reason: Option<&str>| Said::Deny {
        reason: reason.map(str::to_owned),
    };
    for (line, expected) in [
        ("y", Some((1, Said::Approve(Scope::Once)))),
        ("n", Some((1, deny(None)))),
        ("n use staging", Some((1, deny(Some("use staging"))))),
        ("2 n", Some((2, deny(None)))),
        ("2 n later", Some((2, deny(Some("later"))))),
        // It was listed and never drawn.
        ("2 y", None),
        ("3 y", None),
        ("s", None),
        ("p", None),
        ("d", None),
        ("l", None),
        ("2", None),
        ("", None),
        ("y ", None),
        ("maybe", None),
    ] {
        assert_eq!(answer(line), expected, "{line:?}");
    }
    let said = waiting(&["ls"]).typed("maybe").text;
    assert!(said.starts_with("y: yes, once. n: no."), "{said}");
    assert!(
        waiting(&["ls"])
            .typed("7")
            .text
            .starts_with("No question 7 waits.")
    );
}

#[test]
fn questions_are_answered_in_any_order() {
    let mut screen = waiting(&["first", "second", "third"]);
    let other = screen.typed("3");
    assert!(
        other.flush && other.text.contains("question 3 · 3 of 3 waiting"),
        "{}",
        other.text
    );
    assert!(
        other
            .text
            .contains("\n1     4:58 │ Bash first\n2     4:58 │ Bash second\n"),
        "{}",
        other.text
    );
    // Both were drawn: whichever is named is answered.
    assert_eq!(
        screen.typed("1 y").answer,
        Some((1, Said::Approve(Scope::Once)))
    );
    let prompt = screen.settled(1, &Settled::Here);
    assert!(
        prompt
            .text
            .starts_with("Question 1: approved\nAllow this call once?")
            && !prompt.flush
    );
    assert_eq!(
        screen.typed("y").answer,
        Some((3, Said::Approve(Scope::Once)))
    );
    let next = screen.settled(3, &Settled::Here);
    assert!(
        next.flush
            && next
                .text
                .starts_with("Question 3: approved\nApproval needed · question 2 · 4:58 left, no answer means Deny\nBash runs\n│ second\n")
    );
    assert_eq!(
        screen.typed("y").answer,
        Some((2, Said::Approve(Scope::Once)))
    );
    // One answer is one.
    assert_eq!(screen.typed("y").answer, None);
    // The last one's answer is said by the line about its call.
    assert_eq!(screen.settled(2, &Settled::Here).text, "");
    assert!(screen.is_empty());
    let mut screen = waiting(&["first", "second"]);
    let _ = screen.typed("2 n");
    let said = screen.settled(2, &Settled::Here).text;
    assert!(said.starts_with("Question 2: denied\nAllow"), "{said}");
}

#[test]
fn an_answer_from_elsewhere_takes_a_question_off_and_what_was_typed_with_it() {
    let mut screen = waiting(&["first", "second"]);
    let by = Answer::Granted {
        by: "alice\u{1b} (slack U01)".into(),
        binding: crate::contracts::event::ApprovalBinding::Console,
        scope: Scope::Once,
    };
    let next = screen.settled(1, &Settled::Elsewhere(told(&by)));
    let expected =
        "\nQuestion 1: approved by alice\\u{1b} (slack U01)\nApproval needed · question 2 ·";
    assert!(
        next.flush && next.text.starts_with(expected),
        "{}",
        next.text
    );
    assert_eq!(screen.typed("1 n").answer, None);
    let last = screen.settled(2, &Settled::Elsewhere(told(&Answer::TimedOut)));
    assert_eq!(last.text, "\nQuestion 2: no answer in time: denied\n");
    assert!(last.flush && screen.is_empty());
}

#[test]
fn what_a_session_s_approval_covers_is_said_before_it_counts() {
    let session = |pattern, minutes| Some((1, Said::Approve(Scope::Session { pattern, minutes })));
    for (typed, pattern, expected) in [
        (vec!["s"], None, None),
        (vec!["s", "s"], None, session(false, None)),
        (vec!["s", "s 30"], None, session(false, Some(30))),
        (vec!["s", "p"], None, None),
        (vec!["p"], Some("x"), None),
        (
            vec!["s", "p"],
            Some("running git push origin feature/*"),
            session(true, None),
        ),
        (vec!["s", "maybe", "s"], None, None),
        (vec!["s", "y"], None, Some((1, Said::Approve(Scope::Once)))),
        (vec!["s", "d", "s"], None, None),
    ] {
        let mut screen = offering(pattern);
        let reactions: Vec<Reaction> = typed.iter().map(|line| screen.typed(line)).collect();
        assert_eq!(reactions.last().unwrap().answer, expected, "{typed:?}");
    }
    let said = offering(Some("running git push origin feature/*"))
        .typed("s")
        .text;
    let expected = "\
For this session, without asking again:
s          │ running git push origin feature/login
p          │ running git push origin feature/*
Type s or p to confirm, s 30 for 30 minutes only. Anything else: not for the
  session.
";
    assert!(said.starts_with(expected), "{said}");
    let said = waiting(&["ls"]).typed("s").text;
    assert!(
        said.starts_with("The rule that asks allows no approval for the"),
        "{said}"
    );
}

#[test]
fn what_is_hidden_forbids_a_yes_until_it_was_opened() {
    let long = (0..300)
        .map(|n| format!("echo {n}"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut screen = Screen::new(Look::PLAIN);
    let first = screen.add(question(1, command(&long)), LEFT).text;
    assert!(first.lines().count() < 24, "{first}");
    assert!(
        first.contains("│ echo 0\n") && first.contains("│ echo 299\n"),
        "{first}"
    );
    assert!(first.contains("lines hidden: [d]etails, [n]o") && !first.contains("[y]es"));
    for line in ["y", "1 y", "s"] {
        let said = screen.typed(line);
        assert!(
            said.answer.is_none() && said.text.contains("hidden: type d first."),
            "{line}"
        );
    }
    let all = screen.typed("d");
    for n in 0..300 {
        assert!(all.text.contains(&format!("│ echo {n}\n")), "{n}");
    }
    assert!(all.flush && all.text.contains("[y]es") && !all.text.contains("hidden"));
    // Where all of it does not fit, the header and the call are repeated above the prompt.
    assert_eq!(all.text.matches("Approval needed").count(), 2);
    let end: Vec<&str> = all.text.lines().rev().take(3).collect();
    assert!(
        end[2].starts_with("Approval needed") && end[1] == "│ Bash echo 0 …",
        "{end:?}"
    );
    assert_eq!(
        screen.typed("y").answer,
        Some((1, Said::Approve(Scope::Once)))
    );
}

#[test]
fn a_question_s_time_is_reminded_of_once() {
    let mut screen = waiting(&["ls", "pwd"]);
    let minute = Duration::from_secs(60);
    assert_eq!(
        screen.left(1, minute + Duration::from_secs(1)),
        Reaction::default()
    );
    let said = screen.left(1, minute).text;
    assert!(
        said.starts_with("\nQuestion 1: 1:00 left. No answer means Deny.\nAllow"),
        "{said}"
    );
    assert_eq!(screen.left(1, Duration::from_secs(59)), Reaction::default());
    // One that has no more than that from the start needs no reminder.
    let mut short = Screen::new(Look::PLAIN);
    let _ = short.add(question(1, command("ls")), minute);
    assert_eq!(short.left(1, Duration::from_secs(50)), Reaction::default());
}

#[test]
fn one_that_was_not_shown_is_said_when_it_has_little_time() {
    let minute = Duration::from_secs(60);
    let mut screen = Screen::new(Look::PLAIN);
    let mut unseen = Vec::new();
    for number in 1..=30 {
        let reaction = screen.add(question(number, command("ls")), LEFT);
        if reaction.seen.is_empty() {
            unseen.push(number);
        }
    }
    let first = screen.left(unseen[0], minute);
    assert!(first.seen.contains(&unseen[0]));
    let expected = format!(
        "Question {}: 1:00 left. No answer means Deny.\n│ Bash ls\n",
        unseen[0]
    );
    assert!(first.text.contains(&expected), "{}", first.text);
    // Each of the others does not draw the question anew.
    let rest: Vec<u64> = unseen
        .into_iter()
        .filter(|number| !first.seen.contains(number))
        .collect();
    assert!(rest.len() > 5, "{rest:?}");
    let drawn = rest
        .iter()
        .filter(|number| !screen.left(**number, minute).text.is_empty());
    assert_eq!(drawn.count(), 0);
}

#[test]
fn what_has_no_room_is_counted_and_rings() {
    let bell = Look {
        bell: true,
        ..Look::PLAIN
    };
    let mut screen = Screen::new(bell);
    let _ = screen.add(question(1, command("ls")), LEFT);
    let mut texts = Vec::new();
    for number in 2..=12 {
        let reaction = screen.add(question(number, command("ls")), LEFT);
        assert!(reaction.text.starts_with('\u{7}'), "{number}");
        texts.push((reaction.seen, reaction.text));
    }
    let counted = texts
        .iter()
        .filter(|(seen, text)| seen.is_empty() && text.contains("more questions wait (l lists"));
    assert!(counted.count() > 0, "{texts:?}");
    // What rang then rings no more.
    assert!(!screen.typed("l").text.contains('\u{7}'));
    let next = screen.settled(1, &Settled::Elsewhere("gone".into()));
    assert!(!next.text.contains('\u{7}'));
}

#[test]
fn details_end_with_what_they_are_about_and_leave_the_others_out() {
    let mut screen = Screen::new(Look::PLAIN);
    let view = CallView {
        details: (0..16)
            .map(|n| (format!("id {n}"), "x".to_owned()))
            .collect(),
        ..command("git push origin main")
    };
    for number in 1..=4 {
        let _ = screen.add(question(number, view.clone()), LEFT);
    }
    let all = screen.typed("d").text;
    let end: Vec<&str> = all.lines().rev().take(3).collect();
    assert!(end[0].starts_with("Allow this call once?"), "{all}");
    assert_eq!(end[1], "│ Bash git push origin main");
    assert!(
        end[2].starts_with("Approval needed · question 1 · 1 of 4 waiting"),
        "{all}"
    );
    assert!(
        !all.contains("\n2     4:58") && !all.contains("l lists"),
        "{all}"
    );
}

#[test]
fn where_sessions_differ_a_list_says_whose_a_question_is() {
    let of = |session: &str, repository: &str| {
        let mut view = command("ls");
        view.origin.session = session.into();
        view.origin.repository = repository.into();
        view
    };
    let mut screen = Screen::new(Look::PLAIN);
    let _ = screen.add(question(1, of("s-7b277fb47b25", "/srv/shop")), LEFT);
    let said = screen
        .add(question(2, of("s-7b277fb47b25", "/srv/shop")), LEFT)
        .text;
    assert!(said.contains("\n│ Bash ls\n"), "{said}");
    let said = screen
        .add(question(3, of("s-90aa00bb11cc", "/srv/blog/")), LEFT)
        .text;
    assert!(said.contains("\n│ blog s-90aa00: Bash ls\n"), "{said}");
    let list = screen.typed("l").text;
    assert!(
        list.starts_with("1     4:58 │ shop s-7b277f: Bash ls\n"),
        "{list}"
    );
}

#[test]
fn what_is_nearly_an_answer_says_what_is_wrong_with_it() {
    for (line, expected) in [
        ("y ", "Type y alone. y: yes, once."),
        ("1 y ", "Type y alone."),
        ("s 0", "For a time, type 1 to 1440 minutes, as s 30."),
        ("s soon", "For a time, type 1 to 1440 minutes, as s 30."),
    ] {
        let said = offering(None).typed(line);
        assert!(
            said.answer.is_none() && said.text.starts_with(expected),
            "{line}: {}",
            said.text
        );
    }
}

#[test]
fn many_questions_push_none_off_the_screen() {
    let mut screen = Screen::new(Look::PLAIN);
    let mut rows = 0;
    let mut seen = Vec::new();
    for number in 1..=60 {
        let reaction = screen.add(question(number, command("ls")), LEFT);
        rows += reaction.text.lines().count();
        seen.extend(reaction.seen);
    }
    assert!(rows <= 24 && seen.len() < 10, "{rows} {seen:?}");
    let next = screen.settled(1, &Settled::Elsewhere("gone".into()));
    assert!(next.text.contains("more questions wait (l lists them)"));
    let (_, drawn) = next.text.split_once("Approval needed").unwrap();
    assert!(drawn.lines().count() <= 24, "{drawn}");
    let list = screen.typed("l");
    assert_eq!(list.text.matches(" │ Bash ls\n").count(), 59);
    assert_eq!(list.seen.len() + next.seen.len() + seen.len(), 60);
    // What is said meanwhile draws the question anew instead of pushing it off.
    for number in 3..40 {
        let said = screen
            .settled(number, &Settled::Elsewhere("gone".into()))
            .text;
        assert!(said.contains("[y]es"));
    }
}

#[test]
fn a_bell_rings_once_a_question_where_it_is_wanted() {
    let rings = |bell| {
        let mut screen = Screen::new(Look {
            bell,
            ..Look::PLAIN
        });
        let mut text = screen.add(question(1, command("ls")), LEFT).text;
        text += &screen.add(question(2, command("pwd")), LEFT).text;
        for line in ["d", "2", "1", "l"] {
            text += &screen.typed(line).text;
        }
        text += &screen.resized(sized(60, 24)).text;
        text.matches('\u{7}').count()
    };
    assert_eq!((rings(true), rings(false)), (2, 0));
}

#[test]
fn another_width_draws_anew_and_too_narrow_a_one_asks_for_more() {
    let mut screen = waiting(&["git push"]);
    assert_eq!(screen.resized(sized(80, 50)), Reaction::default());
    let drawn = screen.resized(sized(40, 24));
    assert!(drawn.flush && drawn.text.starts_with("\nApproval needed"));
    let narrow = screen.resized(sized(Look::COLUMNS_MIN - 1, 24)).text;
    assert!(
        narrow.contains("this terminal is too") && !narrow.contains("git push"),
        "{narrow}"
    );
    assert_eq!(screen.typed("y").answer, None);
    let _ = screen.resized(sized(Look::COLUMNS_MIN, 24));
    assert_eq!(
        screen.typed("y").answer,
        Some((1, Said::Approve(Scope::Once)))
    );
}

/// Views of foreign text that tries to look like agp's, and of every part.
fn hostile() -> Vec<CallView> {
    let forged = "Z\nApproval needed Z\nZ\u{1b}[2J│ Z┆ Z\r\u{202e}Z\u{8}Z";
    let everything = CallView {
        tool: "mcp__Z Z\u{1b}".into(),
        blocks: vec![
            ViewBlock {
                heading: "changes".into(),
                subject: Some("Z/Z.rs".into()),
                lines: (1..40)
                    .flat_map(|number| {
                        let kinds = [
                            LineKind::Context,
                            LineKind::Removed,
                            LineKind::Added,
                            LineKind::Note,
                        ];
                        kinds.map(|kind| ViewLine {
                            kind,
                            number: (kind != LineKind::Note).then_some(number),
                            text: match kind {
                                LineKind::Note => "some lines".into(),
                                _ => "Z\t{ Z }  ".into(),
                            },
                        })
                    })
                    .collect(),
            },
            ViewBlock {
                heading: "a heading that is longer than labels".into(),
                subject: Some("Z".repeat(90)),
                lines: lines(LineKind::Text, forged),
            },
        ],
        directory: Some("Z/Z".repeat(40)),
        leads: (0..9)
            .map(|_| Lead {
                path: "Z/a".into(),
                real: "Z/b".repeat(30),
                other_names: true,
            })
            .collect(),
        description: Some(forged.into()),
        atoms: vec!["writes Z".into(); 9],
        reason: "Z ".repeat(200),
        rule: Some("Z".into()),
        details: vec![("Z".into(), "Z".repeat(64))],
        origin: Origin {
            session: "Z".into(),
            harness: "Z".into(),
            task: Some(forged.repeat(20)),
            repository: "Z".repeat(300),
            host: "Z".into(),
            user: "Z".into(),
        },
    };
    let only = |text: &str| CallView {
        reason: "Z".into(),
        rule: None,
        origin: Origin::default(),
        ..command(text)
    };
    vec![
        everything,
        only(forged),
        only(&"\u{65e5}Z".repeat(500)),
        only(&format!("Z{}Z", " ".repeat(5000))),
        only(&"Z\n".repeat(700)),
        only(""),
        CallView {
            blocks: Vec::new(),
            ..only("")
        },
    ]
}

const SIZES: [(usize, usize); 6] = [(24, 10), (40, 24), (60, 24), (80, 24), (200, 50), (81, 6)];

#[test]
fn nothing_foreign_passes_for_agps_own_line_at_any_width() {
    for view in hostile() {
        for (columns, rows) in SIZES {
            for unicode in [true, false] {
                let look = Look {
                    unicode,
                    ..sized(columns, rows)
                };
                let bars = look.bars();
                let mut screen = Screen::new(look);
                let mut text = screen.add(question(1, view.clone()), LEFT).text;
                text += &format!("\n{}", screen.add(question(2, view.clone()), LEFT).text);
                text += "\n";
                for line in ["d", "l", "what", "2", "2 d"] {
                    text += &screen.typed(line).text;
                    text.push('\n');
                }
                for row in text.split('\n') {
                    assert!(row.trim_end().chars().all(|c| !c.is_control()), "{row:?}");
                    assert!(
                        width(row.trim_end()) <= columns || !row.contains(FOREIGN),
                        "{row:?}"
                    );
                    let Some(at) = row.find(FOREIGN) else {
                        continue;
                    };
                    let bar = [bars.first, bars.next]
                        .into_iter()
                        .filter_map(|bar| row.find(bar))
                        .min();
                    let bar = bar.unwrap_or_else(|| panic!("{columns}: {row:?}"));
                    assert!(bar < at, "{row:?}");
                }
            }
        }
    }
}

/// The lines of the call that a drawing shows: unwrapped, without their marks, unescaped.
fn read_back(drawn: &str, view: &CallView) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for row in drawn.split('\n') {
        if let Some(text) = row.strip_prefix("│ ") {
            lines.push(text.to_owned());
        } else if let (Some(text), Some(last)) = (row.strip_prefix("┆ "), lines.last_mut()) {
            last.push_str(text);
        }
    }
    let marks = view.blocks.iter().flat_map(|block| {
        let lines = crate::view::drawn(block).into_iter();
        lines
            .filter(|line| line.kind != LineKind::Note)
            .map(|line| line.mark)
    });
    lines
        .iter()
        .zip(marks)
        .map(|(line, mark)| {
            // A continuation has blanks where the first row has the mark.
            let text = line.strip_prefix(&mark).unwrap().to_owned();
            unescaped(&text).unwrap_or_else(|| panic!("{text:?}"))
        })
        .collect()
}

#[test]
fn what_is_shown_is_byte_for_byte_the_call_or_a_yes_does_not_count() {
    let mut views = hostile();
    views.remove(0);
    // Texts of all sorts of characters, by a generator of one's own.
    let alphabet: Vec<char> = "ab \t\\u{}│┆\u{202e}\u{1b}\u{65e5}é\n".chars().collect();
    let mut state = 7_usize;
    for length in (0..60).map(|n| n * n) {
        let text = (0..length).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            alphabet[(state >> 33) % alphabet.len()]
        });
        views.push(command(&text.collect::<String>()));
    }
    let (mut whole, mut hidden) = (0, 0);
    for view in views {
        let texts: Vec<&str> = view
            .blocks
            .iter()
            .flat_map(|block| &block.lines)
            .map(|line| line.text.as_str())
            .collect();
        for (columns, rows) in SIZES {
            let mut screen = Screen::new(sized(columns, rows));
            let drawn = screen.add(question(1, view.clone()), LEFT).text;
            let mut all = drawn.clone();
            if screen.typed("y").answer.is_none() {
                assert!(drawn.contains(" hidden"), "{drawn}");
                hidden += 1;
                all = screen.typed("d").text;
                assert!(screen.typed("y").answer.is_some());
            } else {
                whole += 1;
            }
            assert_eq!(read_back(&all, &view), texts, "{columns}");
        }
    }
    assert!(whole > 50 && hidden > 50, "{whole} {hidden}");
}
