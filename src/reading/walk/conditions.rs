//! `test`, `[` and `[[`: which of their operands run commands.

use super::Walker;
use super::builtins::maybe;
use super::expand::is_name;
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{self, Part};

/// Operators of `[[` that read their operands as arithmetic.
const COMPARES: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

impl Walker<'_> {
    /// `test` and `[`: `-v` reads a subscript as arithmetic.
    pub(super) fn test_builtin(&mut self, arguments: &[Word]) {
        let mut words = arguments.iter().peekable();
        let mut first = true;
        while let Some(word) = words.next() {
            if word.pieces.contains(&Piece::Fields) {
                self.unread("a value that is not quoted can be an operator of `[`".to_owned());
                return;
            }
            if word.known() == Some("-v")
                && let Some(name) = words.peek()
                && !name
                    .known()
                    .is_some_and(|name| is_name(name) || name == "]")
            {
                self.unread("`test -v` runs what stands in a subscript".to_owned());
            }
            // `[ "$a" "$b" ]`.
            let operand = words.peek().and_then(|word| word.known());
            let alone =
                first && arguments.len() == 3 && operand.is_some_and(|text| !text.contains('['));
            if word.known().is_none()
                && maybe(word, "-v")
                && words.len() > 0
                && operand != Some("]")
                && !alone
            {
                let binary = operand.is_some_and(is_binary);
                if !binary {
                    self.unread(
                        "a value can be `-v`, which runs what stands in a subscript".to_owned(),
                    );
                }
            }
            first = false;
        }
    }

    /// `[[ ... ]]`.
    pub(super) fn test_command(&mut self, words: &[ast::Word]) {
        let operator = |word: Option<&ast::Word>| match word.map(|word| word.parts.as_slice()) {
            Some([Part::Literal(text)]) => Some(text.clone()),
            _ => None,
        };
        for (position, word) in words.iter().enumerate() {
            let before = position.checked_sub(1).and_then(|at| words.get(at));
            let Some(operator) = operator(Some(word)) else {
                continue;
            };
            if operator == "-v"
                && let Some(name) = words.get(position + 1)
            {
                let name = self.expand_single(name);
                if !name.known().is_some_and(is_name) {
                    self.unread("`[[ -v` runs what stands in a subscript".to_owned());
                }
            }
            if COMPARES.contains(&operator.as_str()) {
                for operand in before.into_iter().chain(words.get(position + 1)) {
                    self.arithmetic(operand);
                }
            }
        }
        for word in words {
            self.expand_single(word);
        }
    }
}

fn is_binary(text: &str) -> bool {
    COMPARES.contains(&text)
        || matches!(text, "=" | "==" | "!=" | "<" | ">" | "-nt" | "-ot" | "-ef")
}
