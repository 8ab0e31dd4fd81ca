//! The Slack double's Socket Mode connections: hello, envelopes and their acknowledgements, pings, and every way
//! to end.

use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Bytes, Message, WebSocket};

use super::http::{Stream, header};
use super::{APP, Flood, Order, Slow, Socket, State};

/// An app may have so many.
const MOST: usize = 10;

/// One connection, from the upgrade to its end.
pub(super) fn socket(mut stream: Box<dyn Stream>, head: &str, rest: &[u8], state: &Mutex<State>) {
    assert!(rest.is_empty(), "it speaks before it is answered");
    let ticket = head
        .split("ticket=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .to_owned();
    {
        let mut state = state.lock().unwrap();
        let fresh = state.tickets.insert(ticket.clone(), true) == Some(false);
        if !fresh {
            state.violations.push(format!("{ticket} was used twice"));
            return;
        }
    }
    let key = header(head, "sec-websocket-key").unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let slow = state.lock().unwrap().slow;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let said = match slow {
        Some(Slow::Upgrade) => drip(&mut *stream, answer.as_bytes()),
        _ => stream.write_all(answer.as_bytes()).is_ok() && stream.flush().is_ok(),
    };
    if !said {
        return;
    }
    stream
        .tcp()
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let mut socket = WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Server, None);
    let (at, connections) = {
        let mut state = state.lock().unwrap();
        state.sockets.push(Socket {
            orders: Vec::new(),
            open: true,
            closed_by_agp: false,
            flood: None,
            deliveries: HashMap::new(),
        });
        let open = state.sockets.iter().filter(|socket| socket.open).count();
        state.most = state.most.max(open);
        if open > MOST {
            state.violations.push(format!("{open} connections"));
        }
        let open = u64::try_from(open).unwrap();
        (state.sockets.len() - 1, state.connections.unwrap_or(open))
    };
    let hello = json!({
        "type": "hello", "num_connections": connections, "connection_info": {"app_id": APP},
        "debug_info": {"host": "h", "approximate_connection_time": 3600},
    });
    match slow {
        Some(Slow::NoHello) => {}
        Some(Slow::Hello) => {
            let hello = hello.to_string();
            let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
            let frame = [&[0x81, 126], &length[..], hello.as_bytes()].concat();
            drip(&mut **socket.get_mut(), &frame);
        }
        _ => drop(socket.send(Message::text(hello.to_string()))),
    }
    converse(&mut socket, at, state);
    state.lock().unwrap().sockets[at].open = false;
}

/// Says it so slowly that nobody should wait for the end; false when nobody did.
fn drip(stream: &mut dyn Stream, bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| {
        thread::sleep(Duration::from_millis(500));
        stream.write_all(&[*byte]).is_ok() && stream.flush().is_ok()
    })
}

fn converse(socket: &mut WebSocket<Box<dyn Stream>>, at: usize, state: &Mutex<State>) {
    let mut pinged = Instant::now();
    loop {
        let (orders, flood, mute) = {
            let mut state = state.lock().unwrap();
            let socket = &mut state.sockets[at];
            let (orders, flood) = (std::mem::take(&mut socket.orders), socket.flood);
            (orders, flood, state.mute)
        };
        if mute {
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        for order in orders {
            match order {
                Order::Deliver(id, text) => {
                    let mut state = state.lock().unwrap();
                    let delivery = state.sockets[at].deliveries.get_mut(&id).unwrap();
                    delivery.sent = Instant::now();
                    drop(state);
                    let _ = socket.send(Message::text(text));
                }
                Order::Send(text) => drop(socket.send(Message::text(text))),
                Order::Raw(message) => drop(socket.send(message)),
                Order::Cut => {
                    let _ = socket.get_ref().tcp().shutdown(Shutdown::Both);
                    return;
                }
                Order::HalfClose => drop(socket.get_ref().tcp().shutdown(Shutdown::Write)),
            }
        }
        if let Some(flood) = flood {
            let text = match flood {
                Flood::News => json!({"type": "news"}),
                // Long ids make long acknowledgements.
                Flood::Unread => {
                    json!({"type": "news", "envelope_id": "e".repeat(200), "payload": {}})
                }
            };
            let text = text.to_string();
            if (0..500).any(|_| socket.send(Message::text(text.clone())).is_err()) {
                return;
            }
            if flood == Flood::Unread {
                continue;
            }
        }
        if pinged.elapsed() > Duration::from_secs(2) {
            pinged = Instant::now();
            let _ = socket.send(Message::Ping(Bytes::from_static(b"Ping from the double")));
        }
        match socket.read() {
            Ok(Message::Text(text)) => heard(text.as_str(), at, state),
            Ok(Message::Close(frame)) => {
                let clean = frame.is_some_and(|CloseFrame { code, .. }| code == CloseCode::Normal);
                state.lock().unwrap().sockets[at].closed_by_agp = clean;
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return,
        }
    }
}

fn heard(text: &str, at: usize, state: &Mutex<State>) {
    let mut state = state.lock().unwrap();
    let Ok(ack) = serde_json::from_str::<Value>(text) else {
        state
            .violations
            .push(format!("no JSON on the socket: {text}"));
        return;
    };
    let id = ack["envelope_id"].as_str().unwrap_or_default().to_owned();
    if ack.as_object().is_some_and(|ack| ack.len() > 1) {
        state
            .violations
            .push(format!("a payload in the ack of {id}"));
    }
    let problem = match state.sockets[at].deliveries.get_mut(&id) {
        None => Some(format!(
            "an ack for {id}, which was not sent on this connection"
        )),
        Some(delivery) if delivery.acked.is_some() => Some(format!("a second ack for {id}")),
        Some(delivery) => {
            delivery.acked = Some(Instant::now());
            None
        }
    };
    state.violations.extend(problem);
}
