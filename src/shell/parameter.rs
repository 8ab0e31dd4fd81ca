//! What begins with `$` or a backquote.

use super::Unparsed;
use super::ast::{Operation, Parameter, Part};
use super::frames::{
    ArithmeticOf, Done, Frame, Header, Mode, Operand, OperandKind, Subscript, Substitution,
    WordFrame,
};
use super::machine::Machine;
use super::source::is_name;
use super::word::After;

type Step = Result<(), Unparsed>;

impl Machine<'_> {
    /// Passes `$` or a backquote and what it begins; the frame is handed back where nothing nested began.
    pub(super) fn expansion(
        &mut self,
        mut frame: Box<WordFrame>,
        quoted: bool,
    ) -> Result<(Option<Box<WordFrame>>, After), Unparsed> {
        if self.src().take(b'`') {
            let origin = self.at();
            let text = self.backquoted(matches!(frame.mode, Mode::Double))?;
            self.frames.push(Frame::Word(frame));
            self.enter_text(text, origin);
            self.substitution(Substitution::Backquoted { quoted })?;
            return Ok((None, After::Nested));
        }
        self.src().bump();
        let single = matches!(
            frame.mode,
            Mode::Bare(_)
                | Mode::Operand(Operand {
                    header: Header { quoted: false, .. },
                    ..
                })
        );
        let next = self.src().peek();
        match next {
            Some(b'(') => {
                self.src().bump();
                if self.src().take(b'(') {
                    self.enter()?;
                    self.frames.push(Frame::Word(frame));
                    self.begin_arithmetic(ArithmeticOf::Part { quoted }, false);
                    return Ok((None, After::Nested));
                }
                self.frames.push(Frame::Word(frame));
                self.substitution(Substitution::Command { quoted })?;
                return Ok((None, After::Nested));
            }
            Some(b'[') => {
                self.bash_only("$[ ]");
                self.src().bump();
                self.enter()?;
                self.frames.push(Frame::Word(frame));
                self.begin_arithmetic(ArithmeticOf::Part { quoted }, true);
                return Ok((None, After::Nested));
            }
            Some(b'{') => {
                self.src().bump();
                self.enter()?;
                let in_document = matches!(frame.mode, Mode::HereDocument)
                    || matches!(&frame.mode, Mode::Operand(operand) if operand.header.in_document);
                if let Some(text) = self.braces_of_parameter() {
                    frame.out.braces_unclear |= text;
                }
                self.frames.push(Frame::Word(frame));
                self.parameter(quoted, in_document)?;
                return Ok((None, After::Nested));
            }
            Some(b'\'') if single => {
                self.bash_only("$'..'");
                let text = self.ansi_quoted()?;
                frame.out.quoted(&text);
                frame.out.dollar_quoted = true;
            }
            Some(b'"') if single => {
                self.bash_only("$\"..\"");
                frame.out.dollar_quoted = true;
                self.nest_double(frame)?;
                return Ok((None, After::Nested));
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.src().name();
                frame.out.push(plain(name, quoted));
            }
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                self.src().bump();
                frame.out.push(plain(char::from(byte).to_string(), quoted));
            }
            _ => match quoted {
                true => frame.out.quoted("$"),
                false => frame.out.literal("$"),
            },
        }
        Ok((Some(frame), After::Same))
    }

    /// Whether braces, quotes or escapes stand in `${...}`, as far as its first `}`: `None` where there is no `}`.
    fn braces_of_parameter(&mut self) -> Option<bool> {
        let at = self.src().at;
        let text = self.src().run(|byte| b"}{'\"\\`(".contains(&byte));
        let _ = text;
        let end = self.src().raw();
        self.src().at = at;
        end.map(|byte| byte != b'}')
    }

    /// Passes what stands between backquotes, with its escapes removed.
    fn backquoted(&mut self, in_double: bool) -> Result<String, Unparsed> {
        let mut text = String::new();
        loop {
            match self.src().peek() {
                None => return self.syntax("a backquote without an end"),
                Some(b'`') => {
                    self.src().bump();
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.src().bump();
                    match self.src().raw() {
                        Some(b'$' | b'`' | b'\\') => {}
                        Some(b'"') if in_double => {}
                        _ => text.push('\\'),
                    }
                    text.extend(self.src().char());
                }
                Some(_) => {
                    text.push_str(self.src().run(|byte| matches!(byte, b'`' | b'\\')));
                }
            }
        }
    }

    /// Behind `${`.
    fn parameter(&mut self, quoted: bool, in_document: bool) -> Step {
        let mut header = Header {
            quoted,
            in_document,
            ..Header::default()
        };
        let begins = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let second = self.src().second();
        match self.src().peek() {
            Some(b'!') if begins(second) => {
                self.bash_only("${!name}");
                self.src().bump();
                header.indirect = true;
            }
            Some(b'#') if begins(second) || matches!(second, Some(b'@' | b'*')) => {
                self.src().bump();
                header.length = true;
            }
            Some(b'!' | b'#') if second != Some(b'}') => {
                return self.unsupported("`${#` or `${!` before an operator");
            }
            _ => {}
        }
        header.name = self.src().name();
        if header.name.is_empty() {
            while let Some(digit @ b'0'..=b'9') = self.src().peek() {
                header.name.push(char::from(digit));
                self.src().bump();
            }
        }
        if header.name.is_empty() {
            match self.src().peek() {
                Some(byte) if b"@*#?-$!".contains(&byte) => {
                    self.src().bump();
                    header.name.push(char::from(byte));
                }
                _ => return self.syntax("`${` without a name"),
            }
        }
        if is_name(&header.name) && self.src().peek() == Some(b'[') {
            self.bash_only("a subscript");
            self.src().bump();
            self.begin_word(Mode::Subscript(Subscript {
                header: Some(header),
                depth: 0,
            }));
            return Ok(());
        }
        self.operation(header)
    }

    /// Behind the name and subscript in `${...}`.
    pub(super) fn operation(&mut self, header: Header) -> Step {
        let Some(byte) = self.src().peek() else {
            return self.syntax("`${` without an end");
        };
        if header.length && byte != b'}' {
            return self.unsupported("`${#name` with an operator");
        }
        self.src().bump();
        let kind = match byte {
            b'}' => {
                let operation = match header.length {
                    true => Operation::Length,
                    false => Operation::Plain,
                };
                return self.end_parameter(header, operation);
            }
            b':' => match self.src().peek().and_then(defaults) {
                Some(kind) => {
                    self.src().bump();
                    kind
                }
                None => {
                    self.bash_only("${name:offset}");
                    OperandKind::Substring
                }
            },
            b'@' | b'*' if header.indirect && self.src().peek() == Some(b'}') => {
                self.src().bump();
                return self.end_parameter(header, Operation::Edit(super::ast::Word::default()));
            }
            b'@' => {
                self.bash_only("${name@operator}");
                let letter = self.src().peek().map(char::from).unwrap_or_default();
                self.src().bump();
                if !"UuLQEPAKak".contains(letter) || !self.src().take(b'}') {
                    return self.syntax("an unknown operator in `${`");
                }
                return self.end_parameter(header, Operation::Transform(letter));
            }
            b'#' | b'%' => {
                self.src().take(byte);
                OperandKind::Edit
            }
            b'/' | b'^' | b',' => {
                self.bash_only("`${name/`, `${name^` or `${name,`");
                self.src().take(byte);
                OperandKind::Edit
            }
            _ => match defaults(byte) {
                Some(kind) => kind,
                None => return self.syntax("an unknown operator in `${`"),
            },
        };
        self.begin_word(Mode::Operand(Operand { header, kind }));
        Ok(())
    }

    fn end_parameter(&mut self, header: Header, operation: Operation) -> Step {
        self.leave();
        let part = Part::Parameter {
            quoted: header.quoted,
            parameter: Box::new(Parameter {
                name: header.name,
                indirect: header.indirect,
                subscript: header.subscript,
                operation,
            }),
        };
        self.deliver(Done::Parts(vec![part]))
    }
}

fn defaults(byte: u8) -> Option<OperandKind> {
    Some(match byte {
        b'-' => OperandKind::Default,
        b'=' => OperandKind::Assign,
        b'+' => OperandKind::Alternative,
        b'?' => OperandKind::Error,
        _ => return None,
    })
}

fn plain(name: String, quoted: bool) -> Part {
    Part::Parameter {
        quoted,
        parameter: Box::new(Parameter {
            name,
            indirect: false,
            subscript: None,
            operation: Operation::Plain,
        }),
    }
}
