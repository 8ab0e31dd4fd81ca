//! What must hold of an agent's text on a terminal.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use super::escape;
pub(super) use crate::view::fuzz::acts_or_hides;

/// The inverse of the escape, as a reader applies it.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let kind = escape.chars().next().expect("an escape is whole");
        rest = escape.get(kind.len_utf8()..).unwrap_or_default();
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            '\\' => out.push('\\'),
            _ => {
                let (hex, after) = rest.split_once('}').expect("an escape is whole");
                let code = u32::from_str_radix(hex.trim_start_matches('{'), 16).expect("hex");
                out.push(char::from_u32(code).expect("a character"));
                rest = after;
            }
        }
    }
    out + rest
}

/// Nothing that acts or hides comes out, all of the text can be told from what does, and every
/// bound is kept.
pub(crate) fn terminal_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let escaped = escape::line(&text);
    assert!(!escaped.contains(acts_or_hides), "{escaped:?}");
    assert_eq!(unescaped(&escaped), text);
    let max = usize::from(data.first().copied().unwrap_or(7)).max(1);
    let cut = escape::line_max(&text, max);
    assert!(cut.chars().count() <= max && !cut.contains(acts_or_hides));
    let whole = cut == escaped
        || cut
            .strip_suffix('…')
            .is_some_and(|begin| escaped.starts_with(begin));
    assert!(whole, "{cut:?} of {escaped:?}");
    let block = escape::block(&text, "│ ", 5, max);
    let lines: Vec<&str> = block.split('\n').collect();
    assert!(lines.len() <= 6);
    for line in lines {
        assert!(
            line.starts_with("│ ") && !line.contains(acts_or_hides),
            "{line:?}"
        );
    }
}
