//! `[[ ... ]]`.

use super::Unparsed;
use super::ast::{Node, Part, Word};
use super::frames::{Bare, Frame, Mode, TestFrame, TestStage, WordOut};
use super::machine::Machine;
use super::source::metacharacter;

type Step = Result<(), Unparsed>;

const UNARY: &str = "abcdefghknoprstuvwxzGLNORS";
const BINARY: [&str; 13] = [
    "=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef",
];

impl Machine<'_> {
    pub(super) fn test(&mut self, mut frame: TestFrame) -> Step {
        self.src().blanks();
        let Some(byte) = self.src().peek() else {
            return self.syntax("`[[` without an end");
        };
        let ends = self.ends_test();
        match (frame.stage, byte) {
            (TestStage::Term | TestStage::AfterTerm, b'\n') => self.newlines()?,
            (TestStage::Term, b'(') => {
                self.src().bump();
                frame.parens += 1;
            }
            (TestStage::Term, b'!') if self.src().second().is_none_or(metacharacter) => {
                self.src().bump();
            }
            (TestStage::Binary | TestStage::AfterTerm, _) if ends => {
                if frame.parens > 0 {
                    return self.syntax("a parenthesis without an end in `[[`");
                }
                self.src().bump();
                self.src().bump();
                let node = self.node(Node::Test { words: frame.words });
                self.end_compound(node, false);
                return Ok(());
            }
            (TestStage::Binary | TestStage::AfterTerm, b')') if frame.parens > 0 => {
                self.src().bump();
                frame.parens -= 1;
                frame.stage = TestStage::AfterTerm;
            }
            (TestStage::Binary | TestStage::AfterTerm, b'&' | b'|') => {
                self.src().bump();
                if !self.src().take(byte) {
                    return self.syntax("an operator in `[[`");
                }
                frame.stage = TestStage::Term;
            }
            (TestStage::Binary, b'<' | b'>') if !self.process_here() => {
                self.src().bump();
                frame.words.push(Word {
                    parts: vec![Part::Literal(char::from(byte).to_string())],
                });
                frame.stage = TestStage::Right;
            }
            (TestStage::AfterTerm, _) => return self.syntax("two operands in `[[`"),
            _ if ends => return self.syntax("an operand is missing in `[[`"),
            _ => {
                let operator = match frame.words.last().map(|word| word.parts.as_slice()) {
                    Some([Part::Literal(text)]) if frame.stage == TestStage::Right => text.as_str(),
                    _ => "",
                };
                let mode = Bare {
                    extended: matches!(operator, "=" | "==" | "!="),
                    regex: operator == "=~",
                    ..Bare::default()
                };
                let begins = mode.regex && matches!(byte, b'(' | b'|');
                if metacharacter(byte) && !begins && !self.process_here() {
                    return self.syntax("an operand is missing in `[[`");
                }
                self.frames.push(Frame::Test(frame));
                self.begin_word(Mode::Bare(mode));
                return Ok(());
            }
        }
        self.frames.push(Frame::Test(frame));
        Ok(())
    }

    /// Whether `]]` stands here.
    fn ends_test(&mut self) -> bool {
        let at = self.src().at;
        let ends = self.src().take(b']')
            && self.src().take(b']')
            && self.src().peek().is_none_or(metacharacter);
        self.src().at = at;
        ends
    }

    pub(super) fn test_word(&mut self, mut frame: TestFrame, word: WordOut) -> Step {
        if self.descriptor(&word)?.is_some() {
            return self.unsupported("a number joined to `<` or `>` in `[[`");
        }
        let literal = match word.parts.as_slice() {
            [Part::Literal(text)] => text.clone(),
            _ => String::new(),
        };
        let operator = Word {
            parts: vec![Part::Literal(literal.clone())],
        };
        let letter = literal.strip_prefix('-').filter(|rest| rest.len() == 1);
        match frame.stage {
            TestStage::Term if letter.is_some_and(|letter| UNARY.contains(letter)) => {
                frame.stage = TestStage::Unary;
                frame.words.push(operator);
            }
            TestStage::Term => {
                frame.stage = TestStage::Binary;
                let word = self.value(word);
                frame.words.push(word);
            }
            TestStage::Binary if BINARY.contains(&literal.as_str()) => {
                frame.stage = TestStage::Right;
                frame.words.push(operator);
            }
            TestStage::Binary => return self.syntax("an unknown operator in `[[`"),
            TestStage::Right => {
                frame.stage = TestStage::AfterTerm;
                let word = self.unexpanded(word);
                frame.words.push(word);
            }
            TestStage::Unary | TestStage::AfterTerm => {
                frame.stage = TestStage::AfterTerm;
                let word = self.value(word);
                frame.words.push(word);
            }
        }
        self.frames.push(Frame::Test(frame));
        Ok(())
    }
}
