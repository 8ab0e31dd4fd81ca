//! `agp attend` without its terminal and its connections: what it shows and says comes of what it hears and of what is
//! typed. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::channels::escape;
use crate::channels::screen::{Look, Reaction, Said, Screen, Settled};
use crate::contracts::ids::Sha256;
use crate::contracts::view::Origin;

use super::protocol::{AttendantMessage, GivenAnswer, PutQuestion, SessionMessage};

/// Characters of a task or path in the line about a session.
const ABOUT_CHARS: usize = 300;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// A line is shown, at once or when no question stands any more.
    Line(String),
    /// Something of a question's is written.
    Question(String),
    /// What was typed before and not read yet is thrown away.
    Forget,
    /// No question stands: the lines that were held back are shown.
    Resume,
    /// A session is told something.
    Say(String, AttendantMessage),
    /// Nothing more comes of a session.
    Leave(String),
}

/// A question on the screen.
#[derive(Debug)]
struct Put {
    session: String,
    /// Its number there.
    number: u64,
    nonce: String,
    /// Digest of the view as it came.
    view_sha256: Sha256,
    until: Instant,
}

/// What one person at a terminal sees of the sessions that are attended.
#[derive(Debug)]
pub(super) struct Viewer {
    screen: Screen,
    /// By their numbers on the screen.
    open: BTreeMap<u64, Put>,
    /// The highest number that the screen has shown.
    highest: u64,
    /// The session that the last line was of.
    speaking: Option<String>,
}

impl Viewer {
    /// Nothing is attended yet.
    pub(super) fn new(look: Look) -> Self {
        Self {
            screen: Screen::new(look),
            open: BTreeMap::new(),
            highest: 0,
            speaking: None,
        }
    }

    /// Whether a question waits.
    pub(super) fn asks(&self) -> bool {
        !self.screen.is_empty()
    }

    /// A session said something.
    pub(super) fn heard(
        &mut self,
        session: &str,
        message: SessionMessage,
        now: Instant,
    ) -> Vec<Effect> {
        match message {
            SessionMessage::Hello { origin, since, .. } => {
                self.speaking = Some(session.to_owned());
                about(&origin, &since).map(Effect::Line).into()
            }
            SessionMessage::Line { text } => {
                let mut effects = self.spoken(session);
                effects.push(Effect::Line(printable(text)));
                effects
            }
            SessionMessage::Question(put) => self.question(session, *put, now),
            SessionMessage::Taken { number } => self.settled(session, number, &Settled::Here),
            SessionMessage::Settled { number, words } => {
                self.settled(session, number, &Settled::Elsewhere(printable(words)))
            }
            SessionMessage::Rejected { number, words } => {
                let words = printable(words);
                let put = number.filter(|number| self.shown_as(session, *number).is_some());
                match put {
                    Some(number) => self.settled(session, number, &Settled::Elsewhere(words)),
                    None => vec![Effect::Line(format!("{session}: {words}"))],
                }
            }
            SessionMessage::Ended { words } => {
                let mut effects = self.gone(session);
                effects.push(Effect::Line(format!("{session}: {}", printable(words))));
                effects.push(Effect::Leave(session.to_owned()));
                effects
            }
        }
    }

    /// Nothing more is heard of a session: its questions are taken off the screen.
    pub(super) fn gone(&mut self, session: &str) -> Vec<Effect> {
        let of_session = self.open.values().filter(|put| put.session == session);
        let numbers: Vec<u64> = of_session.map(|put| put.number).collect();
        let over = Settled::Elsewhere("the session is over".into());
        let settled = numbers
            .into_iter()
            .map(|number| self.settled(session, number, &over));
        settled.collect::<Vec<_>>().concat()
    }

    /// A line was typed.
    pub(super) fn typed(&mut self, line: &str) -> Vec<Effect> {
        let reaction = self.screen.typed(line);
        self.follow(reaction)
    }

    /// Time passed, and the terminal may have another size.
    pub(super) fn passed(&mut self, now: Instant, look: Look) -> Vec<Effect> {
        let reaction = self.screen.resized(look);
        let mut effects = self.follow(reaction);
        let lefts: Vec<(u64, Duration)> = self
            .open
            .iter()
            .map(|(number, put)| (*number, put.until.saturating_duration_since(now)))
            .collect();
        for (number, left) in lefts {
            let reaction = self.screen.left(number, left);
            effects.extend(self.follow(reaction));
        }
        effects
    }

    fn question(&mut self, session: &str, put: PutQuestion, now: Instant) -> Vec<Effect> {
        // Who only watches has no screen.
        let Some(nonce) = put.nonce else {
            return Vec::new();
        };
        let mut question = put.question;
        let left = Duration::from_secs(put.seconds_left);
        let here = Put {
            session: session.to_owned(),
            number: question.number,
            nonce,
            view_sha256: question.view.sha256(),
            until: now + left,
        };
        // Two sessions count alike: the second has the next number that is free.
        if question.number <= self.highest && self.highest > 0 {
            question.number = self.highest + 1;
        }
        self.highest = question.number;
        self.open.insert(question.number, here);
        let mut effects = Vec::new();
        if !put.elsewhere.is_empty() && !self.asks() {
            let places = escape::line_max(&put.elsewhere.join(" and "), ABOUT_CHARS);
            effects.push(Effect::Line(format!("{session} asks at {places}, too")));
        }
        let reaction = self.screen.add(question, left);
        effects.extend(self.follow(reaction));
        effects
    }

    /// The number that a session's question has on the screen.
    fn shown_as(&self, session: &str, number: u64) -> Option<u64> {
        let mut open = self.open.iter();
        let (here, _) = open.find(|(_, put)| put.session == session && put.number == number)?;
        Some(*here)
    }

    fn settled(&mut self, session: &str, number: u64, how: &Settled) -> Vec<Effect> {
        let Some(here) = self.shown_as(session, number) else {
            return Vec::new();
        };
        self.open.remove(&here);
        let reaction = self.screen.settled(here, how);
        let mut effects = self.follow(reaction);
        if self.screen.is_empty() {
            effects.push(Effect::Resume);
        }
        effects
    }

    fn follow(&mut self, reaction: Reaction) -> Vec<Effect> {
        let mut effects = Vec::new();
        if reaction.flush {
            effects.push(Effect::Forget);
        }
        if !reaction.text.is_empty() {
            effects.push(Effect::Question(reaction.text));
        }
        if let Some((number, verdict)) = reaction.answer {
            effects.extend(self.answer(number, verdict));
        }
        effects
    }

    fn answer(&self, number: u64, verdict: Said) -> Option<Effect> {
        let put = self.open.get(&number)?;
        let answer = AttendantMessage::Answer(GivenAnswer {
            number: put.number,
            nonce: put.nonce.clone(),
            view_sha256: put.view_sha256,
            verdict,
        });
        Some(Effect::Say(put.session.clone(), answer))
    }

    /// Says whose lines follow, where the last one was another's.
    fn spoken(&mut self, session: &str) -> Vec<Effect> {
        if self.speaking.as_deref() == Some(session) {
            return Vec::new();
        }
        self.speaking = Some(session.to_owned());
        vec![Effect::Line(format!("{session}:"))]
    }
}

/// What is said of a session that is attended.
fn about(origin: &Origin, since: &str) -> [String; 2] {
    let short = |text: &str| escape::line_max(text, ABOUT_CHARS);
    let task = origin.task.as_deref().map(short);
    [
        format!(
            "{}: {} in {} on {}, started by {} at {}",
            short(&origin.session),
            short(&origin.harness),
            short(&origin.repository),
            short(&origin.host),
            short(&origin.user),
            short(since),
        ),
        match task {
            Some(task) => format!("  task: {task}"),
            None => "  Ctrl-C leaves; the session goes on.".to_owned(),
        },
    ]
}

/// What a session escaped stays as it is; anything else that a terminal obeys does not pass.
fn printable(text: String) -> String {
    match text.chars().any(char::is_control) {
        true => escape::line(&text),
        false => text,
    }
}

#[cfg(test)]
mod tests {
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
            seconds_left: 300,
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
        let mut viewer = Viewer::new(Look::PLAIN);
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
            let mut viewer = Viewer::new(Look::PLAIN);
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
        let mut viewer = Viewer::new(Look::PLAIN);
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
        let mut viewer = Viewer::new(Look::PLAIN);
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
}
