//! What is said below a prompt: what else waits, what a yes would cover, and what can be typed.

use super::*;

impl Screen {
    /// That so many wait that are not shown here.
    pub(super) fn waits(&self, more: usize) -> Vec<Row> {
        let wait = if more == 1 { "waits" } else { "wait" };
        let text = format!("{} {wait} (l lists them)", count(more, "more question"));
        words(self.look, &text, Style::Yellow)
    }

    /// A question's call in one row.
    pub(super) fn shortly(&self, number: u64) -> Option<Row> {
        let mut open = self.open.iter();
        let open = open.find(|open| open.question.number == number)?;
        Some(short(self.look, "", &open.question.view, self.is_shared()))
    }

    /// Whether what waits is of more than one session.
    pub(super) fn is_shared(&self) -> bool {
        let mut sessions = self
            .open
            .iter()
            .map(|open| &open.question.view.origin.session);
        let first = sessions.next();
        sessions.any(|session| Some(session) != first)
    }

    /// Says what an approval for the session covers.
    pub(super) fn offer(&mut self, number: u64) -> Reaction {
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
    pub(super) fn list(&mut self) -> Reaction {
        let (look, shared) = (self.look, self.is_shared());
        let rows: Vec<Row> = self
            .open
            .iter()
            .map(|open| listed(look, &open.question, open.left, shared))
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
    pub(super) fn hint(&mut self, why: &str) -> Reaction {
        let current = self.current;
        let open = self
            .open
            .iter()
            .find(|open| Some(open.question.number) == current);
        let Some(open) = open else {
            return Reaction::default();
        };
        let others = self.waiting().find(|number| Some(*number) != current);
        let mut text = open.hint(others) + self.hint;
        if !why.is_empty() {
            text.insert_str(0, &format!("{why} "));
        }
        let rows = words(self.look, &text, Style::Plain);
        self.aside_after_line(&rows)
    }
}
