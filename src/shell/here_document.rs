//! Here-documents: their bodies begin behind the next newline and are read when the commands have been.

use super::Unparsed;
use super::ast::{Part, Redirection, RedirectionKind, Word};
use super::frames::{Frame, Mode, WordOut, redirections_of};
use super::machine::Machine;

/// Here-documents of one command substitution whose bodies have not begun.
#[derive(Debug)]
pub(super) struct Pending {
    text: usize,
    documents: Vec<Document>,
}

impl Pending {
    pub(super) fn new(text: usize) -> Self {
        Self {
            text,
            documents: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

#[derive(Debug)]
struct Document {
    index: usize,
    delimiter: String,
    quoted: bool,
    strip_tabs: bool,
    depth: usize,
}

/// A body with expansions in it.
#[derive(Debug)]
pub(super) struct Body {
    index: usize,
    text: String,
    origin: usize,
    depth: usize,
}

impl Machine<'_> {
    /// Notes a here-document and hands out its redirection; the body's number stands for the body.
    pub(super) fn here_document(
        &mut self,
        descriptor: Option<String>,
        strip_tabs: bool,
        word: &WordOut,
    ) -> Result<Redirection, Unparsed> {
        if word.dollar_quoted || word.grouped {
            return self.unsupported("a here-document's delimiter with `$` and quotes");
        }
        let mut delimiter = String::new();
        let mut quoted = false;
        for part in &word.parts {
            match part {
                Part::Literal(text) if !text.contains('$') => delimiter.push_str(text),
                Part::Quoted(text) => {
                    quoted = true;
                    delimiter.push_str(text);
                }
                _ => return self.unsupported("a here-document's delimiter with an expansion"),
            }
        }
        if delimiter.contains('\n') {
            return self.unsupported("a here-document's delimiter of two lines");
        }
        let index = self.read_bodies.len();
        self.read_bodies.push(Word::default());
        let depth = self.depth;
        if let Some(pending) = self.pending.last_mut() {
            pending.documents.push(Document {
                index,
                delimiter,
                quoted,
                strip_tabs,
                depth,
            });
        }
        Ok(Redirection {
            descriptor,
            kind: RedirectionKind::HereDocument,
            target: Word {
                parts: vec![Part::Literal(index.to_string())],
            },
        })
    }

    /// Passes a newline, and the bodies behind it.
    pub(super) fn newline(&mut self) -> Result<(), Unparsed> {
        self.src().bump();
        let Some(pending) = self.pending.last_mut() else {
            return Ok(());
        };
        let documents = std::mem::take(&mut pending.documents);
        let text = pending.text;
        let around = self.pending.iter().rev().skip(1);
        let mut same = around.take_while(|pending| pending.text == text);
        if same.any(|pending| !pending.is_empty()) {
            return self
                .unsupported("a newline in a substitution behind a here-document's operator");
        }
        for document in &documents {
            self.cut_body(document)?;
        }
        Ok(())
    }

    fn cut_body(&mut self, document: &Document) -> Result<(), Unparsed> {
        let origin = self.at();
        let mut body = String::new();
        loop {
            if self.src().raw().is_none() {
                break;
            }
            let mut line = String::new();
            // Tabs go from each line that the delimiter could stand on.
            if document.strip_tabs {
                self.src().run(|byte| byte != b'\t');
            }
            let mut ended = false;
            while let Some(byte) = self.src().raw() {
                match byte {
                    b'\n' => {
                        self.src().bump();
                        ended = true;
                        break;
                    }
                    b'\\' if !document.quoted => {
                        self.src().bump();
                        if self.src().raw() == Some(b'\n') {
                            if document.strip_tabs {
                                return self.unsupported("a continued line in `<<-`");
                            }
                            self.src().bump();
                            continue;
                        }
                        line.push('\\');
                        line.extend(self.src().char().filter(|c| *c != '\n'));
                    }
                    _ => line.push_str(self.src().run(|byte| matches!(byte, b'\n' | b'\\'))),
                }
                if self.src().raw() == Some(b'\\') && document.quoted {
                    line.push('\\');
                    self.src().bump();
                }
            }
            if line == document.delimiter {
                break;
            }
            body.push_str(&line);
            if ended {
                body.push('\n');
            }
        }
        if document.quoted {
            if let Some(slot) = self.read_bodies.get_mut(document.index)
                && !body.is_empty()
            {
                slot.parts = vec![Part::Quoted(body)];
            }
            return Ok(());
        }
        self.bodies.push(Body {
            index: document.index,
            text: body,
            origin,
            depth: document.depth,
        });
        Ok(())
    }

    pub(super) fn begin_body(&mut self, body: Body) {
        self.enter_text(body.text, body.origin);
        self.depth = body.depth;
        self.frames.push(Frame::HereDocument(body.index));
        self.begin_word(Mode::HereDocument);
    }

    /// Puts the bodies where their numbers stand.
    pub(super) fn place_bodies(&mut self) {
        for node in &mut self.nodes {
            for redirection in redirections_of(node) {
                if redirection.kind != RedirectionKind::HereDocument {
                    continue;
                }
                let index = match redirection.target.parts.as_slice() {
                    [Part::Literal(index)] => index.parse().unwrap_or(usize::MAX),
                    _ => usize::MAX,
                };
                if let Some(body) = self.read_bodies.get_mut(index) {
                    redirection.target = std::mem::take(body);
                }
            }
        }
    }
}
