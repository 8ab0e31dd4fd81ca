//! What a session and those who attend it say to each other: one JSON object a line, read strictly on both sides.
//!
//! Whoever connects says `attach` first. The session then sends `hello`, its last lines, every question that is open,
//! and from then on whatever happens. A question is answered by its number and nonce and by the digest of the view as
//! it was received: an answer is about what was shown, or it is none.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::channels::screen::{Said, ScreenQuestion};
use crate::contracts::grant::Grant;
use crate::contracts::ids::Sha256;
use crate::contracts::plural::count;
use crate::contracts::view::Origin;
use crate::contracts::{limits, strict_json};

/// Counts the changes of what is said.
pub const PROTOCOL: u32 = 1;

/// What a session says to those who attend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum SessionMessage {
    /// Which session it is. Comes first.
    Hello {
        /// [`PROTOCOL`] of the session.
        protocol: u32,
        /// What people are shown of it.
        origin: Origin,
        /// When it began, as the journal writes a time.
        since: String,
    },
    /// A line that the session shows, with the agent's text in it escaped.
    Line {
        /// Without its newline.
        text: String,
    },
    /// Somebody is to decide.
    Question(Box<PutQuestion>),
    /// The answer that this one gave counts.
    Taken {
        /// The question's number.
        number: u64,
    },
    /// A question is over.
    Settled {
        /// Its number.
        number: u64,
        /// What came of it, and by whom, escaped.
        words: String,
    },
    /// The approvals that were given for the session, as they are now.
    Grants {
        /// In the order in which they were given.
        grants: Vec<Grant>,
    },
    /// What was said is no answer.
    Rejected {
        /// The number of the question that it was about, where it said one.
        number: Option<u64>,
        /// Why.
        words: String,
    },
    /// Nothing more is to come.
    Ended {
        /// Why.
        words: String,
    },
}

/// A question as it is put to those who attend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PutQuestion {
    /// Its number in the session, the call, whole, and what a yes may hold for.
    pub question: ScreenQuestion,
    /// Whoever answers names it. None for those who only watch.
    pub nonce: Option<String>,
    /// Seconds until no answer means Deny, as of now.
    pub seconds_left: u64,
    /// At most so many once a person has seen it.
    pub seconds_once_seen: u64,
    /// Where else it is asked.
    pub elsewhere: Vec<String>,
}

/// What those who attend say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum AttendantMessage {
    /// Comes first.
    Attach {
        /// [`PROTOCOL`] of whoever attends.
        protocol: u32,
        /// Whether a person is there who can answer; else it only watches.
        answers: bool,
    },
    /// A question stands on the screen, or is listed there: from now on a person can see it.
    Seen {
        /// The question's number.
        number: u64,
    },
    /// A person decided.
    Answer(GivenAnswer),
    /// A person asks which approvals hold for the session.
    Grants {},
    /// A person takes one back. The answer is what holds then.
    Revoke {
        /// Its id.
        grant: String,
    },
}

/// An answer as it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GivenAnswer {
    /// The question's number.
    pub number: u64,
    /// The question's nonce.
    pub nonce: String,
    /// Digest of the view that the person was shown.
    pub view_sha256: Sha256,
    /// What was decided.
    pub verdict: Said,
}

/// A message as it is sent, with its newline.
#[must_use]
pub fn written(message: &impl Serialize) -> Vec<u8> {
    // Texts and numbers: writing them cannot fail.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a message of [`written`], without its newline.
///
/// # Errors
/// Why it is none.
pub fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, serde_json::Error> {
    strict_json::parse(line)
}

/// Bytes that come in pieces, as lines of at most so many bytes each.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// No newline stands before this place.
    looked: usize,
    bound: usize,
}

/// A line is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(usize);

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message is longer than {}", count(self.0, "byte"))
    }
}

impl std::error::Error for TooLong {}

impl Lines {
    /// Takes lines of at most `bound` bytes, newline excluded.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            bytes: Vec::new(),
            looked: 0,
            bound,
        }
    }

    /// What those who attend say.
    #[must_use]
    pub fn of_attendant() -> Self {
        Self::new(limits::ATTEND_ANSWER_BYTES)
    }

    /// What a session says.
    #[must_use]
    pub fn of_session() -> Self {
        Self::new(limits::ATTEND_MESSAGE_BYTES)
    }

    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its newline.
    ///
    /// # Errors
    /// [`TooLong`]; nothing more can be read then.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = self.bytes.get(self.looked..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(self.bytes.len(), |end| self.looked + end);
        if length > self.bound {
            return Err(TooLong(self.bound));
        }
        if end.is_none() {
            self.looked = length;
            return Ok(None);
        }
        let mut line: Vec<u8> = self.bytes.drain(..=length).collect();
        line.pop();
        self.looked = 0;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::view::CallView;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let question = SessionMessage::Question(Box::new(PutQuestion {
            question: ScreenQuestion {
                number: 3,
                view: CallView {
                    tool: "Ba\u{1b}sh".into(),
                    ..CallView::default()
                },
                offer: None,
            },
            nonce: Some("00".into()),
            seconds_left: 299,
            seconds_once_seen: 300,
            elsewhere: vec!["Slack".into()],
        }));
        let line = written(&question);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let line = line.strip_suffix(b"\n").unwrap();
        assert_eq!(read::<SessionMessage>(line).unwrap(), question);

        let answer = r#"{"type":"answer","number":3,"nonce":"00","viewSha256":"#.to_owned()
            + &format!("\"{}\"", "a".repeat(64));
        for (rest, reads) in [
            (r#","verdict":{"approve":"once"}}"#, true),
            (
                r#","verdict":{"approve":{"session":{"pattern":true,"minutes":30}}}}"#,
                true,
            ),
            (
                r#","verdict":{"approve":{"session":{"pattern":true,"hours":30}}}}"#,
                false,
            ),
            (r#","verdict":{"deny":{"reason":"no"}}}"#, true),
            (r#"}"#, false),
            (r#","verdict":{"approve":"Once"}}"#, false),
            (
                r#","verdict":{"approve":"once"},"verdict":{"approve":"once"}}"#,
                false,
            ),
            (r#","verdict":{"approve":"once"},"by":"alice"}"#, false),
            (r#","verdict":{"approve":"once"}} {}"#, false),
        ] {
            let text = answer.clone() + rest;
            let message = read::<AttendantMessage>(text.as_bytes());
            assert_eq!(message.is_ok(), reads, "{text}");
        }
        for text in [
            r#"{"type":"attach"}"#,
            r#"{"type":"attach","protocol":1,"answers":1}"#,
            r#"{"type":"detach"}"#,
            r#"{"type":"grants","of":"s-1"}"#,
            r#"{"type":"revoke"}"#,
            r#"["attach"]"#,
            "",
        ] {
            assert!(read::<AttendantMessage>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_cut_and_none_is_too_long() {
        let text = b"one\n\ntwo\nthr";
        for cut in 1..=text.len() {
            let mut lines = Lines::new(3);
            let mut all = Vec::new();
            for piece in text.chunks(cut) {
                lines.push(piece);
                while let Some(line) = lines.next_line().unwrap() {
                    all.push(String::from_utf8(line).unwrap());
                }
            }
            assert_eq!(all, ["one", "", "two"]);
            lines.push(b"ee");
            assert_eq!(lines.next_line(), Err(TooLong(3)));
        }
        let mut lines = Lines::new(3);
        lines.push(b"four\n");
        assert_eq!(lines.next_line(), Err(TooLong(3)));
    }
}
