//! Arithmetic runs commands: the value of a name in it is an expression again, and a subscript in that is expanded
//! (`x='a[$(id)]'; ((x))`). Only what is known to be digits is followed.

use super::Walker;
use super::expand::is_name;
use super::state::Value;
use crate::reading::word::Word;
use crate::shell::ast::{self, Part};

impl Walker<'_> {
    /// Reads an expression; what it could run is unread.
    pub(super) fn arithmetic(&mut self, expression: &ast::Word) {
        let mut text = String::new();
        let mut rest: Vec<&Part> = expression.parts.iter().rev().collect();
        while let Some(part) = rest.pop() {
            match part {
                Part::Literal(part) | Part::Quoted(part) | Part::Glob(part) => text.push_str(part),
                Part::Tilde(user) => {
                    text.push('~');
                    text.push_str(user);
                }
                Part::Arithmetic { expression, .. } => {
                    rest.extend(expression.parts.iter().rev());
                }
                Part::Parameter { .. } | Part::Command { .. } | Part::Process { .. } => {
                    let word = ast::Word {
                        parts: vec![(*part).clone()],
                    };
                    if self.is_number(&word) {
                        text.push('1');
                    } else {
                        self.unread_arithmetic("a value that is not known");
                    }
                }
            }
        }
        self.arithmetic_text(&text);
    }

    /// Reads an expression of which no more is known than its words.
    pub(super) fn arithmetic_word(&mut self, word: &Word) {
        match word.known().map(str::to_owned) {
            Some(text) => self.arithmetic_text(&text),
            None => self.unread_arithmetic("a value that is not known"),
        }
    }

    /// Whether a word expands to digits alone.
    pub(super) fn is_number(&mut self, word: &ast::Word) -> bool {
        if matches!(word.parts.as_slice(), [Part::Arithmetic { .. }]) {
            return true;
        }
        if let [Part::Parameter { parameter, .. }] = word.parts.as_slice() {
            if parameter.operation == ast::Operation::Length {
                return true;
            }
            if parameter.operation == ast::Operation::Plain
                && parameter.subscript.is_none()
                && !parameter.indirect
            {
                return self.lookup(&parameter.name).is_number();
            }
        }
        if let [
            Part::Command {
                body: Some(body), ..
            },
        ] = word.parts.as_slice()
            && let Some(stream) = self.results.get(&(self.script, body.0))
            && stream.number
        {
            return true;
        }
        let word = self.expand_single(word);
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        word.known().is_some_and(digits)
    }

    fn arithmetic_text(&mut self, text: &str) {
        let mut assigned: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name(first) {
                if first == '$' || first == '`' {
                    self.unread_arithmetic("an expansion");
                }
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
                continue;
            }
            let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
            let (token, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = behind;
            if !is_name(token) {
                // `16#ff`: the digits of another base.
                if let Some(digits) = rest.strip_prefix('#') {
                    let end = digits
                        .find(|c: char| !name(c) && c != '@')
                        .unwrap_or(digits.len());
                    rest = digits.get(end..).unwrap_or_default();
                }
                continue;
            }
            let then = rest.trim_start();
            let sets = then.starts_with('=') && !then.starts_with("==");
            if sets {
                assigned.push(token);
            } else if !assigned.contains(&token) && !self.lookup(token).is_number() {
                self.unread_arithmetic(token);
            } else {
                // `i++`, `i += 1`: digits remain digits, and are not known any more.
                let changes = [
                    "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=",
                ];
                if changes.iter().any(|change| then.starts_with(change)) {
                    assigned.push(token);
                }
            }
        }
        // `--i`: all that is named may have been changed.
        let mut names: Vec<&str> = Vec::new();
        if text.contains("++") || text.contains("--") {
            names.extend(text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
            names.retain(|name| is_name(name));
        }
        names.extend(assigned);
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.set_with_effects(name, Value::Number);
        }
    }

    pub(super) fn unread_arithmetic(&mut self, what: &str) {
        self.unread(format!("arithmetic runs commands that stand in {what}"));
    }
}
