//! Takes the values of secrets out of a stream of output, in every form that is known, also where
//! one reaches from one block into the next.

use std::sync::Arc;

use crate::contracts::secret::{Form, Secret, forms};

/// What to look for, made once a session.
#[derive(Default)]
pub struct Needles {
    /// Each form of each value with the name that stands for it, sorted.
    forms: Vec<(Form, String)>,
    /// For each byte where in `forms` those that begin with it stand.
    starts: Vec<(usize, usize)>,
}

impl Needles {
    /// For these secrets.
    #[must_use]
    pub fn of(secrets: &[Secret]) -> Self {
        let mut all: Vec<(Form, String)> = Vec::new();
        for secret in secrets {
            let named = forms(secret.value().trim()).into_iter();
            all.extend(named.map(|form| (form, secret.name().to_owned())));
        }
        all.retain(|(form, _)| !form.bytes.is_empty());
        all.sort();
        let place = |byte: u8| {
            let before = |limit: u16| {
                all.partition_point(|(form, _)| {
                    form.bytes.first().copied().map_or(0, u16::from) < limit
                })
            };
            (before(u16::from(byte)), before(u16::from(byte) + 1))
        };
        let starts = (0..=u8::MAX).map(place).collect();
        Self { forms: all, starts }
    }

    /// How many bytes stand before the next with which a form begins.
    fn clear(&self, text: &[u8]) -> usize {
        let begins = |byte: &u8| !self.beginning_with(*byte).is_empty();
        text.iter().position(begins).unwrap_or(text.len())
    }

    fn beginning_with(&self, byte: u8) -> &[(Form, String)] {
        let (from, to) = self
            .starts
            .get(usize::from(byte))
            .copied()
            .unwrap_or((0, 0));
        self.forms.get(from..to).unwrap_or_default()
    }
}

/// What became of a form at a place.
enum Fit {
    /// It stands there, so many bytes long.
    Whole(usize),
    /// All that is there of it fits; the rest may come.
    Begun,
    Not,
}

fn fit(form: &Form, text: &[u8]) -> Fit {
    let mut at = 0;
    for wanted in &form.bytes {
        while form.wraps && at > 0 && matches!(text.get(at), Some(b'\n' | b'\r')) {
            at += 1;
        }
        match text.get(at) {
            None => return Fit::Begun,
            Some(byte) if byte == wanted => at += 1,
            Some(_) => return Fit::Not,
        }
    }
    Fit::Whole(at)
}

/// One stream of output, on its way.
pub struct Scrubber {
    needles: Arc<Needles>,
    held: Vec<u8>,
}

impl Scrubber {
    /// A stream of which nothing has come yet.
    #[must_use]
    pub fn new(needles: Arc<Needles>) -> Self {
        Self {
            needles,
            held: Vec::new(),
        }
    }

    /// Takes the next block; gives what may be shown. What could be the beginning of a value is kept
    /// back until it is known.
    pub fn push(&mut self, block: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(block);
        self.pass(false)
    }

    /// Gives the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        self.pass(true)
    }

    fn pass(&mut self, last: bool) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let (clear, rest) = rest.split_at(self.needles.clear(rest));
            out.extend_from_slice(clear);
            at += clear.len();
            let Some(byte) = rest.first() else {
                return out;
            };
            let mut longest: Option<(usize, &str)> = None;
            let mut begun = false;
            for (form, name) in self.needles.beginning_with(*byte) {
                match fit(form, rest) {
                    Fit::Whole(length) if longest.is_none_or(|(had, _)| length > had) => {
                        longest = Some((length, name));
                    }
                    Fit::Begun => begun = true,
                    Fit::Whole(_) | Fit::Not => {}
                }
            }
            if begun && !last {
                self.held = rest.to_vec();
                return out;
            }
            match longest {
                Some((length, name)) => {
                    out.extend_from_slice(format!("[redacted:{name}]").as_bytes());
                    at += length;
                }
                None => {
                    out.push(*byte);
                    at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

    const VALUE: &str =
        "p4ss w\u{f6}rd/+?~ of a length that base64 breaks into lines when it is told to";

    fn needles() -> Arc<Needles> {
        Arc::new(Needles::of(&[
            Secret::new("DB", VALUE),
            Secret::new("SHORT", "aaaaaaaab"),
            Secret::new("LONG", "aaaaaaaabbbb"),
        ]))
    }

    fn scrubbed(blocks: &[&[u8]]) -> String {
        let mut scrubber = Scrubber::new(needles());
        let mut out: Vec<u8> = blocks
            .iter()
            .flat_map(|block| scrubber.push(block))
            .collect();
        out.extend(scrubber.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_taken_out_in_every_form_and_however_it_is_cut() {
        let bytes = VALUE.as_bytes();
        let wrapped = |text: &str| {
            let lines: Vec<&str> = text
                .as_bytes()
                .chunks(19)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            lines.join("\n")
        };
        let base64 = BASE64.encode(bytes);
        for form in [
            VALUE.to_owned(),
            HEXLOWER.encode(bytes),
            HEXUPPER.encode(bytes),
            base64.trim_end_matches('=').to_owned(),
            BASE64URL.encode(bytes).trim_end_matches('=').to_owned(),
            wrapped(base64.trim_end_matches('=')),
            "p4ss%20w%C3%B6rd%2F%2B%3F~%20of%20a%20length%20that%20base64%20breaks%20into%20lines%20when%20it%20is%20told%20to".to_owned(),
        ] {
            let text = format!("before {form} behind");
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                let out = scrubbed(&[&bytes[..cut], &bytes[cut..]]);
                // A base64 form leaves the digits that its neighbours have a say in.
                assert!(out.starts_with("before [redacted:DB]"), "{cut}: {out}");
                assert!(out.ends_with(" behind") && out.len() < 40, "{cut}: {out}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert!(scrubbed(&single).starts_with("before [redacted:DB]"));
        }
    }

    #[test]
    fn within_longer_base64_it_is_taken_out_too() {
        for before in ["", "u", "us", "user:"] {
            let encoded = BASE64.encode(format!("{before}{VALUE}\n").as_bytes());
            assert!(
                scrubbed(&[encoded.as_bytes()]).contains("[redacted:DB]"),
                "{before}"
            );
        }
    }

    #[test]
    fn what_is_none_passes_whole_and_the_longest_is_taken() {
        for text in [
            "",
            "p4ss",
            "aaaaaaaa",
            "aaaaaaaaaaaaaaaaaaac",
            "\n\n",
            "p4ss w\u{f6}rd/+?~ of",
        ] {
            assert_eq!(scrubbed(&[text.as_bytes()]), text);
        }
        assert_eq!(scrubbed(&[b"aaaaaaaabbbb"]), "[redacted:LONG]");
        assert_eq!(scrubbed(&[b"aaaaaaaabbb"]), "[redacted:SHORT]bb");
        assert_eq!(scrubbed(&[b"aaaaaaaaaaab", b"bbb"]), "aaa[redacted:LONG]");
        let none = Arc::new(Needles::of(&[]));
        assert_eq!(Scrubber::new(none).push(b"all of it"), b"all of it");
    }
}
