//! What must hold of a command that names secrets, and of an output that quotes one.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::sync::Arc;

use crate::contracts::secret::{Secret, placeholders};

use super::references::referring;
use super::scrubber::{Needles, Scrubber};

/// Nothing of a command changes but its placeholders.
pub(crate) fn reference(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let marks = placeholders(&text);
    let Ok(out) = referring(&text) else {
        assert!(!marks.is_empty());
        return;
    };
    // The command can quote a reference itself, behind a placeholder that became nothing: each way to
    // read what came out is followed.
    let mut ends = vec![0];
    let mut from = 0;
    for placeholder in &marks {
        let before = &text[from..placeholder.start];
        let variable = format!("${{AGP_SECRET_{}}}", placeholder.name);
        let forms = [
            format!("{before}'\"{variable}\"$'"),
            format!("{before}'\"{variable}\"'"),
            format!("{before}\"{variable}\""),
            format!("{before}{variable}"),
            before.to_owned(),
        ];
        let mut next = Vec::new();
        for end in ends {
            let rest = &out[end..];
            let fit = forms.iter().filter(|form| rest.starts_with(*form));
            next.extend(fit.map(|form| end + form.len()));
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
        from = placeholder.end;
    }
    assert!(ends.iter().any(|end| out[*end..] == text[from..]), "{out}");
}

/// However an output is cut, the same is shown, and never the value.
pub(crate) fn scrubbed(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (value, around) = text.split_once('\n').unwrap_or((&text, ""));
    let value = value.trim();
    if value.len() < 8 || "[redacted:S]".contains(value) || value.contains("redacted") {
        return;
    }
    let needles = Arc::new(Needles::of(&[Secret::new("S", value)]));
    let scrubbed = |output: &[u8], length: usize| {
        let mut scrubber = Scrubber::new(Arc::clone(&needles));
        let blocks = output.chunks(length);
        let mut out: Vec<u8> = blocks.flat_map(|block| scrubber.push(block)).collect();
        out.extend(scrubber.finish());
        out
    };
    for output in [
        format!("{around}{value}{around}"),
        data_encoding::BASE64.encode(format!("{around}{value}").as_bytes()),
        data_encoding::HEXLOWER.encode(format!("{value}{around}").as_bytes()),
    ] {
        let whole = scrubbed(output.as_bytes(), output.len());
        for length in [1, 2, 3, 7] {
            assert_eq!(scrubbed(output.as_bytes(), length), whole, "{length}");
        }
        let redacted = String::from_utf8_lossy(&whole).into_owned();
        assert!(redacted.contains("[redacted:S]"), "{output}");
        // What stands around it can end with its beginning, and what is left begin with its end.
        if around.is_empty() {
            assert!(!redacted.contains(value), "{output}");
        }
    }
}
