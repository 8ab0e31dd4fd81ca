//! Letters that are spelled by their numbers (`$'\x72\x6d'`): nobody writes so what may be seen.

use std::collections::BTreeSet;

/// Texts of at least one letter or digit that a command spells in numbers.
pub(super) fn spelled(text: &str) -> BTreeSet<String> {
    let mut spellings = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("$'") {
        rest = rest.get(at + 2..).unwrap_or_default();
        let mut spelled = String::new();
        while let Some(c) = rest.chars().next() {
            if c == '\'' {
                break;
            }
            let decoded = match rest.strip_prefix('\\') {
                Some(escape) => number(escape),
                None => None,
            };
            match decoded {
                Some((letter, length)) => {
                    spelled.push(letter);
                    rest = rest.get(1 + length..).unwrap_or_default();
                }
                None => {
                    if !spelled.is_empty() {
                        spellings.insert(std::mem::take(&mut spelled));
                    }
                    let skipped = match rest.strip_prefix('\\').and_then(|rest| rest.chars().next())
                    {
                        Some(escaped) => 1 + escaped.len_utf8(),
                        None => c.len_utf8(),
                    };
                    rest = rest.get(skipped..).unwrap_or_default();
                }
            }
        }
        if !spelled.is_empty() {
            spellings.insert(spelled);
        }
    }
    spellings
}

/// The letter or digit that an escape stands for, and the escape's length.
fn number(escape: &str) -> Option<(char, usize)> {
    let first = escape.chars().next()?;
    let (radix, prefix, most) = match first {
        'x' => (16, 1, 2),
        'u' => (16, 1, 4),
        'U' => (16, 1, 8),
        '0'..='7' => (8, 0, 3),
        _ => return None,
    };
    let digits: String = escape
        .chars()
        .skip(prefix)
        .take(most)
        .take_while(|c| c.is_digit(radix))
        .collect();
    let code = u32::from_str_radix(&digits, radix).ok()?;
    let letter = char::from_u32(code).filter(char::is_ascii_alphanumeric)?;
    Some((letter, prefix + digits.len()))
}
