//! How agp's programs on a harness's side are told where the governor is, and how to tell it from others.

use std::path::Path;
use std::time::Duration;

use crate::contracts::ids::SessionId;

/// The governor as one of them finds it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The gateway's socket, where that program has it.
    pub socket: &'a Path,
    /// The session.
    pub session: &'a SessionId,
    /// The key that the governor's answers are signed with: base64 of its public half.
    pub answer_key: &'a str,
    /// Whether the program is in a PID namespace that the governor is not in. Whoever listens within is then
    /// another.
    pub outside: bool,
    /// How long to wait for an answer.
    pub within: Duration,
}

impl Asking<'_> {
    /// The program's arguments: its command, what says all this, and what more it is told.
    #[must_use]
    pub fn arguments(&self, command: &str, more: &[&str]) -> Vec<String> {
        let seconds = self.within.as_secs().to_string();
        let socket = self.socket.display().to_string();
        let listener = if self.outside { "outside" } else { "anywhere" };
        let arguments = [
            ["--socket", &socket],
            ["--session", self.session.as_str()],
            ["--answer-key", self.answer_key],
            ["--listener", listener],
            ["--deadline", &seconds],
        ];
        let arguments = arguments.as_flattened();
        let words = [&[command], arguments, more].concat();
        words.into_iter().map(str::to_owned).collect()
    }
}
