//! HTTP/1.1 over a Unix socket, as much of it as the Engine API speaks: one connection a request,
//! every part of a reply bounded in bytes and in time.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::contracts::limits;

/// What came of asking, where no reply could be had.
#[derive(Debug)]
pub enum HttpError {
    /// Nobody listens there, or it may not be spoken to.
    Connect(io::Error),
    /// The connection broke, or the time was up.
    Broken(io::Error),
    /// The reply is not HTTP as it is spoken here.
    Malformed(&'static str),
    /// The reply is larger than any that is asked for.
    TooLarge(&'static str),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "is not reachable: {error}"),
            Self::Broken(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("did not answer in time")
            }
            Self::Broken(error) => write!(f, "closed the connection: {error}"),
            Self::Malformed(what) => write!(f, "sent an invalid HTTP response: {what}"),
            Self::TooLarge(what) => write!(f, "sent too large a response: {what}"),
        }
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// A JSON document.
    pub body: Option<&'a str>,
    /// How long all of it may take.
    pub within: Duration,
}

/// The head of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Api-Version`.
    pub api_version: Option<String>,
    /// `Server`.
    pub server: Option<String>,
    /// `Libpod-API-Version`, by which Podman tells of itself.
    pub libpod: Option<String>,
    length: Option<u64>,
    chunked: bool,
}

/// A whole reply.
#[derive(Debug)]
pub struct HttpReply {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

/// Asks, and takes the whole reply, of a body of at most [`limits::DOCKER_REPLY_BYTES`].
///
/// # Errors
/// [`HttpError`] when there is none.
pub fn ask(socket: &Path, request: &HttpRequest<'_>) -> Result<HttpReply, HttpError> {
    let mut reader = begin(socket, request, "Connection: close\r\n")?;
    let head = read_head(&mut reader)?;
    let body = read_body(&mut reader, &head)?;
    Ok(HttpReply { head, body })
}

/// A connection that has become a stream of bytes.
#[derive(Debug)]
pub struct Hijacked {
    /// What came behind the head already.
    pub begun: Vec<u8>,
    /// The rest.
    pub stream: UnixStream,
}

/// Asks for a stream. A reply that is none is a whole one.
///
/// # Errors
/// [`HttpError`] when there is no reply.
pub fn hijack(
    socket: &Path,
    request: &HttpRequest<'_>,
) -> Result<Result<Hijacked, HttpReply>, HttpError> {
    let mut reader = begin(socket, request, "Connection: Upgrade\r\nUpgrade: tcp\r\n")?;
    let head = read_head(&mut reader)?;
    // Daemons that do not know the upgrade answer 200 with the same stream and no length.
    let streams =
        head.status == 101 || (head.status == 200 && head.length.is_none() && !head.chunked);
    if !streams {
        let body = read_body(&mut reader, &head)?;
        return Ok(Err(HttpReply { head, body }));
    }
    let begun = reader.buffer().to_vec();
    let stream = reader.into_inner().stream;
    stream.set_read_timeout(None).map_err(HttpError::Broken)?;
    stream.set_write_timeout(None).map_err(HttpError::Broken)?;
    Ok(Ok(Hijacked { begun, stream }))
}

/// A stream that is read until a certain time, however little comes at once.
#[derive(Debug)]
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

/// A socket's own timeout shows as an operation that would block.
fn timed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer).map_err(timed)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write(bytes).map_err(timed)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends a request.
fn begin(
    socket: &Path,
    request: &HttpRequest<'_>,
    connection: &str,
) -> Result<BufReader<Timed>, HttpError> {
    let stream = UnixStream::connect(socket).map_err(HttpError::Connect)?;
    let mut timed = Timed {
        stream,
        until: Instant::now() + request.within,
    };
    let HttpRequest { method, target, .. } = request;
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\n{connection}");
    let body = request.body.unwrap_or_default();
    if request.body.is_some() {
        text.push_str("Content-Type: application/json\r\n");
    }
    if *method != "GET" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    let written = timed.write_all(text.as_bytes());
    let mut reader = BufReader::new(timed);
    if let Err(error) = written {
        // A daemon may refuse before it has read all, and say why.
        let answered = reader.fill_buf().is_ok_and(|buffer| !buffer.is_empty());
        if !answered {
            return Err(HttpError::Broken(error));
        }
    }
    Ok(reader)
}

/// Headers of a reply that are looked at; daemons send about ten.
const HEADERS: usize = 64;

pub(super) fn read_head(reader: &mut impl BufRead) -> Result<Head, HttpError> {
    let mut text = Vec::new();
    loop {
        let begun = text.len();
        read_line(reader, &mut text, limits::HTTP_HEAD_BYTES)
            .map_err(|error| too_large(error, "the head"))?;
        let line = text.get(begun..).unwrap_or_default();
        if line == b"\r\n" || line == b"\n" {
            break;
        }
    }
    parse_head(&text)
}

fn parse_head(text: &[u8]) -> Result<Head, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(text) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HttpError::Malformed("incomplete header")),
        Err(_) => return Err(HttpError::Malformed("the head")),
    }
    let mut head = Head {
        status: parsed.code.unwrap_or(0),
        ..Head::default()
    };
    for header in parsed.headers.iter() {
        let value = || -> Result<String, HttpError> {
            let text = str::from_utf8(header.value);
            text.map(|text| text.trim().to_owned())
                .map_err(|_| HttpError::Malformed("a header's value"))
        };
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("api-version") {
            head.api_version = Some(value()?);
        } else if is("server") {
            head.server = Some(value()?);
        } else if is("libpod-api-version") {
            head.libpod = Some(value()?);
        } else if is("content-length") {
            let length = value()?;
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = length.parse().ok().filter(|_| digits);
            let length = length.ok_or(HttpError::Malformed("Content-Length"))?;
            if head.length.is_some_and(|other| other != length) {
                return Err(HttpError::Malformed("two content lengths"));
            }
            head.length = Some(length);
        } else if is("transfer-encoding") {
            if !value()?.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Malformed("unknown transfer encoding"));
            }
            head.chunked = true;
        }
    }
    if head.chunked && head.length.is_some() {
        return Err(HttpError::Malformed("both a content length and chunks"));
    }
    Ok(head)
}

/// Appends one line, its end included; `bytes` bounds all of `text`.
fn read_line(reader: &mut impl BufRead, text: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
    let room = bytes.saturating_sub(text.len()) as u64;
    let got = reader.take(room).read_until(b'\n', text)?;
    match text.last() {
        // The newline may be that of the line before.
        Some(b'\n') if got > 0 => Ok(()),
        _ if text.len() >= bytes => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn too_large(error: io::Error, what: &'static str) -> HttpError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => HttpError::TooLarge(what),
        _ => HttpError::Broken(error),
    }
}

pub(super) fn read_body(reader: &mut impl BufRead, head: &Head) -> Result<Vec<u8>, HttpError> {
    const BOUND: usize = limits::DOCKER_REPLY_BYTES;
    if matches!(head.status, 100..200 | 204 | 304) {
        return Ok(Vec::new());
    }
    if head.chunked {
        return read_chunks(reader, BOUND);
    }
    let mut body = Vec::new();
    let Some(length) = head.length else {
        // It ends with the connection.
        let took = reader.take(BOUND as u64 + 1).read_to_end(&mut body);
        took.map_err(HttpError::Broken)?;
        return if body.len() > BOUND {
            Err(HttpError::TooLarge("the body"))
        } else {
            Ok(body)
        };
    };
    if length > BOUND as u64 {
        return Err(HttpError::TooLarge("the body"));
    }
    let took = reader.take(length).read_to_end(&mut body);
    if took.map_err(HttpError::Broken)? as u64 != length {
        return Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(body)
}

/// Bytes of the line that begins a chunk, with any extension.
const CHUNK_LINE_BYTES: usize = 1024;

fn read_chunks(reader: &mut impl BufRead, bound: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        read_line(reader, &mut line, CHUNK_LINE_BYTES)
            .map_err(|error| too_large(error, "the head of a chunk"))?;
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
            return Err(HttpError::Malformed("the size of a chunk"));
        };
        if size == 0 {
            break;
        }
        let room = bound.saturating_sub(body.len()) as u64;
        if size > room {
            return Err(HttpError::TooLarge("the body"));
        }
        let took = reader.take(size).read_to_end(&mut body);
        if took.map_err(HttpError::Broken)? as u64 != size {
            return Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut end = Vec::new();
        read_line(reader, &mut end, 2).map_err(HttpError::Broken)?;
        if end != b"\r\n" && end != b"\n" {
            return Err(HttpError::Malformed("the end of a chunk"));
        }
    }
    // Trailers say nothing that is wanted.
    let mut trailers = Vec::new();
    loop {
        let begun = trailers.len();
        read_line(reader, &mut trailers, limits::HTTP_HEAD_BYTES)
            .map_err(|error| too_large(error, "the trailers"))?;
        if matches!(trailers.get(begun..), Some(b"\r\n" | b"\n")) {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let mut reader = BufReader::with_capacity(1, text);
        let head = read_head(&mut reader).map_err(|error| error.to_string())?;
        let body = read_body(&mut reader, &head).map_err(|error| error.to_string())?;
        Ok((head.status, body))
    }

    #[test]
    fn bodies_come_in_four_ways() {
        for (text, status, body) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\nokmore"[..], 200, &b"ok"[..]),
            (b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: 1\r\n\r\n", 201, b"ok"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 101 UPGRADED\r\n\r\n", 101, b""),
            (b"HTTP/1.1 400 Bad\r\n\r\nto the end", 400, b"to the end"),
        ] {
            assert_eq!(whole(text), Ok((status, body.to_vec())));
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            b"no http at all\r\n\r\n",
        ] {
            let readable = String::from_utf8_lossy(text);
            assert!(whole(text).is_err(), "{readable}");
        }
    }

    #[test]
    fn a_short_reply_is_none() {
        for text in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"",
        ] {
            assert!(whole(text).is_err());
        }
    }

    #[test]
    fn a_head_that_ends_with_a_line_ends_the_reading() {
        let cut = b"HTTP/1.1 200 OK\r\nA: b\r\n";
        assert!(whole(cut).is_err());
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 1\r\n";
        assert!(whole(cut).is_err());
        // As long as a head may be, to the byte, and a line of it just over.
        let mut full = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        full.resize(limits::HTTP_HEAD_BYTES - 1, b'x');
        full.extend_from_slice(b"\nB: c\r\n\r\n");
        assert!(whole(&full).is_err());
    }

    #[test]
    fn everything_is_bounded() {
        let long = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'x'; 70_000]].concat();
        assert!(whole(&long).is_err());
        let many = [
            b"HTTP/1.1 200 OK\r\n".as_slice(),
            &b"A: b\r\n".repeat(100),
            b"\r\n",
        ]
        .concat();
        assert!(whole(&many).is_err());
        let giant = b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n";
        assert_eq!(
            whole(giant),
            Err("sent too large a response: the body".into())
        );
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000000\r\n";
        assert_eq!(
            whole(chunk),
            Err("sent too large a response: the body".into())
        );
    }
}
