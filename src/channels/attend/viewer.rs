//! `agp attend` without its terminal and its connections: what it shows and says comes of what it hears and of what is
//! typed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::channels::escape;
use crate::channels::screen::{Bars, Look, OUTPUT_BAR, Reaction, Said, Screen, Settled, live_line};
use crate::contracts::grant::{Grant, GrantState};
use crate::contracts::ids::Sha256;
use crate::contracts::plural::count;
use crate::contracts::view::Origin;

use super::protocol::{AttendantMessage, GivenAnswer, PutQuestion, SessionMessage};

/// Characters of a task or path in the line about a session.
const ABOUT_CHARS: usize = 300;

/// What can be typed here beside the answers.
const HINT: &str = " g: grants. revoke ID: take one back.";

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
    /// The time that is left once it is seen; `None` where it was.
    once_seen: Option<Duration>,
}

impl Put {
    fn left(&self, now: Instant) -> Duration {
        let left = self.until.saturating_duration_since(now);
        self.once_seen.map_or(left, |most| left.min(most))
    }
}

/// What one person at a terminal sees of the sessions that are attended.
#[derive(Debug)]
pub(super) struct Viewer {
    screen: Screen,
    look: Look,
    /// Those that are attended.
    sessions: BTreeSet<String>,
    /// By their numbers on the screen.
    open: BTreeMap<u64, Put>,
    /// The highest number that the screen has shown.
    highest: u64,
    /// The session that the last line was of.
    speaking: Option<String>,
    /// When something was last heard, or time was last said to have passed.
    now: Instant,
}

impl Viewer {
    /// Nothing is attended yet.
    pub(super) fn new(look: Look, now: Instant) -> Self {
        Self {
            now,
            screen: Screen::with_hint(look, HINT),
            look,
            sessions: BTreeSet::new(),
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
        self.now = now;
        match message {
            SessionMessage::Hello { origin, since, .. } => {
                self.speaking = Some(session.to_owned());
                self.sessions.insert(session.to_owned());
                about(&origin, &since).map(Effect::Line).into()
            }
            SessionMessage::Line { text } => {
                let mut effects = self.spoken(session);
                effects.push(Effect::Line(printable(text)));
                effects
            }
            SessionMessage::Question(put) => self.question(session, *put),
            SessionMessage::Taken { number } => self.settled(session, number, &Settled::Here),
            SessionMessage::Settled { number, words } => {
                self.settled(session, number, &Settled::Elsewhere(printable(words)))
            }
            SessionMessage::Grants { grants } => self.aside(&listed(session, &grants)),
            SessionMessage::Rejected { number, words } => {
                let words = printable(words);
                let put = number.filter(|number| self.shown_as(session, *number).is_some());
                match put {
                    Some(number) => self.settled(session, number, &Settled::Elsewhere(words)),
                    None => self.aside(&[format!("{session}: {words}")]),
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
        self.sessions.remove(session);
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
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut sessions = self.sessions.iter();
        match (words.as_slice(), sessions.next(), sessions.next()) {
            (["g" | "grants"], ..) => {
                let all = self.sessions.iter().cloned();
                all.map(|session| Effect::Say(session, AttendantMessage::Grants {}))
                    .collect()
            }
            (["revoke", id], Some(session), None) => vec![revoke(session, id)],
            (["revoke", session, id], ..) if self.sessions.contains(*session) => {
                vec![revoke(session, id)]
            }
            (["revoke", ..], _, None) => self.aside(&["Type revoke and a grant's id.".into()]),
            (["revoke", ..], ..) => {
                self.aside(&["Type revoke, the session and the grant's id.".into()])
            }
            ([_, ..], ..) if !self.asks() => {
                self.aside(&["Nothing waits. Type g to list the grants.".into()])
            }
            _ => {
                let reaction = self.screen.typed(line);
                self.follow(reaction)
            }
        }
    }

    /// Time passed, and the terminal may have another size.
    pub(super) fn passed(&mut self, now: Instant, look: Look) -> Vec<Effect> {
        self.look = look;
        self.now = now;
        let reaction = self.screen.resized(look);
        let mut effects = self.follow(reaction);
        let lefts: Vec<(u64, Duration)> = self
            .open
            .iter()
            .map(|(number, put)| (*number, put.left(now)))
            .collect();
        for (number, left) in lefts {
            let reaction = self.screen.left(number, left);
            effects.extend(self.follow(reaction));
        }
        effects
    }

    fn question(&mut self, session: &str, put: PutQuestion) -> Vec<Effect> {
        // Who only watches has no screen.
        let Some(nonce) = put.nonce else {
            return Vec::new();
        };
        let mut question = put.question;
        let here = Put {
            session: session.to_owned(),
            number: question.number,
            nonce,
            view_sha256: question.view.sha256(),
            until: self.now + Duration::from_secs(put.seconds_left),
            once_seen: Some(Duration::from_secs(put.seconds_once_seen)),
        };
        let left = here.left(self.now);
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

    /// Lines that whoever typed something waits for: before the prompt, where a question stands.
    fn aside(&mut self, lines: &[String]) -> Vec<Effect> {
        if !self.asks() {
            return lines.iter().cloned().map(Effect::Line).collect();
        }
        let (look, bars) = (self.look, Bars::of(self.look.unicode));
        let text = lines.iter().map(|line| live_line(Some(look), bars, line));
        let text: String = text.collect();
        let reaction = self.screen.prompt_again(text.matches('\n').count());
        let mut effects = vec![Effect::Question(text)];
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
        for number in reaction.seen {
            effects.extend(self.seen(number));
        }
        if let Some((number, verdict)) = reaction.answer {
            effects.extend(self.answer(number, verdict));
        }
        effects
    }

    /// A question stands on the screen from now on.
    fn seen(&mut self, number: u64) -> Option<Effect> {
        let put = self.open.get_mut(&number)?;
        put.until = self.now + put.left(self.now);
        put.once_seen = None;
        let seen = AttendantMessage::Seen { number: put.number };
        Some(Effect::Say(put.session.clone(), seen))
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

fn revoke(session: &str, id: &str) -> Effect {
    let grant = id.to_owned();
    Effect::Say(session.to_owned(), AttendantMessage::Revoke { grant })
}

/// A session's grants, two lines each: agp's words, and behind the bar what it covers.
fn listed(session: &str, grants: &[Grant]) -> Vec<String> {
    if grants.is_empty() {
        return vec![format!("{session}: no grants")];
    }
    let mut lines = vec![format!("{session}: {}", count(grants.len(), "grant"))];
    for grant in grants {
        let short = |text: &str| escape::line_max(text, ABOUT_CHARS);
        let until = grant.until.as_deref().unwrap_or("the session ends");
        let (id, state) = (short(&grant.id), grant.state.as_str());
        let holds = match grant.state {
            GrantState::Live => format!(", until {}; revoke {id}", short(until)),
            _ => String::new(),
        };
        lines.push(format!("{id} {state}, by {}{holds}", short(&grant.by)));
        lines.push(format!("{OUTPUT_BAR}{}", short(&grant.covers)));
    }
    lines
}

/// What a session escaped stays as it is; anything else that a terminal obeys does not pass.
fn printable(text: String) -> String {
    match text.chars().any(char::is_control) {
        true => escape::line(&text),
        false => text,
    }
}

#[cfg(test)]
mod tests;
