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

/// The screen of one terminal.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    /// In the order in which they came.
    open: Vec<Open>,
    current: Option<u64>,
    /// Whether what `s` covers is on the screen, and the next line may confirm it.
    confirming: bool,
    /// Rows that were written since the current question was drawn, its own included.
    rows: usize,
}

impl Screen {
    /// An empty one.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self {
            look,
            open: Vec::new(),
            current: None,
            confirming: false,
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
            drawn: false,
            hidden: 0,
            opened: false,
            reminded: left <= limits::APPROVAL_REMINDER,
            answered: false,
        });
        if self.current.is_none() {
            return self.draw(number);
        }
        let text = format!("Question {number} waits, too ({number} shows it):");
        let mut rows = words(self.look, &text, Style::Yellow);
        let last = self.open.last();
        rows.extend(last.map(|open| short(self.look, "", &open.question.view)));
        // The current question is not to be pushed off the screen: what has no room is listed with the next one.
        if !self.has_room(rows.len()) {
            return Reaction::default();
        }
        if let Some(open) = self.find(number) {
            open.seen = true;
        }
        let mut reaction = self.aside(&rows);
        reaction.text.insert_str(0, self.ring());
        reaction.seen.push(number);
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
        let rows = match how {
            Settled::Elsewhere(what) if gone.seen => {
                let style = if what.contains("denied") {
                    Style::Red
                } else {
                    Style::Plain
                };
                words(self.look, &format!("Question {number}: {what}"), style)
            }
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
        if open.reminded || !open.seen || left > limits::APPROVAL_REMINDER {
            return Reaction::default();
        }
        open.reminded = true;
        let text = format!(
            "Question {number}: {} left. No answer means Deny.",
            time(left)
        );
        self.aside(&words(self.look, &text, Style::Yellow))
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
        if open.answered {
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
            _ => return self.hint(""),
        };
        open.answered = true;
        Reaction {
            answer: Some((number, said)),
            ..Reaction::default()
        }
    }

    /// Says what an approval for the session covers.
    fn offer(&mut self, number: u64) -> Reaction {
        let look = self.look;
        let offer = self
            .find(number)
            .and_then(|open| open.question.offer.clone());
        let Some(offer) = offer else {
            return self.hint("The rule that asks allows no approval for the session.");
        };
        self.confirming = true;
        let mut rows = words(
            look,
            "For this session, without asking again:",
            Style::Yellow,
        );
        rows.extend(labelled(look, "s", &shown(look, &offer.exact)));
        let mut keys = "s";
        if let Some(pattern) = &offer.pattern {
            rows.extend(labelled(look, "p", &shown(look, pattern)));
            keys = "s or p";
        }
        let how = format!(
            "Type {keys} to confirm, s 30 for 30 minutes only. Anything else: not for the session."
        );
        rows.extend(words(look, &how, Style::Plain));
        self.aside_after_line(&rows)
    }

    /// Every question that waits, a row each.
    fn list(&mut self) -> Reaction {
        let look = self.look;
        let rows: Vec<Row> = self
            .open
            .iter()
            .map(|open| listed(look, &open.question, open.left))
            .collect();
        let mut reaction = self.aside_after_line(&rows);
        for open in &mut self.open {
            if !std::mem::replace(&mut open.seen, true) {
                reaction.seen.push(open.question.number);
            }
        }
        reaction
    }

    /// What can be typed here.
    fn hint(&mut self, why: &str) -> Reaction {
        let current = self.current;
        let open = self
            .open
            .iter()
            .find(|open| Some(open.question.number) == current);
        let Some(open) = open else {
            return Reaction::default();
        };
        let others = self.waiting().find(|number| Some(*number) != current);
        let mut text = open.hint(others);
        if !why.is_empty() {
            text.insert_str(0, &format!("{why} "));
        }
        let rows = words(self.look, &text, Style::Plain);
        self.aside_after_line(&rows)
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
        let look = self.look;
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
                    listed(look, &open.question, open.left),
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
        let fit = match drawn {
            true => others.len().min(room.max(OTHERS_MIN)),
            false => 0,
        };
        rows.extend(others.iter().take(fit).map(|(_, row)| row.clone()));
        if fit < others.len() {
            let more = count(others.len() - fit, "more question");
            rows.extend(words(look, &format!("{more} (l lists them)"), Style::Plain));
        }
        let mut reaction = Reaction {
            flush: true,
            ..Reaction::default()
        };
        let numbers = others.into_iter().take(fit).map(|(number, _)| number);
        for seen in numbers.chain([number]) {
            if let Some(open) = self.find(seen)
                && !std::mem::replace(&mut open.seen, true)
            {
                reaction.seen.push(seen);
            }
        }
        let prompt = self.prompt();
        self.rows = rows.len() + prompt.len();
        let bell = if reaction.seen.is_empty() {
            ""
        } else {
            self.ring()
        };
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
