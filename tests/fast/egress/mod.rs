//! The egress proxy on its real socket, before real TLS servers: what it lets through, what it
//! refuses, and that each is on record before it happens.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::tls;

mod bounds;
mod names;
mod relays;
mod servers;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agp::contracts::event::Kind;
use agp::contracts::limits;
use agp::egress::{Allowlist, Proxy, ProxyConfig, Resolver, Unrecorded};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustls::{ClientConnection, Stream};
use serde_json::{Map, Value, json};
use tls::Echo;

/// Long enough for everything, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for nobody to wait for it.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Answers from a table that a test can change, as whoever has a name's zone can.
#[derive(Default)]
struct Table {
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
    /// Whoever looks one of these up waits until it is one no longer.
    held: Mutex<HashSet<String>>,
}

impl Resolver for Table {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        while self.held.lock().unwrap().contains(name) {
            thread::sleep(Duration::from_millis(1));
        }
        let names = self.names.lock().unwrap();
        let found = names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

type Events = Arc<Mutex<Vec<(Kind, Map<String, Value>)>>>;

/// A proxy, its names and its record.
struct World {
    directory: PathBuf,
    proxy: Option<Proxy>,
    names: Arc<Table>,
    events: Events,
    broken: Arc<AtomicBool>,
}

impl World {
    fn new(list: &[&str]) -> Self {
        Self::with(list, |_| {})
    }

    fn with(list: &[&str], change: impl FnOnce(&mut ProxyConfig)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-egress-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let (names, events) = (Arc::new(Table::default()), Events::default());
        let broken = Arc::new(AtomicBool::new(false));
        let (kept, fails) = (Arc::clone(&events), Arc::clone(&broken));
        let record = move |kind, payload| {
            if fails.load(Ordering::SeqCst) {
                return Err(Unrecorded);
            }
            kept.lock().unwrap().push((kind, payload));
            Ok(())
        };
        let list = Allowlist::parse(list.iter().copied()).unwrap();
        let socket = directory.join("egress.sock");
        let mut setup = ProxyConfig::new(socket, "harness", list, Arc::new(record));
        setup.resolver = Arc::clone(&names) as Arc<dyn Resolver>;
        change(&mut setup);
        Self {
            directory,
            proxy: Some(Proxy::start(setup).unwrap()),
            names,
            events,
            broken,
        }
    }

    /// A world that reaches a TLS server under `name`, whose loopback address is listed, too.
    fn reaching(name: &str, change: impl FnOnce(&mut ProxyConfig)) -> (Self, Echo) {
        let echo = Echo::new(&[name]);
        let port = echo.address.port();
        let list = [format!("{name}:{port}"), format!("127.0.0.1:{port}")];
        let world = Self::with(&[&list[0], &list[1]], change);
        world.lead(name, &["127.0.0.1"]);
        (world, echo)
    }

    fn lead(&self, name: &str, to: &[&str]) {
        let to = to.iter().map(|address| address.parse().unwrap()).collect();
        self.names.names.lock().unwrap().insert(name.to_owned(), to);
    }

    /// Has this name's lookup hang.
    fn hold(&self, name: &str) {
        self.names.held.lock().unwrap().insert(name.to_owned());
    }

    /// Asks for a host whose lookup hangs; gives the connection, once so many were begun.
    fn waits(&self, target: &str, begun: usize) -> UnixStream {
        let mut stream = self.connect();
        write!(stream, "CONNECT {target} HTTP/1.1\r\n\r\n").unwrap();
        within_limit(|| (self.looked_up() == begun).then_some(()));
        stream
    }

    fn looked_up(&self) -> usize {
        self.names.asked.lock().unwrap().len()
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.proxy.as_ref().unwrap().socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Asks for a host and port; gives the connection and the answer's status.
    fn ask(&self, target: &str) -> (UnixStream, u16, String) {
        let mut stream = self.connect();
        write!(
            stream,
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        )
        .unwrap();
        let (status, text) = answer(&mut stream);
        (stream, status, text)
    }

    fn refused(&self, target: &str, status: u16) -> Map<String, Value> {
        let (mut stream, got, text) = self.ask(target);
        assert_eq!(got, status, "{target}: {text}");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        self.last(Kind::EgressDeny)
    }

    fn of(&self, kind: Kind) -> Vec<Map<String, Value>> {
        let events = self.events.lock().unwrap();
        let of_kind = events.iter().filter(|(of, _)| *of == kind);
        of_kind.map(|(_, payload)| payload.clone()).collect()
    }

    fn last(&self, kind: Kind) -> Map<String, Value> {
        self.of(kind).pop().unwrap()
    }

    /// Waits for the record of a connection's end.
    fn closed(&self) -> Map<String, Value> {
        within_limit(|| {
            let allowed = self.of(Kind::EgressAllow);
            allowed.into_iter().find(|event| event["phase"] == "closed")
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.proxy.take());
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn within_limit<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "it did not happen");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads an answer's head, not a byte more, and the status in it.
fn answer(stream: &mut UnixStream) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or(0), text)
}

/// Says something over TLS and hears it back.
fn exchange(tls: &mut ClientConnection, stream: &mut UnixStream, words: &[u8]) {
    let mut both = Stream::new(tls, stream);
    both.write_all(words).unwrap();
    both.flush().unwrap();
    let mut heard = vec![0; words.len()];
    both.read_exact(&mut heard).unwrap();
    assert!(heard == words);
}

#[test]
fn a_listed_host_is_reached_and_its_connection_is_on_record() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let port = echo.address.port();
    let (mut stream, status, _) = world.ask(&format!("Model.TEST:{port}"));
    assert_eq!(status, 200);
    assert_eq!(
        echo.accepted(),
        0,
        "nothing is opened before the TLS names its server"
    );
    let mut tls = echo.client("model.test");
    exchange(&mut tls, &mut stream, b"hello");
    let opened = world.last(Kind::EgressAllow);
    assert_eq!(
        Value::Object(opened),
        json!({
            "from": "harness", "connection": 1, "phase": "open", "host": "model.test", "port": port,
            "address": "127.0.0.1", "bytesUp": null, "bytesDown": null, "reason": "listed",
            "durationMs": null,
        })
    );
    drop(stream);
    let closed = world.closed();
    assert_eq!(
        (&closed["connection"], &closed["address"]),
        (&json!(1), &json!("127.0.0.1"))
    );
    assert!(closed["bytesUp"].as_u64() > Some(200) && closed["bytesDown"].as_u64() > Some(200));
    assert!(closed["durationMs"].is_u64());
    assert_eq!(*echo.named.lock().unwrap(), ["model.test"]);
    assert_eq!(world.of(Kind::EgressDeny), []);
}

#[test]
fn what_is_not_listed_is_refused_before_its_name_is_even_looked_up() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let port = echo.address.port();
    for target in [
        format!("other.test:{port}"),
        format!("x.model.test:{port}"),
        format!("model.test.evil.test:{port}"),
        "model.test:22".to_owned(),
        "model.test:80".to_owned(),
        format!("localhost:{port}"),
    ] {
        let denied = world.refused(&target, 403);
        assert_eq!(denied["reason"], "not-listed", "{target}");
        let (host, asked) = target.rsplit_once(':').unwrap();
        assert_eq!(
            (&denied["host"], denied["port"].to_string()),
            (&json!(host), asked.into())
        );
    }
    // A name that is looked up is a message to whoever answers for it.
    assert_eq!(*world.names.asked.lock().unwrap(), Vec::<String>::new());
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn an_address_is_refused_unless_it_is_listed_itself() {
    let echo = Echo::new(&["127.0.0.1"]);
    let port = echo.address.port();
    let world = World::new(&[&format!("127.0.0.1:{port}")]);
    for other in [
        "127.0.0.2",
        "192.0.2.1",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "169.254.169.254",
    ] {
        let denied = world.refused(&format!("{other}:{port}"), 403);
        assert_eq!(denied["reason"], "address-not-listed", "{other}");
    }
    for disguised in [
        "2130706433",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.",
    ] {
        let (_, status, _) = world.ask(&format!("{disguised}:{port}"));
        assert_eq!(status, 400, "{disguised}");
    }
    let (mut stream, status, _) = world.ask(&format!("127.0.0.1:{port}"));
    assert_eq!(status, 200);
    exchange(
        &mut echo.client("127.0.0.1"),
        &mut stream,
        b"by its address",
    );
    // Under a name it would be another server's.
    let (mut stream, status, _) = world.ask(&format!("127.0.0.1:{port}"));
    assert_eq!(status, 200);
    let mut named = echo.client("model.test");
    let mut both = Stream::new(&mut named, &mut stream);
    assert!(both.write_all(b"x").and_then(|()| both.flush()).is_err());
    assert_eq!(world.last(Kind::EgressDeny)["serverName"], "model.test");
}

#[test]
fn the_tls_must_name_the_host_that_was_asked_for() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    // Another tenant of the same front.
    let (mut stream, _, _) = world.ask(&target);
    let mut fronted = echo.client("evil.test");
    let mut both = Stream::new(&mut fronted, &mut stream);
    let told = both
        .write_all(b"x")
        .and_then(|()| both.flush())
        .unwrap_err();
    assert!(told.to_string().contains("AccessDenied"), "{told}");
    let denied = world.last(Kind::EgressDeny);
    assert_eq!(denied["reason"], "other-server-name");
    assert_eq!(denied["serverName"], "evil.test");
    assert_eq!(denied["host"], "model.test");
    // No name at all: a client that asks by address sends none.
    let (mut stream, _, _) = world.ask(&target);
    let mut nameless = echo.client("127.0.0.1");
    let mut both = Stream::new(&mut nameless, &mut stream);
    assert!(both.write_all(b"x").and_then(|()| both.flush()).is_err());
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "no-server-name");
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn plain_http_and_whatever_else_is_no_tls_is_refused() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let port = echo.address.port();
    let mut stream = world.connect();
    let body = "x".repeat(30_000);
    write!(
        stream,
        "POST http://model.test:{port}/ HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    assert_eq!(answer(&mut stream).0, 405);
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "not-connect");
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"SSH-2.0-x\r\n", &[0; 100]] {
        let (mut stream, status, _) = world.ask(&format!("model.test:{port}"));
        assert_eq!(status, 200);
        stream.write_all(words).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [21, 3, 3, 0, 2, 2, 49], "a TLS alert");
        assert_eq!(world.last(Kind::EgressDeny)["reason"], "not-tls");
    }
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn what_is_not_on_record_does_not_happen() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let (mut stream, status, _) = world.ask(&target);
    assert_eq!(status, 200);
    world.broken.store(true, Ordering::SeqCst);
    let mut tls = echo.client("model.test");
    let mut both = Stream::new(&mut tls, &mut stream);
    assert!(both.write_all(b"x").and_then(|()| both.flush()).is_err());
    assert_eq!(echo.accepted(), 0);
    // Nor is a refusal told that is not recorded.
    let (_, status, _) = world.ask("other.test:443");
    assert_eq!(status, 0);
}

#[test]
fn a_proxy_serves_one_user_and_tells_every_other_to_go() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may open the socket at all.
        return;
    }
    let world = World::with(&["model.test"], |setup| setup.user = 65534);
    let socket = fs::metadata(world.directory.join("egress.sock")).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (65534, 0o600));
    // Before it has asked for anything.
    let (status, text) = answer(&mut world.connect());
    assert_eq!(status, 403, "{text}");
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "other-user");
    assert_eq!(*world.names.asked.lock().unwrap(), Vec::<String>::new());
}
