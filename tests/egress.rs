//! The egress proxy on its real socket, before real TLS servers: what it lets through, what it
//! refuses, and that each is on record before it happens.
#![cfg(feature = "agp")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support modules serve other tests too, with more than these use"
)]

#[path = "support/tls.rs"]
mod tls;

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
use agp::sandbox::egress::{Allowlist, Proxy, Resolver, Setup};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustls::{ClientConnection, Stream};
use serde_json::{Map, Value, json};
use tls::Echo;

/// Long enough for everything, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

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

    fn with(list: &[&str], change: impl FnOnce(&mut Setup)) -> Self {
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
                return Err("the disk is full".to_owned());
            }
            kept.lock().unwrap().push((kind, payload));
            Ok(())
        };
        let list = Allowlist::parse(list.iter().copied()).unwrap();
        let socket = directory.join("egress.sock");
        let mut setup = Setup::new(socket, "harness", list, Arc::new(record));
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
    fn reaching(name: &str, change: impl FnOnce(&mut Setup)) -> (Self, Echo) {
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
fn a_name_that_leads_to_a_private_address_is_refused_also_when_it_led_elsewhere_before() {
    let world = World::new(&["model.test"]);
    let own: Vec<String> = nix::ifaddrs::getifaddrs()
        .unwrap()
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip().to_string()))
        .collect();
    let private = [
        "127.0.0.1",
        "10.1.2.3",
        "172.20.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
    ];
    for address in private.into_iter().chain(own.iter().map(String::as_str)) {
        world.lead("model.test", &[address]);
        let denied = world.refused("model.test:443", 403);
        assert_eq!(denied["reason"], "address-not-public", "{address}");
        assert!(denied["address"].is_string());
        // One public address beside it helps nothing.
        world.lead("model.test", &["8.8.8.8", address]);
        assert_eq!(
            world.refused("model.test:443", 403)["reason"],
            "address-not-public"
        );
    }
    assert_eq!(world.refused("model.test:444", 403)["reason"], "not-listed");
    world.names.names.lock().unwrap().clear();
    assert_eq!(
        world.refused("model.test:443", 502)["reason"],
        "not-resolved"
    );
}

/// Between the check and the connection a name may come to lead elsewhere: it is asked once, and
/// what was checked is what is connected to.
#[test]
fn a_name_is_looked_up_once_and_the_checked_address_is_the_one_connected_to() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let elsewhere = Echo::new(&["model.test"]);
    let port = echo.address.port();
    let (mut stream, status, _) = world.ask(&format!("model.test:{port}"));
    assert_eq!(status, 200);
    world.lead("model.test", &["127.0.0.2"]);
    exchange(&mut echo.client("model.test"), &mut stream, b"still here");
    assert_eq!(world.names.asked.lock().unwrap().len(), 1);
    assert_eq!(world.last(Kind::EgressAllow)["address"], "127.0.0.1");
    assert_eq!(elsewhere.accepted(), 0);
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
fn a_hello_without_end_and_a_request_without_end_are_refused() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let (mut stream, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    // One that TLS itself would take, of 60 KiB in records of 1 KiB: read as far as the bound.
    let begun = [&[22, 3, 1, 4, 0, 1, 0, 0xf0, 0][..], &[0; 0x3fc]].concat();
    let (mut client, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    let mut sent = begun.len();
    client.write_all(&begun).unwrap();
    let more = [&[22, 3, 1, 4, 0][..], &[0; 0x400]].concat();
    while client.write_all(&more).is_ok() {
        sent += more.len();
        assert!(sent < 1 << 20, "it is read without end");
    }
    let denied = within_limit(|| world.of(Kind::EgressDeny).pop());
    assert_eq!(denied["reason"], "hello-too-long");
    // A handshake message of 4 MiB in records of 16 KiB.
    let mut record = vec![22, 3, 1, 0x40, 0, 1, 0x40, 0, 0];
    record.resize(5 + 0x4000, 0);
    for _ in 0..8 {
        // It is cut off in the middle.
        if stream.write_all(&record).is_err() {
            break;
        }
        record = [&[22, 3, 1, 0x40, 0][..], &vec![0; 0x4000]].concat();
    }
    let denied = within_limit(|| world.of(Kind::EgressDeny).into_iter().nth(1));
    assert!(
        ["hello-too-long", "not-tls"].contains(&denied["reason"].as_str().unwrap()),
        "{denied:?}"
    );
    let mut stream = world.connect();
    let long = "x".repeat(limits::EGRESS_HEAD_BYTES);
    let _ = write!(stream, "CONNECT model.test:1 HTTP/1.1\r\nX: {long}{long}");
    assert_eq!(answer(&mut stream).0, 431);
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn whoever_speaks_too_slowly_is_cut_off() {
    let (world, echo) = World::reaching("model.test", |setup| {
        setup.handshake = Duration::from_millis(300);
    });
    let drip = |stream: &mut UnixStream, words: &[u8]| {
        for byte in words.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    let mut slow = world.connect();
    drip(&mut slow, b"CONNECT");
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "head-late");
    let (mut slow, status, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    assert_eq!(status, 200);
    slow.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
    drip(&mut slow, &[3]);
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "hello-late");
    assert_eq!(echo.accepted(), 0);
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
}

#[test]
fn five_hundred_connections_are_carried_at_once_and_what_is_beyond_the_bound_is_refused() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let mut all = Vec::new();
    for _ in 0..500 {
        let (mut stream, status, _) = world.ask(&target);
        assert_eq!(status, 200);
        let mut tls = echo.client("model.test");
        exchange(&mut tls, &mut stream, b"one of many");
        all.push((tls, stream));
    }
    assert_eq!(world.proxy.as_ref().unwrap().open(), 500);
    for (tls, stream) in &mut all {
        exchange(tls, stream, b"and each still there");
    }
    let waiting: Vec<UnixStream> = (500..limits::EGRESS_CONNECTIONS)
        .map(|_| world.connect())
        .collect();
    within_limit(|| (world.proxy.as_ref()?.open() == limits::EGRESS_CONNECTIONS).then_some(()));
    let mut beyond = world.connect();
    assert_eq!(answer(&mut beyond).0, 503);
    assert_eq!(
        world.last(Kind::EgressDeny)["reason"],
        "too-many-connections"
    );
    drop((all, waiting));
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
    let (_, status, _) = world.ask(&target);
    assert_eq!(status, 200);
}

#[test]
fn a_connection_that_rests_or_carries_too_much_is_ended() {
    let (world, echo) = World::reaching("model.test", |setup| {
        setup.bounds.idle = Duration::from_millis(200);
    });
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    exchange(
        &mut echo.client("model.test"),
        &mut stream,
        b"and then nothing",
    );
    assert_eq!(world.closed()["reason"], "idle");

    let (world, echo) = World::reaching("model.test", |setup| setup.bounds.bytes = 100_000);
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    let mut tls = echo.client("model.test");
    exchange(&mut tls, &mut stream, b"a little");
    let mut both = Stream::new(&mut tls, &mut stream);
    let mut sent = 0;
    while both
        .write_all(&[7; 4096])
        .and_then(|()| both.flush())
        .is_ok()
    {
        sent += 4096;
        assert!(sent < 10_000_000, "it is carried without end");
    }
    let closed = world.closed();
    assert_eq!(closed["reason"], "bytes");
    let carried = closed["bytesUp"].as_u64().unwrap() + closed["bytesDown"].as_u64().unwrap();
    assert_eq!(carried, 100_000);
}

#[test]
fn a_session_that_has_had_all_its_connections_opens_no_other() {
    let (world, echo) = World::reaching("model.test", |setup| setup.connections = 2);
    let target = format!("model.test:{}", echo.address.port());
    // All three are asked for while there is room.
    let mut asked: Vec<UnixStream> = (0..3).map(|_| world.ask(&target).0).collect();
    let mut late = asked.pop().unwrap();
    for stream in &mut asked {
        exchange(&mut echo.client("model.test"), stream, b"one of two");
    }
    let mut tls = echo.client("model.test");
    let mut both = Stream::new(&mut tls, &mut late);
    let told = both.write_all(b"x").and_then(|()| both.flush());
    let told = told.unwrap_err();
    assert!(told.to_string().contains("AccessDenied"), "{told}");
    let denied = world.last(Kind::EgressDeny);
    assert_eq!(
        (&denied["reason"], &denied["host"], &denied["address"]),
        (
            &json!("session-limit"),
            &json!("model.test"),
            &json!("127.0.0.1")
        )
    );
    // That others have ended makes no room, and nothing is looked up for it.
    drop((asked, late));
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
    let looked_up = world.looked_up();
    let denied = world.refused(&target, 503);
    assert_eq!(denied["reason"], "session-limit");
    assert_eq!(denied["port"], echo.address.port());
    assert_eq!((world.looked_up(), echo.accepted()), (looked_up, 2));
    let numbers = world.of(Kind::EgressAllow);
    let opened = numbers.iter().filter(|event| event["phase"] == "open");
    let opened: Vec<&Value> = opened.map(|event| &event["connection"]).collect();
    assert_eq!(opened, [&json!(1), &json!(2)]);
}

#[test]
fn a_name_whose_lookup_hangs_is_given_up() {
    let world = World::with(&["slow.test"], |setup| {
        setup.patience = Duration::from_millis(100);
    });
    world.hold("slow.test");
    let denied = world.refused("slow.test:443", 502);
    assert_eq!(denied["reason"], "not-resolved");
    assert_eq!(denied["host"], "slow.test");
    assert_eq!(world.looked_up(), 1);
    within_limit(|| (world.proxy.as_ref()?.open() == 0).then_some(()));
}

/// Long enough for nobody to wait for it.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

#[test]
fn lookups_that_hang_hold_up_no_other_as_long_as_there_may_be_more() {
    let echo = Echo::new(&["model.test"]);
    let target = format!("model.test:{}", echo.address.port());
    let own = format!("127.0.0.1:{}", echo.address.port());
    let world = || {
        let list = [&target, &own, "slow.test"];
        let world = World::with(&list, |setup| setup.patience = FOR_EVER);
        world.lead("model.test", &["127.0.0.1"]);
        world.hold("slow.test");
        world
    };
    let one = world();
    let _waiting = one.waits("slow.test:443", 1);
    let (mut stream, status, _) = one.ask(&target);
    assert_eq!(status, 200);
    exchange(&mut echo.client("model.test"), &mut stream, b"meanwhile");

    let all = world();
    let most = limits::EGRESS_LOOKUPS;
    let begun = (1..=most).map(|begun| all.waits("slow.test:443", begun));
    let begun: Vec<UnixStream> = begun.collect();
    assert_eq!(all.refused(&target, 502)["reason"], "not-resolved");
    assert_eq!(all.looked_up(), most, "one more thread");
    all.names.held.lock().unwrap().clear();
    for mut stream in begun {
        assert_eq!(answer(&mut stream).0, 502);
    }
    within_limit(|| (all.ask(&target).1 == 200).then_some(()));
}

#[test]
fn the_end_of_the_proxy_waits_for_no_lookup() {
    let mut world = World::with(&["slow.test"], |setup| setup.patience = FOR_EVER);
    world.hold("slow.test");
    let mut stream = world.waits("slow.test:443", 1);
    drop(world.proxy.take());
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
    // Nothing was refused.
    assert_eq!(world.of(Kind::EgressDeny), []);
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
fn a_flood_of_refusals_is_counted_and_does_not_fill_the_journal() {
    let mut world = World::new(&[]);
    let more = 25;
    for _ in 0..limits::EGRESS_DENIALS + more {
        let (_, status, _) = world.ask("other.test:443");
        assert_eq!(status, 403);
    }
    drop(world.proxy.take());
    let denied = world.of(Kind::EgressDeny);
    assert_eq!(denied.len() as u64, limits::EGRESS_DENIALS + 1);
    let last = denied.last().unwrap();
    assert_eq!(
        (&last["reason"], &last["count"]),
        (&json!("more"), &json!(more))
    );
}

#[test]
fn the_end_of_the_proxy_is_the_end_of_its_connections() {
    let (mut world, echo) = World::reaching("model.test", |_| {});
    let (mut stream, _, _) = world.ask(&format!("model.test:{}", echo.address.port()));
    exchange(&mut echo.client("model.test"), &mut stream, b"under way");
    let _waiting = world.connect();
    drop(world.proxy.take());
    assert_eq!(world.closed()["reason"], "stopped");
    // One that had asked for nothing was refused nothing.
    assert_eq!(world.of(Kind::EgressDeny), []);
    assert!(UnixStream::connect(world.directory.join("egress.sock")).is_err());
}

/// A server whose queue is full: who connects hears nothing.
fn silent_server() -> (OwnedFd, u16, Vec<OwnedFd>) {
    let socket = || {
        let (family, flags) = (AddressFamily::INET, SocketFlags::NONBLOCK);
        net::socket_with(family, SocketType::STREAM, flags, None).unwrap()
    };
    let listener = socket();
    net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    net::listen(&listener, 0).unwrap();
    let address = net::getsockname(&listener).unwrap();
    let address = SocketAddr::try_from(address).unwrap();
    let waiting = (0..8).map(|_| {
        let waiting = socket();
        // Some are let into the queue, the others are kept waiting.
        let _ = net::connect(&waiting, &address);
        waiting
    });
    let waiting = waiting.collect();
    (listener, address.port(), waiting)
}

#[test]
fn a_server_that_is_silent_is_given_up_and_not_waited_for_at_the_end() {
    let (_listener, port, _waiting) = silent_server();
    let echo = Echo::new(&["localhost"]);
    let reached_for = |patience| {
        let list = format!("localhost:{port}");
        let world = World::with(&[&list], |setup| setup.patience = patience);
        let (mut stream, status, _) = world.ask(&list);
        assert_eq!(status, 200);
        let mut tls = echo.client("localhost");
        tls.write_tls(&mut stream).unwrap();
        within_limit(|| world.of(Kind::EgressAllow).pop());
        (world, stream)
    };
    let (world, _stream) = reached_for(Duration::from_millis(200));
    let why = world.closed()["reason"].as_str().unwrap().to_owned();
    assert!(why.starts_with("not connected: "), "{why}");

    let (mut world, mut stream) = reached_for(FOR_EVER);
    drop(world.proxy.take());
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert_eq!(told, b"");
    assert_eq!(world.closed()["reason"], "stopped");
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let world = World::new(&[&format!("localhost:{port}")]);
    let echo = Echo::new(&["localhost"]);
    let (mut stream, status, _) = world.ask(&format!("localhost:{port}"));
    assert_eq!(status, 200);
    let mut tls = echo.client("localhost");
    let mut both = Stream::new(&mut tls, &mut stream);
    assert!(both.write_all(b"x").and_then(|()| both.flush()).is_err());
    let closed = world.closed();
    let why = closed["reason"].as_str().unwrap();
    assert!(why.starts_with("not connected: "), "{why}");
    assert_eq!(closed["address"], Value::Null);
}

/// Says something to a listed host through a relay at this port.
fn through_relay(port: u16, target: &str, echo: &Echo) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "CONNECT {target} HTTP/1.1\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let mut tls = echo.client("model.test");
    let mut both = Stream::new(&mut tls, &mut stream);
    both.write_all(b"through both").unwrap();
    both.flush().unwrap();
    let mut heard = [0; 12];
    both.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"through both");
}

fn relay(world: &World, port: &str, command: &[&str]) -> std::process::Child {
    let socket = world.directory.join("egress.sock");
    std::process::Command::new(env!("CARGO_BIN_EXE_agp-bridge"))
        .args(["relay", "--port", port, "--socket"])
        .arg(socket)
        .args(command)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_relay_beside_a_command_tells_it_where_and_ends_with_it() {
    let (world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let say = "echo $HTTPS_PROXY $https_proxy $ALL_PROXY $NO_PROXY; read line; exit 7";
    let mut command = relay(&world, "0", &["--", "sh", "-c", say]);
    let mut told = String::new();
    let mut output = io::BufReader::new(command.stdout.take().unwrap());
    io::BufRead::read_line(&mut output, &mut told).unwrap();
    let proxy = told.split(' ').next().unwrap();
    let port = proxy.strip_prefix("http://127.0.0.1:").unwrap();
    let expected = format!("{proxy} {proxy} {proxy} localhost,127.0.0.1,::1\n");
    assert_eq!(told, expected);
    let port: u16 = port.parse().unwrap();
    through_relay(port, &target, &echo);
    through_relay(port, &target, &echo);
    command.stdin.take().unwrap().write_all(b"end\n").unwrap();
    let mut rest = String::new();
    // It ends with the command's output, which the relay does not hold open.
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(command.wait().unwrap().code(), Some(7));
    within_limit(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).err());
}

#[test]
fn a_relay_alone_carries_until_it_is_ended_and_without_a_proxy_carries_nothing() {
    let (mut world, echo) = World::reaching("model.test", |_| {});
    let target = format!("model.test:{}", echo.address.port());
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut alone = relay(&world, &port.to_string(), &[]);
    within_limit(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    through_relay(port, &target, &echo);
    drop(world.proxy.take());
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    alone.kill().unwrap();
    alone.wait().unwrap();
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
    let (_, status, text) = world.ask("model.test:443");
    assert_eq!(status, 403, "{text}");
    assert_eq!(world.last(Kind::EgressDeny)["reason"], "other-user");
    assert_eq!(*world.names.asked.lock().unwrap(), Vec::<String>::new());
}
