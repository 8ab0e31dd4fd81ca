//! The egress proxy: bulk through one tunnel against a bare relay between the same kinds of socket,
//! and the memory that an open tunnel takes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use agp::egress::{Allowlist, Proxy, ProxyConfig};
use agp::jail::egress_relay;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::process::{Running, mebibytes};
use crate::report::{Figure, Target};
use crate::timing::{count, median};
use crate::{Fallible, sandbox};

/// The word that makes this program a proxy of its own: its memory is then a proxy's.
pub(crate) const PART: &str = "egress-proxy";
/// Bytes sent one way in one turn.
const BULK: usize = 512 << 20;
const TURNS: usize = 7;
/// Tunnels that are open at once.
const TUNNELS: usize = 400;
/// Bytes that each of these has carried, both ways.
const CARRIED: usize = 256 << 10;
const BLOCK: usize = 64 << 10;

/// Serves until its standard input is closed.
pub(crate) fn main(arguments: &[String]) -> Fallible<()> {
    let [_, socket, listed] = arguments else {
        return Err("usage: egress-proxy SOCKET HOST:PORT".into());
    };
    let _proxy = proxy(Path::new(socket), listed)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn proxy(socket: &Path, listed: &str) -> Fallible<Proxy> {
    let list = Allowlist::parse([listed])?;
    let setup = ProxyConfig::new(socket.to_owned(), "figures", list, Arc::new(|_, _| Ok(())));
    Ok(Proxy::start(setup)?)
}

/// What a client says first, for the proxy to look at. What follows need not be TLS.
fn hello() -> Fallible<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut said = Vec::new();
    client.write_tls(&mut said)?;
    Ok(said)
}

/// A server that takes the first words, and then sends as much as it is asked for.
fn server(hello: usize) -> Fallible<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serving = thread::Builder::new().stack_size(256 << 10);
            // One that cannot be served is a figure that is not had.
            let _ = serving.spawn(move || serve(stream, hello));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream, hello: usize) -> std::io::Result<()> {
    let mut first = vec![0; hello];
    stream.read_exact(&mut first)?;
    let mut asked = [0; 8];
    stream.read_exact(&mut asked)?;
    let mut left = usize::try_from(u64::from_le_bytes(asked)).unwrap_or(0);
    let block = vec![7; BLOCK];
    while left > 0 {
        let now = left.min(BLOCK);
        stream.write_all(block.get(..now).unwrap_or_default())?;
        left -= now;
    }
    // What comes back is taken, and its end waited for.
    let mut rest = vec![0; BLOCK];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn take(mut from: impl Read, mut left: usize) -> std::io::Result<()> {
    let mut block = vec![0; BLOCK];
    while left > 0 {
        let now = left.min(BLOCK);
        let got = from.read(block.get_mut(..now).unwrap_or_default())?;
        if got == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        left -= got;
    }
    Ok(())
}

fn ask(mut stream: impl Write, hello: &[u8], bytes: usize) -> std::io::Result<()> {
    stream.write_all(hello)?;
    stream.write_all(&u64::try_from(bytes).unwrap_or(0).to_le_bytes())
}

fn connect_through(mut stream: impl Read + Write, port: u16) -> Fallible<()> {
    write!(stream, "CONNECT localhost:{port} HTTP/1.1\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.extend_from_slice(&byte);
    }
    if answer.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&answer).into_owned().into())
    }
}

/// A relay that only copies: two threads a connection.
fn bare(socket: &Path, port: u16) -> Fallible<()> {
    let listener = UnixListener::bind(socket)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                return;
            };
            let (Ok(near), Ok(far)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            thread::spawn(move || copy(near, far));
            thread::spawn(move || copy(server, client));
        }
    });
    Ok(())
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut block = vec![0; BLOCK];
    while let Ok(got @ 1..) = from.read(&mut block) {
        if to.write_all(block.get(..got).unwrap_or_default()).is_err() {
            return;
        }
    }
}

pub(crate) fn figures(_work: &Path) -> Fallible<Vec<Figure>> {
    let directory = sandbox::short().with_extension("egress");
    std::fs::create_dir_all(&directory)?;
    let hello = hello()?;
    let port = server(hello.len())?;
    let figures = vec![
        throughput(&directory, &hello, port)?,
        memory(&directory, &hello, port)?,
    ];
    std::fs::remove_dir_all(&directory)?;
    Ok(figures)
}

fn throughput(directory: &Path, hello: &[u8], port: u16) -> Fallible<Figure> {
    let path = |name: &str| -> PathBuf { directory.join(name) };
    let _proxy = proxy(&path("proxy.sock"), &format!("localhost:{port}"))?;
    bare(&path("bare.sock"), port)?;
    let listener = egress_relay::listen(0)?;
    let inner = listener.local_addr()?;
    let socket = path("proxy.sock");
    thread::spawn(move || egress_relay::serve(&listener, &socket));
    let (mut ours, mut theirs, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let rate = |started: Instant| count(BULK >> 20) / started.elapsed().as_secs_f64();
    for _ in 0..TURNS {
        let stream = UnixStream::connect(path("bare.sock"))?;
        let started = Instant::now();
        ask(&stream, hello, BULK)?;
        take(&stream, BULK)?;
        theirs.push(rate(started));
        let stream = UnixStream::connect(path("proxy.sock"))?;
        connect_through(&stream, port)?;
        let started = Instant::now();
        ask(&stream, hello, BULK)?;
        take(&stream, BULK)?;
        ours.push(rate(started));
        let stream = TcpStream::connect(inner)?;
        connect_through(&stream, port)?;
        let started = Instant::now();
        ask(&stream, hello, BULK)?;
        take(&stream, BULK)?;
        whole.push(rate(started));
    }
    Ok(Figure {
        name: "egress proxy, one tunnel",
        ours: median(&ours),
        reference: Some(median(&theirs)),
        unit: "MiB/s",
        target: Target::RatioAtLeast(0.8),
        note: format!(
            "{} MiB to the client, medians of {TURNS} turns, against a relay that only copies blocks of {} KiB between \
             the same kinds of socket; with agp-bridge relay before the proxy {:.0} MiB/s",
            BULK >> 20,
            BLOCK >> 10,
            median(&whole)
        ),
    })
}

fn memory(directory: &Path, hello: &[u8], port: u16) -> Fallible<Figure> {
    let socket = directory.join("alone.sock");
    let child = Command::new(std::env::current_exe()?)
        .arg(PART)
        .arg(&socket)
        .arg(format!("localhost:{port}"))
        .stdin(Stdio::piped())
        .spawn()?;
    let running = Running(child);
    let pid = running.0.id();
    let resident = || mebibytes(pid, "VmRSS").ok_or("no memory is told");
    while UnixStream::connect(&socket).is_err() {
        thread::yield_now();
    }
    let open = || -> Fallible<UnixStream> {
        let mut stream = UnixStream::connect(&socket)?;
        connect_through(&stream, port)?;
        ask(&stream, hello, CARRIED)?;
        take(&stream, CARRIED)?;
        stream.write_all(&vec![9; CARRIED])?;
        Ok(stream)
    };
    // What the first ones bring along for all is not theirs.
    let mut tunnels = vec![open()?, open()?];
    let before = resident()?;
    for _ in 0..TUNNELS {
        tunnels.push(open()?);
    }
    let after = resident()?;
    drop(tunnels);
    Ok(Figure {
        name: "memory of an open tunnel",
        ours: (after - before) * 1024.0 / count(TUNNELS),
        reference: None,
        unit: "KiB",
        target: Target::Below(80.0),
        note: format!(
            "growth of VmRSS of a proxy's process, with {TUNNELS} tunnels that each carried {} KiB both ways and are open; \
             {before:.1} MiB without",
            CARRIED >> 10
        ),
    })
}
