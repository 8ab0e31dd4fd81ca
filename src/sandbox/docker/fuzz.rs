//! What must hold of what a Docker daemon answers.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::io::BufReader;

use crate::contracts::limits;

use super::http::{Head, read_body, read_head};
use super::stdcopy::{Stream, demultiplex};

fn read(data: &[u8], at_once: usize) -> Option<(Head, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(at_once, data);
    let head = read_head(&mut reader).ok()?;
    let body = read_body(&mut reader, &head).ok()?;
    Some((head, body))
}

/// A reply is the same in every cut, no larger than what came or its bound; a chunked body is what
/// was cut into chunks, and one that is cut short is none.
pub(crate) fn reply(data: &[u8]) {
    let whole = read(data, 1 << 16);
    assert_eq!(whole, read(data, 1));
    if let Some((_, body)) = whole {
        assert!(body.len() <= data.len().min(limits::DOCKER_REPLY_BYTES));
    }
    let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in data.chunks(1 + data.len() % 50) {
        text.extend(format!("{:x}\r\n", chunk.len()).bytes());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0\r\n\r\n");
    let (_, body) = read(&text, 7).expect("a chunked reply");
    assert_eq!(body, data);
    let short = usize::from(data.first().copied().unwrap_or(0)) % text.len();
    assert!(read(&text[..short], 7).is_none());
}

/// What each stream said, and whether the whole ended as it should.
fn taken(data: &[u8], at_once: usize) -> (bool, [Vec<u8>; 2]) {
    let mut said = [Vec::new(), Vec::new()];
    let ended = demultiplex(
        BufReader::with_capacity(at_once, data),
        &mut |stream, block| said[usize::from(stream != Stream::Out)].extend_from_slice(block),
    );
    (ended.is_ok(), said)
}

/// Two streams in one come apart as they were put together, the same in every cut.
pub(crate) fn streams(data: &[u8]) {
    let whole = taken(data, 1 << 16);
    assert_eq!(whole, taken(data, 1));
    let [out, error] = &whole.1;
    assert!(out.len() + error.len() <= data.len());
    let (mut framed, mut expected) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (at, part) in data.chunks(1 + data.len() % 9).enumerate() {
        framed.extend([u8::from(at % 3 == 0) + 1, 0, 0, 0]);
        framed.extend(u32::try_from(part.len()).expect("short").to_be_bytes());
        framed.extend_from_slice(part);
        expected[usize::from(at % 3 == 0)].extend_from_slice(part);
    }
    assert_eq!(taken(&framed, 5), (true, expected));
    if let Some(last) = framed.len().checked_sub(1) {
        assert!(!taken(&framed[..last], 5).0);
    }
}
