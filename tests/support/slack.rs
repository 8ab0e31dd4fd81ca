//! A Slack of our own on 127.0.0.1, over real HTTP and real WebSockets, stricter than the real one:
//! it refuses what Slack refuses and notes what Slack would let pass in silence. What it notes
//! fails the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Bytes, Message, WebSocket};

pub(crate) const BOT_TOKEN: &str = "xoxb-1111-2222-botbotbotbot";
pub(crate) const APP_TOKEN: &str = "xapp-1-A0AGP-1111-appappappapp";
pub(crate) const CHANNEL: &str = "C0APPROVALS";
pub(crate) const TEAM: &str = "T0TEAM";
pub(crate) const APP: &str = "A0AGP";
pub(crate) const OWN_USER: &str = "U0AGPBOT";

/// How long anything may take before the test fails.
const LIMIT: Duration = Duration::from_secs(30);
/// As Slack wants it.
const ACK: Duration = Duration::from_secs(3);

/// What the next call of a method is answered with, instead of the truth.
#[derive(Clone)]
pub(crate) enum Fault {
    /// 429 with this many seconds of `Retry-After`.
    RateLimited(u64),
    /// This HTTP status.
    Status(u16),
    /// `ok: false` with this code.
    Code(&'static str),
    /// No answer at all, as long as the test lasts.
    Hang,
    /// Half an answer, and the end.
    Half,
    /// The message is posted, and the answer is `internal_error`.
    DoneButFailed,
    /// The message is posted, and the answer comes this much later.
    Late(Duration),
}

/// A message as it stands in the channel.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) ts: String,
    pub(crate) message: Value,
    /// Every later state of it.
    pub(crate) edits: Vec<Value>,
    pub(crate) at: Instant,
}

impl Posted {
    /// As it looks now.
    pub(crate) fn now(&self) -> &Value {
        self.edits.last().unwrap_or(&self.message)
    }

    /// Its button.
    pub(crate) fn button(&self, action: &str) -> Option<Button> {
        let blocks = self.now()["blocks"].as_array()?;
        let actions = blocks.iter().find(|block| block["type"] == "actions")?;
        let elements = actions["elements"].as_array()?;
        let button = elements
            .iter()
            .find(|button| button["action_id"] == action)?;
        Some(Button {
            ts: self.ts.clone(),
            block: actions["block_id"].as_str()?.to_owned(),
            action: action.to_owned(),
            value: button["value"].as_str()?.to_owned(),
        })
    }

    /// All text in it, as it looks now.
    pub(crate) fn text(&self) -> String {
        self.now().to_string()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Button {
    pub(crate) ts: String,
    pub(crate) block: String,
    pub(crate) action: String,
    pub(crate) value: String,
}

/// A click about to be made: the truth, unless a test bends it.
#[derive(Clone)]
pub(crate) struct Click(pub(crate) Value);

impl Click {
    pub(crate) fn of(button: &Button, user: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(json!({
            "type": "block_actions", "api_app_id": APP, "token": "legacy",
            "user": {"id": user, "username": "somebody", "name": "somebody", "team_id": TEAM},
            "team": {"id": TEAM, "domain": "team"}, "enterprise": null, "is_enterprise_install": false,
            "container": {"type": "message", "message_ts": button.ts, "channel_id": CHANNEL, "is_ephemeral": false},
            "channel": {"id": CHANNEL, "name": "approvals"},
            "message": {"type": "message", "ts": button.ts, "user": OWN_USER},
            "trigger_id": format!("trigger.{count}"),
            "state": {"values": {}},
            "actions": [{
                "type": "button", "action_id": button.action, "block_id": button.block,
                "value": button.value, "action_ts": format!("{count}.1"),
            }],
        }))
    }

    /// The same with one part of it another one.
    pub(crate) fn with(mut self, at: &str, value: Value) -> Self {
        *self.0.pointer_mut(at).unwrap() = value;
        self
    }
}

struct Delivery {
    sent: Instant,
    acked: Option<Instant>,
}

enum Order {
    /// An envelope, by its id.
    Deliver(String, String),
    Send(String),
    Raw(Message),
    /// Without a Close frame.
    Cut,
    /// Our side of the stream only.
    HalfClose,
}

struct Socket {
    orders: Vec<Order>,
    open: bool,
    closed_by_agp: bool,
    deliveries: HashMap<String, Delivery>,
}

#[derive(Default)]
struct State {
    messages: Vec<Posted>,
    ephemerals: Vec<Value>,
    views: Vec<Value>,
    faults: HashMap<String, VecDeque<Fault>>,
    forever: HashMap<String, Fault>,
    calls: Vec<(String, Instant)>,
    tickets: HashMap<String, bool>,
    sockets: Vec<Socket>,
    triggers: HashMap<String, Instant>,
    violations: Vec<String>,
    connections: Option<u64>,
    bots: Vec<String>,
    scopes: Option<String>,
    mute: bool,
}

/// The double. Dropping it asserts that nothing was done that Slack would mind.
pub(crate) struct SlackDouble {
    state: Arc<Mutex<State>>,
    port: u16,
    tls: Option<String>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl SlackDouble {
    pub(crate) fn start() -> Self {
        Self::serve(None)
    }

    /// Over TLS; the second is the root that vouches for it, as PEM.
    pub(crate) fn start_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let double = Self::serve(Some(Arc::new(config)));
        (double, made.cert.pem())
    }

    fn serve(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let scheme = tls.is_some().then(|| "https".to_owned());
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || accept(stream, port, &state, tls));
            }
        });
        Self {
            state,
            port,
            tls: scheme,
            stop,
        }
    }

    /// For `AGP_SLACK_API_URL`.
    pub(crate) fn url(&self) -> String {
        match &self.tls {
            Some(_) => format!("https://localhost:{}/api", self.port),
            None => format!("http://127.0.0.1:{}/api", self.port),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next call of `method` goes wrong; called again, the one after it, too.
    pub(crate) fn fault(&self, method: &str, fault: Fault) {
        self.state()
            .faults
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// Every call of `method` goes wrong until `None`.
    pub(crate) fn fault_always(&self, method: &str, fault: Option<Fault>) {
        match fault {
            Some(fault) => drop(self.state().forever.insert(method.to_owned(), fault)),
            None => drop(self.state().forever.remove(method)),
        }
    }

    /// What hello says, instead of the truth.
    pub(crate) fn say_connections(&self, count: u64) {
        self.state().connections = Some(count);
    }

    pub(crate) fn say_bot(&self, user: &str) {
        self.state().bots.push(user.to_owned());
    }

    pub(crate) fn say_scopes(&self, scopes: &str) {
        self.state().scopes = Some(scopes.to_owned());
    }

    /// No socket is answered any more, and none is closed.
    pub(crate) fn mute(&self) {
        self.state().mute = true;
    }

    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(value) = found(self) {
                return value;
            }
            assert!(
                Instant::now() < until,
                "waited in vain for {what}: {:#?}",
                self.state().messages
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn messages(&self) -> Vec<Posted> {
        self.state().messages.clone()
    }

    pub(crate) fn ephemerals(&self) -> Vec<Value> {
        self.state().ephemerals.clone()
    }

    pub(crate) fn views(&self) -> Vec<Value> {
        self.state().views.clone()
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|(called, _)| called == method)
            .count()
    }

    /// Messages that are requests, whether they still have buttons or not.
    pub(crate) fn cards(&self) -> Vec<Posted> {
        let all = self.messages();
        let is_card = |posted: &Posted| posted.message.to_string().contains("\"type\":\"actions\"");
        all.into_iter().filter(is_card).collect()
    }

    /// The card number `at` (from 0), once it is there.
    #[track_caller]
    pub(crate) fn card(&self, at: usize) -> Posted {
        self.wait("a card", |double| double.cards().into_iter().nth(at))
    }

    /// A card, once it has lost its buttons.
    #[track_caller]
    pub(crate) fn closed_card(&self, at: usize) -> Posted {
        self.wait("a closed card", |double| {
            double
                .cards()
                .into_iter()
                .nth(at)
                .filter(|card| card.button("deny").is_none())
        })
    }

    /// Connections that are open.
    pub(crate) fn open_sockets(&self) -> usize {
        self.state()
            .sockets
            .iter()
            .filter(|socket| socket.open)
            .count()
    }

    /// Connections that were ever opened.
    pub(crate) fn sockets(&self) -> usize {
        self.state().sockets.len()
    }

    pub(crate) fn closed_by_agp(&self, at: usize) -> bool {
        self.state().sockets[at].closed_by_agp
    }

    /// Delivers a click on the newest connection; gives the envelope's id.
    pub(crate) fn click(&self, click: &Click) -> String {
        let at = self.newest();
        self.click_on(at, click)
    }

    fn newest(&self) -> usize {
        self.wait("a connection", |double| {
            let state = double.state();
            (0..state.sockets.len())
                .rev()
                .find(|at| state.sockets[*at].open)
        })
    }

    /// Delivers a click on connection `at`.
    pub(crate) fn click_on(&self, at: usize, click: &Click) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let id = format!("envelope-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.deliver(at, &id, click);
        id
    }

    /// Delivers an envelope under an id that may have been used before.
    pub(crate) fn deliver(&self, at: usize, id: &str, click: &Click) {
        let mut state = self.state();
        if let Some(trigger) = click.0["trigger_id"].as_str() {
            state.triggers.insert(trigger.to_owned(), Instant::now());
        }
        let envelope = json!({
            "envelope_id": id, "type": "interactive", "accepts_response_payload": false, "payload": click.0,
        });
        let socket = &mut state.sockets[at];
        let delivery = Delivery {
            sent: Instant::now(),
            acked: None,
        };
        socket.deliveries.insert(id.to_owned(), delivery);
        let text = envelope.to_string();
        socket.orders.push(Order::Deliver(id.to_owned(), text));
    }

    /// Waits until an envelope is acknowledged.
    #[track_caller]
    pub(crate) fn acked(&self, id: &str) -> Duration {
        self.wait("an ack", |double| {
            let state = double.state();
            let mut deliveries = state
                .sockets
                .iter()
                .filter_map(|socket| socket.deliveries.get(id));
            deliveries.find_map(|delivery| Some(delivery.acked? - delivery.sent))
        })
    }

    /// When an envelope was written to its connection.
    pub(crate) fn sent(&self, id: &str) -> Option<Instant> {
        let state = self.state();
        let mut all = state.sockets.iter();
        all.find_map(|socket| Some(socket.deliveries.get(id)?.sent))
    }

    /// Sends text on connection `at` as it is.
    pub(crate) fn send(&self, at: usize, text: &str) {
        self.state().sockets[at]
            .orders
            .push(Order::Send(text.to_owned()));
    }

    pub(crate) fn send_raw(&self, at: usize, message: Message) {
        self.state().sockets[at].orders.push(Order::Raw(message));
    }

    pub(crate) fn disconnect(&self, at: usize, reason: &str) {
        self.send(
            at,
            &json!({"type": "disconnect", "reason": reason, "debug_info": {"host": "h"}})
                .to_string(),
        );
    }

    /// Ends a connection without a word.
    pub(crate) fn cut(&self, at: usize) {
        self.state().sockets[at].orders.push(Order::Cut);
    }

    pub(crate) fn half_close(&self, at: usize) {
        self.state().sockets[at].orders.push(Order::HalfClose);
    }

    /// What agp did that Slack would mind.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut state = self.state();
        let late: Vec<String> = state
            .sockets
            .iter()
            .flat_map(|socket| &socket.deliveries)
            .filter(|(_, delivery)| match delivery.acked {
                Some(acked) => acked - delivery.sent > ACK,
                None => delivery.sent.elapsed() > ACK,
            })
            .map(|(id, _)| format!("{id} was not acknowledged within 3 s"))
            .collect();
        let mut all = std::mem::take(&mut state.violations);
        all.extend(late);
        all
    }
}

impl Drop for SlackDouble {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if !thread::panicking() {
            let violations = self.violations();
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }
}

trait Stream: Read + Write + Send {
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

fn accept(stream: TcpStream, port: u16, state: &Mutex<State>, tls: Option<Arc<ServerConfig>>) {
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

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
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

fn refused(code: &str) -> Value {
    json!({"ok": false, "error": code})
}

fn perform(
    method: &str,
    head: &str,
    body: &[u8],
    port: u16,
    state: &Mutex<State>,
    tls: bool,
) -> Value {
    let mut state = state.lock().unwrap();
    let wanted = if method == "apps.connections.open" {
        APP_TOKEN
    } else {
        BOT_TOKEN
    };
    match header(head, "authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        None => return refused("not_authed"),
        Some(token) if token == wanted => {}
        Some(token) if token == APP_TOKEN || token == BOT_TOKEN => {
            return refused("not_allowed_token_type");
        }
        Some(_) => return refused("invalid_auth"),
    }
    if !head.starts_with("POST ") {
        return refused("insecure_request");
    }
    let text = String::from_utf8(body.to_vec()).unwrap();
    let form: HashMap<&str, &str> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let json =
        header(head, "content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if json
        && !header(head, "content-type")
            .unwrap()
            .contains("charset=utf-8")
    {
        state.violations.push("missing_charset".into());
    }
    match method {
        "auth.test" => {
            json!({"ok": true, "team_id": TEAM, "user_id": OWN_USER, "bot_id": "B0AGP", "url": "https://x"})
        }
        "apps.connections.open" => {
            let ticket = format!("ticket-{}", state.tickets.len());
            state.tickets.insert(ticket.clone(), false);
            let base = if tls {
                format!("wss://localhost:{port}")
            } else {
                format!("ws://127.0.0.1:{port}")
            };
            json!({"ok": true, "url": format!("{base}/link/?ticket={ticket}&app_id={APP}")})
        }
        "users.info" if json => refused("invalid_form_data"),
        "users.info" => {
            let user = form.get("user").copied().unwrap_or_default();
            json!({"ok": true, "user": {"id": user, "is_bot": state.bots.iter().any(|bot| bot == user), "deleted": false}})
        }
        "conversations.info" => {
            json!({"ok": true, "channel": {"id": CHANNEL, "is_member": true, "is_archived": false}})
        }
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "views.open" => {
            let body: Value = serde_json::from_str(&text).unwrap();
            say(&mut state, method, body)
        }
        _ => refused("unknown_method"),
    }
}

fn say(state: &mut State, method: &str, body: Value) -> Value {
    if method == "views.open" {
        let trigger = body["trigger_id"].as_str().unwrap_or_default();
        match state.triggers.remove(trigger) {
            None => return refused("invalid_trigger_id"),
            Some(since) if since.elapsed() > ACK => return refused("expired_trigger_id"),
            Some(_) => {}
        }
        let view = &body["view"];
        if view.to_string().len() > 250_000 {
            return refused("view_too_large");
        }
        if view["title"]["text"]
            .as_str()
            .is_none_or(|title| title.chars().count() > 24)
        {
            return refused("invalid_arguments");
        }
        if let Some(problem) = wrong_blocks(&view["blocks"], 100) {
            state.violations.push(problem);
            return refused("invalid_arguments");
        }
        state.views.push(view.clone());
        return json!({"ok": true, "view": {"id": "V1"}});
    }
    if body["channel"] != CHANNEL {
        return refused("channel_not_found");
    }
    let text = body["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        return refused("no_text");
    }
    if text.contains(['<', '>', '`']) || text.contains("http") {
        state
            .violations
            .push(format!("markup in the text outside blocks: {text}"));
    }
    if !body["blocks"].is_null()
        && let Some(problem) = wrong_blocks(&body["blocks"], 50)
    {
        state.violations.push(problem);
        return refused("invalid_blocks");
    }
    match method {
        "chat.postEphemeral" => {
            state.ephemerals.push(body);
            json!({"ok": true, "message_ts": "1.1"})
        }
        "chat.update" => {
            let found = state
                .messages
                .iter_mut()
                .find(|posted| body["ts"] == posted.ts.as_str());
            let Some(posted) = found else {
                return refused("message_not_found");
            };
            posted.edits.push(body.clone());
            json!({"ok": true, "channel": CHANNEL, "ts": body["ts"], "text": body["text"]})
        }
        _ => {
            let before = state.messages.last().map(|posted| posted.at);
            // A little sooner on the wire than on agp's clock.
            if before.is_some_and(|at| at.elapsed() < Duration::from_millis(900)) {
                state.violations.push("two messages within a second".into());
            }
            let ts = format!("1700000000.{:06}", state.messages.len() + 1);
            state.messages.push(Posted {
                ts: ts.clone(),
                message: body,
                edits: Vec::new(),
                at: Instant::now(),
            });
            json!({"ok": true, "channel": CHANNEL, "ts": ts, "message": {"ts": ts}})
        }
    }
}

/// The limits of Block Kit, and that nothing of the agent's is live in any text.
fn wrong_blocks(blocks: &Value, most: usize) -> Option<String> {
    let blocks = blocks.as_array()?;
    if blocks.is_empty() || blocks.len() > most {
        return Some(format!("{} blocks", blocks.len()));
    }
    let mut ids = Vec::new();
    for block in blocks {
        let wrong = match block["type"].as_str()? {
            "header" => wrong_text(&block["text"], 150, true),
            "section" => {
                let fields = block["fields"].as_array();
                let fields_wrong = fields.and_then(|fields| {
                    if fields.is_empty() || fields.len() > 10 {
                        return Some("number of fields".to_owned());
                    }
                    fields
                        .iter()
                        .find_map(|field| wrong_text(field, 2000, true))
                });
                let text = (!block["text"].is_null())
                    .then(|| wrong_text(&block["text"], 3000, false))
                    .flatten();
                if block["text"].is_null() && fields.is_none() {
                    Some("an empty section".to_owned())
                } else {
                    fields_wrong.or(text)
                }
            }
            "context" => block["elements"]
                .as_array()?
                .iter()
                .find_map(|text| wrong_text(text, 3000, false)),
            "actions" => {
                let elements = block["elements"].as_array()?;
                if elements.is_empty() || elements.len() > 25 {
                    return Some("number of buttons".into());
                }
                ids.push(block["block_id"].clone());
                elements.iter().find_map(|button| {
                    let value = button["value"].as_str()?;
                    if value.len() > 2000 || button["action_id"].as_str()?.len() > 255 {
                        return Some("a button".to_owned());
                    }
                    wrong_text(&button["text"], 75, true)
                })
            }
            other => Some(format!("block {other}")),
        };
        if let Some(wrong) = wrong {
            return Some(format!("{wrong} in {block}"));
        }
    }
    ids.dedup();
    None
}

fn wrong_text(text: &Value, most: usize, plain: bool) -> Option<String> {
    let said = text["text"].as_str().unwrap_or_default();
    if !(1..=most).contains(&said.chars().count()) {
        return Some(format!("{} characters", said.chars().count()));
    }
    let hidden = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if said.contains(hidden) {
        return Some("a hidden character".into());
    }
    match text["type"].as_str() {
        Some("plain_text") if text["emoji"] == true => Some("emoji".into()),
        Some("plain_text") => None,
        Some("mrkdwn") if plain => Some("mrkdwn where plain_text must stand".into()),
        Some("mrkdwn") => {
            if text["verbatim"] != true {
                return Some("mrkdwn without verbatim".into());
            }
            // Mentions of approvers are agp's own; nothing else may be live.
            let mut rest = said.to_owned();
            while let Some(at) = rest.find("<@U") {
                let end = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
                rest.replace_range(at..end, "");
            }
            let fenced = rest
                .strip_prefix("```\n")
                .and_then(|rest| rest.strip_suffix("\n```"));
            if fenced.unwrap_or(&rest).contains(['<', '>', '`']) {
                return Some("live markup".into());
            }
            None
        }
        other => Some(format!("text of type {other:?}")),
    }
}

/// One connection, from the upgrade to its end.
fn socket(mut stream: Box<dyn Stream>, head: &str, rest: &[u8], state: &Mutex<State>) {
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
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(answer.as_bytes()).is_err() || stream.flush().is_err() {
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
            deliveries: HashMap::new(),
        });
        let open = state.sockets.iter().filter(|socket| socket.open).count();
        let open = u64::try_from(open).unwrap();
        (state.sockets.len() - 1, state.connections.unwrap_or(open))
    };
    let hello = json!({
        "type": "hello", "num_connections": connections, "connection_info": {"app_id": APP},
        "debug_info": {"host": "h", "approximate_connection_time": 3600},
    });
    let _ = socket.send(Message::text(hello.to_string()));
    converse(&mut socket, at, state);
    state.lock().unwrap().sockets[at].open = false;
}

fn converse(socket: &mut WebSocket<Box<dyn Stream>>, at: usize, state: &Mutex<State>) {
    let mut pinged = Instant::now();
    loop {
        let (orders, mute) = {
            let mut state = state.lock().unwrap();
            (std::mem::take(&mut state.sockets[at].orders), state.mute)
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
    let ack: Value = serde_json::from_str(text).unwrap();
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
