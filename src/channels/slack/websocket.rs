//! One Socket Mode connection: opened with bounds on time and size, then read without blocking.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, WebSocket};
use ureq::http::Uri;

use crate::contracts::limits;

use super::config::is_loopback;
use super::envelope::{self, Frame};

/// Why a connection was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkError(pub(super) String);

/// A stream that while it is being opened keeps one deadline for all it reads and writes: whoever sends a
/// byte now and then does not prolong it.
struct Tcp {
    stream: TcpStream,
    until: Option<Instant>,
}

impl Tcp {
    fn patience(&self) -> io::Result<()> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.set_write_timeout(Some(left))
    }
}

impl Read for Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patience()?;
        self.stream.read(buffer)
    }
}

impl Write for Tcp {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.patience()?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

enum Wire {
    Plain(Tcp),
    Tls(Box<StreamOwned<ClientConnection, Tcp>>),
}

impl Wire {
    fn tcp(&self) -> &Tcp {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn tcp_mut(&mut self) -> &mut Tcp {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(buffer),
            Self::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Frame(Frame),
    /// A frame that is none: binary, or no JSON of Slack's.
    Malformed,
    /// A ping, a pong, or a close: the library answers.
    Control,
    /// Nothing more for now.
    Quiet,
    /// The connection is over; says why.
    Ended(String),
}

/// A connection whose hello was heard.
pub(super) struct OpenSocket {
    socket: WebSocket<Wire>,
    /// Whose connection it is, by its hello.
    pub(super) app: String,
    /// How many the app has, by its hello.
    pub(super) connections: u64,
    /// When it was opened.
    pub(super) opened: Instant,
    /// When anything was heard last.
    pub(super) heard: Instant,
    /// When agp pinged last.
    pub(super) pinged: Instant,
    /// Which of this session's it is.
    pub(super) number: u64,
    /// Since when it only waits for what becomes of its last clicks.
    pub(super) retiring: Option<Instant>,
    /// Since when agp has wanted it closed.
    pub(super) leaving: Option<Instant>,
    /// Something of ours waits to be written.
    owes: bool,
    /// The other side takes nothing any more.
    clogged: bool,
}

impl OpenSocket {
    /// Connects and waits for the hello. `plain` says whether `ws` on a loopback address will do.
    pub(super) fn open(url: &str, tls: &Arc<ClientConfig>, plain: bool) -> Result<Self, LinkError> {
        let until = Instant::now() + limits::SLACK_PATIENCE;
        let wrong = |why: &str| LinkError(format!("the socket's address {why}"));
        let uri: Uri = url.parse().map_err(|_| wrong("cannot be read"))?;
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") if plain && is_loopback(host) => false,
            _ => return Err(wrong("is not wss")),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = connect(bare, port, until)?;
        let wire = if secure {
            let name = ServerName::try_from(bare.to_owned()).map_err(|_| wrong("names no host"))?;
            let session = ClientConnection::new(Arc::clone(tls), name).map_err(failed)?;
            Wire::Tls(Box::new(StreamOwned::new(session, tcp)))
        } else {
            Wire::Plain(tcp)
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::SLACK_FRAME_BYTES))
            .max_frame_size(Some(limits::SLACK_FRAME_BYTES))
            // Who sends without end and reads nothing must not have acknowledgements pile up here.
            .max_write_buffer_size(limits::SLACK_FRAME_BYTES);
        let (socket, _) = tungstenite::client::client_with_config(url, wire, Some(config))
            // What the other side said may stand in the error; its kind is enough.
            .map_err(|_| LinkError("the server did not open a WebSocket".into()))?;
        let now = Instant::now();
        let mut link = Self {
            socket,
            app: String::new(),
            connections: 0,
            opened: now,
            heard: now,
            pinged: now,
            number: 0,
            retiring: None,
            leaving: None,
            owes: false,
            clogged: false,
        };
        link.hello()?;
        link.socket.get_mut().tcp_mut().until = None;
        link.tcp().set_nonblocking(true).map_err(failed)?;
        Ok(link)
    }

    /// Nothing else may come before the hello.
    fn hello(&mut self) -> Result<(), LinkError> {
        loop {
            match self.read() {
                Heard::Frame(Frame::Hello { app, connections }) => {
                    (self.app, self.connections) = (app, connections);
                    return Ok(());
                }
                // Slack may look whether the connection lives before it says hello.
                Heard::Control => {}
                Heard::Quiet => return Err(LinkError("no hello in time".into())),
                Heard::Frame(Frame::Disconnect(leave)) => {
                    return Err(LinkError(format!("Slack closed it at once ({leave:?})")));
                }
                Heard::Ended(why) => return Err(LinkError(why)),
                Heard::Frame(_) | Heard::Malformed => {
                    return Err(LinkError("another message came before the hello".into()));
                }
            }
        }
    }

    fn tcp(&self) -> &TcpStream {
        &self.socket.get_ref().tcp().stream
    }

    /// The port it was found on.
    pub(super) fn port(&self) -> Option<u16> {
        self.tcp().peer_addr().ok().map(|peer| peer.port())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.tcp().as_fd()
    }

    /// Whether something of ours waits for room.
    pub(super) fn owes(&self) -> bool {
        self.owes
    }

    /// The next thing that came.
    pub(super) fn read(&mut self) -> Heard {
        if self.clogged {
            return Heard::Ended("it accepts no acknowledgements".into());
        }
        let message = match self.socket.read() {
            Ok(message) => message,
            Err(Error::Io(error)) if waits(&error) => {
                // An answer to Slack's ping may wait to be sent.
                self.flush();
                return Heard::Quiet;
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                return Heard::Ended("closed".into());
            }
            Err(Error::Capacity(_)) => return Heard::Ended("a frame larger than 1 MiB".into()),
            Err(error) => return Heard::Ended(error.to_string()),
        };
        self.heard = Instant::now();
        match message {
            Message::Text(text) => {
                envelope::read(text.as_str()).map_or(Heard::Malformed, Heard::Frame)
            }
            Message::Binary(_) => Heard::Malformed,
            // A close is answered by reading on, until the connection is over.
            _ => Heard::Control,
        }
    }

    /// Acknowledges an envelope.
    pub(super) fn acknowledge(&mut self, id: &str) {
        let ack = serde_json::json!({"envelope_id": id}).to_string();
        self.send(Message::text(ack));
    }

    pub(super) fn ping(&mut self) {
        self.pinged = Instant::now();
        self.send(Message::Ping(tungstenite::Bytes::from_static(b"agp")));
    }

    /// Another connection takes its place, or none does: it is left once its last clicks are acknowledged.
    pub(super) fn retire(&mut self) {
        self.retiring.get_or_insert_with(Instant::now);
    }

    /// Whether it is not to last.
    pub(super) fn is_over(&self) -> bool {
        self.retiring.is_some() || self.leaving.is_some()
    }

    /// Says goodbye; the connection is over when the other side has answered.
    pub(super) fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now());
            let frame = CloseFrame {
                code: CloseCode::Normal,
                reason: "".into(),
            };
            let _ = self.socket.close(Some(frame));
            self.flush();
        }
    }

    fn send(&mut self, message: Message) {
        // What cannot be written now is written later; a connection that is broken is found by
        // the next read.
        let written = self.socket.write(message);
        self.clogged |= matches!(written, Err(Error::WriteBufferFull(_)));
        self.flush();
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        self.owes = matches!(self.socket.flush(), Err(Error::Io(error)) if waits(&error));
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

fn failed(error: impl std::fmt::Display) -> LinkError {
    LinkError(error.to_string())
}

fn connect(host: &str, port: u16, until: Instant) -> Result<Tcp, LinkError> {
    let mut last = LinkError("the socket's host has no address".into());
    for address in (host, port).to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                let until = Some(until);
                return Ok(Tcp { stream, until });
            }
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

fn left(until: Instant) -> Result<Duration, LinkError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(LinkError("the socket did not open in time".into()));
    }
    Ok(left)
}
