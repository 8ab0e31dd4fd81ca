//! What must hold of the text of a command, whatever it is.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use crate::contracts::limits::BRACE_STEPS;

use super::ast::{Node, NodeId, Part, Word};
use super::{parse, quote};

/// A place in the text where it is not read; else a tree within bounds, whose plain words, quoted anew, are read
/// as the same.
pub(crate) fn shell_command(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let script = match parse(&text) {
        Ok(script) => script,
        Err(why) => {
            assert!(why.at() <= text.len() && !why.what().is_empty(), "{why:?}");
            return;
        }
    };
    assert!(script.nodes.len() <= 2 * text.len() + 2, "{text:?}");
    let in_range = |id: NodeId| assert!((id.0 as usize) < script.nodes.len(), "{text:?}");
    script.root.into_iter().for_each(in_range);
    let mut bytes = 0;
    for node in &script.nodes {
        children(node).into_iter().for_each(in_range);
        let Node::Simple(simple) = node else { continue };
        for word in &simple.words {
            assert!(!word.parts.is_empty(), "{text:?}");
            for part in &word.parts {
                if let Part::Command { body, .. } | Part::Process { body } = part {
                    body.iter().copied().for_each(in_range);
                }
            }
        }
        let plain: Option<Vec<String>> = simple.words.iter().map(plain).collect();
        let Some(plain) = plain.filter(|words| !words.is_empty()) else {
            continue;
        };
        bytes += plain.iter().map(String::len).sum::<usize>();
        // A reserved word, and an assignment, are neither in quotes.
        let line: Vec<String> = plain
            .iter()
            .map(|word| format!("''{}", quote(word)))
            .collect();
        let again = parse(&line.join(" ")).expect("quoted words are read");
        let Some(Node::Simple(again)) = again.nodes.first() else {
            panic!("{text:?}");
        };
        let read: Vec<Option<String>> = again.words.iter().map(self::plain).collect();
        let plain: Vec<Option<String>> = plain.into_iter().map(Some).collect();
        assert_eq!(read, plain, "{text:?}");
    }
    assert!(bytes <= 4 * (text.len() + BRACE_STEPS), "{text:?}");
}

/// A word's text where it has nothing but text.
fn plain(word: &Word) -> Option<String> {
    let pieces = word.parts.iter().map(|part| match part {
        Part::Literal(text) | Part::Quoted(text) => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

fn children(node: &Node) -> Vec<NodeId> {
    match node {
        Node::List(items) => items.iter().map(|(_, id)| *id).collect(),
        Node::Pipeline(ids) => ids.clone(),
        Node::Background(id)
        | Node::Not(id)
        | Node::Time(id)
        | Node::Subshell(id)
        | Node::Group(id)
        | Node::Coproc(id)
        | Node::For { body: id, .. }
        | Node::ArithmeticFor { body: id, .. }
        | Node::Function { body: id, .. }
        | Node::Redirected { body: id, .. } => vec![*id],
        Node::If {
            branches,
            otherwise,
        } => {
            let both = branches
                .iter()
                .flat_map(|(condition, body)| [*condition, *body]);
            both.chain(*otherwise).collect()
        }
        Node::Loop { condition, body } => vec![*condition, *body],
        Node::Case { arms, .. } => arms.iter().filter_map(|(_, body)| *body).collect(),
        Node::Simple(_) | Node::Test { .. } | Node::Arithmetic(_) => Vec::new(),
    }
}
