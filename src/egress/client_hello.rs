//! What a client says before anything is carried: the CONNECT request, and the first message of
//! its TLS. Both are read within a bound and a deadline, by parsers that are kept by others.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustls::server::Acceptor;

use crate::contracts::limits;
use crate::tunnel::read_within;

use super::allowlist::{Host, host_and_port};
use super::refusal::Reason;

/// Headers that a CONNECT may have: clients send half a dozen.
const HEADERS: usize = 64;
/// Bytes read at a time.
const BLOCK_BYTES: usize = 4 << 10;

/// What a CONNECT asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnectRequest {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// What the client has sent behind it already.
    pub(crate) rest: Vec<u8>,
}

/// Reads the request.
pub(crate) fn request(
    client: &UnixStream,
    until: Instant,
    stop: BorrowedFd<'_>,
) -> Result<ConnectRequest, Reason> {
    let mut head = Vec::new();
    loop {
        let block = match read_within(client, BLOCK_BYTES, until, Some(stop)) {
            Ok(Some(block)) => block,
            Ok(None) => return Err(Reason::Over),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Reason::Late),
            Err(_) => return Err(Reason::Left),
        };
        if block.is_empty() {
            return Err(Reason::Left);
        }
        head.extend_from_slice(&block);
        if let Some(request) = parse(&head)? {
            return Ok(request);
        }
        if head.len() > limits::EGRESS_HEAD_BYTES {
            return Err(Reason::TooLong);
        }
    }
}

/// Reads a CONNECT, or `None` where it does not end yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<ConnectRequest>, Reason> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            // A request in plain HTTP is told so before its end is waited for.
            return match request.method {
                Some(method) if method != "CONNECT" => Err(Reason::NotConnect),
                _ => Ok(None),
            };
        }
        Err(httparse::Error::TooManyHeaders) => return Err(Reason::TooLong),
        Err(_) => return Err(Reason::Malformed),
    };
    if length > limits::EGRESS_HEAD_BYTES {
        return Err(Reason::TooLong);
    }
    if request.method != Some("CONNECT") {
        return Err(Reason::NotConnect);
    }
    match request.path.map(host_and_port) {
        Some(Ok((host, Some(port)))) => Ok(Some(ConnectRequest {
            host,
            port,
            rest: bytes.get(length..).unwrap_or_default().to_vec(),
        })),
        _ => Err(Reason::NoTarget),
    }
}

/// The beginning of a client's TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The server that it names, in lower case: the outer one, where the inner is encrypted.
    pub(crate) server_name: Option<String>,
    /// All that was read, for the server.
    pub(crate) bytes: Vec<u8>,
}

/// Reads TLS until it is known which server it is for. `rest` came with the request.
pub(crate) fn hello(
    client: &UnixStream,
    rest: Vec<u8>,
    until: Instant,
    stop: BorrowedFd<'_>,
) -> Result<Hello, Reason> {
    let mut acceptor = Acceptor::default();
    let (mut bytes, mut block) = (Vec::new(), rest);
    loop {
        if !block.is_empty() {
            bytes.extend_from_slice(&block);
            if let Some(server_name) = feed(&mut acceptor, &block)? {
                return Ok(Hello { server_name, bytes });
            }
            if bytes.len() > limits::EGRESS_HELLO_BYTES {
                return Err(Reason::HelloTooLong);
            }
        }
        block = match read_within(client, BLOCK_BYTES, until, Some(stop)) {
            Ok(Some(block)) => block,
            Ok(None) => return Err(Reason::Over),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Reason::HelloLate),
            Err(_) => return Err(Reason::Left),
        };
        if block.is_empty() {
            return Err(Reason::Left);
        }
    }
}

/// Gives more bytes to the parser; what server they name, once that is known.
pub(crate) fn feed(
    acceptor: &mut Acceptor,
    mut block: &[u8],
) -> Result<Option<Option<String>>, Reason> {
    while !block.is_empty() {
        match acceptor.read_tls(&mut block) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(Reason::HelloTooLong),
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_owned);
                return Ok(Some(name.map(|name| name.to_ascii_lowercase())));
            }
            Err(_) => return Err(Reason::NotTls),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Option<String>, Reason> {
        let request = parse(text.as_bytes())?;
        Ok(request.map(|request| format!("{}:{}", request.host, request.port)))
    }

    #[test]
    fn a_connect_names_its_host_and_port_and_nothing_else_does() {
        let ok = |text: &str| asked(text).unwrap().unwrap();
        assert_eq!(
            ok("CONNECT A.test:443 HTTP/1.1\r\nHost: other\r\n\r\n"),
            "a.test:443"
        );
        assert_eq!(ok("CONNECT [::1]:7 HTTP/1.0\r\n\r\n"), "[::1]:7");
        for (text, why) in [
            ("GET http://a.test/ HTTP/1.1\r\n", Reason::NotConnect),
            ("POST / HTTP/1.1\r\n\r\n", Reason::NotConnect),
            ("connect a.test:443 HTTP/1.1\r\n\r\n", Reason::NotConnect),
            ("CONNECT a.test HTTP/1.1\r\n\r\n", Reason::NoTarget),
            (
                "CONNECT https://a.test:443 HTTP/1.1\r\n\r\n",
                Reason::NoTarget,
            ),
            ("CONNECT a.test:443/x HTTP/1.1\r\n\r\n", Reason::NoTarget),
            ("CONNECT u@a.test:443 HTTP/1.1\r\n\r\n", Reason::NoTarget),
            ("CONNECT 127.1:443 HTTP/1.1\r\n\r\n", Reason::NoTarget),
            ("CONNECT a.test:443\0 HTTP/1.1\r\n\r\n", Reason::Malformed),
            ("\x16\x03\x01\x02", Reason::Malformed),
            ("CONNECT a.test:443 HTTP/2.0\r\n\r\n", Reason::Malformed),
        ] {
            assert_eq!(asked(text), Err(why), "{text:?}");
        }
        assert_eq!(
            asked("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n"),
            Ok(None)
        );
    }

    #[test]
    fn what_came_with_the_request_is_kept() {
        let request = parse(b"CONNECT a.test:443 HTTP/1.1\r\n\r\n\x16\x03\x01").unwrap();
        assert_eq!(request.unwrap().rest, b"\x16\x03\x01");
    }

    #[test]
    fn the_request_is_bounded() {
        let long = "x".repeat(limits::EGRESS_HEAD_BYTES);
        let text = format!("CONNECT a.test:443 HTTP/1.1\r\nX: {long}\r\n\r\n");
        assert_eq!(asked(&text), Err(Reason::TooLong));
        let many = "A: b\r\n".repeat(HEADERS + 1);
        let text = format!("CONNECT a.test:443 HTTP/1.1\r\n{many}\r\n");
        assert_eq!(asked(&text), Err(Reason::TooLong));
    }

    #[test]
    fn what_is_not_tls_is_told_at_once() {
        for text in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-OpenSSH\r\n", &[0; 64]] {
            let outcome = feed(&mut Acceptor::default(), text);
            assert_eq!(outcome, Err(Reason::NotTls), "{text:?}");
        }
        assert_eq!(feed(&mut Acceptor::default(), b"\x16\x03\x01"), Ok(None));
    }
}
