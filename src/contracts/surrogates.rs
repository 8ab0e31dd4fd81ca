//! Halves of surrogate pairs in JSON text: JavaScript writes them, no strict reader takes them.

/// Bytes of an escape such as `\u00e9`.
const ESCAPE: usize = 6;
/// What stands for half a pair.
const REPLACED: &[u8; ESCAPE] = b"\\ufffd";

/// The same JSON text with every half of a surrogate pair that stands alone made U+FFFD.
#[must_use]
pub fn mended(text: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        mended.extend_from_slice(before);
        let taken = match (unit(escape), escape.get(ESCAPE..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 2 * ESCAPE,
            (Some(0xd800..0xe000), _) => {
                mended.extend_from_slice(REPLACED);
                rest = escape.get(ESCAPE..).unwrap_or_default();
                continue;
            }
            // The escaped character is no beginning of an escape, a backslash for one.
            _ => escape.len().min(2),
        };
        let (whole, behind) = escape.split_at(taken);
        mended.extend_from_slice(whole);
        rest = behind;
    }
    mended.extend_from_slice(rest);
    mended
}

/// The UTF-16 unit that an escape at the beginning of `text` gives.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.get(..ESCAPE)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_that_stand_alone_are_mended() {
        for (text, expected) in [
            (r#""plain""#, r#""plain""#),
            (r#""\ud83d\ude00 \u00e9 \n""#, r#""\ud83d\ude00 \u00e9 \n""#),
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""\udc00\ud800""#, r#""\ufffd\ufffd""#),
            (r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud800 \\\ud800""#, r#""\\ud800 \\\ufffd""#),
            (r#""\uDBFF""#, r#""\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            ("\\", "\\"),
        ] {
            let mended = mended(text.as_bytes());
            assert_eq!(String::from_utf8(mended).unwrap(), expected, "{text}");
        }
    }
}
