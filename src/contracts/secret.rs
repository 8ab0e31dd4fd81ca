//! Secrets by name: what stands for one in a call, and the forms in which a value shows itself.

use std::collections::BTreeSet;
use std::fmt;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use serde_json::{Map, Value};

/// Bytes of a secret's name.
const NAME_BYTES: usize = 64;

/// A secret agp was given, by name. Its value is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    name: String,
    value: String,
}

impl Secret {
    /// A secret and the name it may be spoken of by.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, for the one place that hands it over.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.name)
    }
}

/// Whether a text can be a secret's name: capitals, digits and `_`, as of a variable.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_BYTES).contains(&text.len())
        && text.bytes().all(plain)
        && text.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
}

/// What stands for a secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// The secret's name; between braces it can be anything.
    pub name: &'a str,
    /// Where it begins.
    pub start: usize,
    /// Where it has ended.
    pub end: usize,
}

/// With braces it is one whatever stands around and in it.
const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";
/// Without them it is one as a word of its own, with a possible name.
const BARE: &str = "secret:";

/// Finds what stands for a secret, in order.
#[must_use]
pub fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.find(BARE)) {
        let bare = at + next;
        let braced = bare.checked_sub(2).filter(|start| {
            let open = text.get(*start..).unwrap_or_default();
            *start >= at && open.starts_with(OPEN)
        });
        let placeholder = match braced {
            Some(start) => Some(between_braces(text, start)),
            None => bare_word(text, bare),
        };
        at = placeholder.map_or(bare + BARE.len(), |placeholder| placeholder.end);
        all.extend(placeholder);
    }
    all
}

/// One without an end has all the rest for its name, which no secret has.
fn between_braces(text: &str, start: usize) -> Placeholder<'_> {
    let inside = start + OPEN.len();
    let rest = text.get(inside..).unwrap_or_default();
    let (name, end) = match rest.find(CLOSE) {
        Some(length) => (
            rest.get(..length).unwrap_or_default(),
            inside + length + CLOSE.len(),
        ),
        None => (rest, text.len()),
    };
    Placeholder { name, start, end }
}

fn bare_word(text: &str, start: usize) -> Option<Placeholder<'_>> {
    let joined = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let before = text.get(..start)?.chars().next_back();
    let rest = text.get(start + BARE.len()..)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
    let name = rest.get(..length)?;
    let alone = !before.is_some_and(joined) && is_name(name);
    alone.then_some(Placeholder {
        name,
        start,
        end: start + BARE.len() + length,
    })
}

/// The tool whose commands get secrets, and the argument of it that names them.
pub const SHELL: (&str, &str) = ("Bash", "command");

/// The names of all secrets that a call asks for. Of the shell tool those in its command; of others
/// those between braces, and what is nothing but one.
#[must_use]
pub fn asked_by(tool: &str, args: &Map<String, Value>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if tool == SHELL.0 {
        let command = args.get(SHELL.1).and_then(Value::as_str);
        let marks = command.map(placeholders).unwrap_or_default();
        names.extend(marks.iter().map(|mark| mark.name.to_owned()));
    } else {
        args.values().for_each(|value| asked_in(value, &mut names));
    }
    names
}

fn asked_in(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let whole = |mark: &Placeholder<'_>| mark.start == 0 && mark.end == text.len();
            let braced = |mark: &Placeholder<'_>| {
                let start = text.get(mark.start..).unwrap_or_default();
                start.starts_with(OPEN)
            };
            let marks = placeholders(text);
            let taken = marks.iter().filter(|mark| braced(mark) || whole(mark));
            names.extend(taken.map(|mark| mark.name.to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| asked_in(item, names)),
        Value::Object(map) => map.values().for_each(|value| asked_in(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A form in which a value can show itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether programs break it into lines.
    pub wraps: bool,
}

/// Every form of a value that is looked for, each at least as long as the value: as it is, escaped
/// as in JSON, in hexadecimal, in base64 at any offset, and escaped as in URLs.
#[must_use]
pub fn forms(value: &str) -> BTreeSet<Form> {
    let bytes = value.as_bytes();
    let quoted = Value::from(value).to_string();
    let mut plain = vec![bytes.to_vec(), quoted.trim_matches('"').as_bytes().to_vec()];
    for kept in URL_KEPT {
        for digits in [&HEXUPPER, &HEXLOWER] {
            plain.push(url_escaped(bytes, kept, digits));
        }
    }
    let mut wrapped = vec![
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
    ];
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        wrapped.extend((0..3).filter_map(|before| base64_inside(encoding, bytes, before)));
    }
    let form = |wraps| move |bytes| Form { bytes, wraps };
    let plain = plain.into_iter().map(form(false));
    plain.chain(wrapped.into_iter().map(form(true))).collect()
}

/// What is left as it is in URLs besides letters and digits: by RFC 3986, in its paths, by
/// JavaScript, and in forms, where a blank is a plus.
const URL_KEPT: [&[u8]; 4] = [b"-_.~", b"-_.~/", b"-_.~!*'()", b"-_.* "];

fn url_escaped(value: &[u8], kept: &[u8], digits: &Encoding) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' if kept.contains(&b' ') => vec![b'+'],
        byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => vec![*byte],
        byte => [b"%", digits.encode(&[*byte]).as_bytes()].concat(),
    };
    value.iter().flat_map(escape).collect()
}

/// The digits that a value's base64 always has when `before` bytes (modulo 3) stand before it, as
/// the user name does in `Basic` credentials. Digits that depend on the neighbours are left out.
fn base64_inside(encoding: &Encoding, value: &[u8], before: usize) -> Option<Vec<u8>> {
    let mut padded = vec![0; before];
    padded.extend_from_slice(value);
    let digits = encoding.encode(&padded).into_bytes();
    let bits = padded.len() * 8;
    digits
        .get((before * 8).div_ceil(6)..bits / 6)
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(text: &str) -> Vec<&str> {
        placeholders(text).iter().map(|mark| mark.name).collect()
    }

    #[test]
    fn what_stands_for_a_secret_is_found_and_nothing_else() {
        assert_eq!(names("curl -H {{secret:A}} secret:B_2; x"), ["A", "B_2"]);
        assert_eq!(names("x={{secret:A}}{{secret:B}}"), ["A", "B"]);
        assert_eq!(names("'secret:A'\"secret:B\"(secret:C)"), ["A", "B", "C"]);
        assert_eq!(names("u:secret:A@host"), ["A"]);
        for none in [
            "",
            "secret",
            "secret:",
            "secret:a",
            "secret:Ab",
            "secret:1",
            "my-secret:A",
            "mysecret:A",
            "x.secret:A",
            "{secret}",
            "s\u{e9}cret:A",
            "\u{e9}secret:A",
        ] {
            assert_eq!(names(none), [""; 0], "{none}");
        }
        // With braces it is meant to be one, and fails as none that is known.
        assert_eq!(names("{{secret:a b}} {{secret:"), ["a b", ""]);
        assert_eq!(names("{{secret:A"), ["A"]);
        let text = "ab{{secret:A}}c";
        let marks = placeholders(text);
        assert_eq!(&text[marks[0].start..marks[0].end], "{{secret:A}}");
    }

    #[test]
    fn a_call_asks_for_what_its_command_names() {
        let names_in = |tool: &str, args: Value| -> Vec<String> {
            asked_by(tool, args.as_object().unwrap())
                .into_iter()
                .collect()
        };
        let bash = json!({"command": "a secret:B {{secret:A}}", "description": "secret:C"});
        assert_eq!(names_in("Bash", bash), ["A", "B"]);
        let write =
            json!({"content": "the text secret:A", "x": [{"y": "secret:B"}, "{{secret:C}}"]});
        assert_eq!(names_in("Write", write), ["B", "C"]);
    }

    #[test]
    fn urls_have_their_own_forms() {
        let all = forms("p+ss w/rd?~");
        for form in [
            "p%2Bss%20w%2Frd%3F~",
            "p%2bss%20w%2frd%3f~",
            "p%2Bss+w%2Frd%3F%7E",
            "p%2Bss%20w/rd%3F~",
        ] {
            assert!(all.iter().any(|had| had.bytes == form.as_bytes()), "{form}");
        }
    }
}
