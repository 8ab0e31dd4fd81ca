//! Puts a reference to a variable where a command names a secret, quoted for the place it stands in.
//!
//! The value itself never becomes a part of the command: whatever is in it, the shell takes it for
//! one word. Where this reader cannot tell how the shell would take a place, the command is refused,
//! and told to name the variable itself.

use crate::contracts::secret::{Placeholder, placeholders};

use super::error::{SecretMisuse, SecretPlace};

/// The variable that holds a secret.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("AGP_SECRET_{name}")
}

/// How the shell takes what stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShellContext {
    /// As words and operators, also within parentheses.
    Words,
    /// Between double quotes.
    Double,
    /// Between single quotes.
    Single,
    /// Between `$'` and `'`.
    Escaped,
    /// Up to the end of the line: nothing.
    Comment,
    /// Within a substitution by backticks, `${}` or arithmetic, where quotes mean other things.
    Other(Other),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Backticks,
    Parameter,
    Arithmetic,
}

/// The command with references in the places of its placeholders.
///
/// # Errors
/// Where one stands that cannot be replaced, and what to write instead.
pub fn referring(command: &str) -> Result<String, SecretMisuse> {
    let marks = placeholders(command);
    let mut out = String::with_capacity(command.len() + 32 * marks.len());
    let mut reader = Reader::new(command);
    let mut from = 0;
    for placeholder in &marks {
        reader.read_to(placeholder.start);
        out.push_str(command.get(from..placeholder.start).unwrap_or_default());
        out.push_str(&reader.reference(placeholder)?);
        reader.skip_to(placeholder.end);
        from = placeholder.end;
    }
    out.push_str(command.get(from..).unwrap_or_default());
    Ok(out)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    places: Vec<ShellContext>,
    /// Whether the byte before took its meaning from the next one.
    escaping: bool,
    /// A text that follows up to a word of its own choosing, which is not read here.
    here_document: bool,
    /// A `case` has parentheses that do not pair.
    has_case: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        Self {
            text: text.as_bytes(),
            at: 0,
            places: vec![ShellContext::Words],
            escaping: false,
            here_document: false,
            has_case: words.any(|word| word == "case"),
        }
    }

    fn place(&self) -> ShellContext {
        self.places.last().copied().unwrap_or(ShellContext::Words)
    }

    fn reference(&self, placeholder: &Placeholder<'_>) -> Result<String, SecretMisuse> {
        let variable = variable(placeholder.name);
        if self.place() == ShellContext::Comment {
            // Nothing comes of it, but that the variable is there.
            return Ok(String::new());
        }
        let refused = |place| Err(SecretMisuse::Place(placeholder.name.to_owned(), place));
        if self.escaping {
            return refused(SecretPlace::Escaped);
        }
        if self.here_document {
            return refused(SecretPlace::HereDocument);
        }
        if self.has_case && self.places.len() > 1 {
            return refused(SecretPlace::Case);
        }
        Ok(match self.place() {
            ShellContext::Words => format!("\"${{{variable}}}\""),
            ShellContext::Double => format!("${{{variable}}}"),
            ShellContext::Single => format!("'\"${{{variable}}}\"'"),
            ShellContext::Escaped => format!("'\"${{{variable}}}\"$'"),
            ShellContext::Comment => String::new(),
            ShellContext::Other(_) => {
                return refused(SecretPlace::Substitution);
            }
        })
    }

    fn read_to(&mut self, end: usize) {
        while self.at < end {
            self.step();
        }
    }

    /// A placeholder is a part of a word, which no quote or operator of its own stands in.
    fn skip_to(&mut self, end: usize) {
        self.at = self.at.max(end);
        self.escaping = false;
    }

    fn is(&self, ahead: &[u8]) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.starts_with(ahead)
    }

    fn push(&mut self, place: ShellContext, length: usize) {
        self.places.push(place);
        self.at += length;
    }

    fn pop(&mut self, length: usize) {
        if self.places.len() > 1 {
            self.places.pop();
        }
        self.at += length;
    }

    /// Whether a word could begin here, as a comment must.
    fn at_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        before.is_none_or(|byte| b" \t\n;&|()".contains(byte))
    }

    fn step(&mut self) {
        if std::mem::take(&mut self.escaping) {
            self.at += 1;
            return;
        }
        match self.place() {
            ShellContext::Words => self.in_words(),
            ShellContext::Double => self.in_double(),
            ShellContext::Single if self.is(b"'") => self.pop(1),
            ShellContext::Escaped if self.is(b"'") => self.pop(1),
            ShellContext::Escaped if self.is(b"\\") => self.escape(),
            ShellContext::Comment if self.is(b"\n") => self.pop(1),
            ShellContext::Other(other) => self.in_other(other),
            ShellContext::Single | ShellContext::Escaped | ShellContext::Comment => self.at += 1,
        }
    }

    fn escape(&mut self) {
        self.escaping = true;
        self.at += 1;
    }

    /// What begins alike in words and between double quotes. False when nothing does.
    fn substitution(&mut self) -> bool {
        if self.is(b"\\") {
            self.escape();
        } else if self.is(b"`") {
            self.push(ShellContext::Other(Other::Backticks), 1);
        } else if self.is(b"$((") || self.is(b"$[") {
            self.push(ShellContext::Other(Other::Arithmetic), 2);
        } else if self.is(b"$(") {
            self.push(ShellContext::Words, 2);
        } else if self.is(b"${") {
            self.push(ShellContext::Other(Other::Parameter), 2);
        } else {
            return false;
        }
        true
    }

    fn in_words(&mut self) {
        if self.substitution() {
            return;
        }
        if self.is(b"<<<") {
            self.at += 3;
        } else if self.is(b"<<") {
            self.here_document = true;
            self.at += 2;
        } else if self.is(b"$'") {
            self.push(ShellContext::Escaped, 2);
        } else if self.is(b"'") {
            self.push(ShellContext::Single, 1);
        } else if self.is(b"\"") {
            self.push(ShellContext::Double, 1);
        } else if self.is(b"((") {
            self.push(ShellContext::Other(Other::Arithmetic), 1);
        } else if self.is(b"(") {
            self.push(ShellContext::Words, 1);
        } else if self.is(b")") {
            self.pop(1);
        } else if self.is(b"#") && self.at_word() {
            self.push(ShellContext::Comment, 1);
        } else {
            self.at += 1;
        }
    }

    fn in_double(&mut self) {
        if self.substitution() {
            return;
        }
        if self.is(b"\"") {
            self.pop(1);
        } else {
            self.at += 1;
        }
    }

    /// What is refused needs no reading, but for where it ends. Its own quotes and brackets are not
    /// looked into: where they hide its end, what follows is read as still within it, and refused;
    /// where they fake it, what follows is not what this reader takes it for, so nothing behind is
    /// given at all.
    fn in_other(&mut self, other: Other) {
        if self.is(b"\\") {
            self.escape();
        } else if self.is(b"'") || self.is(b"\"") || self.is(b"$(") {
            self.here_document = true;
            self.at += 1;
        } else {
            match other {
                Other::Backticks if self.is(b"`") => self.pop(1),
                Other::Parameter if self.is(b"}") => self.pop(1),
                Other::Parameter if self.is(b"${") => {
                    self.push(ShellContext::Other(Other::Parameter), 2);
                }
                Other::Arithmetic if self.is(b"(") => {
                    self.push(ShellContext::Other(Other::Arithmetic), 1);
                }
                Other::Arithmetic if self.is(b")") || self.is(b"]") => self.pop(1),
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_quoted_for_its_place() {
        for (command, expected) in [
            ("echo {{secret:A}}", "echo \"${AGP_SECRET_A}\""),
            ("echo secret:A;x", "echo \"${AGP_SECRET_A}\";x"),
            ("echo \"x {{secret:A}} y\"", "echo \"x ${AGP_SECRET_A} y\""),
            (
                "echo 'x {{secret:A}} y'",
                "echo 'x '\"${AGP_SECRET_A}\"' y'",
            ),
            (
                "echo $'x\\'{{secret:A}}'",
                "echo $'x\\''\"${AGP_SECRET_A}\"$''",
            ),
            (
                "a $(b \"$(c {{secret:A}})\" '{{secret:B}}') {{secret:A}}",
                "a $(b \"$(c \"${AGP_SECRET_A}\")\" ''\"${AGP_SECRET_B}\"'') \"${AGP_SECRET_A}\"",
            ),
            (
                "a \"b\" (c; {{secret:A}}) <(d '{{secret:A}}')",
                "a \"b\" (c; \"${AGP_SECRET_A}\") <(d ''\"${AGP_SECRET_A}\"'')",
            ),
            (
                "a \\' {{secret:A}} \\\" {{secret:A}}",
                "a \\' \"${AGP_SECRET_A}\" \\\" \"${AGP_SECRET_A}\"",
            ),
            (
                "a # it's {{secret:A}}\nb {{secret:A}}",
                "a # it's \nb \"${AGP_SECRET_A}\"",
            ),
            ("a#b'c' {{secret:A}}", "a#b'c' \"${AGP_SECRET_A}\""),
            (
                "a `b` ${c} $((1+(2))) {{secret:A}}",
                "a `b` ${c} $((1+(2))) \"${AGP_SECRET_A}\"",
            ),
            ("a <<<{{secret:A}}", "a <<<\"${AGP_SECRET_A}\""),
            (
                "# {{secret:A}}\ncat <<EOF\n$AGP_SECRET_A\nEOF\n",
                "# \ncat <<EOF\n$AGP_SECRET_A\nEOF\n",
            ),
            ("no secret here", "no secret here"),
        ] {
            assert_eq!(referring(command).as_deref(), Ok(expected), "{command}");
        }
    }

    #[test]
    fn where_the_place_cannot_be_told_it_is_refused() {
        for command in [
            "a \\{{secret:A}}",
            "a \"\\{{secret:A}}\"",
            "a `b {{secret:A}}`",
            "a \"`b {{secret:A}}`\"",
            "a ${b:-{{secret:A}}}",
            "a $((1 + {{secret:A}}))",
            "(( {{secret:A}} ))",
            "a $[ {{secret:A}} ]",
            "a <<EOF\n{{secret:A}}\nEOF\n",
            "a <<'EOF'\nx\nEOF\nb {{secret:A}}",
            "a ${b:-'}'} '{{secret:A}}'",
            "a `b '` {{secret:A}}",
            "a \"$(case b in b) c;; esac {{secret:A}})\"",
        ] {
            let why = referring(command).unwrap_err().to_string();
            assert!(why.contains("\"$AGP_SECRET_A\""), "{command}: {why}");
        }
    }
}
