//! One connection through the proxy, from the request to its end.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, Shutdown, send, shutdown};

use crate::tunnel::{self, Bounds, End, read_within};

use super::ProxyConfig;
use super::allowlist::{Allowlist, HTTPS, Host, HostPolicy, Ruled};
use super::client_hello::{self, ConnectRequest};
use super::connect;
use super::connection_events::Ledger;
use super::refusal::{Reason, Refusal};
use super::resolver::Finder;

/// The answer to a CONNECT whose host may be reached.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// A fatal TLS alert: `access_denied` (RFC 8446, section 6).
const ACCESS_DENIED: &[u8] = &[21, 3, 3, 0, 2, 2, 49];
/// A client that was refused may still say so much, for so long, before the link drops: what it
/// leaves unread would cost it the answer.
const LAST_BYTES: usize = 64 << 10;
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// By what a connection is judged.
pub(crate) struct ConnectionRules {
    list: Allowlist,
    policy: Arc<HostPolicy>,
    finder: Finder,
    handshake: Duration,
    patience: Duration,
    bounds: Bounds,
    ledger: Ledger,
}

/// A connection that may be opened.
struct Cleared {
    host: Host,
    port: u16,
    addresses: Vec<SocketAddr>,
    hello: Vec<u8>,
}

/// One that may not, and whether HTTP is still spoken.
struct Refused {
    refusal: Refusal,
    in_tls: bool,
}

impl ConnectionRules {
    pub(crate) fn of(setup: ProxyConfig) -> Self {
        Self {
            list: setup.list,
            policy: setup.policy,
            finder: Finder::new(setup.resolver, setup.patience),
            handshake: setup.handshake,
            patience: setup.patience,
            bounds: setup.bounds,
            ledger: Ledger::new(setup.record, setup.from, setup.connections),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Sees a connection through.
    pub(crate) fn serve(&self, client: &UnixStream, stop: BorrowedFd<'_>) {
        match self.clear(client, stop) {
            Ok(cleared) => self.carry(client, &cleared, stop),
            Err(refused) => self.send_away(client, &refused, stop),
        }
    }

    fn send_away(&self, client: &UnixStream, refused: &Refused, stop: BorrowedFd<'_>) {
        let Refused { refusal, in_tls } = refused;
        // Nothing was refused: the session ended before it was said what is wanted, or could be had.
        if refusal.reason == Reason::Over || self.ledger.deny(refusal).is_err() {
            return;
        }
        if *in_tls {
            let _ = say(client, ACCESS_DENIED);
        } else {
            let _ = say(client, refusal.answer().as_bytes());
        }
        take_leave(client, stop);
    }

    /// Refuses one that nothing was read of.
    pub(crate) fn refuse(&self, client: &UnixStream, refusal: &Refusal) {
        if self.ledger.deny(refusal).is_ok() {
            let _ = say(client, refusal.answer().as_bytes());
        }
    }

    fn clear(&self, client: &UnixStream, stop: BorrowedFd<'_>) -> Result<Cleared, Refused> {
        let http = |refusal| Refused {
            refusal,
            in_tls: false,
        };
        let request = client_hello::request(client, Instant::now() + self.handshake, stop);
        let ConnectRequest { host, port, rest } = request.map_err(|why| http(Refusal::of(why)))?;
        let refusal = |reason, address: Option<IpAddr>| Refusal {
            host: Some(host.to_string()),
            port: Some(port),
            address,
            ..Refusal::of(reason)
        };
        let refused = match (self.policy)(&host, port) {
            Ruled::Refused => Some(Reason::Policy),
            Ruled::Open if port == HTTPS => None,
            Ruled::Open | Ruled::Listed if self.list.allows(&host, port) => None,
            Ruled::Open | Ruled::Listed => Some(match host {
                Host::Name(_) => Reason::NotListed,
                Host::Address(_) => Reason::AddressNotListed,
            }),
        };
        if let Some(reason) = refused {
            return Err(http(refusal(reason, None)));
        }
        if !self.ledger.has_room() {
            return Err(http(refusal(Reason::Exhausted, None)));
        }
        let addresses = self.finder.find(&host, port, &self.list, stop);
        let addresses = addresses.map_err(|(why, address)| http(refusal(why, address)))?;
        let first = addresses.first().map(SocketAddr::ip);
        if say(client, ESTABLISHED).is_err() {
            return Err(http(refusal(Reason::Left, first)));
        }
        let tls = |refusal| Refused {
            refusal,
            in_tls: true,
        };
        let hello = client_hello::hello(client, rest, Instant::now() + self.handshake, stop);
        let hello = hello.map_err(|why| tls(refusal(why, first)))?;
        match (&host, hello.server_name) {
            (Host::Name(requested), Some(named)) if *requested == named => {}
            // No name can be said for an address (RFC 6066).
            (Host::Address(_), None) => {}
            (Host::Name(_), None) => return Err(tls(refusal(Reason::NoName, first))),
            (_, Some(named)) => {
                let refusal = refusal(Reason::OtherName, first);
                return Err(tls(Refusal {
                    server_name: Some(named),
                    ..refusal
                }));
            }
        }
        Ok(Cleared {
            host,
            port,
            addresses,
            hello: hello.bytes,
        })
    }

    fn carry(&self, client: &UnixStream, cleared: &Cleared, stop: BorrowedFd<'_>) {
        let first = cleared.addresses.first().map(SocketAddr::ip);
        let opened = match self.ledger.open(&cleared.host, cleared.port, first) {
            Ok(Some(opened)) => opened,
            // Others were opened since this one was asked for.
            Ok(None) => {
                let refusal = Refusal {
                    host: Some(cleared.host.to_string()),
                    port: Some(cleared.port),
                    address: first,
                    ..Refusal::of(Reason::Exhausted)
                };
                let in_tls = true;
                return self.send_away(client, &Refused { refusal, in_tls }, stop);
            }
            // What is not on record does not happen.
            Err(_) => return,
        };
        let begun = Instant::now();
        match connect::first(&cleared.addresses, begun + self.patience, stop) {
            Ok(Some(server)) => {
                let address = server.peer_addr().map(|address| address.ip()).ok();
                // Small writes are a client's own business.
                let _ = server.set_nodelay(true);
                let carried =
                    tunnel::carry(client, &server, &cleared.hello, Some(stop), self.bounds);
                // Before the links drop: who sees the end finds it recorded.
                let end = carried.end.as_str();
                opened.closed(address, Some(&carried), end, begun.elapsed());
            }
            Ok(None) => opened.closed(None, None, End::Stopped.as_str(), begun.elapsed()),
            Err(error) => {
                let why = format!("cannot connect: {error}");
                opened.closed(None, None, &why, begun.elapsed());
            }
        }
    }
}

/// Says something short to a client that has heard little or nothing before: it fits its buffer.
fn say(client: &UnixStream, words: &[u8]) -> Result<(), rustix::io::Errno> {
    let sent = send(client, words, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    if sent == words.len() {
        Ok(())
    } else {
        Err(rustix::io::Errno::AGAIN)
    }
}

fn take_leave(client: &UnixStream, stop: BorrowedFd<'_>) {
    let _ = shutdown(client, Shutdown::Write);
    let until = Instant::now() + LAST_MOMENT;
    let mut heard = 0;
    while heard < LAST_BYTES {
        match read_within(client, 4 << 10, until, Some(stop)) {
            Ok(Some(block)) if !block.is_empty() => heard += block.len(),
            _ => return,
        }
    }
}
