//! What agp says of its session in a message of its own. What could come without end, such as denials, is
//! one message as long as that waits: how many they are, and the first of them.

use serde_json::Value;

use crate::contracts::limits;

use super::blocks;

/// One message, of one thing or of several of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// The kind, in agp's own words.
    what: &'static str,
    /// Whether an agent can have as many of it as it likes.
    comes_in_floods: bool,
    /// What each of the first was about: names of agp's, words of others.
    about: Vec<Vec<(&'static str, String)>>,
    times: u64,
}

impl Notice {
    /// Of one thing. `foreign` has names of agp's, and words of others.
    pub(super) fn new(
        what: &'static str,
        comes_in_floods: bool,
        foreign: &[(&'static str, &str)],
    ) -> Self {
        let about = foreign
            .iter()
            .map(|(name, word)| (*name, (*word).to_owned()));
        Self {
            what,
            comes_in_floods,
            about: vec![about.collect()],
            times: 1,
        }
    }

    pub(super) fn comes_in_floods(&self) -> bool {
        self.comes_in_floods
    }

    /// Whether another can be said in the same message.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.comes_in_floods && self.what == other.what
    }

    /// Says another one in this message, too. Gives whether [`Notice::in_one_line`] is another now.
    pub(super) fn add(&mut self, other: Self) -> bool {
        let before = self.times;
        self.times = self.times.saturating_add(other.times);
        let room = limits::SLACK_LISTED.saturating_sub(self.about.len());
        self.about.extend(other.about.into_iter().take(room));
        before <= limits::SLACK_LISTED as u64
    }

    /// For the notification.
    pub(super) fn text(&self) -> String {
        match self.times {
            1 => format!("agp: {}", self.what),
            times => format!("agp: {} ({times} times)", self.what),
        }
    }

    /// The message.
    pub(super) fn blocks(&self) -> Value {
        if let ([about], 1) = (self.about.as_slice(), self.times) {
            let about: Vec<(&str, &str)> = about
                .iter()
                .map(|(name, word)| (*name, word.as_str()))
                .collect();
            return blocks::notice(self.what, &about);
        }
        let times = self.times;
        let what = match self.about.len() {
            shown if shown as u64 == times => format!("{} ({times} times)", self.what),
            shown => format!(
                "{} ({times} times; the first {shown} are shown; the rest: `agp log`)",
                self.what
            ),
        };
        let each: Vec<(String, String)> = self.about.iter().map(|about| in_one(about)).collect();
        let each: Vec<(&str, &str)> = each
            .iter()
            .map(|(names, words)| (names.as_str(), words.as_str()))
            .collect();
        blocks::notice(&what, &each)
    }

    /// All of it without markup, for when it is said by a later start: [`limits::OUTBOX_TEXT_BYTES`] at most.
    /// It does not change with each of many.
    pub(super) fn in_one_line(&self) -> String {
        let mut line = String::new();
        for about in &self.about {
            let about: Vec<(&str, &str)> = about
                .iter()
                .map(|(name, word)| (*name, word.as_str()))
                .collect();
            let what = if line.is_empty() { self.what } else { "" };
            line.push_str(&blocks::in_one_line(what, &about));
        }
        if self.times > limits::SLACK_LISTED as u64 {
            line.push_str(" And more of this kind.");
        }
        line.truncate(line.floor_char_boundary(limits::OUTBOX_TEXT_BYTES));
        line
    }
}

/// The names, and the words.
fn in_one(about: &[(&'static str, String)]) -> (String, String) {
    let names: Vec<&str> = about.iter().map(|(name, _)| *name).collect();
    let words: Vec<&str> = about.iter().map(|(_, word)| word.as_str()).collect();
    (names.join(", "), words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(tool: &str) -> Notice {
        Notice::new("A call was denied.", true, &[("Tool", tool), ("Rule", "r")])
    }

    #[test]
    fn many_of_a_kind_are_one_message_that_grows_no_further() {
        let mut many = denial("t0");
        let end = Notice::new("The session has ended.", false, &[("How", "ok")]);
        assert!(many.is_like(&denial("x")) && !many.is_like(&end) && !end.is_like(&end));
        assert_eq!(many.text(), "agp: A call was denied.");
        assert_eq!(many.in_one_line(), "A call was denied. Tool: t0; Rule: r;");
        let mut changes = 0;
        for number in 1..100 {
            changes += usize::from(many.add(denial(&format!("t{number}"))));
        }
        assert_eq!(changes, limits::SLACK_LISTED);
        assert_eq!(many.text(), "agp: A call was denied. (100 times)");
        let blocks = many.blocks().to_string();
        assert!(blocks.contains("(100 times; the first 5 are shown; the rest: `agp log`)"));
        assert!(blocks.contains("Tool, Rule\\nt4, r") && !blocks.contains("t5, r"));
        let line = many.in_one_line();
        assert!(
            line.ends_with("Tool: t4; Rule: r; And more of this kind."),
            "{line}"
        );
    }

    #[test]
    fn the_line_for_later_is_bounded_whatever_the_words_are() {
        let long = "\u{202e}\u{1f600}".repeat(10_000);
        let words = [("Tool", long.as_str()), ("Rule", &long), ("Reason", &long)];
        let mut many = Notice::new("A call was denied.", true, &words);
        for _ in 0..10 {
            many.add(Notice::new("A call was denied.", true, &words));
        }
        assert!(many.in_one_line().len() <= limits::OUTBOX_TEXT_BYTES);
    }
}
