//! The channel of `agp attend`: the operator answers at another terminal, by a socket of the session's own.
//!
//! The socket lies in the directory of leases, which no sandbox shows: that is what protects it. Who connects is looked
//! at all the same (`process`), and an answer is bound to what was sent (`board`). One thread serves all (`server`).

mod board;
pub mod client;
mod connection;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod process;
pub mod protocol;
mod rejections;
mod server;
pub mod socket;
mod viewer;

use std::io::{self, PipeWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use ring::rand::{SecureRandom, SystemRandom};

use crate::confine::{self, Place, Places, Profile};
use crate::contracts::approver::Approver;
use crate::contracts::channel::{Answer, Channel, Unreachable};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::grant::Grant;
use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::question::Question;
use crate::contracts::view::Origin;

use super::console;
use board::Board;
use process::Admission;
use protocol::SessionMessage;
pub use rejections::{Reason, Rejection};
use server::Server;
use socket::SessionSocket;

/// Bytes of a nonce, as 32 hexadecimal digits.
const NONCE_BYTES: usize = 16;

/// What the channel needs of the session around it.
pub struct Around {
    /// What people are shown of the session.
    pub origin: Origin,
    /// When it began, as the journal writes a time.
    pub since: String,
    /// The name of the account that it runs under.
    pub user: String,
    /// Whether a question waits for somebody to attend.
    pub waits: bool,
    /// How many people must approve where the rule does not say: here there is one.
    pub required: usize,
    /// Where else questions are asked, in words.
    pub elsewhere: Vec<String>,
    /// Records what was rejected.
    pub rejected: Box<dyn Fn(&Rejection) + Send + Sync>,
    /// Tells the operator that a question waits.
    pub waiting: Box<dyn Fn(&Question) + Send + Sync>,
}

/// Lists the approvals that were given for the session.
pub type ListGrants = Box<dyn Fn() -> Vec<Grant> + Send + Sync>;
/// Takes one back, by its id, for a person by name. `None` where no live one has this id.
pub type RevokeGrant = Box<dyn Fn(&str, &str, ApprovalBinding) -> Option<Grant> + Send + Sync>;

/// What the channel and its thread share.
struct Shared {
    board: Mutex<Board>,
    origin: Origin,
    since: String,
    user: String,
    waits: bool,
    required: usize,
    elsewhere: Arc<[String]>,
    rejected: Box<dyn Fn(&Rejection) + Send + Sync>,
    waiting: Box<dyn Fn(&Question) + Send + Sync>,
    /// Who knows of grants, once there is a governor.
    grants: OnceLock<(ListGrants, RevokeGrant)>,
    rejections: AtomicU32,
    waker: PipeWriter,
    /// Whether a byte is on its way through `waker`.
    woken: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    /// Changes what is up, and has it sent.
    fn put_up(&self, change: impl FnOnce(&mut Board)) {
        change(&mut locked(&self.board));
        self.wake();
    }

    /// At most one byte is in the pipe: nobody waits for room in it.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            let _ = (&self.waker).write_all(&[1]);
        }
    }

    fn heard(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    /// The session's grants, as they are told.
    fn granted(&self) -> SessionMessage {
        let grants = self.grants.get().map(|(list, _)| list());
        SessionMessage::Grants {
            grants: grants.unwrap_or_default(),
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn rejected(&self, mut rejection: Rejection) {
        let before = self.rejections.fetch_add(1, Ordering::Relaxed);
        if before + 1 == limits::ATTEND_REJECTIONS {
            rejection.reason = Reason::TooMany;
        }
        if before < limits::ATTEND_REJECTIONS {
            (self.rejected)(&rejection);
        }
    }
}

/// Asks those who attend.
pub struct Attend(Arc<Shared>);

/// The session's side of its socket. Dropping it says that the session is over, and takes the socket away.
pub struct Attending {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _socket: SessionSocket,
}

impl Attend {
    /// Takes connections at a socket from now on.
    ///
    /// # Errors
    /// When the thread cannot be started or confined.
    pub fn start(socket: SessionSocket, around: Around) -> io::Result<(Self, Attending)> {
        let (wake, waker) = io::pipe()?;
        let shared = Arc::new(Shared {
            board: Mutex::default(),
            origin: around.origin,
            since: around.since,
            user: around.user,
            waits: around.waits,
            required: around.required,
            elsewhere: around.elsewhere.into(),
            rejected: around.rejected,
            waiting: around.waiting,
            grants: OnceLock::new(),
            rejections: AtomicU32::new(0),
            waker,
            woken: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let server = Server {
            listener: socket.listener()?,
            wake,
            shared: Arc::clone(&shared),
            admission: Admission {
                user: rustix::process::geteuid().as_raw(),
                governor: rustix::process::getpid().as_raw_nonzero().get(),
            },
            clients: Vec::new(),
        };
        let places = Places::none().with(Place::Processes, Path::new("/proc"));
        let thread = confine::start(Profile::Attend, places, move || server.run())?;
        let attending = Attending {
            shared: Arc::clone(&shared),
            thread: Some(thread),
            _socket: socket,
        };
        Ok((Self(shared), attending))
    }

    /// Gives each line that the session shows to those who attend.
    #[must_use]
    pub fn lines(&self) -> Box<dyn Fn(&str) + Send + Sync> {
        let shared = Arc::clone(&self.0);
        Box::new(move |line| shared.put_up(|board| board.line(line)))
    }
}

impl Attending {
    /// From now on those who attend can ask which approvals hold for the session, and take one back.
    pub fn governs(&self, list: ListGrants, revoke: RevokeGrant) {
        let _ = self.shared.grants.set((list, revoke));
    }
}

impl Channel for Attend {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let asking = question.asking();
        // Whoever connects has the account of the session.
        let people = [Approver::Account(self.0.user.clone())];
        if let Some(why) = console::too_few(asking, &people) {
            return Err(Unreachable(why));
        }
        if asking.terms.required.is_none() && self.0.required > 1 {
            let people = count(self.0.required, "approver");
            return Err(Unreachable(format!(
                "{people} are needed, at a terminal is one"
            )));
        }
        if asking.view.bytes() > limits::ATTEND_MESSAGE_BYTES {
            return Err(Unreachable("the call is too long for agp attend".into()));
        }
        let mut nonce = [0; NONCE_BYTES];
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.map_err(|_| Unreachable("the system provides no random numbers".into()))?;
        let nonce = data_encoding::HEXLOWER.encode(&nonce);
        // Whoever comes while it is open sees it, too.
        let elsewhere = Arc::clone(&self.0.elsewhere);
        let mut attended = 0;
        self.0.put_up(|board| {
            attended = board.attended;
            board.question(Arc::clone(question), nonce, elsewhere);
        });
        match (attended, self.0.waits) {
            (0, true) => {
                (self.0.waiting)(question);
                Ok(())
            }
            (0, false) => Err(Unreachable(
                "nobody runs agp attend; --attend waits for that".into(),
            )),
            _ => Ok(()),
        }
    }

    fn over(&self, question: &Question, answer: &Answer) {
        let number = question.asking().number;
        self.0.put_up(|board| board.settled(number, answer));
    }

    /// Its questions are settled by whoever hangs up; those who attend see the session to its end.
    fn hang_up(&self) {}
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.shared.put_up(|board| board.ended("the session ended"));
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.woken.store(false, Ordering::SeqCst);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
