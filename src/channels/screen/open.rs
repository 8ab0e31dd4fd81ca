//! A question that waits on a screen, and what is said about answering it.

use std::time::Duration;

use crate::contracts::plural::count;

use super::ScreenQuestion;

/// A question on the screen.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) question: ScreenQuestion,
    pub(super) left: Duration,
    /// Whether it was ever drawn or listed.
    pub(super) seen: bool,
    /// Whether the bell has rung for it.
    pub(super) rung: bool,
    /// Whether all that it shows at first stands, or stood, on the screen.
    pub(super) drawn: bool,
    /// Rows that this leaves out.
    pub(super) hidden: usize,
    /// Whether all of it was shown.
    pub(super) opened: bool,
    /// Whether it was said that its time is nearly over.
    pub(super) reminded: bool,
    /// An answer is on its way: what is said of it.
    pub(super) answered: Option<&'static str>,
}

impl Open {
    /// Whether something of it was never shown: no yes counts then.
    pub(super) fn is_hidden(&self) -> bool {
        self.hidden > 0 && !self.opened
    }

    /// The end of its drawing, behind which an answer is typed. `many`: others wait, too.
    pub(super) fn prompt(&self, many: bool) -> String {
        let mut text = match self.is_hidden() {
            _ if !self.drawn => "Widen it, or [n]o".to_owned(),
            true => format!("{} hidden: [d]etails, [n]o", count(self.hidden, "line")),
            false => {
                let session = match self.question.offer {
                    Some(_) => "[s]ession, ",
                    None => "",
                };
                format!("Allow this call once? [y]es, {session}[n]o, [d]etails")
            }
        };
        if many {
            text.push_str(", [l]ist");
        }
        text.push(':');
        text
    }

    /// What can be typed. `other` is the number of a question that waits, too.
    pub(super) fn hint(&self, other: Option<u64>) -> String {
        let mut text = "y: yes, once. ".to_owned();
        if self.question.offer.is_some() {
            text.push_str("s: for this session. ");
        }
        text.push_str("n: no. n REASON: no, and the model is told why. d: details.");
        if let Some(other) = other {
            text.push_str(&format!(
                " l: list. {other}, {other} y, {other} n: that question."
            ));
        }
        text
    }
}
