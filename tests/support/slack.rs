//! A Slack of our own on 127.0.0.1, over real HTTP and real WebSockets, stricter than the real one:
//! it refuses what Slack refuses and notes what Slack would let pass in silence. What it notes
//! fails the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

#[path = "slack_blocks.rs"]
mod blocks;
#[path = "slack_cards.rs"]
mod cards;
#[path = "slack_http.rs"]
mod http;
#[path = "slack_socket.rs"]
mod socket;
#[path = "slack_web.rs"]
mod web;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use serde_json::{Value, json};
use tungstenite::Message;

pub(crate) use cards::Moment;
use cards::Trip;
use http::accept;

pub(crate) const BOT_TOKEN: &str = "xoxb-1111-2222-botbotbotbot";
pub(crate) const APP_TOKEN: &str = "xapp-1-A0AGP-1111-appappappapp";
pub(crate) const CHANNEL: &str = "C0APPROVALS";
pub(crate) const TEAM: &str = "T0TEAM";
pub(crate) const APP: &str = "A0AGP";
pub(crate) const OWN_USER: &str = "U0AGPBOT";
const BOT: &str = "B0AGP";

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
    /// The same, this much later.
    LateCode(Duration, &'static str),
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
    /// When it was edited last.
    pub(crate) edited: Option<Instant>,
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

/// What a person is called.
pub(crate) fn name_of(user: &str) -> String {
    user.trim_start_matches("U0").to_lowercase()
}

/// A click about to be made, or a form about to be sent: the truth, unless a test bends it.
#[derive(Clone)]
pub(crate) struct Click(pub(crate) Value);

impl Click {
    pub(crate) fn of(button: &Button, user: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(json!({
            "type": "block_actions", "api_app_id": APP, "token": "legacy",
            "user": {"id": user, "username": name_of(user), "name": name_of(user), "team_id": TEAM},
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

    /// A form that agp opened, filled in and sent.
    pub(crate) fn sent(view: &Value, user: &str, text: &str) -> Self {
        let field = &view["blocks"][0];
        let (block, element) = (&field["block_id"], &field["element"]["action_id"]);
        let value = json!({"type": "plain_text_input", "value": text});
        let mut filled = view.clone();
        filled["id"] = json!("V1");
        filled["state"] =
            json!({"values": {block.as_str().unwrap(): {element.as_str().unwrap(): value}}});
        Self(json!({
            "type": "view_submission", "api_app_id": APP, "token": "legacy",
            "user": {"id": user, "username": name_of(user), "name": name_of(user), "team_id": TEAM},
            "team": {"id": TEAM, "domain": "team"}, "enterprise": null, "is_enterprise_install": false,
            "trigger_id": "trigger.form", "view": filled, "response_urls": [],
        }))
    }

    /// The same with one part of it another one.
    pub(crate) fn with(mut self, at: &str, value: Value) -> Self {
        *self.0.pointer_mut(at).unwrap() = value;
        self
    }
}

/// What lets one modal be opened, once.
enum Trigger {
    Fresh(Instant),
    Used,
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
    flood: Option<Flood>,
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
    triggers: HashMap<String, Trigger>,
    violations: Vec<String>,
    connections: Option<u64>,
    /// The most connections that were open at a time.
    most: usize,
    /// What is said of a person, besides that he is there.
    people: HashMap<String, Value>,
    /// What is said of the channel, besides that all is well.
    channel: Value,
    /// Who is in the channel, if not the usual people.
    members: Option<Vec<String>>,
    /// A mention of the whole channel is what a test wants.
    mentions_channel: bool,
    /// Whose bot token it is, if not the app's own.
    bot_app: Option<String>,
    scopes: Option<String>,
    mute: bool,
    trips: Vec<Trip>,
    /// Whether several post at once, so that messages may come faster than one a second.
    bursts: bool,
    /// What is said of the bot token, besides that all is well.
    identity: Value,
    /// Tickets whose connection is answered a byte at a time, or never says hello.
    slow: Option<Slow>,
}

/// What comes on a connection without end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Frames of a type that nobody knows.
    News,
    /// Envelopes, whose acknowledgements nobody reads.
    Unread,
}

/// How a connection is opened, instead of at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slow {
    /// The answer to the upgrade comes a byte at a time.
    Upgrade,
    /// The upgrade is answered, hello comes a byte at a time.
    Hello,
    /// The upgrade is answered, hello does not come.
    NoHello,
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

    /// Over TLS; the second is the root of the authority that vouches for it, as PEM.
    pub(crate) fn start_tls() -> (Self, String) {
        Self::start_tls_as("localhost")
    }

    /// The same with a certificate for this name.
    pub(crate) fn start_tls_as(name: &str) -> (Self, String) {
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let server_key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        (Self::serve(Some(Arc::new(config))), root.pem())
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

    /// What `users.info` says of a person; null: there is no such person.
    pub(crate) fn say_user(&self, user: &str, what: Value) {
        self.state().people.insert(user.to_owned(), what);
    }

    pub(crate) fn say_channel(&self, what: Value) {
        self.state().channel = what;
    }

    /// Who is in the channel.
    pub(crate) fn say_members(&self, members: &[&str]) {
        let members = members.iter().map(|member| (*member).to_owned());
        self.state().members = Some(members.collect());
    }

    /// From here on a message may mention the whole channel.
    pub(crate) fn let_mention_the_channel(&self) {
        self.state().mentions_channel = true;
    }

    /// `bots.info` names this app.
    pub(crate) fn say_bot_of(&self, app: &str) {
        self.state().bot_app = Some(app.to_owned());
    }

    /// How connections are opened from here on.
    pub(crate) fn open_slowly(&self, slow: Option<Slow>) {
        self.state().slow = slow;
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

    /// Messages that have buttons, or had them.
    pub(crate) fn cards(&self) -> Vec<Posted> {
        let all = self.messages().into_iter();
        all.filter(Posted::was_armed).collect()
    }

    /// The card number `at` (from 0), once it has its buttons.
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

    /// The most connections that were open at a time.
    pub(crate) fn most_sockets(&self) -> usize {
        self.state().most
    }

    /// Delivers a click as Slack does, on any one of the connections that are open.
    pub(crate) fn deal(&self, click: &Click) -> String {
        let chance = RandomState::new().hash_one(0);
        let at = self.wait("a connection", |double| {
            let state = double.state();
            let open: Vec<usize> = (0..state.sockets.len())
                .filter(|at| state.sockets[*at].open)
                .collect();
            let chosen = chance.checked_rem(open.len() as u64)?;
            Some(open[usize::try_from(chosen).unwrap()])
        });
        self.click_on(at, click)
    }

    /// Clicks as a person does: once more where Slack says that the click failed.
    pub(crate) fn insist(&self, click: &Click) {
        loop {
            let id = self.deal(click);
            if self.is_acked(&id) {
                return;
            }
            self.fails(&id);
        }
    }

    /// Whether a click is acknowledged, once that is known.
    pub(crate) fn is_acked(&self, id: &str) -> bool {
        self.wait("the fate of a click", |double| {
            let state = double.state();
            let mut all = state.sockets.iter();
            let delivery = all.find_map(|socket| socket.deliveries.get(id))?;
            match delivery.acked {
                Some(_) => Some(true),
                None => (delivery.sent.elapsed() > ACK).then_some(false),
            }
        })
    }

    /// Waits until Slack would tell whoever clicked that it failed, and asserts that this is so.
    #[track_caller]
    pub(crate) fn fails(&self, id: &str) {
        self.wait("the end of Slack's patience", |double| {
            (double.sent(id)?.elapsed() > ACK).then_some(())
        });
        let mut state = self.state();
        let mut deliveries = state
            .sockets
            .iter_mut()
            .filter_map(|socket| socket.deliveries.remove(id));
        let acked = deliveries.any(|delivery| delivery.acked.is_some());
        assert!(!acked, "{id} was acknowledged");
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
            state
                .triggers
                .insert(trigger.to_owned(), Trigger::Fresh(Instant::now()));
        }
        let envelope = json!({
            "envelope_id": id, "type": "interactive", "payload": click.0,
            "accepts_response_payload": click.0["type"] == "view_submission",
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

    /// From here on this comes on connection `at`, as fast as it can be written.
    pub(crate) fn flood(&self, at: usize, flood: Flood) {
        self.state().sockets[at].flood = Some(flood);
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

    /// Nothing that was noted so far fails the test.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.violations.clear();
        let sockets = state.sockets.iter_mut();
        sockets.for_each(|socket| socket.deliveries.clear());
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
