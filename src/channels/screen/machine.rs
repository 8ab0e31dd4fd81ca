//! The screen of one terminal: which questions wait, which of them stands, and what a typed line comes to.

use std::time::Duration;

use crate::contracts::channel::Scope;
use crate::contracts::limits;
use crate::contracts::plural::count;

use super::open::Open;
use super::question::{self, OTHERS_MIN, Place, listed, prompt_rows, short, time};
use super::row::{Row, Style, labelled, shown, words};
use super::typed::{Typed, read};
use super::{Look, Reaction, Said, ScreenQuestion, Settled};

mod asides;

/// The screen of one terminal.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    /// In the order in which they came.
    open: Vec<Open>,
    current: Option<u64>,
    /// Whether what `s` covers is on the screen, and the next line may confirm it.
    confirming: bool,
    /// What can be typed beside the answers, after a space.
    hint: &'static str,
    /// Whether it was said, since a question last left the screen, that there is little time for one that has no room on it.
    hurried: bool,
    /// Rows that were written since the current question was drawn, its own included.
    rows: usize,
}

impl Screen {
    /// An empty one.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self::with_hint(look, "")
    }

    /// An empty one at which this can be typed, too.
    #[must_use]
    pub(crate) fn with_hint(look: Look, hint: &'static str) -> Self {
        Self {
            hint,
            look,
            open: Vec::new(),
            current: None,
            confirming: false,
            hurried: false,
            rows: 0,
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The numbers of what waits, in the order in which it came.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|open| open.question.number)
    }

    /// A question came, with so much time left to answer it.
    pub fn add(&mut self, question: ScreenQuestion, left: Duration) -> Reaction {
        let number = question.number;
        self.open.push(Open {
            question,
            left,
            seen: false,
            rung: false,
            drawn: false,
            hidden: 0,
            opened: false,
            reminded: left <= limits::APPROVAL_REMINDER,
            answered: None,
        });
        if self.current.is_none() {
            return self.draw(number);
        }
        let text = format!("Question {number} waits, too ({number} shows it):");
        let mut rows = words(self.look, &text, Style::Yellow);
        rows.extend(self.shortly(number));
        // The current question is not to be pushed off the screen: what has no room is listed with the next one.
        let shows = self.has_room(rows.len());
        if !shows {
            rows = self.waits(self.open.len() - 1);
        }
        let mut reaction = match self.has_room(rows.len()) {
            true => self.aside(&rows),
            false => Reaction::default(),
        };
        reaction.text.insert_str(0, self.ring());
        if let Some(open) = self.find(number) {
            open.rung = true;
            open.seen = shows;
        }
        if shows {
            reaction.seen.push(number);
        }
        reaction
    }

    /// A question has its answer, and leaves the screen.
    pub fn settled(&mut self, number: u64, how: &Settled) -> Reaction {
        let Some(at) = self
            .open
            .iter()
            .position(|open| open.question.number == number)
        else {
            return Reaction::default();
        };
        let gone = self.open.remove(at);
        self.hurried = false;
        let rows = match how {
            Settled::Elsewhere(what) if gone.seen => {
                let style = if what.contains("denied") {
                    Style::Red
                } else {
                    Style::Plain
                };
                words(self.look, &format!("Question {number}: {what}"), style)
            }
            // With nothing else on the screen the line about the call says it.
            Settled::Here if !self.open.is_empty() => match gone.answered {
                Some("denied") => {
                    words(self.look, &format!("Question {number}: denied"), Style::Red)
                }
                Some(what) => words(
                    self.look,
                    &format!("Question {number}: {what}"),
                    Style::Plain,
                ),
                None => Vec::new(),
            },
            Settled::Elsewhere(_) | Settled::Here => Vec::new(),
        };
        if self.current != Some(number) {
            return match how {
                Settled::Here => self.aside_after_line(&rows),
                Settled::Elsewhere(_) if rows.is_empty() => Reaction::default(),
                Settled::Elsewhere(_) => self.aside(&rows),
            };
        }
        self.current = None;
        // Whoever has typed nothing stands behind a prompt.
        let begun = if matches!(how, Settled::Here) {
            ""
        } else {
            "\n"
        };
        let text = begun.to_owned() + &self.written(&rows);
        let mut reaction = match self.open.first().map(|open| open.question.number) {
            Some(next) => self.draw(next),
            None => Reaction::default(),
        };
        // Nothing that was meant for this one is to answer the next.
        reaction.flush = true;
        reaction.text.insert_str(0, &text);
        reaction
    }

    /// So much time is left to answer a question.
    pub fn left(&mut self, number: u64, left: Duration) -> Reaction {
        let Some(open) = self.find(number) else {
            return Reaction::default();
        };
        open.left = left;
        if open.reminded || left > limits::APPROVAL_REMINDER {
            return Reaction::default();
        }
        let seen = open.seen;
        let text = format!(
            "Question {number}: {} left. No answer means Deny.",
            time(left)
        );
        let mut rows = words(self.look, &text, Style::Yellow);
        if !seen {
            // It was never on the screen. Many of these do not draw the current one anew each.
            rows.extend(self.shortly(number));
            if !self.has_room(rows.len()) && std::mem::replace(&mut self.hurried, true) {
                return Reaction::default();
            }
        }
        if let Some(open) = self.find(number) {
            (open.reminded, open.seen) = (true, true);
        }
        let mut reaction = self.aside(&rows);
        if !seen {
            reaction.seen.push(number);
        }
        reaction
    }

    /// So many rows were written below the prompt, which is written anew.
    pub(crate) fn prompt_again(&mut self, rows: usize) -> Reaction {
        self.rows += rows;
        self.aside_after_line(&[])
    }

    /// The terminal has another size.
    pub fn resized(&mut self, look: Look) -> Reaction {
        let narrower_or_wider = look.columns != self.look.columns;
        self.look = look;
        match self.current {
            // The terminal has broken what was drawn: it is drawn again, below a row of its own.
            Some(number) if narrower_or_wider => {
                let mut reaction = self.draw(number);
                reaction.text.insert(0, '\n');
                reaction
            }
            _ => Reaction::default(),
        }
    }

    /// A line was typed.
    pub fn typed(&mut self, line: &str) -> Reaction {
        let Some(current) = self.current else {
            return Reaction::default();
        };
        self.rows += 1;
        let confirming = std::mem::take(&mut self.confirming);
        match read(line) {
            Typed::To(number, answer) => self.answered(number, *answer, false),
            Typed::Look(number) if self.find(number).is_some() => self.draw(number),
            Typed::Look(number) => self.hint(&format!("No question {number} waits.")),
            Typed::List => self.list(),
            answer => self.answered(current, answer, confirming),
        }
    }

    fn answered(&mut self, number: u64, answer: Typed, confirming: bool) -> Reaction {
        let is_current = self.current == Some(number);
        let Some(open) = self.find(number) else {
            return self.hint(&format!("No question {number} waits."));
        };
        if open.answered.is_some() {
            return Reaction::default();
        }
        let said = match answer {
            Typed::No(Some(reason)) if reason.len() > limits::REASON_BYTES => {
                let most = count(limits::REASON_BYTES, "byte");
                return self.hint(&format!("A reason has at most {most}."));
            }
            Typed::No(reason) => Said::Deny { reason },
            Typed::Details => {
                open.opened = true;
                return self.draw_whole(number);
            }
            Typed::Yes | Typed::Session(_) | Typed::Pattern(_) if !open.drawn => {
                // A yes is to what was seen.
                return self.draw(number);
            }
            Typed::Yes | Typed::Session(_) | Typed::Pattern(_) if open.is_hidden() => {
                let lines = count(open.hidden, "line");
                return self.hint(&format!("{lines} hidden: type d first."));
            }
            Typed::Yes => Said::Approve(Scope::Once),
            Typed::Session(minutes) if confirming && open.question.offer.is_some() => {
                Said::Approve(Scope::Session {
                    pattern: false,
                    minutes,
                })
            }
            Typed::Pattern(minutes)
                if confirming
                    && open
                        .question
                        .offer
                        .as_ref()
                        .is_some_and(|offer| offer.pattern.is_some()) =>
            {
                Said::Approve(Scope::Session {
                    pattern: true,
                    minutes,
                })
            }
            Typed::Session(_) if is_current => return self.offer(number),
            Typed::Session(_) => return self.draw(number),
            Typed::NotAlone => return self.hint("Type y alone."),
            Typed::NoMinutes => {
                let most = limits::GRANT_MINUTES;
                return self.hint(&format!("For a time, type 1 to {most} minutes, as s 30."));
            }
            _ => return self.hint(""),
        };
        open.answered = Some(match said {
            Said::Approve(_) => "approved",
            Said::Deny { .. } => "denied",
        });
        Reaction {
            answer: Some((number, said)),
            ..Reaction::default()
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Open> {
        self.open
            .iter_mut()
            .find(|open| open.question.number == number)
    }

    fn ring(&self) -> &'static str {
        if self.look.bell { "\u{7}" } else { "" }
    }

    fn written(&self, rows: &[Row]) -> String {
        rows.iter().map(|row| row.written(self.look)).collect()
    }

    /// Rows below a prompt at which something may stand, and the prompt anew; or the whole question, where it would no longer
    /// be on the screen.
    fn aside(&mut self, rows: &[Row]) -> Reaction {
        let has_room = self.has_room(rows.len());
        self.rows += 1;
        let (mut reaction, rows) = match self.current {
            Some(current) if !has_room => (self.draw(current), self.written(rows)),
            _ => (self.aside_after_line(rows), String::new()),
        };
        reaction.text.insert_str(0, &format!("\n{rows}"));
        reaction
    }

    /// Whether the current question stays on the screen when so many rows are written below its prompt, and the prompt
    /// anew.
    fn has_room(&self, rows: usize) -> bool {
        self.rows + 1 + rows + prompt_rows(self.look) <= self.look.rows
    }

    fn aside_after_line(&mut self, rows: &[Row]) -> Reaction {
        let prompt = self.prompt();
        self.rows += rows.len() + prompt.len();
        Reaction {
            text: self.written(rows) + &self.open_ended(&prompt),
            ..Reaction::default()
        }
    }

    /// Draws a question with what fits, and makes it the current one.
    fn draw(&mut self, number: u64) -> Reaction {
        self.draw_as(number, false)
    }

    /// Draws all of a question.
    fn draw_whole(&mut self, number: u64) -> Reaction {
        self.draw_as(number, true)
    }

    fn draw_as(&mut self, number: u64, whole: bool) -> Reaction {
        let (look, shared) = (self.look, self.is_shared());
        let waiting = self.open.len();
        let Some(at) = self
            .open
            .iter()
            .position(|open| open.question.number == number)
        else {
            return Reaction::default();
        };
        self.current = Some(number);
        self.confirming = false;
        let others = self
            .open
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        let others: Vec<(u64, Row)> = others
            .map(|(_, open)| {
                (
                    open.question.number,
                    listed(look, &open.question, open.left, shared),
                )
            })
            .collect();
        let Some(open) = self.open.get_mut(at) else {
            return Reaction::default();
        };
        let place = Place {
            position: at + 1,
            waiting,
        };
        let (mut rows, hidden) = match look.columns < Look::COLUMNS_MIN {
            true => (
                words(
                    look,
                    "Approval needed, but this terminal is too narrow.",
                    Style::Yellow,
                ),
                0,
            ),
            false => question::rows(look, &open.question, open.left, place, whole),
        };
        if !whole {
            open.hidden = hidden;
        }
        open.drawn = look.columns >= Look::COLUMNS_MIN;
        let drawn = open.drawn;
        let room = look.rows.saturating_sub(rows.len() + prompt_rows(look) + 1);
        // All of a question leaves them to its header.
        let fit = match drawn && !whole {
            true => others.len().min(room.max(OTHERS_MIN)),
            false => 0,
        };
        rows.extend(others.iter().take(fit).map(|(_, row)| row.clone()));
        if fit < others.len() && !whole {
            rows.extend(self.waits(others.len() - fit));
        }
        let mut reaction = Reaction {
            flush: true,
            ..Reaction::default()
        };
        let numbers = others.into_iter().take(fit).map(|(number, _)| number);
        let mut rings = false;
        for seen in numbers.chain([number]) {
            if let Some(open) = self.find(seen)
                && !std::mem::replace(&mut open.seen, true)
            {
                rings |= !std::mem::replace(&mut open.rung, true);
                reaction.seen.push(seen);
            }
        }
        let prompt = self.prompt();
        self.rows = rows.len() + prompt.len();
        let bell = if rings { self.ring() } else { "" };
        reaction.text = bell.to_owned() + &self.written(&rows) + &self.open_ended(&prompt);
        reaction
    }

    /// The line at which an answer is typed.
    fn prompt(&self) -> Vec<Row> {
        let open = self
            .open
            .iter()
            .find(|open| Some(open.question.number) == self.current);
        let Some(open) = open else {
            return Vec::new();
        };
        let text = open.prompt(self.open.len() > 1);
        words(self.look, &text, Style::Yellow)
    }

    /// Rows of which the last has no end: what is typed stands in it.
    fn open_ended(&self, rows: &[Row]) -> String {
        let mut text = self.written(rows);
        if text.ends_with('\n') {
            text.pop();
            text.push(' ');
        }
        text
    }
}
