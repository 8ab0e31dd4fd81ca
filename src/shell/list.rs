//! Lists: what stands between commands, and which command begins.

use super::Unparsed;
use super::ast::{Join, Node, NodeId};
use super::frames::{Done, End, Frame, ListFrame, Next, Prefix, Reserved, SimpleFrame};
use super::machine::Machine;
use super::source::{is_name, metacharacter};
use crate::contracts::limits::SHELL_DEPTH;

/// The longest reserved word, `function`.
const RESERVED_BYTES: usize = 8;

type Step = Result<(), Unparsed>;

impl Machine<'_> {
    pub(super) fn list(&mut self, mut frame: ListFrame) -> Step {
        self.src().blanks();
        match frame.next {
            Next::Operator(closes) => self.operator(frame, closes),
            _ => {
                let Some(byte) = self.src().peek() else {
                    return self.end_of_text(frame);
                };
                match byte {
                    b'\n' if frame.next == Next::Prefixed || frame.coproc => {
                        self.unsupported("`!`, `time` or `coproc` at the end of a line")
                    }
                    b'\n' => {
                        self.newline()?;
                        self.frames.push(Frame::List(frame));
                        Ok(())
                    }
                    b')' if frame.end == End::Paren => {
                        self.src().bump();
                        self.end_list(frame, Reserved::Mark)
                    }
                    b';' if frame.end == End::Arm && self.arm_ends() => {
                        self.end_list(frame, Reserved::Mark)
                    }
                    b'&' if self.src().second() == Some(b'>') => self.begin_simple(frame),
                    b';' | b'&' | b'|' | b')' => {
                        self.syntax("an operator without a command before it")
                    }
                    b'(' => {
                        self.frames.push(Frame::List(frame));
                        self.parenthesis()
                    }
                    _ => match self.reserved() {
                        Some(Reserved::Time) if frame.next == Next::Piped || frame.coproc => {
                            self.begin_simple(frame)
                        }
                        Some(word) => self.reserved_command(frame, word),
                        None => {
                            if frame.coproc && self.coproc_name()? {
                                frame.next = Next::Prefixed;
                                self.frames.push(Frame::List(frame));
                                return Ok(());
                            }
                            self.begin_simple(frame)
                        }
                    },
                }
            }
        }
    }

    fn begin_simple(&mut self, frame: ListFrame) -> Step {
        self.frames.push(Frame::List(frame));
        self.frames.push(Frame::Simple(SimpleFrame::default()));
        Ok(())
    }

    /// Passes `NAME` of `coproc NAME compound`; whether it stood here.
    fn coproc_name(&mut self) -> Result<bool, Unparsed> {
        let at = self.src().at;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
        let name = self.src().run(|byte| !plain(byte)).to_owned();
        if !self.src().peek().is_none_or(metacharacter) {
            return self.unsupported("`coproc` with a name that is not plain");
        }
        self.src().blanks();
        let compound = self.src().peek() == Some(b'(')
            || self.reserved().is_some_and(Reserved::begins_compound);
        if compound && is_name(&name) {
            return Ok(true);
        }
        if compound || self.reserved().is_some() {
            return self.unsupported("`coproc` before a reserved word");
        }
        self.src().at = at;
        Ok(false)
    }

    fn end_of_text(&mut self, frame: ListFrame) -> Step {
        match frame.end {
            End::Source => self.end_list(frame, Reserved::Mark),
            _ => self.syntax("a command that does not end"),
        }
    }

    /// Passes `;;`, `;&` or `;;&`.
    fn arm_ends(&mut self) -> bool {
        let second = self.src().second();
        if !matches!(second, Some(b';' | b'&')) {
            return false;
        }
        self.src().bump();
        self.src().take(b';');
        if self.src().take(b'&') {
            self.bash_only("`;&`");
        }
        true
    }

    /// The reserved word that stands here, not passed.
    pub(super) fn reserved(&mut self) -> Option<Reserved> {
        let at = self.src().at;
        let text = self.plain_text();
        self.src().at = at;
        Reserved::of(&text)
    }

    /// Passes a word as long as a reserved one can be.
    fn plain_text(&mut self) -> String {
        let mut text = String::new();
        while let Some(byte) = self.src().peek() {
            if metacharacter(byte) {
                break;
            }
            text.push(char::from(byte));
            self.src().bump();
            if text.len() > RESERVED_BYTES {
                break;
            }
        }
        text
    }

    pub(super) fn pass_reserved(&mut self) {
        self.plain_text();
    }

    fn reserved_command(&mut self, mut frame: ListFrame, word: Reserved) -> Step {
        if frame.next == Next::Start && frame.end.ends(word) {
            self.pass_reserved();
            return self.end_list(frame, word);
        }
        match word {
            Reserved::Not | Reserved::Time if frame.next == Next::Piped || frame.coproc => {
                self.syntax("`!` behind `|`")
            }
            Reserved::Not | Reserved::Time => {
                self.pass_reserved();
                if word == Reserved::Not && self.src().peek() == Some(b'(') {
                    return self.unsupported("`!(`, which may be a pattern");
                }
                let prefix = match word {
                    Reserved::Not => Prefix::Not,
                    _ => {
                        self.bash_only("time");
                        self.time_options();
                        Prefix::Time
                    }
                };
                frame.prefixes.push(prefix);
                if frame.prefixes.len() > SHELL_DEPTH {
                    return Err(Unparsed::TooDeep { at: self.at() });
                }
                frame.next = Next::Prefixed;
                self.frames.push(Frame::List(frame));
                Ok(())
            }
            Reserved::Coproc if frame.coproc => self.syntax("`coproc` behind `coproc`"),
            Reserved::Coproc => {
                self.bash_only("coproc");
                self.pass_reserved();
                frame.coproc = true;
                self.frames.push(Frame::List(frame));
                Ok(())
            }
            _ => {
                self.frames.push(Frame::List(frame));
                self.begin_compound(word)
            }
        }
    }

    /// Passes `-p` and `--` of `time`.
    fn time_options(&mut self) {
        for option in ["-p", "--"] {
            self.src().blanks();
            let at = self.src().at;
            if self.plain_text() != option {
                self.src().at = at;
            }
        }
    }

    fn operator(&mut self, mut frame: ListFrame, closes: bool) -> Step {
        let Some(byte) = self.src().peek() else {
            self.end_pipeline(&mut frame);
            frame.next = Next::Start;
            return self.end_of_text(frame);
        };
        match byte {
            b'\n' => {
                self.newline()?;
                self.end_pipeline(&mut frame);
                (frame.join, frame.next) = (Join::Then, Next::Start);
            }
            b';' if frame.end == End::Arm && self.arm_ends() => {
                self.end_pipeline(&mut frame);
                return self.end_list(frame, Reserved::Mark);
            }
            b';' => {
                self.src().bump();
                self.end_pipeline(&mut frame);
                (frame.join, frame.next) = (Join::Then, Next::Start);
                // Nothing but a command or the end may follow; the start refuses other operators.
            }
            b'&' => {
                self.src().bump();
                self.end_pipeline(&mut frame);
                if self.src().take(b'&') {
                    (frame.join, frame.next) = (Join::And, Next::Needed);
                } else {
                    self.background(&mut frame);
                    (frame.join, frame.next) = (Join::Then, Next::Start);
                }
            }
            b'|' => {
                self.src().bump();
                if self.src().take(b'|') {
                    self.end_pipeline(&mut frame);
                    (frame.join, frame.next) = (Join::Or, Next::Needed);
                } else {
                    if self.src().take(b'&') {
                        self.bash_only("`|&`");
                    }
                    frame.next = Next::Piped;
                }
            }
            b')' if frame.end == End::Paren => {
                self.src().bump();
                self.end_pipeline(&mut frame);
                return self.end_list(frame, Reserved::Mark);
            }
            _ => {
                if let Some(word) = self.reserved().filter(|_| closes)
                    && frame.end.ends(word)
                {
                    self.pass_reserved();
                    self.end_pipeline(&mut frame);
                    return self.end_list(frame, word);
                }
                return self.syntax("a word behind a compound command, or a parenthesis");
            }
        }
        self.frames.push(Frame::List(frame));
        Ok(())
    }

    fn background(&mut self, frame: &mut ListFrame) {
        let mut chain = frame.items.split_off(frame.chain.min(frame.items.len()));
        if let Some(first) = chain.first_mut() {
            first.0 = Join::Then;
        }
        let body = match chain.as_slice() {
            [(_, only)] => *only,
            _ => self.node(Node::List(chain)),
        };
        let node = self.node(Node::Background(body));
        frame.items.push((Join::Then, node));
    }

    fn end_pipeline(&mut self, frame: &mut ListFrame) {
        let commands = std::mem::take(&mut frame.pipeline);
        let mut node = match commands.as_slice() {
            [only] => *only,
            _ => self.node(Node::Pipeline(commands)),
        };
        for prefix in std::mem::take(&mut frame.prefixes).into_iter().rev() {
            node = self.node(match prefix {
                Prefix::Not => Node::Not(node),
                Prefix::Time => Node::Time(node),
            });
        }
        if frame.join == Join::Then {
            frame.chain = frame.items.len();
        }
        frame.items.push((frame.join, node));
    }

    pub(super) fn list_command(
        &mut self,
        mut frame: ListFrame,
        node: NodeId,
        closes: bool,
    ) -> Step {
        let node = match std::mem::take(&mut frame.coproc) {
            true => self.node(Node::Coproc(node)),
            false => node,
        };
        frame.pipeline.push(node);
        frame.next = Next::Operator(closes);
        self.frames.push(Frame::List(frame));
        Ok(())
    }

    fn end_list(&mut self, frame: ListFrame, end: Reserved) -> Step {
        if frame.next != Next::Start && !matches!(frame.next, Next::Operator(_)) || frame.coproc {
            return self.syntax("an operator without a command behind it");
        }
        if frame.items.is_empty() {
            return match frame.may_be_empty {
                true => self.deliver(Done::List(None, end)),
                false => self.syntax("no command where one must stand"),
            };
        }
        let node = self.node(Node::List(frame.items));
        self.deliver(Done::List(Some(node), end))
    }
}
