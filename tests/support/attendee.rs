//! Somebody who attends a session without `agp attend`: speaks to its socket as it likes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use agp::channels::attend::socket::connect;
use agp::contracts::ids::Sha256;
use serde_json::{Value, json};

use super::session::{LIMIT, Live, Start, World, wait_for};

/// A session whose policy asks about each of these commands, without a terminal.
pub(crate) fn asks(world: &World, commands: &[&str], more: &[&str]) -> Start {
    world.policy(&[("require", "Bash"), ("allow", "Read")]);
    let calls = commands.iter().map(|command| {
        format!(
            "{}\n",
            json!({"tool": "Bash", "args": {"command": command}})
        )
    });
    world.put("calls.jsonl", &calls.collect::<String>());
    world
        .agp(&["run", "--script", "calls.jsonl", "--approval-timeout", "60"])
        .arguments(more)
}

/// The same, which waits for somebody to attend.
pub(crate) fn waiting(world: &World, commands: &[&str]) -> Live {
    asks(world, commands, &["--attend"]).start()
}

/// A connection to a session's socket.
pub(crate) struct Attendee {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

/// The socket of the world's only session.
pub(crate) fn socket(world: &World) -> PathBuf {
    wait_for("a socket", || sockets(world).pop())
}

/// Those of all its sessions.
pub(crate) fn sockets(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.agp_home().join("sessions"));
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut sockets: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|of| of == "attend"))
        .collect();
    sockets.sort();
    sockets
}

impl Attendee {
    /// Connects, and says nothing.
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = wait_for("a connection", || connect(socket).ok());
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            lines: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    /// Attends the world's only session, as one who can answer.
    pub(crate) fn attend(world: &World) -> Self {
        Self::attend_at(&socket(world))
    }

    pub(crate) fn attend_at(socket: &Path) -> Self {
        let mut attendee = Self::connect(socket);
        attendee.say(&json!({"type": "attach", "protocol": 1, "answers": true}));
        let hello = attendee.next();
        assert_eq!(hello["type"], "hello", "{hello}");
        attendee
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes());
    }

    /// The same, while somebody is there to hear it.
    pub(crate) fn say_if_heard(&mut self, message: &Value) -> bool {
        self.stream
            .write_all(format!("{message}\n").as_bytes())
            .is_ok()
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; `None` when the session has closed the connection.
    pub(crate) fn next_or_end(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn next(&mut self) -> Value {
        self.next_or_end().unwrap()
    }

    /// The next message of this type, whatever else comes before.
    pub(crate) fn see(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Waits for the end, and gives all that came before it.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_or_end()).collect()
    }

    /// Answers a question.
    pub(crate) fn answer(&mut self, question: &Value, verdict: &Value) {
        self.say(&answer(question, verdict));
    }
}

/// An answer to a question as it was sent.
pub(crate) fn answer(question: &Value, verdict: &Value) -> Value {
    let view = serde_json::to_vec(&question["question"]["view"]).unwrap();
    json!({
        "type": "answer",
        "number": question["question"]["number"],
        "nonce": question["nonce"],
        "viewSha256": Sha256::of(&view).to_hex(),
        "verdict": verdict,
    })
}
