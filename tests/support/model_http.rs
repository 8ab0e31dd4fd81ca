//! The little HTTP/1.1 a model server needs: one bounded request a connection, one response, close.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Fault;

/// Bytes of request line and headers.
const HEAD: usize = 64 << 10;
/// Bytes of body; the service itself takes 32 MB.
const BODY: usize = 32 << 20;
/// Longest wait for the next bytes of a request.
const STALL: Duration = Duration::from_secs(20);
/// Longest time a whole request may take.
const REQUEST: Duration = Duration::from_secs(60);
/// How long, and for how many bytes, a refused client is heard out so that it can read the refusal.
const LINGER: Duration = Duration::from_secs(1);

/// A request as it came.
pub(super) struct Request {
    pub(super) method: String,
    target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The first header of that lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A response to be written whole.
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Response {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn events(body: String) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream; charset=utf-8",
            body: body.into_bytes(),
        }
    }
}

/// Reads one request; `None` when the client closed without sending a byte.
pub(super) fn read(stream: &TcpStream) -> Result<Option<Request>, Fault> {
    let mut input = Input {
        stream,
        deadline: Instant::now() + REQUEST,
        bytes: Vec::new(),
    };
    let end = loop {
        let end = input.bytes.windows(4).position(|w| w == b"\r\n\r\n");
        if end.unwrap_or(input.bytes.len()) > HEAD {
            return Err(Fault::invalid("the request head is longer than 64 KiB"));
        }
        if let Some(at) = end {
            break at;
        }
        if !input.more()? {
            if input.bytes.is_empty() {
                return Ok(None);
            }
            return Err(Fault::invalid("the connection ended within the head"));
        }
    };
    let body = input.bytes.split_off(end + 4);
    let mut request = head(&input.bytes)?;
    let length = content_length(&request)?;
    if request.header("expect") == Some("100-continue") {
        drop((&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n"));
    }
    input.bytes = body;
    while input.bytes.len() < length {
        if !input.more()? {
            return Err(Fault::invalid("the connection ended within the body"));
        }
    }
    if input.bytes.len() > length {
        return Err(Fault::invalid("bytes after the end of the body"));
    }
    request.body = input.bytes;
    Ok(Some(request))
}

struct Input<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
    bytes: Vec<u8>,
}

impl Input<'_> {
    /// Appends what has come; false at the end of the stream.
    fn more(&mut self) -> Result<bool, Fault> {
        let mut chunk = [0_u8; 16 << 10];
        let left = self.deadline.saturating_duration_since(Instant::now());
        let wait = left.min(STALL).max(Duration::from_millis(1));
        let mut source = self.stream;
        let slow = |_| Fault::invalid("the request did not arrive in time");
        source.set_read_timeout(Some(wait)).map_err(slow)?;
        loop {
            match source.read(&mut chunk) {
                Ok(count) => {
                    self.bytes.extend(chunk.iter().take(count));
                    return Ok(count > 0);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // A client that vanishes before its first byte has asked nothing.
                Err(_) if self.bytes.is_empty() => return Ok(false),
                Err(e) => return Err(slow(e)),
            }
        }
    }
}

fn head(bytes: &[u8]) -> Result<Request, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::invalid("the head is not text"))?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Fault::invalid("the request line is not HTTP/1.1"));
    };
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .filter(|(name, _)| !name.is_empty() && !name.contains([' ', '\t']))
            .ok_or_else(|| Fault::invalid("a header line without a name"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    })
}

fn content_length(request: &Request) -> Result<usize, Fault> {
    if request.header("transfer-encoding").is_some() {
        return Err(Fault::invalid(
            "only bodies with a content-length are taken",
        ));
    }
    let mut lengths = request
        .headers
        .iter()
        .filter(|(name, _)| name == "content-length");
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => return Ok(0),
        (Some((_, length)), None) => length.parse().ok(),
        (Some(_), Some(_)) => None,
    };
    match length {
        Some(length) if length <= BODY => Ok(length),
        Some(_) => Err(Fault {
            status: 413,
            kind: "request_too_large",
            message: "the request body is longer than 32 MiB".to_owned(),
        }),
        None => Err(Fault::invalid("the content-length is not one number")),
    }
}

/// Writes the response and closes. Failures are the client's to notice.
pub(super) fn write(stream: &TcpStream, response: &Response) {
    let reason = match response.status {
        200 => "OK",
        401 => "Unauthorized",
        404 => "Not Found",
        413 => "Content Too Large",
        _ => "Bad Request",
    };
    let mut bytes = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        response.status,
        response.content_type,
        response.body.len(),
    )
    .into_bytes();
    bytes.extend(&response.body);
    let mut sink = stream;
    drop(stream.set_write_timeout(Some(STALL)));
    drop(sink.write_all(&bytes));
    drop(stream.shutdown(Shutdown::Write));
    linger(stream);
}

/// Closing with unread bytes resets the connection and can take the response with it, so hear the client out.
fn linger(mut stream: &TcpStream) {
    let until = Instant::now() + LINGER;
    let mut rest = [0_u8; 16 << 10];
    drop(stream.set_read_timeout(Some(LINGER)));
    while Instant::now() < until && matches!(stream.read(&mut rest), Ok(1..)) {}
}
