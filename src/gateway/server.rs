//! The answering side: a listener in a private directory, and a worker for each connection.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use crate::confine::{self, Narrower, Places, Profile, inject};
use crate::contracts::call::{Actor, ToolCall, UnreadableCall};
use crate::contracts::ids::{MessageId, SessionId, Sha256};
use crate::contracts::limits;
use crate::contracts::message::Message;
use crate::contracts::plural::count;
use crate::contracts::verdict::{Denial, Verdict};
use crate::journal::Permit;
use crate::journal::key::SigningKey;

use super::answer::Answer;
use super::client_file::{self, ClientFile};
use super::frame;
use super::gate_error::GateError;
use super::worker_pool::{Desk, Handed, WorkerSlot};

/// How long a gateway that stops waits for the calls under way: their harness is gone by then,
/// and nobody is asked any more.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Who is at the other end, as the kernel says (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id at the time of connecting.
    pub pid: i32,
    /// Effective user id at the time of connecting.
    pub uid: u32,
}

/// How a harness's own call has ended, as its post-tool hook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// The call.
    pub id: MessageId,
    /// The tool's name.
    pub tool: String,
    /// Digest of the arguments it ran with.
    pub args_sha256: Sha256,
    /// Whether the tool succeeded.
    pub ok: bool,
    /// What it answered, possibly cut.
    pub output: String,
    /// Bytes of the whole answer.
    pub output_bytes: u64,
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub enum Decided {
    /// Nobody may run the call.
    Denied(Denial),
    /// The harness may run the call of the permit itself, on these grounds.
    Released(Permit, Verdict),
    /// agp ran it.
    Executed {
        /// Whether the tool succeeded.
        ok: bool,
        /// What it answered; cut to [`limits::RESULT_OUTPUT_BYTES`] on the wire.
        output: String,
    },
}

/// What stands behind the gateway.
pub trait Gate: Send + Sync {
    /// The session whose calls are answered.
    fn session(&self) -> &SessionId;

    /// Decides a call, and runs it where that is agp's to do; returns once what is answered is
    /// durable.
    ///
    /// # Errors
    /// Why there is no answer; the call is refused.
    fn request(&self, call: ToolCall, peer: Peer) -> Result<Decided, GateError>;

    /// Records a call that nobody can decide about.
    ///
    /// # Errors
    /// Why it is not recorded; the call is refused all the same.
    fn unreadable(&self, call: UnreadableCall, peer: Peer) -> Result<Denial, GateError>;

    /// Records how a call has ended.
    ///
    /// # Errors
    /// Why it is not recorded.
    fn report(&self, report: CallReport, peer: Peer) -> Result<(), GateError>;

    /// Says that a call worker failed at its own work; its call is refused, and the session must end.
    fn failed(&self, problem: &str);

    /// Records that a peer asked, or reported, which does not show the session's client file. What it said is not
    /// looked at.
    fn unproven(&self, peer: Peer);

    /// Says that a peer broke the protocol or is not allowed to speak.
    fn intruded(&self, peer: Option<Peer>, problem: &str);
}

/// A listening gateway. Dropping it stops accepting and waits, a little, for calls under way.
#[derive(Debug)]
pub struct Server {
    listener: Arc<UnixListener>,
    stopping: Arc<AtomicBool>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
}

impl Server {
    /// Listens on `socket` (0600), which must not exist, in a directory that is the caller's alone
    /// (0700).
    ///
    /// # Errors
    /// What the file system or the socket gives.
    pub fn start(socket: &Path, gate: Arc<dyn Gate>) -> io::Result<Self> {
        Self::start_for(socket, rustix::process::geteuid().as_raw(), gate, None)
    }

    /// The same for peers of this user, whose the socket becomes. With a key the answers are signed for those who
    /// can check that, and nobody is answered who does not show the client file: it lies beside the socket.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_for(
        socket: &Path,
        user: u32,
        gate: Arc<dyn Gate>,
        key: Option<Arc<SigningKey>>,
    ) -> io::Result<Self> {
        let socket = socket.to_owned();
        let proves = key.map(|key| Proves::new(key, &socket, user)).transpose()?;
        let listener = Arc::new(UnixListener::bind(&socket)?);
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        if user != rustix::process::geteuid().as_raw() {
            chown(&socket, Some(user), None)?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let desk = Arc::new(Desk::default());
        let (accepting, stop) = (Arc::clone(&listener), Arc::clone(&stopping));
        let handing = Arc::clone(&desk);
        let behind = Behind { gate, user, proves };
        let thread =
            confine::start_first(
                Profile::Gateway,
                Places::none(),
                move |entered| match entered.narrower(Profile::Call) {
                    Ok(worker) => accept_all(&accepting, &stop, &handing, &behind, &worker),
                    Err(error) => behind.gate.failed(&error.to_string()),
                },
            )?;
        Ok(Self {
            listener,
            stopping,
            desk,
            thread: Some(thread),
            socket,
        })
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`, which then fails; there is no other safe way to interrupt it.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Their last words belong before the session's.
        self.desk.close(LAST_CALLS);
        // The directory goes with the session; a socket left behind answers nobody.
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(client_file::path(&self.socket));
    }
}

/// What stands behind a connection.
#[derive(Clone)]
struct Behind {
    gate: Arc<dyn Gate>,
    /// Whose processes are answered.
    user: u32,
    /// How both sides are known.
    proves: Option<Proves>,
}

/// What shows whose an answer is, and whose a question.
#[derive(Clone)]
struct Proves {
    key: Arc<SigningKey>,
    client: Arc<ClientFile>,
}

impl Proves {
    fn new(key: Arc<SigningKey>, socket: &Path, user: u32) -> io::Result<Self> {
        let client = Arc::new(ClientFile::lay_beside(socket, user)?);
        Ok(Self { key, client })
    }
}

fn accept_all(
    listener: &UnixListener,
    stopping: &AtomicBool,
    desk: &Arc<Desk>,
    behind: &Behind,
    narrower: &Narrower,
) {
    while !stopping.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: workers give theirs back.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        match desk.hand(stream) {
            Handed::Over => {}
            Handed::Full(stream) => {
                let problem = format!(
                    "{} already in flight",
                    count(limits::CALLS_IN_FLIGHT, "call")
                );
                refuse(&stream, None, None, problem);
            }
            Handed::ToStart(stream, place) => {
                let (behind, narrower) = (behind.clone(), narrower.clone());
                let work = move || work(stream, &place, behind, &narrower);
                let worker = thread::Builder::new().name("call".into()).spawn(work);
                // One that cannot be started drops the link, which is a deny.
                drop(worker);
            }
        }
    }
}

/// A call worker: confined before it takes anything from a connection, it sees this one through, then
/// what it is handed. Its place is the caller's, and so is given back when all else is.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the gate is let go with the worker"
)]
fn work(first: UnixStream, place: &WorkerSlot, behind: Behind, narrower: &Narrower) {
    let mut next = Some(first);
    // Before its link drops: whoever is at the other end learns of it second.
    let _end = End(behind.gate.as_ref());
    if let Err(error) = narrower.enter() {
        return behind.gate.failed(&error.to_string());
    }
    while let Some(stream) = &next {
        answer(stream, &behind);
        drop(next.take());
        next = place.desk().next();
    }
}

/// The end of a call worker. One that panics has answered nobody, which is a deny; and nobody knows
/// what else it has left undone.
struct End<'a>(&'a dyn Gate);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed("a call worker panicked");
        }
    }
}

fn refuse(stream: &UnixStream, id: Option<MessageId>, session: Option<SessionId>, problem: String) {
    // The peer may be gone; the link drops either way.
    let _ = frame::answer(stream, &Answer::error(id, session, problem), None);
}

fn peer_of(stream: &UnixStream) -> Option<Peer> {
    // Not by rustix, which has no process id 0: that of a peer in another PID namespace.
    let credentials = getsockopt(stream, PeerCredentials).ok()?;
    Some(Peer {
        pid: credentials.pid(),
        uid: credentials.uid(),
    })
}

fn answer(stream: &UnixStream, behind: &Behind) {
    let (gate, user) = (behind.gate.as_ref(), behind.user);
    let Some(peer) = peer_of(stream).filter(|peer| peer.uid == user) else {
        gate.intruded(peer_of(stream), "a process of another user connected");
        return refuse(
            stream,
            None,
            None,
            "this gateway belongs to another user".into(),
        );
    };
    let ((message, nonce), file) = match frame::read(stream, limits::FRAME_DEADLINE) {
        Ok(question) => question,
        Err(error) => {
            gate.intruded(Some(peer), &error.to_string());
            return refuse(stream, None, None, error.to_string());
        }
    };
    let proves = behind.proves.as_ref();
    if proves.is_some_and(|ours| !file.is_some_and(|file| ours.client.is(file))) {
        gate.unproven(peer);
        let problem = "this gateway answers only the session's own hooks and tools";
        return refuse(stream, None, None, problem.into());
    }
    match handle(message, peer, gate) {
        Ok(reply) => {
            // A peer that is gone takes no answer, and so does not act on one.
            let key = proves.map(|ours| ours.key.as_ref());
            let _ = frame::answer(stream, &reply, key.zip(nonce));
        }
        Err((id, session, problem)) => refuse(stream, id, session, problem),
    }
}

type Refusal = (Option<MessageId>, Option<SessionId>, String);

fn handle(message: Message, peer: Peer, gate: &dyn Gate) -> Result<Answer, Refusal> {
    match message {
        Message::ToolCallRequest {
            id,
            session_id,
            tool,
            args,
            actor,
        } => {
            check_session(&id, &session_id, peer, gate)?;
            // Whoever asks here is a harness, or something that it started, whatever it says of itself.
            if actor != Actor::ClaudeProcess {
                let problem = "calls for the session owner are not accepted here";
                gate.intruded(Some(peer), problem);
                return Err((Some(id), Some(session_id), problem.into()));
            }
            let call = ToolCall {
                id: id.clone(),
                session: session_id.clone(),
                tool,
                args,
                actor,
            };
            inject::amid("asked", id.as_str());
            let decided = gate.request(call, peer);
            inject::amid("decided", id.as_str());
            match decided {
                Ok(Decided::Denied(denial)) => Ok(Answer::deny(id, session_id, denial)),
                Ok(Decided::Released(permit, grounds)) => Ok(Answer::allow(permit, grounds)),
                Ok(Decided::Executed { ok, output }) => {
                    Ok(Answer::result(id, session_id, ok, cut(output)))
                }
                Err(error) => Err((Some(id), Some(session_id), error.to_string())),
            }
        }
        Message::ToolCallUnreadable {
            id,
            session_id,
            tool,
            args_sha256,
            args_bytes,
            why,
        } => {
            check_session(&id, &session_id, peer, gate)?;
            let call = UnreadableCall {
                id: id.clone(),
                session: session_id.clone(),
                tool,
                args_sha256,
                args_bytes,
                why,
            };
            match gate.unreadable(call, peer) {
                Ok(denial) => Ok(Answer::deny(id, session_id, denial)),
                Err(error) => Err((Some(id), Some(session_id), error.to_string())),
            }
        }
        Message::ToolCallReport {
            id,
            session_id,
            tool,
            args_sha256,
            ok,
            output,
            output_bytes,
        } => {
            check_session(&id, &session_id, peer, gate)?;
            let report = CallReport {
                id: id.clone(),
                tool,
                args_sha256,
                ok,
                output,
                output_bytes,
            };
            match gate.report(report, peer) {
                Ok(()) => Ok(Answer::recorded(id, session_id)),
                Err(error) => Err((Some(id), Some(session_id), error.to_string())),
            }
        }
    }
}

/// Cuts an output in the middle of which nobody reads: a model is told how much is missing.
fn cut(mut output: String) -> String {
    if output.len() > limits::RESULT_OUTPUT_BYTES {
        let end = output.floor_char_boundary(limits::RESULT_OUTPUT_BYTES);
        let missing = output.len() - end;
        output.truncate(end);
        output += &format!("\n[{} not shown]", count(missing, "more byte"));
    }
    output
}

fn check_session(
    id: &MessageId,
    session: &SessionId,
    peer: Peer,
    gate: &dyn Gate,
) -> Result<(), Refusal> {
    if session == gate.session() {
        return Ok(());
    }
    let problem = "this gateway belongs to another session";
    gate.intruded(Some(peer), problem);
    Err((Some(id.clone()), Some(session.clone()), problem.into()))
}
