//! Looks for the values of known secrets in what is about to be written.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::contracts::limits;
use crate::contracts::secret::{Secret, forms};

/// What to look for, made once a session.
#[derive(Default)]
pub struct Screen {
    names: Vec<String>,
    ignored: Vec<String>,
    /// Each form of each secret with its position in `names`; sorted, so that those with the
    /// same first two bytes stand together.
    needles: Vec<(Vec<u8>, usize)>,
    /// For each pair of bytes whether a needle begins with it.
    starts: Vec<bool>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen({:?})", self.names)
    }
}

impl Screen {
    /// A screen for these secrets, but for those too short to screen for.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let mut screen = Self::default();
        let mut needles = BTreeSet::new();
        for secret in secrets {
            // A newline at the end is the file's it came from, and not always passed on.
            let value = secret.value().trim();
            if value.len() < limits::SECRET_BYTES_MIN {
                screen.ignored.push(secret.name().to_owned());
                continue;
            }
            let name = screen.names.len();
            screen.names.push(secret.name().to_owned());
            needles.extend(forms(value).into_iter().map(|form| (form.bytes, name)));
        }
        screen.needles = needles.into_iter().collect();
        screen.starts = vec![false; 1 << 16];
        for (needle, _) in &screen.needles {
            if let [a, b, ..] = needle.as_slice()
                && let Some(start) = screen.starts.get_mut(pair(*a, *b))
            {
                *start = true;
            }
        }
        screen
    }

    /// Names of the secrets whose values are shorter than [`limits::SECRET_BYTES_MIN`] and so are
    /// not screened for.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The name of a secret whose value stands in a string, key or number at any depth: as it is,
    /// escaped as in JSON or URLs, in hexadecimal, or in base64 at any offset.
    #[must_use]
    pub fn secret_in(&self, payload: &Map<String, Value>) -> Option<&str> {
        if self.needles.is_empty() {
            return None;
        }
        self.in_object(payload)
    }

    fn in_object(&self, map: &Map<String, Value>) -> Option<&str> {
        map.iter()
            .find_map(|(key, value)| self.in_text(key).or_else(|| self.in_value(value)))
    }

    fn in_value(&self, value: &Value) -> Option<&str> {
        match value {
            Value::String(text) => self.in_text(text),
            Value::Number(number) => self.in_text(&number.to_string()),
            Value::Array(items) => items.iter().find_map(|item| self.in_value(item)),
            Value::Object(map) => self.in_object(map),
            Value::Null | Value::Bool(_) => None,
        }
    }

    fn in_text(&self, text: &str) -> Option<&str> {
        let bytes = text.as_bytes();
        bytes.windows(2).enumerate().find_map(|(at, two)| {
            let &[a, b] = two else { return None };
            if self.starts.get(pair(a, b)) != Some(&true) {
                return None;
            }
            let rest = bytes.get(at..)?;
            let first = self.needles.partition_point(|(n, _)| n.as_slice() < two);
            self.needles
                .get(first..)?
                .iter()
                .take_while(|(needle, _)| needle.starts_with(two))
                .find(|(needle, _)| rest.starts_with(needle))
                .and_then(|(_, name)| self.names.get(*name))
                .map(String::as_str)
        })
    }
}

fn pair(a: u8, b: u8) -> usize {
    usize::from(a) << 8 | usize::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    use serde_json::json;

    const VALUE: &str = "p4ss\"w\u{f6}rd\n?>~\u{7f}";

    fn screen() -> Screen {
        Screen::new(&[
            Secret::new("OTHER", "another-secret\n"),
            Secret::new("DB", VALUE),
            Secret::new("PIN", "1234567"),
            Secret::new("NUMBER", "9081726354"),
        ])
    }

    fn found(value: &Value) -> Option<String> {
        let payload = json!({"x": [1, {"y": value}]});
        screen()
            .secret_in(payload.as_object().unwrap())
            .map(str::to_owned)
    }

    #[test]
    fn a_secret_is_found_in_each_of_its_forms() {
        let bytes = VALUE.as_bytes();
        let escaped = serde_json::to_string(VALUE).unwrap();
        for form in [
            VALUE.to_owned(),
            escaped.trim_matches('"').to_owned(),
            HEXLOWER.encode(bytes),
            HEXUPPER.encode(bytes),
            data_encoding::BASE64.encode(bytes),
            data_encoding::BASE64URL.encode(bytes),
            BASE64_NOPAD.encode(bytes),
            BASE64URL_NOPAD.encode(bytes),
        ] {
            assert_eq!(found(&json!(form)).as_deref(), Some("DB"), "{form}");
            let inside = format!("ü{form}ü");
            assert_eq!(found(&json!(inside)).as_deref(), Some("DB"), "{form}");
            assert_eq!(found(&json!({ form: 1 })).as_deref(), Some("DB"));
        }
    }

    #[test]
    fn a_secret_inside_longer_base64_is_found() {
        for before in ["", "u", "us", "user:"] {
            for after in ["", "x", "xy", "\nhost"] {
                let text = format!("{before}{VALUE}{after}");
                let encoded = data_encoding::BASE64.encode(text.as_bytes());
                assert_eq!(found(&json!(encoded)).as_deref(), Some("DB"), "{text:?}");
            }
        }
    }

    #[test]
    fn a_secret_of_digits_is_found_as_a_number() {
        assert_eq!(found(&json!(9_081_726_354_u64)).as_deref(), Some("NUMBER"));
    }

    #[test]
    fn a_newline_after_a_secret_does_not_hide_it() {
        assert_eq!(found(&json!("x another-secret")).as_deref(), Some("OTHER"));
    }

    #[test]
    fn what_holds_no_secret_passes() {
        for text in ["", "p", "p4ss\"w\u{f6}rd", "another secret", "1234567"] {
            assert_eq!(found(&json!(text)), None, "{text}");
        }
        let none = Screen::new(&[]);
        assert_eq!(none.secret_in(&Map::new()), None);
    }

    #[test]
    fn a_secret_too_short_to_screen_for_is_named() {
        assert_eq!(screen().ignored(), ["PIN"]);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let debug = format!("{:?} {:?}", Secret::new("N", "topsecret"), screen());
        assert_eq!(debug, r#"Secret("N") Screen(["OTHER", "DB", "NUMBER"])"#);
    }
}
