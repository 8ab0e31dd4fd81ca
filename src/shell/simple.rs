//! Simple commands, redirections, arrays.

use super::Unparsed;
use super::ast::{Node, Part, Redirection, RedirectionKind, Value, Word};
use super::frames::{
    ArrayFrame, AssignmentHead, Bare, Done, Frame, Mode, PendingRedirection, Redirects,
    SimpleFrame, WordOut, assignment,
};
use super::machine::Machine;
use super::source::{is_name, metacharacter};

type Step = Result<(), Unparsed>;

/// Builtins that take assignments as arguments.
const DECLARES: [&str; 5] = ["declare", "typeset", "local", "export", "readonly"];

impl Machine<'_> {
    pub(super) fn simple(&mut self, mut frame: SimpleFrame) -> Step {
        self.src().blanks();
        match self.src().peek() {
            Some(b'(') => {
                let name = match (frame.only.take(), frame.simple.words.len()) {
                    (Some(name), 1) if !name.is_empty() => name,
                    _ => return self.syntax("a parenthesis in a simple command"),
                };
                self.function(name)
            }
            Some(b'&') if self.src().second() == Some(b'>') => {
                frame.pending = Some(self.redirection(None)?);
                self.frames.push(Frame::Simple(frame));
                self.begin_target()
            }
            Some(b'<' | b'>') if !self.process_here() => {
                frame.only = None;
                frame.pending = Some(self.redirection(None)?);
                self.frames.push(Frame::Simple(frame));
                self.begin_target()
            }
            None | Some(b'\n' | b';' | b'&' | b'|' | b')') => {
                let simple = frame.simple;
                if simple.words.is_empty()
                    && simple.assignments.is_empty()
                    && simple.redirections.is_empty()
                    && frame.only.is_none()
                {
                    return self.syntax("no command where one must stand");
                }
                let node = self.node(Node::Simple(simple));
                self.deliver(Done::Node(node, false))
            }
            Some(_) => {
                let mode = Bare {
                    assigns: frame.simple.words.is_empty() && frame.only.is_none(),
                    assigns_array: frame.declares || frame.simple.words.is_empty(),
                    ..self.plain()
                };
                self.frames.push(Frame::Simple(frame));
                self.begin_word(Mode::Bare(mode));
                Ok(())
            }
        }
    }

    /// `name ()`.
    fn function(&mut self, name: String) -> Step {
        self.src().bump();
        self.src().blanks();
        if !self.src().take(b')') {
            return self.syntax("a parenthesis in a simple command");
        }
        if !is_name(&name) {
            self.bash_only("a function's name that is no name");
        }
        self.function_body(name)
    }

    pub(super) fn simple_word(&mut self, mut frame: SimpleFrame, mut word: WordOut) -> Step {
        if let Some(pending) = frame.pending.take() {
            let redirection = self.redirected(pending, word)?;
            frame.simple.redirections.push(redirection);
            self.frames.push(Frame::Simple(frame));
            return Ok(());
        }
        if let Some(descriptor) = self.descriptor(&word)? {
            frame.only = None;
            frame.pending = Some(self.redirection(Some(descriptor))?);
            self.frames.push(Frame::Simple(frame));
            return self.begin_target();
        }
        if let Some(head) = word.head.take() {
            let value = Value::Scalar(self.value(word));
            frame.simple.assignments.push(assignment(head, value));
            self.frames.push(Frame::Simple(frame));
            return Ok(());
        }
        let literal = match word.parts.as_slice() {
            [Part::Literal(text)] => Some(text.clone()),
            _ => None,
        };
        let first = frame.simple.words.is_empty() && frame.only.is_none();
        frame.declares |= first
            && literal
                .as_deref()
                .is_some_and(|text| DECLARES.contains(&text));
        let bare = frame.simple.assignments.is_empty() && frame.simple.redirections.is_empty();
        // Braces may leave no word at all; what follows is an argument then, or the command.
        frame.only = match first {
            true => Some(literal.filter(|_| bare).unwrap_or_default()),
            false => frame.only.map(|_| String::new()),
        };
        let words = self.expanded(word)?;
        frame.simple.words.extend(words);
        self.frames.push(Frame::Simple(frame));
        Ok(())
    }

    pub(super) fn simple_array(
        &mut self,
        mut frame: SimpleFrame,
        head: AssignmentHead,
        words: Vec<Word>,
    ) -> Step {
        if self.src().peek().is_some_and(|byte| !metacharacter(byte)) {
            return self.unsupported("a word joined to an array");
        }
        if frame.declares {
            frame.simple.words.push(Word {
                parts: vec![Part::Literal(head.name.clone())],
            });
        }
        let value = Value::Array(words);
        frame.simple.assignments.push(assignment(head, value));
        self.frames.push(Frame::Simple(frame));
        Ok(())
    }

    /// A word that is a descriptor: digits or `{name}` joined to a redirection.
    pub(super) fn descriptor(&mut self, word: &WordOut) -> Result<Option<String>, Unparsed> {
        let [Part::Literal(text)] = word.parts.as_slice() else {
            return Ok(None);
        };
        if !matches!(self.src().peek(), Some(b'<' | b'>')) || word.head.is_some() {
            return Ok(None);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if text.len() > 1 {
                self.bash_only("a descriptor of two digits");
            }
            return match text.len() > 9 {
                true => self.unsupported("a descriptor of ten digits"),
                false => Ok(Some(text.clone())),
            };
        }
        let name = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        match name {
            Some(name) if is_name(name) => {
                self.bash_only("{name}>");
                Ok(Some(text.clone()))
            }
            Some(_) => self.unsupported("braces joined to a redirection"),
            None => Ok(None),
        }
    }

    /// Passes the operator of a redirection.
    fn redirection(&mut self, descriptor: Option<String>) -> Result<PendingRedirection, Unparsed> {
        let mut pending = PendingRedirection {
            descriptor,
            kind: RedirectionKind::Read,
            duplicates: false,
            strip_tabs: false,
        };
        if self.src().take(b'&') {
            self.src().bump();
            self.bash_only("&>");
            pending.kind = match self.src().take(b'>') {
                true => RedirectionKind::Append,
                false => RedirectionKind::Write,
            };
            return Ok(pending);
        }
        if self.src().take(b'<') {
            if self.src().take(b'<') {
                pending.kind = RedirectionKind::HereDocument;
                if self.src().take(b'<') {
                    self.bash_only("<<<");
                    pending.kind = RedirectionKind::HereString;
                } else {
                    pending.strip_tabs = self.src().take(b'-');
                }
            } else if self.src().take(b'&') {
                pending.duplicates = true;
            } else if self.src().take(b'>') {
                pending.kind = RedirectionKind::ReadWrite;
            }
            return Ok(pending);
        }
        self.src().bump();
        pending.kind = RedirectionKind::Write;
        if self.src().take(b'>') {
            pending.kind = RedirectionKind::Append;
        } else if self.src().take(b'&') {
            pending.duplicates = true;
        } else {
            self.src().take(b'|');
        }
        Ok(pending)
    }

    /// Begins the word behind a redirection's operator.
    fn begin_target(&mut self) -> Step {
        self.src().blanks();
        let duplicates = match self.frames.last() {
            Some(Frame::Simple(frame)) => frame.pending.as_ref(),
            Some(Frame::Redirects(frame)) => frame.pending.as_ref(),
            _ => None,
        }
        .is_some_and(|pending| pending.duplicates);
        if duplicates && self.src().take(b'-') {
            // `>&-` is complete whatever follows.
            return self.deliver(Done::Word(WordOut {
                parts: vec![Part::Literal("-".to_owned())],
                ..WordOut::default()
            }));
        }
        let word = self.src().peek().is_some_and(|byte| !metacharacter(byte));
        if !word && !self.process_here() {
            return self.syntax("a redirection without a target");
        }
        self.begin_word(Mode::Bare(self.plain()));
        Ok(())
    }

    /// A redirection with its target.
    fn redirected(
        &mut self,
        pending: PendingRedirection,
        word: WordOut,
    ) -> Result<Redirection, Unparsed> {
        let PendingRedirection {
            descriptor,
            mut kind,
            duplicates,
            strip_tabs,
        } = pending;
        if self.descriptor(&word)?.is_some() {
            return self.syntax("a descriptor where a target must stand");
        }
        if kind == RedirectionKind::HereDocument {
            return self.here_document(descriptor, strip_tabs, &word);
        }
        if duplicates {
            let mut text = Some(String::new());
            for part in &word.parts {
                match (part, &mut text) {
                    (Part::Literal(piece) | Part::Quoted(piece), Some(text)) => {
                        text.push_str(piece);
                    }
                    _ => text = None,
                }
            }
            let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let copies = text.is_some_and(|text| number(text.strip_suffix('-').unwrap_or(&text)));
            let output = kind == RedirectionKind::Write
                && descriptor.as_deref().is_none_or(|number| number == "1");
            if copies || !output {
                kind = RedirectionKind::Duplicate;
            } else {
                self.bash_only(">& with a file");
            }
        }
        let target = match kind {
            RedirectionKind::HereString => self.value(word),
            _ => {
                let words = self.expanded(word)?;
                match <[Word; 1]>::try_from(words) {
                    Ok([word]) => word,
                    Err(_) => return self.unsupported("a redirection to several words"),
                }
            }
        };
        Ok(Redirection {
            descriptor,
            kind,
            target,
        })
    }

    pub(super) fn redirects(&mut self, mut frame: Redirects) -> Step {
        self.src().blanks();
        let next = self.src().peek();
        let both = next == Some(b'&') && self.src().second() == Some(b'>');
        let descriptor = match next {
            Some(b'0'..=b'9' | b'{') => {
                let at = self.src().at;
                let text = self
                    .src()
                    .run(|byte| !byte.is_ascii_alphanumeric() && !b"{}_".contains(&byte));
                let word = WordOut {
                    parts: vec![Part::Literal(text.to_owned())],
                    ..WordOut::default()
                };
                let descriptor = self.descriptor(&word)?;
                if descriptor.is_none() {
                    self.src().at = at;
                }
                descriptor
            }
            _ => None,
        };
        let plain = matches!(next, Some(b'<' | b'>')) && !self.process_here();
        if both || plain || descriptor.is_some() {
            frame.pending = Some(self.redirection(descriptor)?);
            frame.closes = false;
            self.frames.push(Frame::Redirects(frame));
            return self.begin_target();
        }
        let Redirects {
            body,
            redirections,
            closes,
            ..
        } = frame;
        let node = match redirections.is_empty() {
            true => body,
            false => self.node(Node::Redirected { body, redirections }),
        };
        self.deliver(Done::Node(node, closes))
    }

    pub(super) fn redirects_word(&mut self, mut frame: Redirects, word: WordOut) -> Step {
        if let Some(pending) = frame.pending.take() {
            let redirection = self.redirected(pending, word)?;
            frame.redirections.push(redirection);
        }
        self.frames.push(Frame::Redirects(frame));
        Ok(())
    }

    pub(super) fn array(&mut self, frame: ArrayFrame) -> Step {
        self.newlines()?;
        match self.src().peek() {
            Some(b')') => {
                self.src().bump();
                self.leave();
                self.deliver(Done::Array(frame.head, frame.words))
            }
            Some(byte) if !metacharacter(byte) || self.process_here() => {
                self.frames.push(Frame::Array(frame));
                let mode = Bare {
                    element: true,
                    ..self.plain()
                };
                self.begin_word(Mode::Bare(mode));
                Ok(())
            }
            _ => self.syntax("an array without an end"),
        }
    }

    pub(super) fn array_word(&mut self, mut frame: ArrayFrame, word: WordOut) -> Step {
        let words = self.expanded(word)?;
        frame.words.extend(words);
        self.frames.push(Frame::Array(frame));
        Ok(())
    }
}
