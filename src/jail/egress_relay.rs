//! `relay`: the inner end of the only way out of a sandbox without a network. It listens on the
//! sandbox's own loopback and carries each connection to the egress proxy's socket. It decides
//! nothing: whoever reaches it could as well reach the socket.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::spec::{PROXY, Relay, Sockets, Spec};
use super::{landlock, seccomp};
use crate::contracts::limits;
use crate::tunnel::{self, Bounds, Slots};

use super::process_tree;

/// Bytes of a connection's stack.
const STACK_BYTES: usize = 128 << 10;

/// The proxy bounds what a connection may take; this end goes when that does.
const BOUNDS: Bounds = Bounds {
    idle: Duration::from_secs(2 * limits::EGRESS_IDLE.as_secs()),
    bytes: u64::MAX,
};

/// Listens on the loopback interface.
///
/// # Errors
/// What the kernel gives.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        let problem = format!("cannot listen on 127.0.0.1:{port}: {error}");
        io::Error::new(error.kind(), problem)
    })
}

/// Carries every connection to the proxy's socket, as long as this process lives.
pub fn serve(listener: &TcpListener, socket: &Path) -> ! {
    let socket: Arc<Path> = socket.into();
    let open = Slots::new(limits::EGRESS_CONNECTIONS);
    loop {
        let Ok((client, _)) = listener.accept() else {
            // Out of descriptors, most likely: connections give theirs back.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let Some(slot) = open.take() else { continue };
        let socket = Arc::clone(&socket);
        let worker = thread::Builder::new()
            .name("relay-conn".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _slot = slot;
                carry(&client, &socket);
            });
        // One that cannot be started drops the connection.
        drop(worker);
    }
}

fn carry(client: &TcpStream, socket: &Path) {
    // Small writes are the client's own business.
    let _ = client.set_nodelay(true);
    // A proxy that is gone is a closed connection: the session is over.
    if let Ok(proxy) = UnixStream::connect(socket) {
        tunnel::carry(client, &proxy, &[], None, BOUNDS);
    }
}

/// Starts a relay on a thread of this process, which is about to confine itself: the relay's thread
/// confines itself first, in the same way, but for Unix sockets, which it needs.
///
/// # Errors
/// When it cannot listen, or is not confined.
pub(crate) fn within(relay: &Relay, spec: &Spec) -> io::Result<()> {
    let listener = listen(relay.port)?;
    let (socket, spec) = (Path::new(PROXY), spec.clone());
    let (tell, outcome) = sync_channel(1);
    thread::Builder::new().name("relay".into()).spawn(move || {
        let sockets = Sockets {
            inet: true,
            unix: true,
        };
        let confined = landlock::restrict(&spec).and_then(|_| seccomp::restrict(&sockets));
        let stands = confined.is_ok();
        // The other side waits for exactly this.
        let _ = tell.send(confined);
        if stands {
            serve(&listener, socket);
        }
    })?;
    outcome
        .recv()
        .map_err(|_| io::Error::other("the relay thread ended"))?
}

/// A relay that is a process of its own.
pub struct Alone {
    /// The proxy's socket.
    pub socket: PathBuf,
    /// The port to listen at; 0 for any that is free, where a command is told of it.
    pub port: u16,
}

/// What a relay's child process is started with: its listener is its standard input.
const INHERITED: &str = "relaying";

impl Alone {
    /// Relays, and never returns but with an error; or, with a command, starts a relay that ends
    /// with this process, and becomes the command, its proxy variables set.
    #[must_use]
    pub fn run(&self, command: &[OsString]) -> io::Error {
        let listener = match listen(self.port) {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        match command.split_first() {
            None => serve(&listener, &self.socket),
            Some((program, arguments)) => self
                .beside(listener, program, arguments)
                .unwrap_or_else(|error| error),
        }
    }

    fn beside(
        &self,
        listener: TcpListener,
        program: &OsString,
        arguments: &[OsString],
    ) -> io::Result<io::Error> {
        let port = listener.local_addr()?.port();
        process_tree::own()
            .arg(INHERITED)
            .arg(std::process::id().to_string())
            .arg(&self.socket)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            // What waits for the end of the command's output must not wait for this.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, value) in Relay::variables(port, &[]) {
            // Whoever started this knows better which hosts of this machine's are meant.
            let given = name.eq_ignore_ascii_case("no_proxy") && std::env::var_os(name).is_some();
            if !given {
                command.env(name, value);
            }
        }
        Ok(command.exec())
    }
}

/// Relays from an inherited listener until the process `parent`, which started this one, ends.
///
/// # Errors
/// When that process is gone, or standard input is no listener.
pub fn inherited(parent: &str, socket: &Path) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    if !alive {
        return Err(io::Error::other("the parent process is gone"));
    }
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    serve(&listener, socket)
}
