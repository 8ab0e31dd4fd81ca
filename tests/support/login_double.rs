//! The service that gives and takes back logins, in front of a model: a login is renewed once, and whoever comes
//! with one that was renewed already is refused, as is whoever asks the model with an old one.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::model::ModelDouble;
use super::session::{Start, World};
use super::tls::Front;

/// The hosts that Claude Code asks.
const HOSTS: [&str; 2] = ["platform.claude.com", "api.anthropic.com"];

/// What a login is at some time: its number counts renewals.
pub(crate) fn login(number: usize, seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ends = i64::try_from(now.as_millis()).unwrap() + seconds * 1000;
    json!({"claudeAiOauth": {
        "accessToken": access(number), "refreshToken": refresh(number), "expiresAt": ends,
        "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
    }})
}

pub(crate) fn access(number: usize) -> String {
    format!("CANARY-ACCESS-{number}")
}

pub(crate) fn refresh(number: usize) -> String {
    format!("CANARY-REFRESH-{number}")
}

#[derive(Default)]
struct State {
    renewals: usize,
    refused: usize,
    /// The logins that the model was asked with.
    asked: Vec<String>,
}

pub(crate) struct LoginDouble {
    front: Front,
    state: Arc<Mutex<State>>,
}

impl LoginDouble {
    pub(crate) fn before(model: &ModelDouble) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let (theirs, model) = (Arc::clone(&state), model.address());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&theirs);
                thread::spawn(move || serve(stream, &state, model));
            }
        });
        Self {
            front: Front::proxy(&HOSTS, address),
            state,
        }
    }

    pub(crate) fn renewals(&self) -> usize {
        self.state.lock().unwrap().renewals
    }

    /// How often somebody came with a login that was renewed already, or asked the model with an old one.
    pub(crate) fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Renews it as somebody else would: the number of the new one.
    pub(crate) fn renew(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.renewals += 1;
        state.renewals
    }

    /// Has a program reach this service, with no login but that of its files.
    pub(crate) fn reached_by(&self, world: &World, start: Start) -> Start {
        let pem = world.root().join("service.pem");
        fs::write(&pem, &self.front.pem).unwrap();
        start
            .without("ANTHROPIC_API_KEY")
            .without("ANTHROPIC_BASE_URL")
            .env("HTTPS_PROXY", &format!("http://{}", self.front.address))
            .env("NODE_EXTRA_CA_CERTS", pem.to_str().unwrap())
    }
}

/// Where an operator has the login.
pub(crate) fn store(world: &World) -> PathBuf {
    world.root().join("home/.claude/.credentials.json")
}

/// Gives the operator this login, whole at every moment, as Claude Code does.
pub(crate) fn put(world: &World, login: &Value) {
    let path = store(world);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_extension("new");
    fs::write(&new, login.to_string()).unwrap();
    fs::rename(new, path).unwrap();
}

pub(crate) fn stored(path: &Path) -> Value {
    let text = fs::read(path).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn serve(stream: TcpStream, state: &Mutex<State>, model: SocketAddr) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length, mut bearer) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|got| *got > 0)?;
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if lower.starts_with("authorization:") {
            bearer = line.trim_end().rsplit(' ').next()?.to_owned();
        }
        // One request a connection.
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = reader.into_inner();
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    match (method, target.split('?').next()?) {
        ("POST", "/v1/oauth/token") => {
            let asked: Value = serde_json::from_slice(&body).ok()?;
            let mut state = state.lock().unwrap();
            if asked["refresh_token"] != refresh(state.renewals) {
                state.refused += 1;
                return answer(&mut stream, 400, &json!({"error": "invalid_grant"}));
            }
            state.renewals += 1;
            let number = state.renewals;
            drop(state);
            let given = json!({
                "token_type": "Bearer", "access_token": access(number),
                "refresh_token": refresh(number), "expires_in": 3600, "scope": asked["scope"],
                "account": {"uuid": "a"}, "organization": {"uuid": "o"},
            });
            answer(&mut stream, 200, &given)
        }
        ("POST", path) if path.starts_with("/v1/messages") => {
            {
                let mut state = state.lock().unwrap();
                state.asked.push(bearer.clone());
                if bearer != access(state.renewals) {
                    state.refused += 1;
                    let error = json!({"type": "error", "error": {
                        "type": "authentication_error", "message": "an old login",
                    }});
                    return answer(&mut stream, 401, &error);
                }
            }
            let mut behind = TcpStream::connect(model).ok()?;
            behind.write_all(head.as_bytes()).ok()?;
            behind.write_all(b"connection: close\r\n\r\n").ok()?;
            behind.write_all(&body).ok()?;
            std::io::copy(&mut behind, &mut stream).ok().map(drop)
        }
        _ => answer(&mut stream, 404, &json!({"type": "error"})),
    }
}

fn answer(stream: &mut TcpStream, status: u16, body: &Value) -> Option<()> {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).ok()
}
