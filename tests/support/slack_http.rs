//! The Slack double's connections: HTTP requests one after the other, faults in the place of answers, and the
//! upgrade to a WebSocket.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::socket::socket;
use super::web::perform;
use super::{Fault, LIMIT, Moment, State};

pub(super) trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

pub(super) fn accept(
    stream: TcpStream,
    port: u16,
    state: &Mutex<State>,
    tls: Option<Arc<ServerConfig>>,
) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    match tls {
        None => serve(Box::new(stream), port, state, false),
        Some(config) => {
            let session = ServerConnection::new(config).unwrap();
            serve(
                Box::new(StreamOwned::new(session, stream)),
                port,
                state,
                true,
            );
        }
    }
}

/// Requests, one after the other, until one becomes a WebSocket.
fn serve(mut stream: Box<dyn Stream>, port: u16, state: &Mutex<State>, tls: bool) {
    loop {
        let Some((head, rest)) = read_head(&mut *stream) else {
            return;
        };
        if head.starts_with("GET /link") {
            return socket(stream, &head, &rest, state);
        }
        if !request(&mut *stream, &head, rest, port, state, tls) {
            return;
        }
    }
}

fn read_head(stream: &mut dyn Stream) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut block = [0; 4096];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = all.split_off(end + 4);
            return Some((String::from_utf8(all).unwrap(), rest));
        }
        match stream.read(&mut block) {
            Ok(got @ 1..) => all.extend_from_slice(&block[..got]),
            _ => return None,
        }
    }
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Answers one call; false when the connection is over.
fn request(
    stream: &mut dyn Stream,
    head: &str,
    mut body: Vec<u8>,
    port: u16,
    state: &Mutex<State>,
    tls: bool,
) -> bool {
    let length: usize = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut block = [0; 16384];
    while body.len() < length {
        match stream.read(&mut block) {
            Ok(got @ 1..) => body.extend_from_slice(&block[..got]),
            _ => return false,
        }
    }
    let path = head
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let method = path.strip_prefix("/api/").unwrap_or_default().to_owned();
    let tripped = || state.lock().unwrap().tripped(&method, &body);
    while let Some(trip) = tripped() {
        let called = (method.clone(), Instant::now());
        let done = |state| perform(&method, head, &body, port, state, tls).to_string();
        if trip.moment == Moment::Coming {
            (trip.act)();
            continue;
        }
        state.lock().unwrap().calls.push(called);
        return match trip.moment {
            Moment::Coming | Moment::Asked => {
                (trip.act)();
                false
            }
            Moment::Doing => {
                (trip.act)();
                respond(stream, 200, "", &done(state))
            }
            Moment::Done => {
                done(state);
                (trip.act)();
                false
            }
            Moment::Answered => {
                let answered = respond(stream, 200, "", &done(state));
                (trip.act)();
                answered
            }
        };
    }
    let fault = {
        let mut state = state.lock().unwrap();
        state.calls.push((method.clone(), Instant::now()));
        let once = state.faults.get_mut(&method).and_then(VecDeque::pop_front);
        once.or_else(|| state.forever.get(&method).cloned())
    };
    let reply = match fault {
        Some(Fault::RateLimited(seconds)) => {
            let body = r#"{"ok":false,"error":"ratelimited"}"#;
            return respond(stream, 429, &format!("Retry-After: {seconds}\r\n"), body);
        }
        Some(Fault::Status(status)) => return respond(stream, status, "", "<html>no</html>"),
        Some(Fault::Code(code)) => json!({"ok": false, "error": code}),
        Some(Fault::LateCode(pause, code)) => {
            thread::sleep(pause);
            json!({"ok": false, "error": code})
        }
        Some(Fault::Hang) => {
            thread::sleep(LIMIT * 2);
            return false;
        }
        Some(Fault::Half) => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\":true,");
            let _ = stream.tcp().shutdown(Shutdown::Both);
            return false;
        }
        Some(Fault::DoneButFailed) => {
            perform(&method, head, &body, port, state, tls);
            json!({"ok": false, "error": "internal_error"})
        }
        Some(Fault::Late(pause)) => {
            let reply = perform(&method, head, &body, port, state, tls);
            thread::sleep(pause);
            reply
        }
        None => perform(&method, head, &body, port, state, tls),
    };
    let scopes = state.lock().unwrap().scopes.clone();
    let scopes = scopes.map_or(String::new(), |scopes| {
        format!("x-oauth-scopes: {scopes}\r\n")
    });
    respond(stream, 200, &scopes, &reply.to_string())
}

fn respond(stream: &mut dyn Stream, status: u16, headers: &str, body: &str) -> bool {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .is_ok()
        && stream.flush().is_ok()
}
