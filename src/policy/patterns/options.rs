//! Whether an option that a deny or require names stands in a command, in any of its spellings.

use super::command::Word as Pattern;
use super::name::Name;
use super::view::Item;

/// Short options whose long ones mean the same in every usual program that has both.
const LONG: [(&str, &str); 4] = [
    ("-f", "--force"),
    ("-r", "--recursive"),
    ("-R", "--recursive"),
    ("-r", "-R"),
];

/// Whether an option, with its value where one is given, could stand among these words.
pub(super) fn could(option: &Pattern, value: Option<&Pattern>, items: &[Item<'_>]) -> bool {
    let spelled = |text: &str, name: &Name| one(text, name, value, items);
    if spelled(&option.text, &option.name) {
        return true;
    }
    LONG.iter().any(|(short, long)| {
        let other = match option.text.as_str() {
            text if text == *short => long,
            text if text == *long => short,
            _ => return false,
        };
        spelled(other, &Name::new(other))
    })
}

fn one(text: &str, name: &Name, value: Option<&Pattern>, items: &[Item<'_>]) -> bool {
    let single = !text.starts_with("--");
    // `-rf` is there where `-r` and `-f` are.
    let letters = text.trim_start_matches('-');
    let cluster = single && name.literal().is_some() && letters.chars().count() > 1;
    let plain = letters.chars().all(|c| c.is_ascii_alphanumeric());
    if cluster && plain && value.is_none() {
        let each = letters.chars().all(|letter| {
            items
                .iter()
                .any(|item| !item.behind_end && has_letter(item, letter))
        });
        if each {
            return true;
        }
    }
    items.iter().enumerate().any(|(at, item)| {
        if item.behind_end {
            return false;
        }
        let Some(word) = item.text else {
            return item.may_be_option
                && item
                    .name
                    .as_ref()
                    .is_none_or(|written| written.meets(name) || option_begins(text, item));
        };
        let next = || items.get(at + 1);
        here(text, name, value, word, next, single)
    })
}

/// A word that is not all known could become the option, or one with a value.
fn option_begins(text: &str, item: &Item<'_>) -> bool {
    let beginning = item.word.beginning();
    beginning.starts_with(text) || text.starts_with(beginning)
}

fn has_letter(item: &Item<'_>, letter: char) -> bool {
    match item.text {
        Some(word) => {
            let cluster = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            cluster.is_some_and(|rest| rest.contains(letter))
        }
        None => item.may_be_option,
    }
}

/// Whether `word` is the option, `next` the word behind it.
fn here<'a>(
    text: &str,
    name: &Name,
    value: Option<&Pattern>,
    word: &str,
    next: impl Fn() -> Option<&'a Item<'a>>,
    single: bool,
) -> bool {
    let follows = |value: &Pattern| {
        next().is_some_and(|item| match item.text {
            Some(text) => value.name.matches(text),
            None => true,
        })
    };
    if name.matches(word) {
        return value.is_none_or(follows);
    }
    // `--opt=v` of the pattern beside `--opt v` of the command, and an abbreviation of its name.
    if let Some((written, wanted)) = text.split_once('=') {
        let wanted = Name::new(wanted);
        let abbreviated = |name: &str| {
            name == written
                || (written.starts_with("--") && name.len() > 2 && written.starts_with(name))
        };
        if let Some((given, rest)) = word.split_once('=') {
            return abbreviated(given) && wanted.matches(rest);
        }
        return word.starts_with('-')
            && abbreviated(word)
            && next().is_some_and(|item| item.text.is_none_or(|text| wanted.matches(text)));
    }
    if name.literal().is_none() {
        return false;
    }
    let (given, attached) = match word.split_once('=') {
        Some((given, rest)) => (given, Some(rest)),
        None => (word, None),
    };
    let long = !single && given.len() > 2 && given.starts_with("--") && text.starts_with(given);
    // `-long` of programs that have no clusters.
    let same = given == text || long;
    if same {
        return match (value, attached) {
            (None, _) => true,
            (Some(value), Some(rest)) => value.name.matches(rest),
            (Some(value), None) => follows(value),
        };
    }
    // `-ovalue`, and a letter in a cluster.
    let letter = text
        .strip_prefix('-')
        .filter(|rest| rest.chars().count() == 1);
    let cluster = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    match (letter, cluster) {
        (Some(letter), Some(cluster)) => cluster.split_once(letter).is_some_and(|(_, rest)| {
            value.is_none_or(|value| match rest {
                "" => follows(value),
                rest => {
                    value.name.matches(rest) || value.name.matches(rest.trim_start_matches('='))
                }
            })
        }),
        _ => false,
    }
}
