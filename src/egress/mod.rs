//! Enforced egress: a CONNECT proxy on a Unix socket, the only way out of a network-less sandbox.
//!
//! What may be reached is a list of hosts; the proxy resolves their names itself, connects to the
//! very addresses that it checked, carries TLS alone and only to the server that the TLS names, and
//! records every connection. `docs/egress.md` says what that proves and what not.

pub(crate) mod address_classes;
pub(crate) mod allowlist;
pub(crate) mod client_hello;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod connection_events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod refusal;
pub(crate) mod resolver;

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::confine::{self, Places, Profile};
use crate::contracts::limits;
use crate::tunnel::{Bounds, Slot, Slots};

use connection::ConnectionRules;
use refusal::{Reason, Refusal};

pub(crate) use address_classes::own as own_addresses;
pub use allowlist::{
    AllowedHost, Allowlist, AllowlistError, Host, HostPolicy, LOCALHOST, Ruled, host_and_port,
};
pub use connection_events::{Record, Unrecorded};
pub use refusal::explained;
pub use resolver::{Resolver, System};

/// How long a proxy that stops waits for its connections to be recorded as ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes of a connection's stack. What it does not use is no memory.
const STACK_BYTES: usize = 256 << 10;

/// What a proxy is made from.
pub struct ProxyConfig {
    /// Where it listens: in a directory of the session's, not there yet.
    pub socket: PathBuf,
    /// The one user that may connect, and owns the socket.
    pub user: u32,
    /// Whose connections these are, for the journal: `harness`, `call`.
    pub from: &'static str,
    /// What may be reached.
    pub list: Allowlist,
    /// What the policy says besides.
    pub policy: Arc<HostPolicy>,
    /// Whether that may open hosts that are not listed.
    pub opens: bool,
    /// What looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// How long a client may take to say what it wants, and again to begin its TLS.
    pub handshake: Duration,
    /// How long a name's lookup may take, and again a connection to where it leads.
    pub patience: Duration,
    /// How many connections it opens in all.
    pub connections: u64,
    /// What one connection may take.
    pub bounds: Bounds,
    /// Makes its events durable.
    pub record: Arc<Record>,
}

impl ProxyConfig {
    /// A proxy for the user that runs agp, with the ordinary bounds and the system's resolver.
    #[must_use]
    pub fn new(socket: PathBuf, from: &'static str, list: Allowlist, record: Arc<Record>) -> Self {
        Self {
            socket,
            user: rustix::process::geteuid().as_raw(),
            from,
            list,
            policy: Arc::new(|_, _| Ruled::Listed),
            opens: false,
            resolver: Arc::new(System),
            handshake: limits::EGRESS_HANDSHAKE,
            patience: limits::EGRESS_PATIENCE,
            connections: limits::EGRESS_CONNECTIONS_PER_SESSION,
            bounds: Bounds {
                idle: limits::EGRESS_IDLE,
                bytes: limits::EGRESS_BYTES,
            },
            record,
        }
    }
}

/// TCP's port for names whose answers are too long for UDP.
const DNS: u16 = 53;

/// A running proxy. Dropping it ends its connections.
pub struct Proxy {
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
    running: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
}

/// What the accepting thread and the connections have in common.
struct Shared {
    terms: ConnectionRules,
    user: u32,
    stopping: AtomicBool,
    open: Slots,
    /// Ends with the proxy: every wait looks at it.
    stop: PipeReader,
}

impl Proxy {
    /// Listens, and carries what may be carried.
    ///
    /// # Errors
    /// What the file system or the socket gives.
    pub fn start(setup: ProxyConfig) -> io::Result<Self> {
        make_room()?;
        let socket = setup.socket.clone();
        let places = Places::none().names().port(DNS);
        let places = match setup.opens {
            true => places.port(allowlist::HTTPS),
            false => places,
        };
        let places = setup.list.ports().fold(places, Places::port);
        let listener = Arc::new(UnixListener::bind(&socket)?);
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        if setup.user != rustix::process::geteuid().as_raw() {
            chown(&socket, Some(setup.user), None)?;
        }
        let (stop, running) = pipe()?;
        let shared = Arc::new(Shared {
            user: setup.user,
            terms: ConnectionRules::of(setup),
            stopping: AtomicBool::new(false),
            open: Slots::new(limits::EGRESS_CONNECTIONS),
            stop,
        });
        let (accepting, sharing) = (Arc::clone(&listener), Arc::clone(&shared));
        let thread = confine::start(Profile::Egress, places, move || {
            accept_all(&accepting, &sharing);
        })?;
        Ok(Self {
            listener,
            shared,
            running: Some(running),
            thread: Some(thread),
            socket,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.taken()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`, which then fails, and every connection.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let until = Instant::now() + LAST_WORDS;
        while self.open() > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        self.shared.terms.ledger().close();
        // The directory goes with the session; a socket left behind answers nobody.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Lets this process open as many files as all connections need, where it may.
fn make_room() -> io::Result<()> {
    let had = getrlimit(Resource::Nofile);
    let enough = had
        .maximum
        .unwrap_or(u64::MAX)
        .min(limits::EGRESS_OPEN_FILES);
    if had.current.is_some_and(|current| current < enough) {
        let wanted = Rlimit {
            current: Some(enough),
            ..had
        };
        setrlimit(Resource::Nofile, wanted)?;
    }
    Ok(())
}

fn accept_all(listener: &UnixListener, shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            // Out of descriptors, most likely: connections give theirs back.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let peer = rustix::net::sockopt::socket_peercred(&client);
        if !peer.is_ok_and(|peer| peer.uid.as_raw() == shared.user) {
            shared
                .terms
                .refuse(&client, &Refusal::of(Reason::OtherUser));
            continue;
        }
        let Some(slot) = shared.open.take() else {
            shared.terms.refuse(&client, &Refusal::of(Reason::Busy));
            continue;
        };
        let shared = Arc::clone(shared);
        let worker = thread::Builder::new()
            .name("egress-conn".into())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(slot, &client, &shared));
        // One that cannot be started drops the connection: nothing is carried.
        drop(worker);
    }
}

fn serve(_slot: Slot, client: &UnixStream, shared: &Shared) {
    shared.terms.serve(client, shared.stop.as_fd());
}
