//! A proxy for a sandbox's attestation: one listed host, which is agp itself, and others that are
//! not listed, which must stay out of reach.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::confine::{self, Places, Profile};
use crate::egress::{Allowlist, Proxy, ProxyConfig, Resolver};
use crate::jail::isolation_probe::WayOut;
use crate::jail::spec::RELAY_PORT;

/// A name that nobody else can have (RFC 6761).
const LISTED: &str = "listed.agp.invalid";
/// What is not listed: another such name, addresses of this machine's and of clouds.
const UNLISTED: [&str; 5] = [
    "unlisted.agp.invalid:443",
    "localhost:443",
    "127.0.0.1:443",
    "[::1]:443",
    "169.254.169.254:80",
];
/// How long the listed host waits for the probe's words.
const PATIENCE: Duration = Duration::from_secs(5);

/// Leads the listed name to agp's own listener.
struct Here;

impl Resolver for Here {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if name == LISTED {
            Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// A proxy to try, for as long as a sandbox is looked into.
pub struct Trial {
    proxy: Proxy,
    host: SocketAddr,
    over: Arc<AtomicBool>,
    /// What the probe is asked to try.
    pub ask: WayOut,
}

impl Trial {
    /// Lays it out in a private directory; the listed host answers with `token`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn lay(directory: &Path, token: &str) -> io::Result<Self> {
        Self::lay_for(directory, token, rustix::process::geteuid().as_raw())
    }

    /// The same for a probe of another user.
    ///
    /// # Errors
    /// As [`Trial::lay`].
    pub fn lay_for(directory: &Path, token: &str, user: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let host = listener.local_addr()?;
        let listed = format!("{LISTED}:{}", host.port());
        let loopback = format!("{}:{}", IpAddr::V4(Ipv4Addr::LOCALHOST), host.port());
        let list =
            Allowlist::parse([listed.as_str(), loopback.as_str()]).map_err(io::Error::other)?;
        let socket: PathBuf = directory.join("egress-try.sock");
        let mut setup = ProxyConfig::new(socket, "attestation", list, Arc::new(|_, _| Ok(())));
        setup.resolver = Arc::new(Here);
        setup.user = user;
        let proxy = Proxy::start(setup)?;
        let over = Arc::<AtomicBool>::default();
        let (ended, token) = (Arc::clone(&over), token.to_owned());
        confine::start(Profile::EgressTrial, Places::none(), move || {
            answer(&listener, &token, &ended);
        })?;
        Ok(Self {
            proxy,
            host,
            over,
            ask: WayOut {
                port: RELAY_PORT,
                listed,
                unlisted: UNLISTED.map(str::to_owned).into(),
                hello: HEXLOWER.encode(&hello()?),
            },
        })
    }

    /// Where its proxy listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.proxy.socket()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = std::net::TcpStream::connect_timeout(&self.host, PATIENCE);
    }
}

/// Answers whoever has said something, until it is over.
fn answer(listener: &TcpListener, token: &str, over: &AtomicBool) {
    for stream in listener.incoming() {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        // One that says nothing is not the probe.
        let mut block = [0; 1024];
        let said = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.read(&mut block));
        if said.is_ok_and(|said| said > 0) {
            let _ = stream.write_all(token.as_bytes());
        }
    }
}

/// What a client of the listed host says first.
fn hello() -> io::Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(LISTED).map_err(io::Error::other)?;
    let mut client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut said = Vec::new();
    client.write_tls(&mut said)?;
    Ok(said)
}
