//! A view without what looks like a token: a channel of Slack's has more readers than those who approve.

use serde_json::{Map, Value};

use crate::contracts::view::{CallView, LineKind, ViewBlock, ViewLine};

/// Redacts token-shaped text in a map's values.
pub type Redact = fn(&mut Map<String, Value>);

/// A view without tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedactedView {
    pub(super) view: CallView,
    /// Whether anything was taken out.
    pub(super) redacted: bool,
}

impl RedactedView {
    /// Takes out what `redact` finds, in every text of a view.
    pub(super) fn of(view: &CallView, redact: Redact) -> Self {
        let mut clean = Cleaner {
            redact,
            redacted: false,
        };
        let mut view = view.clone();
        for block in &mut view.blocks {
            clean.block(block);
        }
        let origin = &mut view.origin;
        let texts = view.directory.iter_mut().chain(&mut view.description);
        let texts = texts.chain(&mut view.rule).chain(&mut view.atoms);
        let texts = texts.chain([&mut view.reason]).chain(&mut origin.task);
        texts.for_each(|text| clean.text(text));
        for lead in &mut view.leads {
            clean.text(&mut lead.path);
            clean.text(&mut lead.real);
        }
        Self {
            view,
            redacted: clean.redacted,
        }
    }
}

struct Cleaner {
    redact: Redact,
    redacted: bool,
}

impl Cleaner {
    fn cleaned(&mut self, text: &str) -> Option<String> {
        const NAME: &str = "text";
        let mut map = Map::from_iter([(NAME.to_owned(), Value::from(text))]);
        (self.redact)(&mut map);
        let Some(Value::String(clean)) = map.remove(NAME) else {
            return None;
        };
        let changed = clean != text;
        self.redacted |= changed;
        changed.then_some(clean)
    }

    fn text(&mut self, text: &mut String) {
        if let Some(clean) = self.cleaned(text) {
            *text = clean;
        }
    }

    /// A token may go over several lines: what is searched is the block's whole text.
    fn block(&mut self, block: &mut ViewBlock) {
        if let Some(subject) = &mut block.subject {
            self.text(subject);
        }
        let foreign = |line: &&ViewLine| line.kind != LineKind::Note;
        let texts = block.lines.iter().filter(foreign);
        let texts: Vec<&str> = texts.map(|line| line.text.as_str()).collect();
        if let Some(clean) = self.cleaned(&texts.join("\n")) {
            block.lines = aligned(&block.lines, &clean);
        }
    }
}

/// The lines of a redacted text, each as what it was before. A token that went over several lines is one now.
fn aligned(before: &[ViewLine], clean: &str) -> Vec<ViewLine> {
    let mut clean = clean.split('\n').peekable();
    let text_lines = before.iter().filter(|line| line.kind != LineKind::Note);
    let mut swallowed = text_lines.count().saturating_sub(clean.clone().count());
    let mut lines = Vec::new();
    let mut within_token = false;
    for line in before {
        if line.kind == LineKind::Note {
            lines.push(line.clone());
            continue;
        }
        let same = clean.peek() == Some(&line.text.as_str());
        if within_token && swallowed > 0 && !same {
            swallowed -= 1;
            continue;
        }
        let Some(text) = clean.next() else { continue };
        within_token = !same;
        lines.push(ViewLine {
            text: text.to_owned(),
            ..line.clone()
        });
    }
    // Nothing of what is left is lost, whatever it was.
    lines.extend(clean.map(|text| ViewLine {
        kind: LineKind::Text,
        number: None,
        text: text.to_owned(),
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::view::Lead;

    /// `KEY` up to `END` is a token.
    fn redact(map: &mut Map<String, Value>) {
        for value in map.values_mut() {
            let Some(text) = value.as_str() else { continue };
            let Some((before, rest)) = text.split_once("KEY") else {
                continue;
            };
            let after = rest.split_once("END").map_or("", |(_, after)| after);
            *value = Value::from(format!("{before}[redacted]{after}"));
        }
    }

    fn lines(texts: &[(LineKind, &str)]) -> Vec<ViewLine> {
        let line = |(number, (kind, text)): (usize, &(LineKind, &str))| ViewLine {
            kind: *kind,
            number: u64::try_from(number).ok(),
            text: (*text).to_owned(),
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn of(lines: Vec<ViewLine>) -> CallView {
        CallView {
            blocks: vec![ViewBlock {
                heading: "changes".into(),
                subject: Some("a".into()),
                lines,
            }],
            ..CallView::default()
        }
    }

    #[test]
    fn what_has_no_token_stays_as_it_is() {
        use LineKind::{Added, Note, Removed};
        let view = of(lines(&[(Note, "KEY"), (Added, "a"), (Removed, "\n")]));
        let clean = RedactedView::of(&view, redact);
        assert_eq!((clean.view, clean.redacted), (view, false));
    }

    #[test]
    fn a_token_over_several_lines_goes_and_every_other_line_stays_what_it_was() {
        use LineKind::{Added, Context, Note, Removed};
        let view = of(lines(&[
            (Context, "before"),
            (Added, "x KEY"),
            (Note, "a note"),
            (Removed, "secret"),
            (Added, "secret END y"),
            (Context, "after"),
        ]));
        let clean = RedactedView::of(&view, redact);
        assert!(clean.redacted);
        let kept: Vec<_> = clean.view.blocks[0].lines.iter().collect();
        let kept: Vec<_> = kept
            .iter()
            .map(|line| (line.kind, line.text.as_str(), line.number))
            .collect();
        assert_eq!(
            kept,
            [
                (Context, "before", Some(0)),
                (Added, "x [redacted] y", Some(1)),
                (Note, "a note", Some(2)),
                (Context, "after", Some(5)),
            ]
        );
    }

    #[test]
    fn every_text_of_a_view_is_looked_through() {
        let secret = || "KEY secret END".to_owned();
        let mut view = of(lines(&[(LineKind::Text, "KEY secret END")]));
        view.blocks[0].subject = Some(secret());
        view.directory = Some(secret());
        view.description = Some(secret());
        view.rule = Some(secret());
        view.reason = secret();
        view.atoms = vec![secret()];
        view.origin.task = Some(secret());
        view.leads = vec![Lead {
            path: secret(),
            real: secret(),
            other_names: false,
        }];
        let clean = RedactedView::of(&view, redact);
        let text = serde_json::to_string(&clean.view).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(text.matches("[redacted]").count(), 10);
    }
}
