//! A number and its noun, for people: "1 call", "2 calls".

use std::fmt::Display;

/// `1 rule`, `2 rules`, `0 anomalies`. `noun` is in the singular.
#[must_use]
pub fn count(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    let stem = noun.strip_suffix('y').filter(|stem| {
        let last = stem.chars().next_back();
        last.is_some_and(|last| !"aeiou".contains(last))
    });
    match (number.as_str(), stem) {
        ("1", _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_thing_is_singular_and_any_other_number_plural() {
        assert_eq!(count(1, "call"), "1 call");
        assert_eq!(count(0, "call"), "0 calls");
        assert_eq!(count(11, "rule"), "11 rules");
        assert_eq!(count(2, "anomaly"), "2 anomalies");
        assert_eq!(count(2, "key"), "2 keys");
        assert_eq!(count(1, "process"), "1 process");
        assert_eq!(count(2, "process"), "2 processes");
    }
}
