//! Framing: one JSON object a line, at most [`limits::FRAME_BYTES`], read strictly.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::contracts::message::Message;
use crate::contracts::plural::count;
use crate::contracts::{limits, strict_json};
use crate::journal::key::SigningKey;

use super::answer::{Answer, Heard};
use super::answer_signature::{self, Nonce, Proved};
use super::client_file;

/// Why no message could be had.
#[derive(Debug)]
pub enum FrameError {
    /// The peer closed without a whole frame.
    Closed,
    /// No whole frame came in time.
    Late,
    /// The frame is longer than [`limits::FRAME_BYTES`].
    TooLong,
    /// The frame has more than [`limits::FRAME_VALUES`] values.
    TooMany,
    /// The frame is not a message.
    Malformed(String),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection closed within a message"),
            Self::Late => f.write_str("no complete message in time"),
            Self::TooLong => write!(
                f,
                "the message is longer than {}",
                count(limits::FRAME_BYTES, "byte")
            ),
            Self::TooMany => write!(
                f,
                "the message has more than {}",
                count(limits::FRAME_VALUES, "value")
            ),
            Self::Malformed(why) => write!(f, "invalid message: {why}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// A message, and the number that its answer is to be signed over, where whoever sent it can check that.
pub type Question = (Message, Option<Nonce>);

/// Reads one message, and the descriptor that came with its first bytes. Bytes behind its newline are an error: a
/// peer that sends ahead is not one of ours.
///
/// # Errors
/// [`FrameError`]; the link is of no further use then.
pub fn read(
    stream: &UnixStream,
    within: Duration,
) -> Result<(Question, Option<OwnedFd>), FrameError> {
    let (line, descriptor) = read_line(stream, within)?;
    Ok((parse(&line)?, descriptor))
}

/// Reads one answer.
///
/// # Errors
/// As [`read`].
pub fn read_answer(stream: &UnixStream, within: Duration) -> Result<Proved<Heard>, FrameError> {
    parse_answer(&read_line(stream, within)?.0)
}

/// Reads a message's bytes, newline excluded.
///
/// # Errors
/// [`FrameError::Malformed`] for whatever is not exactly a message as [`write()`] would send it.
pub fn parse(line: &[u8]) -> Result<Question, FrameError> {
    let mut fields = object(line)?;
    let nonce = fields.remove(NONCE);
    let nonce = nonce.map(|nonce| nonce.as_str().and_then(Nonce::from_hex).ok_or_else(other));
    let nonce = nonce.transpose()?;
    exactly(&Value::Object(fields)).map(|message| (message, nonce))
}

/// Reads an answer's bytes, newline excluded.
///
/// # Errors
/// As [`parse`].
pub fn parse_answer(line: &[u8]) -> Result<Proved<Heard>, FrameError> {
    let mut fields = object(line)?;
    let proof = match fields.remove(PROOF) {
        None => None,
        Some(Value::String(proof)) => Some(proof),
        Some(_) => return Err(other()),
    };
    let signed = Value::Object(fields);
    let heard = Heard::new(exactly(&signed)?);
    Ok(Proved::new(heard, signed, proof))
}

/// The field of a question that its answer is signed over.
const NONCE: &str = "nonce";
/// The field of an answer that proves whose it is.
const PROOF: &str = "proof";

fn object(line: &[u8]) -> Result<Map<String, Value>, FrameError> {
    if strict_json::values(line) > limits::FRAME_VALUES {
        return Err(FrameError::TooMany);
    }
    match strict_json::from_slice(line).map_err(malformed)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(other()),
    }
}

fn malformed(error: impl fmt::Display) -> FrameError {
    FrameError::Malformed(error.to_string())
}

fn other() -> FrameError {
    FrameError::Malformed("a field is missing or has the wrong type".into())
}

/// What is written as it would be by us: serde alone would take an array for a structure, and an
/// absent field for a null.
fn exactly<T: Serialize + DeserializeOwned>(value: &Value) -> Result<T, FrameError> {
    let message = T::deserialize(value).map_err(malformed)?;
    if serde_json::to_value(&message).map_err(malformed)? == *value {
        Ok(message)
    } else {
        Err(other())
    }
}

fn read_line(
    mut stream: &UnixStream,
    within: Duration,
) -> Result<(Vec<u8>, Option<OwnedFd>), FrameError> {
    let started = Instant::now();
    let mut line = Vec::with_capacity(4096);
    let mut block = [0_u8; 16 << 10];
    let mut descriptor = None;
    loop {
        let left = within
            .checked_sub(started.elapsed())
            .ok_or(FrameError::Late)?;
        // A zero time-out would mean none.
        stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .map_err(FrameError::Io)?;
        // What comes with later bytes the kernel closes.
        let got = if line.is_empty() {
            client_file::receive(stream, &mut block).map(|(bytes, first)| {
                descriptor = first;
                bytes
            })
        } else {
            stream.read(&mut block)
        };
        let got = match got {
            Ok(0) => return Err(FrameError::Closed),
            Ok(got) => got,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    return Err(FrameError::Late);
                }
                io::ErrorKind::Interrupted => continue,
                _ => return Err(FrameError::Io(error)),
            },
        };
        let fresh = block.get(..got).unwrap_or_default();
        let newline = fresh.iter().position(|byte| *byte == b'\n');
        let at = newline.map(|at| line.len() + at);
        line.extend_from_slice(fresh);
        match at {
            Some(at) if at + 1 > limits::FRAME_BYTES => return Err(FrameError::TooLong),
            Some(at) if at + 1 == line.len() => {
                line.pop();
                return Ok((line, descriptor));
            }
            Some(_) => {
                return Err(FrameError::Malformed("bytes after the newline".into()));
            }
            None if line.len() >= limits::FRAME_BYTES => return Err(FrameError::TooLong),
            None => {}
        }
    }
}

/// Writes one message, and the client file's descriptor with its first bytes.
///
/// # Errors
/// [`FrameError::TooLong`] or [`FrameError::TooMany`] before a byte is sent, or what the socket gives.
pub fn write(
    stream: &UnixStream,
    message: &Message,
    nonce: Option<Nonce>,
    client: Option<&OwnedFd>,
) -> Result<(), FrameError> {
    let nonce = nonce.map(|nonce| (NONCE, nonce.to_hex()));
    let message = serde_json::to_value(message).map_err(malformed)?;
    send(stream, message, nonce, client)
}

/// Writes one answer.
///
/// # Errors
/// As [`write()`].
pub fn answer(
    stream: &UnixStream,
    answer: &Answer,
    prove: Option<(&SigningKey, Nonce)>,
) -> Result<(), FrameError> {
    let answer = serde_json::to_value(answer.wire()).map_err(malformed)?;
    let proof = prove.map(|(key, nonce)| (PROOF, answer_signature::of(key, nonce, &answer)));
    send(stream, answer, proof, None)
}

fn send(
    mut stream: &UnixStream,
    mut message: Value,
    more: Option<(&str, String)>,
    client: Option<&OwnedFd>,
) -> Result<(), FrameError> {
    if let Value::Object(fields) = &mut message {
        fields.extend(more.map(|(name, text)| (name.to_owned(), text.into())));
    }
    let mut line = serde_json::to_vec(&message).map_err(malformed)?;
    line.push(b'\n');
    if line.len() > limits::FRAME_BYTES {
        return Err(FrameError::TooLong);
    }
    if strict_json::values(&line) > limits::FRAME_VALUES {
        return Err(FrameError::TooMany);
    }
    stream
        .set_write_timeout(Some(limits::FRAME_DEADLINE))
        .and_then(|()| client.map_or(Ok(0), |file| client_file::send_with(stream, &line, file)))
        .and_then(|sent| stream.write_all(line.get(sent..).unwrap_or_default()))
        .map_err(FrameError::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = r#"{"kind":"error","id":null,"sessionId":null,"message":"m"}"#;
    const REQUEST: &str = r#"{"kind":"tool_call_request","id":"a","sessionId":"b","tool":"Bash","args":{"x":[1.5,{"y":null}]},"actor":"claude_process"}"#;
    const UNREADABLE: &str = r#"{"kind":"tool_call_unreadable","id":"a|b/c@d","sessionId":"b","tool":"Bash","argsSha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","argsBytes":130,"why":"too_deep"}"#;
    const VERDICT: &str = r#"{"kind":"policy_verdict","id":"a","sessionId":"b","verdict":{"decision":"allow","reason":"r","ruleId":null,"tier":null}}"#;

    #[test]
    fn a_message_is_read_as_it_is_written() {
        for text in [REQUEST, UNREADABLE] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
        for text in [ERROR, VERDICT] {
            assert!(parse_answer(text.as_bytes()).is_ok(), "{text}");
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_answer(REQUEST.as_bytes()).is_err());
    }

    #[test]
    fn other_shapes_are_no_messages() {
        let refused = [
            ERROR.replace(r#""id":null,"#, ""),
            ERROR.replace("error", "unheard_of"),
            REQUEST.replace(r#""claude_process""#, r#"{"claude_process":null}"#),
            REQUEST.replace(r#""actor""#, r#""more":1,"actor""#),
            REQUEST.replace(r#""id":"a""#, r#""id":"""#),
            REQUEST.replace(r#""sessionId":"b""#, r#""sessionId":"b c""#),
            UNREADABLE.replace("too_deep", "to_deep"),
            UNREADABLE.replace("130", "-1"),
            REQUEST.replace(r#""tool":"Bash""#, r#""tool":"Read","tool":"Bash""#),
            VERDICT.replace(
                r#"{"decision":"allow","reason":"r","ruleId":null,"tier":null}"#,
                r#"["allow","r",null,null]"#,
            ),
            r#"["tool_call_request","a","b","Bash",{},"claude_process"]"#.to_owned(),
        ];
        for text in refused {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
            assert!(parse_answer(text.as_bytes()).is_err(), "{text}");
        }
    }

    /// Two ends of which one read gives one record, whatever waits behind it.
    fn of_records() -> (UnixStream, UnixStream) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let records = SocketType::SEQPACKET;
        let pair = socketpair(AddressFamily::UNIX, records, SocketFlags::empty(), None);
        let (ours, theirs) = pair.unwrap();
        (UnixStream::from(ours), UnixStream::from(theirs))
    }

    #[test]
    fn a_descriptor_comes_with_the_first_bytes_or_not_at_all() {
        let (begin, rest) = REQUEST.split_at(9);
        let rest = format!("{rest}\n");
        for first in [true, false] {
            let (ours, mut theirs) = of_records();
            if first {
                client_file::send_with(&theirs, begin.as_bytes(), &ours).unwrap();
                theirs.write_all(rest.as_bytes()).unwrap();
            } else {
                theirs.write_all(begin.as_bytes()).unwrap();
                client_file::send_with(&theirs, rest.as_bytes(), &ours).unwrap();
            }
            let (_, descriptor) = read(&ours, Duration::from_secs(2)).unwrap();
            assert_eq!(descriptor.is_some(), first);
        }
    }

    /// Reads a frame of so many bytes, its newline last if it has one, of which the first read gives one byte.
    fn read_of(bytes: usize, ends: bool) -> Result<usize, FrameError> {
        let (ours, mut theirs) = of_records();
        let writer = std::thread::spawn(move || {
            let mut frame = vec![b' '; bytes];
            if ends {
                frame[bytes - 1] = b'\n';
            }
            let (first, rest) = frame.split_at(1);
            let records = [first].into_iter().chain(rest.chunks(16 << 10));
            // Whoever reads no further has decided.
            let _ = records
                .map(|record| theirs.write_all(record))
                .find(Result::is_err);
            theirs
        });
        let read = read_line(&ours, Duration::from_secs(2));
        drop(ours);
        drop(writer.join());
        read.map(|(line, _)| line.len())
    }

    #[test]
    fn a_frame_has_its_bound_wherever_the_reads_end() {
        const MOST: usize = limits::FRAME_BYTES;
        assert_eq!(read_of(MOST, true).unwrap(), MOST - 1);
        for (bytes, ends) in [(MOST + 1, true), (MOST + 1, false), (2 * MOST, true)] {
            let read = read_of(bytes, ends);
            assert!(
                matches!(read, Err(FrameError::TooLong)),
                "{bytes}: {read:?}"
            );
        }
    }
}
