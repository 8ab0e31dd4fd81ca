//! TLS servers and clients of the tests' own, each server with a certificate of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// A server that says back what it is told, to any number of clients.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    certificate: CertificateDer<'static>,
    /// Connections that were accepted.
    pub(crate) accepted: Arc<AtomicUsize>,
    /// Names that were asked for, in order.
    pub(crate) named: Arc<Mutex<Vec<String>>>,
}

/// A certificate for these names, and what a server makes of it.
pub(crate) fn certified(names: &[&str]) -> (CertificateDer<'static>, Arc<ServerConfig>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (certificate, Arc::new(config))
}

impl Echo {
    pub(crate) fn new(names: &[&str]) -> Self {
        let (certificate, config) = certified(names);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, named) = (Arc::<AtomicUsize>::default(), Arc::default());
        let (count, names) = (Arc::clone(&accepted), Arc::clone(&named));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (config, names) = (Arc::clone(&config), Arc::clone(&names));
                let serving = move || echo(&stream, config, &names);
                thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn(serving)
                    .unwrap();
            }
        });
        Self {
            address,
            certificate,
            accepted,
            named,
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// A client that trusts this server alone.
    pub(crate) fn client(&self, name: &str) -> ClientConnection {
        client_of(&self.certificate, name)
    }
}

/// A client that trusts this certificate alone.
pub(crate) fn client_of(certificate: &CertificateDer<'static>, name: &str) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Whoever leaves, or is cut off, ends it.
fn echo(mut stream: &TcpStream, config: Arc<ServerConfig>, named: &Mutex<Vec<String>>) {
    let mut tls = ServerConnection::new(config).unwrap();
    let mut known = false;
    let mut block = [0; 16 << 10];
    loop {
        while tls.wants_write() {
            if tls.write_tls(&mut stream).is_err() {
                return;
            }
        }
        if let (false, Some(name)) = (known, tls.server_name()) {
            named.lock().unwrap().push(name.to_owned());
            known = true;
        }
        match tls.read_tls(&mut stream) {
            Ok(1..) => {}
            _ => return,
        }
        if tls.process_new_packets().is_err() {
            return;
        }
        while let Ok(got @ 1..) = tls.reader().read(&mut block) {
            tls.writer().write_all(&block[..got]).unwrap();
        }
    }
}

/// TLS in front of a server that speaks none.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// The certificate that vouches for it, as PEM.
    pub(crate) pem: String,
}

impl Front {
    /// At `localhost`, before the server at this address.
    pub(crate) fn before(behind: SocketAddr) -> Self {
        Self::of(&["localhost"], behind, |_| true)
    }

    /// A proxy that takes each host of these names for the server at this address.
    pub(crate) fn proxy(names: &[&str], behind: SocketAddr) -> Self {
        Self::of(names, behind, |mut stream| {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                if head.len() > 8 << 10 || !matches!(stream.read(&mut byte), Ok(1)) {
                    return false;
                }
                head.extend(byte);
            }
            head.starts_with(b"CONNECT ") && stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok()
        })
    }

    fn of(names: &[&str], behind: SocketAddr, before: fn(&TcpStream) -> bool) -> Self {
        let (certificate, config) = certified(names);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || {
                    if before(&stream) {
                        pass(&stream, config, behind);
                    }
                });
            }
        });
        let base64 = data_encoding::BASE64.encode(&certificate);
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        );
        Self { address, pem }
    }

    /// Its URL, by the name that it has a certificate for.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

/// Passes on what is said, both ways, until either side has ended.
fn pass(mut client: &TcpStream, config: Arc<ServerConfig>, behind: SocketAddr) {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut tls = ServerConnection::new(config).unwrap();
    let Ok(mut server) = TcpStream::connect(behind) else {
        return;
    };
    let mut block = [0; 16 << 10];
    loop {
        while tls.wants_write() {
            if tls.write_tls(&mut client).is_err() {
                return;
            }
        }
        let mut polled = [
            PollFd::new(&client, PollFlags::IN),
            PollFd::new(&server, PollFlags::IN),
        ];
        if poll(&mut polled, None).is_err() {
            return;
        }
        let [said, answered] = polled.map(|fd| !fd.revents().is_empty());
        if said {
            if !matches!(tls.read_tls(&mut client), Ok(1..)) || tls.process_new_packets().is_err() {
                return;
            }
            while let Ok(got @ 1..) = tls.reader().read(&mut block) {
                if server.write_all(&block[..got]).is_err() {
                    return;
                }
            }
        }
        if answered {
            match server.read(&mut block) {
                Ok(got @ 1..) => tls.writer().write_all(&block[..got]).unwrap(),
                _ => {
                    tls.send_close_notify();
                    let _ = tls.write_tls(&mut client);
                    return;
                }
            }
        }
    }
}
