//! What must hold of what a client of the proxy says, and of the list of hosts.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use rustls::server::Acceptor;

use crate::contracts::limits;

use super::allowlist::{AllowedHost, Allowlist, Host};
use super::client_hello::{feed, parse};

/// A CONNECT is read to the same however it comes in pieces, names what stands in its first line,
/// and hands on what stands behind it.
pub(crate) fn connect(data: &[u8]) {
    let whole = parse(data);
    let mut first = None;
    for end in 0..=data.len().min(512) {
        match parse(&data[..end]) {
            Ok(None) => {}
            decided => {
                first = Some((end, decided));
                break;
            }
        }
    }
    let Some((end, decided)) = first else {
        return;
    };
    let Ok(Some(request)) = decided else {
        assert!(whole.is_err(), "refused early, and taken late");
        return;
    };
    assert!(request.rest.is_empty());
    let whole = whole.expect("taken early").expect("and complete");
    assert_eq!((&whole.host, whole.port), (&request.host, request.port));
    assert_eq!(whole.rest, &data[end..]);
    assert!(end <= limits::EGRESS_HEAD_BYTES);
    let head = String::from_utf8_lossy(&data[..end]).to_ascii_lowercase();
    let line = head.trim_start().lines().next().unwrap_or_default();
    assert!(line.starts_with("connect "), "{line:?}");
    if let Host::Name(name) = &request.host {
        assert!(
            line.contains(&format!(" {name}:{} ", request.port)),
            "{line:?}"
        );
    }
}

/// The server that a ClientHello names is the one that a second reader finds, and it does not
/// matter in which pieces it comes.
pub(crate) fn hello(data: &[u8]) {
    let whole = feed(&mut Acceptor::default(), data);
    let mut acceptor = Acceptor::default();
    let mut pieces = Ok(None);
    for byte in data {
        pieces = feed(&mut acceptor, std::slice::from_ref(byte));
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    if let Ok(Some(name)) = &whole {
        assert_eq!(pieces.as_ref().ok(), Some(&Some(name.clone())));
        let second = server_name(data);
        match name {
            Some(name) => {
                let second = second.expect("a name").to_ascii_lowercase();
                assert_eq!(second.strip_suffix('.').unwrap_or(&second), name);
            }
            // What is no DNS name is none: then nothing is carried.
            None => {
                let named =
                    second.is_some_and(|name| matches!(Host::parse(&name), Ok(Host::Name(_))));
                assert!(!named);
            }
        }
    }
}

/// A reader of exact lengths.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of this many bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte)),
        )
    }

    /// What stands behind its length.
    fn vector(&mut self, bytes: usize) -> Option<Bytes<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Bytes)
    }
}

/// The name in a ClientHello (RFC 8446, section 4.1.2; RFC 6066, section 3), of records put together.
fn server_name(data: &[u8]) -> Option<String> {
    let (mut records, mut message) = (Bytes(data), Vec::new());
    while let Some(22) = records.number(1) {
        records.take(2)?;
        message.extend_from_slice(records.vector(2)?.0);
        let whole = Bytes(message.get(1..).unwrap_or_default())
            .vector(3)
            .is_some();
        if whole {
            break;
        }
    }
    let mut handshake = Bytes(&message);
    if handshake.number(1)? != 1 {
        return None;
    }
    let mut hello = handshake.vector(3)?;
    hello.take(2 + 32)?;
    hello.vector(1)?;
    hello.vector(2)?;
    hello.vector(1)?;
    let mut extensions = hello.vector(2)?;
    loop {
        let kind = extensions.number(2)?;
        let mut body = extensions.vector(2)?;
        if kind == 0 {
            let mut names = body.vector(2)?;
            names.number(1)?;
            return String::from_utf8(names.vector(2)?.0.to_vec()).ok();
        }
    }
}

/// An entry is shown in one spelling, which is read as the same; it allows no host but those that
/// it names.
pub(crate) fn hosts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (entry, other) = text.split_once('\n').unwrap_or((&text, "a.test"));
    let host = Host::parse(other);
    if let Ok(host) = &host {
        assert_eq!(Host::parse(&host.to_string()).as_ref(), Ok(host));
    }
    let Ok(entry) = AllowedHost::parse(entry) else {
        return;
    };
    let text = entry.to_string();
    assert_eq!(AllowedHost::parse(&text).as_ref(), Ok(&entry));
    let list = Allowlist::parse([text.as_str()]).expect("an entry is a list");
    let Ok(host) = host else { return };
    let (pattern, port) = text.rsplit_once(':').expect("a port");
    let port: u16 = port.parse().expect("a number");
    let named = match (pattern.strip_prefix("*."), &host) {
        (Some(suffix), Host::Name(name)) => name
            .strip_suffix(suffix)
            .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        (Some(_), Host::Address(_)) => false,
        (None, host) => pattern == host.to_string(),
    };
    assert_eq!(list.allows(&host, port), named);
    assert!(!list.allows(&host, port.wrapping_add(1)));
}
