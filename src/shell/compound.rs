//! Compound commands.

use super::Unparsed;
use super::ast::{Node, NodeId, Part, Word};
use super::frames::{
    Arithmetic, ArithmeticOf, Bare, CaseFrame, CaseStage, End, ForFrame, Frame, IfFrame, ListFrame,
    Mode, Redirects, Reserved, TestFrame, TestStage, WordOut,
};
use super::machine::Machine;
use super::source::{is_name, metacharacter};

type Step = Result<(), Unparsed>;

impl Machine<'_> {
    fn begin_list(&mut self, end: End, may_be_empty: bool) {
        self.frames
            .push(Frame::List(ListFrame::new(end, may_be_empty)));
    }

    /// Passes newlines, and here-documents behind them.
    pub(super) fn newlines(&mut self) -> Step {
        self.src().blanks();
        while self.src().peek() == Some(b'\n') {
            self.newline()?;
            self.src().blanks();
        }
        Ok(())
    }

    /// `(`: a subshell or an arithmetic command.
    pub(super) fn parenthesis(&mut self) -> Step {
        self.enter()?;
        self.src().bump();
        if self.src().take(b'(') {
            self.bash_only("((");
            let of = ArithmeticOf::Command;
            self.begin_arithmetic(of, false);
            return Ok(());
        }
        self.frames.push(Frame::Group { subshell: true });
        self.begin_list(End::Paren, false);
        Ok(())
    }

    pub(super) fn begin_arithmetic(&mut self, of: ArithmeticOf, bracket: bool) {
        self.begin_word(Mode::Arithmetic(Arithmetic {
            of,
            bracket,
            depth: 0,
        }));
    }

    /// Begins the command of a reserved word that stands here.
    pub(super) fn begin_compound(&mut self, word: Reserved) -> Step {
        if word != Reserved::Function {
            self.enter()?;
        }
        self.pass_reserved();
        match word {
            Reserved::Open => {
                self.frames.push(Frame::Group { subshell: false });
                self.begin_list(End::Brace, false);
            }
            Reserved::Test => {
                self.bash_only("[[");
                self.frames.push(Frame::Test(TestFrame {
                    words: Vec::new(),
                    stage: TestStage::Term,
                    parens: 0,
                }));
            }
            Reserved::If => {
                self.frames.push(Frame::If(IfFrame::default()));
                self.begin_list(End::Then, false);
            }
            Reserved::While | Reserved::Until => {
                self.frames.push(Frame::While { condition: None });
                self.begin_list(End::Do, false);
            }
            Reserved::For | Reserved::Select => return self.begin_for(word),
            Reserved::Case => {
                self.frames.push(Frame::Case(CaseFrame {
                    stage: CaseStage::Subject,
                    subject: Word::default(),
                    arms: Vec::new(),
                    patterns: Vec::new(),
                }));
            }
            Reserved::Function => return self.begin_function(),
            _ => return self.syntax("a reserved word where no command ends"),
        }
        Ok(())
    }

    fn begin_function(&mut self) -> Step {
        self.bash_only("function");
        self.src().blanks();
        let mut name = String::new();
        while let Some(byte) = self.src().peek() {
            if metacharacter(byte) {
                break;
            }
            if b"$`'\"\\".contains(&byte) {
                return self.unsupported("a function's name with quotes or expansions");
            }
            name.extend(self.src().char());
        }
        if name.is_empty() {
            return self.syntax("a function without a name");
        }
        self.src().blanks();
        if self.src().take(b'(') {
            self.src().blanks();
            if !self.src().take(b')') {
                return self.unsupported("a function whose body may be a subshell");
            }
        }
        self.function_body(name)
    }

    /// Reads on behind the name and `()`.
    pub(super) fn function_body(&mut self, name: String) -> Step {
        self.newlines()?;
        self.frames.push(Frame::Function(name));
        if self.src().peek() == Some(b'(') {
            return self.parenthesis();
        }
        match self.reserved() {
            Some(word) if word.begins_compound() => self.begin_compound(word),
            _ => self.syntax("a function without a body"),
        }
    }

    fn begin_for(&mut self, word: Reserved) -> Step {
        if word == Reserved::Select {
            self.bash_only("select");
        }
        self.src().blanks();
        if word == Reserved::For && self.src().take(b'(') {
            if !self.src().take(b'(') {
                return self.syntax("`for` without a name");
            }
            self.bash_only("for ((");
            self.begin_arithmetic(ArithmeticOf::For, false);
            return Ok(());
        }
        let variable = self.src().name();
        let ends = self.src().peek().is_none_or(metacharacter);
        if !is_name(&variable) || !ends {
            return self.syntax("`for` without a name");
        }
        self.src().blanks();
        let mut frame = ForFrame {
            variable,
            words: None,
            in_words: false,
        };
        if self.src().take(b';') {
            return self.for_body(Frame::For(frame));
        }
        self.newlines()?;
        if self.reserved() == Some(Reserved::In) {
            self.pass_reserved();
            frame.words = Some(Vec::new());
            frame.in_words = true;
            self.frames.push(Frame::For(frame));
            return Ok(());
        }
        if self.src().take(b';') {
            return self.unsupported("`for` with `;` on a line of its own");
        }
        self.for_body(Frame::For(frame))
    }

    /// `do` or `{` and what follows.
    fn for_body(&mut self, frame: Frame) -> Step {
        self.newlines()?;
        let end = match self.reserved() {
            Some(Reserved::Do) => End::Done,
            Some(Reserved::Open) => {
                self.bash_only("a loop's body in braces");
                End::Brace
            }
            _ => return self.syntax("a loop without `do`"),
        };
        self.pass_reserved();
        self.frames.push(frame);
        self.begin_list(end, false);
        Ok(())
    }

    pub(super) fn for_words(&mut self, mut frame: ForFrame) -> Step {
        self.src().blanks();
        match self.src().peek() {
            Some(b';' | b'\n') => {
                if !self.src().take(b';') {
                    self.newline()?;
                }
                frame.in_words = false;
                self.for_body(Frame::For(frame))
            }
            Some(byte) if !metacharacter(byte) || self.process_here() => {
                self.frames.push(Frame::For(frame));
                self.begin_word(Mode::Bare(self.plain()));
                Ok(())
            }
            _ => self.syntax("a loop's words without an end"),
        }
    }

    pub(super) fn for_word(&mut self, mut frame: ForFrame, word: WordOut) -> Step {
        let words = self.expanded(word)?;
        frame.words.get_or_insert_default().extend(words);
        self.frames.push(Frame::For(frame));
        Ok(())
    }

    /// Whether `<(` or `>(` stands here.
    pub(super) fn process_here(&mut self) -> bool {
        matches!(self.src().peek(), Some(b'<' | b'>')) && self.src().second() == Some(b'(')
    }

    /// An ordinary word.
    pub(super) fn plain(&self) -> Bare {
        Bare {
            extended: self.extended_patterns(),
            ..Bare::default()
        }
    }

    pub(super) fn case(&mut self, mut frame: CaseFrame) -> Step {
        self.src().blanks();
        match frame.stage {
            CaseStage::Subject | CaseStage::Pattern => {
                let word = self.src().peek().is_some_and(|byte| !metacharacter(byte));
                if !word && !self.process_here() {
                    return self.syntax("`case` without a word");
                }
                self.frames.push(Frame::Case(frame));
                self.begin_word(Mode::Bare(self.plain()));
            }
            CaseStage::In => {
                self.newlines()?;
                if self.reserved() != Some(Reserved::In) {
                    return self.syntax("`case` without `in`");
                }
                self.pass_reserved();
                frame.stage = CaseStage::Arm;
                self.frames.push(Frame::Case(frame));
            }
            CaseStage::Arm => {
                self.newlines()?;
                if self.reserved() == Some(Reserved::Esac) {
                    self.pass_reserved();
                    return self.end_case(frame);
                }
                self.src().take(b'(');
                frame.stage = CaseStage::Pattern;
                self.frames.push(Frame::Case(frame));
            }
            CaseStage::AfterPattern => {
                if self.src().take(b'|') {
                    frame.stage = CaseStage::Pattern;
                    self.frames.push(Frame::Case(frame));
                } else if self.src().take(b')') {
                    self.frames.push(Frame::Case(frame));
                    self.begin_list(End::Arm, true);
                } else {
                    return self.syntax("`case` without `)` behind a pattern");
                }
            }
        }
        Ok(())
    }

    pub(super) fn case_word(&mut self, mut frame: CaseFrame, word: WordOut) -> Step {
        let word = self.unexpanded(word);
        frame.stage = match frame.stage {
            CaseStage::Subject => {
                frame.subject = word;
                CaseStage::In
            }
            _ => {
                frame.patterns.push(word);
                CaseStage::AfterPattern
            }
        };
        self.frames.push(Frame::Case(frame));
        Ok(())
    }

    fn end_case(&mut self, frame: CaseFrame) -> Step {
        let CaseFrame { subject, arms, .. } = frame;
        let node = self.node(Node::Case { subject, arms });
        self.end_compound(node, true);
        Ok(())
    }

    /// A command that ended; redirections may follow it.
    pub(super) fn end_compound(&mut self, body: NodeId, closes: bool) {
        self.leave();
        self.frames.push(Frame::Redirects(Redirects {
            body,
            redirections: Vec::new(),
            pending: None,
            closes,
        }));
    }

    /// An expression that was a command or a loop's.
    pub(super) fn arithmetic_command(&mut self, of: ArithmeticOf, expression: Word) -> Step {
        if of == ArithmeticOf::Command {
            let node = self.node(Node::Arithmetic(expression));
            self.end_compound(node, true);
            return Ok(());
        }
        let semicolons = expression.parts.iter().map(|part| match part {
            Part::Literal(text) => text.matches(';').count(),
            _ => 0,
        });
        if semicolons.sum::<usize>() != 2 {
            return self.syntax("`for ((` without two semicolons");
        }
        self.src().blanks();
        self.src().take(b';');
        self.for_body(Frame::ArithmeticFor(expression))
    }

    /// A list within a compound command that ended with `end`.
    pub(super) fn compound_list(
        &mut self,
        frame: Frame,
        body: Option<NodeId>,
        end: Reserved,
    ) -> Step {
        if let Frame::Case(mut frame) = frame {
            let patterns = std::mem::take(&mut frame.patterns);
            frame.arms.push((patterns, body));
            frame.stage = CaseStage::Arm;
            if end == Reserved::Esac {
                return self.end_case(frame);
            }
            self.frames.push(Frame::Case(frame));
            return Ok(());
        }
        let Some(body) = body else {
            return self.syntax("no command where one must stand");
        };
        let node = match frame {
            Frame::Group { subshell: true } => Node::Subshell(body),
            Frame::Group { subshell: false } => Node::Group(body),
            Frame::If(frame) => return self.if_list(frame, body, end),
            Frame::While { condition: None } => {
                let condition = Some(body);
                self.frames.push(Frame::While { condition });
                self.begin_list(End::Done, false);
                return Ok(());
            }
            Frame::While {
                condition: Some(condition),
            } => Node::Loop { condition, body },
            Frame::For(ForFrame {
                variable, words, ..
            }) => Node::For {
                variable,
                words,
                body,
            },
            Frame::ArithmeticFor(expressions) => Node::ArithmeticFor { expressions, body },
            _ => return self.syntax("not understood"),
        };
        let node = self.node(node);
        self.end_compound(node, true);
        Ok(())
    }

    fn if_list(&mut self, mut frame: IfFrame, body: NodeId, end: Reserved) -> Step {
        let next = match (frame.condition.take(), end) {
            (None, Reserved::Then) => {
                frame.condition = Some(body);
                End::IfBody
            }
            (Some(condition), _) => {
                frame.branches.push((condition, body));
                match end {
                    Reserved::Elif => End::Then,
                    Reserved::Else => End::Fi,
                    _ => return self.end_if(frame.branches, None),
                }
            }
            _ => return self.end_if(frame.branches, Some(body)),
        };
        self.frames.push(Frame::If(frame));
        self.begin_list(next, false);
        Ok(())
    }

    fn end_if(&mut self, branches: Vec<(NodeId, NodeId)>, otherwise: Option<NodeId>) -> Step {
        let node = self.node(Node::If {
            branches,
            otherwise,
        });
        self.end_compound(node, true);
        Ok(())
    }
}
