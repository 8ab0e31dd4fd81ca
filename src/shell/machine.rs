//! The parser's state and its loop: one frame is taken from the stack, read on, and put back or ended.

use std::borrow::Cow;

use crate::contracts::limits::{BRACE_STEPS, SHELL_DEPTH};

use super::Unparsed;
use super::ast::{Node, NodeId, Part, Script, Word};
use super::frames::{Done, End, Frame, ListFrame, Mode, Substitution, WordFrame, WordOut};
use super::here_document::{Body, Pending};
use super::source::Source;

type Step = Result<(), Unparsed>;

/// The parser.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    current: Source<'a>,
    /// The texts around the current one.
    outer: Vec<Source<'a>>,
    pub(super) frames: Vec<Frame>,
    pub(super) nodes: Vec<Node>,
    pub(super) root: Option<NodeId>,
    pub(super) depth: usize,
    /// Here-documents whose bodies have not begun, by command substitution.
    pub(super) pending: Vec<Pending>,
    /// Bodies still to be read, and those that were.
    pub(super) bodies: Vec<Body>,
    pub(super) read_bodies: Vec<Word>,
    pub(super) brace_steps: usize,
    pub(super) bash_only: Option<&'static str>,
    /// The text has the word `extglob` in it.
    pub(super) mentions_extglob: bool,
    length: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            current: Source {
                text: Cow::Borrowed(text),
                at: 0,
                origin: 0,
            },
            outer: Vec::new(),
            frames: Vec::new(),
            nodes: Vec::new(),
            root: None,
            depth: 0,
            pending: Vec::new(),
            bodies: Vec::new(),
            read_bodies: Vec::new(),
            brace_steps: BRACE_STEPS,
            bash_only: None,
            mentions_extglob: text.contains("extglob"),
            length: text.len(),
        }
    }

    pub(super) fn run(mut self) -> Result<Script, Unparsed> {
        let odd = |byte: &u8| matches!(byte, 0 | 1 | 0x7f);
        let first = self.src().text.bytes().position(|byte| odd(&byte));
        if let Some(at) = first {
            let what = "a control character that bash uses for itself";
            return Err(Unparsed::Unsupported { at, what });
        }
        self.pending.push(Pending::new(0));
        self.frames
            .push(Frame::List(ListFrame::new(End::Source, true)));
        self.drain()?;
        while let Some(body) = self.bodies.pop() {
            self.begin_body(body);
            self.drain()?;
        }
        self.place_bodies();
        Ok(Script {
            nodes: self.nodes,
            root: self.root,
            bash_only: self.bash_only,
        })
    }

    fn drain(&mut self) -> Step {
        while let Some(frame) = self.frames.pop() {
            match frame {
                Frame::List(frame) => self.list(frame)?,
                Frame::Simple(frame) => self.simple(frame)?,
                Frame::Redirects(frame) => self.redirects(frame)?,
                Frame::For(frame) => self.for_words(frame)?,
                Frame::Case(frame) => self.case(frame)?,
                Frame::Test(frame) => self.test(frame)?,
                Frame::Array(frame) => self.array(frame)?,
                Frame::Word(frame) => self.word(frame)?,
                // These only wait for what they began.
                _ => return self.syntax("a construct without an end"),
            }
        }
        Ok(())
    }

    /// Hands what ended to the frame around it.
    pub(super) fn deliver(&mut self, done: Done) -> Step {
        let Some(frame) = self.frames.pop() else {
            if let Done::List(root, _) = done {
                self.root = root;
            }
            return Ok(());
        };
        match (frame, done) {
            (Frame::List(frame), Done::Node(node, closes)) => {
                self.list_command(frame, node, closes)
            }
            (Frame::Function(name), Done::Node(body, closes)) => {
                let node = self.node(Node::Function { name, body });
                self.deliver(Done::Node(node, closes))
            }
            (Frame::Simple(frame), Done::Word(word)) => self.simple_word(frame, word),
            (Frame::Simple(frame), Done::Array(head, words)) => {
                self.simple_array(frame, head, words)
            }
            (Frame::Redirects(frame), Done::Word(word)) => self.redirects_word(frame, word),
            (Frame::For(frame), Done::Word(word)) => self.for_word(frame, word),
            (Frame::Case(frame), Done::Word(word)) => self.case_word(frame, word),
            (Frame::Test(frame), Done::Word(word)) => self.test_word(frame, word),
            (Frame::Array(frame), Done::Word(word)) => self.array_word(frame, word),
            (Frame::Word(mut frame), Done::Parts(parts)) => {
                parts.into_iter().for_each(|part| frame.out.push(part));
                self.frames.push(Frame::Word(frame));
                Ok(())
            }
            (Frame::Word(frame), Done::Subscript(word)) => self.subscripted(frame, word),
            (Frame::HereDocument(index), Done::Word(word)) => {
                if let Some(slot) = self.read_bodies.get_mut(index) {
                    slot.parts = word.parts;
                }
                self.depth = 0;
                self.leave_text();
                Ok(())
            }
            (Frame::Substitution(kind), Done::List(body, _)) => self.substituted(kind, body),
            (frame, Done::List(body, end)) => self.compound_list(frame, body, end),
            _ => self.syntax("not understood"),
        }
    }

    fn substituted(&mut self, kind: Substitution, body: Option<NodeId>) -> Step {
        self.leave();
        let unfinished = self
            .pending
            .pop()
            .is_some_and(|pending| !pending.is_empty());
        let part = match kind {
            Substitution::Backquoted { quoted } => {
                self.leave_text();
                Part::Command { body, quoted }
            }
            _ if unfinished => {
                return self.unsupported("a here-document that its substitution does not hold");
            }
            Substitution::Command { quoted } => Part::Command { body, quoted },
            Substitution::Process => Part::Process { body },
        };
        self.deliver(Done::Parts(vec![part]))
    }

    /// Begins a command within a word; its `(` or the text between its backquotes has been passed.
    pub(super) fn substitution(&mut self, kind: Substitution) -> Step {
        self.enter()?;
        let end = match kind {
            Substitution::Backquoted { .. } => End::Source,
            _ => End::Paren,
        };
        self.pending.push(Pending::new(self.text_depth()));
        self.frames.push(Frame::Substitution(kind));
        self.frames.push(Frame::List(ListFrame::new(end, true)));
        Ok(())
    }

    pub(super) fn begin_word(&mut self, mode: Mode) {
        let from = self.at();
        let out = WordOut {
            from,
            ..WordOut::default()
        };
        self.frames
            .push(Frame::Word(Box::new(WordFrame { mode, out })));
    }

    pub(super) fn src(&mut self) -> &mut Source<'a> {
        &mut self.current
    }

    /// Reads another text, until [`Self::leave_text`].
    pub(super) fn enter_text(&mut self, text: String, origin: usize) {
        let inner = Source {
            text: Cow::Owned(text),
            at: 0,
            origin,
        };
        self.outer.push(std::mem::replace(&mut self.current, inner));
    }

    pub(super) fn leave_text(&mut self) {
        if let Some(outer) = self.outer.pop() {
            self.current = outer;
        }
    }

    /// How many texts are around the current one.
    pub(super) fn text_depth(&self) -> usize {
        self.outer.len()
    }

    pub(super) fn node(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        id
    }

    pub(super) fn enter(&mut self) -> Step {
        self.depth += 1;
        match self.depth > SHELL_DEPTH {
            true => Err(Unparsed::TooDeep { at: self.at() }),
            false => Ok(()),
        }
    }

    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(super) fn at(&mut self) -> usize {
        let length = self.length;
        let source = self.src();
        (source.origin + source.at).min(length)
    }

    pub(super) fn syntax<T>(&mut self, what: &'static str) -> Result<T, Unparsed> {
        Err(Unparsed::Syntax {
            at: self.at(),
            what,
        })
    }

    pub(super) fn unsupported<T>(&mut self, what: &'static str) -> Result<T, Unparsed> {
        Err(Unparsed::Unsupported {
            at: self.at(),
            what,
        })
    }

    /// Notes a construct that another `sh` reads differently.
    pub(super) fn bash_only(&mut self, what: &'static str) {
        self.bash_only.get_or_insert(what);
    }
}
