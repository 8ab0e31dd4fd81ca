//! What a person types at a question, read strictly: the words that the question names, and nothing around them.

use crate::contracts::limits;

/// A line, as far as it answers anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// `y`: this call, once.
    Yes,
    /// `s`, `s 30`: for the session, or for minutes of it.
    Session(Option<u32>),
    /// `p`, `p 30`: the same for the pattern that is offered.
    Pattern(Option<u32>),
    /// `n`, `n REASON`.
    No(Option<String>),
    /// `d`: all of it.
    Details,
    /// `l`: every question that waits.
    List,
    /// `2`: that question.
    Look(u64),
    /// `2 y`: an answer to that one.
    To(u64, Box<Typed>),
    /// A yes, and something behind it: none.
    NotAlone,
    /// A yes for minutes that are no number of them.
    NoMinutes,
    /// Nothing that could be meant.
    Nothing,
}

/// Reads a line without its newline.
pub(super) fn read(line: &str) -> Typed {
    let (first, rest) = line
        .split_once(' ')
        .map_or((line, None), |(first, rest)| (first, Some(rest)));
    // No sign and no zero before it: what is typed by mistake names no question.
    if first.starts_with(|c: char| c.is_ascii_digit() && c != '0')
        && let Ok(number) = first.parse()
    {
        return match rest.map(answer) {
            None => Typed::Look(number),
            Some(Typed::Nothing | Typed::List) => Typed::Nothing,
            Some(answer) => Typed::To(number, Box::new(answer)),
        };
    }
    answer(line)
}

fn answer(line: &str) -> Typed {
    let (word, rest) = line
        .split_once(' ')
        .map_or((line, None), |(word, rest)| (word, Some(rest)));
    let reason = rest.map(str::trim).filter(|reason| !reason.is_empty());
    let within = 1..=limits::GRANT_MINUTES;
    let minutes = || rest.map(|rest| rest.parse().ok().filter(|minutes| within.contains(minutes)));
    match (word.to_ascii_lowercase().as_str(), rest) {
        ("y" | "yes", None) => Typed::Yes,
        ("y" | "yes", Some(_)) => Typed::NotAlone,
        ("n" | "no", None) => Typed::No(None),
        ("n" | "no", Some(_)) => match reason {
            Some(reason) => Typed::No(Some(reason.chars().map(printed).collect())),
            None => Typed::Nothing,
        },
        ("s" | "session", _) => minutes().map_or(Typed::Session(None), |minutes| {
            minutes.map_or(Typed::NoMinutes, |minutes| Typed::Session(Some(minutes)))
        }),
        ("p" | "pattern", _) => minutes().map_or(Typed::Pattern(None), |minutes| {
            minutes.map_or(Typed::NoMinutes, |minutes| Typed::Pattern(Some(minutes)))
        }),
        ("d" | "details", None) => Typed::Details,
        ("l" | "list", None) => Typed::List,
        _ => Typed::Nothing,
    }
}

/// What an arrow key leaves in a line is no part of a reason.
fn printed(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_answer_or_none() {
        let no = |reason: &str| Typed::No(Some(reason.to_owned()));
        let to = |number, answer| Typed::To(number, Box::new(answer));
        for (line, expected) in [
            ("y", Typed::Yes),
            ("YES", Typed::Yes),
            ("n", Typed::No(None)),
            ("No", Typed::No(None)),
            ("n use the staging bucket", no("use the staging bucket")),
            ("no  y", no("y")),
            ("n a\u{1b}[Ab", no("a [Ab")),
            ("s", Typed::Session(None)),
            ("s 30", Typed::Session(Some(30))),
            ("p", Typed::Pattern(None)),
            ("p 5", Typed::Pattern(Some(5))),
            ("d", Typed::Details),
            ("l", Typed::List),
            ("12", Typed::Look(12)),
            ("2 y", to(2, Typed::Yes)),
            ("2 n later", to(2, no("later"))),
            ("2 d", to(2, Typed::Details)),
            // What is nearly one is none, and has a reason of its own.
            ("y ", Typed::NotAlone),
            ("y n", Typed::NotAlone),
            ("y 2", Typed::NotAlone),
            ("2 y ", to(2, Typed::NotAlone)),
            ("s x", Typed::NoMinutes),
            ("s 0", Typed::NoMinutes),
            ("s 1441", Typed::NoMinutes),
            ("s -1", Typed::NoMinutes),
            ("p 0", Typed::NoMinutes),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
        // More than the word is no answer.
        for line in [
            "",
            " ",
            " y",
            "y\t",
            "y\r",
            "y\0",
            "y\u{a0}",
            "yn",
            "yess",
            "n ",
            "d x",
            "0",
            "02",
            "+2",
            "-1",
            "2  y",
            "2 2 y",
            "2 l",
            "2 maybe",
            "2y",
            "99999999999999999999",
        ] {
            assert_eq!(read(line), Typed::Nothing, "{line:?}");
        }
    }
}
