//! What must hold of whatever somebody says who attends a session.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::sync::Arc;

use serde_json::{Map, Value};

use super::board::Board;
use super::protocol::{AttendantMessage, Lines, read, written};
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::question::{Asking, Question};
use crate::contracts::verdict::Verdict;

/// The nonce of the one question that is open.
const NONCE: &str = "00112233445566778899aabbccddeeff";

/// Lines come whole however they are cut. A message that is read is written back as what it says. An answer is about an
/// open question only where it has its number, its nonce and the digest of what was sent, and asks for nothing that was
/// not offered.
pub(crate) fn line(data: &[u8]) {
    let lines = |size: usize| -> Option<Vec<Vec<u8>>> {
        let (mut lines, mut all) = (Lines::of_attendant(), Vec::new());
        for piece in data.chunks(size) {
            lines.push(piece);
            while let Some(line) = lines.next_line().ok()? {
                all.push(line);
            }
        }
        Some(all)
    };
    let whole = lines(data.len().max(1));
    let cut = lines(usize::from(data.first().copied().unwrap_or(1)).max(1));
    assert_eq!(whole, cut);
    let board = board();
    for line in whole.into_iter().flatten() {
        let Ok(message) = read::<AttendantMessage>(&line) else {
            continue;
        };
        let again = written(&message);
        let again = again.strip_suffix(b"\n").expect("a line has an end");
        let read_again = read::<AttendantMessage>(again).expect("what is written is read");
        assert_eq!(read_again, message);
        let AttendantMessage::Answer(answer) = message else {
            continue;
        };
        assert!(board.judged(&answer, false).is_err());
        if let Ok(open) = board.judged(&answer, true) {
            let asking = open.question.asking();
            assert_eq!(answer.number, asking.number);
            assert_eq!(answer.nonce, NONCE);
            assert_eq!(answer.view_sha256, asking.view.sha256());
        }
    }
}

fn board() -> Board {
    let call = ToolCall {
        id: MessageId::new("m1").expect("an id"),
        session: SessionId::new("s-1").expect("an id"),
        tool: "Bash".into(),
        args: Map::from_iter([("command".to_owned(), Value::from("make"))]),
        actor: Actor::ClaudeProcess,
    };
    let asking = Asking::about(call, Verdict::refused("because"));
    let mut board = Board::default();
    let question = Arc::new(Question::new(asking, 1));
    board.question(question, NONCE.into(), Arc::new([]));
    board
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::view::CallView;

    /// The seed that is an answer counts: what the properties say is said of something.
    #[test]
    fn an_answer_to_what_was_sent_counts() {
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/attend_line/answer");
        let text = std::fs::read(seed).unwrap();
        let text = text.strip_suffix(b"\n").unwrap();
        let AttendantMessage::Answer(answer) = read(text).unwrap() else {
            panic!("no answer");
        };
        assert_eq!(answer.view_sha256, CallView::default().sha256());
        assert!(board().judged(&answer, true).is_ok());
    }
}
