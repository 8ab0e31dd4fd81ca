//! A container's life: its first process's words are listened to from before its start, and the
//! stream ends with the container or with the daemon. The thread that listens then removes it.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::confine::{self, Places, Profile};
use crate::contracts::limits;
use crate::contracts::lock::locked;

use super::engine::{Attached, Engine};
use super::stdcopy;

/// Called once, when a container is gone that was not asked to go.
pub(super) type Lost = dyn Fn(String) + Send + Sync;

/// Told what the end waits for, and what it leaves behind.
pub(super) type Left = dyn Fn(&str) + Send + Sync;

#[derive(Default)]
struct WatcherState {
    words: Vec<u8>,
    gone: Option<String>,
    leaving: bool,
    /// Set once losing it ends a session, and not only its start.
    lost: Option<Arc<Lost>>,
}

/// A container that is removed when this is dropped.
pub(super) struct Held {
    pub(super) engine: Engine,
    pub(super) id: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        // What stays behind has lost its first process, and is reaped by the next start.
        let _ = self.engine.remove(&self.id);
    }
}

/// How long a container has to end by itself.
const FAREWELL: Duration = Duration::from_secs(3);

/// Looks at whether it is gone: for two seconds.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(20);

/// A container's life, listened to on a thread of its own.
pub(super) struct Life {
    state: Arc<Mutex<WatcherState>>,
    connection: UnixStream,
    removed: Mutex<Receiver<()>>,
    left: Arc<Left>,
}

impl Life {
    /// Listens, and at the end removes.
    pub(super) fn listen(attached: Attached, held: Held, left: Arc<Left>) -> io::Result<Self> {
        let connection = attached.connection()?;
        let (tell, removed) = sync_channel(1);
        let state: Arc<Mutex<WatcherState>> = Arc::default();
        let shared = Arc::clone(&state);
        confine::start(Profile::Docker, Places::none(), move || {
            let mut keep = |_, block: &[u8]| {
                let mut state = locked(&shared);
                let room = limits::DOCKER_WORDS_BYTES - state.words.len();
                state.words.extend(block.iter().take(room));
            };
            let ended = stdcopy::demultiplex(attached, &mut keep);
            let mut state = locked(&shared);
            let mut why = match ended {
                Ok(()) => "the container or the Docker daemon stopped".to_owned(),
                Err(error) => format!("lost the connection to the container: {error}"),
            };
            let words = String::from_utf8_lossy(&state.words);
            if !words.trim().is_empty() {
                why = format!("{why}; its output: {}", words.trim());
            }
            state.gone = Some(why.clone());
            let lost = state.lost.take().filter(|_| !state.leaving);
            drop(state);
            if let Some(lost) = lost {
                lost(why);
            }
            drop(held);
            let _ = tell.send(());
        })?;
        Ok(Self {
            state,
            connection,
            removed: Mutex::new(removed),
            left,
        })
    }

    /// Why it is gone, if it is.
    pub(super) fn gone(&self) -> Option<String> {
        let state = locked(&self.state);
        state.gone.clone()
    }

    /// The same, when it seems to be: the daemon may be slower to tell than the container to end.
    pub(super) fn gone_soon(&self) -> Option<String> {
        for _ in 0..LOOKS {
            if let Some(why) = self.gone() {
                return Some(why);
            }
            thread::sleep(LOOK);
        }
        None
    }

    /// From now on its loss is told of.
    pub(super) fn tell(&self, lost: Arc<Lost>) {
        let mut state = locked(&self.state);
        match state.gone.clone() {
            None => state.lost = Some(lost),
            Some(why) => {
                drop(state);
                lost(why);
            }
        }
    }

    /// From now on its end is no loss.
    pub(super) fn leave(&self) {
        let mut state = locked(&self.state);
        state.leaving = true;
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.leave();
        let removed = locked(&self.removed);
        if removed.recv_timeout(FAREWELL).is_err() {
            // Its first process has ended, or cannot be ended: the daemon is told to remove it.
            let _ = self.connection.shutdown(Shutdown::Both);
            (self.left)("waiting for Docker to remove the container");
            if removed.recv_timeout(limits::DOCKER_FAREWELL).is_err() {
                (self.left)(
                    "WARNING: Docker does not answer, so the container may remain. The next \
                        session with this AGP_HOME removes it.",
                );
            }
        }
    }
}
