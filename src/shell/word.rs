//! Words: quotes, escapes, and what is expanded in them.

use super::Unparsed;
use super::ast::{Operation, Parameter, Part, Word};
use super::frames::{
    Arithmetic, ArithmeticOf, ArrayFrame, AssignmentHead, Bare, Done, Frame, Mode, OperandKind,
    Subscript, Substitution, WordFrame, WordOut,
};
use super::machine::Machine;
use super::source::{is_name, metacharacter};

type Step = Result<(), Unparsed>;

/// What to do after a byte of a word.
pub(super) enum After {
    /// Go on with this frame.
    Same,
    /// The frame is on the stack with another above it.
    Nested,
}

impl WordOut {
    /// Adds a part; adjacent texts of one kind are joined.
    pub(super) fn push(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (Some(Part::Literal(before)), Part::Literal(text))
            | (Some(Part::Quoted(before)), Part::Quoted(text)) => before.push_str(&text),
            (_, part) => self.parts.push(part),
        }
    }

    pub(super) fn literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(before)) => before.push_str(text),
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    pub(super) fn quoted(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Quoted(before)) => before.push_str(text),
            _ => self.parts.push(Part::Quoted(text.to_owned())),
        }
    }

    fn last_literal(&self) -> &str {
        match self.parts.last() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Its text where it is one plain piece.
    fn only_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl Machine<'_> {
    pub(super) fn word(&mut self, frame: Box<WordFrame>) -> Step {
        match frame.mode {
            Mode::Bare(bare) => self.bare(frame, bare),
            Mode::Double => self.double(frame),
            Mode::Operand(_) => self.operand(frame),
            Mode::Arithmetic(arithmetic) => self.arithmetic(frame, arithmetic),
            Mode::Subscript(_) => self.subscript(frame),
            Mode::HereDocument => self.document(frame),
        }
    }

    fn bare(&mut self, mut frame: Box<WordFrame>, mut bare: Bare) -> Step {
        while let Some(byte) = self.src().peek() {
            match byte {
                b'\'' => {
                    let text = self.single_quoted()?;
                    frame.out.quoted(&text);
                }
                b'"' => {
                    frame.mode = Mode::Bare(bare);
                    return self.nest_double(frame);
                }
                b'\\' => {
                    self.src().bump();
                    match self.src().char() {
                        Some(c) => frame.out.quoted(c.encode_utf8(&mut [0; 4])),
                        None => frame.out.quoted("\\"),
                    }
                }
                b'$' | b'`' => {
                    frame.mode = Mode::Bare(bare);
                    match self.expansion(frame, false)? {
                        (Some(same), After::Same) => frame = same,
                        _ => return Ok(()),
                    }
                }
                b'<' | b'>' if bare.groups == 0 && self.src().second() == Some(b'(') => {
                    self.bash_only("<( )");
                    self.src().bump();
                    self.src().bump();
                    frame.mode = Mode::Bare(bare);
                    self.frames.push(Frame::Word(frame));
                    return self.substitution(Substitution::Process);
                }
                b'(' if bare.groups > 0
                    || bare.regex
                    || bare.extended
                        && frame
                            .out
                            .last_literal()
                            .ends_with(['?', '*', '+', '@', '!']) =>
                {
                    self.bash_only("an extended pattern");
                    bare.groups += 1;
                    frame.out.grouped = true;
                    frame.out.literal("(");
                    self.src().bump();
                }
                b')' if bare.groups > 0 => {
                    bare.groups -= 1;
                    frame.out.literal(")");
                    self.src().bump();
                }
                b'|' if bare.regex => {
                    frame.out.literal("|");
                    self.src().bump();
                }
                b'<' | b'>' if bare.groups > 0 => {
                    return self.unsupported("`<` or `>` in a pattern");
                }
                _ if metacharacter(byte) => {
                    if bare.groups == 0 {
                        break;
                    }
                    frame.out.literal(char::from(byte).encode_utf8(&mut [0; 4]));
                    self.src().bump();
                }
                b'=' if bare.assigns || bare.assigns_array => {
                    self.src().bump();
                    if !self.assigns(&mut frame.out, bare) {
                        frame.out.literal("=");
                    } else if self.src().peek() == Some(b'(') {
                        return self.begin_array(frame.out);
                    } else if !bare.assigns {
                        let head = frame.out.head.take().unwrap_or_default();
                        frame.out.literal(&head.name);
                        frame.out.literal(if head.append { "+=" } else { "=" });
                    }
                    (bare.assigns, bare.assigns_array) = (false, false);
                }
                b'[' if bare.element && frame.out.parts.is_empty()
                    || bare.assigns && frame.out.only_literal().is_some_and(is_name) =>
                {
                    self.bash_only("a subscript");
                    self.src().bump();
                    self.enter()?;
                    frame.mode = Mode::Bare(bare);
                    self.frames.push(Frame::Word(frame));
                    self.begin_word(Mode::Subscript(Subscript {
                        header: None,
                        depth: 0,
                    }));
                    return Ok(());
                }
                _ => {
                    let special = |byte| metacharacter(byte) || b"'\"\\$`=[".contains(&byte);
                    // The first byte is an ordinary one here, whatever it is.
                    let c = self.src().char().unwrap_or_default();
                    frame.out.literal(c.encode_utf8(&mut [0; 4]));
                    let text = self.src().run(special);
                    frame.out.literal(text);
                }
            }
        }
        if bare.groups > 0 {
            return self.syntax("a pattern without an end");
        }
        self.deliver(Done::Word(frame.out))
    }

    /// Whether what stands before a `=` is the name of an assignment; takes it from the word then.
    fn assigns(&mut self, out: &mut WordOut, bare: Bare) -> bool {
        let Some(text) = out.only_literal() else {
            return false;
        };
        let (name, append) = match text.strip_suffix('+') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if !is_name(name) {
            return false;
        }
        if append && (bare.assigns || self.src().peek() == Some(b'(')) {
            self.bash_only("+=");
        }
        out.head = Some(AssignmentHead {
            name: name.to_owned(),
            subscript: None,
            append,
        });
        out.parts.clear();
        true
    }

    fn begin_array(&mut self, out: WordOut) -> Step {
        let Some(head) = out.head.filter(|head| head.subscript.is_none()) else {
            return self.syntax("an array as an array's element");
        };
        self.bash_only("an array");
        self.src().bump();
        self.enter()?;
        let words = Vec::new();
        self.frames.push(Frame::Array(ArrayFrame { head, words }));
        Ok(())
    }

    /// A subscript of an assignment ended; `=` must follow.
    pub(super) fn subscripted(&mut self, mut frame: Box<WordFrame>, word: Word) -> Step {
        let append = self.src().take(b'+');
        if !self.src().take(b'=') {
            return self.unsupported("a bracket that may be a subscript or a pattern");
        }
        let Mode::Bare(bare) = &mut frame.mode else {
            return self.syntax("not understood");
        };
        if bare.element {
            frame.out.literal("[");
            word.parts.into_iter().for_each(|part| frame.out.push(part));
            frame.out.literal(if append { "]+=" } else { "]=" });
            bare.element = false;
        } else {
            let name = frame.out.only_literal().unwrap_or_default().to_owned();
            frame.out.parts.clear();
            frame.out.head = Some(AssignmentHead {
                name,
                subscript: Some(word),
                append,
            });
            (bare.assigns, bare.assigns_array) = (false, false);
        }
        self.frames.push(Frame::Word(frame));
        Ok(())
    }

    /// Passes `'..'`.
    pub(super) fn single_quoted(&mut self) -> Result<String, Unparsed> {
        self.src().bump();
        let text = self.src().run(|byte| byte == b'\'').to_owned();
        match self.src().raw() {
            None => self.syntax("a single quote without an end"),
            Some(_) => {
                self.src().bump();
                Ok(text)
            }
        }
    }

    pub(super) fn nest_double(&mut self, frame: Box<WordFrame>) -> Step {
        self.src().bump();
        self.frames.push(Frame::Word(frame));
        self.begin_word(Mode::Double);
        Ok(())
    }

    fn double(&mut self, mut frame: Box<WordFrame>) -> Step {
        loop {
            let Some(byte) = self.src().peek() else {
                return self.syntax("a double quote without an end");
            };
            match byte {
                b'"' => {
                    self.src().bump();
                    if frame.out.parts.is_empty() {
                        frame.out.quoted("");
                    }
                    return self.deliver(Done::Parts(frame.out.parts));
                }
                b'\\' => self.escape(&mut frame.out, b"$`\"\\"),
                b'$' | b'`' => match self.expansion(frame, true)? {
                    (Some(same), After::Same) => frame = same,
                    _ => return Ok(()),
                },
                _ => {
                    let text = self.src().run(|byte| b"\"\\$`".contains(&byte));
                    frame.out.quoted(text);
                }
            }
        }
    }

    /// A backslash in double quotes: escapes these bytes and stands for itself before any other.
    pub(super) fn escape(&mut self, out: &mut WordOut, escapes: &[u8]) {
        self.src().bump();
        match self.src().raw() {
            Some(byte) if escapes.contains(&byte) => {
                out.quoted(char::from(byte).encode_utf8(&mut [0; 4]));
                self.src().bump();
            }
            _ => out.quoted("\\"),
        }
    }

    fn document(&mut self, mut frame: Box<WordFrame>) -> Step {
        loop {
            let Some(byte) = self.src().peek() else {
                return self.deliver(Done::Word(frame.out));
            };
            match byte {
                b'\\' => self.escape(&mut frame.out, b"$`\\"),
                b'$' | b'`' => match self.expansion(frame, true)? {
                    (Some(same), After::Same) => frame = same,
                    _ => return Ok(()),
                },
                _ => {
                    let text = self.src().run(|byte| b"\\$`".contains(&byte));
                    frame.out.quoted(text);
                }
            }
        }
    }

    fn arithmetic(&mut self, mut frame: Box<WordFrame>, mut state: Arithmetic) -> Step {
        let (open, close) = match state.bracket {
            true => (b'[', b']'),
            false => (b'(', b')'),
        };
        loop {
            let Some(byte) = self.src().peek() else {
                return self.syntax("an expression without an end");
            };
            if byte == close && state.depth == 0 {
                self.src().bump();
                if !state.bracket && !self.src().take(b')') {
                    return self.unsupported("`((` that may be two subshells");
                }
                let expression = Word {
                    parts: frame.out.parts,
                };
                return self.end_expression(state.of, expression);
            }
            if byte == open {
                state.depth += 1;
            } else if byte == close {
                state.depth -= 1;
            }
            match byte {
                b'\'' | b'\\' => return self.unsupported("quotes in an expression"),
                b'"' => {
                    frame.mode = Mode::Arithmetic(state);
                    return self.nest_double(frame);
                }
                b'$' | b'`' => {
                    frame.mode = Mode::Arithmetic(state);
                    match self.expansion(frame, true)? {
                        (Some(same), After::Same) => frame = same,
                        _ => return Ok(()),
                    }
                }
                _ => {
                    let c = self.src().char().unwrap_or_default();
                    frame.out.literal(c.encode_utf8(&mut [0; 4]));
                    let text = self.src().run(|byte| b"()[]'\"\\$`".contains(&byte));
                    frame.out.literal(text);
                }
            }
        }
    }

    fn end_expression(&mut self, of: ArithmeticOf, expression: Word) -> Step {
        let literal = |part: &Part| match part {
            Part::Literal(text) => ["++", "--", "**", ","].iter().any(|op| text.contains(op)),
            _ => false,
        };
        if expression.parts.iter().any(literal) {
            self.bash_only("an operator of bash's arithmetic");
        }
        let ArithmeticOf::Part { quoted } = of else {
            return self.arithmetic_command(of, expression);
        };
        self.leave();
        let expression = Box::new(expression);
        self.deliver(Done::Parts(vec![Part::Arithmetic { expression, quoted }]))
    }

    fn subscript(&mut self, mut frame: Box<WordFrame>) -> Step {
        loop {
            let Mode::Subscript(state) = &mut frame.mode else {
                return self.syntax("not understood");
            };
            let Some(byte) = self.src().peek() else {
                return self.syntax("a subscript without an end");
            };
            match byte {
                b']' if state.depth == 0 => {
                    self.src().bump();
                    let word = Word {
                        parts: frame.out.parts,
                    };
                    return match state.header.take() {
                        Some(mut header) => {
                            header.subscript = Some(word);
                            self.operation(header)
                        }
                        None => {
                            self.leave();
                            self.deliver(Done::Subscript(word))
                        }
                    };
                }
                b'}' if state.header.is_some() => {
                    return self.unsupported("a brace in a subscript");
                }
                b'\'' if state.header.as_ref().is_some_and(|header| header.quoted) => {
                    return self.unsupported("single quotes in double ones");
                }
                b'\'' => {
                    let text = self.single_quoted()?;
                    frame.out.quoted(&text);
                }
                b'"' if state
                    .header
                    .as_ref()
                    .is_some_and(|header| header.in_document) =>
                {
                    return self.unsupported("double quotes in a here-document's expansion");
                }
                b'"' => return self.nest_double(frame),
                b'\\' => return self.unsupported("an escape in a subscript"),
                b'$' | b'`' => match self.expansion(frame, true)? {
                    (Some(same), After::Same) => frame = same,
                    _ => return Ok(()),
                },
                _ => {
                    match byte {
                        b'[' => state.depth += 1,
                        b']' => state.depth -= 1,
                        _ => {}
                    }
                    let c = self.src().char().unwrap_or_default();
                    frame.out.literal(c.encode_utf8(&mut [0; 4]));
                    let text = self.src().run(|byte| b"[]}'\"\\$`".contains(&byte));
                    frame.out.literal(text);
                }
            }
        }
    }

    fn operand(&mut self, mut frame: Box<WordFrame>) -> Step {
        loop {
            let Mode::Operand(operand) = &mut frame.mode else {
                return self.syntax("not understood");
            };
            let (quoted, in_document) = (operand.header.quoted, operand.header.in_document);
            let edits = operand.kind == OperandKind::Edit;
            let Some(byte) = self.src().peek() else {
                return self.syntax("`${` without an end");
            };
            match byte {
                b'}' => {
                    self.src().bump();
                    self.leave();
                    let header = std::mem::take(&mut operand.header);
                    let kind = operand.kind;
                    let word = self.operand_word(kind, quoted, frame.out);
                    return self.deliver(Done::Parts(vec![Part::Parameter {
                        quoted,
                        parameter: Box::new(Parameter {
                            name: header.name,
                            indirect: header.indirect,
                            subscript: header.subscript,
                            operation: operation(kind, word),
                        }),
                    }]));
                }
                b'\'' if quoted && !edits => {
                    let text = self.single_quoted()?;
                    if text.contains(['$', '`', '\\', '"', '}', '{']) {
                        return self.unsupported("single quotes in double ones");
                    }
                    frame.out.quoted(&format!("'{text}'"));
                }
                b'\'' if in_document => {
                    return self.unsupported("quotes in a here-document's expansion");
                }
                b'\'' => {
                    let text = self.single_quoted()?;
                    frame.out.quoted(&text);
                }
                b'"' if in_document => {
                    return self.unsupported("quotes in a here-document's expansion");
                }
                b'"' => return self.nest_double(frame),
                b'\\' if quoted => self.escape(&mut frame.out, b"$`\"\\}"),
                b'\\' => {
                    self.src().bump();
                    match self.src().char() {
                        Some(c) => frame.out.quoted(c.encode_utf8(&mut [0; 4])),
                        None => return self.syntax("`${` without an end"),
                    }
                }
                b'$' if quoted && matches!(self.src().second(), Some(b'\'')) => {
                    return self.unsupported("single quotes in double ones");
                }
                b'$' | b'`' => match self.expansion(frame, quoted)? {
                    (Some(same), After::Same) => frame = same,
                    _ => return Ok(()),
                },
                b'<' | b'>' if !quoted && self.src().second() == Some(b'(') => {
                    self.src().bump();
                    self.src().bump();
                    self.frames.push(Frame::Word(frame));
                    return self.substitution(Substitution::Process);
                }
                _ => {
                    let c = self.src().char().unwrap_or_default();
                    let mut text = c.to_string();
                    text.push_str(self.src().run(|byte| b"}'\"\\$`<>".contains(&byte)));
                    match quoted {
                        true => frame.out.quoted(&text),
                        false => frame.out.literal(&text),
                    }
                }
            }
        }
    }
}

fn operation(kind: OperandKind, word: Word) -> Operation {
    match kind {
        OperandKind::Default => Operation::Default(word),
        OperandKind::Assign => Operation::Assign(word),
        OperandKind::Alternative => Operation::Alternative(word),
        OperandKind::Error => Operation::Error(word),
        OperandKind::Edit => Operation::Edit(word),
        OperandKind::Substring => Operation::Substring(word),
    }
}
